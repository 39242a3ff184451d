//! One shard's records beside the fold of its ledger, bucket by bucket. Pure: the caller reads, this compares.

use std::collections::BTreeMap;

use super::Finding;
use super::facts::Facts;
use super::fold::Fold;
use super::held::{Held, held};
use super::history::{Found, Known};
use super::order::{Order, RedeemedOrder};
use super::person;
use super::person::{Difference, Person, PersonKey};
use super::resolve::{Symptoms, resolve};
use crate::engine::ledger::counters::Counters;
use crate::store::ledger::{Bytes, Gap, Item};
use crate::store::record::PersonRecord;
use crate::store::snapshot::{Bucket, Header};

pub struct ShardWalk<'a> {
    facts: &'a Facts,
    fold: Fold<'a>,
    symptoms: Symptoms,
    /// Records that lie in a bucket that is not their own.
    strays: BTreeMap<PersonKey, (u32, Person)>,
    /// The header's seq, until the header was compared: a line behind it is not one that the header and the records know of.
    counted: Option<u64>,
    redeemed: Vec<RedeemedOrder>,
    keys: Vec<Held>,
    known: Known,
    histories: Found,
}

/// What a shard's audit hands on.
pub struct Walked {
    pub findings: Vec<Finding>,
    pub counters: Counters,
    /// Orders redeemed on this shard, for the comparison of shards.
    pub redeemed: Vec<RedeemedOrder>,
    /// Identity keys that refuse at once and who holds them, likewise.
    pub keys: Vec<Held>,
    pub lines: u64,
}

