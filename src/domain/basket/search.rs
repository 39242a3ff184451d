//! The best set of vouchers. Sets are built up chain by chain; of sets that leave the same room for whatever is added later only the best
//! is kept, and a set that cannot become better than what is found is left out. So the answer is exact; a wallet made to be difficult may
//! want more steps than a payment may take, and then the search says that it stopped looking.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use smallvec::SmallVec;

use super::bound::Bounds;
use super::together::{Choice, Choices, Used};
use crate::domain::money::Fen;
use crate::domain::rules::Candidate;
use crate::domain::time::Ms;

/// Steps of one search: a look at a set, a set that is compared, a part of the receipt that a check comes to.
pub(super) const MOST_STEPS: u64 = 4_000_000;
/// What a look at a set costs besides its checks.
const LOOK: u64 = 8;
/// Sets kept at once.
const MOST_KEPT: usize = 10_000;

/// Vouchers that differ in nothing but their end; the one that ends first is taken first.
pub(super) struct Chain {
    pub choices: Vec<usize>,
    /// Of its goods.
    pub group: usize,
}

/// What the vouchers of a set have in common: how many they may be, how much is to be paid at least, and the one campaign (or all that
/// go together).
pub(super) struct Setting {
    pub most: usize,
    pub least: Fen,
    campaign: Option<u16>,
}

/// A set of vouchers and how good it is.
#[derive(Clone)]
pub(super) struct Set {
    pub used: Used,
    pub choices: SmallVec<[usize; 4]>,
    pub discount: Fen,
    threshold: Fen,
    /// What is saved by vouchers that end at each instant, soonest first.
    by_end: SmallVec<[(Ms, Fen); 2]>,
}

impl Set {
    /// `Less` is better: the larger saving, then as much of it as possible from vouchers that end soon, then the lower thresholds,
    /// then fewer vouchers. What is added to both does not change which is better.
    pub fn compare(&self, other: &Set) -> Ordering {
        other
            .discount
            .cmp(&self.discount)
            .then_with(|| sooner(&self.by_end, &other.by_end))
            .then_with(|| self.threshold.cmp(&other.threshold))
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

/// What is looked for.
#[derive(Clone, Copy)]
enum Goal {
    /// The best set that holds now.
    Best,
    /// The set that saves more than this and lacks least, up to the second.
    Nearest(Fen, Fen),
}

pub(super) struct Search<'a, 'b> {
    choices: &'a Choices<'b>,
    candidates: &'a [Candidate<'b>],
    pub steps: u64,
    /// Whether there may be a better set than the one that was found.
    pub stopped: bool,
}

impl<'a, 'b> Search<'a, 'b> {
    pub fn new(choices: &'a Choices<'b>, candidates: &'a [Candidate<'b>]) -> Search<'a, 'b> {
        Search { choices, candidates, steps: 0, stopped: false }
    }

    /// The set of these vouchers.
    pub fn set(&self, choices: &[usize]) -> Set {
        let used = self.choices.nothing_used();
        let (discount, threshold) = (Fen::ZERO, Fen::ZERO);
        let mut set = Set { used, choices: SmallVec::new(), discount, threshold, by_end: SmallVec::new() };
        choices.iter().for_each(|choice| self.take(&mut set, *choice));
        set
    }

    /// The best of the sets that hold now.
    pub fn best(&mut self, open: impl Fn(&Choice) -> bool) -> Option<Set> {
        let (mut set, _) = self.look(&open, Goal::Best)?;
        // Where the search stopped, what still fits is added: a set that leaves something out has a reason for it.
        for index in (0..self.choices.list.len()).filter(|_| self.stopped) {
            if open(&self.choices.list[index]) && !set.choices.contains(&index) {
                let with_it: Vec<&Choice> =
                    set.choices.iter().chain([&index]).map(|one| &self.choices.list[*one]).collect();
                if self.choices.refusal(&with_it).is_none() {
                    self.take(&mut set, index);
                }
            }
        }
        Some(set)
    }

