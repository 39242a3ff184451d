//! Persons' histories beside the ledger: each names the calls that moved the person's vouchers, and no other.

use std::collections::BTreeMap;

use super::Finding;
use crate::store::history;
use crate::store::keys::HISTORY_BEGIN;
use crate::store::ledger::{Gap, PersonField};
use crate::store::snapshot::{Bucket, Header};

/// The histories of one bucket, as they were read.
#[derive(Default)]
pub struct Found {
    calls: BTreeMap<PersonField, Vec<u64>>,
    unreadable: Vec<Vec<u8>>,
}

/// What the histories of a shard can be held against.
#[derive(Default)]
pub struct Known {
    /// They know of every call from this seq on; of none, where a store has no index yet.
    begin: Option<u64>,
}

impl Found {
    pub fn of(bucket: &Bucket) -> Found {
        let mut found = Found::default();
        for (field, value) in bucket {
            match history::of_field(field, value) {
                Some((person, ids)) => found.calls.entry(person).or_default().extend(ids),
                None => found.unreadable.push(field.clone()),
            }
        }
        found
    }

    pub fn take(&mut self, person: &PersonField) -> Vec<u64> {
        self.calls.remove(person).unwrap_or_default()
    }

    /// Those that were not taken, with their persons.
    pub fn left_over(&mut self) -> BTreeMap<PersonField, Vec<u64>> {
        std::mem::take(&mut self.calls)
    }

    pub fn unreadable(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.unreadable)
    }
}

impl Known {
    pub fn of(header: &Header) -> Known {
        let field = header.fields.iter().find(|(name, _)| name == HISTORY_BEGIN);
        Known { begin: field.and_then(|(_, begin)| begin.parse().ok()) }
    }

    /// What a history should name and does not, and the other way round. What the ledger has lost is told as lost there.
    pub fn compare(&self, subject: &str, gaps: &[Gap], expected: &[u64], mut found: Vec<u64>) -> Option<Finding> {
        let begin = self.begin?;
        let lost = |id: u64| gaps.iter().any(|gap| (gap.after + 1..gap.before).contains(&id));
        found.retain(|id| *id >= begin && !lost(*id));
        found.sort_unstable();
        let expected: Vec<u64> = expected.iter().copied().filter(|id| *id >= begin).collect();
        let list = |ids: Vec<&u64>| match ids.as_slice() {
            [] => "no other call".to_owned(),
            ids => format!("calls at {}", ids.iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")),
        };
        (expected != found).then(|| {
            Finding::new(
                "person_history",
                subject.to_owned(),
                list(expected.iter().filter(|id| !found.contains(id)).collect()),
                list(found.iter().filter(|id| !expected.contains(id)).collect()),
                format!(
                    "the index by which a resident's transactions are read is not what the ledger says; no money is wrong. Setting \
                     {HISTORY_BEGIN} in the shard's header to the next seq has everything before it read of the ledger again"
                ),
            )
        })
    }
}
