//! Lists of merchants: who is admitted to a campaign, and where one of its vouchers pays.

use serde_json::{Value, json};

use super::vectors::{buy, campaign, kind};
use crate::harness::Server;
use crate::harness::fixture::{EVE, Market, chengdu, merchant, new_merchant_id};
use crate::harness::till::Till;
use crate::list::put_list;

/// A merchant that is on the list and one that is not, and a market whose campaign knows the list.
fn listed_market(name: &str, change: impl Fn(&mut Value)) -> (Market, [String; 2]) {
    let server = Server::at(EVE);
    let ids = [new_merchant_id(), new_merchant_id()];
    put_list(&server, "shops", &format!("merchant_id\n{}\n", ids[0])).ok();
    for id in &ids {
        server.create_merchant(&merchant(id)).ok();
    }
    let vouchers = json!([kind("60-20", 6_000, 2_000, 1), kind("30-10", 3_000, 1_000, 1)]);
    (Market::open_on(server, campaign(name, 1, vouchers, change), 1), ids)
}

fn apply(market: &Market, id: &str) -> crate::harness::client::Reply {
    market.server().office("PUT", &format!("/v1/campaigns/{}/merchants/{id}", market.campaign()), None)
}

#[test]
fn a_voucher_for_listed_merchants_pays_there_and_nowhere_else() {
    let (market, ids) = listed_market("shops", |campaign| {
        campaign["packs"][0]["vouchers"][0]["use_rule"] = json!({"merchants_list": "shops"});
    });
    let (server, person) = (market.server(), market.shopper());
    let [on, off]: [Till; 2] = ids.each_ref().map(|id| {
        server.enrol(market.campaign(), id);
        server.create_terminal(id, "t1")
    });
    let quote = |till: &Till| {
        let body = json!({"pay_code": server.pay_code(&person), "amount": 9_000, "category": "catering"});
        server.quote(till, &body).ok()
    };
    assert_eq!(quote(&on).int("discount_amount"), 2_000);
    let elsewhere = quote(&off);
    assert_eq!(elsewhere.int("discount_amount"), 1_000);
    assert_eq!(elsewhere["not_taken"][0]["code"], "merchant_not_enrolled", "{}", elsewhere.text());
    let sixty = market.vouchers(&person, "available").into_iter().find(|one| one.1 == "60-20").expect("one").0;
    let named =
        json!({"order_id": "L-1", "voucher_ids": [sixty], "amount": 9_000, "category": "catering", "capture": true});
    server.redeem(&off, &named).refused_with("merchant_not_enrolled");
    assert_eq!(buy(&market, &on, &person, 9_000, json!({})).ok().int("discount_amount"), 2_000);
    server.assert_audit_clean();
}

#[test]
fn a_list_that_names_nobody_known_is_warned_of() {
    let server = Server::at(EVE);
    let (registered, elsewhere) = (new_merchant_id(), new_merchant_id());
    server.create_merchant(&merchant(&registered)).ok();
    let stranger = server.create_key("officer", "another-city");
    server.office_as(&stranger, "POST", "/v1/merchants", Some(merchant(&elsewhere))).ok();
    put_list(&server, "shops", &format!("merchant_id\n{registered}\n{elsewhere}\nm-nobody\n")).ok();
    let mut file = chengdu("names-nobody", 1);
    file["merchant_enrolment"]["by_list"] = json!("shops");
    file["use_rule"]["merchants_list"] = json!("shops");
    let drafted = server.create_campaign(&file).ok();
    let warned = drafted["warnings"].as_array().expect("warnings");
    let warned: Vec<&Value> = warned.iter().filter(|one| one["code"] == "unknown_merchant").collect();
    assert_eq!(warned.len(), 2, "{}", drafted.text());
    for (named, expected) in [(&registered, false), (&elsewhere, true), (&"m-nobody".to_owned(), true)] {
        let said = warned[0]["message"]["en"].as_str().expect("a text");
        assert_eq!(said.contains(named.as_str()), expected, "{named}: {said}");
    }
    let places: Vec<&str> = warned.iter().filter_map(|one| one["pointer"].as_str()).collect();
    assert_eq!(places, ["/use_rule/merchants_list", "/merchant_enrolment/by_list"], "{}", drafted.text());
    // A merchant may register after the campaign was handed over.
    server.publish("names-nobody");
}

#[test]
fn a_campaign_that_admits_by_a_list_refuses_everybody_else() {
    let (market, ids) = listed_market("admits", |campaign| campaign["merchant_enrolment"]["by_list"] = json!("shops"));
    apply(&market, &ids[0]).ok();
    let refused = apply(&market, &ids[1]).refused_with("not_eligible");
    assert_eq!(refused["reasons"][0]["rule"], "by_list", "{}", refused.text());
    apply(&market, "m-nobody").refused(404, "not_found");
}
