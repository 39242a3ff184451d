//! Every mode through two nodes of one store at once: exact to the last pack, nobody twice, and a pause that holds on both nodes from
//! the moment in which it has been answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, poll, wait_until};
use crate::list::{csv_of, put_list};
use crate::pool::assert_balanced;

const SHARDS: u8 = 4;
/// The rain is fully revealed and every window is open.
const OPEN: &str = "2020-07-24T18:08:00";

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Rain,
    Ballot,
    FirstCome,
    Grant,
}

/// Two nodes, a round in which these people have a pass, and the instant at which all of them may win.
pub struct Scene {
    pub nodes: [Server; 2],
    pub campaign: String,
    pub people: Vec<Resident>,
    pub passes: Vec<String>,
    pub redis: OwnRedis,
}

fn file(mode: Mode, packs: i64) -> Value {
    let mut file = chengdu(&new_campaign_id("two-nodes"), packs);
    let mut round = file["rounds"][0].take();
    let mut without = |names: &[&str]| {
        let round = round.as_object_mut().expect("a round");
        names.iter().for_each(|name| drop(round.remove(*name)));
    };
    match mode {
        Mode::Rain => {}
        Mode::Ballot => {
            without(&["release"]);
            round["mode"] = json!("ballot");
        }
        Mode::FirstCome => {
            without(&["draw", "release", "unclaimed"]);
            round["mode"] = json!("first_come");
        }
        Mode::Grant => {
            without(&["draw", "release"]);
            round["mode"] = json!("grant");
            round["entries_list"] = json!("nurses");
        }
    }
    if matches!(mode, Mode::FirstCome | Mode::Grant) {
        file.as_object_mut().expect("a file").remove("reservation");
    }
    file["rounds"] = json!([round]);
    file
}

impl Scene {
    pub fn open(mode: Mode, packs: i64, people: usize) -> Scene {
        Scene::open_file(mode, file(mode, packs), people)
    }

    fn open_file(mode: Mode, file: Value, people: usize) -> Scene {
        let redis = OwnRedis::start();
        let nodes = redis.nodes_with(EVE, SHARDS);
        let people = Resident::many(people);
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        if mode == Mode::Grant {
            put_list(&nodes[0], "nurses", &csv_of(&people)).ok();
        }
        nodes[0].create_campaign(&file).ok();
        nodes[0].publish(&campaign);
        let drawn = matches!(mode, Mode::Rain | Mode::Ballot);
        nodes[0].set_clock(at(if drawn { "2020-07-13T09:00:00" } else { "2020-07-24T17:00:00" }));
        let path = format!("/v1/campaigns/{campaign}/rounds/rain/passes");
        let pass = |person: &Resident| match drawn {
            true => nodes[0].reserve(&campaign, person).ok().str("pass").to_string(),
            false => nodes[0].resident(person, "POST", &path, None).ok().str("pass").to_string(),
        };
        let passes = people.iter().map(pass).collect();
        let due = if drawn { ["2020-07-22T10:00:00", OPEN] } else { ["2020-07-24T18:00:00", OPEN] };
        due.iter().for_each(|local| nodes[0].set_clock(at(local)));
        nodes[1].set_clock(at(OPEN));
        Scene { nodes, campaign, people, passes, redis }
    }

    pub fn tap(&self, node: usize, person: usize) -> Reply {
        self.nodes[node].claim(&self.campaign, &self.passes[person])
    }

    /// Taps until the answer is final.
    pub fn tap_on(&self, node: usize, person: usize) -> Reply {
        wait_until("the tap has a result", || {
            let reply = self.tap(node, person);
            (reply.status != 429 && reply.str("outcome") != "not_yet").then_some(reply)
        })
    }

    pub fn issued(&self) -> i64 {
        self.nodes[0].stats(&self.campaign)["issued"].as_i64().expect("a number")
    }

