//! Live counters of a campaign: what a city watches, and the accounts in which every fen of its budget is.

pub mod money;

use std::sync::Arc;

use crate::domain::campaign::schema::{self as campaign, CarryOver, CarryOverSource};
use crate::domain::pool::CellSupply;
use crate::domain::time::{Ms, SECOND, expiry_hour};
use crate::engine::audit;
use crate::engine::audit::{CampaignFacts, Counters, Facts, Finding, PackFacts, Report, RoundFacts, Supply, What};
use crate::engine::config::view::{CampaignView, Unreadable};
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::{self, ORDER_BUCKETS, Slot};
use money::{AsOf, LedgerView, ledger_view};

/// Two nodes' clocks may each be off by the second that the store allows; a call in flight takes some more.
const LATE_CALLS: Ms = 5 * SECOND;

/// How often a campaign's books are read again when its record changes under the reader.
const READS: usize = 8;

impl Engine {
    /// Counters of all campaigns, summed over the shards, and where in the ledger they stand.
    pub async fn counters(&self) -> Result<(Counters, AsOf), StoreError> {
        let (counters, as_of, _) = self.counters_at(0).await?;
        Ok((counters, as_of))
    }

    /// A campaign with counters that were read while its record was this one: what the record gives to a round or takes from the pool
    /// and what the shards count are then of one moment.
    pub async fn books(&self, campaign_id: &str) -> Result<(Arc<CampaignView>, Counters, AsOf), Failure> {
        let mut reads = 0;
        loop {
            reads += 1;
            let view = self.campaign(campaign_id)?;
            let (counters, as_of, revs) = self.counters_at(view.number).await?;
            let other = revs.into_iter().find(|rev| view.is_published() && *rev != view.rev);
            match other {
                Some(rev) if reads < READS => self.reconcile(view.number, rev).await?,
                _ => return Ok((view, counters, as_of)),
            }
        }
    }

    /// The counters, and the revision of a campaign that each shard had when it was read.
    async fn counters_at(&self, campaign: u16) -> Result<(Counters, AsOf, Vec<u64>), StoreError> {
        let (mut counters, mut as_of) = (Counters::default(), AsOf { epoch: 0, seq: 0 });
        let (mut revs, view_field) = (Vec::new(), keys::view_field(campaign));
        for shard in 0..self.store.shards() {
            let header = self.store.header(&Slot::Shard(shard)).await?;
            counters.plus(&counters_of_header(&header));
            for (field, value) in &header {
                match field.as_str() {
                    "seq" => as_of.seq += value.parse::<u64>().unwrap_or_default(),
                    "epoch" => as_of.epoch = as_of.epoch.max(value.parse().unwrap_or_default()),
                    view if view == view_field => revs.push(value.parse().unwrap_or_default()),
                    _ => {}
                }
            }
        }
        Ok((counters, as_of, revs))
    }

    /// Where every fen of a campaign's budget is.
    pub async fn ledger(&self, campaign_id: &str) -> Result<LedgerView, Failure> {
        let (view, counters, as_of) = self.books(campaign_id).await?;
        Ok(ledger_view(&counters, &facts_of(&view), as_of))
    }

    /// Audits the store beside whatever runs on it.
    pub async fn audit(&self) -> Result<Report, StoreError> {
        loop {
            let before = self.facts();
            let mut report = audit::audit(&self.store, &before).await?;
            self.refresh().await?;
            let after = self.facts();
            // Orders that go while they are read would be missed; a campaign's go once, so this ends.
            if after.orders_over() == before.orders_over() {
                audit::conclude(&before, &after, &mut report);
                let unreadable = |(id, one): (&String, &Unreadable)| Finding::unreadable_campaign(id, &one.reason);
                report.findings.extend(self.view().unreadable.iter().map(unreadable));
                report.findings.extend(self.audit_winners(&report.findings).await?);
                let (wrong, not_settled) = self.audit_limits().await?;
                report.findings.extend(wrong);
                report.not_settled = not_settled;
                return Ok(report);
            }
        }
    }

