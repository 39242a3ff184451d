//! Several vouchers in one payment: the best set, all or none, one transaction, every way back.

use serde_json::{Value, json};

use super::two_campaigns::{Pair, credited_in_all};
use super::vectors::{buy, campaign, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{MINUTE, Market, at, new_order, sale};

fn three_a_payment(name: &str) -> Market {
    let vouchers = json!([kind("60-20", 6_000, 2_000, 2), kind("30-10", 3_000, 1_000, 4)]);
    market(name, 2, vouchers, |campaign| {
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(3);
        campaign["limits"] = json!([{"action": "redeem", "entities": ["person"], "period": "day", "max_count": 4}]);
    })
}

fn kinds(reply: &Reply) -> Vec<&str> {
    let vouchers = reply["vouchers"].as_array().expect("a list of vouchers");
    vouchers.iter().map(|one| one["voucher_kind"].as_str().unwrap_or("")).collect()
}

#[test]
fn the_best_set_uses_up_a_threshold_for_each_voucher() {
    let market = three_a_payment("sets");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let code = server.pay_code(&person);
    for (amount, wanted) in [
        (5_999, vec!["30-10"]),
        (6_000, vec!["60-20"]),
        (9_000, vec!["60-20", "30-10"]),
        (14_999, vec!["60-20", "60-20"]),
        (15_000, vec!["60-20", "60-20", "30-10"]),
        (99_000, vec!["60-20", "60-20", "30-10"]),
    ] {
        let quote = server.quote(&till, &json!({"pay_code": code, "amount": amount, "category": "catering"})).ok();
        assert_eq!(kinds(&quote), wanted, "{amount}: {}", quote.text());
        assert_eq!(quote.int("payable"), amount - quote.int("discount_amount"));
    }
    let quote = server.quote(&till, &json!({"pay_code": code, "amount": 14_000, "category": "catering"})).ok();
    assert_eq!(quote["better"], json!({"add_amount": 1000, "discount_amount": 5000, "saves_more": 1000}));
    assert_eq!(quote["not_taken"][0]["code"], "minimum_not_met");
    assert_eq!(quote["not_taken"][0]["missing_amount"], 1000);
}

#[test]
fn a_set_is_held_confirmed_and_refunded_as_one() {
    let market = three_a_payment("whole");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let order = new_order();
    let held = server.redeem(&till, &sale(&order, &server.pay_code(&person), 15_001, false)).ok();
    assert_eq!((kinds(&held).len(), held.int("discount_amount"), held.int("payable")), (3, 5_000, 10_001));
    assert_eq!(market.vouchers(&person, "held").len(), 3);
    let done = server.confirm(&till, &order, held.str("hold_id"), 10_001).ok();
    assert_eq!(done["transaction_id"], held["transaction_id"], "one transaction for all of them");
    assert_eq!(market.vouchers(&person, "used").len(), 3);
    let day = server.settlement("2020-07-25", &till.merchant_id).ok();
    assert_eq!(day["totals"]["subsidy"], 5_000, "{}", day.text());
    let (mut to_payer, mut to_issuer) = (0, 0);
    for (number, part) in [7_000, 1, 8_000].into_iter().enumerate() {
        let back = server.refund(&till, &order, &format!("R{number}"), part).ok();
        to_payer += back.int("to_payer");
        to_issuer += back.int("to_issuer");
    }
    assert_eq!((to_payer, to_issuer), (10_001, 5_000));
    assert_eq!(market.vouchers(&person, "available").len(), 6);
    server.assert_audit_clean();
}

#[test]
fn a_set_lapses_and_is_reversed_as_one_and_counts_for_each_voucher() {
    let market = three_a_payment("back");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 15_000, false)).ok();
    // Three of four a day are held: one more, however large the payment.
    let one = buy(&market, &till, &person, 60_000, json!({})).ok();
    assert_eq!(kinds(&one), ["30-10"]);
    buy(&market, &till, &person, 60_000, json!({})).refused_with("limit_reached");
    server.set_clock(at("2020-07-25T12:00:00") + 3 * MINUTE);
    assert_eq!(market.vouchers(&person, "available").len(), 5);
    assert_eq!(server.reverse(&till, one.str("order_id")).ok().str("was"), "redeemed");
    let late = server.confirm(&till, held.str("order_id"), held.str("hold_id"), 10_000).ok();
    assert_eq!(late["late"], true);
    assert_eq!(kinds(&late).len(), 3);
    assert_eq!(server.reverse(&till, held.str("order_id")).ok().str("was"), "redeemed");
    assert_eq!(market.vouchers(&person, "available").len(), 6);
    server.assert_audit_clean();
}

#[test]
fn named_vouchers_are_taken_all_or_none() {
    let market = three_a_payment("named");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let free = market.vouchers(&person, "available");
    let ids = |n: usize| free.iter().take(n).map(|one| one.0.clone()).collect::<Vec<_>>();
    let by_ids = |ids: &[String], amount: i64| {
        server.redeem(
            &till,
            &json!({"order_id": new_order(), "voucher_ids": ids, "amount": amount,
            "category": "catering", "capture": true}),
        )
    };
    by_ids(&ids(4), 99_000).refused_with("too_many_vouchers");
    let minimum: i64 = free.iter().take(3).map(|one| if one.1 == "60-20" { 6_000 } else { 3_000 }).sum();
    let short = by_ids(&ids(3), minimum - 1).refused_with("minimum_not_met");
    assert_eq!(short["missing_amount"], 1);
    assert_eq!(market.vouchers(&person, "available").len(), 6);
    assert_eq!(kinds(&by_ids(&ids(3), minimum).ok()).len(), 3);
    by_ids(&ids(1), 99_000).refused_with("voucher_used");
    let strangers = [ids(5)[4].clone(), market.vouchers(&market.shopper(), "available")[0].0.clone()];
    by_ids(&strangers, 99_000).refused(422, "vouchers_of_several_persons");
    assert_eq!(market.vouchers(&person, "available").len(), 3, "nothing has changed");
}

