//! Limits on redeeming: by count and by money, kept with the person or with the merchant, exact under contention, and given back.

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::fixture::{MINUTE, Market, at, new_order, sale};
use crate::harness::till::Till;
use crate::harness::wait_until;

const NOON: &str = "2020-07-25T12:00:00";

fn limited(name: &str, people: usize, limits: Value) -> Market {
    market(name, people, json!([kind("60-20", 6_000, 2_000, 2), kind("30-10", 3_000, 1_000, 4)]), |campaign| {
        campaign["limits"] = limits.clone();
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
    })
}

/// Another terminal of the till's merchant.
fn second_terminal(market: &Market, till: &Till) -> Till {
    market.server().create_terminal(&till.merchant_id, "t2")
}

#[test]
fn money_of_a_person_is_limited_for_a_payment_a_day_and_a_week() {
    let by = |period: &str, most: i64| json!({"action": "redeem", "entities": ["person"], "period": period, "max_amount": most});
    let market = limited("money", 1, json!([by("payment", 3_000), by("day", 4_000), by("week", 5_000)]));
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let first = buy(&market, &till, &person, 99_000, json!({})).ok();
    assert_eq!(first.int("discount_amount"), 3_000, "two 60-20 would be 40 yuan in a payment");
    let second = buy(&market, &till, &person, 99_000, json!({})).ok();
    assert_eq!(second.int("discount_amount"), 1_000, "what is left of the day");
    let refused = buy(&market, &till, &person, 99_000, json!({})).refused_with("limit_reached");
    assert_eq!(refused["limit"]["max_amount"], 4_000, "{}", refused.text());
    // 25 July was a Saturday: Sunday is of the same week, Monday of the next.
    server.set_clock(at("2020-07-26T12:00:00"));
    assert_eq!(buy(&market, &till, &person, 99_000, json!({})).ok().int("discount_amount"), 1_000);
    buy(&market, &till, &person, 99_000, json!({})).refused_with("limit_reached");
    server.set_clock(at("2020-07-27T00:00:00"));
    assert_eq!(buy(&market, &till, &person, 99_000, json!({})).ok().int("discount_amount"), 3_000);
    server.assert_audit_clean();
}

#[test]
fn a_person_has_a_limit_for_each_category_terminal_and_store_and_gets_it_back() {
    for (entity, here, there) in [
        ("category", json!({"category": "catering"}), json!({"category": "culture"})),
        ("store", json!({"receipt": {"store": "s1"}}), json!({"receipt": {"store": "s2"}})),
        ("terminal", json!({}), json!({"terminal": 2})),
    ] {
        let limit = json!([{"action": "redeem", "entities": ["person", entity], "period": "month", "max_count": 1}]);
        let market = limited(entity, 1, limit);
        let (server, person) = (market.server(), market.shopper());
        let first = market.till();
        let second = second_terminal(&market, &first);
        let pay = |place: &Value, capture: bool| {
            let till = if place["terminal"] == 2 { &second } else { &first };
            let mut more = place.clone();
            more.as_object_mut().expect("an object").remove("terminal");
            more["capture"] = json!(capture);
            buy(&market, till, &person, 6_000, more)
        };
        let done = pay(&here, true).ok();
        pay(&here, true).refused_with("limit_reached");
        let held = pay(&there, false).ok();
        pay(&there, true).refused_with("limit_reached");
        // Whichever till of the merchant ends it: what was used is given back where it was used.
        server.cancel(&first, held.str("order_id")).ok();
        let again = pay(&there, false).ok();
        server.confirm(&second, again.str("order_id"), again.str("hold_id"), 4_000).ok();
        pay(&there, true).refused_with("limit_reached");
        server.reverse(&first, again.str("order_id")).ok();
        pay(&there, true).ok();
        server.refund(&second, done.str("order_id"), "R1", 6_000).ok();
        pay(&here, true).ok();
        pay(&here, true).refused_with("limit_reached");
        server.assert_audit_clean();
    }
}

#[test]
fn limits_of_a_round_hold_beside_those_of_the_campaign() {
    let vouchers = json!([kind("30-10", 3_000, 1_000, 4)]);
    let market = market("own", 1, vouchers, |campaign| {
        campaign["rounds"][0]["limits"] =
            json!([{"action": "redeem", "entities": ["person"], "period": "round", "max_count": 3}]);
    });
    let person = market.shopper();
    let (first, second) = (market.till(), market.till());
    buy(&market, &first, &person, 3_000, json!({})).ok();
    buy(&market, &first, &person, 3_000, json!({})).ok();
    let by_campaign = buy(&market, &first, &person, 3_000, json!({})).refused_with("limit_reached");
    assert_eq!(by_campaign["limit"]["period"], "day");
    buy(&market, &second, &person, 3_000, json!({})).ok();
    let by_round = buy(&market, &second, &person, 3_000, json!({})).refused_with("limit_reached");
    assert_eq!((&by_round["limit"]["period"], &by_round["limit"]["max_count"]), (&json!("round"), &json!(3)));
}

pub fn capped(name: &str, people: usize, most: i64) -> Market {
    limited(name, people, json!([{"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": most}]))
}

