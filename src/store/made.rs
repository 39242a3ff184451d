//! Records that a program makes. How many it may have of a kind is bounded, and which they are is read without a look at anybody else's.

use serde::{Deserialize, Serialize};

use super::config::{Kind, PutError};
use super::keys::{self, Slot};
use super::merchant::TillKind;
use super::script::{self, Member};
use super::{Store, StoreError, int, text};

/// Among a program's ids: all of them were gathered. No id has a star.
const WALKED: &str = "*";

/// A record that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    pub program: &'a str,
    pub id: &'a str,
    /// What the caller calls the request; empty if it calls it nothing.
    pub name: &'a str,
    /// Records of the kind that the program may have.
    pub most: usize,
}

/// What came of making a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    Now(u64),
    /// The program has made the record with this id under the same name.
    Before(String),
    /// The program has as many as it may have.
    Full,
}

/// Whose a record is that does not bear its program's name. Keys of terminals stand with their merchants.
#[derive(Deserialize)]
struct KeyOwner {
    program: String,
    kind: TillKind,
}

#[derive(Deserialize)]
struct MerchantOwner {
    program: String,
}

impl Kind {
    /// Whether the record with this id is one of the program's.
    fn is_of(self, program: &str, id: &str, value: &[u8]) -> bool {
        match self {
            Kind::TillKey => serde_json::from_slice::<KeyOwner>(value)
                .is_ok_and(|owner| owner.program == program && owner.kind != TillKind::Terminal),
            Kind::Merchant => {
                serde_json::from_slice::<MerchantOwner>(value).is_ok_and(|owner| owner.program == program)
            }
            _ => id.rsplit_once('/').is_some_and(|(of, _)| of == program),
        }
    }
}

impl Store {
    /// Makes a record that must not be there yet.
    pub async fn make_record<T: Serialize>(&self, kind: Kind, new: New<'_>, value: &T) -> Result<Made, PutError> {
        let json = serde_json::to_string(value).map_err(|error| StoreError::Broken(error.to_string()))?;
        loop {
            let of_program = keys::made_by(kind.name(), new.program);
            let member = Member::new(
                [keys::config(kind.name()), of_program].concat(),
                vec![
                    text(new.id),
                    text(json.as_str()),
                    text(kind.note(new.id)),
                    text(new.name),
                    int(new.most as i64),
                    text(keys::dropped_field(kind.name())),
                ],
            );
            let reply = self.call(&script::CONFIG_MAKE, &Slot::Config, member).await?;
            if reply.is("unwalked") {
                self.gather_ids(kind, new.program).await?;
                continue;
            }
            return match reply.refused() {
                Some(_) => Err(PutError::Conflict(reply.int(1) as u64)),
                None if reply.is("full") => Ok(Made::Full),
                None if reply.is("replay") => Ok(Made::Before(reply.text(0).to_owned())),
                None => Ok(Made::Now(reply.int(0) as u64)),
            };
        }
    }

    /// Removes a record that no node follows, if it is still at this version.
    pub async fn drop_record(&self, kind: Kind, program: &str, id: &str, version: u64) -> Result<(), PutError> {
        let [ids, _] = keys::made_by(kind.name(), program);
        let member = Member::new(
            [&keys::config(kind.name())[..], &[ids]].concat(),
            vec![text(id), int(version as i64), text(keys::dropped_field(kind.name()))],
        );
        let reply = self.call(&script::CONFIG_DROP, &Slot::Config, member).await?;
        match reply.refused() {
            Some(_) => Err(PutError::Conflict(reply.int(1) as u64)),
            None => Ok(()),
        }
    }

    /// The ids of a program's records of a kind.
    pub async fn ids_of_program(&self, kind: Kind, program: &str) -> Result<Vec<String>, StoreError> {
        let [ids, _] = keys::made_by(kind.name(), program);
        let mut read: Vec<String> = self.scan_ids(&ids).await?;
        if !read.iter().any(|id| id == WALKED) {
            self.gather_ids(kind, program).await?;
            read = self.scan_ids(&ids).await?;
        }
        read.retain(|id| id != WALKED);
        Ok(read)
    }

    async fn scan_ids(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let mut ids: Vec<String> = self.scan(key).await?.into_keys().collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Notes what a program had before there was a list of it: once for a program and kind, and twice does no harm.
    async fn gather_ids(&self, kind: Kind, program: &str) -> Result<(), StoreError> {
        let [records, _] = keys::config(kind.name());
        let [ids, _] = keys::made_by(kind.name(), program);
        let mut cursor = 0_u64;
        loop {
            let (next, found) = self.scan_step(&records, cursor).await?;
            let own = found.iter().filter(|(id, value)| kind.is_of(program, id, value));
            let mut command = redis::cmd("HSET");
            let noted = own.fold(command.arg(&ids), |command, (id, _)| command.arg(id).arg(""));
            if noted.args_iter().count() > 2 {
                let _: u64 = self.query(noted).await?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let _: u64 = self.query(redis::cmd("HSET").arg(&ids).arg(WALKED).arg("")).await?;
        Ok(())
    }
}
