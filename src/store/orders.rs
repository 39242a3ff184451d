//! Stored forms of the till: orders, the merchant's directory of them, lapsing holds and pay codes. New orders and codes are written here,
//! what becomes of them by the scripts; all of it is read here.

use std::sync::Arc;

use rmpv::Value;

use super::keys::{self, Slot};
use super::script::{self, Args, Member, Reply, Script, Shared, raw};
use super::{Store, StoreError};
use crate::domain::money::Fen;
use crate::domain::order::{Fingerprint, Order, OrderKey, OrderState, OrderUnit, Receipt, Refunded, Reversal, Was};
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
    /// Its attempt may hold, or may have held, quotas.
    pub quotas: bool,
}

/// Shard of an order that was never on one.
pub const NO_SHARD: u8 = 255;

/// Bytes in the store: 12 of the order or zeros, root pseudonym 32, expires u64, channel, and after a line feed each the areas.
#[derive(Clone, PartialEq)]
pub struct PayCodeRecord {
    pub root: Root,
    pub channel: String,
    pub expires: Ms,
    /// Areas of use in which the code was asked for, as `campaign number/area_id`.
    pub areas: Vec<String>,
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
    pub fn decode(bytes: &[u8]) -> Result<PayCodeRecord, StoreError> {
        PayCodeRecord::read(bytes).ok_or_else(|| StoreError::Broken("pay code".into()))
    }

    fn read(bytes: &[u8]) -> Option<PayCodeRecord> {
        let (order, rest) = bytes.split_first_chunk::<12>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        let (expires, names) = rest.split_first_chunk::<8>()?;
        let mut names = std::str::from_utf8(names).ok()?.split('\n').map(str::to_owned);
        let order = Some(*order).filter(|key| *key != OrderKey::default());
        let (channel, expires) = (names.next()?, Ms::from_be_bytes(*expires));
        Some(PayCodeRecord { root: Root(*root), channel, expires, areas: names.collect(), order })
    }

    /// All that is behind the order: it never changes while the code lives.
    pub fn whose(&self) -> Vec<u8> {
        let mut bytes = [&self.root.0[..], &self.expires.to_be_bytes(), self.channel.as_bytes()].concat();
        for area in &self.areas {
            bytes.push(b'\n');
            bytes.extend_from_slice(area.as_bytes());
        }
        bytes
    }

    pub fn encode(&self) -> Vec<u8> {
        [&self.order.unwrap_or_default()[..], &self.whose()].concat()
    }
}

impl Store {
    pub async fn directory_entry(&self, merchant: &str, key: &OrderKey) -> Result<Option<DirectoryEntry>, StoreError> {
        let slot = self.merchant_slot(merchant);
        let value = self.read_one(&Slot::Merchant(slot), keys::directory_bucket(slot, key), key).await?;
        value
            .map(|bytes| directory_entry(&bytes).ok_or_else(|| StoreError::Broken("order directory".into())))
            .transpose()
    }

    pub async fn order(&self, shard: u8, key: &OrderKey) -> Result<Option<StoredOrder>, StoreError> {
        let value = self.read_one(&Slot::Shard(shard), keys::order_bucket(shard, key), key).await?;
        value.map(|bytes| StoredOrder::decode(&bytes)).transpose()
    }

