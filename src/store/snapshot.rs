//! What the store shows at one instant: counters with their place in the ledger, and buckets of records.

use redis::Value;

use super::keys::{self, Slot};
use super::{Store, StoreError, ledger};

const COUNTERS: &str = include_str!("lua/audit_counters.lua");
const BUCKETS: &str = include_str!("lua/audit_buckets.lua");

/// Buckets per call: about a thousand small records.
pub const PERSON_BUCKETS: u32 = 64;
/// Order buckets grow with the number of orders, so few are read at once.
pub const ORDER_BUCKETS: u16 = 4;

pub struct Header {
    pub epoch: u64,
    pub seq: u64,
    /// Id of the ledger's last entry, 0 when it is empty.
    pub last_id: u64,
    pub fields: Vec<(String, String)>,
}

/// Records of one bucket: field and value.
pub type Bucket = Vec<(Vec<u8>, Vec<u8>)>;

impl Store {
    /// A shard's header and the end of its ledger at one instant.
    pub async fn snapshot_header(&self, shard: u8) -> Result<Header, StoreError> {
        let slot = Slot::Shard(shard);
        let mut command = redis::cmd("EVAL");
        command.arg(COUNTERS).arg(2).arg(slot.header()).arg(slot.ledger());
        let (epoch, seq, last_id, _, fields): (u64, u64, Vec<u8>, Value, Vec<(String, String)>) =
            self.query(&command).await?;
        Ok(Header { epoch, seq, last_id: ledger::seq_of_id(&last_id).unwrap_or_default(), fields })
    }

    /// Buckets of persons and of their histories, and the id of the ledger's last entry at the same instant.
    pub async fn snapshot_people(
        &self,
        shard: u8,
        campaign: u16,
        range: std::ops::Range<u32>,
    ) -> Result<(u64, Vec<(Bucket, Bucket)>), StoreError> {
        let both = |bucket| [keys::person_bucket, keys::history_bucket].map(|key| key(shard, campaign, bucket));
        let (last_id, buckets) = self.buckets(&Slot::Shard(shard), range.flat_map(both).collect()).await?;
        let mut buckets = buckets.into_iter();
        Ok((last_id, std::iter::from_fn(|| buckets.next().zip(buckets.next())).collect()))
    }

    /// Buckets of orders, and the id of the ledger's last entry at the same instant.
    pub async fn snapshot_orders(
        &self,
        shard: u8,
        range: std::ops::Range<u16>,
    ) -> Result<(u64, Vec<Bucket>), StoreError> {
        self.buckets(&Slot::Shard(shard), range.map(|bucket| keys::order_bucket_at(shard, bucket)).collect()).await
    }

    /// Entries of some directory buckets of a merchant slot.
    pub async fn snapshot_directory(&self, slot: u8, range: std::ops::Range<u16>) -> Result<Bucket, StoreError> {
        let keys = range.map(|bucket| keys::directory_bucket_at(slot, bucket)).collect();
        Ok(self.buckets(&Slot::Merchant(slot), keys).await?.1.into_iter().flatten().collect())
    }

    /// The same with what was bought with the orders.
    pub async fn snapshot_goods(
        &self,
        shard: u8,
        range: std::ops::Range<u16>,
    ) -> Result<(u64, Vec<Bucket>, Vec<Bucket>), StoreError> {
        let orders = range.clone().map(|bucket| keys::order_bucket_at(shard, bucket));
        let names = orders.chain(range.clone().map(|bucket| keys::bought_bucket_at(shard, bucket))).collect();
        let (last_id, mut read) = self.buckets(&Slot::Shard(shard), names).await?;
        let goods = read.split_off(range.len().min(read.len()));
        Ok((last_id, read, goods))
    }

    /// Counters of quotas of a campaign on an index slot and their marks, of some buckets.
    pub async fn snapshot_quotas(
        &self,
        slot: u8,
        campaign: u16,
        range: std::ops::Range<u32>,
    ) -> Result<(Bucket, Bucket), StoreError> {
        let length = range.len();
        let [counters, marks] = [0, 1].map(|kind| {
            range
                .clone()
                .map(move |bucket| keys::quota_buckets(slot, campaign, bucket)[kind].clone())
                .collect::<Vec<_>>()
        });
        let (_, mut read) = self.buckets(&Slot::Identity(slot), [counters, marks].concat()).await?;
        let marks = read.split_off(length.min(read.len()));
        Ok((read.concat(), marks.concat()))
    }

    async fn buckets(&self, slot: &Slot, keys: Vec<String>) -> Result<(u64, Vec<Bucket>), StoreError> {
        let mut command = redis::cmd("EVAL");
        command.arg(BUCKETS).arg(1 + keys.len()).arg(slot.ledger()).arg(keys);
        let reply: Vec<Value> = self.query(&command).await?;
        let broken = |error: redis::ParsingError| StoreError::Broken(error.to_string());
        let mut parts = reply.into_iter();
        let last_id: Vec<u8> =
            parts.next().map(redis::from_redis_value).transpose().map_err(broken)?.unwrap_or_default();
        let buckets = parts.map(redis::from_redis_value).collect::<Result<Vec<Bucket>, _>>().map_err(broken)?;
        Ok((ledger::seq_of_id(&last_id).unwrap_or_default(), buckets))
    }
}
