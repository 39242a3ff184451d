//! Waves where a person may win more packs than one may keep: by one of each, or by an entry on each channel. What a person has won
//! before counts against the maximum, claimed or not, so that anybody can check every wave from the published files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::waves::released;
use super::{CLOSES, DRAW, Drawn, OPENS, count_by, text};
use crate::harness::client::Request;
use crate::harness::fixture::{EVE, at};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

const CHANNELS: [&str; 3] = ["wechat", "alipay", "unionpay"];

fn wait_waves(server: &Server, campaign: &str, waves: usize) {
    let decided = || server.stats(campaign)["rounds"][0]["waves"] == waves;
    wait_until("the wave is decided", || decided().then_some(()));
}

/// (person, channel, pack, window) of every published winner.
fn places(winners: &[Value]) -> BTreeSet<(String, String, String, i64)> {
    let place = |line: &Value| {
        let [person, channel, pack] = ["pseudonym", "channel", "pack_id"].map(|field| text(&line[field]));
        (person, channel, pack, line["wave"].as_i64().unwrap_or(0))
    };
    winners.iter().map(place).collect()
}

#[test]
fn one_of_each_in_three_windows_never_gives_a_person_more_than_may_be_kept() {
    let mut file = released("kept", "ballot");
    file["rounds"][0]["assignment"] = json!("each");
    file["rounds"][0]["max_packs_per_person"] = json!(2);
    file["rounds"][0]["packs"] = json!({"a": 3, "b": 3, "c": 3});
    let drawn = Drawn::reserved(file, 12, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    let mut had: BTreeSet<(usize, &str)> = BTreeSet::new();
    let windows = [OPENS, "2020-07-26T10:00:00", "2020-07-27T10:00:00"];
    for (window, opens) in windows.into_iter().enumerate() {
        drawn.server.set_clock(at(opens));
        wait_waves(&drawn.server, &drawn.campaign, window);
        // Every third person comes for what was won; a pack that was told is told again in every later window.
        for person in (0..12).filter(|person| person % 3 == window) {
            for pack in ["a", "b", "c"] {
                let told = drawn.tap("r1", &drawn.passes[person], Some(pack)).ok();
                if told.str("outcome") == "won" {
                    had.insert((person, pack));
                }
            }
        }
        for (person, pack) in &had {
            let again = drawn.tap("r1", &drawn.passes[*person], Some(pack)).ok();
            assert!(again.str("outcome") == "won" && again.replayed(), "{}", again.text());
        }
        drawn.server.assert_audit_clean();
    }
    drawn.server.set_clock(at("2020-07-27T12:00:00"));
    let published = drawn.server.verified_draw(&drawn.campaign, "r1");
    let of_person = count_by(&published.winners, |line| text(&line["pseudonym"]));
    assert!(of_person.values().all(|wins| *wins <= 2), "over all windows nobody wins more than two: {of_person:?}");
    assert!(published.winners.iter().any(|line| line["wave"] == 1), "something was passed on");
    let held: Vec<usize> = (0..12).map(|index| drawn.packs_of(index).len()).collect();
    assert_eq!(held.iter().sum::<usize>(), had.len());
    assert_eq!(drawn.stats(0)["issued"], had.len());
    let ledger = drawn.server.ledger(&drawn.campaign);
    let round = &ledger["rounds"][0];
    let sum = round["outstanding"].as_i64().zip(round["unissued"].as_i64()).map(|(out, left)| out + left);
    assert_eq!(sum, Some(3 * 6_000), "every fen is with somebody or not issued");
}

/// People with an entry on each of three channels who may keep one pack.
fn on_every_channel(server: &Server, file: &Value, people: &[Resident]) -> BTreeMap<(usize, &'static str), String> {
    let campaign = file["campaign_id"].as_str().expect("an id");
    server.create_campaign(file).ok();
    server.publish(campaign);
    server.set_clock(at("2020-07-13T09:00:00"));
    let mut passes = BTreeMap::new();
    for (index, person) in people.iter().enumerate() {
        for channel in CHANNELS {
            let person = person.clone().through(channel);
            let reply = server.reserve(campaign, &person).ok();
            passes.insert((index, channel), reply.str("pass").to_string());
        }
    }
    passes
}

fn three_channels(name: &str, mode: &str) -> Value {
    let mut file = released(name, mode);
    file["reservation"]["one_per"] = json!(["person", "channel"]);
    file["rounds"][0]["packs"] = json!({"a": {"count": 6, "by_channel": "equal"}});
    file
}

/// Two nodes decide the waves; one of them is stopped and started in between.
#[test]
fn who_let_a_pack_lie_on_one_channel_does_not_win_on_another_and_every_forgery_of_a_wave_is_found() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let (file, people) = (three_channels("lapsed", "ballot"), Resident::many(9));
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    on_every_channel(&first, &file, &people);
    let both = |instant: &str| [&first, &second].into_iter().for_each(|node| node.set_clock(at(instant)));
    both(DRAW);
    wait_until("the round is drawn", || (first.stats(&campaign)["rounds"][0]["drawn"] == true).then_some(()));
    // Nobody comes at all: six win, six others might have, and the last three.
    both("2020-07-26T10:00:00");
    wait_waves(&first, &campaign, 1);
    second.stop();
    let later = Options {
        redis_url: Some(redis.url.clone()),
        keys_from: Some(first.data.clone()),
        clock: "2020-07-26T11:00:00+08:00".into(),
        ..Options::at(EVE)
    };
    let second = Server::start(later);
    [&first, &second].into_iter().for_each(|node| node.set_clock(at("2020-07-27T12:00:00")));
    wait_waves(&second, &campaign, 2);
    let published = first.verified_draw(&campaign, "r1");
    let of_person = count_by(&published.winners, |line| text(&line["pseudonym"]));
    assert!(of_person.values().all(|wins| *wins == 1), "a person is drawn once, on whichever channel: {of_person:?}");
    assert_eq!(of_person.len(), 9, "the second wave finds nobody who was not drawn");
    assert_eq!(places(&second.verified_draw(&campaign, "r1").winners), places(&published.winners));
    second.assert_audit_clean();

    // Somebody whom the draw had picked is smuggled into the wave, in the place of who was next.
    let wave = |line: &Value| line["wave"] == 1;
    let drawn_before = text(&published.winners.iter().find(|line| !wave(line)).expect("a winner")["pseudonym"]);
    let mut forged = published.clone();
    let next = forged.winners.iter_mut().find(|line| wave(line)).expect("a winner of the wave");
    next["pseudonym"] = json!(drawn_before);
    forged.winners.sort_by_key(|line| text(&line["pseudonym"]));
    let (in_order, said) = forged.verdict();
    assert!(!in_order && said.contains("winners.ndjson line"), "{said}");
    // The wave says that it gave one more, or that it came to another score.
    for (field, value) in [("winners", json!(4)), ("score", json!("00".repeat(32))), ("channel", json!("nowhere"))] {
        let mut forged = published.clone();
        forged.proof["waves"][0]["cutoffs"][0][field] = value;
        let (in_order, said) = forged.verdict();
        assert!(!in_order, "{field}: {said}");
    }
    let mut forged = published.clone();
    forged.winners.retain(|line| !wave(line));
    assert!(!forged.verdict().0, "the winners of a wave are missing");
}

