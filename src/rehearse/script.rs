//! Scripted clients: a few people have their pass tapped a thousand times a second from the instant at which the rain opens.
//!
//! It must gain them nothing. Above the rate of a pass they are told 429; every other answer is the one that a single tap
//! would have got; and in the end they have a pack if and only if they stand on the list that was drawn before.

use std::time::{Duration, Instant};

use load_client::{Answer, Lost, Target, Times, Work, drive};
use serde::Deserialize;

use super::client::{excerpt, problem_code};
use super::people::Stream;
use super::rain::{LOST, WON, note_pack, request_head};
use super::reserve::Crowd;
use super::{RehearsalError, Result, World};

const CLIENTS: u64 = 10;
/// Taps of each client, one in a millisecond.
const TAPS: u64 = 1_000;
const CONNECTIONS: usize = 32;

/// One scripted client and what it heard.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub person: u32,
    pub sent: u64,
    /// Answers that say something about the draw.
    pub lost: u64,
    pub not_yet: u64,
    pub won: u64,
    /// 429: above the rate of a pass.
    pub limited: u64,
    /// No answer, or one that sheds.
    pub unanswered: u64,
}

impl Script {
    fn answered(&self) -> u64 {
        self.lost + self.not_yet + self.won
    }

    pub fn heard(&self) -> &'static str {
        match (self.lost > 0, self.not_yet > 0, self.won > 0) {
            (true, false, false) => "lost",
            (false, true, false) => "not_yet",
            (false, false, true) => "won",
            (false, false, false) => "nothing",
            _ => "one thing and another",
        }
    }
}

#[derive(Deserialize)]
struct Told<'a> {
    outcome: &'a str,
    #[serde(borrow)]
    pack: Option<Pack<'a>>,
}

#[derive(Deserialize)]
struct Pack<'a> {
    pack_no: &'a str,
}

struct Scripts<'w, 'a, 'c> {
    world: &'w World<'a>,
    crowd: &'c mut Crowd,
    scripts: Vec<Script>,
    head: Vec<u8>,
    begun: Instant,
    last: Instant,
    sent: u64,
    /// Taps a second that a pass may make, as the server says with a 429.
    rate: u64,
}

/// The clock stands at the opening; afterwards the same people tap once in the rain, like everybody.
pub fn play(world: &World<'_>, crowd: &mut Crowd) -> Result<()> {
    let scripts = chosen(world, crowd.told.len() as u64);
    let target = Target::new(world.client.address, CONNECTIONS);
    let now = Instant::now();
    let head = request_head(world);
    let mut playing = Scripts { world, crowd, scripts, head, begun: now, last: now, sent: 0, rate: 0 };
    let driven = drive(&target, &mut playing);
    driven.map_err(|error| RehearsalError::Silent {
        path: "scripted taps".into(),
        tries: 1,
        last: error.to_string(),
    })?;
    let seconds = playing.last.saturating_duration_since(playing.begun).as_secs_f64();
    let (scripts, rate) = (playing.scripts, playing.rate);
    scripts.iter().for_each(|script| judge(world, script, rate, seconds));
    let sum = |figure: fn(&Script) -> u64| scripts.iter().map(figure).sum::<u64>();
    println!(
        "scripted_clients={} scripted_taps={} scripted_429={} scripted_answers={} scripted_seconds={seconds:.1}",
        scripts.len(),
        sum(|script| script.sent),
        sum(|script| script.limited),
        sum(Script::answered)
    );
    crowd.scripts = scripts;
    Ok(())
}

fn chosen(world: &World<'_>, people: u64) -> Vec<Script> {
    let mut chosen: Vec<u32> =
        (0..CLIENTS).map(|client| (world.people.dice(Stream::Script, client) % people) as u32).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen.into_iter().map(|person| Script { person, ..Script::default() }).collect()
}

fn judge(world: &World<'_>, script: &Script, rate: u64, seconds: f64) {
    let wrong = |what: &str| world.recorder.fault(what, || format!("{script:?}, {rate} a second, {seconds:.2} s"));
    // What a pass may do at once, and what it may do in each second after that.
    let allowed = (rate as f64 * (seconds + 1.0)).ceil() as u64 + 1;
    if script.limited == 0 || script.answered() > allowed {
        wrong("a scripted client was not held to the rate of a pass");
    }
    if !["lost", "not_yet", "won"].contains(&script.heard()) {
        wrong("a scripted client heard different things at one instant of the clock");
    }
}

impl Work for Scripts<'_, '_, '_> {
    fn begin(&mut self, now: Instant) {
        (self.begun, self.last) = (now, now);
    }

    fn due(&mut self) -> Option<Instant> {
        let clients = self.scripts.len() as u64;
        (self.sent < clients * TAPS).then(|| self.begun + Duration::from_millis(self.sent / clients))
    }

    fn take(&mut self, _: Instant, request: &mut Vec<u8>) -> u64 {
        let client = self.sent % self.scripts.len() as u64;
        let script = &mut self.scripts[client as usize];
        script.sent += 1;
        self.sent += 1;
        request.extend_from_slice(&self.head);
        self.crowd.passes.append(script.person, request);
        request.extend_from_slice(b"\r\ncontent-length: 0\r\n\r\n");
        client
    }

    fn answered(&mut self, client: u64, times: Times, outcome: std::result::Result<Answer<'_>, Lost>) {
        self.last = times.received;
        let script = &mut self.scripts[client as usize];
        match outcome {
            Ok(answer) if answer.status == 429 => {
                script.limited += 1;
                if let Some(rate) = answer.header("ratelimit-policy").and_then(quota) {
                    self.rate = rate;
                }
            }
            Ok(answer) if answer.status == 200 => self.hear(client as usize, &answer),
            Ok(answer) if answer.status == 503 => script.unanswered += 1,
            Ok(answer) => {
                let what = format!("scripted tap: {} {}", answer.status, problem_code(answer.body));
                self.world.recorder.fault(&what, || excerpt(answer.body));
            }
            Err(_) => script.unanswered += 1,
        }
    }
}

impl Scripts<'_, '_, '_> {
    fn hear(&mut self, client: usize, answer: &Answer<'_>) {
        let script = &mut self.scripts[client];
        let Crowd { told, packs, doubles, .. } = &mut *self.crowd;
        let told = &mut told[script.person as usize];
        match serde_json::from_slice::<Told<'_>>(answer.body) {
            Ok(Told { outcome: "lost", .. }) => {
                script.lost += 1;
                *told |= LOST;
            }
            Ok(Told { outcome: "not_yet", .. }) => script.not_yet += 1,
            Ok(Told { outcome: "won", pack: Some(pack) }) => {
                script.won += 1;
                *told |= WON;
                note_pack(packs, script.person, pack.pack_no, doubles);
            }
            _ => self.world.recorder.fault("a scripted tap's answer cannot be read", || excerpt(answer.body)),
        }
    }
}

/// The number behind `q=` of a policy such as `"claim";q=20;w=1`.
fn quota(policy: &str) -> Option<u64> {
    policy.split(';').find_map(|part| part.trim().strip_prefix("q="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_a_pass_is_read_from_its_policy() {
        assert_eq!(quota("\"claim\";q=20;w=1"), Some(20));
        assert_eq!(quota("\"claim\""), None);
    }

    #[test]
    fn a_script_that_heard_two_things_says_so() {
        let script = Script { lost: 3, not_yet: 1, ..Script::default() };
        assert_eq!(script.heard(), "one thing and another");
        assert_eq!(Script { lost: 3, limited: 900, ..Script::default() }.heard(), "lost");
    }
}
