//! Every code a till can meet in this campaign, each from the state that causes it.

use serde_json::json;

use super::MARKET;
use crate::harness::client::Reply;
use crate::harness::fixture::{new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::manners::both_languages;
use crate::harness::till::Till;

fn buy(till: &Till, person: &Resident, amount: i64, capture: bool) -> Reply {
    let code = MARKET.server().pay_code(person);
    MARKET.server().redeem(till, &sale(&new_order(), &code, amount, capture))
}

/// A refusal at the till: the code, no effect, and one sentence for the cashier.
#[track_caller]
fn refused(reply: Reply, code: &str) -> Reply {
    let reply = reply.refused_with(code);
    assert_eq!(reply.str("outcome"), "not_applied");
    assert!(both_languages(&reply["pos_message"]), "{}", reply.text());
    reply
}

fn voucher(person: &Resident, kind: &str) -> String {
    let free = MARKET.vouchers(person, "available");
    free.into_iter().find(|one| one.1 == kind).expect("a free voucher").0
}

fn by_ids(ids: &[&str], amount: i64) -> serde_json::Value {
    json!({"order_id": new_order(), "voucher_ids": ids, "amount": amount, "merchant_discount": 0,
        "category": "catering", "capture": false})
}

#[test]
fn a_code_that_paid_once_does_not_pay_again() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let code = server.pay_code(&person);
    server.redeem(&till, &sale(&new_order(), &code, 6000, false)).ok();
    refused(server.redeem(&till, &sale(&new_order(), &code, 6000, false)), "pay_code_used");
    let other = MARKET.till();
    refused(server.redeem(&other, &sale(&new_order(), &code, 6000, false)), "pay_code_used");
}

#[test]
fn a_refused_attempt_does_not_burn_the_code() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let code = server.pay_code(&person);
    refused(server.redeem(&till, &sale(&new_order(), &code, 1000, true)), "minimum_not_met");
    server.redeem(&till, &sale(&new_order(), &code, 3000, true)).ok();
}

#[test]
fn a_held_and_a_used_voucher_say_which_they_are() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let id = voucher(&person, "60-20");
    let held = server.redeem(&till, &by_ids(&[&id], 7000)).ok();
    let busy = refused(server.redeem(&till, &by_ids(&[&id], 7000)), "voucher_held");
    assert_eq!(busy["until"], held["expires_at"], "{}", busy.text());
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 5000).ok();
    refused(server.redeem(&till, &by_ids(&[&id], 7000)), "voucher_used");
}

#[test]
fn two_vouchers_are_too_many_for_one_payment() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let (large, small) = (voucher(&person, "60-20"), voucher(&person, "30-10"));
    refused(server.redeem(&till, &by_ids(&[&large, &small], 20_000)), "too_many_vouchers");
    assert_eq!(MARKET.vouchers(&person, "available").len(), 6);
}

#[test]
fn a_named_voucher_below_its_threshold_says_what_is_missing() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let reply = server.redeem(&till, &by_ids(&[&voucher(&person, "60-20")], 5999));
    assert_eq!(refused(reply, "minimum_not_met")["missing_amount"], 1);
}

#[test]
fn who_has_no_voucher_left_is_told_so() {
    let (server, person) = (MARKET.server(), MARKET.shopper());
    for _ in 0..6 {
        buy(&MARKET.till(), &person, 6000, true).ok();
    }
    refused(buy(&MARKET.till(), &person, 6000, true), "no_voucher_applicable");
    let stranger = Resident::new();
    let reply = server.redeem(&MARKET.till(), &sale(&new_order(), &server.pay_code(&stranger), 6000, true));
    refused(reply, "no_voucher_applicable");
}

#[test]
fn a_till_of_a_shop_outside_the_campaign_takes_no_voucher() {
    let server = MARKET.server();
    let id = crate::harness::fixture::new_merchant_id();
    server.create_merchant(&crate::harness::fixture::merchant(&id)).ok();
    let till = server.create_terminal(&id, "t1");
    refused(buy(&till, &MARKET.shopper(), 6000, true), "merchant_not_enrolled");
}

/// Another city's till, to which this city's vouchers, codes and orders do not exist.
fn foreign_till() -> Till {
    let server = MARKET.server();
    let key = server.create_key("officer", "another-city");
    let id = crate::harness::fixture::new_merchant_id();
    server.office_as(&key, "POST", "/v1/merchants", Some(crate::harness::fixture::merchant(&id))).ok();
    let path = format!("/v1/merchants/{id}/terminals");
    let terminal = server.office_as(&key, "POST", &path, Some(json!({"terminal_id": "t1"}))).ok();
    let (key_id, secret) = (terminal.str("key_id").to_string(), terminal.str("secret").to_string());
    Till { merchant_id: id, key_id, secret }
}

