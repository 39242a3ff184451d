//! Every field of a round in every way of issuing: looked at, or refused.

use serde_json::{Value, json};

use super::*;
use crate::domain::campaign::ignored::{CAMPAIGN_ROWS, ROWS, Way};

/// For each way `+` where a field is looked at, `x` where its being there is a fault of form, `i` where it would be ignored and `t` where
/// that harms nobody: a draft is warned of both, and publication refuses `i`. Ways: credited ballot, ballot with a window, rain, first come, credited grant, grant with a window.
const TABLE: [(&str, &str); 22] = [
    ("name", "++++++"),
    ("reservation", "++++ii"),
    ("eligibility", "++++tt"),
    ("eligibility/minimum_age", "++++tt"),
    ("eligibility/age_on", "++++tt"),
    ("eligibility/residence_prefixes", "++++tt"),
    ("eligibility/health_pass", "++++tt"),
    ("eligibility/allow_list", "++++tt"),
    ("eligibility/deny_list", "++++tt"),
    ("eligibility/attributes", "++++tt"),
    ("eligibility/health_pass_unknown", "tttttt"),
    ("validity", "++++++"),
    ("use_rule", "++++++"),
    ("limits", "++++++"),
    ("assignment", "++++++"),
    ("max_packs_per_person", "++++ii"),
    ("exclude_winners_of", "++++++"),
    ("entries_list", "+++x++"),
    ("draw", "+++xxx"),
    ("release", "x+++xi"),
    ("unclaimed", "i++ii+"),
    ("lost_at", "i++iii"),
];
/// What says which way a round goes, or what every round has.
const OF_EVERY_ROUND: [&str; 6] = ["round_id", "mode", "supply", "opens_at", "closes_at", "credit_at"];

/// A round of this way after Chengdu's own.
fn of_way(way: Way) -> Value {
    let mut file: Value = serde_json::from_str(CHENGDU).unwrap();
    file["budget"] = json!(32_000_000_000_i64);
    let mut round = file["rounds"][0].clone();
    for field in ["release", "unclaimed", "max_packs_per_person"] {
        round.as_object_mut().unwrap().remove(field);
    }
    round["round_id"] = json!("tried");
    let (mode, drawn, window) = match way {
        Way::CreditedBallot => ("ballot", true, false),
        Way::ClaimedBallot => ("ballot", true, true),
        Way::Rain => ("rain", true, true),
        Way::FirstCome => ("first_come", false, true),
        Way::CreditedGrant => ("grant", false, false),
        Way::ClaimedGrant => ("grant", false, true),
    };
    round["mode"] = json!(mode);
    let fields = round.as_object_mut().unwrap();
    if !drawn {
        fields.remove("draw");
    }
    if !window {
        fields.remove("closes_at");
        let opens_at = fields.remove("opens_at").unwrap();
        fields.insert("credit_at".into(), opens_at);
    }
    if mode == "grant" {
        fields.insert("entries_list".into(), json!("nurses"));
    }
    file["rounds"].as_array_mut().unwrap().push(round);
    file
}

/// Says something by a field that is not its default.
fn say(round: &mut Value, field: &str) {
    let value = match field {
        "name" => json!({"zh": "一", "en": "One"}),
        "reservation" => json!({"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-07-20T00:00:00+08:00"}),
        "eligibility" => json!({"document_types": ["cn_id"]}),
        "validity" => {
            json!({"available_begin_time": "2020-07-25T00:00:00+08:00", "available_end_time": "2020-09-01T00:00:00+08:00"})
        }
        "use_rule" => json!({"categories": ["catering"]}),
        "limits" => json!([{"action": "claim", "entities": ["person"], "period": "day", "max_count": 1}]),
        "assignment" => json!("choice"),
        "max_packs_per_person" => json!(2),
        "exclude_winners_of" => json!(["rain"]),
        "entries_list" => json!("others"),
        "draw" => json!({"at": "2020-07-22T11:00:00+08:00", "entropy": ["operator"]}),
        "release" => json!({"shape": "even", "seconds": 300}),
        "unclaimed" => json!("return"),
        "lost_at" => json!("close"),
        of_eligibility => {
            let name = of_eligibility.strip_prefix("eligibility/").expect("a field of the table");
            let mut terms = json!({"document_types": ["cn_id"], "location": {"area_id": "city", "at": ["claim"]}});
            terms[name] = match name {
                "minimum_age" => json!(18),
                "age_on" => json!("2020-07-24"),
                "residence_prefixes" => json!(["5101"]),
                "health_pass" => json!("green"),
                "health_pass_unknown" => json!("accept"),
                "attributes" => json!({"job": ["nurse"]}),
                list => json!(list),
            };
            if name == "age_on" {
                terms["minimum_age"] = json!(18);
            }
            round["eligibility"] = terms;
            return;
        }
    };
    round[field] = value;
}

