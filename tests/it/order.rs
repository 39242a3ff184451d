//! At the till: pay codes, quotes, holds, confirm, cancel, reverse, refund, and the right words.

mod at_once;
mod equal;
mod hints;
mod kinds;
mod lapsed;
mod limits;
mod listed;
mod magic;
mod owed;
mod own_part;
mod pay_code;
mod place;
mod platform;
mod proven;
mod quotas;
mod receipt;
mod refund_limits;
mod refunds;
mod refusals;
mod repeats;
mod retention;
mod returns;
mod serials;
mod several;
mod stores;
mod terminals;
mod time;
mod told;
mod traces;
mod two_campaigns;
mod vectors;

use std::sync::LazyLock;

use serde_json::json;

use crate::harness::fixture::{Market, SECOND, at, new_order, parse_time, sale};
use crate::harness::identity::wall_seconds;
use crate::harness::manners::both_languages;
use crate::harness::program;
use crate::harness::till::{authorization, new_nonce, sign};

/// Noon of 25 July, and nobody moves this clock: each test takes its own people and tills.
static MARKET: LazyLock<Market> = LazyLock::new(|| Market::open("till", 80));
const NOON: &str = "2020-07-25T12:00:00";

#[test]
fn a_pay_code_has_eighteen_digits_a_luhn_digit_and_lives_a_minute() {
    let person = MARKET.shopper();
    let server = MARKET.server();
    let reply = server.resident(&person, "POST", "/v1/pay-codes", Some(json!({}))).ok();
    let code = reply.str("pay_code");
    assert!(code.len() == 18 && code.chars().all(|c| c.is_ascii_digit()), "{code}");
    assert!(luhn(code), "{code} has a wrong check digit");
    assert_eq!(reply.str("qr"), format!("QY1:{code}"));
    assert_eq!(parse_time(&reply["expires_at"]), at(NOON) + 60 * SECOND);
    assert!(reply.int("refresh_after_ms") > 0);
    assert_eq!(state_of(&person, code), "live");
    let till = MARKET.till();
    server
        .quote(&till, &json!({"pay_code": code, "amount": 7000, "merchant_discount": 0, "category": "catering"}))
        .ok();
    assert_eq!(state_of(&person, code), "live", "a quote does not burn it");
    let hold = server.redeem(&till, &sale(&new_order(), code, 7000, false)).ok();
    assert_eq!(state_of(&person, code), "held");
    server.confirm(&till, hold.str("order_id"), hold.str("hold_id"), 5000).ok();
    assert_eq!(state_of(&person, code), "redeemed");
}

fn state_of(person: &crate::harness::identity::Resident, code: &str) -> String {
    let path = format!("/v1/pay-codes/{code}");
    MARKET.server().resident(person, "GET", &path, None).ok().str("state").to_string()
}

fn luhn(code: &str) -> bool {
    let digits = code.chars().rev().filter_map(|c| c.to_digit(10)).enumerate();
    let sum: u32 = digits.map(|(at, d)| if at % 2 == 0 { d } else { d * 2 / 10 + d * 2 % 10 }).sum();
    sum.is_multiple_of(10)
}

#[test]
fn a_quote_names_the_best_voucher_what_was_not_taken_and_what_would_be_better() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let person = MARKET.shopper();
    let code = server.pay_code(&person);
    let body = json!({"pay_code": code, "amount": 6400, "merchant_discount": 800, "category": "catering"});
    let quote = server.quote(&till, &body).ok();
    assert_eq!((&quote["payable"], &quote["discount_amount"]), (&json!(4600), &json!(1000)));
    assert_eq!(quote["vouchers"].as_array().map(Vec::len), Some(1));
    assert_eq!(quote["vouchers"][0]["voucher_kind"], "30-10");
    let not_taken = &quote["not_taken"][0];
    assert_eq!((&not_taken["voucher_kind"], &not_taken["code"]), (&json!("60-20"), &json!("minimum_not_met")));
    assert_eq!(not_taken["missing_amount"], 400);
    assert_eq!(quote["better"], json!({"add_amount": 400, "discount_amount": 2000, "saves_more": 1000}));
    // It has had no effect: everything is there, and the code pays.
    assert_eq!(MARKET.vouchers(&person, "available").len(), 6);
    assert_eq!(server.quote(&till, &body).ok().json, quote.json);
    server.redeem(&till, &sale(&new_order(), &code, 6400, true)).ok();
    assert!(both_languages(&quote["pos_message"]), "{}", quote.text());
}

