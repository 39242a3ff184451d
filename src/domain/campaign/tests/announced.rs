//! The files of the cities say what the cities announced: every date, count and face, typed again from the announcements.

use serde_json::{Value, json};

use super::{CHENGDU, OTHERS};

fn file(name: &str) -> Value {
    let others = OTHERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    serde_json::from_str(others.unwrap_or(CHENGDU)).unwrap()
}

#[track_caller]
fn says(file: &Value, at: &str, wanted: &[(&str, Value)]) {
    for (pointer, value) in wanted {
        let pointer = format!("{at}{pointer}");
        assert_eq!(file.pointer(&pointer), Some(value), "{pointer} of {}", file["campaign_id"]);
    }
}

/// A local time of the city; all of them are eight hours ahead.
fn time(local: &str) -> Value {
    let seconds = if local.len() == 16 { ":00" } else { "T00:00:00" };
    json!(format!("{local}{seconds}+08:00"))
}

/// Minimum, discount and number of each voucher of a pack.
fn faces(file: &Value, pack_id: &str) -> Vec<[i64; 3]> {
    let packs = file["packs"].as_array().unwrap().iter();
    let pack = packs.into_iter().find(|pack| pack["pack_id"] == pack_id).unwrap();
    let face = |voucher: &Value| {
        ["transaction_minimum", "discount_amount", "count"].map(|field| voucher[field].as_i64().unwrap())
    };
    pack["vouchers"].as_array().unwrap().iter().map(face).collect()
}

#[test]
fn f1_chengdus_file_is_the_campaign_of_july_2020() {
    let file = file("chengdu-2020");
    assert_eq!(faces(&file, "standard"), [[6_000, 2_000, 2], [3_000, 1_000, 4]]);
    let needed: i64 = faces(&file, "standard").iter().map(|[minimum, _, count]| minimum * count).sum();
    assert_eq!(needed, 24_000, "all six need 240 yuan");
    says(
        &file,
        "",
        &[
            ("/budget", json!(16_000_000_000_i64)),
            ("/channels", json!(["wechat"])),
            ("/eligibility/document_types", json!(["cn_id"])),
            ("/eligibility/health_pass", json!("green")),
            ("/reservation/opens_at", time("2020-07-13")),
            ("/reservation/closes_at", time("2020-07-21")),
            ("/rounds/0/mode", json!("rain")),
            ("/rounds/0/opens_at", time("2020-07-24T18:00")),
            ("/rounds/0/closes_at", time("2020-07-24T18:10")),
            ("/rounds/0/packs/standard", json!(2_000_000)),
            ("/rounds/0/max_packs_per_person", json!(1)),
            ("/validity/available_begin_time", time("2020-07-25")),
            ("/validity/available_end_time", time("2020-09-07")),
            ("/use_rule/districts", json!(["5101"])),
            ("/use_rule/combine_with_merchant_offers", json!(true)),
            ("/use_rule/max_vouchers_per_payment", json!(1)),
            ("/use_rule/hold_seconds", json!(120)),
            ("/limits/0/max_count", json!(2)),
            ("/limits/0/period", json!("day")),
            ("/limits/0/entities", json!(["person", "merchant"])),
            ("/refund_policy", json!("restore_on_full_refund")),
            ("/carry_over", json!("none")),
            ("/merchant_enrolment/opens_at", time("2020-07-13")),
            ("/merchant_enrolment/closes_at", time("2020-09-07")),
            ("/merchant_enrolment/kinds", json!(["enterprise", "sole_trader"])),
            ("/merchant_enrolment/registered_in", json!(["5101"])),
        ],
    );
}

#[test]
fn f2_hangzhous_file_is_its_three_rushes() {
    let file = file("hangzhou-2020");
    assert_eq!(faces(&file, "five-40-10"), [[4_000, 1_000, 5]]);
    assert_eq!(faces(&file, "hundred"), [[10_000, 2_000, 1], [20_000, 3_500, 1], [30_000, 4_500, 1]]);
    assert_eq!(faces(&file, "fifty-2022"), [[2_000, 500, 2], [4_000, 1_000, 2], [8_000, 2_000, 1]]);
    says(
        &file,
        "",
        &[
            ("/rounds/0/opens_at", time("2020-03-27T08:00")),
            ("/rounds/0/packs", json!({"five-40-10": 2_000_000})),
            ("/rounds/1/opens_at", time("2020-04-03T10:00")),
            ("/rounds/1/packs", json!({"hundred": 1_500_000})),
            ("/rounds/2/opens_at", time("2022-06-24T20:00")),
            ("/rounds/2/packs", json!({"fifty-2022": 3_700_000})),
            ("/rounds/2/validity/available_end_time", time("2022-07-03T20:00")),
            ("/validity/available_day_after_receive", json!(7)),
            ("/use_rule/scenes", json!(["offline"])),
            ("/use_rule/max_vouchers_per_payment", json!(1)),
            ("/limits/0", json!({"action": "claim", "entities": ["person"], "period": "week", "max_count": 1})),
            ("/limits/1/entities", json!(["person", "merchant"])),
            ("/limits/1/max_count", json!(2)),
            ("/refund_policy", json!("restore_on_full_refund")),
        ],
    );
}