#[test]
fn every_field_of_a_round_is_looked_at_or_refused_in_every_mode() {
    for (field, expected) in TABLE {
        let cell = |way: Way| {
            let mut file = of_way(way);
            say(&mut file["rounds"][1], field);
            let pointer = format!("/rounds/1/{field}");
            match parse_value(file) {
                Ok(parsed) => {
                    let found = ignored(&parsed.campaign);
                    let is_in = |faults: &[Fault]| faults.iter().any(|fault| fault.pointer == pointer);
                    let (refused, told) = (is_in(&found.refused), is_in(&found.told));
                    assert_eq!(is_in(&parsed.warnings), refused || told, "{field} {way:?}: a draft is told both");
                    match (refused, told) {
                        (true, _) => 'i',
                        (_, true) => 't',
                        _ => '+',
                    }
                }
                Err(faults) => {
                    assert!(faults.iter().all(|fault| fault.pointer.starts_with(&pointer)), "{way:?} {faults:#?}");
                    'x'
                }
            }
        };
        assert_eq!(Way::ALL.map(cell).iter().collect::<String>(), expected, "{field}");
    }
}

#[test]
fn the_table_has_a_row_for_every_field_of_a_round_and_of_its_eligibility() {
    let mut file = of_way(Way::Rain);
    say(&mut file["rounds"][1], "eligibility");
    let campaign = parse_value(file).unwrap().campaign;
    let round = names(&campaign.rounds[1]).into_iter();
    // A place has its own rule, and a list of documents has to be there.
    let terms = names(campaign.rounds[1].eligibility.as_ref().unwrap()).into_iter();
    let terms = terms.filter(|name| !["document_types", "location"].contains(&name.as_str()));
    let rows: Vec<&str> = ROWS.iter().map(|row| row.field).collect();
    for name in round.chain(terms.map(|name| format!("eligibility/{name}"))) {
        assert!(rows.contains(&name.as_str()), "{name} has no row");
        let tried = TABLE.iter().any(|(field, _)| *field == name) || name == "waves";
        assert!(tried || OF_EVERY_ROUND.contains(&name.as_str()), "{name} is not tried");
    }
}

