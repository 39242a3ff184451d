//! A running service sees what its store really is: settings, role and memory that change under it, and it says goodbye before it goes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::fixture::{EVE, Market, Round, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, poll, wait_until};

fn on(redis: &OwnRedis) -> Server {
    Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) })
}

/// Waits until `readyz` has a check red with these words.
#[track_caller]
fn wait_red(server: &Server, name: &str, words: &str) {
    wait_until(&format!("readyz says {name}: {words}"), || {
        let reply = server.client.get("/readyz").ok()?;
        let checks = reply["checks"].as_array()?.clone();
        let red = |check: &Value| {
            let detail = check["detail"].as_str().unwrap_or_default();
            check["name"] == name && check["ok"] == false && detail.contains(words)
        };
        (reply.status == 503 && checks.iter().any(red)).then_some(())
    });
}

#[track_caller]
fn wait_green(server: &Server) {
    wait_until("readyz is green", || (server.client.get("/readyz").ok()?.status == 200).then_some(()));
}

#[test]
fn nothing_is_written_below_the_declared_level_until_the_setting_is_back() {
    let redis = OwnRedis::start();
    let id = new_campaign_id("level");
    let round = Round::reserved_on(on(&redis), chengdu(&id, 4), 1);
    let server = &round.server;
    for (name, value, words, back) in [
        ("appendfsync", "everysec", "CONFIG SET appendfsync always", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite no", "no"),
        ("appendonly", "no", "CONFIG SET appendonly yes", "yes"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy noeviction", "noeviction"),
    ] {
        redis.ask(&["CONFIG", "SET", name, value]);
        wait_red(server, "store_level", words);
        let person = &Resident::many(1)[0];
        let refused = server.reserve(&id, person);
        assert_eq!((refused.status, refused.str("code")), (503, "store_unavailable"), "{name} {value}");
        assert_eq!(refused.str("outcome"), "not_applied");
        redis.ask(&["CONFIG", "SET", name, back]);
        wait_green(server);
        server.reserve(&id, person).ok();
    }
    server.assert_audit_clean();
}

#[test]
fn a_store_that_became_a_replica_turns_readyz_red_and_back() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    redis.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_red(&server, "store_writes", "it has become a replica");
    wait_red(&server, "store_level", "name the primary");
    redis.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_green(&server);
}

#[test]
fn a_full_store_takes_no_new_money_and_what_was_begun_goes_on() {
    let redis = OwnRedis::start();
    let id = new_campaign_id("full");
    let market = Market::open_on(on(&redis), chengdu(&id, 6), 6);
    let (server, till) = (market.server(), market.till());
    let people: Vec<Resident> = (0..6).map(|_| market.shopper()).collect();
    let body = |person: usize, order: &str, capture: bool| {
        let code = server.pay_code(&people[person]);
        json!({"order_id": order, "pay_code": code, "amount": 6_000, "category": "catering", "capture": capture})
    };
    let taken = |person: usize, order: &str, capture: bool| server.redeem(&till, &body(person, order, capture)).ok();
    let (confirmed, _) = (taken(0, "confirm", false), taken(1, "cancel", false));
    for (person, order) in [(2, "refund"), (3, "reverse")] {
        taken(person, order, true);
    }
    let (late, later) = (body(4, "late", true), body(5, "later", false));

    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    wait_red(server, "store_writes", "maxmemory");
    for refused in [server.redeem(&till, &late), server.redeem(&till, &later)] {
        assert_eq!((refused.status, refused.str("code")), (503, "store_unavailable"), "{}", refused.text());
        assert_eq!(refused.str("outcome"), "not_applied");
    }
    let paid = confirmed["payable"].as_i64().expect("fen");
    let held = confirmed.str("hold_id");
    assert_eq!(server.confirm(&till, "confirm", held, paid).ok().str("state"), "redeemed");
    assert_eq!(server.cancel(&till, "cancel").ok().str("state"), "cancelled");
    assert_eq!(server.refund(&till, "refund", "R1", 6_000).ok().str("state"), "refunded");
    assert_eq!(server.reverse(&till, "reverse").ok().str("state"), "reversed");
    assert_eq!(server.reverse(&till, "never-seen").ok().str("was"), "unknown");

    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_green(server);
    assert_eq!(server.redeem(&till, &late).ok().str("state"), "redeemed");
    server.assert_audit_clean();
}

#[test]
fn a_node_that_is_told_to_end_says_so_first_and_takes_requests_meanwhile() {
    let notice = vec![("QUANYU_NOTICE_SECONDS", "600".to_string())];
    let server = Server::start(Options { settings: notice, ..Options::at(EVE) });
    server.tell_to_end();
    wait_red(&server, "serving", "draining");
    assert_eq!(server.client.get("/livez").expect("a connection").status, 200);
    server.office("GET", "/v1/sandbox/clock", None).ok();
    assert_eq!(server.ended(), None);
    server.tell_to_end();
    let ended = poll(Duration::from_secs(30), || server.ended());
    assert_eq!(ended, Some(0), "a second signal ends the notice");
}
