//! Stored form of an order: `{version, state, attempt, fingerprint with what it was asked by, amount, merchant discount, discount, t0 ms, t1 (ms after t0), hold seconds
//! (0 = redeemed in one call), units, refunds, extra}`, and only where they are not 0 `late given back` (of an expired one, how many late confirms
//! gave back) and `elsewhere` (of one that had run out before it was cancelled, where its vouchers were then); of a void attempt
//! `{version, state, attempt}`.

use rmpv::Value;

use super::StoreError;
use super::record::WITH_THE_CALL;
use super::script::{Args, raw};
use crate::domain::binding::Asked;
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, Order, OrderState, OrderUnit, Receipt, Refunded, Reversal, Was};
use crate::domain::time::Ms;

/// An order as it was read: whoever changes it names these bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredOrder {
    pub order: Order,
    pub bytes: Vec<u8>,
}

/// Parts of an order's record.
const PARTS: u32 = 13;

impl StoredOrder {
    pub fn decode(bytes: &[u8]) -> Result<StoredOrder, StoreError> {
        let order = order(bytes).ok_or_else(|| StoreError::Broken("order record".into()))?;
        Ok(StoredOrder { order, bytes: bytes.to_vec() })
    }
}

/// The instant from which an order's record counts time: with one that begins with the call, the beginning of time.
pub(super) fn counts_from(order: &Order) -> Ms {
    if order.t0 == WITH_THE_CALL { 0 } else { order.t0 }
}

/// The record of an order. Between the pieces stands the instant of the call, counted from [`counts_from`], where the order says
/// [`WITH_THE_CALL`].
pub(super) fn pieces(order: &Order) -> Vec<Vec<u8>> {
    let mut out = Pieces::default();
    let last = last_parts(order);
    out.array(PARTS + last.len() as u32);
    out.add(|args| {
        let args = args.int(1).int(order.state as i64).int(order.attempt);
        let asked = order.asked.map(Asked::to_bytes);
        let bound = [&order.fingerprint[..], asked.as_ref().map_or(&[], |asked| &asked[..])].concat();
        let args = if order.units.is_empty() { args.bytes([]) } else { args.bytes(bound) };
        args.int(order.amount.0).int(order.merchant_discount.0).int(order.discount.0)
    });
    out.instant(order.t0, 0);
    out.after(order, order.t1);
    out.add(|args| args.int(order.hold_seconds).list(|list| order.units.iter().fold(list, write_unit)));
    out.array(order.refunds.len() as u32);
    for refund in &order.refunds {
        let whole = Some(refund.whole as i64).filter(|whole| *whole > 0);
        out.array(5 + u32::from(whole.is_some()));
        out.add(|args| args.bytes(&refund.refund_id).int(refund.amount.0).int(refund.share.0));
        out.after(order, refund.at);
        out.add(|args| whole.into_iter().fold(args.int(refund.restored as i64), Args::int));
    }
    match &order.reversal {
        Some(reversal) => out.reversal(order, reversal),
        None => out.add(|args| args.list(|list| write_receipt(list, &order.receipt))),
    }
    for n in last {
        out.add(|args| args.int(n));
    }
    out.finished()
}

/// What most orders have not, each in a place of its own and of its own state, without the zeros at the end.
fn last_parts(order: &Order) -> Vec<i64> {
    match order.state {
        OrderState::Expired if order.late_given_back > 0 => vec![i64::from(order.late_given_back)],
        OrderState::Cancelled if order.elsewhere > 0 => vec![0, order.elsewhere as i64],
        _ => Vec::new(),
    }
}

/// An order with the instant of the call where it says [`WITH_THE_CALL`].
pub fn taking_effect(mut order: Order, now: Ms) -> Order {
    let refunds = order.refunds.iter_mut().map(|refund| &mut refund.at);
    let reversal = order.reversal.iter_mut().map(|reversal| &mut reversal.at);
    for instant in [&mut order.t0, &mut order.t1].into_iter().chain(refunds).chain(reversal) {
        if *instant == WITH_THE_CALL {
            *instant = now;
        }
    }
    order
}

