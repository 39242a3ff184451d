//! One node, from its settings to a listening server and back: used by `serve`, by the other commands (without HTTP) and by nothing else.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::time::SECOND;
use crate::engine::access::{Role, put_api_key};
use crate::engine::{self, Engine};
use crate::instance::{ConnectInfo, Instance, InstanceError, new_api_key};
use crate::keyring::KeyRing;
use crate::store::embedded::{self, Embedded};
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
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("the store is below the declared durability:\n  {}", .0.join("\n  "))]
    BelowDurability(Vec<String>),
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
    /// Starts or finds the store, checks that it keeps what is declared, and loads the configuration.
    pub async fn start(settings: &Settings) -> Result<Node, AppError> {
        let instance = Instance::open(&settings.data)?;
        let (redis_url, embedded) = match &settings.redis_url {
            Some(url) => (url.clone(), None),
            None => {
                let options =
                    embedded::Options { binary: settings.store_binary.clone(), durability: settings.durability };
                let embedded = Embedded::start(instance.data(), options).await?;
                tell_fsync(instance.data().to_owned());
                (embedded.url(), Some(embedded))
            }
        };
        let node = Node::open(settings, instance, redis_url, embedded).await?;
        node.first_key().await?;
        Ok(node)
    }

    /// The node that another command uses beside a running server, or alone when none runs.
    pub async fn beside(settings: &Settings) -> Result<Node, AppError> {
        let instance = Instance::open(&settings.data)?;
        match instance.connect_info()? {
            ConnectInfo::Running(info) => {
                let settings = Settings { shards: info.shards, ..settings.clone() };
                Node::open(&settings, instance, info.redis_url, None).await
            }
            ConnectInfo::Stopped => Node::start(settings).await,
        }
    }

    async fn open(
        settings: &Settings,
        instance: Instance,
        redis_url: String,
        embedded: Option<Embedded>,
    ) -> Result<Node, AppError> {
        if settings.durability == Durability::D3 {
            return Err(AppError::NoReplicaWait);
        }
        let facts = StoreFacts::of(&redis_url).await?;
        facts.refuse_below(settings.durability).map_err(AppError::BelowDurability)?;
        for advice in facts.advice() {
            tracing::warn!("{advice}");
        }
        let clock = if settings.sandbox { Clock::sandbox(settings.clock) } else { Clock::live() };
        let options = store::Options {
            url: redis_url.clone(),
            shards: settings.shards,
            connections: usize::from(settings.store_connections),
            deadline: settings.store_deadline(),
            queue: settings.store_queue as usize,
            clock_guard: !settings.sandbox,
        };
        let store = Store::open(options, clock).await?;
        let keys = KeyRing::of_master(instance.master_key());
        let engine_settings = engine::Settings {
            four_eyes: settings.four_eyes(),
            key_prefix: if settings.sandbox { "test" } else { "live" },
            durability: settings.durability.to_string(),
            pay_code_step: settings.pay_code_seconds * SECOND,
            // A store that never compacts its file by itself leaves that to us.
            compacts_store: facts.auto_aof_rewrite_percentage == Some(0),
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
        put_api_key(&self.engine.store, &key, "admin", &Role::ALL, FIRST_PROGRAM).await?;
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

/// Every acknowledgement at D2 waits for one sync of the disk, so its cost is worth a line in the log.
fn tell_fsync(data: std::path::PathBuf) {
    tokio::task::spawn_blocking(move || match measure_fsync_us(&data) {
        Ok(fsync_us) => tracing::info!(fsync_us, "one sync of the store's disk"),
        Err(error) => tracing::warn!(%error, "the disk's sync could not be measured"),
    });
}
