//! Files with one value replaced by something strange: the reader must answer, never panic, and say each thing once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::*;
use super::{CHENGDU, OTHERS, chengdu_with, places};

/// Every place of a value, depth first.
fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        pointers(child, format!("{at}/{name}"), into);
    }
    into.push(at);
}

/// The words of a campaign file: names of fields, and their values.
struct Words(BTreeSet<&'static str>);

impl Words {
    fn new() -> Words {
        const SOURCES: [&str; 6] = [
            include_str!("../parse.rs"),
            include_str!("../parse_round.rs"),
            include_str!("../parse_terms.rs"),
            include_str!("../schema.rs"),
            include_str!("../terms.rs"),
            include_str!("../named.rs"),
        ];
        let literals = SOURCES.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
        let words = literals.flat_map(|text| text.split(|c: char| !is_of_word(c)));
        let fixed = ["JSON", "null", "true", "false", "U", "T", "reservation.closes_at", "draw.at"];
        Words(words.chain(fixed).filter(|word| !word.is_empty()).collect())
    }

    /// A Chinese text is wholly Chinese but for what stands in the file or may; no text shows how the program writes a value down.
    #[track_caller]
    fn check(&self, file: &str, faults: &[Fault]) {
        for Fault { pointer, code, zh, en } in faults {
            let told = || format!("{pointer} {code}: {zh} {en}");
            for word in zh.split(|c: char| !is_of_word(c)).map(|word| word.trim_matches(['.', ':', '-', '+', '/'])) {
                let plain = word.bytes().all(|byte| !byte.is_ascii_alphabetic());
                let is_time = word.len() >= 19 && word.as_bytes()[10] == b'T';
                let plain = plain || word.starts_with("U+");
                assert!(plain || is_time || self.0.contains(word) || file.contains(word), "{word} in {}", told());
            }
            assert!(zh.ends_with(['。', '？']) && zh.chars().any(|c| c >= '\u{4e00}'), "{}", told());
            assert!(en.ends_with(['.', '?']), "{}", told());
            for form in
                ["Some(", "None", "Object {", "String(", "Number(", "Array [", "Bool(", "Null", "\\u{", "integer"]
            {
                assert!(!zh.contains(form) && (!en.contains(form) || file.contains(form)), "{form} in {}", told());
            }
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '+' | '-')
}

#[test]
fn a_table_of_mistakes_gets_the_character_the_names_and_the_right_spelling() {
    let words = Words::new();
    let time = "/rounds/0/opens_at";
    for (pointer, value, zh, en) in [
        (time, json!("2020-11-31T18:00:00+08:00"), "2020 年 11 月只有 30 天。", "Month 11 of 2020 has 30 days."),
        (
            time,
            json!("2020-07-24"),
            "只有日期，没有时刻。是否想写 2020-07-24T00:00:00+08:00？",
            "without a time of day. Did you mean",
        ),
        (time, json!("2020-07-24，18:00:00+08:00"), "第 11 个字符“，”", "Character 11, \"，\""),
        (
            time,
            json!("2020-07-24T18：00：00+08：00"),
            "是否想写 2020-07-24T18:00:00+08:00？",
            "Did you mean 2020-07-24T18:00:00+08:00?",
        ),
        ("/eligibility/age_on", json!("2020-06-31"), "2020 年 6 月只有 30 天。", "Month 6 of 2020 has 30 days."),
        ("/rounds/0/openAt", json!(1), "是否想写 opens_at？", "Did you mean opens_at?"),
        ("/rounds/0/\u{5f00}\u{59cb}", json!(1), "没有名为“开始”的项。", "There is no field \"开始\" here."),
        ("/budget", json!("1"), "此处应为整数，现为文字。", "Must be a whole number, is a string."),
        (
            "/rounds/0/mode",
            json!("雨"),
            "“雨”不在可选值 ballot | rain | first_come | grant 之中。",
            "is not one of ballot",
        ),
    ] {
        let file = chengdu_with(&[(pointer, value.clone())]);
        let faults = parse(&file).unwrap_err();
        words.check(&String::from_utf8_lossy(&file), &faults);
        let said =
            faults.iter().any(|fault| fault.pointer == pointer && fault.zh.contains(zh) && fault.en.contains(en));
        assert!(said, "{pointer} {value}: {faults:#?}");
    }
    for (text, zh) in [
        (
            "{\"name\": \"成都\"，\"budget\": 1}",
            "第 1 行第 14 个字符“，”处不是有效的 JSON：此处应为 , 或 }。请改用半角“,”。",
        ),
        ("{“budget”: 1}", "第 1 行第 2 个字符““”处不是有效的 JSON：名称须写在双引号内。请改用半角“\"”。"),
        ("{\"budget\": 1,\n \"budget\": 2}", "名称 budget 重复。"),
        ("{\"budget\": 1", "文件到此结束，缺少 }。"),
        ("{\"budget\": \"\u{1}\"}", "“U+0001”"),
        ("{\"budget\": tru}", "写法有误"),
        ("{} {}", "文件已结束，其后还有内容。"),
    ] {
        let faults = parse(text.as_bytes()).unwrap_err();
        words.check(text, &faults);
        assert!(faults[0].zh.contains(zh) || zh == "写法有误", "{text}: {}", faults[0].zh);
    }
}

#[test]
fn a_time_that_cannot_be_read_is_the_only_fault_of_a_reservation() {
    let own = json!({"opens_at": "2020-07-13T00:00:00", "closes_at": "2020-07-21T00:00:00+08:00", "identity_keys": ["person", "phone"]});
    let limit = json!({"action": "reserve", "entities": ["phone"], "period": "day", "max_count": 1});
    let of_round = [("/rounds/0/reservation", own.clone()), ("/reservation", json!("-")), ("/limits/-", limit.clone())];
    super::refuses(&of_round, &[("/rounds/0/reservation/opens_at", "time_without_offset")]);
    super::refuses(&[("/reservation", own), ("/limits/-", limit)], &[("/reservation/opens_at", "time_without_offset")]);
}

#[test]
fn rounds_that_were_copied_and_not_moved_are_pointed_out() {
    let file: Value = serde_json::from_str(CHENGDU).unwrap();
    let second = |day: &str| {
        let mut round = file["rounds"][0].clone();
        round["round_id"] = json!("second");
        for (field, hour) in [("opens_at", "18:00:00"), ("closes_at", "18:10:00")] {
            round[field] = json!(format!("2020-07-{day}T{hour}+08:00"));
        }
        round["draw"]["at"] = json!(format!("2020-07-{day}T10:00:00+08:00"));
        round["packs"] = json!({"standard": 1});
        round
    };
    let warned = |round: Value, code: &str, place: &str| {
        let budget = json!(16_000_000_000_i64 + 8_000);
        let edits = [("/rounds/-", round), ("/budget", budget), ("/carry_over", json!("pool"))];
        let parsed = parse(&chengdu_with(&edits)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let found = places(&parsed.warnings);
        assert_eq!(found.contains(&(place, code)), !place.is_empty(), "{code}: {:#?}", parsed.warnings);
    };
    let later = || {
        let mut round = second("24");
        round["opens_at"] = json!("2020-07-24T18:05:00+08:00");
        round["closes_at"] = json!("2020-07-24T18:15:00+08:00");
        round
    };
    warned(later(), "rounds_overlap", "/rounds/1/opens_at");
    warned(second("24"), "rounds_alike", "/rounds/1");
    warned(second("24"), "rounds_overlap", "");
    let of_others = |mut round: Value| {
        round["eligibility"] = json!({"document_types": ["passport"]});
        round
    };
    warned(of_others(second("24")), "rounds_alike", "");
    warned(of_others(later()), "rounds_overlap", "");
    warned(second("23"), "rounds_reversed", "/rounds/1/opens_at");
    warned(second("25"), "rounds_overlap", "");
    warned(second("25"), "rounds_reversed", "");
    let pool = |day: &str| {
        let mut round = second(day);
        round.as_object_mut().unwrap().remove("packs");
        round["money"] = json!({"amount": "pool", "weights": {"standard": 1}});
        round
    };
    warned(pool("24"), "pool_before_source", "/rounds/1/money/amount");
    warned(pool("25"), "pool_before_source", "");
}

/// The ledger books expiry by full hours, and the pool has what is booked.
#[test]
fn vouchers_that_end_off_the_hour_shortly_before_a_round_takes_the_pool_are_pointed_out() {
    let file: Value = serde_json::from_str(CHENGDU).unwrap();
    let mut other = file["packs"][0].clone();
    other["pack_id"] = json!("other");
    let warned = |place: &str, end: &str, opens: &str, sources: Value| -> Vec<String> {
        let mut round = file["rounds"][0].clone();
        round["round_id"] = json!("second");
        round.as_object_mut().unwrap().remove("packs");
        round["money"] = json!({"amount": "pool", "weights": {"other": 1}});
        round["mode"] = json!("first_come");
        round["reservation"] = json!(null);
        round.as_object_mut().unwrap().remove("draw");
        round.as_object_mut().unwrap().remove("unclaimed");
        round["opens_at"] = json!(format!("2020-08-01T{opens}+08:00"));
        round["closes_at"] = json!("2020-08-01T20:00:00+08:00");
        round["validity"] = json!({"available_end_time": "2020-10-01T00:00:00+08:00"});
        let end = json!({"available_begin_time": "2020-07-25T00:00:00+08:00",
            "available_end_time": format!("2020-08-01T{end}+08:00")});
        let edits = [
            ("/packs/-", other.clone()),
            ("/rounds/-", round),
            (place, end),
            ("/carry_over", json!("pool")),
            ("/carry_over_sources", sources),
        ];
        let parsed = parse(&chengdu_with(&edits)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let told = parsed.warnings.into_iter().filter(|warning| warning.code == "expires_after_pool");
        told.map(|warning| format!("{} {} {}", warning.pointer, warning.zh, warning.en)).collect()
    };
    let all = || json!(["unissued", "expired", "refunded"]);
    for place in ["/validity", "/rounds/0/validity"] {
        let told = warned(place, "10:20:00", "10:22:00", all());
        assert!(told.len() == 1 && told[0].starts_with(&format!("{place}/available_end_time ")), "{told:?}");
        assert_eq!(told[0].matches("2020-08-01T11:00:00+08:00").count(), 4, "both languages say the hour: {told:?}");
    }
    let of_voucher = warned("/packs/0/vouchers/0/validity", "10:20:00", "10:59:59", all());
    assert_eq!(of_voucher.len(), 1, "{of_voucher:?}");
    let none = [("10:00:00", "10:22:00"), ("10:20:00", "11:00:00"), ("10:30:00", "10:22:00")];
    for (end, opens) in none {
        assert_eq!(warned("/validity", end, opens, all()), [""; 0], "{end} {opens}");
    }
    assert_eq!(warned("/validity", "10:20:00", "10:22:00", json!(["unissued"])), [""; 0], "what expires stays");
}

#[test]
fn no_single_change_of_a_file_makes_the_reader_panic_or_repeat_itself() {
    let strange = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("x~/\u{7}"),
        json!("2199-12-31T23:59:59+08:00"),
        json!("2000-01-01T00:00:00Z"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"": 1}),
    ];
    let words = Words::new();
    for (name, file) in OTHERS.into_iter().chain([("chengdu-2020", CHENGDU)]) {
        let file: Value = serde_json::from_str(file).unwrap();
        let mut places_of_file = Vec::new();
        pointers(&file, String::new(), &mut places_of_file);
        for (pointer, value) in
            places_of_file.iter().flat_map(|pointer| strange.iter().map(move |value| (pointer, value)))
        {
            let mut spoilt = file.clone();
            *spoilt.pointer_mut(pointer).unwrap() = value.clone();
            match parse(&serde_json::to_vec(&spoilt).unwrap()) {
                Ok(parsed) => {
                    drop(effective::effective_view(&parsed.campaign));
                    let late = unsupported(&parsed.campaign)
                        .into_iter()
                        .chain(not_in_past(&parsed.campaign, 7_258_118_400_000));
                    words.check(&spoilt.to_string(), &parsed.warnings.into_iter().chain(late).collect::<Vec<_>>());
                }
                Err(faults) => {
                    words.check(&spoilt.to_string(), &faults);
                    let mut found = places(&faults);
                    found.dedup();
                    assert_eq!(found.len(), faults.len(), "{name} {pointer} = {value}: {faults:#?}");
                }
            }
        }
    }
}
