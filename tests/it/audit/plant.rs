//! Faults planted in a store by hand, each of which the audit must find.

use std::collections::HashSet;

use redis::Commands;
use rmpv::Value;

use super::stored;

/// A fault: its name and how it is planted.
pub type Plant = (&'static str, fn(&mut Planter<'_>));

/// Faults of shard 0, in an order in which they can all be planted in one store that has seen reservations, credits, holds,
/// redemptions and refunds.
pub const PLANTS: &[Plant] = &[
    ("a pack is with somebody who has not won", |plant| plant.move_pack()),
    ("a credit is missing from the ledger", |plant| plant.drop_entry("P")),
    ("a redemption is missing from the ledger", |plant| plant.drop_entry("D")),
    ("a pack is counted twice", |plant| plant.bump(":pk", 1)),
    ("a fen of outstanding money is lost", |plant| plant.bump(":out:", -1)),
    ("redeemed money is made", |plant| plant.bump(":red", 100)),
    ("a reservation is not counted", |plant| plant.bump(":rsv", -1)),
    ("a redemption is counted twice", |plant| plant.bump(":rn", 1)),
    ("held money is below zero", |plant| plant.bump(":held", -1_000_000)),
    ("a used voucher is available again", |plant| plant.set_unit(2, 0)),
    ("an available voucher is used", |plant| plant.set_unit(0, 2)),
    ("a pack is taken away", |plant| {
        plant.change_person(|record| has(record, PACKS) && !has(record, HOLDS), |record| clear(record, PACKS))
    }),
    ("a pack is given by hand", |plant| {
        plant.change_person(
            |record| has(record, PACKS),
            |record| {
                let mut pack = list(record, PACKS)[0].clone();
                items(&mut pack)[3] = 4_000_000_000u32.into();
                items(&mut pack)[5] = Value::Binary(vec![]);
                items(part(record, PACKS)).push(pack);
            },
        )
    }),
    ("a reservation is taken away", |plant| {
        plant.change_person(|record| has(record, ENTRIES) && !has(record, PACKS), |record| clear(record, ENTRIES));
    }),
    ("a hold is forgotten", |plant| plant.change_person(|record| has(record, HOLDS), |record| clear(record, HOLDS))),
    ("a person is deleted", |plant| {
        let (key, field, _) = plant.pick_person(|record| has(record, ENTRIES) && !has(record, PACKS));
        plant.connection.hdel::<_, _, ()>(key, field).unwrap();
    }),
    ("a person is made up", |plant| {
        let (key, mut field, record) = plant.pick_person(|record| has(record, ENTRIES) && !has(record, PACKS));
        // The first four bytes choose the bucket.
        field[8] ^= 0xff;
        plant.persons.insert(field.clone());
        plant.connection.hset::<_, _, _, ()>(key, field, stored::person_bytes(&record)).unwrap();
    }),
    ("a person lies in another bucket", |plant| {
        let (key, field, record) = plant.pick_person(|record| has(record, ENTRIES) && !has(record, PACKS));
        let other = plant.keys("{s000}:c*:p:*").into_iter().find(|other| *other != key).unwrap();
        plant.connection.hdel::<_, _, ()>(key, &field).unwrap();
        plant.connection.hset::<_, _, _, ()>(other, field, stored::person_bytes(&record)).unwrap();
    }),
    ("an order is deleted", |plant| {
        let (key, field, _) = plant.pick_order(2);
        plant.connection.hdel::<_, _, ()>(key, field).unwrap();
    }),
    ("a redeemed order is cancelled", |plant| plant.change_order(|order| items(order)[1] = 3.into())),
    ("a refund is made up", |plant| {
        plant.change_order(|order| {
            items(part(order, 11)).push(Value::Array(vec!["R9".into(), 100.into(), 100.into(), 1.into()]));
        })
    }),
    ("a call is missing from its person's history", |plant| plant.change_history(|ids| ids.truncate(ids.len() - 5))),
    ("a history names somebody else's call", |plant| plant.change_history(|ids| ids.extend([0, 0, 0, 0, 1]))),
];

const ENTRIES: usize = 1;
const PACKS: usize = 2;
const HOLDS: usize = 4;

/// Plants faults so that no two touch the same person, order or place of the ledger.
pub struct Planter<'a> {
    pub connection: &'a mut redis::Connection,
    persons: HashSet<Vec<u8>>,
    orders: HashSet<Vec<u8>>,
    dropped: Vec<(u64, u64)>,
}

type Found = (String, Vec<u8>, Value);

