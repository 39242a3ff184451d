//! What the store server promises, asked at start: the service refuses to run below its declared durability level.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use redis::aio::ConnectionLike;
use redis::{InfoDict, RedisError, RedisResult, Value};
use serde::{Deserialize, Serialize};

use super::keys::ORDER_BUCKETS;
use super::{Store, StoreError};

/// What survives which fault, declared by the operator and proved by [`StoreFacts::refuse_below`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Durability {
    /// `appendfsync everysec`: a crash of the machine or the store may lose the last two seconds.
    D1,
    /// `appendfsync always`: what was answered is on disk.
    D2,
    /// D2, and what was answered has reached replicas as well.
    D3,
}

impl Durability {
    /// Form used on the wire, in settings and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::D1 => "D1",
            Self::D2 => "D2",
            Self::D3 => "D3",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_uppercase().as_str() {
            "D1" => Ok(Self::D1),
            "D2" => Ok(Self::D2),
            "D3" => Ok(Self::D3),
            _ => Err(format!("durability is D1, D2 or D3, not {text:?}")),
        }
    }
}

/// One reading of a server. Settings are `None` where the server does not let us read them, as managed services do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreFacts {
    /// "valkey" or "redis".
    pub engine: String,
    pub version: String,
    /// Changes with every start of the server process.
    pub run_id: String,
    /// Changes with a promotion; together with `role` it tells a failover from a restart.
    pub replication_id: String,
    pub role: String,
    pub replicas: u32,
    pub cluster: bool,
    pub aof_enabled: bool,
    pub aof_last_write_ok: bool,
    /// The append-only file is being written anew; one that was just switched on keeps nothing until that has ended.
    pub aof_rewriting: bool,
    pub appendfsync: Option<String>,
    pub no_appendfsync_on_rewrite: Option<bool>,
    pub auto_aof_rewrite_percentage: Option<u32>,
    pub maxmemory_bytes: u64,
    /// Of the machine, as the server sees it; 0 = it does not say.
    pub system_memory_bytes: u64,
    pub maxmemory_policy: String,
    pub hash_max_listpack_value: Option<u32>,
    pub hash_max_listpack_entries: Option<u32>,
    /// Whether `WAITAOF` exists; without it D3 means "replicated in memory".
    pub waitaof: bool,
}

impl StoreFacts {
    /// Asks the server at a URL over a connection of its own.
    pub async fn of(url: &str) -> Result<Self, StoreError> {
        let read = async {
            let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
            Self::read(&mut connection).await
        };
        read.await.map_err(|error: RedisError| StoreError::from_client(&error))
    }

    /// Asks one server; in a cluster, ask each primary.
    pub async fn read(connection: &mut impl ConnectionLike) -> RedisResult<Self> {
        let server = info(connection, "server").await?;
        let persistence = info(connection, "persistence").await?;
        let memory = info(connection, "memory").await?;
        let replication = info(connection, "replication").await?;
        let settings = settings(connection).await?;
        let number = |name: &str| settings.get(name).and_then(|value| value.parse().ok());
        let text = |dict: &InfoDict, name: &str| dict.get::<String>(name).unwrap_or_default();
        let valkey = server.get::<String>("valkey_version");
        Ok(Self {
            engine: if valkey.is_some() { "valkey" } else { "redis" }.to_owned(),
            version: valkey.unwrap_or_else(|| text(&server, "redis_version")),
            run_id: text(&server, "run_id"),
            replication_id: text(&replication, "master_replid"),
            role: text(&replication, "role"),
            replicas: replication.get("connected_slaves").unwrap_or(0),
            cluster: text(&server, "redis_mode") == "cluster" || text(&server, "server_mode") == "cluster",
            aof_enabled: text(&persistence, "aof_enabled") == "1",
            aof_last_write_ok: text(&persistence, "aof_last_write_status") != "err",
            aof_rewriting: ["aof_rewrite_in_progress", "aof_rewrite_scheduled"]
                .iter()
                .any(|name| text(&persistence, name) == "1"),
            appendfsync: settings.get("appendfsync").cloned(),
            no_appendfsync_on_rewrite: settings.get("no-appendfsync-on-rewrite").map(|value| value == "yes"),
            auto_aof_rewrite_percentage: number("auto-aof-rewrite-percentage"),
            maxmemory_bytes: memory.get("maxmemory").unwrap_or(0),
            system_memory_bytes: memory.get("total_system_memory").unwrap_or(0),
            maxmemory_policy: text(&memory, "maxmemory_policy"),
            hash_max_listpack_value: number("hash-max-listpack-value").or(number("hash-max-ziplist-value")),
            hash_max_listpack_entries: number("hash-max-listpack-entries").or(number("hash-max-ziplist-entries")),
            waitaof: knows_command(connection, "WAITAOF").await?,
        })
    }

