//! What was bought with an order whose till said so: each line of the receipt with what the vouchers took off it, and what came back of it.
//!
//! Of `n` of a line's `m` pieces the price is `floor(net x n / m)`, the payer's part of it `floor(payable x price / net)`, and the issuer's
//! the rest, taken from the line's vouchers in their order. Each refund is the difference of two such sums, so whatever comes back in
//! whatever steps and order, the sums are those of the goods that are back.
//!
//! Goods are named by their sku, and by line or serial number where one sku stands on several lines at different prices: which piece came
//! back decides what it cost.

use serde_json::json;

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
    /// In upper case; a line with one is one piece. Orders that were made before these were kept have none.
    pub serial: Option<String>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub sku: String,
    pub quantity: u32,
    /// Place of the line among the items of the order, from 0.
    pub line: Option<usize>,
    /// The case of letters does not matter.
    pub serial: Option<String>,
}

impl Piece {
    fn names_line(&self) -> bool {
        self.line.is_some() || self.serial.is_some()
    }
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

    /// Whether a piece costs the same to the fen, before and after the vouchers.
    fn is_like(&self, other: &BoughtLine) -> bool {
        let (own, others) = (i128::from(self.quantity), i128::from(other.quantity));
        let same = |one: Fen, two: Fen| (i128::from(one.0) * others - i128::from(two.0) * own).abs() < own * others;
        let off = |line: &BoughtLine, voucher: usize| line.off.get(voucher).copied().unwrap_or_default();
        same(self.net, other.net)
            && (0..self.off.len().max(other.off.len())).all(|voucher| same(off(self, voucher), off(other, voucher)))
    }
}

impl Bought {
    /// `off` is what each voucher took off each item.
    pub fn new(items: &[Item], off: Vec<Vec<Fen>>) -> Bought {
        let line = |(item, mut off): (&Item, Vec<Fen>)| {
            off.truncate(off.iter().rposition(|fen| *fen > Fen::ZERO).map_or(0, |last| last + 1));
            let net = item.amount - item.merchant_discount;
            let (sku, serial) = (item.sku.clone(), item.serial.clone());
            BoughtLine { sku, serial, quantity: item.quantity.max(1), net, off }
        };
        Bought { lines: items.iter().zip(off).map(line).collect(), returns: Vec::new() }
    }

    /// How many pieces of each line have come back.
    pub fn returned(&self) -> Vec<u32> {
        let mut returned = vec![0; self.lines.len()];
        self.returns.iter().flat_map(|one| &one.parts).for_each(|part| returned[part.line] += part.quantity);
        returned
    }

    /// Where named goods are. Those that name their line come first, so that the order of naming does not matter; a sku alone is enough
    /// where all its pieces that are left cost the same or come back, and then the first line comes back first.
    pub fn find(&self, asked: &[Piece]) -> Result<Vec<Part>, Refusal> {
        let returned = self.returned();
        let mut left: Vec<u32> = self.lines.iter().zip(returned).map(|(line, back)| line.quantity - back).collect();
        let mut found: Vec<Part> = Vec::new();
        for piece in asked.iter().filter(|piece| piece.names_line()) {
            let line = self.line_of(piece)?;
            if piece.quantity > left[line] {
                let refusal = Refusal::new(Code::ItemExceedsOrder).with("sku", piece.sku.as_str());
                return Err(refusal.with("line", line).with("quantity_left", left[line]));
            }
            take(&mut found, &mut left, line, piece.quantity);
        }
        for piece in by_sku(asked) {
            let lines: Vec<usize> = (0..self.lines.len()).filter(|line| self.lines[*line].sku == piece.sku).collect();
            if lines.is_empty() {
                return Err(Refusal::new(Code::ItemNotInOrder).with("sku", piece.sku));
            }
            let open: Vec<usize> = lines.into_iter().filter(|line| left[*line] > 0).collect();
            let there = open.iter().fold(0, |sum: u32, line| sum.saturating_add(left[*line]));
            if piece.quantity > there {
                return Err(Refusal::new(Code::ItemExceedsOrder).with("sku", piece.sku).with("quantity_left", there));
            }
            let alike = || open.iter().all(|line| self.lines[*line].is_like(&self.lines[open[0]]));
            if piece.quantity < there && !alike() {
                return Err(self.line_required(asked, &piece.sku, &open, &left));
            }
            let mut wanted = piece.quantity;
            for line in open {
                let quantity = wanted.min(left[line]);
                wanted -= quantity;
                take(&mut found, &mut left, line, quantity);
            }
        }
        Ok(found)
    }

