//! Whether vouchers that are legal one by one are legal together in one payment.
//!
//! Each voucher uses up its own threshold, so splitting a payment never saves more than paying at once; thresholds and discounts of
//! vouchers for different goods must find room in the goods that each is for.

use smallvec::{SmallVec, smallvec};

use super::room::{Asked, Room};
use super::{Reason, too_many};
use crate::domain::cashier;
use crate::domain::goods::{Counting, Goods};
use crate::domain::limit::LimitFact;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Payment};
use crate::domain::time::Ms;

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
    pub room: Room,
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
            let scope = position(&mut goods, |known| *known == own, || own.clone());
            let own_limits = candidate.limits.iter().map(|fact| {
                let c = candidate.voucher.c;
                let same = |known: &(u16, &LimitFact)| known.0 == c && known.1.same(fact);
                position(&mut limits, same, || (c, fact))
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
        Choices { list, payment, candidates, room: Room::new(payment, &goods), scopes: goods.len(), limits }
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
    pub fn shortage(&self, used: &Used, least: Fen, steps: &mut u64) -> Fen {
        let all: Fen = used.discounts.iter().copied().sum();
        self.of_goods(used, |_| true, steps).max(all + least - self.net())
    }

    /// How much is missing of the goods of these scopes.
    fn of_goods(&self, used: &Used, of: impl Fn(usize) -> bool, steps: &mut u64) -> Fen {
        let asked = Asked { thresholds: &used.thresholds, discounts: &used.discounts };
        self.room.missing(&asked, of, steps)
    }

    /// Whether buying what is missing is enough for all of it when it is of this scope: whatever lacks something has to be for its goods.
    fn is_helpful(&self, used: &Used, scope: usize, steps: &mut u64) -> bool {
        used.discounts[scope] > Fen::ZERO && self.of_goods(used, |other| other != scope, steps) == Fen::ZERO
    }

    /// Whether what is missing may be bought in one place.
    pub fn helps(&self, used: &Used, steps: &mut u64) -> bool {
        self.of_goods(used, |_| true, steps) == Fen::ZERO
            || (0..self.scopes).any(|scope| self.is_helpful(used, scope, steps))
    }

    /// What a set uses of the goods of a group: thresholds and discounts.
    pub fn used_of_group(&self, used: &Used, group: usize) -> (Fen, Fen) {
        let sum = |by_scope: &[Fen]| self.room.of_group(group).map(|scope| by_scope[scope]).sum();
        (sum(&used.thresholds), sum(&used.discounts))
    }

    pub fn net(&self) -> Fen {
        self.payment.net()
    }

    /// Which goods count for what a set lacks; `None` when no goods do for all of it.
    pub fn counting(&self, set: &[&Choice]) -> Option<Counting> {
        let (used, mut steps) = (self.used_by(set), 0);
        if self.of_goods(&used, |_| true, &mut steps) == Fen::ZERO {
            return Some(Counting::default());
        }
        let of_scope = |scope: usize| {
            let own = set.iter().filter(|choice| choice.scope == scope);
            Counting::of(self.payment, own.map(|choice| &self.candidates[choice.candidate]))
        };
        let helpful = (0..self.scopes).filter(|scope| self.is_helpful(&used, *scope, &mut steps));
        helpful.collect::<Vec<_>>().into_iter().find_map(of_scope)
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
        self.shortage(&self.used_by(set), least, &mut 0)
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

/// The place of a thing in a list that it joins when it is new.
fn position<T>(list: &mut Vec<T>, same: impl Fn(&T) -> bool, new: impl Fn() -> T) -> usize {
    list.iter().position(same).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    })
}