#[test]
fn a_quote_that_fits_nothing_is_an_answer_and_no_refusal() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let code = server.pay_code(&MARKET.shopper());
    let body = json!({"pay_code": code, "amount": 2999, "merchant_discount": 0, "category": "catering"});
    let quote = server.quote(&till, &body).ok();
    assert_eq!((&quote["vouchers"], &quote["discount_amount"]), (&json!([]), &json!(0)));
    assert_eq!(quote["payable"], 2999);
}

#[test]
fn the_threshold_is_judged_after_the_merchants_discount_to_the_fen() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let person = MARKET.shopper();
    for (amount, off, wanted) in [(6800, 801, 1000), (6800, 800, 2000), (3800, 800, 1000)] {
        let code = server.pay_code(&person);
        let body = json!({"pay_code": code, "amount": amount, "merchant_discount": off, "category": "catering"});
        let quote = server.quote(&till, &body).ok();
        assert_eq!(quote["discount_amount"], wanted, "{amount} less {off}");
    }
    let mut short = sale(&new_order(), &server.pay_code(&person), 3800, true);
    short["merchant_discount"] = json!(801);
    let reply = server.redeem(&till, &short).refused(422, "minimum_not_met");
    assert_eq!(reply["missing_amount"], 1);
}

#[test]
fn a_hold_takes_the_best_voucher_and_its_confirm_uses_it() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let order = new_order();
    let mut body = sale(&order, &server.pay_code(&person), 11_800, false);
    body["merchant_discount"] = json!(800);
    let held = server.redeem(&till, &body).ok();
    assert_eq!((held.str("state"), held.str("order_id")), ("held", order.as_str()));
    assert_eq!((&held["discount_amount"], &held["payable"]), (&json!(2000), &json!(9000)));
    assert_eq!((&held["amount"], &held["merchant_discount"]), (&json!(11_800), &json!(800)));
    assert_eq!(parse_time(&held["expires_at"]), at(NOON) + 120 * SECOND);
    assert!(!held.str("transaction_id").is_empty() && !held.str("hold_id").is_empty());
    assert!(both_languages(&held["pos_message"]), "{}", held.text());
    assert_eq!(MARKET.vouchers(&person, "held").len(), 1);

    let done = server.confirm(&till, &order, held.str("hold_id"), 9000).ok();
    assert_eq!((done.str("state"), done.str("settlement_date")), ("redeemed", "2020-07-25"));
    assert_eq!(parse_time(&done["redeemed_at"]), at(NOON));
    assert_ne!(done["late"], true);
    let again = server.confirm(&till, &order, held.str("hold_id"), 9000).ok();
    assert!(again.replayed() && again.json == done.json, "{}", again.text());
    assert_eq!(MARKET.vouchers(&person, "used").len(), 1);
    let read = server.order(&till, &order).ok();
    assert_eq!((read.str("state"), &read["refunds"]), ("redeemed", &json!([])));
    let states: Vec<_> =
        read["history"].as_array().expect("a history").iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, [json!("held"), json!("redeemed")]);
}

#[test]
fn one_call_redeems_and_a_repeat_with_a_fresh_code_is_the_same_request() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let order = new_order();
    let body = sale(&order, &server.pay_code(&person), 6000, true);
    let first = server.redeem(&till, &body).ok();
    assert_eq!((first.str("state"), first.str("settlement_date")), ("redeemed", "2020-07-25"));
    assert!(!first.replayed() && first.header("durability").is_some());
    let same = server.redeem(&till, &body).ok();
    assert!(same.replayed() && same.body == first.body, "byte for byte: {}", same.text());
    let fresh = server.redeem(&till, &sale(&order, &server.pay_code(&person), 6000, true)).ok();
    assert!(fresh.replayed() && fresh.json == first.json, "{}", fresh.text());
    let mut receipt = body.clone();
    receipt["receipt"] = json!({"store": "s1", "terminal": "t1", "cashier": "c", "receipt_no": "9"});
    assert_eq!(server.redeem(&till, &receipt).ok().json, first.json, "a receipt is not compared");
    assert_eq!(MARKET.vouchers(&person, "used").len(), 1);
}

