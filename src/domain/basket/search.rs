//! The best set of vouchers, exactly: sets are built up kind by kind, and of sets that use the same of everything that is short only the
//! best is kept, for whatever is added later, it stays the best.

use std::cmp::Ordering;
use std::collections::HashMap;

use smallvec::SmallVec;

use super::together::{Choice, Choices, Used};
use crate::domain::money::Fen;
use crate::domain::rules::Candidate;
use crate::domain::time::Ms;

/// Sets kept while searching. A wallet has a few kinds of round amounts, so the sets that really differ are some hundred; only a wallet
/// made to be difficult has more, and then the best sets so far go on.
const MOST_KEPT: usize = 3_000;
/// Sets looked at for one payment.
const MOST_LOOKED_AT: usize = 300_000;

/// Vouchers that differ in nothing but their end; the one that ends first is taken first.
struct Chain {
    choices: Vec<usize>,
}

/// A set of vouchers and how good it is.
#[derive(Clone)]
pub(super) struct Set {
    pub used: Used,
    pub choices: SmallVec<[usize; 4]>,
    /// What is saved by vouchers that end at each instant, soonest first.
    by_end: SmallVec<[(Ms, Fen); 2]>,
}

impl Set {
    pub fn discount(&self) -> Fen {
        self.used.discounts.iter().copied().sum()
    }

    fn threshold(&self) -> Fen {
        self.used.thresholds.iter().copied().sum()
    }

    /// `Less` is better: the larger saving, then as much of it as possible from vouchers that end soon, then the lower thresholds,
    /// then fewer vouchers.
    pub fn compare(&self, other: &Set) -> Ordering {
        other
            .discount()
            .cmp(&self.discount())
            .then_with(|| sooner(&self.by_end, &other.by_end))
            .then_with(|| self.threshold().cmp(&other.threshold()))
            .then_with(|| self.used.count.cmp(&other.used.count))
    }

    fn save(&mut self, end: Ms, discount: Fen) {
        match self.by_end.binary_search_by_key(&end, |(known, _)| *known) {
            Ok(place) => self.by_end[place].1 = self.by_end[place].1 + discount,
            Err(place) => self.by_end.insert(place, (end, discount)),
        }
    }
}

