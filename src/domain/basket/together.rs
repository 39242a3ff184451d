//! Whether vouchers that are legal one by one are legal together in one payment.
//!
//! Each voucher uses up its own threshold, so splitting a payment never saves more than paying at once; thresholds and discounts of
//! vouchers for different goods must find room in the goods that each is for.

use smallvec::{SmallVec, smallvec};

use super::{Reason, too_many};
use crate::domain::cashier;
use crate::domain::goods::{Counting, Goods};
use crate::domain::limit::LimitFact;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Payment};
use crate::domain::time::Ms;

/// Different sets of goods that the vouchers of one payment may be for; a campaign has one or two.
const MOST_SCOPES: usize = 6;

/// One voucher that may be taken.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub candidate: usize,
    pub discount: Fen,
    pub threshold: Fen,
    /// Position of its goods among the scopes.
    pub scope: usize,
    /// Positions of its limits.
    pub limits: SmallVec<[usize; 4]>,
    pub most: usize,
    pub least: Fen,
    pub campaign: u16,
    /// Whether it goes with vouchers of other campaigns.
    pub combines: bool,
    pub end: Ms,
}

/// All vouchers that may be taken, with what they share.
pub(super) struct Choices<'a> {
    pub list: Vec<Choice>,
    payment: &'a Payment<'a>,
    candidates: &'a [Candidate<'a>],
    /// Money of every union of scopes, by bit set: what thresholds are judged on, and what can be taken off.
    base: Vec<Fen>,
    room: Vec<Fen>,
    pub scopes: usize,
    limits: Vec<(u16, &'a LimitFact<'a>)>,
}

/// What a set uses of everything that is short.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Used {
    pub count: usize,
    /// By scope.
    pub thresholds: SmallVec<[Fen; 2]>,
    pub discounts: SmallVec<[Fen; 2]>,
    /// By limit.
    pub limits: SmallVec<[(i64, Fen); 4]>,
}

