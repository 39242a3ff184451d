//! F5, Wuhan 2020: nine Thursdays at noon, one category for a person, channel and week, each category for its own kind of shop.

use serde_json::{Value, json};

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

/// The categories of one Thursday as rounds of their own, in which chance deals a face.
fn by_chance() -> Value {
    let mut file = file("wuhan-2020", DIVISOR);
    let categories = file["packs"].as_array().expect("packs").clone();
    let (mut packs, mut rounds) = (Vec::new(), Vec::new());
    for category in &categories {
        let name = category["pack_id"].as_str().expect("an id");
        let mut counts = json!({});
        for (voucher, count) in category["vouchers"].as_array().expect("vouchers").iter().zip([6, 6, 3]) {
            let face = format!("{name}-{}", voucher["voucher_kind"].as_str().expect("a kind"));
            counts[&face] = json!({"count": count, "by_channel": "equal"});
            packs.push(json!({"pack_id": face, "vouchers": [voucher], "use_rule": category["use_rule"]}));
        }
        let mut round = file["rounds"][0].clone();
        (round["round_id"], round["assignment"], round["packs"]) = (json!(name), json!("chance"), counts);
        round["max_packs_per_person"] = json!(1);
        rounds.push(round);
    }
    (file["packs"], file["rounds"], file["budget"]) = (json!(packs), json!(rounds), json!(10_000_000));
    file
}

#[test]
fn f5_wuhan_chance_deals_a_face_of_the_category_that_was_chosen() {
    let play = Play::publish(&by_chance(), "420102", "2020-06-01T12:00:00");
    play.go("2020-06-04T12:00:00");
    let crowd = people(6, &["alipay"]);
    let mut faces: Vec<String> = Vec::new();
    for person in &crowd[..5] {
        play.wins("dining", person, None);
        let mine = play.vouchers(person, "available");
        assert_eq!(mine.len(), 1, "one face");
        faces.push(mine[0].1.clone());
    }
    assert_eq!(play.claim("dining", &crowd[5], None).ok().str("outcome"), "sold_out");
    play.wins("market", &crowd[5], None);
    let second = play.claim("mall", &crowd[0], None).refused_with("limit_reached");
    assert_eq!(second["limit"]["period"], "week", "one category for a channel and week: {}", second.text());
    play.wins("mall", &crowd[0].clone().through("wechat"), None);
    // Each is used at three times its face, and the largest by who eats in.
    let till = play.till();
    for (person, face) in crowd.iter().zip(&faces) {
        let (minimum, discount) = [("30-10", 3_000, 1_000), ("60-20", 6_000, 2_000), ("150-50", 15_000, 5_000)]
            .iter()
            .find(|one| one.0 == face)
            .map(|one| (one.1, one.2))
            .expect("a face of the dining category");
        if face == "150-50" {
            play.buy(&till, person, minimum, json!({"scene": "takeaway"})).refused_with("scene_not_allowed");
        }
        let eating_in = |amount: i64| play.buy(&till, person, amount, json!({"scene": "dine_in"}));
        eating_in(minimum - 1).refused_with("minimum_not_met");
        assert_eq!(paid(eating_in(minimum)), (discount, minimum - discount));
    }
    faces.sort_unstable();
    assert_eq!(faces, ["150-50", "30-10", "30-10", "60-20", "60-20"], "to the last of each");
    play.settled();
}
