//! What an order that is over held of caps and quotas comes back, whatever the store refuses and whichever node ends.

use serde_json::{Value, json};

use super::vectors::{campaign, kind};
use crate::harness::fixture::{MINUTE, Market, SECOND, at, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, wait_until};

const EVE: &str = "2020-07-12T12:00:00+08:00";
const NOON: &str = "2020-07-25T12:00:00";

/// Every merchant may take one voucher a day, and all of them together `most`.
fn limited(redis: &OwnRedis, people: i64, most: usize) -> Market {
    let file = campaign("owed", people, json!([kind("30-10", 3_000, 1_000, 4)]), |campaign| {
        campaign["limits"] = json!([
            {"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": 1},
            {"action": "redeem", "entities": ["category"], "period": "day", "max_count": most},
        ]);
    });
    Market::open_on(redis.node(EVE, 1, None), file, people as usize)
}

/// Which keys the nodes may use.
fn may(redis: &OwnRedis, keys: &[&str]) {
    redis.ask(&[&["ACL", "SETUSER", "default"], keys].concat());
}

const ALL: &[&str] = &["allkeys"];
const NO_COUNTERS: &[&str] = &["resetkeys", "~{s*", "~{r*", "~{cfg}*"];
const NO_HOLDS: &[&str] = &["resetkeys", "~{s*}:[^x]*", "~{m*", "~{i*", "~{r*", "~{cfg}*"];

fn pay(server: &Server, till: &Till, person: &Resident, capture: bool) -> crate::harness::client::Reply {
    server.redeem(till, &sale(&new_order(), &server.pay_code(person), 3_000, capture))
}

#[test]
fn what_was_owed_when_a_node_ended_is_given_back_by_the_next_one() {
    let redis = OwnRedis::start();
    let market = limited(&redis, 3, 3);
    let (first, person) = (market.server(), market.shopper());
    let tills: Vec<Till> = (0..3).map(|_| market.till()).collect();
    // With each till the configuration has changed; a node that has followed does not look at a merchant again.
    first.set_clock(at(NOON) + SECOND);
    let sold: Vec<String> = [true, false, false]
        .iter()
        .zip(&tills)
        .map(|(capture, till)| pay(first, till, &person, *capture).ok().str("order_id").to_string())
        .collect();
    may(&redis, NO_COUNTERS);
    first.refund(&tills[0], &sold[0], "R1", 3_000).ok();
    first.cancel(&tills[1], &sold[1]).ok();
    first.set_clock(at(NOON) + 3 * MINUTE);
    wait_until("the hold has run out", || (redis.ask(&["HLEN", "{s000}:x"]) == "0").then_some(()));
    first.kill();
    may(&redis, ALL);
    let second = redis.node("2020-07-25T12:03:00+08:00", 1, Some(first));
    let other = market.shopper();
    for till in &tills {
        wait_until("cap and quota are free again", || pay(&second, till, &other, true).is_success().then_some(()));
        pay(&second, till, &market.round.people[2], true).refused_with("limit_reached");
    }
    second.assert_audit_clean();
}

#[test]
fn what_an_attempt_took_that_never_had_an_effect_is_given_back_and_the_attempt_is_void() {
    let redis = OwnRedis::start();
    let market = limited(&redis, 2, 1);
    let (server, person, till) = (market.server(), market.shopper(), market.till());
    let order = sale(&new_order(), &server.pay_code(&person), 3_000, false);
    may(&redis, NO_HOLDS);
    let (request, _) = till.request("POST", "/v1/redemptions", &order.to_string());
    assert!(server.client.send(&request).expect("an answer").status >= 500, "its hold cannot be written");
    may(&redis, ALL);
    let other = market.shopper();
    pay(server, &till, &other, true).refused_with("limit_reached");
    let sold = wait_until("its cap and quota are free", || {
        Some(pay(server, &till, &other, true)).filter(|reply| reply.is_success())
    });
    server.reverse(&till, sold.str("order_id")).ok();
    // The till that comes back with the order is served as if it were new.
    assert_eq!(server.redeem(&till, &order).ok()["state"], Value::from("held"));
    server.assert_audit_clean();
}

