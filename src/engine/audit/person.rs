//! One person of one campaign, as the ledger says it or as its record says it, and how the two differ.

use super::facts::Facts;
use crate::domain::time::Ms;
use crate::engine::ledger::counters::{Cell, Counters, What};
use crate::store::ledger::{Line, OrderKey, PersonField, To};
use crate::store::record::PersonRecord;

/// Campaign and field of the record.
pub type PersonKey = (u16, PersonField);

pub const AVAILABLE: u8 = 0;
pub const HELD: u8 = 1;
pub const USED: u8 = 2;
const REVOKED: u8 = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub entries: Vec<Entry>,
    pub packs: Vec<Pack>,
    pub marks: Vec<Mark>,
    /// Ids of the ledger's entries that moved a voucher, whether or not the move was legal.
    pub calls: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub round: u8,
    pub channel: u8,
    pub choice: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
    pub no: u32,
    pub at: Ms,
    /// Low two bits the state, the others how often a refund gave the unit back; shorter than the pack when the rest is untouched.
    pub units: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    Held {
        p: u8,
        u: u8,
        ok: OrderKey,
    },
    /// The money went elsewhere than back to the person; whether the unit then reads used or revoked (or, where the money expired,
    /// available) is the rules' affair.
    Settled {
        p: u8,
        u: u8,
        expired: bool,
    },
}

impl Pack {
    pub fn unit(&self, u: u8) -> u8 {
        self.units.get(usize::from(u)).copied().unwrap_or_default()
    }

    pub fn set_unit(&mut self, u: u8, byte: u8) {
        let index = usize::from(u);
        if self.units.len() <= index {
            self.units.resize(index + 1, 0);
        }
        self.units[index] = byte;
    }

    pub fn cell(&self, c: u16) -> Cell {
        Cell { c, round: self.round, channel: self.channel, pack: self.pack }
    }

    fn same(&self, other: &Pack) -> bool {
        (self.round, self.channel, self.pack, self.no) == (other.round, other.channel, other.pack, other.no)
    }
}

impl Person {
    pub fn of_record(record: &PersonRecord) -> Person {
        let entries = record.entries.iter().map(|entry| Entry {
            round: entry.round,
            channel: entry.channel,
            choice: entry.choice,
        });
        let packs = record.packs.iter().map(|pack| Pack {
            round: pack.round,
            channel: pack.channel,
            pack: pack.pack,
            no: pack.number,
            at: pack.at * 1000,
            units: pack.units.clone(),
        });
        let holds = record.holds.iter().map(|hold| {
            let ok = hold.order.as_slice().try_into().unwrap_or_default();
            Mark::Held { p: hold.pack, u: hold.unit, ok: crate::store::ledger::Bytes(ok) }
        });
        Person { entries: entries.collect(), packs: packs.collect(), marks: holds.collect(), calls: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.packs.is_empty()
    }

    /// The unit's byte and the person's holds after a legal line.
    pub fn mark(&mut self, line: &Line, (p, u): (u8, u8), ok: OrderKey, byte: u8) {
        self.marks.retain(|mark| !matches!(mark, Mark::Held { p: q, u: v, .. } if (*q, *v) == (p, u)));
        let restores = byte & !3;
        let (byte, mark) = match line {
            Line::Held { .. } => (restores | HELD, Some(Mark::Held { p, u, ok })),
            Line::Confirmed { .. } | Line::Redeemed { .. } => (restores | USED, None),
            Line::Released { .. } => (restores | AVAILABLE, None),
            Line::Reversed { to: To::Outstanding, .. } => (restores | AVAILABLE, None),
            Line::Refunded { to: To::Outstanding, .. } => ((restores + 4) | AVAILABLE, None),
            Line::Reversed { to, .. } | Line::Refunded { to, .. } => {
                (byte, Some(Mark::Settled { p, u, expired: *to == To::Expired }))
            }
            _ => (byte, None),
        };
        self.marks.extend(mark);
        if let Some(pack) = self.packs.get_mut(usize::from(p)) {
            pack.set_unit(u, byte);
        }
    }
}

/// How a found person differs from the expected one.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    pub expected: Vec<String>,
    pub found: Vec<String>,
    /// What the counters would show if the found record were right and the ledger had lost the lines that led to it.
    pub delta: Counters,
}

/// None when they agree.
pub fn compare(c: u16, expected: &Person, found: &Person, facts: &Facts) -> Option<Difference> {
    let mut difference = Difference::default();
    compare_entries(c, expected, found, &mut difference);
    compare_packs(c, expected, found, facts, &mut difference);
    compare_holds(expected, found, &mut difference);
    (!difference.expected.is_empty() || !difference.found.is_empty()).then_some(difference)
}

fn compare_entries(c: u16, expected: &Person, found: &Person, difference: &mut Difference) {
    let (mut missing, mut extra) = (expected.entries.clone(), found.entries.clone());
    missing.retain(|entry| !take(&mut extra, entry));
    let mut note = |entry: &Entry, n: i64| {
        let cell = Cell { c, round: entry.round, channel: entry.channel, pack: entry.choice };
        difference.delta.add(cell, What::Reservations, n);
        let text = format!("reservation (round {}, channel {}, choice {})", entry.round, entry.channel, entry.choice);
        if n < 0 { difference.expected.push(text) } else { difference.found.push(text) }
    };
    missing.iter().for_each(|entry| note(entry, -1));
    extra.iter().for_each(|entry| note(entry, 1));
}

