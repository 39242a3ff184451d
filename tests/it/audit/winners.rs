//! Credited packs beside decided winners: who goes without, and whose record cannot be read.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Commands;
use serde_json::Value;

use super::said;
use crate::harness::fixture::{EVE, Round, SECOND, at, chengdu, new_campaign_id};
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

/// A drawn round of eight people and five packs, on a Redis of our own, shortly before its end.
fn drawn(redis: &OwnRedis) -> Round {
    let server = Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) });
    let round = Round::reserved_on(server, chengdu(&new_campaign_id("winners"), 5), 8);
    round.raining(480 * SECOND);
    round
}

fn close(round: &Round) {
    round.server.set_clock(at("2020-07-25T12:00:00"));
    wait_until("the round is credited", || {
        (round.server.stats(&round.campaign)["rounds"][0]["credited"] == true).then_some(())
    });
}

/// Buckets of persons that have a record, with the number of the campaign.
fn buckets(redis: &OwnRedis) -> (String, Vec<String>) {
    let client = ::redis::Client::open(redis.url.as_str()).expect("a url");
    let mut connection = client.get_connection().expect("the store listens");
    let all: Vec<String> = connection.keys("{s000}:c*:p:*").expect("the keys");
    let number = all[0].split(":").nth(1).expect("a campaign").trim_start_matches('c').to_string();
    (number, all)
}

/// Tells a thread to end, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn finds(server: &Server, kind: &str, times: usize) {
    let output = server.command(&["audit", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let findings: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kinds: Vec<_> = findings.iter().map(|finding| finding["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, vec![kind; times], "{}", said(&output));
}

#[test]
fn a_winner_who_goes_without_a_pack_after_the_round_is_credited_is_a_finding() {
    let redis = OwnRedis::start();
    let round = drawn(&redis);
    let won = (0..8).filter(|one| round.tap_drawn(*one).ok().str("outcome") == "won").take(3).count();
    assert_eq!(won, 3);
    // The walk that credits is told that it has been everywhere.
    let (number, _) = buckets(&redis);
    redis.ask(&["HSET", "{s000}:h", &format!("cur:{number}:0"), "1000000"]);
    close(&round);
    finds(&round.server, "winner_not_credited", 2);
}

#[test]
fn a_record_that_cannot_be_read_keeps_the_pack_from_nobody_else_and_is_one_finding() {
    let redis = OwnRedis::start();
    let round = drawn(&redis);
    let (_, buckets) = buckets(&redis);
    let bucket = buckets.iter().max_by_key(|bucket| redis.ask(&["HLEN", bucket]).parse::<u32>().unwrap()).unwrap();
    redis.ask(&["HSET", bucket, "ninebytes", "no record"]);
    close(&round);
    finds(&round.server, "unreadable_record", 1);
    redis.ask(&["HDEL", bucket, "ninebytes"]);
    round.server.assert_audit_clean();
}

#[test]
fn a_round_that_is_drawn_and_credited_beside_the_audit_is_no_finding() {
    let round = Round::reserved(chengdu(&new_campaign_id("beside"), 30), 60);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                round.server.assert_audit_clean();
            }
        });
        round.raining(480 * SECOND);
        round.tap_drawn(0);
        close(&round);
    });
    round.server.assert_audit_clean();
}
