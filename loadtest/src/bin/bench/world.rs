//! Everything that is there before the first row: two campaigns, shops, people with passes, and who of them has won.

use std::cell::RefCell;
use std::path::Path;

use loadtest::engine::Request;
use loadtest::people::People;
use loadtest::till::merchant;
use memchr::memmem;
use serde_json::json;

use super::Fault;
use super::campaign::{self, CONSENT};
use super::client;
use super::drive::{Driven, Reply, Shape, drive};
use super::process::{Bare, Node};
use super::settings::Settings;
use super::store::Store;
use super::till::Till;

/// Requests on the way on a connection while things are set up and nothing is measured.
const SETUP_DEPTH: usize = 16;
/// Faults that are told in full; the rest is counted.
const TOLD: usize = 10;

pub struct World<'a> {
    pub settings: &'a Settings,
    /// Takes part in every row but one.
    pub node: Node,
    /// Sees each pass once and nothing else.
    pub cold: Node,
    pub bare: Bare,
    pub store: RefCell<Store>,
    pub people: People,
    pub passes: Vec<Box<str>>,
    pub losers: Vec<u32>,
    pub winners: Vec<u32>,
    pub tills: Vec<Till>,
    pub setup: Setup,
    pub faults: Faults,
}

/// What setting up told by itself.
#[derive(Default)]
pub struct Setup {
    pub reserved: Driven,
    pub bytes_per_reservation: f64,
}

/// What did not hold; each one makes the run fail.
#[derive(Default)]
pub struct Faults {
    told: RefCell<Vec<String>>,
    count: std::cell::Cell<usize>,
}

impl Faults {
    pub fn add(&self, text: impl FnOnce() -> String) {
        self.count.set(self.count.get() + 1);
        if self.count.get() <= TOLD {
            self.told.borrow_mut().push(text());
        }
    }

    pub fn expect(&self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.add(text);
        }
    }

    pub fn count(&self) -> usize {
        self.count.get()
    }

    pub fn told(&self) -> Vec<String> {
        self.told.borrow().clone()
    }
}

impl<'a> World<'a> {
    pub fn set_up(settings: &'a Settings, folder: &Path) -> Result<World<'a>, Fault> {
        let faults = Faults::default();
        let node = Node::start(&settings.program, folder.join("a"), campaign::EVE, None)?;
        node.clock(campaign::EVE)?;
        publish(&node, settings)?;
        let people = People::new(&node.token_key, "wechat", 1).ok_or("the token key cannot be read")?;
        let mut store = Store::open(&node.redis_url)?;
        node.clock(campaign::RESERVING)?;
        let tills = open_shops(&node)?;
        super::say(format!("{} people reserve", settings.people()));
        let before = store.used_memory()?;
        let (reserved, passes) = reserve_all(settings, &node, &people, &faults)?;
        let bytes_per_reservation = (store.used_memory()? - before) as f64 / settings.people() as f64;
        super::say(format!("reserved in {:.0} s; now the draw", reserved.seconds));
        for instant in [campaign::LISTED, campaign::DRAWN, campaign::SOON] {
            node.clock(instant)?;
        }
        store.settle()?;
        node.clock(campaign::OPENING)?;
        let scout = Node::start(&settings.program, folder.join("b"), campaign::OPENING, Some(&node))?;
        let (losers, winners) = sort_out(settings, &scout, &passes, &faults)?;
        drop(scout);
        faults.expect(winners.len() == settings.winners(), || {
            format!("{} people have won instead of {}", winners.len(), settings.winners())
        });
        let mut cold = Node::start(&settings.program, folder.join("c"), campaign::OPENING, Some(&node))?;
        node.clock(campaign::POURING)?;
        cold.wait_clock(campaign::POURING)?;
        let lost = losing_answer(&node, &passes, &losers)?;
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let canned = folder.join("lost.http");
        std::fs::write(&canned, &lost).map_err(|error| Fault::new(error.to_string()))?;
        let bare = Bare::start(folder, &canned, workers, &node.redis_url)?;
        same_bytes(&bare, &lost, &faults)?;
        let setup = Setup { reserved, bytes_per_reservation };
        let store = RefCell::new(store);
        Ok(World { settings, node, cold, bare, store, people, passes, losers, winners, tills, setup, faults })
    }

    pub fn shape(&self, address: std::net::SocketAddr) -> Shape {
        Shape { address, connections: self.settings.connections, depth: self.settings.depth }
    }

    /// For what is prepared between two rows.
    pub fn quick(&self) -> Shape {
        Shape { depth: SETUP_DEPTH, ..self.shape(self.node.address) }
    }

    pub fn pass(&self, person: u32) -> &str {
        &self.passes[person as usize]
    }
}

/// Requests of one kind, for many people.
pub fn post(path: &str) -> Request {
    Request::new("POST", "quanyu", path)
}

/// The body of a reservation.
pub fn wish() -> Vec<u8> {
    json!({"consent_version": CONSENT}).to_string().into_bytes()
}

/// The text of a member of a JSON body, without reading the rest.
pub fn member<'b>(body: &'b [u8], name: &str) -> Option<&'b str> {
    let lead = format!("\"{name}\":\"");
    let begin = memmem::find(body, lead.as_bytes())? + lead.len();
    let length = memchr::memchr(b'"', &body[begin..])?;
    std::str::from_utf8(&body[begin..begin + length]).ok()
}

