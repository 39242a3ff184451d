//! What each way of issuing needs, and what says nothing in it.

use serde_json::{Value, json};

use super::*;

#[test]
fn each_mode_has_its_own_steps() {
    let at = |field: &str| format!("/rounds/0/{field}");
    let without_window =
        [("/rounds/0/opens_at", json!("-")), ("/rounds/0/closes_at", json!("-")), ("/rounds/0/release", json!("-"))];
    let mode = |mode: &str| ("/rounds/0/mode", json!(mode));
    refuses(&[mode("first_come")], &[(&at("draw"), "not_with_mode")]);
    refuses(&[mode("grant"), ("/rounds/0/draw", json!("-"))], &[(&at("entries_list"), "needed_by_mode")]);
    let ballot = [&without_window[..], &[mode("ballot")]].concat();
    refuses(&ballot, &[(&at("credit_at"), "needed_by_mode")]);
    let credited = ("/rounds/0/credit_at", json!("2020-07-24T18:00:00+08:00"));
    warns(&[&ballot[..], &[credited]].concat(), &[]);
    let early = ("/rounds/0/credit_at", json!("2020-07-22T10:00:00+08:00"));
    refuses(&[&ballot[..], &[early]].concat(), &[(&at("credit_at"), "wrong_order")]);
    refuses(&without_window, &[(&at("opens_at"), "needed_by_mode"), (&at("closes_at"), "needed_by_mode")]);
}

/// Chengdu's pack beside a second one, in a round of this mode.
fn two_packs(mode: &str, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let pack = json!({"pack_id": "other", "vouchers": [{"voucher_kind": "60-20", "transaction_minimum": 6000,
        "discount_amount": 2000, "count": 4}]});
    let mut edits = vec![
        ("/packs/-", pack),
        ("/rounds/0/packs", json!({"standard": 1_000_000, "other": 1_000_000})),
        ("/rounds/0/mode", json!(mode)),
    ];
    if mode != "rain" {
        edits.extend([("/rounds/0/draw", json!("-")), ("/rounds/0/release", json!("-"))]);
    }
    if mode == "grant" {
        edits.push(("/rounds/0/entries_list", json!("nurses")));
        edits.extend(["/reservation", "/eligibility", "/consent_version"].map(|unused| (unused, json!("-"))));
    }
    edits.extend_from_slice(more);
    edits
}

#[test]
fn chance_needs_no_draw_and_what_says_nothing_of_a_grant_is_pointed_out() {
    let (assignment, most) = ("/rounds/0/assignment", "/rounds/0/max_packs_per_person");
    for mode in ["first_come", "grant", "rain"] {
        let file = two_packs(mode, &[(assignment, json!("chance"))]);
        warns(&file, &[]);
        assert_eq!(unsupported(&parse(&chengdu_with(&file)).unwrap().campaign), []);
        refuses(&two_packs(mode, &[]), &[(assignment, "assignment_needed")]);
    }
    let each = |most_packs| two_packs("grant", &[(assignment, json!("each")), (most, json!(most_packs))]);
    warns(&each(2), &[]);
    assert_eq!(unsupported(&parse(&chengdu_with(&each(2))).unwrap().campaign), []);
    warns(&each(1), &[(most, "fewer_than_each")]);
    warns(&two_packs("grant", &[(assignment, json!("chance")), (most, json!(2))]), &[(most, "no_effect")]);
    warns(&[(assignment, json!("chance"))], &[(assignment, "no_effect")]);
    let divided = json!({"standard": {"count": 1_000_000, "by_channel": "equal"}, "other": 1_000_000});
    let mixed = [(assignment, json!("chance")), ("/rounds/0/packs", divided)];
    refuses(&two_packs("first_come", &mixed), &[("/rounds/0/packs", "mixed_by_channel")]);
}

#[test]
fn what_one_person_may_have_over_all_rounds_is_counted_in_a_byte() {
    let channels = ("/channels", json!(["wechat", "a", "b", "c", "d"]));
    let check = |rounds: usize, edits: &[(&'static str, Value)], places: &[&str]| {
        let mut campaign = parse(&chengdu_with(&[std::slice::from_ref(&channels), edits].concat())).unwrap().campaign;
        campaign.rounds = vec![campaign.rounds[0].clone(); rounds];
        let found: Vec<String> = unsupported(&campaign).into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(found, places, "{rounds} rounds");
    };
    check(60, &[], &[]);
    let per_channel = [("/reservation/one_per", json!(["person", "channel"]))];
    check(51, &per_channel, &[]);
    check(52, &per_channel, &["/rounds"]);
    let packs = [("/rounds/0/max_packs_per_person", json!(100))];
    check(51, &packs, &[]);
    check(52, &packs, &["/rounds"]);
}

#[test]
fn a_place_at_the_claim_is_asked_where_somebody_claims() {
    let place = |at: Value| json!({"area_id": "chengdu", "at": at});
    let says = |edits: &[(&str, Value)]| -> Vec<String> {
        let campaign = parse(&chengdu_with(edits)).unwrap().campaign;
        unsupported(&campaign).into_iter().map(|fault| fault.pointer).collect()
    };
    let location = "/eligibility/location";
    assert_eq!(says(&[(location, place(json!(["reserve"])))]), [""; 0]);
    assert_eq!(says(&[(location, place(json!(["reserve", "claim"])))]), ["/eligibility/location/at"]);
    let kept = [(location, place(json!(["claim"]))), ("/rounds/0/unclaimed", json!("return"))];
    assert_eq!(says(&kept), [""; 0]);
}
