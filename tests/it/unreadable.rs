//! A record that cannot be read, of a campaign, a merchant or a person: what cannot go on without it stands still and says so, the rest goes on.

use serde_json::json;

use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{self, EVE, Market, at, chengdu, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};
use crate::list::{csv_of, put_list};

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

const PEOPLE: &str = "{s000}:c*:p:*";
const ORDERS: &str = "{s000}:o:*";

/// Puts other bytes in place of a record in one of these buckets; where it stands, the field in hex, and what it was.
fn spoil(redis: &OwnRedis, buckets: &str) -> (String, String, String) {
    let script = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do local found = redis.call('HGETALL', key) \
        local hex = function(text) return (text:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end \
        redis.call('HSET', key, found[1], 'no record') return key .. ' ' .. hex(found[1]) .. ' ' .. hex(found[2]) end";
    let told = redis.ask(&["EVAL", script, "0", buckets]);
    let mut words = told.split(' ').map(str::to_owned);
    let mut word = || words.next().expect("a record");
    (word(), word(), word())
}

fn mend(redis: &OwnRedis, (key, field, record): &(String, String, String)) {
    let script = "local raw = function(hex) return (hex:gsub('..', function(c) return string.char(tonumber(c, 16)) end)) end \
        return redis.call('HSET', KEYS[1], raw(ARGV[1]), raw(ARGV[2]))";
    redis.ask(&["EVAL", script, "1", key, field, record]);
}

#[track_caller]
fn audit_says(server: &Server, words: &str) {
    let audit = server.command(&["audit"]);
    let said = String::from_utf8_lossy(&audit.stdout).to_string();
    assert!(audit.status.code() == Some(1) && said.contains(words), "{said}");
}

#[test]
fn a_list_waits_for_a_persons_record_that_cannot_be_read_and_says_whose_and_other_rounds_go_on() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    let people = Resident::many(3);
    let id = new_campaign_id("person");
    let mut file = chengdu(&id, 10);
    file["budget"] = json!(20 * 8_000);
    let grant = json!({"round_id": "later", "mode": "grant", "entries_list": "nurses", "packs": {"standard": 10},
        "reservation": null, "credit_at": "2020-07-21T12:00:00+08:00"});
    file["rounds"].as_array_mut().expect("rounds").push(grant);
    let granted = Resident::many(4);
    put_list(&server, "nurses", &csv_of(&granted)).ok();
    server.create_campaign(&file).ok();
    server.publish(&id);
    server.set_clock(at("2020-07-14T09:00:00"));
    people.iter().for_each(|person| drop(server.reserve(&id, person).ok()));
    let spoilt = spoil(&redis, PEOPLE);

    server.set_clock(at("2020-07-22T10:00:00"));
    let named = format!("{id} rain: stands still, because the record of person {}", spoilt.1);
    wait_until("readyz names the record", || readyz(&server).text().contains(&named).then_some(()));
    wait_until("the other round is credited", || (server.stats(&id)["issued"] == 4).then_some(()));
    assert_eq!(server.stats(&id)["rounds"][0]["list"], "closing");
    audit_says(&server, "unreadable_record");
    assert_eq!(server.told(&spoilt.1), 1, "told once, not at every turn: {}", server.log_tail());

    mend(&redis, &spoilt);
    wait_until("the list is closed and drawn", || (server.stats(&id)["rounds"][0]["winners"] == 3).then_some(()));
    assert!(!readyz(&server).text().contains("stands still"));
    wait_until("the log says that it goes on", || (server.told("a background job goes on") > 0).then_some(()));
    server.assert_audit_clean();
}

#[test]
fn a_row_of_a_grants_list_that_cannot_be_read_is_named_and_keeps_nobody_else_waiting() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    let people = Resident::many(5);
    let id = new_campaign_id("row");
    let mut file = chengdu(&id, 10);
    file["budget"] = json!(10 * 8_000);
    file["rounds"] = json!([{"round_id": "list", "mode": "grant", "entries_list": "nurses", "packs": {"standard": 10},
        "reservation": null, "credit_at": "2020-07-21T12:00:00+08:00"}]);
    put_list(&server, "nurses", &csv_of(&people)).ok();
    server.create_campaign(&file).ok();
    server.publish(&id);
    let spoilt = || {
        let spoilt = spoil(&redis, "{s000}:list:*");
        let named = format!("{id} list: stands still, because the record of member {} of list", &spoilt.1[..8]);
        (spoilt, named)
    };
    let is_counted = || redis.ask(&["HGET", "{cfg}:campaigns", &id]).contains("\"grant\":{").then_some(());
    let (mut row, mut named) = spoilt();
    if is_counted().is_none() {
        // Without it nobody knows what the list asks for.
        let waits = || readyz(&server).text().contains(&named);
        wait_until("the count waits, or had read the row", || (waits() || is_counted().is_some()).then_some(()));
        mend(&redis, &row);
        wait_until("the list is counted", is_counted);
        (row, named) = spoilt();
    }
    server.set_clock(at("2020-07-21T12:00:00"));
    wait_until("readyz names the row", || readyz(&server).text().contains(&named).then_some(()));
    wait_until("the others are credited", || (server.stats(&id)["issued"] == 4).then_some(()));
    mend(&redis, &row);
    wait_until("everybody is credited", || (server.stats(&id)["issued"] == 5).then_some(()));
    wait_until("nothing stands still", || (!readyz(&server).text().contains("stands still")).then_some(()));
    server.assert_audit_clean();
}

