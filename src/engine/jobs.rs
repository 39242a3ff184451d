//! What happens by itself: lists close, draws are held, winners are credited, money expires. Every step is idempotent, so several nodes
//! may run it and none holds a lock; after a crash the next round of any node goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::upkeep::Upkeep;
use super::view::RoundView;
use super::{Engine, Failure};
use crate::domain::campaign::schema::{Entropy, Mode, Unclaimed};
use crate::domain::time::Ms;
use crate::store::campaign::ListState;
use crate::store::config::Kind;

/// How often a node looks whether something is due or another node has changed the configuration.
const STEP: Duration = Duration::from_millis(100);

/// Every so many steps the store's files are looked at: once in five seconds.
const UPKEEP_EVERY: u32 = 50;

/// Runs until `stop` turns true; spawn it once per node.
pub async fn run(engine: Arc<Engine>, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(STEP);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut upkeep = Upkeep::default();
    let mut steps = 0_u32;
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
        steps = steps.wrapping_add(1);
        if engine.settings.owns_store
            && steps.is_multiple_of(UPKEEP_EVERY)
            && let Err(error) = upkeep.step(&engine).await
        {
            tracing::warn!(%error, "the store's files could not be looked at");
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
        for campaign_id in self.view().by_id.keys() {
            // One thing that was due may make the next one due: a closed list is drawn in the same step.
            while self.step_campaign(campaign_id).await? {}
        }
        Ok(())
    }

    /// Does one thing that is due in a campaign; false when nothing was.
    async fn step_campaign(&self, campaign_id: &str) -> Result<bool, Failure> {
        let (view, now) = (self.campaign(campaign_id)?, self.now());
        if !view.is_published() {
            return Ok(false);
        }
        for round in view.rounds.iter().filter(|_| !view.record.stopped) {
            let round_id = round.round.round_id.as_str();
            if list_is_due(round, now) {
                self.close_list(campaign_id, round_id).await?;
            } else if draw_is_due(round, now) {
                self.draw_round(campaign_id, round_id).await?;
            } else if crediting_is_due(round, now) {
                self.credit_round(campaign_id, round_id).await?;
            } else {
                continue;
            }
            return Ok(true);
        }
        self.expire_money(&view, now).await?;
        Ok(false)
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
