//! Load for a running Quanyu server. Open loop: every request has an intended send time, and its latency counts from there, so a server
//! that stalls cannot hide the requests it kept waiting.

mod burst;
mod client;
mod meter;
mod people;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "loadtest", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everybody reserves, then everybody taps once around the opening of a rain.
    Burst(burst::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Burst(options) = Cli::parse().command;
    match burst::run(options).await {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::from(2)
        }
    }
}
