//! Walks over all person records of a campaign, bucket by bucket, in bounded steps.

use std::ops::Range;

use super::record::PersonRecord;
use super::{Store, StoreError, keys};
use crate::domain::person::Pseudonym;

/// Buckets read per round trip: some 4,000 persons.
const STEP: u32 = 256;

/// The steps of a walk over a campaign's buckets.
pub fn steps(buckets: u32) -> impl Iterator<Item = Range<u32>> {
    (0..buckets).step_by(STEP as usize).map(move |first| first..(first + STEP).min(buckets))
}

impl Store {
    /// The records of some buckets of a shard. The buckets are read one after another: a record written meanwhile is seen or not.
    pub async fn people(
        &self,
        shard: u8,
        campaign: u16,
        buckets: Range<u32>,
    ) -> Result<Vec<(Pseudonym, PersonRecord)>, StoreError> {
        let mut pipeline = redis::pipe();
        for bucket in buckets {
            pipeline.hgetall(keys::person_bucket(shard, campaign, bucket));
        }
        let mut connection = self.admin().await?;
        let answered: Vec<Vec<(Vec<u8>, Vec<u8>)>> =
            pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_redis(&error))?;
        let mut people = Vec::new();
        for (field, value) in answered.into_iter().flatten() {
            let record = PersonRecord::decode(&value)?;
            let pseudonym = Pseudonym::from_parts(&field, &record.tail);
            people.push((pseudonym.ok_or_else(|| StoreError::Broken("person record".into()))?, record));
        }
        Ok(people)
    }
}
