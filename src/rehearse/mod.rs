//! `quanyu rehearse FILE`: a whole campaign, from publication to settlement, played over HTTP.
//!
//! The rehearsal is a stranger to the engine: it reads the public contract only, keeps its own books, and at the
//! end compares them with the ledger, the settlements and the published draw to the fen. It drives the sandbox
//! clock itself, so a two month campaign ends in minutes and the rain runs exactly as fast as the server keeps up. What millions
//! do goes through the cheap client of `client/` (`mass.rs`); office, tills and customers ask one thing after another (`client.rs`).

mod books;
mod campaign;
mod chart;
mod client;
mod closing;
mod draw;
mod gauge;
mod mass;
mod merchants;
mod office;
mod passes;
mod people;
mod purchase;
mod rain;
mod recorder;
mod redeem;
mod report;
mod reserve;
mod script;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use campaign::Scenario;
use client::Client;
use office::Office;
use people::People;
use recorder::{Keys, Recorder};
use server::Server;

/// What `quanyu rehearse` can be told.
#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    /// The campaign file (JSON, as for PUT /v1/campaigns/{campaign_id}). It plays one shape of campaign: a single round of mode rain that gives
    /// one pack by number, with a reservation, unclaimed: credit and lost_at: first_tap, vouchers of kind save, begin and end of validity
    /// as times, no location and no stagger. Of the shipped files that is chengdu-2020; any other is told and not played.
    pub file: PathBuf,
    /// Divide the people, the packs and the budget of the file by this number [default: 100].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub scale: Option<u64>,
    /// How many people reserve; without --scale the packs follow in proportion.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    pub population: Option<u64>,
    /// Decides every person, tap, purchase and refund of the rehearsal.
    #[arg(long, default_value_t = 20_200_724)]
    pub seed: u64,
    /// Where the report goes; by default a folder under target/rehearse named by campaign and seed.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Data directory: of the running sandbox at --url, or for the server started here (then it is kept).
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Use a sandbox that already runs, as http://HOST:PORT; needs its --data for the keys.
    #[arg(long, requires = "data")]
    pub url: Option<String>,
    /// Taps of each person in the rain, on average.
    #[arg(long, default_value_t = 1.0)]
    pub taps_per_person: f64,
    /// Purchases of each person with a pack, on average (by default 6 in 10 vouchers, and 250,000 purchases in all at most).
    #[arg(long)]
    pub purchases: Option<f64>,
    /// How many of 10,000 redeemed orders are given back.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub refund_share: u64,
    /// How many of 10,000 early winners tap again when their moment has come; the others are credited after the close.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub return_share: u64,
    /// Keep-alive connections of the office, the tills and their customers.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub connections: u64,
    /// Keep-alive connections of the crowd that reserves and taps.
    #[arg(long, default_value_t = 768, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub crowd_connections: u64,
    /// Requests of the crowd in flight on one connection.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub pipeline: u64,
    /// Merchants at the tills [default: one for 1,000 people, 8 to 2,000].
    #[arg(long)]
    pub merchants: Option<u64>,
    /// Keep the data directory of the server that the rehearsal started.
    #[arg(long)]
    pub keep: bool,
}

/// Why a rehearsal could not be played to its end. A campaign that misbehaves is not an error but a failed key.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    #[error("this campaign file cannot be rehearsed: {0}")]
    Campaign(String),
    #[error("no sandbox to rehearse on: {0}")]
    Server(String),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("{method} {path} answered {status}: {body}")]
    Refused { method: String, path: String, status: u16, body: String },
    #[error("no answer to {path} after {tries} tries: {last}")]
    Silent { path: String, tries: u32, last: String },
    #[error("waited {seconds} s for {what}; last seen: {seen}")]
    Waited { what: String, seconds: u64, seen: String },
    #[error("told to stop")]
    Interrupted,
    #[error("{stage} went wrong {faults} times, going on would tell nothing")]
    TooManyFaults { stage: &'static str, faults: u64 },
}

