//! Getting on the list: the window, who may, once per person, leaving again.

mod identity;
mod persons;
mod quotas;
mod search;
mod terms;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::fixture::{Round, at, chengdu, new_campaign_id};
use crate::harness::identity::{Resident, with_check_digit};
use crate::harness::manners::both_languages;

const OPENS: &str = "2020-07-13T00:00:00";
const CLOSES: &str = "2020-07-21T00:00:00";

/// A published campaign whose clock stands inside the reservation window.
fn open_list(change: impl FnOnce(&mut Value)) -> (Server, String) {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let id = new_campaign_id("list");
    let mut campaign = chengdu(&id, 10);
    change(&mut campaign);
    server.create_campaign(&campaign).ok();
    server.publish(&id);
    server.set_clock(at("2020-07-13T09:00:00"));
    (server, id)
}

#[test]
fn the_window_opens_and_closes_to_the_millisecond() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    server.create_campaign(&chengdu("edges", 10)).ok();
    server.publish("edges");
    server.set_clock(at(OPENS) - 1);
    server.reserve("edges", &Resident::new()).refused_with("reservation_not_open");
    server.set_clock(at(OPENS));
    assert_eq!(server.reserve("edges", &Resident::new()).status, 201);
    server.set_clock(at(CLOSES) - 1);
    assert_eq!(server.reserve("edges", &Resident::new()).status, 201);
    server.set_clock(at(CLOSES));
    server.reserve("edges", &Resident::new()).refused_with("reservation_closed");
    assert_eq!(server.stats("edges")["reserved"], 2);
}

#[test]
fn a_reservation_answers_a_receipt_and_a_pass_and_a_repeat_answers_the_same() {
    let (server, id) = open_list(|_| {});
    let person = Resident::new();
    let first = server.reserve(&id, &person);
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first["reservation"]["round_id"], "rain");
    assert_eq!(first["reservation"]["channel"], "wechat");
    let pseudonym = first["reservation"]["pseudonym"].as_str().expect("a pseudonym");
    assert!(pseudonym.len() == 64 && pseudonym.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    assert!(first.str("pass").starts_with("qp1."), "{}", first.text());
    assert!(!first["receipt"].is_null());
    assert!(first.header("durability").is_some(), "an effect names its durability");

    server.set_clock(at("2020-07-13T09:05:00"));
    let again = server.reserve(&id, &person);
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again["reservation"], first["reservation"]);
    assert_eq!(server.my_reservation(&id, &person).ok()["reservation"], first["reservation"]);
    assert_eq!(server.stats(&id)["reserved"], 1);
}

#[test]
fn no_identity_leaks_into_answers() {
    let (server, id) = open_list(|_| {});
    let person = Resident::new();
    let reply = server.reserve(&id, &person).ok();
    assert!(!reply.text().contains(&person.number));
    let round = server.stats(&id).to_string();
    assert!(!round.contains(&person.number) && !server.log_tail().contains(&person.number));
}

#[test]
fn the_same_person_is_known_under_a_small_x_and_other_tokens() {
    let (server, id) = open_list(|_| {});
    let number = "51010419800101003";
    let full = (0..900).map(|n| with_check_digit(&format!("{}{:03}", &number[..14], n + 1)));
    let number = full.into_iter().find(|full| full.ends_with('X')).expect("one in eleven");
    let upper = Resident { number: number.clone(), ..Resident::new() };
    let lower = Resident { number: number.to_lowercase(), ..Resident::new() }.claiming("sub", json!("other"));
    let first = server.reserve(&id, &upper).ok();
    let again = server.reserve(&id, &lower).ok();
    assert_eq!(again["reservation"], first["reservation"]);
    assert_eq!(server.stats(&id)["reserved"], 1);
}

#[test]
fn the_same_person_has_another_pseudonym_in_another_campaign() {
    let (server, id) = open_list(|_| {});
    let other = new_campaign_id("list");
    let text = chengdu(&other, 10).to_string().replace("2020-07-13T00:00:00", "2020-07-13T10:00:00");
    server.create_campaign(&serde_json::from_str(&text).expect("still JSON")).ok();
    server.publish(&other);
    server.set_clock(at("2020-07-13T10:00:00"));
    let person = Resident::new();
    let here = server.reserve(&id, &person).ok();
    let there = server.reserve(&other, &person).ok();
    assert_ne!(here["reservation"]["pseudonym"], there["reservation"]["pseudonym"]);
}

#[test]
fn who_withdraws_is_off_the_list_and_may_come_back() {
    let (server, id) = open_list(|_| {});
    let person = Resident::new();
    server.withdraw(&id, &person).refused_with("reservation_not_found");
    let first = server.reserve(&id, &person).ok();
    server.withdraw(&id, &person).ok();
    server.my_reservation(&id, &person).refused_with("reservation_not_found");
    assert_eq!(server.stats(&id)["reserved"], 0);
    server.set_clock(at("2020-07-14T09:00:00"));
    let again = server.reserve(&id, &person);
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(again["reservation"]["pseudonym"], first["reservation"]["pseudonym"]);
    assert_ne!(again["reservation"]["reserved_at"], first["reservation"]["reserved_at"]);
    assert_eq!(server.stats(&id)["reserved"], 1);
    server.assert_audit_clean();
}

