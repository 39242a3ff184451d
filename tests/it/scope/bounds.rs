//! How much a program may have, and what it may take away again.

use serde_json::{Value, json};

use super::City;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, chengdu, merchant};
use crate::harness::redis::OwnRedis;

/// Fills a program's ids of a kind up to so many, in steps that let the store answer others in between.
fn fill(redis: &OwnRedis, kind: &str, program: &str, count: usize) {
    let script = "redis.call('HSET', KEYS[1], '*', '') local n = redis.call('HLEN', KEYS[1]) - 1 \
        for i = n + 1, math.min(n + 20000, tonumber(ARGV[1])) do redis.call('HSET', KEYS[1], 'planted/' .. i, '') end \
        return tostring(redis.call('HLEN', KEYS[1]) - 1)";
    let step = || redis.ask(&["EVAL", script, "1", &format!("{{cfg}}:of:{kind}:{program}"), &count.to_string()]);
    while step() != count.to_string() {}
}

#[test]
fn a_program_that_has_as_much_as_it_may_is_told_how_much_and_no_other_is_kept_from_anything() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let cities = ["left", "right"].map(|program| City::new(&server, program));
    let circle = |radius: usize| json!({"circle": {"center": [104.0657, 30.6595], "radius_m": radius + 1}});
    type Make<'a> = &'a dyn Fn(&City, usize) -> Reply;
    let table: &[(&str, usize, Make)] = &[
        ("drafts", 1_000, &|city, n| server.create_campaign_as(&city.key, &chengdu(&format!("draft-{n}"), 10))),
        ("lists", 1_000, &|city, n| city.send_file("PUT", &format!("/v1/lists/l{n}"), "merchant_id\nm-1\n")),
        ("areas", 1_000, &|city, n| city.ask("PUT", &format!("/v1/areas/a{n}"), Some(circle(n)))),
        ("merchants", 1_000_000, &|city, n| city.ask("POST", "/v1/merchants", Some(merchant(&format!("M{n}"))))),
        ("till-keys", 100_000, &|city, _| {
            city.ask("POST", "/v1/till-keys", Some(json!({"kind": "platform", "channels": ["wechat"]})))
        }),
    ];
    for (kind, most, make) in table {
        assert!(make(&cities[0], 0).is_success(), "{kind}");
        fill(&redis, kind, "left", most - 1);
        let last = make(&cities[0], 1);
        assert!(last.is_success(), "{kind}: the last one: {}", last.text());
        let told = make(&cities[0], 2).refused(422, "invalid_request");
        assert_eq!(told.faults(), [" too_many"], "{kind}: {}", told.text());
        for language in ["zh", "en"] {
            let message = told["errors"][0]["message"][language].as_str().expect("a message");
            assert!(message.contains(&most.to_string()), "{kind}: {message}");
        }
        assert!(make(&cities[1], 2).is_success(), "{kind}: another program");
    }
    // What there is may still be changed.
    assert!(cities[0].ask("PUT", "/v1/areas/a0", Some(circle(900))).is_success());
    assert!(cities[0].send_file("PUT", "/v1/lists/l0", "merchant_id\nm-2\n").is_success());
}

#[test]
fn a_draft_can_be_removed_and_a_published_campaign_cannot() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let [city, other] = ["left", "right"].map(|program| City::new(&server, program));
    let path = format!("/v1/campaigns/{}", city.campaign);
    let put = |city: &City, packs: i64| {
        let request = Request::new("PUT", &path).bearer(&city.key).header("if-none-match", "*");
        city.server.send(&request.json(&chengdu(path.rsplit('/').next().expect("an id"), packs)))
    };
    let delete = |city: &City, version: Option<&str>| {
        let request = Request::new("DELETE", &path).bearer(&city.key);
        city.server.send(&match version {
            Some(version) => request.header("if-match", version),
            None => request,
        })
    };
    let first = put(&city, 10).ok().header("etag").expect("an ETag").to_owned();
    put(&other, 20).ok();
    delete(&city, None).refused(428, "precondition_required");
    delete(&city, Some("\"7\"")).refused(412, "precondition_failed");
    assert_eq!(delete(&city, Some(&format!("\"7\", {first}"))).status, 204);
    delete(&city, Some(&first)).refused(404, "not_found");
    assert_eq!(redis.ask(&["HGET", "{cfg}:of:drafts:left", &format!("left/{}", city.campaign)]), "");
    assert_eq!(other.ask("GET", &path, None).ok()["totals"]["packs"], json!(20), "another program's draft of that id");
    // Who has read the draft that is gone does not remove the one that came after it.
    let second = put(&city, 30).ok().header("etag").expect("an ETag").to_owned();
    assert_ne!(second, first);
    delete(&city, Some(&first)).refused(412, "precondition_failed");
    for verb in ["submit", "approve", "publish"] {
        city.ask("POST", &format!("{path}/{verb}"), Some(json!({}))).ok();
    }
    let published = city.ask("GET", &path, None).ok().header("etag").expect("an ETag").to_owned();
    let told = delete(&city, Some(&published)).refused(409, "campaign_state_refuses");
    assert_eq!(told["state"], Value::from("published"));
    assert_eq!(delete(&other, Some("*")).status, 204);
    assert_eq!(redis.ask(&["HLEN", "{cfg}:drafts"]), "0");
    server.assert_audit_clean();
}
