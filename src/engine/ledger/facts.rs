//! A campaign as its ledger and counters speak of it: in indexes and amounts, built from the campaign file.

use super::counters::{Cell, Counters, What};
use crate::domain::campaign::schema::{CarryOver, CarryOverSource};
use crate::domain::pool::CellSupply;
use crate::domain::time::{Ms, expiry_hour};
use crate::engine::config::view::CampaignView;

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

/// A campaign in the indexes and amounts that the ledger speaks of.
pub(in crate::engine) fn facts_of(view: &CampaignView) -> CampaignFacts {
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
