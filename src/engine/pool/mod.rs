//! Unspent money: a round's packs are counted from what there is, what nobody got goes back when the round is over, and what its
//! vouchers leave behind follows. Every step is a compare-and-set of the campaign's record or a script that finds nothing left, so any
//! node may take it, twice or at once.

use std::sync::Arc;

use rmpv::Value;

use crate::domain::campaign::schema::{CarryOver, CarryOverSource, ExpiredRefundTo, Mode, Unclaimed};
use crate::domain::money::Fen;
use crate::domain::order::LATE_CONFIRM;
use crate::domain::time::{HOUR, MINUTE, Ms};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::ledger::counters::{Cell, What};
use crate::engine::ledger::counters_of_header;
use crate::engine::ledger::facts::facts_of;
use crate::engine::{Engine, Failure};
use crate::store::campaign::{CampaignRecord, ListState};
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member, Script};
use crate::store::{int, text};

/// How often the rounds are asked for what late refunds have left; what expires is looked for at its hour.
const LOOK: Ms = MINUTE;

/// Members of one call.
const BATCH: usize = 64;

impl CampaignView {
    /// Whether the packs of a round are still to be counted: until then nothing is drawn and nothing is issued.
    pub fn awaits_supply(&self, round: &RoundView) -> bool {
        round.record.supply.is_none() && self.campaign.counts_late(&round.round)
    }

    /// What the last round leaves behind has no later round to go to, and stays where it is.
    fn hands_on(&self, round: u8) -> bool {
        self.campaign.carry_over != CarryOver::None && usize::from(round) + 1 < self.rounds.len()
    }

    pub(super) fn carries(&self, source: CarryOverSource) -> bool {
        self.campaign.carry_over_sources.contains(&source)
    }

    /// Whether no voucher of a cell can be valid any more, so that no refund can take back what was recovered.
    fn is_past(&self, round: u8, pack: u8, now: Ms) -> bool {
        let round_view = self.rounds.get(usize::from(round));
        let over_at = round_view.and_then(|round| round.record.over_at).unwrap_or(now);
        // What was credited too late to be used counts from the next midnight at most.
        let promised = round_view.is_some_and(|round| round.round.mode != Mode::FirstCome);
        let received = if promised { self.zone.day_ends(over_at) } else { over_at };
        let units = self.units.get(usize::from(pack)).map(Vec::as_slice).unwrap_or_default();
        let end = |unit: u8| self.campaign.unit_window(usize::from(round), usize::from(pack), unit, received);
        units.iter().all(|unit| end(unit.unit).is_some_and(|window| window.end <= now))
    }
}

impl RoundView {
    /// Whether everybody who was to be credited has been: after the last window nothing more is issued.
    pub(super) fn has_credited(&self) -> bool {
        let credits = self.round.opens_at.is_none() || self.round.unclaimed == Unclaimed::Credit;
        match self.round.mode {
            Mode::FirstCome => true,
            Mode::Grant => !credits || self.record.credited_at.is_some(),
            Mode::Ballot | Mode::Rain => self.record.draw.is_some() && (!credits || self.record.credited_at.is_some()),
        }
    }
}

