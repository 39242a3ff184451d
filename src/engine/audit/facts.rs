//! What an audit has to know of the campaigns: built by the caller from the campaign files, so that the audit depends on no code
//! that decides anything.

use std::collections::BTreeMap;

use super::counters::{Cell, Counters, What};
use super::order::{Order, Unit};
use crate::domain::time::Ms;
use crate::store::ledger::PersonField;

/// All campaigns of an installation.
pub struct Facts {
    pub campaigns: BTreeMap<u16, CampaignFacts>,
    pub order_buckets: u16,
}

/// One campaign, in indexes; names are only for people who read the result.
pub struct CampaignFacts {
    pub c: u16,
    pub campaign_id: String,
    /// Buckets of person records per shard.
    pub buckets: u32,
    pub budget: i64,
    /// Money that no round has by the file.
    pub unallocated: i64,
    pub rounds: Vec<RoundFacts>,
    pub channels: Vec<String>,
    pub packs: Vec<PackFacts>,
    /// Cells of the rounds whose packs are counted.
    pub supply: Vec<Supply>,
    /// What is left of a round goes to the pool, from which later rounds take; without it nothing moves between rounds.
    pub has_pool: bool,
    /// From when on its orders may be gone.
    pub orders_over_at: Option<Ms>,
    /// (round, pack, unit, instant of the credit) -> hour since the epoch, rounded up, at which the unit expires.
    pub expiry_hour: Box<dyn Fn(u8, u8, u8, Ms) -> i64 + Send + Sync>,
}

/// A round's money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundFacts {
    pub round_id: String,
    /// What the file gives it.
    pub own: i64,
    /// Whether its packs are counted: before that its money lies there undivided.
    pub counted: bool,
    /// What its packs cost beyond its own money, from the pool; negative when own money went there.
    pub funded: i64,
    /// What nobody got and went to the pool, once the round was over.
    pub returned: Option<i64>,
    /// Whether what nobody gets goes to the pool at all.
    pub returns: bool,
    /// Whether a phone, device or account stands for one person only at every instant.
    pub keys_refuse: bool,
}

pub struct PackFacts {
    pub pack_id: String,
    /// Discount of each unit, in the order in which units are numbered.
    pub units: Vec<i64>,
    /// Units that take off a share of the goods: their discount is the most that a line may say.
    pub shares: Vec<u8>,
}

impl PackFacts {
    pub fn value(&self) -> i64 {
        self.units.iter().sum()
    }
}

/// Packs that a round may issue.
pub struct Supply {
    pub round: u8,
    /// None when the count is for all channels together.
    pub channel: Option<u8>,
    pub pack: u8,
    pub count: i64,
}

impl CampaignFacts {
    pub fn value(&self, pack: u8) -> i64 {
        self.packs.get(usize::from(pack)).map_or(0, |pack| pack.value())
    }

    /// What the packs of a round cost.
    pub fn cost(&self, round: u8) -> i64 {
        self.supply
            .iter()
            .filter(|supply| supply.round == round)
            .map(|supply| supply.count * self.value(supply.pack))
            .sum()
    }

    /// Packs of a supply that have been issued.
    pub fn issued(&self, supply: &Supply, counters: &Counters) -> i64 {
        let of_supply = |(cell, what): &(Cell, What)| {
            *what == What::Packs
                && (cell.c, cell.round, cell.pack) == (self.c, supply.round, supply.pack)
                && supply.channel.is_none_or(|channel| channel == cell.channel)
        };
        counters.iter().filter(|(counter, _)| of_supply(counter)).map(|(_, n)| n).sum()
    }

    /// What the packs cost that a round has not issued.
    pub fn unissued(&self, round: u8, counters: &Counters) -> i64 {
        self.supply.iter().filter(|supply| supply.round == round).map(|supply| self.unissued_of(supply, counters)).sum()
    }

    fn unissued_of(&self, supply: &Supply, counters: &Counters) -> i64 {
        (supply.count - self.issued(supply, counters)) * self.value(supply.pack)
    }

    /// What of a supply nobody got and went to the pool.
    pub fn returned_of(&self, supply: &Supply, counters: &Counters) -> i64 {
        let round = self.rounds.get(usize::from(supply.round));
        let gone = round.is_some_and(|round| round.returns && round.returned.is_some());
        if gone { self.unissued_of(supply, counters) } else { 0 }
    }

    /// What the pool has received, and what rounds have taken from it.
    pub fn pool(&self, counters: &Counters) -> (i64, i64) {
        let carried = counters.iter().filter(|((cell, what), _)| cell.c == self.c && *what == What::Pool);
        let returned = self.rounds.iter().filter_map(|round| round.returned);
        let unused = self.rounds.iter().map(|round| (-round.funded).max(0));
        let received = carried.map(|(_, n)| n).sum::<i64>() + returned.sum::<i64>() + unused.sum::<i64>();
        (received, self.rounds.iter().map(|round| round.funded.max(0)).sum())
    }
}

impl Facts {
    pub fn bucket(&self, c: u16, f: &PersonField) -> u32 {
        let [a, b, c0, d, ..] = f.0;
        let buckets = self.campaigns.get(&c).map_or(1, |campaign| campaign.buckets.max(1));
        u32::from_be_bytes([a, b, c0, d]) % buckets
    }

    /// From when on an order with these vouchers may be gone: the last of its campaigns decides.
    pub fn order_gone_at(&self, order: &Order) -> Option<Ms> {
        let over = |unit: &Unit| self.campaigns.get(&unit.person.0).and_then(|campaign| campaign.orders_over_at);
        let over: Option<Vec<Ms>> = order.units.iter().map(over).collect();
        over.and_then(|over| over.into_iter().max())
    }

    /// Whether an order was forgotten by then, so that another may bear its name.
    pub fn name_is_free(&self, order: &Order, at: Ms) -> bool {
        self.order_gone_at(order).is_some_and(|gone_at| gone_at <= at)
    }

    /// Campaigns whose orders may be gone.
    pub fn orders_over(&self) -> Vec<u16> {
        self.campaigns
            .values()
            .filter(|campaign| campaign.orders_over_at.is_some())
            .map(|campaign| campaign.c)
            .collect()
    }

    pub fn discount(&self, c: u16, pack: u8, unit: u8) -> Option<i64> {
        self.campaigns.get(&c)?.packs.get(usize::from(pack))?.units.get(usize::from(unit)).copied()
    }

    /// What a line that says `said` may move of a unit.
    pub fn discount_said(&self, c: u16, pack: u8, unit: u8, said: i64) -> Option<i64> {
        let most = self.discount(c, pack, unit)?;
        let share =
            self.campaigns.get(&c).is_some_and(|campaign| campaign.packs[usize::from(pack)].shares.contains(&unit));
        Some(if share && (1..most).contains(&said) { said } else { most })
    }

    pub fn expiry_hour(&self, c: u16, round: u8, pack: u8, unit: u8, at: Ms) -> i64 {
        self.campaigns.get(&c).map_or(0, |campaign| (campaign.expiry_hour)(round, pack, unit, at))
    }
}
