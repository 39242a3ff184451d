//! What is called how: a merchant has the id that its program gives it and no other, and names of programs cannot run into ids.

use serde_json::json;

use super::{City, SHOP};
use crate::harness::Server;
use crate::harness::fixture::{EVE, merchant, sale};
use crate::harness::redis::OwnRedis;

#[test]
fn a_merchant_is_found_by_the_id_that_its_program_gives_it_and_by_no_other() {
    let server = Server::at(EVE);
    let cities = ["left", "right"].map(|program| City::new(&server, program));
    for city in &cities {
        city.ask("POST", "/v1/merchants", Some(merchant(SHOP))).ok();
    }
    for (city, program) in cities.iter().zip(["left", "right"]) {
        let platform = json!({"kind": "platform", "channels": ["wechat"]});
        let till = city.key_of_a_till("/v1/till-keys", platform);
        for named in ["left", "right"].map(|of| format!("{of}/{SHOP}")) {
            let path = format!("/v1/merchants/{}", named.replace('/', "%2F"));
            city.ask("GET", &path, None).refused(404, "not_found");
            city.ask("POST", &format!("{path}/freeze"), Some(json!({"reason": "x"}))).refused(404, "not_found");
            city.ask("POST", &format!("{path}/terminals"), Some(json!({"terminal_id": "t1"})))
                .refused(404, "not_found");
            let mut order = sale("order-1", "970020000000000000", 3_000, true);
            order["merchant_id"] = json!(named);
            order["scene"] = json!("offline");
            server.redeem(&till, &order).refused(422, "invalid_request");
        }
        let shop = city.ask("GET", &format!("/v1/merchants/{SHOP}"), None).ok();
        let told = ["merchant_id", "state", "terminals"].map(|name| shop[name].clone());
        assert_eq!(told, [json!(SHOP), json!("active"), json!([])], "{program}: {}", shop.text());
    }
}

#[test]
fn a_program_cannot_be_called_what_would_be_another_programs_with_an_id() {
    let server = Server::at(EVE);
    for program in ["left/", "left/right", "", &"x".repeat(65), "left\n"] {
        let made = server.command(&["keys", "create", "--program", program, "--role", "officer"]);
        assert!(!made.status.success(), "{program:?} was taken");
    }
    for program in ["cd-2020", "成都市 商务局"] {
        let made = server.command(&["keys", "create", "--program", program, "--role", "officer"]);
        assert!(made.status.success(), "{program}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

#[test]
fn a_list_whose_first_file_was_refused_is_no_list_of_the_program() {
    let redis = OwnRedis::start();
    let server = redis.node(EVE, 1, None);
    let city = City::new(&server, "left");
    let counted = || redis.ask(&["HGET", "{cfg}:of:lists:left", "left/shops"]) + &redis.ask(&["HLEN", "{cfg}:lists"]);
    let listed = || redis.ask(&["HEXISTS", "{cfg}:of:lists:left", "left/shops"]);
    for file in ["merchant_id\n", "merchant_id\na b\n", "nothing\nm-1\n"] {
        city.send_file("PUT", "/v1/lists/shops", file).refused(422, "invalid_request");
        assert_eq!((counted(), listed()), ("0".into(), "0".into()), "{file:?}");
    }
    city.send_file("PUT", "/v1/lists/shops", "merchant_id\nm-1\n").ok();
    city.send_file("PUT", "/v1/lists/shops", "merchant_id\na b\n").refused(422, "invalid_request");
    assert_eq!((counted(), listed()), ("1".into(), "1".into()));
    assert_eq!(city.ask("GET", "/v1/lists/shops", None).ok()["version"], json!(1));
}
