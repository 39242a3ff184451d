//! From symptoms to causes: each fault of the store becomes exactly one finding.
//!
//! Ledger, header and records are three witnesses. A counter whose header differs from the ledger while the records agree with the
//! ledger is wrong by itself. A record that differs while the counters agree is wrong by itself. Where header and records agree
//! against the ledger, lines are missing or too many: that is one finding, the gap or the impossible line, and the differences it
//! explains are told with it. "Explains" means: the counters show just what the lost lines would have done, and no gap explains more
//! than the lines it misses.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::fold::LineFault;
use super::money_lines::{after_carry, after_expiry};
use super::order::Order;
use super::person::{Difference, PersonKey};
use crate::engine::ledger::counters;
use crate::engine::ledger::counters::{Counters, What};
use crate::store::ledger::{Gap, OrderKey};

/// Everything that looked wrong on a shard.
#[derive(Default)]
pub struct Symptoms {
    pub shard: u8,
    pub gaps: Vec<Gap>,
    /// What the header counts up to, and where the ledger ends, when it ends later.
    pub beyond: Option<(u64, u64)>,
    pub faults: Vec<LineFault>,
    /// Header minus fold, at one seq.
    pub residual: Counters,
    pub header: Counters,
    pub persons: BTreeMap<PersonKey, (String, Difference)>,
    /// Expected by the ledger, found in the store.
    pub orders: BTreeMap<OrderKey, (Option<Order>, Option<Order>)>,
    pub unreadable: Vec<Finding>,
}

/// A cause that can explain differences of persons, orders and counters.
struct Cause {
    finding: Finding,
    /// Seq from which its effects can show.
    from: u64,
    /// How many more differences it can explain: one per missing line.
    room: u64,
    explained: Vec<String>,
}

pub(super) struct Resolver {
    pub(super) symptoms: Symptoms,
    causes: Vec<Cause>,
    pub(super) findings: Vec<Finding>,
    /// Persons whose trouble has a cause in the ledger.
    explained: BTreeSet<PersonKey>,
}

pub fn resolve(symptoms: Symptoms) -> Vec<Finding> {
    let causes = causes(&symptoms);
    let mut resolver = Resolver { symptoms, causes, findings: Vec::new(), explained: BTreeSet::new() };
    resolver.persons_of_causes();
    resolver.impossible_lines();
    resolver.persons_of_causes();
    resolver.persons_roughly();
    resolver.remaining_persons();
    resolver.remaining_orders();
    resolver.expiry_lines();
    resolver.carry_lines();
    resolver.remaining_counters();
    resolver.finish()
}

fn causes(symptoms: &Symptoms) -> Vec<Cause> {
    let shard = symptoms.shard;
    let of_gap = |gap: &Gap| {
        let (kind, expected, found) = if gap.missing < 0 {
            ("ledger_overlap", format!("the next entry at {}", gap.after + 1), format!("an entry at {}", gap.before))
        } else if gap.unreadable.is_some() {
            ("ledger_unreadable", format!("{} readable lines", gap.missing), gap.unreadable.clone().unwrap_or_default())
        } else {
            ("ledger_gap", format!("line {} after line {}", gap.after + 1, gap.after), format!("line {}", gap.before))
        };
        let explanation = format!("entry {} is followed by {}, {} lines missing", gap.after, gap.before, gap.missing);
        let finding = Finding::new(kind, format!("ledger of shard {shard}"), expected, found, explanation);
        Cause { finding, from: gap.after + 1, room: gap.missing.unsigned_abs(), explained: Vec::new() }
    };
    let beyond = symptoms.beyond.map(|(header, ledger)| {
        let explanation =
            "the header counts fewer lines than the ledger has: it was set back, or lines were added by hand"
                .to_owned();
        let subject = format!("seq of shard {shard}");
        let finding = Finding::new("header_seq", subject, ledger.to_string(), header.to_string(), explanation);
        Cause { finding, from: header + 1, room: ledger - header, explained: Vec::new() }
    });
    symptoms.gaps.iter().map(of_gap).chain(beyond).collect()
}

impl Resolver {
    /// Uses one line's worth of a cause for a difference, if the counters show what it would have done.
    pub(super) fn explain(&mut self, delta: &Counters, subject: &str) -> bool {
        !delta.is_empty() && self.symptoms.residual.contains(delta) && self.attribute(delta, subject, |_| true)
    }

    fn attribute(&mut self, delta: &Counters, subject: &str, fits: impl Fn(&Cause) -> bool) -> bool {
        let Some(cause) = self.causes.iter_mut().find(|cause| cause.room > 0 && fits(cause)) else { return false };
        cause.room -= 1;
        cause.explained.push(subject.to_owned());
        self.symptoms.residual.minus(delta);
        true
    }

    /// Spends the causes on the persons they explain best: first where all counters it touches agree, then where most do, and at last on
    /// differences that only together leave no trace in the counters.
    fn persons_of_causes(&mut self) {
        while let Some(key) = self.best_person(|improved, others| improved > 0 && others == 0, |_| true) {
            self.attribute_person(key);
        }
    }

