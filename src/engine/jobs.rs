//! What happens by itself: lists close, draws are held, winners are credited, money expires. Every step is idempotent, so several nodes
//! may run it and none holds a lock; after a crash the next round of any node goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::view::{CampaignView, RoundView};
use super::{Engine, Failure};
use crate::domain::campaign::schema::{Entropy, Mode, Unclaimed};
use crate::domain::time::Ms;
use crate::store::campaign::ListState;
use crate::store::config::Kind;

/// How often a node looks whether something is due or another node has changed the configuration.
const STEP: Duration = Duration::from_millis(100);

/// Runs until `stop` turns true; spawn it once per node.
pub async fn run(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(STEP);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.changed() => {}
        }
        if *stop.borrow() {
            return;
        }
        if let Err(failure) = engine.step().await {
            tracing::warn!(?failure, "a background step will be tried again");
        }
    }
}

impl Engine {
    /// Does what is due now.
    pub async fn step(&self) -> Result<(), Failure> {
        self.adopt_clock().await?;
        if self.store.config_revision().await? != self.view().revision {
            self.refresh().await?;
        }
        self.expire_lapsed_holds().await?;
        for view in self.view().by_id.values() {
            if view.is_published() {
                self.step_campaign(view).await?;
            }
        }
        Ok(())
    }

    async fn step_campaign(&self, view: &CampaignView) -> Result<(), Failure> {
        let now = self.now();
        for round in &view.rounds {
            let round_id = round.round.round_id.as_str();
            if !view.record.stopped && list_is_due(round, now) {
                self.close_list(&view.id, round_id).await?;
            }
            if !view.record.stopped && draw_is_due(round, now) {
                self.draw_round(&view.id, round_id).await?;
            }
            if !view.record.stopped && crediting_is_due(round, now) {
                self.credit_round(&view.id, round_id).await?;
            }
        }
        self.expire_money(view, now).await
    }

    /// Nodes that share a store share the sandbox's clock.
    async fn adopt_clock(&self) -> Result<(), Failure> {
        if self.clock().is_sandbox()
            && let Some(setting) = self.store.record(Kind::Clock, "sandbox").await?
        {
            self.clock().adopt(setting.value);
        }
        Ok(())
    }
}

fn list_is_due(round: &RoundView, now: Ms) -> bool {
    !matches!(round.record.list, ListState::Closed(_)) && round.list_closes_at().is_some_and(|at| now >= at)
}

/// A draw is held by itself when the operator's secret is its only entropy.
fn draw_is_due(round: &RoundView, now: Ms) -> bool {
    let Some(draw) = &round.round.draw else { return false };
    let by_itself = draw.entropy.iter().all(|entropy| *entropy == Entropy::Operator);
    matches!(round.record.list, ListState::Closed(_)) && round.record.draw.is_none() && by_itself && now >= draw.at
}

fn crediting_is_due(round: &RoundView, now: Ms) -> bool {
    let due = match round.round.mode {
        Mode::Ballot if round.round.opens_at.is_none() => round.round.credit_at,
        _ if round.round.unclaimed == Unclaimed::Credit => round.round.closes_at,
        _ => None,
    };
    round.record.draw.is_some() && round.record.credited_at.is_none() && due.is_some_and(|due| now >= due)
}
