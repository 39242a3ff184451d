//! F5, Wuhan 2020: nine Thursdays at noon, one category for a person, channel and week, each category for its own kind of shop.

use serde_json::json;

use super::{Play, file, paid, people};
use crate::harness::identity::Resident;

/// 10, 3, 20 and 5 packs a week.
const DIVISOR: i64 = 3_000;
const CHANNELS: [&str; 3] = ["alipay", "wechat", "meituan"];
const THURSDAYS: [&str; 9] = [
    "2020-06-04",
    "2020-06-11",
    "2020-06-18",
    "2020-06-25",
    "2020-07-02",
    "2020-07-09",
    "2020-07-16",
    "2020-07-23",
    "2020-07-30",
];

#[test]
fn f5_wuhan_is_rehearsed_over_its_nine_thursdays() {
    let file = file("wuhan-2020", DIVISOR);
    for pack in file["packs"].as_array().expect("packs") {
        for voucher in pack["vouchers"].as_array().expect("vouchers") {
            let [minimum, face] = ["transaction_minimum", "discount_amount"].map(|field| voucher[field].as_i64());
            assert_eq!(minimum, face.map(|face| 3 * face), "spend is three times the face");
        }
    }
    let play = Play::publish(&file, "420102", "2020-06-01T12:00:00");
    let (person, mall_only) = first_week(&play);
    at_the_tills(&play, &person, &mall_only);
    play.go("2020-06-11T12:00:00");
    play.wins("w2", &person.clone().through("alipay"), Some("leisure"));
    play.wins("w2", &person.clone().through("wechat"), Some("market"));
    for (index, day) in THURSDAYS.iter().enumerate().skip(2) {
        play.go(&format!("{day}T12:00:00"));
        let round = format!("w{}", index + 1);
        let visitor = Resident::new().through(CHANNELS[index % 3]);
        play.wins(&round, &visitor, Some("market"));
        let shop = json!({"category": "supermarket", "scene": "online"});
        assert_eq!(paid(play.buy(&play.till(), &visitor, 6_000, shop)), (2_000, 4_000), "valid at once");
    }
    play.go("2020-08-10T00:00:00");
    let ledger = play.checked();
    assert_eq!((&ledger["total"]["outstanding"], &ledger["total"]["held"]), (&json!(0), &json!(0)));
    assert_eq!(ledger["pools"].as_array().map(Vec::len), Some(1), "nothing is carried over");
    play.settled();
}

/// Somebody with three packs, and somebody who has one for malls.
fn first_week(play: &Play) -> (Resident, Resident) {
    play.go("2020-06-04T12:00:00");
    let person = Resident::new();
    let through = |channel: &str| person.clone().through(channel);
    play.wins("w1", &through("alipay"), Some("dining"));
    let second = play.claim("w1", &through("alipay"), Some("mall")).refused_with("limit_reached");
    assert_eq!(second["limit"]["period"], "week", "one category for a channel and week: {}", second.text());
    play.wins("w1", &through("wechat"), Some("mall"));
    play.wins("w1", &through("meituan"), Some("dining"));
    assert_eq!(play.vouchers(&person, "available").len(), 9);
    // There is one pack for malls on every channel.
    let others = people(2, &["alipay"]);
    play.wins("w1", &others[0], Some("mall"));
    assert_eq!(play.claim("w1", &others[1], Some("mall")).ok().str("outcome"), "sold_out");
    play.wins("w1", &others[1], Some("market"));
    let foreign = Resident::new().through("unionpay");
    play.ask_pass("w1", &foreign).refused(403, "not_eligible");
    play.checked();
    (person, others[0].clone())
}

fn at_the_tills(play: &Play, person: &Resident, mall_only: &Resident) {
    let (till, person) = (play.till(), person.clone().through("alipay"));
    let takeaway = play.buy(&till, &person, 15_000, json!({"scene": "takeaway"})).ok();
    assert_eq!(takeaway.int("discount_amount"), 2_000, "the 50 is for eating in: {}", takeaway.text());
    let eating_in = play.buy(&till, &person, 15_000, json!({"scene": "dine_in"}));
    assert_eq!(paid(eating_in), (5_000, 10_000));
    play.buy(&till, mall_only, 24_000, json!({})).refused_with("category_not_allowed");
    let card = json!({"items": [{"sku": "x", "category": "annual_card", "amount": 3_000}]});
    let refused = play.buy(&till, &person, 3_000, card);
    assert!(!refused.is_success(), "an annual card is not a meal: {}", refused.text());
    let wechat = person.through("wechat");
    let mall = json!({"category": "department_store"});
    assert_eq!(paid(play.buy(&till, &wechat, 24_000, mall)), (8_000, 16_000));
    play.go("2020-06-10T23:59:59");
    let [day_seven] = play.fen(0, ["outstanding"]);
    assert!(day_seven > 0);
    play.go("2020-06-11T01:00:00");
    assert_eq!(play.fen(0, ["outstanding"]), [0], "seven days from the claim");
}
