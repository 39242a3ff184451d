use super::*;
use crate::domain::campaign::schema::Campaign;
use crate::domain::time::parse_rfc3339;

/// One voucher of a campaign whose rules are written as a city writes them.
struct Case {
    campaign: Campaign,
    zone: Zone,
}

impl Case {
    /// `rules` of the campaign, the pack and the voucher, as JSON.
    fn new(campaign: &str, pack: &str, voucher: &str) -> Case {
        let file = format!(
            r#"{{"campaign_id":"rules","name":{{"zh":"规则","en":"Rules"}},"time_zone":"Asia/Shanghai","currency":"CNY",
            "budget":1000000,"channels":["wechat","alipay"],
            "packs":[{{"pack_id":"p","use_rule":{pack},"vouchers":[
              {{"voucher_kind":"60-20","transaction_minimum":6000,"discount_amount":2000,"count":1,"use_rule":{voucher}}}]}}],
            "rounds":[{{"round_id":"r","mode":"first_come","reservation":null,"packs":{{"p":1}},
              "opens_at":"2030-01-01T00:00:00+08:00","closes_at":"2030-01-02T00:00:00+08:00"}}],
            "validity":{{"available_begin_time":"2020-01-01T00:00:00+08:00","available_end_time":"2040-01-01T00:00:00+08:00"}},
            "use_rule":{campaign},"refund_policy":"consume","carry_over":"none","merchant_enrolment":{{}}}}"#
        );
        let parsed = crate::domain::campaign::parse(file.as_bytes()).unwrap_or_else(|_| panic!("{file}"));
        Case { campaign: parsed.campaign, zone: Zone::named("Asia/Shanghai").unwrap() }
    }

    fn of(campaign: &str) -> Case {
        Case::new(campaign, "{}", "{}")
    }

    fn candidate(&self) -> Candidate<'_> {
        let (pack, round) = (&self.campaign.packs[0], &self.campaign.rounds[0]);
        Candidate {
            voucher: VoucherRef { c: 1, shard: 0, f: [1; 9], p: 0, u: 0 },
            campaign_id: "rules",
            kind: &pack.vouchers[0],
            rules: self.campaign.use_rules_of(round, pack, &pack.vouchers[0]),
            zone: &self.zone,
            channel: "wechat",
            window: Window { start: 0, end: i64::MAX },
            state: UnitState::Available,
            held_until: 0,
            running: true,
            standing: Standing::Admitted,
            uncounted_terminal: None,
            unlocked: true,
            used_serials: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// "ok", or the code with what is missing.
    fn says(&self, payment: &Payment) -> String {
        match judge(payment, &self.candidate()) {
            Ok(_) => "ok".into(),
            Err(reason) => match reason.refusal.extra.get("missing_amount") {
                Some(missing) => format!("{} {missing}", reason.refusal.code.as_str()),
                None => reason.refusal.code.as_str().into(),
            },
        }
    }
}

fn sale(amount: i64) -> Payment<'static> {
    Payment {
        amount: Fen(amount),
        merchant_discount: Fen::ZERO,
        category: "catering",
        scene: Some(Scene::Offline),
        items: &[],
        channel: Some("wechat"),
        areas: &[],
        district: "510104",
        industry_code: "6210",
        now: noon("2020-07-25T12:00:00"),
    }
}

fn noon(text: &str) -> Ms {
    parse_rfc3339(&format!("{text}+08:00")).unwrap()
}

fn item(sku: &str, category: Option<&str>, amount: i64, offer: i64) -> Item {
    Item {
        sku: sku.into(),
        category: category.map(str::to_owned),
        serial: None,
        quantity: 1,
        amount: Fen(amount),
        merchant_discount: Fen(offer),
    }
}

fn with_items(items: &[Item]) -> Payment<'_> {
    Payment {
        amount: items.iter().map(|item| item.amount).sum(),
        merchant_discount: items.iter().map(|item| item.merchant_discount).sum(),
        items,
        ..sale(0)
    }
}

#[test]
fn a_rule_that_restricts_nothing_takes_any_sale() {
    assert_eq!(Case::of("{}").says(&sale(6_000)), "ok");
}

