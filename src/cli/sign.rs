//! `quanyu sign METHOD PATH`: the Authorization header of a till's request, for curl and for checking one's own signing.

use std::process::ExitCode;

use clap::Args;

use super::could_not;

#[derive(Args)]
pub struct Options {
    /// HTTP method, such as POST.
    method: String,
    /// Raw path with its query, such as /v1/redemptions.
    path: String,
    #[arg(long)]
    key_id: String,
    #[arg(long)]
    secret: String,
    /// The exact body: text, or @FILE.
    #[arg(long, default_value = "")]
    body: String,
}

pub fn run(options: &Options) -> ExitCode {
    let body = match options.body.strip_prefix('@') {
        None => options.body.clone().into_bytes(),
        Some(file) => match std::fs::read(file) {
            Ok(body) => body,
            Err(error) => return could_not(format!("{file}: {error}")),
        },
    };
    let value = crate::signing::sign_request(&options.method, &options.path, &options.key_id, &options.secret, &body);
    println!("Authorization: {value}");
    ExitCode::SUCCESS
}
