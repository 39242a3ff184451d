//! Limits on refunds: of a payment, of a merchant, store, terminal, category, channel and pack, by count and by money.

use redis::Commands;
use serde_json::{Value, json};

use super::vectors::{buy, campaign, kind, market};
use crate::harness::fixture::{DAY, Market, SECOND, at};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{together, wait_until};

fn limited(name: &str, people: usize, limits: Value) -> Market {
    market(name, people, json!([kind("60-20", 6_000, 2_000, 4)]), |campaign| campaign["limits"] = limits.clone())
}

fn limit(entities: Value, period: &str, name: &str, most: i64) -> Value {
    let mut limit = json!({"action": "refund", "entities": entities, "period": period});
    limit[name] = json!(most);
    limit
}

#[test]
fn a_payment_has_so_many_refunds_and_so_much_of_the_issuers_share() {
    for (name, most, fits) in [("max_count", 2, 2), ("max_amount", 500, 1)] {
        let market = limited("of-payment", 1, json!([limit(json!(["merchant"]), "payment", name, most)]));
        let (server, till) = (market.server(), market.till());
        let person = market.shopper();
        let order = buy(&market, &till, &person, 6_000, json!({})).ok();
        // A third of what comes back is the issuer's.
        let refund = |number: usize| server.refund(&till, order.str("order_id"), &format!("R{number}"), 900);
        for number in 0..fits {
            refund(number).ok();
            assert!(refund(number).ok().replayed());
        }
        let refused = refund(fits).refused_with("limit_reached");
        assert_eq!(refused["limit"]["period"], "payment", "{}", refused.text());
        let other = buy(&market, &till, &person, 6_000, json!({})).ok();
        server.refund(&till, other.str("order_id"), "R0", 900).ok();
        server.assert_audit_clean();
    }
}

#[test]
fn refunds_are_counted_where_the_order_was_made_over_all_its_people() {
    for (entity, elsewhere) in [
        ("merchant", Some(json!({"till": 1}))),
        ("store", Some(json!({"receipt": {"store": "s2"}}))),
        ("terminal", Some(json!({"till": 1}))),
        ("category", Some(json!({"category": "culture"}))),
        ("channel", None),
        ("pack", None),
    ] {
        let market = limited(entity, 4, json!([limit(json!([entity]), "day", "max_count", 2)]));
        let (server, tills) = (market.server(), [market.till(), market.till()]);
        let sell = |more: &Value| {
            let mut more = more.clone();
            let till = &tills[more["till"].as_u64().unwrap_or(0) as usize];
            more.as_object_mut().expect("an object").remove("till");
            (till, buy(&market, till, &market.shopper(), 6_000, more).ok().str("order_id").to_string())
        };
        let here: Vec<_> = (0..3).map(|_| sell(&json!({"receipt": {"store": "s1"}}))).collect();
        let there = sell(&elsewhere.clone().unwrap_or(json!({})));
        let refund = |one: &(&Till, String), id: &str, amount: i64| server.refund(one.0, &one.1, id, amount);
        refund(&here[0], "R1", 600).ok();
        refund(&here[1], "R1", 6_000).ok();
        assert!(refund(&here[0], "R1", 600).ok().replayed());
        for one in [&here[0], &here[2]] {
            let refused = refund(one, "R2", 600).refused_with("limit_reached");
            assert_eq!(refused["limit"]["entities"], json!([entity]));
        }
        match elsewhere {
            Some(_) => drop(refund(&there, "R1", 600).ok()),
            None => drop(refund(&there, "R1", 600).refused_with("limit_reached")),
        }
        server.set_clock(at("2020-07-25T12:00:00") + DAY);
        refund(&here[2], "R2", 600).ok();
        server.assert_audit_clean();
    }
}

