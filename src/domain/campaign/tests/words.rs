//! Words that a campaign file does not define itself: documents, districts, industries.

use serde_json::json;

use super::super::*;
use super::{chengdu_with, places, refuses};

#[test]
fn what_only_follows_from_a_fault_is_not_told_beside_it() {
    let reversed = [("/rounds/0/closes_at", json!("2020-07-24T17:50:00+08:00"))];
    refuses(&reversed, &[("/rounds/0/closes_at", "window_reversed")]);
    let keys = "/reservation/identity_keys";
    let (first, second) = (format!("{keys}/0"), format!("{keys}/1"));
    let unknown = [(first.as_str(), "unknown_value"), (second.as_str(), "unknown_value")];
    refuses(&[(keys, json!(["fone", "mail"]))], &unknown);
    refuses(&[(keys, json!(["person", "phone", "phone"]))], &[("/reservation/identity_keys/2", "duplicate")]);
}

#[test]
fn words_that_name_nothing_are_warned_of() {
    let (types, prefixes) = ("/eligibility/document_types", "/eligibility/residence_prefixes");
    let (districts, codes) = ("/use_rule/districts", "/use_rule/category_codes");
    let registered = "/merchant_enrolment/registered_in";
    for (pointer, value, place, code, names) in [
        (types, json!(["cnid"]), "/eligibility/document_types/0", "unknown_value", "cn_id"),
        (types, json!(["cn_id", "pasport"]), "/eligibility/document_types/1", "unknown_value", "passport"),
        (prefixes, json!(["9901"]), "/eligibility/residence_prefixes/0", "unknown_district", "9901"),
        (districts, json!(["5101", "A1"]), "/use_rule/districts/1", "unknown_district", "A1"),
        (registered, json!(["1601", "5101"]), "/merchant_enrolment/registered_in/0", "unknown_district", "1601"),
        (codes, json!({"catering": ["H", "Z1"]}), "/use_rule/category_codes/catering/1", "unknown_industry", "Z1"),
        (codes, json!({"catering": ["98"]}), "/use_rule/category_codes/catering/0", "unknown_industry", "98"),
    ] {
        let warnings =
            parse(&chengdu_with(&[(pointer, value.clone())])).expect("other countries have other words").warnings;
        assert_eq!(places(&warnings), [(place, code)], "{value}");
        assert!(warnings[0].zh.contains(names) && warnings[0].en.contains(names), "{warnings:?}");
    }
    let all = chengdu_with(&[
        ("/rounds/0/eligibility", json!({"document_types": ["hk_macau_permit", "student"]})),
        ("/rounds/0/use_rule", json!({"districts": ["5"], "category_codes": {"catering": ["6", "62", "H62"]}})),
        ("/packs/0/use_rule", json!({"districts": ["8"]})),
        ("/packs/0/vouchers/1/use_rule", json!({"districts": ["9"]})),
    ]);
    let expected = [
        ("/packs/0/vouchers/1/use_rule/districts/0", "unknown_district"),
        ("/rounds/0/eligibility/document_types/1", "unknown_value"),
    ];
    let found = parse(&all).expect("warned of").warnings;
    let found = places(&found).into_iter().filter(|(_, code)| !["no_effect", "never_usable"].contains(code));
    assert_eq!(found.collect::<Vec<_>>(), expected, "wherever they stand");
}

#[test]
fn a_document_of_the_programs_own_is_told_from_a_slip() {
    let check = |word: &str, zh: &str, en: &str| {
        let file = chengdu_with(&[("/eligibility/document_types", json!(["cn_id", word]))]);
        let warnings = parse(&file).expect("warned of").warnings;
        assert_eq!(places(&warnings), [("/eligibility/document_types/1", "unknown_value")], "{word}");
        assert!(warnings[0].zh.contains(zh) && warnings[0].en.contains(en), "{word}: {warnings:?}");
    };
    check("student_card", "本项目自己的证件类型", "of the program's own");
    check("pasport", "是否想写 passport？", "nobody has it");
    check("Student", "没有证件可以叫“Student”", "nobody has it");
}

/// What a file with one edit is told of the edited place.
fn told(pointer: &str, value: serde_json::Value) -> String {
    let faults = parse(&chengdu_with(&[(pointer, value)])).expect_err("a fault");
    faults.into_iter().find(|fault| fault.pointer == pointer).expect("of this place").en
}

#[test]
fn only_an_amount_is_told_of_fen() {
    for (pointer, is_money) in [
        ("/budget", true),
        ("/packs/0/vouchers/0/discount_amount", true),
        ("/use_rule/minimum_payable", true),
        ("/refund_days", false),
        ("/packs/0/vouchers/0/count", false),
        ("/rounds/0/packs/standard", false),
        ("/rounds/0/release/seconds", false),
        ("/limits/0/max_count", false),
    ] {
        let said = told(pointer, json!(1.5));
        assert!(said.starts_with("Must be a whole number, not 1.5"), "{pointer}: {said}");
        assert_eq!(said.contains("fen"), is_money, "{pointer}: {said}");
    }
}

#[test]
fn an_unknown_field_is_told_near_names_and_not_all_that_are_free() {
    for (pointer, expected) in [
        ("/rounds/0/end_time", "There is no field \"end_time\" here."),
        ("/rounds/0/pack_count", "There is no field \"pack_count\" here. Did you mean packs or max_packs_per_person?"),
        ("/validity/end_time", "There is no field \"end_time\" here. Did you mean available_end_time?"),
        ("/use_rule/merchant_list", "There is no field \"merchant_list\" here. Did you mean merchants_list?"),
        ("/use_rule/offers", "There is no field \"offers\" here. Did you mean combine_with_merchant_offers?"),
        ("/use_rule/colour", "There is no field \"colour\" here."),
    ] {
        assert_eq!(told(pointer, json!(1)), expected, "{pointer}");
    }
}

#[test]
fn a_date_alone_at_an_end_is_answered_with_the_midnight_after_it() {
    for (pointer, meant) in [
        ("/validity/available_end_time", "2020-09-07T00:00:00+08:00"),
        ("/reservation/closes_at", "2020-09-07T00:00:00+08:00"),
        ("/validity/available_begin_time", "2020-09-06T00:00:00+08:00"),
    ] {
        let faults = parse(&chengdu_with(&[(pointer, json!("2020-09-06"))])).expect_err("no time of day");
        let fault = faults.iter().find(|fault| fault.pointer == pointer).expect("a fault there");
        assert_eq!(fault.code, "date_without_time");
        assert!(fault.zh.contains(meant) && fault.en.contains(meant), "{fault:?}");
    }
}

#[test]
fn a_file_in_another_encoding_is_told_how_to_save_it() {
    let file = chengdu_with(&[]);
    let gbk = [b"{\n\"name\": \"", &[0xb3, 0xc9, 0xb6, 0xbc][..], b"\"}"].concat();
    for (bytes, named) in
        [([b"\xef\xbb\xbf", &file[..]].concat(), "BOM"), (gbk, "GBK"), (vec![0xff, 0xfe, b'{', 0], "UTF-16")]
    {
        let faults = parse(&bytes).expect_err("not plain UTF-8");
        assert_eq!(places(&faults), [("", "malformed_json")]);
        let fault = &faults[0];
        assert!([&fault.zh, &fault.en].iter().all(|text| text.contains(named) && text.contains("UTF-8")), "{fault:?}");
    }
}