    /// Every reason why this server does not keep what `level` promises, each with what to change. An unreadable
    /// setting counts as not kept, because the promise is printed on every answer.
    pub fn refuse_below(&self, level: Durability) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        let major = self.version.split('.').next().and_then(|part| part.parse::<u32>().ok());
        if major.is_none_or(|major| major < 7) {
            reasons.push(format!("the server is {} {}; version 7.0 or newer is needed", self.engine, self.version));
        }
        if self.role != "master" {
            reasons.push(format!("the server's role is {:?}; name the primary in --redis-url", self.role));
        }
        if self.maxmemory_policy != "noeviction" {
            reasons.push(format!(
                "maxmemory-policy is {}, which throws vouchers away when memory is short: \
                 CONFIG SET maxmemory-policy noeviction",
                self.maxmemory_policy
            ));
        }
        if self.aof_enabled {
            reasons.extend(self.refuse_fsync(level));
        } else {
            reasons.push(format!(
                "appendonly is no, so a restart of the server loses everything; {level} needs it: \
                 CONFIG SET appendonly yes"
            ));
        }
        if level >= Durability::D3 && self.replicas == 0 {
            reasons.push("no replica is connected; D3 needs one: add it, or start with --durability D2".to_owned());
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn refuse_fsync(&self, level: Durability) -> Option<String> {
        match (self.appendfsync.as_deref(), level) {
            (None, Durability::D1) => None,
            (None, _) => Some(format!(
                "CONFIG GET appendfsync is not allowed, so {level} cannot be proved: allow +config|get, \
                 or start with --durability D1"
            )),
            (Some("always"), Durability::D1) | (Some("everysec"), Durability::D1) => None,
            (Some("always"), _) if self.no_appendfsync_on_rewrite == Some(true) => Some(format!(
                "no-appendfsync-on-rewrite is yes, so nothing is synced during a rewrite; {level} needs no: \
                 CONFIG SET no-appendfsync-on-rewrite no"
            )),
            (Some("always"), _) => None,
            (Some(found), Durability::D1) => {
                Some(format!("appendfsync is {found}; D1 needs everysec: CONFIG SET appendfsync everysec"))
            }
            (Some(found), _) => Some(format!(
                "appendfsync is {found}; {level} needs always: CONFIG SET appendfsync always, \
                 or start with --durability D1"
            )),
        }
    }

    /// Settings that cost memory or speed but no promise; the service runs and says so once.
    pub fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        if let Some(value) = self.hash_max_listpack_value.filter(|value| *value < 128) {
            advice.push(format!(
                "hash-max-listpack-value is {value}; below 128 a redemption takes about twice the memory: \
                 CONFIG SET hash-max-listpack-value 128"
            ));
        }
        if let Some(entries) = self.hash_max_listpack_entries.filter(|entries| *entries < 512) {
            advice.push(format!(
                "hash-max-listpack-entries is {entries}; below 512 an order takes about 100 bytes more once a shard has more \
                 than {} orders: CONFIG SET hash-max-listpack-entries 512",
                u64::from(ORDER_BUCKETS) * u64::from(entries)
            ));
        }
        if self.auto_aof_rewrite_percentage.is_some_and(|percentage| percentage > 0) {
            advice.push(
                "auto-aof-rewrite-percentage is on, so a rewrite may start in the middle of a round; \
                 the service rewrites before rounds and in quiet minutes itself: CONFIG SET auto-aof-rewrite-percentage 0"
                    .to_owned(),
            );
        }
        if !self.aof_last_write_ok {
            advice.push("the last write to the append-only file failed: look at the server's disk".to_owned());
        }
        advice
    }
}

