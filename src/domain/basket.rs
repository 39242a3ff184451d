//! The best legal vouchers for a payment: largest saving, then earliest expiry, then lowest threshold; why each other kind is not
//! taken; and whether a slightly larger payment would save more.

use std::cmp::Reverse;

use serde_json::{Value, json};

use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Payment, Reason};
use crate::domain::time::Ms;

/// Sets looked at for payments that take several vouchers; past it the best set found so far is taken.
const SEARCH_BOUND: usize = 20_000;

/// What a payment takes. Indexes point into the candidates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basket {
    pub taken: Vec<Taken>,
    pub discount: Fen,
    pub not_taken: Vec<NotTaken>,
    pub better: Option<Better>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub candidate: usize,
    pub discount: Fen,
}

/// A kind of which nothing is taken, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct NotTaken {
    pub voucher_kind: String,
    pub campaign_id: String,
    pub refusal: Refusal,
}

/// Buying a little more would save more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Better {
    pub add_amount: Fen,
    pub discount_amount: Fen,
    pub saves_more: Fen,
}

/// Chooses for a payer who did not name vouchers.
pub fn choose(payment: &Payment, candidates: &[Candidate]) -> Basket {
    let judged: Vec<Result<Fen, Reason>> =
        candidates.iter().map(|candidate| rules::judge(payment, candidate)).collect();
    let mut legal: Vec<Taken> = judged
        .iter()
        .enumerate()
        .filter_map(|(candidate, saving)| saving.as_ref().ok().map(|discount| Taken { candidate, discount: *discount }))
        .collect();
    legal.sort_by_key(|one| {
        let candidate = &candidates[one.candidate];
        (Reverse(one.discount), candidate.window.end, rules::threshold(candidate), candidate.voucher)
    });
    let taken = best_set(payment, candidates, &legal);
    let discount = taken.iter().map(|one| one.discount).sum();
    let not_taken = not_taken(candidates, &judged, &taken);
    let better = better(payment, candidates, &judged, discount);
    Basket { taken, discount, not_taken, better }
}

/// Judges exactly the vouchers that the till named: all of them or none.
pub fn exactly(payment: &Payment, candidates: &[Candidate]) -> Result<Basket, Refusal> {
    let most = candidates.iter().map(rules::most_vouchers).min().unwrap_or(1);
    if candidates.len() > most {
        return Err(too_many(most));
    }
    let mut taken = Vec::with_capacity(candidates.len());
    let mut reasons = Vec::new();
    for (candidate, judged) in candidates.iter().map(|candidate| rules::judge(payment, candidate)).enumerate() {
        match judged {
            Ok(discount) => taken.push(Taken { candidate, discount }),
            Err(reason) => reasons.push(reason),
        }
    }
    if let Some(first) = reasons.into_iter().min_by_key(|reason| reason.rule) {
        return Err(first.refusal);
    }
    if !fits(payment, candidates, &taken) {
        return Err(together_refused(payment, candidates, &taken));
    }
    let discount = taken.iter().map(|one| one.discount).sum();
    Ok(Basket { taken, discount, ..Basket::default() })
}

/// The one refusal for a payer of whose vouchers none fits: what is said about the voucher that got furthest through the rules, or
/// `no_voucher_applicable` when there is none that is not spent.
pub fn nothing_fits(basket: &Basket) -> Refusal {
    let spent = |one: &&NotTaken| matches!(one.refusal.code, Code::VoucherUsed | Code::VoucherRevoked);
    let left = basket.not_taken.iter().filter(|one| !spent(one));
    let furthest = left.max_by_key(|one| (one.refusal.code, Reverse(missing_amount(&one.refusal))));
    let refusal = furthest.map(|one| one.refusal.clone()).unwrap_or_else(|| Code::NoVoucherApplicable.into());
    refusal.with("not_taken", basket.not_taken.iter().map(NotTaken::to_json).collect::<Vec<_>>())
}

