//! A tap without a body is judged before any route is looked for; with a body it goes through everything. Nobody can tell the two apart.

use serde_json::{Value, json};

use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{DAY, Round, SECOND, at, chengdu, new_campaign_id};

/// The same tap by the short way and by the long one.
fn both(server: &Server, campaign: &str, round: &str, pass: &str) -> [Reply; 2] {
    let path = format!("/v1/campaigns/{campaign}/rounds/{round}/claims");
    let request = || Request::new("POST", &path).bearer(pass).header("idempotency-key", "the-callers-own");
    [server.send(&request()), server.send(&request().json(&json!({})))]
}

/// What may differ between two requests: their ids and times, and waits that are spread on purpose. A connection on which a body was not
/// read is not used again.
fn told(reply: &Reply, jittered: bool) -> (u16, Vec<(String, String)>, Value) {
    let varying = ["request-id", "date", "content-length", "connection"];
    let headers = reply.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut headers: Vec<_> = headers.filter(|(name, _)| !varying.contains(&name.as_str())).collect();
    headers.sort();
    let mut body = reply.json.clone();
    if body.get("request_id").is_some() {
        body["request_id"] = json!("-");
    }
    if jittered && body.get("retry_after_ms").is_some() {
        body["retry_after_ms"] = json!("-");
    }
    (reply.status, headers, body)
}

#[track_caller]
fn assert_same(name: &str, replies: &[Reply; 2], jittered: bool) {
    let [short, long] = replies;
    assert_eq!(told(short, jittered), told(long, jittered), "{name}: {} {}", short.text(), long.text());
    if !jittered && short.json.get("request_id").is_none() {
        assert_eq!(short.body, long.body, "{name}: the same bytes");
    }
}

/// A rain with three winners among eight, by what a tap at its full opening says.
fn rain() -> Round {
    Round::reserved(chengdu(&new_campaign_id("ways"), 3), 8)
}

#[test]
fn both_ways_of_a_tap_say_the_same_in_a_rain() {
    let round = rain();
    let server = &round.server;
    let taps = |index: usize| both(server, &round.campaign, "rain", &round.passes[index]);
    round.raining(-SECOND);
    assert_same("before the opening", &taps(0), true);
    server.set_clock(at("2020-07-24T18:00:00"));
    let first: Vec<[Reply; 2]> = (0..8).map(taps).collect();
    let winners: Vec<usize> = (0..8).filter(|index| first[*index][0].str("outcome") != "lost").collect();
    assert_eq!(winners.len(), 3);
    for (index, replies) in first.iter().enumerate() {
        assert_same(if winners.contains(&index) { "an exact wait" } else { "lost" }, replies, false);
    }
    server.pause(&round.campaign, &["claim"]).ok();
    assert_same("paused", &taps(winners[0]), false);
    server.step(&round.campaign, "resume").ok();
    server.set_clock(at("2020-07-24T18:08:00"));
    won_and_repeated(&round, &winners);
    let fast: Vec<[Reply; 2]> = (0..60).map(|_| taps(winners[1])).collect();
    let limited = fast.iter().find(|pair| pair.iter().all(|reply| reply.status == 429)).expect("20 taps a second");
    let [short, long] = limited;
    let hint =
        |reply: &Reply| (reply.status, reply.code().to_string(), reply.header("ratelimit-policy").map(str::to_string));
    assert_eq!(hint(short), hint(long));
    let names = |reply: &Reply| {
        let names: Vec<_> = told(reply, true).1.into_iter().map(|header| header.0).collect();
        (names, reply.json.as_object().map(|body| body.keys().cloned().collect::<Vec<_>>()))
    };
    assert_eq!(names(short), names(long), "too fast");
    server.set_clock(at("2020-07-24T18:10:00"));
    for index in [(0..8).find(|index| !winners.contains(index)).expect("a loser"), winners[0], winners[2]] {
        assert_same("closed", &taps(index), false);
    }
    server.set_clock(at("2020-07-24T18:10:00") + DAY);
    let [short, long] = taps(winners[0]);
    assert_eq!((short.status, short.code()), (401, "token_expired"));
    assert_same("an expired pass", &[short, long], false);
    assert_same("no pass", &both(server, &round.campaign, "rain", "qp1.AAAA.BBBB"), false);
    assert_same("no round", &both(server, &round.campaign, "snow", &round.passes[0]), false);
    server.assert_audit_clean();
}

/// The first tap of one winner goes the short way, that of another the long way; then both are repeated in both ways.
fn won_and_repeated(round: &Round, winners: &[usize]) {
    let server = &round.server;
    let path = format!("/v1/campaigns/{}/rounds/rain/claims", round.campaign);
    let tap = |index: usize, body: bool| {
        let request = Request::new("POST", &path).bearer(&round.passes[index]);
        server.send(&if body { request.json(&json!({})) } else { request }).ok()
    };
    let masked = |reply: &Reply| {
        assert_eq!(reply.str("outcome"), "won");
        let (status, headers, mut body) = told(reply, false);
        // Two winners, each with the instant at which the rain came to them.
        body["pack"]["pack_no"] = json!("-");
        body["pack"]["credited_at"] = json!("-");
        (status, headers, body)
    };
    let (short, long) = (tap(winners[0], false), tap(winners[1], true));
    assert_eq!(masked(&short), masked(&long), "won");
    for (index, first) in [(winners[0], short), (winners[1], long)] {
        let again = both(server, &round.campaign, "rain", &round.passes[index]);
        assert!(again.iter().all(|reply| reply.replayed() && reply.body == first.body));
        assert_same("a repeat", &again, false);
    }
}

#[test]
fn both_ways_of_a_tap_say_the_same_in_a_rush() {
    let mut file = hangzhou("ways", [4, 2, 2]);
    file["rounds"][0]["release"] = json!({"shape": "slices", "seconds": 60, "slices": 2});
    let rush = Rush::open(&file, 1);
    let people = crate::harness::identity::Resident::many(6);
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let taps = |index: usize| both(&rush.server, &rush.campaign, "i", &passes[index]);
    let wins = |index: usize| {
        crate::harness::wait_until("the pack is there", || {
            (rush.tap("i", &passes[index]).str("outcome") == "won").then_some(())
        })
    };
    (0..2).for_each(wins);
    wait_for(&rush, &passes[2], "not_yet");
    assert_same("between slices", &taps(2), false);
    assert_same("a repeat between slices", &taps(0), false);
    rush.server.set_clock(at("2020-03-27T08:00:30"));
    (2..4).for_each(wins);
    wait_for(&rush, &passes[4], "sold_out");
    assert_same("sold out", &taps(4), false);
    assert_same("a repeat after that", &taps(0), false);
    rush.server.pause(&rush.campaign, &["claim"]).ok();
    assert_same("paused", &taps(4), false);
    assert_same("paused for a winner too", &taps(0), false);
    rush.server.step(&rush.campaign, "resume").ok();
    rush.server.set_clock(at("2020-04-03T00:00:00"));
    assert_same("closed and lost", &taps(5), false);
    assert_same("closed and won", &taps(1), false);
    rush.server
        .office("POST", &format!("/v1/campaigns/{}/stop", rush.campaign), Some(json!({"reason": "a test"})))
        .ok();
    assert_same("stopped and won", &taps(1), false);
    assert_same("stopped and lost", &taps(5), false);
}

fn wait_for(rush: &Rush, pass: &str, outcome: &str) {
    crate::harness::wait_until("the node knows it", || (rush.tap("i", pass).str("outcome") == outcome).then_some(()));
}
