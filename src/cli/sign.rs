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
    if let Some(fault) = fault(options) {
        return could_not(fault);
    }
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

/// What no server would read as it was written here.
fn fault(options: &Options) -> Option<String> {
    let Options { method, path, .. } = options;
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Some(format!("{method:?} is no method: write it in capitals, such as POST"));
    }
    if !path.starts_with('/') {
        return Some(format!("{path:?} is no path: it begins with /, without scheme and host"));
    }
    let raw = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (!raw).then(|| {
        format!("{path:?} is not the raw path: what is no plain ASCII, a space or a # is percent-encoded in it")
    })
}
