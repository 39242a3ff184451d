//! The ledger folded into what counters, persons and orders should be, refusing lines that no legal history can hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::facts::Facts;
use super::order;
use super::order::{Order, RedeemedOrder, Unit};
use super::person;
use super::person::{AVAILABLE, Entry, HELD, Pack, Person, PersonKey, USED};
use super::posting::{carry, posting, reservation};
use crate::domain::time::{Ms, SECOND};
use crate::engine::ledger::counters::{Cell, Counters, What};
use crate::store::ledger::{Gap, Item, LedgerEntry, Line, OrderKey, PersonField};

/// A line that contradicts the lines before it. It was not folded.
#[derive(Clone, Debug)]
pub struct LineFault {
    pub entry: u64,
    pub seq: u64,
    pub kind: &'static str,
    pub person: Option<PersonKey>,
    pub reason: String,
    /// What the line would have done to the counters.
    pub delta: Counters,
    /// The discount of the voucher, with the cell of its counters, when the line redeems one.
    pub redeems: Option<(Cell, i64)>,
}

pub struct Fold<'a> {
    facts: &'a Facts,
    pub counters: Counters,
    pub faults: Vec<LineFault>,
    pub gaps: Vec<Gap>,
    pub lines: u64,
    persons: HashMap<PersonKey, Person>,
    orders: HashMap<OrderKey, Order>,
    /// Buckets below these were compared already: what happens there later is the next audit's.
    persons_done: BTreeMap<u16, u32>,
    orders_done: u16,
    expired: BTreeSet<(Cell, i64)>,
    unknown_campaigns: BTreeSet<u16>,
}

/// A line about one voucher.
struct Move<'l> {
    entry: &'l LedgerEntry,
    person: PersonKey,
    p: u8,
    u: u8,
    discount: i64,
    ok: OrderKey,
}

impl<'a> Fold<'a> {
    pub fn new(facts: &'a Facts) -> Fold<'a> {
        Fold {
            facts,
            counters: Counters::default(),
            faults: Vec::new(),
            gaps: Vec::new(),
            lines: 0,
            persons: HashMap::new(),
            orders: HashMap::new(),
            persons_done: BTreeMap::new(),
            orders_done: 0,
            expired: BTreeSet::new(),
            unknown_campaigns: BTreeSet::new(),
        }
    }

    pub fn take(&mut self, item: Item) {
        match item {
            Item::Gap(gap) => self.gaps.push(gap),
            Item::Entry(entry) => {
                self.lines += 1;
                self.apply(&entry);
            }
        }
    }

    /// What a bucket's persons should be; they are not followed any further.
    pub fn close_person_bucket(&mut self, c: u16, bucket: u32) {
        self.persons_done.insert(c, bucket + 1);
    }

    pub fn close_order_bucket(&mut self, bucket: u16) {
        self.orders_done = bucket + 1;
    }

    pub fn take_person(&mut self, key: &PersonKey) -> Person {
        self.persons.remove(key).unwrap_or_default()
    }

    /// The calls that moved the person's vouchers.
    pub fn calls_of(&self, key: &PersonKey) -> &[u64] {
        self.persons.get(key).map(|person| person.calls.as_slice()).unwrap_or_default()
    }

    pub fn take_order(&mut self, key: &OrderKey) -> Option<Order> {
        self.orders.remove(key)
    }

    /// Persons and orders that no record was compared with.
    pub fn left_over(&mut self) -> (HashMap<PersonKey, Person>, HashMap<OrderKey, Order>) {
        let mut persons = std::mem::take(&mut self.persons);
        persons.retain(|_, person| !person.is_empty());
        (persons, std::mem::take(&mut self.orders))
    }

    pub fn unknown_campaigns(&self) -> impl Iterator<Item = u16> + '_ {
        self.unknown_campaigns.iter().copied()
    }

