//! Configuration records: JSON values replaced by compare-and-set, with a stream that tells every node what changed.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{self, Slot};
use super::script::{self, Member};
use super::unknown;
use super::{Store, StoreError, int, text};

/// Kinds of records; the kind is part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is published, and drafts of older binaries.
    Campaign,
    /// Campaigns that are not published, by program and id.
    Draft,
    Merchant,
    /// Which merchant of a program has a social credit code.
    MerchantCode,
    TillKey,
    ApiKey,
    Settlement,
    /// Uploaded lists, by program and id.
    List,
    /// Versions of areas, by program, id and number.
    Area,
    Clock,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Campaign => "campaigns",
            Kind::Draft => "drafts",
            Kind::Merchant => "merchants",
            Kind::MerchantCode => "merchant-codes",
            Kind::TillKey => "till-keys",
            Kind::ApiKey => "api-keys",
            Kind::Settlement => "settlements",
            Kind::List => "lists",
            Kind::Area => "areas",
            Kind::Clock => "clock",
        }
    }

    /// Whether nodes keep what they have read of it, and so have to hear of a change. The others are read when they are needed, and a
    /// program that writes many of them costs nobody else a look.
    fn is_followed(self) -> bool {
        !matches!(self, Kind::Draft | Kind::List | Kind::Area | Kind::MerchantCode | Kind::Settlement)
    }

    pub(super) fn note(self, id: &str) -> String {
        if self.is_followed() { format!("{}/{id}", self.name()) } else { String::new() }
    }
}

/// About how many records one step of a walk reads.
const SCANNED_AT_ONCE: usize = 500;

/// Records that one command reads.
const NAMED_AT_ONCE: usize = 64;

/// A record with the version that a replacement has to name.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    pub version: u64,
    pub value: T,
}

/// What a change of a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Any,
    /// It only takes away: a pause, a freeze, a key that ends. A store that is full, where new money has stopped, still takes it.
    Stops,
}

/// Why a replacement was not made.
#[derive(Debug)]
pub enum PutError {
    /// Somebody else wrote first; this is the version that holds.
    Conflict(u64),
    Store(StoreError),
}

impl From<StoreError> for PutError {
    fn from(error: StoreError) -> PutError {
        PutError::Store(error)
    }
}

impl Store {
    pub async fn record<T: DeserializeOwned>(&self, kind: Kind, id: &str) -> Result<Option<Versioned<T>>, StoreError> {
        let [records, versions] = keys::config(kind.name());
        // The version is read first: a change in between makes the replacement fail, never succeed on unread data.
        let version: Option<u64> = self.query(redis::cmd("HGET").arg(versions).arg(id)).await?;
        let value: Option<Vec<u8>> = self.query(redis::cmd("HGET").arg(records).arg(id)).await?;
        match (version, value) {
            (Some(version), Some(value)) => Ok(Some(Versioned { version, value: decode(&value)? })),
            _ => Ok(None),
        }
    }

    /// All records of a kind with their ids, read in steps that hold up nobody else. A record that cannot be read is an error of its own, for it must not hide the others.
    pub async fn records<T: DeserializeOwned>(
        &self,
        kind: Kind,
    ) -> Result<Vec<(String, Result<T, StoreError>)>, StoreError> {
        let [records, _] = keys::config(kind.name());
        Ok(self.scan(&records).await?.into_iter().map(|(id, value)| (id, decode(&value))).collect())
    }

    /// All fields of a hash, read in steps that hold up nobody else.
    pub(super) async fn scan(&self, key: &str) -> Result<HashMap<String, Vec<u8>>, StoreError> {
        let mut all: HashMap<String, Vec<u8>> = HashMap::new();
        let mut cursor = 0_u64;
        loop {
            // A field may come twice while the hash grows.
            let (next, found) = self.scan_step(key, cursor).await?;
            all.extend(found);
            cursor = next;
            if cursor == 0 {
                return Ok(all);
            }
        }
    }

    /// One step of it, and where the next one begins: at 0 there is none.
    pub(super) async fn scan_step(&self, key: &str, cursor: u64) -> Result<(u64, Vec<(String, Vec<u8>)>), StoreError> {
        self.query(redis::cmd("HSCAN").arg(key).arg(cursor).arg("COUNT").arg(SCANNED_AT_ONCE)).await
    }

    /// The version of every record of a kind, by id.
    pub async fn record_versions(&self, kind: Kind) -> Result<Vec<(String, u64)>, StoreError> {
        let [_, versions] = keys::config(kind.name());
        self.query(redis::cmd("HGETALL").arg(versions)).await
    }

