//! The index of serial numbers: which attempt of which order means to use one. Whether it did is known by that order's own shard alone.

use super::keys::{self, SerialDigest, Slot};
use super::script::{self, Args, Member};
use super::{Store, StoreError};
use crate::domain::order::OrderKey;

/// A serial number of a campaign's goods.
#[derive(Clone, Copy, Debug)]
pub struct SerialPlace {
    pub campaign: u16,
    /// As many on a slot as a shard has of persons.
    pub buckets: u32,
    pub digest: SerialDigest,
}

/// The attempt that the index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialHolder {
    pub shard: u8,
    pub key: OrderKey,
    pub attempt: u32,
}

/// What came of taking a serial number.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Ok,
    By(SerialHolder),
    /// A later attempt of the order has it.
    AttemptVoid,
}

impl SerialPlace {
    fn slot(&self, slots: u8) -> Slot {
        Slot::Identity(keys::serial_slot(&self.digest, slots))
    }

    fn bucket(&self, slots: u8) -> String {
        keys::serial_bucket(&self.digest, slots, self.campaign, self.buckets)
    }
}

impl SerialHolder {
    fn bytes(&self) -> Vec<u8> {
        [&[self.shard][..], &self.key, &self.attempt.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<SerialHolder> {
        let (shard, rest) = bytes.split_first()?;
        let (key, attempt) = rest.split_first_chunk::<12>()?;
        Some(SerialHolder { shard: *shard, key: *key, attempt: u32::from_be_bytes(attempt.try_into().ok()?) })
    }
}

fn decoded(bytes: &[u8]) -> Result<SerialHolder, StoreError> {
    SerialHolder::decode(bytes).ok_or_else(|| StoreError::malformed("index of serial numbers"))
}

impl Store {
    pub async fn serial_holder(&self, place: &SerialPlace) -> Result<Option<SerialHolder>, StoreError> {
        let slots = self.shards();
        let fields = [(place.bucket(slots), place.digest.to_vec())];
        let (_, values) = self.read(&place.slot(slots), &fields).await?;
        values.first().filter(|value| !value.is_empty()).map(|value| decoded(value)).transpose()
    }

    /// Marks a serial number with an attempt, in place of `instead` if that is named.
    pub async fn take_serial(
        &self,
        place: &SerialPlace,
        holder: &SerialHolder,
        instead: Option<&SerialHolder>,
    ) -> Result<Taken, StoreError> {
        let slots = self.shards();
        let instead = instead.map(SerialHolder::bytes).unwrap_or_default();
        let args = Args::with_capacity(64).bytes(place.digest).bytes(holder.bytes()).bytes(instead);
        let member = Member::packed(vec![place.bucket(slots)], args);
        let reply = self.call(&script::SERIAL_TAKE, &place.slot(slots), member).await?;
        match reply.refused() {
            Some("attempt_void") => Ok(Taken::AttemptVoid),
            Some(_) => Err(StoreError::malformed("serial_take")),
            None if reply.is("taken") => Ok(Taken::By(decoded(reply.bytes(0))?)),
            None => Ok(Taken::Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_index_tells_shard_order_and_attempt() {
        let holder = SerialHolder { shard: 200, key: [255; 12], attempt: 70_000 };
        assert_eq!(SerialHolder::decode(&holder.bytes()), Some(holder));
        assert_eq!(SerialHolder::decode(&holder.bytes()[..16]), None);
    }
}
