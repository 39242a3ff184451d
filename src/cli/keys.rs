//! `quanyu keys create`: a key for a person of the program office; it is printed once and kept by its digest.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::could_not;
use crate::app::{AppError, Node};
use crate::config::Settings;
use crate::domain::holder::written;
use crate::engine::access::{ApiKey, Role, put_api_key};
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
        /// Who holds it, 1 to 64 characters that can be seen. Four-eyes compares names, whatever their case, width and spaces.
        /// Default: the role and a part of the key, which tells nobody who holds two keys.
        #[arg(long, value_parser = written)]
        name: Option<String>,
        /// Names the person, such as a staff number, the same in each of the person's keys: where both keys have one, four-eyes goes by it
        /// and not by names.
        #[arg(long, value_parser = written)]
        person_id: Option<String>,
    },
}

pub async fn run(options: Options) -> ExitCode {
    let Command::Create { settings, role, program, name, person_id } = options.command;
    let text = new_api_key();
    let name = name.unwrap_or_else(|| format!("{:?}-{}", role[0], &text[3..11]).to_lowercase());
    let key = ApiKey { person_id, ..ApiKey::new(&name, &role, &program) };
    match create(&settings, &text, key).await {
        Ok(()) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}

async fn create(settings: &Settings, text: &str, key: ApiKey) -> Result<(), AppError> {
    let node = Node::beside(settings).await?;
    put_api_key(&node.engine.store, text, key).await?;
    node.stop().await;
    Ok(())
}
