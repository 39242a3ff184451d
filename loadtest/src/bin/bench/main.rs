//! `make bench`: what the service costs, against a bare handler and the usual designs, all in one run on one machine.
//!
//! It is a stranger to the service: it starts `quanyu serve --sandbox` in a folder of its own and speaks HTTP to it. Only the row of the
//! script inside the store knows more, see [`script`]. It fails when an answer or the books are wrong, never because a figure is low.

mod bare;
mod books;
mod campaign;
mod checkout;
mod client;
mod drive;
mod meter;
mod process;
mod report;
mod rows;
mod script;
mod settings;
mod store;
mod till;
mod world;

use std::path::Path;
use std::process::ExitCode;

use checkout::{Checkout, Done};
use rows::Rows;
use settings::Settings;
use store::OwnStore;
use world::World;

/// The service has this allocator, so the bare handler gets it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why a run could not be finished.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    pub fn new(text: impl Into<String>) -> Fault {
        Fault(text.into())
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Fault {
        Fault::new(text)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::new(error.to_string())
    }
}

impl From<redis::RedisError> for Fault {
    fn from(error: redis::RedisError) -> Fault {
        Fault::new(format!("the store: {error}"))
    }
}

/// Progress, apart from the figures.
pub fn say(text: impl AsRef<str>) {
    eprintln!("bench: {}", text.as_ref());
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        None => run(),
        Some((word, rest)) if word == "bare" => bare::run(rest).map(|()| true),
        Some(_) => Err("bench takes no arguments; BENCH_POPULATION and others are read from the environment".into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Fault(text)) => {
            eprintln!("bench: {text}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Fault> {
    let settings = Settings::of_environment().map_err(Fault::new)?;
    let folder = settings.folder.join(format!("data-{}", std::process::id()));
    let good = run_in(&settings, &folder);
    // Gigabytes of files that nobody needs any more.
    let _ = std::fs::remove_dir_all(&folder);
    good
}

fn run_in(settings: &Settings, folder: &Path) -> Result<bool, Fault> {
    std::fs::create_dir_all(folder)?;
    let fsync_before = store::fsync_us(folder)?;
    let world = World::set_up(settings, folder)?;
    let rows = Rows::new(&world);
    let done = Done::default();
    for round in 0..settings.rounds {
        say(format!("round {} of {}", round + 1, settings.rounds));
        one_round(&rows, round, &done)?;
    }
    let fsync_us = meter::median(vec![fsync_before, store::fsync_us(folder)?]);
    say("the books");
    books::check(&rows, &done)?;
    let crowds = crowds(&world, folder)?;
    let samples = rows.samples.into_inner();
    let World { node, cold, bare, setup, faults, store, .. } = world;
    let store_version = store.into_inner().version;
    // The draw gets the whole machine.
    drop((cold, bare, node));
    let ballot = ballot(settings)?;
    report::write(&report::Run { settings, samples, setup, faults, fsync_us, crowds, ballot, store_version })
}

/// Every row once. The baseline comes in several times, so that it sees the same machine as the rows around it.
fn one_round(rows: &Rows<'_>, round: usize, done: &Done) -> Result<(), Fault> {
    rows.baseline(round)?;
    rows.losing(round)?;
    rows.cold(round)?;
    rows.baseline(round)?;
    rows.losing_by_token(round)?;
    let claimed = rows.claim(round)?;
    rows.reserve(round)?;
    rows.baseline(round)?;
    Checkout::new(rows, round, claimed).run(done)?;
    rows.baseline(round)?;
    rows.peers(round)?;
    rows.pipelined(round)
}

/// The script over two crowds, in turn: the growth of its cost is the ratio of the two.
fn crowds(world: &World<'_>, folder: &Path) -> Result<[script::Figures; 2], Fault> {
    let settings = world.settings;
    let gather = |persons: usize, name: &str| {
        say(format!("{persons} persons for the script"));
        let own = OwnStore::like(&mut world.store.borrow_mut(), &folder.join(name))?;
        script::Crowd::gather(own, persons)
    };
    let mut small = gather(settings.lua_persons / 10, "s")?;
    let mut large = gather(settings.lua_persons, "l")?;
    for _ in 0..settings.rounds {
        small.claim(settings.rounds)?;
        large.claim(settings.rounds)?;
    }
    Ok([small.figures(), large.figures()])
}

/// The program measures its draw itself: the list in memory is nothing that a stranger could hand to it.
fn ballot(settings: &Settings) -> Result<Vec<(String, String)>, Fault> {
    say(format!("a draw of {} entries", settings.ballot_entries));
    let mut command = std::process::Command::new(&settings.program);
    command.args(["selftest", "ballot", "--entries", &settings.ballot_entries.to_string()]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(Fault::new(format!("selftest ballot: {text}{}", String::from_utf8_lossy(&output.stderr))));
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
