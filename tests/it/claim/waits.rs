//! How long somebody is told to wait: exactly until what is waited for, or within the bounds that the contract gives for a drawn round.

use super::first_come::{Rush, hangzhou};
use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, EVE, HOUR, Round, at, chengdu, new_campaign_id, parse_time};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server};

/// The body and the header of a refusal tell the same wait.
#[track_caller]
fn waits(reply: &Reply, milliseconds: i64) {
    let header = reply.header("retry-after").and_then(|seconds| seconds.parse::<i64>().ok());
    assert_eq!((reply.int("retry_after_ms"), header), (milliseconds, Some(milliseconds / 1_000)), "{}", reply.text());
}

#[test]
fn a_tap_long_before_a_drawn_round_comes_back_within_the_contracts_bounds_and_is_told_the_opening() {
    let round = Round::reserved(chengdu(&new_campaign_id("waits"), 4), 4);
    round.server.set_clock(at("2020-07-22T12:00:00"));
    for person in 0..4 {
        let reply = round.tap(person).ok();
        assert_eq!((reply.str("outcome"), reply.str("opens_at")), ("not_yet", "2020-07-24T18:00:00+08:00"));
        assert!((500..=5_000).contains(&reply.int("retry_after_ms")), "{}", reply.text());
    }
}

#[test]
fn who_is_days_early_for_a_pass_a_rush_or_a_list_is_told_the_whole_wait() {
    let rush = Rush::open_on(Server::start(Options::at("2020-03-20T12:00:00+08:00")), &hangzhou("waits", [4, 2, 2]));
    let person = &Resident::many(1)[0];
    let second = rush.ask_pass("ii", person).refused(409, "pass_not_open");
    let opens = parse_time(&second["opens_at"]);
    assert!(opens - at("2020-03-27T08:00:00") > DAY, "{}", second.text());
    waits(&second, opens - at("2020-03-27T08:00:00"));

    let server = Server::at(EVE);
    let campaign = new_campaign_id("waits");
    server.create_campaign(&chengdu(&campaign, 4)).ok();
    server.publish(&campaign);
    server.set_clock(at("2020-07-12T13:00:00"));
    let early = server.reserve(&campaign, person).refused(409, "reservation_not_open");
    waits(&early, 11 * HOUR);
}
