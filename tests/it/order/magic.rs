//! The sandbox's magic codes: every outcome that a till can meet, without a resident. What is fine is real to the last fen.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, merchant, new_merchant_id, new_order};
use crate::harness::manners::both_languages;
use crate::harness::till::{Till, assert_signed};
use crate::harness::{Options, Server, together};

/// A sandbox with shops and nothing else: no campaign, no people.
static SANDBOX: LazyLock<Server> = LazyLock::new(|| Server::at(EVE));

fn till() -> Till {
    new_till_at(&SANDBOX)
}

fn new_till_at(server: &Server) -> Till {
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    server.create_terminal(&id, "t1")
}

/// The pay code as deploy/pos-clients/README.md prints it.
fn pay_code(outcome: u16) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/pos-clients/README.md"));
    let wanted = format!("97999000000000{outcome:03}");
    let readme = readme.expect("the kit's readme");
    let found = readme.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 18 && word.starts_with(&wanted));
    found.unwrap_or_else(|| panic!("the readme names no code of outcome {outcome}")).to_string()
}

fn sale(outcome: u16, amount: i64, capture: bool) -> Value {
    json!({"order_id": new_order(), "pay_code": pay_code(outcome), "amount": amount, "category": "catering", "capture": capture})
}

fn printed(outcome: u16) -> Value {
    json!({"order_id": new_order(), "voucher_ids": [format!("ZZZZZZZZZZZZZZZZZZZZZZZ{outcome:03}")], "amount": 6000,
        "category": "catering", "capture": true})
}

#[test]
fn a_fine_code_goes_through_the_whole_life_of_an_order() {
    let till = till();
    let quote = json!({"pay_code": pay_code(1), "amount": 6400, "merchant_discount": 800, "category": "catering"});
    let quote = SANDBOX.quote(&till, &quote).ok();
    assert_eq!((quote.int("payable"), &quote["better"]["add_amount"]), (4600, &json!(400)));
    let held = SANDBOX.redeem(&till, &sale(1, 11_800, false)).ok();
    let order = held.str("order_id");
    assert_eq!((held.str("state"), held.int("payable")), ("held", 9800));
    SANDBOX.confirm(&till, order, held.str("hold_id"), 9800).ok();
    let part = SANDBOX.refund(&till, order, "R1", 5900).ok();
    assert_eq!((part.int("to_payer"), part.int("to_issuer")), (4900, 1000));
    SANDBOX.refund(&till, order, "R2", 5900).ok();
    assert_eq!(SANDBOX.order(&till, order).ok().str("state"), "refunded");
    let other = SANDBOX.redeem(&till, &sale(1, 6000, false)).ok();
    SANDBOX.cancel(&till, other.str("order_id")).ok();
    let third = SANDBOX.redeem(&till, &sale(1, 6000, true)).ok();
    assert_eq!(SANDBOX.reverse(&till, third.str("order_id")).ok().str("was"), "redeemed");
    SANDBOX.assert_audit_clean();
}

#[test]
fn a_fine_code_pays_any_number_of_orders_and_each_of_them_once() {
    let till = till();
    for _ in 0..5 {
        let body = sale(1, 6000, true);
        let done = SANDBOX.redeem(&till, &body).ok();
        let again = SANDBOX.redeem(&till, &body).ok();
        assert!(again.replayed() && again.json == done.json, "{}", again.text());
    }
    SANDBOX.redeem(&till, &sale(1, 2999, true)).refused(422, "minimum_not_met");
    assert_eq!(SANDBOX.redeem(&till, &printed(1)).ok().str("state"), "redeemed");
}

#[test]
fn a_category_that_no_city_uses_is_refused_with_those_that_are() {
    let till = till();
    let mut body = sale(1, 6000, true);
    body["category"] = json!("restaurant");
    let refused = SANDBOX.redeem(&till, &body).refused(422, "category_not_allowed");
    let allowed = refused["allowed"].as_array().expect("a list").clone();
    assert!(allowed.contains(&json!("catering")), "{}", refused.text());
    for category in allowed {
        body["category"] = category;
        body["order_id"] = json!(new_order());
        SANDBOX.redeem(&till, &body).ok();
    }
}

#[test]
fn another_customers_code_under_the_same_order_is_a_conflict_and_alone_is_fine() {
    let till = till();
    for capture in [true, false] {
        let first = SANDBOX.redeem(&till, &sale(1, 6000, capture)).ok();
        let mut other = sale(16, 6000, capture);
        assert_eq!(SANDBOX.redeem(&till, &other).ok().int("payable"), 4000);
        other["order_id"] = first["order_id"].clone();
        let refused = SANDBOX.redeem(&till, &other).refused(409, "order_conflict");
        assert_eq!(refused["fields"], json!(["pay_code"]));
    }
    SANDBOX.assert_audit_clean();
}

#[test]
fn every_refusal_has_its_code_and_says_what_a_real_one_says() {
    let till = till();
    let table: &[(u16, u16, &str, &str)] = &[
        (2, 409, "voucher_used", ""),
        (3, 409, "voucher_expired", ""),
        (4, 403, "merchant_not_enrolled", ""),
        (5, 422, "minimum_not_met", "missing_amount"),
        (6, 409, "limit_reached", "limit"),
        (7, 429, "rate_limited", "retry_after_ms"),
        (10, 409, "pay_code_expired", ""),
        (11, 409, "pay_code_used", ""),
        (12, 409, "voucher_held", "until"),
        (15, 409, "no_voucher_applicable", "not_taken"),
    ];
    for (outcome, status, code, member) in table {
        for body in [sale(*outcome, 6000, true), printed(*outcome)] {
            let reply = SANDBOX.redeem(&till, &body).refused(*status, code);
            assert_eq!(reply["outcome"], "not_applied", "{code}");
            assert!(both_languages(&reply["pos_message"]), "{}", reply.text());
            assert!(member.is_empty() || !reply[member].is_null(), "{}", reply.text());
            SANDBOX.order(&till, body["order_id"].as_str().expect("an id")).refused(404, "order_not_found");
        }
    }
}