    /// Orders redeemed on this shard, for the check that none is redeemed on two.
    pub fn redeemed_orders(&self) -> Vec<RedeemedOrder> {
        let redeemed = self.orders.iter().filter(|(_, order)| order.state == order::REDEEMED);
        let kept = |order: &Order| self.facts.order_gone_at(order).unwrap_or(Ms::MAX);
        redeemed.map(|(key, order)| RedeemedOrder { key: *key, at: order.at, gone_at: kept(order) }).collect()
    }

    fn apply(&mut self, entry: &LedgerEntry) {
        match &entry.line {
            Line::Reserved { c, f, round, channel, choice } => {
                self.reserve(entry, (*c, *f), Entry { round: *round, channel: *channel, choice: *choice });
            }
            Line::Withdrawn { c, f, round, channel } => self.withdraw(entry, (*c, *f), *round, *channel),
            Line::Changed { c, f, round, channel, choice } => {
                self.change(entry, (*c, *f), Entry { round: *round, channel: *channel, choice: *choice });
            }
            Line::Credited { c, f, round, channel, pack, no, received } => {
                let (round, channel, pack) = (*round, *channel, *pack);
                let at = if *received > 0 { i64::from(*received) * 1_000 } else { whole_seconds(entry.at) };
                self.credit(entry, (*c, *f), Pack { round, channel, pack, no: *no, at, units: Vec::new() });
            }
            Line::Expired { c, round, channel, pack, hour, amount } => {
                let cell = Cell { c: *c, round: *round, channel: *channel, pack: *pack };
                self.expire(entry, cell, *hour, *amount);
            }
            Line::Carried { c, round, channel, pack, from, amount } => {
                let cell = Cell { c: *c, round: *round, channel: *channel, pack: *pack };
                self.counters.plus(&carry(cell, *from, *amount));
            }
            _ => self.voucher_line(entry),
        }
    }

    fn voucher_line(&mut self, entry: &LedgerEntry) {
        if let Some(person) = entry.line.moves_voucher_of().and_then(|key| self.person(key))
            && person.calls.last() != Some(&entry.first_seq)
        {
            person.calls.push(entry.first_seq);
        }
        let go = |c: &u16, f: &PersonField, p: &u8, u: &u8, discount: &i64, ok| Move {
            entry,
            person: (*c, *f),
            p: *p,
            u: *u,
            discount: *discount,
            ok,
        };
        match &entry.line {
            Line::Held { c, f, p, u, discount, ok } => self.move_unit(go(c, f, p, u, discount, *ok), &[AVAILABLE]),
            Line::Confirmed { c, f, p, u, discount, merchant_id, order_id, .. } => {
                self.move_unit(go(c, f, p, u, discount, order::key(merchant_id, order_id)), &[HELD]);
            }
            Line::Redeemed { c, f, p, u, discount, merchant_id, order_id, .. } => {
                self.move_unit(go(c, f, p, u, discount, order::key(merchant_id, order_id)), &[AVAILABLE]);
            }
            Line::Released { c, f, p, u, discount, ok, .. } => self.move_unit(go(c, f, p, u, discount, *ok), &[HELD]),
            Line::Reversed { c, f, p, u, discount, merchant_id, order_id, .. }
            | Line::Refunded { c, f, p, u, discount, merchant_id, order_id, .. } => {
                self.move_unit(go(c, f, p, u, discount, order::key(merchant_id, order_id)), &[USED]);
            }
            _ => {}
        }
    }

    /// Whether the person's bucket was compared already.
    fn is_done(&self, (c, f): &PersonKey) -> bool {
        self.persons_done.get(c).is_some_and(|done| self.facts.bucket(*c, f) < *done)
    }

    /// The person to change, unless it is done or its campaign unknown.
    fn person(&mut self, key: PersonKey) -> Option<&mut Person> {
        if !self.facts.campaigns.contains_key(&key.0) {
            self.unknown_campaigns.insert(key.0);
            return None;
        }
        if self.is_done(&key) { None } else { Some(self.persons.entry(key).or_default()) }
    }

