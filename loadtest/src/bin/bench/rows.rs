//! The rows of taps, reservations and peers, each a short piece of load in every round, so that whatever else the machine does meets
//! all of them alike.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use loadtest::engine::Request;

use super::Fault;
use super::campaign;
use super::drive::{Driven, Reply, Shape, drive};
use super::meter::{Clocks, Pids, Sample, Samples};
use super::world::{World, post, shown, text_of, wish};

pub const BASELINE: &str = "baseline";
pub const PIPELINED: &str = "baseline, pipelined";
pub const LOSING: &str = "losing tap, pass";
pub const COLD: &str = "losing tap, pass, cold";
pub const LOSING_TOKEN: &str = "losing tap, HS256 token";
pub const LOSING_PIPELINED: &str = "losing tap, pass, pipelined";
pub const CLAIM: &str = "winning claim";
pub const RESERVE: &str = "reserve, HS256 token";
/// A peer's row and its path.
pub const PEERS: [(&str, &str); 4] = [
    ("peer: counter, set and stream", "counter"),
    ("peer: hash stock and key with TTL", "hash"),
    ("peer: two round trips", "two-trips"),
    ("peer: leased bucket", "leased"),
];

/// Depth of the two rows that show what is left when the cost of system calls is shared by many requests.
const PIPELINE: usize = 16;
/// Laps over all passes, each in another order: steps that share no factor with any population up to their size.
const LAPS: [usize; 4] = [15_485_863, 32_452_843, 49_979_687, 67_867_967];
/// Requests made before a row of tokens begins, for each second that it may take.
const TOKENS_PER_SECOND: f64 = 60_000.0;

/// The measurements as they grow.
pub struct Rows<'a> {
    pub world: &'a World<'a>,
    pub samples: RefCell<Samples>,
    /// Winners that have tapped.
    pub claimed: Cell<usize>,
    pub reserved: Cell<usize>,
    pack_numbers: RefCell<std::collections::HashSet<u32>>,
}

/// What a row sends and to whom.
pub struct Row {
    pub name: &'static str,
    pub shape: Shape,
    pub pids: Pids,
    pub count: usize,
    pub time: Option<Duration>,
}

