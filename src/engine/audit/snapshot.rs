//! What the store shows at one instant: counters with their place in the ledger, and buckets of records.

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};

use crate::store::keys::{self, Slot};
use crate::store::ledger;

const COUNTERS: &str = include_str!("../../store/lua/audit_counters.lua");
const BUCKETS: &str = include_str!("../../store/lua/audit_buckets.lua");

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

pub async fn header(connection: &mut impl ConnectionLike, shard: u8) -> RedisResult<Header> {
    let slot = Slot::Shard(shard);
    let mut command = redis::cmd("EVAL");
    command.arg(COUNTERS).arg(2).arg(slot.header()).arg(slot.ledger());
    let (epoch, seq, last_id, _, fields): (u64, u64, Vec<u8>, Value, Vec<(String, String)>) =
        command.query_async(connection).await?;
    Ok(Header { epoch, seq, last_id: ledger::seq_of_id(&last_id).unwrap_or_default(), fields })
}

/// The buckets and the id of the ledger's last entry at the same instant.
async fn buckets(connection: &mut impl ConnectionLike, shard: u8, keys: &[String]) -> RedisResult<(u64, Vec<Bucket>)> {
    let mut command = redis::cmd("EVAL");
    command.arg(BUCKETS).arg(1 + keys.len()).arg(Slot::Shard(shard).ledger()).arg(keys);
    let reply: Vec<Value> = command.query_async(connection).await?;
    let mut parts = reply.into_iter();
    let last_id: Vec<u8> = parts.next().map(redis::from_redis_value).transpose()?.unwrap_or_default();
    let buckets = parts.map(redis::from_redis_value).collect::<Result<Vec<Bucket>, _>>()?;
    Ok((ledger::seq_of_id(&last_id).unwrap_or_default(), buckets))
}

pub async fn person_buckets(
    connection: &mut impl ConnectionLike,
    shard: u8,
    campaign: u16,
    range: std::ops::Range<u32>,
) -> RedisResult<(u64, Vec<Bucket>)> {
    let keys: Vec<String> = range.map(|bucket| keys::person_bucket(shard, campaign, bucket)).collect();
    buckets(connection, shard, &keys).await
}

pub async fn order_buckets(
    connection: &mut impl ConnectionLike,
    shard: u8,
    range: std::ops::Range<u16>,
) -> RedisResult<(u64, Vec<Bucket>)> {
    let keys: Vec<String> = range.map(|bucket| keys::order_bucket_at(shard, bucket)).collect();
    buckets(connection, shard, &keys).await
}
