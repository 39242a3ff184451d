//! Holding and redeeming: one order, at most one effect, the best legal voucher.

use serde_json::{Value, json};

use super::{HOLD, Kind, Model, Order, Pay, Place, Request, State, Unit, Verdict};
use crate::harness::client::Reply;
use crate::harness::fixture::{SECOND, date_of};

/// A pay code lives 60 s and is taken one step late; the last seconds are left to the server.
const CODE_SURELY_GOOD: i64 = 118 * SECOND;
const CODE_SURELY_GONE: i64 = 122 * SECOND;

impl Model {
    pub fn predict_redeem(&self, request: &Request) -> Verdict {
        match self.orders.get(&request.key()) {
            Some(order) => repeat(order, request, self.shown_by_another(order, request)),
            None => self.predict_new(request),
        }
    }

    /// Whether the code is another person's than the order's: surely, perhaps once it is so old that it may be forgotten, or not.
    fn shown_by_another(&self, order: &Order, request: &Request) -> Option<Surely> {
        let Pay::Code(code) = &request.pay else { return None };
        let code = self.codes.get(code).filter(|code| code.person != order.person)?;
        Some(Surely(self.now - code.made < CODE_SURELY_GOOD))
    }

    fn predict_new(&self, request: &Request) -> Verdict {
        let mut refusals = Vec::new();
        let mut unsure = Vec::new();
        if !["catering", "culture"].contains(&request.category) {
            refusals.push("category_not_allowed");
        }
        let mut person = None;
        match &request.pay {
            Pay::Code(code) => match self.codes.get(code) {
                None => refusals.push("pay_code_unknown"),
                Some(code) => {
                    person = Some(code.person);
                    let age = self.now - code.made;
                    if age >= CODE_SURELY_GONE {
                        refusals.push("pay_code_expired");
                    } else if age >= CODE_SURELY_GOOD {
                        unsure.push("pay_code_expired");
                    }
                    if code.bound.as_ref().is_some_and(|order| *order != request.key()) {
                        refusals.push("pay_code_used");
                    } else if code.bound.is_none() && code.perhaps_used {
                        unsure.push("pay_code_used");
                    }
                }
            },
            Pay::Ids(ids) if ids.len() > self.terms.most => refusals.push("too_many_vouchers"),
            Pay::Ids(ids) => {
                person = self.owner(&ids[0]);
                if ids.iter().any(|id| self.owner(id) != person) {
                    return Verdict::refused(&["vouchers_of_several_persons", "too_many_vouchers"]);
                }
            }
        }
        let Some(person) = person else { return Verdict::refused(&refusals) };
        // Where the contract leaves open on which day a use counts, either answer is right.
        let wide = self.best(person, request, &self.room(person, request.till, false));
        let narrow = self.best(person, request, &self.room(person, request.till, true));
        let mut details = Vec::new();
        if narrow.is_none() {
            let (mut codes, missing) = self.why_none(person, request);
            match wide {
                Some(_) => unsure.append(&mut codes),
                None => {
                    refusals.append(&mut codes);
                    details.extend(missing.map(|missing| ("/missing_amount", json!(missing))));
                }
            }
        }
        if !refusals.is_empty() {
            refusals.extend(unsure);
            return Verdict { refusals, details, ..Verdict::default() };
        }
        let mut verdict = Verdict::expects(self.facts(request, wide.expect("a choice or a refusal")));
        let other = narrow.map(|set| self.facts(request, set));
        verdict.or = other.map(|facts| super::Expected { facts, replay_of: None });
        verdict.or_refused(&unsure)
    }

    fn facts(&self, request: &Request, (sixty, thirty): (i64, i64)) -> Vec<(&'static str, Value)> {
        let discount = sixty * Kind::Sixty.discount() + thirty * Kind::Thirty.discount();
        let state = if request.capture { "redeemed" } else { "held" };
        let mut facts = vec![
            ("/order_id", json!(request.order)),
            ("/state", json!(state)),
            ("/amount", json!(request.amount)),
            ("/merchant_discount", json!(request.merchant_discount)),
            ("/discount_amount", json!(discount)),
            ("/payable", json!(request.net() - discount)),
        ];
        let kinds = (0..sixty + thirty).map(|place| if place < sixty { Kind::Sixty } else { Kind::Thirty });
        if let Pay::Code(_) = request.pay {
            let names = ["/vouchers/0/voucher_kind", "/vouchers/1/voucher_kind", "/vouchers/2/voucher_kind"];
            facts.extend(kinds.enumerate().map(|(place, kind)| (names[place], json!(kind.name()))));
        }
        let beyond = ["/vouchers/0", "/vouchers/1", "/vouchers/2", "/vouchers/3"][(sixty + thirty) as usize];
        facts.push((beyond, Value::Null));
        if request.capture {
            facts.push(("/settlement_date", json!(date_of(self.now))));
        }
        facts
    }