    /// The records with these ids that are there; one that cannot be read is an error of its own.
    pub async fn records_named<T: DeserializeOwned>(
        &self,
        kind: Kind,
        ids: &[String],
    ) -> Result<Vec<(String, Result<T, StoreError>)>, StoreError> {
        let [records, _] = keys::config(kind.name());
        let mut found = Vec::new();
        for ids in ids.chunks(NAMED_AT_ONCE) {
            let values: Vec<Option<Vec<u8>>> = self.query(redis::cmd("HMGET").arg(&records).arg(ids)).await?;
            let read = ids.iter().zip(values).filter_map(|(id, value)| Some((id.clone(), decode(&value?))));
            found.extend(read);
        }
        Ok(found)
    }

    /// Replaces version `expected` (0 = must be absent) and answers the new version. What a newer binary has put into the record stays in it.
    pub async fn put_record<T: Serialize + DeserializeOwned>(
        &self,
        kind: Kind,
        id: &str,
        expected: u64,
        value: &T,
    ) -> Result<u64, PutError> {
        self.put_record_for(Purpose::Any, kind, id, expected, value).await
    }

    /// The same, which a full store takes where it stops something.
    pub async fn put_record_for<T: Serialize + DeserializeOwned>(
        &self,
        purpose: Purpose,
        kind: Kind,
        id: &str,
        expected: u64,
        value: &T,
    ) -> Result<u64, PutError> {
        let json = match expected {
            0 => unknown::written(value)?,
            _ => self.carried(kind, id, value).await?,
        };
        let member = Member::new(
            keys::config(kind.name()).to_vec(),
            vec![text(id), int(expected as i64), text(json), text(kind.note(id))],
        );
        let member = member.going_on(purpose == Purpose::Stops);
        let reply = self.call(&script::CONFIG_PUT, &Slot::Config, member).await?;
        match reply.refused() {
            Some(_) => Err(PutError::Conflict(reply.int(1) as u64)),
            None => Ok(reply.int(0) as u64),
        }
    }

    /// Makes the campaign of its name out of a draft, each if it still has the version that is named, and answers the campaign's.
    pub async fn publish_draft<T: Serialize + DeserializeOwned>(
        &self,
        program: &str,
        (draft, draft_version): (&str, u64),
        (campaign, expected): (&str, u64),
        value: &T,
    ) -> Result<u64, PutError> {
        let json = self.carried(Kind::Draft, draft, value).await?;
        let [ids, _] = keys::made_by(Kind::Draft.name(), program);
        let keys = [&keys::config(Kind::Draft.name())[..], &keys::config(Kind::Campaign.name()), &[ids]].concat();
        let [draft_version, expected] = [draft_version, expected].map(|version| int(version as i64));
        let note = text(Kind::Campaign.note(campaign));
        let args = vec![text(draft), draft_version, text(campaign), expected, text(json), note];
        let reply = self.call(&script::CAMPAIGN_PUBLISH, &Slot::Config, Member::new(keys, args)).await?;
        match reply.refused() {
            Some(_) => Err(PutError::Conflict(reply.int(1) as u64)),
            None => Ok(reply.int(0) as u64),
        }
    }

    /// The text of a record that replaces the one with this id. What is read here is no older than what the writer has read, and where it
    /// is newer the replacement fails.
    async fn carried<T: Serialize + DeserializeOwned>(
        &self,
        kind: Kind,
        id: &str,
        value: &T,
    ) -> Result<String, StoreError> {
        let [records, _] = keys::config(kind.name());
        let held: Option<Vec<u8>> = self.query(redis::cmd("HGET").arg(records).arg(id)).await?;
        match held {
            Some(held) => unknown::carried(&held, value),
            None => unknown::written(value),
        }
    }

    /// Revision of the whole configuration: it grows with every change of a record that nodes follow.
    pub async fn config_revision(&self) -> Result<u64, StoreError> {
        let revision: Option<u64> = self.query(redis::cmd("HGET").arg(Slot::Config.header()).arg("rev")).await?;
        Ok(revision.unwrap_or_default())
    }

    /// The next campaign number (from 1), for a campaign that is being published; numbers are never used twice.
    pub async fn next_campaign_number(&self) -> Result<u16, StoreError> {
        let number: u64 = self.query(redis::cmd("HINCRBY").arg(Slot::Config.header()).arg("campaigns").arg(1)).await?;
        u16::try_from(number)
            .map_err(|_| StoreError::Unavailable("an installation publishes at most 65,535 campaigns".into()))
    }

    /// The number of the next upload of a list (from 1): it names the keys of the members and is never used twice.
    pub async fn next_list_number(&self) -> Result<u64, StoreError> {
        self.query(redis::cmd("HINCRBY").arg(Slot::Config.header()).arg("lists").arg(1)).await
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Broken(format!("configuration record: {error}")))
}
