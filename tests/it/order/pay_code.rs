//! The code on the phone: bound to one order, useless as a screenshot, and honest about itself while it is shown.

use serde_json::json;

use super::equal::without_id;
use super::{MARKET, state_of};
use crate::harness::fixture::{Market, SECOND, at, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server, together};

const NOON: &str = "2020-07-25T12:00:00";

#[test]
fn a_code_shown_to_two_tills_at_once_pays_at_one_of_them() {
    let (server, person) = (MARKET.server(), MARKET.shopper());
    let tills = [MARKET.till(), MARKET.till(), MARKET.till(), MARKET.till()];
    let code = server.pay_code(&person);
    let replies = together(4, |index| server.redeem(&tills[index], &sale(&new_order(), &code, 6000, true)));
    let (paid, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.is_success());
    assert_eq!(paid.len(), 1, "one till was paid");
    for reply in refused {
        reply.refused(409, "pay_code_used");
    }
    assert_eq!(MARKET.vouchers(&person, "used").len(), 1);
}

#[test]
fn a_screenshot_is_refused_at_a_quote_too_and_its_order_passes_again() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let code = server.pay_code(&person);
    let order = new_order();
    let held = server.redeem(&till, &sale(&order, &code, 6000, false)).ok();
    let quote = json!({"pay_code": code, "amount": 6000, "category": "catering"});
    server.quote(&MARKET.till(), &quote).refused(409, "pay_code_used");
    let again = server.redeem(&till, &sale(&order, &code, 6000, false)).ok();
    assert!(again.replayed() && again.json == held.json, "{}", again.text());
    let fresh = server.redeem(&till, &sale(&order, &server.pay_code(&person), 6000, false)).ok();
    assert!(fresh.replayed() && fresh.json == held.json, "a fresh code of the same person is the same request");
}

#[test]
fn another_persons_code_under_the_same_order_number_is_a_conflict() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    // On the same shard and on others.
    let others = [MARKET.shopper(), MARKET.shopper(), MARKET.shopper()];
    for capture in [true, false] {
        let order = new_order();
        let first = server.redeem(&till, &sale(&order, &server.pay_code(&person), 6000, capture)).ok();
        for other in &others {
            let code = server.pay_code(other);
            let reply = server.redeem(&till, &sale(&order, &code, 6000, capture)).refused(409, "order_conflict");
            assert_eq!(reply["fields"], json!(["pay_code"]), "capture {capture}");
            let reply = server.redeem(&till, &sale(&order, &code, 6001, capture)).refused(409, "order_conflict");
            assert_eq!(reply["fields"], json!(["amount", "pay_code"]), "capture {capture}");
            assert_eq!(state_of(other, &code), "live", "it pays another order");
            let mut named = sale(&order, "", 6000, capture);
            named.as_object_mut().expect("a body").remove("pay_code");
            named["voucher_ids"] = json!([MARKET.vouchers(other, "available")[0].0]);
            let reply = server.redeem(&till, &named).refused(409, "order_conflict");
            assert_eq!(reply["fields"], json!(["voucher_ids"]), "capture {capture}");
        }
        let fresh = server.redeem(&till, &sale(&order, &server.pay_code(&person), 6000, capture)).ok();
        assert!(fresh.replayed() && fresh.json == first.json, "{}", fresh.text());
        server.redeem(&till, &sale(&order, "975015833669018376", 6000, capture)).refused(404, "pay_code_unknown");
    }
    assert_eq!(MARKET.vouchers(&person, "used").len() + MARKET.vouchers(&person, "held").len(), 2);
    assert!(others.iter().all(|other| MARKET.vouchers(other, "available").len() == 6));
}

