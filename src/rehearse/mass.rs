//! What millions of people do: reserve, tap, ask. One thread drives all connections; requests are written when they are sent.
//!
//! A general client costs more than the server's answer to a losing tap, and here both share the same cores. So this one
//! runs on the thread that calls it until all is answered. Whatever was lost, shed or limited is sent again with the same
//! ids, after a while: every effect of the API is idempotent, and the rehearsal would notice if one were not.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use load_client::{Answer, Lost, Target, Times, Work, drive};

use super::campaign::Ms;
use super::client::problem_code;
use super::recorder::{Op, Recorder};
use super::reserve::progress;
use super::server::stopping;
use super::{RehearsalError, Result, World};

const TRIES: u8 = 12;
const FIRST_WAIT: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers between two looks at what has gone wrong and at the bar.
const LOOK: u64 = 4096;
const FAULTS_AT_MOST: u64 = 1_000;

/// One request of a mass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Person(u32),
    /// A person who was told to come back, or who comes again anyway.
    Again(u32),
    /// The office moves the campaign clock while the people go on.
    Clock,
    /// The office looks at its figures.
    Stats,
}

/// Who asks what, and what becomes of the answers.
pub trait Mass {
    fn op(&self) -> Op;

    /// The next request; `None` when there is none until an answer brings one.
    fn next(&mut self) -> Option<Item>;

    /// Appends the request; called again when it has to be sent again.
    fn write(&mut self, item: Item, out: &mut Vec<u8>);

    /// An answer other than 429 and 503.
    fn hear(&mut self, item: Item, answer: &Answer<'_>, times: Times);
}

/// Sends all that the mass has, and comes back when everything is answered: after how long, from the first request to the last answer.
pub fn play(world: &World<'_>, name: &'static str, length: u64, mass: &mut impl Mass) -> Result<Duration> {
    let options = world.options;
    // Few requests are spread over the connections rather than queued behind each other.
    let connections = options.crowd_connections.clamp(1, length.max(1)) as usize;
    let pipeline = (length as usize / connections).clamp(1, options.pipeline as usize);
    let target = Target { patience: PATIENCE, ..Target::new(world.client.address, connections) }.pipelined(pipeline);
    let begun = Instant::now();
    let mut playing = Playing {
        mass,
        name,
        recorder: world.recorder,
        bar: progress(length, name),
        peeked: None,
        again: BinaryHeap::new(),
        begun,
        first: None,
        last: begun,
        answered: 0,
        failed: None,
    };
    let driven = drive(&target, &mut playing);
    playing.bar.finish_and_clear();
    driven.map_err(|error| silent(name, 1, error.to_string()))?;
    if let Some(error) = playing.failed {
        return Err(error);
    }
    Ok(playing.last.saturating_duration_since(playing.first.unwrap_or(begun)))
}

struct Playing<'m, M> {
    mass: &'m mut M,
    name: &'static str,
    recorder: &'m Recorder,
    bar: indicatif::ProgressBar,
    peeked: Option<Item>,
    /// When to send again what, and how often it was sent.
    again: BinaryHeap<Reverse<(Instant, u64)>>,
    begun: Instant,
    first: Option<Instant>,
    last: Instant,
    answered: u64,
    failed: Option<RehearsalError>,
}

impl<M: Mass> Work for Playing<'_, M> {
    fn due(&mut self) -> Option<Instant> {
        if self.failed.is_some() {
            return None;
        }
        self.peeked = self.peeked.or_else(|| self.mass.next());
        match self.peeked {
            Some(_) => Some(self.begun),
            None => self.again.peek().map(|Reverse((at, _))| *at),
        }
    }

    fn take(&mut self, now: Instant, request: &mut Vec<u8>) -> u64 {
        self.first.get_or_insert(now);
        let late = self.again.peek().is_some_and(|Reverse((at, _))| *at <= now);
        let tag = match (late, self.peeked) {
            (false, Some(item)) => {
                self.peeked = None;
                tag(item, 0)
            }
            _ => self.again.pop().map(|Reverse((_, tag))| tag).unwrap_or_default(),
        };
        self.mass.write(item(tag).0, request);
        tag
    }

    fn answered(&mut self, tag: u64, times: Times, outcome: std::result::Result<Answer<'_>, Lost>) {
        let (item, tries) = item(tag);
        match outcome {
            Ok(answer) if !matches!(answer.status, 429 | 503) => {
                let op = if matches!(item, Item::Clock | Item::Stats) { Op::Office } else { self.mass.op() };
                self.recorder.answered_at(op, times.received.saturating_duration_since(times.sent), times.received);
                self.mass.hear(item, &answer, times);
                self.last = times.received;
                self.answered += 1;
                if self.answered.is_multiple_of(LOOK) {
                    self.look();
                }
            }
            Ok(answer) => {
                self.later(item, tries, times.received, || format!("{} {}", answer.status, problem_code(answer.body)))
            }
            Err(lost) => self.later(item, tries, times.received, || lost.to_string()),
        }
    }
}

