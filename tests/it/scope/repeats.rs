//! Every request that makes something is sent again after its answer was lost: there is one of it, and the repeat says which.

use serde_json::{Value, json};

use super::{City, SHOP, two_cities};
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, merchant, sale};
use crate::harness::redis::OwnRedis;

/// How many keys and fields the store has, but for the stream of changes.
fn fields(redis: &OwnRedis) -> i64 {
    let count = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*')) do \
        if redis.call('TYPE', key).ok == 'hash' then n = n + redis.call('HLEN', key) end end return tostring(n)";
    redis.ask(&["EVAL", count, "0"]).parse().expect("a number")
}

impl City<'_> {
    fn make_key(&self, name: &str, body: &Value) -> Reply {
        let request = Request::new("POST", "/v1/till-keys").bearer(&self.key).header("idempotency-key", name);
        self.server.send(&request.json(body))
    }
}

#[test]
fn what_is_made_twice_by_one_name_is_there_once() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let (cities, people) = two_cities(&server, 1);
    let (city, till) = (&cities[0], cities[0].open_shop());
    let head = "merchant_id,code,kind,name_zh,registered_district,operating_district,industry_code\n";
    let code = merchant("M003")["code"].as_str().expect("a code").to_owned();
    let import = format!("{head}M003,{code},enterprise,小店,510104,510104,6210\n");
    let (shop, rise) = (merchant("M004"), json!([{"pointer": "/budget", "current": 8_000, "target": 16_000}]));
    let circle = json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 500}});
    let platform = json!({"kind": "platform", "channels": ["wechat"]});
    let of_shop = json!({"kind": "merchant", "merchant_id": SHOP});
    let order = sale("made-once", &server.pay_code(&people[0]), 3_000, true);
    let table: &[(&str, &dyn Fn() -> Reply)] = &[
        ("POST merchants", &|| city.ask("POST", "/v1/merchants", Some(shop.clone()))),
        ("POST merchants/import", &|| city.send_file("POST", "/v1/merchants/import", &import)),
        ("POST terminals", &|| city.ask("POST", "/v1/merchants/M001/terminals", Some(json!({"terminal_id": "t7"})))),
        ("POST till-keys of a platform", &|| city.make_key("our-platform", &platform)),
        ("POST till-keys of a merchant", &|| city.make_key("our-shop", &of_shop)),
        ("PUT lists", &|| city.send_file("PUT", "/v1/lists/more", "merchant_id\nM009\n")),
        ("PUT areas", &|| city.ask("PUT", "/v1/areas/more", Some(circle.clone()))),
        ("PUT merchants of a campaign", &|| {
            city.ask("PUT", "/v1/campaigns/{campaign}/merchants/M001", Some(json!({})))
        }),
        ("POST amendments", &|| {
            let body = json!({"amendment_id": "more", "reason": "more money", "changes": rise});
            city.ask("POST", "/v1/campaigns/{campaign}/amendments", Some(body))
        }),
        ("POST redemptions", &|| server.redeem(&till, &order)),
        ("POST refunds", &|| server.refund(&till, "made-once", "R1", 3_000)),
        ("POST reverse", &|| server.reverse(&till, "never-seen")),
    ];
    for (what, send) in table {
        let first = send();
        assert!(first.is_success(), "{what}: {} {}", first.status, first.text());
        let before = fields(&redis);
        let again = send();
        assert!(again.is_success(), "{what} again: {} {}", again.status, again.text());
        assert_eq!(fields(&redis), before, "{what} again made something");
        for name in ["key_id", "merchant_id", "version", "transaction_id", "amendment_id"] {
            assert_eq!(again[name], first[name], "{what}: {name}");
        }
    }
    server.assert_audit_clean();
}

#[test]
fn a_till_key_is_made_once_by_its_idempotency_key_and_who_lost_the_secret_rotates_it() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let [city, other] = ["left", "right"].map(|program| City::new(&server, program));
    let platform = json!({"kind": "platform", "channels": ["wechat"]});
    let made = city.make_key("counter-1", &platform);
    assert_eq!(made.status, 201, "{}", made.text());
    let again = city.make_key("counter-1", &platform);
    assert_eq!((again.status, again.replayed()), (200, true), "{}", again.text());
    assert_eq!((&again["key_id"], &again["secret"]), (&made["key_id"], &Value::Null), "a secret is shown once");
    let path = format!("/v1/till-keys/{}/rotate", made.str("key_id"));
    assert!(city.ask("POST", &path, Some(json!({"from_version": 1}))).ok()["secret"].is_string());
    let another = json!({"kind": "platform", "channels": ["alipay"]});
    let told = city.make_key("counter-1", &another).refused(409, "till_key_conflict");
    assert_eq!(told["fields"], json!(["channels"]), "{}", told.text());
    assert_eq!(other.make_key("counter-1", &platform).status, 201, "the name is the program's own");
    assert_ne!(city.make_key("counter-2", &platform).ok()["key_id"], made["key_id"]);
    let plain = || city.ask("POST", "/v1/till-keys", Some(platform.clone())).ok()["key_id"].clone();
    assert_ne!(plain(), plain(), "without a name each request is a new key");
    city.make_key(&"x".repeat(256), &platform).refused(422, "invalid_request");
}

#[test]
fn a_terminal_that_could_not_be_made_leaves_no_key_behind() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let city = City::new(&server, "left");
    city.ask("POST", "/v1/merchants", Some(merchant(SHOP))).ok();
    let may = |keys: &[&str]| redis.ask(&[&["ACL", "SETUSER", "default", "resetkeys"], keys].concat());
    let terminal =
        || Request::new("POST", "/v1/merchants/M001/terminals").bearer(&city.key).json(&json!({"terminal_id": "t1"}));
    let ask = || server.client.send(&terminal()).expect("an answer");
    let keys = || redis.ask(&["HLEN", "{cfg}:till-keys"]);
    // Merchants can be read and not written; then the same of keys.
    let others = ["~{s*", "~{m*", "~{i*", "~{r*", "~{cfg}:[^mt]*"];
    may(&[&others[..], &["%R~{cfg}:m*", "~{cfg}:t*"]].concat());
    for _ in 0..3 {
        assert!(ask().status >= 500);
    }
    assert_eq!(keys(), "0");
    may(&[&others[..], &["~{cfg}:m*", "%R~{cfg}:t*"]].concat());
    assert!(ask().status >= 500);
    may(&["~*"]);
    let made = ask().ok();
    assert!(made.status == 201 && made["secret"].is_string(), "nobody has seen it: {} {}", made.status, made.text());
    assert_eq!(keys(), "1");
    assert_eq!((ask().status, ask()["secret"].clone()), (200, Value::Null));
}
