//! What an attempt that is over still owes to caps and quotas. An order and what it takes lie on different slots, so a give-back may be
//! refused, or its node may end, after the step that counts. The order is what it says and its till is told so; what is owed stands in
//! the merchant's directory, which names all that an attempt may hold, beside an order that says that it is over. So every node walks
//! the directory with the orders and gives back what it finds, until the store has taken it: from its start on, at once after a refusal, and
//! by the way in a fiftieth of its time. A cap is stricter until then, never wider.
//!
//! Nothing is given back of what may still be used. An attempt is over by its own record alone: void, cancelled, reversed, refunded in
//! full, or lapsed, where only the generation goes back that was there before a late confirm. One that has had no effect yet is under way:
//! seen twice, it is made void first, and a slow copy of it plans again. Two walkers are harmless, for every give-back happens once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::limits::Cap;
use crate::domain::limit::{Keeper, redeems_within};
use crate::domain::order::{LATE_CONFIRM, Order, OrderKey, OrderState};
use crate::domain::time::Ms;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::ORDER_BUCKETS;
use crate::store::orders::{Holding, NO_SHARD};
use crate::store::retention::KeptEntry;

/// How long an attempt without an effect is left alone: longer than a request waits for the store.
const UNDER_WAY: Duration = Duration::from_secs(6);

/// Between two walks: fifty times what the last one took, but within this.
const REST: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(3_600);
const SHARE: u32 = 50;

/// The same after a walk that was refused something, or where something was refused meanwhile.
const SOON: Duration = Duration::from_secs(1);
const SHARE_SOON: u32 = 10;

/// Entries that a turn reads, about; and buckets that it reads at once, which fit themselves to how full they are.
const TURN: usize = 4_096;
const AT_ONCE: usize = 2_048;
const WIDEST: u16 = 512;

/// A turn ends after as many give-backs that failed.
const FAILURES: usize = 8;

/// Attempts without an effect that a node keeps in mind.
const MOST: usize = 65_536;

/// Whether something came to be owed at this node since its last walk began.
#[derive(Default)]
pub struct Owed(AtomicBool);

impl Owed {
    /// Something is owed: the next turn begins a walk.
    pub(in crate::engine) fn note(&self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "what is over is given back later");
        self.wake();
    }

    /// The same of an attempt that stopped after it may have taken something.
    pub(super) fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What limits count of an order.
#[derive(Default)]
struct Counted {
    /// Caps and quotas, with how much of each.
    kept: Vec<Cap>,
    /// Of some vouchers they count nothing any more.
    restores: bool,
}

/// What an entry of a directory owes, by the order that was read after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// What it does not keep; of one generation only, where a late confirm may have taken it again.
    Back(Option<i64>),
    /// It keeps its caps; plans before its last one may have taken more of a quota.
    Beyond,
    /// It has had no effect yet.
    UnderWay,
    /// A late confirm has taken again and has had no effect yet.
    Late,
}

/// `restores`: goods are back, and limits no longer count the use of some of the order's vouchers.
fn due(entry: &KeptEntry, holding: &Holding, order: Option<&Order>, restores: bool, arrived: Ms) -> Due {
    if entry.entry.reversed.is_some() {
        return Due::Back(None);
    }
    let attempt = entry.entry.attempt;
    let Some(order) = order.filter(|order| order.state != OrderState::Void || order.attempt >= attempt) else {
        return Due::UnderWay;
    };
    match order.state {
        OrderState::Void => Due::Back(None),
        _ if order.attempt != attempt => Due::Nothing,
        OrderState::Cancelled | OrderState::Reversed | OrderState::Lapsed => Due::Back(None),
        OrderState::Expired if holding.released || holding.generation == 0 => Due::Back(Some(holding.generation)),
        OrderState::Expired if arrived >= order.until() + LATE_CONFIRM => Due::Back(Some(holding.generation)),
        OrderState::Expired => Due::Late,
        OrderState::Redeemed if restores => Due::Back(None),
        OrderState::Held | OrderState::Redeemed => Due::Beyond,
    }
}

/// How an attempt stands to what it holds of caps and quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Standing {
    /// Its order uses what it keeps.
    Live,
    /// It keeps some, maybe nothing, and owes the rest.
    Over,
    /// What it may still use is not known.
    Open,
}

/// The walk, as one node takes it.
pub struct GiveBacks {
    /// The bucket that comes next; behind the last one while it rests.
    next: u16,
    width: u16,
    begun: Instant,
    /// When the next walk begins, if anything is known to be owed and if not.
    soonest: Instant,
    due: Instant,
    /// Something was refused.
    again: bool,
    /// Attempts that had no effect in the last walk and in this one, or late confirms (by minus their generation), and since when.
    before: HashMap<(u8, OrderKey), (i64, Instant)>,
    now: HashMap<(u8, OrderKey), (i64, Instant)>,
}

impl Default for GiveBacks {
    fn default() -> GiveBacks {
        let (next, width, begun) = (ORDER_BUCKETS, 16, Instant::now());
        let (before, now) = (HashMap::new(), HashMap::new());
        GiveBacks { next, width, begun, soonest: begun, due: begun, again: false, before, now }
    }
}