    pub fn assert_books(&self) {
        self.nodes.iter().for_each(|node| assert_balanced(&node.ledger(&self.campaign)));
        self.nodes[0].assert_audit_clean();
    }
}

/// Each person taps on both nodes at the same time; afterwards exactly the packs that there were have an owner.
fn exact(mode: Mode, packs: i64, people: usize) {
    let scene = Scene::open(mode, packs, people);
    let answers = crate::harness::together(8, |thread| {
        let own = (thread / 2..people).step_by(4);
        own.map(|person| (person, scene.tap_on(thread % 2, person).ok())).collect::<Vec<_>>()
    });
    let (mut numbers, mut winners) = (BTreeSet::new(), BTreeSet::new());
    let mut told: Vec<Option<Value>> = vec![None; people];
    for (person, reply) in answers.into_iter().flatten() {
        if reply.str("outcome") == "won" {
            numbers.insert(reply["pack"]["pack_no"].to_string());
            winners.insert(person);
        } else {
            assert_eq!(reply.str("outcome"), if mode == Mode::FirstCome { "sold_out" } else { "lost" });
        }
        let other = told[person].get_or_insert_with(|| reply.json.clone());
        assert_eq!(*other, reply.json, "both nodes say the same to a person");
    }
    assert_eq!((numbers.len() as i64, winners.len() as i64, scene.issued()), (packs, packs, packs));
    for (index, person) in scene.people.iter().enumerate() {
        let count = scene.nodes[1].vouchers(&scene.campaign, person).len();
        assert_eq!(count, if winners.contains(&index) { 6 } else { 0 });
    }
    scene.assert_books();
}

/// All of these people would win. Half of them tap, then claims are paused on the first node while taps go on without a break on both:
/// no tap that begins after the pause has been answered succeeds, and after the resumption everybody wins with one tap.
fn paused(mode: Mode) {
    const PEOPLE: usize = 32;
    let scene = Scene::open(mode, PEOPLE as i64, PEOPLE);
    let (answered, wins) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn({
                    let (scene, answered, wins) = (&scene, &answered, &wins);
                    move || taps_through_a_pause(scene, thread, answered, wins)
                })
            })
            .collect();
        let enough = poll(std::time::Duration::from_secs(10), || (wins.load(Ordering::SeqCst) >= 6).then_some(()));
        scene.nodes[0].pause(&scene.campaign, &["claim"]).ok();
        answered.store(true, Ordering::SeqCst);
        let issued = scene.issued();
        let refused: usize = threads.into_iter().map(|thread| thread.join().expect("no client fails")).sum();
        assert!(enough.is_some() && refused >= 4 * 16);
        assert_eq!(scene.issued(), issued, "nothing was issued during the pause");
        assert!(issued < PEOPLE as i64, "somebody is still to win");
    });
    scene.nodes[0].step(&scene.campaign, "resume").ok();
    for person in 0..PEOPLE {
        assert_eq!(scene.tap(0, person).ok().str("outcome"), "won", "whoever had been passed wins at once");
    }
    for person in 0..PEOPLE {
        let again = wait_until("the other node has followed", || {
            let reply = scene.tap(1, person);
            reply.is_success().then_some(reply)
        });
        assert!(again.str("outcome") == "won" && again.replayed(), "{}", again.text());
    }
    assert_eq!(scene.issued(), PEOPLE as i64);
    scene.assert_books();
}

/// Answers how many taps were refused after the pause.
fn taps_through_a_pause(scene: &Scene, thread: usize, answered: &AtomicBool, wins: &AtomicUsize) -> usize {
    let (half, all) = (scene.people.len() / 2, scene.people.len());
    let mut refused = 0;
    let mut turn = thread / 2;
    while refused < 16 {
        let after = answered.load(Ordering::SeqCst);
        let reply = scene.tap(thread % 2, turn % if after { all } else { half });
        turn += 2;
        match reply.str("outcome") {
            _ if reply.status == 429 => {}
            _ if reply.code() == "campaign_not_running" => {
                assert!(reply.header("retry-after").is_some() && reply.status == 409, "{}", reply.text());
                refused += usize::from(after);
            }
            _ if after => panic!("a claim was answered after the pause on node {}: {}", thread % 2, reply.text()),
            "won" => drop(wins.fetch_add(usize::from(!reply.replayed()), Ordering::SeqCst)),
            outcome => assert_eq!(outcome, "not_yet", "{}", reply.text()),
        }
    }
    refused
}