#[test]
fn what_is_not_yours_is_answered_as_what_is_unknown() {
    let (server, till, foreign, person) = (MARKET.server(), MARKET.till(), foreign_till(), MARKET.shopper());
    let said = |reply: Reply| {
        let mut body = reply.json.clone();
        body.as_object_mut().expect("a problem").remove("request_id");
        (reply.status, body)
    };
    let (theirs, made_up) = (voucher(&person, "60-20"), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    let known = said(refused(server.redeem(&foreign, &by_ids(&[&theirs], 6000)), "voucher_unknown"));
    assert_eq!(known, said(refused(server.redeem(&foreign, &by_ids(&[made_up], 6000)), "voucher_unknown")));
    let held = buy(&till, &person, 6000, false).ok();
    let order = held.str("order_id");
    for ask in [
        |till: &Till, order: &str| MARKET.server().order(till, order),
        |till: &Till, order: &str| MARKET.server().cancel(till, order),
        |till: &Till, order: &str| MARKET.server().refund(till, order, "R1", 1),
    ] {
        assert_eq!(said(ask(&foreign, order)), said(ask(&foreign, "nobody-has-seen")));
    }
    let two = [voucher(&person, "30-10"), voucher(&MARKET.shopper(), "30-10")];
    let ids: Vec<&str> = two.iter().map(String::as_str).collect();
    let mixed = server.redeem(&till, &by_ids(&ids, 9000));
    assert!(["too_many_vouchers", "vouchers_of_several_persons"].contains(&mixed.code()), "{}", mixed.text());
    assert_eq!(MARKET.vouchers(&person, "available").len(), 5, "nothing but the hold has changed");
    server.cancel(&till, order).ok();
}

#[test]
fn a_category_outside_the_rule_takes_no_voucher() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let mut body = sale(&new_order(), &server.pay_code(&MARKET.shopper()), 6000, true);
    body["category"] = json!("fuel");
    refused(server.redeem(&till, &body), "category_not_allowed");
}

#[test]
fn the_paid_amount_must_be_the_payable_one() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let held = buy(&till, &person, 6000, false).ok();
    let order = held.str("order_id");
    let reply = refused(server.confirm(&till, order, held.str("hold_id"), 6000), "paid_amount_mismatch");
    assert_eq!(reply["payable"], 4000, "{}", reply.text());
    server.confirm(&till, order, held.str("hold_id"), 4000).ok();
}

#[test]
fn a_hold_of_another_order_confirms_nothing() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let first = buy(&till, &person, 6000, false).ok();
    let second = buy(&till, &person, 6000, false).ok();
    let wrong = server.confirm(&till, first.str("order_id"), second.str("hold_id"), 4000);
    assert!((400..500).contains(&wrong.status), "{}", wrong.text());
    assert_eq!(server.order(&till, first.str("order_id")).ok().str("state"), "held");
}

#[test]
fn what_is_redeemed_is_not_cancelled_and_what_is_held_is_not_refunded() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let held = buy(&till, &person, 6000, false).ok();
    let order = held.str("order_id");
    refused(server.refund(&till, order, "R1", 100), "order_not_redeemed");
    server.confirm(&till, order, held.str("hold_id"), 4000).ok();
    refused(server.cancel(&till, order), "order_already_redeemed");
}

#[test]
fn an_order_that_was_never_seen_cannot_be_confirmed_cancelled_or_refunded() {
    let (server, till, order) = (MARKET.server(), MARKET.till(), new_order());
    refused(server.order(&till, &order), "order_not_found");
    refused(server.cancel(&till, &order), "order_not_found");
    refused(server.refund(&till, &order, "R1", 100), "order_not_found");
    let reply = server.confirm(&till, &order, "h-unknown", 100);
    assert_eq!(reply.status, 404, "{}", reply.text());
    refused(reply, "order_not_found");
}

#[test]
fn another_merchants_order_is_as_if_it_were_not_there() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let held = buy(&till, &person, 6000, false).ok();
    let stranger = MARKET.till();
    let order = held.str("order_id");
    refused(server.order(&stranger, order), "order_not_found");
    refused(server.cancel(&stranger, order), "order_not_found");
    refused(server.confirm(&stranger, order, held.str("hold_id"), 4000), "order_not_found");
    assert_eq!(server.reverse(&stranger, order).ok().str("was"), "unknown");
    assert_eq!(server.order(&till, order).ok().str("state"), "held");
}

#[test]
fn a_refund_is_bounded_repeatable_and_closes_the_way_of_a_reverse() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let done = buy(&till, &person, 6000, true).ok();
    let order = done.str("order_id");
    let reply = refused(server.refund(&till, order, "R1", 6001), "refund_exceeds_order");
    assert_eq!(reply["refundable_amount"], 6000);
    server.refund(&till, order, "R1", 2000).ok();
    refused(server.refund(&till, order, "R1", 2001), "refund_conflict");
    let reply = refused(server.refund(&till, order, "R2", 4001), "refund_exceeds_order");
    assert_eq!(reply["refundable_amount"], 4000);
    refused(server.reverse(&till, order), "order_has_refunds");
    server.refund(&till, order, "R2", 4000).ok();
    refused(server.refund(&till, order, "R3", 1), "refund_exceeds_order");
}

#[test]
fn an_order_bears_the_name_that_the_tills_own_system_gave_it() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let longest = "~".repeat(64);
    for (order, in_path) in [
        ("Order 00591-006-0018", "Order%2000591-006-0018"),
        ("POS/0001", "POS%2F0001"),
        ("100% #1?", "100%25%20%231%3F"),
        (longest.as_str(), longest.as_str()),
    ] {
        let body = sale(order, &server.pay_code(&MARKET.shopper()), 6000, false);
        let hold = server.redeem(&till, &body).ok();
        assert_eq!(hold.str("order_id"), order);
        let paid = hold.int("payable");
        server.confirm(&till, in_path, hold.str("hold_id"), paid).ok();
        let seen = server.till(&till, "GET", &format!("/v1/redemptions/{in_path}"), None).ok();
        assert_eq!((seen.str("order_id"), seen.str("state")), (order, "redeemed"));
        assert_eq!(server.reverse(&till, in_path).ok().str("was"), "redeemed");
    }
    for order in ["", "x\ny", "订单1", &"x".repeat(65)] {
        let body = sale(order, &server.pay_code(&MARKET.shopper()), 6000, false);
        let refused = server.redeem(&till, &body).refused(422, "invalid_request");
        assert_eq!(refused["errors"][0]["pointer"], "/order_id", "{order:?}");
    }
}
