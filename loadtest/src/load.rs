//! The open loop: streams of taps, reservations and purchases with their own schedules, and what follows from answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use crate::campaign::Round;
use crate::claims::{Claims, refused, shed_is_complete};
use crate::crowd::Crowd;
use crate::dice::{Shuffle, dice};
use crate::engine::{Answer, Lost, Request, Times, Work};
use crate::ledger;
use crate::market::{Market, Then};
use crate::meter::{Class, Meter};
use crate::schedule::Schedule;

/// One of this many people taps twice at once.
const IMPATIENT: u64 = 20;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Tap { person: u32 },
    Reserve { person: u32 },
    Purchase { number: u32 },
    Ledger,
}

/// Where new requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Everybody in a seeded order, beginning again when all have tapped.
    Taps,
    /// People who are not of the population, each once.
    Reservations,
    Purchases,
    /// The ledger is looked at while the load runs.
    Ledgers,
}

struct Stream {
    source: Source,
    schedule: Schedule,
    sent: u64,
    due: Option<Instant>,
}

struct Flight {
    action: Action,
    intended: Instant,
}

/// Everything of one run. `drive` sends what it says and hands it the answers.
pub struct Load<'a> {
    pub crowd: &'a Crowd,
    pub meter: Meter,
    pub claims: Claims,
    pub market: Market,
    /// People who were told that they are on the list of the round that is open for reservation.
    pub reserved: Vec<u64>,
    pub ledgers: ledger::Seen,
    /// Answers that shed without saying all that a caller must know.
    pub incomplete_sheds: u64,
    /// The first words of each kind of error.
    pub errors: BTreeMap<String, u64>,
    streams: Vec<Stream>,
    later: BinaryHeap<Reverse<(Instant, Action)>>,
    flights: Vec<Option<Flight>>,
    unused: Vec<usize>,
    order: Shuffle,
    tappers: Vec<u32>,
    seed: u64,
    tapped: Option<(Request, &'a Round)>,
    reserving: Option<(Request, &'a Round)>,
    ledger: Request,
    ledger_bearer: String,
    start: Instant,
    /// No follow-up is sent behind it.
    pub end: Instant,
    /// Milliseconds of the campaign clock in one of the wall clock: waits that an answer names are told in the former.
    pub clock_rate: u32,
    /// What is not sent by then is not sent at all: people have given up.
    pub give_up: Option<Instant>,
}

impl<'a> Load<'a> {
    pub fn new(crowd: &'a Crowd, market: Market, start: Instant, busiest: Duration, seed: u64) -> Load<'a> {
        let tappers = crowd.tappers();
        Load {
            crowd,
            meter: Meter::new(start, busiest),
            claims: Claims::default(),
            market,
            reserved: Vec::new(),
            ledgers: ledger::Seen::default(),
            incomplete_sheds: 0,
            errors: BTreeMap::new(),
            streams: Vec::new(),
            later: BinaryHeap::new(),
            flights: Vec::new(),
            unused: Vec::new(),
            order: Shuffle::new(tappers.len() as u64, seed),
            tappers,
            seed,
            tapped: None,
            reserving: None,
            ledger: crowd.request("GET", "/ledger"),
            ledger_bearer: String::new(),
            start,
            end: start,
            clock_rate: 1,
            give_up: None,
        }
    }

    pub fn taps(&mut self, round: &'a Round, schedule: Schedule) {
        self.tapped = Some((self.crowd.request("POST", &format!("/rounds/{}/claims", round.id)), round));
        self.stream(Source::Taps, schedule);
    }

    pub fn reservations(&mut self, round: &'a Round, schedule: Schedule) {
        self.reserving = Some((self.crowd.request("POST", "/reservations"), round));
        self.stream(Source::Reservations, schedule);
    }

    pub fn purchases(&mut self, schedule: Schedule) {
        self.stream(Source::Purchases, schedule);
    }

    pub fn ledger(&mut self, bearer: String, schedule: Schedule) {
        self.ledger_bearer = bearer;
        self.stream(Source::Ledgers, schedule);
    }

    fn stream(&mut self, source: Source, schedule: Schedule) {
        let due = schedule.at(0);
        self.streams.push(Stream { source, schedule, sent: 0, due });
    }

    fn next_stream(&self) -> Option<(usize, Instant)> {
        let due = self.streams.iter().enumerate().filter_map(|(at, stream)| Some((at, stream.due?)));
        due.min_by_key(|(_, due)| *due)
    }

    /// The request of a stream that is due.
    fn arrive(&mut self, at: usize) -> Action {
        let stream = &mut self.streams[at];
        let (number, due) = (stream.sent, stream.due);
        stream.sent += 1;
        stream.due = stream.schedule.at(stream.sent);
        match stream.source {
            Source::Taps => {
                let person = self.tappers[self.order.at(number) as usize];
                if let Some(due) = due.filter(|_| dice(self.seed, 7, number).is_multiple_of(IMPATIENT)) {
                    self.later.push(Reverse((due, Action::Tap { person })));
                }
                Action::Tap { person }
            }
            Source::Reservations => Action::Reserve { person: (self.crowd.population + number) as u32 },
            Source::Purchases => Action::Purchase { number: self.market.open() },
            Source::Ledgers => Action::Ledger,
        }
    }

    fn write(&mut self, action: Action, out: &mut Vec<u8>) {
        match action {
            Action::Tap { person } => {
                let Some((request, round)) = &self.tapped else { return };
                let person = u64::from(person);
                let body = self.crowd.choice(round, person).map(|pack| format!(r#"{{"pack_id":"{pack}"}}"#));
                request.write(out, &["Bearer ", &self.crowd.tapper(person)], body.unwrap_or_default().as_bytes());
            }
            Action::Reserve { person } => {
                let Some((request, round)) = &self.reserving else { return };
                let (token, body) = (self.crowd.people.token(person.into()), self.crowd.wish(round, person.into()));
                request.write(out, &["Bearer ", &token], body.as_bytes());
            }
            Action::Purchase { number } => self.market.write(number, self.crowd, out),
            Action::Ledger => self.ledger.write(out, &[&self.ledger_bearer], b""),
        }
    }

    fn follow(&mut self, at: Instant, action: Action) {
        if at < self.end {
            self.later.push(Reverse((at, action)));
        }
    }

    /// Drops what nobody waits for any more. It was offered, so it counts, with all the time that it has waited.
    fn give_up(&mut self, now: Instant) {
        for stream in &mut self.streams {
            let kind = match stream.source {
                Source::Taps => "tap",
                Source::Reservations => "reserve",
                Source::Purchases => "pay_code",
                Source::Ledgers => "ledger",
            };
            while let Some(due) = stream.due {
                self.meter.abandoned(kind, due, now);
                stream.sent += 1;
                stream.due = stream.schedule.at(stream.sent);
            }
        }
        self.later.clear();
    }
}

impl Work for Load<'_> {
    fn begin(&mut self, now: Instant) {
        let by = now.saturating_duration_since(self.start);
        for stream in &mut self.streams {
            stream.schedule.delay(by);
            stream.due = stream.schedule.at(stream.sent);
        }
        self.meter.delay(by);
        self.start += by;
        self.end += by;
        self.give_up = self.give_up.map(|at| at + by);
    }

    fn due(&mut self) -> Option<Instant> {
        if self.give_up.is_some_and(|at| at <= Instant::now()) {
            self.give_up(Instant::now());
            self.give_up = None;
        }
        let stream = self.next_stream().map(|(_, due)| due);
        let later = self.later.peek().map(|Reverse((due, _))| *due);
        match (stream, later) {
            (Some(stream), Some(later)) => Some(stream.min(later)),
            (one, other) => one.or(other),
        }
    }

    fn take(&mut self, _now: Instant, request: &mut Vec<u8>) -> u64 {
        let stream = self.next_stream();
        let later = self.later.peek().map(|Reverse((due, _))| *due);
        let (intended, action) = match (stream, later) {
            (Some((at, due)), later) if later.is_none_or(|later| due <= later) => (due, self.arrive(at)),
            _ => match self.later.pop() {
                Some(Reverse(next)) => next,
                None => return 0,
            },
        };
        self.write(action, request);
        let flight = Some(Flight { action, intended });
        match self.unused.pop() {
            Some(at) => {
                self.flights[at] = flight;
                at as u64
            }
            None => {
                self.flights.push(flight);
                self.flights.len() as u64 - 1
            }
        }
    }

    fn answered(&mut self, tag: u64, times: Times, outcome: Result<Answer<'_>, Lost>) {
        let Some(Flight { action, intended }) = self.flights[tag as usize].take() else { return };
        self.unused.push(tag as usize);
        let (kind, class) = match action {
            Action::Tap { person } => {
                let told = self.claims.told(u64::from(person), &outcome);
                if let Some(wait) = told.retry_after_ms {
                    self.follow(times.received + Duration::from_millis(wait) / self.clock_rate.max(1), action);
                }
                ("tap", told.class)
            }
            Action::Reserve { person } => {
                let class = refused(&outcome).unwrap_or(Class::Done);
                if class == Class::Done {
                    self.reserved.push(u64::from(person));
                }
                ("reserve", class)
            }
            Action::Purchase { number } => {
                let kind = self.market.kind(number);
                let (class, then) = self.market.told(number, &outcome);
                if let Then::After(wait) = then {
                    // A purchase that was begun is brought to its end, whatever the hour.
                    self.later.push(Reverse((times.received + wait, action)));
                }
                (kind, class)
            }
            Action::Ledger => ("ledger", self.ledgers.told(&outcome)),
        };
        self.meter.record(kind, intended, times, class);
        match (&outcome, class) {
            (Ok(answer), Class::Shed) => self.incomplete_sheds += u64::from(!shed_is_complete(answer)),
            (Ok(answer), Class::Error) => {
                let words = String::from_utf8_lossy(answer.body).chars().take(160).collect::<String>();
                let code = crate::crowd::code(answer);
                let words = if code.is_empty() { words } else { code.to_owned() };
                *self.errors.entry(format!("{kind}: {} {words}", answer.status)).or_default() += 1;
            }
            _ => {}
        }
    }
}