    /// What an audit has to know of every published campaign.
    pub fn facts(&self) -> Facts {
        let views = self.view();
        let published = views.by_number.values().filter(|view| view.is_published());
        Facts { campaigns: published.map(|view| (view.number, facts_of(view))).collect(), order_buckets: ORDER_BUCKETS }
    }

    /// What a city watches while the campaign runs.
    pub async fn stats(&self, campaign_id: &str) -> Result<serde_json::Value, Failure> {
        let (view, counters, _) = self.books(campaign_id).await?;
        let of_campaign = || counters.iter().filter(|((cell, _), _)| cell.c == view.number);
        let sum = |what: What| of_campaign().filter(|((_, counted), _)| *counted == what).map(|(_, n)| n).sum::<i64>();
        let now = self.now();
        let rounds = view.rounds.iter().map(|round| {
            let of_round = of_campaign().filter(|((cell, what), _)| cell.round == round.index && *what == What::Packs);
            let issued: i64 = of_round.map(|(_, n)| n).sum();
            let decided: u64 = round.draw.as_ref().map(|draw| draw.winners()).unwrap_or_default();
            let supply: u64 = round.cells().iter().map(|cell| cell.count).sum();
            let coming = if round.round.mode == campaign::Mode::FirstCome { supply } else { decided };
            let handed_on = round.record.returned.is_some() && view.carries(CarryOverSource::Unissued);
            serde_json::json!({
                "round_id": round.round.round_id,
                "issued": issued,
                "released": round.release().released(coming, now),
                "remaining": if handed_on { 0 } else { supply as i64 - issued },
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
        let unreadable = |(id, one): (&String, &Unreadable)| format!("{id}: its record cannot be read: {}", one.reason);
        let mut warnings: Vec<String> = self.view().unreadable.iter().map(unreadable).collect();
        for view in self.view().by_id.values().filter(|view| view.is_published() && !view.record.stopped) {
            for round in &view.rounds {
                let due = round.round.draw.as_ref().is_some_and(|draw| now >= draw.at);
                if due && round.draw.is_none() {
                    warnings.push(format!("{} {}: the draw is due and not held", view.id, round.round.round_id));
                }
                if let Some(what) = self.progress.unreadable(view.number, round.index) {
                    let round_id = &round.round.round_id;
                    warnings.push(format!(
                        "{} {round_id}: stands still, because the record of {what} cannot be read; `quanyu audit` says what the ledger knows",
                        view.id
                    ));
                }
                if let Some(warning) = round.grant_warning() {
                    warnings.push(format!("{} {}: {warning}", view.id, round.round.round_id));
                }
            }
        }
        warnings
    }

    /// The instant up to which every call has arrived that was stamped with it.
    pub(super) fn arrived(&self, now: Ms) -> Ms {
        if self.clock().is_sandbox() { now } else { now - LATE_CALLS }
    }
}

pub(super) fn counters_of_header(header: &[(String, String)]) -> Counters {
    Counters::of_header(header.iter().map(|(field, value)| (field.as_str(), value.as_str())))
}

/// A campaign in the indexes and amounts that the ledger speaks of.
pub(super) fn facts_of(view: &CampaignView) -> CampaignFacts {
    let campaign = view.campaign.clone();
    let supply = view.rounds.iter().flat_map(|round| {
        let cell = |cell: &CellSupply| Supply {
            round: round.index,
            channel: cell.channel,
            pack: cell.pack,
            count: cell.count as i64,
        };
        round.cells().iter().map(cell).collect::<Vec<_>>()
    });
    let rounds = view.rounds.iter().map(|round| RoundFacts {
        round_id: round.round.round_id.clone(),
        own: campaign.own_money(&round.round).0,
        counted: !view.awaits_supply(round),
        funded: round.record.funded,
        returned: round.record.returned,
        returns: campaign.carry_over_sources.contains(&CarryOverSource::Unissued),
        keys_refuse: round.keys_are_indexed(),
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
        rounds: rounds.collect(),
        channels: campaign.channels.clone(),
        packs: packs.collect(),
        supply: supply.collect(),
        has_pool: campaign.carry_over != CarryOver::None,
        orders_over_at: view.record.orders_over_at,
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
