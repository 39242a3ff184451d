//! What time does to holds, pay codes, validity and windows; each test owns its clock.

use crate::harness::fixture::{DAY, HOUR, MINUTE, Market, SECOND, at, new_order, parse_time, sale};
use crate::harness::wait_until;

const NOON: &str = "2020-07-25T12:00:00";
const END: &str = "2020-09-07T00:00:00";

#[test]
fn a_hold_lapses_at_its_instant_and_its_voucher_is_free_again() {
    let market = Market::open("lapse", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, false)).ok();
    let order = held.str("order_id");
    server.set_clock(at(NOON) + 120 * SECOND - 1);
    assert_eq!(server.order(&till, order).ok().str("state"), "held");
    assert_eq!(market.vouchers(&person, "held").len(), 1);
    server.set_clock(at(NOON) + 120 * SECOND);
    assert_eq!(server.order(&till, order).ok().str("state"), "expired");
    assert_eq!(market.vouchers(&person, "available").len(), 6);
    wait_until("the ledger has released the hold without any traffic", || {
        (server.ledger(market.campaign())["total"]["held"] == 0).then_some(())
    });
    server.assert_audit_clean();
}

#[test]
fn a_late_confirm_is_taken_for_ten_minutes_while_its_voucher_is_free() {
    let market = Market::open("late", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let hold = |amount| server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), amount, false)).ok();
    let (first, second) = (hold(6000), hold(6000));
    let until = at(NOON) + 120 * SECOND;
    server.set_clock(until + 10 * MINUTE - 1);
    let late = server.confirm(&till, first.str("order_id"), first.str("hold_id"), 4000).ok();
    assert_eq!((late.str("state"), &late["late"]), ("redeemed", &serde_json::json!(true)));
    let again = server.confirm(&till, first.str("order_id"), first.str("hold_id"), 4000).ok();
    assert!(again.replayed() && again.json == late.json, "{}", again.text());
    server.set_clock(until + 10 * MINUTE);
    server.confirm(&till, second.str("order_id"), second.str("hold_id"), 4000).refused(409, "hold_expired");
    assert_eq!(market.vouchers(&person, "used").len(), 1);
    server.assert_audit_clean();
}

#[test]
fn a_late_confirm_finds_its_voucher_taken_and_takes_no_other() {
    let market = Market::open("taken", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let mut body = sale(&new_order(), "", 6000, false);
    body.as_object_mut().expect("an object").remove("pay_code");
    let id = market.vouchers(&person, "available").into_iter().find(|one| one.1 == "60-20").expect("one").0;
    body["voucher_ids"] = serde_json::json!([id]);
    let held = server.redeem(&till, &body).ok();
    server.set_clock(at(NOON) + 3 * MINUTE);
    body["order_id"] = serde_json::json!(new_order());
    server.redeem(&till, &body).ok();
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 4000).refused(409, "hold_expired");
    server.assert_audit_clean();
}

#[test]
fn a_pay_code_is_taken_one_step_late_and_no_later() {
    let market = Market::open("codes", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let (first, second) = (server.pay_code(&person), server.pay_code(&person));
    server.set_clock(at(NOON) + 120 * SECOND - 1);
    server.redeem(&till, &sale(&new_order(), &first, 6000, true)).ok();
    server.set_clock(at(NOON) + 120 * SECOND);
    server.redeem(&till, &sale(&new_order(), &second, 6000, true)).refused_with("pay_code_expired");
    let path = format!("/v1/pay-codes/{second}");
    let shown = server.resident(&person, "GET", &path, None);
    assert!(shown.str("state") == "expired" || shown.status == 404, "{}", shown.text());
}

#[test]
fn a_voucher_is_good_to_the_last_millisecond_and_a_hold_keeps_it_beyond() {
    let market = Market::open("end", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let hold = || server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, false));
    server.set_clock(at(END) - 1);
    let held = hold().ok();
    server.set_clock(at(END));
    let refused = hold();
    assert!(["voucher_expired", "no_voucher_applicable"].contains(&refused.code()), "{}", refused.text());
    let done = server.confirm(&till, held.str("order_id"), held.str("hold_id"), 4000).ok();
    assert_eq!((done.str("state"), done.str("settlement_date")), ("redeemed", "2020-09-07"));
    wait_until("everything else has expired", || {
        let total = server.ledger(market.campaign())["total"].clone();
        (total["expired"] == 6000 && total["redeemed"] == 2000).then_some(())
    });
    server.assert_audit_clean();
}

