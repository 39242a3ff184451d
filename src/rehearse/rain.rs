//! Stage B, second half: the red-packet rain, tap by tap, on a clock that goes as fast as the server answers.
//!
//! Everybody taps at a random moment of the window, so the seed decides the order of all taps. The campaign clock moves in
//! small steps with them: when the taps of a step have been sent it is told to move, and the next ones follow without
//! waiting for it or for any answer. It is never more than one step behind, so the same rain falls on any machine.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::time::Instant;

use load_client::{Answer, Times};
use serde::Deserialize;
use serde_json::Value;

use super::campaign::Ms;
use super::client::{excerpt, problem_code};
use super::gauge::Gauge;
use super::mass::{self, Item, Mass, Pace};
use super::people::Stream;
use super::recorder::{Keys, Op, Outcome, RainFigures, RainPoint};
use super::reserve::Crowd;
use super::script;
use super::{Result, World};

/// Taps fall on one of so many moments of the window.
pub const MOMENTS: u64 = 1_000;
/// Taps in one step of the clock, and the fewest and the most steps.
const TAPS_IN_STEP: u64 = 5_000;
const STEPS: (u64, u64) = (20, 200);
/// Of 10,000 winners: tap once more after winning, and must see the same pack.
const WINNERS_AGAIN: u64 = 200;
/// What most taps are told.
const LOST_BODY: &[u8] = br#"{"outcome":"lost"}"#;

pub const WON: u8 = 1;
pub const LOST: u8 = 2;

#[derive(Deserialize)]
struct Told<'a> {
    outcome: &'a str,
    retry_after_ms: Option<i64>,
    #[serde(borrow)]
    pack: Option<PackTold<'a>>,
}

#[derive(Deserialize)]
struct PackTold<'a> {
    pack_no: &'a str,
}

/// Everybody's taps in their order: where each step begins, and the people in it.
struct Plan {
    starts: Vec<usize>,
    people: Vec<u32>,
}

/// What is going on while it rains.
struct Rain<'w, 'a, 'c> {
    world: &'w World<'a>,
    crowd: &'c mut Crowd,
    plan: Plan,
    steps: u64,
    pace: Pace,
    step: u64,
    /// The next tap of the plan.
    at: usize,
    /// When an early winner may come back; a tap after it must win.
    due: HashMap<u32, Ms>,
    /// Who taps again once the clock has come to a step, and who of them goes now.
    returning: Vec<Vec<u32>>,
    coming: Vec<u32>,
    looks: bool,
    head: Vec<u8>,
    stats: String,
    taps: u64,
    again: u64,
}

pub async fn play(world: &World<'_>, crowd: &mut Crowd, keys: &mut Keys) -> Result<()> {
    let begun = Instant::now();
    let (opens, closes) = world.scenario.rain;
    world.office.clock(opens).await?;
    script::play(world, crowd)?;
    let planned = (crowd.told.len() as f64 * world.options.taps_per_person.max(0.0)) as u64;
    let steps = (planned / TAPS_IN_STEP).clamp(STEPS.0, STEPS.1);
    let plan = schedule(world, crowd.told.len(), steps);
    let length = plan.people.len() as u64;
    let gauge = Gauge::new(world.data);
    let before = gauge.read();
    let mut rain = Rain::new(world, crowd, plan, steps);
    let took = mass::play(world, "rain", length, &mut rain)?;
    let spent = gauge.read().since(&before);
    let (taps, again, won_by_tap) = (rain.taps, rain.again, rain.crowd.packs.len() as u64);
    let seconds = took.as_secs_f64().max(1e-3);
    let figures = RainFigures {
        claim_seconds: seconds,
        taps,
        taps_again: again,
        won_by_tap,
        store_calls: spent.store_calls,
        clock_rate: (closes - opens) as f64 / 1000.0 / seconds,
        spent,
    };
    let outcomes = [Outcome::Won, Outcome::NotYet, Outcome::Lost].map(|outcome| world.recorder.outcomes(outcome));
    let [won, not_yet, lost] = outcomes;
    println!("taps={taps} taps_again={again} won={won} not_yet={not_yet} lost={lost} claim_seconds={seconds:.1}");
    world.recorder.note(format!(
        "The campaign clock went through the window in {steps} steps as the taps were sent, on average {:.1} times as fast as a clock on the wall. Up to {} taps were on their way on each of {} connections, and the time of a tap counts from its writing, with all that lay before it on its connection.",
        figures.clock_rate, world.options.pipeline, world.options.crowd_connections
    ));
    keys.rain = Some(figures);
    world.recorder.stage("rain", begun.elapsed());
    Ok(())
}

