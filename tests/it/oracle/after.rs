//! What may happen to an order after its hold: confirm, cancel, reverse, refund.

use serde_json::{Value, json};

use super::{LATE, MAX_RESTORES, Model, Order, Place, REVERSE_WINDOW, Refund, State, Verdict};
use crate::harness::client::Reply;
use crate::harness::fixture::{MINUTE, date_of};

type Key = (usize, String);

impl Model {
    pub fn predict_confirm(&self, key: &Key, paid: i64) -> Verdict {
        let Some(order) = self.orders.get(key) else {
            return Verdict::refused(&["order_not_found"]);
        };
        let right = paid == order.payable;
        let facts = vec![
            ("/order_id", json!(key.1)),
            ("/state", json!("redeemed")),
            ("/discount_amount", json!(order.discount)),
            ("/payable", json!(order.payable)),
            ("/settlement_date", json!(date_of(self.now))),
        ];
        match order.state {
            State::Held { .. } if right => Verdict::expects(facts),
            State::Held { .. } => Verdict::refused(&["paid_amount_mismatch"]),
            State::Lapsed { until } => self.predict_late(order, until, right, facts),
            State::Redeemed if order.request.capture => {
                Verdict { success: Some(Default::default()), ..Verdict::default() }
                    .or_refused(&["order_already_redeemed", "paid_amount_mismatch"])
            }
            State::Redeemed if right && order.refunds.is_empty() => Verdict::replays(&order.last_answer),
            State::Redeemed if right => {
                Verdict::replays(&order.last_answer).or_refused(&["order_has_refunds", "order_already_redeemed"])
            }
            State::Redeemed => Verdict::refused(&["paid_amount_mismatch", "order_already_redeemed"]),
            State::Cancelled => Verdict::refused(&["order_cancelled"]),
            State::Reversed => Verdict::refused(&["order_reversed"]),
        }
    }

