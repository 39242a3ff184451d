//! What `order_redeem` is told: the order, the records that its plan was made of, what becomes of them, and where the money goes.

use std::sync::Arc;

use super::keys;
use super::ledger::{Line, encode_line};
use super::orders::{PayCodeRecord, around_instant};
use super::script::{Args, Member, Shared};
use crate::domain::order::{Order, OrderKey, OrderUnit};
use crate::domain::paycode::PayCode;
use crate::domain::time::{Ms, expiry_hour};
use crate::domain::voucher::PersonField;

/// A planned order, held or redeemed at once; it takes effect whole, and only if everything is as the plan saw it.
pub struct Redemption<'a> {
    pub shard: u8,
    pub key: &'a OrderKey,
    pub order: &'a Order,
    /// From this instant on the plan no longer holds: a voucher has ended, or the pay code.
    pub valid_until: Ms,
    pub records: Vec<RecordChange>,
    pub code: Option<(&'a PayCode, &'a PayCodeRecord)>,
    pub lines: &'a [Line],
    /// What is bought, if the till has said so, as `store/bought.rs` writes it.
    pub bought: Option<Vec<u8>>,
}

/// A person's record as it was read, and what it becomes.
pub struct RecordChange {
    pub bucket_key: String,
    pub field: PersonField,
    pub seen: Vec<u8>,
    /// Between the pieces stands the instant at which the order's hold ends, which only the script knows.
    pub becomes: Vec<Vec<u8>>,
}

impl Redemption<'_> {
    /// `ends` are the ends of validity of the order's vouchers, in their order.
    pub fn member(self, ends: &[Ms]) -> Member {
        let bytes = self.bytes();
        let mut keys = vec![keys::order_bucket(self.shard, self.key)];
        keys.extend(self.records.into_iter().map(|record| record.bucket_key));
        keys.extend(self.bought.map(|_| keys::bought_bucket(self.shard, self.key)));
        keys.extend(self.code.map(|(code, _)| keys::pay_code(self.shard, code.as_str())));
        if !self.order.captured() {
            keys.push(keys::lapsing_holds(self.shard));
        }
        let units = self.order.units.iter().zip(ends);
        units.fold(Member::flat(keys, bytes), |member, (unit, end)| {
            member.sharing(move_of(unit, *end, self.order.captured()))
        })
    }

    /// In the order in which the head of the script names them.
    fn bytes(&self) -> Vec<u8> {
        let order = self.order;
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(self.key);
        out.extend_from_slice(&order.fingerprint);
        out.extend_from_slice(&order.attempt.to_be_bytes());
        out.extend_from_slice(&(order.hold_seconds as u16).to_be_bytes());
        out.extend_from_slice(&(self.valid_until as f64).to_be_bytes());
        out.push(u8::from(self.code.is_some()));
        out.push(self.records.len() as u8);
        for record in &self.records {
            out.extend_from_slice(&record.field);
            long(&mut out, &record.seen);
            out.push(record.becomes.len() as u8);
            record.becomes.iter().for_each(|piece| long(&mut out, piece));
        }
        short(&mut out, &self.code.map(|(_, record)| record.whose()).unwrap_or_default());
        let [head, tail] = around_instant(order);
        short(&mut out, &head);
        short(&mut out, &tail);
        out.push(self.lines.len() as u8);
        self.lines.iter().for_each(|line| short(&mut out, &encode_line(line)));
        out.extend_from_slice(self.bought.as_deref().unwrap_or_default());
        out
    }
}

fn short(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).expect("an order has at most twenty vouchers and texts of bounded length");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The counters that one voucher moves. Orders of the same kind of voucher share it.
fn move_of(unit: &OrderUnit, end: Ms, captured: bool) -> Arc<Shared> {
    let cell = keys::cell(unit.c, unit.round, unit.channel, unit.pack);
    let args = Args::with_capacity(96).bytes(keys::outstanding_counter(&cell, expiry_hour(end)));
    let args = args.bytes(format!("{cell}:{}", if captured { "red" } else { "held" })).int(unit.discount.0);
    let [count, amount] = ["rn", "rg"].map(|name| if captured { format!("{cell}:{name}") } else { String::new() });
    Shared::new(args.bytes(count).bytes(amount))
}
