//! Orders are remembered to the end of their campaigns and of every window in which they could change, then forgotten: the record first
//! loses its entry in the merchant's directory, so that nothing leads to it any more, and goes itself. The ledger keeps every line.
//!
//! A campaign's record says from when on, so that every node and the audit judge alike. The walk goes bucket by bucket with a cursor; two
//! walkers are harmless, for whatever has changed since it was read stays.
//!
//! An entry of an order that never had an effect carries no time and stays; so does the void record of a refused attempt.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;

use crate::domain::campaign::Campaign;
use crate::domain::order::{LATE_CONFIRM, Order, OrderState};
use crate::domain::time::{DAY, HOUR, MINUTE, Ms};
use crate::domain::{claim_limit, limit, reserve_limit};
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::ORDER_BUCKETS;
use crate::store::retention::{KeptEntry, KeptOrder};

/// The longest that a use rule may hold a voucher.
const MOST_HOLD: Ms = 15 * MINUTE;

/// The walk is taken when a campaign is over, and again after this long, for what was too young then.
const AGAIN: Ms = 30 * DAY;

/// Buckets that are read at once, and such steps in one turn of the job.
const BUCKETS: u16 = 16;
const STEPS: usize = 64;

/// Orders that are forgotten at once: the batcher of a slot sends them together.
const AT_ONCE: usize = 64;

/// How long after its last effect an order may still be refunded or reversed.
fn windows_of(campaign: &Campaign) -> Ms {
    i64::from(campaign.refund_days) * DAY + i64::from(campaign.reverse_hours) * HOUR
}

/// How long after a voucher's end its order may still change: held to the last instant, confirmed late, refunded on the last day.
fn kept_for(campaign: &Campaign) -> Ms {
    MOST_HOLD + LATE_CONFIRM + windows_of(campaign)
}

impl CampaignView {
    /// When its last voucher ends; `None` while somebody may still get one.
    fn last_end(&self) -> Option<Ms> {
        let mut last = None;
        for round in &self.rounds {
            let over = round.has_credited() || self.record.stopped;
            if !over || round.last_close() == Ms::MAX {
                return None;
            }
            // What was credited too late to be used counts from the next midnight at most.
            let credited_at = round.record.credited_at.map(|at| self.zone.day_ends(at));
            let received = round.last_close().max(credited_at.unwrap_or_default());
            for pack in &round.packs {
                for unit in &self.units[usize::from(*pack)] {
                    last = last.max(Some(self.validity(round.index, *pack, unit.unit, received)?.1));
                }
            }
        }
        last
    }

    fn orders_are_over(&self, arrived: Ms) -> bool {
        let soonest = self.rounds.iter().map(|round| round.last_close()).max().unwrap_or(Ms::MAX);
        let kept_for = kept_for(&self.campaign);
        soonest.saturating_add(kept_for) <= arrived && self.last_end().is_some_and(|end| end + kept_for <= arrived)
    }
}

/// What is over at an instant, by one view of all campaigns.
struct Over<'a> {
    snapshot: &'a Snapshot,
    arrived: Ms,
}

impl Over<'_> {
    fn campaign(&self, view: &CampaignView) -> bool {
        view.record.orders_over_at.is_some_and(|over_at| over_at <= self.arrived)
    }

    fn published(&self) -> impl Iterator<Item = &CampaignView> {
        self.snapshot.by_number.values().map(|view| &**view).filter(|view| view.is_published())
    }

    /// An order goes with the last of its campaigns, and never while it could still change by itself.
    fn order(&self, order: &Order) -> bool {
        let ended = !matches!(order.state, OrderState::Held | OrderState::Void);
        let remembered = order.reversal.is_none_or(|reversal| self.mark(reversal.at));
        let known = !order.units.is_empty() || order.reversal.is_some();
        let over = order.units.iter().all(|unit| {
            let Some(view) = self.snapshot.by_number.get(&unit.c) else { return false };
            let window = view.validity(unit.round, unit.pack, unit.u, unit.received_s * 1_000);
            let unit_is_over = window.is_some_and(|(_, end)| end + kept_for(&view.campaign) <= self.arrived);
            self.campaign(view) && unit_is_over && order.t1 + windows_of(&view.campaign) <= self.arrived
        });
        ended && remembered && known && over
    }

    /// The mark of a reverse names no campaign: it refuses what any of its time could send, and for as long as any of them would.
    fn mark(&self, at: Ms) -> bool {
        let of_its_time = |view: &&CampaignView| view.record.published_at.is_none_or(|published_at| published_at <= at);
        let longest = self.published().map(|view| kept_for(&view.campaign)).max().unwrap_or(Ms::MAX);
        // A campaign that cannot be read may still need the mark.
        self.snapshot.unreadable.is_empty()
            && at.saturating_add(longest) <= self.arrived
            && self.published().filter(of_its_time).all(|view| self.campaign(view))
    }

    /// How many walks are due by now; this only grows.
    fn walks(&self) -> i64 {
        let over = self.published().filter_map(|view| view.record.orders_over_at);
        over.filter(|over_at| *over_at <= self.arrived).map(|over_at| 1 + (self.arrived - over_at) / AGAIN).sum()
    }
}

