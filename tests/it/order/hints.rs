//! What a refusal or a quote tells the reader to do can be done: it names the goods that count, the field that is wrong, and money to give
//! back only where somebody has paid.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::vectors::{buy, kind, market};
use super::{MARKET, NOON};
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{MINUTE, Market, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::till::Till;

fn shown(reply: &Reply) -> (String, String) {
    let text = |language: &str| reply["pos_message"][language].as_str().expect("a sentence").to_owned();
    (text("zh"), text("en"))
}

/// A meal and a prepaid card, for which no voucher is.
fn receipt(meal: i64, card: i64) -> Value {
    json!([{"sku": "meal", "category": "catering", "amount": meal},
        {"sku": "card", "category": "prepaid_card", "amount": card}])
}

#[test]
fn what_is_missing_is_told_with_the_goods_that_count() {
    let vouchers = json!([kind("60-20", 6_000, 2_000, 2), kind("30-10", 3_000, 1_000, 2)]);
    let market = market("goods", 1, vouchers, |campaign| {
        campaign["use_rule"]["categories"] = json!(["catering", "culture"]);
        campaign["use_rule"]["excluded_items"] = json!(["prepaid_card"]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let quote = |meal: i64, card: i64| {
        let items = receipt(meal, card);
        let code = server.pay_code(&person);
        let body = json!({"pay_code": code, "amount": meal + card, "category": "catering", "items": items});
        server.quote(&till, &body).ok()
    };
    let goods = json!({"categories": ["catering", "culture"], "excluded_items": ["prepaid_card"]});
    let asked = quote(3_600, 50_000);
    assert_eq!(asked["not_taken"][0]["missing_amount"], 2_400, "{}", asked.text());
    assert_eq!(asked["not_taken"][0]["goods"], goods, "{}", asked.text());
    let better = json!({"add_amount": 2_400, "goods": goods, "discount_amount": 2_000, "saves_more": 1_000});
    assert_eq!(asked["better"], better);
    assert!(shown(&asked).0.contains("再买24.00元适用商品"), "{}", asked.text());
    assert_eq!(quote(3_600, 52_400)["better"], better, "another card helps nobody");
    assert_eq!(quote(6_000, 50_000)["discount_amount"], 2_000, "the hint is followed");

    let (amount, items) = (52_000, json!({"items": receipt(2_000, 50_000)}));
    let refused = buy(&market, &till, &person, amount, items).refused(422, "minimum_not_met");
    assert_eq!((refused.int("missing_amount"), &refused["goods"]), (1_000, &goods));
    assert_eq!(refused.faults(), ["/items minimum_not_met"]);
    assert_eq!(shown(&refused).0, "再买10.00元适用商品才能用券。");
    let of_cards = json!({"items": [{"sku": "card", "category": "prepaid_card", "amount": 9_000}]});
    let refused = buy(&market, &till, &person, 9_000, of_cards).refused(422, "items_not_eligible");
    assert_eq!(refused["goods"], goods, "{}", refused.text());

    // Without a list of goods the whole order counts, and the amount alone has to change.
    let refused = buy(&market, &till, &person, 2_000, json!({})).refused(422, "minimum_not_met");
    assert_eq!((refused.int("missing_amount"), &refused["goods"]), (1_000, &Value::Null));
    assert_eq!(refused.faults(), ["/amount minimum_not_met"]);
    assert_eq!(shown(&refused), ("再买10.00元才能用券。".into(), "Another 10.00 is needed to use the voucher.".into()));
}

#[test]
fn a_refusal_points_at_what_is_wrong_with_the_call() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let voucher = MARKET.vouchers(&person, "available")[0].0.clone();
    let line = |amount: i64, offer: i64| json!({"sku": "a", "amount": amount, "merchant_discount": offer});
    for (what, more, faults) in [
        (
            "an item below zero",
            json!({"items": [line(7_000, 0), line(-1_000, 0)]}),
            vec!["/items/1/amount out_of_range"],
        ),
        (
            "an offer above its item and one below zero",
            json!({"items": [line(3_000, 3_001), line(3_000, -1)]}),
            vec!["/items/0/merchant_discount out_of_range", "/items/1/merchant_discount out_of_range"],
        ),
        ("items of another sum", json!({"items": [line(5_999, 0)]}), vec!["/items sum_mismatch"]),
        ("a voucher beside a code", json!({"voucher_ids": [voucher]}), vec!["/pay_code one_of", "/voucher_ids one_of"]),
        ("nobody who pays", json!({"pay_code": null}), vec!["/pay_code one_of"]),
    ] {
        let refused = buy(&MARKET, &till, &person, 6_000, more).refused(422, "invalid_request");
        assert_eq!(refused.faults(), faults, "{what}: {}", refused.text());
    }
    let order = new_order();
    let mut named = sale(&order, "", 6_000, false);
    named.as_object_mut().expect("a body").remove("pay_code");
    named["voucher_ids"] = json!([voucher]);
    server.redeem(&till, &named).ok();
    let by_code = server.redeem(&till, &sale(&order, &server.pay_code(&person), 6_000, false));
    assert_eq!(
        by_code.refused(409, "order_conflict")["fields"],
        json!(["pay_code"]),
        "no voucher is named in this call"
    );
}

#[test]
fn a_refusal_names_what_the_voucher_does_not_go_with() {
    let vouchers = json!([kind("60-20", 6_000, 2_000, 2)]);
    let market = market("with", 1, vouchers, |campaign| {
        campaign["use_rule"]["combine_with_merchant_offers"] = json!(false);
        campaign["use_rule"]["dates_excluded"] = json!(["2020-07-26"]);
        campaign["use_rule"]["category_codes"] = json!({"culture": ["90"]});
        campaign["use_rule"]["channels"] = json!(["alipay"]);
        campaign["channels"] = json!(["wechat", "alipay"]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let elsewhere = person.clone().through("alipay");
    let pay = |person, more: Value| buy(&market, &till, person, 6_000, more);
    let refused = pay(&person, json!({})).refused(422, "channel_not_allowed");
    assert_eq!(
        (&refused["allowed"], &refused["channel"]),
        (&json!(["alipay"]), &json!("wechat")),
        "{}",
        refused.text()
    );
    let refused = pay(&elsewhere, json!({"category": "culture"})).refused(422, "category_not_allowed");
    assert!(shown(&refused).0.contains("行业"), "{}", refused.text());
    let refused = pay(&elsewhere, json!({"merchant_discount": 1})).refused(422, "not_combinable");
    assert_eq!(refused["not_with"], "merchant_offer");
    server.set_clock(at("2020-07-26T09:00:00"));
    assert_eq!(
        shown(&pay(&elsewhere, json!({})).refused(409, "outside_hours")).0,
        "今天不能用券，2020-07-27 00:00起可用。"
    );
}

#[test]
fn money_is_to_be_given_back_only_where_somebody_has_paid() {
    let mut file = chengdu(&new_campaign_id("paid"), 1);
    file["limits"] = json!([]);
    let market = Market::open_with(file, 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let hold = || server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6_000, false)).ok();
    let confirm = |held: &Reply, paid: i64| server.confirm(&till, held.str("order_id"), held.str("hold_id"), paid);
    let says_to_give_back = |reply: &Reply| {
        let (zh, en) = shown(reply);
        assert_eq!(zh.contains("请退顾客40.00元"), en.contains("give 40.00 back"), "{zh} {en}");
        zh.contains('退')
    };
    let (lapses, undone, cancelled) = (hold(), hold(), hold());
    let short = confirm(&lapses, 3_999).refused(422, "paid_amount_mismatch");
    assert_eq!(shown(&short).0, "实付金额不符，应收40.00元。");
    let other = server.confirm(&till, lapses.str("order_id"), undone.str("hold_id"), 4_000);
    assert_eq!(shown(&other.refused(409, "order_conflict")).0, "锁券编号不是该订单的，请查询订单。");
    server.reverse(&till, undone.str("order_id")).ok();
    server.cancel(&till, cancelled.str("order_id")).ok();
    assert!(says_to_give_back(&confirm(&undone, 4_000).refused(409, "order_reversed")));
    assert!(says_to_give_back(&confirm(&cancelled, 4_000).refused(409, "order_cancelled")));
    for (held, code) in [(&undone, "order_reversed"), (&cancelled, "order_cancelled")] {
        let again = sale(held.str("order_id"), &server.pay_code(&person), 6_000, false);
        assert!(!says_to_give_back(&server.redeem(&till, &again).refused(409, code)), "{code}");
        assert!(!says_to_give_back(&server.refund(&till, held.str("order_id"), "R1", 1).refused(409, code)), "{code}");
    }
    server.set_clock(at(NOON) + 20 * MINUTE);
    let again = sale(lapses.str("order_id"), &server.pay_code(&person), 6_000, false);
    assert!(!says_to_give_back(&server.redeem(&till, &again).refused(409, "hold_expired")), "nobody has paid yet");
    assert!(says_to_give_back(&confirm(&lapses, 4_000).refused(409, "hold_expired")));
    assert!(!says_to_give_back(&confirm(&lapses, 0).refused(409, "hold_expired")), "nothing was paid");

    let bought = buy(&market, &till, &person, 6_000, json!({})).ok();
    let done = server.confirm(&till, bought.str("order_id"), "h-1", 4_000).refused(409, "order_already_redeemed");
    assert_eq!(shown(&done).0, "该订单已用券，无需再确认。");
    let more = server.refund(&till, bought.str("order_id"), "R1", 6_001).refused(422, "refund_exceeds_order");
    assert_eq!(shown(&more).0, "退款超过可退金额，最多60.00元。");
}

#[test]
fn a_wrong_signature_is_told_by_what_was_sent_and_never_by_what_the_key_is() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let body = sale(&new_order(), "975015833669018376", 6_000, true).to_string();
    let says = |till: &Till, change: &dyn Fn(&mut Request)| {
        let (mut request, _) = till.request("POST", "/v1/redemptions", &body);
        change(&mut request);
        let sent = request.body.clone();
        let refused = server.send(&request).refused(401, "signature_invalid");
        let received = &refused["received"];
        assert_eq!((&received["method"], &received["target"]), (&json!("POST"), &json!("/v1/redemptions")));
        assert_eq!(received["body_sha256"], hex::encode(Sha256::digest(&sent)), "{}", refused.text());
        assert!(refused["may_be"][0]["message"]["zh"].is_string(), "{}", refused.text());
        let codes = refused["may_be"].as_array().expect("a list").iter();
        codes.map(|one| one["code"].as_str().expect("a code").to_owned()).collect::<Vec<_>>()
    };
    let named = |key_id: &str| Till { key_id: key_id.into(), ..till.clone() };
    let guessed = Till { secret: "sk_test_guessed".into(), ..till.clone() };
    let as_it_is = |_: &mut Request| {};
    let unknown = ["unknown_key", "wrong_secret", "request_changed"];
    assert_eq!(says(&named("test_t_nobody"), &as_it_is), unknown, "an unknown key");
    assert_eq!(says(&guessed, &as_it_is), unknown, "another secret");
    assert_eq!(says(&till, &|request| request.body.push(b' ')), unknown, "a body that was changed");
    assert_eq!(says(&named("live_t_01"), &as_it_is), ["live_key_at_a_sandbox"]);
    let in_hex = |request: &mut Request| {
        let header = request.headers.iter_mut().find(|(name, _)| name == "authorization").expect("signed");
        let head = header.1.split("signature=").next().expect("a head").to_owned();
        header.1 = format!("{head}signature=\"{}\"", "5f".repeat(32));
    };
    assert_eq!(says(&till, &in_hex), ["signature_encoding"]);
}

#[test]
fn a_path_that_is_no_route_says_how_an_order_id_stands_in_it() {
    let (server, till) = (MARKET.server(), MARKET.till());
    for path in ["/v1/redemptions/A1/7", "/v1/redemptions/A1/7/confirm", "/v1/redemptions/2020/07/25/1"] {
        let refused = server.till(&till, "GET", path, None).refused(404, "route_not_found");
        for language in ["zh", "en"] {
            assert!(refused["message"][language].as_str().expect("a text").contains("%2F"), "{}", refused.text());
        }
    }
    let elsewhere = server.send(&Request::new("GET", "/v1/nothing/here")).refused(404, "route_not_found");
    assert!(!elsewhere.text().contains("%2F"), "{}", elsewhere.text());
}

#[test]
fn a_form_at_a_till_is_told_that_json_is_expected() {
    let (server, till) = (MARKET.server(), MARKET.till());
    for body in ["order_id=A1&amount=6000", "<order/>", "'{}'"] {
        let (request, _) = till.request("POST", "/v1/redemptions", body);
        let refused = server.send(&request).refused(400, "malformed_json");
        for language in ["zh", "en"] {
            let told = refused["message"][language].as_str().expect("a text");
            assert!(told.contains("JSON") && told.contains('1'), "{}", refused.text());
        }
    }
}