#[test]
fn a_quote_explains_a_voucher_that_does_not_fit_and_refuses_a_code_that_does_not_live() {
    let till = till();
    let quote =
        |outcome| SANDBOX.quote(&till, &json!({"pay_code": pay_code(outcome), "amount": 6000, "category": "catering"}));
    let used = quote(2).ok();
    assert_eq!((&used["vouchers"], &used["not_taken"][0]["code"]), (&json!([]), &json!("voucher_used")));
    quote(10).refused(409, "pay_code_expired");
    assert_eq!(quote(8).ok().int("payable"), 4000);
    assert_eq!(quote(9).ok().int("payable"), 4000);
}

/// What came back, if anything did; 500 is no fault of the service here.
fn raw(till: &Till, body: &Value) -> std::io::Result<Reply> {
    let (request, nonce) = till.request("POST", "/v1/redemptions", &body.to_string());
    let reply = SANDBOX.client.send(&request)?;
    assert_signed(till, &nonce, &reply);
    Ok(reply)
}

#[test]
fn an_error_comes_once_and_the_same_order_is_fine_afterwards() {
    let till = till();
    for (outcome, status, code) in [(8, 500, "internal"), (13, 503, "overloaded")] {
        let body = sale(outcome, 6000, true);
        let first = raw(&till, &body).expect("an answer");
        assert_eq!((first.status, first.code(), &first["outcome"]), (status, code, &json!("not_applied")));
        let order = body["order_id"].as_str().expect("an id");
        SANDBOX.order(&till, order).refused(404, "order_not_found");
        assert!(!SANDBOX.redeem(&till, &body).ok().replayed());
        assert!(SANDBOX.redeem(&till, &body).ok().replayed());
    }
}

#[test]
fn an_answer_is_lost_after_the_order_was_applied_and_its_repeat_is_answered() {
    let till = till();
    let body = sale(9, 6000, true);
    let lost = raw(&till, &body);
    assert!(lost.is_err(), "no answer may come: {:?}", lost.map(|reply| reply.text()));
    let order = body["order_id"].as_str().expect("an id");
    assert_eq!(SANDBOX.order(&till, order).ok().str("state"), "redeemed");
    assert!(SANDBOX.redeem(&till, &body).ok().replayed());
    let held = sale(9, 6000, false);
    assert!(raw(&till, &held).is_err());
    assert_eq!(SANDBOX.reverse(&till, held["order_id"].as_str().expect("an id")).ok().str("was"), "held");
}

#[test]
fn an_unknown_outcome_is_told_after_the_order_was_applied() {
    let till = till();
    let body = sale(14, 6000, true);
    let reply = SANDBOX.redeem(&till, &body);
    assert_eq!((reply.status, reply.code(), &reply["outcome"]), (503, "store_timeout", &json!("unknown")));
    assert!(SANDBOX.redeem(&till, &body).ok().replayed());
}

#[test]
fn a_code_that_is_almost_magic_is_an_unknown_code() {
    let till = till();
    for code in [pay_code(1).replacen("97999", "97998", 1), format!("{}{}", &pay_code(1)[..17], 0)] {
        let mut body = sale(1, 6000, true);
        body["pay_code"] = json!(if code == pay_code(1) { format!("{}9", &code[..17]) } else { code });
        SANDBOX.redeem(&till, &body).refused(404, "pay_code_unknown");
    }
}

#[test]
fn tills_that_meet_a_fresh_sandbox_at_once_are_all_served() {
    for _ in 0..3 {
        let server = Server::at(EVE);
        let tills: Vec<Till> = (0..4).map(|_| new_till_at(&server)).collect();
        together(12, |index| server.redeem(&tills[index % 4], &sale(1, 6000, true)).ok());
        server.assert_audit_clean();
    }
}

#[test]
fn a_live_server_knows_no_magic_code() {
    let server = Server::start(Options { sandbox: false, ..Options::at(EVE) });
    let till = new_till_at(&server);
    assert!(till.key_id.starts_with("live_"), "{}", till.key_id);
    for outcome in [1, 2, 5, 8, 9] {
        let asked = [
            (sale(outcome, 6000, true), json!({"pay_code": "970000000000000004"}), "pay_code_unknown"),
            (printed(outcome), json!({"voucher_ids": ["7ZZZZZZZZZZZZZZZZZZZZZZZZZ"]}), "voucher_unknown"),
        ];
        for (magic, other, code) in asked {
            let mut unknown = magic.clone();
            other.as_object().expect("members").iter().for_each(|(name, value)| unknown[name] = value.clone());
            let said = |body: &Value| {
                let mut reply = server.redeem(&till, body).refused(404, code).json;
                reply.as_object_mut().expect("a problem").remove("request_id");
                reply
            };
            assert_eq!(said(&magic), said(&unknown), "outcome {outcome}");
        }
    }
    server.assert_audit_clean();
}
