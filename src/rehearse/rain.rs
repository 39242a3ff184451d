//! Stage B, second half: the red-packet rain, tap by tap, on a clock that waits for the server.
//!
//! Everybody taps at a random instant of the window. The window is cut into steps; the clock stands still while the
//! taps of a step are sent, then moves on. So the rain runs as fast as the server keeps up and the same seed gives the
//! same rain, on any machine.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::time::Instant;

use serde::Deserialize;

use super::campaign::Ms;
use super::client::{excerpt, problem_code};
use super::people::Stream;
use super::recorder::{Keys, Op, RainPoint};
use super::reserve::{Crowd, progress};
use super::wire::{Burst, Reply, Verdict};
use super::{RehearsalError, Result, World};

pub const STEPS: u64 = 200;
/// Of 10,000 winners: tap once more after winning, and must see the same pack.
const WINNERS_AGAIN: u64 = 200;

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

/// What is going on while it rains.
struct Rain<'w, 'a> {
    world: &'w World<'a>,
    /// When an early winner may come back; a tap at or after it must win.
    due: HashMap<u32, Ms>,
    /// Who taps again in which step.
    returning: Vec<Vec<u32>>,
    now: Ms,
    step: u64,
    taps: u64,
}

pub async fn play(world: &World<'_>, crowd: &mut Crowd, keys: &mut Keys) -> Result<()> {
    let begun = Instant::now();
    let (opens, closes) = world.scenario.rain;
    let (starts, people) = schedule(world, crowd.told.len());
    let returning = (0..=STEPS).map(|_| Vec::new()).collect();
    let mut rain = Rain { world, due: HashMap::new(), returning, now: opens, step: 0, taps: 0 };
    world.office.clock(opens).await?;
    let bar = progress(people.len() as u64, "rain");
    let first = Instant::now();
    for step in 0..STEPS {
        rain.step = step;
        rain.now = step_time(world, step);
        world.office.clock(rain.now).await?;
        let mut items = people[starts[step as usize]..starts[step as usize + 1]].to_vec();
        items.append(&mut rain.returning[step as usize]);
        tap(&mut rain, crowd, &items).await?;
        bar.inc(items.len() as u64);
        note_point(&rain).await?;
        if world.recorder.faults() > 1_000 {
            return Err(RehearsalError::TooManyFaults { stage: "the rain", faults: world.recorder.faults() });
        }
    }
    bar.finish_and_clear();
    world.office.clock(closes).await?;
    keys.taps = Some(rain.taps);
    let told = |flag: u8| crowd.told.iter().filter(|told| **told & flag != 0).count();
    let seconds = first.elapsed().as_secs_f64();
    println!("taps={} won_by_tap={} lost={} claim_seconds={seconds:.1}", rain.taps, told(WON), told(LOST));
    world.recorder.note(format!(
        "The campaign clock stood still in each of {STEPS} steps of the rain until all of its taps were answered: claim_seconds={seconds:.1}. Up to {} taps were in flight on each of {} connections, and the time of a tap counts from the writing of its group.",
        world.options.pipeline, world.options.connections
    ));
    world.recorder.stage("rain", begun.elapsed());
    Ok(())
}

/// The instant on the campaign clock at which a step's taps are sent.
fn step_time(world: &World<'_>, step: u64) -> Ms {
    let (opens, closes) = world.scenario.rain;
    opens + (closes - opens) * step as i64 / STEPS as i64
}

/// The step of a person's tap; `nth` counts the taps one person was given.
fn tap_step(world: &World<'_>, person: u32, nth: u64) -> u64 {
    world.people.dice(Stream::TapTime, u64::from(person) | nth << 32) % STEPS
}

fn tap_count(world: &World<'_>, person: u32) -> u64 {
    let wanted = world.options.taps_per_person.clamp(0.0, 1_000.0);
    let whole = wanted as u64;
    let rest = ((wanted - whole as f64) * 10_000.0) as u64;
    whole + u64::from(world.people.chance(Stream::TapCount, u64::from(person), rest))
}

/// In which step a person first taps, if at all.
pub fn first_step(world: &World<'_>, person: u32) -> Option<u64> {
    (0..tap_count(world, person)).map(|nth| tap_step(world, person, nth)).min()
}

/// Everybody's taps sorted by step: where each step begins, and the people in it.
fn schedule(world: &World<'_>, people: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0_usize; STEPS as usize + 1];
    let each = |visit: &mut dyn FnMut(u32, usize)| {
        for person in 0..people as u32 {
            (0..tap_count(world, person)).for_each(|nth| visit(person, tap_step(world, person, nth) as usize));
        }
    };
    each(&mut |_, step| starts[step + 1] += 1);
    (0..STEPS as usize).for_each(|step| starts[step + 1] += starts[step]);
    let mut next = starts.clone();
    let mut sorted = vec![0_u32; starts[STEPS as usize]];
    each(&mut |person, step| {
        sorted[next[step]] = person;
        next[step] += 1;
    });
    (starts, sorted)
}