fn sooner(one: &[(Ms, Fen)], other: &[(Ms, Fen)]) -> Ordering {
    for ((end, fen), (other_end, other_fen)) in one.iter().zip(other) {
        let order = end.cmp(other_end).then(other_fen.cmp(fen));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Where the set is that uses this much.
fn places_of(kept: &[(Set, Fen)]) -> HashMap<Used, usize> {
    kept.iter().enumerate().map(|(place, (set, _))| (set.used.clone(), place)).collect()
}

pub(super) struct Search<'a, 'b> {
    choices: &'a Choices<'b>,
    candidates: &'a [Candidate<'b>],
    looked_at: usize,
}

impl<'a, 'b> Search<'a, 'b> {
    pub fn new(choices: &'a Choices<'b>, candidates: &'a [Candidate<'b>]) -> Search<'a, 'b> {
        Search { choices, candidates, looked_at: 0 }
    }

    /// The set of these vouchers.
    pub fn set(&self, choices: &[usize]) -> Set {
        let mut set = Set { used: self.choices.nothing_used(), choices: SmallVec::new(), by_end: SmallVec::new() };
        choices.iter().for_each(|choice| self.take(&mut set, *choice));
        set
    }

    /// The best of the sets that hold when up to `slack` more is bought, by the order that the caller gives.
    pub fn best(
        &mut self,
        open: impl Fn(&Choice) -> bool,
        slack: Fen,
        order: impl Fn(&(Set, Fen), &(Set, Fen)) -> Ordering,
    ) -> Option<(Set, Fen)> {
        let mut best: Option<(Set, Fen)> = None;
        for (most, least, campaign) in self.settings(&open) {
            let fits = |choice: &Choice| {
                let of_campaign = campaign.map_or(choice.combines, |c| choice.campaign == c);
                open(choice) && choice.most >= most && choice.least <= least && of_campaign
            };
            for found in self.sets(&self.chains(fits), most, least, slack) {
                if best.as_ref().is_none_or(|known| order(&found, known) == Ordering::Less) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// How many vouchers, how much to be paid at least, and the one campaign (or all that go together): what a set has in common.
    fn settings(&self, open: &impl Fn(&Choice) -> bool) -> Vec<(usize, Fen, Option<u16>)> {
        let list = || self.choices.list.iter().filter(|choice| open(choice));
        let distinct = |mut values: Vec<i64>| {
            values.sort_unstable();
            values.dedup();
            values
        };
        let most = distinct(list().map(|choice| choice.most as i64).collect());
        let least = distinct(list().map(|choice| choice.least.0).collect());
        let mut campaigns: Vec<Option<u16>> = distinct(list().map(|choice| i64::from(choice.campaign)).collect())
            .iter()
            .map(|c| Some(*c as u16))
            .collect();
        if campaigns.len() > 1 {
            campaigns.push(None);
        }
        let mut settings = Vec::new();
        for most in most.iter().rev() {
            for least in &least {
                settings.extend(campaigns.iter().map(|campaign| (*most as usize, Fen(*least), *campaign)));
            }
        }
        settings
    }

    fn chains(&self, fits: impl Fn(&Choice) -> bool) -> Vec<Chain> {
        let mut chains: Vec<Chain> = Vec::new();
        for (index, _) in self.choices.list.iter().enumerate().filter(|(_, choice)| fits(choice)) {
            match chains.iter_mut().find(|chain| self.alike(chain.choices[0], index)) {
                Some(chain) => chain.choices.push(index),
                None => chains.push(Chain { choices: vec![index] }),
            }
        }
        for chain in &mut chains {
            chain.choices.sort_by_key(|index| (self.choices.list[*index].end, *index));
        }
        chains
    }

    fn alike(&self, one: usize, other: usize) -> bool {
        let (a, b) = (&self.choices.list[one], &self.choices.list[other]);
        let (kind, other_kind) = (self.candidates[a.candidate].kind, self.candidates[b.candidate].kind);
        std::ptr::eq(kind, other_kind)
            && (a.discount, a.threshold, a.scope, &a.limits) == (b.discount, b.threshold, b.scope, &b.limits)
    }

    /// All sets that differ in what they use, each with what is missing for it.
    fn sets(&mut self, chains: &[Chain], most: usize, least: Fen, slack: Fen) -> Vec<(Set, Fen)> {
        let mut kept = vec![(self.set(&[]), Fen::ZERO)];
        let mut places = places_of(&kept);
        for chain in chains {
            // What is replaced in `kept` must not be extended by the same chain again.
            let room = |(set, _): &&(Set, Fen)| set.used.count < most;
            let before: Vec<Set> = kept.iter().filter(room).map(|(set, _)| set.clone()).collect();
            for mut set in before {
                for choice in chain.choices.iter().take(most - set.used.count) {
                    self.looked_at += 1;
                    self.take(&mut set, *choice);
                    let missing = self.choices.shortage(&set.used, least);
                    let out_of_reach = missing > slack || self.choices.broken_limit(&set.used).is_some();
                    if out_of_reach || self.looked_at > MOST_LOOKED_AT {
                        break;
                    }
                    match places.get(&set.used) {
                        Some(place) if set.compare(&kept[*place].0) == Ordering::Less => {
                            kept[*place] = (set.clone(), missing);
                        }
                        Some(_) => {}
                        None => {
                            places.insert(set.used.clone(), kept.len());
                            kept.push((set.clone(), missing));
                        }
                    }
                }
            }
            if kept.len() > MOST_KEPT {
                kept.sort_by(|one, other| one.0.compare(&other.0));
                kept.truncate(MOST_KEPT);
                places = places_of(&kept);
            }
        }
        kept.retain(|(set, _)| set.used.count > 0);
        kept
    }

    fn take(&self, set: &mut Set, choice: usize) {
        let taken = &self.choices.list[choice];
        self.choices.add(&mut set.used, taken);
        set.save(taken.end, taken.discount);
        set.choices.push(choice);
    }
}
