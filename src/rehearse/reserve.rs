//! Stage B, first half: the crowd reserves, some twice, some think better of it, some may not.

use std::collections::HashMap;
use std::time::Instant;

use load_client::{Answer, Times};
use serde::Deserialize;
use serde_json::json;

use super::client::{Auth, Call, excerpt, problem_code};
use super::mass::{self, Item, Mass, Pace};
use super::passes::Passes;
use super::people::{Health, Stream};
use super::recorder::{Counted, Keys, Op};
use super::script::Script;
use super::{RehearsalError, Result, World};

/// The clock is moved this often through the reservation window.
const STEPS: u64 = 32;
/// Of 10,000 reservers: sent twice, or made and withdrawn, or refused for the wrong health colour.
const REPEATED: u64 = 200;
const WITHDRAWN: u64 = 50;
const YELLOW: u64 = 20;

/// What is remembered about the people who reserved.
pub struct Crowd {
    pub passes: Passes,
    /// First eight bytes of each pseudonym: enough to find a person on the published lists.
    pub prefixes: Vec<u64>,
    /// What each person has been told, filled by the rain.
    pub told: Vec<u8>,
    /// Hash of the pack number of each person who was shown one.
    pub packs: HashMap<u32, u64>,
    /// Those who have their pass tapped by a script.
    pub scripts: Vec<Script>,
    /// People who were shown two different packs.
    pub doubles: u64,
}

#[derive(Deserialize)]
struct Reserved<'a> {
    #[serde(borrow)]
    reservation: Reservation<'a>,
    pass: &'a str,
}

#[derive(Deserialize)]
struct Reservation<'a> {
    pseudonym: &'a str,
}

pub async fn play(world: &World<'_>, keys: &mut Keys) -> Result<Crowd> {
    let begun = Instant::now();
    let scenario = world.scenario;
    let people = u32::try_from(scenario.population).map_err(|_| too_many())?;
    let (opens, _) = scenario.reservation;
    world.office.clock(opens).await?;
    let mut reserving = Reserving {
        world,
        people,
        next: 0,
        until: people / 2,
        pace: Pace::new(world, scenario.reservation, STEPS),
        head: request_head(world),
        tail: request_tail(world),
        passes: Passes::new(people),
        prefixes: vec![0; people as usize],
    };
    mass::play(world, "reserve", u64::from(people / 2), &mut reserving)?;
    withdraw_some(world, people).await?;
    refuse_some(world, people).await?;
    reserving.until = people;
    mass::play(world, "reserve", u64::from(people - people / 2), &mut reserving)?;
    let Reserving { passes, prefixes, .. } = reserving;
    repeat_some(world, &prefixes).await?;
    let stats = world.office.stats().await?;
    let reserved = stats["reserved"].as_u64().unwrap_or_default();
    keys.reserved = Counted::new(reserved, scenario.population);
    let seconds = begun.elapsed().as_secs_f64();
    println!("reserved={reserved} of {} reserve_seconds={seconds:.1}", scenario.population);
    world.recorder.stage("reserve", begun.elapsed());
    let told = vec![0; people as usize];
    Ok(Crowd { passes, prefixes, told, packs: HashMap::new(), scripts: Vec::new(), doubles: 0 })
}

/// The crowd on its way to the list, in the order of its numbers.
struct Reserving<'w, 'a> {
    world: &'w World<'a>,
    people: u32,
    next: u32,
    until: u32,
    pace: Pace,
    head: String,
    tail: String,
    passes: Passes,
    prefixes: Vec<u64>,
}

impl Mass for Reserving<'_, '_> {
    fn op(&self) -> Op {
        Op::Reserve
    }

    fn next(&mut self) -> Option<Item> {
        // The last step is the close, at which nobody may reserve any more.
        let step = u64::from(self.next) * STEPS / u64::from(self.people.max(1));
        if self.pace.moves(step.min(STEPS - 1)) {
            return Some(Item::Clock);
        }
        let person = self.next;
        (person < self.until).then(|| {
            self.next += 1;
            Item::Person(person)
        })
    }

    fn write(&mut self, item: Item, out: &mut Vec<u8>) {
        match item {
            Item::Person(person) => {
                out.extend_from_slice(self.head.as_bytes());
                self.world.people.write_token(person, Health::Green, out);
                out.extend_from_slice(self.tail.as_bytes());
            }
            _ => self.pace.write(out),
        }
    }

    fn hear(&mut self, item: Item, answer: &Answer<'_>, _: Times) {
        match item {
            Item::Person(person) => self.take(person, answer),
            _ => self.pace.hear(self.world.recorder, answer),
        }
    }
}