impl GiveBacks {
    /// A turn of a walk that is due; none when none is.
    pub async fn step(&mut self, engine: &Engine) -> Result<(), StoreError> {
        if self.next == ORDER_BUCKETS && !self.begins(engine) {
            return Ok(());
        }
        let (mut looked, mut failures) = (0, 0);
        while self.next < ORDER_BUCKETS && looked < TURN && failures < FAILURES {
            let end = (self.next + self.width).min(ORDER_BUCKETS);
            let (entries, failed) = self.look(engine, self.next..end).await?;
            self.next = end;
            self.width = match entries {
                full if full > AT_ONCE => (self.width / 2).max(1),
                empty if empty < AT_ONCE / 4 => (self.width * 2).min(WIDEST),
                _ => self.width,
            };
            (looked, failures) = (looked + entries, failures + failed);
        }
        if self.next == ORDER_BUCKETS {
            self.ends();
        }
        Ok(())
    }

    fn begins(&mut self, engine: &Engine) -> bool {
        let now = Instant::now();
        let due = now >= self.due || now >= self.soonest && engine.owed.is_noted();
        let begins = due && engine.counts_orders();
        if begins {
            engine.owed.clear();
            (self.next, self.begun, self.again) = (0, now, false);
        }
        begins
    }

    fn ends(&mut self) {
        self.before = std::mem::take(&mut self.now);
        let (now, took) = (Instant::now(), self.begun.elapsed());
        self.soonest = now + (took * SHARE_SOON).max(SOON);
        let rested = now + (took * SHARE).clamp(REST.start, REST.end);
        self.due = if self.again || !self.before.is_empty() { self.soonest } else { rested };
    }

    /// How many entries there were, and how many could not be settled.
    async fn look(&mut self, engine: &Engine, buckets: Range<u16>) -> Result<(usize, usize), StoreError> {
        let entries = engine.store.directory_entries(buckets.clone()).await?;
        let holding = |one| Some((one, Holding::of(one)?)).filter(|(_, holding)| holding.may_hold());
        let holding: Vec<(&KeptEntry, Holding)> = entries.iter().filter_map(holding).collect();
        if holding.is_empty() {
            return Ok((entries.len(), 0));
        }
        let orders = engine.store.kept_orders(buckets).await?;
        let orders: HashMap<_, _> = orders.iter().map(|one| ((one.key, one.shard), &one.stored.order)).collect();
        let mut failed = 0;
        for (one, holding) in &holding {
            let order = orders.get(&(one.key, one.entry.shard)).copied();
            let settled = self.settle(engine, one, holding, order).await.map_err(Failure::from);
            engine.standing.heed(&format!("give-back of order {}", hex::encode(one.key)), &settled);
            if settled.is_err() {
                // What waits for a record that cannot be read comes round with the walks.
                self.again |= engine.view().unreadable.is_empty();
                failed += 1;
            }
        }
        Ok((entries.len(), failed))
    }

    async fn settle(
        &mut self,
        engine: &Engine,
        one: &KeptEntry,
        holding: &Holding,
        order: Option<&Order>,
    ) -> Result<(), StoreError> {
        let counted = order.map(|order| engine.counted(order)).transpose()?.unwrap_or_default();
        match due(one, holding, order, counted.restores, engine.arrived(engine.now())) {
            Due::Nothing => Ok(()),
            Due::Back(generation) => engine.give_back(one, holding, generation, &counted.kept).await,
            Due::Beyond => engine.give_beyond(one, holding, None, &counted.kept).await,
            Due::UnderWay => self.end(engine, one, holding).await,
            Due::Late => self.end_late(engine, one, holding.generation).await,
        }
    }

    /// Whether something is as a walk has found it for longer than a request takes; until then the next walk looks again.
    fn rests(&mut self, one: &KeptEntry, number: i64) -> bool {
        let place = (one.slot, one.key);
        let known = self.before.get(&place).filter(|(known, _)| *known == number);
        let since = known.map_or_else(Instant::now, |(_, since)| *since);
        let rests = since.elapsed() >= UNDER_WAY && one.entry.shard != NO_SHARD;
        if !rests && self.now.len() < MOST {
            self.now.insert(place, (number, since));
        }
        rests
    }

    /// Ends an attempt that has had no effect for longer than a request takes.
    async fn end(&mut self, engine: &Engine, one: &KeptEntry, holding: &Holding) -> Result<(), StoreError> {
        let attempt = one.entry.attempt;
        if !self.rests(one, i64::from(attempt)) {
            return Ok(());
        }
        match engine.close_attempt(&one.key, attempt, one.entry.shard).await {
            // It has had its effect after all, or its order is reversed: the next walk sees that.
            Ok(Some(_)) | Err(Failure::Refusal(_)) => Ok(()),
            Ok(None) => engine.give_back(one, holding, None, &[]).await,
            Err(Failure::Store(error)) => Err(error),
        }
    }