#[test]
fn f3_shanghais_file_is_its_four_rounds_of_2022() {
    let file = file("shanghai-2022");
    assert_eq!(faces(&file, "p100"), [[10_000, 5_000, 1], [5_000, 2_500, 2]]);
    assert_eq!(faces(&file, "p200"), [[30_000, 10_000, 1], [10_000, 5_000, 1], [5_000, 2_500, 2]]);
    assert_eq!(faces(&file, "p150"), [[10_000, 5_000, 2], [5_000, 2_500, 2]]);
    let rounds = [
        ("p100", "2022-08-20", "2022-08-23", "2022-08-26", "2022-08-26", "2022-09-15"),
        ("p200", "2022-09-20", "2022-09-23", "2022-09-26", "2022-09-26", "2022-10-16"),
        ("p150", "2022-10-25", "2022-10-28", "2022-10-30T20:00", "2022-10-31", "2022-11-20"),
        ("p100", "2022-11-26", "2022-11-29", "2022-12-02T19:00", "2022-12-03", "2022-12-23"),
    ];
    for (round, (pack, opens, closes, credited, begin, end)) in rounds.into_iter().enumerate() {
        let at = format!("/rounds/{round}");
        says(
            &file,
            &at,
            &[
                ("/reservation/opens_at", time(opens)),
                ("/reservation/closes_at", time(closes)),
                ("/reservation/duplicates", json!("earliest")),
                ("/credit_at", time(credited)),
                ("/validity/available_begin_time", time(begin)),
                ("/validity/available_end_time", time(end)),
            ],
        );
        let supply = &file["rounds"][round];
        assert!(supply["packs"].get(pack).or(supply["money"]["weights"].get(pack)).is_some(), "{at} deals {pack}");
    }
    says(
        &file,
        "",
        &[
            ("/rounds/2/money/amount", json!(30_000_000_000_i64)),
            ("/eligibility/minimum_age", json!(18)),
            ("/eligibility/location/at", json!(["reserve"])),
            ("/channels", json!(["unionpay", "alipay", "wechat"])),
            ("/use_rule/channels", json!("as_credited")),
            ("/use_rule/scenes", json!(["offline", "online"])),
            ("/use_rule/max_vouchers_per_payment", json!(1)),
            ("/use_rule/combine_with_merchant_offers", json!(true)),
            ("/refund_policy", json!("restore_on_full_refund")),
        ],
    );
}

#[test]
fn f4_shanghais_file_is_its_dining_vouchers_of_2025() {
    let file = file("shanghai-2025");
    let tiers = [("a", 30_000, 9_000, 480_000), ("b", 50_000, 18_000, 240_000), ("c", 100_000, 40_000, 144_000)];
    let mut money = 0;
    for (tier, minimum, discount, count) in tiers {
        assert_eq!(faces(&file, tier), [[minimum, discount, 1]]);
        let supply = &file["rounds"][0]["packs"][tier];
        assert_eq!((&supply["count"], &supply["by_channel"]), (&json!(count), &json!("equal")));
        money += discount * count;
    }
    assert_eq!(money, 14_400_000_000, "43.2 + 43.2 + 57.6 million");
    assert_eq!(file["budget"].as_i64().unwrap() * 2 / 5, money, "40 per cent of 360 million");
    for (round, opens, closes, result, begin, end) in [
        (0, "2025-02-22", "2025-02-25", "2025-02-26T10:00", "2025-03-01", "2025-04-01"),
        (1, "2025-03-22", "2025-03-25", "2025-03-26T10:00", "2025-04-01", "2025-05-01"),
    ] {
        says(
            &file,
            &format!("/rounds/{round}"),
            &[
                ("/reservation/opens_at", time(opens)),
                ("/reservation/closes_at", time(closes)),
                ("/reservation/one_per", json!(["person", "channel"])),
                ("/assignment", json!("choice")),
                ("/max_packs_per_person", json!(3)),
                ("/draw/at", time(result)),
                ("/validity/available_begin_time", time(begin)),
                ("/validity/available_end_time", time(end)),
            ],
        );
    }
    says(
        &file,
        "",
        &[
            ("/use_rule/threshold_on", json!("after_merchant_discount")),
            ("/use_rule/excluded_items", json!(["prepaid_card", "group_buy_coupon"])),
        ],
    );
}

