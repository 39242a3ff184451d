//! `quanyu pos-certify`: plays the sheet of cases to an integration, or checks the signature of a report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::could_not;
use crate::certify::{self, Order, report};
use crate::instance::Instance;
use crate::keyring::KeyRing;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Command of the integration's adapter, which reads commands and writes answers, one JSON object a line.
    #[arg(long, required = true)]
    adapter: Option<String>,
    /// Data directory of the installation whose key signs the report.
    #[arg(long, env = "QUANYU_DATA", default_value = ".quanyu/data")]
    data: PathBuf,
    /// Folder of report.json and report.html.
    #[arg(long, default_value = "target/pos-certify")]
    report: PathBuf,
    /// Tells the adapter to wait this part of the real times, if it can: 0.01 to 1.
    #[arg(long, default_value_t = 1.0)]
    pace: f64,
    /// Only this case; may be given several times. Such a run certifies nothing and says `certify=partial` at best.
    #[arg(long)]
    case: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Check that a report is as it was signed, and by whom.
    Verify {
        /// The report.json.
        file: PathBuf,
        /// Data directory of the installation that should have signed it.
        #[arg(long)]
        data: Option<PathBuf>,
    },
}

pub async fn run(options: Options) -> ExitCode {
    // The sheet waits for processes and connections all the time, so it has a thread to itself.
    let played = tokio::task::spawn_blocking(move || match options.command {
        Some(Command::Verify { file, data }) => verify(&file, data.as_deref()),
        None => play(options),
    });
    match played.await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => could_not(error),
        Err(error) => could_not(error),
    }
}

fn play(options: Options) -> Result<bool, String> {
    if !(0.01..=1.0).contains(&options.pace) {
        return Err("--pace is from 0.01 to 1".into());
    }
    let key = Instance::existing(&options.data).map(report_key).map_err(|error| error.to_string())?;
    let adapter = options.adapter.unwrap_or_default();
    certify::run(&Order { adapter, pace: options.pace, cases: options.case, folder: options.report, key })
}

fn verify(file: &Path, data: Option<&Path>) -> Result<bool, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let verified = match report::verify(&text) {
        Ok(verified) => verified,
        Err(why) => {
            println!("signature=wrong\nreason={why}");
            return Ok(false);
        }
    };
    let key =
        data.map(|data| Instance::existing(data).map(report_key)).transpose().map_err(|error| error.to_string())?;
    let own = key.map(|key| report::public_key(&key) == verified.public_key);
    println!("signature=right");
    println!("public_key={}", verified.public_key);
    if let Some(own) = own {
        println!("signed_here={own}");
    }
    println!("integration={}", verified.integration);
    println!("made_at={}", verified.made_at);
    println!("certified={}", verified.passed);
    Ok(own != Some(false))
}

fn report_key(instance: Instance) -> [u8; 32] {
    KeyRing::of_master(instance.master_key()).report_key()
}
