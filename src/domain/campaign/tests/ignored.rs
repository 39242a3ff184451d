//! Every field of a round in every way of issuing: looked at, or refused.

use serde_json::{Value, json};

use super::*;
use crate::domain::campaign::ignored::{ROWS, Way};

/// For each way `+` where a field is looked at, `x` where its being there is a fault of form, `i` where it would be ignored: then a draft is
/// warned and publication refused. Ways: credited ballot, ballot with a window, rain, first come, credited grant, grant with a window.
const TABLE: [(&str, &str); 21] = [
    ("name", "++++++"),
    ("reservation", "++++ii"),
    ("eligibility", "++++ii"),
    ("eligibility/minimum_age", "++++ii"),
    ("eligibility/age_on", "++++ii"),
    ("eligibility/residence_prefixes", "++++ii"),
    ("eligibility/health_pass", "++++ii"),
    ("eligibility/allow_list", "++++ii"),
    ("eligibility/deny_list", "++++ii"),
    ("eligibility/attributes", "++++ii"),
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
                    let refused = ignored(&parsed.campaign);
                    let is_here = |fault: &Fault| fault.pointer == pointer;
                    let warned = parsed.warnings.iter().any(is_here);
                    assert_eq!(warned, refused.iter().any(is_here), "{field} {way:?}: a draft is told what is refused");
                    if warned { 'i' } else { '+' }
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
    let terms = terms.filter(|name| !["document_types", "health_pass_unknown", "location"].contains(&name.as_str()));
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
            assert_eq!(places(&parsed.warnings), places(&ignored(&parsed.campaign)), "{round}");
            ignored(&parsed.campaign).into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(refused(&[]), [""; 0], "{round}: a window alone says nothing");
        assert_eq!(refused(&[("/reservation/stagger", stagger.clone())]), ["/reservation/stagger"], "{round}");
        assert_eq!(
            refused(&[("/reservation/max_reservations", json!(9))]),
            ["/reservation/max_reservations"],
            "{round}"
        );
        assert_eq!(refused(&[("/limits", limit.clone())]), ["/limits/0"], "{round}");
        assert_eq!(refused(&[("/rounds/0/limits", limit.clone())]), ["/rounds/0/limits/0"], "{round}");
    }
    let used = parse(&chengdu_with(&[("/reservation/stagger", stagger), ("/limits", limit)])).unwrap();
    assert_eq!(ignored(&used.campaign), []);
}
