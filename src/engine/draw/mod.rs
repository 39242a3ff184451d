//! The draw: scores on all cores, the lowest of every contest, and to each shard the number of its winners.

pub mod entries;
pub mod entropy;
pub mod progress;
pub mod proof;
pub mod result;
pub mod selftest;
pub(in crate::engine) mod strike;
#[cfg(test)]
mod tests;

use crate::engine::blocking;
use std::sync::Arc;

use crate::domain::draw::{Entry, Score, Seed};
use crate::domain::person::Pseudonym;
use crate::domain::ranking::{self, Open, Ranked};
use crate::domain::refusal::Code;
use crate::engine::config::view::{CampaignView, DrawView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::campaign::{CutoffRecord, DrawRecord, ListState, TierRecord};
use crate::store::keys::{self, Slot};
use crate::store::script::{self, Member};
use crate::store::{int, text};
use entries::{List, ListEntry, draw_entry, on_all_cores, root_of};
use result::{Contest, seed};

/// Entries that are worth a core of their own.
const LEAST: usize = 4_096;

/// What a draw or a wave decides.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub cutoffs: Vec<CutoffRecord>,
    pub allowances: Vec<Allowance>,
}

/// Winners of a cell by shard.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub channel: Option<u8>,
    pub pack: u8,
    pub per_shard: Vec<u64>,
}

impl Engine {
    /// Draws a closed list: cutoffs for every contest, and to each shard the number of its winners.
    pub async fn draw_round(&self, campaign_id: &str, round_id: &str) -> Result<(), Failure> {
        let (view, round) = self.round_of(campaign_id, round_id)?;
        let index = usize::from(round);
        let state = &view.rounds[index].record;
        if !matches!(state.list, ListState::Closed(_)) {
            return Err(Code::ListNotClosed.into());
        }
        if state.draw.is_some() {
            return Ok(self.tell_shards_again(&view.record).await?);
        }
        if !view.rounds[index].waits_for().is_empty() {
            return Err(view.rounds[index].not_drawn(&view, self.now()).into());
        }
        let view = self.with_supply(view, round).await?;
        let state = &view.rounds[index].record;
        let list = self.committed_list(&view, round).await?;
        let seed = seed(campaign_id, &view.rounds[index].round, &view.record, state, &self.keys);
        let seed = seed.ok_or(Code::Internal)?;
        let (shards, decided_of) = (usize::from(self.store.shards()), view.clone());
        let decision = blocking(move || {
            let round = &decided_of.rounds[index];
            let contests = round.contests(round.cells());
            Decider { view: &decided_of, round, seed: &seed, list: &list, drawn: None, shards }.decide(&contests)
        })
        .await?;
        for allowance in &decision.allowances {
            self.tell_winners(&view, round, allowance).await?;
        }
        let drawn = DrawRecord { drawn_at: self.now(), cutoffs: decision.cutoffs };
        tracing::info!(campaign.id = campaign_id, round.id = round_id, "round drawn");
        self.advance(campaign_id, |record| {
            let undrawn = record.rounds[index].draw.is_none();
            if undrawn {
                record.rounds[index].draw = Some(drawn.clone());
            }
            undrawn
        })
        .await
    }

    /// The closed list, compared with its commitment first: nothing is ever drawn from another.
    pub(super) async fn committed_list(&self, view: &Arc<CampaignView>, round: u8) -> Result<List, Failure> {
        let state = &view.rounds[usize::from(round)].record;
        let ListState::Closed(closed) = &state.list else { return Err(Code::ListNotClosed.into()) };
        let list = self.entries(view, round).await?;
        if hex::encode(root_of(view, &list).await?.hash) != closed.root {
            let round_id = &view.rounds[usize::from(round)].round.round_id;
            let what = format!("the list of round {round_id} differs from its commitment, so nothing is drawn");
            return Err(StoreError::Broken(what).into());
        }
        Ok(list)
    }