#[test]
fn who_has_a_pack_of_a_round_that_is_out_is_known_though_a_record_cannot_be_read() {
    let redis = OwnRedis::start();
    let people = Resident::many(4);
    let server =
        Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at("2020-03-20T12:00:00+08:00") });
    let rush = Rush::open_on(server, &hangzhou("holders", [2, 2, 2]));
    let passes: Vec<String> = people.iter().map(|person| rush.pass("i", person)).collect();
    let won = rush.tap_on("i", &passes[0]).ok();
    let spoilt = spoil(&redis, PEOPLE);
    assert_eq!(rush.tap_on("i", &passes[1]).ok().str("outcome"), "won");
    // Whoever taps now asks for the holders to be read, and later ones are answered from memory.
    let sold_out = || rush.tap_on("i", &passes[2]).ok().str("outcome") == "sold_out";
    wait_until("it is sold out", || sold_out().then_some(()));
    wait_until("the holders are known", || {
        let heard = redis.hears(|| assert!(sold_out()));
        // No script looks at anybody's record.
        let people = spoilt.0.rsplit_once(':').expect("a bucket").0;
        heard.iter().all(|line| !(line.contains("EVALSHA") && line.contains(people))).then_some(())
    });
    let path = format!("/v1/campaigns/{}/rounds/i/claims", rush.campaign);
    let tapped = rush.server.client.send(&Request::new("POST", &path).bearer(&passes[0])).expect("an answer");
    assert!(tapped.status >= 500, "nobody is told of a loss that is none: {}", tapped.text());
    mend(&redis, &spoilt);
    let again = rush.tap_on("i", &passes[0]).ok();
    assert_eq!((again.str("outcome"), &again["pack"]), ("won", &won["pack"]));
    rush.server.assert_audit_clean();
}

#[test]
fn a_merchants_state_on_its_slot_that_cannot_be_read_keeps_no_order_that_has_begun() {
    let redis = OwnRedis::start();
    let market = Market::open_on(on(&redis), chengdu(&new_campaign_id("slot"), 10), 6);
    let (server, till) = (market.server(), market.till());
    let begin = |capture: bool| {
        let code = server.pay_code(&market.shopper());
        server.redeem(&till, &sale(&new_order(), &code, 7_000, capture)).ok()
    };
    let (held, left, sold, wrong) = (begin(false), begin(false), begin(true), begin(true));
    let new = sale(&new_order(), &server.pay_code(&market.shopper()), 7_000, true);
    let field = format!("m:{}", till.merchant_id);
    redis.ask(&[
        "EVAL",
        "redis.call('HSET', KEYS[1], 'kept', redis.call('HGET', KEYS[1], ARGV[1])) \
        return redis.call('HSET', KEYS[1], ARGV[1], 'x')",
        "1",
        "{m000}:h",
        &field,
    ]);
    // A change of the configuration, after which a node looks at its merchants again.
    server.create_merchant(&fixture::merchant(&new_merchant_id())).ok();

    let order = |reply: &Reply| reply.str("order_id").to_string();
    let (request, _) = till.request("POST", "/v1/redemptions", &new.to_string());
    let begun = server.client.send(&request).expect("an answer");
    assert!(begun.status >= 500, "nothing begins where it is not known whether it may: {}", begun.text());
    assert_eq!(server.order(&till, &order(&held)).ok().str("state"), "held");
    server.confirm(&till, &order(&held), held.str("hold_id"), held.int("payable")).ok();
    server.cancel(&till, &order(&left)).ok();
    server.refund(&till, &order(&sold), "R1", 7_000 - 2_000).ok();
    server.reverse(&till, &order(&wrong)).ok();

    redis.ask(&[
        "EVAL",
        "redis.call('HSET', KEYS[1], ARGV[1], redis.call('HGET', KEYS[1], 'kept')) \
        return redis.call('HDEL', KEYS[1], 'kept')",
        "1",
        "{m000}:h",
        &field,
    ]);
    server.redeem(&till, &new).ok();
    server.assert_audit_clean();
}

#[test]
fn a_hold_whose_record_cannot_be_read_is_told_once_and_ends_when_it_can() {
    let redis = OwnRedis::start();
    let market = Market::open_on(on(&redis), chengdu(&new_campaign_id("hold"), 10), 2);
    let (server, till) = (market.server(), market.till());
    let begin = || {
        let code = server.pay_code(&market.shopper());
        let held = server.redeem(&till, &sale(&new_order(), &code, 7_000, false)).ok();
        held.str("order_id").to_string()
    };
    let broken = begin();
    let spoilt = spoil(&redis, ORDERS);
    let other = begin();
    server.set_clock(at("2020-07-25T12:03:00"));
    wait_until("the other hold is ended", || {
        (server.order(&till, &other).ok().str("state") == "expired").then_some(())
    });
    wait_until("it is told", || (server.told(&spoilt.1) > 0).then_some(()));
    audit_says(server, "unreadable_record");
    assert_eq!(server.told(&spoilt.1), 1, "told once, not at every turn: {}", server.log_tail());

    mend(&redis, &spoilt);
    wait_until("it is told that it goes on", || (server.told(&spoilt.1) == 2).then_some(()));
    assert_eq!(server.order(&till, &broken).ok().str("state"), "expired");
    server.assert_audit_clean();
}