    fn persons_roughly(&mut self) {
        while let Some(key) =
            self.best_person(|improved, others| improved > 0 && improved >= others, |cause| cause.explained.is_empty())
        {
            self.attribute_person(key);
        }
        let idle: u64 = self.causes.iter().filter(|cause| cause.explained.is_empty()).map(|cause| cause.room).sum();
        let with_delta = self.symptoms.persons.iter().filter(|(_, (_, difference))| !difference.delta.is_empty());
        let (keys, mut sum): (Vec<PersonKey>, Counters) =
            (with_delta.clone().map(|(key, _)| *key).collect(), Counters::default());
        with_delta.for_each(|(_, (_, difference))| sum.plus(&difference.delta));
        if keys.len() as u64 == idle && sum.is_empty() {
            keys.into_iter().for_each(|key| self.attribute_person(key));
        }
    }

    /// The person that an unspent cause explains best: by the number of counters that agree, of those that match exactly, by a differing order.
    fn best_person(&self, enough: impl Fn(usize, usize) -> bool, fits: impl Fn(&Cause) -> bool) -> Option<PersonKey> {
        if !self.causes.iter().any(|cause| cause.room > 0 && fits(cause)) {
            return None;
        }
        let with_order: BTreeSet<PersonKey> = self.persons_of_orders();
        let residual = &self.symptoms.residual;
        let candidates = self.symptoms.persons.iter().filter_map(|(key, (_, difference))| {
            let delta = self.delta_of(difference);
            let (improved, others) = residual.improved_by(&delta);
            enough(improved, others).then(|| ((improved, residual.equal_in(&delta), with_order.contains(key)), *key))
        });
        candidates.max_by_key(|(evidence, _)| *evidence).map(|(_, key)| key)
    }

    fn persons_of_orders(&self) -> BTreeSet<PersonKey> {
        let orders = self.symptoms.orders.values().flat_map(|(expected, found)| expected.iter().chain(found));
        orders.flat_map(|order| &order.units).map(|unit| unit.person).collect()
    }

    /// What the counters would show, in the one of its forms that fits them best.
    fn delta_of(&self, difference: &Difference) -> Counters {
        let fit = |delta: &Counters| {
            let (improved, others) = self.symptoms.residual.improved_by(delta);
            (std::cmp::Reverse(others), improved)
        };
        let mut best = difference.delta.clone();
        for later in [after_expiry(&difference.delta), after_carry(&difference.delta)] {
            if fit(&later) > fit(&best) {
                best = later;
            }
        }
        best
    }

    fn attribute_person(&mut self, key: PersonKey) {
        let Some((subject, difference)) = self.symptoms.persons.remove(&key) else { return };
        let delta = self.delta_of(&difference);
        // A cause that has explained nothing yet comes first: every lost line had some effect.
        if !self.attribute(&delta, &subject, |cause| cause.explained.is_empty()) {
            self.attribute(&delta, &subject, |_| true);
        }
        self.explained.insert(key);
    }

    fn impossible_lines(&mut self) {
        let mut by_entry: BTreeMap<u64, Vec<LineFault>> = BTreeMap::new();
        for fault in std::mem::take(&mut self.symptoms.faults) {
            by_entry.entry(fault.entry).or_default().push(fault);
        }
        for (entry, faults) in by_entry {
            let persons: Vec<PersonKey> = faults.iter().filter_map(|fault| fault.person).collect();
            let explained = !persons.is_empty() && persons.iter().all(|person| self.explained.contains(person));
            if explained {
                continue;
            }
            if self.is_consequence(&faults) {
                for person in persons {
                    if let Some((_, difference)) = self.symptoms.persons.remove(&person) {
                        let delta = self.delta_of(&difference);
                        self.take_off(&delta);
                    }
                    self.explained.insert(person);
                }
                continue;
            }
            let first = &faults[0];
            let subject = format!("ledger entry {entry}-0 of shard {}", self.symptoms.shard);
            let found = faults.iter().map(|fault| fault.reason.clone()).collect::<Vec<_>>().join("; ");
            let explanation = match first.kind {
                "wrong_amount" => "a line states another amount than the voucher has".to_owned(),
                _ => format!("line {} cannot follow the lines before it; it was left out of every sum", first.seq),
            };
            self.findings.push(Finding::new(
                first.kind,
                subject,
                "a line that the lines before it allow".into(),
                found,
                explanation,
            ));
            // Where the line really took effect a second time, counters and records show it and are not told again.
            for fault in &faults {
                self.take_off(&fault.delta);
            }
            for person in persons {
                self.symptoms.persons.remove(&person);
                self.explained.insert(person);
            }
        }
    }