pub(crate) type Result<T> = std::result::Result<T, RehearsalError>;

/// Everything the stages share. One task drives all connections, so plain cells are enough inside.
pub(crate) struct World<'a> {
    pub options: &'a Options,
    pub scenario: &'a Scenario,
    pub people: &'a People,
    pub client: &'a Client<'a>,
    pub office: &'a Office<'a>,
    pub recorder: &'a Recorder,
    pub data: &'a Path,
    pub folder: &'a Path,
}

/// Plays the campaign, writes the report, prints the keys. The exit code is 0 only when every key holds, 1 when one
/// does not, 2 when there was nothing to rehearse on.
pub async fn run(options: Options) -> ExitCode {
    match rehearse(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("quanyu: {error}");
            ExitCode::from(2)
        }
    }
}

async fn rehearse(options: Options) -> Result<bool> {
    let scenario = Scenario::load(&options)?;
    let folder = report_folder(&options, &scenario);
    std::fs::create_dir_all(&folder).map_err(|e| io_error(&folder, e))?;
    println!(
        "rehearsal of {} at 1:{} (seed {}): {} people, {} packs, {} fen",
        scenario.campaign_id,
        scenario.factor_text(),
        options.seed,
        scenario.population,
        scenario.packs,
        scenario.budget
    );
    let started = Instant::now();
    let mut server = Server::ready(&options, &scenario).await?;
    let (admin_key, data) = (server.admin_key.clone(), server.data.clone());
    let recorder = Recorder::new();
    let people = People::new(options.seed, &scenario, &server.token_key);
    let client = Client::new(server.address, options.connections as usize, &recorder);
    let office = Office::new(&client, &admin_key, &scenario);
    let world = World {
        options: &options,
        scenario: &scenario,
        people: &people,
        client: &client,
        office: &office,
        recorder: &recorder,
        data: &data,
        folder: &folder,
    };
    let mut keys = Keys::default();
    // A rehearsal that is told to stop must not leave its server behind. The masses hold this thread, so they look for themselves.
    tokio::spawn(server::note_stop());
    let end = tokio::select! {
        end = play(&world, &mut keys) => end,
        () = server::told_to_stop() => Err(RehearsalError::Interrupted),
    };
    if let Err(error) = &end {
        eprintln!("rehearsal stopped: {error}");
        recorder.fault("rehearsal stopped", || error.to_string());
    }
    let holds = end.is_ok() && keys.hold() && recorder.faults() == 0;
    server.stop(holds && !options.keep).await;
    let path = report::write(&world, &keys, holds, started.elapsed())?;
    recorder.print_faults();
    println!(
        "seconds={:.1} faults={} retried={}",
        started.elapsed().as_secs_f64(),
        recorder.faults(),
        recorder.retries()
    );
    for (name, value) in keys.lines() {
        println!("{name}={value}");
    }
    println!("report={}", path.display());
    Ok(holds)
}

/// The stages in their order; `keys` is filled as far as the campaign comes.
async fn play(world: &World<'_>, keys: &mut Keys) -> Result<()> {
    office::publish(world).await?;
    let mut crowd = reserve::play(world, keys).await?;
    draw::wait_until_drawn(world, &crowd).await?;
    rain::play(world, &mut crowd, keys).await?;
    let holders = draw::verify(world, &mut crowd, keys).await?;
    drop(crowd);
    let tills = merchants::enrol(world).await?;
    let books = redeem::play(world, &holders, tills, keys).await?;
    closing::ledger(world, &books, keys).await?;
    closing::settlement(world, &books, keys).await?;
    closing::audit(world, keys).await
}

fn report_folder(options: &Options, scenario: &Scenario) -> PathBuf {
    options
        .report
        .clone()
        .unwrap_or_else(|| PathBuf::from("target/rehearse").join(format!("{}-{}", scenario.campaign_id, options.seed)))
}

pub(crate) fn io_error(path: &Path, source: std::io::Error) -> RehearsalError {
    RehearsalError::Io { what: path.display().to_string(), source }
}
