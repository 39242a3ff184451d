//! `quanyu config check | show`: what the settings amount to, before a service is started with them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Id, Subcommand, value_parser};

use super::without_empty;
use crate::config::{Judged, Settings, SettingsFile, misnamed};

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether the settings are taken; every fault is printed by name, and the exit code is then 1.
    Check {
        /// Flags of `quanyu serve`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        flags: Vec<OsString>,
    },
    /// Print every setting as it is in force, without passwords.
    Show(Box<Settings>),
}

pub async fn run(options: &Options, files: &[SettingsFile]) -> ExitCode {
    match &options.command {
        Command::Check { flags } => {
            let faults = check(flags, files).await;
            for fault in &faults {
                eprintln!("{fault}");
            }
            println!("settings={}", if faults.is_empty() { "ok" } else { "refused" });
            ExitCode::from(u8::from(!faults.is_empty()))
        }
        Command::Show(settings) => {
            for (name, value) in settings.shown() {
                println!("{name}={value}");
            }
            ExitCode::SUCCESS
        }
    }
}

/// Every setting as clap knows it, outside of a command that stops at the first fault.
fn settings_command() -> clap::Command {
    let file = Arg::new("config").long("config").value_name("FILE").help("A file of settings, one NAME=value per line");
    Settings::augment_args(clap::Command::new("quanyu config check").no_binary_name(true)).arg(file)
}

/// All faults of flags and environment, one sentence each. A flag that does not exist ends the command, as everywhere.
async fn check(flags: &[OsString], files: &[SettingsFile]) -> Vec<String> {
    let mut command = without_empty(settings_command());
    let mut faults = misnamed(files);
    let mut loosened: HashSet<Id> = HashSet::new();
    let matches = loop {
        let error = match command.clone().try_get_matches_from(flags) {
            Ok(matches) => break matches,
            Err(error) => error,
        };
        // clap stops at the first value that it refuses: that setting then takes any value, and the next fault comes to light.
        match refused(&command, &error) {
            Some((id, name)) if loosened.insert(id.clone()) => {
                let text = error.to_string();
                let said =
                    text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
                faults.push(format!("{name}: {}", said.trim_start_matches("error: ")));
                command = command.mut_arg(id, |arg| arg.value_parser(value_parser!(OsString)));
            }
            _ => error.exit(),
        }
    };
    faults.extend(Judged::of_matches(&matches).faults().await);
    faults
}

/// The setting whose value was refused, by its id and by its name in the environment.
fn refused(command: &clap::Command, error: &clap::Error) -> Option<(Id, String)> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let mut built = command.clone();
    built.build();
    let arg = built.get_arguments().find(|arg| arg.to_string() == *shown)?;
    let name = arg.get_env().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
    Some((arg.get_id().clone(), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    #[test]
    fn every_setting_is_shown() {
        let command = settings_command();
        let known: HashSet<String> =
            command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned())).collect();
        let matches = command.try_get_matches_from(["--redis-url", "redis://me:secret@store:6379"]).unwrap();
        let shown = Settings::from_arg_matches(&matches).unwrap().shown();
        assert_eq!(shown.iter().map(|(name, _)| (*name).to_owned()).collect::<HashSet<_>>(), known);
        assert!(!format!("{shown:?}").contains("secret"));
    }
}
