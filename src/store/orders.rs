//! Stored forms of the till: orders, the merchant's directory of them, lapsing holds and pay codes; written by the scripts, read here.

use rmpv::Value;

use super::keys::{self, Slot};
use super::script::{self, Member, bytes, raw};
use super::{Store, StoreError, int};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, OrderUnit, Receipt, Refunded, Reversal, Was};
use crate::domain::person::Root;
use crate::domain::time::Ms;

/// An order as it was read: its bytes are compared by the script that changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredOrder {
    pub order: Order,
    pub bytes: Vec<u8>,
}

/// Where a merchant's order stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DirectoryEntry {
    pub attempt: u32,
    /// 255 when an order was reversed before it was ever seen.
    pub shard: u8,
    pub reversed: Option<Reversal>,
}

/// Shard of an order that was never on one.
pub const NO_SHARD: u8 = 255;

#[derive(Clone, PartialEq)]
pub struct PayCodeRecord {
    pub root: Root,
    pub channel: String,
    pub expires: Ms,
    /// The order that it paid.
    pub order: Option<OrderKey>,
}

impl StoredOrder {
    pub fn decode(bytes: &[u8]) -> Result<StoredOrder, StoreError> {
        let order = order(bytes).ok_or_else(|| StoreError::Broken("order record".into()))?;
        Ok(StoredOrder { order, bytes: bytes.to_vec() })
    }
}

impl PayCodeRecord {
    pub fn decode(mut bytes: &[u8]) -> Result<PayCodeRecord, StoreError> {
        let broken = || StoreError::Broken("pay code".into());
        let value = rmpv::decode::read_value(&mut bytes).map_err(|_| broken())?;
        let mut root = [0; 32];
        let stored = raw(part(&value, 0));
        if stored.len() != root.len() {
            return Err(broken());
        }
        root.copy_from_slice(stored);
        let order = OrderKey::try_from(raw(part(&value, 3))).ok();
        Ok(PayCodeRecord { root: Root(root), channel: text(part(&value, 1)), expires: number(part(&value, 2)), order })
    }
}

impl Store {
    pub async fn directory_entry(&self, merchant: &str, key: &OrderKey) -> Result<Option<DirectoryEntry>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(keys::directory_bucket(merchant, key)).arg(&key[..]);
        let value: Option<Vec<u8>> = self.query(&command).await?;
        value
            .map(|bytes| directory_entry(&bytes).ok_or_else(|| StoreError::Broken("order directory".into())))
            .transpose()
    }

    pub async fn order(&self, shard: u8, key: &OrderKey) -> Result<Option<StoredOrder>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(keys::order_bucket(shard, key)).arg(&key[..]);
        let value: Option<Vec<u8>> = self.query(&command).await?;
        value.map(|bytes| StoredOrder::decode(&bytes)).transpose()
    }

    /// How much of a merchant's caps is used, in the order of the counters named.
    pub async fn caps_used(&self, merchant: &str, counters: &[String]) -> Result<Vec<i64>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(Slot::Merchant(merchant.to_owned()).header()).arg(counters);
        let used: Vec<Option<i64>> = self.query(&command).await?;
        Ok(used.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Orders whose holds are on the list of a shard, with the instants at which they run out.
    pub async fn lapsing_holds(&self, shard: u8) -> Result<Vec<(OrderKey, Ms)>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(keys::lapsing_holds(shard));
        let listed: Vec<(Vec<u8>, Ms)> = self.query(&command).await?;
        Ok(listed.into_iter().filter_map(|(key, until)| Some((OrderKey::try_from(key).ok()?, until))).collect())
    }

    /// Several fields of one shard, all read at one instant; an empty value is an absent field.
    pub async fn read_together(
        &self,
        shard: u8,
        fields: &[(String, Vec<u8>)],
    ) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        let names = fields.iter().map(|(key, _)| key.clone()).collect();
        let wanted = Value::Array(fields.iter().map(|(_, field)| bytes(field)).collect());
        let reply = self.call(&script::WALLET_READ, &Slot::Shard(shard), Member::new(names, vec![wanted])).await?;
        let values = (0..fields.len()).map(|index| reply.bytes(index + 1).to_vec()).collect();
        Ok((reply.int(0), values))
    }
}

