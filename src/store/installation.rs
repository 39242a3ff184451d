//! What binds a store to one installation: the fingerprint of its keys, whether it is a sandbox, its number of shards, and an id of its own.
//! All are written at the first start; a node that differs in one of them would look for everybody in the wrong place, so it does not start.
//! The data directory remembers the id, so that an emptied store, or another one of the same keys, is not taken for the one that was lost.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};

use super::StoreError;
use super::config::Kind;
use super::keys::{self, Slot};

/// What a node is, to be compared with what the store is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub data: PathBuf,
    /// The store as it is named to the operator, without a password.
    pub store: String,
    /// The id of the store that the data directory has served, if it remembers one.
    pub store_id: Option<String>,
    /// Of the master key; tells keys apart and says nothing about them.
    pub fingerprint: String,
    pub sandbox: bool,
    pub shards: u8,
    /// Digest of the administrator's key in the data directory, if there is one.
    pub admin_digest: Option<String>,
}

/// What a store says about the installation that wrote it; what an older version did not write is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    pub layout: u32,
    pub shards: Option<u8>,
    pub fingerprint: Option<String>,
    pub sandbox: Option<bool>,
    /// Random; given when the store is bound, and never changed.
    pub id: Option<String>,
    /// Keys of the program office: every installation that has served has one.
    pub api_keys: u64,
    /// Whether the key of the data directory's administrator is among them.
    pub knows_admin: bool,
}

/// Why a node must not use a store; each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error(
        "the store has layout {0} and this binary reads layout {layout}: run the version that wrote it, or name another store",
        layout = keys::LAYOUT
    )]
    Layout(u32),
    #[error("the store was made with {0} shards and the settings say {1}: set QUANYU_SHARDS={0}")]
    Shards(u8, u8),
    #[error(
        "the store belongs to another master.key than the one in {path}: copy master.key from the data directory that \
         belongs to this store or from its backup, or name another store",
        path = .0.display()
    )]
    OtherKeys(PathBuf),
    #[error(
        "the store holds an installation and {path} has no master.key: copy master.key from the data directory that belongs \
         to this store or from its backup. A new key would find nobody's vouchers and give everybody a second pack",
        path = .0.display()
    )]
    NoKeys(PathBuf),
    #[error(
        "the store was written by a version that did not bind it to its keys, and {path} has not served it: copy master.key \
         and admin.key from the data directory that has, so that the store can be bound to them",
        path = .0.display()
    )]
    Unproved(PathBuf),
    #[error(
        "{path} has served a store before (its store.id says which), and {store} is not that one: {found}. Here nobody's vouchers would be \
         found, and everybody would get a second pack. Name the store that was served, with the number of its database (QUANYU_REDIS_URL), \
         or put back its files. If a new, empty store is really meant, say so once with `quanyu forget-store --data {path}`",
        path = data.display()
    )]
    NotServed { data: PathBuf, store: String, found: &'static str },
    #[error("the store belongs to a sandbox: start with --sandbox, or name another store for a live service")]
    Sandbox,
    #[error("the store belongs to a live service: start without --sandbox, or name another store for a sandbox")]
    Live,
}

impl Installation {
    /// What is wrong with a store that nobody has written to: nothing, unless there was one before.
    pub fn refuse_empty(&self) -> Result<(), Mismatch> {
        match self.store_id {
            Some(_) => Err(self.not_served("it is empty")),
            None => Ok(()),
        }
    }

    fn not_served(&self, found: &'static str) -> Mismatch {
        Mismatch::NotServed { data: self.data.clone(), store: self.store.clone(), found }
    }
}

impl Bound {
    /// Asks the server at a URL and changes nothing; `None` when no installation has written to it.
    pub async fn of(url: &str, admin_digest: Option<&str>) -> Result<Option<Bound>, StoreError> {
        let read = async {
            let mut connection = connect(url).await?;
            read(&mut connection, admin_digest).await
        };
        read.await.map_err(|error| StoreError::from_client(&error))
    }

    /// Whether anything was kept under keys that a new key would not find.
    pub fn has_data(&self) -> bool {
        self.fingerprint.is_some() || self.api_keys > 0
    }

    /// A store of an older version is taken over by the data directory that has served it, which its administrator's key proves: both
    /// keys were made in one directory, and a new directory makes a new one.
    pub fn refuse_other(&self, own: &Installation) -> Result<(), Mismatch> {
        if self.layout != keys::LAYOUT {
            return Err(Mismatch::Layout(self.layout));
        }
        match &self.fingerprint {
            Some(held) if *held != own.fingerprint => return Err(Mismatch::OtherKeys(own.data.clone())),
            None if self.api_keys > 0 && !self.knows_admin => return Err(Mismatch::Unproved(own.data.clone())),
            _ => {}
        }
        match (self.shards, self.sandbox) {
            (Some(held), _) if held != own.shards => Err(Mismatch::Shards(held, own.shards)),
            (_, Some(true)) if !own.sandbox => Err(Mismatch::Sandbox),
            (_, Some(false)) if own.sandbox => Err(Mismatch::Live),
            _ if !self.has_data() => own.refuse_empty(),
            _ => self.refuse_replaced(own),
        }
    }

    /// A store without an id was written by an older version, and is taken for the one that was served: its keys are the same.
    fn refuse_replaced(&self, own: &Installation) -> Result<(), Mismatch> {
        match (&self.id, &own.store_id) {
            (Some(id), Some(served)) if id != served => {
                Err(own.not_served("another store that began with the same keys"))
            }
            _ => Ok(()),
        }
    }
}

