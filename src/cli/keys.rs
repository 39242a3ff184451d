//! `quanyu keys create`: a key for a person of the program office; it is printed once and kept by its digest.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::could_not;
use super::settle::no_such_program;
use crate::app::Node;
use crate::config::Settings;
use crate::domain::holder::{written_id, written_name};
use crate::domain::ids::{caller_id, program};
use crate::engine::key::{ApiKey, Role, put_api_key};
use crate::instance::new_api_key;
use crate::store::StoreError;

#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a new key, alone on a line.
    Create {
        #[command(flatten)]
        settings: Box<Settings>,
        /// What the key may do; may be given several times.
        #[arg(long, required = true)]
        role: Vec<Role>,
        /// With --role platform: a channel whose reservations the key brings; may be given several times. Only in a sandbox may it be left out.
        #[arg(long, value_parser = channel)]
        channel: Vec<String>,
        /// The city or department whose campaigns and merchants the key reaches, 1 to 64 characters and no slash.
        #[arg(long, value_parser = program)]
        program: String,
        /// Who holds it, 1 to 64 letters of one script (Latin ones may stand beside Chinese), digits, punctuation and spaces. Four-eyes
        /// compares names, whatever their case, width, spaces and punctuation, and takes letters that look alike for the same.
        /// Default: the role and a part of the key, which tells nobody who holds two keys.
        #[arg(long, value_parser = written_name)]
        name: Option<String>,
        /// Names the person, such as a staff number, of letters a to z, digits, _ . and -, the same in each of the person's keys: where both keys
        /// have one, four-eyes goes by it and not by names.
        #[arg(long, value_parser = written_id)]
        person_id: Option<String>,
    },
}

pub async fn run(options: Options) -> ExitCode {
    let Command::Create { settings, role, channel, program, name, person_id } = options.command;
    let platform = role.contains(&Role::Platform);
    if platform && role.len() > 1 {
        return could_not("a platform's key has no other role");
    }
    if !platform && !channel.is_empty() {
        return could_not("--channel goes with --role platform");
    }
    let text = new_api_key();
    let name = name.unwrap_or_else(|| format!("{:?}-{}", role[0], &text[3..11]).to_lowercase());
    let key = ApiKey { person_id, channels: channel, ..ApiKey::new(&name, &role, &program) };
    match create(&settings, &text, key).await {
        Ok(new_program) => {
            if let Some(told) = new_program {
                eprintln!("quanyu: {told} This key begins it.");
            }
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}

/// Makes the key. A program begins with its first key, so one that had nothing yet is told: it may be misspelt.
async fn create(settings: &Settings, text: &str, key: ApiKey) -> Result<Option<String>, String> {
    let node = Node::beside(settings).await.map_err(|error| error.to_string())?;
    let unbound = key.roles.contains(&Role::Platform) && key.channels.is_empty();
    let stored = if unbound && !node.engine.clock().is_sandbox() {
        Err("name the platform's channels with --channel".to_owned())
    } else {
        store(&node, text, key).await.map_err(|error| error.to_string())
    };
    node.stop().await;
    stored
}

async fn store(node: &Node, text: &str, key: ApiKey) -> Result<Option<String>, StoreError> {
    let programs = node.engine.known_programs().await?;
    let told = (!programs.contains(&key.program)).then(|| no_such_program(&key.program, &programs));
    put_api_key(&node.engine.store, text, key).await?;
    Ok(told)
}

fn channel(text: &str) -> Result<String, String> {
    caller_id("", text).map_err(|_| "a channel is 1 to 64 of letters, digits, _ . and -".to_owned())
}
