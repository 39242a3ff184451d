//! A running service sees what its store really is: settings, role and memory that change under it, and it says goodbye before it goes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{self, EVE, Market, Round, chengdu, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
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
fn a_store_that_was_emptied_under_the_service_turns_readyz_red_and_takes_nothing() {
    let redis = OwnRedis::start();
    let id = new_campaign_id("emptied");
    let round = Round::reserved_on(on(&redis), chengdu(&id, 4), 1);
    redis.ask(&["FLUSHALL"]);
    wait_red(&round.server, "store_data", "emptied or replaced");
    let refused = round.server.reserve(&id, &Resident::many(1)[0]);
    assert_eq!((refused.status, refused.str("code")), (503, "store_unavailable"), "{}", refused.text());
    assert!(round.server.told("\"code\":\"store_unavailable\"") > 0, "{}", round.server.log_tail());
    let output = round.server.command(&["audit"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && said.contains("it is empty"), "{said}");
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

/// Verbs that only take away, and the bodies that they are sent with.
fn stops(paused: &str, stopped: &str, ids: &[&str], keys: &[String]) -> Vec<(String, Value)> {
    let (why, end) = (|| json!({"reason": "fraud"}), || json!({"keep_previous": false}));
    let enrolled = |merchant: &str, verb: &str| format!("/v1/campaigns/{paused}/merchants/{merchant}/{verb}");
    let terminal = |merchant: &str, verb: &str| format!("/v1/merchants/{merchant}/terminals/t1/{verb}");
    vec![
        (format!("/v1/campaigns/{paused}/pause"), json!({"scope": ["claim"], "reason": "fraud"})),
        (format!("/v1/campaigns/{stopped}/stop"), why()),
        (format!("/v1/merchants/{}/freeze", ids[1]), why()),
        (enrolled(ids[2], "suspend"), why()),
        (enrolled(ids[3], "leave"), why()),
        (terminal(ids[4], "rotate"), end()),
        (terminal(ids[5], "revoke"), why()),
        (format!("/v1/till-keys/{}/rotate", keys[0]), end()),
        (format!("/v1/till-keys/{}/revoke", keys[1]), why()),
    ]
}

/// Verbs that give.
fn starts(paused: &str, ids: &[&str], platform: Value) -> Vec<(&'static str, String, Value)> {
    let enrolled = |merchant: &str| format!("/v1/campaigns/{paused}/merchants/{merchant}");
    vec![
        ("POST", format!("/v1/campaigns/{paused}/resume"), json!({})),
        ("POST", format!("/v1/merchants/{}/unfreeze", ids[1]), json!({})),
        ("POST", format!("{}/approve", enrolled(ids[2])), json!({})),
        ("PUT", enrolled(ids[3]), json!({})),
        ("POST", format!("/v1/merchants/{}/terminals", ids[0]), json!({"terminal_id": "t2"})),
        ("POST", "/v1/till-keys".to_string(), platform),
        ("POST", "/v1/merchants".to_string(), fixture::merchant(&new_merchant_id())),
    ]
}

/// What only takes away goes on where there is no room left, on the node that is asked and on the others; what gives waits for room.
#[test]
fn on_a_full_store_the_office_stops_what_it_wants_and_starts_nothing() {
    let redis = OwnRedis::start();
    let (paused, stopped) = (new_campaign_id("full"), new_campaign_id("full"));
    let first = on(&redis);
    first.create_campaign(&chengdu(&stopped, 6)).ok();
    first.publish(&stopped);
    let unwanted = format!("/v1/campaigns/{stopped}-b");
    let draft = first.create_campaign(&chengdu(&format!("{stopped}-b"), 6)).ok().header("etag").map(str::to_owned);
    let market = Market::open_on(first, chengdu(&paused, 6), 2);
    let server = market.server();
    let second = redis.node("2020-07-25T12:00:00+08:00", 1, Some(server));
    let tills: Vec<Till> = (0..6).map(|_| market.till()).collect();
    let ids: Vec<&str> = tills.iter().map(|till| till.merchant_id.as_str()).collect();
    let platform = json!({"kind": "platform", "channels": ["wechat"]});
    let keys: Vec<String> = (0..2)
        .map(|_| server.office("POST", "/v1/till-keys", Some(platform.clone())).ok().str("key_id").to_string())
        .collect();
    let sold = server.redeem(&tills[0], &sale(&new_order(), &server.pay_code(&market.shopper()), 7_000, true)).ok();
    let code = server.pay_code(&market.shopper());
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    wait_red(server, "store_writes", "maxmemory");
    for (path, body) in stops(&paused, &stopped, &ids, &keys) {
        let reply = server.office("POST", &path, Some(body));
        assert!(reply.is_success(), "{path}: {}", reply.text());
    }
    let remove =
        Request::new("DELETE", &unwanted).bearer(&server.admin_key).header("if-match", &draft.expect("an ETag"));
    assert_eq!(server.send(&remove).status, 204, "what is taken away makes room");
    // What was begun goes on after the configuration has changed, too.
    assert_eq!(server.reverse(&tills[0], sold.str("order_id")).ok().str("state"), "reversed");
    for server in [server, &second] {
        for (till, code) in [(&tills[4], "signature_invalid"), (&tills[5], "key_revoked")] {
            let told = || server.send(&till.request("GET", "/v1/redemptions/none", "").0).code() == code;
            wait_until(&format!("a till is told {code}"), || told().then_some(()));
        }
    }
    let starts = starts(&paused, &ids, platform);
    for (method, path, body) in &starts {
        let refused = server.office(method, path, Some(body.clone())).refused(503, "store_unavailable");
        assert_eq!(refused.str("outcome"), "not_applied", "{path}");
    }

    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    wait_green(server);
    for (till, told) in [(1, "merchant_frozen"), (2, "merchant_not_enrolled"), (3, "merchant_not_enrolled")] {
        for server in [server, &second] {
            server.redeem(&tills[till], &sale(&new_order(), &code, 7_000, true)).refused_with(told);
        }
    }
    for (method, path, body) in &starts {
        let reply = server.office(method, path, Some(body.clone()));
        assert!(reply.is_success(), "{method} {path}: {}", reply.text());
    }
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

/// `min-replicas-to-write` is looked at by the server at each write: nothing that it refuses has happened, whatever a script did before.
#[test]
fn what_a_server_without_its_replicas_refuses_is_told_as_not_done() {
    let redis = OwnRedis::start();
    let market = Market::open_on(on(&redis), chengdu(&new_campaign_id("replicas"), 3), 3);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let buy = |capture: bool| server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6_000, capture)).ok();
    let (held, done) = (buy(false), buy(true));
    let (held_id, hold, done_id) = (held.str("order_id"), held.str("hold_id"), done.str("order_id"));
    let fresh = sale(&new_order(), &server.pay_code(&market.shopper()), 3_000, true);
    let (unseen, begun) = (new_order(), new_order());
    server
        .redeem(&till, &sale(&begun, &server.pay_code(&market.shopper()), 2_999, true))
        .refused(422, "minimum_not_met");
    redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let check = |verb: &str, reply: Reply| {
        assert!(reply.status == 503, "{verb}: {}", reply.text());
        let said = (reply.code(), reply.str("outcome"));
        assert_eq!(said, ("store_unavailable", "not_applied"), "{verb}: {}", reply.text());
        assert!(reply.header("retry-after").is_some() && reply["retryable"] == true, "{verb}");
    };
    let all = |when: &str| {
        check(&format!("a reverse of what was never seen, {when}"), server.reverse(&till, &unseen));
        check(&format!("a reverse of what was refused, {when}"), server.reverse(&till, &begun));
        check(&format!("a reverse of a hold, {when}"), server.reverse(&till, held_id));
        check(&format!("a reverse, {when}"), server.reverse(&till, done_id));
        check(&format!("a redemption, {when}"), server.redeem(&till, &fresh));
        check(&format!("a confirm, {when}"), server.confirm(&till, held_id, hold, 4_000));
        check(&format!("a cancel, {when}"), server.cancel(&till, held_id));
        check(&format!("a refund, {when}"), server.refund(&till, done_id, "R1", 6_000));
        let code = server.resident(&person, "POST", "/v1/pay-codes", Some(json!({})));
        check(&format!("a pay code, {when}"), code);
    };
    all("before the node has noticed");
    wait_until("the node has noticed", || (server.client.get("/readyz").ok()?.status == 503).then_some(()));
    all("after the node has noticed");
    redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    wait_green(server);
    server.redeem(&till, &fresh).ok();
    assert_eq!(server.reverse(&till, &unseen).ok().str("was"), "unknown");
    server.confirm(&till, held_id, hold, 4_000).ok();
    server.assert_audit_clean();
}