    fn fault(
        &mut self,
        entry: &LedgerEntry,
        kind: &'static str,
        person: Option<PersonKey>,
        reason: String,
        delta: Counters,
    ) {
        self.faults.push(LineFault {
            entry: entry.first_seq,
            seq: entry.seq,
            kind,
            person,
            reason,
            delta,
            redeems: None,
        });
    }

    fn reserve(&mut self, entry: &LedgerEntry, key: PersonKey, reserved: Entry) {
        let delta = reservation(key.0, reserved, 1);
        let Some(person) = self.person(key) else { return };
        if person.entries.contains(&reserved) {
            let reason = format!("the person is on the list of round {} already", reserved.round);
            return self.fault(entry, "reserved_twice", Some(key), reason, delta);
        }
        person.entries.push(reserved);
        self.counters.plus(&delta);
    }

    fn withdraw(&mut self, entry: &LedgerEntry, key: PersonKey, round: u8, channel: u8) {
        let Some(person) = self.person(key) else { return };
        match person.entries.iter().position(|entry| (entry.round, entry.channel) == (round, channel)) {
            Some(place) => {
                let gone = person.entries.remove(place);
                self.counters.plus(&reservation(key.0, gone, -1));
            }
            None => self.fault(
                entry,
                "illegal_move",
                Some(key),
                format!("no reservation in round {round} to withdraw"),
                Counters::default(),
            ),
        }
    }

    fn change(&mut self, entry: &LedgerEntry, key: PersonKey, changed: Entry) {
        let Some(person) = self.person(key) else { return };
        let of_round = |entry: &&mut Entry| entry.round == changed.round;
        let same_channel =
            person.entries.iter().any(|entry| (entry.round, entry.channel) == (changed.round, changed.channel));
        match person.entries.iter_mut().filter(of_round).find(|entry| !same_channel || entry.channel == changed.channel)
        {
            Some(place) => {
                let was = std::mem::replace(place, changed);
                self.counters.plus(&reservation(key.0, was, -1));
                self.counters.plus(&reservation(key.0, changed, 1));
            }
            None => {
                let reason = format!("no reservation in round {} to change", changed.round);
                self.fault(entry, "illegal_move", Some(key), reason, Counters::default());
            }
        }
    }

    fn credit(&mut self, entry: &LedgerEntry, key: PersonKey, pack: Pack) {
        let delta = person::credit_of(key.0, &pack, self.facts);
        let Some(person) = self.person(key) else { return };
        if person.packs.iter().any(|other| other.no == pack.no) {
            let reason = format!("pack {} is credited a second time", pack.no);
            return self.fault(entry, "pack_credited_twice", Some(key), reason, delta);
        }
        person.packs.push(pack);
        self.counters.plus(&delta);
    }

    fn expire(&mut self, entry: &LedgerEntry, cell: Cell, hour: i64, amount: i64) {
        let mut delta = Counters::default();
        delta.add(cell, What::Outstanding(hour), -amount);
        delta.add(cell, What::Expired, amount);
        let again = !self.expired.insert((cell, hour)) && self.counters.get(cell, What::Outstanding(hour)) < amount;
        if again {
            let reason = format!("hour {hour} of the cell has expired already and less than {amount} is outstanding");
            return self.fault(entry, "expired_twice", None, reason, delta);
        }
        self.counters.plus(&delta);
    }

