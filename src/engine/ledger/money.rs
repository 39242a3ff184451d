//! Where every fen of a campaign's budget is, from the live counters:
//! budget = unallocated + unissued + outstanding + held + redeemed + expired + recovered.

use serde::Serialize;

use super::counters::{Cell, Counters, What};
use super::facts::{CampaignFacts, RoundFacts, Supply};

/// The accounts of some part of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Accounts {
    pub budget: i64,
    pub unallocated: i64,
    pub unissued: i64,
    /// In vouchers that may be used, and in those that ran out since the last full hour.
    pub outstanding: i64,
    pub held: i64,
    pub redeemed: i64,
    /// Booked at the first full hour after the end of the validity.
    pub expired: i64,
    pub recovered: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignLedger)]
pub struct LedgerView {
    pub total: Accounts,
    pub rounds: Vec<RoundAccounts>,
    pub channels: Vec<ChannelAccounts>,
    pub packs: Vec<PackAccounts>,
    /// Money that no pack has; their amounts are the total's `unallocated`.
    pub pools: Vec<Pool>,
    pub as_of: AsOf,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RoundAccounts {
    pub round_id: String,
    #[serde(flatten)]
    pub accounts: Accounts,
}

/// A supply that is not divided by channel counts as budget of a channel only as far as that channel has issued it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ChannelAccounts {
    pub channel: String,
    #[serde(flatten)]
    pub accounts: Accounts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PackAccounts {
    pub pack_id: String,
    #[serde(flatten)]
    pub accounts: Accounts,
}

/// `unallocated` is what no round was given; `pool` is what rounds left behind, less what later rounds took from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PoolAccount)]
pub struct Pool {
    pub pool: &'static str,
    pub amount: i64,
    pub received: i64,
    pub taken: i64,
}

/// Highest epoch and sum of the seqs of all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AsOf {
    pub epoch: u64,
    pub seq: u64,
}

pub fn ledger_view(counters: &Counters, facts: &CampaignFacts, as_of: AsOf) -> LedgerView {
    let accounts = |supplies: &dyn Fn(&Supply) -> bool, cells: &dyn Fn(&Cell) -> bool| {
        accounts_of(counters, facts, supplies, cells)
    };
    let undivided = |round: &RoundFacts| if round.counted { 0 } else { round.own };
    let (received, taken) = facts.pool(counters);
    let mut total = accounts(&|_| true, &|_| true);
    total.budget = facts.budget;
    total.unallocated = facts.unallocated + received - taken;
    total.unissued += facts.rounds.iter().map(undivided).sum::<i64>();
    let rounds = (0u8..).zip(&facts.rounds).map(|(round, of_round)| {
        let mut accounts = accounts(&|supply| supply.round == round, &|cell| cell.round == round);
        accounts.budget += undivided(of_round);
        accounts.unissued += undivided(of_round);
        RoundAccounts { round_id: of_round.round_id.clone(), accounts }
    });
    let channels = (0u8..).zip(&facts.channels).map(|(channel, name)| ChannelAccounts {
        channel: name.clone(),
        accounts: accounts_of_channel(counters, facts, channel),
    });
    let packs = (0u8..).zip(&facts.packs).map(|(pack, of_pack)| PackAccounts {
        pack_id: of_pack.pack_id.clone(),
        accounts: accounts(&|supply| supply.pack == pack, &|cell| cell.pack == pack),
    });
    LedgerView {
        total,
        rounds: rounds.collect(),
        channels: channels.collect(),
        packs: packs.collect(),
        pools: pools(facts, received, taken),
        as_of,
    }
}

/// Without a pool, what no pack could use goes to what no round was given.
fn pools(facts: &CampaignFacts, received: i64, taken: i64) -> Vec<Pool> {
    let pool = |pool, received, taken| Pool { pool, amount: received - taken, received, taken };
    if facts.has_pool {
        vec![pool("unallocated", facts.unallocated, 0), pool("pool", received, taken)]
    } else {
        vec![pool("unallocated", facts.unallocated + received, taken)]
    }
}

