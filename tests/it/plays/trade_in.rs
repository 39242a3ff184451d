//! F6, Shanghai's trade-in of 2026: a qualification drawn by a notary, 15 per cent of what is left of the price, used in the city, for a piece
//! with a serial number, and gone with it.

use serde_json::{Value, json};

use super::{Play, file, in_shanghai, paid, put_shanghai};
use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{at, parse_time};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// Six qualifications for appliances and two for digital goods.
const DIVISOR: i64 = 50_000;
const EVE: &str = "2025-12-30T12:00:00";

/// Who is on the list, with the pass.
type Entry = (Resident, String);

#[test]
fn f6_the_trade_in_is_rehearsed_from_the_list_to_the_last_return() {
    let file = file("tradein-2026", DIVISOR);
    let server = Server::at(&format!("{EVE}+08:00"));
    put_shanghai(&server);
    let play = Play::publish_on(server, &file, "310106", EVE);
    let (appliances, digital) = registered(&play);
    play.go("2026-01-05T22:00:00");
    play.go("2026-01-06T10:00:00");
    play.draw_with_notary(0, "january", "106106");
    let appliances = claimed(&play, "appliance", &appliances, 6);
    let digital = claimed(&play, "digital", &digital, 2);
    play.go("2026-01-08T00:00:00");
    assert_eq!(play.stats(0)["issued"], 7, "one of six did not come");
    let [unissued, outstanding] = play.fen(0, ["unissued", "outstanding"]);
    assert_eq!(
        (unissued, outstanding),
        (150_000, 5 * 150_000 + 2 * 50_000),
        "and what was not fetched is issued to nobody"
    );
    let spent = bought(&play, &appliances, &digital);
    assert_eq!(play.fen(0, ["redeemed"]), [spent]);
    play.go("2026-01-21T00:00:00");
    let late = pay(&play, &play.till(), &appliances[4], "appliance", "SN-9", 100_000, 0);
    late.refused_with("voucher_expired");
    play.go("2026-01-21T01:00:00");
    assert_eq!(play.fen(0, ["outstanding"]), [0]);
    play.verified("january");
    play.settled();
}

/// Eight want an appliance and three something digital; who is early, late or elsewhere is not on the list.
fn registered(play: &Play) -> (Vec<Entry>, Vec<Entry>) {
    let somebody = || Resident::new().through("unionpay");
    let reserve = |person: &Resident, pack: &str| play.reserve("january", person, Some(pack));
    play.go("2026-01-01T07:59:59");
    reserve(&somebody(), "appliance").refused(409, "reservation_not_open");
    play.go("2026-01-01T08:00:00");
    let enter = |pack: &str, count: usize| -> Vec<Entry> {
        let people = (0..count).map(|_| somebody());
        people.map(|person| (person.clone(), reserve(&person, pack).ok().str("pass").to_string())).collect()
    };
    let lists = (enter("appliance", 8), enter("digital", 3));
    let beijing =
        json!({"round_id": "january", "pack_id": "digital", "location": {"longitude": 116.4, "latitude": 39.9}});
    let away = play.server.reserve_with(&play.campaign, &somebody(), beijing).refused(403, "not_eligible");
    assert_eq!(away["reasons"][0]["rule"], "location");
    play.go("2026-01-05T19:59:59");
    reserve(&lists.0[0].0, "digital").refused(409, "already_reserved");
    play.go("2026-01-05T20:00:00");
    reserve(&somebody(), "appliance").refused(409, "reservation_closed");
    lists
}

/// Qualifications are fetched on the seventh of January from noon to midnight; the last winner of an appliance does not come.
fn claimed(play: &Play, pack: &str, list: &[Entry], winners: usize) -> Vec<Resident> {
    if play.stats(0)["issued"] == 0 {
        play.go("2026-01-07T11:59:59");
        assert_eq!(play.tap("january", &list[0].1, Some(pack)).ok().str("outcome"), "not_yet");
        play.go("2026-01-07T12:00:00");
    }
    let mine = |(person, _): &&Entry| {
        let path = play.path("january", "claims/mine");
        play.server.resident(person, "GET", &path, None).ok().str("result") == "won"
    };
    let won: Vec<&Entry> = list.iter().filter(mine).collect();
    assert_eq!(won.len(), winners);
    let come = won.len().min(5);
    for (_, pass) in &won[..come] {
        assert_eq!(play.tap("january", pass, Some(pack)).ok().str("outcome"), "won");
    }
    won[..come].iter().map(|(person, _)| person.clone()).collect()
}

