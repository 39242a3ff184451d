//! F2, Hangzhou 2020 and 2022: first come, first served, of three kinds of packs; the third one ends for everybody at one hour.

use serde_json::{Value, json};

use super::{Play, file, paid, people};
use crate::harness::fixture::{at, parse_time};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// 20, 15 and 37 packs.
const DIVISOR: i64 = 100_000;

fn named(play: &Play, person: &Resident, kind: &str) -> Value {
    let found = play.vouchers(person, "available").into_iter().find(|voucher| voucher.1 == kind);
    json!({"voucher_ids": [found.unwrap_or_else(|| panic!("no {kind}")).0]})
}

#[test]
fn f2_hangzhou_is_rehearsed_from_the_first_rush_to_the_last_settlement() {
    let file = file("hangzhou-2020", DIVISOR);
    let play = Play::publish(&file, "330106", "2020-03-20T12:00:00");
    assert_eq!(play.checked()["total"]["unissued"], file["budget"], "every fen is in a pack");
    let crowd = people(40, &["alipay"]);
    let till = first_round(&play, &crowd);
    let late_refund = second_round(&play, &crowd);
    everything_expires(&play, &till, late_refund);
    two_years_later(&play, &crowd);
    play.settled();
}

fn first_round(play: &Play, crowd: &[Resident]) -> Till {
    play.go("2020-03-27T08:00:00");
    for person in &crowd[..16] {
        play.wins("i", person, None);
        assert_eq!(play.vouchers(person, "available").len(), 5);
    }
    play.checked();
    let till = play.till();
    let offer = json!({"merchant_discount": 500});
    assert_eq!(
        paid(play.buy(&till, &crowd[0], 5_000, offer)),
        (1_000, 3_500),
        "50 is 45 for members, and 40-10 pays 35"
    );
    let one = play.buy(&till, &crowd[1], 8_000, json!({})).ok();
    let taken = one["vouchers"].as_array().expect("a list").len();
    assert_eq!((taken, one.int("discount_amount"), one.int("payable")), (1, 1_000, 7_000), "one payment, one voucher");
    for _ in 0..2 {
        assert_eq!(paid(play.buy(&till, &crowd[2], 4_000, json!({}))), (1_000, 3_000), "two payments are two orders");
    }
    play.buy(&till, &crowd[2], 4_000, json!({})).refused_with("limit_reached");
    play.buy(&play.till(), &crowd[2], 4_000, json!({})).ok();
    play.buy(&till, &crowd[3], 4_000, json!({"scene": "online"})).refused_with("scene_not_allowed");
    play.buy(&till, &crowd[3], 3_999, json!({})).refused_with("minimum_not_met");
    let returned = play.buy(&till, &crowd[3], 4_000, json!({})).ok();
    let whole = play.refund(&till, &returned, "R1", 4_000);
    assert_eq!((whole.int("to_payer"), whole.int("to_issuer")), (3_000, 1_000));
    assert_eq!(play.vouchers(&crowd[3], "available").len(), 5, "a full refund while it is valid gives it back");
    ends_are_seven_days_after_receipt(play, &crowd[3]);
    play.go("2020-03-28T00:00:00");
    play.buy(&till, &crowd[2], 4_000, json!({})).ok();
    till
}

fn ends_are_seven_days_after_receipt(play: &Play, person: &Resident) {
    let wallet = play.server.wallet(&play.campaign, person).ok();
    for voucher in wallet["vouchers"].as_array().expect("vouchers") {
        let end = parse_time(&voucher["available_end_time"]);
        assert_eq!(end, at("2020-04-03T00:00:00"), "the day of receipt is the first of seven");
    }
}

