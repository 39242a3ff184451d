//! Vouchers for use inside an area: the phone says where it is when it asks for the pay code.

use serde_json::{Value, json};

use super::vectors::{kind, market};
use crate::harness::Server;
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;

/// Half a kilometre around Tianfu Square.
fn square() -> Value {
    json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 500}})
}

fn code_at(server: &Server, person: &Resident, body: Value) -> String {
    server.resident(person, "POST", "/v1/pay-codes", Some(body)).ok().str("pay_code").to_owned()
}

#[test]
fn a_voucher_for_an_area_is_used_with_a_code_that_was_asked_for_there() {
    let server = Server::at(EVE);
    server.office("PUT", "/v1/areas/square", Some(square())).ok();
    let mut campaign = chengdu(&new_campaign_id("place"), 3);
    campaign["use_rule"]["location"] = json!({"area_id": "square"});
    let market = Market::open_on(server, campaign, 3);
    let (server, till) = (market.server(), market.till());
    let buy = |code: &str| server.redeem(&till, &sale(&new_order(), code, 6_000, true));
    let place = |longitude: f64, latitude: f64| json!({"location": {"longitude": longitude, "latitude": latitude}});

    let person = market.shopper();
    for elsewhere in [json!({}), place(104.0657, 30.6640), place(121.4737, 31.2304)] {
        let refused = buy(&code_at(server, &person, elsewhere)).refused_with("outside_area");
        assert_eq!(refused["area_id"], "square", "{}", refused.text());
    }
    let there = code_at(server, &person, place(104.0657, 30.6639));
    let asked = json!({"pay_code": there, "amount": 6_000, "merchant_discount": 0, "category": "catering"});
    let quote = server.quote(&till, &asked).ok();
    assert_eq!(quote.int("discount_amount"), 2_000);
    assert_eq!(buy(&there).ok().int("discount_amount"), 2_000);

    // A printed code does not say where its bearer is.
    let vouchers = market.vouchers(&market.shopper(), "available");
    let mut printed = sale(&new_order(), "", 6_000, true);
    printed.as_object_mut().unwrap().remove("pay_code");
    printed["voucher_ids"] = json!([vouchers[0].0]);
    server.redeem(&till, &printed).refused_with("outside_area");

    let nowhere = server.resident(&person, "POST", "/v1/pay-codes", Some(place(181.0, 0.0)));
    assert_eq!(nowhere.refused(422, "invalid_request").faults(), ["/location out_of_range"]);
    server.assert_audit_clean();
}

#[test]
fn a_campaign_without_an_area_takes_codes_from_anywhere() {
    let market = market("anywhere", 1, json!([kind("60-20", 6_000, 2_000, 1)]), |_| {});
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let code = code_at(server, &person, json!({"location": {"longitude": 0.0, "latitude": 0.0}}));
    server.redeem(&till, &sale(&new_order(), &code, 6_000, true)).ok();
}
