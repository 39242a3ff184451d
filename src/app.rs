//! One node, from its settings to a listening server and back: used by `serve`, by the other commands (without HTTP) and by nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Settings, without_password};
use crate::domain::time::SECOND;
use crate::engine::key::{ApiKey, Role, key_digest, put_api_key};
use crate::engine::{self, Engine};
use crate::instance::{ConnectInfo, Instance, InstanceError, new_api_key, random};
use crate::keyring::KeyRing;
use crate::store::embedded::{self, Embedded};
use crate::store::health::Health;
use crate::store::installation::{Bound, Installation, Mismatch, bind};
use crate::store::probe::{Durability, StoreFacts, measure_fsync_us};
use crate::store::{self, Store, StoreError};

/// Program of the first administrator's key.
pub const FIRST_PROGRAM: &str = "default";

/// Why a node did not start; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(transparent)]
    Embedded(#[from] embedded::StartError),
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error(
        "no store has data of the installation in {path}: name its store with --redis-url, or start it once with `quanyu serve`",
        path = .0.display()
    )]
    NoStore(PathBuf),
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("the store is below the declared durability:\n  {}", .0.join("\n  "))]
    BelowDurability(Vec<String>),
    #[error(
        "the store is a Redis Cluster, of which this version reaches one server only; point redis.url at a server with cluster-enabled no"
    )]
    Cluster,
    #[error("D3 is not offered by this version: nothing here waits for replicas before it answers; declare D2")]
    NoReplicaWait,
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
    #[error("the server failed: {0}")]
    Server(std::io::Error),
}

/// A node without its HTTP side.
pub struct Node {
    pub instance: Instance,
    pub engine: Arc<Engine>,
    pub redis_url: String,
    /// The private store, when this process runs it; stopped last.
    embedded: Option<Embedded>,
}

impl Node {
    /// Starts or finds the store, checks that it is this installation's and keeps what is declared, and loads the configuration. An
    /// installation begins here and nowhere else.
    pub async fn start(settings: &Settings) -> Result<Node, AppError> {
        let has_key = Instance::has_key(&settings.data)?;
        refuse_lost_store(settings, has_key)?;
        let (redis_url, embedded) = given_or_own_store(settings).await?;
        let facts = StoreFacts::of(&redis_url).await?;
        if facts.cluster {
            return Err(AppError::Cluster);
        }
        facts.refuse_below(settings.durability).map_err(AppError::BelowDurability)?;
        for advice in facts.advice().into_iter().chain(facts.memory_advice()) {
            tracing::warn!("{advice}");
        }
        if !has_key && Bound::of(&redis_url, None).await?.is_some_and(|bound| bound.has_data()) {
            return Err(Mismatch::NoKeys(settings.data.clone()).into());
        }
        let instance = Instance::open(&settings.data)?;
        if embedded.is_some() {
            tell_fsync(instance.data().to_owned());
        }
        let own = installation(&instance, settings)?;
        match Bound::of(&redis_url, own.admin_digest.as_deref()).await? {
            Some(bound) => bound.refuse_other(&own)?,
            None => own.refuse_empty()?,
        }
        let bound = bind(&redis_url, &own, &hex::encode(random::<16>())).await?;
        bound.refuse_other(&own)?;
        if let Some(id) = &bound.id {
            instance.keep_store_id(id)?;
        }
        // A store that never compacts its file by itself leaves that to us.
        let compacts_store = facts.auto_aof_rewrite_percentage == Some(0);
        let found = Found { url: redis_url, embedded, id: bound.id, compacts_store };
        let node = Node::open(settings, instance, found).await?;
        node.engine.begin_clock(settings.clock).await?;
        node.engine.store.begin_histories().await?;
        node.first_key().await?;
        Ok(node)
    }

    /// The node that another command uses beside a running server, or alone when none runs. It makes nothing: a directory or store
    /// without an installation is an error, and what the store is bound to is taken from there.
    pub async fn beside(settings: &Settings) -> Result<Node, AppError> {
        let instance = Instance::existing(&settings.data)?;
        let mut settings = settings.clone();
        let (redis_url, embedded) = match instance.connect_info()? {
            ConnectInfo::Running(info) => {
                settings.sandbox = info.sandbox;
                settings.redis_url = Some(info.redis_url.clone());
                (info.redis_url, None)
            }
            ConnectInfo::Stopped if settings.redis_url.is_none() && !embedded::has_files(instance.data()) => {
                refuse_lost_store(&settings, true)?;
                return Err(AppError::NoStore(settings.data));
            }
            ConnectInfo::Stopped => given_or_own_store(&settings).await?,
        };
        let admin = instance.admin_key()?.map(|key| key_digest(&key));
        let Some(bound) = Bound::of(&redis_url, admin.as_deref()).await? else {
            installation(&instance, &settings)?.refuse_empty()?;
            return Err(AppError::NoStore(settings.data));
        };
        settings.shards = bound.shards.unwrap_or(settings.shards);
        settings.sandbox = bound.sandbox.unwrap_or(settings.sandbox);
        bound.refuse_other(&installation(&instance, &settings)?)?;
        let found = Found { url: redis_url, embedded, id: bound.id, compacts_store: false };
        let node = Node::open(&settings, instance, found).await?;
        node.engine.adopt_clock().await?;
        Ok(node)
    }

