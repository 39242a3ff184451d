//! What is a repeat of an order, and what is another request under its number.

use serde_json::{Value, json};

use super::MARKET;
use super::limits::capped;
use super::platform::{account, link, payment, platform};
use crate::harness::fixture::{EVE, Market, chengdu, merchant, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, together};

const NOON: &str = "2020-07-25T12:00:00+08:00";
const NOBODYS: &str = "975015833669018376";

fn of_nobody(server: &Server, till: &Till, body: &Value, code: &str) {
    let mut other = body.clone();
    other["pay_code"] = json!(code);
    let refused = server.redeem(till, &other).refused(404, "pay_code_unknown");
    assert_eq!(refused["outcome"], "not_applied", "{code}");
    other["amount"] = json!(6_001);
    let refused = server.redeem(till, &other).refused(409, "order_conflict");
    assert_eq!(refused["fields"], json!(["amount"]), "{code}");
}

#[test]
fn a_code_that_names_nobody_is_never_a_repeat_of_an_order() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    for capture in [true, false] {
        let body = sale(&new_order(), &server.pay_code(&person), 6_000, capture);
        let first = server.redeem(&till, &body).ok();
        let code = body["pay_code"].as_str().expect("a code");
        let typo = format!("{}{}", &code[..17], (code.as_bytes()[17] - b'0' + 1) % 10);
        for other in [NOBODYS, typo.as_str(), "", "QY1:", "97", "281501583366901837"] {
            of_nobody(server, &till, &body, other);
        }
        let mut picture = body.clone();
        picture["pay_code"] = json!(format!("QY1:{code}"));
        for same in [&body, &picture] {
            let again = server.redeem(&till, same).ok();
            assert!(again.replayed() && again.body == first.body, "{}", again.text());
        }
        if !capture {
            server.confirm(&till, first.str("order_id"), first.str("hold_id"), 4_000).ok();
            of_nobody(server, &till, &body, NOBODYS);
            assert!(server.redeem(&till, &body).ok().replayed());
        }
    }
    let printed = json!({"order_id": new_order(), "voucher_ids": [MARKET.vouchers(&person, "available")[0].0],
        "amount": 6_000, "category": "catering", "capture": true});
    let elsewhere = MARKET.till();
    server.redeem(&elsewhere, &printed).ok();
    let by_code = sale(printed["order_id"].as_str().expect("an order"), NOBODYS, 6_000, true);
    let refused = server.redeem(&elsewhere, &by_code).refused(409, "order_conflict");
    assert_eq!(refused["fields"], json!(["pay_code"]), "it was not made with a code");
}

/// A till that was switched off repeats its order the next day, at a node that has never met the code.
#[test]
fn the_code_that_an_order_was_made_with_repeats_it_when_the_store_has_forgotten_the_code() {
    let redis = OwnRedis::start();
    let market = Market::open_on(redis.node(EVE, 1, None), chengdu(&new_campaign_id("forgotten"), 1), 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let bodies = [true, false].map(|capture| sale(&new_order(), &server.pay_code(&person), 6_000, capture));
    let first = bodies.each_ref().map(|body| server.redeem(&till, body).ok());
    let other = server.pay_code(&person);
    for key in redis.ask(&["EVAL", "return table.concat(redis.call('KEYS', '*:pc:*'), ' ')", "0"]).split(' ') {
        redis.ask(&["DEL", key]);
    }
    let fresh = redis.node(NOON, 1, Some(server));
    for (body, first) in bodies.iter().zip(&first) {
        let again = fresh.redeem(&till, body).ok();
        assert!(again.replayed() && again.body == first.body, "{}", again.text());
        of_nobody(&fresh, &till, body, &other);
    }
}

#[test]
fn an_account_that_is_another_persons_by_now_repeats_the_order_that_it_paid() {
    let (server, platform) = (MARKET.server(), platform("wechat"));
    for capture in [true, false] {
        let (first, second) = (MARKET.shopper(), MARKET.shopper());
        link(&first, "PUT");
        let mut body = payment(&platform, &first, 6_000);
        body["capture"] = json!(capture);
        let done = server.redeem(&platform, &body).ok();
        link(&second.clone().claiming("sub", account(&first)["id"].clone()), "PUT");
        let again = server.redeem(&platform, &body).ok();
        assert!(again.replayed() && again.body == done.body, "{}", again.text());
        let mut by_code = body.clone();
        by_code.as_object_mut().expect("a body").remove("account");
        by_code["pay_code"] = json!(server.pay_code(&second));
        let refused = server.redeem(&platform, &by_code).refused(409, "order_conflict");
        assert_eq!(refused["fields"], json!(["pay_code"]));
        let mut stranger = body.clone();
        stranger["account"]["id"] = json!("nobody-we-know");
        server.redeem(&platform, &stranger).refused(404, "account_unknown");
        assert_eq!(MARKET.vouchers(&second, "available").len(), 6);
        server.redeem(&platform, &payment(&platform, &first, 6_000)).ok();
        assert_eq!(MARKET.vouchers(&second, "available").len(), 5, "a new order is of the new owner");
    }
}

#[test]
fn another_category_or_scene_is_another_request_and_another_receipt_is_none() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    for capture in [true, false] {
        let body = sale(&new_order(), &server.pay_code(&person), 6_000, capture);
        let first = server.redeem(&till, &body).ok();
        let check = |changes: Value, fields: &[&str]| {
            let mut other = body.clone();
            for (name, value) in changes.as_object().expect("changes") {
                other[name] = value.clone();
            }
            let reply = server.redeem(&till, &other);
            if fields.is_empty() {
                assert!(reply.is_success() && reply.body == first.body, "{changes}: {}", reply.text());
            } else {
                assert_eq!(reply.refused(409, "order_conflict")["fields"], json!(fields), "{changes}");
            }
        };
        check(json!({"category": "culture"}), &["category"]);
        check(json!({"category": "no_such_category"}), &["category"]);
        check(json!({"scene": "takeaway"}), &["scene"]);
        check(json!({"category": "culture", "scene": "online", "amount": 6_001}), &["amount", "category", "scene"]);
        // A till that names no scene sells offline.
        check(json!({"scene": "offline"}), &[]);
        check(json!({"receipt": {"store": "s2", "terminal": "t9", "cashier": "c", "receipt_no": "9"}}), &[]);
        check(json!({"terminal_id": "t1", "merchant_id": till.merchant_id}), &[]);
    }
}