#[test]
fn a_rain_on_two_nodes_is_exact() {
    exact(Mode::Rain, 10, 32);
}

#[test]
fn a_ballot_with_a_window_on_two_nodes_is_exact() {
    exact(Mode::Ballot, 10, 32);
}

#[test]
fn a_rush_on_two_nodes_and_four_shards_is_exact() {
    exact(Mode::FirstCome, 21, 32);
}

#[test]
fn a_grant_on_two_nodes_is_exact() {
    exact(Mode::Grant, 24, 24);
}

#[test]
fn a_pause_of_a_rain_holds_on_both_nodes_once_it_is_answered() {
    paused(Mode::Rain);
}

#[test]
fn a_pause_of_a_ballot_with_a_window_holds_on_both_nodes_once_it_is_answered() {
    paused(Mode::Ballot);
}

#[test]
fn a_pause_of_a_rush_holds_on_both_nodes_once_it_is_answered() {
    paused(Mode::FirstCome);
}

#[test]
fn a_pause_of_a_grant_holds_on_both_nodes_once_it_is_answered() {
    paused(Mode::Grant);
}

/// Who can have no more is refused by the second node without its shard, from memory or by a quota. A pause that the first node has answered
/// takes that refusal's place with the next look at the configuration, and the resumption brings it back.
fn refusal_follows_a_pause(file: Value, refused: fn(&Reply) -> bool) {
    let scene = Scene::open_file(Mode::FirstCome, file, 4);
    (0..2).for_each(|person| assert_eq!(scene.tap_on(1, person).ok().str("outcome"), "won"));
    let tap =
        || wait_until("a tap is answered", || Some(scene.tap(1, 2)).filter(|reply| reply.code() != "rate_limited"));
    let wait_refused = || wait_until("it is refused", || refused(&tap()).then_some(()));
    wait_refused();
    scene.nodes[0].pause(&scene.campaign, &["claim"]).ok();
    wait_until("the second node has heard of the pause", || {
        let reply = tap();
        let paused = reply.code() == "campaign_not_running";
        assert!(paused || refused(&reply), "{}", reply.text());
        paused.then_some(())
    });
    (0..16).for_each(|_| drop(tap().refused(409, "campaign_not_running")));
    scene.nodes[0].step(&scene.campaign, "resume").ok();
    wait_refused();
    assert_eq!(scene.issued(), 2);
    scene.assert_books();
}

#[test]
fn sold_out_told_from_memory_follows_a_pause() {
    refusal_follows_a_pause(file(Mode::FirstCome, 2), |reply| reply.str("outcome") == "sold_out");
}

#[test]
fn sold_out_of_packs_that_chance_deals_follows_a_pause() {
    let mut file = file(Mode::FirstCome, 2);
    let mut other = file["packs"][0].clone();
    other["pack_id"] = json!("other");
    file["packs"].as_array_mut().expect("packs").push(other);
    file["rounds"][0]["packs"] = json!({"standard": 1, "other": 1});
    file["rounds"][0]["assignment"] = json!("chance");
    refusal_follows_a_pause(file, |reply| reply.str("outcome") == "sold_out");
}

#[test]
fn a_limit_that_a_quota_counts_follows_a_pause() {
    let mut file = file(Mode::FirstCome, 8);
    file["limits"] = json!([{"action": "claim", "entities": ["channel"], "period": "campaign", "max_count": 2}]);
    refusal_follows_a_pause(file, |reply| reply.code() == "limit_reached");
}