impl NotTaken {
    /// Kind, code and what the code's reader needs, such as `missing_amount`.
    pub fn to_json(&self) -> Value {
        let mut fields = self.refusal.extra.clone();
        fields.insert("voucher_kind".into(), json!(self.voucher_kind));
        fields.insert("campaign_id".into(), json!(self.campaign_id));
        fields.insert("code".into(), json!(self.refusal.code.as_str()));
        Value::Object(fields)
    }
}

pub fn missing_amount(refusal: &Refusal) -> Option<i64> {
    refusal.extra.get("missing_amount").and_then(Value::as_i64)
}

pub fn too_many(most: usize) -> Refusal {
    Refusal::new(Code::TooManyVouchers).with("limit", most)
}

/// Whether vouchers that are legal alone are legal together.
fn fits(payment: &Payment, candidates: &[Candidate], set: &[Taken]) -> bool {
    let chosen = || set.iter().map(|one| &candidates[one.candidate]);
    let most = chosen().map(rules::most_vouchers).min().unwrap_or(0);
    let mixed = set.iter().any(|one| candidates[one.candidate].voucher.c != candidates[set[0].candidate].voucher.c);
    let mixes = chosen().all(|candidate| candidate.rules.iter().all(|rule| rule.combine_with_campaigns));
    set.len() <= most && (!mixed || mixes) && money_fits(payment, candidates, set) && limits_fit(candidates, set)
}

/// Each voucher uses up its own threshold, so splitting a payment never saves more than paying at once.
fn money_fits(payment: &Payment, candidates: &[Candidate], set: &[Taken]) -> bool {
    let chosen = || set.iter().map(|one| &candidates[one.candidate]);
    let thresholds: Fen = chosen().map(rules::threshold).sum();
    let base = chosen().map(|candidate| rules::base(payment, candidate)).max().unwrap_or_default();
    let least = chosen().map(rules::least_payable).max().unwrap_or_default();
    let discount: Fen = set.iter().map(|one| one.discount).sum();
    thresholds <= base && payment.net() - discount >= least
}

fn limits_fit(candidates: &[Candidate], set: &[Taken]) -> bool {
    set.iter().all(|one| {
        let candidate = &candidates[one.candidate];
        candidate.limits.iter().all(|fact| {
            let sharing = set.iter().filter(|other| {
                let other = &candidates[other.candidate];
                let same = |own: &rules::LimitFact| own.index == fact.index && own.entity == fact.entity;
                other.voucher.c == candidate.voucher.c && other.limits.iter().any(same)
            });
            let (count, amount) =
                sharing.fold((0, Fen::ZERO), |(count, amount), other| (count + 1, amount + other.discount));
            fact.admits(count, amount)
        })
    })
}

fn together_refused(payment: &Payment, candidates: &[Candidate], set: &[Taken]) -> Refusal {
    if !money_fits(payment, candidates, set) {
        let thresholds: Fen = set.iter().map(|one| rules::threshold(&candidates[one.candidate])).sum();
        let missing = (thresholds - payment.net()).max(Fen(1));
        return rules::below_minimum(missing);
    }
    if !limits_fit(candidates, set) { Code::LimitReached.into() } else { Code::NotCombinable.into() }
}

/// Saving, then expiry, then threshold; of equals the smaller set.
type Rank = (Fen, Reverse<Ms>, Reverse<Fen>, Reverse<usize>);

fn rank(candidates: &[Candidate], set: &[Taken]) -> Rank {
    let chosen = || set.iter().map(|one| &candidates[one.candidate]);
    (
        set.iter().map(|one| one.discount).sum(),
        Reverse(chosen().map(|candidate| candidate.window.end).min().unwrap_or(Ms::MAX)),
        Reverse(chosen().map(rules::threshold).sum()),
        Reverse(set.len()),
    )
}

