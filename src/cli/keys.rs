//! `quanyu keys create`: a key for a person of the program office; it is printed once and kept by its digest.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::could_not;
use crate::app::{AppError, Node};
use crate::config::Settings;
use crate::engine::access::{Role, put_api_key};
use crate::instance::new_api_key;

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
        /// The city or department whose campaigns and merchants the key reaches.
        #[arg(long)]
        program: String,
        /// Who holds it; four-eyes compares names. Default: the role and a part of the key.
        #[arg(long)]
        name: Option<String>,
    },
}

pub async fn run(options: Options) -> ExitCode {
    let Command::Create { settings, role, program, name } = options.command;
    match create(&settings, &role, &program, name).await {
        Ok(key) => {
            println!("{key}");
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}

async fn create(settings: &Settings, roles: &[Role], program: &str, name: Option<String>) -> Result<String, AppError> {
    let node = Node::beside(settings).await?;
    let key = new_api_key();
    let name = name.unwrap_or_else(|| format!("{:?}-{}", roles[0], &key[3..11]).to_lowercase());
    put_api_key(&node.engine.store, &key, &name, roles, program).await?;
    node.stop().await;
    Ok(key)
}