/// Bytes with gaps.
#[derive(Default)]
struct Pieces {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Pieces {
    fn array(&mut self, parts: u32) {
        rmp::encode::write_array_len(&mut self.open, parts).expect("writing to memory cannot fail");
    }

    fn add(&mut self, fill: impl FnOnce(Args) -> Args) {
        self.open.extend_from_slice(&fill(Args::with_capacity(64)).bytes);
    }

    fn instant(&mut self, at: Ms, from: Ms) {
        match at {
            WITH_THE_CALL => self.done.push(std::mem::take(&mut self.open)),
            known => self.add(|args| args.int(known - from)),
        }
    }

    /// An instant as time since the order's first effect; what happens with that is no time after it.
    fn after(&mut self, order: &Order, at: Ms) {
        if order.t0 == WITH_THE_CALL {
            return self.add(|args| args.int(0));
        }
        self.instant(at, order.t0);
    }

    /// Of an order that was reversed, only what was there and what tells it again is kept.
    fn reversal(&mut self, order: &Order, reversal: &Reversal) {
        let receipt = &order.receipt;
        let said = &receipt.said_terminal;
        self.array(if told(receipt) { 6 + u32::from(!said.is_empty()) } else { 2 });
        self.add(|args| args.bytes(reversal.was.as_str()));
        self.after(order, reversal.at);
        if told(receipt) {
            let texts = [&receipt.store, &receipt.terminal, &receipt.cashier, &receipt.receipt_no];
            self.add(|args| texts.into_iter().fold(args, |args, text| args.bytes(text)));
            if !said.is_empty() {
                self.add(|args| args.bytes(said));
            }
        }
    }

    fn finished(mut self) -> Vec<Vec<u8>> {
        self.done.push(self.open);
        self.done
    }
}

fn told(receipt: &Receipt) -> bool {
    ![&receipt.cashier, &receipt.receipt_no, &receipt.said_terminal].into_iter().all(String::is_empty)
}

fn write_unit(list: Args, unit: &OrderUnit) -> Args {
    list.list(|args| {
        let args = args.int(unit.c).bytes(unit.f).int(unit.p).int(unit.u).int(unit.discount.0);
        let args = args.int(unit.round).int(unit.channel).int(unit.pack).int(unit.received_s);
        if unit.contacts == [0; 3] { args } else { args.bytes(unit.contacts.map(u64::to_be_bytes).concat()) }
    })
}

/// Texts at the end that say nothing take no byte.
fn write_receipt(list: Args, receipt: &Receipt) -> Args {
    let list = list.bytes(&receipt.store).bytes(&receipt.terminal);
    let of_merchant = !receipt.merchant_id.is_empty();
    let merchant = &receipt.merchant[..if receipt.merchant == LimitEntityKey::default() { 0 } else { 6 }];
    if merchant.is_empty() && !of_merchant && !told(receipt) {
        return list;
    }
    let list = list.bytes(&receipt.category).bytes(merchant);
    if !of_merchant && !told(receipt) {
        return list;
    }
    let list = list.bytes(&receipt.key_terminal).bytes(&receipt.merchant_id);
    if !told(receipt) {
        return list;
    }
    let list = list.bytes(&receipt.cashier).bytes(&receipt.receipt_no);
    if receipt.said_terminal.is_empty() { list } else { list.bytes(&receipt.said_terminal) }
}

fn order(mut bytes: &[u8]) -> Option<Order> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let state = OrderState::of(number(part(&value, 1)))?;
    let t0 = number(part(&value, 7));
    let list = |index: usize| part(&value, index).as_array().map(Vec::as_slice).unwrap_or_default();
    let (bound, extra) = (raw(part(&value, 3)), part(&value, 12));
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
            said_terminal: text(part(extra, 6)),
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
            said_terminal: text(part(extra, 8)),
        },
    };
    Some(Order {
        state,
        attempt: number(part(&value, 2)) as u32,
        fingerprint: bound.first_chunk().copied().unwrap_or_default(),
        asked: bound.get(8..).and_then(|asked| asked.try_into().ok()).map(Asked::of_bytes),
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
        late_given_back: number(part(&value, 13)) as u32,
        elsewhere: number(part(&value, 14)) as u64,
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
        whole: number(part(value, 5)) as u64,
    }
}

