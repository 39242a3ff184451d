//! What a till says of its receipt is kept with the order and told again to whoever looks the order up.

use serde_json::{Value, json};

use super::MARKET;
use super::vectors::buy;
use crate::harness::till::Till;

fn told(till: &Till, order: &str) -> Value {
    MARKET.server().order(till, order).ok()["receipt"].clone()
}

#[test]
fn an_order_tells_its_receipt_whatever_becomes_of_it() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let receipt = json!({"store": "s1", "terminal": "9", "cashier": "王", "receipt_no": "20200725-0007"});
    let sell = |receipt: &Value, capture: bool| {
        buy(&MARKET, &till, &person, 6_000, json!({"receipt": receipt, "capture": capture})).ok()
    };
    let held = sell(&receipt, false);
    let order = held.str("order_id");
    assert_eq!(told(&till, order), receipt);
    server.confirm(&till, order, held.str("hold_id"), 4_000).ok();
    assert_eq!(told(&till, order), receipt);
    server.refund(&till, order, "R1", 6_000).ok();
    assert_eq!(told(&till, order), receipt);
    let whole = sell(&receipt, true);
    assert_eq!(told(&till, whole.str("order_id")), receipt);
    server.reverse(&till, whole.str("order_id")).ok();
    assert_eq!(told(&till, whole.str("order_id")), receipt);
    let part = sell(&json!({"receipt_no": "8"}), false);
    server.cancel(&till, part.str("order_id")).ok();
    assert_eq!(
        told(&till, part.str("order_id")),
        json!({"store": "s1", "terminal": "t1", "receipt_no": "8"}),
        "and the merchant's first store, and the key's terminal"
    );
}

#[test]
fn the_first_receipt_stays_with_its_order() {
    let (till, person) = (MARKET.till(), MARKET.shopper());
    let order = crate::harness::fixture::new_order();
    for receipt_no in ["7", "8"] {
        let more = json!({"order_id": order, "receipt": {"receipt_no": receipt_no}});
        buy(&MARKET, &till, &person, 6_000, more).ok();
    }
    assert_eq!(told(&till, &order)["receipt_no"], "7");
}

#[test]
fn a_text_that_is_too_long_for_a_receipt_is_named() {
    let (till, person) = (MARKET.till(), MARKET.shopper());
    for field in ["store", "terminal", "cashier", "receipt_no"] {
        let receipt = |text: String| json!({"receipt": {field: text}});
        let refused = buy(&MARKET, &till, &person, 6_000, receipt("长".repeat(22))).refused(422, "invalid_request");
        assert_eq!(refused.faults(), [format!("/receipt/{field} too_long")]);
    }
    let most = json!({"receipt": {"cashier": "c".repeat(64), "receipt_no": "9".repeat(64)}});
    let done = buy(&MARKET, &till, &person, 6_000, most).ok();
    assert_eq!(told(&till, done.str("order_id"))["receipt_no"], "9".repeat(64));
}
