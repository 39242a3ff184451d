//! Terms that together let nobody use a voucher, at the edges of what still lets somebody.

use serde_json::{Value, json};

use super::super::*;
use super::{chengdu_with, places};
use crate::domain::money::FEN_LIMIT;

const PACK: &str = "/packs/0/use_rule";
const KIND: &str = "/packs/0/vouchers/1/use_rule";
const RULE: &str = "/rounds/0/use_rule";

/// Which warnings of this kind a file gets that the edits make of Chengdu's; the sentences name the voucher in both languages.
#[track_caller]
fn check(edits: &[(&str, Value)], expected: &[&str]) {
    let parsed = parse(&chengdu_with(edits)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let told = |code: &str| ["never_usable", "districts_differ"].contains(&code);
    let found: Vec<&str> =
        places(&parsed.warnings).into_iter().filter(|(_, code)| told(code)).map(|(at, _)| at).collect();
    assert_eq!(found, expected, "{edits:?}: {:#?}", parsed.warnings);
    for warning in parsed.warnings.iter().filter(|warning| told(warning.code)) {
        let names = |text: &str| text.contains("60-20") || text.contains("30-10");
        assert!(names(&warning.zh) && names(&warning.en), "{warning:?}");
    }
}

#[test]
fn words_of_rules_that_must_all_hold_have_one_in_common() {
    let both =
        |of_round: Value, of_pack: Value, expected: &[&str]| check(&[(RULE, of_round), (PACK, of_pack)], expected);
    both(
        json!({"categories": ["catering", "sport"]}),
        json!({"categories": ["dinning"]}),
        &["/packs/0/use_rule/categories"],
    );
    both(json!({"categories": ["catering", "sport"]}), json!({"categories": ["sport", "dinning"]}), &[]);
    both(
        json!({"category_codes": {"catering": ["62"]}}),
        json!({"categories": ["dinning"]}),
        &["/packs/0/use_rule/categories"],
    );
    both(json!({}), json!({"categories": ["dinning"]}), &[]);
    both(json!({"districts": ["5101"]}), json!({"districts": ["5102"]}), &["/packs/0/use_rule/districts"]);
    both(json!({"districts": ["5101"]}), json!({"districts": ["510104", "5102"]}), &[]);
    both(json!({"districts": ["510104"]}), json!({"districts": ["51"]}), &[]);
    both(json!({"scenes": ["online"]}), json!({"scenes": ["dine_in", "offline"]}), &["/packs/0/use_rule/scenes"]);
    both(json!({"scenes": ["offline"]}), json!({"scenes": ["dine_in"]}), &[]);
    let three = [
        (RULE, json!({"categories": ["a", "b"]})),
        (PACK, json!({"categories": ["b", "c"]})),
        (KIND, json!({"categories": ["a", "c"]})),
    ];
    check(&three, &["/packs/0/vouchers/1/use_rule/categories"]);
}

#[test]
fn merchants_may_be_registered_where_they_must_operate() {
    let registered = "/merchant_enrolment/registered_in";
    let rule = (RULE, json!({"districts": ["5101"]}));
    check(&[rule.clone(), (registered, json!(["5102"]))], &[registered]);
    check(&[rule.clone(), (registered, json!(["5102", "51"]))], &[]);
    check(&[rule, (registered, json!(["510104"]))], &[]);
}

#[test]
fn hours_fall_into_each_other_and_into_the_validity() {
    let hours = |days: &[u8], begin: &str, end: &str| json!({"hours": [{"week_days": days, "begin_time": begin, "end_time": end}]});
    let both =
        |of_round: Value, of_pack: Value, expected: &[&str]| check(&[(RULE, of_round), (PACK, of_pack)], expected);
    let at = "/packs/0/use_rule/hours";
    both(hours(&[1, 2], "08:00", "12:00"), hours(&[3], "08:00", "12:00"), &[at]);
    both(hours(&[1], "08:00", "12:00"), hours(&[1], "12:00", "14:00"), &[at]);
    both(hours(&[1], "08:00", "12:01"), hours(&[1], "12:00", "14:00"), &[]);
    // Chengdu opens on a Friday at 18:00.
    let for_days = |begin: &str, end: &str, rule: Value, expected: &[&str]| {
        let validity = json!({"available_begin_time": begin, "available_end_time": end});
        check(&[("/rounds/0/validity", validity), (RULE, rule)], expected);
    };
    let (monday, tuesday) = ("2020-08-10T00:00:00+08:00", "2020-08-11T00:00:00+08:00");
    let own = "/rounds/0/use_rule/hours";
    for_days(monday, tuesday, hours(&[2], "00:00", "24:00"), &[own]);
    for_days(monday, "2020-08-11T00:01:00+08:00", hours(&[2], "00:00", "24:00"), &[]);
    for_days("2020-08-10T12:00:00+08:00", tuesday, hours(&[1], "08:00", "12:00"), &[own]);
    for_days("2020-08-10T11:59:00+08:00", tuesday, hours(&[1], "08:00", "12:00"), &[]);
    for_days(monday, tuesday, json!({"dates_excluded": ["2020-08-10"]}), &["/rounds/0/use_rule/dates_excluded"]);
    for_days(monday, tuesday, json!({"dates_excluded": ["2020-08-11"]}), &[]);
}

#[test]
fn an_order_and_a_limit_hold_at_least_one_voucher() {
    let payable = |least: i64, expected: &[&str]| check(&[(KIND, json!({"minimum_payable": least}))], expected);
    payable(FEN_LIMIT - 1_001, &[]);
    payable(FEN_LIMIT - 1_000, &["/packs/0/vouchers/1/use_rule/minimum_payable"]);
    let limit = |most: i64, expected: &[&str]| {
        let limit = json!({"action": "redeem", "entities": ["person"], "period": "day", "max_amount": most});
        check(&[("/rounds/0/limits", json!([limit]))], expected);
    };
    let at = "/rounds/0/limits/0/max_amount";
    limit(999, &[at]);
    limit(1_999, &[at]);
    limit(2_000, &[]);
}
