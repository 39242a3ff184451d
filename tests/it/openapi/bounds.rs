//! What the document bounds at the till is what the till is held to: one beyond a bound is refused by name, the bound itself is not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::described::DOCUMENT;
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id};

const ORDERS: &str = "/v1/redemptions";
const QUOTE: &str = "/v1/redemptions/quote";
const REFUNDS: &str = "/v1/redemptions/none/refunds";

/// A form of the document, where a body of it is sent, and at which place in the body it stands.
const FORMS: [(&str, &str, &str, &str); 6] = [
    ("RedemptionRequest", ORDERS, "", "amount category merchant_discount order_id voucher_ids"),
    ("QuoteRequest", QUOTE, "", "amount category merchant_discount voucher_ids"),
    ("ReceiptBody", ORDERS, "/receipt", "cashier receipt_no store terminal"),
    ("ItemBody", ORDERS, "/items/0", "amount merchant_discount quantity serial"),
    ("RefundRequest", REFUNDS, "", "amount refund_id"),
    ("PieceBody", REFUNDS, "/items/0", "line quantity"),
];

/// A body in which nothing is wrong, but that nobody has this pay code or order.
fn good(path: &str, at: &str) -> Value {
    let mut body = match path {
        REFUNDS => json!({"refund_id": "R1", "amount": 1}),
        _ => json!({"pay_code": "970000000000000004", "amount": 7000, "category": "catering"}),
    };
    if path == ORDERS {
        body["order_id"] = json!("A1");
    }
    match at {
        "/receipt" => body["receipt"] = json!({}),
        "/items/0" => body["items"] = json!([{"sku": "s", "quantity": 1}]),
        _ => {}
    }
    if path == ORDERS && at == "/items/0" {
        body["items"][0]["amount"] = json!(7000);
    }
    body
}

/// Values of a member: which one the bound lets through, and which it does not.
fn values(schema: &Value) -> Vec<(Value, bool)> {
    let count = |name: &str| schema[name].as_u64().map(|count| count as usize);
    let (text, fen) = (|length: usize| json!("x".repeat(length)), |name: &str| schema[name].as_i64());
    let ids = |length: usize| Value::from((0..length).map(|n| format!("{n:026}")).collect::<Vec<_>>());
    let mut values = Vec::new();
    values.extend(count("maxLength").into_iter().flat_map(|most| [(text(most), true), (text(most + 1), false)]));
    values.extend(count("minLength").into_iter().flat_map(|least| [(text(least), true), (text(least - 1), false)]));
    values.extend(schema["pattern"].as_str().map(|_| (json!("\u{7f}"), false)));
    values.extend(fen("maximum").into_iter().flat_map(|most| [(json!(most), true), (json!(most + 1), false)]));
    values.extend(fen("minimum").into_iter().flat_map(|least| [(json!(least), true), (json!(least - 1), false)]));
    values.extend(count("maxItems").into_iter().flat_map(|most| [(ids(most), true), (ids(most + 1), false)]));
    values.extend(count("minItems").into_iter().map(|least| (ids(least - 1), false)));
    values
}

#[test]
fn what_the_document_bounds_at_the_till_is_what_the_till_is_held_to() {
    let market = Market::open_on(Server::at(EVE), chengdu(&new_campaign_id("bounds"), 1), 1);
    let (server, till) = (market.server(), market.till());
    for (form, path, at, members) in FORMS {
        let properties = DOCUMENT["components"]["schemas"][form]["properties"].as_object().expect("members");
        let bounded: BTreeSet<&str> =
            properties.iter().filter(|(_, schema)| !values(schema).is_empty()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(bounded, members.split(' ').collect(), "{form}");
        for (member, value, fits) in bounded
            .iter()
            .flat_map(|name| values(&properties[*name]).into_iter().map(|(value, fits)| (*name, value, fits)))
        {
            let mut body = good(path, at);
            // A discount is at most the amount that it is of.
            if member == "merchant_discount" {
                body.pointer_mut(at).expect("a place")["amount"] = json!(99_999_999_999_999_i64);
            }
            if member == "voucher_ids" {
                body.as_object_mut().expect("a body").remove("pay_code");
            }
            body.pointer_mut(at).expect("a place")[member] = value.clone();
            let (request, _) = till.request("POST", path, &body.to_string());
            let reply = server.client.send(&request).expect("an answer");
            let pointer = format!("{at}/{member}");
            let named =
                reply["errors"].as_array().is_some_and(|errors| errors.iter().any(|one| one["pointer"] == pointer));
            let refused = named || reply.code() == "too_many_vouchers";
            assert_eq!(refused, !fits, "{form} {pointer} {value}: {}", reply.text());
        }
    }
}