    /// Of the sets that save more than this, the one for which least must be bought, up to `slack`; then the one that saves most.
    pub fn nearest(&mut self, open: impl Fn(&Choice) -> bool, above: Fen, slack: Fen) -> Option<(Set, Fen)> {
        self.look(&open, Goal::Nearest(above, slack))
    }

    fn look(&mut self, open: &impl Fn(&Choice) -> bool, goal: Goal) -> Option<(Set, Fen)> {
        let mut found: Option<(Set, Fen)> = None;
        for setting in self.settings(open) {
            let fits = |choice: &Choice| {
                let of_campaign = setting.campaign.map_or(choice.combines, |c| choice.campaign == c);
                open(choice) && choice.most >= setting.most && choice.least <= setting.least && of_campaign
            };
            let chains = self.chains(fits);
            let mut within = Within::new(self, chains, setting, goal, found.take());
            within.run();
            found = within.found.take();
        }
        found
    }

    fn settings(&self, open: &impl Fn(&Choice) -> bool) -> Vec<Setting> {
        let list = || self.choices.list.iter().filter(|choice| open(choice));
        let distinct = |mut values: Vec<i64>| {
            values.sort_unstable();
            values.dedup();
            values
        };
        let most = distinct(list().map(|choice| choice.most as i64).collect());
        let least = distinct(list().map(|choice| choice.least.0).collect());
        let campaigns = distinct(list().map(|choice| i64::from(choice.campaign)).collect());
        let campaigns = campaigns.iter().map(|c| Some(*c as u16)).chain((campaigns.len() > 1).then_some(None));
        let mut settings = Vec::new();
        for most in most.iter().rev() {
            for least in &least {
                let of = |campaign| Setting { most: *most as usize, least: Fen(*least), campaign };
                settings.extend(campaigns.clone().map(of));
            }
        }
        settings
    }

    /// Chains of one group of goods stand together, the best first.
    fn chains(&mut self, fits: impl Fn(&Choice) -> bool) -> Vec<Chain> {
        let mut chains: Vec<Chain> = Vec::new();
        for (index, choice) in self.choices.list.iter().enumerate().filter(|(_, choice)| fits(choice)) {
            self.steps += chains.len() as u64;
            match chains.iter_mut().find(|chain| self.alike(chain.choices[0], index)) {
                Some(chain) => chain.choices.push(index),
                None => chains.push(Chain { choices: vec![index], group: self.choices.room.group_of(choice.scope) }),
            }
        }
        for chain in &mut chains {
            chain.choices.sort_by_key(|index| (self.choices.list[*index].end, *index));
        }
        let groups: Vec<usize> = chains.iter().map(|chain| chain.group).collect();
        chains.sort_by_key(|chain| groups.iter().position(|group| *group == chain.group));
        chains
    }

    fn alike(&self, one: usize, other: usize) -> bool {
        let (a, b) = (&self.choices.list[one], &self.choices.list[other]);
        let (kind, other_kind) = (self.candidates[a.candidate].kind, self.candidates[b.candidate].kind);
        std::ptr::eq(kind, other_kind)
            && (a.discount, a.threshold, a.scope, &a.limits) == (b.discount, b.threshold, b.scope, &b.limits)
    }

    fn take(&self, set: &mut Set, choice: usize) {
        let taken = &self.choices.list[choice];
        self.choices.add(&mut set.used, taken);
        set.discount = set.discount + taken.discount;
        set.threshold = set.threshold + taken.threshold;
        set.save(taken.end, taken.discount);
        set.choices.push(choice);
    }
}

/// A search among the sets of one setting.
struct Within<'s, 'a, 'b> {
    search: &'s mut Search<'a, 'b>,
    chains: Vec<Chain>,
    setting: Setting,
    goal: Goal,
    bounds: Bounds,
    found: Option<(Set, Fen)>,
}