    /// One field, read together with what others read of the slot.
    async fn read_one(&self, slot: &Slot, key: String, field: &OrderKey) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, mut values) = self.read(slot, &[(key, field.to_vec())]).await?;
        Ok(values.pop().filter(|value| !value.is_empty()))
    }

    /// Several fields of one slot, all read at one instant.
    pub(super) async fn read(
        &self,
        slot: &Slot,
        fields: &[(String, Vec<u8>)],
    ) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        let names = fields.iter().map(|(key, _)| key.clone()).collect();
        let wanted = fields.iter().fold(Vec::with_capacity(48), |mut out, (_, field)| {
            out.push(u8::try_from(field.len()).expect("names of fields are short"));
            out.extend_from_slice(field);
            out
        });
        let reply = self.call(&script::WALLET_READ, slot, Member::flat(names, wanted)).await?;
        values_read(reply.bytes(0), fields.len()).ok_or_else(|| StoreError::malformed("reading"))
    }

    /// Several fields of one shard, all read at one instant; an empty value is an absent field.
    pub async fn read_together(
        &self,
        shard: u8,
        fields: &[(String, Vec<u8>)],
    ) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        self.read(&Slot::Shard(shard), fields).await
    }

    /// Finds or opens an order in its merchant's directory. `asked` is what all orders of the merchant ask for.
    pub async fn open_order(
        &self,
        merchant: &str,
        key: &OrderKey,
        fingerprint: &Fingerprint,
        shard: u8,
        asked: Arc<Shared>,
    ) -> Result<Reply, StoreError> {
        let slot = self.merchant_slot(merchant);
        // {open, first attempt, shard, fingerprint, nothing held of caps}
        let entry = Args::default().list(|entry| entry.int(1).int(1).int(shard).bytes(fingerprint).list(|none| none));
        let bytes = [&key[..], &entry.bytes].concat();
        let member = Member::flat(vec![keys::directory_bucket(slot, key)], bytes).sharing(asked);
        self.call(&script::ORDER_OPEN, &Slot::Merchant(slot), member).await
    }

    /// A step of an order in its merchant's directory; every one of them names the order first.
    pub async fn directory_step(
        &self,
        script: &'static Script,
        merchant: &str,
        key: &OrderKey,
        fill: impl FnOnce(Args) -> Args,
    ) -> Result<Reply, StoreError> {
        let slot = self.merchant_slot(merchant);
        let member = Member::packed(vec![keys::directory_bucket(slot, key)], fill(Args::default().bytes(key)));
        self.call(script, &Slot::Merchant(slot), member).await
    }

    /// How much of a merchant's caps is used, in the order of the counters named.
    pub async fn caps_used(&self, merchant: &str, counters: &[String]) -> Result<Vec<i64>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(Slot::Merchant(self.merchant_slot(merchant)).header()).arg(counters);
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
}

/// The instant as a double, then length and bytes of each value.
fn values_read(bytes: &[u8], count: usize) -> Option<(Ms, Vec<Vec<u8>>)> {
    let (now, mut rest) = bytes.split_first_chunk::<8>()?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (value, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        values.push(value.to_vec());
        rest = behind;
    }
    Some((f64::from_be_bytes(*now) as Ms, values))
}

/// A unit as the scripts take it: the n-th key of the member is its person's bucket, and its validity ends at `end`.
pub fn unit_args(list: Args, key: usize, unit: &OrderUnit, end: Ms) -> Args {
    let cell = keys::cell(unit.c, unit.round, unit.channel, unit.pack);
    list.list(|args| {
        let args = args.int(key as i64).int(unit.c).bytes(unit.f).int(unit.p).int(unit.u).int(unit.discount.0);
        args.int(unit.round).int(unit.channel).int(unit.pack).int(end).bytes(cell)
    })
}

/// The record of a new order, held or redeemed at once: what stands before the instant of its effect, which the script knows, and what
/// stands after it.
pub fn around_instant(order: &Order) -> [Vec<u8>; 2] {
    let mut head = Args::with_capacity(48);
    rmp::encode::write_array_len(&mut head.bytes, ORDER_PARTS).expect("writing to memory cannot fail");
    let head = head.int(1).int(order.state as i64).int(order.attempt).bytes(order.fingerprint);
    let head = head.int(order.amount.0).int(order.merchant_discount.0).int(order.discount.0);
    let units = |list: Args| {
        order.units.iter().fold(list, |list, unit| {
            list.list(|args| {
                let args = args.int(unit.c).bytes(unit.f).int(unit.p).int(unit.u).int(unit.discount.0);
                let args = args.int(unit.round).int(unit.channel).int(unit.pack).int(unit.received_s);
                if unit.contacts == [0; 3] { args } else { args.bytes(unit.contacts.map(u64::to_be_bytes).concat()) }
            })
        })
    };
    let extra = |list: Args| {
        let receipt = &order.receipt;
        let list = list.bytes(&receipt.store).bytes(&receipt.terminal);
        let told = !(receipt.cashier.is_empty() && receipt.receipt_no.is_empty());
        if order.captured() && receipt.merchant_id.is_empty() && !told {
            return list;
        }
        let list = list.bytes(&receipt.category).bytes(receipt.merchant);
        if receipt.merchant_id.is_empty() && !told {
            return list;
        }
        let list = list.bytes(&receipt.key_terminal).bytes(&receipt.merchant_id);
        if told { list.bytes(&receipt.cashier).bytes(&receipt.receipt_no) } else { list }
    };
    let tail = Args::with_capacity(96).int(0).int(order.hold_seconds).list(units).list(|none| none).list(extra);
    [head.bytes, tail.bytes]
}