    fn predict_late(&self, order: &Order, until: i64, right: bool, mut facts: Vec<(&'static str, Value)>) -> Verdict {
        let free = order.vouchers.iter().all(|voucher| self.wallets[order.person][voucher].place == Place::Free);
        if !free || self.now >= until + LATE {
            return Verdict::refused(&["hold_expired"]).or_refused(if right { &[] } else { &["paid_amount_mismatch"] });
        }
        if !right {
            return Verdict::refused(&["paid_amount_mismatch"]);
        }
        facts.push(("/late", json!(true)));
        let verdict = Verdict::expects(facts);
        // Another redemption of the day may have taken this one's place under the limit.
        let count = order.vouchers.len() as i64;
        let crowded = !self.room(order.person, order.request.till, true).holds(count, order.discount);
        verdict.or_refused(if crowded { &["limit_reached", "hold_expired"] } else { &[] })
    }

    pub fn apply_confirm(&mut self, key: &Key, reply: &Reply) {
        let now = self.now;
        let Some(order) = self.orders.get_mut(key) else { return };
        order.hear(reply, now);
        if !reply.is_success() || order.state == State::Redeemed {
            return;
        }
        order.state = State::Redeemed;
        order.redeemed_at = now;
        order.last_answer = reply.json.clone();
        let (person, vouchers) = (order.person, order.vouchers.clone());
        let (till, discount, amount) = (order.request.till, order.discount, order.request.amount);
        self.place_all(person, &vouchers, Place::Used);
        self.book_redeem(till, discount, amount);
    }

    pub fn predict_cancel(&self, key: &Key) -> Verdict {
        let Some(order) = self.orders.get(key) else {
            return Verdict::refused(&["order_not_found"]);
        };
        let anything = Verdict { success: Some(Default::default()), ..Verdict::default() };
        match order.state {
            State::Held { .. } => Verdict::expects(vec![("/state", json!("cancelled"))]),
            State::Lapsed { .. } => anything.or_refused(&["hold_expired"]),
            State::Redeemed => Verdict::refused(&["order_already_redeemed", "order_has_refunds"]),
            State::Cancelled => Verdict::replays(&order.last_answer),
            State::Reversed => Verdict::refused(&["order_reversed"]),
        }
    }

    pub fn apply_cancel(&mut self, key: &Key, reply: &Reply) {
        let Some(order) = self.orders.get_mut(key) else { return };
        if !reply.is_success() || reply.str("state") != "cancelled" {
            return;
        }
        let was_held = matches!(order.state, State::Held { .. });
        order.state = State::Cancelled;
        order.last_answer = reply.json.clone();
        if was_held {
            let (person, vouchers) = (order.person, order.vouchers.clone());
            self.place_all(person, &vouchers, Place::Free);
        }
    }

    pub fn predict_reverse(&self, key: &Key) -> Verdict {
        let facts = |was: Option<&str>| {
            let mut facts = vec![("/order_id", json!(key.1)), ("/state", json!("reversed"))];
            facts.extend(was.map(|was| ("/was", json!(was))));
            facts
        };
        let Some(order) = self.orders.get(key) else {
            return Verdict::expects(facts(Some("unknown")));
        };
        let age = self.now - order.redeemed_at;
        match order.state {
            State::Held { .. } => Verdict::expects(facts(Some("held"))),
            State::Lapsed { .. } | State::Cancelled => Verdict::expects(facts(None))
                .or_refused(if age > REVERSE_WINDOW - MINUTE { &["reversal_window_closed"] } else { &[] }),
            State::Reversed => Verdict::replays(&order.last_answer),
            State::Redeemed if !order.refunds.is_empty() => Verdict::refused(&["order_has_refunds"])
                .or_refused(if age > REVERSE_WINDOW { &["reversal_window_closed"] } else { &[] }),
            State::Redeemed if age < REVERSE_WINDOW => Verdict::expects(facts(Some("redeemed"))),
            State::Redeemed if age == REVERSE_WINDOW => {
                Verdict::expects(facts(None)).or_refused(&["reversal_window_closed"])
            }
            State::Redeemed => Verdict::refused(&["reversal_window_closed"]),
        }
    }

    pub fn apply_reverse(&mut self, key: &Key, reply: &Reply) {
        if !reply.is_success() || reply.replayed() {
            return;
        }
        let Some(order) = self.orders.get_mut(key) else {
            self.orders.insert(key.clone(), tombstone(key, self.now, &reply.json));
            return;
        };
        let before = order.state;
        order.state = State::Reversed;
        order.last_answer = reply.json.clone();
        let (person, vouchers) = (order.person, order.vouchers.clone());
        let (till, discount, amount) = (order.request.till, order.discount, order.request.amount);
        if matches!(before, State::Held { .. } | State::Redeemed) {
            self.place_all(person, &vouchers, Place::Free);
        }
        if before == State::Redeemed {
            self.book_reverse(till, discount, amount);
        }
    }

    pub fn predict_refund(&self, key: &Key, id: &str, amount: i64) -> Verdict {
        let Some(order) = self.orders.get(key) else {
            return Verdict::refused(&["order_not_found"]);
        };
        match order.state {
            State::Redeemed => {}
            State::Held { .. } => return Verdict::refused(&["order_not_redeemed"]),
            State::Lapsed { .. } => {
                return Verdict::refused(&["order_not_redeemed", "hold_expired"]);
            }
            State::Cancelled => return Verdict::refused(&["order_not_redeemed", "order_cancelled"]),
            State::Reversed => return Verdict::refused(&["order_reversed", "order_not_redeemed"]),
        }
        if let Some(known) = order.refunds.iter().find(|one| one.id == id) {
            return match known.amount == amount {
                true => Verdict::replays(&known.answer),
                false => Verdict::refused(&["refund_conflict"]),
            };
        }
        let net = order.request.net();
        let left = net - order.refunded();
        if amount > left {
            let mut verdict = Verdict::refused(&["refund_exceeds_order"]);
            verdict.details.push(("/refundable_amount", json!(left)));
            return verdict;
        }
        let (to_payer, to_issuer) = shares(order, amount);
        let full = amount == left;
        let mut facts = vec![
            ("/state", json!(if full { "refunded" } else { "partially_refunded" })),
            ("/to_payer", json!(to_payer)),
            ("/to_issuer", json!(to_issuer)),
            ("/refunded_total", json!(order.refunded() + amount)),
            ("/refundable_amount", json!(left - amount)),
        ];
        for (place, voucher) in order.vouchers.iter().enumerate() {
            facts.push((
                ["/vouchers/0/voucher_id", "/vouchers/1/voucher_id", "/vouchers/2/voucher_id"][place],
                json!(voucher),
            ));
            if let Some(back) = self.restores(order, voucher, full) {
                let state = ["/vouchers/0/state", "/vouchers/1/state", "/vouchers/2/state"][place];
                facts.push((state, json!(if back { "available" } else { "used" })));
            }
        }
        Verdict::expects(facts)
    }

    pub fn apply_refund(&mut self, key: &Key, id: &str, amount: i64, reply: &Reply) {
        if !reply.is_success() || reply.replayed() {
            return;
        }
        let order = self.orders.get_mut(key).expect("a refund of a known order");
        let (_, to_issuer) = shares(order, amount);
        let answer = reply.json.clone();
        order.refunds.push(Refund { id: id.to_string(), amount, to_issuer, answer });
        let (person, vouchers, till) = (order.person, order.vouchers.clone(), order.request.till);
        let mut restored = 0;
        for (place, voucher) in vouchers.iter().enumerate() {
            if reply["vouchers"][place]["state"] == "available" {
                let unit = self.unit(person, voucher);
                unit.place = Place::Free;
                unit.restores += 1;
                restored += unit.kind.discount();
            }
        }
        self.orders.get_mut(key).expect("a refund of a known order").restored += restored;
        self.book_refund(till, to_issuer, amount);
    }

    /// Whether a refund gives the voucher back; `None` where the contract lets the service choose
    /// its word (after the end of the validity the money is the issuer's either way).
    fn restores(&self, order: &Order, voucher: &str, full: bool) -> Option<bool> {
        let restores = self.wallets[order.person][voucher].restores;
        match (full, self.expired()) {
            (false, _) => Some(false),
            (true, true) => None,
            (true, false) if restores >= MAX_RESTORES => Some(false),
            (true, false) => Some(true),
        }
    }
}

/// The payer's cumulative share is rounded down, so that any split sums exactly.
fn shares(order: &Order, amount: i64) -> (i64, i64) {
    let net = order.request.net();
    let share = |total: i64| order.payable * total / net;
    let to_payer = share(order.refunded() + amount) - share(order.refunded());
    (to_payer, amount - to_payer)
}

/// The reversal of an order that was never seen: no later redeem can overtake it.
fn tombstone(key: &Key, now: i64, answer: &Value) -> Order {
    let request = super::Request {
        till: key.0,
        order: key.1.clone(),
        amount: 0,
        merchant_discount: 0,
        capture: false,
        category: "catering",
        scene: None,
        pay: super::Pay::Code(String::new()),
    };
    Order {
        request,
        state: State::Reversed,
        person: usize::MAX,
        vouchers: Vec::new(),
        discount: 0,
        payable: 0,
        held_at: now,
        hold_id: String::new(),
        redeemed_at: now,
        refunds: Vec::new(),
        restored: 0,
        first_answer: Value::Null,
        last_answer: answer.clone(),
    }
}
