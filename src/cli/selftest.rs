//! `quanyu selftest`: what the program can say of itself only from inside. `make bench` asks it, and stays a stranger otherwise.

use std::process::ExitCode;

use crate::engine::draw::selftest::{Ballot, ballot};

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The draw of a list in memory against as many bare MACs on all cores.
    Ballot {
        /// Entries of the list; two million win.
        #[arg(long, default_value_t = 15_000_000, value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
        entries: u64,
    },
}

pub fn run(options: &Options) -> ExitCode {
    let Command::Ballot { entries } = options.command;
    let Ballot { hmac_seconds, cutoff_seconds, winners } = ballot(entries);
    println!("entries={entries}");
    println!("winners={winners}");
    println!("hmac_seconds={hmac_seconds:.3}");
    println!("cutoff_seconds={cutoff_seconds:.3}");
    println!("ballot_ratio={:.3}", cutoff_seconds / hmac_seconds.max(1e-9));
    ExitCode::SUCCESS
}