/// The names of a struct's fields, as it is written.
fn names(value: &impl serde::Serialize) -> Vec<String> {
    let shown = serde_json::to_value(value).unwrap();
    shown.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn waves_belong_to_what_is_released_again() {
    for way in Way::ALL {
        let mut file = of_way(way);
        file["rounds"][1]["unclaimed"] = json!("release");
        file["rounds"][1]["waves"] =
            json!([{"opens_at": "2020-07-26T10:00:00+08:00", "closes_at": "2020-07-26T12:00:00+08:00"}]);
        let read = parse_value(file);
        assert_eq!(read.is_ok(), matches!(way, Way::ClaimedBallot | Way::Rain), "{way:?}: {read:?}");
    }
}

#[test]
fn a_reservation_that_no_round_uses_promises_nothing() {
    let stagger = json!({"by": "hash", "days": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]});
    let walk_in = [
        ("/rounds/0/mode", json!("first_come")),
        ("/rounds/0/draw", json!("-")),
        ("/rounds/0/reservation", Value::Null),
    ];
    let grant = [
        ("/rounds/0/mode", json!("grant")),
        ("/rounds/0/draw", json!("-")),
        ("/rounds/0/release", json!("-")),
        ("/rounds/0/entries_list", json!("nurses")),
    ];
    let limit = json!([{"action": "reserve", "entities": ["person"], "period": "campaign", "max_count": 1}]);
    for (round, edits) in [("walk-in", &walk_in[..]), ("grant", &grant[..])] {
        let refused = |more: &[(&str, Value)]| {
            let parsed = parse(&chengdu_with(&[edits, more].concat())).unwrap_or_else(|faults| panic!("{faults:#?}"));
            let found = ignored(&parsed.campaign);
            let mut told = places(&found.told);
            told.sort_unstable();
            let mut expected = vec![("/consent_version", "no_effect"), ("/reservation", "no_effect")];
            expected.extend((round == "grant").then_some(("/eligibility", "no_effect")));
            expected.sort_unstable();
            assert_eq!(told, expected, "{round}: publication goes on");
            assert_eq!(parsed.warnings.len(), told.len() + found.refused.len(), "{round}: a draft is told both");
            found.refused.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(refused(&[]), [""; 0], "{round}");
        assert_eq!(refused(&[("/reservation/stagger", stagger.clone())]), [""; 0], "{round}: told once, of the whole");
        assert_eq!(refused(&[("/limits", limit.clone())]), ["/limits/0"], "{round}");
        assert_eq!(refused(&[("/rounds/0/limits", limit.clone())]), ["/rounds/0/limits/0"], "{round}");
    }
    let used = parse(&chengdu_with(&[("/reservation/stagger", stagger), ("/limits", limit)])).unwrap();
    let found = ignored(&used.campaign);
    assert_eq!((found.refused, found.told), (vec![], vec![]));
}

#[test]
fn chance_has_something_to_choose_from() {
    for way in Way::ALL {
        let told = |assignment: &str| {
            let mut file = of_way(way);
            file["rounds"][1]["assignment"] = json!(assignment);
            let campaign = parse_value(file).unwrap_or_else(|faults| panic!("{way:?}: {faults:#?}")).campaign;
            let found = ignored(&campaign);
            assert!(found.refused.iter().all(|fault| fault.pointer != "/rounds/1/assignment"), "{way:?}");
            found.told.iter().any(|fault| fault.pointer == "/rounds/1/assignment")
        };
        assert_eq!([told("single"), told("chance")], [false, true], "{way:?}: one pack only");
    }
}

#[test]
fn what_a_campaign_says_for_its_rounds_is_used_by_one_of_them() {
    let validity = json!({"available_day_after_receive": 7});
    let own = [("/rounds/0/validity", validity), ("/rounds/0/use_rule", json!({"categories": ["catering"]}))];
    let eligible = [("/rounds/0/eligibility", json!({"document_types": ["cn_id"]}))];
    let walk_in = [
        ("/rounds/0/mode", json!("first_come")),
        ("/rounds/0/draw", json!("-")),
        ("/rounds/0/reservation", json!(null)),
    ];
    let spent = [
        ("/refund_policy", json!("consume")),
        ("/max_restores_per_voucher", json!(2)),
        ("/carry_over_sources", json!(["expired"])),
    ];
    for (edits, expected) in [
        (&own[..], &["/use_rule", "/validity"][..]),
        (&eligible, &["/eligibility"]),
        (&walk_in, &["/consent_version", "/reservation"]),
        (&spent, &["/carry_over_sources", "/max_restores_per_voucher"]),
        (
            &[("/eligibility/health_pass", json!("-")), ("/eligibility/health_pass_unknown", json!("accept"))],
            &["/eligibility/health_pass_unknown"],
        ),
        (&[("/carry_over", json!("pool")), ("/carry_over_sources", json!(["expired"]))], &[]),
        (&[], &[]),
    ] {
        let parsed = parse(&chengdu_with(edits)).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let found = ignored(&parsed.campaign);
        assert_eq!(found.refused, [], "{edits:?}: a default that no round uses stops nothing");
        let mut found: Vec<String> = found.told.into_iter().map(|fault| fault.pointer).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{edits:?}");
        for pointer in found {
            assert!(parsed.warnings.iter().any(|warning| warning.pointer == pointer), "a draft is told {pointer}");
        }
    }
}

/// Every field of every section. Those of a campaign and of a round have rows of their own; each of the others is looked at wherever its
/// section is, or `check` says when it is not.
const SECTIONS: [(&str, &[&str]); 16] = [
    (
        "/reservation",
        &[
            "opens_at",
            "closes_at",
            "one_per",
            "identity_keys",
            "duplicates",
            "withdraw_until",
            "max_reservations",
            "stagger",
        ],
    ),
    ("/reservation/stagger", &["by", "days"]),
    ("/eligibility/location", &["area_id", "at"]),
    (
        "/validity",
        &[
            "available_begin_time",
            "available_end_time",
            "available_day_after_receive",
            "wait_days_after_receive",
            "day_counting",
        ],
    ),
    (
        "/use_rule",
        &[
            "categories",
            "category_codes",
            "districts",
            "merchants_list",
            "channels",
            "scenes",
            "hours",
            "dates_excluded",
            "eligible_items",
            "excluded_items",
            "threshold_on",
            "combine_with_merchant_offers",
            "combine_with_campaigns",
            "max_vouchers_per_payment",
            "minimum_payable",
            "hold_seconds",
            "location",
            "require_items",
        ],
    ),
    ("/use_rule/location", &["area_id"]),
    ("/use_rule/hours/0", &["week_days", "begin_time", "end_time"]),
    ("/merchant_enrolment", &["opens_at", "closes_at", "kinds", "registered_in", "by_list"]),
    ("/packs/0", &["pack_id", "vouchers", "use_rule"]),
    (
        "/packs/0/vouchers/0",
        &[
            "voucher_kind",
            "count",
            "name",
            "kind",
            "transaction_minimum",
            "discount_amount",
            "use_rule",
            "validity",
            "after_kind",
        ],
    ),
    (
        "/packs/0/vouchers/1",
        &[
            "voucher_kind",
            "count",
            "name",
            "kind",
            "discount_basis_points",
            "discount_amount_max",
            "item_price_max",
            "unique_serial",
            "one_per_category",
            "use_rule",
            "validity",
            "after_kind",
        ],
    ),
    ("/rounds/0/draw", &["at", "close_list_at", "entropy", "drand_round"]),
    ("/rounds/0/release", &["shape", "seconds", "slices", "points"]),
    ("/limits/0", &["action", "entities", "period", "max_count"]),
    ("/funding/0", &["source", "weight"]),
    ("/name", &["zh", "en"]),
];

#[test]
fn the_tables_have_every_field_of_a_campaign_file() {
    let percent = json!({"voucher_kind": "fifteen", "kind": "percent", "discount_basis_points": 1500, "discount_amount_max": 1000, "count": 1});
    let file = chengdu_with(&[
        ("/reservation/stagger", json!({"by": "hash", "days": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]})),
        ("/eligibility/location", json!({"area_id": "city", "at": ["claim"]})),
        ("/use_rule/location", json!({"area_id": "city"})),
        ("/use_rule/hours", json!([{"week_days": [1], "begin_time": "10:00", "end_time": "12:00"}])),
        ("/packs/0/vouchers/1", percent),
        ("/funding", json!([{"source": "city", "weight": 1}])),
    ]);
    let shown = serde_json::to_value(&parse(&file).unwrap_or_else(|faults| panic!("{faults:#?}")).campaign).unwrap();
    let rows: Vec<&str> = CAMPAIGN_ROWS.iter().map(|row| row.field).filter(|field| !field.contains('/')).collect();
    assert_eq!(sorted(names(&shown)), sorted(rows.iter().map(|name| (*name).to_owned()).collect()), "of a campaign");
    for (pointer, fields) in SECTIONS {
        let section = shown.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        let known = fields.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(sorted(names(section)), sorted(known), "{pointer}");
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}
