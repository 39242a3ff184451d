//! A drawn winner's pack counts from the instant at which it came, whoever taps and when, and whenever the sweep comes by.

use serde_json::{Value, json};

use super::{CREDIT, DRAW, Drawn, OPENS, file};
use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::fixture::{DAY, Round, SECOND, at, chengdu, new_campaign_id, parse_time};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server, wait_until};
use crate::list::{csv_of, put_list};

fn wallet(server: &Server, campaign: &str, person: &Resident) -> (i64, i64) {
    let voucher = server.wallet(campaign, person).ok()["vouchers"][0].clone();
    (parse_time(&voucher["available_begin_time"]), parse_time(&voucher["available_end_time"]))
}

fn relative(file: &mut Value, days: u32, counting: &str) {
    file["validity"] = json!({"available_day_after_receive": days, "day_counting": counting});
}

#[test]
fn a_rains_pack_counts_from_the_instant_at_which_the_release_reached_the_score() {
    let mut file = chengdu(&new_campaign_id("due-rain"), 4);
    relative(&mut file, 1, "hours_24");
    let round = Round::reserved(file, 6);
    round.raining(0);
    let waits: Vec<(usize, i64)> = (0..6)
        .map(|index| (index, round.tap_drawn(index).ok()))
        .filter(|(_, reply)| reply.str("outcome") == "not_yet")
        .map(|(index, reply)| (index, reply.int("retry_after_ms")))
        .collect();
    assert_eq!(waits.len(), 4);
    let due = |wait: i64| (at(OPENS) + wait).div_euclid(SECOND) * SECOND;
    round.server.set_clock(at(OPENS) + 500 * SECOND);
    let tapped = round.tap(waits[0].0).ok();
    assert_eq!(parse_time(&tapped["pack"]["credited_at"]), due(waits[0].1));
    assert!(round.tap(waits[0].0).ok().replayed());
    round.server.set_clock(at(OPENS) + 4_000 * SECOND);
    for (index, wait) in waits {
        let person = &round.people[index];
        let mine = round.server.my_claim(&round.campaign, person).ok();
        assert_eq!(parse_time(&mine["pack"]["credited_at"]), due(wait), "{}", mine.text());
        assert_eq!(wallet(&round.server, &round.campaign, person), (due(wait), due(wait) + DAY));
    }
    round.server.assert_audit_clean();
    round.server.set_clock(at(OPENS) + 2 * DAY);
    let expired = || round.server.ledger(&round.campaign)["total"]["expired"] == 4 * 8_000;
    wait_until("the money has expired", || expired().then_some(()));
    round.server.assert_audit_clean();
}

/// The clock is moved over the credit, as a server finds it that was down.
#[track_caller]
fn check_late(days: u32, now: &str, credited_at: &str, ends: &str) {
    let drawn = Drawn::reserved(file("due-ballot", |file| relative(file, days, "calendar")), 4, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(now));
    drawn.wait_credited(0);
    for (index, pass) in drawn.passes.iter().enumerate() {
        let mine = drawn.mine("r1", pass);
        assert_eq!(parse_time(&mine["pack"]["credited_at"]), at(credited_at), "{days} at {now}: {}", mine.text());
        let window = wallet(&drawn.server, &drawn.campaign, &drawn.people[index]);
        assert_eq!(window, (at(credited_at), at(ends)), "{days} at {now}");
    }
    drawn.server.assert_audit_clean();
}

#[test]
fn a_ballot_that_is_credited_late_counts_from_when_it_was_due_and_is_never_dead_on_arrival() {
    check_late(7, "2020-07-24T12:00:05", CREDIT, "2020-07-31T00:00:00");
    check_late(7, "2020-07-26T23:59:50", CREDIT, "2020-07-31T00:00:00");
    check_late(1, "2020-07-26T09:00:00", "2020-07-26T09:00:00", "2020-07-27T00:00:00");
    check_late(1, "2020-07-26T23:59:50", "2020-07-27T00:00:00", "2020-07-28T00:00:00");
}

#[test]
fn a_pack_of_a_wave_counts_from_the_waves_opening() {
    let mut file = super::waves::released("due-wave", "ballot");
    relative(&mut file, 1, "hours_24");
    let drawn = Drawn::reserved(file, 10, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at("2020-07-26T10:00:00"));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    drawn.server.set_clock(at("2020-07-26T11:30:00"));
    let taps = drawn.passes.iter().map(|pass| drawn.tap("r1", pass, None).ok());
    let won: Vec<i64> = taps
        .filter(|reply| reply.str("outcome") == "won")
        .map(|reply| parse_time(&reply["pack"]["credited_at"]))
        .collect();
    assert_eq!(won, [at("2020-07-26T10:00:00"); 4]);
    drawn.server.assert_audit_clean();
}

#[test]
fn a_grant_that_is_credited_late_counts_from_its_instant() {
    let people = Resident::many(3);
    let server = Server::start(Options::at("2020-03-20T12:00:00+08:00"));
    put_list(&server, "nurses", &csv_of(&people)).ok();
    let mut file = hangzhou("due-grant", [3, 1, 1]);
    file["limits"] = json!([]);
    file["rounds"] = json!([{"round_id": "i", "mode": "grant", "entries_list": "nurses", "packs": {"five-40-10": 3},
        "credit_at": "2020-03-27T06:00:00+08:00"}]);
    relative(&mut file, 7, "calendar");
    let rush = Rush::open_on(server, &file);
    wait_until("everybody is credited", || (rush.issued() == 3).then_some(()));
    for person in &people {
        let window = wallet(&rush.server, &rush.campaign, person);
        assert_eq!(window, (at("2020-03-27T06:00:00"), at("2020-04-03T00:00:00")));
    }
    rush.server.assert_audit_clean();
}
