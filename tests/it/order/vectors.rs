//! The worked cases of real programmes that concern a checkout: amounts to the fen, as the cities published them.

use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{Market, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// Chengdu's campaign with other vouchers in its one pack.
pub fn campaign(name: &str, people: i64, vouchers: Value, change: impl Fn(&mut Value)) -> Value {
    let mut campaign = chengdu(&new_campaign_id(name), people);
    let face = |kind: &Value| kind["discount_amount"].as_i64().or(kind["discount_amount_max"].as_i64()).unwrap_or(0);
    let one = |kind: &Value| face(kind) * kind["count"].as_i64().unwrap_or(1);
    let value: i64 = vouchers.as_array().expect("a list of vouchers").iter().map(one).sum();
    campaign["budget"] = json!(people * value);
    campaign["packs"][0]["vouchers"] = vouchers;
    change(&mut campaign);
    campaign
}

pub fn market(name: &str, people: usize, vouchers: Value, change: impl Fn(&mut Value)) -> Market {
    Market::open_with(campaign(name, people as i64, vouchers, change), people)
}

pub fn kind(name: &str, minimum: i64, discount: i64, count: i64) -> Value {
    json!({"voucher_kind": name, "transaction_minimum": minimum, "discount_amount": discount, "count": count})
}

/// A sale in one call; `more` replaces members of the request.
#[track_caller]
pub fn buy(market: &Market, till: &Till, person: &Resident, amount: i64, more: Value) -> Reply {
    let mut body = sale(&new_order(), &market.server().pay_code(person), amount, true);
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    market.server().redeem(till, &body)
}

fn paid(reply: &Reply) -> (i64, i64) {
    (reply.int("discount_amount"), reply.int("payable"))
}

#[test]
fn f1_chengdu_all_six_vouchers_need_240_yuan_and_are_good_until_the_last_second() {
    let market = Market::open("f1", 1);
    let (server, person) = (market.server(), market.shopper());
    let mut spent = 0;
    for amount in [6000, 6000, 3000, 3000, 3000] {
        let reply = buy(&market, &market.till(), &person, amount, json!({})).ok();
        assert_eq!(reply.int("discount_amount"), amount / 3);
        spent += amount;
    }
    server.set_clock(at("2020-09-05T12:00:00"));
    let joined_late = market.till();
    server.set_clock(at("2020-09-06T23:59:59"));
    assert_eq!(paid(&buy(&market, &joined_late, &person, 3000, json!({})).ok()), (1000, 2000));
    assert_eq!(spent + 3000, 24_000);
    server.assert_audit_clean();
}

#[test]
fn f1_chengdu_is_expired_at_midnight() {
    let market = Market::open("f1-end", 1);
    let till = market.till();
    market.server().set_clock(at("2020-09-07T00:00:00"));
    buy(&market, &till, &market.shopper(), 6000, json!({})).refused_with("voucher_expired");
}

#[test]
fn f2_hangzhou_the_merchants_offer_comes_first_and_the_threshold_is_judged_on_the_rest() {
    let vouchers = json!([kind("100-20", 10_000, 2_000, 1), kind("40-10", 4_000, 1_000, 5)]);
    let market = market("f2", 4, vouchers, |_| {});
    let offered = |person: &Resident, amount: i64, off: i64| {
        buy(&market, &market.till(), person, amount, json!({"merchant_discount": off}))
    };
    assert_eq!(paid(&offered(&market.shopper(), 14_500, 4_350).ok()), (2_000, 8_150));
    assert_eq!(paid(&offered(&market.shopper(), 5_000, 500).ok()), (1_000, 3_500));
    let person = market.shopper();
    let large = market.vouchers(&person, "available").into_iter().find(|one| one.1 == "100-20").expect("one").0;
    let body = json!({"order_id": new_order(), "voucher_ids": [large], "amount": 14_349, "merchant_discount": 4_350,
        "category": "catering", "capture": true});
    let reply = market.server().redeem(&market.till(), &body).refused_with("minimum_not_met");
    assert_eq!(reply["missing_amount"], 1);
    let one_payment = buy(&market, &market.till(), &market.shopper(), 8_000, json!({})).ok();
    assert_eq!((paid(&one_payment), &one_payment["vouchers"][1]), ((1_000, 7_000), &Value::Null));
}

#[test]
fn f2_hangzhou_two_40_10_at_one_merchant_in_a_day_and_no_third() {
    let market = market("f2-day", 1, json!([kind("40-10", 4_000, 1_000, 5)]), |_| {});
    let (till, person) = (market.till(), market.shopper());
    for _ in 0..2 {
        assert_eq!(paid(&buy(&market, &till, &person, 4_000, json!({})).ok()), (1_000, 3_000));
    }
    buy(&market, &till, &person, 4_000, json!({})).refused_with("limit_reached");
    buy(&market, &market.till(), &person, 4_000, json!({})).ok();
    market.server().set_clock(at("2020-07-26T00:00:00"));
    buy(&market, &till, &person, 4_000, json!({})).ok();
}

#[test]
fn f2_hangzhou_vouchers_are_for_shops_and_a_till_that_says_nothing_is_in_one() {
    let vouchers = json!([kind("40-10", 4_000, 1_000, 5)]);
    let market = market("f2-scene", 1, vouchers, |c| c["use_rule"]["scenes"] = json!(["offline"]));
    let person = market.shopper();
    let scene = |scene: Value| buy(&market, &market.till(), &person, 4_000, scene);
    for fits in [json!({}), json!({"scene": "offline"}), json!({"scene": "dine_in"})] {
        scene(fits).ok();
    }
    let reply = scene(json!({"scene": "online"})).refused_with("scene_not_allowed");
    assert_eq!(reply["allowed"], json!(["offline"]));
    assert!(crate::harness::manners::both_languages(&reply["pos_message"]));
}

#[test]
fn f3_shanghai_a_refund_of_half_an_order_splits_evenly_and_consumes_the_voucher() {
    let market = market("f3", 1, json!([kind("100-50", 10_000, 5_000, 1)]), |_| {});
    let (till, person) = (market.till(), market.shopper());
    let done = buy(&market, &till, &person, 10_000, json!({})).ok();
    assert_eq!(paid(&done), (5_000, 5_000));
    let back = market.server().refund(&till, done.str("order_id"), "R1", 5_000).ok();
    assert_eq!((back.int("to_payer"), back.int("to_issuer")), (2_500, 2_500));
    assert_eq!(back["vouchers"][0]["state"], "used");
    assert!(market.vouchers(&person, "available").is_empty());
    market.server().assert_audit_clean();
}

#[test]
fn f4_shanghai_dining_no_prepaid_cards_and_the_threshold_after_the_merchants_discount() {
    let market = market("f4", 1, json!([kind("300-90", 30_000, 9_000, 1)]), |campaign| {
        campaign["use_rule"]["scenes"] = json!(["dine_in"]);
        campaign["use_rule"]["excluded_items"] = json!(["prepaid_card", "group_buy_coupon"]);
    });
    let (till, person) = (market.till(), market.shopper());
    let items = |meal: i64, off: i64, card: i64| {
        json!({"scene": "dine_in", "merchant_discount": off, "items": [
            {"sku": "menu", "category": "catering", "quantity": 2, "amount": meal, "merchant_discount": off},
            {"sku": "c-500", "category": "prepaid_card", "amount": card}]})
    };
    buy(&market, &till, &person, 40_000, json!({})).refused_with("scene_not_allowed");
    let short = buy(&market, &till, &person, 80_000, items(30_000, 1, 50_000)).refused_with("minimum_not_met");
    assert_eq!(short["missing_amount"], 1);
    let only_a_card = json!({"scene": "dine_in", "items": [{"sku": "group_buy_coupon", "amount": 50_000}]});
    buy(&market, &till, &person, 50_000, only_a_card).refused_with("items_not_eligible");
    let done = buy(&market, &till, &person, 80_001, items(30_001, 1, 50_000)).ok();
    assert_eq!(paid(&done), (9_000, 71_000));
}

#[test]
fn f5_wuhan_the_50_dining_voucher_is_for_eating_in_and_each_pack_for_its_category() {
    let mut eating_in = kind("150-50", 15_000, 5_000, 1);
    eating_in["use_rule"] = json!({"scenes": ["dine_in"]});
    let vouchers = json!([kind("30-10", 3_000, 1_000, 1), kind("60-20", 6_000, 2_000, 1), eating_in]);
    let market = market("f5", 1, vouchers, |campaign| {
        campaign["packs"][0]["use_rule"] = json!({"categories": ["catering"]});
    });
    let (till, person) = (market.till(), market.shopper());
    let server = market.server();
    let body =
        json!({"pay_code": server.pay_code(&person), "amount": 20_000, "category": "catering", "scene": "takeaway"});
    let quote = server.quote(&till, &body).ok();
    assert_eq!((quote.int("discount_amount"), &quote["vouchers"][0]["voucher_kind"]), (2_000, &json!("60-20")));
    let reasons: Vec<_> =
        quote["not_taken"].as_array().expect("a list").iter().map(|one| one["code"].clone()).collect();
    assert_eq!(reasons, [json!("too_many_vouchers"), json!("scene_not_allowed")]);
    buy(&market, &till, &person, 20_000, json!({"category": "culture"})).refused_with("category_not_allowed");
    let done = buy(&market, &till, &person, 20_000, json!({"scene": "dine_in"})).ok();
    assert_eq!(paid(&done), (5_000, 15_000));
}

#[test]
fn f6_trade_in_takes_15_per_cent_of_each_price_up_to_a_maximum_and_the_books_balance() {
    let percent = |name: &str, most: i64, price: Value| {
        json!({"voucher_kind": name, "kind": "percent", "discount_basis_points": 1500, "discount_amount_max": most,
            "item_price_max": price, "count": 1, "use_rule": {"categories": [name]}})
    };
    let vouchers = json!([percent("culture", 150_000, json!(99_999_999)), percent("sport", 50_000, json!(600_000))]);
    let market = market("f6", 3, vouchers, |campaign| campaign["use_rule"]["require_items"] = json!(true));
    let (server, till) = (market.server(), market.till());
    let pay = |person: &Resident, category: &str, price: i64, off: i64| {
        let items = json!([{"sku": "x", "category": category, "amount": price, "merchant_discount": off}]);
        let more = json!({"category": category, "items": items, "merchant_discount": off});
        buy(&market, &till, person, price, more)
    };
    let (first, second) = (market.shopper(), market.shopper());
    assert_eq!(paid(&pay(&first, "culture", 333_339, 3_332).ok()), (49_501, 280_506), "rounded down");
    buy(&market, &till, &first, 100_000, json!({"category": "sport"})).refused_with("items_required");
    pay(&first, "sport", 600_001, 0).refused_with("items_not_eligible");
    pay(&first, "sport", 6, 0).refused_with("minimum_not_met");
    let done = pay(&first, "sport", 600_001, 1).ok();
    assert_eq!(paid(&done), (50_000, 550_000), "not 90,000: the maximum");
    assert_eq!(pay(&second, "culture", 2_000_000, 0).ok().int("discount_amount"), 150_000);
    let small = pay(&second, "sport", 7, 0).ok();
    assert_eq!(paid(&small), (1, 6));
    server.refund(&till, small.str("order_id"), "R1", 7).ok();
    assert_eq!(market.vouchers(&second, "available").len(), 1);
    server.reverse(&till, done.str("order_id")).ok();
    assert_eq!(server.ledger(market.campaign())["total"]["redeemed"], 49_501 + 150_000);
    server.assert_audit_clean();
    server.set_clock(at("2020-09-07T01:00:00"));
    crate::harness::wait_until("what nobody took off has expired", || {
        let total = server.ledger(market.campaign())["total"].clone();
        (total["expired"] == 600_000 - 49_501 - 150_000).then_some(())
    });
    server.assert_audit_clean();
}