/// Answers an order of a voucher of the second round, for a refund after its end.
fn second_round(play: &Play, crowd: &[Resident]) -> (Till, crate::harness::client::Reply) {
    // The first round ends in the calendar week in which the second begins.
    play.go("2020-04-01T12:00:00");
    for person in &crowd[16..18] {
        play.wins("i", person, None);
    }
    play.go("2020-04-03T00:00:00");
    assert_eq!(play.fen(0, ["unissued"]), [2 * 5_000], "nobody came for the last two");
    play.go("2020-04-03T10:00:00");
    play.wins("ii", &crowd[0], None);
    let early = play.tap("ii", &play.pass("ii", &crowd[1]), None).ok();
    assert!(["won", "not_yet"].contains(&early.str("outcome")), "{}", early.text());
    play.go("2020-04-03T10:10:00");
    for person in &crowd[1..14] {
        play.wins("ii", person, None);
    }
    let limited = play.claim("ii", &crowd[16], None).refused_with("limit_reached");
    assert_eq!(limited["limit"]["period"], "week", "once per person and week: {}", limited.text());
    let till = play.till();
    let offer = json!({"merchant_discount": 4_350});
    let worked = play.buy(&till, &crowd[0], 14_500, offer).ok();
    assert_eq!((worked.int("discount_amount"), worked.int("payable")), (2_000, 8_150), "145 less 30 per cent, less 20");
    let mut short = named(play, &crowd[1], "100-20");
    short["merchant_discount"] = json!(1);
    let reply = play.buy(&till, &crowd[1], 10_000, short).refused_with("minimum_not_met");
    assert_eq!(reply["missing_amount"], 1, "99.99 after the merchant's discount is not 100");
    let settlement = play.server.settlement("2020-04-03", &till.merchant_id).ok();
    let line = &settlement["lines"][0];
    assert_eq!(line["subsidy"].as_i64().map(|subsidy| subsidy + 8_150), Some(10_150), "the merchant gets 101.50");
    let large = play.buy(&till, &crowd[2], 30_000, json!({})).ok();
    assert_eq!(large.int("discount_amount"), 4_500);
    play.go("2020-04-06T00:00:00");
    play.wins("ii", &crowd[16], None);
    assert_eq!(play.claim("ii", &crowd[14], None).ok().str("outcome"), "sold_out");
    (till, large)
}

fn everything_expires(play: &Play, till: &Till, (second_till, sold): (Till, crate::harness::client::Reply)) {
    play.go("2020-04-20T00:00:00");
    assert_eq!(play.fen(0, ["unissued", "outstanding"]), [10_000, 0]);
    assert_eq!(play.fen(1, ["unissued", "outstanding"]), [0, 0]);
    let [expired, recovered, redeemed] = play.fen(1, ["expired", "recovered", "redeemed"]);
    assert_eq!((expired, recovered, redeemed), (15 * 10_000 - 6_500, 0, 6_500));
    let back = play.refund(&second_till, &sold, "R1", 30_000);
    assert_eq!((back.int("to_payer"), back.int("to_issuer")), (25_500, 4_500));
    assert_eq!(back["vouchers"][0]["state"], "used", "past its end nothing is given back: {}", back.text());
    assert_eq!(play.fen(1, ["expired", "recovered", "redeemed"]), [expired, 4_500, 2_000], "the money is the issuer's");
    let late = Resident::new().through("alipay");
    play.buy(till, &late, 4_000, json!({})).refused_with("no_voucher_applicable");
}

fn two_years_later(play: &Play, crowd: &[Resident]) {
    play.go("2022-06-24T20:00:00");
    for person in &crowd[20..30] {
        play.wins("2022-06", person, None);
    }
    let till = play.till();
    assert_eq!(paid(play.buy(&till, &crowd[20], 5_000, json!({"merchant_discount": 500}))), (1_000, 3_500));
    assert_eq!(paid(play.buy(&till, &crowd[21], 9_000, json!({}))), (2_000, 7_000));
    play.go("2022-07-03T19:59:59");
    assert_eq!(paid(play.buy(&till, &crowd[22], 2_000, json!({}))), (500, 1_500));
    play.go("2022-07-03T20:00:00");
    play.buy(&till, &crowd[22], 9_000, json!({})).refused_with("voucher_expired");
    play.go("2022-07-03T21:00:00");
    let left = play.fen(2, ["unissued", "outstanding", "expired", "redeemed"]);
    assert_eq!(left, [27 * 5_000, 0, 10 * 5_000 - 3_500, 3_500]);
}
