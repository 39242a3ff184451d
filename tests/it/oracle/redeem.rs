//! Holding and redeeming: one order, at most one effect, the best legal voucher.

use serde_json::{Value, json};

use super::{DAY_LIMIT, HOLD, Model, Order, Pay, Place, Request, State, Unit, Verdict};
use crate::harness::client::Reply;
use crate::harness::fixture::{SECOND, date_of};

/// A pay code lives 60 s and is taken one step late; the last seconds are left to the server.
const CODE_SURELY_GOOD: i64 = 118 * SECOND;
const CODE_SURELY_GONE: i64 = 122 * SECOND;

impl Model {
    pub fn predict_redeem(&self, request: &Request) -> Verdict {
        match self.orders.get(&request.key()) {
            Some(order) => repeat(order, request),
            None => self.predict_new(request),
        }
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
            Pay::Ids(ids) if ids.len() > 1 => refusals.push("too_many_vouchers"),
            Pay::Ids(ids) => person = self.owner(&ids[0]),
        }
        let Some(person) = person else { return Verdict::refused(&refusals) };
        let (surely, perhaps) = self.uses_today(person, request.till);
        if surely >= DAY_LIMIT {
            refusals.push("limit_reached");
        } else if perhaps >= DAY_LIMIT {
            unsure.push("limit_reached");
        }
        let choice = self.best(person, request);
        let mut details = Vec::new();
        if choice.is_none() {
            self.why_none(person, request, &mut refusals, &mut details);
        }
        if !refusals.is_empty() {
            refusals.extend(unsure);
            return Verdict { success: None, refusals, details };
        }
        let chosen = choice.expect("a choice or a refusal");
        self.success(request, chosen).or_refused(&unsure)
    }

    fn success(&self, request: &Request, chosen: &Unit) -> Verdict {
        let discount = chosen.kind.discount();
        let state = if request.capture { "redeemed" } else { "held" };
        let mut facts = vec![
            ("/order_id", json!(request.order)),
            ("/state", json!(state)),
            ("/amount", json!(request.amount)),
            ("/merchant_discount", json!(request.merchant_discount)),
            ("/discount_amount", json!(discount)),
            ("/payable", json!(request.net() - discount)),
            ("/vouchers/0/voucher_kind", json!(chosen.kind.name())),
            ("/vouchers/0/discount_amount", json!(discount)),
            ("/vouchers/1", Value::Null),
        ];
        if request.capture {
            facts.push(("/settlement_date", json!(date_of(self.now))));
        }
        Verdict::expects(facts)
    }

    pub fn apply_redeem(&mut self, request: &Request, reply: &Reply) {
        if !reply.is_success() || reply.replayed() {
            return;
        }
        let voucher = reply["vouchers"][0]["voucher_id"].as_str().unwrap_or("").to_string();
        let person = self.owner(&voucher).expect("the voucher is one we know");
        let now = self.now;
        let unit = self.unit(person, &voucher);
        assert_eq!(unit.place, Place::Free, "{voucher} was not free");
        unit.place = if request.capture { Place::Used } else { Place::Held };
        let discount = unit.kind.discount();
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
            voucher,
            discount,
            payable: request.net() - discount,
            held_at: now,
            hold_id: reply.str("hold_id").to_string(),
            redeemed_at: now,
            refunds: Vec::new(),
            restored: false,
            first_answer: reply.json.clone(),
            last_answer: reply.json.clone(),
        };
        self.orders.insert(request.key(), order);
    }

    pub fn owner(&self, voucher: &str) -> Option<usize> {
        self.wallets.iter().position(|wallet| wallet.contains_key(voucher))
    }

    /// Largest discount first; all vouchers of this campaign end at the same instant.
    fn best(&self, person: usize, request: &Request) -> Option<&Unit> {
        let fits = |unit: &&Unit| {
            unit.place == Place::Free
                && !self.expired()
                && self.now >= self.begin
                && request.net() >= unit.kind.minimum()
                && request.net() - unit.kind.discount() >= 1
        };
        self.offered(person, request).into_iter().filter(fits).max_by_key(|unit| unit.kind.discount())
    }

    fn offered(&self, person: usize, request: &Request) -> Vec<&Unit> {
        let wallet = &self.wallets[person];
        match &request.pay {
            Pay::Code(_) => wallet.values().collect(),
            Pay::Ids(ids) => ids.iter().filter_map(|id| wallet.get(id)).collect(),
        }
    }

    fn why_none(
        &self,
        person: usize,
        request: &Request,
        refusals: &mut Vec<&'static str>,
        details: &mut Vec<(&'static str, Value)>,
    ) {
        let offered = self.offered(person, request);
        let any = |place| offered.iter().any(|unit| unit.place == place);
        let by_code = matches!(request.pay, Pay::Code(_));
        let free = offered.iter().filter(|unit| unit.place == Place::Free);
        if self.expired() && any(Place::Free) {
            refusals.push("voucher_expired");
        } else if let Some(nearest) = free.map(|unit| unit.kind.minimum()).min() {
            refusals.push("minimum_not_met");
            details.push(("/missing_amount", json!(nearest - request.net())));
            return;
        }
        if any(Place::Held) {
            refusals.push("voucher_held");
        }
        if any(Place::Used) {
            refusals.push("voucher_used");
        }
        if by_code {
            refusals.push("no_voucher_applicable");
        }
    }

    /// Live uses of the day: (certain, at most). A hold of yesterday that was confirmed today may
    /// be counted on either day.
    pub fn uses_today(&self, person: usize, till: usize) -> (usize, usize) {
        let today = date_of(self.now);
        let (mut surely, mut perhaps) = (0, 0);
        for ((at, _), order) in &self.orders {
            let live =
                matches!(order.state, State::Held { .. } | State::Redeemed) && order.refunded() < order.request.net();
            if *at != till || order.person != person || !live {
                continue;
            }
            let days = [date_of(order.held_at) == today, date_of(order.redeemed_at) == today];
            surely += usize::from(days[0] && days[1]);
            perhaps += usize::from(days[0] || days[1]);
        }
        (surely, perhaps)
    }
}

fn repeat(order: &Order, request: &Request) -> Verdict {
    let fields = order.request.differences(request);
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