pub(super) fn part(value: &Value, index: usize) -> &Value {
    value.as_array().and_then(|parts| parts.get(index)).unwrap_or(&Value::Nil)
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(raw(value)).into_owned()
}

pub(super) fn number(value: &Value) -> i64 {
    match value {
        Value::F64(n) => *n as i64,
        other => other.as_i64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_595_671_200_123;

    fn order(state: OrderState, hold_seconds: i64, receipt: Receipt) -> Order {
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
        Order {
            state,
            attempt: 2,
            fingerprint: [255; 8],
            asked: Some(Asked::of_bytes([1, 2, 3, 4, 5, 6, 7, 3])),
            amount: Fen(11_800),
            merchant_discount: Fen(800),
            discount: Fen(4_000),
            t0: WITH_THE_CALL,
            t1: WITH_THE_CALL,
            hold_seconds,
            units: vec![unit, OrderUnit { u: 4, contacts: [7, 0, u64::MAX], ..unit }],
            refunds: Vec::new(),
            receipt,
            reversal: None,
            late_given_back: 0,
            elsewhere: 0,
        }
    }

    fn check(order: Order, gaps: usize) {
        let written = pieces(&order);
        assert_eq!(written.len(), gaps + 1, "{order:?}");
        let instant = Args::default().int(NOW - counts_from(&order)).bytes;
        let expected = taking_effect(order, NOW);
        assert_eq!(StoredOrder::decode(&written.join(&instant[..])).map(|stored| stored.order), Ok(expected));
    }

    #[test]
    fn an_order_reads_as_it_was_written_around_its_instant() {
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
            check(order(state, hold_seconds, receipt), 1);
        }
    }

    #[test]
    fn what_happens_to_an_order_later_is_written_as_time_since_its_first_effect() {
        let receipt = Receipt { store: "s".into(), receipt_no: "9".into(), ..Receipt::default() };
        let at = |state| Order { t0: NOW - 90_000, ..order(state, 120, receipt.clone()) };
        check(at(OrderState::Redeemed), 1);
        check(Order { t1: NOW - 1, ..at(OrderState::Expired) }, 0);
        check(Order { t1: NOW - 1, late_given_back: 3, ..at(OrderState::Expired) }, 0);
        check(Order { t1: NOW - 1, ..at(OrderState::Lapsed) }, 0);
        check(Order { t1: WITH_THE_CALL, elsewhere: 0b10, ..at(OrderState::Cancelled) }, 1);
        check(Order { t1: WITH_THE_CALL, elsewhere: 3 << 58, ..at(OrderState::Cancelled) }, 1);
        let refund = |n: i64, at| Refunded {
            refund_id: format!("R{n}"),
            amount: Fen(100),
            share: Fen(40),
            at,
            restored: 1 << 19,
            whole: if n == 1 { 0 } else { 3 },
        };
        let refunds = vec![refund(1, NOW - 10), refund(2, WITH_THE_CALL)];
        check(Order { t1: NOW - 50, refunds, ..at(OrderState::Redeemed) }, 1);
        let told = Receipt { terminal: "t".into(), ..receipt.clone() };
        for (receipt, was) in [(Receipt::default(), Was::Held), (told, Was::Redeemed)] {
            let reversal = Some(Reversal { was, at: WITH_THE_CALL });
            check(Order { t1: NOW - 50, receipt, reversal, ..at(OrderState::Reversed) }, 1);
        }
        let unseen = Reversal { was: Was::Unknown, at: WITH_THE_CALL };
        let unseen = Order {
            reversal: Some(unseen),
            fingerprint: [0; 8],
            asked: None,
            ..order(OrderState::Reversed, 0, Receipt::default())
        };
        check(Order { units: Vec::new(), ..unseen }, 1);
    }
}
