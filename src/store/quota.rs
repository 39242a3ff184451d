//! Quotas: what is used of limits that neither a person's record nor a merchant's slot counts. Each is a counter on a slot that its name
//! chooses; beside it stands what each order holds of it, so that taking it twice takes it once and it is given back once.

use std::ops::Range;

use super::keys::{self, QuotaDigest, QuotaKeys, Slot};
use super::script::{self, Args, Member};
use super::{Store, StoreError};
use crate::domain::order::OrderKey;
use crate::domain::time::Ms;

/// A quota, and who takes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaPlace {
    pub name: String,
    pub campaign: u16,
    /// As many on a slot as a shard has of persons.
    pub buckets: u32,
    /// The order and which of its effects, or the person and which claim.
    pub holder: Vec<u8>,
}

/// How much of a quota is used, by everybody and by the holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsed {
    pub all: i64,
    pub own: i64,
}

/// What a holder has of a quota once it has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The most that it ever asked for.
    pub holds: i64,
    /// The same before this time.
    pub before: i64,
    /// How often it has taken again.
    pub generation: i64,
}

/// How often an attempt has taken again what was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// As the merchant's directory counts it; 0 before the order has its effect.
    Is(i64),
    /// Each time one more.
    Next,
}

/// What came of taking of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Holds(Share),
    Full,
    /// What this attempt held was given back.
    AttemptVoid,
}

impl QuotaPlace {
    fn keys(&self, slots: u8) -> QuotaKeys {
        keys::quota(&self.name, &self.holder, slots, self.campaign, self.buckets)
    }

    fn args(&self, keys: &QuotaKeys, attempt: u32) -> Args {
        Args::with_capacity(64).bytes(&self.name).bytes(&keys.mark).int(attempt)
    }
}

impl Store {
    pub async fn quota_used(&self, place: &QuotaPlace) -> Result<QuotaUsed, StoreError> {
        let keys = place.keys(self.shards());
        let fields = [(keys.counters, place.name.clone().into_bytes()), (keys.marks, keys.mark)];
        let (_, values) = self.read(&Slot::Identity(keys.slot), &fields).await?;
        let all = values.first().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or_default();
        let own = values.get(1).map_or(0, |mark| held_by(mark));
        Ok(QuotaUsed { all, own })
    }

    /// Counts a claim towards a quota, once whatever is repeated.
    pub async fn enter_quota(&self, place: &QuotaPlace, n: i64, most: i64) -> Result<Taken, StoreError> {
        let keys = place.keys(self.shards());
        let args = Args::with_capacity(64).bytes(&place.name).bytes(&keys.mark).int(n).int(most);
        let member = Member::packed(vec![keys.counters, keys.marks], args);
        let reply = self.call(&script::QUOTA_ENTER, &Slot::Identity(keys.slot), member).await?;
        let share = Share { holds: n, ..Share::default() };
        Ok(if reply.refused().is_some() { Taken::Full } else { Taken::Holds(share) })
    }

    /// A copy of a claim had no effect and never will.
    pub async fn leave_quota(&self, place: &QuotaPlace) -> Result<(), StoreError> {
        let keys = place.keys(self.shards());
        let args = Args::with_capacity(64).bytes(&place.name).bytes(&keys.mark);
        let member = Member::packed(vec![keys.counters, keys.marks], args);
        self.call(&script::QUOTA_LEAVE, &Slot::Identity(keys.slot), member).await.map(|_| ())
    }

    /// Gives back what a mark holds beyond `keeps`, when it is still the one that was read; false when it is not.
    pub async fn clear_quota(&self, place: &QuotaPlace, read: &StoredMark, keeps: i64) -> Result<bool, StoreError> {
        let keys = place.keys(self.shards());
        let args = Args::with_capacity(64).bytes(&place.name).bytes(&keys.mark).bytes(&read.bytes).int(keeps);
        let member = Member::packed(vec![keys.counters, keys.marks], args);
        Ok(self.call(&script::QUOTA_CLEAR, &Slot::Identity(keys.slot), member).await?.is("ok"))
    }