/// The walk, as one node takes it.
#[derive(Default)]
pub struct RetentionWalk {
    done: i64,
}

impl RetentionWalk {
    /// Some steps of a walk that is due; none when none is.
    pub async fn step(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let walk = Over { snapshot: &engine.view(), arrived: engine.arrived(engine.now()) }.walks();
        if walk <= self.done {
            return Ok(());
        }
        let begin = walk * i64::from(ORDER_BUCKETS);
        for _ in 0..STEPS {
            let walked = engine.store.orders_walked().await?;
            let Some(first) = u16::try_from((walked - begin).max(0)).ok().filter(|first| *first < ORDER_BUCKETS) else {
                self.done = walk;
                return Ok(());
            };
            let end = (first + BUCKETS).min(ORDER_BUCKETS);
            if first == 0 {
                engine.forget_caps().await?;
            }
            engine.forget_orders(first..end).await?;
            engine.forget_quotas(first..end).await?;
            engine.store.set_orders_walked(begin + i64::from(end)).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// Notes that a campaign's orders may be forgotten, once they may; false when there was nothing to note.
    pub(in crate::engine) async fn end_orders(&self, view: &CampaignView, now: Ms) -> Result<bool, Failure> {
        if view.record.orders_over_at.is_some() || !view.orders_are_over(self.arrived(now)) {
            return Ok(false);
        }
        self.advance(&view.id, |record| {
            let first = record.orders_over_at.is_none() && record.file == view.record.file;
            if first {
                record.orders_over_at = Some(now);
            }
            first
        })
        .await?;
        tracing::info!(campaign.id = view.id, "the orders of the campaign may be forgotten");
        Ok(true)
    }

    /// Forgets what is over in some buckets: orders with their entries, and marks of a reverse that have no order.
    async fn forget_orders(&self, buckets: std::ops::Range<u16>) -> Result<(), StoreError> {
        let entries = self.store.directory_entries(buckets.clone()).await?;
        let orders = self.store.kept_orders(buckets).await?;
        let over = Over { snapshot: &self.view(), arrived: self.arrived(self.now()) };
        let entry_of: HashMap<_, _> = entries.iter().map(|one| ((one.key, one.entry.shard), one)).collect();
        let gone: Vec<_> = orders.iter().filter(|one| over.order(&one.stored.order)).collect();
        for some in gone.chunks(AT_ONCE) {
            let forgetting = some.iter().map(|one| {
                let entry = entry_of.get(&(one.key, one.shard)).copied();
                self.forget_order(one, entry.filter(|entry| entry.entry.attempt == one.stored.order.attempt), &over)
            });
            try_join_all(forgetting).await?;
        }
        let there: HashSet<_> = orders.iter().map(|one| (one.key, one.shard)).collect();
        let alone = |one: &&KeptEntry| {
            let over = one.entry.reversed.is_some_and(|reversal| over.mark(reversal.at));
            over && !there.contains(&(one.key, one.entry.shard))
        };
        let marks: Vec<_> = entries.iter().filter(alone).collect();
        for some in marks.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|one| self.store.forget_entry(one))).await?;
        }
        Ok(())
    }

    /// Quotas go with their campaign: none of its vouchers can be used, or its orders given back, any more.
    async fn forget_quotas(&self, buckets: std::ops::Range<u16>) -> Result<(), StoreError> {
        let over = Over { snapshot: &self.view(), arrived: self.arrived(self.now()) };
        let counted = |campaign: &Campaign| {
            limit::has_quotas(campaign) || claim_limit::has_quotas(campaign) || reserve_limit::has_quotas(campaign)
        };
        for view in over.published().filter(|view| over.campaign(view) && counted(&view.campaign)) {
            self.store.forget_quotas(view.number, view.record.buckets, buckets.clone(), ORDER_BUCKETS).await?;
        }
        Ok(())
    }

    /// So do the merchants' caps, at the beginning of a walk: an order that goes with a later campaign gives nothing back of what is gone.
    async fn forget_caps(&self) -> Result<(), StoreError> {
        let over = Over { snapshot: &self.view(), arrived: self.arrived(self.now()) };
        let gone: HashSet<u16> = over.published().filter(|view| over.campaign(view)).map(|view| view.number).collect();
        self.store.forget_caps(|campaign| gone.contains(&campaign)).await
    }

    /// The entry first: a record that nothing leads to does no harm, an entry that leads to nothing would let a repeat take effect and
    /// then go itself.
    async fn forget_order(
        &self,
        one: &KeptOrder,
        entry: Option<&KeptEntry>,
        over: &Over<'_>,
    ) -> Result<(), StoreError> {
        if let Some(entry) = entry {
            let marked = entry.entry.reversed.is_none_or(|reversal| over.mark(reversal.at));
            if !marked || !self.store.forget_entry(entry).await? {
                return Ok(());
            }
        }
        self.store.forget_order(one).await.map(|_| ())
    }
}
