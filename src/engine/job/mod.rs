//! What happens by itself: lists close, draws are held, winners are credited, money expires. Every step is idempotent, so several nodes
//! may run it and none holds a lock; after a crash the next round of any node goes on.

mod abreast;
mod standstill;
pub mod upkeep;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use self::abreast::abreast;
pub use self::standstill::Standstills;
use self::upkeep::Upkeep;
use crate::domain::campaign::schema::{Mode, Unclaimed};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::entries::undecided;
use crate::engine::order::GiveBacks;
use crate::engine::order::retention::RetentionWalk;
use crate::engine::quota::MarkWalk;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::campaign::ListState;
use crate::store::health::Probe;
use crate::store::probe::Durability;

/// How often a node looks whether another one has changed the configuration, and whether something is due.
const STEP: Duration = Duration::from_millis(100);

/// How long a job that panicked rests before it begins again.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the store's files are looked at.
const UPKEEP: Duration = Duration::from_secs(5);

/// How often the store is tried.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until `stop` turns true; spawn it once per node. Each job has its own loop, so that a draw of minutes delays nobody's freeze.
pub async fn run(engine: Arc<Engine>, stop: watch::Receiver<bool>) {
    let turns = |pause| Turns::new(pause, stop.clone());
    let follow = || async {
        let mut turns = turns(STEP);
        while turns.next().await {
            engine.standing.heed("follow", &engine.follow().await);
        }
    };
    let sweep = || async {
        let mut turns = turns(STEP);
        while turns.next().await {
            engine.sweep().await;
        }
    };
    let campaigns = || async {
        let mut turns = turns(STEP);
        let programs = || engine.programs();
        abreast(&mut turns, programs, |program| engine.step_program(program)).await;
    };
    let stock = || async {
        let mut turns = turns(STEP);
        while turns.next().await {
            engine.standing.heed("stock", &engine.step_stock().await);
        }
    };
    let retention = || async {
        let (mut turns, mut walk) = (turns(STEP), RetentionWalk::default());
        while turns.next().await {
            engine.standing.heed("retention", &walk.step(&engine).await.map_err(Failure::from));
        }
    };
    let give_backs = || async {
        let (mut turns, mut orders, mut marks) = (turns(STEP), GiveBacks::default(), MarkWalk::default());
        while turns.next().await {
            engine.standing.heed("give-backs", &orders.step(&engine).await.map_err(Failure::from));
            engine.standing.heed("marks", &marks.step(&engine).await.map_err(Failure::from));
        }
    };
    let upkeep = || async {
        let (mut turns, mut upkeep) = (turns(UPKEEP), Upkeep::default());
        while engine.settings.compacts_store && turns.next().await {
            engine.standing.heed("upkeep", &upkeep.step(&engine).await.map_err(Failure::from));
        }
    };
    let look = || look_at_store(&engine, turns(LOOK));
    tokio::join!(
        kept("follow", &stop, follow),
        kept("sweep", &stop, sweep),
        kept("campaigns", &stop, campaigns),
        kept("stock", &stop, stock),
        kept("retention", &stop, retention),
        kept("give-backs", &stop, give_backs),
        kept("upkeep", &stop, upkeep),
        kept("look", &stop, look),
    );
}

async fn look_at_store(engine: &Engine, mut turns: Turns) {
    let level = engine.settings.durability.parse().unwrap_or(Durability::D2);
    let mut probe = Probe::new(engine.store.clone(), level);
    while turns.next().await {
        probe.look().await;
    }
}

