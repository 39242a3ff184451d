//! `quanyu config check | show`: what the settings amount to, before a service is started with them.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Settings;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether the settings are taken; faults are printed by name.
    Check(Box<Settings>),
    /// Print every setting as it is in force, without passwords.
    Show(Box<Settings>),
}

pub fn run(options: &Options) -> ExitCode {
    match &options.command {
        Command::Check(_) => println!("settings=ok"),
        Command::Show(settings) => {
            for (name, value) in settings.shown() {
                println!("{name}={value}");
            }
        }
    }
    ExitCode::SUCCESS
}