impl<'s, 'a, 'b> Within<'s, 'a, 'b> {
    fn new(
        search: &'s mut Search<'a, 'b>,
        chains: Vec<Chain>,
        setting: Setting,
        goal: Goal,
        found: Option<(Set, Fen)>,
    ) -> Within<'s, 'a, 'b> {
        let more = match goal {
            Goal::Best => Fen::ZERO,
            Goal::Nearest(_, slack) => slack,
        };
        let bounds = Bounds::new(search.choices, &chains, &setting, more, &mut search.steps);
        Within { search, chains, setting, goal, bounds, found }
    }

    fn run(&mut self) {
        let nothing = self.search.set(&[]);
        if !self.promises(&nothing, Fen::ZERO, 0) {
            return;
        }
        if matches!(self.goal, Goal::Best) {
            self.take_what_fits();
        }
        let mut kept = vec![(nothing, Fen::ZERO)];
        for place in 0..self.chains.len() {
            let mut after = Kept::new(self.live(place), self.live_limits(place));
            for (set, missing) in kept {
                if self.search.steps > MOST_STEPS {
                    self.search.stopped = true;
                    return;
                }
                self.extend(&set, place, &mut after);
                if self.promises(&set, missing, place + 1) {
                    after.add(set, missing, &mut self.search.steps);
                }
            }
            kept = after.sets;
            if kept.len() > MOST_KEPT {
                self.search.stopped = true;
                kept.sort_by(|one, other| one.0.compare(&other.0));
                kept.truncate(MOST_KEPT);
            }
        }
    }

    /// A set to begin with: the better a voucher, the sooner it is taken.
    fn take_what_fits(&mut self) {
        let mut choices: Vec<usize> = self.chains.iter().flat_map(|chain| &chain.choices).copied().collect();
        choices.sort_unstable();
        let mut set = self.search.set(&[]);
        for choice in choices {
            let mut with_it = set.clone();
            self.search.take(&mut with_it, choice);
            if self.holds(&with_it).is_some() {
                set = with_it;
                self.is_found(&set, Fen::ZERO);
            }
            if set.used.count == self.setting.most || self.search.steps > MOST_STEPS {
                break;
            }
        }
    }

    /// The set with one, two and more vouchers of a chain.
    fn extend(&mut self, set: &Set, place: usize, after: &mut Kept) {
        let mut set = set.clone();
        for index in 0..self.chains[place].choices.len().min(self.setting.most - set.used.count) {
            self.search.take(&mut set, self.chains[place].choices[index]);
            let Some(missing) = self.holds(&set) else { return };
            self.is_found(&set, missing);
            if self.promises(&set, missing, place + 1) {
                after.add(set.clone(), missing, &mut self.search.steps);
            }
        }
    }

    /// How much is missing for a set, if that is not too much; what holds for a set holds for each part of it.
    fn holds(&mut self, set: &Set) -> Option<Fen> {
        self.search.steps += LOOK;
        let choices = self.search.choices;
        let missing = choices.shortage(&set.used, self.setting.least, &mut self.search.steps).max(Fen::ZERO);
        let fits = match self.goal {
            Goal::Best => missing == Fen::ZERO,
            Goal::Nearest(_, slack) => missing <= slack && choices.helps(&set.used, &mut self.search.steps),
        };
        (fits && choices.broken_limit(&set.used).is_none()).then_some(missing)
    }

    fn is_found(&mut self, set: &Set, missing: Fen) {
        let better = |(known, lacks): &(Set, Fen)| match self.goal {
            Goal::Best => set.compare(known) == Ordering::Less,
            Goal::Nearest(..) => (missing, Reverse(set.discount)) < (*lacks, Reverse(known.discount)),
        };
        let enough = match self.goal {
            Goal::Best => true,
            Goal::Nearest(above, _) => set.discount > above && missing > Fen::ZERO,
        };
        if enough && self.found.as_ref().is_none_or(better) {
            self.found = Some((set.clone(), missing));
        }
    }

    /// Whether a set may become better than what is found, with chains from this one on.
    fn promises(&mut self, set: &Set, missing: Fen, place: usize) -> bool {
        let choices = self.search.choices;
        let steps = &mut self.search.steps;
        let Goal::Nearest(above, _) = self.goal else {
            let most = self.bounds.most(choices, set, place, &self.setting, steps);
            let Some((found, _)) = &self.found else { return most > Fen::ZERO };
            return most > found.discount || (most == found.discount && self.may_be_nicer(set, place, found));
        };
        let most = self.bounds.most(choices, set, place, &self.setting, steps);
        let better = |(known, lacks): &(Set, Fen)| (missing, Reverse(most)) < (*lacks, Reverse(known.discount));
        most > above && self.found.as_ref().is_none_or(better)
    }

    /// Whether a set that can save as much as what is found may do so with vouchers that end sooner, or with lower thresholds.
    fn may_be_nicer(&self, set: &Set, place: usize, found: &Set) -> bool {
        let mut full = set.clone();
        for choice in self.bounds.best(set, place, &self.setting) {
            self.search.take(&mut full, *choice);
        }
        full.compare(found) == Ordering::Less
    }

    /// The sets of goods that chains behind this one still have to find room in.
    fn live(&self, place: usize) -> Vec<usize> {
        let room = &self.search.choices.room;
        match (self.goal, self.chains.get(place + 1)) {
            // Shortages of different goods add up.
            (Goal::Nearest(..), _) => (0..self.search.choices.scopes).collect(),
            (Goal::Best, Some(next)) if next.group == self.chains[place].group => room.of_group(next.group).collect(),
            (Goal::Best, _) => Vec::new(),
        }
    }

    fn live_limits(&self, place: usize) -> Vec<usize> {
        let after = self.chains[place + 1..].iter().map(|chain| &self.search.choices.list[chain.choices[0]]);
        let mut limits: Vec<usize> = after.flat_map(|choice| choice.limits.iter().copied()).collect();
        limits.sort_unstable();
        limits.dedup();
        limits
    }
}