#[test]
fn a_withdrawal_closes_when_the_campaign_says() {
    let (server, id) = open_list(|campaign| {
        campaign["reservation"]["withdraw_until"] = json!("2020-07-15T00:00:00+08:00");
    });
    let person = Resident::new();
    server.reserve(&id, &person).ok();
    server.set_clock(at("2020-07-15T00:00:00"));
    server.withdraw(&id, &person).refused_with("withdrawal_closed");
    server.my_reservation(&id, &person).ok();
}

#[test]
fn only_a_green_health_pass_is_let_in() {
    let (server, id) = open_list(|_| {});
    for (pass, allowed) in [("green", true), ("yellow", false), ("red", false), ("unknown", false)] {
        let person = Resident::new().claiming("health_pass", json!(pass));
        let reply = server.reserve(&id, &person);
        assert_eq!(reply.is_success(), allowed, "{pass}: {}", reply.text());
        if !allowed {
            let reply = reply.refused(403, "not_eligible");
            assert!(reply["reasons"].to_string().contains("health_pass"), "{}", reply.text());
        }
    }
    let mut silent = Resident::new();
    silent.claims = json!({});
    server.reserve(&id, &silent).refused(403, "not_eligible");
    assert_eq!(server.stats(&id)["reserved"], 1);
}

#[test]
fn an_unknown_health_pass_is_let_in_where_the_campaign_accepts_it() {
    let (server, id) = open_list(|campaign| campaign["eligibility"]["health_pass_unknown"] = json!("accept"));
    server.reserve(&id, &Resident::new().claiming("health_pass", json!("unknown"))).ok();
    server.reserve(&id, &Resident::new().claiming("health_pass", json!("red"))).refused(403, "not_eligible");
}

#[test]
fn the_eighteenth_birthday_is_the_first_day_that_counts() {
    let (server, id) = open_list(|campaign| {
        campaign["eligibility"]["minimum_age"] = json!(18);
        campaign["eligibility"]["age_on"] = json!("2020-07-20");
    });
    for (born, allowed) in [("2002-07-20", true), ("2002-07-21", false), ("1950-01-01", true)] {
        let first17 = format!("510104{}105", born.replace('-', ""));
        let person = Resident { number: with_check_digit(&first17), ..Resident::new() };
        let reply = server.reserve(&id, &person.claiming("birth_date", json!(born)));
        assert_eq!(reply.is_success(), allowed, "born {born}: {}", reply.text());
    }
}

#[test]
fn only_the_campaigns_document_types_and_channels_are_let_in() {
    let (server, id) = open_list(|_| {});
    let stranger = Resident::new().claiming("document_type", json!("passport"));
    let stranger = Resident { number: "E12345678".into(), ..stranger };
    server.reserve(&id, &stranger).refused(403, "not_eligible");
    let elsewhere = server.reserve(&id, &Resident::new().through("alipay"));
    assert!((400..500).contains(&elsewhere.status), "{}", elsewhere.text());
    assert_eq!(server.stats(&id)["reserved"], 0);
}

#[test]
fn a_full_list_is_full_until_somebody_leaves() {
    let (server, id) = open_list(|campaign| campaign["reservation"]["max_reservations"] = json!(2));
    let people = Resident::many(3);
    server.reserve(&id, &people[0]).ok();
    server.reserve(&id, &people[1]).ok();
    server.reserve(&id, &people[2]).refused_with("reservation_full");
    server.withdraw(&id, &people[0]).ok();
    server.reserve(&id, &people[2]).ok();
    assert_eq!(server.stats(&id)["reserved"], 2);
}

#[test]
fn the_rules_are_explained_one_by_one() {
    let (server, id) = open_list(|_| {});
    let person = Resident::new().claiming("health_pass", json!("red"));
    let path = format!("/v1/campaigns/{id}/eligibility/explain");
    let reply = server.resident(&person, "POST", &path, Some(json!({}))).ok();
    let judged = |rule: &str| {
        let rules = reply["rules"].as_array().expect("a list of rules");
        let found = rules.iter().find(|one| one["rule"] == rule).unwrap_or_else(|| panic!("{rule}: {}", reply.text()));
        assert!(both_languages(&found["message"]), "{found}");
        found["passed"].clone()
    };
    assert_eq!(judged("document_types"), true);
    assert_eq!(judged("health_pass"), false);
    assert_eq!(reply["eligible"], false);
    assert_eq!(server.stats(&id)["reserved"], 0);
}

#[test]
fn a_pass_works_after_the_reservation_and_a_withdrawn_one_wins_nothing() {
    let round = Round::reserved(chengdu(&new_campaign_id("left"), 3), 3);
    round.server.withdraw(&round.campaign, &round.people[0]).ok();
    round.raining(480 * crate::harness::fixture::SECOND);
    assert_eq!(round.tap_drawn(1).ok().str("outcome"), "won");
    let gone = round.tap(0);
    assert_ne!(gone.str("outcome"), "won", "{}", gone.text());
    assert_eq!(round.server.stats(&round.campaign)["issued"], 1);
    round.server.assert_audit_clean();
}
