//! Chengdu's file, spoilt in one way or several at a time, and what each spoiling is answered with.

use serde_json::{Value, json};

use super::*;
use crate::domain::money::Fen;
use crate::domain::time::parse_rfc3339;

mod announced;
mod ignored;
mod modes;
mod strange;
mod usable;
mod words;

const CHENGDU: &str = include_str!("../../../deploy/campaigns/chengdu-2020.json");
const OTHERS: [(&str, &str); 6] = [
    ("hangzhou-2020", include_str!("../../../deploy/campaigns/hangzhou-2020.json")),
    ("shanghai-2022", include_str!("../../../deploy/campaigns/shanghai-2022.json")),
    ("shanghai-2025", include_str!("../../../deploy/campaigns/shanghai-2025.json")),
    ("shijingshan-2025", include_str!("../../../deploy/campaigns/shijingshan-2025.json")),
    ("wuhan-2020", include_str!("../../../deploy/campaigns/wuhan-2020.json")),
    ("tradein-2026", include_str!("../../../deploy/campaigns/tradein-2026.json")),
];

/// Chengdu with the edits `(pointer, value)`; the value `"-"` deletes, the pointer's last part may be new.
fn chengdu_with(edits: &[(&str, Value)]) -> Vec<u8> {
    let mut file: Value = serde_json::from_str(CHENGDU).unwrap();
    for (pointer, value) in edits {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match file.pointer_mut(parent).unwrap() {
            Value::Object(fields) if *value == "-" => drop(fields.remove(name)),
            Value::Object(fields) => drop(fields.insert(name.into(), value.clone())),
            Value::Array(items) if name == "-" => items.push(value.clone()),
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
            scalar => panic!("{parent} is {scalar}"),
        }
    }
    serde_json::to_vec(&file).unwrap()
}

fn places(faults: &[Fault]) -> Vec<(&str, &str)> {
    let mut places: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    places.sort_unstable();
    places
}

#[track_caller]
fn refuses(edits: &[(&str, Value)], expected: &[(&str, &str)]) -> Vec<Fault> {
    let faults = parse(&chengdu_with(edits)).expect_err("the file should have been refused");
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(places(&faults), expected, "{faults:#?}");
    faults
}

#[track_caller]
fn warns(edits: &[(&str, Value)], expected: &[(&str, &str)]) -> Vec<Fault> {
    let parsed = parse(&chengdu_with(edits)).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(places(&parsed.warnings), expected, "{:#?}", parsed.warnings);
    parsed.warnings
}

#[test]
fn every_city_file_is_accepted_and_runs() {
    let chengdu = parse(CHENGDU.as_bytes()).unwrap();
    assert_eq!(chengdu.warnings, []);
    assert_eq!(unsupported(&chengdu.campaign), []);
    for (name, file) in OTHERS {
        assert!(file.len() <= 1024 * 1024, "{name} does not fit in a request");
        let parsed = parse(file.as_bytes()).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        assert!(parsed.warnings.iter().all(|warning| warning.code == "remainder"), "{name}: {:#?}", parsed.warnings);
        assert_eq!(unsupported(&parsed.campaign), [], "{name}");
    }
}

