//! Live counters of a campaign: what a city watches, and the accounts in which every fen of its budget is.

use std::collections::BTreeMap;

use super::view::CampaignView;
use super::{Engine, Failure};
use crate::domain::time::{HOUR, Ms};
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, text};

/// Counters of one cell (round, channel, pack or choice), summed over the shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellCounters {
    pub reserved: i64,
    pub packs: i64,
    pub outstanding: BTreeMap<i64, i64>,
    pub held: i64,
    pub redeemed: i64,
    pub expired: i64,
    pub recovered: i64,
    pub redemptions: i64,
    pub redeemed_gross: i64,
    pub given_back: i64,
}

/// (round, channel, pack or choice) -> counters.
pub type Cells = BTreeMap<(u8, u8, u8), CellCounters>;

/// Counters of a campaign and where in the ledger they stand.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub cells: Cells,
    pub epoch: i64,
    /// Sum of the shards' seqs.
    pub seq: i64,
}

impl Engine {
    /// Reads the counters of a campaign from every shard.
    pub async fn counters(&self, campaign: u16) -> Result<Counters, StoreError> {
        let mut counters = Counters::default();
        for shard in 0..self.store.shards() {
            let header = self.store.header(&Slot::Shard(shard)).await?;
            for (field, value) in header {
                let value: i64 = value.parse().unwrap_or_default();
                match field.as_str() {
                    "seq" => counters.seq += value,
                    "epoch" => counters.epoch = counters.epoch.max(value),
                    _ => count(&mut counters.cells, campaign, &field, value),
                }
            }
        }
        Ok(counters)
    }

    /// What a city watches while the campaign runs.
    pub async fn stats(&self, view: &CampaignView) -> Result<serde_json::Value, StoreError> {
        let counters = self.counters(view.number).await?;
        let sum = |of: fn(&CellCounters) -> i64| counters.cells.values().map(of).sum::<i64>();
        let now = self.now();
        let rounds = view.rounds.iter().map(|round| {
            let issued: i64 = counters
                .cells
                .iter()
                .filter(|((index, ..), _)| *index == round.index)
                .map(|(_, cell)| cell.packs)
                .sum();
            let decided: u64 =
                round.draw.as_ref().map(|draw| draw.groups.iter().map(|group| group.winners).sum()).unwrap_or_default();
            let supply = view.campaign.round_totals(&round.round).packs;
            serde_json::json!({
                "round_id": round.round.round_id,
                "issued": issued,
                "released": round.curve().released(decided, now),
                "remaining": supply as i64 - issued,
                "list": round.record.list.word(),
                "drawn": round.draw.is_some(),
                "winners": decided,
                "credited": round.record.credited_at.is_some(),
            })
        });
        let entries: u64 = view.rounds.iter().filter_map(|round| round.record.list.count()).sum();
        Ok(serde_json::json!({
            "reserved": sum(|cell| cell.reserved),
            "entries": entries,
            "issued": sum(|cell| cell.packs),
            "claimed": sum(|cell| cell.packs),
            "redeemed_count": sum(|cell| cell.redemptions),
            "redeemed_amount": sum(|cell| cell.redeemed_gross),
            "refunded_amount": sum(|cell| cell.given_back),
            "rounds": rounds.collect::<Vec<_>>(),
        }))
    }

    /// What an operator should look at soon; it stops no request.
    pub fn warnings(&self) -> Vec<String> {
        let now = self.now();
        let mut warnings = Vec::new();
        for view in self.view().by_id.values().filter(|view| view.is_published() && !view.record.stopped) {
            for round in &view.rounds {
                let due = round.round.draw.as_ref().is_some_and(|draw| now >= draw.at);
                if due && round.draw.is_none() {
                    warnings.push(format!("{} {}: the draw is due and not held", view.id, round.round.round_id));
                }
            }
        }
        warnings
    }

    /// Moves what nobody used to `expired`, once its last hour is over.
    pub(super) async fn expire_money(&self, view: &CampaignView, now: Ms) -> Result<(), Failure> {
        if !view.has_expiry_before(now) {
            return Ok(());
        }
        for shard in 0..self.store.shards() {
            let header = self.store.header(&Slot::Shard(shard)).await?;
            let mut cells = Cells::new();
            for (field, value) in &header {
                count(&mut cells, view.number, field, value.parse().unwrap_or_default());
            }
            for ((round, channel, pack), counters) in cells {
                let due = counters.outstanding.iter().filter(|(hour, left)| **left > 0 && **hour * HOUR <= now);
                for (hour, _) in due {
                    let cell = keys::cell(view.number, round, channel, pack);
                    let args = vec![int(view.number), int(round), int(channel), int(pack), text(cell), int(*hour)];
                    self.store.call(&script::MONEY_EXPIRE, &Slot::Shard(shard), Member::new(vec![], args)).await?;
                }
            }
        }
        Ok(())
    }
}

/// Adds one header field `n:<campaign>:<round>:<channel>:<pack>:<what>[:<hour>]` of the campaign to its cell.
fn count(cells: &mut Cells, campaign: u16, field: &str, value: i64) {
    let mut parts = field.split(':');
    if parts.next() != Some("n") || parts.next().and_then(|part| part.parse().ok()) != Some(campaign) {
        return;
    }
    let mut number = || parts.next().and_then(|part| part.parse::<u8>().ok());
    let (Some(round), Some(channel), Some(pack)) = (number(), number(), number()) else { return };
    let cell = cells.entry((round, channel, pack)).or_default();
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("rsv", None) => cell.reserved += value,
        ("pk", None) => cell.packs += value,
        ("held", None) => cell.held += value,
        ("red", None) => cell.redeemed += value,
        ("exp", None) => cell.expired += value,
        ("rec", None) => cell.recovered += value,
        ("rn", None) => cell.redemptions += value,
        ("rg", None) => cell.redeemed_gross += value,
        ("rf", None) => cell.given_back += value,
        ("out", Some(hour)) => *cell.outstanding.entry(hour.parse().unwrap_or_default()).or_default() += value,
        _ => {}
    }
}
