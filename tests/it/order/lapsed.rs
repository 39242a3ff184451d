//! Holds that have run out: who is told so gives the money back, so it is never taken back, and what is said of the vouchers is true.

use serde_json::{Value, json};

use super::serials::{hold, pay, pieces};
use crate::harness::client::Reply;
use crate::harness::fixture::{MINUTE, Market, at, new_order, sale};
use crate::harness::manners::both_languages;
use crate::harness::till::Till;

const NOON: &str = "2020-07-25T12:00:00";

/// A hold of the 60-20 of somebody, and the body of another order for the same voucher.
struct Lapsed {
    market: Market,
    till: Till,
    held: Reply,
    another: Value,
}

impl Lapsed {
    fn open(name: &str) -> Lapsed {
        let market = Market::open(name, 1);
        let (till, person) = (market.till(), market.shopper());
        let id = market.vouchers(&person, "available").into_iter().find(|one| one.1 == "60-20").expect("one").0;
        let body = |capture: bool| {
            json!({"order_id": new_order(), "voucher_ids": [id], "amount": 6_000, "merchant_discount": 0,
                "category": "catering", "capture": capture})
        };
        let held = market.server().redeem(&till, &body(false)).ok();
        market.server().set_clock(at(NOON) + 3 * MINUTE);
        Lapsed { another: body(true), market, till, held }
    }

    fn order(&self) -> &str {
        self.held.str("order_id")
    }

    /// Another order takes the voucher, at once or on hold.
    fn taken(&self, capture: bool) -> String {
        let mut body = self.another.clone();
        body["capture"] = json!(capture);
        self.market.server().redeem(&self.till, &body).ok().str("order_id").to_string()
    }

    fn confirm(&self) -> Reply {
        self.market.server().confirm(&self.till, self.order(), self.held.str("hold_id"), 4_000)
    }
}

#[test]
fn a_confirm_that_was_told_that_the_hold_ran_out_is_told_so_for_ever() {
    let lapsed = Lapsed::open("final");
    let server = lapsed.market.server();
    let other = lapsed.taken(true);
    let told = lapsed.confirm().refused(409, "hold_expired");
    assert_eq!(told["retryable"], false);
    server.reverse(&lapsed.till, &other).ok();
    // The voucher is free, and ten minutes are not over.
    lapsed.confirm().refused(409, "hold_expired");
    assert_eq!(server.order(&lapsed.till, lapsed.order()).ok().str("state"), "expired");
    assert_eq!(lapsed.market.vouchers(&lapsed.market.round.people[0], "available").len(), 6);
    let mut again = lapsed.another.clone();
    again["order_id"] = json!(new_order());
    server.redeem(&lapsed.till, &again).ok();
    lapsed.confirm().refused(409, "hold_expired");
    assert_eq!(server.cancel(&lapsed.till, lapsed.order()).ok()["vouchers"][0]["state"], "used");
    lapsed.confirm().refused(409, "order_cancelled");
    server.assert_audit_clean();
}

