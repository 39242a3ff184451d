//! A store in memory that does what the scripts do, written from the record and ledger formats: material for the audit's tests.

use std::collections::BTreeMap;

use rmpv::Value;

use super::facts::Facts;
use super::order;
use crate::engine::ledger::facts::{CampaignFacts, PackFacts, RoundFacts, Supply};
use crate::store::ledger::{Bytes, Line, OrderKey, PersonField, To};

pub const HOUR: i64 = 450_000;
pub const UNITS: [i64; 3] = [2000, 1000, 1000];
pub const BUCKETS: u32 = 8;
pub const ORDER_BUCKETS: u16 = 4;
const AT: i64 = 1_595_584_800_000;

pub fn facts() -> Facts {
    let campaign = CampaignFacts {
        c: 7,
        campaign_id: "demo".into(),
        buckets: BUCKETS,
        budget: 100 * 4000 + 50,
        unallocated: 50,
        rounds: vec![RoundFacts { round_id: "rain".into(), own: 100 * 4000, counted: true, ..RoundFacts::default() }],
        has_pool: true,
        orders_over_at: None,
        channels: vec!["wechat".into()],
        packs: vec![PackFacts { pack_id: "standard".into(), units: UNITS.to_vec(), shares: vec![] }],
        supply: vec![Supply { round: 0, channel: None, pack: 0, count: 100 }],
        expiry_hour: Box::new(|_, _, _, _| HOUR),
    };
    Facts { campaigns: BTreeMap::from([(7, campaign)]), order_buckets: ORDER_BUCKETS }
}

#[derive(Clone, Default)]
pub struct Record {
    pub reserved: bool,
    pub packs: Vec<(u32, Vec<u8>)>,
    pub holds: Vec<(u8, u8, OrderKey)>,
}

#[derive(Clone, Default)]
pub struct OrderRecord {
    pub state: u8,
    pub units: Vec<(PersonField, u8, u8, i64)>,
    pub refunds: Vec<(String, i64)>,
}

#[derive(Clone, Default)]
pub struct Sim {
    pub entries: Vec<(u64, Vec<Line>)>,
    pub seq: u64,
    pub counters: BTreeMap<String, i64>,
    pub persons: BTreeMap<(u32, PersonField), Record>,
    pub orders: BTreeMap<OrderKey, OrderRecord>,
    numbers: u32,
}

pub fn field(n: u32) -> PersonField {
    let [a, b, c, d] = n.wrapping_mul(2_654_435_761).to_be_bytes();
    Bytes([a, b, c, d, 0xff, 1, 2, 3, 4])
}

pub fn place(n: u32) -> (u32, PersonField) {
    let f = field(n);
    (u32::from_be_bytes([f.0[0], f.0[1], f.0[2], f.0[3]]) % BUCKETS, f)
}

pub fn order_key(order_id: &str) -> OrderKey {
    order::key("m1", order_id)
}

impl Sim {
    /// Some of everything that happens in a campaign.
    pub fn busy() -> Sim {
        let mut sim = Sim::default();
        (0..40).for_each(|n| sim.reserve(n));
        (0..3).for_each(|n| sim.withdraw(n));
        (5..30).for_each(|n| sim.credit(n));
        (5..12).for_each(|n| sim.redeem(n, 0, &format!("A{n}")));
        (14..19).for_each(|n| sim.redeem(n, 0, &format!("D{n}")));
        (10..14).for_each(|n| sim.hold(n, 1, &format!("B{n}")));
        sim.confirm(10, 1, "B10");
        sim.release(11, 1, "B11", "cancel", 3);
        sim.refund(6, 0, "A6", 500, To::Recovered);
        sim.refund(7, 0, "A7", 2000, To::Outstanding);
        (26..28).for_each(|n| sim.redeem(n, 0, &format!("L{n}")));
        sim.refund(26, 0, "L26", 300, To::Late);
        sim.carry(To::Late);
        sim.refund(27, 0, "L27", 400, To::Late);
        sim.reverse(8, 0, "A8");
        sim.redeem(8, 0, "A8b");
        sim.reserve(41);
        sim
    }

    pub fn add(&mut self, what: &str, n: i64) {
        *self.counters.entry(format!("n:7:0:0:{what}")).or_default() += n;
    }

    pub fn append(&mut self, lines: Vec<Line>) {
        let first = self.seq + 1;
        self.seq += lines.len() as u64;
        self.entries.push((first, lines));
    }

    pub fn record(&mut self, n: u32) -> &mut Record {
        self.persons.entry(place(n)).or_default()
    }

