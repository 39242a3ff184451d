//! Whoever is not on a round's list, or is not any longer, is told so and why: a result is for those who took part.

use serde_json::{Value, json};

use super::{CLOSES, DRAW, Drawn, OPENS, file, windowed};
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{MINUTE, at};
use crate::harness::identity::Resident;
use crate::harness::wait_until;

impl Drawn {
    fn mine_of(&self, bearer: &str) -> Reply {
        self.server.send(&Request::new("GET", &self.path("r1", "claims/mine")).bearer(bearer))
    }

    /// What a person is told who asks everywhere: the reservation, the rules, and the result by token and by pass.
    #[track_caller]
    fn check_off_list(&self, person: usize, rule: &str) {
        let (person, pass) = (&self.people[person], self.passes[person].as_str());
        let of_person = |what: &str| format!("/v1/campaigns/{}/{what}?round_id=r1", self.campaign);
        let token = self.server.token(person);
        if rule != "reservation" {
            check_reason(&self.server.resident(person, "GET", &of_person("reservations/mine"), None), rule);
            let rules = self.server.resident(person, "POST", &of_person("eligibility/explain"), None).ok();
            assert_eq!(rules["eligible"], false, "{}", rules.text());
            let told = rules["rules"].as_array().into_iter().flatten().find(|one| one["rule"] == rule);
            assert!(told.is_some_and(|one| one["passed"] == false), "{}", rules.text());
        }
        check_reason(&self.mine_of(&token), rule);
        check_reason(&self.mine_of(pass), rule);
        check_reason(&self.tap("r1", &token, None), rule);
    }
}

#[track_caller]
fn check_reason(reply: &Reply, rule: &str) {
    assert_eq!((reply.status, reply.code()), (403, "not_eligible"), "{}", reply.text());
    assert_eq!(reply["reasons"][0]["rule"], rule, "{}", reply.text());
    let words = &reply["reasons"][0]["message"];
    assert!(words["zh"].is_string() && words["en"].is_string(), "{}", reply.text());
}

/// What a tap with the pass is told: the reason, or `lost` from memory, with no word of a win, where the score is above those on the list.
#[track_caller]
fn check_tap(tap: &Reply, rule: &str) {
    if tap.status != 200 {
        return check_reason(tap, rule);
    }
    let lost = tap.str("outcome") == "lost" || (tap.str("outcome"), tap.str("result")) == ("closed", "lost");
    let waits = tap.str("outcome") == "not_yet";
    assert!((lost || waits) && tap["detail"].is_null(), "{}", tap.text());
}

/// Packs for everybody on the list, so that a pass goes as far as the store unless its score is the highest of all.
fn for_everybody(name: &str, unclaimed: &str, change: impl FnOnce(&mut Value)) -> Value {
    file(name, |file| {
        windowed(file, "rain", unclaimed);
        file["rounds"][0]["packs"] = json!({"a": 20});
        file["rounds"][0]["release"] = json!({"shape": "at_once"});
        change(file);
    })
}

#[test]
fn whose_phone_an_earlier_entry_has_is_told_so_from_the_closing_of_the_list_on() {
    let file = for_everybody("struck", "credit", |file| {
        file["reservation"]["duplicates"] = json!("earliest");
        file["reservation"]["identity_keys"] = json!(["person", "phone"]);
    });
    let mut drawn = Drawn::reserved(file, 0, |_| None);
    for (minute, person) in (1..).zip(Resident::many(3)) {
        drawn.server.set_clock(at("2020-07-13T09:00:00") + minute * MINUTE);
        let phone = if minute == 3 { "13900000001" } else { "13900000002" };
        let body = json!({"consent_version": "2020-07-13", "phone": phone});
        let reply = drawn.server.reserve_with(&drawn.campaign, &person, body).ok();
        drawn.passes.push(reply.str("pass").to_string());
        drawn.people.push(person);
    }
    drawn.server.my_reservation(&drawn.campaign, &drawn.people[1]).ok();
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    let stats = drawn.server.stats(&drawn.campaign);
    assert_eq!((&stats["reserved"], &stats["entries"]), (&json!(3), &json!(2)));
    assert_eq!((&stats["rounds"][0]["reserved"], &stats["rounds"][0]["entries"]), (&json!(3), &json!(2)));
    for instant in [DRAW, OPENS, CLOSES] {
        drawn.server.set_clock(at(instant));
        drawn.check_off_list(1, "duplicates");
        if instant != DRAW {
            check_tap(&drawn.tap("r1", &drawn.passes[1], None), "duplicates");
        }
        drawn.server.my_reservation(&drawn.campaign, &drawn.people[0]).ok();
    }
    wait_until("the others have theirs", || (drawn.stats(0)["issued"] == 2).then_some(()));
    assert_eq!(drawn.mine("r1", &drawn.passes[0]).str("result"), "won");
    drawn.server.assert_audit_clean();
}

