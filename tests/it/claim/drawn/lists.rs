//! Who is on a list, and how often: lists of entries, excluded winners, identities that arrive twice.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CREDIT, DRAW, Drawn, file, text};
use crate::harness::Server;
use crate::harness::fixture::{EVE, MINUTE, at};
use crate::harness::identity::Resident;
use crate::list::put_list;

/// Shanghai 2022 in small: with one phone in two entries the earlier counts, and the later is as if it had never been.
#[test]
fn of_two_entries_with_one_phone_the_earlier_is_on_the_list() {
    let file = file("phones", |file| {
        file["reservation"]["duplicates"] = json!("earliest");
        file["reservation"]["identity_keys"] = json!(["person", "phone"]);
        file["rounds"][0]["packs"] = json!({"a": 20});
    });
    let server = Server::at(EVE);
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    server.create_campaign(&file).ok();
    server.publish(&campaign);
    let people = Resident::many(6);
    // The third and the fourth share a phone; the fifth has the phone that the fourth took no place with.
    let phones = ["13900000001", "13900000002", "13900000003", "13900000003", "13900000005", "13900000001"];
    for (minute, (person, phone)) in (1..).zip(people.iter().zip(phones)) {
        server.set_clock(at("2020-07-13T09:00:00") + minute * MINUTE);
        let body = json!({"consent_version": "2020-07-13", "phone": phone});
        server.reserve_with(&campaign, person, body).ok();
    }
    let drawn = Drawn { server, campaign, people, passes: Vec::new() };
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    assert_eq!((entries.len(), winners.len()), (4, 4));
    let held: Vec<usize> = (0..6).map(|index| drawn.packs_of(index).len()).collect();
    assert_eq!(held, [1, 1, 1, 0, 1, 0]);
    drawn.server.assert_audit_clean();
}

#[test]
fn who_is_on_the_list_of_entries_takes_part_as_often_as_it_says_and_wins_once() {
    let server = Server::at(EVE);
    let people = Resident::many(30);
    let mut rows = String::from("document_type,document_number,entries\n");
    for (index, person) in people.iter().enumerate().filter(|(index, _)| index % 2 == 0) {
        rows += &format!("cn_id,{},{}\n", person.number, 2 + index);
    }
    put_list(&server, "loyal", &rows);
    let file = file("entries", |file| {
        file["rounds"][0]["entries_list"] = json!("loyal");
        file["rounds"][0]["packs"] = json!({"a": 12});
    });
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    server.create_campaign(&file).ok();
    server.publish(&campaign);
    server.set_clock(at("2020-07-13T09:00:00"));
    for person in &people {
        server.reserve(&campaign, person).ok();
    }
    let drawn = Drawn { server, campaign, people, passes: Vec::new() };
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    let expected: usize = (0..30).map(|index| if index % 2 == 0 { 2 + index } else { 1 }).sum();
    assert_eq!((entries.len(), winners.len()), (expected, 12));
    let persons: BTreeSet<String> = winners.iter().map(|line| text(&line["pseudonym"])).collect();
    assert_eq!(persons.len(), 12, "nobody wins twice");
    assert!(winners.iter().any(|line| line["k"] != 0), "more entries were of use to somebody");
    assert_eq!((0..30).map(|index| drawn.packs_of(index).len()).sum::<usize>(), 12);
    drawn.server.assert_audit_clean();
}

#[test]
fn winners_of_one_round_are_not_on_the_list_of_the_next() {
    let file = file("exclude", |file| {
        let mut second = file["rounds"][0].clone();
        second["round_id"] = json!("r2");
        second["exclude_winners_of"] = json!(["r1"]);
        second["reservation"] =
            json!({"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-07-23T00:00:00+08:00"});
        second["draw"]["at"] = json!("2020-07-23T10:00:00+08:00");
        second["packs"] = json!({"b": 5});
        file["rounds"].as_array_mut().expect("rounds").push(second);
    });
    let server = Server::at(EVE);
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    server.create_campaign(&file).ok();
    server.publish(&campaign);
    server.set_clock(at("2020-07-13T09:00:00"));
    let people = Resident::many(9);
    for person in &people {
        for round_id in ["r1", "r2"] {
            let body = json!({"round_id": round_id, "consent_version": "2020-07-13"});
            server.reserve_with(&campaign, person, body).ok();
        }
    }
    let drawn = Drawn { server, campaign, people, passes: Vec::new() };
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    drawn.wait_credited(1);
    let (_, first, winners) = drawn.verified("r1");
    let (_, second, all) = drawn.verified("r2");
    assert_eq!((first.len(), winners.len(), second.len(), all.len()), (9, 4, 5, 5));
    let pseudonyms = |lines: &[Value]| lines.iter().map(|line| text(&line["pseudonym"])).collect::<BTreeSet<_>>();
    assert!(pseudonyms(&winners).is_disjoint(&pseudonyms(&second)));
    assert!((0..9).all(|index| drawn.packs_of(index).len() == 1), "everybody has won once");
    drawn.server.assert_audit_clean();
}