#[test]
fn vouchers_of_two_campaigns_pay_together_where_both_allow_it() {
    for (combine, discount, count) in [(true, 4_500, 2), (false, 2_500, 1)] {
        let rules = |campaign: &mut Value| campaign["use_rule"]["combine_with_campaigns"] = json!(combine);
        let pair = Pair::open(if combine { "mix" } else { "apart" }, 1, rules, rules);
        let (market, server, till) = (&pair.market, pair.market.server(), pair.till());
        let person = market.shopper();
        let code = server.pay_code(&person);
        let quote = server.quote(&till, &json!({"pay_code": code, "amount": 11_000, "category": "catering"})).ok();
        assert_eq!((quote.int("discount_amount"), kinds(&quote).len()), (discount, count), "{}", quote.text());
        if !combine {
            assert_eq!(quote["not_taken"][0]["code"], "not_combinable", "{}", quote.text());
        }
        let done = server.redeem(&till, &sale(&new_order(), &code, 11_000, true)).ok();
        assert_eq!(done.int("discount_amount"), discount);
        let back = server.refund(&till, done.str("order_id"), "R1", 11_000).ok();
        assert_eq!(back.int("to_issuer"), discount);
        assert_eq!(market.vouchers(&person, "available").len(), 1);
        server.assert_audit_clean();
    }
}

/// Three campaigns of ten vouchers each: as many as a payment takes.
#[test]
fn thirty_vouchers_pay_one_order_and_all_come_back() {
    let of = |part: &str| {
        campaign(&format!("thirty-{part}"), 1, json!([kind("10-1", 1_000, 100, 10)]), |campaign| {
            campaign["use_rule"]["max_vouchers_per_payment"] = json!(30);
            campaign["use_rule"]["combine_with_campaigns"] = json!(true);
            campaign["limits"] = json!([]);
        })
    };
    let campaigns = ["a", "b", "c"].map(of);
    let market = credited_in_all(&campaigns, 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let ids = campaigns.each_ref().map(|campaign| campaign["campaign_id"].as_str().expect("an id"));
    ids[1..].iter().for_each(|id| server.enrol(id, &till.merchant_id));
    let all = || ids.iter().flat_map(|id| server.vouchers(id, &person)).collect::<Vec<_>>();
    let available = || all().iter().filter(|one| one.2 == "available").count();
    let named: Vec<String> = all().into_iter().map(|one| one.0).collect();
    let order = new_order();
    let mut body = json!({"order_id": order, "voucher_ids": named, "amount": 30_000, "category": "catering"});
    let held = server.redeem(&till, &body).ok();
    assert_eq!((held["vouchers"].as_array().map(Vec::len), held.int("payable")), (Some(30), 27_000));
    server.cancel(&till, &order).ok();
    assert_eq!(available(), 30);
    let mut beyond = named.clone();
    beyond.push("7ZZZZZZZZZZZZZZZZZZZZZZZZZ".to_string());
    (body["order_id"], body["voucher_ids"]) = (json!(new_order()), json!(beyond));
    assert_eq!(server.redeem(&till, &body).refused_with("too_many_vouchers")["limit"], 30);
    let bought = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 30_000, true)).ok();
    assert_eq!((bought.int("discount_amount"), available()), (3_000, 0), "{}", bought.text());
    let back = server.refund(&till, bought.str("order_id"), "R1", 30_000).ok();
    assert_eq!((back.int("to_issuer"), available()), (3_000, 30));
    server.assert_audit_clean();
}

#[test]
fn vouchers_for_ten_different_goods_all_pay_together() {
    let faces: Vec<Value> = (0..10)
        .map(|good| {
            let mut face = kind(&format!("g{good}"), 1_000, 300 + good, 1);
            face["use_rule"] = json!({"eligible_items": [format!("g{good}")]});
            face
        })
        .collect();
    let market = market("ten-goods", 1, json!(faces), |campaign| {
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(30);
        campaign["limits"] = json!([]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let items: Vec<Value> = (0..10).map(|good| json!({"sku": format!("g{good}"), "amount": 1_000})).collect();
    let ask = json!({"pay_code": server.pay_code(&person), "amount": 10_000, "category": "catering", "items": items});
    let quote = server.quote(&till, &ask).ok();
    assert_eq!((quote.int("discount_amount"), kinds(&quote).len()), (3_045, 10), "{}", quote.text());
    assert_eq!((&quote["not_taken"], &quote["stopped_looking"]), (&json!([]), &Value::Null));
    let named: Vec<String> = market.vouchers(&person, "available").into_iter().map(|one| one.0).collect();
    let body = json!({"order_id": new_order(), "voucher_ids": named, "amount": 10_000, "category": "catering",
        "items": items, "capture": true});
    assert_eq!(server.redeem(&till, &body).ok().int("discount_amount"), 3_045);
    server.assert_audit_clean();
}