    /// Forgets the quotas of a campaign, and who held what of them, in every so many-th of its buckets.
    pub async fn forget_quotas(
        &self,
        campaign: u16,
        buckets: u32,
        range: Range<u16>,
        every: u16,
    ) -> Result<(), StoreError> {
        for slot in 0..self.shards() {
            let mut pipeline = redis::pipe();
            for bucket in range.clone().flat_map(|first| (u32::from(first)..buckets).step_by(usize::from(every))) {
                for key in keys::quota_buckets(slot, campaign, bucket) {
                    pipeline.unlink(key).ignore();
                }
            }
            let mut connection = self.admin().await?;
            let () = pipeline.query_async(&mut connection).await.map_err(|error| StoreError::from_client(&error))?;
        }
        Ok(())
    }

    /// `goes_on`: also on a full store.
    pub async fn take_quota(
        &self,
        place: &QuotaPlace,
        attempt: u32,
        (n, most): (i64, i64),
        generation: Generation,
        goes_on: bool,
    ) -> Result<Taken, StoreError> {
        let keys = place.keys(self.shards());
        let generation = match generation {
            Generation::Is(number) => number,
            Generation::Next => -1,
        };
        let args = place.args(&keys, attempt).int(n).int(most).int(generation);
        let member = Member::packed(vec![keys.counters, keys.marks], args).going_on(goes_on);
        let reply = self.call(&script::QUOTA_TAKE, &Slot::Identity(keys.slot), member).await?;
        match reply.refused() {
            None => Ok(Taken::Holds(Share { holds: reply.int(0), generation: reply.int(1), before: reply.int(2) })),
            Some("limit_reached") => Ok(Taken::Full),
            Some("attempt_void") => Ok(Taken::AttemptVoid),
            Some(_) => Err(StoreError::malformed("quota_take")),
        }
    }

    /// Gives back all but `keeps`, once; of a later generation than the one named everything stays.
    pub async fn give_quota(
        &self,
        place: &QuotaPlace,
        attempt: u32,
        generation: Option<i64>,
        keeps: i64,
    ) -> Result<(), StoreError> {
        let keys = place.keys(self.shards());
        let args = place.args(&keys, attempt).int(generation.unwrap_or(-1)).int(keeps);
        let member = Member::packed(vec![keys.counters, keys.marks], args);
        self.call(&script::QUOTA_GIVE, &Slot::Identity(keys.slot), member).await.map(|_| ())
    }
}

/// A mark as it is stored beside its quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMark {
    /// The order and which of its effects, or the person and which claim.
    pub holder: Vec<u8>,
    pub digest: QuotaDigest,
    pub holds: i64,
    /// When the last copy of a claim or reservation came; `None` of an order's mark.
    pub entered: Option<Ms>,
    pub bytes: Vec<u8>,
}

impl StoredMark {
    /// `None` when it cannot be read.
    pub fn of(field: &[u8], bytes: &[u8]) -> Option<StoredMark> {
        let (holder, digest) = field.split_last_chunk::<6>()?;
        let value = rmpv::decode::read_value(&mut &bytes[..]).ok()?;
        let parts = value.as_array()?;
        let instant = |value: &rmpv::Value| value.as_i64().or(value.as_f64().map(|ms| ms as i64));
        // An order's mark is {attempt, held, generation}.
        let entered = match parts.as_slice() {
            [_, _, _, at] => Some(instant(at)?),
            [_, _] => Some(0),
            _ => None,
        };
        let holds = held_by(bytes);
        Some(StoredMark { holder: holder.to_vec(), digest: *digest, holds, entered, bytes: bytes.to_vec() })
    }

    /// The order and the number of its refund, where it is one's.
    pub fn refund(&self) -> Option<(OrderKey, usize)> {
        let (key, [b'r', number]) = self.holder.split_first_chunk::<12>()? else { return None };
        self.entered.is_none().then_some((*key, usize::from(*number)))
    }
}

/// What a mark holds: {attempt, what it holds or -1, generation}.
fn held_by(mut mark: &[u8]) -> i64 {
    let value = rmpv::decode::read_value(&mut mark).ok();
    let held = value.as_ref().and_then(|value| value.as_array()?.get(1)?.as_i64());
    held.unwrap_or_default().max(0)
}