impl StoreFacts {
    /// Whether the store will refuse new money before the machine has no memory left: above `maxmemory` confirms, cancels, refunds and
    /// reversals still write, and a rewrite of the file copies what changes meanwhile.
    pub fn memory_advice(&self) -> Option<String> {
        let (most, system) = (self.maxmemory_bytes, self.system_memory_bytes);
        if most == 0 {
            return Some(
                "maxmemory is 0, so a store that grows is ended by the system in the middle of a campaign; with a limit it refuses \
                 new reservations and claims first: CONFIG SET maxmemory to about two thirds of the machine's memory, or QUANYU_STORE_MEMORY_MIB for the embedded store"
                    .to_owned(),
            );
        }
        (system > 0 && most > system / 10 * 9).then(|| {
            format!(
                "maxmemory is {most} of the machine's {system} bytes; above it refunds and confirms still write, so leave a tenth \
                 free: CONFIG SET maxmemory {}",
                system / 3 * 2
            )
        })
    }
}

/// Size of the append-only file, now and after its last rewrite, and how busy the store is.
#[derive(Clone, Copy, Debug)]
pub struct AofFacts {
    pub current_bytes: u64,
    pub base_bytes: u64,
    pub rewriting: bool,
    pub calls_per_second: u64,
}

impl Store {
    pub async fn aof_facts(&self) -> Result<AofFacts, StoreError> {
        let mut connection = self.admin().await?;
        let persistence =
            info(&mut connection, "persistence").await.map_err(|error| StoreError::from_client(&error))?;
        let stats = info(&mut connection, "stats").await.map_err(|error| StoreError::from_client(&error))?;
        let number = |name: &str| persistence.get::<u64>(name).unwrap_or_default();
        let flag = |name: &str| persistence.get::<String>(name).as_deref() == Some("1");
        Ok(AofFacts {
            current_bytes: number("aof_current_size"),
            base_bytes: number("aof_base_size"),
            rewriting: flag("aof_rewrite_in_progress") || flag("aof_rewrite_scheduled"),
            calls_per_second: stats.get("instantaneous_ops_per_sec").unwrap_or_default(),
        })
    }

    /// Asks for a compaction, which the server does in the background; one that another node has asked for will do.
    pub async fn rewrite_aof(&self) -> Result<(), StoreError> {
        match self.query::<Value>(&redis::cmd("BGREWRITEAOF")).await {
            Err(StoreError::Broken(text)) if text.contains("in progress") => Ok(()),
            asked => asked.map(|_| ()),
        }
    }
}

