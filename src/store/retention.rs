//! Orders as the job sees them that forgets those whose time is over: buckets whole, and each record removed only as it was read.

use std::ops::Range;

use super::keys::{self, Slot};
use super::order::StoredOrder;
use super::orders::DirectoryEntry;
use super::script::{self, Args, Member};
use super::{Store, StoreError, orders};
use crate::domain::order::OrderKey;

/// Header field of shard 0 that holds how far the walk over the order buckets has come.
const SHARD_OF_CURSOR: Slot = Slot::Shard(0);

/// Fields of a header that are looked at in one round trip, about.
const FIELDS: usize = 1_000;

/// An order of a shard.
pub struct KeptOrder {
    pub shard: u8,
    pub key: OrderKey,
    pub stored: StoredOrder,
}

/// An entry of a merchant slot's directory.
pub struct KeptEntry {
    pub slot: u8,
    pub key: OrderKey,
    pub entry: DirectoryEntry,
    pub bytes: Vec<u8>,
}

impl Store {
    /// The entries of some buckets of all directories. What cannot be read is the audit's to tell, and stays.
    pub async fn directory_entries(&self, buckets: Range<u16>) -> Result<Vec<KeptEntry>, StoreError> {
        let mut entries = Vec::new();
        for slot in 0..self.shards() {
            for (key, bytes) in self.snapshot_directory(slot, buckets.clone()).await? {
                let (Ok(key), Some(entry)) = (OrderKey::try_from(key), orders::directory_entry(&bytes)) else {
                    continue;
                };
                entries.push(KeptEntry { slot, key, entry, bytes });
            }
        }
        Ok(entries)
    }

    /// The orders of some buckets of all shards, likewise.
    pub async fn kept_orders(&self, buckets: Range<u16>) -> Result<Vec<KeptOrder>, StoreError> {
        let mut kept = Vec::new();
        for shard in 0..self.shards() {
            let (_, read) = self.snapshot_orders(shard, buckets.clone()).await?;
            for (key, bytes) in read.into_iter().flatten() {
                let (Ok(key), Ok(stored)) = (OrderKey::try_from(key), StoredOrder::decode(&bytes)) else { continue };
                kept.push(KeptOrder { shard, key, stored });
            }
        }
        Ok(kept)
    }

    /// Removes an entry of a directory; false when it has changed meanwhile.
    pub async fn forget_entry(&self, one: &KeptEntry) -> Result<bool, StoreError> {
        let bucket = vec![keys::directory_bucket(one.slot, &one.key)];
        self.forget(&Slot::Merchant(one.slot), bucket, &one.key, &one.bytes).await
    }

    /// Removes an order's record and what was bought with it; false when it has changed meanwhile.
    pub async fn forget_order(&self, one: &KeptOrder) -> Result<bool, StoreError> {
        let buckets = vec![keys::order_bucket(one.shard, &one.key), keys::bought_bucket(one.shard, &one.key)];
        self.forget(&Slot::Shard(one.shard), buckets, &one.key, &one.stored.bytes).await
    }

    pub(super) async fn forget(
        &self,
        slot: &Slot,
        keys: Vec<String>,
        key: &OrderKey,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let member = Member::packed(keys, Args::default().bytes(key).bytes(bytes));
        Ok(self.call(&script::ORDER_FORGET, slot, member).await?.is("ok"))
    }

    /// What is used of merchants' caps on a slot, by counter; `None` where that is no number.
    pub async fn caps_counted(&self, slot: u8) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        let header = Slot::Merchant(slot).header();
        let (mut counted, mut cursor) = (Vec::new(), 0_u64);
        loop {
            let mut scan = redis::cmd("HSCAN");
            scan.arg(&header).arg(cursor).arg("MATCH").arg(keys::CAP_COUNTERS).arg("COUNT").arg(FIELDS);
            // Fields of other kinds hold bytes, and a scan may tell a field twice.
            let (next, found): (u64, Vec<(String, Vec<u8>)>) = self.query(&scan).await?;
            counted.extend(
                found.into_iter().map(|(name, n)| (name, std::str::from_utf8(&n).ok().and_then(|n| n.parse().ok()))),
            );
            cursor = next;
            if cursor == 0 {
                return Ok(counted);
            }
        }
    }

    /// Forgets what is used of merchants' caps in campaigns that are over. No order of theirs takes or gives back of a cap any more.
    pub async fn forget_caps(&self, is_over: impl Fn(u16) -> bool) -> Result<(), StoreError> {
        for slot in 0..self.shards() {
            let header = Slot::Merchant(slot).header();
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("HSCAN");
                scan.arg(&header).arg(cursor).arg("MATCH").arg(keys::CAP_COUNTERS).arg("COUNT").arg(FIELDS);
                let (next, found): (u64, Vec<(String, Vec<u8>)>) = self.query(&scan).await?;
                let over = |name: &String| keys::cap_campaign(name).is_some_and(&is_over);
                let gone: Vec<String> = found.into_iter().map(|(name, _)| name).filter(over).collect();
                if !gone.is_empty() {
                    let _: u64 = self.query(redis::cmd("HDEL").arg(&header).arg(gone)).await?;
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// How far the walk has come, over all its passes.
    pub async fn orders_walked(&self) -> Result<i64, StoreError> {
        Ok(self.header_numbers(&SHARD_OF_CURSOR, &[keys::ORDERS_CURSOR.to_owned()]).await?[0])
    }

    pub async fn set_orders_walked(&self, walked: i64) -> Result<(), StoreError> {
        let member = Member::packed(vec![], Args::default().bytes(keys::ORDERS_CURSOR).int(walked));
        self.call(&script::CURSOR_PUT, &SHARD_OF_CURSOR, member).await.map(|_| ())
    }
}
