//! Serial numbers: what a voucher pays for is paid for once in the campaign, by whomever, wherever, and whatever stops half way.

use std::thread;

use serde_json::{Value, json};

use super::vectors::{buy, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{MINUTE, Market, SECOND, at, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

const NOON: &str = "2020-07-25T12:00:00";

/// 15 per cent off a piece that has a serial number.
pub fn pieces(name: &str, people: usize, change: impl Fn(&mut Value)) -> Market {
    let voucher = json!({"voucher_kind": "15-off", "kind": "percent", "discount_basis_points": 1500,
        "discount_amount_max": 150_000, "count": 5, "unique_serial": true});
    market(name, people, json!([voucher]), |campaign| {
        campaign["limits"] = json!([]);
        change(campaign);
    })
}

fn piece(serial: &str) -> Value {
    json!([{"sku": "x", "category": "culture", "serial": serial, "amount": 10_000}])
}

pub fn pay(market: &Market, till: &Till, person: &Resident, serial: &str) -> Reply {
    buy(market, till, person, 10_000, json!({"category": "culture", "items": piece(serial)}))
}

pub fn hold(market: &Market, till: &Till, person: &Resident, serial: &str) -> Reply {
    let more = json!({"category": "culture", "items": piece(serial), "capture": false});
    buy(market, till, person, 10_000, more).ok()
}

#[test]
fn f6_a_serial_number_is_used_once_by_whomever_and_wherever() {
    let market = pieces("serial", 2, |_| {});
    let (server, first, second) = (market.server(), market.shopper(), market.shopper());
    let (here, there) = (market.till(), market.till());
    let done = pay(&market, &here, &first, "SN-0001").ok();
    assert_eq!(done.int("discount_amount"), 1_500);
    for (till, person) in [(&here, &first), (&there, &second)] {
        let refused = pay(&market, till, person, "sn-0001").refused(409, "serial_used");
        assert_eq!(refused["serial"], "SN-0001", "{}", refused.text());
    }
    let body = json!({"pay_code": server.pay_code(&second), "amount": 10_000, "category": "culture",
        "items": piece("SN-0001")});
    let quote = server.quote(&there, &body).ok();
    assert_eq!((&quote["vouchers"], &quote["not_taken"][0]["code"]), (&json!([]), &json!("serial_used")));
    pay(&market, &there, &second, "SN-0002").ok();
    // A reverse undoes the use, and the next one is as good as the first.
    server.reverse(&here, done.str("order_id")).ok();
    let again = pay(&market, &there, &second, "SN-0001").ok();
    pay(&market, &here, &first, "SN-0001").refused_with("serial_used");
    server.refund(&there, again.str("order_id"), "R1", 4_000).ok();
    pay(&market, &here, &first, "SN-0001").refused_with("serial_used");
    server.refund(&there, again.str("order_id"), "R2", 6_000).ok();
    pay(&market, &here, &first, "SN-0001").ok();
    server.assert_audit_clean();
}

#[test]
fn a_serial_number_stays_used_after_a_refund_where_limits_do_not_come_back() {
    let market = pieces("burnt", 2, |campaign| campaign["refund_restores_limits"] = json!(false));
    let till = market.till();
    let done = pay(&market, &till, &market.shopper(), "SN-1").ok();
    market.server().refund(&till, done.str("order_id"), "R1", 10_000).ok();
    pay(&market, &till, &market.shopper(), "SN-1").refused_with("serial_used");
}

#[test]
fn a_voucher_for_pieces_asks_for_serial_numbers_and_takes_off_nothing_else() {
    let market = pieces("asked", 1, |campaign| campaign["use_rule"]["max_vouchers_per_payment"] = json!(3));
    let (till, person) = (market.till(), market.shopper());
    let sell = |items: Value, amount: i64| {
        let mut more = json!({"category": "culture", "items": items});
        if items.is_null() {
            more.as_object_mut().expect("an object").remove("items");
        }
        buy(&market, &till, &person, amount, more)
    };
    sell(Value::Null, 10_000).refused(422, "items_required");
    sell(json!([{"sku": "x", "amount": 10_000}]), 10_000).refused(422, "serial_required");
    let item =
        |serial: &str, quantity: u32| json!({"sku": "x", "serial": serial, "quantity": quantity, "amount": 10_000});
    let cable = json!({"sku": "cable", "amount": 2_000});
    for (items, fault) in [
        (json!([item("A", 2)]), "/items/0/quantity not_one_piece"),
        (json!([item("A", 1), item("a", 1)]), "/items/1/serial repeated"),
        (json!([item("", 1)]), "/items/0/serial invalid_serial"),
        (json!([item("A B", 1)]), "/items/0/serial invalid_serial"),
        (json!([item(&"9".repeat(65), 1)]), "/items/0/serial invalid_serial"),
        (Value::Array((0..21).map(|n| item(&format!("A{n}"), 1)).collect()), "/items/20/serial too_many"),
    ] {
        let amount = 10_000 * items.as_array().expect("a list").len() as i64;
        assert_eq!(sell(items, amount).refused(422, "invalid_request").faults(), [fault]);
    }
    let done = sell(json!([item("A", 1), cable]), 12_000).ok();
    assert_eq!(done.int("discount_amount"), 1_500, "one voucher for a piece, and nothing off the cable");
    assert_eq!(sell(json!([item("B", 1), item(&"9".repeat(64), 1)]), 20_000).ok().int("discount_amount"), 3_000);
}

#[test]
fn a_piece_that_is_on_hold_may_be_free_again_and_one_that_was_paid_for_is_not() {
    let market = pieces("on-hold", 2, |_| {});
    let (server, till, second) = (market.server(), market.till(), market.shopper());
    let held = hold(&market, &till, &market.shopper(), "SN-1");
    let refused = pay(&market, &till, &second, "SN-1").refused(409, "serial_held");
    assert_eq!((&refused["retryable"], &refused["until"]), (&json!(true), &held["expires_at"]), "{}", refused.text());
    assert_eq!(refused["serial"], "SN-1");
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 8_500).ok();
    let refused = pay(&market, &till, &second, "SN-1").refused(409, "serial_used");
    assert_eq!((&refused["retryable"], &refused["until"]), (&json!(false), &Value::Null), "{}", refused.text());
}

#[test]
fn another_serial_number_is_another_body_of_an_order() {
    let market = pieces("bound", 1, |_| {});
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let body = |serial: &str| {
        let mut body = sale("S-1", &server.pay_code(&person), 10_000, true);
        (body["category"], body["items"]) = (json!("culture"), piece(serial));
        body
    };
    let first = server.redeem(&till, &body("SN-1")).ok();
    assert_eq!(server.redeem(&till, &body("sn-1")).ok().json, first.json, "letters are the same in any case");
    assert_eq!(server.redeem(&till, &body("SN-2")).refused(409, "order_conflict")["fields"], json!(["items"]));
}

#[test]
fn a_held_piece_is_free_after_a_cancel_or_when_the_hold_has_run_out() {
    let market = pieces("held", 2, |_| {});
    let (server, till, other) = (market.server(), market.till(), market.till());
    let (first, second) = (market.shopper(), market.shopper());
    let held = hold(&market, &till, &first, "SN-1");
    pay(&market, &other, &second, "SN-1").refused_with("serial_held");
    server.cancel(&till, held.str("order_id")).ok();
    let held = hold(&market, &other, &second, "SN-1");
    let late = hold(&market, &other, &second, "SN-2");
    server.set_clock(at(NOON) + 120 * SECOND);
    // Nobody has asked for the second piece: its late confirm is as good as any.
    server.confirm(&other, late.str("order_id"), late.str("hold_id"), 8_500).ok();
    pay(&market, &till, &first, "SN-2").refused_with("serial_used");
    // The first was bought by another meanwhile: the late confirm comes too late.
    pay(&market, &till, &first, "SN-1").ok();
    server.confirm(&other, held.str("order_id"), held.str("hold_id"), 8_500).refused(409, "hold_expired");
    server.set_clock(at(NOON) + 5 * MINUTE);
    pay(&market, &other, &second, "SN-1").refused_with("serial_used");
    server.assert_audit_clean();
}

#[test]
fn a_hold_that_was_swept_gives_its_piece_to_the_next_and_loses_its_late_confirm() {
    let market = pieces("swept", 2, |_| {});
    let (server, till, other) = (market.server(), market.till(), market.till());
    let (first, second) = (market.shopper(), market.shopper());
    let held = hold(&market, &till, &first, "SN-1");
    server.set_clock(at(NOON) + 121 * SECOND);
    assert_eq!(server.order(&till, held.str("order_id")).ok().str("state"), "expired");
    let taken = hold(&market, &other, &second, "SN-1");
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 8_500).refused(409, "hold_expired");
    server.confirm(&other, taken.str("order_id"), taken.str("hold_id"), 8_500).ok();
    assert_eq!(market.vouchers(&first, "used").len(), 0);
    server.assert_audit_clean();
}

