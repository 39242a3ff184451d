//! `quanyu token`: a sandbox resident's JWT, as the identity provider of a city would make one.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::could_not;
use crate::instance::Instance;

#[derive(Args)]
pub struct Options {
    /// Data directory of the sandbox.
    #[arg(long, env = "QUANYU_DATA", default_value = ".quanyu/data")]
    data: PathBuf,
    /// Claims of the token: sub, channel, document_type, document_number, health_pass, … `iss`, `aud` and `exp` are added when absent.
    #[arg(long, value_name = "JSON")]
    claims: String,
}

pub fn run(options: &Options) -> ExitCode {
    let key = Instance::existing(&options.data).and_then(|instance| instance.existing_token_key());
    let key = match key {
        Ok(key) => key,
        Err(error) => return could_not(error),
    };
    match crate::http::auth_resident::mint(&options.claims, &key) {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error) => could_not(error),
    }
}
