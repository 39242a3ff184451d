//! `loadtest {burst|redeem|mixed|soak|overload}`; the exit code is 0 when everything holds, 1 when it does not, 2 when the load could not be run.

use std::process::ExitCode;

use clap::Parser;
use loadtest::scenario::Scenario;

#[derive(Parser)]
#[command(about = "Open-loop load for a running Quanyu server", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

fn main() -> ExitCode {
    match Cli::parse().scenario.run() {
        Ok(checked) => ExitCode::from(checked.exit_code()),
        Err(fault) => {
            eprintln!("loadtest: {fault}");
            ExitCode::from(2)
        }
    }
}