#[test]
fn categories_are_words_and_their_industry_codes_are_the_merchants() {
    let case = Case::of(r#"{"categories":["catering","culture"],"category_codes":{"catering":["62"]}}"#);
    assert_eq!(case.says(&sale(6_000)), "ok");
    assert_eq!(case.says(&Payment { category: "fuel", ..sale(6_000) }), "category_not_allowed");
    assert_eq!(case.says(&Payment { industry_code: "5211", ..sale(6_000) }), "category_not_allowed");
    assert_eq!(case.says(&Payment { industry_code: "5211", category: "culture", ..sale(6_000) }), "ok");
    assert_eq!(case.says(&Payment { industry_code: "H6210", ..sale(6_000) }), "ok");
    let by_codes = Case::of(r#"{"category_codes":{"catering":["62"]}}"#);
    assert_eq!(by_codes.says(&sale(6_000)), "ok");
    assert_eq!(by_codes.says(&Payment { category: "fuel", ..sale(6_000) }), "category_not_allowed");
}

#[test]
fn an_area_of_one_campaign_is_not_that_of_another() {
    let case = Case::of(r#"{"location":{"area_id":"inner"}}"#);
    let says = |areas: &[&str]| {
        let areas: Vec<String> = areas.iter().map(|area| area.to_string()).collect();
        case.says(&Payment { areas: &areas, ..sale(6_000) })
    };
    let own = name_of_use(1, "inner");
    assert_eq!(says(&["999/inner", &own]), "ok");
    for elsewhere in [&[][..], &["999/inner"], &["inner"], &[&format!("{own}-city")]] {
        assert_eq!(says(elsewhere), "outside_area", "{elsewhere:?}");
    }
}

#[test]
fn a_district_holds_what_lies_in_it() {
    let case = Case::of(r#"{"districts":["5101","330106"]}"#);
    for (district, says) in [("510104", "ok"), ("330106", "ok"), ("330105", "district_not_allowed")] {
        assert_eq!(case.says(&Payment { district, ..sale(6_000) }), says, "{district}");
    }
}

#[test]
fn a_voucher_is_used_where_it_was_credited_anywhere_or_where_the_list_says() {
    for (channels, payer, says) in [
        (r#""as_credited""#, "wechat", "ok"),
        (r#""as_credited""#, "alipay", "channel_not_allowed"),
        (r#""any""#, "alipay", "ok"),
        (r#"["alipay"]"#, "alipay", "ok"),
        (r#"["alipay"]"#, "wechat", "channel_not_allowed"),
    ] {
        let case = Case::of(&format!(r#"{{"channels":{channels}}}"#));
        assert_eq!(case.says(&Payment { channel: Some(payer), ..sale(6_000) }), says, "{channels} {payer}");
        assert_eq!(case.says(&Payment { channel: None, ..sale(6_000) }), "ok", "a printed code has no channel");
    }
}

#[test]
fn a_scene_is_the_tills_and_who_dines_in_buys_offline() {
    for (scenes, scene, says) in [
        (r#"["dine_in"]"#, Some(Scene::DineIn), "ok"),
        (r#"["dine_in"]"#, Some(Scene::Takeaway), "scene_not_allowed"),
        (r#"["dine_in"]"#, Some(Scene::Offline), "scene_not_allowed"),
        (r#"["dine_in"]"#, None, "scene_not_allowed"),
        (r#"["offline"]"#, Some(Scene::DineIn), "ok"),
        (r#"["offline"]"#, Some(Scene::Online), "scene_not_allowed"),
        (r#"["offline","online"]"#, Some(Scene::Online), "ok"),
    ] {
        let case = Case::of(&format!(r#"{{"scenes":{scenes}}}"#));
        assert_eq!(case.says(&Payment { scene, ..sale(6_000) }), says, "{scenes} {scene:?}");
    }
}

#[test]
fn hours_week_days_and_dates_are_the_citys() {
    // 25 July 2020 was a Saturday.
    let case = Case::of(
        r#"{"hours":[{"week_days":[1,2,3,4,5],"begin_time":"10:00","end_time":"14:00"},
            {"week_days":[6],"begin_time":"17:00","end_time":"24:00"}],"dates_excluded":["2020-08-01"]}"#,
    );
    for (text, says) in [
        ("2020-07-24T10:00:00", "ok"),
        ("2020-07-24T13:59:59", "ok"),
        ("2020-07-24T14:00:00", "outside_hours"),
        ("2020-07-24T09:59:59", "outside_hours"),
        ("2020-07-25T12:00:00", "outside_hours"),
        ("2020-07-25T23:59:59", "ok"),
        ("2020-07-26T12:00:00", "outside_hours"),
        ("2020-08-01T18:00:00", "outside_hours"),
        ("2020-08-08T18:00:00", "ok"),
    ] {
        assert_eq!(case.says(&Payment { now: noon(text), ..sale(6_000) }), says, "{text}");
    }
}

#[test]
fn a_merchants_own_offer_goes_with_a_voucher_unless_the_rule_says_no() {
    let offered = Payment { merchant_discount: Fen(100), ..sale(7_000) };
    assert_eq!(Case::of("{}").says(&offered), "ok");
    let case = Case::of(r#"{"combine_with_merchant_offers":false}"#);
    assert_eq!((case.says(&offered), case.says(&sale(7_000))), ("not_combinable".into(), "ok".into()));
}

#[test]
fn the_threshold_is_judged_after_the_merchants_offer_unless_the_rule_says_initial() {
    let offered = Payment { merchant_discount: Fen(1_000), ..sale(6_500) };
    assert_eq!(Case::of("{}").says(&offered), "minimum_not_met 500");
    assert_eq!(Case::of(r#"{"threshold_on":"initial"}"#).says(&offered), "ok");
    let strict = Case::new(r#"{"threshold_on":"initial"}"#, r#"{"threshold_on":"after_merchant_discount"}"#, "{}");
    assert_eq!(strict.says(&offered), "minimum_not_met 500");
    // The discount itself always comes from what is left to pay, and a fen is paid: what is missing is told at once.
    let nearly_all = Payment { merchant_discount: Fen(5_000), ..sale(6_500) };
    assert_eq!(Case::of(r#"{"threshold_on":"initial"}"#).says(&nearly_all), "minimum_not_met 501");
}

#[test]
fn only_goods_that_the_voucher_is_for_count() {
    let goods = [
        item("rice", Some("grocery"), 5_000, 500),
        item("card", Some("prepaid_card"), 4_000, 0),
        item("pot", None, 1_600, 0),
    ];
    let says = |rule: &str| Case::of(rule).says(&with_items(&goods));
    assert_eq!(says("{}"), "ok");
    assert_eq!(says(r#"{"excluded_items":["prepaid_card"]}"#), "ok");
    assert_eq!(says(r#"{"excluded_items":["prepaid_card","pot"]}"#), "minimum_not_met 1500");
    assert_eq!(says(r#"{"excluded_items":["prepaid_card","pot"],"threshold_on":"initial"}"#), "minimum_not_met 1000");
    assert_eq!(says(r#"{"eligible_items":["rice","pot"]}"#), "ok");
    assert_eq!(says(r#"{"eligible_items":["grocery"]}"#), "minimum_not_met 1500");
    assert_eq!(says(r#"{"eligible_items":["tea"]}"#), "items_not_eligible");
    assert_eq!(says(r#"{"categories":["catering","grocery"]}"#), "ok", "what has no category counts");
}

#[test]
fn a_rule_that_needs_the_goods_refuses_a_sale_without_them() {
    let case = Case::of(r#"{"eligible_items":["rice"],"require_items":true}"#);
    assert_eq!(case.says(&sale(6_000)), "items_required");
    assert_eq!(case.says(&with_items(&[item("rice", None, 6_000, 0)])), "ok");
    let lenient = Case::of(r#"{"eligible_items":["rice"]}"#);
    assert_eq!(lenient.says(&sale(6_000)), "ok", "without a list of goods the whole amount counts");
}

#[test]
fn the_payer_pays_at_least_what_the_strictest_rule_says() {
    let case = Case::new(r#"{"minimum_payable":4500}"#, r#"{"minimum_payable":100}"#, "{}");
    assert_eq!((case.says(&sale(6_499)), case.says(&sale(6_500))), ("minimum_not_met 1".into(), "ok".into()));
}

#[test]
fn rules_of_campaign_pack_and_voucher_must_all_hold() {
    let case = Case::new(r#"{"districts":["51"]}"#, r#"{"categories":["catering"]}"#, r#"{"scenes":["dine_in"]}"#);
    let fits = Payment { scene: Some(Scene::DineIn), ..sale(6_000) };
    assert_eq!(case.says(&fits), "ok");
    assert_eq!(case.says(&Payment { district: "310101", ..fits.clone() }), "district_not_allowed");
    assert_eq!(case.says(&Payment { category: "culture", ..fits.clone() }), "category_not_allowed");
    assert_eq!(case.says(&Payment { scene: Some(Scene::Takeaway), ..fits }), "scene_not_allowed");
}

#[test]
fn an_added_rule_leaves_the_numbers_of_the_first_alone() {
    let case =
        Case::new(r#"{"max_vouchers_per_payment":2,"minimum_payable":1}"#, r#"{"categories":["catering"]}"#, "{}");
    assert_eq!((most_vouchers(&case.candidate()), least_payable(&case.candidate())), (2, Fen(1)));
    let strict = Case::new(r#"{"max_vouchers_per_payment":2}"#, r#"{"max_vouchers_per_payment":1}"#, "{}");
    assert_eq!(most_vouchers(&strict.candidate()), 1);
}

#[test]
fn an_offer_of_the_merchant_counts_only_on_goods_that_the_voucher_is_for() {
    let case = Case::of(r#"{"combine_with_merchant_offers":false,"eligible_items":["rice"]}"#);
    for (rice_offer, tea_offer, said) in
        [(0, 0, "ok"), (0, 500, "ok"), (1, 0, "not_combinable"), (1, 500, "not_combinable")]
    {
        let items = [item("rice", None, 8_000, rice_offer), item("tea", None, 2_000, tea_offer)];
        let payment = Payment { items: &items, merchant_discount: Fen(rice_offer + tea_offer), ..sale(10_000) };
        assert_eq!(case.says(&payment), said, "{rice_offer} on the rice, {tea_offer} on the tea");
    }
    // Without a list of goods the whole receipt is what the voucher is for.
    let case = Case::of(r#"{"combine_with_merchant_offers":false}"#);
    assert_eq!(case.says(&Payment { merchant_discount: Fen(1), ..sale(10_000) }), "not_combinable");
}