    pub fn apply_redeem(&mut self, request: &Request, reply: &Reply) {
        let now = self.now;
        if let Some(order) = self.orders.get_mut(&request.key()) {
            order.hear(reply, now);
        }
        if !reply.is_success() || reply.replayed() {
            return;
        }
        let taken = reply["vouchers"].as_array().expect("a list of vouchers").iter();
        let vouchers: Vec<String> = taken.map(|one| one["voucher_id"].as_str().unwrap_or("").to_string()).collect();
        let person = self.owner(&vouchers[0]).expect("the voucher is one we know");
        let now = self.now;
        let mut discount = 0;
        for (place, voucher) in vouchers.iter().enumerate() {
            assert!(!vouchers[..place].contains(voucher), "{voucher} is taken twice");
            let unit = self.unit(person, voucher);
            assert_eq!(unit.place, Place::Free, "{voucher} was not free");
            unit.place = if request.capture { Place::Used } else { Place::Held };
            discount += unit.kind.discount();
            assert_eq!(reply["vouchers"][place]["discount_amount"], json!(unit.kind.discount()));
        }
        if let Pay::Code(code) = &request.pay {
            self.codes.get_mut(code).expect("a known code").bound = Some(request.key());
        }
        let state = if request.capture { State::Redeemed } else { State::Held { until: now + HOLD } };
        if request.capture {
            self.book_redeem(request.till, discount, request.amount);
        }
        let order = Order {
            request: request.clone(),
            state,
            person,
            vouchers,
            discount,
            payable: request.net() - discount,
            held_at: now,
            hold_id: reply.str("hold_id").to_string(),
            redeemed_at: now,
            refunds: Vec::new(),
            restored: 0,
            first_answer: reply.json.clone(),
            last_answer: reply.json.clone(),
        };
        self.orders.insert(request.key(), order);
    }

    pub fn owner(&self, voucher: &str) -> Option<usize> {
        self.wallets.iter().position(|wallet| wallet.contains_key(voucher))
    }

    /// How many 60-20 and 30-10 the best legal set has: every number of each is tried. All vouchers of this campaign end at the same
    /// instant, so of equal savings the set of fewer vouchers is meant. Named vouchers are all of them or none.
    fn best(&self, person: usize, request: &Request, room: &Room) -> Option<(i64, i64)> {
        let offered = self.offered(person, request);
        let free = |kind| {
            let usable = |unit: &&&Unit| unit.kind == kind && self.refused(unit, request).is_empty();
            offered.iter().filter(usable).count() as i64
        };
        let most = self.terms.most as i64;
        let (all_sixty, all_thirty) = (free(Kind::Sixty), free(Kind::Thirty));
        let sets = (0..=all_sixty).flat_map(|sixty| (0..=all_thirty).map(move |thirty| (sixty, thirty)));
        let saving = |(sixty, thirty): &(i64, i64)| sixty * 2000 + thirty * 1000;
        let legal = |set: &(i64, i64)| {
            let count = set.0 + set.1;
            let together = request.net() >= set.0 * 6000 + set.1 * 3000 && request.net() - saving(set) >= 1;
            (1..=most).contains(&count) && together && room.holds(count, saving(set))
        };
        let named = |set: &(i64, i64)| match &request.pay {
            Pay::Code(_) => true,
            Pay::Ids(ids) => set.0 + set.1 == ids.len() as i64,
        };
        sets.filter(legal).filter(named).max_by_key(|set| (saving(set), -(set.0 + set.1)))
    }

    fn offered(&self, person: usize, request: &Request) -> Vec<&Unit> {
        let wallet = &self.wallets[person];
        match &request.pay {
            Pay::Code(_) => wallet.values().collect(),
            Pay::Ids(ids) => ids.iter().filter_map(|id| wallet.get(id)).collect(),
        }
    }