/// `legal` is in order of preference, so for one voucher per payment the first is the answer.
fn best_set(payment: &Payment, candidates: &[Candidate], legal: &[Taken]) -> Vec<Taken> {
    let most = legal.iter().map(|one| rules::most_vouchers(&candidates[one.candidate])).max().unwrap_or(0);
    if most <= 1 {
        return legal.iter().take(1).copied().collect();
    }
    let mut search = Search { payment, candidates, legal, most, best: Vec::new(), looked_at: 0 };
    search.extend(&mut Vec::new(), 0);
    search.best
}

struct Search<'a, 'b> {
    payment: &'a Payment<'b>,
    candidates: &'a [Candidate<'b>],
    legal: &'a [Taken],
    most: usize,
    best: Vec<Taken>,
    looked_at: usize,
}

impl Search<'_, '_> {
    /// Depth first over sets in order of preference; of units that do not differ only the first unused one is tried.
    fn extend(&mut self, set: &mut Vec<Taken>, from: usize) {
        if !set.is_empty() && rank(self.candidates, set) > rank(self.candidates, &self.best) {
            self.best = set.clone();
        }
        let mut tried: Vec<usize> = Vec::new();
        for next in from..self.legal.len() {
            self.looked_at += 1;
            if set.len() == self.most || self.looked_at > SEARCH_BOUND {
                return;
            }
            if tried.iter().any(|other| self.alike(*other, next)) {
                continue;
            }
            tried.push(next);
            set.push(self.legal[next]);
            if fits(self.payment, self.candidates, set) {
                self.extend(set, next + 1);
            }
            set.pop();
        }
    }

    fn alike(&self, one: usize, other: usize) -> bool {
        let (one, other) = (&self.candidates[self.legal[one].candidate], &self.candidates[self.legal[other].candidate]);
        std::ptr::eq(one.kind, other.kind) && one.window == other.window && one.channel == other.channel
    }
}

/// For each kind of which nothing is taken, the reason of the voucher that got furthest.
fn not_taken(candidates: &[Candidate], judged: &[Result<Fen, Reason>], taken: &[Taken]) -> Vec<NotTaken> {
    let kind = |index: usize| (candidates[index].campaign_id, candidates[index].kind.voucher_kind.as_str());
    let most = taken.iter().map(|one| rules::most_vouchers(&candidates[one.candidate])).min().unwrap_or(1);
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for index in 0..candidates.len() {
        let is_taken = taken.iter().any(|one| kind(one.candidate) == kind(index));
        if !is_taken && !kinds.contains(&kind(index)) {
            kinds.push(kind(index));
        }
    }
    let reason_of = |own: (&str, &str)| {
        let of_kind = || (0..candidates.len()).filter(|index| kind(*index) == own);
        if of_kind().any(|index| judged[index].is_ok()) {
            return too_many(most);
        }
        let reasons = of_kind().filter_map(|index| judged[index].as_ref().err());
        let furthest = reasons.max_by_key(|reason| (reason.rule, Reverse(missing_amount(&reason.refusal))));
        furthest.map(|reason| reason.refusal.clone()).unwrap_or_else(|| Code::NoVoucherApplicable.into())
    };
    kinds
        .into_iter()
        .map(|own| NotTaken { campaign_id: own.0.to_owned(), voucher_kind: own.1.to_owned(), refusal: reason_of(own) })
        .collect()
}

/// The smallest addition that saves more than now, among vouchers that only miss their minimum.
fn better(
    payment: &Payment,
    candidates: &[Candidate],
    judged: &[Result<Fen, Reason>],
    discount: Fen,
) -> Option<Better> {
    let options = judged.iter().enumerate().filter_map(|(index, judged)| {
        let reason = judged.as_ref().err()?;
        let add_amount = Fen(missing_amount(&reason.refusal)?);
        let larger = Payment { amount: payment.amount + add_amount, ..payment.clone() };
        let saving = rules::judge(&larger, &candidates[index]).ok().filter(|saving| *saving > discount)?;
        Some(Better { add_amount, discount_amount: saving, saves_more: saving - discount })
    });
    options.min_by_key(|option| (option.add_amount, Reverse(option.discount_amount)))
}

#[cfg(test)]
#[path = "basket_tests.rs"]
mod tests;
