//! `quanyu verify-draw FOLDER`: anybody can recompute a draw from the files that were published.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub struct Options {
    /// Folder with campaign.json, commitment.json, proof.json, entries.ndjson and winners.ndjson.
    folder: PathBuf,
}

pub fn run(options: &Options) -> ExitCode {
    crate::verify::run(&options.folder)
}