/// Parts of an order's record.
const ORDER_PARTS: u32 = 13;

pub(super) fn directory_entry(mut bytes: &[u8]) -> Option<DirectoryEntry> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let reversed = (number(part(&value, 0)) == 2).then(|| Reversal {
        at: number(part(&value, 5)),
        was: Was::named(part(&value, 6).as_str().unwrap_or_default()),
    });
    let quotas = part(&value, if reversed.is_some() { 7 } else { 6 }).is_array();
    let (attempt, shard) = (number(part(&value, 1)) as u32, number(part(&value, 2)) as u8);
    Some(DirectoryEntry { attempt, shard, reversed, quotas })
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
        OrderState::Reversed => Receipt {
            store: text(part(extra, 2)),
            terminal: text(part(extra, 3)),
            cashier: text(part(extra, 4)),
            receipt_no: text(part(extra, 5)),
            ..Receipt::default()
        },
        _ => Receipt {
            store: text(part(extra, 0)),
            terminal: text(part(extra, 1)),
            category: text(part(extra, 2)),
            merchant: raw(part(extra, 3)).try_into().unwrap_or_default(),
            key_terminal: text(part(extra, 4)),
            merchant_id: text(part(extra, 5)),
            cashier: text(part(extra, 6)),
            receipt_no: text(part(extra, 7)),
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
        contacts: std::array::from_fn(|one| contact(raw(part(value, 9)), one)),
    }
}

fn contact(digests: &[u8], place: usize) -> u64 {
    digests.as_chunks().0.get(place).map_or(0, |digest| u64::from_be_bytes(*digest))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_as_it_was_written_around_its_instant() {
        let unit = OrderUnit {
            c: 7,
            f: [200; 9],
            p: 1,
            u: 3,
            discount: Fen(2_000),
            round: 2,
            channel: 1,
            pack: 4,
            received_s: 1_595_584_800,
            contacts: [0; 3],
        };
        let settled = Receipt { store: "s".into(), terminal: "t".into(), ..Receipt::default() };
        let held = Receipt { category: "catering".into(), merchant: [9; 6], ..settled.clone() };
        let kept = Receipt { key_terminal: "k".into(), merchant_id: "m1".into(), ..held.clone() };
        for (state, hold_seconds, receipt) in [
            (OrderState::Redeemed, 0, settled.clone()),
            (OrderState::Held, 900, held),
            (OrderState::Redeemed, 0, kept.clone()),
            (OrderState::Held, 120, kept.clone()),
            (OrderState::Redeemed, 0, Receipt { receipt_no: "9".into(), ..settled }),
            (OrderState::Held, 120, Receipt { cashier: "王".into(), receipt_no: "9".into(), ..kept }),
        ] {
            let order = Order {
                state,
                attempt: 2,
                fingerprint: [255; 8],
                amount: Fen(11_800),
                merchant_discount: Fen(800),
                discount: Fen(4_000),
                t0: 1_595_671_200_123,
                t1: 1_595_671_200_123,
                hold_seconds,
                units: vec![unit, OrderUnit { u: 4, contacts: [7, 0, u64::MAX], ..unit }],
                refunds: Vec::new(),
                receipt,
                reversal: None,
            };
            let [head, tail] = around_instant(&order);
            let record = [head, Args::default().int(order.t0).bytes, tail].concat();
            assert_eq!(StoredOrder::decode(&record).map(|stored| stored.order), Ok(order));
        }
    }
}