    /// Gives back what a late confirm took that has had no effect for as long; one that comes later takes again.
    async fn end_late(&mut self, engine: &Engine, one: &KeptEntry, generation: i64) -> Result<(), StoreError> {
        if !self.rests(one, -generation) {
            return Ok(());
        }
        let place = (one.entry.shard, one.entry.attempt);
        match engine.let_go(one.slot, &one.key, place, generation).await {
            Ok(()) | Err(Failure::Refusal(_)) => Ok(()),
            Err(Failure::Store(error)) => Err(error),
        }
    }
}

impl Engine {
    /// Whether a limit of any campaign is counted by order, elsewhere than with the payer.
    pub(in crate::engine) fn counts_orders(&self) -> bool {
        let snapshot = self.view();
        let mut campaigns = snapshot.by_number.values().filter(|view| view.is_published()).map(|view| &view.campaign);
        campaigns.any(|one| redeems_within(one, Keeper::Merchant) || redeems_within(one, Keeper::Quota))
    }

    /// What limits count of an order as it stands.
    fn counted(&self, order: &Order) -> Result<Counted, StoreError> {
        let units = match order.state {
            OrderState::Held => order.units.clone(),
            OrderState::Redeemed => self.counted_still(order)?,
            _ => Vec::new(),
        };
        let (mut kept, quotas) = self.caps_of_order(&order.receipt.merchant_id, order, &units);
        kept.extend(quotas);
        Ok(Counted { kept, restores: units.len() < order.units.len() })
    }

    /// How an entry's attempt stands by the order that was read after it, and what it keeps.
    pub(in crate::engine) fn standing_of_entry(
        &self,
        one: &KeptEntry,
        holding: &Holding,
        order: Option<&Order>,
    ) -> Result<(Standing, Vec<Cap>), StoreError> {
        let Counted { kept, restores } = order.map(|order| self.counted(order)).transpose()?.unwrap_or_default();
        Ok(match due(one, holding, order, restores, self.arrived(self.now())) {
            Due::Back(_) => (Standing::Over, kept),
            Due::Beyond => (Standing::Live, kept),
            Due::Nothing | Due::UnderWay | Due::Late => (Standing::Open, Vec::new()),
        })
    }

    async fn give_back(
        &self,
        one: &KeptEntry,
        holding: &Holding,
        generation: Option<i64>,
        kept: &[Cap],
    ) -> Result<(), StoreError> {
        let stays = |(name, n): &(String, i64)| kept.iter().any(|cap| cap.name == *name && cap.n >= *n);
        if holding.released || !holding.caps.is_empty() && holding.caps.iter().all(stays) {
            return self.give_beyond(one, holding, generation, kept).await;
        }
        self.release_caps(one.slot, &one.key, one.entry.attempt, generation, kept).await
    }

    async fn give_beyond(
        &self,
        one: &KeptEntry,
        holding: &Holding,
        generation: Option<i64>,
        kept: &[Cap],
    ) -> Result<(), StoreError> {
        for name in &holding.quotas {
            let keeps = kept.iter().find(|cap| cap.name == *name).map_or(0, |cap| cap.n);
            self.keep_of_quota(&one.key, one.entry.attempt, generation, name, keeps).await?;
        }
        Ok(())
    }

    /// Gives back of a quota what an attempt holds beyond `keeps`. It is looked at first, so that nothing is written where nothing is owed.
    async fn keep_of_quota(
        &self,
        key: &OrderKey,
        attempt: u32,
        generation: Option<i64>,
        name: &str,
        keeps: i64,
    ) -> Result<(), StoreError> {
        let place = self.quota_place(name, key)?;
        if self.store.quota_used(&place).await?.own <= keeps {
            return Ok(());
        }
        self.store.give_quota(&place, attempt, generation, keeps).await
    }

    /// Gives back what an order held that has ended, now or, if the store refuses, later.
    pub(super) async fn release_or_owe(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        order: &Order,
        generation: Option<i64>,
    ) {
        let kept = match self.kept_of_ended(merchant_id, order) {
            Ok(kept) => kept,
            // A campaign that cannot be read gives nothing back until it can be.
            Err(error) => return self.owed.note(&error),
        };
        let (caps, quotas) = self.caps_of_order(merchant_id, order, &order.units);
        if merchant_id.is_empty() || caps.len() + quotas.len() <= kept.len() {
            return;
        }
        let slot = self.store.merchant_slot(merchant_id);
        if let Err(error) = self.release_caps(slot, key, order.attempt, generation, &kept).await {
            self.owed.note(&error);
        }
    }

    /// Gives back what an attempt held that was made void; whether the store took it now. What it refuses is given back later.
    pub(super) async fn release_void_or_owe(&self, merchant_id: &str, key: &OrderKey, attempt: u32) -> bool {
        let given = self.release_caps(self.store.merchant_slot(merchant_id), key, attempt, None, &[]).await;
        given.inspect_err(|error| self.owed.note(error)).is_ok()
    }
}

#[cfg(test)]
mod tests;