#[test]
fn a_late_confirm_is_judged_at_its_hold_though_the_voucher_has_ended_and_the_hold_was_swept() {
    for swept in [false, true] {
        let market = Market::open("swept", 1);
        let (server, till, person) = (market.server(), market.till(), market.shopper());
        let accounts = |wanted: [i64; 3]| {
            wait_until("the ledger stands", || {
                let total = server.ledger(market.campaign())["total"].clone();
                let found = [&total["outstanding"], &total["expired"], &total["redeemed"]];
                (found == wanted.map(|fen| serde_json::json!(fen)).each_ref()).then_some(())
            });
        };
        server.set_clock(at(END) - MINUTE);
        let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, false)).ok();
        let order = held.str("order_id");
        if swept {
            server.set_clock(at(END) + 2 * MINUTE);
            assert_eq!(server.order(&till, order).ok().str("state"), "expired");
            accounts([0, 8000, 0]);
        }
        server.set_clock(at(END) + 11 * MINUTE - 1);
        let late = server.confirm(&till, order, held.str("hold_id"), 4000).ok();
        assert_eq!((late.str("state"), &late["late"]), ("redeemed", &serde_json::json!(true)), "swept: {swept}");
        assert!(server.confirm(&till, order, held.str("hold_id"), 4000).ok().replayed());
        accounts([0, 6000, 2000]);
        assert_eq!(market.vouchers(&person, "used").len(), 1);
        assert_eq!(server.reverse(&till, order).ok().str("was"), "redeemed");
        accounts([0, 8000, 0]);
        server.assert_audit_clean();
    }
}

#[test]
fn a_full_refund_after_the_end_gives_the_money_to_the_issuer_and_no_voucher() {
    let market = Market::open("gone", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    server.set_clock(at(END) - HOUR);
    let done = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, true)).ok();
    server.set_clock(at(END) + HOUR);
    let back = server.refund(&till, done.str("order_id"), "R1", 6000).ok();
    assert_eq!((&back["to_payer"], &back["to_issuer"]), (&4000.into(), &2000.into()));
    assert_ne!(back["vouchers"][0]["state"], "available");
    assert!(market.vouchers(&person, "available").is_empty());
    wait_until("the ledger has it", || {
        let total = server.ledger(market.campaign())["total"].clone();
        let gone = total["expired"].as_i64()? + total["recovered"].as_i64()?;
        (total["redeemed"] == 0 && gone == 8000).then_some(())
    });
    server.assert_audit_clean();
}

#[test]
fn a_reverse_is_open_for_a_day_and_a_refund_for_longer() {
    let market = Market::open("windows", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let buy = || server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6000, true)).ok();
    let (first, second) = (buy(), buy());
    server.set_clock(at(NOON) + DAY - 1);
    server.reverse(&till, first.str("order_id")).ok();
    server.set_clock(at(NOON) + DAY);
    server.reverse(&till, second.str("order_id")).refused(409, "reversal_window_closed");
    server.refund(&till, second.str("order_id"), "R1", 1000).ok();
    server.set_clock(at(NOON) + 365 * DAY - 1);
    server.refund(&till, second.str("order_id"), "R2", 1000).ok();
    server.set_clock(at(NOON) + 365 * DAY);
    assert!(server.refund(&till, second.str("order_id"), "R2", 1000).ok().replayed(), "what was done stays told");
    server.refund(&till, second.str("order_id"), "R3", 1000).refused(409, "refund_window_closed");
    server.assert_audit_clean();
}

#[test]
fn a_new_day_has_a_new_limit_from_midnight_of_the_city() {
    let market = Market::open("days", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let buy = || server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 3000, true));
    server.set_clock(at("2020-07-26T00:00:00") - 1);
    buy().ok();
    buy().ok();
    buy().refused_with("limit_reached");
    server.set_clock(at("2020-07-26T00:00:00"));
    buy().ok();
    buy().ok();
    buy().refused_with("limit_reached");
    server.assert_audit_clean();
}

#[test]
fn a_voucher_is_restored_three_times_and_then_stays_used() {
    let market = Market::open("thrice", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let id = market.vouchers(&person, "available")[0].0.clone();
    for round in 1..=4 {
        let body = serde_json::json!({"order_id": new_order(), "voucher_ids": [id], "amount": 6000,
            "merchant_discount": 0, "category": "catering", "capture": true});
        let done = server.redeem(&till, &body).ok();
        let back = server.refund(&till, done.str("order_id"), "R1", 6000).ok();
        let wanted = if round <= 3 { "available" } else { "used" };
        assert_eq!(back["vouchers"][0]["state"], wanted, "refund {round}");
    }
    server.assert_audit_clean();
}

#[test]
fn before_the_validity_no_voucher_pays() {
    let round = crate::harness::fixture::Round::reserved(
        crate::harness::fixture::chengdu(&crate::harness::fixture::new_campaign_id("early"), 1),
        1,
    );
    round.raining(480 * SECOND);
    round.tap_drawn(0).ok();
    let (server, person) = (&round.server, &round.people[0]);
    let till = crate::harness::fixture::new_till(server, &round.campaign);
    let buy = || server.redeem(&till, &sale(&new_order(), &server.pay_code(person), 6000, true));
    for early in [at("2020-07-24T23:59:00"), at("2020-07-25T00:00:00") - 1] {
        server.set_clock(early);
        let refused = buy().refused(409, "voucher_not_yet_valid");
        let begin = parse_time(&refused["not_taken"][0]["available_begin_time"]);
        assert_eq!(begin, at("2020-07-25T00:00:00"), "{}", refused.text());
    }
    server.set_clock(at("2020-07-25T00:00:00"));
    buy().ok();
}