#[test]
fn another_body_under_the_same_order_number_is_a_conflict_that_names_the_fields() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let body = sale(&new_order(), &server.pay_code(&person), 6000, true);
    server.redeem(&till, &body).ok();
    let mut other = body.clone();
    other["amount"] = json!(6001);
    other["capture"] = json!(false);
    let reply = server.redeem(&till, &other).refused(409, "order_conflict");
    assert_eq!(reply["fields"], json!(["amount", "capture"]));
    let second = MARKET.till();
    let theirs = sale(body["order_id"].as_str().expect("one"), &server.pay_code(&person), 6000, true);
    assert!(!server.redeem(&second, &theirs).ok().replayed(), "another merchant's number is another order");
}

#[test]
fn a_refused_order_may_be_tried_again_under_the_same_number() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let order = new_order();
    server.redeem(&till, &sale(&order, &server.pay_code(&person), 2999, true)).refused(422, "minimum_not_met");
    server.order(&till, &order).refused(404, "order_not_found");
    server.redeem(&till, &sale(&order, &server.pay_code(&person), 3000, true)).ok();
}

#[test]
fn a_cancel_frees_the_voucher_and_repeats_itself() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, false)).ok();
    let order = held.str("order_id");
    let first = server.cancel(&till, order).ok();
    assert_eq!(first.str("state"), "cancelled");
    let again = server.cancel(&till, order).ok();
    assert!(again.replayed() && again.json == first.json);
    assert_eq!(MARKET.vouchers(&person, "available").len(), 6);
    server.confirm(&till, order, held.str("hold_id"), 4000).refused(409, "order_cancelled");
}

#[test]
fn a_reverse_tells_what_was_and_no_late_redeem_overtakes_it() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    for was in ["unknown", "held", "redeemed"] {
        let body = sale(&new_order(), &server.pay_code(&person), 6000, was == "redeemed");
        let order = body["order_id"].as_str().expect("one");
        if was != "unknown" {
            server.redeem(&till, &body).ok();
        }
        let reply = server.reverse(&till, order).ok();
        assert_eq!((reply.str("state"), reply.str("was")), ("reversed", was));
        let again = server.reverse(&till, order).ok();
        assert!(again.replayed() && again.json == reply.json, "{}", again.text());
        server.redeem(&till, &body).refused(409, "order_reversed");
        assert_eq!(server.order(&till, order).ok().str("state"), "reversed");
        assert_eq!(MARKET.vouchers(&person, "available").len(), 6);
    }
}

#[test]
fn a_partial_refund_splits_by_share_and_keeps_the_voucher_used() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let order = new_order();
    let mut body = sale(&order, &server.pay_code(&person), 11_800, true);
    body["merchant_discount"] = json!(800);
    server.redeem(&till, &body).ok();
    let half = server.refund(&till, &order, "R1", 5500).ok();
    assert_eq!(half.str("state"), "partially_refunded");
    assert_eq!((&half["to_payer"], &half["to_issuer"]), (&json!(4500), &json!(1000)));
    assert_eq!((&half["refunded_total"], &half["refundable_amount"]), (&json!(5500), &json!(5500)));
    assert_eq!(half["vouchers"][0]["state"], "used");
    let again = server.refund(&till, &order, "R1", 5500).ok();
    assert!(again.replayed() && again.json == half.json);
    let rest = server.refund(&till, &order, "R2", 5500).ok();
    assert_eq!((rest.str("state"), &rest["vouchers"][0]["state"]), ("refunded", &json!("available")));
    assert_eq!(MARKET.vouchers(&person, "available").len(), 6, "a full refund gives the voucher back");
    let read = server.order(&till, &order).ok();
    assert_eq!(read["refunds"].as_array().map(Vec::len), Some(2));
}

#[test]
fn any_split_of_a_refund_sums_to_exactly_the_parts_of_payer_and_issuer() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let order = new_order();
    server.redeem(&till, &sale(&order, &server.pay_code(&person), 6001, true)).ok();
    let (mut to_payer, mut to_issuer) = (0, 0);
    for (number, part) in [1, 2, 3, 997, 1500, 1499, 1999].into_iter().enumerate() {
        let reply = server.refund(&till, &order, &format!("R{number}"), part).ok();
        assert_eq!(reply.int("to_payer") + reply.int("to_issuer"), part);
        to_payer += reply.int("to_payer");
        to_issuer += reply.int("to_issuer");
        let total = reply.int("refunded_total");
        assert_eq!(to_payer, 4001 * total / 6001, "the payer's share is rounded down");
    }
    assert_eq!((to_payer, to_issuer), (4001, 2000));
}

