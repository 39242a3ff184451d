//! Invariant 8 in the records, person by person: whoever has a pack of a drawn round has won it by the cutoffs, and where winners are credited
//! without a tap every winner has it. No sum can tell: a pack that went to somebody else leaves all of them as they are.
//!
//! Records are read first and the newest decision after them, for what a record shows was decided before. That somebody goes without is
//! judged by what was known before the record was read, for the round was credited by then. Here alone the audit asks the code that
//! decides; `quanyu verify-draw` decides a second time from the published rules.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Finding;
use crate::domain::claim_limit;
use crate::domain::person::Pseudonym;
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, RoundView, Snapshot};
use crate::engine::draw::result::Win;
use crate::engine::pack::credit;
use crate::store::record::{Pack, PersonRecord};
use crate::store::{StoreError, read};

/// A supply of a round: campaign, round, channel, pack.
type Supply = (u16, u8, u8, u8);

/// A person whose packs are not what was won, as it was read.
struct Suspect {
    c: u16,
    shard: u8,
    pseudonym: Pseudonym,
    record: PersonRecord,
    /// How many entries the person has in each drawn round, where these are several.
    chances: BTreeMap<u8, u8>,
    /// Packs that the person had to have when the record was read.
    missing: Vec<Supply>,
}

/// Persons, by what they have and did not win, or have won and do not have.
#[derive(Default)]
struct Wrong {
    extra: BTreeMap<Supply, Vec<String>>,
    missing: BTreeMap<Supply, Vec<String>>,
}

impl Engine {
    /// Compares credited packs with decided winners. Persons whom a finding names already are not told again.
    pub(in crate::engine) async fn audit_winners(&self, told: &[Finding]) -> Result<Vec<Finding>, StoreError> {
        let before = self.view();
        let (mut suspects, mut rows) = (Vec::new(), BTreeSet::new());
        let published = before.by_number.values().filter(|view| view.is_published());
        for view in published.filter(|view| view.rounds.iter().any(|round| round.round.draw.is_some())) {
            for shard in 0..self.store.shards() {
                self.suspects_of(view, shard, &mut suspects, &mut rows).await?;
            }
        }
        suspects.retain(|suspect| !is_told(told, suspect));
        let mut found: Vec<Finding> = rows.into_iter().map(unreadable_row).collect();
        if !suspects.is_empty() {
            self.refresh().await?;
            found.extend(findings(&self.view(), &suspects));
        }
        Ok(found)
    }

    async fn suspects_of(
        &self,
        view: &Arc<CampaignView>,
        shard: u8,
        suspects: &mut Vec<Suspect>,
        unreadable: &mut BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let mut several: HashMap<u8, HashMap<[u8; 9], u8>> = HashMap::new();
        let mut unknown = HashSet::new();
        for round in drawn(view) {
            let (chances, rows) = self.chances_each(view, round.index, shard).await?;
            several.insert(round.index, chances);
            unknown.extend(credit::unknown(view, &rows));
            unreadable.extend(rows.into_iter().map(|row| row.named));
        }
        for buckets in read::steps(view.record.buckets) {
            // What cannot be read is in a finding of the shard's walk.
            let people =
                self.store.people_each(shard, view.number, buckets).await?.into_iter().flat_map(|(_, read)| read);
            for (pseudonym, record) in people.filter(|(pseudonym, _)| !unknown.contains(&pseudonym.field())) {
                let own = |(round, all): (&u8, &HashMap<[u8; 9], u8>)| Some((*round, *all.get(&pseudonym.field())?));
                let chances = several.iter().filter_map(own).collect();
                let c = view.number;
                let mut suspect = Suspect { c, shard, pseudonym, record, chances, missing: Vec::new() };
                suspect.missing = suspect.missing(view);
                if !suspect.missing.is_empty() || suspect.extra(view).next().is_some() {
                    suspects.push(suspect);
                }
            }
        }
        Ok(())
    }
}

fn unreadable_row(named: String) -> Finding {
    let (expected, found) = ("a readable row".to_owned(), "other bytes".to_owned());
    Finding::new("unreadable_record", named, expected, found, "the value cannot be read".to_owned())
}

/// Rounds whose packs belong to those whom a draw has named, whether it was held or not.
fn drawn(view: &CampaignView) -> impl Iterator<Item = &RoundView> {
    view.rounds.iter().filter(|round| round.round.draw.is_some())
}

impl Suspect {
    fn wins(&self, view: &CampaignView, round: &RoundView) -> Vec<Win> {
        let chances = self.chances.get(&round.index).copied().unwrap_or(1);
        round.wins(view, self.pseudonym, &self.record.entries, chances)
    }

