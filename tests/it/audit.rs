//! `quanyu audit` finds every planted fault, once, and nothing where there is none, not even beside live traffic.

mod counted;
mod plant;
mod stored;
mod winners;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redis::Commands;
use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, Round, SECOND, at, chengdu, new_campaign_id, new_order, new_till, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Options, Server, program};
use plant::{PLANTS, Planter};

/// Every fault needs persons and orders of its own.
const PACKS: i64 = 24;
const PEOPLE: usize = 34;

/// A small campaign with everything in its books, on a Redis of our own that a test can spoil and mend.
struct Books {
    server: Server,
    redis: OwnRedis,
    connection: redis::Connection,
}

#[test]
fn planted_faults_are_as_many_findings_and_each_alone_is_one() {
    let mut books = Books::kept();
    let clean = books.dump();
    books.assert_finds(0, "nothing was planted");
    for (name, plant) in PLANTS {
        plant(&mut Planter::new(&mut books.connection));
        books.assert_finds(1, name);
        books.restore(&clean);
    }
    books.assert_finds(0, "everything was mended");
    let mut planter = Planter::new(&mut books.connection);
    assert_eq!(PLANTS.len(), 23);
    PLANTS.iter().for_each(|(_, plant)| plant(&mut planter));
    books.assert_finds(23, "all of them at once");
}

#[test]
fn the_audit_beside_live_traffic_finds_nothing() {
    const CLIENTS: usize = 4;
    let market = Market::open("live", 3 * CLIENTS);
    let tills: Vec<Till> = (0..CLIENTS).map(|_| market.till()).collect();
    let (done, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (client, till) in tills.iter().enumerate() {
            let (market, done, calls) = (&market, &done, &calls);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    calls.fetch_add(traffic(market, till, client), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..8 {
            let before = calls.load(Ordering::Relaxed);
            let output = market.server().command(&["audit", "--json"]);
            crate::harness::wait_until("there is traffic", || (calls.load(Ordering::Relaxed) > before).then_some(()));
            if output.status.code() != Some(0) {
                done.store(true, Ordering::Relaxed);
                panic!("{}", said(&output));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    market.server().assert_audit_clean();
}

/// Sales and what may follow them, by a client whose people nobody else serves; answers how many calls had an effect. Vouchers that
/// were given back too often stay used, so most sales are undone in a way that costs nothing.
fn traffic(market: &Market, till: &Till, client: usize) -> usize {
    let server = market.server();
    let mut effects = 0;
    for person in market.round.people.iter().skip(3 * client).take(3) {
        let mut sold = |capture: bool, amount: i64| {
            let reply = server.redeem(till, &sale(&new_order(), &server.pay_code(person), amount, capture));
            effects += usize::from(reply.is_success());
            reply
        };
        let (held, used, freed) = (sold(false, 3000), sold(true, 3000), sold(false, 6000));
        let order = |reply: &Reply| reply.str("order_id").to_string();
        if held.is_success() {
            server.confirm(till, &order(&held), held.str("hold_id"), held.int("payable")).ok();
            server.refund(till, &order(&held), "R1", 3000).ok();
        }
        if used.is_success() {
            server.reverse(till, &order(&used)).ok();
        }
        if freed.is_success() {
            server.cancel(till, &order(&freed)).ok();
        }
    }
    effects
}

impl Books {
    /// Everybody reserves and taps one by one, so that no entry of the ledger holds the lines of two persons.
    fn kept() -> Books {
        let redis = OwnRedis::start();
        let server = Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) });
        let round = Round::reserved_on(server, chengdu(&new_campaign_id("books"), PACKS), PEOPLE);
        round.raining(480 * SECOND);
        let won: Vec<usize> = (0..PEOPLE).filter(|one| round.tap_drawn(*one).ok().str("outcome") == "won").collect();
        assert_eq!(won.len() as i64, PACKS);
        round.server.set_clock(at("2020-07-25T12:00:00"));
        sell(&round, &won);
        round.server.assert_audit_clean();
        let connection = redis::Client::open(redis.url.as_str()).expect("an address");
        let connection = connection.get_connection().expect("the store answers");
        let books = Books { server: round.server, redis, connection };
        books.server.stop();
        books
    }

    /// Reads the store as it lies, with nobody else at it.
    fn audit(&self) -> Output {
        let mut command = Command::new(program());
        command.args(["audit", "--json", "--data"]).arg(&self.server.data);
        command.env("QUANYU_REDIS_URL", &self.redis.url).output().expect("the program can be run")
    }

    #[track_caller]
    fn assert_finds(&self, wanted: usize, what: &str) {
        let output = self.audit();
        let text = String::from_utf8_lossy(&output.stdout);
        let findings: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(findings.len(), wanted, "{what}: {}", said(&output));
        assert_eq!(output.status.code(), Some(i32::from(wanted > 0)), "{what}: {}", said(&output));
        for finding in &findings {
            for field in ["kind", "subject", "expected", "found", "explanation"] {
                assert!(finding[field].is_string(), "{what}: {finding}");
            }
        }
    }

    fn dump(&mut self) -> Vec<(String, Vec<u8>)> {
        let keys: Vec<String> = self.connection.keys("*").expect("the keys");
        let mut dump = |key: String| {
            let value = redis::cmd("DUMP").arg(&key).query(&mut self.connection).expect("a key that is there");
            (key, value)
        };
        keys.into_iter().map(&mut dump).collect()
    }

    fn restore(&mut self, dump: &[(String, Vec<u8>)]) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).expect("the store can be emptied");
        for (key, value) in dump {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg(0).arg(value).exec(&mut self.connection).expect("a key comes back");
        }
    }
}

/// Sales of every kind: used, held, cancelled, reversed, refunded in part and in full.
fn sell(round: &Round, winners: &[usize]) {
    let (server, till) = (&round.server, new_till(&round.server, &round.campaign));
    let buy = |person: usize, amount: i64, capture: bool| {
        let code = server.pay_code(&round.people[person]);
        server.redeem(&till, &sale(&new_order(), &code, amount, capture)).ok()
    };
    for (turn, person) in winners.iter().enumerate() {
        let order = |reply: &Reply| reply.str("order_id").to_string();
        match turn % 8 {
            0 => {}
            1..=3 => drop(buy(*person, 6400, true)),
            4 => drop(buy(*person, 3000, false)),
            5 => {
                let held = buy(*person, 6000, false);
                server.confirm(&till, &order(&held), held.str("hold_id"), 4000).ok();
                server.refund(&till, &order(&held), "R1", 3000).ok();
            }
            6 => {
                server.refund(&till, &order(&buy(*person, 6000, true)), "R1", 6000).ok();
                server.cancel(&till, &order(&buy(*person, 3000, false))).ok();
            }
            _ => {
                server.reverse(&till, &order(&buy(*person, 6000, true))).ok();
                server.reverse(&till, &order(&buy(*person, 6000, false))).ok();
            }
        }
    }
    let held = server.ledger(&round.campaign)["total"]["held"].clone();
    assert_eq!(held, json!(3000), "holds are among the books");
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}
