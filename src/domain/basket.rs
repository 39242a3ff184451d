//! The best legal vouchers for a payment: largest saving, then earliest expiry, then lowest threshold; why each other kind is not
//! taken; and whether a slightly larger payment would save more.

mod bound;
mod room;
mod search;
mod spread;
mod together;

use std::cmp::Reverse;

use serde_json::{Value, json};

use crate::domain::campaign::schema::Face;
use crate::domain::cashier;
use crate::domain::goods::Counting;
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Payment, Reason};
use crate::domain::time::Ms;
use crate::domain::voucher::VoucherRef;
use search::{Search, Set};
pub use spread::spread;
use together::{Choice, Choices};

/// What a payment takes. Indexes point into the candidates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Basket {
    pub taken: Vec<Taken>,
    pub discount: Fen,
    /// For a quote, and where nothing is taken.
    pub not_taken: Vec<NotTaken>,
    pub better: Option<Better>,
    /// The search wanted more steps than a payment may take: there may be a better set, or a smaller addition, than these.
    pub stopped: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Better {
    pub add_amount: Fen,
    /// What the addition has to be.
    pub goods: Counting,
    pub discount_amount: Fen,
    pub saves_more: Fen,
}

/// Chooses for a payer who did not name vouchers.
pub fn choose(payment: &Payment, candidates: &[Candidate]) -> Basket {
    chosen(payment, candidates, false)
}

/// Chooses and looks whether a slightly larger payment would save more: what a quote says.
pub fn choose_and_advise(payment: &Payment, candidates: &[Candidate]) -> Basket {
    chosen(payment, candidates, true)
}

fn chosen(payment: &Payment, candidates: &[Candidate], advise: bool) -> Basket {
    let judged: Vec<Result<Fen, Reason>> =
        candidates.iter().map(|candidate| rules::judge(payment, candidate)).collect();
    let choices = Choices::new(payment, candidates, &judged);
    let mut search = Search::new(&choices, candidates);
    let legal = |choice: &Choice| judged[choice.candidate].is_ok();
    let best = search.best(legal).unwrap_or_else(|| search.set(&[]));
    let taken: Vec<Taken> = in_order(&choices, &best);
    // A payment that takes something tells nobody what it does not take.
    let wanted = advise || taken.is_empty();
    let not_taken = if wanted { not_taken(candidates, &judged, &choices, &best) } else { Vec::new() };
    let (better, unsure) = if advise { better(candidates, &choices, &best) } else { (None, false) };
    Basket { taken, discount: best.discount, not_taken, better, stopped: search.stopped || unsure }
}

/// Larger savings, earlier ends and lower thresholds first; so an answer lists what was taken.
fn preference(payment: &Payment, candidate: &Candidate) -> (Reverse<Fen>, Ms, Fen, VoucherRef) {
    let saving = rules::saving(payment, candidate);
    (Reverse(saving), candidate.window.end, rules::threshold(candidate), candidate.voucher)
}

/// The list of choices is in order of preference.
fn in_order(choices: &Choices, set: &Set) -> Vec<Taken> {
    let mut places = set.choices.clone();
    places.sort_unstable();
    let choice = |place: usize| &choices.list[place];
    places
        .into_iter()
        .map(|place| Taken { candidate: choice(place).candidate, discount: choice(place).discount })
        .collect()
}

/// Judges exactly the vouchers that the till named: all of them or none.
pub fn exactly(payment: &Payment, candidates: &[Candidate]) -> Result<Basket, Refusal> {
    let most = candidates.iter().map(rules::most_vouchers).min().unwrap_or(1);
    if candidates.len() > most {
        return Err(too_many(most));
    }
    let judged: Vec<Result<Fen, Reason>> =
        candidates.iter().map(|candidate| rules::judge(payment, candidate)).collect();
    if let Some(first) = judged.iter().filter_map(|judged| judged.as_ref().err()).min_by_key(|reason| reason.rule) {
        return Err(first.refusal.clone());
    }
    let choices = Choices::new(payment, candidates, &judged);
    let named: Vec<&Choice> = (0..candidates.len()).filter_map(|index| choices.of_candidate(index)).collect();
    if let Some(refusal) = choices.refusal(&named) {
        return Err(refusal);
    }
    let taken: Vec<Taken> =
        named.iter().map(|choice| Taken { candidate: choice.candidate, discount: choice.discount }).collect();
    let discount = taken.iter().map(|one| one.discount).sum();
    Ok(Basket { taken, discount, ..Basket::default() })
}