/// A member of an answer that has this status.
pub fn text_of<'b>(reply: &'b Reply<'_>, status: u16, name: &str) -> Option<&'b str> {
    reply.as_ref().ok().filter(|answer| answer.status == status).and_then(|answer| member(answer.body, name))
}

/// An answer for a person to read.
pub fn shown(reply: &Reply<'_>) -> String {
    match reply {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)),
        Err(lost) => lost.to_string(),
    }
}

fn publish(node: &Node, settings: &Settings) -> Result<(), Fault> {
    for file in [campaign::rain, campaign::list].map(|file| file(settings.winners(), settings.people())) {
        let path = format!("/v1/campaigns/{}", file["campaign_id"].as_str().unwrap_or_default());
        node.office("PUT", &path, &file)?;
        for step in ["submit", "approve", "publish"] {
            node.office("POST", &format!("{path}/{step}"), &json!({}))?;
        }
    }
    Ok(())
}

fn open_shops(node: &Node) -> Result<Vec<Till>, Fault> {
    (0..campaign::MERCHANTS)
        .map(|number| {
            let (id, application) = merchant(number, 1, "510104", "510104");
            node.office("POST", "/v1/merchants", &application)?;
            let enrolment = format!("/v1/campaigns/{}/merchants/{id}", campaign::RAIN);
            node.office("PUT", &enrolment, &json!({}))?;
            node.office("POST", &format!("{enrolment}/approve"), &json!({}))?;
            let terminal = json!({"terminal_id": format!("{id}-t1")});
            let made = node.office("POST", &format!("/v1/merchants/{id}/terminals"), &terminal)?;
            let text = |name: &str| made[name].as_str().unwrap_or_default();
            Ok(Till::new(&id, text("key_id"), text("secret")))
        })
        .collect()
}

fn reserve_all(
    settings: &Settings,
    node: &Node,
    people: &People,
    faults: &Faults,
) -> Result<(Driven, Vec<Box<str>>), Fault> {
    let shape = Shape { address: node.address, connections: settings.connections, depth: SETUP_DEPTH };
    let mut passes = vec![Box::<str>::from(""); settings.people()];
    let (request, wish) = (post(campaign::RESERVE_RAIN), wish());
    let build = |person: usize, out: &mut Vec<u8>| {
        request.write(out, &["Bearer ", &people.token(person as u64)], &wish);
    };
    let driven = drive(shape, settings.people(), None, build, |person, reply| match text_of(&reply, 201, "pass") {
        Some(pass) => passes[person] = pass.into(),
        None => faults.add(|| format!("reserve: {}", shown(&reply))),
    })?;
    match faults.count() {
        0 => Ok((driven, passes)),
        _ => Err(Fault::new(format!("not everybody could reserve: {:?}", faults.told()))),
    }
}

/// Everybody taps once at the opening: a loser is told so, a winner reads when to come back.
fn sort_out(
    settings: &Settings,
    scout: &Node,
    passes: &[Box<str>],
    faults: &Faults,
) -> Result<(Vec<u32>, Vec<u32>), Fault> {
    let shape = Shape { address: scout.address, connections: settings.connections, depth: SETUP_DEPTH };
    let (mut losers, mut winners) = (Vec::new(), Vec::new());
    let request = post(campaign::TAP);
    let build = |person: usize, out: &mut Vec<u8>| request.write(out, &["Bearer ", &passes[person]], b"");
    drive(shape, passes.len(), None, build, |person, reply| match text_of(&reply, 200, "outcome") {
        Some("lost") => losers.push(person as u32),
        Some("not_yet") => winners.push(person as u32),
        _ => faults.add(|| format!("first tap: {}", shown(&reply))),
    })?;
    // Answers come in any order; the rows shall be the same in every run.
    losers.sort_unstable();
    winners.sort_unstable();
    Ok((losers, winners))
}

fn losing_answer(node: &Node, passes: &[Box<str>], losers: &[u32]) -> Result<Vec<u8>, Fault> {
    let loser = *losers.first().ok_or("nobody has lost")?;
    let request = post(campaign::TAP).bytes(&format!("Bearer {}", passes[loser as usize]), b"");
    let answer = client::exchange(node.address, &request)?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 || !text.contains("\"lost\"") {
        return Err(Fault::new(format!("a loser's tap: {} {text}", answer.status)));
    }
    Ok([answer.head.as_bytes(), &answer.body].concat())
}

/// The bare handler must answer what the service answers, or the comparison is none.
fn same_bytes(bare: &Bare, lost: &[u8], faults: &Faults) -> Result<(), Fault> {
    let request = post(campaign::TAP).bytes("Bearer qp1.x.y", b"");
    let answer = client::exchange(bare.address, &request)?;
    let lines = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines: Vec<String> =
            text.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let (ours, theirs) = (lines(lost), lines(&[answer.head.as_bytes(), &answer.body].concat()));
    faults.expect(ours == theirs, || format!("the bare handler answers {theirs:?}, the service {ours:?}"));
    Ok(())
}
