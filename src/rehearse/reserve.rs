//! Stage B, first half: the crowd reserves, some twice, some think better of it, some may not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write as _;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::client::{Auth, Call, excerpt, problem_code};
use super::passes::Passes;
use super::people::{Health, Stream};
use super::recorder::{Counted, Keys, Op};
use super::wire::{Burst, Reply, Verdict, Wires};
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
    pub wires: Wires,
    /// What each person has been told, filled by the rain.
    pub told: Vec<u8>,
    /// Hash of the pack number of each person who was shown one.
    pub packs: HashMap<u32, u64>,
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
    let options = world.options;
    let crowd = RefCell::new((Passes::new(people), vec![0_u64; people as usize]));
    let mut wires = Wires::new(world.client.address, options.connections as usize, options.pipeline as usize);
    let path = world.office.campaign_path("/reservations");
    let body = reservation_body(world);
    let (opens, closes) = scenario.reservation;
    let bar = progress(scenario.population, "reserve");
    for step in 0..STEPS {
        world.office.clock(opens + (closes - opens) * step as i64 / STEPS as i64).await?;
        let share = |step: u64| (u64::from(people) * step / STEPS) as u32;
        let items: Vec<u32> = (share(step)..share(step + 1)).collect();
        let build = |person: u32, out: &mut Vec<u8>| {
            let token = world.people.token(person, Health::Green);
            request(out, &path, &world.client.address.to_string(), &token, &body);
        };
        let handle = |person: u32, reply: Reply<'_>| take(world, &crowd, person, &reply);
        wires.run(&items, Burst { op: Op::Reserve, recorder: world.recorder, build, handle }).await?;
        bar.inc(items.len() as u64);
        if world.recorder.faults() > 1_000 {
            return Err(RehearsalError::TooManyFaults { stage: "reserving", faults: world.recorder.faults() });
        }
        if step == STEPS / 2 {
            withdraw_some(world, people).await?;
            refuse_some(world, people).await?;
        }
    }
    let (passes, prefixes) = crowd.into_inner();
    repeat_some(world, &prefixes).await?;
    bar.finish_and_clear();
    let stats = world.office.stats().await?;
    let reserved = stats["reserved"].as_u64().unwrap_or_default();
    keys.reserved = Counted::new(reserved, scenario.population);
    println!("reserved={reserved} of {}", scenario.population);
    world.recorder.stage("reserve", begun.elapsed());
    let told = vec![0; people as usize];
    Ok(Crowd { passes, prefixes, wires, told, packs: HashMap::new(), doubles: 0 })
}

fn take(world: &World<'_>, crowd: &RefCell<(Passes, Vec<u64>)>, person: u32, reply: &Reply<'_>) -> Verdict {
    let parsed = match reply.status {
        200 | 201 => serde_json::from_slice::<Reserved<'_>>(reply.body).map_err(|error| error.to_string()),
        status => Err(format!("{status} {}", problem_code(reply.body))),
    };
    let prefix =
        |reserved: &Reserved<'_>| reserved.reservation.pseudonym.get(..16).map(|hex| u64::from_str_radix(hex, 16));
    match parsed {
        Ok(reserved) => match prefix(&reserved) {
            Some(Ok(prefix)) => {
                let mut crowd = crowd.borrow_mut();
                crowd.0.put(person, reserved.pass);
                crowd.1[person as usize] = prefix;
            }
            _ => world.recorder.fault("reservation without a pseudonym", || excerpt(reply.body)),
        },
        Err(what) => world.recorder.fault(&format!("reserve: {what}"), || excerpt(reply.body)),
    }
    Verdict::Done
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

fn reservation_body(world: &World<'_>) -> String {
    json_body(world).to_string()
}

fn request(out: &mut Vec<u8>, path: &str, host: &str, token: &str, body: &str) {
    // Writing into a vector cannot fail.
    let _ = write!(
        out,
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
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
