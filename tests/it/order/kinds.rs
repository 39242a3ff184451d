//! Vouchers with terms of their own: one per category, and those that wait for another voucher of their pack.

use std::thread;

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, new_order};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// 15 per cent off, three of them, each in a category of its own.
fn trade_in(name: &str, people: usize, change: impl Fn(&mut Value)) -> Market {
    let voucher = json!({"voucher_kind": "15-off", "kind": "percent", "discount_basis_points": 1500,
        "discount_amount_max": 150_000, "count": 3, "one_per_category": true});
    market(name, people, json!([voucher]), |campaign| {
        campaign["limits"] = json!([]);
        change(campaign);
    })
}

fn pay(market: &Market, till: &Till, person: &Resident, category: &str, capture: bool) -> Reply {
    buy(market, till, person, 10_000, json!({"category": category, "capture": capture}))
}

#[test]
fn f6_a_person_uses_one_voucher_in_each_category_and_gets_the_category_back_with_it() {
    let market = trade_in("one-each", 2, |campaign| campaign["use_rule"]["max_vouchers_per_payment"] = json!(2));
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let first = pay(&market, &till, &person, "culture", true).ok();
    assert_eq!(first.int("discount_amount"), 1_500, "one voucher, though a payment may take two");
    let elsewhere = market.till();
    let refused = pay(&market, &elsewhere, &person, "culture", true).refused_with("limit_reached");
    let limit = json!({"action": "redeem", "entities": ["person", "category"], "period": "campaign", "max_count": 1});
    assert_eq!(refused["limit"], limit, "{}", refused.text());
    let held = pay(&market, &till, &person, "sport", false).ok();
    pay(&market, &elsewhere, &person, "sport", true).refused_with("limit_reached");
    server.cancel(&till, held.str("order_id")).ok();
    pay(&market, &elsewhere, &person, "sport", true).ok();
    server.reverse(&till, first.str("order_id")).ok();
    let again = pay(&market, &till, &person, "culture", true).ok();
    server.refund(&till, again.str("order_id"), "R1", 10_000).ok();
    pay(&market, &till, &person, "culture", true).ok();
    pay(&market, &till, &market.shopper(), "culture", true).ok();
    server.assert_audit_clean();
}

#[test]
fn f6_a_refund_that_consumes_keeps_the_category_used_where_limits_do_not_come_back() {
    let market = trade_in("kept", 1, |campaign| {
        campaign["refund_policy"] = json!("consume");
        campaign["refund_restores_limits"] = json!(false);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = pay(&market, &till, &person, "culture", true).ok();
    server.refund(&till, done.str("order_id"), "R1", 10_000).ok();
    pay(&market, &till, &person, "culture", true).refused_with("limit_reached");
    pay(&market, &till, &person, "sport", true).ok();
}

#[test]
fn a_voucher_for_a_category_takes_off_nothing_of_the_goods_of_another() {
    let market = trade_in("goods", 1, |_| {});
    let (till, person) = (market.till(), market.shopper());
    let item = |category: &str, amount: i64| json!({"sku": "x", "category": category, "amount": amount});
    let goods = json!({"category": "culture", "items": [item("sport", 10_000)]});
    buy(&market, &till, &person, 10_000, goods).refused_with("items_not_eligible");
    let goods = json!({"category": "culture", "items": [item("culture", 4_000), item("sport", 6_000)]});
    assert_eq!(buy(&market, &till, &person, 10_000, goods).ok().int("discount_amount"), 600);
}

#[test]
fn of_payments_in_one_category_at_the_same_instant_one_takes_a_voucher() {
    let market = trade_in("race", 1, |_| {});
    let person = market.shopper();
    let tills: Vec<Till> = (0..4).map(|_| market.till()).collect();
    let at_once = thread::scope(|scope| {
        let (market, person) = (&market, &person);
        let one = |till| scope.spawn(move || pay(market, till, person, "culture", true));
        let running: Vec<_> = tills.iter().map(one).collect();
        running.into_iter().map(|one| one.join().expect("a thread")).collect::<Vec<Reply>>()
    });
    assert_eq!(at_once.iter().filter(|reply| reply.is_success()).count(), 1);
    assert_eq!(market.vouchers(&person, "used").len(), 1);
    market.server().assert_audit_clean();
}

/// 30-10 wait for the one 60-20.
fn step_by_step(name: &str) -> Market {
    let mut later = kind("30-10", 3_000, 1_000, 2);
    later["after_kind"] = json!("60-20");
    market(name, 1, json!([kind("60-20", 6_000, 2_000, 1), later]), |campaign| {
        campaign["limits"] = json!([]);
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(3);
    })
}

/// A sale of 30 yuan with one voucher, by its printed code.
#[track_caller]
fn printed(market: &Market, till: &Till, voucher: &(String, String)) -> Reply {
    let body = json!({"order_id": new_order(), "voucher_ids": [voucher.0], "amount": 3_000, "category": "catering",
        "capture": true});
    market.server().redeem(till, &body)
}

#[test]
fn a_voucher_that_waits_for_another_is_locked_until_that_one_is_used() {
    let market = step_by_step("after");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let locked = market.vouchers(&person, "pending");
    assert_eq!(locked.iter().map(|one| one.1.as_str()).collect::<Vec<_>>(), ["30-10", "30-10"]);
    let refused = printed(&market, &till, &locked[0]).refused(409, "voucher_locked");
    assert_eq!(refused["after_kind"], "60-20", "{}", refused.text());
    let short = buy(&market, &till, &person, 3_000, json!({})).refused_with("minimum_not_met");
    assert_eq!(
        short["not_taken"][1]["code"],
        "voucher_locked",
        "what is open is what the payer can do: {}",
        short.text()
    );
    let held = buy(&market, &till, &person, 99_000, json!({"capture": false})).ok();
    assert_eq!(held.int("discount_amount"), 2_000, "what the same payment uses opens nothing");
    printed(&market, &till, &locked[0]).refused_with("voucher_locked");
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 97_000).ok();
    assert_eq!(market.vouchers(&person, "available").len(), 2);
    assert_eq!(buy(&market, &till, &person, 3_000, json!({})).ok().int("discount_amount"), 1_000);
    server.assert_audit_clean();
}

#[test]
fn a_voucher_locks_again_when_the_one_that_it_waited_for_goes_back_and_what_was_used_stays_used() {
    let market = step_by_step("back");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let first = buy(&market, &till, &person, 6_000, json!({})).ok();
    let second = buy(&market, &till, &person, 3_000, json!({})).ok();
    let held = buy(&market, &till, &person, 3_000, json!({"capture": false})).ok();
    server.reverse(&till, first.str("order_id")).ok();
    assert_eq!(server.order(&till, second.str("order_id")).ok().str("state"), "redeemed");
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 2_000).ok();
    server.reverse(&till, held.str("order_id")).ok();
    let locked = market.vouchers(&person, "pending");
    assert_eq!(locked.len(), 1);
    printed(&market, &till, &locked[0]).refused_with("voucher_locked");
    let again = buy(&market, &till, &person, 6_000, json!({})).ok();
    // A part that comes back consumes the voucher, so what it has opened stays open.
    server.refund(&till, again.str("order_id"), "R1", 1_000).ok();
    buy(&market, &till, &person, 3_000, json!({})).ok();
    server.assert_audit_clean();
}