/// A unit as the scripts take it: the n-th key of the member is its person's bucket, and its validity ends at `end`.
pub fn unit_value(key: usize, unit: &OrderUnit, end: Ms) -> Value {
    Value::Array(vec![
        int(key as i64),
        int(unit.c),
        bytes(&unit.f),
        int(unit.p),
        int(unit.u),
        int(unit.discount.0),
        int(unit.round),
        int(unit.channel),
        int(unit.pack),
        int(unit.received_s),
        int(end),
    ])
}

fn directory_entry(mut bytes: &[u8]) -> Option<DirectoryEntry> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let reversed = (number(part(&value, 0)) == 2).then(|| Reversal {
        at: number(part(&value, 5)),
        was: Was::named(part(&value, 6).as_str().unwrap_or_default()),
    });
    Some(DirectoryEntry { attempt: number(part(&value, 1)) as u32, shard: number(part(&value, 2)) as u8, reversed })
}

fn order(mut bytes: &[u8]) -> Option<Order> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let state = OrderState::of(number(part(&value, 1)))?;
    let t0 = number(part(&value, 7));
    let list = |index: usize| part(&value, index).as_array().map(Vec::as_slice).unwrap_or_default();
    let extra = part(&value, 12);
    let reversal = (state == OrderState::Reversed).then(|| Reversal {
        was: Was::named(part(extra, 0).as_str().unwrap_or_default()),
        at: t0 + number(part(extra, 1)),
    });
    let receipt = match state {
        OrderState::Reversed => Receipt::default(),
        _ => Receipt {
            store: text(part(extra, 0)),
            terminal: text(part(extra, 1)),
            category: text(part(extra, 2)),
            merchant: raw(part(extra, 3)).try_into().unwrap_or_default(),
            key_terminal: text(part(extra, 4)),
            merchant_id: text(part(extra, 5)),
        },
    };
    Some(Order {
        state,
        attempt: number(part(&value, 2)) as u32,
        fingerprint: raw(part(&value, 3)).try_into().unwrap_or_default(),
        amount: Fen(number(part(&value, 4))),
        merchant_discount: Fen(number(part(&value, 5))),
        discount: Fen(number(part(&value, 6))),
        t0,
        t1: t0 + number(part(&value, 8)),
        hold_seconds: number(part(&value, 9)),
        units: list(10).iter().map(unit).collect(),
        refunds: list(11).iter().map(|refund| refunded(refund, t0)).collect(),
        receipt,
        reversal,
    })
}

fn unit(value: &Value) -> OrderUnit {
    OrderUnit {
        c: number(part(value, 0)) as u16,
        f: raw(part(value, 1)).try_into().unwrap_or_default(),
        p: number(part(value, 2)) as u8,
        u: number(part(value, 3)) as u8,
        discount: Fen(number(part(value, 4))),
        round: number(part(value, 5)) as u8,
        channel: number(part(value, 6)) as u8,
        pack: number(part(value, 7)) as u8,
        received_s: number(part(value, 8)),
    }
}

fn refunded(value: &Value, t0: Ms) -> Refunded {
    Refunded {
        refund_id: text(part(value, 0)),
        amount: Fen(number(part(value, 1))),
        share: Fen(number(part(value, 2))),
        at: t0 + number(part(value, 3)),
        restored: number(part(value, 4)) as u64,
    }
}

fn part(value: &Value, index: usize) -> &Value {
    value.as_array().and_then(|parts| parts.get(index)).unwrap_or(&Value::Nil)
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(raw(value)).into_owned()
}

fn number(value: &Value) -> i64 {
    match value {
        Value::F64(n) => *n as i64,
        other => other.as_i64().unwrap_or_default(),
    }
}
