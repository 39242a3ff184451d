//! Uploaded lists: who is on one, in buckets on the shards of the persons. A list never changes once its version has a number.
//!
//! Members are written while the file arrives, under a number that no version names yet; what a file with faults, or a node that
//! died, has left behind is dropped by number.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::keys::{self, Slot};
use super::{Store, StoreError};
use crate::domain::person::Root;
use crate::domain::time::Ms;

/// Buckets read or dropped per round trip.
const STEP: u32 = 256;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    Persons,
    Merchants,
}

impl ListKind {
    pub fn word(self) -> &'static str {
        match self {
            ListKind::Persons => "persons",
            ListKind::Merchants => "merchants",
        }
    }
}

/// A list of a program, with all its versions in order; the n-th has the number n + 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ListRecord {
    pub versions: Vec<ListVersion>,
    /// Uploads that have begun and have not ended.
    pub uploads: Vec<Upload>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListVersion {
    pub kind: ListKind,
    pub count: u64,
    /// Of the file as it was sent.
    pub sha256: String,
    pub put_by: String,
    pub put_at: Ms,
    /// Number of the upload, which names the keys.
    pub number: u64,
    /// Buckets of each slot.
    pub buckets: u32,
    /// Names that members carry by position.
    pub channels: Vec<String>,
    pub packs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    pub number: u64,
    pub buckets: u32,
    /// By the wall clock: what is older than any request can be has died.
    pub begun_at: Ms,
}

/// A version of a list as a campaign names it, with the list's names turned into positions of the campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinnedList {
    pub version: u32,
    pub kind: ListKind,
    pub count: u64,
    pub number: u64,
    pub buckets: u32,
    /// Of the file; empty where it was pinned before hashes were noted with it.
    #[serde(default)]
    pub sha256: String,
    /// For each name of the list its position in the campaign; none when the campaign has no such name.
    pub channels: Vec<Option<u8>>,
    pub packs: Vec<Option<u8>>,
}

/// What a list says about a member; positions are the campaign's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListMember {
    /// Entries in a draw, 1 to 64.
    pub entries: u8,
    pub channel: Option<u8>,
    pub pack: Option<u8>,
}

/// A member as it is stored: positions are the list's own; what says nothing takes no byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMember {
    pub entries: u8,
    pub channel: Option<u8>,
    pub pack: Option<u8>,
}

impl StoredMember {
    pub fn encode(self) -> Vec<u8> {
        let position = |position: Option<u8>| position.map_or(0, |position| position + 1);
        match self {
            StoredMember { entries: 1, channel: None, pack: None } => Vec::new(),
            member => vec![member.entries, position(member.channel), position(member.pack)],
        }
    }

    pub fn decode(value: &[u8]) -> Option<StoredMember> {
        match *value {
            [] => Some(StoredMember { entries: 1, channel: None, pack: None }),
            [entries, channel, pack] => {
                Some(StoredMember { entries, channel: channel.checked_sub(1), pack: pack.checked_sub(1) })
            }
            _ => None,
        }
    }
}

impl PinnedList {
    fn member(&self, value: &[u8]) -> Result<ListMember, StoreError> {
        let stored = StoredMember::decode(value).ok_or_else(|| StoreError::Broken("member of a list".into()))?;
        let named = |names: &[Option<u8>], position: Option<u8>| names.get(usize::from(position?)).copied().flatten();
        Ok(ListMember {
            entries: stored.entries,
            channel: named(&self.channels, stored.channel),
            pack: named(&self.packs, stored.pack),
        })
    }

    fn person_key(&self, shard: u8, root: &Root) -> String {
        keys::list_bucket(&Slot::Shard(shard), self.number, person_bucket(root, self.buckets))
    }
}

/// Other bytes than those that choose the shard.
pub fn person_bucket(root: &Root, buckets: u32) -> u32 {
    let [_, _, _, _, a, b, c, d, ..] = root.0;
    u32::from_be_bytes([a, b, c, d]) % buckets.max(1)
}

pub fn merchant_bucket(merchant_id: &str, buckets: u32) -> u32 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(merchant_id.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % buckets.max(1)
}

/// A person of a list with what the list says.
pub type ReadRow = Result<(Root, ListMember), UnreadableRow>;

/// A row of a list that cannot be read, and whose it is if that much can.
pub struct UnreadableRow {
    pub root: Option<Root>,
    pub named: String,
}

