//! What a refusal at a till says of its very case: which of several reasons, until when, and the same to a quote and to a redemption.

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, at, merchant, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

fn quote(market: &Market, till: &Till, person: &Resident, amount: i64, category: &str) -> Reply {
    let code = market.server().pay_code(person);
    market.server().quote(till, &json!({"pay_code": code, "amount": amount, "category": category})).ok()
}

/// A quote and a redemption of the same payment, which takes nothing: the code, and what both tell the cashier.
#[track_caller]
fn both(market: &Market, till: &Till, person: &Resident, amount: i64, category: &str) -> (Reply, String) {
    let asked = quote(market, till, person, amount, category);
    let refused = buy(market, till, person, amount, json!({"category": category}));
    assert!(!refused.is_success(), "{}", refused.text());
    assert_eq!(asked["pos_message"], refused["pos_message"], "{} {}", asked.text(), refused.text());
    let said = refused["pos_message"]["en"].as_str().expect("a sentence").to_owned();
    (refused, said)
}

#[test]
fn an_expired_voucher_is_told_so_at_any_hour_and_whatever_is_paused() {
    let market = market("ended", 1, json!([kind("30-10", 3_000, 1_000, 2)]), |campaign| {
        campaign["use_rule"]["hours"] =
            json!([{"week_days": [1, 2, 3, 4, 5, 6, 7], "begin_time": "06:00", "end_time": "23:00"}]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    server.set_clock(at("2020-09-07T23:30:00"));
    let id = market.vouchers(&person, "expired")[0].0.clone();
    for pause in [false, true] {
        if pause {
            server.pause(market.campaign(), &["redeem"]);
        }
        let (refused, _) = both(&market, &till, &person, 3_000, "catering");
        assert_eq!((refused.code(), &refused["retryable"]), ("voucher_expired", &json!(false)), "{}", refused.text());
        let named = json!({"order_id": new_order(), "voucher_ids": [id], "amount": 3_000, "category": "catering"});
        server.redeem(&till, &named).refused_with("voucher_expired");
    }
}

#[test]
fn a_closed_hour_says_when_the_next_one_begins() {
    let market = market("hours", 1, json!([kind("30-10", 3_000, 1_000, 2)]), |campaign| {
        campaign["use_rule"]["hours"] =
            json!([{"week_days": [1, 2, 3, 4, 5, 6], "begin_time": "06:00", "end_time": "23:00"}]);
        campaign["use_rule"]["dates_excluded"] = json!(["2020-07-28"]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    // 25 July 2020 was a Saturday.
    for (now, opens, wait_minutes, words) in [
        ("2020-07-25T23:30:00", "2020-07-27T06:00:00+08:00", 30 + 24 * 60 + 6 * 60, "Not at this hour"),
        ("2020-07-26T12:00:00", "2020-07-27T06:00:00+08:00", 18 * 60, "Not today"),
        ("2020-07-27T05:00:00", "2020-07-27T06:00:00+08:00", 60, "Not at this hour"),
        ("2020-07-27T23:00:00", "2020-07-29T06:00:00+08:00", 31 * 60, "Not at this hour"),
        ("2020-07-28T12:00:00", "2020-07-29T06:00:00+08:00", 18 * 60, "Not today"),
    ] {
        server.set_clock(at(now));
        let (refused, said) = both(&market, &till, &person, 3_000, "catering");
        assert_eq!((refused.code(), refused.str("opens_at")), ("outside_hours", opens), "{now}: {}", refused.text());
        assert_eq!(refused.header("retry-after"), Some((wait_minutes * 60).to_string().as_str()), "{now}");
        assert!(said.starts_with(words) && said.contains("06:00"), "{now}: {said}");
        assert_eq!(refused["retryable"], true);
    }
    // The voucher ends on 7 September at midnight: what opens that morning is too late for it.
    server.set_clock(at("2020-09-06T12:00:00"));
    let (refused, said) = both(&market, &till, &person, 3_000, "catering");
    assert_eq!((refused.code(), &refused["retryable"]), ("outside_hours", &json!(false)), "{}", refused.text());
    assert!(refused.header("retry-after").is_none() && said.contains("no further"), "{}", refused.text());
}

#[test]
fn a_shop_is_told_in_which_way_it_is_outside() {
    let market = market("outside", 1, json!([kind("30-10", 3_000, 1_000, 2)]), |_| {});
    let (server, person) = (market.server(), market.shopper());
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    let till = server.create_terminal(&id, "t1");
    let path = format!("/v1/campaigns/{}/merchants/{id}", market.campaign());
    let mut said = Vec::new();
    for (step, state) in
        [("", "none"), ("PUT", "applied"), ("/approve", ""), ("/suspend", "suspended"), ("/leave", "left")]
    {
        match step {
            "" => {}
            "PUT" => drop(server.office("PUT", &path, None).ok()),
            step => drop(server.office("POST", &format!("{path}{step}"), Some(json!({"reason": "a test"}))).ok()),
        }
        if state.is_empty() {
            continue;
        }
        let (refused, words) = both(&market, &till, &person, 3_000, "catering");
        assert_eq!(refused.code(), "merchant_not_enrolled", "{}", refused.text());
        assert_eq!(refused["state"].as_str().unwrap_or("none"), state, "{}", refused.text());
        said.push((words, refused.str("detail").to_owned()));
    }
    for (place, one) in said.iter().enumerate() {
        assert!(said[..place].iter().all(|other| other.0 != one.0 && other.1 != one.1), "{said:?}");
    }
}

#[test]
fn quote_and_redemption_tell_the_cashier_the_same() {
    let market = market("same", 3, json!([kind("30-10", 3_000, 1_000, 1)]), |campaign| campaign["limits"] = json!([]));
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    assert_eq!(both(&market, &till, &person, 2_000, "catering").0.code(), "minimum_not_met");
    let (refused, said) = both(&market, &till, &person, 3_000, "fuel");
    assert_eq!((refused.code(), refused.str("category")), ("category_not_allowed", "fuel"));
    assert!(said.contains("POS vendor"), "no campaign knows the word, so the till's mapping is wrong: {said}");
    for language in ["zh", "en"] {
        let told = refused["message"][language].as_str().expect("a text");
        assert!(told.contains("fuel") && told.contains("catering"), "{}", refused.text());
    }
    server.pause(market.campaign(), &["redeem"]);
    assert_eq!(both(&market, &till, &person, 3_000, "catering").0.code(), "campaign_not_running");
    server.office("POST", &format!("/v1/campaigns/{}/resume", market.campaign()), Some(json!({}))).ok();
    let (none, without) = both(&market, &till, &Resident::new(), 3_000, "catering");
    buy(&market, &till, &person, 3_000, json!({})).ok();
    let (spent, used) = both(&market, &till, &person, 3_000, "catering");
    assert_eq!((none.code(), spent.code()), ("no_voucher_applicable", "no_voucher_applicable"));
    assert_ne!(without, used, "who never had one is told something else than who has used it");
    let last = market.shopper();
    server.set_clock(at("2020-09-08T12:00:00"));
    assert_eq!(both(&market, &till, &last, 3_000, "catering").0.code(), "voucher_expired");
}

#[test]
fn a_conflict_and_a_limit_say_what_they_are_about() {
    let market = market("detail", 1, json!([kind("30-10", 3_000, 1_000, 4)]), |campaign| {
        campaign["limits"] =
            json!([{"action": "redeem", "entities": ["person", "merchant"], "period": "day", "max_count": 1}]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let first = buy(&market, &till, &person, 3_000, json!({})).ok();
    let (refused, _) = both(&market, &till, &person, 3_000, "catering");
    assert_eq!(refused.str("detail"), "A limit is reached: at most 1 voucher a day for each person and merchant.");
    assert_eq!(refused["message"]["zh"], "已达上限：每个人每商户每天最多用券1张。");
    let mut other: Value = sale(first.str("order_id"), &server.pay_code(&person), 4_000, true);
    other["category"] = json!("culture");
    let conflict = server.redeem(&till, &other).refused(409, "order_conflict");
    for language in ["zh", "en"] {
        let told = conflict["message"][language].as_str().expect("a text");
        assert!(told.contains("amount") && told.contains("category"), "{}", conflict.text());
    }
}