impl<'a> Rows<'a> {
    pub fn new(world: &'a World<'a>) -> Rows<'a> {
        let (samples, claimed, reserved) = (RefCell::default(), Cell::new(0), Cell::new(0));
        Rows { world, samples, claimed, reserved, pack_numbers: RefCell::default() }
    }

    /// A row against the service, for as long as the settings say.
    pub fn timed(&self, name: &'static str, count: usize) -> Row {
        let world = self.world;
        let pids = Pids { server: world.node.process.pid(), store: world.store.borrow().pid };
        let time = Some(Duration::from_secs_f64(world.settings.seconds));
        Row { name, shape: world.shape(world.node.address), pids, count, time }
    }

    /// Runs a row once; `good` judges each answer, and one that is not good is a fault of the run.
    pub fn measure(
        &self,
        round: usize,
        row: &Row,
        build: impl FnMut(usize, &mut Vec<u8>),
        mut good: impl FnMut(usize, &Reply<'_>) -> bool,
    ) -> Result<Driven, Fault> {
        let world = self.world;
        super::say(row.name);
        let before = world.store.borrow_mut().used_memory()?;
        let clocks = Clocks::start(row.pids);
        let driven = drive(row.shape, row.count, row.time, build, |index, reply| {
            if !good(index, &reply) {
                world.faults.add(|| format!("{}: {}", row.name, shown(&reply)));
            }
        })?;
        let sample = clocks.stop(driven);
        let bytes = world.store.borrow_mut().used_memory()? - before;
        self.samples.borrow_mut().add(round, row.name, Sample { bytes, ..sample });
        Ok(driven)
    }

    /// The n-th pass of a lap over all losers.
    fn loser(&self, lap: usize, at: usize) -> u32 {
        let losers = &self.world.losers;
        losers[(at % losers.len()) * LAPS[lap] % losers.len()]
    }

    fn taps(&self, round: usize, row: &Row, person: impl Fn(usize) -> u32) -> Result<(), Fault> {
        let (world, request) = (self.world, post(campaign::TAP));
        let build = |at: usize, out: &mut Vec<u8>| request.write(out, &["Bearer ", world.pass(person(at))], b"");
        self.measure(round, row, build, |_, reply| lost(reply)).map(drop)
    }

    /// The bare handler gets the very requests of the losing taps, and answers them with the very bytes.
    pub fn baseline(&self, round: usize) -> Result<(), Fault> {
        self.taps(round, &self.bare(BASELINE), |at| self.loser(0, at))
    }

    fn bare(&self, name: &'static str) -> Row {
        let world = self.world;
        let pids = Pids { server: world.bare.process.pid(), store: world.store.borrow().pid };
        Row { shape: world.shape(world.bare.address), pids, ..self.timed(name, usize::MAX) }
    }

    /// Over all rounds each pass taps three times, in three different orders.
    pub fn losing(&self, round: usize) -> Result<(), Fault> {
        let (losers, rounds) = (self.world.losers.len(), self.world.settings.rounds);
        let (from, to) = (3 * losers * round / rounds, 3 * losers * (round + 1) / rounds);
        let row = Row { time: None, ..self.timed(LOSING, to - from) };
        self.taps(round, &row, |at| self.loser((from + at) / losers, from + at))
    }

    /// Over all rounds each pass taps once, at a node that has not seen it before.
    pub fn cold(&self, round: usize) -> Result<(), Fault> {
        let (world, losers, rounds) = (self.world, self.world.losers.len(), self.world.settings.rounds);
        let (from, to) = (losers * round / rounds, losers * (round + 1) / rounds);
        let row = self.timed(COLD, to - from);
        let pids = Pids { server: world.cold.process.pid(), ..row.pids };
        let row = Row { shape: world.shape(world.cold.address), pids, time: None, ..row };
        self.taps(round, &row, |at| self.loser(3, from + at))
    }

    pub fn pipelined(&self, round: usize) -> Result<(), Fault> {
        for row in [self.bare(PIPELINED), self.timed(LOSING_PIPELINED, usize::MAX)] {
            let shape = Shape { depth: PIPELINE, ..row.shape };
            self.taps(round, &Row { shape, ..row }, |at| self.loser(1, at))?;
        }
        Ok(())
    }

    /// A token instead of a pass: a signature over more bytes, and a look into the store for the channel and the choice.
    pub fn losing_by_token(&self, round: usize) -> Result<(), Fault> {
        let (world, request) = (self.world, post(campaign::TAP));
        let count = (world.settings.seconds * TOKENS_PER_SECOND) as usize;
        let requests = Requests::make(count, |at, out| {
            let person = self.loser(2, round * count + at);
            request.write(out, &["Bearer ", &world.people.token(u64::from(person))], b"");
        });
        let row = self.timed(LOSING_TOKEN, count);
        self.measure(round, &row, |at, out| requests.write(at, out), |_, reply| lost(reply)).map(drop)
    }

    /// Winners tap for the first time: each answer is a pack in the store, in the ledger and on disk.
    pub fn claim(&self, round: usize) -> Result<std::ops::Range<usize>, Fault> {
        let (world, request) = (self.world, post(campaign::TAP));
        let from = self.claimed.get();
        let share = (world.winners.len() - from) / (world.settings.rounds - round).max(1);
        let build = |at: usize, out: &mut Vec<u8>| {
            request.write(out, &["Bearer ", world.pass(world.winners[from + at])], b"");
        };
        let driven = self.measure(round, &self.timed(CLAIM, share), build, |_, reply| {
            let number = text_of(reply, 200, "pack_no").and_then(|no| no.split_once('-'));
            let number = number.and_then(|(_, number)| u32::from_str_radix(number, 16).ok());
            let first = reply.as_ref().is_ok_and(|answer| answer.header("idempotent-replayed").is_none());
            first && number.is_some_and(|number| self.pack_numbers.borrow_mut().insert(number))
        })?;
        self.claimed.set(from + driven.answered as usize);
        Ok(from..self.claimed.get())
    }

    /// People of the first campaign reserve in the second, where they are new.
    pub fn reserve(&self, round: usize) -> Result<(), Fault> {
        let (world, wish) = (self.world, wish());
        let request = post(campaign::RESERVE);
        let from = self.reserved.get();
        let left = (world.passes.len() - from) / (world.settings.rounds - round).max(1);
        let count = left.min((world.settings.seconds * TOKENS_PER_SECOND) as usize);
        let requests = Requests::make(count, |at, out| {
            request.write(out, &["Bearer ", &world.people.token((from + at) as u64)], &wish);
        });
        let row = self.timed(RESERVE, count);
        let driven = self.measure(
            round,
            &row,
            |at, out| requests.write(at, out),
            |_, reply| text_of(reply, 201, "pass").is_some(),
        )?;
        self.reserved.set(from + driven.answered as usize);
        Ok(())
    }

    /// The usual designs, everybody new and stock without end, so that every answer is a win.
    pub fn peers(&self, round: usize) -> Result<(), Fault> {
        for (name, path) in PEERS {
            let bearer = self.world.pass(self.world.winners[0]);
            let build = |at: usize, out: &mut Vec<u8>| {
                let person = round * 100_000_000 + at;
                Request::new("POST", "quanyu", format!("/peers/{path}/{person}")).write(out, &["Bearer ", bearer], b"");
            };
            self.measure(round, &self.bare(name), build, |_, reply| text_of(reply, 200, "outcome") == Some("won"))?;
        }
        Ok(())
    }
}

fn lost(reply: &Reply<'_>) -> bool {
    reply.as_ref().is_ok_and(|answer| answer.status == 200 && answer.body == br#"{"outcome":"lost"}"#)
}

/// Requests that are made before a row begins, where making one costs more than sending it.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    pub fn make(count: usize, build: impl Fn(usize, &mut Vec<u8>)) -> Requests {
        let mut requests = Requests { bytes: Vec::new(), ends: Vec::with_capacity(count) };
        for at in 0..count {
            build(at, &mut requests.bytes);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    pub fn write(&self, at: usize, out: &mut Vec<u8>) {
        let begin = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        out.extend_from_slice(&self.bytes[begin..self.ends[at]]);
    }
}