/// Median time in microseconds of appending to a file in `dir` and syncing it, over 100 tries: what D2 costs on this
/// disk. Blocks.
pub fn measure_fsync_us(dir: &Path) -> io::Result<u64> {
    const TRIES: usize = 100;
    let path = dir.join("fsync.probe");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
    let mut took = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let since = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        took.push(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    fs::remove_file(&path)?;
    took.sort_unstable();
    Ok(took[TRIES / 2])
}

async fn info(connection: &mut impl ConnectionLike, section: &str) -> RedisResult<InfoDict> {
    redis::cmd("INFO").arg(section).query_async(connection).await
}

async fn settings(connection: &mut impl ConnectionLike) -> RedisResult<HashMap<String, String>> {
    let mut found = HashMap::new();
    for pattern in ["appendfsync", "no-appendfsync-on-rewrite", "auto-aof-rewrite-percentage", "hash-max-*"] {
        match redis::cmd("CONFIG").arg("GET").arg(pattern).query_async::<HashMap<String, String>>(connection).await {
            Ok(some) => found.extend(some),
            // A refusal is a server that keeps its settings to itself; a broken connection is not.
            Err(error) if error.code().is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn knows_command(connection: &mut impl ConnectionLike, name: &str) -> RedisResult<bool> {
    match redis::cmd("COMMAND").arg("INFO").arg(name).query_async::<Vec<Value>>(connection).await {
        Ok(found) => Ok(found.iter().any(|entry| matches!(entry, Value::Array(parts) if !parts.is_empty()))),
        Err(error) if error.code().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> StoreFacts {
        StoreFacts {
            engine: "valkey".into(),
            version: "9.1.2".into(),
            run_id: String::new(),
            replication_id: String::new(),
            role: "master".into(),
            replicas: 0,
            cluster: false,
            aof_enabled: true,
            aof_last_write_ok: true,
            aof_rewriting: false,
            appendfsync: Some("always".into()),
            no_appendfsync_on_rewrite: Some(false),
            auto_aof_rewrite_percentage: Some(0),
            maxmemory_bytes: 0,
            system_memory_bytes: 16 << 30,
            maxmemory_policy: "noeviction".into(),
            hash_max_listpack_value: Some(128),
            hash_max_listpack_entries: Some(512),
            waitaof: true,
        }
    }

    #[track_caller]
    fn check(level: Durability, change: impl Fn(&mut StoreFacts), expected: &[&str]) {
        let mut facts = facts();
        change(&mut facts);
        let reasons = facts.refuse_below(level).err().unwrap_or_default();
        assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
        for (reason, words) in reasons.iter().zip(expected) {
            assert!(reason.contains(words), "{reason:?} does not say {words:?}");
        }
    }

    #[test]
    fn memory_is_left_for_what_goes_on_when_the_store_is_full() {
        let advised = |maxmemory_bytes| StoreFacts { maxmemory_bytes, ..facts() }.memory_advice().is_some();
        let tenth = (16_u64 << 30) / 10;
        assert_eq!([0, 1, tenth * 9, tenth * 9 + 1].map(advised), [true, false, false, true]);
        let unknown = StoreFacts { maxmemory_bytes: u64::MAX, system_memory_bytes: 0, ..facts() };
        assert_eq!(unknown.memory_advice(), None);
    }

    #[test]
    fn a_server_below_the_declared_level_is_refused_with_the_remedy() {
        use Durability::{D1, D2, D3};
        check(D2, |_| {}, &[]);
        check(D2, |f| f.appendfsync = Some("everysec".into()), &["CONFIG SET appendfsync always"]);
        check(D1, |f| f.appendfsync = Some("everysec".into()), &[]);
        check(D1, |f| f.appendfsync = Some("no".into()), &["CONFIG SET appendfsync everysec"]);
        check(D2, |f| f.appendfsync = None, &["+config|get"]);
        check(D1, |f| f.appendfsync = None, &[]);
        check(D1, |f| f.aof_enabled = false, &["CONFIG SET appendonly yes"]);
        check(D2, |f| f.no_appendfsync_on_rewrite = Some(true), &["no-appendfsync-on-rewrite no"]);
        check(D1, |f| f.maxmemory_policy = "allkeys-lru".into(), &["maxmemory-policy noeviction"]);
        check(D1, |f| f.role = "slave".into(), &["primary"]);
        check(D1, |f| f.version = "6.2.14".into(), &["7.0 or newer"]);
        check(D3, |_| {}, &["no replica"]);
        check(D3, |f| f.replicas = 1, &[]);
    }
}
