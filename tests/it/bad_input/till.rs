//! What a till can send that is wrong.

use serde_json::{Value, json};

use super::{BAD, Row, row, typo};
use crate::harness::client::Request;
use crate::harness::fixture::new_order;
use crate::harness::identity::{Resident, wall_seconds};
use crate::harness::till::Till;

pub const ROWS: &[Row] = &[
    row("malformed JSON", 400, &["malformed_json"], "-", |s| s.raw(r#"{"order_id":"#)),
    row("an empty body", 400, &["malformed_json"], "-", |s| s.raw("")),
    row("two objects", 400, &["malformed_json"], "-", |s| s.raw("{} {}")),
    row("a float amount", 422, BAD, "/amount", |s| s.with("amount", json!(60.5))),
    row("a float that is whole", 422, BAD, "/amount", |s| s.with("amount", json!(6000.0))),
    row("an amount as text", 422, BAD, "/amount", |s| s.with("amount", json!("6000"))),
    row("a negative amount", 422, BAD, "/amount", |s| s.with("amount", json!(-1))),
    row("an amount of nothing", 422, BAD, "/amount", |s| s.with("amount", json!(0))),
    row("an amount of 10^15", 422, BAD, "/amount", |s| s.with("amount", json!(1_000_000_000_000_000_i64))),
    row("another currency", 422, BAD, "/currency", |s| s.with("currency", json!("USD"))),
    row("31 vouchers", 422, &["too_many_vouchers"], "-", |s| {
        let made_up = (0..31).map(|n| format!("{n:026}")).collect::<Vec<_>>();
        let body = json!({"order_id": new_order(), "voucher_ids": made_up, "amount": 7000, "category": "catering"});
        s.server().redeem(&s.till, &body)
    }),
    row("a foreign person's voucher beside one's own", 422, &["vouchers_of_several_persons"], "-", |s| {
        let own = |person: &Resident| s.market.vouchers(person, "available")[0].0.clone();
        let two = [own(&s.shopper), own(&s.other)];
        let body = json!({"order_id": new_order(), "voucher_ids": two, "amount": 9000, "category": "catering"});
        s.server().redeem(&s.till, &body)
    }),
    row("a voucher that nobody has", 404, &["voucher_unknown"], "-", |s| {
        let made_up = json!({"order_id": new_order(), "voucher_ids": ["7ZZZZZZZZZZZZZZZZZZZZZZZZZ"], "amount": 9000,
            "category": "catering"});
        s.server().redeem(&s.till, &made_up)
    }),
    row("a pay code and vouchers", 422, BAD, "?", |s| {
        let named = s.market.vouchers(&s.other, "available")[0].0.clone();
        s.with("voucher_ids", json!([named]))
    }),
    row("an amount of 10^14", 422, BAD, "/amount", |s| s.with("amount", json!(100_000_000_000_000_i64))),
    row("an amount beyond 64 bits", 422, BAD, "/amount", |s| {
        s.raw(&s.body().to_string().replace("\"amount\":7000", "\"amount\":99999999999999999999999"))
    }),
    row("a discount above the amount", 422, BAD, "/merchant_discount", |s| s.with("merchant_discount", json!(7001))),
    row("a negative discount", 422, BAD, "/merchant_discount", |s| s.with("merchant_discount", json!(-5))),
    row("an unknown field", 422, BAD, "/tip", |s| s.with("tip", json!(1))),
    row("goods without a name", 422, BAD, "/items/0/sku", |s| s.with("items", json!([{"sku": " ", "amount": 7000}]))),
    row("goods with a name that ends early", 422, BAD, "/items/0/sku", |s| {
        s.with("items", json!([{"sku": "a\u{0}b", "amount": 7000}]))
    }),
    row("capture as text", 422, BAD, "/capture", |s| s.with("capture", json!("yes"))),
    row("an empty order id", 422, BAD, "/order_id", |s| s.with("order_id", json!(""))),
    row("a very long order id", 422, BAD, "/order_id", |s| s.with("order_id", json!("x".repeat(500)))),
    row("a null amount", 422, BAD, "/amount", |s| s.with("amount", Value::Null)),
    row("below the threshold", 422, &["minimum_not_met"], "/amount", |s| s.with("amount", json!(2600))),
    row("a category of another kind", 422, &["category_not_allowed"], "-", |s| s.with("category", json!("fuel"))),
    row("an unknown pay code", 404, &["pay_code_unknown"], "-", |s| s.with("pay_code", json!("970000000000000004"))),
    row("a pay code with a typing error", 404, &["pay_code_unknown"], "-", |s| {
        s.with("pay_code", json!(typo(&s.code)))
    }),
    row("no payer at all", 422, BAD, "?", |s| s.without("pay_code")),
    row("a missing order id", 422, BAD, "?", |s| s.without("order_id")),
    row("an order nobody has seen", 404, &["order_not_found"], "-", |s| s.server().order(&s.till, "nobody-has-seen")),
    row("a refund of nothing", 422, BAD, "/amount", |s| s.server().refund(&s.till, "A1-1", "R1", 0)),
    row("a negative refund", 422, BAD, "/amount", |s| s.server().refund(&s.till, "A1-1", "R1", -1)),
    row("a refund of 10^15", 422, BAD, "/amount", |s| s.server().refund(&s.till, "A1-1", "R1", 1_000_000_000_000_000)),
    row("a refund that is a float", 422, BAD, "/amount", |s| {
        s.posted("/v1/redemptions/A1-1/refunds", json!({"refund_id": "R1", "amount": 0.5}))
    }),
    row("a refund without a number", 422, BAD, "/refund_id", |s| {
        s.posted("/v1/redemptions/A1-1/refunds", json!({"amount": 1}))
    }),
    row("a payment that is a float", 422, BAD, "/paid_amount", |s| {
        s.posted("/v1/redemptions/A1-1/confirm", json!({"hold_id": "h-1", "paid_amount": 1.5}))
    }),
    row("a method that no till may use", 405, &["method_not_allowed"], "-", |s| {
        s.server().till(&s.till, "DELETE", "/v1/redemptions", None)
    }),
    row("a body that is no JSON by its own word", 415, &["unsupported_media_type"], "-", |s| {
        let (mut request, _) = s.till.request("POST", "/v1/redemptions", &s.body().to_string());
        request.headers.retain(|(name, _)| name != "content-type");
        s.server().send(&request.header("content-type", "text/plain"))
    }),
    row("a body of 17 KiB", 413, &["body_too_large"], "-", |s| s.with("order_id", json!("x".repeat(17 * 1024)))),
    row("an unsigned call", 401, &["unauthenticated"], "-", |s| {
        s.server().send(&Request::new("POST", "/v1/redemptions").json(&s.body()))
    }),
    row("an unknown terminal", 401, &["signature_invalid"], "-", |s| {
        let stranger = Till { key_id: "test_nobody_01".into(), ..s.till.clone() };
        s.signed_by(&stranger, wall_seconds())
    }),
    row("a terminal whose key was revoked", 401, &["key_revoked"], "-", |s| {
        let lost = s.server().create_terminal(&s.till.merchant_id, "lost");
        let path = format!("/v1/merchants/{}/terminals/lost/revoke", s.till.merchant_id);
        s.server().office("POST", &path, None).ok();
        s.signed_by(&lost, wall_seconds())
    }),
    row("another till's secret", 401, &["signature_invalid"], "-", |s| {
        let other = Till { secret: "sk_test_00000000000000000000000000000000".into(), ..s.till.clone() };
        s.signed_by(&other, wall_seconds())
    }),
    row("a timestamp 301 s old", 401, &["timestamp_out_of_range"], "-", |s| s.signed_by(&s.till, wall_seconds() - 305)),
    row("a timestamp of the future", 401, &["timestamp_out_of_range"], "-", |s| {
        s.signed_by(&s.till, wall_seconds() + 305)
    }),
    row("a body changed after signing", 401, &["signature_invalid"], "-", |s| {
        let body = s.body().to_string();
        let (mut request, _) = s.till.request("POST", "/v1/redemptions", &body);
        request.body = body.replace("\"amount\":7000", "\"amount\":9000").into_bytes();
        s.server().send(&request)
    }),
    row("a path changed after signing", 401, &["signature_invalid"], "-", |s| {
        let (mut request, _) = s.till.request("POST", "/v1/redemptions/quote", &s.body().to_string());
        request.path = "/v1/redemptions".into();
        s.server().send(&request)
    }),
    row("a nonce with odd letters", 401, &["signature_invalid"], "-", |s| s.with_nonce("nonce with spaces!")),
    row("a nonce that is too short", 401, &["signature_invalid"], "-", |s| s.with_nonce("short")),
];