#[test]
fn who_is_there_on_another_channel_than_the_one_that_won_has_not_come_for_the_pack() {
    let mut file = three_channels("there", "rain");
    file["rounds"][0]["release"] = json!({"shape": "even", "seconds": 480});
    let (server, people) = (Server::at(EVE), Resident::many(8));
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    let passes = on_every_channel(&server, &file, &people);
    server.set_clock(at(DRAW));
    wait_until("the round is drawn", || (server.stats(&campaign)["rounds"][0]["drawn"] == true).then_some(()));
    server.set_clock(at(OPENS));
    let tap = |index: usize, channel: &'static str| {
        let path = format!("/v1/campaigns/{campaign}/rounds/r1/claims");
        server.send(&Request::new("POST", &path).bearer(&passes[&(index, channel)])).ok()
    };
    // All of them tap on one channel in the first millisecond, before any score is out.
    for index in 0..8 {
        assert_eq!(tap(index, "wechat").str("outcome"), "not_yet");
    }
    server.set_clock(at(CLOSES));
    wait_waves(&server, &campaign, 1);
    let issued = server.stats(&campaign)["issued"].as_i64().expect("a number");
    server.set_clock(at("2020-07-27T12:00:00"));
    wait_waves(&server, &campaign, 2);
    let published = server.verified_draw(&campaign, "r1");
    let came = published.winners.iter().filter(|line| line["wave"].is_null() && line["channel"] == "wechat").count();
    assert_eq!(came, 2, "wechat has two packs: {:?}", published.winners);
    assert_eq!(issued, 2, "those who had won on the channel where they tapped, and nobody else");
    server.assert_audit_clean();
}
