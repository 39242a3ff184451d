//! What a node knows of the configuration: it reads again what has changed, and tells every shard the revision that it judges by.

pub(in crate::engine) mod bounds;
pub mod cache;
pub mod expect;
pub mod heard;
pub(in crate::engine) mod recent;
pub mod view;

use crate::store::config::Kind;
use crate::store::config::PutError;
use std::future::Future;
use std::sync::Arc;

use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, text};

use super::{Engine, Failure};
use view::{CampaignView, Snapshot};

impl Engine {
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
    pub(in crate::engine) fn campaign_if(
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

    /// Nodes that share a store share the sandbox's clock.
    pub async fn adopt_clock(&self) -> Result<(), StoreError> {
        if self.clock().is_sandbox()
            && let Some(setting) = self.store.record(Kind::Clock, "sandbox").await?
        {
            self.clock().adopt(setting.value);
        }
        Ok(())
    }

    /// Reads what has changed in the configuration. Of two readers that overlap, the one that saw more stays.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let read = Arc::new(Snapshot::load(&self.store, &self.keys, &self.view()).await?);
        self.snapshot.rcu(|held| if held.revision > read.revision { held.clone() } else { read.clone() });
        Ok(())
    }

    /// What a caller is told of a decision and its commit, see `decided`.
    pub async fn with_view<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.decided(attempt).await.map_err(Failure::into_refusal)
    }

    /// Runs a decision and its commit; when a shard knows a newer view the node reloads and decides again, and when the shard is behind
    /// (a publication that stopped halfway) it brings the shard forward first.
    pub(in crate::engine) async fn decided<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Failure>
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
    pub(in crate::engine) async fn reconcile(&self, campaign: u16, held: u64) -> Result<(), StoreError> {
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

pub(in crate::engine) fn cannot_be_read() -> Refusal {
    Refusal::new(Code::StoreUnavailable).detail("该活动的记录无法读取。", "The record of this campaign cannot be read.")
}

/// Whether a compare-and-set took place; a lost race is no error.
pub(in crate::engine) fn was_written(put: Result<u64, PutError>) -> Result<bool, Refusal> {
    match put {
        Ok(_) => Ok(true),
        Err(PutError::Conflict(_)) => Ok(false),
        Err(PutError::Store(error)) => Err(error.into()),
    }
}
