//! A campaign's record that cannot be read: its own campaign stands still and says so, the others go on.

use serde_json::json;

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

fn on(redis: &OwnRedis) -> Server {
    Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) })
}

/// Puts a record in place of the one that is held, as another binary would; what was held.
fn put_record(redis: &OwnRedis, id: &str, record: &str) -> String {
    let held = redis.ask(&["HGET", "{cfg}:campaigns", id]);
    redis.ask(&["HSET", "{cfg}:campaigns", id, record]);
    redis.ask(&["HINCRBY", "{cfg}:campaigns:v", id, "1"]);
    redis.ask(&["HINCRBY", "{cfg}:h", "rev", "1"]);
    held
}

/// The same with a member missing that every record has.
fn without(record: &str, member: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(record).expect("a record is JSON");
    assert!(record.as_object_mut().expect("an object").remove(member).is_some());
    record.to_string()
}

fn readyz(server: &Server) -> Reply {
    let reply = server.client.get("/readyz").expect("an answer");
    assert_eq!(reply.status, 200, "one campaign does not turn the node red: {}", reply.text());
    reply
}

#[track_caller]
fn wait_told(server: &Server, id: &str, told: bool) {
    let words = format!("{id}: its record cannot be read");
    wait_until(&format!("readyz names {id}: {told}"), || {
        (readyz(server).text().contains(&words) == told).then_some(())
    });
}

#[track_caller]
fn unavailable(reply: Reply) {
    let refused = reply.refused(503, "store_unavailable");
    assert_eq!(refused.str("outcome"), "not_applied", "{}", refused.text());
}

#[test]
fn a_record_that_cannot_be_read_stops_its_own_campaign_alone_on_every_node() {
    let redis = OwnRedis::start();
    let first = on(&redis);
    let (broken, other) = (new_campaign_id("broken"), new_campaign_id("other"));
    let draft = new_campaign_id("draft");
    for id in [&broken, &other] {
        first.create_campaign(&chengdu(id, 10)).ok();
        first.publish(id);
    }
    first.create_campaign(&chengdu(&draft, 10)).ok();
    // Where older binaries kept drafts.
    let held = redis.ask(&["HGET", "{cfg}:drafts", &format!("default/{draft}")]);
    put_record(&redis, &draft, &held);
    redis.ask(&["HDEL", "{cfg}:drafts", &format!("default/{draft}")]);
    first.set_clock(at("2020-07-13T09:00:00"));
    let held = put_record(&redis, &draft, "{");
    wait_told(&first, &draft, true);
    put_record(&redis, &draft, &held);
    wait_told(&first, &draft, false);

    let held = redis.ask(&["HGET", "{cfg}:campaigns", &broken]);
    put_record(&redis, &draft, "{");
    put_record(&redis, &broken, &without(&held, "rounds"));
    wait_told(&first, &broken, true);
    let second = redis.node("2020-07-13T09:00:00+08:00", 1, Some(&first));
    let stranger = first.create_key("officer", "another");
    let person = &Resident::many(1)[0];
    for server in [&first, &second] {
        wait_told(server, &broken, true);
        wait_told(server, &draft, true);
        let stats = server.office("GET", &format!("/v1/campaigns/{broken}/stats"), None);
        let told = stats.refused(503, "store_unavailable").text().to_string();
        assert!(told.contains("record of this campaign cannot be read"), "{told}");
        unavailable(server.office("GET", &format!("/v1/campaigns/{broken}"), None));
        unavailable(server.pause(&broken, &["claim"]));
        unavailable(server.create_campaign(&chengdu(&broken, 10)));
        unavailable(server.reserve(&broken, person));
        for id in [&broken, &draft] {
            for path in [format!("/v1/campaigns/{id}"), format!("/v1/campaigns/{id}/stats")] {
                assert_eq!(server.office_as(&stranger, "GET", &path, None).status, 404, "{path} of another program");
            }
        }
        assert_eq!(server.reserve(&draft, person).status, 404, "a draft does not exist for residents");
        server.pause(&other, &["claim"]).ok();
        server.office("POST", &format!("/v1/campaigns/{other}/resume"), Some(json!({"scope": ["claim"]}))).ok();
        server.stats(&other);
    }
    first.reserve(&other, person).ok();
    put_record(&redis, &broken, &held);
    wait_told(&second, &broken, false);
    second.stats(&broken);
}

#[test]
fn money_of_a_campaign_that_cannot_be_read_is_neither_moved_nor_left_out_nor_called_clean() {
    let redis = OwnRedis::start();
    let market = Market::open_on(on(&redis), chengdu(&new_campaign_id("broken"), 10), 2);
    let (till, shopper) = (market.till(), market.shopper());
    let id = market.campaign().to_string();
    let server = market.server();
    let redeemed = new_order();
    server.redeem(&till, &sale(&redeemed, &server.pay_code(&shopper), 7000, true)).ok();
    let order = server.order(&till, &redeemed).ok();
    let date = server.office("GET", "/v1/sandbox/clock", None).ok().str("now")[..10].to_string();
    let statement = server.settlement(&date, &till.merchant_id).ok().json;
    server.assert_audit_clean();

    let stranger = server.create_key("finance", "another");
    let held = redis.ask(&["HGET", "{cfg}:campaigns", &id]);
    for record in [without(&held, "rounds"), "{".to_string()] {
        put_record(&redis, &id, &record);
        wait_told(server, &id, true);
        unavailable(server.reverse(&till, &redeemed));
        unavailable(server.refund(&till, &redeemed, "r1", 1000));
        unavailable(server.order(&till, &redeemed));
        unavailable(server.settlement(&date, &till.merchant_id));
        // Whose it is was known before, so nobody else's books wait for it.
        server.office_as(&stranger, "GET", &format!("/v1/settlements/{date}"), None).ok();
        let audit = server.command(&["audit"]);
        let said = String::from_utf8_lossy(&audit.stdout).to_string();
        assert_eq!(audit.status.code(), Some(1), "{said}");
        assert!(said.contains("campaign_unreadable") && said.contains(&id), "{said}");
        put_record(&redis, &id, &held);
        wait_told(server, &id, false);
    }
    assert_eq!(server.order(&till, &redeemed).ok().json, order.json);
    assert_eq!(server.settlement(&date, &till.merchant_id).ok().json, statement);
    server.reverse(&till, &redeemed).ok();
    server.assert_audit_clean();
}