    fn unit(&mut self, n: u32, u: u8, change: impl Fn(u8) -> u8) {
        let units = &mut self.record(n).packs[0].1;
        if units.len() <= usize::from(u) {
            units.resize(usize::from(u) + 1, 0);
        }
        units[usize::from(u)] = change(units[usize::from(u)]);
    }

    fn transfer(&mut self, from: &str, to: &str, amount: i64) {
        self.add(from, -amount);
        self.add(to, amount);
    }

    pub fn reserve(&mut self, n: u32) {
        self.record(n).reserved = true;
        self.add("255:rsv", 1);
        self.append(vec![Line::Reserved { c: 7, f: field(n), round: 0, channel: 0, choice: 255 }]);
    }

    pub fn withdraw(&mut self, n: u32) {
        self.persons.remove(&place(n));
        self.add("255:rsv", -1);
        self.append(vec![Line::Withdrawn { c: 7, f: field(n), round: 0, channel: 0 }]);
    }

    pub fn credit(&mut self, n: u32) {
        self.numbers += 1;
        let no = self.numbers;
        self.record(n).packs.push((no, vec![]));
        self.add("0:pk", 1);
        self.add(&out(), UNITS.iter().sum());
        self.append(vec![Line::Credited { c: 7, f: field(n), round: 0, channel: 0, pack: 0, no, received: 0 }]);
    }

    pub fn hold(&mut self, n: u32, u: u8, order: &str) {
        let ok = order_key(order);
        self.unit(n, u, |byte| byte | 1);
        self.record(n).holds.push((0, u, ok));
        let discount = UNITS[usize::from(u)];
        self.transfer(&out(), "0:held", discount);
        self.orders.insert(ok, OrderRecord { state: 1, units: vec![(field(n), 0, u, discount)], refunds: vec![] });
        self.append(vec![Line::Held { c: 7, f: field(n), p: 0, u, discount, ok }]);
    }

    #[rustfmt::skip] // Twice the same fields.
    pub fn confirm(&mut self, n: u32, u: u8, order: &str) {
        self.unit(n, u, |byte| byte & !3 | 2);
        self.record(n).holds.clear();
        self.redeemed("0:held", u);
        self.orders.entry(order_key(order)).or_default().state = 2;
        let Line::Redeemed {
            c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, category, receipt_no,
        } = redeemed_line(n, u, order) else { unreachable!() };
        self.append(vec![Line::Confirmed {
            c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, category, receipt_no,
        }]);
    }

    fn redeemed(&mut self, from: &str, u: u8) {
        let discount = UNITS[usize::from(u)];
        self.transfer(from, "0:red", discount);
        self.add("0:rn", 1);
        self.add("0:rg", discount);
    }

    pub fn redeem(&mut self, n: u32, u: u8, order: &str) {
        self.unit(n, u, |byte| byte & !3 | 2);
        self.redeemed(&out(), u);
        let units = vec![(field(n), 0, u, UNITS[usize::from(u)])];
        self.orders.insert(order_key(order), OrderRecord { state: 2, units, refunds: vec![] });
        self.append(vec![redeemed_line(n, u, order)]);
    }

    pub fn release(&mut self, n: u32, u: u8, order: &str, why: &str, state: u8) {
        let (ok, discount) = (order_key(order), UNITS[usize::from(u)]);
        self.unit(n, u, |byte| byte & !3);
        self.record(n).holds.clear();
        self.transfer("0:held", &out(), discount);
        self.orders.entry(ok).or_default().state = state;
        self.append(vec![Line::Released {
            c: 7,
            f: field(n),
            p: 0,
            u,
            discount,
            ok,
            to: To::Outstanding,
            why: why.into(),
            ran_out: 0,
        }]);
    }

    pub fn reverse(&mut self, n: u32, u: u8, order: &str) {
        let discount = UNITS[usize::from(u)];
        self.unit(n, u, |byte| byte & !3);
        self.transfer("0:red", &out(), discount);
        self.add("0:rf", discount);
        self.orders.entry(order_key(order)).or_default().state = 5;
        self.append(vec![Line::Reversed {
            c: 7,
            f: field(n),
            p: 0,
            u,
            discount,
            merchant_id: "m1".into(),
            order_id: order.into(),
            attempt: 1,
            store: String::new(),
            terminal: String::new(),
            amount: 6000,
            to: To::Outstanding,
            receipt_no: String::new(),
        }]);
    }