/// The moment of a person's tap; `nth` counts the taps one person was given.
fn tap_moment(world: &World<'_>, person: u32, nth: u64) -> u64 {
    world.people.dice(Stream::TapTime, u64::from(person) | nth << 32) % MOMENTS
}

fn tap_count(world: &World<'_>, person: u32) -> u64 {
    let wanted = world.options.taps_per_person.clamp(0.0, 1_000.0);
    let whole = wanted as u64;
    let rest = ((wanted - whole as f64) * 10_000.0) as u64;
    whole + u64::from(rest > 0 && world.people.chance(Stream::TapCount, u64::from(person), rest))
}

/// At which moment a person first taps, if at all.
pub fn first_tap(world: &World<'_>, person: u32) -> Option<u64> {
    (0..tap_count(world, person)).map(|nth| tap_moment(world, person, nth)).min()
}

fn schedule(world: &World<'_>, people: usize, steps: u64) -> Plan {
    let mut starts = vec![0_usize; steps as usize + 1];
    let each = |visit: &mut dyn FnMut(u32, usize)| {
        for person in 0..people as u32 {
            let step = |nth| (tap_moment(world, person, nth) * steps / MOMENTS) as usize;
            (0..tap_count(world, person)).for_each(|nth| visit(person, step(nth)));
        }
    };
    each(&mut |_, step| starts[step + 1] += 1);
    (0..steps as usize).for_each(|step| starts[step + 1] += starts[step]);
    let mut next = starts.clone();
    let mut sorted = vec![0_u32; starts[steps as usize]];
    each(&mut |person, step| {
        sorted[next[step]] = person;
        next[step] += 1;
    });
    Plan { starts, people: sorted }
}

impl Mass for Rain<'_, '_, '_> {
    fn op(&self) -> Op {
        Op::Tap
    }

    fn next(&mut self) -> Option<Item> {
        loop {
            if self.pace.moves(self.step) {
                return Some(Item::Clock);
            }
            if std::mem::take(&mut self.looks) {
                return Some(Item::Stats);
            }
            if let Some(person) = self.coming.pop() {
                return Some(Item::Again(person));
            }
            if self.at < self.plan.starts[self.step as usize + 1] {
                self.at += 1;
                return Some(Item::Person(self.plan.people[self.at - 1]));
            }
            if self.step + 1 >= self.steps || self.pace.reached < self.step {
                return None;
            }
            self.step += 1;
        }
    }

    fn write(&mut self, item: Item, out: &mut Vec<u8>) {
        match item {
            Item::Person(person) | Item::Again(person) => {
                out.extend_from_slice(&self.head);
                self.crowd.passes.append(person, out);
                out.extend_from_slice(b"\r\ncontent-length: 0\r\n\r\n");
            }
            Item::Clock => self.pace.write(out),
            Item::Stats => out.extend_from_slice(self.stats.as_bytes()),
        }
    }

    fn hear(&mut self, item: Item, answer: &Answer<'_>, times: Times) {
        match item {
            Item::Person(person) => {
                self.taps += 1;
                self.told(person, false, answer, times.received);
            }
            Item::Again(person) => {
                self.again += 1;
                self.told(person, true, answer, times.received);
            }
            Item::Clock => {
                let from = self.pace.reached as usize;
                self.pace.hear(self.world.recorder, answer);
                self.looks = true;
                for step in from + 1..=self.pace.reached as usize {
                    self.coming.append(&mut self.returning[step]);
                }
            }
            Item::Stats => self.note_point(answer),
        }
    }
}