    /// Takes an effect off the counters' differences, if on the whole they show it.
    fn take_off(&mut self, delta: &Counters) {
        let (improved, others) = self.symptoms.residual.improved_by(delta);
        if improved > 0 && improved >= others {
            self.symptoms.residual.minus(delta);
        }
    }

    /// Whether these lines only look impossible because lines before them are lost.
    fn is_consequence(&mut self, faults: &[LineFault]) -> bool {
        let first = &faults[0];
        if first.kind == "wrong_amount" {
            return false;
        }
        // A lost reversal, then a second use: the counters have both uses and the return.
        if let Some((cell, discount)) = first.redeems {
            let mut delta = Counters::default();
            delta.add(cell, What::Redemptions, 1);
            delta.add(cell, What::GrossRedeemed, discount);
            delta.add(cell, What::GrossReturned, discount);
            if self.explain(&delta, "a voucher's return before it was used again") {
                return true;
            }
        }
        if first.kind != "illegal_move" || !self.causes.iter().any(|cause| cause.from < first.seq) {
            return false;
        }
        // Which gap was spent on what is a guess; that as many lines are missing as there is to explain is not.
        let Some(cause) = self.causes.iter_mut().find(|cause| cause.room > 0) else { return false };
        cause.room -= 1;
        cause.explained.push(format!("line {}: {}", first.seq, first.reason));
        true
    }

    fn remaining_persons(&mut self) {
        for (key, (subject, difference)) in std::mem::take(&mut self.symptoms.persons) {
            if self.explained.contains(&key) {
                continue;
            }
            let or_nothing = |notes: &[String]| if notes.is_empty() { "nothing".to_owned() } else { notes.join("; ") };
            let explanation =
                "the record is not what the ledger made of it; the counters do not show the difference".to_owned();
            let (expected, found) = (or_nothing(&difference.expected), or_nothing(&difference.found));
            self.findings.push(Finding::new("person_record", subject, expected, found, explanation));
        }
    }

    fn remaining_orders(&mut self) {
        let deltas_of = |(_, (expected, found)): &(OrderKey, (Option<Order>, Option<Order>))| {
            expected.as_ref().zip(found.as_ref()).map(|(expected, found)| expected.deltas(found)).unwrap_or_default()
        };
        let mut orders: Vec<_> = std::mem::take(&mut self.symptoms.orders).into_iter().collect();
        let equal = |delta: &Counters| self.symptoms.residual.equal_in(delta);
        orders.sort_by_key(|order| std::cmp::Reverse(deltas_of(order).iter().map(equal).max()));
        for order in orders {
            let deltas = deltas_of(&order);
            let (key, (expected, found)) = order;
            let units = expected.iter().chain(&found).flat_map(|order| &order.units);
            if units.map(|unit| unit.person).any(|person| self.explained.contains(&person)) {
                continue;
            }
            let subject = format!("order {key} of shard {}", self.symptoms.shard);
            if deltas.iter().any(|delta| self.explain(delta, &subject)) {
                continue;
            }
            let describe = |order: &Option<Order>| order.as_ref().map_or("no record".to_owned(), Order::describe);
            let explanation = match (&expected, &found) {
                (Some(_), None) => "the ledger has the order, the store has lost its record",
                (None, _) => "the store has an order of which the ledger knows nothing",
                _ => "the record is not what the ledger made of it",
            };
            self.findings.push(Finding::new(
                "order_record",
                subject,
                describe(&expected),
                describe(&found),
                explanation.to_owned(),
            ));
        }
    }

    fn remaining_counters(&mut self) {
        for (counter, n) in self.symptoms.residual.iter() {
            let found = self.symptoms.header.get(counter.0, counter.1);
            let (kind, explanation) = if found < 0 {
                ("negative_counter", "a counter is below zero; the ledger and the records agree on another value")
            } else {
                ("counter", "the header differs from the ledger; the records agree with the ledger")
            };
            let subject = format!("{} of shard {}", counters::name(counter), self.symptoms.shard);
            self.findings.push(Finding::new(
                kind,
                subject,
                (found - n).to_string(),
                found.to_string(),
                explanation.to_owned(),
            ));
        }
        for (counter, found) in self.symptoms.header.iter() {
            if found < 0 && self.symptoms.residual.get(counter.0, counter.1) == 0 {
                let subject = format!("{} of shard {}", counters::name(counter), self.symptoms.shard);
                let explanation = "the ledger itself takes more from this account than was put in".to_owned();
                self.findings.push(Finding::new(
                    "negative_counter",
                    subject,
                    "at least 0".into(),
                    found.to_string(),
                    explanation,
                ));
            }
        }
    }

    fn finish(mut self) -> Vec<Finding> {
        for mut cause in self.causes {
            if !cause.explained.is_empty() {
                let list = cause.explained.join("; ");
                cause.finding.explanation = format!("{}; it explains: {list}", cause.finding.explanation);
            }
            self.findings.push(cause.finding);
        }
        self.findings.append(&mut self.symptoms.unreadable);
        self.findings.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
        self.findings
    }
}
