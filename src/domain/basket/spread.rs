//! Which goods of a receipt pay with which voucher, to the fen: what comes back when one of them does.
//!
//! A voucher takes off from the goods that it is for, in proportion to what is still to pay of each. Those for little take first. Where one
//! finds its goods paid for, vouchers that have other goods make room: the basket has seen to it that there is room for all.

use std::collections::VecDeque;

use crate::domain::goods::Goods;
use crate::domain::money::Fen;
use crate::domain::rules::Item;

/// What each voucher takes off each item: lists by voucher, one for each item. `None` when there is no room for all.
pub fn spread(items: &[Item], vouchers: &[(Goods, Fen)]) -> Option<Vec<Vec<Fen>>> {
    let mut spread = Spread {
        room: items.iter().map(|item| item.amount - item.merchant_discount).collect(),
        off: vec![vec![Fen::ZERO; vouchers.len()]; items.len()],
        vouchers,
    };
    let mut narrow: Vec<usize> = (0..vouchers.len()).collect();
    let worth = |voucher: usize| spread.lines_of(voucher).map(|line| spread.room[line]).sum::<Fen>();
    narrow.sort_by_key(|voucher| worth(*voucher));
    for voucher in narrow {
        let mut missing = spread.take(voucher);
        while missing > Fen::ZERO {
            missing = missing - spread.make_room(voucher, missing)?;
        }
    }
    Some(spread.off)
}

struct Spread<'a> {
    /// What is still to pay of each line.
    room: Vec<Fen>,
    /// By line and voucher.
    off: Vec<Vec<Fen>>,
    vouchers: &'a [(Goods, Fen)],
}

impl Spread<'_> {
    fn lines_of(&self, voucher: usize) -> impl Iterator<Item = usize> {
        (0..self.room.len()).filter(move |line| self.vouchers[voucher].0.has(*line))
    }

    /// Takes what there is room for, rounded down cumulatively, and says what is missing.
    fn take(&mut self, voucher: usize) -> Fen {
        let lines: Vec<usize> = self.lines_of(voucher).collect();
        let there: Fen = lines.iter().map(|line| self.room[*line]).sum();
        let wanted = self.vouchers[voucher].1;
        let taken = wanted.min(there);
        let (mut passed, mut given) = (Fen::ZERO, Fen::ZERO);
        for line in lines {
            passed = passed + self.room[line];
            let part = taken.share(passed, there) - given;
            given = given + part;
            self.room[line] = self.room[line] - part;
            self.off[line][voucher] = self.off[line][voucher] + part;
        }
        wanted - taken
    }

    /// Moves others to goods of theirs that have room, on the shortest way there is, and takes their places.
    fn make_room(&mut self, voucher: usize, missing: Fen) -> Option<Fen> {
        let (came_from, last) = self.way(voucher)?;
        let mut moved = missing.min(self.room[last]);
        let mut line = last;
        while let Some((before, other)) = came_from[line].flatten() {
            moved = moved.min(self.off[before][other]);
            line = before;
        }
        self.room[last] = self.room[last] - moved;
        line = last;
        while let Some((before, other)) = came_from[line].flatten() {
            self.off[line][other] = self.off[line][other] + moved;
            self.off[before][other] = self.off[before][other] - moved;
            line = before;
        }
        self.off[line][voucher] = self.off[line][voucher] + moved;
        Some(moved)
    }

    /// From the voucher's goods to a line with room: each line that was reached, with the line before it and the voucher that would move.
    #[allow(clippy::type_complexity, reason = "a list that is made and read here alone")]
    fn way(&self, voucher: usize) -> Option<(Vec<Option<Option<(usize, usize)>>>, usize)> {
        let mut came_from = vec![None; self.room.len()];
        let mut open: VecDeque<usize> = self.lines_of(voucher).collect();
        open.iter().for_each(|line| came_from[*line] = Some(None));
        while let Some(line) = open.pop_front() {
            if self.room[line] > Fen::ZERO {
                return Some((came_from, line));
            }
            let movable = (0..self.vouchers.len()).filter(|other| self.off[line][*other] > Fen::ZERO);
            for (other, next) in movable.flat_map(|other| self.lines_of(other).map(move |next| (other, next))) {
                if came_from[next].is_none() {
                    came_from[next] = Some(Some((line, other)));
                    open.push_back(next);
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
