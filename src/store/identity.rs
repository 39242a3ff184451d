//! The index of identity keys: which person holds a phone, device or account on a round's list, by the protocol that the scripts
//! `identity_*` make up. What is written there says who *means* to enter; who has entered is known by the person's own shard alone.

use super::keys::{self, Slot};
use super::record::PersonRecord;
use super::script::{self, Args, Member};
use super::{Store, StoreError};
use crate::domain::person::bucket_of;

/// The list that keys are indexed for.
#[derive(Clone, Copy, Debug)]
pub struct List {
    pub campaign: u16,
    pub round: u8,
    /// Buckets of persons on a shard, and of keys on a slot.
    pub buckets: u32,
}

/// A person as the index names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub shard: u8,
    pub field: [u8; 9],
}

impl Who {
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [self.shard; 10];
        bytes[1..].copy_from_slice(&self.field);
        bytes
    }

    /// Where the person's record lies, and the person's void intents.
    pub fn keys(&self, list: List) -> Vec<String> {
        let bucket = bucket_of(&self.field, list.buckets);
        let person = keys::person_bucket(self.shard, list.campaign, bucket);
        vec![person, keys::void_bucket(self.shard, list.campaign, bucket)]
    }
}

/// Somebody else's mark on a key, as it stands in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub who: Who,
    pub intent: u32,
    /// What a take may replace.
    seen: Vec<u8>,
}

impl Holder {
    fn decode(seen: &[u8]) -> Option<Holder> {
        let (person, intent) = seen.split_first_chunk::<10>()?;
        let mut who = Who { shard: person[0], field: [0; 9] };
        who.field.copy_from_slice(&person[1..]);
        let intent = std::str::from_utf8(intent).ok()?.parse().ok()?;
        Some(Holder { who, intent, seen: seen.to_vec() })
    }
}

impl Store {
    /// A person's record, and up to which intent what the person means is void.
    pub async fn intents(&self, who: &Who, list: List) -> Result<(PersonRecord, u32), StoreError> {
        let fields: Vec<_> = who.keys(list).into_iter().map(|key| (key, who.field.to_vec())).collect();
        let (_, values) = self.read_together(who.shard, &fields).await?;
        let [record, void] = values.as_slice() else { return Err(StoreError::malformed("intents")) };
        let record = if record.is_empty() { PersonRecord::default() } else { PersonRecord::decode(record)? };
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        let void = if void.is_empty() { Some(0) } else { number(void) };
        Ok((record, void.ok_or_else(|| StoreError::malformed("void intents"))?))
    }

    /// Marks a key with a person's intent, in place of `instead` if that is named; answers who else has marked it.
    pub async fn take_identity(
        &self,
        list: List,
        digest: u64,
        who: &Who,
        intent: u32,
        instead: Option<&Holder>,
    ) -> Result<Option<Holder>, StoreError> {
        let slots = self.shards();
        let bucket = keys::identity_bucket(digest, slots, list.campaign, list.round, list.buckets);
        let instead = instead.map(|holder| holder.seen.as_slice()).unwrap_or_default();
        let args = Args::with_capacity(48).bytes(digest.to_be_bytes()).bytes(who.bytes()).int(intent).bytes(instead);
        let slot = Slot::Identity(keys::identity_slot(digest, slots));
        let reply = self.call(&script::IDENTITY_TAKE, &slot, Member::packed(vec![bucket], args)).await?;
        if !reply.is("taken") {
            return Ok(None);
        }
        Holder::decode(reply.bytes(0)).map(Some).ok_or_else(|| StoreError::malformed("identity index"))
    }

    /// Whether the holder is on the list with the key; if not, the holder cannot enter with it any more under the intent that was seen.
    pub async fn holder_is_live(&self, list: List, digest: u64, holder: &Holder) -> Result<bool, StoreError> {
        let Holder { who, intent, .. } = holder;
        let args = Args::with_capacity(32).bytes(who.field).int(list.round).bytes(digest.to_be_bytes()).int(*intent);
        let member = Member::packed(who.keys(list), args);
        Ok(self.call(&script::IDENTITY_VOID, &Slot::Shard(who.shard), member).await?.is("live"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_index_tells_person_and_intent() {
        let who = Who { shard: 200, field: [255, 0, 1, 2, 3, 4, 5, 6, 49] };
        let seen = [&who.bytes()[..], b"12"].concat();
        assert_eq!(Holder::decode(&seen), Some(Holder { who, intent: 12, seen }));
        assert_eq!(Holder::decode(&who.bytes()), None);
        assert_eq!(Holder::decode(b"short"), None);
    }
}