/// What one copy has taken of the shop's cap is the order's, not another's: no copy is refused for it, and none ends what another does.
#[test]
fn copies_of_one_order_do_not_keep_each_other_from_the_last_place_under_a_cap() {
    const ROUNDS: usize = 12;
    let market = capped("copies", ROUNDS, 1);
    for round in 0..ROUNDS {
        let (server, till) = (market.server(), market.till());
        let body = sale(&new_order(), &server.pay_code(&market.shopper()), 6_000, round % 2 == 0);
        let told = together(10, |_| server.redeem(&till, &body));
        let told: Vec<_> = told.into_iter().map(|reply| (reply.status, reply.replayed(), reply.text())).collect();
        let first = told.iter().filter(|(status, replayed, _)| *status == 200 && !replayed).count();
        let again = told.iter().filter(|(status, replayed, _)| *status == 200 && *replayed).count();
        assert_eq!((first, again), (1, 9), "round {round}: {told:?}");
    }
    market.server().assert_audit_clean();
}

/// The copies come from a till whose answers are lost, or from several nodes of a chain that all try.
#[test]
fn of_ten_copies_of_one_order_at_one_instant_each_is_told_what_the_order_did() {
    let (server, till) = (MARKET.server(), MARKET.till());
    let magic = Server::at(EVE);
    let shop = new_merchant_id();
    magic.create_merchant(&merchant(&shop)).ok();
    let shop = magic.create_terminal(&shop, "t1");
    for round in 0..6 {
        let capture = round % 2 == 0;
        let real = sale(&new_order(), &server.pay_code(&MARKET.shopper()), 6_000, capture);
        let played = sale(&new_order(), "979990000000000015", 6_000, capture);
        for (name, server, till, body) in [("a code", server, &till, real), ("a magic code", &magic, &shop, played)] {
            let told = together(10, |_| server.redeem(till, &body));
            let told: Vec<_> = told.into_iter().map(|reply| (reply.status, reply.replayed(), reply.text())).collect();
            let first = told.iter().filter(|(status, replayed, _)| *status == 200 && !replayed).count();
            let again = told.iter().filter(|(status, replayed, _)| *status == 200 && *replayed).count();
            assert_eq!((first, again), (1, 9), "{name}, round {round}: {told:?}");
            assert!(told.iter().all(|(_, _, text)| *text == told[0].2), "{name}: {told:?}");
        }
    }
    magic.assert_audit_clean();
}

#[test]
fn a_number_of_an_earlier_day_is_answered_with_that_day() {
    let market = Market::open("yesterday", 2);
    let (server, till) = (market.server(), market.till());
    let people = [market.shopper(), market.shopper()];
    let sell = |place: usize| {
        let code = server.pay_code(&people[place]);
        server.redeem(&till, &sale(&format!("000{place}"), &code, 6_000, place == 0)).ok()
    };
    let first = [sell(0), sell(1)];
    server.confirm(&till, "0001", first[1].str("hold_id"), 4_000).ok();
    server.set_clock(crate::harness::fixture::at("2020-07-26T09:00:00"));
    for (place, first) in first.iter().enumerate() {
        let again = sell(place);
        assert!(again.replayed() && again.body == first.body, "{}", again.text());
        for language in ["zh", "en"] {
            let said = again["pos_message"][language].as_str().expect("a sentence");
            assert!(said.contains("2020-07-25"), "{said}");
        }
    }
}