#[test]
fn f5_the_files_of_shijingshan_and_wuhan_are_their_weekly_rounds() {
    let shijingshan = file("shijingshan-2025");
    for (face, minimum, discount) in
        [("f20", 5_000, 2_000), ("f40", 10_000, 4_000), ("f80", 20_000, 8_000), ("f120", 30_000, 12_000)]
    {
        assert_eq!(faces(&shijingshan, face), [[minimum, discount, 1]]);
    }
    says(&shijingshan, "", &[("/budget", json!(300_000_000)), ("/carry_over", json!("pool"))]);
    for (round, opens, end) in [(0, "2025-12-28T10:00", "2026-01-04"), (1, "2026-01-04T10:00", "2026-01-11")] {
        let at = format!("/rounds/{round}");
        says(
            &shijingshan,
            &at,
            &[
                ("/opens_at", time(opens)),
                ("/closes_at", time(end)),
                ("/validity/available_end_time", time(end)),
                ("/assignment", json!("each")),
            ],
        );
    }
    let wuhan = file("wuhan-2020");
    for (category, by) in
        [("dining", [10, 20, 50]), ("mall", [30, 50, 80]), ("market", [5, 10, 20]), ("leisure", [20, 30, 50])]
    {
        assert_eq!(faces(&wuhan, category), by.map(|face| [300 * face, 100 * face, 1]), "{category}: 3 x the face");
    }
    let days = ["06-04", "06-11", "06-18", "06-25", "07-02", "07-09", "07-16", "07-23", "07-30"];
    assert_eq!(wuhan["rounds"].as_array().map(Vec::len), Some(days.len()));
    for (round, day) in days.iter().enumerate() {
        let opens = time(&format!("2020-{day}T12:00"));
        says(&wuhan, &format!("/rounds/{round}"), &[("/opens_at", opens), ("/assignment", json!("choice"))]);
    }
    says(
        &wuhan,
        "",
        &[
            ("/channels", json!(["alipay", "wechat", "meituan"])),
            ("/validity/available_day_after_receive", json!(7)),
            ("/packs/0/vouchers/2/use_rule/scenes", json!(["dine_in"])),
            ("/limits/0/entities", json!(["person", "channel"])),
            ("/limits/0/period", json!("week")),
            ("/limits/0/max_count", json!(1)),
        ],
    );
}

#[test]
fn f6_the_file_of_the_trade_in_is_the_notice_of_2026() {
    let file = file("tradein-2026");
    for (pack, most, price) in [(0, 150_000, None), (1, 50_000, Some(600_000))] {
        let voucher = &file["packs"][pack]["vouchers"][0];
        assert_eq!(voucher["discount_basis_points"], 1_500);
        assert_eq!((voucher["discount_amount_max"].as_i64(), voucher["item_price_max"].as_i64()), (Some(most), price));
        assert_eq!((&voucher["unique_serial"], &voucher["one_per_category"]), (&json!(true), &json!(true)));
    }
    says(
        &file,
        "",
        &[
            ("/reservation/opens_at", time("2026-01-01T08:00")),
            ("/reservation/closes_at", time("2026-01-05T20:00")),
            ("/rounds/0/draw/entropy", json!(["operator", "notary"])),
            ("/rounds/0/opens_at", time("2026-01-07T12:00")),
            ("/rounds/0/closes_at", time("2026-01-08")),
            ("/validity/available_day_after_receive", json!(14)),
            ("/use_rule/threshold_on", json!("after_merchant_discount")),
            ("/eligibility/location/at", json!(["reserve"])),
            ("/use_rule/location/area_id", json!("shanghai")),
            ("/refund_policy", json!("consume")),
            ("/refund_restores_limits", json!(false)),
        ],
    );
}