impl<'a> ShardWalk<'a> {
    /// Begins with the seq that the header had at the snapshot.
    pub fn new(shard: u8, facts: &'a Facts, seq: u64) -> ShardWalk<'a> {
        let symptoms = Symptoms { shard, ..Symptoms::default() };
        let (strays, redeemed, keys) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (known, histories) = (Known::default(), Found::default());
        let fold = Fold::new(facts);
        ShardWalk { facts, fold, symptoms, strays, counted: Some(seq), redeemed, keys, known, histories }
    }

    pub fn ledger(&mut self, item: Item) {
        let beyond = |seq: u64| self.counted.is_some_and(|counted| seq > counted);
        match &item {
            Item::Entry(entry) if beyond(entry.seq) => {}
            _ => self.fold.take(item),
        }
    }

    /// The header, after the ledger up to its end was folded. `end` is the last seq read, `tail` the gap between it and the header.
    pub fn header(&mut self, header: &Header, end: u64, tail: Option<Gap>) {
        let fields = header.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.symptoms.header = Counters::of_header(fields);
        self.symptoms.residual = self.symptoms.header.clone();
        self.symptoms.residual.minus(&self.fold.counters);
        self.counted = None;
        self.symptoms.beyond = (end > header.seq).then_some((header.seq, end));
        self.fold.gaps.extend(tail);
        self.known = Known::of(header);
        self.redeemed = self.fold.redeemed_orders();
    }

    /// The histories of a bucket of persons, which come before the records of the same instant.
    pub fn history_bucket(&mut self, histories: &Bucket) {
        self.histories = Found::of(histories);
    }

    /// Compares the history of somebody who is still folded.
    fn history(&mut self, (c, f): PersonKey, found: Vec<u64>) {
        let subject = format!("history of person {f} of campaign {c}, shard {}", self.symptoms.shard);
        let finding = self.known.compare(&subject, &self.fold.gaps, self.fold.calls_of(&(c, f)), found);
        self.symptoms.unreadable.extend(finding);
    }

    /// A bucket of persons, after the ledger up to the same instant was folded.
    pub fn person_bucket(&mut self, c: u16, bucket: u32, records: &Bucket) {
        for field in self.histories.unreadable() {
            let whose = hex::encode(field);
            self.unreadable(
                format!("history {whose} of campaign {c}, shard {}", self.symptoms.shard),
                "places of calls",
            );
        }
        for f in records.iter().filter_map(|(field, _)| <[u8; 9]>::try_from(field.as_slice()).ok()).map(Bytes) {
            let found = self.histories.take(&f);
            self.history((c, f), found);
        }
        for (f, found) in self.histories.left_over() {
            self.history((c, f), found);
        }
        for (field, value) in records {
            let subject = format!("person {} of campaign {c}, shard {}", hex::encode(field), self.symptoms.shard);
            let Ok(f) = <[u8; 9]>::try_from(field.as_slice()).map(Bytes) else {
                self.unreadable(subject, "a field of 9 bytes");
                continue;
            };
            let Ok(record) = PersonRecord::decode(value) else {
                self.fold.take_person(&(c, f));
                self.unreadable(subject, "a readable record");
                continue;
            };
            let found = Person::of_record(&record);
            if self.facts.bucket(c, &f) != bucket {
                self.strays.insert((c, f), (bucket, found));
                continue;
            }
            self.keys.extend(held(self.facts, self.symptoms.shard, c, f, &record));
            let expected = self.fold.take_person(&(c, f));
            if let Some(difference) = person::compare(c, &expected, &found, self.facts) {
                self.symptoms.persons.insert((c, f), (subject, difference));
            }
        }
        self.fold.close_person_bucket(c, bucket);
    }

    /// A bucket of orders, likewise.
    pub fn order_bucket(&mut self, bucket: u16, records: &Bucket) {
        for (field, value) in records {
            let subject = format!("order {} of shard {}", hex::encode(field), self.symptoms.shard);
            let Ok(ok) = <[u8; 12]>::try_from(field.as_slice()).map(Bytes) else {
                self.unreadable(subject, "a field of 12 bytes");
                continue;
            };
            let expected = self.fold.take_order(&ok);
            let Some(found) = Order::of_record(value) else {
                self.unreadable(subject, "a readable record");
                continue;
            };
            let agrees = expected.as_ref().map_or(found.leaves_no_line(), |expected| expected.agrees(&found));
            if !agrees {
                self.symptoms.orders.insert(ok, (expected, Some(found)));
            }
        }
        self.fold.close_order_bucket(bucket);
    }

    fn unreadable(&mut self, subject: String, expected: &str) {
        let explanation = "the value cannot be read; what the ledger says about it stands".to_owned();
        self.symptoms.unreadable.push(Finding::new(
            "unreadable_record",
            subject,
            expected.to_owned(),
            "other bytes".into(),
            explanation,
        ));
    }

    pub fn finish(mut self) -> Walked {
        let shard = self.symptoms.shard;
        let (missing, orders) = self.fold.left_over();
        for ((c, f), expected) in missing {
            let subject = format!("person {f} of campaign {c}, shard {shard}");
            let found = self.strays.remove(&(c, f));
            let difference = match found {
                Some((bucket, _)) => Difference {
                    expected: vec![format!("the record in bucket {}", self.facts.bucket(c, &f))],
                    found: vec![format!("it lies in bucket {bucket}")],
                    ..Difference::default()
                },
                None => person::compare(c, &expected, &Person::default(), self.facts).unwrap_or_default(),
            };
            self.symptoms.persons.insert((c, f), (subject, difference));
        }
        for ((c, f), (bucket, _)) in std::mem::take(&mut self.strays) {
            let subject = format!("person {f} of campaign {c}, shard {shard}");
            let found = vec![format!("a second record in bucket {bucket}")];
            let difference = Difference { found, ..Difference::default() };
            self.symptoms.persons.entry((c, f)).or_insert((subject, difference));
        }
        // An order whose time is over is gone by right, and as long as it is there it was compared like any other.
        for (ok, expected) in orders.into_iter().filter(|(_, order)| self.facts.order_gone_at(order).is_none()) {
            self.symptoms.orders.insert(ok, (Some(expected), None));
        }
        for c in self.fold.unknown_campaigns() {
            let explanation = "the ledger has lines of a campaign that the configuration does not have".to_owned();
            let subject = format!("campaign {c} on shard {shard}");
            self.symptoms.unreadable.push(Finding::new(
                "unknown_campaign",
                subject,
                "a campaign".into(),
                "none".into(),
                explanation,
            ));
        }
        self.symptoms.gaps = std::mem::take(&mut self.fold.gaps);
        self.symptoms.faults = std::mem::take(&mut self.fold.faults);
        let counters = self.symptoms.header.clone();
        Walked {
            counters,
            redeemed: self.redeemed,
            keys: self.keys,
            lines: self.fold.lines,
            findings: resolve(self.symptoms),
        }
    }
}
