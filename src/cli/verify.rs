//! `quanyu verify-draw FOLDER`: anybody can recompute a draw from the files that were published. Exit 0 verified, 1 different, 2 a file
//! is missing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Recomputes a round of mode ballot and rain from its published files; a round of mode first_come or grant has no draw.
#[derive(Args)]
pub struct Options {
    /// Folder with proof.json, entries.ndjson and winners.ndjson, and whatever was saved before of commitment.json and campaign.json (the
    /// campaign file, or the answer of GET /v1/public/campaigns/{campaign_id}).
    folder: PathBuf,
}

pub fn run(options: &Options) -> ExitCode {
    crate::verify::run(&options.folder)
}
