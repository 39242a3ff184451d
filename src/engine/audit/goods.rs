//! What was bought beside the orders that it was bought with: lines, what each voucher took off them, and what came back.

use std::collections::HashMap;

use super::Finding;
use crate::domain::bought::Bought;
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderState};
use crate::store::bought::StoredBought;
use crate::store::order::StoredOrder;
use crate::store::snapshot::Bucket;

/// Compares goods with the orders of the same buckets, read at the same instant. An order that cannot be read is in a finding of its own.
pub fn check(shard: u8, orders: &[Bucket], goods: &[Bucket]) -> Vec<Finding> {
    let orders: HashMap<&[u8], &[u8]> = orders.iter().flatten().map(|(key, value)| (&key[..], &value[..])).collect();
    let finding = |key: &[u8], (expected, found): (String, String)| {
        let explanation = "what was bought is not what its order says".to_owned();
        Finding::new(
            "goods",
            format!("goods of order {} of shard {shard}", hex::encode(key)),
            expected,
            found,
            explanation,
        )
    };
    let mut findings = Vec::new();
    for (key, value) in goods.iter().flatten() {
        let order = match orders.get(&key[..]).map(|bytes| StoredOrder::decode(bytes)) {
            Some(Err(_)) => continue,
            Some(Ok(stored)) => Some(stored.order).filter(|order| order.state != OrderState::Void),
            None => None,
        };
        let fault = match (StoredBought::decode(value), &order) {
            (Err(_), _) => Some(("a readable record".to_owned(), "other bytes".to_owned())),
            (Ok(_), None) => Some(("an order".to_owned(), "none".to_owned())),
            (Ok(stored), Some(order)) => fault(&stored.bought, order),
        };
        findings.extend(fault.map(|fault| finding(key, fault)));
    }
    findings
}

/// What the order says and what the goods say, where they differ.
fn fault(bought: &Bought, order: &Order) -> Option<(String, String)> {
    let differ = |what: &str, expected: Fen, found: Fen| {
        (expected != found).then(|| (format!("{what} {}", expected.0), format!("{what} {}", found.0)))
    };
    let net = bought.lines.iter().map(|line| line.net).sum();
    let mut units = order.units.iter().enumerate();
    let off = |place: usize| bought.lines.iter().filter_map(|line| line.off.get(place).copied()).sum();
    differ("net", order.net(), net)
        .or_else(|| units.find_map(|(place, unit)| differ("discount", unit.discount, off(place))))
        .or_else(|| returned(bought, order))
}

/// Each refund of goods is worth what came back with it, after those before it, and no more comes back than was bought.
fn returned(bought: &Bought, order: &Order) -> Option<(String, String)> {
    let mut so_far = Bought { lines: bought.lines.clone(), returns: Vec::new() };
    for one in &bought.returns {
        let worth = so_far.worth(&one.parts);
        let share: Fen = worth.by_voucher.iter().copied().sum();
        let found = format!("a refund of {}, {} of it the issuer's", worth.amount.0, share.0);
        let refund = order.refunds.get(one.refund);
        if refund.is_none_or(|refund| (refund.amount, refund.share) != (worth.amount, share)) {
            let said =
                refund.map(|refund| format!("a refund of {}, {} of it the issuer's", refund.amount.0, refund.share.0));
            return Some((said.unwrap_or_else(|| "no such refund".to_owned()), found));
        }
        so_far.returns.push(one.clone());
        let back = so_far.returned();
        if let Some(line) = (0..back.len()).find(|line| back[*line] > bought.lines[*line].quantity) {
            let bought = format!("{} pieces of line {line}", bought.lines[line].quantity);
            return Some((bought, format!("{} of them came back", back[line])));
        }
    }
    None
}
