//! What was bought with an order whose till said so: each line of the receipt with what the vouchers took off it, and what came back of it.
//!
//! Of `n` of a line's `m` pieces the price is `floor(net x n / m)`, the payer's part of it `floor(payable x price / net)`, and the issuer's
//! the rest, taken from the line's vouchers in their order. Each refund is the difference of two such sums, so whatever comes back in
//! whatever steps and order, the sums are those of the goods that are back.

use crate::domain::money::Fen;
use crate::domain::refund::split;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::Item;

/// The lines never change; what comes back is added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bought {
    pub lines: Vec<BoughtLine>,
    pub returns: Vec<Returned>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BoughtLine {
    pub sku: String,
    /// At least one piece.
    pub quantity: u32,
    /// After the merchant's own offer.
    pub net: Fen,
    /// What each voucher of the order took off, in their order; those at the end that took nothing may be left out.
    pub off: Vec<Fen>,
}

/// What came back with one refund.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// Its place among the refunds of the order.
    pub refund: usize,
    pub parts: Vec<Part>,
}

/// Some pieces of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub line: usize,
    pub quantity: u32,
}

/// Goods as a till names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub sku: String,
    pub quantity: u32,
}

/// The money of goods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worth {
    pub amount: Fen,
    /// The issuer's share, by voucher of the order.
    pub by_voucher: Vec<Fen>,
}

impl BoughtLine {
    fn worth(&self, pieces: u32) -> Worth {
        let amount = self.net.share(Fen(i64::from(pieces)), Fen(i64::from(self.quantity)));
        let payable = self.net - self.off.iter().copied().sum();
        let by_voucher = split(&self.off, amount - payable.share(amount, self.net));
        Worth { amount, by_voucher }
    }
}

impl Bought {
    /// `off` is what each voucher took off each item.
    pub fn new(items: &[Item], off: Vec<Vec<Fen>>) -> Bought {
        let line = |(item, mut off): (&Item, Vec<Fen>)| {
            off.truncate(off.iter().rposition(|fen| *fen > Fen::ZERO).map_or(0, |last| last + 1));
            let net = item.amount - item.merchant_discount;
            BoughtLine { sku: item.sku.clone(), quantity: item.quantity.max(1), net, off }
        };
        Bought { lines: items.iter().zip(off).map(line).collect(), returns: Vec::new() }
    }

    /// How many pieces of each line have come back.
    pub fn returned(&self) -> Vec<u32> {
        let mut returned = vec![0; self.lines.len()];
        self.returns.iter().flat_map(|one| &one.parts).for_each(|part| returned[part.line] += part.quantity);
        returned
    }

    /// Where named goods are. Of several lines with one sku the first comes back first, so that it does not matter in how many steps.
    pub fn find(&self, asked: &[Piece]) -> Result<Vec<Part>, Refusal> {
        let (mut found, returned) = (Vec::new(), self.returned());
        for piece in merged(asked.iter().cloned()) {
            let mut wanted = piece.quantity;
            let lines: Vec<usize> = (0..self.lines.len()).filter(|line| self.lines[*line].sku == piece.sku).collect();
            if lines.is_empty() {
                return Err(Refusal::new(Code::ItemNotInOrder).with("sku", piece.sku));
            }
            for line in lines {
                let quantity = wanted.min(self.lines[line].quantity - returned[line]);
                wanted -= quantity;
                if quantity > 0 {
                    found.push(Part { line, quantity });
                }
            }
            if wanted > 0 {
                let left = piece.quantity - wanted;
                return Err(Refusal::new(Code::ItemExceedsOrder).with("sku", piece.sku).with("quantity_left", left));
            }
        }
        Ok(found)
    }

    /// What these parts come to, after what has come back before.
    pub fn worth(&self, parts: &[Part]) -> Worth {
        let (mut sum, returned) = (Worth::default(), self.returned());
        for part in parts {
            let (line, before) = (&self.lines[part.line], returned[part.line]);
            let (before, after) = (line.worth(before), line.worth(before + part.quantity));
            sum.amount = sum.amount + after.amount - before.amount;
            let shares = after.by_voucher.into_iter().zip(before.by_voucher).map(|(after, before)| after - before);
            add_to(&mut sum.by_voucher, shares);
        }
        sum
    }

    /// What each voucher has got back so far.
    pub fn back_by_voucher(&self) -> Vec<Fen> {
        let mut sum = Vec::new();
        for (line, returned) in self.lines.iter().zip(self.returned()) {
            add_to(&mut sum, line.worth(returned).by_voucher.into_iter());
        }
        sum
    }

    /// The goods of a refund as its till named them, but that those of one sku are one; `None` for a refund of an amount.
    pub fn pieces_of(&self, refund: usize) -> Option<Vec<Piece>> {
        let returned = self.returns.iter().find(|one| one.refund == refund)?;
        let piece = |part: &Part| Piece { sku: self.lines[part.line].sku.clone(), quantity: part.quantity };
        Some(merged(returned.parts.iter().map(piece)))
    }

    /// Whether a refund was of exactly these goods.
    pub fn was_of(&self, refund: usize, asked: &[Piece]) -> bool {
        let sorted = |mut pieces: Vec<Piece>| {
            pieces.sort_by(|one, other| one.sku.cmp(&other.sku));
            pieces
        };
        self.pieces_of(refund).is_some_and(|known| sorted(known) == sorted(merged(asked.iter().cloned())))
    }
}

/// Pieces of one sku are one; it stands where it was named first.
fn merged(pieces: impl Iterator<Item = Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match merged.iter_mut().find(|known| known.sku == piece.sku) {
            Some(known) => known.quantity = known.quantity.saturating_add(piece.quantity),
            None => merged.push(piece),
        }
    }
    merged
}

fn add_to(sums: &mut Vec<Fen>, shares: impl Iterator<Item = Fen>) {
    for (place, share) in shares.enumerate() {
        match sums.get_mut(place) {
            Some(sum) => *sum = *sum + share,
            None => sums.push(share),
        }
    }
}

#[cfg(test)]
#[path = "bought_tests.rs"]
mod tests;