#[test]
fn money_that_goes_back_is_exact_when_all_refunds_come_at_once() {
    let market = limited("refund-rush", 8, json!([limit(json!(["channel"]), "week", "max_amount", 2_500)]));
    let (server, till) = (market.server(), market.till());
    let orders: Vec<String> = (0..8)
        .map(|_| buy(&market, &till, &market.shopper(), 6_000, json!({})).ok().str("order_id").to_string())
        .collect();
    let answers = together(16, |index| {
        wait_until("it is decided", || {
            let reply = server.refund(&till, &orders[index / 2], "R1", 1_500);
            (reply.status != 503).then_some(reply)
        })
    });
    for reply in &answers {
        assert!(reply.is_success() || reply.code() == "limit_reached", "{}", reply.text());
    }
    let booked: i64 = answers
        .iter()
        .filter(|reply| reply.is_success() && !reply.replayed())
        .map(|reply| reply.int("to_issuer"))
        .sum();
    assert_eq!(booked, 2_500, "five of 500");
    // One fen more of the issuer's does not fit.
    let left = (0..8).find(|index| !answers[2 * index].is_success()).expect("three were refused");
    server.refund(&till, &orders[left], "R2", 3).refused_with("limit_reached");
    server.assert_audit_clean();
}

/// The day has one refund of a pack, the campaign two over everybody: who is refused by the first takes nothing of the second.
#[test]
fn a_refund_that_one_limit_refuses_leaves_nothing_taken_of_another() {
    let limits = json!([
        limit(json!(["channel"]), "campaign", "max_count", 2),
        limit(json!(["pack"]), "day", "max_count", 1),
        limit(json!(["channel"]), "week", "max_amount", 100_000),
    ]);
    let market = limited("refused-refund", 3, limits);
    let (server, till) = (market.server(), market.till());
    let orders: Vec<String> = (0..3)
        .map(|_| buy(&market, &till, &market.shopper(), 6_000, json!({})).ok().str("order_id").to_string())
        .collect();
    server.refund(&till, &orders[0], "R1", 600).ok();
    for _ in 0..2 {
        let refused = server.refund(&till, &orders[1], "R1", 600).refused_with("limit_reached");
        assert_eq!(refused["limit"]["entities"], json!(["pack"]), "{}", refused.text());
    }
    server.set_clock(at("2020-07-25T12:00:00") + DAY);
    server.refund(&till, &orders[2], "R1", 600).ok();
    server.assert_audit_clean();
}

/// A node that ends between counting a refund and booking it leaves its mark, and one that ends behind the booking what others asked for.
#[test]
fn what_a_refund_counted_that_was_never_booked_is_given_back() {
    let redis = OwnRedis::start();
    let file = campaign("abandoned", 3, json!([kind("60-20", 6_000, 2_000, 4)]), |campaign| {
        campaign["limits"] = json!([limit(json!(["channel"]), "campaign", "max_count", 2)]);
    });
    let market = Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 1, None), file, 3);
    let (server, till) = (market.server(), market.till());
    server.set_clock(at("2020-07-25T12:00:00") + SECOND);
    let orders: Vec<String> = (0..3)
        .map(|_| buy(&market, &till, &market.shopper(), 6_000, json!({})).ok().str("order_id").to_string())
        .collect();
    server.refund(&till, &orders[0], "R1", 600).ok();
    abandon(&redis);
    server.refund(&till, &orders[1], "R1", 600).refused_with("limit_reached");
    wait_until("nothing but the one refund is counted", || {
        server.refund(&till, &orders[1], "R1", 600).is_success().then_some(())
    });
    server.refund(&till, &orders[2], "R1", 600).refused_with("limit_reached");
    server.assert_audit_clean();
}

/// Of the one refund that is counted, holds two instead of one, and counts one more for the next refund of its order.
fn abandon(redis: &OwnRedis) {
    let client = redis::Client::open(redis.url.as_str()).expect("an address");
    let mut store = client.get_connection().expect("the store answers");
    let named = |pattern: &str, store: &mut redis::Connection| -> (String, Vec<u8>) {
        let keys: Vec<String> = store.keys(pattern).expect("keys");
        let fields: Vec<Vec<u8>> = store.hkeys(&keys[0]).expect("fields");
        (keys[0].clone(), fields[0].clone())
    };
    let (marks, mut mark) = named("{i*}:c*:qm:*", &mut store);
    let (counters, counter) = named("{i*}:c*:q:*", &mut store);
    // {attempt, what it holds, generation}
    let holding = |n: u8| [0x93, 1, n, 1];
    let _: i64 = store.hset(&marks, &mark, &holding(2)[..]).expect("a mark");
    assert_eq!(mark[12..14], [b'r', 0]);
    mark[13] = 1;
    let _: i64 = store.hset(&marks, &mark, &holding(2)[..]).expect("a mark");
    let _: i64 = store.hincr(&counters, &counter, 3).expect("a quota");
}
