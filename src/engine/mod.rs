//! The use cases: decide with `domain`, commit with one script through `store`, decide again when the store knows more.

pub mod access;
pub mod audit;
mod cache;
pub mod campaign;
mod campaign_file;
pub mod enrolment;
pub mod issuance;
pub mod jobs;
pub mod ledger_view;
pub mod lists;
pub mod merchant;
pub mod merchant_import;
pub mod redemption;
pub mod reservation;
pub mod resident;
pub mod sandbox;
pub mod settlement;
pub mod statement;
pub mod stats;
pub mod terminal;
pub mod upkeep;
pub mod view;
pub mod wallet;

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::domain::person::Root;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::keyring::KeyRing;
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member};
use crate::store::{Store, StoreError, int, text};
use view::{CampaignView, Snapshot};

/// How the engine behaves apart from any campaign.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Submitting and approving need two persons.
    pub four_eyes: bool,
    /// Prefix of keys: `test` in a sandbox, `live` otherwise.
    pub key_prefix: &'static str,
    /// Echoed on every effect: `D1`, `D2` or `D3`.
    pub durability: String,
    /// The store is this process's own, so its append-only file is ours to compact.
    pub owns_store: bool,
}

/// One node's engine; cheap to share.
pub struct Engine {
    pub store: Store,
    pub keys: KeyRing,
    pub settings: Settings,
    snapshot: ArcSwap<Snapshot>,
    merchants: cache::Cache<merchant::MerchantView>,
    tills: cache::Cache<terminal::TillKey>,
}

impl Engine {
    pub async fn new(store: Store, keys: KeyRing, settings: Settings) -> Result<Arc<Engine>, StoreError> {
        store.check_layout().await?;
        let engine = Engine {
            store,
            keys,
            settings,
            snapshot: ArcSwap::default(),
            merchants: cache::Cache::default(),
            tills: cache::Cache::default(),
        };
        engine.refresh().await?;
        Ok(Arc::new(engine))
    }

    pub fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// The campaign clock.
    pub fn now(&self) -> Ms {
        self.store.clock().now()
    }

    /// What this node knows of the configuration.
    pub fn view(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn campaign(&self, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        self.view().by_id.get(campaign_id).cloned().ok_or_else(|| Code::NotFound.into())
    }

    /// A campaign that residents and tills can see: one that was published.
    pub fn published(&self, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        let view = self.campaign(campaign_id)?;
        if view.is_published() { Ok(view) } else { Err(Code::NotFound.into()) }
    }

    /// Reads the configuration again.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let snapshot = Snapshot::load(&self.store, &self.keys).await?;
        self.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    pub fn shard_of(&self, root: &Root) -> u8 {
        root.shard(self.store.shards())
    }

    /// Runs a decision and its commit; when a shard knows a newer view the node reloads and decides again, and when the shard is behind
    /// (a publication that stopped halfway) it brings the shard forward first.
    pub async fn with_view<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        for _ in 0..4 {
            match attempt().await {
                Err(Failure::Store(StoreError::Stale { campaign, .. })) => {
                    self.refresh().await?;
                    if let Some(view) = self.view().by_number.get(&campaign) {
                        self.push_view(view).await?;
                    }
                }
                Err(Failure::Store(error)) => return Err(error.into()),
                Err(Failure::Refusal(refusal)) => return Err(*refusal),
                Ok(value) => return Ok(value),
            }
        }
        Err(Refusal::new(Code::StoreUnavailable).detail("The campaign is being changed; try again."))
    }

    /// Tells every shard the revision of a campaign; when it returns, no transition judged by an older view can pass.
    pub async fn push_view(&self, view: &CampaignView) -> Result<(), StoreError> {
        for shard in 0..self.store.shards() {
            let member = Member::new(vec![], vec![text(keys::view_field(view.number)), int(view.rev as i64)]);
            self.store.call(&script::VIEW_PUT, &Slot::Shard(shard), member).await?;
        }
        Ok(())
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
    /// What a caller is told.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Failure::Refusal(refusal) => *refusal,
            Failure::Store(error) => error.into(),
        }
    }
}