fn take(entries: &mut Vec<Entry>, entry: &Entry) -> bool {
    let place = entries.iter().position(|other| other == entry);
    place.map(|index| entries.swap_remove(index)).is_some()
}

fn compare_packs(c: u16, expected: &Person, found: &Person, facts: &Facts, difference: &mut Difference) {
    let describe =
        |pack: &Pack| format!("pack {} (round {}, channel {}, pack {})", pack.no, pack.round, pack.channel, pack.pack);
    for (p, pack) in (0u8..).zip(&expected.packs) {
        match found.packs.iter().find(|other| other.same(pack)) {
            Some(other) => {
                let settled = |u, state| {
                    let of = |expired| expected.marks.contains(&Mark::Settled { p, u, expired });
                    matches!(state, USED | REVOKED) && (of(false) || of(true)) || state == AVAILABLE && of(true)
                };
                compare_units(c, pack, other, settled, facts, difference);
            }
            None => {
                difference.expected.push(describe(pack));
                difference.delta.minus(&whole_of(c, pack, facts));
            }
        }
    }
    for pack in &found.packs {
        let twice = found.packs.iter().filter(|other| other.same(pack)).count() > 1;
        if twice || !expected.packs.iter().any(|other| other.same(pack)) {
            difference.found.push(describe(pack) + if twice { ", twice" } else { "" });
            difference.delta.plus(&whole_of(c, pack, facts));
        }
    }
}

fn compare_units(
    c: u16,
    expected: &Pack,
    found: &Pack,
    settled: impl Fn(u8, u8) -> bool,
    facts: &Facts,
    difference: &mut Difference,
) {
    let units = expected.units.len().max(found.units.len());
    for u in (0..=u8::MAX).take(units) {
        let (was, is) = (expected.unit(u), found.unit(u));
        if was == is || settled(u, is & 3) {
            continue;
        }
        difference.expected.push(format!("unit {u} of pack {} {}", expected.no, state_name(was)));
        difference.found.push(format!("unit {u} of pack {} {}", found.no, state_name(is)));
        add_move(c, found, u, was, is, facts, &mut difference.delta);
    }
}

fn compare_holds(expected: &Person, found: &Person, difference: &mut Difference) {
    let held = |person: &Person| -> Vec<Mark> {
        let mut marks: Vec<Mark> =
            person.marks.iter().filter(|mark| matches!(mark, Mark::Held { .. })).copied().collect();
        marks.sort_unstable();
        marks
    };
    let (was, is) = (held(expected), held(found));
    let note = |marks: &[Mark], others: &[Mark], notes: &mut Vec<String>| {
        for mark in marks.iter().filter(|mark| !others.contains(mark)) {
            if let Mark::Held { p, u, ok } = mark {
                notes.push(format!("hold of unit {u} of the pack at {p} for order {ok}"));
            }
        }
    };
    note(&was, &is, &mut difference.expected);
    note(&is, &was, &mut difference.found);
}

/// What crediting the pack does to the counters.
pub fn credit_of(c: u16, pack: &Pack, facts: &Facts) -> Counters {
    let mut counters = Counters::default();
    let cell = pack.cell(c);
    counters.add(cell, What::Packs, 1);
    let units = facts.campaigns.get(&c).and_then(|campaign| campaign.packs.get(usize::from(pack.pack)));
    for (u, discount) in (0u8..).zip(units.map(|pack| pack.units.as_slice()).unwrap_or_default()) {
        counters.add(cell, What::Outstanding(facts.expiry_hour(c, pack.round, pack.pack, u, pack.at)), *discount);
    }
    counters
}

/// The credit and all that happened to the units since.
fn whole_of(c: u16, pack: &Pack, facts: &Facts) -> Counters {
    let mut counters = credit_of(c, pack, facts);
    for u in (0..=u8::MAX).take(pack.units.len()) {
        add_move(c, pack, u, AVAILABLE, pack.unit(u), facts, &mut counters);
    }
    counters
}

/// The shortest way of a unit from one byte to another, in counters.
fn add_move(c: u16, pack: &Pack, u: u8, was: u8, is: u8, facts: &Facts, delta: &mut Counters) {
    let cell = pack.cell(c);
    let discount = facts.discount(c, pack.pack, u).unwrap_or_default();
    let account = |byte: u8| match byte & 3 {
        AVAILABLE => What::Outstanding(facts.expiry_hour(c, pack.round, pack.pack, u, pack.at)),
        HELD => What::Held,
        USED => What::Redeemed,
        _ => What::Recovered,
    };
    delta.add(cell, account(was), -discount);
    delta.add(cell, account(is), discount);
    let used = |byte: u8| i64::from(byte & 3 == USED);
    let restores = i64::from(is >> 2) - i64::from(was >> 2);
    let redemptions = (restores + used(is) - used(was)).max(0);
    let returns = redemptions + used(was) - used(is);
    delta.add(cell, What::Redemptions, redemptions);
    delta.add(cell, What::GrossRedeemed, redemptions * discount);
    delta.add(cell, What::GrossReturned, returns.max(0) * discount);
}

pub fn state_name(byte: u8) -> String {
    let state = match byte & 3 {
        AVAILABLE => "available",
        HELD => "held",
        USED => "used",
        REVOKED.. => "revoked",
    };
    if byte >> 2 == 0 { state.to_owned() } else { format!("{state}, restored {} times", byte >> 2) }
}
