//! What must hold over all shards: supply, budget, and one redemption per order.

use std::collections::BTreeSet;

use super::Finding;
use super::counters::{Cell, Counters, What};
use super::facts::{CampaignFacts, Facts, Supply};
use crate::store::ledger::OrderKey;

/// Checks sums that no single shard can see. A cell that is in a finding already is not told again.
pub fn check(facts: &Facts, counters: &Counters, findings: &mut Vec<Finding>) {
    for campaign in facts.campaigns.values() {
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
        told.extend(
            campaign.supply.iter().filter(|_| sound).filter_map(|supply| oversold(campaign, supply, &cells, counters)),
        );
        told.extend(over_budget(campaign));
        findings.extend(told);
    }
}

/// Every fen of an issued pack is in exactly one account.
fn unbalanced(campaign: &CampaignFacts, cell: Cell, counters: &Counters) -> Option<Finding> {
    let value = campaign.packs.get(usize::from(cell.pack))?.value();
    let issued = counters.get(cell, What::Packs) * value;
    let accounts = [What::Held, What::Redeemed, What::Expired, What::Recovered];
    let found = counters.outstanding(cell) + accounts.iter().map(|what| counters.get(cell, *what)).sum::<i64>();
    let explanation = "outstanding + held + redeemed + expired + recovered is not what was issued".to_owned();
    let subject =
        format!("{}, round {}, channel {}, pack {}", campaign.campaign_id, cell.round, cell.channel, cell.pack);
    (issued != found).then(|| Finding::new("conservation", subject, issued.to_string(), found.to_string(), explanation))
}

fn oversold(campaign: &CampaignFacts, supply: &Supply, cells: &BTreeSet<Cell>, counters: &Counters) -> Option<Finding> {
    let of_supply = |cell: &&Cell| {
        (cell.round, cell.pack) == (supply.round, supply.pack)
            && supply.channel.is_none_or(|channel| channel == cell.channel)
    };
    let issued: i64 = cells.iter().filter(of_supply).map(|cell| counters.get(*cell, What::Packs)).sum();
    let channel = supply.channel.map_or("all channels".to_owned(), |channel| format!("channel {channel}"));
    let subject = format!("{}, round {}, {channel}, pack {}", campaign.campaign_id, supply.round, supply.pack);
    let explanation = "more packs were issued than the campaign has".to_owned();
    let expected = format!("at most {}", supply.count);
    (issued > supply.count).then(|| Finding::new("oversold", subject, expected, issued.to_string(), explanation))
}

/// budget = unallocated + the value of all packs: the rest of the equation is per cell.
fn over_budget(campaign: &CampaignFacts) -> Option<Finding> {
    let value =
        |supply: &Supply| campaign.packs.get(usize::from(supply.pack)).map_or(0, |pack| pack.value()) * supply.count;
    let found = campaign.unallocated + campaign.supply.iter().map(value).sum::<i64>();
    let explanation = "unallocated money and the packs of all rounds do not add up to the budget".to_owned();
    let subject = campaign.campaign_id.clone();
    (found != campaign.budget || campaign.unallocated < 0)
        .then(|| Finding::new("budget", subject, campaign.budget.to_string(), found.to_string(), explanation))
}

/// An order is redeemed on one shard at most, whatever was planned in between.
pub fn redeemed_twice(mut orders: Vec<OrderKey>) -> Vec<Finding> {
    orders.sort_unstable();
    let twice: BTreeSet<OrderKey> = orders.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    let finding = |key| {
        let explanation = "two shards have redeemed vouchers for one order".to_owned();
        Finding::new("order_applied_twice", format!("order {key}"), "one shard".into(), "several".into(), explanation)
    };
    twice.into_iter().map(finding).collect()
}