impl<M: Mass> Playing<'_, M> {
    fn later(&mut self, item: Item, tries: u8, now: Instant, why: impl FnOnce() -> String) {
        if stopping() {
            self.failed.get_or_insert(RehearsalError::Interrupted);
        }
        if tries >= TRIES {
            self.failed.get_or_insert_with(|| silent(self.name, u32::from(tries), why()));
            return;
        }
        self.recorder.retried();
        let at = now + FIRST_WAIT * (1 << tries.min(8));
        self.again.push(Reverse((at, tag(item, tries + 1))));
    }

    fn look(&mut self) {
        self.bar.set_position(self.answered);
        let faults = self.recorder.faults();
        if faults > FAULTS_AT_MOST {
            self.failed = Some(RehearsalError::TooManyFaults { stage: self.name, faults });
        }
        if stopping() {
            self.failed = Some(RehearsalError::Interrupted);
        }
    }
}

fn silent(name: &str, tries: u32, last: String) -> RehearsalError {
    RehearsalError::Silent { path: name.to_owned(), tries, last }
}

/// A request as the client carries it: 32 bits of person, the kind, and how often it was sent before.
fn tag(item: Item, tries: u8) -> u64 {
    let (kind, person) = match item {
        Item::Person(person) => (0, person),
        Item::Again(person) => (1, person),
        Item::Clock => (2, 0),
        Item::Stats => (3, 0),
    };
    u64::from(tries) << 40 | kind << 32 | u64::from(person)
}

fn item(tag: u64) -> (Item, u8) {
    let person = tag as u32;
    let item = match tag >> 32 & 0xff {
        0 => Item::Person(person),
        1 => Item::Again(person),
        2 => Item::Clock,
        _ => Item::Stats,
    };
    (item, (tag >> 40) as u8)
}

/// The campaign clock in the middle of a mass: it moves in steps as the requests go out, and nobody waits for it or for the answers of a step.
pub struct Pace {
    window: (Ms, Ms),
    steps: u64,
    /// The step that the clock was asked to show, and the last one that it is known to show.
    asked: u64,
    pub reached: u64,
    head: String,
    times: Vec<String>,
}

impl Pace {
    /// The clock stands at the beginning of the window.
    pub fn new(world: &World<'_>, window: (Ms, Ms), steps: u64) -> Self {
        let head = format!(
            "PUT /v1/sandbox/clock HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
            world.client.address,
            world.office.key()
        );
        let mut pace = Self { window, steps, asked: 0, reached: 0, head, times: Vec::new() };
        pace.times = (0..=steps).map(|step| world.scenario.wire_time(pace.time(step))).collect();
        pace
    }

    /// The campaign time of a step.
    pub fn time(&self, step: u64) -> Ms {
        let (from, to) = self.window;
        from + (to - from) * step as i64 / self.steps as i64
    }

    /// The latest time that the clock can show by now.
    pub fn latest(&self) -> Ms {
        self.time(self.asked)
    }

    /// Whether the clock is to be moved now, to the step.
    pub fn moves(&mut self, step: u64) -> bool {
        let free = self.asked == self.reached && step > self.reached;
        if free {
            self.asked = step;
        }
        free
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let body = format!(r#"{{"now":"{}","rate":0}}"#, self.times[self.asked as usize]);
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub fn hear(&mut self, recorder: &Recorder, answer: &Answer<'_>) {
        if answer.status != 200 {
            recorder.fault("the clock could not be moved", || String::from_utf8_lossy(answer.body).into_owned());
        }
        self.reached = self.asked;
    }
}

/// The simplest mass: one request for each person of a list.
pub struct Each<I, B, H> {
    pub op: Op,
    pub people: I,
    pub build: B,
    pub handle: H,
}

impl<I, B, H> Mass for Each<I, B, H>
where
    I: Iterator<Item = u32>,
    B: FnMut(u32, &mut Vec<u8>),
    H: FnMut(u32, &Answer<'_>),
{
    fn op(&self) -> Op {
        self.op
    }

    fn next(&mut self) -> Option<Item> {
        self.people.next().map(Item::Person)
    }

    fn write(&mut self, item: Item, out: &mut Vec<u8>) {
        if let Item::Person(person) = item {
            (self.build)(person, out);
        }
    }

    fn hear(&mut self, item: Item, answer: &Answer<'_>, _: Times) {
        if let Item::Person(person) = item {
            (self.handle)(person, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_again_by_its_tag() {
        for one in [Item::Person(0), Item::Person(u32::MAX), Item::Again(7), Item::Clock, Item::Stats] {
            for tries in [0, 1, TRIES] {
                assert_eq!(item(tag(one, tries)), (one, tries));
            }
        }
    }
}