/// One voucher is held four times and used by a fifth order.
#[test]
fn a_late_confirm_that_finds_its_voucher_taken_takes_nothing_of_a_quota() {
    let redis = OwnRedis::start();
    let market = late(&redis, "run-out", 3, json!([{"category": 2}]));
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    server.set_clock(at(NOON) + SECOND);
    let holds: Vec<_> = (1..=4)
        .map(|turn| {
            let held = pay(server, &till, &person, false).ok();
            server.set_clock(at(NOON) + turn * 31 * SECOND);
            held
        })
        .collect();
    pay(server, &till, &person, true).ok();
    for held in &holds {
        confirm(server, &till, held).refused_with("hold_expired");
    }
    let [other, third] = [market.shopper(), market.shopper()];
    pay(server, &till, &other, true).ok();
    pay(server, &till, &third, true).refused_with("limit_reached");
    server.assert_audit_clean();
}

/// What it takes first comes back when what it takes last is full, or the store refuses its effect.
#[test]
fn a_late_confirm_that_stops_behind_its_cap_leaves_nothing_taken() {
    let redis = OwnRedis::start();
    let market = late(&redis, "stopped", 4, json!([{"merchant": 2}, {"category": 2}, {"channel": 9}]));
    let (server, tills) = (market.server(), [market.till(), market.till()]);
    let people: Vec<Resident> = (0..4).map(|_| market.shopper()).collect();
    server.set_clock(at(NOON) + SECOND);
    let held = pay(server, &tills[0], &people[0], false).ok();
    server.set_clock(at(NOON) + 40 * SECOND);
    wait_until("the hold has run out", || (redis.ask(&["HLEN", "{s000}:x"]) == "0").then_some(()));
    let full: Vec<_> = (1..=2).map(|who| pay(server, &tills[1], &people[who], true).ok()).collect();
    for _ in 0..3 {
        confirm(server, &tills[0], &held).refused_with("hold_expired");
    }
    server.reverse(&tills[1], full[0].str("order_id")).ok();
    confirm(server, &tills[0], &held).refused_with("hold_expired");
    let held = pay(server, &tills[0], &people[0], false).ok();
    server.set_clock(at(NOON) + 80 * SECOND);
    wait_until("the next hold has run out", || (redis.ask(&["HLEN", "{s000}:x"]) == "0").then_some(()));
    may(&redis, NO_HOLDS);
    let body = json!({"hold_id": held.str("hold_id"), "paid_amount": 2_000});
    let path = format!("/v1/redemptions/{}/confirm", held.str("order_id"));
    let (request, _) = tills[0].request("POST", &path, &body.to_string());
    assert!(server.client.send(&request).expect("an answer").status >= 500, "its effect cannot be written");
    may(&redis, ALL);
    // Whether it was written is not known, so it is left alone for a moment.
    wait_until("cap and quota are free", || pay(server, &tills[0], &people[1], true).is_success().then_some(()));
    let mut order = sale(&new_order(), &server.pay_code(&people[3]), 3_000, true);
    order["category"] = json!("culture");
    server.redeem(&tills[0], &order).ok();
    server.assert_audit_clean();
}

/// Holds of half a minute, with these limits a day.
fn late(redis: &OwnRedis, name: &str, people: i64, limits: Value) -> Market {
    let file = campaign(name, people, json!([kind("30-10", 3_000, 1_000, 1)]), |campaign| {
        let limits = limits.as_array().expect("limits").iter().flat_map(|limit| limit.as_object().expect("a limit"));
        let limits = limits.map(
            |(entity, most)| json!({"action": "redeem", "entities": [entity], "period": "day", "max_count": most}),
        );
        campaign["limits"] = limits.collect();
        campaign["use_rule"]["hold_seconds"] = json!(30);
    });
    Market::open_on(redis.node(EVE, 1, None), file, people as usize)
}

fn confirm(server: &Server, till: &Till, held: &crate::harness::client::Reply) -> crate::harness::client::Reply {
    server.confirm(till, held.str("order_id"), held.str("hold_id"), 2_000)
}