/// A sale of one piece, with a pay code that was asked for in the city.
fn pay(play: &Play, till: &Till, person: &Resident, category: &str, serial: &str, price: i64, off: i64) -> Reply {
    pay_at(play, till, person, in_shanghai(), category, json!([piece(category, serial, price, off)]))
}

fn piece(category: &str, serial: &str, price: i64, off: i64) -> Value {
    json!({"sku": "x", "category": category, "serial": serial, "amount": price, "merchant_discount": off})
}

fn pay_at(play: &Play, till: &Till, person: &Resident, place: Value, category: &str, items: Value) -> Reply {
    let sum =
        |name: &str| items.as_array().expect("a list").iter().map(|item| item[name].as_i64().unwrap_or(0)).sum::<i64>();
    let asked = if place.is_null() { json!({}) } else { json!({"location": place}) };
    let code = play.server.resident(person, "POST", "/v1/pay-codes", Some(asked)).ok();
    let more = json!({"pay_code": code.str("pay_code"), "category": category, "items": items,
        "merchant_discount": sum("merchant_discount")});
    play.buy(till, person, sum("amount"), more)
}

/// What the sales have cost the city.
fn bought(play: &Play, appliances: &[Resident], digital: &[Resident]) -> i64 {
    let (till, other) = (play.till(), play.till());
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|index| &appliances[index]);
    let ends = play.server.wallet(&play.campaign, first).ok();
    assert_eq!(parse_time(&ends["vouchers"][0]["available_end_time"]), at("2026-01-21T00:00:00"), "fourteen days");
    // Used inside the city, for a piece with its number.
    for elsewhere in [Value::Null, json!({"longitude": 116.4, "latitude": 39.9})] {
        let goods = json!([piece("appliance", "SN-1", 400_000, 0)]);
        pay_at(play, &till, first, elsewhere, "appliance", goods).refused_with("outside_area");
    }
    let unnumbered = json!([{"sku": "x", "category": "appliance", "amount": 400_000}]);
    pay_at(play, &till, first, in_shanghai(), "appliance", unnumbered).refused_with("serial_required");
    pay(play, &till, first, "digital", "SN-1", 400_000, 0).refused_with("category_not_allowed");
    // 15 per cent of what the merchant leaves, rounded down, up to 1,500 yuan.
    assert_eq!(paid(pay(play, &till, first, "appliance", "SN-1", 1_099_999, 100_000)), (149_999, 850_000));
    assert_eq!(paid(pay(play, &till, second, "appliance", "SN-2", 1_000_000, 0)), (150_000, 850_000));
    // Up to 500 yuan for what costs at most 6,000 a piece, after the merchant's offer.
    pay(play, &till, &digital[0], "digital", "SN-3", 600_001, 0).refused_with("items_not_eligible");
    assert_eq!(paid(pay(play, &till, &digital[0], "digital", "SN-3", 600_001, 1)), (50_000, 550_000));
    assert_eq!(paid(pay(play, &till, &digital[1], "digital", "SN-4", 333_333, 0)), (49_999, 283_334));
    // A piece is paid for once.
    pay(play, &other, third, "appliance", "sn-1", 400_000, 0).refused_with("serial_used");
    // Goods that come back take the qualification and the number with them.
    let cable = json!({"sku": "cable", "category": "appliance", "amount": 5_000});
    let goods = json!([piece("appliance", "SN-5", 400_000, 0), cable]);
    let sold = pay_at(play, &other, third, in_shanghai(), "appliance", goods).ok();
    assert_eq!((sold.int("discount_amount"), sold.int("payable")), (60_000, 345_000), "nothing off the cable");
    let order = sold.str("order_id");
    let back = |id: &str, sku: &str| {
        let reply = play.server.refund_items(&other, order, id, json!([{"sku": sku}]), None).ok();
        play.note(&other);
        (reply.int("to_payer"), reply.int("to_issuer"))
    };
    assert_eq!(back("R1", "cable"), (5_000, 0));
    assert_eq!(back("R2", "x"), (340_000, 60_000));
    assert!(play.vouchers(third, "available").is_empty(), "any refund consumes it");
    pay(play, &other, fourth, "appliance", "SN-5", 400_000, 0).refused_with("serial_used");
    play.go("2026-01-20T23:59:59");
    assert_eq!(paid(pay(play, &other, fourth, "appliance", "SN-6", 7, 0)), (1, 6));
    149_999 + 150_000 + 50_000 + 49_999 + 1
}