#[test]
fn whoever_has_won_an_excluded_round_is_told_so_and_keeps_the_other_reservation() {
    let file = file("excluded", |file| {
        let mut first = file["rounds"][0].clone();
        first["round_id"] = json!("r0");
        first["packs"] = json!({"b": 9});
        first["draw"]["at"] = json!("2020-07-21T10:00:00+08:00");
        first["credit_at"] = json!("2020-07-21T12:00:00+08:00");
        windowed(file, "rain", "credit");
        file["rounds"][0]["exclude_winners_of"] = json!(["r0"]);
        file["rounds"][0]["reservation"] = file["reservation"].clone();
        file["rounds"].as_array_mut().expect("rounds").insert(0, first);
    });
    let mut drawn = Drawn::reserved(file, 0, |_| None);
    drawn.people = Resident::many(2);
    for person in &drawn.people {
        for round_id in ["r0", "r1"] {
            let body = json!({"round_id": round_id, "consent_version": "2020-07-13"});
            let reply = drawn.server.reserve_with(&drawn.campaign, person, body).ok();
            if round_id == "r1" {
                drawn.passes.push(reply.str("pass").to_string());
            }
        }
    }
    drawn.server.set_clock(at("2020-07-21T12:00:00"));
    drawn.wait_credited(0);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(1);
    drawn.check_off_list(0, "exclude_winners_of");
    let kept = drawn.server.my_reservation(&drawn.campaign, &drawn.people[0]).ok();
    assert_eq!(kept["reservation"]["round_id"], "r0", "{}", kept.text());
    drawn.server.assert_audit_clean();
}

#[test]
fn the_pass_of_a_withdrawn_reservation_has_no_result_at_any_time() {
    for unclaimed in ["credit", "return", "release"] {
        let drawn = Drawn::reserved(
            for_everybody("withdrawn", unclaimed, |file| {
                if unclaimed == "release" {
                    let (opens, closes) = ("2020-07-26T10:00:00+08:00", "2020-07-26T12:00:00+08:00");
                    file["rounds"][0]["waves"] = json!([{"opens_at": opens, "closes_at": closes}]);
                    file["rounds"][0]["release"] = json!({"shape": "even", "seconds": 480});
                }
            }),
            8,
            |_| None,
        );
        for person in &drawn.people[..4] {
            drawn.server.withdraw(&drawn.campaign, person).ok();
        }
        drawn.check_off_list(0, "reservation");
        drawn.server.set_clock(at(DRAW));
        drawn.wait_drawn(0);
        for instant in [DRAW, OPENS, "2020-07-24T18:09:00", CLOSES] {
            drawn.server.set_clock(at(instant));
            for person in 0..4 {
                drawn.check_off_list(person, "reservation");
                check_tap(&drawn.tap("r1", &drawn.passes[person], None), "reservation");
            }
        }
        assert_ne!(drawn.mine("r1", &drawn.passes[4]).str("result"), "");
        drawn.server.assert_audit_clean();
    }
}

/// Of scores that have lost a node speaks from memory, so a pass that stands for nothing may be told what its score is worth; the record
/// decides whatever else it asks.
#[test]
fn a_withdrawn_pass_whose_score_loses_is_told_lost_by_a_tap_and_nothing_by_its_result() {
    let drawn = Drawn::reserved(
        file("withdrawn-few", |file| {
            windowed(file, "rain", "credit");
            file["rounds"][0]["packs"] = json!({"a": 1});
        }),
        12,
        |_| None,
    );
    for person in &drawn.people[..9] {
        drawn.server.withdraw(&drawn.campaign, person).ok();
    }
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let outcomes: Vec<String> = drawn.passes[..9]
        .iter()
        .map(|pass| {
            check_reason(&drawn.mine_of(pass), "reservation");
            let tap = drawn.tap("r1", pass, None);
            if tap.status == 200 { tap.str("outcome").to_owned() } else { tap.code().to_owned() }
        })
        .collect();
    let known = |outcome: &String| ["lost", "not_yet", "not_eligible"].contains(&outcome.as_str());
    assert!(outcomes.iter().all(known), "{outcomes:?}");
}

#[test]
fn a_loser_reads_lost_as_soon_as_a_tap_would_say_it_and_not_before() {
    for lost_at in ["first_tap", "close"] {
        let file = file("loser", |file| {
            windowed(file, "rain", "credit");
            file["rounds"][0]["lost_at"] = json!(lost_at);
            file["rounds"][0]["release"] = json!({"shape": "at_once"});
        });
        let drawn = Drawn::reserved(file, 9, |_| None);
        let results = || -> Vec<String> {
            drawn.passes.iter().map(|pass| drawn.mine("r1", pass).str("result").to_owned()).collect()
        };
        drawn.server.set_clock(at(DRAW));
        drawn.wait_drawn(0);
        assert_eq!(results(), ["pending"; 9], "before the opening nobody is told");
        drawn.server.set_clock(at(OPENS));
        drawn.server.pause(&drawn.campaign, &["claim"]).ok();
        assert_eq!(results(), ["pending"; 9], "a tap would not say it now");
        drawn.server.step(&drawn.campaign, "resume").ok();
        let before = results();
        let taps: Vec<String> =
            drawn.passes.iter().map(|pass| drawn.tap("r1", pass, None).ok().str("outcome").to_owned()).collect();
        for (person, tap) in taps.iter().enumerate() {
            let wanted = if tap == "lost" { "lost" } else { "pending" };
            assert_eq!(before[person], wanted, "{lost_at}: a tap said {tap}");
        }
        let told_lost = if lost_at == "first_tap" { 5 } else { 0 };
        assert_eq!(taps.iter().filter(|tap| *tap == "lost").count(), told_lost, "{taps:?}");
    }
}