impl<'a> Planter<'a> {
    pub fn new(connection: &'a mut redis::Connection) -> Planter<'a> {
        Planter { connection, persons: HashSet::new(), orders: HashSet::new(), dropped: Vec::new() }
    }

    fn keys(&mut self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.connection.keys(pattern).unwrap();
        keys.sort_unstable();
        keys
    }

    fn records(&mut self, pattern: &str, decode: fn(&[u8]) -> Value) -> Vec<Found> {
        let mut found = Vec::new();
        for key in self.keys(pattern) {
            let mut records: Vec<(Vec<u8>, Vec<u8>)> = self.connection.hgetall(&key).unwrap();
            records.sort_unstable();
            found.extend(records.into_iter().map(|(field, value)| (key.clone(), field, decode(&value))));
        }
        found
    }

    fn pick_person(&mut self, fits: impl Fn(&Value) -> bool) -> Found {
        self.pick_person_of(&HashSet::new(), fits)
    }

    /// A person whom no plant has touched yet and who is not among the others.
    fn pick_person_of(&mut self, others: &HashSet<Vec<u8>>, fits: impl Fn(&Value) -> bool) -> Found {
        let mut candidates = self.records("{s000}:c*:p:*", stored::person).into_iter();
        let free = |field: &Vec<u8>| !self.persons.contains(field) && !others.contains(field);
        let found = candidates.find(|(_, field, record)| free(field) && fits(record)).expect("a person to spoil");
        self.persons.insert(found.1.clone());
        found
    }

    fn change_person(&mut self, fits: impl Fn(&Value) -> bool, change: impl Fn(&mut Value)) {
        let (key, field, mut record) = self.pick_person(fits);
        change(&mut record);
        self.connection.hset::<_, _, _, ()>(key, field, stored::person_bytes(&record)).unwrap();
    }

    /// Changes the places of calls in a person's history.
    fn change_history(&mut self, change: impl Fn(&mut Vec<u8>)) {
        for key in self.keys("{s000}:c*:t:*") {
            let mut histories: Vec<(Vec<u8>, Vec<u8>)> = self.connection.hgetall(&key).unwrap();
            histories.sort_unstable();
            let free = |(field, _): &(Vec<u8>, Vec<u8>)| !self.persons.contains(field);
            if let Some((field, mut places)) = histories.into_iter().find(free) {
                change(&mut places);
                self.persons.insert(field.clone());
                return self.connection.hset(key, field, places).unwrap();
            }
        }
        panic!("no history to spoil");
    }

    /// Gives the first unit of a person's first pack another state.
    fn set_unit(&mut self, from: u8, to: u8) {
        let first = |record: &Value| list(record, PACKS).first().map(|pack| bytes(&pack.as_array().unwrap()[5]));
        let fits =
            |record: &Value| first(record).is_some_and(|units| units.first().copied().unwrap_or_default() == from);
        self.change_person(fits, |record| {
            let mut units = first(record).unwrap();
            units.resize(units.len().max(1), 0);
            units[0] = to;
            items(&mut items(part(record, PACKS))[0])[5] = Value::Binary(units);
        });
    }

    /// Gives the pack of a winner to a loser, in their records and in the line that credits it: ledger, counters and records agree.
    fn move_pack(&mut self) {
        let shoppers = self.shoppers();
        let (of_winner, winner, mut from) = self.pick_person_of(&shoppers, |record| has(record, PACKS));
        let (of_loser, loser, mut to) = self.pick_person(|record| has(record, ENTRIES) && !has(record, PACKS));
        std::mem::swap(part(&mut from, PACKS), part(&mut to, PACKS));
        self.connection.hset::<_, _, _, ()>(of_winner, &winner, stored::person_bytes(&from)).unwrap();
        self.connection.hset::<_, _, _, ()>(of_loser, &loser, stored::person_bytes(&to)).unwrap();
        let entries: redis::streams::StreamRangeReply = self.connection.xrange_all("{s000}:l").unwrap();
        self.connection.del::<_, ()>("{s000}:l").unwrap();
        for entry in entries.ids {
            let (at, mut lines): (String, Vec<u8>) = (entry.get("t").unwrap(), entry.get("l").unwrap());
            let place = lines.windows(winner.len()).position(|part| part == winner);
            if let Some(place) = place.filter(|_| credits(&lines)) {
                lines[place..place + loser.len()].copy_from_slice(&loser);
            }
            self.connection
                .xadd::<_, _, _, _, ()>("{s000}:l", &entry.id, &[("t", at.as_bytes()), ("l", &lines)])
                .unwrap();
        }
    }

    /// Persons of whom the ledger tells more than that they reserved and were credited, even if their vouchers are whole again.
    fn shoppers(&mut self) -> HashSet<Vec<u8>> {
        let entries: redis::streams::StreamRangeReply = self.connection.xrange_all("{s000}:l").unwrap();
        let lines =
            entries.ids.iter().flat_map(|entry| items(&mut unpacked(&entry.get::<Vec<u8>>("l").unwrap())).clone());
        let told = lines.map(|line| stored::line(&line)).filter(|(kind, _)| !["R", "P"].contains(&kind.as_str()));
        told.flat_map(|(_, persons)| persons).collect()
    }

    /// An order in the state, of persons that nothing else touches.
    fn pick_order(&mut self, state: u64) -> Found {
        let (persons, orders) = (&self.persons, &self.orders);
        let of_persons = |order: &Value| -> Vec<Vec<u8>> {
            list(order, 10).iter().map(|unit| bytes(&unit.as_array().unwrap()[1])).collect()
        };
        let fits = |(_, field, order): &Found| {
            let fields = of_persons(order);
            order.as_array().unwrap()[1].as_u64() == Some(state)
                && !fields.is_empty()
                && !orders.contains(field)
                && fields.iter().all(|field| !persons.contains(field))
        };
        let (persons, orders) = (persons.clone(), orders.clone());
        let found = {
            let candidates = Planter { connection: &mut *self.connection, persons, orders, dropped: vec![] }
                .records("{s000}:o:*", unpacked);
            candidates.into_iter().find(fits).expect("an order to spoil")
        };
        self.persons.extend(of_persons(&found.2));
        self.orders.insert(found.1.clone());
        found
    }

    fn change_order(&mut self, change: impl Fn(&mut Value)) {
        let (key, field, mut order) = self.pick_order(2);
        change(&mut order);
        self.connection.hset::<_, _, _, ()>(key, field, packed(&order)).unwrap();
    }

    /// Changes the first counter of the header whose name has the part.
    fn bump(&mut self, part: &str, n: i64) {
        let fields: std::collections::BTreeMap<String, String> = self.connection.hgetall("{s000}:h").unwrap();
        let field =
            fields.keys().find(|field| field.starts_with("n:") && field.contains(part)).expect("a counter to spoil");
        self.connection.hincr::<_, _, _, ()>("{s000}:h", field, n).unwrap();
    }

    /// Deletes a ledger entry with a line of the kind, away from other holes and from persons that were touched.
    fn drop_entry(&mut self, kind: &str) {
        let entries: redis::streams::StreamRangeReply = self.connection.xrange_all("{s000}:l").unwrap();
        for entry in entries.ids {
            let packed: Vec<u8> = entry.get("l").unwrap();
            let lines = rmpv::decode::read_value(&mut packed.as_slice()).unwrap();
            let lines = lines.as_array().unwrap();
            let first: u64 = entry.id.split('-').next().unwrap().parse().unwrap();
            let (kinds, persons): (Vec<String>, Vec<Vec<Vec<u8>>>) = lines.iter().map(stored::line).unzip();
            let persons: Vec<Vec<u8>> = persons.concat();
            let next = first + persons.len() as u64;
            let apart = self.dropped.iter().all(|(start, end)| next < *start || first > *end);
            let untouched = persons.iter().all(|field| !self.persons.contains(field));
            if apart && untouched && kinds.iter().any(|other| other == kind) {
                self.connection.xdel::<_, _, ()>("{s000}:l", &[&entry.id]).unwrap();
                self.dropped.push((first, next));
                self.persons.extend(persons);
                return;
            }
        }
        panic!("no entry with a line {kind} to drop");
    }
}

/// Whether the lines of a ledger entry credit packs.
fn credits(lines: &[u8]) -> bool {
    unpacked(lines).as_array().unwrap().iter().any(|line| stored::line(line).0 == "P")
}

pub fn part(record: &mut Value, index: usize) -> &mut Value {
    &mut items(record)[index]
}

pub fn items(value: &mut Value) -> &mut Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("{other} is not an array"),
    }
}

/// A part of a record; trailing empty parts may be absent.
fn list(record: &Value, index: usize) -> &[Value] {
    record.as_array().unwrap().get(index).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn has(record: &Value, index: usize) -> bool {
    !list(record, index).is_empty()
}

fn clear(record: &mut Value, index: usize) {
    items(part(record, index)).clear();
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Binary(bytes) => bytes.clone(),
        other => panic!("{other} is not a string"),
    }
}

pub fn unpacked(mut bytes: &[u8]) -> Value {
    rmpv::decode::read_value(&mut bytes).unwrap()
}

pub fn packed(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}