    /// Each shard learns how many packs it may issue, so that even a broken node cannot issue more than were drawn.
    async fn tell_winners(&self, view: &CampaignView, round: u8, allowance: &Allowance) -> Result<(), Failure> {
        for (shard, winners) in allowance.per_shard.iter().enumerate() {
            let field = allowance.field(view, round);
            let member = Member::new(vec![], vec![text(field), int(*winners as i64)]);
            self.store.call(&script::HEADER_PUT, &Slot::Shard(shard as u8), member).await?;
        }
        Ok(())
    }
}

impl Allowance {
    pub fn field(&self, view: &CampaignView, round: u8) -> String {
        keys::winners_field(view.number, round, self.channel.unwrap_or(NO_CHOICE), self.pack)
    }
}

/// All that a decision depends on.
pub(super) struct Decider<'a> {
    pub view: &'a CampaignView,
    pub round: &'a RoundView,
    pub seed: &'a Seed,
    pub list: &'a [ListEntry],
    /// What was decided before; whoever it has let win is not drawn again.
    pub drawn: Option<&'a DrawView>,
    pub shards: usize,
}

impl Decider<'_> {
    pub fn decide(&self, contests: &[Contest]) -> Decision {
        let exact = |index: u32| self.exact(index);
        let contest = |entry: &ListEntry| contests.iter().position(|one| one.takes(entry.channel, entry.choice));
        let contest_of = |index: u32| contest(&self.list[index as usize]);
        let mut decision = Decision::default();
        if self.round.capped {
            let mut scored = self.score(&[u64::MAX], |_| Some(0)).swap_remove(0);
            let mut open: Vec<Open> =
                contests.iter().map(|contest| Open { left: contest.supply(), winners: Vec::new() }).collect();
            let most = self.round.round.max_packs_per_person;
            let (person, before) = (|index| self.person(index), |index| self.wins_before(index));
            ranking::capped(&mut scored, &mut open, contest_of, person, before, most, &exact);
            for (contest, open) in contests.iter().zip(&mut open) {
                self.note(&mut decision, contest, &mut open.winners);
            }
            return decision;
        }
        for (one, own) in contests.iter().zip(&mut self.candidates(contests, contest)) {
            self.note(&mut decision, one, ranking::lowest(own, one.supply(), &exact));
        }
        decision
    }

    /// For each contest its entries, at least as many as can win: of a first draw only those whose score is so low that they may. What is
    /// let go early needs neither space nor sorting.
    fn candidates(
        &self,
        contests: &[Contest],
        contest: impl Fn(&ListEntry) -> Option<usize> + Sync,
    ) -> Vec<Vec<Ranked>> {
        if self.drawn.is_some() {
            return self.score(&vec![u64::MAX; contests.len()], contest);
        }
        let counts = on_all_cores(self.list, LEAST, |_, entries| {
            let mut counts = vec![0u64; contests.len()];
            entries.iter().filter_map(&contest).for_each(|index| counts[index] += 1);
            counts
        });
        let entries = |index: usize| counts.iter().map(|part| part[index]).sum::<u64>();
        let bounds: Vec<u64> =
            contests.iter().enumerate().map(|(index, one)| ranking::bound(one.supply(), entries(index))).collect();
        let found = self.score(&bounds, &contest);
        let enough =
            |(index, own): (usize, &Vec<Ranked>)| own.len() as u64 >= contests[index].supply().min(entries(index));
        if found.iter().enumerate().all(enough) {
            return found;
        }
        // Once in more lists than there will ever be.
        self.score(&vec![u64::MAX; contests.len()], contest)
    }

    /// Every entry that has not won yet and whose lowest score is within the bound of its group, with the first bytes of that score.
    fn score(&self, bounds: &[u64], group: impl Fn(&ListEntry) -> Option<usize> + Sync) -> Vec<Vec<Ranked>> {
        let parts = on_all_cores(self.list, LEAST, |first, entries| {
            let mut ranked: Vec<Vec<Ranked>> = vec![Vec::new(); bounds.len()];
            for (index, entry) in (first as u32..).zip(entries) {
                let Some(group) = group(entry) else { continue };
                let (score, _) = self.best(entry);
                if score.high() <= bounds[group] && !self.has_passed(entry, score) {
                    ranked[group].push(Ranked { high: score.high(), index });
                }
            }
            ranked
        });
        let mut scored: Vec<Vec<Ranked>> = vec![Vec::new(); bounds.len()];
        // Each part is let go as soon as it is copied, or the largest draws would need the space twice.
        parts.into_iter().for_each(|part| scored.iter_mut().zip(part).for_each(|(all, own)| all.extend(own)));
        scored
    }

    fn best(&self, entry: &ListEntry) -> (Score, u16) {
        self.seed.best(&draw_entry(self.view, entry), entry.chances)
    }

    fn exact(&self, index: u32) -> (Score, Pseudonym) {
        let entry = &self.list[index as usize];
        (self.best(entry).0, entry.pseudonym)
    }

    fn second(&self, index: u32) -> (Score, Pseudonym) {
        let entry = &self.list[index as usize];
        let (_, k) = self.best(entry);
        (self.seed.tier_score(&Entry { k, ..draw_entry(self.view, entry) }), entry.pseudonym)
    }

    /// Whether an earlier window has come to an entry: it won there, or its person had won as often as one may.
    fn has_passed(&self, entry: &ListEntry, score: Score) -> bool {
        self.drawn.is_some_and(|drawn| drawn.has_passed(entry.channel, entry.choice, score, entry.pseudonym))
    }

    /// How often the person of an entry has won in earlier windows; more than one may keep where that was cut off.
    fn wins_before(&self, index: u32) -> u32 {
        if self.drawn.is_none() {
            return 0;
        }
        let first = self.person(index) as usize;
        let own = self.list[first..].iter().take_while(|entry| entry.pseudonym == self.list[first].pseudonym);
        own.filter(|entry| self.has_passed(entry, self.best(entry).0)).count() as u32
    }

    /// A number for the person of an entry: the list is sorted by person, so it is the place of the person's first entry.
    fn person(&self, index: u32) -> u32 {
        let pseudonym = self.list[index as usize].pseudonym;
        let mut first = index as usize;
        while first > 0 && self.list[first - 1].pseudonym == pseudonym {
            first -= 1;
        }
        first as u32
    }

    /// Notes the winners of a contest, the last of them last.
    fn note(&self, decision: &mut Decision, contest: &Contest, winners: &mut [Ranked]) {
        let Some(cutoff) = ranking::cutoff(winners, &|index| self.exact(index)) else {
            let nobody = |(pack, _): &(u8, u64)| self.allowance(contest, *pack, &[]);
            decision.allowances.extend(contest.packs.iter().map(nobody));
            return;
        };
        let mut tiers = Vec::new();
        if contest.pack == NO_CHOICE {
            let mut second: Vec<Ranked> =
                winners.iter().map(|one| Ranked { high: self.second(one.index).0.high(), index: one.index }).collect();
            let exact = |index: u32| self.second(index);
            second.sort_unstable_by(|a, b| ranking::order(a, b, &exact));
            let mut rest = second.as_slice();
            let (rule, id) = (self.round.record.rule, |pack| self.view.pack_id(pack));
            for (pack, share) in ranking::shares(rule, winners.len() as u64, &contest.packs, id) {
                let (own, others) = rest.split_at(share as usize);
                decision.allowances.push(self.allowance(contest, pack, own));
                if let Some(last) = ranking::cutoff(own, &exact) {
                    let (score, pseudonym) = (hex::encode(last.score.0), last.pseudonym.hex());
                    tiers.push(TierRecord { pack, score, pseudonym, winners: share });
                }
                rest = others;
            }
        } else {
            decision.allowances.push(self.allowance(contest, contest.pack, winners));
        }
        decision.cutoffs.push(CutoffRecord {
            channel: contest.channel,
            pack: contest.pack,
            score: hex::encode(cutoff.score.0),
            pseudonym: cutoff.pseudonym.hex(),
            winners: winners.len() as u64,
            tiers,
        });
    }

    fn allowance(&self, contest: &Contest, pack: u8, winners: &[Ranked]) -> Allowance {
        let mut per_shard = vec![0; self.shards];
        for winner in winners {
            per_shard[usize::from(self.list[winner.index as usize].shard)] += 1;
        }
        Allowance { channel: contest.channel, pack, per_shard }
    }
}