impl Engine {
    /// Counts a round's packs when that is due, and takes back what nobody got when the round is over; false when nothing was due.
    pub(super) async fn settle_supply(&self, view: &CampaignView, round: &RoundView, now: Ms) -> Result<bool, Failure> {
        if view.awaits_supply(round) && self.supply_is_due(view, round, now) {
            self.fix_supply(view, round).await?;
            return Ok(true);
        }
        if self.return_is_due(view, round, now) {
            self.return_unissued(view, round.index).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The campaign with the packs of a round counted: a draw that is asked for before its time fixes them.
    pub(super) async fn with_supply(&self, view: Arc<CampaignView>, round: u8) -> Result<Arc<CampaignView>, Failure> {
        let of_round = &view.rounds[usize::from(round)];
        if !view.awaits_supply(of_round) {
            return Ok(view);
        }
        self.fix_supply(&view, of_round).await?;
        Ok(self.campaign(&view.id)?)
    }

    /// At the draw or the opening, once what earlier rounds leave at that instant has arrived.
    fn supply_is_due(&self, view: &CampaignView, round: &RoundView, now: Ms) -> bool {
        let due = match &round.round.draw {
            Some(draw) => matches!(round.record.list, ListState::Closed(_)).then_some(draw.at),
            None => round.round.opens_at.or(round.round.credit_at),
        };
        let Some(due) = due.filter(|due| *due <= now) else { return false };
        let arrived = self.arrived(now);
        let on_its_way = |instant: Ms| arrived < instant && instant <= due;
        let earlier = &view.rounds[..usize::from(round.index)];
        !earlier.iter().any(|round| {
            let ends = round.round.validity.as_ref().or(view.campaign.validity.as_ref());
            on_its_way(round.last_close()) || ends.and_then(|ends| ends.available_end_time).is_some_and(on_its_way)
        })
    }

    /// Fixes a round's packs, once: whoever comes second finds them fixed.
    pub(super) async fn fix_supply(&self, view: &CampaignView, round: &RoundView) -> Result<(), Failure> {
        let now = self.now();
        self.move_money(view, now, true).await?;
        // What flowed into the pool stays there until a record takes it: counters read before the record can only be too low.
        let (counters, _) = self.counters().await?;
        let carried = counters.iter().filter(|((cell, what), _)| cell.c == view.number && *what == What::Pool);
        let carried: i64 = carried.map(|(_, fen)| fen).sum();
        let index = usize::from(round.index);
        self.advance(&view.id, |record| {
            let pool = carried + pool_of_record(record);
            // With an amendment that this node has not read yet the round may own more; then it is fixed at the next look.
            let known = record.file == view.record.file;
            let open = record.rounds[index].supply.is_none() && !record.stopped && known;
            if open {
                let fixed = view.campaign.fix_supply(&round.round, Fen(pool));
                record.rounds[index].supply = Some(fixed.cells);
                record.rounds[index].funded = fixed.funded;
            }
            open
        })
        .await?;
        tracing::info!(campaign.id = view.id, round.id = round.round.round_id, "supply fixed");
        Ok(())
    }

    /// Over for good: the last window has closed for every call that is on its way, and who was to be credited has been.
    fn return_is_due(&self, view: &CampaignView, round: &RoundView, now: Ms) -> bool {
        let closed = round.last_close() <= self.arrived(now);
        let open = round.record.returned.is_none() && round.has_credited() && !view.awaits_supply(round);
        view.hands_on(round.index) && closed && open
    }

    /// First every shard learns that the round is over; what it has not issued then it never will.
    async fn return_unissued(&self, view: &CampaignView, round: u8) -> Result<(), Failure> {
        let (now, index, campaign_id) = (self.now(), usize::from(round), view.id.as_str());
        self.advance(campaign_id, |record| {
            let first = record.rounds[index].over_at.is_none() && record.file == view.record.file;
            if first {
                record.rounds[index].over_at = Some(now);
            }
            first
        })
        .await?;
        let (view, counters, _) = self.books(campaign_id).await?;
        if view.rounds[index].record.over_at.is_none() {
            return Ok(());
        }
        let facts = facts_of(&view);
        let returned = if facts.rounds[index].returns { facts.unissued(round, &counters) } else { 0 };
        self.advance(campaign_id, |record| {
            let first = record.rounds[index].returned.is_none();
            record.rounds[index].returned = record.rounds[index].returned.or(Some(returned));
            first
        })
        .await?;
        tracing::info!(campaign.id = campaign_id, round.id = facts.rounds[index].round_id, returned, "round is over");
        Ok(())
    }

    /// Moves what nobody used to `expired` once its hour is over, and hands on what vouchers have left behind when some have just expired,
    /// when it is time to look again, or at once. Who comes while another task of the node does it waits, and finds it done.
    pub(super) async fn move_money(&self, view: &CampaignView, now: Ms, at_once: bool) -> Result<(), Failure> {
        let mut looked = self.looked.lock().await;
        let last = looked.get(&view.number).copied();
        let hour = self.arrived(now).div_euclid(HOUR);
        let same_hour = last.is_some_and(|last: Looked| last.hour == hour);
        let expired = if same_hour && !at_once { false } else { self.expire(view, hour).await? };
        let fresh = last.is_some_and(|last| (last.at..last.at + LOOK).contains(&now));
        let carries = view.campaign.carry_over != CarryOver::None && (at_once || expired || !fresh);
        if carries {
            self.carry(view, now).await?;
        }
        let at = last.filter(|_| !carries).map_or(now, |last| last.at);
        looked.insert(view.number, Looked { hour, at });
        Ok(())
    }

    /// Moves all that has ended by this hour. Every call that was stamped before has arrived; true when there was something.
    async fn expire(&self, view: &CampaignView, hour: i64) -> Result<bool, Failure> {
        let mut found = false;
        for shard in 0..self.store.shards() {
            let counters = counters_of_header(&self.store.header(&Slot::Shard(shard)).await?);
            let ended = counters.iter().filter_map(|((cell, what), left)| match what {
                What::Outstanding(ends) if cell.c == view.number && left != 0 && ends <= hour => {
                    Some(member(cell, &[int(ends)]))
                }
                _ => None,
            });
            found |= self.each(&script::MONEY_EXPIRE, shard, ended.collect()).await?;
        }
        Ok(found)
    }

    async fn carry(&self, view: &CampaignView, now: Ms) -> Result<(), Failure> {
        let arrived = self.arrived(now);
        for shard in 0..self.store.shards() {
            let counters = counters_of_header(&self.store.header(&Slot::Shard(shard)).await?);
            let of_campaign =
                counters.iter().filter(|((cell, _), _)| cell.c == view.number && view.hands_on(cell.round));
            let members = of_campaign.filter_map(|((cell, what), _)| {
                let from = match what {
                    What::Expired if view.carries(CarryOverSource::Expired) => "expired",
                    What::Recovered if view.carries(CarryOverSource::Refunded) => {
                        view.is_past(cell.round, cell.pack, arrived).then_some("recovered")?
                    }
                    What::Late if view.campaign.expired_refund_to == ExpiredRefundTo::Pool => "late",
                    _ => return None,
                };
                Some(member(cell, &[text(from), int(LATE_CONFIRM)]))
            });
            self.each(&script::MONEY_CARRY, shard, members.collect()).await?;
        }
        Ok(())
    }

    /// Runs a script for each of these; false when there are none.
    async fn each(&self, script: &'static Script, shard: u8, members: Vec<Member>) -> Result<bool, Failure> {
        for batch in members.chunks(BATCH) {
            for reply in self.store.batch(script, &Slot::Shard(shard), batch.to_vec()).await? {
                reply?;
            }
        }
        Ok(!members.is_empty())
    }
}

/// When a node last moved a campaign's money: the hour that had ended, and the instant at which it last looked what is left behind.
#[derive(Clone, Copy)]
pub(super) struct Looked {
    hour: i64,
    at: Ms,
}

/// What the money scripts are asked for one cell.
fn member(cell: Cell, last: &[Value]) -> Member {
    let prefix = keys::cell(cell.c, cell.round, cell.channel, cell.pack);
    let of_cell = [int(cell.c), int(cell.round), int(cell.channel), int(cell.pack), text(prefix)];
    Member::new(vec![], [&of_cell[..], last].concat())
}

/// What a campaign's record says of its pool: what rounds returned, less what rounds took.
fn pool_of_record(record: &CampaignRecord) -> i64 {
    record.rounds.iter().map(|round| round.returned.unwrap_or_default() - round.funded).sum()
}