#[test]
fn the_limit_of_two_a_day_comes_back_with_cancel_reverse_and_full_refund() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let buy = |capture| server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 3000, capture));
    let (first, second) = (buy(true).ok(), buy(true).ok());
    let refused = buy(true).refused_with("limit_reached");
    assert_eq!(refused["limit"]["max_count"], 2, "{}", refused.text());
    server.reverse(&till, first.str("order_id")).ok();
    let third = buy(false).ok();
    buy(true).refused_with("limit_reached");
    server.cancel(&till, third.str("order_id")).ok();
    buy(true).ok();
    buy(true).refused_with("limit_reached");
    server.refund(&till, second.str("order_id"), "R1", 3000).ok();
    buy(true).ok();
    let elsewhere = MARKET.till();
    server.redeem(&elsewhere, &sale(&new_order(), &server.pay_code(&person), 3000, true)).ok();
}

#[test]
fn a_printed_voucher_pays_without_a_pay_code() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let small = MARKET.vouchers(&person, "available").into_iter().find(|one| one.1 == "30-10").expect("one").0;
    let body = json!({"order_id": new_order(), "voucher_ids": [small], "amount": 9000,
        "merchant_discount": 0, "category": "catering", "capture": true});
    let reply = server.redeem(&till, &body).ok();
    assert_eq!((&reply["discount_amount"], &reply["vouchers"][0]["voucher_id"]), (&json!(1000), &json!(small)));
    let mistyped = format!("{}{}", &small[..25], if small.ends_with('0') { '1' } else { '0' });
    let body = json!({"order_id": new_order(), "voucher_ids": [mistyped], "amount": 9000,
        "merchant_discount": 0, "category": "catering", "capture": true});
    let reply = server.redeem(&till, &body);
    assert!((400..500).contains(&reply.status), "{}", reply.text());
}

#[test]
fn the_transactions_of_a_till_list_what_it_did() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let done = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, true)).ok();
    let path = "/v1/transactions?from=2020-07-25T00:00:00%2B08:00&to=2020-07-26T00:00:00%2B08:00";
    let list = server.till(&till, "GET", path, None).ok();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{}", list.text());
    assert_eq!(list["items"][0]["order_id"], done["order_id"]);
    let mine = server.resident(&person, "GET", "/v1/wallet/transactions", None).ok();
    assert!(mine.text().contains(done.str("transaction_id")), "{}", mine.text());
}

#[test]
fn the_program_signs_as_the_contract_says_and_a_till_can_send_what_it_printed() {
    let (till, body) = (MARKET.till(), "");
    let path = format!("/v1/redemptions/{}", new_order());
    let arguments = ["sign", "GET", &path, "--key-id", &till.key_id, "--secret", &till.secret];
    let output = std::process::Command::new(program()).args(arguments).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let header = text.strip_prefix("Authorization: ").unwrap_or(&text).to_string();
    let part = |name: &str| {
        let start = header.find(&format!("{name}=\"")).expect("a part of the header") + name.len() + 2;
        header[start..].split('"').next().unwrap_or("").to_string()
    };
    let (at, nonce) = (part("timestamp"), part("nonce"));
    assert_eq!(part("signature"), sign(&till.secret, &["GET", &path, &at, &nonce, body]));
    let request = crate::harness::client::Request::new("GET", &path).header("authorization", &header);
    MARKET.server().send(&request).refused(404, "order_not_found");
    // Inside 300 s a repeated request is the idempotent repeat: the same nonce may come again.
    let (at, nonce) = (wall_seconds(), new_nonce());
    let signature = sign(&till.secret, &["GET", &path, &at.to_string(), &nonce, ""]);
    for _ in 0..2 {
        let request = crate::harness::client::Request::new("GET", &path);
        let header = authorization(&till.key_id, at, &nonce, &signature);
        MARKET.server().send(&request.header("authorization", &header)).refused(404, "order_not_found");
    }
}