impl From<UnreadableRow> for StoreError {
    fn from(row: UnreadableRow) -> StoreError {
        StoreError::Broken(row.named)
    }
}

/// One member on its way to the store: the key of its bucket, its field and its value.
pub type NewMember = (String, Vec<u8>, Vec<u8>);

impl Store {
    /// Writes members of an upload; for each, whether it was not there yet.
    pub async fn list_add(&self, members: &[NewMember]) -> Result<Vec<bool>, StoreError> {
        let mut pipeline = redis::pipe();
        for (key, field, value) in members {
            pipeline.hset_nx(key, field, value);
        }
        let mut connection = self.admin().await?;
        pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))
    }

    /// Removes everything that an upload has written.
    pub async fn list_drop(&self, upload: &Upload) -> Result<(), StoreError> {
        let slots = (0..self.shards()).map(Slot::Shard).chain([Slot::Config]);
        for slot in slots {
            for buckets in steps(upload.buckets) {
                let mut pipeline = redis::pipe();
                for bucket in buckets {
                    pipeline.unlink(keys::list_bucket(&slot, upload.number, bucket)).ignore();
                }
                let mut connection = self.admin().await?;
                let () =
                    pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))?;
            }
        }
        Ok(())
    }

    /// What a list says about a person, by one read; `None` when the person is not on it.
    pub async fn list_member(&self, list: &PinnedList, root: &Root) -> Result<Option<ListMember>, StoreError> {
        let key = list.person_key(root.shard(self.shards()), root);
        let value: Option<Vec<u8>> = self.query(redis::cmd("HGET").arg(key).arg(root.0.as_slice())).await?;
        value.map(|value| list.member(&value)).transpose()
    }

    pub async fn list_has_merchant(&self, list: &PinnedList, merchant_id: &str) -> Result<bool, StoreError> {
        let bucket = merchant_bucket(merchant_id, list.buckets);
        let key = keys::list_bucket(&Slot::Config, list.number, bucket);
        let there: i64 = self.query(redis::cmd("HEXISTS").arg(key).arg(merchant_id)).await?;
        Ok(there == 1)
    }

    /// The merchants of some buckets.
    pub async fn list_merchants(&self, number: u64, buckets: Range<u32>) -> Result<Vec<String>, StoreError> {
        let mut pipeline = redis::pipe();
        for bucket in buckets {
            pipeline.hkeys(keys::list_bucket(&Slot::Config, number, bucket));
        }
        let mut connection = self.admin().await?;
        let answered: Vec<Vec<String>> =
            pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))?;
        Ok(answered.into_iter().flatten().collect())
    }

    /// The persons of some buckets of a shard. A row that cannot be read is named, by as much of its field as finds it, in place of its person.
    pub async fn list_persons(
        &self,
        list: &PinnedList,
        shard: u8,
        buckets: Range<u32>,
    ) -> Result<Vec<ReadRow>, StoreError> {
        let mut pipeline = redis::pipe();
        for bucket in buckets {
            pipeline.hgetall(keys::list_bucket(&Slot::Shard(shard), list.number, bucket));
        }
        let mut connection = self.admin().await?;
        let answered: Vec<BTreeMap<Vec<u8>, Vec<u8>>> =
            pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))?;
        let row = |(field, value): (Vec<u8>, Vec<u8>)| {
            let named = hex::encode(&field[..field.len().min(4)]);
            let unreadable = || format!("member {named} of list {} on shard {shard}", list.number);
            let root = <[u8; 32]>::try_from(field).ok().map(Root);
            let read = root.and_then(|root| Some((root, list.member(&value).ok()?)));
            read.ok_or_else(|| UnreadableRow { root, named: unreadable() })
        };
        Ok(answered.into_iter().flatten().map(row).collect())
    }
}

/// The steps of a walk over a list's buckets.
pub fn steps(buckets: u32) -> impl Iterator<Item = Range<u32>> {
    (0..buckets).step_by(STEP as usize).map(move |first| first..(first + STEP).min(buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_as_it_was_written_and_a_plain_one_takes_no_byte() {
        for (entries, channel, pack, bytes) in
            [(1, None, None, 0), (2, None, None, 3), (64, Some(0), None, 3), (1, None, Some(254), 3)]
        {
            let member = StoredMember { entries, channel, pack };
            assert_eq!(member.encode().len(), bytes);
            assert_eq!(StoredMember::decode(&member.encode()), Some(member));
        }
        assert_eq!(StoredMember::decode(&[1]), None);
    }
}