    /// Checks a voucher's line against voucher and order, then moves both.
    fn move_unit(&mut self, go: Move<'_>, from: &[u8]) {
        let facts = self.facts;
        let entry = go.entry;
        let done = self.is_done(&go.person);
        let Some(person) = self.person(go.person) else {
            if done {
                self.move_order(&go, None);
            }
            return;
        };
        let Some(pack) = person.packs.get(usize::from(go.p)) else {
            let reason = format!("the person has no pack at {}", go.p);
            return self.fault(entry, "illegal_move", Some(go.person), reason, Counters::default());
        };
        let cell = pack.cell(go.person.0);
        let byte = pack.unit(go.u);
        let Some(discount) = facts.discount_said(go.person.0, pack.pack, go.u, go.discount) else {
            let reason = format!("pack {} has no unit {}", pack.no, go.u);
            return self.fault(entry, "illegal_move", Some(go.person), reason, Counters::default());
        };
        let hour = facts.expiry_hour(go.person.0, pack.round, pack.pack, go.u, pack.at);
        let delta = posting(&entry.line, cell, hour, discount);
        let redeems = matches!(entry.line, Line::Confirmed { .. } | Line::Redeemed { .. });
        let order_state = self.orders.get(&go.ok).filter(|order| !self.facts.name_is_free(order, entry.at));
        let applied = redeems
            && order_state.is_some_and(|order| order.state == order::REDEEMED && order.last_entry != entry.first_seq);
        if applied || !from.contains(&(byte & 3)) {
            let (kind, reason) = if applied {
                ("order_applied_twice", format!("order {} is redeemed already", go.ok))
            } else if redeems && byte & 3 == USED {
                ("voucher_used_twice", format!("unit {} of the pack at {} is used and was not given back", go.u, go.p))
            } else {
                let state = person::state_name(byte);
                (
                    "illegal_move",
                    format!("unit {} of the pack at {} is {state} before line {}", go.u, go.p, entry.line.kind()),
                )
            };
            let redeems = redeems.then_some((cell, discount));
            let person = Some(go.person);
            return self.faults.push(LineFault {
                entry: entry.first_seq,
                seq: entry.seq,
                kind,
                person,
                reason,
                delta,
                redeems,
            });
        }
        if go.discount != discount {
            let reason = format!("line {} of a voucher of {discount} fen says {}", entry.line.kind(), go.discount);
            self.fault(entry, "wrong_amount", None, reason, Counters::default());
        }
        self.counters.plus(&delta);
        if let Some(person) = self.persons.get_mut(&go.person) {
            person.mark(&entry.line, (go.p, go.u), go.ok, byte);
        }
        self.move_order(&go, Some((cell, discount)));
    }

    fn move_order(&mut self, go: &Move<'_>, of_unit: Option<(Cell, i64)>) {
        let bucket = u16::from_be_bytes([go.ok.0[0], go.ok.0[1]]) % self.facts.order_buckets.max(1);
        if bucket < self.orders_done {
            return;
        }
        if !self.orders.contains_key(&go.ok) && !matches!(go.entry.line, Line::Held { .. } | Line::Redeemed { .. }) {
            return;
        }
        if self.orders.get(&go.ok).is_some_and(|order| self.facts.name_is_free(order, go.entry.at)) {
            self.orders.remove(&go.ok);
        }
        let order = self.orders.entry(go.ok).or_insert_with(|| Order { at: go.entry.at, ..Order::default() });
        let discount = of_unit.map_or(go.discount, |(_, discount)| discount);
        let unit = Unit { person: go.person, p: go.p, u: go.u, discount, cell: of_unit.map(|(cell, _)| cell) };
        match &go.entry.line {
            Line::Held { .. } | Line::Redeemed { .. } => {
                if order.last_entry != go.entry.first_seq {
                    order.units.clear();
                }
                order.units.retain(|other| (other.person, other.p, other.u) != (unit.person, unit.p, unit.u));
                order.units.push(unit);
                order.state = if matches!(go.entry.line, Line::Held { .. }) { order::HELD } else { order::REDEEMED };
            }
            Line::Confirmed { .. } => order.state = order::REDEEMED,
            Line::Released { why, .. } => {
                order.state = match why.as_str() {
                    "cancel" => order::CANCELLED,
                    "expire" => order::EXPIRED,
                    _ => order::REVERSED,
                };
            }
            Line::Reversed { .. } => order.state = order::REVERSED,
            Line::Refunded { share, .. } => order.refunded += share,
            _ => {}
        }
        order.last_entry = go.entry.first_seq;
    }
}

/// A record keeps when its pack was credited in whole seconds, and a unit's end follows from that.
fn whole_seconds(at: Ms) -> Ms {
    at - at.rem_euclid(SECOND)
}
