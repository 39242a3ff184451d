//! A node that writes a configuration record again keeps what a newer binary has put into it and it does not know itself.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::Request;
use crate::harness::fixture::{EVE, at, chengdu, merchant, new_campaign_id};
use crate::harness::redis::OwnRedis;

fn record(redis: &OwnRedis, kind: &str, id: &str) -> Value {
    serde_json::from_str(&redis.ask(&["HGET", &format!("{{cfg}}:{kind}"), id])).expect("a record is JSON")
}

/// The id of the one record of a kind.
fn only_id(redis: &OwnRedis, kind: &str) -> String {
    redis.ask(&["EVAL", "return redis.call('HKEYS', KEYS[1])[1]", "1", &format!("{{cfg}}:{kind}")])
}

/// Puts a member of a version to come at each of these places of a record.
fn plant(redis: &OwnRedis, kind: &str, id: &str, places: &[&str]) {
    let mut planted = record(redis, kind, id);
    for place in places {
        let at = planted.pointer_mut(place).unwrap_or_else(|| panic!("{kind} {id} has no {place}"));
        at["of_a_version_to_come"] = json!({"n": [1, 2]});
    }
    redis.ask(&["HSET", &format!("{{cfg}}:{kind}"), id, &planted.to_string()]);
}

#[track_caller]
fn check(redis: &OwnRedis, kind: &str, id: &str, places: &[&str]) {
    let held = record(redis, kind, id);
    for place in places {
        let member = held.pointer(place).map(|at| &at["of_a_version_to_come"]);
        assert_eq!(member, Some(&json!({"n": [1, 2]})), "{kind} {id} at {place:?}: {held}");
    }
}

fn put(server: &Server, method: &str, path: &str, body: Value) {
    server.office(method, path, Some(body)).ok();
}

fn send_list(server: &Server, csv: &str) {
    let mut request =
        Request::new("PUT", "/v1/lists/shops").bearer(&server.admin_key).header("content-type", "text/csv");
    request.body = csv.as_bytes().to_vec();
    server.send(&request).ok();
}

#[test]
fn members_that_a_node_does_not_know_stay_in_every_record_that_it_replaces() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let id = new_campaign_id("carried");
    server.create_campaign(&chengdu(&id, 10)).ok();
    let draft = only_id(&redis, "drafts");
    // The draft is rewritten by every step, and becomes the campaign.
    plant(&redis, "drafts", &draft, &[""]);
    server.step(&id, "submit").ok();
    check(&redis, "drafts", &draft, &[""]);
    server.step(&id, "approve").ok();
    server.step(&id, "publish").ok();
    check(&redis, "campaigns", &id, &[""]);
    plant(&redis, "campaigns", &id, &["/rounds/0"]);
    server.pause(&id, &["claim"]).ok();
    check(&redis, "campaigns", &id, &["", "/rounds/0"]);

    server.set_clock(at("2020-07-13T09:00:00"));
    server.create_merchant(&merchant("M001")).ok();
    let till = server.create_terminal("M001", "t1");
    server.enrol(&id, "M001");
    let of_merchant = ["", "/merchant", &format!("/enrolments/{id}"), "/terminals/t1", "/merchant/stores/1"];
    plant(&redis, "merchants", "M001", &of_merchant);
    plant(&redis, "till-keys", &till.key_id, &[""]);
    put(&server, "POST", "/v1/merchants/M001/freeze", json!({"reason": "a test"}));
    put(&server, "POST", &format!("/v1/campaigns/{id}/merchants/M001/suspend"), json!({}));
    put(&server, "POST", "/v1/merchants/M001/terminals/t1/rotate", json!({}));
    check(&redis, "merchants", "M001", &of_merchant);
    check(&redis, "till-keys", &till.key_id, &[""]);

    let circle = |radius: i64| json!({"circle": {"center": [104.0657, 30.6595], "radius_m": radius}});
    put(&server, "PUT", "/v1/areas/inner", circle(500));
    send_list(&server, "merchant_id\nm-1\n");
    for (kind, places) in [("areas", ["", "/versions/0"]), ("lists", ["", "/versions/0"])] {
        let field = only_id(&redis, kind);
        plant(&redis, kind, &field, &places);
    }
    put(&server, "PUT", "/v1/areas/inner", circle(600));
    send_list(&server, "merchant_id\nm-1\nm-2\n");
    for (kind, places) in [("areas", ["", "/versions/0"]), ("lists", ["", "/versions/0"])] {
        let field = only_id(&redis, kind);
        check(&redis, kind, &field, &places);
    }
}
