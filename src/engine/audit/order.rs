//! One order, as the ledger says it and as its record says it.

use rmpv::Value;
use sha2::{Digest, Sha256};

use super::person::PersonKey;
use crate::domain::time::Ms;
use crate::engine::ledger::counters::{Cell, Counters, What};
use crate::store::ledger::{Bytes, OrderKey, PersonField};
use crate::store::script::raw;

pub const HELD: u8 = 1;
pub const REDEEMED: u8 = 2;
pub const CANCELLED: u8 = 3;
pub const EXPIRED: u8 = 4;
pub const REVERSED: u8 = 5;
/// Expired, and no late confirm is taken any more.
pub const LAPSED: u8 = 7;

/// Key of an order's record.
pub fn key(merchant_id: &str, order_id: &str) -> OrderKey {
    let digest = Sha256::new().chain_update(merchant_id).chain_update([0]).chain_update(order_id).finalize();
    let mut key = [0; 12];
    key.copy_from_slice(&digest[..12]);
    Bytes(key)
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub state: u8,
    pub units: Vec<Unit>,
    /// The issuer's share of all refunds.
    pub refunded: i64,
    /// Stream entry of the last line: lines of one entry belong to one call.
    pub last_entry: u64,
    /// When it was first held or redeemed; known from the ledger only.
    pub at: Ms,
}

/// An order that was redeemed on a shard, for as long as it has to be remembered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedeemedOrder {
    pub key: OrderKey,
    pub at: Ms,
    /// From then on the same name may be another order's.
    pub gone_at: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    pub person: PersonKey,
    pub p: u8,
    pub u: u8,
    pub discount: i64,
    /// Known from the ledger only.
    pub cell: Option<Cell>,
}

impl Order {
    /// From the record {ver, state, attempt, fp8, amount, merchant_discount, discount, t0, t1, until, units, refunds, extra};
    /// None when it is not one.
    pub fn of_record(mut packed: &[u8]) -> Option<Order> {
        let record = rmpv::decode::read_value(&mut packed).ok()?;
        let record = record.as_array()?;
        let list = |index: usize| record.get(index).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let units: Option<Vec<Unit>> = list(10).iter().map(unit).collect();
        let refunded = list(11).iter().map(|refund| number(refund, 2).unwrap_or_default()).sum();
        Some(Order { state: record.get(1)?.as_u64()?.try_into().ok()?, units: units?, refunded, last_entry: 0, at: 0 })
    }

    /// Orders that moved no voucher leave no line: a void or reversed order never seen, or one without any discount.
    pub fn leaves_no_line(&self) -> bool {
        self.refunded == 0 && self.units.iter().all(|unit| unit.discount == 0)
            || !matches!(self.state, HELD | REDEEMED) && self.units.is_empty()
            || self.state == 6
    }

    pub fn describe(&self) -> String {
        let state = match self.state {
            HELD => "held",
            REDEEMED => "redeemed",
            CANCELLED => "cancelled",
            EXPIRED => "expired",
            LAPSED => "expired for good",
            REVERSED => "reversed",
            6 => "void",
            _ => "in no known state",
        };
        let discount: i64 = self.units.iter().map(|unit| unit.discount).sum();
        let vouchers: Vec<String> = self
            .units
            .iter()
            .map(|unit| format!("unit {} of the pack at {} of {}", unit.u, unit.p, unit.person.1))
            .collect();
        format!("{state}, discount {discount}, refunded {}, vouchers: {}", self.refunded, vouchers.join("; "))
    }

    /// Whether the record says what the ledger says. The vouchers of an ended order need not be kept.
    pub fn agrees(&self, found: &Order) -> bool {
        let units = |order: &Order| {
            let mut units: Vec<_> =
                order.units.iter().map(|unit| (unit.person, unit.p, unit.u, unit.discount)).collect();
            units.sort_unstable();
            units
        };
        let ended = matches!(self.state, CANCELLED | EXPIRED | REVERSED) && found.units.is_empty();
        // Ending what has ended moves no money, so the ledger has no line for it.
        let closed_again =
            matches!((self.state, found.state), (EXPIRED, LAPSED | CANCELLED | REVERSED) | (CANCELLED, REVERSED));
        (self.state == found.state || closed_again)
            && self.refunded == found.refunded
            && (ended || units(self) == units(found))
    }

    /// What the counters would show if the found refunds were right and the ledger had lost their lines; the issuer's share may have come
    /// in time or late, and may be in the pool by now.
    pub fn deltas(&self, found: &Order) -> Vec<Counters> {
        let share = found.refunded - self.refunded;
        let Some(cell) = self.units.iter().find_map(|unit| unit.cell) else { return Vec::new() };
        let to = |account| {
            let mut delta = Counters::default();
            delta.add(cell, What::Redeemed, -share);
            delta.add(cell, account, share);
            delta.add(cell, What::GrossReturned, share);
            delta
        };
        [What::Recovered, What::Late, What::Pool].into_iter().map(to).collect()
    }
}

fn number(value: &Value, index: usize) -> Option<i64> {
    value.as_array()?.get(index)?.as_i64()
}

fn unit(value: &Value) -> Option<Unit> {
    let field: [u8; 9] = value.as_array().and_then(|parts| parts.get(1)).map(raw)?.try_into().ok()?;
    let small = |index| number(value, index).and_then(|n| u8::try_from(n).ok());
    let person = (number(value, 0)?.try_into().ok()?, Bytes(field) as PersonField);
    Some(Unit { person, p: small(2)?, u: small(3)?, discount: number(value, 4)?, cell: None })
}
