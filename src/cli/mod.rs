//! The command line: each command in its own file, all of them named by `--data`.

mod audit;
mod certify;
mod config;
mod first_minute;
mod forget;
mod keys;
mod selftest;
mod serve;
mod settle;
mod sign;
mod token;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{BESIDE, SettingsFile};

/// Consumer vouchers for cities: reservation, draw, red-packet rain, checkout, settlement, audit.
#[derive(Parser)]
#[command(name = "quanyu", version, about)]
struct Cli {
    /// A file of settings, one NAME=value per line (see deploy/service.env); flags and the environment go before it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service.
    Serve(Box<crate::config::Settings>),
    /// Play a campaign of one rain, from the first reservation to the settlement, over HTTP on a sandbox clock, and write a report.
    Rehearse(Box<crate::rehearse::Options>),
    /// Prove that the ledger, the counters and every record say the same; works beside a running server.
    Audit(Box<audit::Options>),
    /// Recompute a draw from its published files alone: of rounds of mode ballot and rain; those of mode first_come and grant have none.
    VerifyDraw(verify::Options),
    /// Print a day's settlement.
    Settle(Box<settle::Options>),
    /// Print a sandbox resident's token.
    Token(token::Options),
    /// Keys of the program office.
    Keys(Box<keys::Options>),
    /// Let a data directory begin on a new, empty store.
    ForgetStore(forget::Options),
    /// Print the Authorization header of a till's request.
    Sign(sign::Options),
    /// Play the bad moments of a checkout to a till's integration and sign what was seen.
    PosCertify(Box<certify::Options>),
    /// Figures of the program itself, for `make bench`.
    #[command(hide = true)]
    Selftest(selftest::Options),
    /// Check or show the settings.
    Config(Box<config::Options>),
}

/// Parses the command line, runs one command and says with the exit code how it went: 0 good, 1 found something, 2 could not.
pub fn main() -> ExitCode {
    let files = match load_settings_files() {
        Ok(files) => files,
        Err(error) => return could_not(error),
    };
    let matches = without_empty(command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("quanyu: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(run(cli, &files))
}

/// The help of a command beside the service shows its own options first and of the settings those that it uses; the others are read all the
/// same, for one file of settings serves all commands.
fn command() -> clap::Command {
    let beside = |command: clap::Command| {
        command.mut_args(|arg| {
            let Some(name) = arg.get_env() else { return arg };
            let is_used = BESIDE.iter().any(|used| name == *used);
            arg.hide(!is_used).help_heading("Installation and store")
        })
    };
    Cli::command()
        .mut_subcommand("audit", beside)
        .mut_subcommand("settle", beside)
        .mut_subcommand("keys", |keys| keys.mut_subcommand("create", beside))
}

async fn run(cli: Cli, files: &[SettingsFile]) -> ExitCode {
    match cli.command {
        Command::Serve(settings) => serve::run(*settings, files).await,
        Command::Rehearse(options) => crate::rehearse::run(*options).await,
        Command::Audit(options) => audit::run(*options).await,
        Command::VerifyDraw(options) => verify::run(&options),
        Command::Settle(options) => settle::run(*options).await,
        Command::Token(options) => token::run(&options),
        Command::Keys(options) => keys::run(*options).await,
        Command::ForgetStore(options) => forget::run(&options),
        Command::Sign(options) => sign::run(&options),
        Command::PosCertify(options) => certify::run(*options).await,
        Command::Selftest(options) => selftest::run(&options),
        Command::Config(options) => config::run(&options, files).await,
    }
}

/// An empty value is none, whoever set it: the setting has its default, as if its name were not there.
fn without_empty(command: clap::Command) -> clap::Command {
    let empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command.mut_args(|arg| if empty(&arg) { arg.env(None) } else { arg }).mut_subcommands(without_empty)
}

/// The files must be read before the arguments are, for they stand in for the environment.
fn load_settings_files() -> Result<Vec<SettingsFile>, String> {
    let mut files = Vec::new();
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let path = match text.strip_prefix("--config") {
            Some("") => arguments.next().map(PathBuf::from),
            Some(rest) if rest.starts_with('=') => Some(PathBuf::from(&rest[1..])),
            _ => None,
        };
        if let Some(path) = path {
            files.push(SettingsFile::load(&path)?);
        }
    }
    Ok(files)
}

/// What a command says when it could not do its work.
fn could_not(error: impl std::fmt::Display) -> ExitCode {
    eprintln!("quanyu: {error}");
    ExitCode::from(2)
}
