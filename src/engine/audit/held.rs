//! Identity keys that two persons hold together on one list, where one of them would have to be refused.

use super::facts::Facts;
use super::{Finding, Store, StoreError};
use crate::store::identity::{List, Who};
use crate::store::ledger::PersonField;
use crate::store::record::PersonRecord;

/// A person on a list with an identity key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    c: u16,
    round: u8,
    digest: u64,
    shard: u8,
    f: PersonField,
}

/// The keys that a person holds on the lists that refuse at once.
pub fn held<'a>(
    facts: &'a Facts,
    shard: u8,
    c: u16,
    f: PersonField,
    record: &'a PersonRecord,
) -> impl Iterator<Item = Held> + 'a {
    let rounds = facts.campaigns.get(&c).map(|campaign| campaign.rounds.as_slice()).unwrap_or_default();
    let refuses = |round: u8| rounds.get(usize::from(round)).is_some_and(|round| round.keys_refuse);
    let entries = record.entries.iter().filter(move |entry| refuses(entry.round));
    entries.flat_map(move |entry| {
        let known = entry.digests.into_iter().filter(|digest| *digest != 0);
        known.map(move |digest| Held { c, round: entry.round, digest, shard, f })
    })
}

/// What two persons hold together, looked at once more: the shards were read one after the other, and a key may have gone from one to
/// the other between.
pub async fn held_twice(store: &Store, facts: &Facts, mut keys: Vec<Held>) -> Result<Vec<Finding>, StoreError> {
    keys.sort_unstable();
    let key = |one: &Held| (one.c, one.round, one.digest);
    let mut findings = Vec::new();
    for pair in keys.windows(2).filter(|pair| key(&pair[0]) == key(&pair[1]) && pair[0].f != pair[1].f) {
        let [one, other] = [pair[0], pair[1]];
        let before = still_holds(store, facts, &one).await?;
        let meanwhile = still_holds(store, facts, &other).await?;
        let after = still_holds(store, facts, &one).await?;
        if before.is_none() || before != after || meanwhile.is_none() {
            continue;
        }
        let campaign = facts.campaigns.get(&one.c).map(|campaign| campaign.campaign_id.as_str()).unwrap_or_default();
        findings.push(Finding::new(
            "identity_held_twice",
            format!("{campaign}, round {}, identity key {:016x}", one.round, one.digest),
            "one person".into(),
            format!("person {} on shard {} and person {} on shard {}", one.f, one.shard, other.f, other.shard),
            "two persons are on the list with one phone, device or account".to_owned(),
        ));
    }
    Ok(findings)
}

/// The person's void intents if the key is still held: while they are the same, the person has not withdrawn.
async fn still_holds(store: &Store, facts: &Facts, held: &Held) -> Result<Option<u32>, StoreError> {
    let buckets = facts.campaigns.get(&held.c).map_or(1, |campaign| campaign.buckets);
    let list = List { campaign: held.c, round: held.round, buckets };
    let (record, void) = store.intents(&Who { shard: held.shard, field: held.f.0 }, list).await?;
    let holds = record.entries.iter().any(|entry| entry.round == held.round && entry.digests.contains(&held.digest));
    Ok(holds.then_some(void))
}
