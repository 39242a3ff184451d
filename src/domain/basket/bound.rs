//! What the vouchers that a search has still to look at can save at most: what they save when everything is forgotten but how many may
//! be taken, or everything but the money of their goods. Whoever cannot become better than what is found need not be looked at.

use std::cmp::Reverse;

use super::search::{Chain, Set, Setting};
use super::together::{Choice, Choices};
use crate::domain::money::Fen;

/// For each chain, what it and those after it can save.
pub(super) struct Bounds {
    at: Vec<Rest>,
    net: Fen,
}

#[derive(Default)]
struct Rest {
    group: usize,
    /// As many of the best as a set may have.
    best: Vec<usize>,
    /// Those of the chain's own group, by what they save for their threshold.
    own: Vec<usize>,
    /// The money of the group: for thresholds, and to take off.
    money: (Fen, Fen),
    /// What the groups after it save.
    others: Fen,
}

impl Bounds {
    /// Chains of one group stand together; `more` is what may still be bought.
    pub fn new(choices: &Choices, chains: &[Chain], setting: &Setting, more: Fen, steps: &mut u64) -> Bounds {
        let choice = |index: &usize| &choices.list[*index];
        let mut at: Vec<Rest> = vec![Rest { group: usize::MAX, ..Rest::default() }];
        for chain in chains.iter().rev() {
            let after = &at[at.len() - 1];
            let same = after.group == chain.group;
            let mut best: Vec<usize> = after.best.iter().chain(&chain.choices).copied().collect();
            best.sort_by_key(|index| (Reverse(choice(index).discount), choice(index).end, choice(index).threshold));
            best.truncate(setting.most);
            let mut own: Vec<usize> = if same { after.own.clone() } else { Vec::new() };
            own.extend(&chain.choices);
            own.sort_by(|one, other| by_ratio(choice(one), choice(other)));
            let others = if same || after.group == usize::MAX {
                after.others
            } else {
                after.others + filled(choices, &after.own, after.money, steps)
            };
            *steps += (best.len() + own.len()) as u64;
            let (thresholds, discounts) = choices.room.money_of(chain.group);
            let money = (thresholds + more, discounts + more);
            at.push(Rest { group: chain.group, best, own, money, others });
        }
        at.reverse();
        Bounds { at, net: choices.net() + more - setting.least }
    }

    /// What a set can save when chains from this one on may be added.
    pub fn most(&self, choices: &Choices, set: &Set, chain: usize, setting: &Setting, steps: &mut u64) -> Fen {
        let rest = &self.at[chain];
        if rest.group == usize::MAX {
            return set.discount;
        }
        let by_count: Fen = self.best(set, chain, setting).iter().map(|index| choices.list[*index].discount).sum();
        let (thresholds, discounts) = choices.used_of_group(&set.used, rest.group);
        let (room, net) = rest.money;
        let by_money = filled(choices, &rest.own, (room - thresholds, net - discounts), steps) + rest.others;
        (set.discount + by_count.min(by_money)).min(self.net)
    }

    /// The vouchers that would be best for a set if only their number counted.
    pub fn best(&self, set: &Set, chain: usize, setting: &Setting) -> &[usize] {
        let best = &self.at[chain].best;
        &best[..best.len().min(setting.most - set.used.count)]
    }
}

/// More for its threshold first.
fn by_ratio(one: &Choice, other: &Choice) -> std::cmp::Ordering {
    let saves = |of: &Choice, for_threshold: &Choice| i128::from(of.discount.0) * i128::from(for_threshold.threshold.0);
    let for_nothing = |choice: &Choice| choice.threshold == Fen::ZERO;
    for_nothing(other).cmp(&for_nothing(one)).then_with(|| saves(other, one).cmp(&saves(one, other)))
}

/// What is saved when the money goes to the best of them, the last of which may be taken in part.
fn filled(choices: &Choices, of: &[usize], (mut room, net): (Fen, Fen), steps: &mut u64) -> Fen {
    let mut saved = Fen::ZERO;
    for choice in of.iter().map(|index| &choices.list[*index]) {
        *steps += 1;
        if choice.threshold > room {
            saved = saved + choice.discount.share(room.max(Fen::ZERO), choice.threshold);
            break;
        }
        room = room - choice.threshold;
        saved = saved + choice.discount;
    }
    saved.min(net)
}
