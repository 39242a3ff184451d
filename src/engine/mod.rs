//! The use cases: decide with `domain`, commit with one script through `store`, decide again when the store knows more.

pub mod access;
pub mod account;
pub mod amendment;
pub mod area;
pub mod audit;
mod bounds;
pub mod cache;
pub mod campaign;
mod campaign_file;
mod crediting;
mod csv_rows;
mod drafts;
pub mod draw;
pub mod drawn;
pub mod eligibility;
pub mod enrolment;
pub mod entropy;
pub mod expect;
mod grant;
pub mod issuance;
pub mod jobs;
pub mod ledger_view;
mod list_file;
mod list_pins;
pub mod lists;
pub mod merchant;
pub mod merchant_import;
pub mod person_list;
mod pool;
pub mod progress;
pub mod proof;
pub mod quota_marks;
mod recent;
pub mod redemption;
pub mod reservation;
pub mod reservation_import;
pub mod resident;
mod retention;
pub mod sandbox;
pub mod selftest;
pub mod settlement;
pub mod statement;
pub mod stats;
pub mod stock;
mod strike;
pub mod terminal;
pub mod till_key;
pub mod upkeep;
mod validity;
pub mod view;
pub mod wallet;
pub mod wallet_history;
mod waves;

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::domain::noun::Noun;
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
    /// Held by the one call that reads a changed configuration for all that met it.
    reading: tokio::sync::Mutex<()>,
    /// When this node last moved the money of a campaign.
    looked: tokio::sync::Mutex<std::collections::HashMap<u16, pool::Looked>>,
    stocks: stock::Stocks,
    merchants: cache::Cache<merchant::MerchantView>,
    tills: cache::KeyCache<terminal::TillKey>,
    api_keys: cache::KeyCache<access::ApiKey>,
    codes: redemption::Codes,
    /// Where the orders are that this node has met.
    orders: recent::Recent<crate::domain::order::OrderKey, redemption::Met>,
    /// What was folded of an older ledger for residents who have asked lately.
    histories: wallet_history::Histories,
    /// Holds that may run out soon.
    lapsing: redemption::Lapsing,
    /// Whether the store has refused a give-back.
    owed: redemption::Owed,
    /// For the magic codes of a sandbox.
    failed_once: sandbox::magic::Seen,
    /// How far the long steps are that this node runs.
    progress: progress::Board,
    standing: jobs::Standstills,
    /// The list that was read last, while anybody still needs it.
    lists: lists::Held,
    /// Versions of areas, which never change.
    areas: cache::Cache<crate::domain::area::Area>,
}

impl Engine {
    pub async fn new(store: Store, keys: KeyRing, settings: Settings) -> Result<Arc<Engine>, StoreError> {
        let engine = Engine {
            store,
            keys,
            settings,
            snapshot: ArcSwap::default(),
            reading: Default::default(),
            looked: Default::default(),
            stocks: stock::Stocks::default(),
            merchants: cache::Cache::default(),
            tills: cache::KeyCache::default(),
            api_keys: cache::KeyCache::default(),
            codes: redemption::Codes::default(),
            orders: Default::default(),
            histories: Default::default(),
            lapsing: Default::default(),
            owed: Default::default(),
            failed_once: Default::default(),
            progress: Default::default(),
            standing: Default::default(),
            lists: Default::default(),
            areas: cache::Cache::default(),
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

    /// The same for a moment: it must not be held while waiting.
    pub fn glance(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub fn campaign(&self, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        self.campaign_if(campaign_id, |_| true)
    }

    /// A campaign, or why there is none: that its record cannot be read is told only where `may_know` says so.
    fn campaign_if(
        &self,
        campaign_id: &str,
        may_know: impl Fn(&view::Unreadable) -> bool,
    ) -> Result<Arc<CampaignView>, Refusal> {
        let snapshot = self.view();
        snapshot.by_id.get(campaign_id).cloned().ok_or_else(|| {
            match snapshot.unreadable.get(campaign_id).filter(|unreadable| may_know(unreadable)) {
                Some(_) => cannot_be_read(),
                None => Noun::Campaign.not_found(campaign_id),
            }
        })
    }

    /// A campaign that residents and tills can see: one that was published.
    pub fn published(&self, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        let view = self.campaign_if(campaign_id, view::Unreadable::is_published)?;
        if view.is_published() { Ok(view) } else { Err(Noun::Campaign.not_found(campaign_id)) }
    }

    /// Reads what has changed in the configuration. Of two readers that overlap, the one that saw more stays.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let read = Arc::new(Snapshot::load(&self.store, &self.keys, &self.view()).await?);
        self.snapshot.rcu(|held| if held.revision > read.revision { held.clone() } else { read.clone() });
        Ok(())
    }

    pub fn shard_of(&self, root: &Root) -> u8 {
        root.shard(self.store.shards())
    }

    /// What a caller is told of a decision and its commit, see [`Engine::decided`].
    pub async fn with_view<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.decided(attempt).await.map_err(Failure::into_refusal)
    }

    /// Runs a decision and its commit; when a shard knows a newer view the node reloads and decides again, and when the shard is behind
    /// (a publication that stopped halfway) it brings the shard forward first.
    async fn decided<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        for _ in 0..4 {
            match attempt().await {
                Err(Failure::Store(StoreError::Stale { campaign, held })) => self.reconcile(campaign, held).await?,
                done => return done,
            }
        }
        let refusal = Refusal::new(Code::StoreUnavailable);
        Err(refusal.detail("活动正在变更，请重试。", "The campaign is being changed; try again.").into())
    }

    /// Brings whoever is behind forward: this node, or the shards after a change that stopped halfway.
    async fn reconcile(&self, campaign: u16, held: u64) -> Result<(), StoreError> {
        let known = |engine: &Engine| engine.view().by_number.get(&campaign).map(|view| view.rev).unwrap_or_default();
        if known(self) <= held {
            // Hundreds of calls meet a change at once; one of them reads it, the others find it read.
            let _reading = self.reading.lock().await;
            if known(self) < held {
                self.refresh().await?;
            }
        }
        let rev = known(self);
        if rev > held { self.push_view(campaign, rev).await } else { Ok(()) }
    }

    /// Tells every shard the revision of a campaign; when it returns, no transition judged by an older view can pass.
    pub async fn push_view(&self, campaign: u16, rev: u64) -> Result<(), StoreError> {
        let tell = (0..self.store.shards()).map(|shard| async move {
            let member = Member::new(vec![], vec![text(keys::view_field(campaign)), int(rev as i64)]);
            self.store.call(&script::VIEW_PUT, &Slot::Shard(shard), member).await
        });
        futures_util::future::try_join_all(tell).await.map(|_| ())
    }
}

fn cannot_be_read() -> Refusal {
    Refusal::new(Code::StoreUnavailable).detail("该活动的记录无法读取。", "The record of this campaign cannot be read.")
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
