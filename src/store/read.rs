//! Reads: one person, a slot's header, and walks over all person records of a campaign in bounded steps.

use std::ops::Range;

use super::keys::Slot;
use super::record::PersonRecord;
use super::{Store, StoreError, keys};
use crate::domain::person::Pseudonym;

/// Buckets read per round trip: some 4,000 persons.
const STEP: u32 = 256;

/// A record with the field under which it stands.
pub type PersonRead = (Vec<u8>, Result<(Pseudonym, PersonRecord), StoreError>);

/// The steps of a walk over a campaign's buckets.
pub fn steps(buckets: u32) -> impl Iterator<Item = Range<u32>> {
    (0..buckets).step_by(STEP as usize).map(move |first| first..(first + STEP).min(buckets))
}

impl Store {
    /// One person's record, by the key of its bucket.
    pub async fn person(&self, bucket_key: &str, pseudonym: &Pseudonym) -> Result<Option<PersonRecord>, StoreError> {
        let value: Option<Vec<u8>> =
            self.query(redis::cmd("HGET").arg(bucket_key).arg(pseudonym.field().as_slice())).await?;
        value.map(|value| PersonRecord::decode(&value)).transpose()
    }

    /// All fields of a slot's header.
    pub async fn header(&self, slot: &Slot) -> Result<Vec<(String, String)>, StoreError> {
        self.query(redis::cmd("HGETALL").arg(slot.header())).await
    }

    /// Some fields of a slot's header as numbers; what is not there is 0.
    pub async fn header_numbers(&self, slot: &Slot, fields: &[String]) -> Result<Vec<i64>, StoreError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let values: Vec<Option<i64>> = self.query(redis::cmd("HMGET").arg(slot.header()).arg(fields)).await?;
        Ok(values.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The records of some buckets of a shard. The buckets are read one after another: a record written meanwhile is seen or not. One that
    /// cannot be read fails them all.
    pub async fn people(
        &self,
        shard: u8,
        campaign: u16,
        buckets: Range<u32>,
    ) -> Result<Vec<(Pseudonym, PersonRecord)>, StoreError> {
        let all = self.people_each(shard, campaign, buckets).await?;
        let of_all = all.into_iter().map(|(field, read)| {
            read.map_err(|_| StoreError::Broken(format!("person {} on shard {shard}", hex::encode(field))))
        });
        of_all.collect()
    }

    /// The same for whoever can go on without some of them: each with the field under which it stands.
    pub async fn people_each(
        &self,
        shard: u8,
        campaign: u16,
        buckets: Range<u32>,
    ) -> Result<Vec<PersonRead>, StoreError> {
        let mut pipeline = redis::pipe();
        for bucket in buckets {
            pipeline.hgetall(keys::person_bucket(shard, campaign, bucket));
        }
        let mut connection = self.admin().await?;
        let answered: Vec<Vec<(Vec<u8>, Vec<u8>)>> =
            pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))?;
        let read = |field: &[u8], value: &[u8]| {
            let record = PersonRecord::decode(value)?;
            let pseudonym = Pseudonym::from_parts(field, &record.tail);
            Ok((pseudonym.ok_or_else(|| StoreError::Broken("person record".into()))?, record))
        };
        let person = |(field, value): (Vec<u8>, Vec<u8>)| {
            let read = read(&field, &value);
            (field, read)
        };
        Ok(answered.into_iter().flatten().map(person).collect())
    }
}