    /// Packs of drawn rounds that the person has and has not won.
    fn extra<'a>(&'a self, view: &'a CampaignView) -> impl Iterator<Item = Supply> + 'a {
        drawn(view).flat_map(|round| {
            let wins = self.wins(view, round);
            let won = move |pack: &Pack| wins.iter().any(|win| is_of(pack, win));
            let own = self.record.packs.iter().filter(|pack| pack.round == round.index);
            own.filter(move |pack| !won(pack)).map(|pack| (self.c, pack.round, pack.channel, pack.pack))
        })
    }

    /// Packs that the person has won of rounds that were credited, and has not.
    fn missing(&self, view: &CampaignView) -> Vec<Supply> {
        let credited = drawn(view).filter(|round| round.record.credited_at.is_some());
        let missing = credited.flat_map(|round| {
            let mut wins = self.wins(view, round);
            let of_round = |pack: &&Pack| pack.round == round.index;
            wins.retain(|win| !self.record.packs.iter().filter(of_round).any(|pack| is_of(pack, win)));
            wins.retain(|win| !self.passed_over(view, round, win));
            wins.into_iter().map(|win| (self.c, round.index, win.channel, win.place.group.pack))
        });
        missing.collect()
    }

    /// Whether a limit on claims kept the pack from the person: by what is used of it in the period in which the round was credited, or, where
    /// a later claim has begun another, maybe.
    fn passed_over(&self, view: &CampaignView, round: &RoundView, win: &Win) -> bool {
        let pack = win.place.group.pack;
        let value = view.pack_value(pack).0;
        let uses = claim_limit::uses(&view.campaign, &view.zone, round.index, win.channel, pack, round.last_close());
        uses.iter().any(|limit| {
            let same = |used: &&crate::store::record::Usage| {
                used.limit == limit.number && used.entity == limit.entity && used.period >= limit.period
            };
            let used = self.record.usage.iter().find(same);
            let later = used.is_some_and(|used| used.period > limit.period);
            let (count, amount) = used.map(|used| (used.count, used.amount)).unwrap_or_default();
            let full = limit.most_count >= 0 && count >= limit.most_count;
            later || full || limit.most_amount >= 0 && amount + value > limit.most_amount
        })
    }

    fn name(&self) -> String {
        format!("person {} on shard {}", hex::encode(self.pseudonym.field()), self.shard)
    }
}

fn is_of(pack: &Pack, win: &Win) -> bool {
    (pack.channel, pack.pack) == (win.channel, win.place.group.pack)
}

fn is_told(told: &[Finding], suspect: &Suspect) -> bool {
    let field = hex::encode(suspect.pseudonym.field());
    told.iter().any(|finding| finding.subject.contains(&field))
}

fn findings(newest: &Snapshot, suspects: &[Suspect]) -> Vec<Finding> {
    let mut wrong = Wrong::default();
    for suspect in suspects {
        // A campaign that cannot be read any more is a finding of its own.
        let Some(view) = newest.by_number.get(&suspect.c) else { continue };
        suspect.extra(view).for_each(|supply| wrong.extra.entry(supply).or_default().push(suspect.name()));
        suspect.missing.iter().for_each(|supply| wrong.missing.entry(*supply).or_default().push(suspect.name()));
    }
    let name = |(c, round, channel, pack): &Supply| {
        let view = newest.by_number.get(c);
        let campaign = view.map(|view| view.id.as_str()).unwrap_or_default();
        let round_id = view.and_then(|view| Some(view.rounds.get(usize::from(*round))?.round.round_id.as_str()));
        let channel = view.map(|view| view.channel_name(*channel)).unwrap_or_default();
        let pack = view.map(|view| view.pack_id(*pack)).unwrap_or_default();
        format!("{campaign}, round {}, channel {channel}, pack {pack}", round_id.unwrap_or_default())
    };
    let mut findings = Vec::new();
    for (supply, extra) in wrong.extra {
        // Who has a pack too many and who lacks one of the same supply are one fault.
        let mut lacking = wrong.missing.remove(&supply).unwrap_or_default().into_iter();
        for has in extra {
            let expected = lacking.next().map_or("nobody".to_owned(), |lacks| format!("a winner, {lacks}"));
            let explanation = "a pack is with somebody who has not won it by the draw".to_owned();
            findings.push(Finding::new("pack_not_won", name(&supply), expected, has, explanation));
        }
        wrong.missing.insert(supply, lacking.collect());
    }
    for (supply, missing) in wrong.missing {
        for lacks in missing {
            let explanation = "the round is credited, and somebody who has won it goes without a pack".to_owned();
            let subject = format!("{}, {lacks}", name(&supply));
            findings.push(Finding::new("winner_not_credited", subject, "the pack".into(), "none".into(), explanation));
        }
    }
    findings
}