/// A budget is what the packs cost, less what has flowed on to the pool.
fn accounts_of(
    counters: &Counters,
    facts: &CampaignFacts,
    supplies: &dyn Fn(&Supply) -> bool,
    cells: &dyn Fn(&Cell) -> bool,
) -> Accounts {
    let left = |supply: &Supply| supply.count * facts.value(supply.pack) - facts.returned_of(supply, counters);
    let mut accounts = Accounts::default();
    accounts.budget = facts.supply.iter().filter(|supply| supplies(supply)).map(left).sum();
    accounts.unissued = accounts.budget;
    for ((cell, what), n) in counters.iter().filter(|((cell, _), _)| cell.c == facts.c && cells(cell)) {
        match what {
            What::Packs => accounts.unissued -= n * facts.value(cell.pack),
            What::Outstanding(_) => accounts.outstanding += n,
            What::Held => accounts.held += n,
            What::Redeemed => accounts.redeemed += n,
            What::Expired => accounts.expired += n,
            What::Recovered | What::Late => accounts.recovered += n,
            What::Pool => accounts.budget -= n,
            What::Reservations | What::Redemptions | What::GrossRedeemed | What::GrossReturned => {}
        }
    }
    accounts
}

/// Packs of an undivided supply belong to a channel once it has issued them: budget and what was issued grow together.
fn accounts_of_channel(counters: &Counters, facts: &CampaignFacts, channel: u8) -> Accounts {
    let mut accounts =
        accounts_of(counters, facts, &|supply| supply.channel == Some(channel), &|cell| cell.channel == channel);
    let divided = |cell: &Cell| {
        facts
            .supply
            .iter()
            .any(|supply| (supply.round, supply.pack, supply.channel) == (cell.round, cell.pack, Some(channel)))
    };
    for ((cell, what), n) in counters.iter() {
        if cell.c == facts.c && cell.channel == channel && what == What::Packs && !divided(&cell) {
            let value = n * facts.value(cell.pack);
            accounts.budget += value;
            accounts.unissued += value;
        }
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ledger::facts::PackFacts;

    #[test]
    fn every_part_of_the_view_adds_up_to_its_budget() {
        let supply = |channel, pack, count| Supply { round: 0, channel, pack, count };
        let pack = |pack_id: &str, value| PackFacts { pack_id: pack_id.into(), units: vec![value], shares: vec![] };
        let facts = CampaignFacts {
            c: 7,
            campaign_id: "demo".into(),
            buckets: 1,
            budget: 10_500,
            unallocated: 500,
            rounds: vec![RoundFacts { round_id: "r1".into(), own: 10_000, counted: true, ..RoundFacts::default() }],
            has_pool: false,
            orders_over_at: None,
            channels: vec!["alipay".into(), "wechat".into()],
            packs: vec![pack("a", 100), pack("b", 200)],
            supply: vec![supply(Some(0), 0, 20), supply(Some(1), 0, 20), supply(None, 1, 30)],
            expiry_hour: Box::new(|_, _, _, _| 0),
        };
        let header = [
            ("n:7:0:0:0:pk", "3"),
            ("n:7:0:0:0:out:9", "150"),
            ("n:7:0:0:0:red", "100"),
            ("n:7:0:0:0:held", "50"),
            ("n:7:0:1:1:pk", "2"),
            ("n:7:0:1:1:exp", "300"),
            ("n:7:0:1:1:rec", "100"),
            ("n:8:0:0:0:pk", "9"),
        ];
        let view = ledger_view(&Counters::of_header(header), &facts, AsOf { epoch: 1, seq: 5 });
        let balanced = |a: &Accounts| {
            a.budget == a.unallocated + a.unissued + a.outstanding + a.held + a.redeemed + a.expired + a.recovered
        };
        assert!(balanced(&view.total), "{view:?}");
        assert_eq!(view.total.unissued, 10_000 - 300 - 400);
        assert!(view.rounds.iter().all(|round| balanced(&round.accounts)), "{view:?}");
        assert!(view.channels.iter().all(|channel| balanced(&channel.accounts)), "{view:?}");
        assert!(view.packs.iter().all(|pack| balanced(&pack.accounts)), "{view:?}");
        assert_eq!(serde_json::to_value(&view).unwrap()["rounds"][0]["round_id"], "r1");
    }
}
