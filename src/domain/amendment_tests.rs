use super::*;
use crate::domain::campaign::parse;
use serde_json::json;

fn file() -> Value {
    serde_json::from_slice(include_bytes!("../../deploy/campaigns/chengdu-2020.json")).unwrap()
}

/// The code of the first fault, or "ok".
fn judged(pointer: &str, target: Value) -> &'static str {
    let file = file();
    let campaign = parse(file.to_string().as_bytes()).unwrap().campaign;
    let current = file.pointer(pointer).cloned().unwrap_or_default();
    let changes = [Change { pointer: pointer.to_owned(), current, target }];
    match judge(&campaign, &changes) {
        Ok(_) => "ok",
        Err(faults) => faults[0].code,
    }
}

#[test]
fn a_published_file_gives_more_and_never_less() {
    let categories = file()["use_rule"]["categories"].as_array().unwrap().clone();
    let with = |name: &str| [categories.clone(), vec![json!(name)]].concat();
    for (pointer, target, wanted) in [
        ("/budget", json!(16_000_000_001_i64), "ok"),
        ("/budget", json!(16_000_000_000_i64), "not_additive"),
        ("/budget", json!("much"), "not_additive"),
        ("/budget", Value::Null, "not_additive"),
        ("/rounds/0/packs/standard", json!(2_000_001), "ok"),
        ("/rounds/0/packs/standard", json!(1_999_999), "not_additive"),
        ("/rounds/0/packs/standard", json!({"count": 2_000_001, "by_channel": "equal"}), "not_additive"),
        ("/rounds/0/packs/other", json!(5), "not_additive"),
        ("/rounds/0/closes_at", json!("2020-07-24T18:10:01+08:00"), "ok"),
        ("/rounds/0/closes_at", json!("2020-07-24T10:10:00Z"), "not_additive"),
        ("/rounds/0/opens_at", json!("2020-07-24T17:00:00+08:00"), "not_amendable"),
        ("/rounds/0/draw/entropy", json!(["operator", "notary"]), "not_amendable"),
        ("/rounds/0/max_packs_per_person", json!(2), "not_amendable"),
        ("/packs/0/vouchers/0/discount_amount", json!(3000), "not_amendable"),
        ("/channels", json!(["wechat", "alipay"]), "not_amendable"),
        ("/limits/0/max_count", json!(3), "ok"),
        ("/max_amount_by_day", json!(1), "not_additive"),
        ("/limits/0/max_count", json!(1), "not_additive"),
        ("/limits/0", Value::Null, "not_amendable"),
        ("/refund_days", json!(366), "ok"),
        ("/refund_days", json!(365), "not_additive"),
        ("/reservation/max_reservations", json!(5), "not_additive"),
        ("/use_rule/categories", json!(with("books")), "ok"),
        ("/use_rule/categories", json!(["books"]), "not_additive"),
        ("/use_rule/categories", json!([]), "not_additive"),
        ("/use_rule/scenes", json!(["dine_in"]), "not_additive"),
        ("/use_rule/channels", json!("any"), "ok"),
        ("/use_rule/channels", json!(["wechat"]), "not_additive"),
        ("/use_rule/hold_seconds", json!(121), "ok"),
        ("/use_rule/minimum_payable", json!(0), "ok"),
        ("/use_rule/combine_with_campaigns", json!(true), "ok"),
        ("/use_rule/combine_with_merchant_offers", json!(false), "not_additive"),
        ("/validity/available_begin_time", json!("2020-07-24T20:00:00+08:00"), "ok"),
        ("/validity/available_end_time", json!("2020-09-08T00:00:00+08:00"), "ok"),
        ("/validity/available_end_time", json!("2020-09-06T00:00:00+08:00"), "not_additive"),
        ("/merchant_enrolment/closes_at", json!("2020-10-07T00:00:00+08:00"), "ok"),
        ("/merchant_enrolment/registered_in", json!(["5101", "5106"]), "ok"),
        ("/name/en", json!("Another"), "not_amendable"),
        ("", json!({}), "not_amendable"),
    ] {
        assert_eq!(judged(pointer, target.clone()), wanted, "{pointer} to {target}");
    }
}

#[test]
fn a_change_knows_its_rounds_and_what_it_must_come_before() {
    let file = file();
    let campaign = parse(file.to_string().as_bytes()).unwrap().campaign;
    let touch = |pointer: &str, target: Value| {
        let current = file.pointer(pointer).cloned().unwrap_or_default();
        let change = Change { pointer: pointer.to_owned(), current, target };
        judge(&campaign, std::slice::from_ref(&change)).unwrap().remove(0)
    };
    let validity = touch("/validity/available_end_time", json!("2020-09-08T00:00:00+08:00"));
    assert_eq!((validity.until, validity.rounds), (Until::FirstPack, vec![0]));
    let reservation = touch("/reservation/closes_at", json!("2020-07-21T12:00:00+08:00"));
    assert_eq!((reservation.until, reservation.rounds.as_slice()), (Until::ListCloses, [0].as_slice()));
    assert_eq!(reservation.ends_at, parse_rfc3339("2020-07-21T00:00:00+08:00"));
    let supply = touch("/rounds/0/packs/standard", json!(2_000_001));
    assert_eq!((supply.until, supply.rounds, supply.ends_at), (Until::SupplyIsFixed, vec![0], None));
    assert_eq!(touch("/budget", json!(99_000_000_000_i64)).rounds, Vec::<usize>::new());
}

#[test]
fn a_change_is_made_only_over_what_it_names_and_fields_are_added_where_the_file_is_silent() {
    let change = |pointer: &str, current: Value, target: Value| Change { pointer: pointer.into(), current, target };
    let file = json!({"budget": 5, "use_rule": {}, "rounds": [{"packs": {"a/b": 1}}]});
    let changes = [
        change("/budget", json!(5), json!(6)),
        change("/use_rule/hold_seconds", Value::Null, json!(200)),
        change("/rounds/0/packs/a~1b", json!(1), json!(2)),
    ];
    assert_eq!(stale(&file, &changes), []);
    let amended = apply(&file, &changes).unwrap();
    assert_eq!(amended, json!({"budget": 6, "use_rule": {"hold_seconds": 200}, "rounds": [{"packs": {"a/b": 2}}]}));
    let nowhere = [change("/validity/available_end_time", Value::Null, json!(1))];
    assert_eq!(apply(&file, &nowhere).unwrap_err()[0].code, "no_such_section");
    let told: Vec<(&str, Value)> =
        stale(&amended, &changes).into_iter().map(|(change, says)| (change.pointer.as_str(), says)).collect();
    assert_eq!(
        told,
        [("/budget", json!(6)), ("/use_rule/hold_seconds", json!(200)), ("/rounds/0/packs/a~1b", json!(2))]
    );
    let twice = [changes[0].clone(), changes[0].clone()];
    let campaign = parse(super::tests::file().to_string().as_bytes()).unwrap().campaign;
    assert_eq!(judge(&campaign, &twice).unwrap_err()[0].code, "named_twice");
}