impl Reserving<'_, '_> {
    fn take(&mut self, person: u32, answer: &Answer<'_>) {
        let recorder = self.world.recorder;
        let parsed = match answer.status {
            200 | 201 => serde_json::from_slice::<Reserved<'_>>(answer.body).map_err(|error| error.to_string()),
            status => Err(format!("{status} {}", problem_code(answer.body))),
        };
        let prefix =
            |reserved: &Reserved<'_>| reserved.reservation.pseudonym.get(..16).map(|hex| u64::from_str_radix(hex, 16));
        match parsed {
            Ok(reserved) => match prefix(&reserved) {
                Some(Ok(prefix)) => {
                    self.passes.put(person, reserved.pass);
                    self.prefixes[person as usize] = prefix;
                }
                _ => recorder.fault("reservation without a pseudonym", || excerpt(answer.body)),
            },
            Err(what) => recorder.fault(&format!("reserve: {what}"), || excerpt(answer.body)),
        }
    }
}

/// The same person again, with the same token: the same reservation comes back.
async fn repeat_some(world: &World<'_>, prefixes: &[u64]) -> Result<()> {
    let path = world.office.campaign_path("/reservations");
    let body = json_body(world);
    let chosen =
        (0..prefixes.len() as u64).filter(|person| world.people.chance(Stream::ReserveRepeat, *person, REPEATED));
    let chosen: Vec<u32> = chosen.map(|person| person as u32).collect();
    world
        .client
        .each(chosen.len(), async |index| {
            let person = chosen[index];
            let token = world.people.token(person, Health::Green);
            let answer = world.client.ask(Call::post(Op::Reserve, &path, Auth::Bearer(&token), &body)).await?;
            let same = answer.parse::<Reserved<'_>>().is_ok_and(|again| {
                again.reservation.pseudonym.starts_with(&format!("{:016x}", prefixes[person as usize]))
            });
            if !answer.ok() || !same {
                world.recorder.fault("a repeated reservation did not return the same", || answer.text());
            }
            Ok(())
        })
        .await
}

/// Extra people who reserve and withdraw; they must be on no list.
async fn withdraw_some(world: &World<'_>, people: u32) -> Result<()> {
    let count = (u64::from(people) * WITHDRAWN / 10_000).max(1) as usize;
    let path = world.office.campaign_path("/reservations");
    let mine = world.office.campaign_path("/reservations/mine");
    let body = json_body(world);
    world
        .client
        .each(count, async |index| {
            let token = world.people.token(people + index as u32, Health::Green);
            let made = world.client.ask(Call::post(Op::Reserve, &path, Auth::Bearer(&token), &body)).await?;
            let gone = world.client.ask(Call::delete(Op::Withdraw, &mine, Auth::Bearer(&token))).await?;
            if !made.ok() || !gone.ok() {
                world
                    .recorder
                    .fault("a reservation could not be withdrawn", || format!("{} then {}", made.text(), gone.text()));
            }
            Ok(())
        })
        .await
}

/// Extra people whose health pass is yellow: refused where the file asks for green.
async fn refuse_some(world: &World<'_>, people: u32) -> Result<()> {
    if world.scenario.document["eligibility"]["health_pass"] != "green" {
        return Ok(());
    }
    let count = (u64::from(people) * YELLOW / 10_000).max(1) as usize;
    let first = people + u32::try_from(u64::from(people) * WITHDRAWN / 10_000).unwrap_or(u32::MAX).max(1);
    let path = world.office.campaign_path("/reservations");
    let body = json_body(world);
    world
        .client
        .each(count, async |index| {
            let token = world.people.token(first + index as u32, Health::Yellow);
            let answer = world.client.ask(Call::post(Op::Reserve, &path, Auth::Bearer(&token), &body)).await?;
            if answer.status != 403 || answer.code() != "not_eligible" {
                world
                    .recorder
                    .fault("a yellow health pass was not refused", || format!("{} {}", answer.status, answer.text()));
            }
            Ok(())
        })
        .await
}

fn json_body(world: &World<'_>) -> serde_json::Value {
    match &world.scenario.consent_version {
        Some(version) => json!({"round_id": world.scenario.round_id, "consent_version": version}),
        None => json!({"round_id": world.scenario.round_id}),
    }
}

fn request_head(world: &World<'_>) -> String {
    let path = world.office.campaign_path("/reservations");
    format!("POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer ", world.client.address)
}

fn request_tail(world: &World<'_>) -> String {
    let body = json_body(world).to_string();
    format!("\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A bar on a terminal; nothing in a log.
pub fn progress(length: u64, what: &'static str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(length);
    if let Ok(style) =
        indicatif::ProgressStyle::with_template("{prefix:>10} {wide_bar} {human_pos}/{human_len} {per_sec}")
    {
        bar.set_style(style);
    }
    bar.with_prefix(what)
}

fn too_many() -> RehearsalError {
    RehearsalError::Campaign("more people than the driver can number".into())
}