/// Binds a store that is not bound yet, and says what it is bound to: of two nodes that start at once on an empty store the first counts.
/// It keeps the id that the data directory remembers, or a fresh one.
pub async fn bind(url: &str, own: &Installation, fresh_id: &str) -> Result<Bound, StoreError> {
    let bound = async {
        let mut connection = connect(url).await?;
        let manner = if own.sandbox { "sandbox" } else { "live" };
        let (layout, shards) = (keys::LAYOUT.to_string(), own.shards.to_string());
        let id = own.store_id.as_deref().unwrap_or(fresh_id);
        for (name, value) in [
            ("keys", own.fingerprint.as_str()),
            ("manner", manner),
            ("layout", &layout),
            ("shards", &shards),
            (keys::STORE_ID, id),
        ] {
            let mut set = redis::cmd("HSETNX");
            set.arg(Slot::Config.header()).arg(name).arg(value);
            let _: i64 = set.query_async(&mut connection).await?;
        }
        read(&mut connection, own.admin_digest.as_deref()).await
    };
    let bound: Option<Bound> = bound.await.map_err(|error: redis::RedisError| StoreError::from_client(&error))?;
    bound.ok_or_else(|| StoreError::Unknown("the store did not keep what it is bound to".into()))
}

/// How long the first answers of a store may take: on a machine that is busy, seconds pass with what needs a millisecond.
const PATIENCE: Duration = Duration::from_secs(20);
/// After this a connection that has not come about is tried again.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A connection within the patience; who refuses it is no slow store, and is told at once.
async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(url)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ATTEMPT.min(left)))
            .set_response_timeout(Some(PATIENCE));
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Err(error) if error.is_timeout() && Instant::now() < until => {}
            answer => return answer,
        }
    }
}

async fn read(connection: &mut MultiplexedConnection, admin_digest: Option<&str>) -> RedisResult<Option<Bound>> {
    let mut header = redis::cmd("HMGET");
    header.arg(Slot::Config.header()).arg(&["layout", "shards", "keys", "manner", keys::STORE_ID]);
    type Header = (Option<u32>, Option<u8>, Option<String>, Option<String>, Option<String>);
    let (layout, shards, fingerprint, manner, id): Header = header.query_async(connection).await?;
    let Some(layout) = layout else { return Ok(None) };
    let [records, _] = keys::config(Kind::ApiKey.name());
    let api_keys = redis::cmd("HLEN").arg(&records).query_async(connection).await?;
    let knows_admin = match admin_digest {
        Some(digest) => redis::cmd("HEXISTS").arg(&records).arg(digest).query_async(connection).await?,
        None => false,
    };
    let sandbox = manner.map(|manner| manner == "sandbox");
    Ok(Some(Bound { layout, shards, fingerprint, sandbox, id, api_keys, knows_admin }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Installation {
        Installation {
            data: "/data".into(),
            store: "redis://store".into(),
            store_id: Some("served".into()),
            fingerprint: "aa".into(),
            sandbox: false,
            shards: 4,
            admin_digest: Some("digest".into()),
        }
    }

    fn bound() -> Bound {
        Bound {
            layout: keys::LAYOUT,
            shards: Some(4),
            fingerprint: Some("aa".into()),
            sandbox: Some(false),
            id: Some("served".into()),
            api_keys: 1,
            knows_admin: true,
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Bound), expected: Result<(), Mismatch>) {
        let mut bound = bound();
        change(&mut bound);
        assert_eq!(bound.refuse_other(&own()), expected, "{bound:?}");
    }

    #[test]
    fn a_store_is_used_only_by_the_installation_that_it_is_bound_to() {
        let data = || PathBuf::from("/data");
        check(|_| {}, Ok(()));
        check(|bound| bound.layout += 1, Err(Mismatch::Layout(keys::LAYOUT + 1)));
        check(|bound| bound.fingerprint = Some("bb".into()), Err(Mismatch::OtherKeys(data())));
        check(|bound| bound.shards = Some(1), Err(Mismatch::Shards(1, 4)));
        check(|bound| bound.sandbox = Some(true), Err(Mismatch::Sandbox));
        // Somebody else's administrator may have come first; the fingerprint is what counts.
        check(|bound| bound.knows_admin = false, Ok(()));
    }

    #[test]
    fn an_older_store_is_taken_over_by_the_data_directory_that_has_served_it() {
        let old = |bound: &mut Bound| (bound.fingerprint, bound.sandbox) = (None, None);
        check(old, Ok(()));
        let stranger = |bound: &mut Bound| {
            old(bound);
            bound.knows_admin = false;
        };
        check(stranger, Err(Mismatch::Unproved("/data".into())));
    }

    #[test]
    fn a_directory_that_has_served_a_store_takes_no_empty_one_and_no_other_of_the_same_keys() {
        let empty = |bound: &mut Bound| (bound.fingerprint, bound.api_keys, bound.id) = (None, 0, None);
        check(empty, Err(own().not_served("it is empty")));
        let other = |bound: &mut Bound| bound.id = Some("other".into());
        check(other, Err(own().not_served("another store that began with the same keys")));
        check(|bound| bound.id = None, Ok(()));
        assert!(own().refuse_empty().is_err_and(|mismatch| mismatch.to_string().contains("forget-store --data /data")));
        let new = Installation { store_id: None, ..own() };
        let mut bound = bound();
        assert_eq!((new.refuse_empty(), bound.refuse_other(&new)), (Ok(()), Ok(())));
        empty(&mut bound);
        assert_eq!(bound.refuse_other(&new), Ok(()));
    }
}
