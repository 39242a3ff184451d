//! Connections to the store fail in every way, and a running node heals by itself.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::fixture::{EVE, Round, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

/// A way to the store that can swallow what is sent over it. What was connected then leads nowhere for ever, as after a failed switch.
struct Way {
    url: String,
    /// Odd while everything is swallowed; a connection leads somewhere only at the number of its beginning.
    turn: Arc<AtomicUsize>,
}

impl Way {
    fn to(redis: &OwnRedis) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let turn = Arc::new(AtomicUsize::new(0));
        let (socket, turns) = (redis.url.trim_start_matches("unix://").to_owned(), turn.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(store) = UnixStream::connect(&socket) else { continue };
                let begun = turns.load(Ordering::SeqCst);
                let leads = move |turns: &AtomicUsize| begun.is_multiple_of(2) && turns.load(Ordering::SeqCst) == begun;
                let (mut up, mut down) = (client.try_clone().expect("a handle"), store.try_clone().expect("a handle"));
                let (to_store, to_client) = (turns.clone(), turns.clone());
                let (mut into_store, mut into_client): (UnixStream, TcpStream) = (store, client);
                std::thread::spawn(move || {
                    pass(&mut up, &mut into_store, || leads(&to_store));
                    let _ = into_store.shutdown(Shutdown::Both);
                });
                std::thread::spawn(move || {
                    pass(&mut down, &mut into_client, || leads(&to_client));
                    let _ = into_client.shutdown(Shutdown::Both);
                });
            }
        });
        Way { url, turn }
    }

    fn swallow(&self) {
        assert!(self.turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2), "it was open");
    }

    fn open(&self) {
        assert!(!self.turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2), "it was closed");
    }
}

fn pass(from: &mut impl Read, into: &mut impl Write, leads: impl Fn() -> bool) {
    let mut buffer = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if leads() && into.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

fn round_on(url: &str, name: &str) -> Round {
    let server = Server::start(Options { redis_url: Some(url.to_owned()), ..Options::at(EVE) });
    Round::reserved_on(server, chengdu(&new_campaign_id(name), 4), 1)
}

fn status(server: &Server) -> Option<u16> {
    Some(server.client.get("/readyz").ok()?.status)
}

/// Waits until many calls one after another are taken: as many as meet every link of every lane.
#[track_caller]
fn wait_whole(round: &Round) {
    let campaign = round.campaign.as_str();
    wait_until("every lane works", || {
        let all = (0..24).all(|_| round.server.reserve(campaign, &Resident::new()).is_success());
        (all && status(&round.server)? == 200).then_some(())
    });
    round.server.assert_audit_clean();
}

#[test]
fn connections_that_lead_nowhere_are_replaced_without_a_restart() {
    let redis = OwnRedis::start();
    let way = Way::to(&redis);
    let round = round_on(&way.url, "nowhere");
    way.swallow();
    let refused = round.server.reserve(&round.campaign, &Resident::new());
    assert_eq!(refused.status, 503, "{}", refused.text());
    wait_until("readyz is red", || (status(&round.server)? == 503).then_some(()));
    way.open();
    wait_whole(&round);
}

#[test]
fn a_password_that_was_changed_and_is_back_costs_no_restart() {
    let redis = OwnRedis::start();
    let round = round_on(&redis.url, "password");
    let client = redis::Client::open(redis.url.as_str()).expect("a url");
    let mut office = client.get_connection().expect("the store listens");
    let mut ask = |words: &[&str]| redis::cmd(words[0]).arg(&words[1..]).exec(&mut office).expect("it is done");
    ask(&["CONFIG", "SET", "requirepass", "another"]);
    ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    wait_until("readyz is red", || (status(&round.server)? == 503).then_some(()));
    let refused = round.server.reserve(&round.campaign, &Resident::new());
    assert_eq!((refused.status, refused.str("outcome")), (503, "not_applied"), "{}", refused.text());
    ask(&["CONFIG", "SET", "requirepass", ""]);
    wait_whole(&round);
}

#[test]
fn an_idle_node_meets_a_restarted_store_without_an_unknown_outcome_and_tells_it_once() {
    let mut redis = OwnRedis::start();
    let round = round_on(&redis.url, "idle");
    for _ in 0..3 {
        redis.restart();
        let first = round.server.reserve(&round.campaign, &Resident::new());
        assert!(first.is_success() || first.str("outcome") == "not_applied", "{} {}", first.status, first.text());
        wait_whole(&round);
    }
    let server = &round.server;
    let gone = server.told(" the store cannot be reached") - server.told("no longer: the store cannot be reached");
    assert!(gone <= 3, "{gone} lines for three restarts");
    assert_eq!(server.told("a background job stands still"), 0);
}

/// A day before the city's first round, and its opening.
const BEFORE: &str = "2020-03-26T08:00:00+08:00";
const OPEN: &str = "2020-03-27T08:00:00+08:00";

/// What such a node says from memory is what was true when it heard from the store last; it gives nothing to anybody meanwhile.
#[test]
fn a_node_that_is_cut_off_says_what_is_sold_out_and_tells_of_a_pause_once_it_hears_of_it() {
    let redis = OwnRedis::start();
    let rush = Rush::open_on(redis.node(BEFORE, 1, None), &hangzhou("cut-off", [2, 2, 2]));
    let passes: Vec<String> = Resident::many(3).iter().map(|person| rush.pass("i", person)).collect();
    let way = Way::to(&redis);
    let (redis_url, keys_from) = (Some(way.url.clone()), Some(rush.server.data.clone()));
    let server = Server::start(Options { redis_url, keys_from, ..Options::at(OPEN) });
    let cut_off = Rush { server, campaign: rush.campaign.clone() };
    passes[..2].iter().for_each(|pass| assert_eq!(cut_off.tap_on("i", pass).ok().str("outcome"), "won"));
    let late =
        |rush: &Rush| wait_until("it is answered", || Some(rush.tap("i", &passes[2])).filter(|it| it.status != 429));
    wait_until("it is told from memory that there is nothing left", || {
        let heard = redis.hears(|| assert_eq!(late(&cut_off).ok().str("outcome"), "sold_out"));
        heard.iter().all(|line| !line.to_lowercase().contains("evalsha")).then_some(())
    });

    way.swallow();
    rush.server.pause(&rush.campaign, &["claim"]).ok();
    late(&rush).refused(409, "campaign_not_running");
    wait_until("the node knows that it is cut off", || (status(&cut_off.server)? == 503).then_some(()));
    assert_eq!(late(&cut_off).ok().str("outcome"), "sold_out");

    way.open();
    wait_until("it has heard of the pause", || (late(&cut_off).code() == "campaign_not_running").then_some(()));
    assert_eq!(rush.issued(), 2);
    rush.server.assert_audit_clean();
}