/// What is taken off, in all and of each set of goods.
type TakenOff = (Fen, SmallVec<[Fen; 4]>);

/// Sets that are kept, of which none is as good as another and leaves as much room.
struct Kept {
    sets: Vec<(Set, Fen)>,
    scopes: Vec<usize>,
    limits: Vec<usize>,
    places: HashMap<TakenOff, SmallVec<[usize; 2]>>,
}

impl Kept {
    fn new(scopes: Vec<usize>, limits: Vec<usize>) -> Kept {
        Kept { sets: Vec::new(), scopes, limits, places: HashMap::new() }
    }

    fn add(&mut self, set: Set, missing: Fen, steps: &mut u64) {
        let key = (set.discount, self.scopes.iter().map(|scope| set.used.discounts[*scope]).collect());
        let places = self.places.entry(key).or_default();
        let (scopes, limits) = (&self.scopes, &self.limits);
        let covers = |one: &Set, other: &Set| {
            one.compare(other) != Ordering::Greater
                && one.used.count <= other.used.count
                && scopes.iter().all(|scope| one.used.thresholds[*scope] <= other.used.thresholds[*scope])
                && limits.iter().all(|limit| {
                    let ((count, amount), (others, more)) = (one.used.limits[*limit], other.used.limits[*limit]);
                    count <= others && amount <= more
                })
        };
        *steps += 1 + (scopes.len() * (1 + places.len())) as u64;
        if places.iter().any(|place| covers(&self.sets[*place].0, &set)) {
            return;
        }
        if let Some(place) = places.iter().find(|place| covers(&set, &self.sets[**place].0)) {
            self.sets[*place] = (set, missing);
            return;
        }
        places.push(self.sets.len());
        self.sets.push((set, missing));
    }
}
