//! Where an order is made: a store of the merchant's, the first where the till names none.

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, merchant, new_merchant_id, new_order};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// One voucher a day in each store.
fn one_a_store(name: &str, people: usize) -> Market {
    market(name, people, json!([kind("60-20", 6_000, 2_000, 4)]), |campaign| {
        campaign["limits"] = json!([{"action": "redeem", "entities": ["store"], "period": "day", "max_count": 1}]);
    })
}

/// The till of a merchant with these stores.
fn till_of(market: &Market, stores: Value) -> Till {
    let (server, id) = (market.server(), new_merchant_id());
    let mut body = merchant(&id);
    body["stores"] = stores;
    server.create_merchant(&body).ok();
    server.enrol(market.campaign(), &id);
    server.create_terminal(&id, "t1")
}

fn sell(market: &Market, till: &Till, person: &Resident, store: Option<&str>) -> Reply {
    let more = store.map_or(json!({}), |store| json!({"receipt": {"store": store}}));
    buy(market, till, person, 6_000, more)
}

#[test]
fn no_other_text_is_a_store_of_its_own() {
    let market = one_a_store("named", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let order = new_order();
    let ask = |store: &str, capture: bool| {
        json!({"order_id": order, "pay_code": server.pay_code(&person), "amount": 6_000, "category": "catering",
            "capture": capture, "receipt": {"store": store}})
    };
    for (store, capture) in [("s3", true), ("S1", true), (" s1", false), ("s1 ", false)] {
        let refused = server.redeem(&till, &ask(store, capture)).refused(422, "store_unknown");
        assert_eq!(refused.faults(), ["/receipt/store unknown_store"]);
        assert_eq!(refused["stores"], json!(["s1", "s2"]));
        assert!(refused["pos_message"]["zh"].is_string(), "{}", refused.text());
    }
    let mut quote = ask("s3", true);
    quote.as_object_mut().expect("an object").retain(|name, _| name != "order_id" && name != "capture");
    server.quote(&till, &quote).refused(422, "store_unknown");
    assert_eq!(market.vouchers(&person, "available").len(), 4, "nothing was applied");
    let done = server.redeem(&till, &ask("s2", true)).ok();
    let again = server.redeem(&till, &ask("s3", true)).ok();
    assert!(again.replayed() && again.json == done.json, "a receipt is not compared");
    server.assert_audit_clean();
}

#[test]
fn a_till_that_names_no_store_is_in_the_first() {
    let market = one_a_store("first", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let first = sell(&market, &till, &person, None).ok();
    assert_eq!(server.order(&till, first.str("order_id")).ok()["receipt"]["store"], "s1");
    let refused = sell(&market, &till, &person, Some("s1")).refused_with("limit_reached");
    assert_eq!(refused["limit"]["entities"], json!(["store"]));
    let quote = |store: Value| {
        let code = server.pay_code(&person);
        let mut body = json!({"pay_code": code, "amount": 6_000, "category": "catering"});
        if store.is_string() {
            body["receipt"] = json!({"store": store});
        }
        server.quote(&till, &body).ok().int("discount_amount")
    };
    assert_eq!([quote(Value::Null), quote(json!("s1")), quote(json!("s2"))], [0, 0, 2_000]);
    sell(&market, &till, &person, Some("s2")).ok();
    let day = server.settlement("2020-07-25", &till.merchant_id).ok();
    let stores: Vec<&Value> = day["lines"].as_array().expect("lines").iter().map(|line| &line["store"]).collect();
    assert_eq!(stores, ["s1", "s2"]);
    // What is given back is given back in the store in which it was used.
    server.refund(&till, first.str("order_id"), "R1", 6_000).ok();
    sell(&market, &till, &person, Some("s1")).ok();
    sell(&market, &till, &person, None).refused_with("limit_reached");
    server.assert_audit_clean();
}

#[test]
fn a_merchant_without_stores_is_one_place_without_a_name() {
    let market = one_a_store("none", 1);
    let (till, person) = (till_of(&market, json!([])), market.shopper());
    let refused = sell(&market, &till, &person, Some("s1")).refused(422, "store_unknown");
    assert_eq!(refused["stores"], json!([]));
    sell(&market, &till, &person, None).ok();
    sell(&market, &till, &person, None).refused_with("limit_reached");
    // Stores of two merchants are not one another's.
    let other = till_of(&market, json!([{"store_id": "x9", "name": "x", "district": "510104"}]));
    sell(&market, &other, &person, Some("s1")).refused(422, "store_unknown");
    sell(&market, &other, &person, Some("x9")).ok();
    sell(&market, &other, &person, None).refused_with("limit_reached");
    market.server().assert_audit_clean();
}
