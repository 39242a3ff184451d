//! Work for one program does not grow with what others have.

use serde_json::json;

use super::{City, SHOP, two_cities_with};
use crate::harness::fixture::{EVE, merchant};
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, wait_until};

#[test]
fn a_list_of_a_programs_till_keys_reads_no_other_programs_keys() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let [quiet, busy] = ["quiet", "busy"].map(|program| City::new(&server, program));
    let make = |city: &City| {
        let body = json!({"kind": "platform", "channels": ["wechat"]});
        city.ask("POST", "/v1/till-keys", Some(body)).ok().str("key_id").to_owned()
    };
    let others: Vec<String> = (0..30).map(|_| make(&busy)).collect();
    let own = make(&quiet);
    let heard = redis.hears(|| {
        let listed = quiet.ask("GET", "/v1/till-keys", None).ok();
        assert_eq!((listed["items"].as_array().map(Vec::len), &listed["items"][0]["key_id"]), (Some(1), &json!(own)));
    });
    let walks = heard
        .iter()
        .filter(|line| line.contains("SCAN\" \"{cfg}:till-keys\"") || line.contains("HGETALL\" \"{cfg}:till"));
    assert_eq!(walks.collect::<Vec<_>>(), Vec::<&String>::new(), "whole readings of all keys");
    let named = heard.iter().filter(|line| others.iter().any(|key_id| line.contains(key_id)));
    assert_eq!(named.collect::<Vec<_>>(), Vec::<&String>::new(), "keys of the other program");
}

#[test]
fn keys_that_were_made_before_there_was_a_list_of_them_are_on_it() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let [left, right] = ["left", "right"].map(|program| City::new(&server, program));
    let make = |city: &City| {
        let body = json!({"kind": "platform", "channels": ["wechat"]});
        city.ask("POST", "/v1/till-keys", Some(body)).ok().str("key_id").to_owned()
    };
    let mut old = [make(&left), make(&left)];
    make(&right);
    // As an older binary left the store: the keys alone.
    redis.ask(&["DEL", "{cfg}:of:till-keys:left", "{cfg}:of:till-keys:right"]);
    let listed = |city: &City| {
        let told = city.ask("GET", "/v1/till-keys", None).ok();
        let items = told["items"].as_array().expect("items").iter();
        items.map(|one| one["key_id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    old.sort_unstable();
    assert_eq!(listed(&left), old);
    let newest = make(&left);
    let mut all = [old.to_vec(), vec![newest]].concat();
    all.sort_unstable();
    assert_eq!(listed(&left), all);
    assert_eq!(listed(&right).len(), 1);
}

#[test]
fn a_pay_code_with_a_place_looks_at_the_areas_of_campaigns_in_which_its_person_takes_part() {
    let redis = OwnRedis::start();
    let server: Server = redis.node(EVE, 1, None);
    let circle = json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 500}});
    let (cities, people) = two_cities_with(&server, 2, |city, file| {
        city.ask("PUT", "/v1/areas/old-town", Some(circle.clone())).ok();
        file["use_rule"]["location"] = json!({"area_id": "old-town"});
    });
    let place = json!({"location": {"longitude": 104.0657, "latitude": 30.6595}});
    let asked = |person| server.resident(person, "POST", "/v1/pay-codes", Some(place.clone())).ok();
    let stranger = crate::harness::identity::Resident::new();
    let about = |heard: &[String]| heard.iter().filter(|line| line.contains("/old-town\"")).count();
    let heard = redis.hears(|| drop(asked(&stranger)));
    assert_eq!(about(&heard), 0, "areas read for who takes part in nothing");
    let heard = redis.hears(|| drop(asked(&people[0])));
    assert!(about(&heard) > 0, "areas read for who has vouchers of both cities");
    let till = cities[0].open_shop();
    let code = asked(&people[0]).str("pay_code").to_owned();
    server.redeem(&till, &crate::harness::fixture::sale("inside", &code, 3_000, true)).ok();
    let outside = server.pay_code(&people[0]);
    let told = server.redeem(&till, &crate::harness::fixture::sale("outside", &outside, 3_000, true));
    assert!(!told.is_success(), "{}", told.text());
}

#[test]
fn a_till_costs_the_store_no_reading_of_its_merchant_while_nothing_changes_and_one_when_something_has() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let cities = ["left", "right"].map(|program| City::new(&server, program));
    for city in &cities {
        city.ask("POST", "/v1/merchants", Some(merchant(SHOP))).ok();
        let till = city.key_of_a_till("/v1/till-keys", json!({"kind": "merchant", "merchant_id": SHOP}));
        let reverse = |order: &str| server.reverse(&till, order).ok();
        reverse("warm");
        let read = |heard: &[String]| {
            let merchants = heard.iter().filter(|line| line.contains("\"HGET\" \"{cfg}:merchants\""));
            merchants.cloned().collect::<Vec<_>>()
        };
        wait_until("the node has taken up the newest configuration", || {
            read(&redis.hears(|| drop(reverse("cold")))).is_empty().then_some(())
        });
        city.ask("POST", "/v1/merchants", Some(merchant("M002"))).ok();
        let again = wait_until("the merchant is read again", || {
            let read = read(&redis.hears(|| drop(reverse("again"))));
            (!read.is_empty()).then_some(read)
        });
        assert_eq!(again.len(), 1, "{again:?}");
    }
}