impl<'w, 'a, 'c> Rain<'w, 'a, 'c> {
    fn new(world: &'w World<'a>, crowd: &'c mut Crowd, plan: Plan, steps: u64) -> Self {
        let office = |path: &str| {
            let (host, key) = (world.client.address, world.office.key());
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\r\n")
        };
        Self {
            world,
            crowd,
            plan,
            steps,
            pace: Pace::new(world, world.scenario.rain, steps),
            step: 0,
            at: 0,
            due: HashMap::new(),
            returning: vec![Vec::new(); steps as usize + 1],
            coming: Vec::new(),
            looks: true,
            head: request_head(world),
            stats: office(&world.office.campaign_path("/stats")),
            taps: 0,
            again: 0,
        }
    }

    fn told(&mut self, person: u32, again: bool, answer: &Answer<'_>, at: Instant) {
        let recorder = self.world.recorder;
        let wrong = |what: &str| recorder.fault(what, || format!("person {person}: {}", excerpt(answer.body)));
        let told = &mut self.crowd.told[person as usize];
        if answer.body == LOST_BODY {
            recorder.told(Outcome::Lost, at);
            if *told & WON != 0 {
                wrong("lost after won");
            }
            *told |= LOST;
            return;
        }
        if answer.status != 200 {
            return wrong(&format!("tap: {} {}", answer.status, problem_code(answer.body)));
        }
        match serde_json::from_slice::<Told<'_>>(answer.body) {
            Ok(Told { outcome: "won", pack: Some(pack), .. }) => {
                recorder.told(Outcome::Won, at);
                if *told & LOST != 0 {
                    wrong("won after lost");
                }
                let before = *told & WON != 0;
                if before && again && answer.header("idempotent-replayed") != Some("true") {
                    wrong("a second win was not marked as a repeat");
                }
                *told |= WON;
                note_pack(&mut self.crowd.packs, person, pack.pack_no, &mut self.crowd.doubles);
                if !before && self.world.people.chance(Stream::TapRepeat, u64::from(person), WINNERS_AGAIN) {
                    self.returning[self.pace.reached as usize + 1].push(person);
                }
            }
            Ok(Told { outcome: "not_yet", retry_after_ms: Some(wait @ 1..), .. }) => {
                recorder.told(Outcome::NotYet, at);
                if again {
                    wrong("not_yet again at the promised moment");
                }
                self.wait(person, wait);
            }
            _ => wrong("an answer that this round does not have"),
        }
    }

    /// An early winner comes back at the promised moment, or leaves it to the close.
    fn wait(&mut self, person: u32, wait: Ms) {
        let Entry::Vacant(slot) = self.due.entry(person) else { return };
        // The server may have judged by the time that the clock was just told to show.
        let due = *slot.insert(self.pace.latest() + wait);
        let back = (self.pace.reached + 1..self.steps).find(|step| self.pace.time(*step) >= due);
        if let Some(step) = back
            && self.world.people.chance(Stream::TapReturn, u64::from(person), self.world.options.return_share)
        {
            self.returning[step as usize].push(person);
        }
    }

    fn note_point(&self, answer: &Answer<'_>) {
        let world = self.world;
        let stats: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let round = &stats["rounds"][0];
        let issued = round["issued"].as_u64().unwrap_or_default();
        let released = round["released"].as_u64().unwrap_or_default();
        // The curve is even over the scores, so the count follows it only as closely as chance does; and the clock may have moved on
        // between the two figures.
        let step = world.scenario.packs / self.steps * 2;
        let chance = 6.0 * (released as f64).sqrt() + 10.0 + step as f64;
        if issued as f64 > released as f64 + chance {
            world.recorder.fault("more packs issued than the curve had released", || round.to_string());
        }
        let second = (self.pace.time(self.pace.reached) - world.scenario.rain.0) as f64 / 1000.0;
        world.recorder.rain.borrow_mut().push(RainPoint { second, issued, released });
    }
}

/// Remembers a pack number; a person who is shown another one has two packs.
pub fn note_pack(packs: &mut HashMap<u32, u64>, person: u32, pack_no: &str, doubles: &mut u64) {
    let mut hasher = DefaultHasher::new();
    pack_no.hash(&mut hasher);
    let number = hasher.finish();
    if *packs.entry(person).or_insert(number) != number {
        *doubles += 1;
    }
}

/// A tap up to its pass.
pub fn request_head(world: &World<'_>) -> Vec<u8> {
    let path = world.office.round_path("/claims");
    format!("POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer ", world.client.address).into_bytes()
}