#[test]
fn a_till_that_repeats_its_hold_and_is_told_that_it_ran_out_cannot_confirm_it_later() {
    let market = Market::open("repeated", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let body = sale(&new_order(), &server.pay_code(&person), 6_000, false);
    let held = server.redeem(&till, &body).ok();
    server.set_clock(at(NOON) + 3 * MINUTE);
    for _ in 0..2 {
        server.redeem(&till, &body).refused(409, "hold_expired");
    }
    let confirm = || server.confirm(&till, held.str("order_id"), held.str("hold_id"), 4_000);
    confirm().refused(409, "hold_expired");
    let reversed = server.reverse(&till, held.str("order_id")).ok();
    assert_eq!((reversed.str("was"), reversed.str("ended")), ("held", "expired"));
    confirm().refused(409, "order_reversed");
    assert_eq!(market.vouchers(&person, "available").len(), 6);
    server.assert_audit_clean();
}

#[test]
fn a_hold_that_lost_its_piece_to_another_order_has_run_out_and_was_not_cancelled() {
    let market = pieces("lost-piece", 2, |_| {});
    let (server, first, second) = (market.server(), market.shopper(), market.shopper());
    let till = market.till();
    let held = hold(&market, &till, &first, "SN-1");
    server.set_clock(at(NOON) + 3 * MINUTE);
    let done = pay(&market, &till, &second, "SN-1").ok();
    let confirm = || server.confirm(&till, held.str("order_id"), held.str("hold_id"), 8_500);
    confirm().refused(409, "hold_expired");
    let order = server.order(&till, held.str("order_id")).ok();
    assert_eq!(order.str("state"), "expired", "{}", order.text());
    server.reverse(&till, done.str("order_id")).ok();
    confirm().refused(409, "hold_expired");
    assert_eq!(server.cancel(&till, held.str("order_id")).ok()["vouchers"][0]["state"], "available");
    server.assert_audit_clean();
}

#[test]
fn a_cancel_of_a_hold_that_ran_out_says_where_its_voucher_is() {
    for (capture, state) in [(None, "available"), (Some(false), "held"), (Some(true), "used")] {
        for told in [false, true] {
            let lapsed = Lapsed::open("where");
            let server = lapsed.market.server();
            if let Some(capture) = capture {
                lapsed.taken(capture);
            } else if told {
                continue;
            }
            if told {
                lapsed.confirm().refused(409, "hold_expired");
            }
            let cancelled = server.cancel(&lapsed.till, lapsed.order()).ok();
            assert_eq!((cancelled.str("state"), &cancelled["vouchers"][0]["state"]), ("cancelled", &json!(state)));
            let says_back = cancelled["pos_message"]["zh"].as_str().is_some_and(|text| text.contains("退回"));
            assert_eq!(says_back, state == "available", "{}", cancelled.text());
            assert!(both_languages(&cancelled["pos_message"]));
            let again = server.cancel(&lapsed.till, lapsed.order()).ok();
            assert!(again.replayed() && again.body == cancelled.body, "{}", again.text());
            let reversed = server.reverse(&lapsed.till, lapsed.order()).ok();
            assert_eq!((reversed.str("was"), reversed.str("ended")), ("held", "cancelled"));
            let states = server.order(&lapsed.till, lapsed.order()).ok()["history"].clone();
            let states: Vec<&str> =
                states.as_array().expect("a list").iter().filter_map(|one| one["state"].as_str()).collect();
            assert_eq!(states, ["held", "cancelled", "reversed"]);
            let says_back = reversed["pos_message"]["zh"].as_str().is_some_and(|text| text.contains("退回"));
            assert!(!says_back, "nothing is said of a voucher that may be elsewhere: {}", reversed.text());
            server.assert_audit_clean();
        }
    }
}

#[test]
fn an_order_and_the_wallet_say_the_same_instant_for_a_hold_that_ran_out() {
    for reversed in [false, true] {
        let market = Market::open("instant", 1);
        let (server, till, person) = (market.server(), market.till(), market.shopper());
        let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6_000, false)).ok();
        server.set_clock(at(NOON) + 5 * MINUTE);
        let order = held.str("order_id");
        let state = |of: &str| {
            let told = server.order(&till, order).ok();
            let history = told["history"].as_array().expect("a list").clone();
            history.into_iter().find(|one| one["state"] == of).map(|one| one["at"].clone())
        };
        if reversed {
            assert_eq!(server.reverse(&till, order).ok().str("ended"), "expired");
        }
        assert_eq!(state("expired"), Some(held["expires_at"].clone()));
        if !reversed {
            let wallet = server.resident(&person, "GET", "/v1/wallet/transactions", None).ok();
            let items = wallet["items"].as_array().expect("a list").clone();
            let release = items.iter().find(|one| one["kind"] == "release").expect("a release");
            assert_eq!(release["at"], held["expires_at"], "{}", wallet.text());
        }
        server.assert_audit_clean();
    }
}
