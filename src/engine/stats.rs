//! Live counters of a campaign: what a city watches, and the accounts in which every fen of its budget is.

use super::audit::{self, CampaignFacts, Counters, Facts, PackFacts, Report, Supply, What};
use super::ledger_view::{AsOf, LedgerView, ledger_view};
use super::view::CampaignView;
use super::{Engine, Failure};
use crate::domain::campaign;
use crate::domain::time::{HOUR, Ms, SECOND, expiry_hour};
use crate::store::keys::{self, ORDER_BUCKETS, Slot};
use crate::store::script::{self, Member};
use crate::store::{StoreError, int, text};

/// Two nodes' clocks may each be off by the second that the store allows; a call in flight takes some more.
const LATE_CALLS: Ms = 5 * SECOND;

impl Engine {
    /// Counters of all campaigns, summed over the shards, and where in the ledger they stand.
    pub async fn counters(&self) -> Result<(Counters, AsOf), StoreError> {
        let (mut counters, mut as_of) = (Counters::default(), AsOf { epoch: 0, seq: 0 });
        for shard in 0..self.store.shards() {
            let header = self.store.header(&Slot::Shard(shard)).await?;
            counters.plus(&counters_of_header(&header));
            for (field, value) in &header {
                match field.as_str() {
                    "seq" => as_of.seq += value.parse::<u64>().unwrap_or_default(),
                    "epoch" => as_of.epoch = as_of.epoch.max(value.parse().unwrap_or_default()),
                    _ => {}
                }
            }
        }
        Ok((counters, as_of))
    }

    /// Where every fen of a campaign's budget is.
    pub async fn ledger(&self, view: &CampaignView) -> Result<LedgerView, StoreError> {
        let (counters, as_of) = self.counters().await?;
        Ok(ledger_view(&counters, &facts_of(view), as_of))
    }

    /// Audits the store beside whatever runs on it.
    pub async fn audit(&self) -> Result<Report, StoreError> {
        audit::audit(&self.store, &self.facts()).await
    }

    /// What an audit has to know of every published campaign.
    pub fn facts(&self) -> Facts {
        let views = self.view();
        let published = views.by_number.values().filter(|view| view.is_published());
        Facts { campaigns: published.map(|view| (view.number, facts_of(view))).collect(), order_buckets: ORDER_BUCKETS }
    }

    /// What a city watches while the campaign runs.
    pub async fn stats(&self, view: &CampaignView) -> Result<serde_json::Value, StoreError> {
        let (counters, _) = self.counters().await?;
        let of_campaign = || counters.iter().filter(|((cell, _), _)| cell.c == view.number);
        let sum = |what: What| of_campaign().filter(|((_, counted), _)| *counted == what).map(|(_, n)| n).sum::<i64>();
        let now = self.now();
        let rounds = view.rounds.iter().map(|round| {
            let of_round = of_campaign().filter(|((cell, what), _)| cell.round == round.index && *what == What::Packs);
            let issued: i64 = of_round.map(|(_, n)| n).sum();
            let decided: u64 = round.draw.as_ref().map(|draw| draw.winners()).unwrap_or_default();
            let supply = view.campaign.round_totals(&round.round).packs;
            serde_json::json!({
                "round_id": round.round.round_id,
                "issued": issued,
                "released": round.release().released(decided, now),
                "remaining": supply as i64 - issued,
                "list": round.record.list.word(),
                "drawn": round.draw.is_some(),
                "winners": decided,
                "credited": round.record.credited_at.is_some(),
                "waves": round.record.waves.iter().filter(|wave| wave.cutoffs.is_some()).count(),
                "waiting_for": round.waits_for(),
                "progress": self.progress.of(view.number, round.index),
            })
        });
        let entries: u64 = view.rounds.iter().filter_map(|round| round.record.list.count()).sum();
        Ok(serde_json::json!({
            "reserved": sum(What::Reservations),
            "entries": entries,
            "issued": sum(What::Packs),
            "claimed": sum(What::Packs),
            "redeemed_count": sum(What::Redemptions),
            "redeemed_amount": sum(What::GrossRedeemed),
            "refunded_amount": sum(What::GrossReturned),
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

    /// Moves what nobody used to `expired`, once its last hour is over and every call stamped before has arrived.
    pub(super) async fn expire_money(&self, view: &CampaignView, now: Ms) -> Result<(), Failure> {
        let now = if self.clock().is_sandbox() { now } else { now - LATE_CALLS };
        let Some(ended) = view.latest_end_before(now) else { return Ok(()) };
        if self.expired.lock().await.get(&view.number) == Some(&ended) {
            return Ok(());
        }
        for shard in 0..self.store.shards() {
            let counters = counters_of_header(&self.store.header(&Slot::Shard(shard)).await?);
            for ((cell, what), left) in counters.iter() {
                let What::Outstanding(hour) = what else { continue };
                if cell.c != view.number || left == 0 || hour * HOUR > now {
                    continue;
                }
                let prefix = keys::cell(cell.c, cell.round, cell.channel, cell.pack);
                let args =
                    vec![int(cell.c), int(cell.round), int(cell.channel), int(cell.pack), text(prefix), int(hour)];
                self.store.call(&script::MONEY_EXPIRE, &Slot::Shard(shard), Member::new(vec![], args)).await?;
            }
        }
        self.expired.lock().await.insert(view.number, ended);
        Ok(())
    }
}

fn counters_of_header(header: &[(String, String)]) -> Counters {
    Counters::of_header(header.iter().map(|(field, value)| (field.as_str(), value.as_str())))
}

/// A campaign in the indexes and amounts that the ledger speaks of.
fn facts_of(view: &CampaignView) -> CampaignFacts {
    let campaign = view.campaign.clone();
    let position =
        |pack_id: &str| campaign.packs.iter().position(|pack| pack.pack_id == pack_id).map(|index| index as u8);
    let supply = view.rounds.iter().flat_map(|round| {
        let campaign::Supply::Packs(packs) = &round.round.supply else { return Vec::new() };
        let supplies = packs.iter().filter_map(|supply| {
            Some(Supply {
                round: round.index,
                channel: None,
                pack: position(&supply.pack_id)?,
                count: supply.count as i64,
            })
        });
        supplies.collect()
    });
    let packs = campaign.packs.iter().map(|pack| PackFacts {
        pack_id: pack.pack_id.clone(),
        units: pack.units().iter().map(|unit| unit.discount_amount.0).collect(),
        shares: pack.units().iter().filter(|unit| is_share(pack, unit)).map(|unit| unit.unit).collect(),
    });
    CampaignFacts {
        c: view.number,
        campaign_id: view.id.clone(),
        buckets: view.record.buckets,
        budget: campaign.budget.0,
        unallocated: campaign.unallocated().0,
        rounds: campaign.rounds.iter().map(|round| round.round_id.clone()).collect(),
        channels: campaign.channels.clone(),
        packs: packs.collect(),
        supply: supply.collect(),
        expiry_hour: Box::new({
            let campaign = campaign.clone();
            move |round, pack, unit, at| {
                let window = campaign.unit_window(usize::from(round), usize::from(pack), unit, at);
                window.map(|window| expiry_hour(window.end)).unwrap_or_default()
            }
        }),
    }
}

/// Whether a voucher takes off a share of the goods, at most its face.
fn is_share(pack: &crate::domain::campaign::Pack, unit: &crate::domain::campaign::Unit) -> bool {
    matches!(pack.vouchers[unit.kind_index].face, crate::domain::campaign::Face::Percent { .. })
}
