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
mod orders;
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
use process::Node;
use rows::Rows;
use settings::Settings;
use store::{OwnStore, Store};
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
        None => run(run_in),
        Some((word, [])) if word == "script" => run(script_alone),
        Some((word, [])) if word == "till" => run(till_alone),
        Some((word, rest)) if word == "bare" => bare::run(rest).map(|()| true),
        Some(_) => Err(
            "bench takes no argument but `script` or `till`; BENCH_POPULATION and others are read from the environment"
                .into(),
        ),
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

fn run(work: impl FnOnce(&Settings, &Path) -> Result<bool, Fault>) -> Result<bool, Fault> {
    let settings = Settings::of_environment().map_err(Fault::new)?;
    forget_dead_runs(&settings.folder);
    let folder = settings.folder.join(format!("data-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let good = work(&settings, &folder);
    // Gigabytes of files that nobody needs any more.
    let _ = std::fs::remove_dir_all(&folder);
    good
}

/// A run that was killed has left its files behind.
fn forget_dead_runs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let dead = |pid: &str| Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists();
        if name.strip_prefix("data-").is_some_and(dead) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn run_in(settings: &Settings, folder: &Path) -> Result<bool, Fault> {
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
    let crowds = crowds(settings, &mut world.store.borrow_mut(), folder)?;
    let orders = orders(settings, &mut world.store.borrow_mut(), folder)?;
    let samples = rows.samples.into_inner();
    let World { node, cold, bare, setup, faults, store, .. } = world;
    let store_version = store.into_inner().version;
    // The draw gets the whole machine.
    drop((cold, bare, node));
    let ballot = ballot(settings)?;
    report::write(&report::Run { settings, samples, setup, faults, fsync_us, crowds, orders, ballot, store_version })
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
fn crowds(settings: &Settings, service: &mut Store, folder: &Path) -> Result<[script::Figures; 2], Fault> {
    let mut gather = |persons: usize, name: &str| {
        say(format!("{persons} persons for the script"));
        script::Crowd::gather(OwnStore::like(service, &folder.join(name))?, persons)
    };
    let mut small = gather(settings.lua_persons / 10, "s")?;
    let mut large = gather(settings.lua_persons, "l")?;
    for _ in 0..settings.rounds {
        small.claim(settings.rounds)?;
        large.claim(settings.rounds)?;
    }
    Ok([small.figures(), large.figures()])
}

/// As many orders as a city makes.
fn orders(settings: &Settings, service: &mut Store, folder: &Path) -> Result<orders::Figures, Fault> {
    say(format!("{} orders in a store", settings.orders));
    orders::fill(OwnStore::like(service, &folder.join("o"))?, settings.orders)
}

/// `bench script`: the script alone, for whoever works on it.
fn script_alone(settings: &Settings, folder: &Path) -> Result<bool, Fault> {
    let node = Node::start(&settings.program, folder.join("a"), campaign::EVE, None)?;
    let mut service = Store::open(&node.redis_url)?;
    for figures in crowds(settings, &mut service, folder)? {
        let script::Figures { persons, per_s, per_s_user, floor_per_s, bytes_per_pack, packs } = figures;
        println!(
            "persons={persons} packs={packs} claims_per_s={per_s:.0} user_time={per_s_user:.0} floor_per_s={floor_per_s:.0} bytes_per_pack={bytes_per_pack:.1}"
        );
    }
    let orders::Figures { orders, bytes_each, per_s } = orders(settings, &mut service, folder)?;
    println!("orders={orders} redemptions_per_s={per_s:.0} bytes_per_redemption={bytes_each:.1}");
    Ok(true)
}

/// `bench till`: the rows of the till and the claims that they need, for whoever works on them.
fn till_alone(settings: &Settings, folder: &Path) -> Result<bool, Fault> {
    let world = World::set_up(settings, folder)?;
    let rows = Rows::new(&world);
    let done = Done::default();
    for round in 0..settings.rounds {
        let claimed = rows.claim(round)?;
        rows.baseline(round)?;
        Checkout::new(&rows, round, claimed).run(&done)?;
        rows.baseline(round)?;
    }
    books::check(&rows, &done)?;
    report::print(&rows.samples.borrow());
    world.faults.told().iter().for_each(|fault| println!("fault: {fault}"));
    Ok(world.faults.count() == 0)
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