    pub fn refund(&mut self, n: u32, u: u8, order: &str, share: i64, to: To) {
        let discount = UNITS[usize::from(u)];
        self.add("0:red", -share);
        self.add("0:rf", share);
        if to == To::Outstanding {
            self.unit(n, u, |byte| (byte & !3) + 4);
            self.add(&out(), discount);
            self.add("0:rec", share - discount);
        } else {
            self.add(if to == To::Late { "0:late" } else { "0:rec" }, share);
        }
        self.orders.entry(order_key(order)).or_default().refunds.push(("R1".into(), share));
        self.append(vec![Line::Refunded {
            c: 7,
            f: field(n),
            p: 0,
            u,
            share,
            discount,
            merchant_id: "m1".into(),
            order_id: order.into(),
            refund_id: "R1".into(),
            store: String::new(),
            terminal: String::new(),
            amount: 5500,
            to,
            attempt: 1,
            receipt_no: String::new(),
        }]);
    }

    /// What an account of the cell gives to the pool.
    pub fn carry(&mut self, from: To) {
        let name = match from {
            To::Expired => "0:exp",
            To::Recovered => "0:rec",
            _ => "0:late",
        };
        let amount = self.counters.get(&format!("n:7:0:0:{name}")).copied().unwrap_or_default();
        self.transfer(name, "0:pool", amount);
        self.append(vec![Line::Carried { c: 7, round: 0, channel: 0, pack: 0, from, amount }]);
    }

    pub fn expire(&mut self) {
        let amount = self.counters[&format!("n:7:0:0:{}", out())];
        self.transfer(&out(), "0:exp", amount);
        self.append(vec![Line::Expired { c: 7, round: 0, channel: 0, pack: 0, hour: HOUR, amount }]);
    }

    pub fn person_bucket(&self, bucket: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let of_bucket = self.persons.iter().filter(|((place, _), _)| *place == bucket);
        of_bucket.map(|((_, f), record)| (f.0.to_vec(), record.pack())).collect()
    }

    pub fn order_bucket(&self, bucket: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
        let of_bucket =
            self.orders.iter().filter(|(ok, _)| u16::from_be_bytes([ok.0[0], ok.0[1]]) % ORDER_BUCKETS == bucket);
        of_bucket.map(|(ok, order)| (ok.0.to_vec(), order.pack())).collect()
    }

    pub fn at() -> i64 {
        AT
    }
}

pub fn out() -> String {
    format!("0:out:{HOUR}")
}

pub fn redeemed_line(n: u32, u: u8, order: &str) -> Line {
    Line::Redeemed {
        c: 7,
        f: field(n),
        p: 0,
        u,
        discount: UNITS[usize::from(u)],
        merchant_id: "m1".into(),
        order_id: order.into(),
        attempt: 1,
        store: "s1".into(),
        terminal: "t1".into(),
        amount: 6000,
        category: "catering".into(),
        receipt_no: "N1".into(),
    }
}

fn array<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(Into::into).collect())
}

fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("memory does not fail");
    bytes
}

fn raw(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec())
}

impl Record {
    pub fn pack(&self) -> Vec<u8> {
        let at = (AT as u64 / 1000) as u32;
        let mut record = vec![u8::from(self.reserved), self.packs.len() as u8];
        record.extend([9; 23]);
        if self.reserved {
            record.extend([0, 0, 255, 0]);
            record.extend(at.to_be_bytes());
        }
        for (no, units) in &self.packs {
            record.extend([0, 0, 0, units.len() as u8]);
            record.extend([no.to_be_bytes(), at.to_be_bytes()].concat());
            record.extend(units);
        }
        if !self.holds.is_empty() {
            let hold = |(p, u, ok): &(u8, u8, OrderKey)| array([Value::from(*p), (*u).into(), AT.into(), raw(&ok.0)]);
            record.extend(packed(&array([array::<Value>([]), array(self.holds.iter().map(hold))])));
        }
        record
    }
}

impl OrderRecord {
    pub fn pack(&self) -> Vec<u8> {
        let units = self
            .units
            .iter()
            .map(|(f, p, u, d)| array([7.into(), raw(&f.0), (*p).into(), (*u).into(), Value::from(*d)]));
        let refunds = self
            .refunds
            .iter()
            .map(|(id, share)| array([Value::from(id.as_str()), 5500.into(), (*share).into(), AT.into()]));
        let discount: i64 = self.units.iter().map(|unit| unit.3).sum();
        packed(&array([
            1.into(),
            self.state.into(),
            1.into(),
            raw(&[0; 8]),
            6000.into(),
            0.into(),
            discount.into(),
            AT.into(),
            0.into(),
            0.into(),
            array(units),
            array(refunds),
            array::<Value>([]),
        ]))
    }
}
