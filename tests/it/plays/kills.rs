//! Nodes that die without a word: in the middle of taps, of closing, drawing and crediting. Nothing is lost and nothing happens twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::nodes::{Mode, Scene};
use crate::harness::client::Request;
use crate::harness::fixture::{DAY, EVE, HOUR, at, chengdu, new_campaign_id, text_of};
use crate::harness::identity::Resident;
use crate::harness::random::{Random, seeds};
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, poll, together, wait_until};
use crate::pool::assert_balanced;

pub const SHARDS: u8 = 3;
const PEOPLE: usize = 40;
const PACKS: [i64; 2] = [17, 23];
/// When the first of the two ballots is closed, drawn and credited; the second follows an hour later each.
const STEPS: [&str; 3] = ["2020-07-21T00:00:00", "2020-07-22T10:00:00", "2020-07-24T12:00:00"];

fn ballots() -> Value {
    let mut file = chengdu(&new_campaign_id("killed"), 1);
    let [closes, draw, credit] = STEPS.map(at);
    let round = |(index, packs): (usize, i64)| {
        let later = |time: i64| json!(text_of(time + index as i64 * HOUR));
        json!({"round_id": format!("b{index}"), "mode": "ballot", "packs": {"standard": packs},
            "reservation": {"opens_at": later(at("2020-07-13T00:00:00") - HOUR), "closes_at": later(closes), "duplicates": "reject"},
            "draw": {"at": later(draw), "entropy": ["operator"]}, "credit_at": later(credit)})
    };
    file["rounds"] = PACKS.into_iter().enumerate().map(round).collect();
    file["budget"] = json!(PACKS.iter().sum::<i64>() * 8_000);
    file
}

#[test]
fn a_node_killed_while_it_closes_draws_and_credits_is_gone_on_with_where_it_stopped() {
    for seed in seeds(0) {
        println!("QUANYU_TEST_SEED={seed}");
        let mut random = Random::new(seed);
        let redis = OwnRedis::start();
        let mut node = redis.node(EVE, SHARDS, None);
        let file = ballots();
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        node.create_campaign(&file).ok();
        node.publish(&campaign);
        node.set_clock(at("2020-07-13T09:00:00"));
        let people = Resident::many(PEOPLE);
        together(4, |thread| {
            for person in people.iter().skip(thread).step_by(4) {
                for round_id in ["b0", "b1"] {
                    let body = json!({"round_id": round_id, "consent_version": "2020-07-13"});
                    node.reserve_with(&campaign, person, body).ok();
                }
            }
        });
        let mut interrupted = 0;
        for step in STEPS {
            for hours in 0..2 {
                let instant = at(step) + hours * HOUR;
                let milliseconds = random.between(0, 20) as u64;
                interrupted += usize::from(jump_and_die(&node, &redis, instant, milliseconds));
                node = redis.node(&text_of(instant), SHARDS, Some(&node));
                assert_balanced(&node.ledger(&campaign));
            }
        }
        println!("{interrupted} of 6 kills came before the work was done");
        all_is_there_once(&node, &campaign, &people);
    }
}

/// The clock jumps to what is due, and the node dies some milliseconds after it was told to, or as soon as the first lines of the ledger
/// are written: some winners have their packs then and others do not. True when it had not yet answered.
pub fn jump_and_die(node: &Server, redis: &OwnRedis, instant: i64, milliseconds: u64) -> bool {
    let mut store = redis::Client::open(redis.url.as_str()).unwrap().get_connection().unwrap();
    let mut lines = || -> u64 {
        let length = |shard: u8| redis::cmd("XLEN").arg(format!("{{s{shard:03}}}:l")).query::<u64>(&mut store).unwrap();
        (0..SHARDS).map(length).sum()
    };
    let before = lines();
    std::thread::scope(|scope| {
        let body = json!({"now": text_of(instant), "rate": 0});
        let jump = Request::new("PUT", "/v1/sandbox/clock").bearer(&node.admin_key).json(&body);
        let asked = scope.spawn(move || node.client.send(&jump).is_ok());
        let end = Instant::now() + Duration::from_millis(milliseconds);
        while Instant::now() < end && lines() == before {}
        node.kill();
        !asked.join().expect("the client does not fail")
    })
}