/// Runs a job until it is told to stop, which ends it wherever it waits: each step is safe to be left at any instant, as a crash leaves it,
/// and goes on with the next start. A job that panics begins again after a while, so that it stops neither itself for good nor the others.
async fn kept<F: Future<Output = ()>>(job: &str, stop: &watch::Receiver<bool>, begin: impl Fn() -> F) {
    let mut stop = stop.clone();
    let lasting = async {
        while AssertUnwindSafe(begin()).catch_unwind().await.is_err() {
            tracing::error!(job, "a background job panicked and begins again");
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        () = lasting => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The turns of one job, until it is told to stop.
struct Turns {
    interval: tokio::time::Interval,
    stop: watch::Receiver<bool>,
}

impl Turns {
    fn new(pause: Duration, stop: watch::Receiver<bool>) -> Turns {
        let mut interval = tokio::time::interval(pause);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Turns { interval, stop }
    }

    /// Waits for the next turn; false when there is none.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interval.tick() => {}
            _ = self.stop.changed() => {}
        }
        !*self.stop.borrow()
    }
}

impl Engine {
    /// Does once, and before it returns, all that is due now; failures of single campaigns are told to the log.
    pub async fn step(&self) -> Result<(), Failure> {
        self.follow().await?;
        self.sweep().await;
        self.step_campaigns().await;
        Ok(())
    }

    /// Takes over what other nodes have changed.
    async fn follow(&self) -> Result<(), Failure> {
        // A clock that cannot be read must not keep the campaigns' changes from this node.
        let clock = self.adopt_clock().await;
        self.look().await?;
        Ok(clock?)
    }

    async fn sweep(&self) {
        self.standing.heed("sweep", &self.expire_lapsed_holds().await);
    }

    async fn step_campaigns(&self) {
        for program in self.programs() {
            self.step_program(program).await;
        }
    }

    /// Every program that has a campaign.
    fn programs(&self) -> Vec<String> {
        let view = self.view();
        let programs: BTreeSet<&str> = view.by_id.values().map(|view| view.record.program.as_str()).collect();
        programs.into_iter().map(str::to_owned).collect()
    }

    async fn step_program(&self, program: String) {
        let view = self.view();
        let own = view.by_id.iter().filter(|(_, view)| view.record.program == program);
        for (campaign_id, _) in own {
            let mut done = self.step_all_of(campaign_id).await;
            // A change of it stopped before every shard was told, and nobody may come by whose call would do that.
            if let Err(Failure::Store(StoreError::Stale { campaign, held })) = done {
                done = match self.reconcile(campaign, held).await {
                    Ok(()) => self.step_all_of(campaign_id).await,
                    Err(error) => Err(error.into()),
                };
            }
            self.standing.heed(&format!("campaign {campaign_id}"), &done);
        }
    }

    /// One thing that was due may make the next one due: a closed list is drawn in the same step.
    async fn step_all_of(&self, campaign_id: &str) -> Result<(), Failure> {
        while self.step_campaign(campaign_id).await? {}
        Ok(())
    }

    /// Does one thing that is due in a campaign; false when nothing was.
    async fn step_campaign(&self, campaign_id: &str) -> Result<bool, Failure> {
        let (view, now) = (self.campaign(campaign_id)?, self.now());
        if !view.is_published() {
            return Ok(false);
        }
        let mut stands_still = None;
        for round in view.rounds.iter().filter(|_| !view.record.stopped) {
            match self.step_round(&view, round, now).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(failure) if failure.is_of_the_store() => return Err(failure),
                Err(failure @ Failure::Store(StoreError::Stale { .. })) => return Err(failure),
                // What one round cannot go on without keeps neither the others nor the money waiting.
                Err(failure) => stands_still = stands_still.or(Some(failure)),
            }
        }
        self.move_money(&view, now, false).await?;
        let ended = self.end_orders(&view, now).await?;
        match stands_still {
            Some(failure) if !ended => Err(failure),
            _ => Ok(ended),
        }
    }

    /// Does one thing that is due in a round; false when nothing was.
    async fn step_round(&self, view: &Arc<CampaignView>, round: &RoundView, now: Ms) -> Result<bool, Failure> {
        let (campaign_id, round_id) = (view.id.as_str(), round.round.round_id.as_str());
        if list_is_due(view, round, now) {
            self.close_list(campaign_id, round_id).await?;
        } else if self.settle_supply(view, round, now).await? {
            // Done.
        } else if draw_is_due(round, now) {
            self.draw_round(campaign_id, round_id).await?;
        } else if let Some(step) = round.wave_due(now) {
            self.take_wave_step(campaign_id, round_id, step).await?;
        } else if crediting_is_due(round, now) {
            self.credit_round(campaign_id, round_id).await?;
        } else if round.grant_is_uncounted(view) {
            self.count_grant(view, round).await?;
        } else if round.grant_is_due(now) {
            self.credit_grant(view, round).await?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// A list of which winners of another round are kept off waits until those are decided.
fn list_is_due(view: &CampaignView, round: &RoundView, now: Ms) -> bool {
    let open = !matches!(round.record.list, ListState::Closed(_));
    open && round.list_closes_at().is_some_and(|at| now >= at) && undecided(view, round).is_none()
}

/// A draw is held by itself when every public value that was named is there, and the number of packs is known.
fn draw_is_due(round: &RoundView, now: Ms) -> bool {
    let Some(draw) = &round.round.draw else { return false };
    let ready = round.waits_for().is_empty() && !round.cells().is_empty();
    matches!(round.record.list, ListState::Closed(_)) && round.record.draw.is_none() && ready && now >= draw.at
}

fn crediting_is_due(round: &RoundView, now: Ms) -> bool {
    let due = match round.round.mode {
        Mode::Ballot if round.round.opens_at.is_none() => round.round.credit_at,
        _ if round.round.unclaimed == Unclaimed::Credit => round.round.closes_at,
        _ => None,
    };
    round.record.draw.is_some() && round.record.credited_at.is_none() && due.is_some_and(|due| now >= due)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_begins_again_and_the_others_go_on() {
        let (begun, went_on) = (Cell::new(0), Cell::new(false));
        let faulty = || async {
            begun.set(begun.get() + 1);
            assert!(begun.get() > 2, "a record that nobody foresaw");
        };
        let other = || async { went_on.set(true) };
        let (_stop, stopped) = watch::channel(false);
        tokio::join!(kept("faulty", &stopped, faulty), kept("other", &stopped, other));
        assert_eq!((begun.get(), went_on.get()), (3, true));
    }

    #[tokio::test]
    async fn a_stop_ends_a_job_in_the_middle_of_its_walk() {
        let (stop, stopped) = watch::channel(false);
        let walk = || async {
            let _ = stop.send(true);
            std::future::pending::<()>().await;
        };
        kept("walk", &stopped, walk).await;
    }
}
