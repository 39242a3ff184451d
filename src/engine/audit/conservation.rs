//! What must hold over all shards: supply, budget, pool, and one redemption per order.

use std::collections::BTreeSet;

use super::Finding;
use super::facts::Facts;
use super::order::RedeemedOrder;
use crate::engine::ledger::counters::{Cell, Counters, What};
use crate::engine::ledger::facts::{CampaignFacts, Supply};
use crate::store::ledger::OrderKey;

/// Checks sums that no single shard can see. A cell that is in a finding already is not told again.
///
/// The counters were read between the two facts: what was issued had its supply by the later ones, what was taken from the pool or
/// returned to it by the earlier ones had happened before the counters were read.
pub fn check(before: &Facts, after: &Facts, counters: &Counters, findings: &mut Vec<Finding>) {
    for campaign in after.campaigns.values() {
        let troubled = |cell: &Cell| {
            let prefix = format!("n:{}:{}:{}:{}:", cell.c, cell.round, cell.channel, cell.pack);
            findings.iter().any(|finding| finding.subject.contains(&prefix))
        };
        let mut told: Vec<Finding> = Vec::new();
        let cells: BTreeSet<Cell> = counters
            .iter()
            .filter(|((cell, what), _)| cell.c == campaign.c && *what != What::Reservations)
            .map(|((cell, _), _)| cell)
            .collect();
        for cell in cells.iter().filter(|cell| !troubled(cell)) {
            told.extend(unbalanced(campaign, *cell, counters));
        }
        let sound = !cells.iter().any(troubled);
        if sound {
            told.extend(campaign.supply.iter().filter_map(|supply| oversold(campaign, supply, counters)));
            told.extend(cells.iter().filter_map(|cell| without_supply(campaign, cell, counters)));
            let earlier = before.campaigns.get(&campaign.c);
            told.extend(earlier.and_then(|earlier| overdrawn(earlier, counters)));
            told.extend(earlier.into_iter().flat_map(|earlier| returned_otherwise(earlier, counters)));
        }
        told.extend(over_budget(campaign));
        findings.extend(told);
    }
}

/// Every fen of an issued pack is in exactly one account.
fn unbalanced(campaign: &CampaignFacts, cell: Cell, counters: &Counters) -> Option<Finding> {
    let value = campaign.packs.get(usize::from(cell.pack))?.value();
    let issued = counters.get(cell, What::Packs) * value;
    let accounts = [What::Held, What::Redeemed, What::Expired, What::Recovered, What::Late, What::Pool];
    let found = counters.outstanding(cell) + accounts.iter().map(|what| counters.get(cell, *what)).sum::<i64>();
    let explanation = "outstanding + held + redeemed + expired + recovered + pool is not what was issued".to_owned();
    let subject =
        format!("{}, round {}, channel {}, pack {}", campaign.campaign_id, cell.round, cell.channel, cell.pack);
    (issued != found).then(|| Finding::new("conservation", subject, issued.to_string(), found.to_string(), explanation))
}

fn oversold(campaign: &CampaignFacts, supply: &Supply, counters: &Counters) -> Option<Finding> {
    let issued = campaign.issued(supply, counters);
    let channel = supply.channel.map_or("all channels".to_owned(), |channel| format!("channel {channel}"));
    let subject = format!("{}, round {}, {channel}, pack {}", campaign.campaign_id, supply.round, supply.pack);
    let explanation = "more packs were issued than the campaign has".to_owned();
    let expected = format!("at most {}", supply.count);
    (issued > supply.count).then(|| Finding::new("oversold", subject, expected, issued.to_string(), explanation))
}

fn without_supply(campaign: &CampaignFacts, cell: &Cell, counters: &Counters) -> Option<Finding> {
    let issued = counters.get(*cell, What::Packs);
    let supplied = campaign.supply.iter().any(|supply| {
        (supply.round, supply.pack) == (cell.round, cell.pack)
            && supply.channel.is_none_or(|channel| channel == cell.channel)
    });
    let subject =
        format!("{}, round {}, channel {}, pack {}", campaign.campaign_id, cell.round, cell.channel, cell.pack);
    let explanation = "packs were issued that the round does not have, or before they were counted".to_owned();
    (issued > 0 && !supplied)
        .then(|| Finding::new("oversold", subject, "at most 0".into(), issued.to_string(), explanation))
}

/// budget = unallocated + the money of all rounds, and packs cost what their round has: the rest of the equation is per cell.
fn over_budget(campaign: &CampaignFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    let sum = campaign.unallocated + campaign.rounds.iter().map(|round| round.own).sum::<i64>();
    if sum != campaign.budget || campaign.unallocated < 0 {
        let explanation = "unallocated money and the money of all rounds do not add up to the budget".to_owned();
        let (subject, budget) = (campaign.campaign_id.clone(), campaign.budget.to_string());
        found.push(Finding::new("budget", subject, budget, sum.to_string(), explanation));
    }
    for (index, round) in (0u8..).zip(&campaign.rounds).filter(|(_, round)| round.counted) {
        let (cost, money) = (campaign.cost(index), round.own + round.funded);
        if cost != money {
            let explanation = "the packs of a round do not cost what the round has by file and pool".to_owned();
            let subject = format!("{}, round {}", campaign.campaign_id, round.round_id);
            found.push(Finding::new("supply", subject, money.to_string(), cost.to_string(), explanation));
        }
    }
    found
}

/// Rounds take from the pool what has flowed into it, and no more.
fn overdrawn(campaign: &CampaignFacts, counters: &Counters) -> Option<Finding> {
    let (received, taken) = campaign.pool(counters);
    let explanation = "rounds have taken more from the pool than earlier rounds left".to_owned();
    let subject = format!("{}, pool", campaign.campaign_id);
    let expected = format!("at most {received}");
    (taken > received).then(|| Finding::new("pool_overdrawn", subject, expected, taken.to_string(), explanation))
}

/// A round gives to the pool what nobody got: nothing is issued after that, and nothing is counted twice.
fn returned_otherwise(campaign: &CampaignFacts, counters: &Counters) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, round) in (0u8..).zip(&campaign.rounds) {
        let Some(returned) = round.returned else { continue };
        let left = if round.returns { campaign.unissued(index, counters) } else { 0 };
        if left != returned {
            let explanation = "what went to the pool is not what nobody got of the round's packs".to_owned();
            let subject = format!("{}, round {}", campaign.campaign_id, round.round_id);
            found.push(Finding::new("returned", subject, left.to_string(), returned.to_string(), explanation));
        }
    }
    found
}

/// An order is redeemed on one shard at most, whatever was planned in between.
pub fn redeemed_twice(mut orders: Vec<RedeemedOrder>) -> Vec<Finding> {
    orders.sort_unstable();
    let same = |pair: &&[RedeemedOrder]| pair[0].key == pair[1].key && pair[1].at < pair[0].gone_at;
    let twice: BTreeSet<OrderKey> = orders.windows(2).filter(same).map(|pair| pair[0].key).collect();
    let finding = |key| {
        let explanation = "two shards have redeemed vouchers for one order".to_owned();
        Finding::new("order_applied_twice", format!("order {key}"), "one shard".into(), "several".into(), explanation)
    };
    twice.into_iter().map(finding).collect()
}