#[test]
fn of_many_orders_for_one_piece_at_the_same_instant_one_takes_it() {
    let people = 6;
    let market = pieces("rush", people, |_| {});
    let buyers: Vec<(Till, Resident)> = (0..people).map(|_| (market.till(), market.shopper())).collect();
    for piece in ["SN-1", "SN-2", "SN-3"] {
        let replies = thread::scope(|scope| {
            let market = &market;
            let one = |(till, person)| scope.spawn(move || until_answered(market, till, person, piece));
            let running: Vec<_> = buyers.iter().map(|(till, person)| one((till, person))).collect();
            running.into_iter().map(|one| one.join().expect("a thread")).collect::<Vec<Reply>>()
        });
        let codes: Vec<&str> =
            replies.iter().map(|reply| if reply.is_success() { "ok" } else { reply.code() }).collect();
        assert_eq!(codes.iter().filter(|code| **code == "ok").count(), 1, "{codes:?}");
        assert!(codes.iter().all(|code| ["ok", "serial_used"].contains(code)), "{codes:?}");
    }
    let used: usize = buyers.iter().map(|(_, person)| market.vouchers(person, "used").len()).sum();
    assert_eq!(used, 3);
    market.server().assert_audit_clean();
}

/// Repeats the same order while it is told that others kept moving underneath.
fn until_answered(market: &Market, till: &Till, person: &Resident, serial: &str) -> Reply {
    let order = new_order();
    loop {
        let reply = buy(
            market,
            till,
            person,
            10_000,
            json!({"order_id": order, "category": "culture", "items": piece(serial)}),
        );
        if reply.is_success() || reply.code() != "store_unavailable" {
            return reply;
        }
    }
}