#[test]
fn a_merchants_cap_counts_over_all_persons_and_comes_back() {
    let market = capped("cap", 4, 2);
    let (server, till) = (market.server(), market.till());
    let people: Vec<_> = (0..4).map(|_| market.shopper()).collect();
    let pay = |person: usize, capture: bool| buy(&market, &till, &people[person], 3_000, json!({"capture": capture}));
    let (first, second) = (pay(0, true).ok(), pay(1, false).ok());
    let refused = pay(2, true).refused_with("limit_reached");
    assert_eq!(refused["limit"]["entities"], json!(["merchant"]), "{}", refused.text());
    buy(&market, &market.till(), &people[2], 3_000, json!({})).ok();

    server.cancel(&till, second.str("order_id")).ok();
    let third = pay(2, true).ok();
    pay(3, true).refused_with("limit_reached");
    server.reverse(&till, third.str("order_id")).ok();
    let fourth = pay(3, false).ok();
    pay(2, true).refused_with("limit_reached");
    server.set_clock(at(NOON) + 3 * MINUTE);
    wait_until("the lapsed hold has given its cap back", || pay(2, true).is_success().then_some(()));
    // The late confirm would be the third of the day.
    let late = server.confirm(&till, fourth.str("order_id"), fourth.str("hold_id"), 2_000);
    assert_eq!(late.code(), "hold_expired", "{}", late.text());
    server.refund(&till, first.str("order_id"), "R1", 3_000).ok();
    let late = server.confirm(&till, fourth.str("order_id"), fourth.str("hold_id"), 2_000);
    assert_eq!(late.code(), "hold_expired", "what was told stays told: {}", late.text());
    let fifth = pay(3, false).ok();
    server.set_clock(at(NOON) + 6 * MINUTE);
    assert_eq!(server.confirm(&till, fifth.str("order_id"), fifth.str("hold_id"), 2_000).ok()["late"], true);
    pay(1, true).refused_with("limit_reached");
    server.set_clock(at("2020-07-26T00:00:00"));
    pay(1, true).ok();
    server.assert_audit_clean();
}

#[test]
fn a_merchants_cap_in_money_is_used_to_the_last_voucher_that_fits() {
    let by_money = json!([{"action": "redeem", "entities": ["store"], "period": "week", "max_amount": 4_500}]);
    let market = limited("cap-money", 2, by_money);
    let (till, person, other) = (market.till(), market.shopper(), market.shopper());
    assert_eq!(buy(&market, &till, &person, 9_000, json!({})).ok().int("discount_amount"), 3_000);
    let quote = market
        .server()
        .quote(&till, &json!({"pay_code": market.server().pay_code(&other), "amount": 12_000, "category": "catering"}));
    assert_eq!(quote.ok().int("discount_amount"), 1_000, "15 yuan are left");
    assert_eq!(buy(&market, &till, &other, 12_000, json!({})).ok().int("discount_amount"), 1_000);
    buy(&market, &till, &other, 12_000, json!({})).refused_with("limit_reached");
    buy(&market, &till, &other, 12_000, json!({"receipt": {"store": "s2"}})).ok();
}

#[test]
fn a_merchants_cap_is_exact_when_everybody_pays_at_once() {
    let market = capped("cap-rush", 12, 5);
    let (server, till) = (market.server(), market.till());
    let orders: Vec<Value> =
        (0..12).map(|_| sale(&new_order(), &server.pay_code(&market.shopper()), 3_000, true)).collect();
    let paid = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for order in orders.iter().flat_map(|order| [order, order]) {
            scope.spawn(|| {
                let reply = wait_until("it is decided", || {
                    let reply = server.redeem(&till, order);
                    (reply.status != 503).then_some(reply)
                });
                let first = reply.is_success() && !reply.replayed();
                paid.fetch_add(usize::from(first), std::sync::atomic::Ordering::SeqCst);
                assert!(reply.is_success() || reply.code() == "limit_reached", "{}", reply.text());
            });
        }
    });
    assert_eq!(paid.into_inner(), 5, "as many as the cap, whoever was first");
    let redeemed = orders.iter().filter(|order| {
        let id = order["order_id"].as_str().expect("one");
        server.order(&till, id).str("state") == "redeemed"
    });
    assert_eq!(redeemed.count(), 5);
    server.assert_audit_clean();
}

/// Of the two that a day has, one is held before midnight and confirmed late after it, when the new day has been used already.
#[test]
fn a_late_confirm_after_midnight_meets_the_limit_of_the_day_of_its_hold() {
    for (others, expected) in [(1, "redeemed"), (2, "hold_expired")] {
        let market = market("midnight", 1, json!([kind("30-10", 3_000, 1_000, 6)]), |campaign| {
            campaign["limits"] = json!([{"action": "redeem", "entities": ["person"], "period": "day", "max_count": 2}]);
            campaign["use_rule"]["hold_seconds"] = json!(30);
        });
        let (server, till, person) = (market.server(), market.till(), market.shopper());
        let vouchers = market.vouchers(&person, "available");
        let pay = |voucher: usize, capture: bool| {
            let body = json!({"order_id": new_order(), "voucher_ids": [vouchers[voucher].0], "amount": 3_000,
                "category": "catering", "capture": capture});
            server.redeem(&till, &body).ok()
        };
        server.set_clock(at("2020-07-25T23:57:00"));
        let held = pay(0, false);
        server.set_clock(at("2020-07-25T23:58:00"));
        for other in 1..=others {
            pay(other, true);
        }
        server.set_clock(at("2020-07-26T00:00:00"));
        pay(5, true);
        server.set_clock(at("2020-07-26T00:07:30") - 1);
        let late = server.confirm(&till, held.str("order_id"), held.str("hold_id"), 2_000);
        let told = if late.is_success() { late.str("state") } else { late.code() };
        assert_eq!(told, expected, "{others} others: {}", late.text());
        server.assert_audit_clean();
    }
}