/// On a market of its own, for it moves the clock past the life of a code.
#[test]
fn another_persons_code_that_has_expired_under_a_used_order_number_is_a_conflict_too() {
    let market = Market::open("expired-other", 2);
    let (server, till, person, other) = (market.server(), market.till(), market.shopper(), market.shopper());
    let orders = [true, false].map(|capture| {
        let first = sale(&new_order(), &server.pay_code(&person), 6000, capture);
        (server.redeem(&till, &first).ok(), first, capture)
    });
    let theirs = server.pay_code(&other);
    // Tills take a code for a minute longer than it is shown.
    server.set_clock(at(NOON) + 121 * SECOND);
    for (done, first, capture) in &orders {
        let order = done.str("order_id");
        let reply = server.redeem(&till, &sale(order, &theirs, 6000, *capture)).refused(409, "order_conflict");
        assert_eq!(reply["fields"], json!(["pay_code"]), "capture {capture}: {}", reply.text());
        let again = server.redeem(&till, first);
        if *capture {
            assert!(again.replayed() && again.json == done.json, "one's own code may expire: {}", again.text());
        } else {
            again.refused(409, "hold_expired");
        }
    }
    server.redeem(&till, &sale(&new_order(), &theirs, 6000, true)).refused(409, "pay_code_expired");
    assert_eq!(market.vouchers(&other, "available").len(), 6);
}

#[test]
fn a_code_whose_order_was_undone_does_not_come_back_to_life() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    for undo in ["cancel", "reverse"] {
        let code = server.pay_code(&person);
        let held = server.redeem(&till, &sale(&new_order(), &code, 6000, false)).ok();
        match undo {
            "cancel" => server.cancel(&till, held.str("order_id")).ok(),
            _ => server.reverse(&till, held.str("order_id")).ok(),
        };
        assert_eq!(state_of(&person, &code), "expired", "{undo}");
        server.redeem(&till, &sale(&new_order(), &code, 6000, false)).refused(409, "pay_code_used");
    }
}

#[test]
fn a_refused_payment_leaves_the_code_alive_for_another_order() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let code = server.pay_code(&person);
    server.redeem(&till, &sale(&new_order(), &code, 2999, true)).refused(422, "minimum_not_met");
    assert_eq!(state_of(&person, &code), "live");
    server.redeem(&MARKET.till(), &sale(&new_order(), &code, 3000, true)).ok();
    assert_eq!(state_of(&person, &code), "redeemed");
}

#[test]
fn the_text_of_the_picture_pays_like_the_digits_and_a_typo_like_nothing() {
    let (server, till, person) = (MARKET.server(), MARKET.till(), MARKET.shopper());
    let code = server.pay_code(&person);
    let typo = format!("{}{}", &code[..17], (code.as_bytes()[17] - b'0' + 1) % 10);
    for wrong in [typo.as_str(), "", "QY1:", "97", "975015833669018376", "281501583366901837"] {
        server.redeem(&till, &sale(&new_order(), wrong, 6000, true)).refused(404, "pay_code_unknown");
    }
    server.redeem(&till, &sale(&new_order(), &format!("QY1:{code}"), 6000, true)).ok();
}

#[test]
fn nobody_sees_what_becomes_of_another_persons_code() {
    let (server, person) = (MARKET.server(), MARKET.shopper());
    let path = format!("/v1/pay-codes/{}", server.pay_code(&person));
    let stranger = server.resident(&Resident::new(), "GET", &path, None).refused(404, "not_found");
    let unknown = server.resident(&person, "GET", "/v1/pay-codes/970000000000000000", None).refused(404, "not_found");
    let silent = |mut reply: crate::harness::client::Reply| {
        reply.json["request_id"] = json!("");
        without_id(&reply.json)
    };
    assert_eq!(silent(stranger), silent(unknown));
}

#[test]
fn an_installation_may_show_its_codes_for_half_a_minute() {
    let options = Options { pay_code_seconds: Some(30), ..Options::at("2020-07-12T12:00:00+08:00") };
    let campaign = crate::harness::fixture::chengdu(&new_campaign_id("quick"), 1);
    let market = Market::open_on(Server::start(options), campaign, 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let shown = server.resident(&person, "POST", "/v1/pay-codes", Some(json!({}))).ok();
    assert_eq!(shown.int("refresh_after_ms"), 25_000);
    assert_eq!(crate::harness::fixture::parse_time(&shown["expires_at"]), at(NOON) + 30 * SECOND);
    let second = server.pay_code(&person);
    server.set_clock(at(NOON) + 60 * SECOND - 1);
    server.redeem(&till, &sale(&new_order(), shown.str("pay_code"), 6000, true)).ok();
    server.set_clock(at(NOON) + 60 * SECOND);
    server.redeem(&till, &sale(&new_order(), &second, 6000, true)).refused(409, "pay_code_expired");
}