#[test]
fn chengdu_adds_up_to_160_million_yuan() {
    let campaign = parse(CHENGDU.as_bytes()).unwrap().campaign;
    assert_eq!(campaign.totals(), Totals { packs: 2_000_000, vouchers: 12_000_000, amount: Fen(16_000_000_000) });
    assert_eq!(campaign.unallocated(), Fen::ZERO);
    let units = campaign.packs[0].units();
    let kinds: Vec<_> =
        units.iter().map(|unit| (unit.unit, unit.voucher_kind.as_str(), unit.discount_amount.0)).collect();
    let expected = [
        (0, "60-20", 2000),
        (1, "60-20", 2000),
        (2, "30-10", 1000),
        (3, "30-10", 1000),
        (4, "30-10", 1000),
        (5, "30-10", 1000),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn the_rules_hash_names_the_content_and_not_the_spelling() {
    let compact = parse(CHENGDU.as_bytes()).unwrap();
    let spaced = serde_json::to_string_pretty(&compact.value).unwrap();
    assert_eq!(rules_hash(&parse(spaced.as_bytes()).unwrap().value), rules_hash(&compact.value));
    let other = parse(&chengdu_with(&[("/rounds/0/release/seconds", json!(470))])).unwrap();
    assert_ne!(rules_hash(&other.value), rules_hash(&compact.value));
}

#[test]
fn all_faults_of_form_and_of_rules_come_at_once() {
    let faults = refuses(
        &[
            ("/budgett", json!(1)),
            ("/packs/0/vouchers/0/discount_amount", json!(20.5)),
            ("/packs/0/vouchers/1/transaction_minimum", json!(1000)),
            ("/reservation/closes_at", json!("2020-07-20T24:00:00+08:00")),
            ("/rounds/0/closes_at", json!("2020-07-24T17:00:00+08:00")),
            ("/refund_policy", json!("restore_on_full_refnd")),
            ("/limits/0/max_count", json!("2")),
            ("/currency", json!("-")),
        ],
        &[
            ("/budgett", "unknown_field"),
            ("/packs/0/vouchers/0/discount_amount", "not_an_integer"),
            ("/packs/0/vouchers/1/transaction_minimum", "minimum_not_above_discount"),
            ("/reservation/closes_at", "time_24_00"),
            ("/rounds/0/closes_at", "window_reversed"),
            ("/refund_policy", "unknown_value"),
            ("/limits/0/max_count", "wrong_type"),
            ("/currency", "missing"),
        ],
    );
    let said = |code: &str| &faults.iter().find(|fault| fault.code == code).unwrap().en;
    assert!(said("unknown_field").ends_with("Did you mean budget?"));
    assert!(said("time_24_00").ends_with("Did you mean 2020-07-21T00:00:00+08:00?"));
    assert!(said("unknown_value").ends_with("Did you mean restore_on_full_refund?"));
}

#[test]
fn each_fault_of_form_is_found_where_it_stands() {
    let walk_in = json!(null);
    for (pointer, value, place, code) in [
        ("/campaign_id", json!("Chengdu 2020"), "/campaign_id", "invalid_id"),
        ("/time_zone", json!("Asia/Chengdu"), "/time_zone", "unknown_time_zone"),
        ("/currency", json!("EUR"), "/currency", "unknown_value"),
        ("/budget", json!("16000000000"), "/budget", "wrong_type"),
        ("/budget", json!(100_000_000_000_000_i64), "/budget", "out_of_range"),
        ("/budget", json!(1e300), "/budget", "not_an_integer"),
        ("/name", json!({"zh": "成都"}), "/name/en", "missing"),
        ("/name", json!("成都"), "/name", "wrong_type"),
        ("/channels", json!(["wechat", "wechat"]), "/channels/1", "duplicate"),
        ("/channels", json!([]), "/channels", "wrong_length"),
        ("/validity", json!(null), "/validity", "null_not_allowed"),
        ("/rounds", json!({}), "/rounds", "wrong_type"),
        ("/rounds/0/mode", json!("lottery"), "/rounds/0/mode", "unknown_value"),
        ("/rounds/0/packs/standard", json!(0), "/rounds/0/packs/standard", "out_of_range"),
        ("/rounds/0/release", json!({"shape": "even"}), "/rounds/0/release/seconds", "missing"),
        ("/rounds/0/opens_at", json!("2020-07-24T18:00:00"), "/rounds/0/opens_at", "time_without_offset"),
        ("/rounds/0/opens_at", json!(1_595_584_800), "/rounds/0/opens_at", "wrong_type"),
        ("/rounds/0/money", json!({"amount": "pool", "weights": {"standard": 1}}), "/rounds/0", "exactly_one_of"),
        ("/use_rule/hold_seconds", json!(29), "/use_rule/hold_seconds", "out_of_range"),
        ("/use_rule/hold_seconds", json!(901), "/use_rule/hold_seconds", "out_of_range"),
        ("/use_rule/channels", json!("all"), "/use_rule/channels", "unknown_value"),
        ("/use_rule/districts", json!(["成都"]), "/use_rule/districts/0", "invalid_code"),
        ("/limits/0/max_amount", json!(5), "/limits/0", "exactly_one_of"),
        ("/limits/0/max_count", json!(0), "/limits/0/max_count", "out_of_range"),
        ("/eligibility/age_on", json!("13.07.2020"), "/eligibility/age_on", "bad_date"),
        ("/packs/0/vouchers/0/discount_amount", json!(20), "/packs/0/vouchers/0/discount_amount", "out_of_range"),
        ("/rounds/0/draw", walk_in, "/rounds/0/draw", "null_not_allowed"),
    ] {
        refuses(&[(pointer, value)], &[(place, code)]);
    }
}

#[test]
fn text_that_is_not_json_is_one_fault_with_its_place() {
    for (text, code, place) in [
        ("{\"budget\": 1,\n \"budget\": 2}", "duplicate_key", "line 2"),
        ("{\"budget\": 1,\n}", "malformed_json", "line 2"),
        ("", "malformed_json", "line 1"),
        ("{} {}", "malformed_json", "line 1"),
        (
            "{\"name\": \"成都\"，\"budget\": 1}",
            "malformed_json",
            "line 1, character 14, \"，\": expected `,` or `}`. Write the ASCII character ,",
        ),
        ("{\n\"成都\"：1}", "malformed_json", "line 2, character 5, \"：\": expected `:`."),
    ] {
        let faults = parse(text.as_bytes()).unwrap_err();
        assert_eq!(places(&faults), [("", code)], "{text}");
        assert!(faults[0].en.contains(place), "{}", faults[0].en);
        let foreign = faults[0].zh.replace("JSON", "").replace("budget", "");
        assert!(!foreign.bytes().any(|byte| byte.is_ascii_alphabetic()), "{}", faults[0].zh);
    }
    assert_eq!(places(&parse(b"[]").unwrap_err())[0], ("", "wrong_type"));
}

#[test]
fn the_steps_of_a_round_come_in_order() {
    for (pointer, value, place, code) in [
        ("/reservation/closes_at", "2020-07-12T00:00:00+08:00", "/reservation/closes_at", "window_reversed"),
        ("/reservation/withdraw_until", "2020-07-21T00:00:01+08:00", "/reservation/withdraw_until", "wrong_order"),
        ("/rounds/0/draw/at", "2020-07-20T23:00:00+08:00", "/rounds/0/draw/at", "wrong_order"),
        ("/rounds/0/draw/close_list_at", "2020-07-20T00:00:00+08:00", "/rounds/0/draw/close_list_at", "wrong_order"),
        ("/rounds/0/draw/close_list_at", "2020-07-22T10:00:01+08:00", "/rounds/0/draw/at", "wrong_order"),
        ("/rounds/0/draw/at", "2020-07-24T18:00:00+08:00", "/rounds/0/opens_at", "wrong_order"),
        (
            "/validity/available_end_time",
            "2020-07-25T00:00:00+08:00",
            "/validity/available_end_time",
            "window_reversed",
        ),
        ("/rounds/0/credit_at", "2020-07-24T18:00:00+08:00", "/rounds/0/credit_at", "not_with_mode"),
    ] {
        refuses(&[(pointer, json!(value))], &[(place, code)]);
    }
}

#[test]
fn a_rain_is_out_by_four_fifths_of_its_window() {
    refuses(&[("/rounds/0/release/seconds", json!(481))], &[("/rounds/0/release/seconds", "release_too_long")]);
    let points = |points: Value| [("/rounds/0/release", json!({"shape": "points", "seconds": 300, "points": points}))];
    warns(&points(json!([[0, 1000], [60, 6000], [300, 10000]])), &[]);
    let at = |i: usize| format!("/rounds/0/release/points/{i}");
    refuses(&points(json!([[60, 6000], [50, 7000], [300, 10000]])), &[(&at(1), "not_monotone")]);
    refuses(&points(json!([[60, 6000], [300, 9000]])), &[(&at(1), "curve_incomplete")]);
    refuses(&[("/rounds/0/release/slices", json!(4))], &[("/rounds/0/release", "shape_mismatch")]);
}

#[test]
fn money_adds_up() {
    refuses(&[("/budget", json!(15_999_999_999_i64))], &[("/budget", "budget_exceeded")]);
    warns(&[("/budget", json!(16_000_000_001_i64))], &[("/budget", "budget_not_allocated")]);
    warns(&[("/packs/0/vouchers/0/transaction_minimum", json!(0))], &[]);
    let minimum = "/packs/0/vouchers/0/transaction_minimum";
    refuses(&[(minimum, json!(2000))], &[(minimum, "minimum_not_above_discount")]);
    warns(&[(minimum, json!(3999))], &[(minimum, "minimum_below_twice_discount")]);
    let supply =
        |by_channel: Value| [("/rounds/0/packs/standard", json!({"count": 2_000_000, "by_channel": by_channel}))];
    warns(&supply(json!({"wechat": 2_000_000})), &[]);
    let at = "/rounds/0/packs/standard/by_channel";
    refuses(&supply(json!({"wechat": 1_999_999})), &[(at, "channels_do_not_add_up")]);
    refuses(&supply(json!({"alipay": 2_000_000})), &[(&format!("{at}/alipay"), "unknown_channel")]);
    let pool = json!({"amount": "pool", "weights": {"standard": 1}});
    refuses(
        &[("/rounds/0/packs", json!("-")), ("/rounds/0/money", pool)],
        &[("/rounds/0/money/amount", "pool_without_carry_over")],
    );
}

#[test]
fn names_refer_to_what_is_there() {
    refuses(&[("/rounds/0/packs", json!({"standart": 1}))], &[("/rounds/0/packs/standart", "unknown_pack")]);
    refuses(
        &[("/rounds/0/exclude_winners_of", json!(["rain"]))],
        &[("/rounds/0/exclude_winners_of/0", "not_an_earlier_round")],
    );
    refuses(&[("/use_rule/channels", json!(["alipay"]))], &[("/use_rule/channels/0", "unknown_channel")]);
    refuses(
        &[("/packs/0/vouchers/0/after_kind", json!("10-5"))],
        &[("/packs/0/vouchers/0/after_kind", "unknown_voucher_kind")],
    );
    refuses(&[("/packs/0/vouchers/0/after_kind", json!("60-20"))], &[("/packs/0/vouchers/0/after_kind", "circular")]);
    refuses(
        &[("/packs/0/vouchers/1/voucher_kind", json!("60-20"))],
        &[("/packs/0/vouchers/1/voucher_kind", "duplicate_id")],
    );
    let by_category =
        |action: &str| json!([{"action": action, "entities": ["person", "category"], "period": "day", "max_count": 2}]);
    for action in ["redeem", "refund"] {
        let unnamed = [("/use_rule/categories", json!("-")), ("/limits", by_category(action))];
        refuses(&unnamed, &[("/limits/0/entities", "categories_not_named")]);
        let own = [("/use_rule/categories", json!("-")), ("/rounds/0/limits", by_category(action))];
        refuses(&own, &[("/rounds/0/limits/0/entities", "categories_not_named")]);
    }
    warns(&[("/limits", by_category("redeem"))], &[]);
    let codes = json!({"catering": ["H"]});
    warns(
        &[
            ("/use_rule/categories", json!("-")),
            ("/use_rule/category_codes", codes),
            ("/limits", by_category("redeem")),
        ],
        &[],
    );
    refuses(&[("/validity", json!("-"))], &[("/validity", "missing")]);
    refuses(
        &[("/validity/wait_days_after_receive", json!(60))],
        &[("/validity/available_end_time", "expired_before_issue")],
    );
    refuses(&[("/use_rule", json!("-"))], &[("/use_rule", "missing")]);
    refuses(&[("/reservation", json!("-"))], &[("/reservation", "reservation_needed")]);
    refuses(&[("/rounds/0/reservation", json!(null))], &[("/rounds/0/reservation", "reservation_needed")]);
    refuses(&[("/rounds/0/draw", json!("-"))], &[("/rounds/0/draw", "needed_by_mode")]);
    let (waves, lost) = (("/rounds/0/waves", "waves_needed"), ("/rounds/0/lost_at", "not_with_unclaimed"));
    refuses(&[("/rounds/0/unclaimed", json!("release")), ("/rounds/0/lost_at", json!("first_tap"))], &[waves, lost]);
    refuses(
        &[(
            "/limits/-",
            json!({"action": "redeem", "entities": ["merchant", "person"], "period": "day", "max_count": 1}),
        )],
        &[("/limits/1", "duplicate_limit")],
    );
    refuses(
        &[("/limits/-", json!({"action": "claim", "entities": ["store"], "period": "payment", "max_amount": 1}))],
        &[("/limits/1/entities", "entity_not_present"), ("/limits/1/period", "period_not_present")],
    );
}

#[test]
fn an_inclusive_looking_end_is_pointed_out() {
    let end = "/validity/available_end_time";
    let warnings = warns(&[(end, json!("2020-09-06T23:59:59+08:00"))], &[(end, "end_not_included")]);
    assert!(
        warnings[0].en.ends_with("did you mean the next day 00:00, 2020-09-07T00:00:00+08:00?"),
        "{}",
        warnings[0].en
    );
    warns(
        &[("/reservation/closes_at", json!("2020-07-20T23:59:59+08:00"))],
        &[("/reservation/closes_at", "end_not_included")],
    );
    warns(&[("/rounds/0/draw/at", json!("2020-07-22T02:00:00Z"))], &[("/rounds/0/draw/at", "offset_differs")]);
}

#[test]
fn a_window_that_is_over_cannot_be_published() {
    let campaign = parse(CHENGDU.as_bytes()).unwrap().campaign;
    let at = |now: &str| -> Vec<String> {
        not_in_past(&campaign, parse_rfc3339(now).unwrap()).into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(at("2020-07-12T00:00:00+08:00"), [""; 0]);
    assert_eq!(at("2020-07-20T23:59:59+08:00"), [""; 0]);
    assert_eq!(at("2020-07-21T00:00:00+08:00"), ["/reservation/closes_at"]);
    assert_eq!(at("2020-07-23T00:00:00+08:00"), ["/reservation/closes_at", "/rounds/0/draw/at"]);
    assert_eq!(at("2026-01-01T00:00:00+08:00").len(), 5);
}

#[test]
fn a_rounds_terms_replace_and_a_vouchers_use_rule_is_added() {
    let file = chengdu_with(&[
        ("/rounds/0/validity", json!({"available_day_after_receive": 7, "wait_days_after_receive": 1})),
        ("/packs/0/vouchers/1/use_rule", json!({"scenes": ["dine_in"]})),
    ]);
    let campaign = parse(&file).unwrap().campaign;
    let received = parse_rfc3339("2020-07-24T18:00:05+08:00").unwrap();
    let window = campaign.unit_window(0, 0, 5, received).unwrap();
    let zone = campaign.zone();
    assert_eq!(zone.rfc3339(window.start), "2020-07-25T00:00:00+08:00");
    assert_eq!(zone.rfc3339(window.end), "2020-08-01T00:00:00+08:00");
    assert_eq!(campaign.unit_window(0, 0, 6, received), None);

    let view = effective::effective_view(&campaign);
    let voucher = &view["rounds"][0]["effective_packs"][0]["vouchers"][1];
    assert_eq!(voucher["validity"]["available_day_after_receive"], 7);
    assert_eq!(voucher["use_rules"][0]["hold_seconds"], 120);
    assert_eq!(voucher["use_rules"][1], json!({"scenes": ["dine_in"]}));
    assert_eq!(view["rounds"][0]["reservation"]["opens_at"], "2020-07-13T00:00:00+08:00");
    let faults = unsupported(&campaign);
    assert_eq!(places(&faults), []);
}

#[test]
fn more_keys_of_identity_go_with_every_mode_and_both_ways_of_settling_them() {
    let mode = |mode: &str| {
        let mut file: Value = serde_json::from_str(CHENGDU).unwrap();
        file["rounds"][0]["mode"] = json!(mode);
        file
    };
    for mut file in ["rain", "first_come"].map(mode) {
        if file["rounds"][0]["mode"] == "first_come" {
            let round = file["rounds"][0].as_object_mut().unwrap();
            ["draw", "unclaimed"].iter().for_each(|name| drop(round.remove(*name)));
        }
        file["reservation"]["identity_keys"] = json!(["person", "phone", "device", "account"]);
        for duplicates in ["reject", "earliest"] {
            file["reservation"]["duplicates"] = json!(duplicates);
            let parsed = parse(file.to_string().as_bytes()).unwrap();
            assert_eq!(unsupported(&parsed.campaign), [], "{duplicates}");
        }
    }
}
