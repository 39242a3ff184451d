//! Packs from money: how many packs a round has when its file names an amount, and what it takes from the pool of what earlier rounds
//! left. Counts are fixed once, at the draw or the opening, and never cost more than there is; what no whole pack can use stays.

use serde::{Deserialize, Serialize};

use super::campaign::schema::*;
use super::money::Fen;

/// Packs of one cell of a round: of one channel, or of all channels together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellSupply {
    /// Position of the pack in the campaign's `packs`.
    pub pack: u8,
    /// Position in the campaign's `channels`; `None` when the count is for all of them.
    pub channel: Option<u8>,
    pub count: u64,
}

/// A round's supply, fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub cells: Vec<CellSupply>,
    /// What the packs cost beyond the round's own money: it comes from the pool. Negative when own money remains and goes there.
    pub funded: i64,
}

impl Campaign {
    /// Whether the file leaves a round's counts open until its draw or opening.
    pub fn counts_late(&self, round: &Round) -> bool {
        self.carry_over == CarryOver::NextRound || matches!(round.supply, Supply::Money { .. })
    }

    /// What a round owns by the file, whatever flows to it.
    pub fn own_money(&self, round: &Round) -> Fen {
        match &round.supply {
            Supply::Packs(_) => self.cost(&self.file_cells(round)),
            Supply::Money { amount: MoneyAmount::Fixed(amount), .. } => *amount,
            Supply::Money { amount: MoneyAmount::Pool, .. } => Fen::ZERO,
        }
    }

    /// The cells of a round that counts its packs in the file. Equal parts of what does not divide: the first channels get one more.
    pub fn file_cells(&self, round: &Round) -> Vec<CellSupply> {
        let Supply::Packs(packs) = &round.supply else { return Vec::new() };
        let cells = packs.iter().flat_map(|supply| {
            let Some(pack) = self.pack_position(&supply.pack_id) else { return Vec::new() };
            let cell = |(channel, count)| CellSupply { pack, channel: Some(channel), count };
            match &supply.by_channel {
                None => vec![CellSupply { pack, channel: None, count: supply.count }],
                Some(ByChannel::Equal) => {
                    let (channels, positions) = (self.channels.len().max(1) as u64, 0u8..self.channels.len() as u8);
                    let (each, rest) = (supply.count / channels, supply.count % channels);
                    let part = |channel: u8| (channel, each + u64::from(u64::from(channel) < rest));
                    positions.map(|channel| cell(part(channel))).collect()
                }
                Some(ByChannel::Parts(parts)) => self.positions(parts).map(cell).collect(),
            }
        });
        cells.collect()
    }

    /// Fixes a round's supply when the pool holds `pool`.
    pub fn fix_supply(&self, round: &Round, pool: Fen) -> Fixed {
        let own = self.own_money(round);
        let from_pool = matches!(round.supply, Supply::Money { amount: MoneyAmount::Pool, .. });
        let taken = match self.carry_over {
            CarryOver::NextRound => pool.max(Fen::ZERO),
            CarryOver::Pool if from_pool => pool.max(Fen::ZERO),
            CarryOver::Pool | CarryOver::None => Fen::ZERO,
        };
        let mut cells = match &round.supply {
            Supply::Packs(_) => self.grown(self.file_cells(round), own, taken),
            Supply::Money { weights, by_channel, .. } => self.cells_of(own + taken, weights, by_channel.as_ref()),
        };
        cells.sort_unstable();
        Fixed { funded: self.cost(&cells).0 - own.0, cells }
    }

    /// What packs can cost at most.
    pub fn cost(&self, cells: &[CellSupply]) -> Fen {
        let value = |cell: &CellSupply| i128::from(self.value_at(cell.pack)) * i128::from(cell.count);
        // Only a draft can name sums that no amount holds; they must still compare as "too much".
        Fen(i64::try_from(cells.iter().map(value).sum::<i128>()).unwrap_or(i64::MAX))
    }

    /// Money is divided by channel first, then by weight; of each share the whole packs count.
    fn cells_of(&self, money: Fen, weights: &[PackWeight], by_channel: Option<&ByChannel>) -> Vec<CellSupply> {
        let money = u128::try_from(money.0).unwrap_or_default();
        let parts: Vec<(Option<u8>, u128)> = match by_channel {
            None => vec![(None, money)],
            Some(ByChannel::Equal) => {
                let channels = self.channels.len().max(1);
                (0..channels as u8).map(|channel| (Some(channel), money / channels as u128)).collect()
            }
            Some(ByChannel::Parts(parts)) => {
                let sum: u128 = parts.iter().map(|part| u128::from(part.count)).sum();
                let share = |part: u64| money * u128::from(part) / sum.max(1);
                self.positions(parts).map(|(channel, part)| (Some(channel), share(part))).collect()
            }
        };
        let sum: u128 = weights.iter().map(|weight| u128::from(weight.weight)).sum();
        let packs = weights.iter().filter_map(|weight| Some((self.pack_position(&weight.pack_id)?, weight.weight)));
        let cells = packs.flat_map(|(pack, weight)| {
            let value = u128::try_from(self.value_at(pack)).unwrap_or_default();
            let count = move |money: u128| money * u128::from(weight) / (sum * value).max(1);
            let cell = move |(channel, money)| CellSupply { pack, channel, count: count(money) as u64 };
            parts.iter().copied().map(cell).collect::<Vec<_>>()
        });
        cells.collect()
    }

    /// Adds what other money buys, to each cell in proportion to its own.
    fn grown(&self, mut cells: Vec<CellSupply>, own: Fen, taken: Fen) -> Vec<CellSupply> {
        let (own, taken) = (own.0.max(1) as u128, taken.0.max(0) as u128);
        for cell in &mut cells {
            // The cell's share of the money is taken x count x value / own, which buys share / value packs.
            cell.count += (taken * u128::from(cell.count) / own) as u64;
        }
        cells
    }

    fn pack_position(&self, pack_id: &str) -> Option<u8> {
        self.pack(pack_id).and_then(|(index, _)| u8::try_from(index).ok())
    }

    fn value_at(&self, pack: u8) -> i64 {
        self.packs.get(usize::from(pack)).map_or(0, |pack| pack.value().0)
    }

    fn positions<'a>(&'a self, parts: &'a [ChannelPart]) -> impl Iterator<Item = (u8, u64)> + 'a {
        let position = |part: &ChannelPart| Some((self.channel_index(&part.channel)? as u8, part.count));
        parts.iter().filter_map(position)
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