async fn tap(rain: &mut Rain<'_, '_>, crowd: &mut Crowd, items: &[u32]) -> Result<()> {
    let Crowd { passes, wires, told, packs, doubles, .. } = crowd;
    let world = rain.world;
    let (head, tail) = request_around(world);
    let build = |person: u32, out: &mut Vec<u8>| {
        out.extend_from_slice(&head);
        passes.append(person, out);
        out.extend_from_slice(tail);
    };
    let handle = |person: u32, reply: Reply<'_>| {
        rain.taps += 1;
        if reply.status != 200 {
            let what = format!("tap: {} {}", reply.status, problem_code(reply.body));
            world.recorder.fault(&what, || excerpt(reply.body));
            return Verdict::Done;
        }
        match serde_json::from_slice::<Told<'_>>(reply.body) {
            Ok(answer) => rain.hear(person, &answer, &reply, &mut told[person as usize], packs, doubles),
            Err(error) => {
                world.recorder.fault("a tap's answer cannot be read", || format!("{error}: {}", excerpt(reply.body)))
            }
        }
        Verdict::Done
    };
    wires.run(items, Burst { op: Op::Tap, recorder: world.recorder, build, handle }).await
}

impl Rain<'_, '_> {
    fn hear(
        &mut self,
        person: u32,
        answer: &Told<'_>,
        reply: &Reply<'_>,
        told: &mut u8,
        packs: &mut HashMap<u32, u64>,
        doubles: &mut u64,
    ) {
        let recorder = self.world.recorder;
        let wrong = |what: &str| recorder.fault(what, || format!("person {person}: {}", excerpt(reply.body)));
        match (answer.outcome, &answer.pack) {
            ("won", Some(pack)) => {
                if *told & LOST != 0 {
                    wrong("won after lost");
                }
                let again = *told & WON != 0;
                if again && !reply.replayed {
                    wrong("a second win was not marked as a repeat");
                }
                *told |= WON;
                note_pack(packs, person, pack.pack_no, doubles);
                if !again && self.world.people.chance(Stream::TapRepeat, u64::from(person), WINNERS_AGAIN) {
                    self.returning[self.step as usize + 1].push(person);
                }
            }
            ("not_yet", _) => self.wait(person, answer.retry_after_ms, wrong),
            ("lost", _) => {
                if *told & WON != 0 {
                    wrong("lost after won");
                }
                *told |= LOST;
            }
            _ => wrong("an outcome that this round does not have"),
        }
    }

    /// An early winner comes back at the promised moment, or leaves it to the close.
    fn wait(&mut self, person: u32, retry_after_ms: Option<i64>, wrong: impl Fn(&str)) {
        let Some(wait @ 1..) = retry_after_ms else { return wrong("not_yet without a wait") };
        match self.due.entry(person) {
            Entry::Occupied(due) if self.now >= *due.get() => wrong("not_yet again at the promised moment"),
            Entry::Occupied(_) => {}
            Entry::Vacant(slot) => {
                slot.insert(self.now + wait);
                let people = self.world.people;
                let back = (self.step + 1..STEPS).find(|step| step_time(self.world, *step) >= self.now + wait);
                if let Some(step) = back
                    && people.chance(Stream::TapReturn, u64::from(person), self.world.options.return_share)
                {
                    self.returning[step as usize].push(person);
                }
            }
        }
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

fn request_around(world: &World<'_>) -> (Vec<u8>, &'static [u8]) {
    let path = world.office.round_path("/claims");
    let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer ", world.client.address);
    (head.into_bytes(), b"\r\ncontent-length: 0\r\n\r\n")
}

async fn note_point(rain: &Rain<'_, '_>) -> Result<()> {
    let world = rain.world;
    let stats = world.office.stats().await?;
    let round = &stats["rounds"][0];
    let issued = round["issued"].as_u64().unwrap_or_default();
    let released = round["released"].as_u64().unwrap_or_default();
    // The curve is even over the scores, so the count follows it only as closely as chance does.
    let chance = 6.0 * (released as f64).sqrt() + 10.0;
    if issued as f64 > released as f64 + chance {
        world.recorder.fault("more packs issued than the curve had released", || round.to_string());
    }
    let second = (rain.now - world.scenario.rain.0) as f64 / 1000.0;
    world.recorder.rain.borrow_mut().push(RainPoint { second, issued, released });
    Ok(())
}