    /// Why this voucher does not pay, whatever the amount and the limits; any of these may be said.
    fn refused(&self, unit: &Unit, request: &Request) -> Vec<&'static str> {
        let mut codes = Vec::new();
        if self.terms.sixty_dines_in && unit.kind == Kind::Sixty && request.scene != Some("dine_in") {
            codes.push("scene_not_allowed");
        }
        match unit.place {
            Place::Held => codes.push("voucher_held"),
            Place::Used => codes.push("voucher_used"),
            Place::Free if self.expired() => codes.push("voucher_expired"),
            Place::Free if self.now < self.begin => codes.push("voucher_not_yet_valid"),
            Place::Free => {}
        }
        codes
    }

    /// The codes that may be given, and what is missing when a minimum is all that is in the way.
    fn why_none(&self, person: usize, request: &Request) -> (Vec<&'static str>, Option<i64>) {
        let offered = self.offered(person, request);
        let usable: Vec<&&Unit> = offered.iter().filter(|unit| self.refused(unit, request).is_empty()).collect();
        let mut codes: Vec<&str> = Vec::new();
        // Who has something to use hears about that; of named vouchers each must fit.
        if usable.is_empty() || matches!(request.pay, Pay::Ids(_)) {
            codes.extend(offered.iter().flat_map(|unit| self.refused(unit, request)));
        }
        let narrow = self.room(person, request.till, true);
        let full = |unit: &&Unit| !narrow.holds(1, unit.kind.discount());
        let together: i64 = usable.iter().map(|unit| unit.kind.discount()).sum();
        let named = matches!(request.pay, Pay::Ids(_));
        if usable.iter().any(|unit| full(unit)) || named && !narrow.holds(usable.len() as i64, together) {
            codes.push("limit_reached");
        }
        let missing = |unit: &&Unit| unit.kind.minimum() - request.net();
        let nearest = match named {
            true => Some(usable.iter().map(|unit| unit.kind.minimum()).sum::<i64>() - request.net()),
            false => usable.iter().map(|unit| missing(unit)).min(),
        };
        if nearest.is_some_and(|missing| missing > 0) {
            codes.push("minimum_not_met");
        }
        if !named && usable.is_empty() {
            codes.push("no_voucher_applicable");
        }
        // A voucher of its own set says its own amount.
        let sure = nearest.filter(|missing| *missing > 0 && !(named && usable.len() > 1));
        (codes, sure)
    }

    /// What is left of the limits of today. A hold of yesterday that was confirmed today may be counted on either day, and a hold that has
    /// just run out may still count at its merchant and for everybody: `narrow` counts all that may be counted, the other only what surely is.
    pub fn room(&self, person: usize, till: usize, narrow: bool) -> Room {
        let today = date_of(self.now);
        let (mut mine_here, mut mine, mut all_here, mut all) = (0, 0, 0, 0);
        for ((at, _), order) in &self.orders {
            let live =
                matches!(order.state, State::Held { .. } | State::Redeemed) && order.refunded() < order.request.net();
            let lapsed = narrow && matches!(order.state, State::Lapsed { .. });
            let days = [date_of(order.held_at) == today, date_of(order.redeemed_at) == today];
            let counted = if narrow { days[0] || days[1] } else { days[0] && days[1] };
            let count = order.vouchers.len() as i64;
            if counted && live && order.person == person {
                mine += order.discount;
                mine_here += if *at == till { count } else { 0 };
            }
            if counted && (live || lapsed) {
                all_here += if *at == till { count } else { 0 };
                all += order.discount;
            }
        }
        Room {
            count: self.terms.person_merchant_day - mine_here,
            amount: self.terms.person_day.map_or(i64::MAX, |most| most - mine),
            merchant: self.terms.merchant_day.map_or(i64::MAX, |most| most - all_here),
            all: self.terms.all_day.map_or(i64::MAX, |most| most - all),
        }
    }
}

/// How much more may be used.
pub struct Room {
    count: i64,
    amount: i64,
    merchant: i64,
    all: i64,
}

impl Room {
    pub fn holds(&self, count: i64, amount: i64) -> bool {
        count <= self.count && count <= self.merchant && amount <= self.amount && amount <= self.all
    }
}

struct Surely(bool);

fn repeat(order: &Order, request: &Request, another: Option<Surely>) -> Verdict {
    let mut fields = order.request.differences(request);
    if let Some(Surely(known)) = another {
        if !known {
            return repeat(order, request, None).or_refused(&["order_conflict"]);
        }
        fields.push("pay_code");
    }
    if !fields.is_empty() {
        let codes: &[&str] = match order.state {
            State::Reversed => &["order_reversed", "order_conflict"],
            _ => &["order_conflict"],
        };
        let mut verdict = Verdict::refused(codes);
        verdict.details.push(("/fields", json!(fields)));
        return verdict;
    }
    match order.state {
        State::Reversed => Verdict::refused(&["order_reversed"]),
        State::Held { .. } | State::Redeemed => Verdict::replays(&order.first_answer),
        State::Cancelled => Verdict::replays(&order.first_answer).or_refused(&["order_cancelled"]),
        State::Lapsed { .. } => Verdict::replays(&order.first_answer).or_refused(&["hold_expired"]),
    }
}
