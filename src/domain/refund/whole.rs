//! Whether all that a voucher's campaign looks at is back with a refund.
//!
//! With vouchers of one campaign that is the whole order. With vouchers of several campaigns each looks at its own part: the lines that its
//! own vouchers took something off, a line that two of them paid for counting for both. So goods of another campaign that cannot come back,
//! or that no voucher was for, keep no voucher used. Where no line says what a voucher was for (an order without goods, or one whose refunds
//! are amounts) the part of every campaign is the whole order.

use super::Back;
use crate::domain::bought::Bought;
use crate::domain::money::Fen;
use crate::domain::order::Order;
use crate::domain::time::Ms;

/// How a refund stands to the part of the order that a voucher's campaign looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The part is whole with this refund, and was not before.
    pub whole: bool,
    /// Nothing of it had come back before.
    pub at_once: bool,
}

impl Completion {
    /// Of a whole order, of which `refunded` had come back before `amount`.
    pub(super) fn of_order(net: Fen, refunded: Fen, amount: Fen) -> Completion {
        Completion { whole: completes(net, refunded, amount), at_once: refunded == Fen::ZERO }
    }
}

/// For each voucher of the order.
pub fn completions(order: &Order, bought: Option<&Bought>, back: &Back) -> Vec<Completion> {
    let of_order = Completion::of_order(order.net(), order.refunded_total(), back.amount);
    let by_goods = |bought: &&Bought| of_several(order) && !(back.parts.is_empty() && bought.returns.is_empty());
    let Some(bought) = bought.filter(by_goods) else { return vec![of_order; order.units.len()] };
    let before = bought.returned();
    let mut after = before.clone();
    back.parts.iter().for_each(|part| after[part.line] += part.quantity);
    // After goods an amount is all that is left.
    let is_back = |line: usize| back.parts.is_empty() || after[line] >= bought.lines[line].quantity;
    let one = |place: usize| {
        let own = lines_of(order, bought, place);
        if own.is_empty() {
            return of_order;
        }
        let before_whole = order.refunds.iter().any(|refund| refund.completes(place));
        let whole = !before_whole && own.iter().all(|line| is_back(*line));
        Completion { whole, at_once: own.iter().all(|line| before[*line] == 0) }
    };
    (0..order.units.len()).map(one).collect()
}

/// The vouchers of an order whose part is whole with a refund, one bit each. Of one campaign the amounts say so.
pub fn whole_bits(order: &Order, completions: &[Completion]) -> u64 {
    let whole = completions.iter().enumerate().filter(|(_, one)| one.whole && of_several(order));
    whole.map(|(place, _)| 1 << place).sum()
}

/// When all that the campaign of a voucher looks at was back.
pub fn completed_at(order: &Order, place: usize) -> Option<Ms> {
    let own = order.refunds.iter().find(|refund| refund.completes(place));
    own.map(|refund| refund.at).or_else(|| order_completed_at(order))
}

fn order_completed_at(order: &Order) -> Option<Ms> {
    let mut refunded = Fen::ZERO;
    let completing = order.refunds.iter().find(|refund| {
        let completes = completes(order.net(), refunded, refund.amount);
        refunded = refunded + refund.amount;
        completes
    });
    completing.map(|refund| refund.at)
}

/// Whether all that was bought is back with this refund. Gifts that come back afterwards change nothing any more.
fn completes(net: Fen, refunded: Fen, amount: Fen) -> bool {
    refunded < net && refunded + amount == net
}

fn of_several(order: &Order) -> bool {
    order.units.iter().any(|unit| unit.c != order.units[0].c)
}

/// The lines that vouchers of the same campaign took something off.
fn lines_of(order: &Order, bought: &Bought, place: usize) -> Vec<usize> {
    let campaign = order.units[place].c;
    let own: Vec<usize> = (0..order.units.len()).filter(|other| order.units[*other].c == campaign).collect();
    let takes = |off: &[Fen]| own.iter().any(|voucher| off.get(*voucher).is_some_and(|fen| *fen > Fen::ZERO));
    (0..bought.lines.len()).filter(|line| takes(&bought.lines[*line].off)).collect()
}