fn all_is_there_once(node: &Server, campaign: &str, people: &[Resident]) {
    for (index, packs) in PACKS.into_iter().enumerate() {
        wait_until("the round is credited", || {
            (node.stats(campaign)["rounds"][index]["credited"] == true).then_some(())
        });
        assert_eq!(node.stats(campaign)["rounds"][index]["issued"], json!(packs));
        let drawn = node.verified_draw(campaign, &format!("b{index}"));
        assert_eq!((drawn.entries.len(), drawn.winners.len() as i64), (PEOPLE, packs));
    }
    let held: Vec<usize> = people.iter().map(|person| node.vouchers(campaign, person).len()).collect();
    assert_eq!(held.iter().sum::<usize>() as i64, 6 * PACKS.iter().sum::<i64>());
    assert!(held.iter().all(|count| [0, 6, 12].contains(count)), "{held:?}");
    node.assert_audit_clean();
    node.set_clock(at("2020-09-07T00:00:00") + DAY);
    let total = node.ledger(campaign)["total"].clone();
    assert_eq!((&total["expired"], &total["outstanding"]), (&total["budget"], &json!(0)));
    node.assert_audit_clean();
}

/// One of two nodes dies among taps; whoever was told of a win has that pack, and nobody has two.
fn killed_among_taps(mode: Mode) {
    const PACKS: usize = 24;
    let scene = Scene::open(mode, PACKS as i64, 40);
    let taps = AtomicUsize::new(0);
    let told = together(5, |thread| {
        if thread == 4 {
            let many = poll(Duration::from_secs(10), || (taps.load(Ordering::SeqCst) >= 12).then_some(()));
            scene.nodes[1].kill();
            assert!(many.is_some());
            return Vec::new();
        }
        let mut won = Vec::new();
        for person in (thread..40).step_by(4) {
            let path = format!("/v1/campaigns/{}/rounds/rain/claims", scene.campaign);
            let request = Request::new("POST", &path).bearer(&scene.passes[person]);
            let answered = if thread % 2 == 1 { scene.nodes[1].client.send(&request).ok() } else { None };
            taps.fetch_add(1, Ordering::SeqCst);
            let reply = answered.filter(|reply| reply.str("outcome") == "won");
            let reply = reply.unwrap_or_else(|| scene.tap_on(0, person).ok());
            won.extend((reply.str("outcome") == "won").then(|| (person, reply["pack"]["pack_no"].to_string())));
        }
        won
    });
    let told: BTreeMap<usize, String> = told.into_iter().flatten().collect();
    let mut numbers = BTreeMap::new();
    for person in 0..40 {
        let reply = scene.tap_on(0, person).ok();
        if reply.str("outcome") == "won" {
            let number = reply["pack"]["pack_no"].to_string();
            assert!(told.get(&person).is_none_or(|before| *before == number), "a told win is kept");
            assert_eq!(numbers.insert(number, person), None, "a pack number given twice");
        } else {
            assert!(!told.contains_key(&person), "a told win is lost: {}", reply.text());
        }
    }
    assert_eq!((numbers.len(), scene.issued()), (PACKS, PACKS as i64));
    let follower = scene.redis.node("2020-07-24T18:08:00+08:00", 4, Some(&scene.nodes[0]));
    for person in 0..40 {
        let reply = follower.claim(&scene.campaign, &scene.passes[person]).ok();
        assert_eq!(reply.str("outcome") == "won", numbers.values().any(|winner| *winner == person), "{}", reply.text());
    }
    assert_balanced(&follower.ledger(&scene.campaign));
    follower.assert_audit_clean();
}

#[test]
fn a_node_killed_in_a_rain_takes_no_win_with_it() {
    killed_among_taps(Mode::Rain);
}

#[test]
fn a_node_killed_in_a_rush_takes_no_pack_with_it() {
    killed_among_taps(Mode::FirstCome);
}