impl<'a> Choices<'a> {
    /// The vouchers that no rule refuses, or only for being below a minimum. The best come first, so that they find their scope.
    pub fn new(
        payment: &'a Payment<'a>,
        candidates: &'a [Candidate<'a>],
        judged: &[Result<Fen, Reason>],
    ) -> Choices<'a> {
        let short = |reason: &Reason| reason.refusal.code == Code::MinimumNotMet;
        let mut open: Vec<usize> = (0..candidates.len())
            .filter(|index| judged[*index].is_ok() || judged[*index].as_ref().is_err_and(short))
            .collect();
        open.sort_by_key(|index| super::preference(payment, &candidates[*index]));
        let (mut goods, mut limits): (Vec<Goods>, Vec<(u16, &LimitFact)>) = (Vec::new(), Vec::new());
        let mut list = Vec::with_capacity(open.len());
        for index in open {
            let candidate = &candidates[index];
            let own = Goods::of(payment, candidate);
            let Some(scope) = position(&mut goods, MOST_SCOPES, |known| *known == own, || own.clone()) else {
                continue;
            };
            let own_limits = candidate.limits.iter().map(|fact| {
                let c = candidate.voucher.c;
                let same = |known: &(u16, &LimitFact)| known.0 == c && known.1.same(fact);
                position(&mut limits, usize::MAX, same, || (c, fact)).unwrap_or_default()
            });
            list.push(Choice {
                candidate: index,
                discount: rules::saving(payment, candidate),
                threshold: rules::threshold(candidate),
                scope,
                limits: own_limits.collect(),
                most: rules::most_vouchers(candidate),
                least: rules::least_payable(candidate),
                campaign: candidate.voucher.c,
                combines: candidate.rules.iter().all(|rule| rule.combine_with_campaigns),
                end: candidate.window.end,
            });
        }
        let unions = (0..1usize << goods.len()).map(|mask| union(&goods, mask));
        let (base, room) = unions.map(|goods| (goods.base(payment), goods.net(payment))).unzip();
        Choices { list, payment, candidates, base, room, scopes: goods.len(), limits }
    }

    pub fn nothing_used(&self) -> Used {
        Used {
            count: 0,
            thresholds: smallvec![Fen::ZERO; self.scopes],
            discounts: smallvec![Fen::ZERO; self.scopes],
            limits: smallvec![(0, Fen::ZERO); self.limits.len()],
        }
    }

    pub fn add(&self, used: &mut Used, choice: &Choice) {
        used.count += 1;
        used.thresholds[choice.scope] = used.thresholds[choice.scope] + choice.threshold;
        used.discounts[choice.scope] = used.discounts[choice.scope] + choice.discount;
        for limit in &choice.limits {
            let (count, amount) = used.limits[*limit];
            used.limits[*limit] = (count + 1, amount + choice.discount);
        }
    }

    /// How much more must be bought before all of it holds; zero or less when it does.
    pub fn shortage(&self, used: &Used, least: Fen) -> Fen {
        let all: Fen = used.discounts.iter().copied().sum();
        let of_scopes = self.shortages(used).map(|(_, missing)| missing);
        of_scopes.max().unwrap_or_default().max(all + least - self.payment.net())
    }

    /// The same of the goods of each union of scopes, by bit set.
    fn shortages<'u>(&'u self, used: &'u Used) -> impl Iterator<Item = (usize, Fen)> + 'u {
        let sum = |by_scope: &[Fen], mask: usize| -> Fen {
            by_scope.iter().enumerate().filter(|(scope, _)| mask >> scope & 1 == 1).map(|(_, fen)| *fen).sum()
        };
        // Only goods that somebody takes from: those of others must not change how a threshold is judged.
        let taken =
            (0..self.scopes).filter(|scope| used.discounts[*scope] > Fen::ZERO).fold(0, |all, scope| all | 1 << scope);
        (1..self.base.len()).filter(move |mask| mask & !taken == 0).map(move |mask| {
            let missing =
                (sum(&used.thresholds, mask) - self.base[mask]).max(sum(&used.discounts, mask) - self.room[mask]);
            (mask, missing)
        })
    }

    /// The scopes of which buying what is missing is enough for all of it; 0 when nothing that is bought in one place is.
    pub fn helpful_scopes(&self, used: &Used) -> usize {
        let all = (1 << self.scopes) - 1;
        self.shortages(used).filter(|(_, missing)| *missing > Fen::ZERO).fold(all, |helpful, (mask, _)| helpful & mask)
    }

    /// Which goods count for what a set lacks; `None` when no goods do for all of it.
    pub fn counting(&self, set: &[&Choice]) -> Option<Counting> {
        let used = self.used_by(set);
        if self.shortages(&used).all(|(_, missing)| missing <= Fen::ZERO) {
            return Some(Counting::default());
        }
        let helpful = self.helpful_scopes(&used);
        let of_scope = |scope: usize| {
            let own = set.iter().filter(|choice| choice.scope == scope);
            Counting::of(self.payment, own.map(|choice| &self.candidates[choice.candidate]))
        };
        let taken = |scope: &usize| helpful >> scope & 1 == 1 && set.iter().any(|choice| choice.scope == *scope);
        (0..self.scopes).filter(taken).find_map(of_scope)
    }

    /// The first limit that the set breaks.
    pub fn broken_limit(&self, used: &Used) -> Option<&LimitFact<'a>> {
        let broken = self
            .limits
            .iter()
            .zip(&used.limits)
            .find(|((_, fact), (count, amount))| *count > 0 && !fact.admits(*count, *amount));
        broken.map(|((_, fact), _)| *fact)
    }

    /// Why these vouchers cannot be taken together; `None` when they can.
    pub fn refusal(&self, set: &[&Choice]) -> Option<Refusal> {
        let most = set.iter().map(|choice| choice.most).min().unwrap_or(0);
        if set.len() > most {
            return Some(too_many(most));
        }
        let mixed = set.iter().any(|choice| choice.campaign != set[0].campaign);
        if mixed && !set.iter().all(|choice| choice.combines) {
            let refusal = Refusal::new(Code::NotCombinable).with("not_with", "other_campaigns");
            return Some(refusal.to_cashier(cashier::not_beside_others()));
        }
        let used = self.used_by(set);
        if let Some(fact) = self.broken_limit(&used) {
            return Some(fact.reached());
        }
        let missing = self.missing(set);
        (missing > Fen::ZERO).then(|| self.counting(set).unwrap_or_default().short_by(missing))
    }

    /// How much more must be bought for these vouchers.
    pub fn missing(&self, set: &[&Choice]) -> Fen {
        let least = set.iter().map(|choice| choice.least).max().unwrap_or_default();
        self.shortage(&self.used_by(set), least)
    }

    fn used_by(&self, set: &[&Choice]) -> Used {
        let mut used = self.nothing_used();
        set.iter().for_each(|choice| self.add(&mut used, choice));
        used
    }

    pub fn of_candidate(&self, candidate: usize) -> Option<&Choice> {
        self.list.iter().find(|choice| choice.candidate == candidate)
    }
}

/// The place of a thing in a list that it joins when it is new; `None` when the list is full.
fn position<T>(list: &mut Vec<T>, most: usize, same: impl Fn(&T) -> bool, new: impl Fn() -> T) -> Option<usize> {
    if let Some(known) = list.iter().position(same) {
        return Some(known);
    }
    (list.len() < most).then(|| {
        list.push(new());
        list.len() - 1
    })
}

fn union(goods: &[Goods], mask: usize) -> Goods {
    let mut chosen = goods.iter().enumerate().filter(|(scope, _)| mask >> scope & 1 == 1).map(|(_, goods)| goods);
    let first = chosen.next().cloned().unwrap_or_default();
    chosen.fold(first, |all, goods| all.with(goods))
}