/// The one refusal for a payer of whose vouchers none fits: what is said about the voucher that got furthest through the rules, of one that
/// has ended only if there is no other, or `no_voucher_applicable` when there is none that is not spent.
pub fn nothing_fits(basket: &Basket) -> Refusal {
    let spent = |one: &&NotTaken| matches!(one.refusal.code, Code::VoucherUsed | Code::VoucherRevoked);
    let left = basket.not_taken.iter().filter(|one| !spent(one));
    let furthest = left.max_by_key(|one| {
        (one.refusal.code != Code::VoucherExpired, one.refusal.code, Reverse(missing_amount(&one.refusal)))
    });
    let none_left = || {
        let revoked = basket.not_taken.iter().any(|one| one.refusal.code == Code::VoucherRevoked);
        let words = cashier::none_left(!basket.not_taken.is_empty(), revoked);
        Refusal::new(Code::NoVoucherApplicable).detail(words.zh.clone(), words.en.clone()).to_cashier(words)
    };
    let refusal = furthest.map(|one| one.refusal.clone()).unwrap_or_else(none_left);
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

/// For each kind of which nothing is taken, why the voucher that got furthest is not. A kind that would fit beside the others, which a
/// search that stopped has not looked at, has no reason and is left out.
fn not_taken(candidates: &[Candidate], judged: &[Result<Fen, Reason>], choices: &Choices, best: &Set) -> Vec<NotTaken> {
    let kind = |index: usize| (candidates[index].campaign_id, candidates[index].kind.voucher_kind.as_str());
    let taken: Vec<&Choice> = best.choices.iter().map(|place| &choices.list[*place]).collect();
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for index in 0..candidates.len() {
        let is_taken = taken.iter().any(|one| kind(one.candidate) == kind(index));
        if !is_taken && !kinds.contains(&kind(index)) {
            kinds.push(kind(index));
        }
    }
    let reason_of = |own: (&str, &str)| {
        let of_kind = || (0..candidates.len()).filter(|index| kind(*index) == own);
        if let Some(legal) = of_kind().find(|index| judged[*index].is_ok()) {
            return beside(choices, &taken, legal);
        }
        let reasons = of_kind().filter_map(|index| judged[index].as_ref().err());
        let furthest = reasons.max_by_key(|reason| (reason.rule, Reverse(missing_amount(&reason.refusal))));
        furthest.map(|reason| reason.refusal.clone())
    };
    let told = |own: (&str, &str)| {
        let refusal = reason_of(own)?;
        Some(NotTaken { campaign_id: own.0.to_owned(), voucher_kind: own.1.to_owned(), refusal })
    };
    kinds.into_iter().filter_map(told).collect()
}

/// Why a voucher that would be legal alone is not taken beside the others.
fn beside(choices: &Choices, taken: &[&Choice], candidate: usize) -> Option<Refusal> {
    let with_it: Vec<&Choice> = taken.iter().copied().chain(choices.of_candidate(candidate)).collect();
    choices.refusal(&with_it)
}

/// The smallest addition that saves more than now, if all of it may be goods that count for everything that is short, and whether there
/// may be a smaller one. A percentage grows with every fen, so only fixed faces are looked at.
fn better(candidates: &[Candidate], choices: &Choices, best: &Set) -> (Option<Better>, bool) {
    let fixed = |choice: &Choice| matches!(candidates[choice.candidate].kind.face, Face::Save { .. });
    let taken: Vec<&Choice> = best.choices.iter().map(|place| &choices.list[*place]).collect();
    // One voucher more, alone or in the place of another, bounds the addition, so that the search needs not go far.
    let reach = choices.list.iter().filter(|choice| fixed(choice)).flat_map(|choice| {
        let beside = taken.iter().copied().chain([choice]).collect();
        let instead = (0..taken.len()).map(|place| {
            let rest = taken.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, one)| *one);
            rest.chain([choice]).collect()
        });
        [vec![choice], beside].into_iter().chain(instead).collect::<Vec<Vec<&Choice>>>()
    });
    let reach = reach.filter_map(|set| {
        let saves: Fen = set.iter().map(|choice| choice.discount).sum();
        let distinct = (1..set.len()).all(|i| set[..i].iter().all(|other| other.candidate != set[i].candidate));
        let only_short = choices.refusal(&set).is_some_and(|refusal| refusal.code == Code::MinimumNotMet);
        let helps = || choices.counting(&set).is_some();
        (distinct && only_short && saves > best.discount && helps()).then(|| choices.missing(&set))
    });
    let slack = reach.min().unwrap_or(Fen(FEN_LIMIT));
    let mut search = Search::new(choices, candidates);
    let nearest = search.nearest(fixed, best.discount, slack);
    let better = nearest.and_then(|(set, add_amount)| {
        let goods = choices.counting(&set.choices.iter().map(|place| &choices.list[*place]).collect::<Vec<_>>())?;
        let (discount_amount, saves_more) = (set.discount, set.discount - best.discount);
        Some(Better { add_amount, goods, discount_amount, saves_more })
    });
    (better, search.stopped)
}

#[cfg(test)]
#[path = "basket_tests.rs"]
mod tests;

#[cfg(test)]
mod brute_force;

#[cfg(test)]
mod many_goods;