    async fn open(settings: &Settings, instance: Instance, found: Found) -> Result<Node, AppError> {
        let Found { url: redis_url, embedded, id, compacts_store } = found;
        let clock = if settings.sandbox { Clock::sandbox(settings.clock) } else { Clock::live() };
        let options = store::Options {
            url: redis_url.clone(),
            shards: settings.shards,
            connections: usize::from(settings.store_connections),
            deadline: settings.store_deadline(),
            queue: settings.store_queue as usize,
            clock_guard: !settings.sandbox,
            health: Health::default(),
            id,
        };
        let store = Store::open(options, clock).await?;
        let keys = KeyRing::of_master(instance.master_key());
        let engine_settings = engine::Settings {
            four_eyes: settings.four_eyes(),
            key_prefix: if settings.sandbox { "test" } else { "live" },
            durability: settings.durability.to_string(),
            pay_code_step: settings.pay_code_seconds * SECOND,
            compacts_store,
        };
        let engine = Engine::new(store, keys, engine_settings).await?;
        Ok(Node { instance, engine, redis_url, embedded })
    }

    /// The first start writes `<data>/admin.key`, which has every role in the first program.
    async fn first_key(&self) -> Result<(), AppError> {
        let key = match self.instance.admin_key()? {
            Some(key) => key,
            None => self.instance.keep_admin_key(&new_api_key())?,
        };
        put_api_key(&self.engine.store, &key, ApiKey::new("admin", &Role::ALL, FIRST_PROGRAM)).await?;
        Ok(())
    }

    /// Stops the private store with its files synced; a given store is left alone.
    pub async fn stop(self) {
        drop(self.engine);
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// The store that a node opens, once it was judged.
struct Found {
    url: String,
    /// The private one, when this process runs it.
    embedded: Option<Embedded>,
    id: Option<String>,
    compacts_store: bool,
}

/// A data directory that has served a store begins no other: without its key, or with no files where its private store should be, it is told
/// so before anything is made.
fn refuse_lost_store(settings: &Settings, has_key: bool) -> Result<(), AppError> {
    if !Instance::has_served(&settings.data)? {
        return Ok(());
    }
    if !has_key {
        return Err(Mismatch::NoKeys(settings.data.clone()).into());
    }
    if settings.redis_url.is_none() && !embedded::has_files(&settings.data) {
        installation(&Instance::existing(&settings.data)?, settings)?.refuse_empty()?;
    }
    Ok(())
}

/// The store that the settings name, or the private one in the data directory, started.
async fn given_or_own_store(settings: &Settings) -> Result<(String, Option<Embedded>), AppError> {
    if settings.durability == Durability::D3 {
        return Err(AppError::NoReplicaWait);
    }
    if let Some(url) = &settings.redis_url {
        return Ok((url.clone(), None));
    }
    let options = embedded::Options {
        binary: settings.store_binary.clone(),
        durability: settings.durability,
        memory_mib: settings.store_memory_mib,
    };
    let embedded = Embedded::start(&settings.data, options).await?;
    Ok((embedded.url(), Some(embedded)))
}

fn installation(instance: &Instance, settings: &Settings) -> Result<Installation, InstanceError> {
    Ok(Installation {
        data: instance.data().to_owned(),
        store: match &settings.redis_url {
            Some(url) => without_password(url),
            None => "the embedded store in it".to_owned(),
        },
        store_id: instance.store_id()?,
        fingerprint: KeyRing::of_master(instance.master_key()).fingerprint(),
        sandbox: settings.sandbox,
        shards: settings.shards,
        admin_digest: instance.admin_key()?.map(|key| key_digest(&key)),
    })
}

/// Every acknowledgement at D2 waits for one sync of the disk, so its cost is worth a line in the log.
fn tell_fsync(data: PathBuf) {
    tokio::task::spawn_blocking(move || match measure_fsync_us(&data) {
        Ok(fsync_us) => tracing::info!(fsync_us, "one sync of the store's disk"),
        Err(error) => tracing::warn!(%error, "the disk's sync could not be measured"),
    });
}