    /// The line that a piece names, by its place, its serial number or both.
    fn line_of(&self, piece: &Piece) -> Result<usize, Refusal> {
        let is_it = |place: &usize| {
            let line = &self.lines[*place];
            let serial = |own: &String| line.serial.as_ref().is_some_and(|serial| serial.eq_ignore_ascii_case(own));
            line.sku == piece.sku
                && piece.line.is_none_or(|named| named == *place)
                && piece.serial.as_ref().is_none_or(serial)
        };
        (0..self.lines.len()).find(is_it).ok_or_else(|| {
            let mut refusal = Refusal::new(Code::ItemNotInOrder).with("sku", piece.sku.as_str());
            if let Some(line) = piece.line {
                refusal = refusal.with("line", line);
            }
            match &piece.serial {
                Some(serial) => refusal.with("serial", serial.as_str()),
                None => refusal,
            }
        })
    }

    /// The sku is on several lines at different prices: the till has to say which piece it is.
    fn line_required(&self, asked: &[Piece], sku: &str, open: &[usize], left: &[u32]) -> Refusal {
        let line = |place: &usize| {
            let line = &self.lines[*place];
            let off: Fen = line.off.iter().copied().sum();
            let mut told = json!({"line": place, "quantity_left": left[*place], "quantity": line.quantity,
                "net_amount": line.net.0, "discount_amount": off.0});
            if let Some(serial) = &line.serial {
                told["serial"] = json!(serial);
            }
            told
        };
        let at = asked.iter().position(|piece| piece.sku == sku && !piece.names_line()).unwrap_or_default();
        Refusal::new(Code::LineRequired)
            .with("sku", sku)
            .with("lines", open.iter().map(line).collect::<Vec<_>>())
            .field(format!("/items/{at}/line"), "missing_field", "须指明是哪一行。", "Name the line.")
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

    /// The goods of a refund; the line is told where the sku stands on several. `None` for a refund of an amount.
    pub fn pieces_of(&self, refund: usize) -> Option<Vec<Piece>> {
        let returned = self.returns.iter().find(|one| one.refund == refund)?;
        let piece = |part: &Part| {
            let BoughtLine { sku, serial, .. } = &self.lines[part.line];
            let several = self.lines.iter().filter(|line| line.sku == *sku).count() > 1;
            let line = several.then_some(part.line);
            Piece { sku: sku.clone(), quantity: part.quantity, line, serial: serial.clone() }
        };
        Some(returned.parts.iter().map(piece).collect())
    }

    /// Whether a refund was of exactly these goods, however they are named.
    pub fn was_of(&self, refund: usize, asked: &[Piece]) -> bool {
        let Some(returned) = self.returns.iter().find(|one| one.refund == refund) else { return false };
        let mut left = vec![0; self.lines.len()];
        returned.parts.iter().for_each(|part| left[part.line] += part.quantity);
        for piece in asked.iter().filter(|piece| piece.names_line()) {
            match self.line_of(piece) {
                Ok(line) if piece.quantity <= left[line] => left[line] -= piece.quantity,
                _ => return false,
            }
        }
        let whole = by_sku(asked).iter().all(|piece| {
            let own = self.lines.iter().zip(&mut left).filter(|(line, _)| line.sku == piece.sku);
            own.map(|(_, left)| std::mem::take(left)).sum::<u32>() == piece.quantity
        });
        whole && left.iter().all(|left| *left == 0)
    }
}

/// Takes pieces of a line; a line stands once among the parts.
fn take(found: &mut Vec<Part>, left: &mut [u32], line: usize, quantity: u32) {
    left[line] -= quantity;
    match found.iter_mut().find(|part| part.line == line) {
        Some(part) => part.quantity += quantity,
        None if quantity > 0 => found.push(Part { line, quantity }),
        None => {}
    }
}

/// Those that name no line; pieces of one sku are one, and stand where it was named first.
fn by_sku(asked: &[Piece]) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in asked.iter().filter(|piece| !piece.names_line()) {
        match merged.iter_mut().find(|known| known.sku == piece.sku) {
            Some(known) => known.quantity = known.quantity.saturating_add(piece.quantity),
            None => merged.push(piece.clone()),
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
