//! The use cases: decide with `domain`, commit with one script through `store`, decide again when the store knows more.

pub mod area;
pub mod audit;
pub mod campaign;
pub mod claim;
pub mod config;
pub mod draw;
pub mod eligibility;
mod grant;
pub mod job;
pub mod key;
pub mod ledger;
pub mod list;
pub mod merchant;
pub mod order;
pub mod pack;
mod pool;
pub mod quota;
pub mod reservation;
pub mod resident;
pub mod sandbox;
pub mod settlement;
pub mod stats;
pub mod stock;
pub mod wallet;
mod wave;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::domain::person::Root;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::config::view::Snapshot;
use crate::keyring::KeyRing;
use crate::store::{Store, StoreError};

/// How the engine behaves apart from any campaign.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Submitting and approving need two persons.
    pub four_eyes: bool,
    /// Prefix of keys: `test` in a sandbox, `live` otherwise.
    pub key_prefix: &'static str,
    /// Echoed on every effect: `D1`, `D2` or `D3`.
    pub durability: String,
    /// How long a pay code is shown.
    pub pay_code_step: Ms,
    /// The store leaves it to us to compact its append-only file.
    pub compacts_store: bool,
}

/// One node's engine; cheap to share.
pub struct Engine {
    pub store: Store,
    pub keys: KeyRing,
    pub settings: Settings,
    snapshot: ArcSwap<Snapshot>,
    heard: config::heard::Heard,
    /// Held by the one call that reads a changed configuration for all that met it.
    reading: tokio::sync::Mutex<()>,
    /// When this node last moved the money of a campaign.
    looked: tokio::sync::Mutex<std::collections::HashMap<u16, pool::Looked>>,
    stocks: stock::Stocks,
    merchants: config::cache::Cache<merchant::MerchantView>,
    tills: config::cache::KeyCache<key::terminal::TillKey>,
    api_keys: config::cache::KeyCache<key::ApiKey>,
    codes: order::Codes,
    /// Where the orders are that this node has met.
    orders: config::recent::Recent<crate::domain::order::OrderKey, order::Met>,
    /// What was folded of an older ledger for residents who have asked lately.
    histories: wallet::history::Histories,
    /// Holds that may run out soon.
    lapsing: order::Lapsing,
    /// Whether the store has refused a give-back.
    owed: order::Owed,
    /// For the magic codes of a sandbox.
    failed_once: sandbox::magic::Seen,
    /// How far the long steps are that this node runs.
    progress: draw::progress::Board,
    standing: job::Standstills,
    /// The list that was read last, while anybody still needs it.
    lists: draw::entries::Held,
    /// Versions of areas, which never change.
    areas: config::cache::Cache<crate::domain::area::Area>,
}

impl Engine {
    pub async fn new(store: Store, keys: KeyRing, settings: Settings) -> Result<Arc<Engine>, StoreError> {
        let engine = Engine {
            store,
            keys,
            settings,
            snapshot: ArcSwap::default(),
            heard: Default::default(),
            reading: Default::default(),
            looked: Default::default(),
            stocks: stock::Stocks::default(),
            merchants: config::cache::Cache::default(),
            tills: config::cache::KeyCache::default(),
            api_keys: config::cache::KeyCache::default(),
            codes: order::Codes::default(),
            orders: Default::default(),
            histories: Default::default(),
            lapsing: Default::default(),
            owed: Default::default(),
            failed_once: Default::default(),
            progress: Default::default(),
            standing: Default::default(),
            lists: Default::default(),
            areas: config::cache::Cache::default(),
        };
        let began = std::time::Instant::now();
        engine.refresh().await?;
        engine.heard.note(began);
        Ok(Arc::new(engine))
    }

    pub fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// The campaign clock.
    pub fn now(&self) -> Ms {
        self.store.clock().now()
    }

    pub fn shard_of(&self, root: &Root) -> u8 {
        root.shard(self.store.shards())
    }
}

/// Why an attempt ended: a business refusal, or the store.
#[derive(Debug)]
pub enum Failure {
    Refusal(Box<Refusal>),
    Store(StoreError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refusal(Box::new(refusal))
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Failure {
        Failure::Refusal(Box::new(code.into()))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Store(error)
    }
}

impl Failure {
    /// Whether it says no more than that the store cannot be used right now.
    pub fn is_of_the_store(&self) -> bool {
        match self {
            Failure::Refusal(refusal) => {
                matches!(refusal.code, Code::StoreUnavailable | Code::StoreTimeout | Code::Overloaded)
            }
            Failure::Store(error) => error.transient() && !matches!(error, StoreError::Stale { .. }),
        }
    }

    /// The step that counts was never sent: what was asked for has not happened, whatever became of what was to come before it.
    fn not_begun(self) -> Failure {
        match self {
            Failure::Store(StoreError::Unknown(why)) => Failure::Store(StoreError::Unavailable(why)),
            Failure::Refusal(refusal) if refusal.code == Code::StoreTimeout => {
                Refusal::new(Code::StoreUnavailable).retry_after_ms(1_000).into()
            }
            failure => failure,
        }
    }

    /// As [`Refusal::half_done`] says; what is broken has no known outcome already, and keeps its cause for the log.
    fn half_done(self) -> Failure {
        match self {
            broken @ Failure::Store(StoreError::Broken(_)) => broken,
            failure => failure.into_refusal().half_done().into(),
        }
    }

    /// What a caller is told.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Failure::Refusal(refusal) => *refusal,
            Failure::Store(error) => error.into(),
        }
    }
}

/// Runs long work apart from the threads that answer requests.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "long work broke down");
        Code::Internal.into()
    })
}
