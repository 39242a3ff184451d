//! `quanyu verify-draw FOLDER`: recomputes a draw from its published files alone, for an auditor, a notary or a resident who lost.
//!
//! Written from the published rules (versions `quanyu.draw.v1` and `v2`) and sharing no code with the engine that ran the draw, so that one
//! mistake cannot sit in both. The folder holds `proof.json`, `entries.ndjson` and `winners.ndjson`, and whatever was saved
//! earlier of `commitment.json` and `campaign.json` (the file as published, or the answer of `GET /v1/public/campaigns/{campaign_id}`, which
//! holds it); the proof repeats both.
//!
//! What the rules leave open, decided here and in the engine alike:
//! - An entry carries the channel of its reservation. Cutoffs are per channel only where the supply is split by `by_channel`;
//!   otherwise one group runs over all channels and its cutoff has `"channel": null`.
//! - Under assignment `single` and `chance` nothing is chosen: an entry's `pack_id` is null (or "") and so is its group's. Winners of
//!   `single` carry the round's only pack (null is read as the same); winners of `chance` the tier they got.
//! - A candidate is one (person, channel, pack_id); with several `k` its lowest score counts and its winner's line names that `k`.
//! - `"equal"` gives every channel floor(count / channels), the first `count mod channels` channels of the file one more.
//! - A group with fewer candidates than packs takes them all; its cutoff is the last of them. An empty group has no cutoff, or one
//!   with `winners` 0.
//! - Where a person's entries may win more packs than `max_packs_per_person`, all entries of the round are taken in the order of score
//!   and pseudonym, over all groups; one wins if its group has a pack left and its person has won fewer than the maximum. So do waves, with
//!   the entries that have not won before; what a person has won before counts, whether it was claimed or not.
//! - Counts of a `money` supply, and of any with `carry_over: next_round`, are fixed at the draw, not in the file: they are read from the
//!   proof and printed as `supply=proof`.
//! - Amendments that were in force when the list closed are in the proof; made in the published file, they must give the
//!   `amended_rules_hash` of the commitment. The seed carries the hash of the file as published.
//! - A wave gives the next scores after those that won before. How many is left over is not in the files; it is read from the proof.
//! - `chance` ranks a group's winners by HMAC-SHA256(seed, "quanyu.tier.v1\0" ‖ entry), ties by pseudonym; packs in file order.
//!
//! A drand value is checked against the network's key. What it cannot show: that digits really are the notary's (compare
//! `entropy_values` with the record), that a wave passed on no more than was left, and, with the operator's secret as the only entropy,
//! that the operator did not try many secrets.

mod beacon;
mod entries;
mod files;
mod groups;
mod proof;
mod supply;
mod tree;
mod winners;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use groups::Groups;
use proof::Proof;

/// How many differences are named before the rest are only counted.
const DIFFERENCES_NAMED: usize = 10;
/// A proof with its campaign file is longer than a refusal and shorter than this.
const LONGEST_REFUSAL: u64 = 4 * 1024 * 1024;

/// A draw that holds: everything in the folder follows from the campaign file, the list, the secret and the public entropy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub round_id: String,
    pub entries: u64,
    pub winners: u64,
    /// Lower-case hex, as are the other hashes.
    pub root: String,
    pub rules_hash: String,
    pub seed: String,
    /// Named sources, in the order in which they entered the seed.
    pub entropy: Vec<String>,
    /// Whether the campaign file fixes the number of winners; false where money does, for then the counts come from the proof.
    pub supply_from_file: bool,
    /// What lacks in the folder, so that nothing was compared with it.
    pub not_checked: Vec<&'static str>,
}

/// Why a draw is not verified. A folder that lacks a file says nothing about the draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Files that are not there, cannot be read or are of another kind, each by its name.
    CouldNotLook(Vec<String>),
    /// What does not follow from the rest, the first differences first.
    Differs(Vec<String>),
}

impl Failure {
    fn unreadable(fault: String) -> Failure {
        Failure::CouldNotLook(vec![fault])
    }

    fn difference(fault: String) -> Failure {
        Failure::Differs(vec![fault])
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::CouldNotLook(faults) | Failure::Differs(faults)) = self;
        out.write_str(&faults.join("; "))
    }
}

/// Checks everything and answers either what was verified or why it was not.
pub fn verify_folder(folder: &Path) -> Result<Verified, Failure> {
    check_kind(folder)?;
    check_files(folder)?;
    let proof = Proof::read(folder)?;
    let mut faults = Faults::default();
    let seed = proof.check(&mut faults);
    let mut groups = Groups::of_round(&proof).map_err(Failure::difference)?;
    let found = entries::read(folder, &seed, &mut groups, &mut faults)?;
    if found.count != proof.commitment.count {
        faults.add(format!(
            "entries.ndjson holds {} entries, the commitment says {}",
            found.count, proof.commitment.count
        ));
    }
    if hex::encode(found.root) != proof.commitment.root {
        faults.add(format!(
            "the root of entries.ndjson is {}, the commitment says {}",
            hex::encode(found.root),
            proof.commitment.root
        ));
    }
    let decided = groups.decide(&seed);
    winners::check_cutoffs(&decided, &proof, &mut faults);
    let winners = winners::check_list(folder, decided, &proof, &mut faults)?;
    faults.into_result()?;
    Ok(Verified {
        round_id: proof.commitment.round_id.clone(),
        entries: found.count,
        winners,
        root: hex::encode(found.root),
        rules_hash: proof.commitment.rules_hash.clone(),
        seed: hex::encode(seed),
        entropy: proof.commitment.entropy.clone(),
        supply_from_file: proof.supply_from_file(),
        not_checked: proof.not_checked.clone(),
    })
}

/// Which rounds can be recomputed here.
pub const DRAWN_ONLY: &str = "Only rounds of mode ballot and rain are drawn, and only a draw can be verified here";

/// Says what a folder holds that is no draw: the refusal of a round that has none, or the proof of packs that chance dealt without one.
fn check_kind(folder: &Path) -> Result<(), Failure> {
    let read = |name: &str| -> Option<serde_json::Value> {
        let mut head = String::new();
        BufReader::new(File::open(folder.join(name)).ok()?).take(LONGEST_REFUSAL).read_to_string(&mut head).ok()?;
        serde_json::from_str(&head).ok()
    };
    let refusals = ["proof.json", "entries.ndjson", "winners.ndjson"].into_iter().filter_map(|name| {
        let answer = read(name)?;
        let code = answer["code"].as_str().filter(|_| answer["status"].is_u64())?;
        let detail = answer["detail"].as_str().unwrap_or_default();
        Some(format!(
            "{name} is no published file but the refusal {code} of the server: {}",
            detail.trim_end_matches('.')
        ))
    });
    let mut faults: Vec<String> = refusals.collect();
    if let Some(deal) = read("proof.json").as_ref().and_then(|proof| proof["deal"].as_str()) {
        faults.push(format!(
            "proof.json is of packs that chance deals without a draw ({deal}): whoever has a pseudonym recomputes its pack from secret \
             and supply, as ARCHITECTURE.md says under \"Deal\""
        ));
    }
    if faults.is_empty() {
        return Ok(());
    }
    faults.push(DRAWN_ONLY.to_owned());
    Err(Failure::CouldNotLook(faults))
}

/// Names every file that is lacking before a long list is read for nothing.
fn check_files(folder: &Path) -> Result<(), Failure> {
    let needed = ["proof.json", "entries.ndjson", "winners.ndjson"];
    let cannot =
        |name: &&str| File::open(folder.join(name)).err().map(|error| format!("{name} cannot be read: {error}"));
    let faults: Vec<String> = needed.iter().filter_map(cannot).collect();
    if faults.is_empty() { Ok(()) } else { Err(Failure::CouldNotLook(faults)) }
}

/// The command: `key=value` lines and success, the differences and 1, or 2 and the files that could not be read.
pub fn run(folder: &Path) -> ExitCode {
    match verify_folder(folder) {
        Ok(verified) => {
            println!("draw=verified");
            println!("round={}", verified.round_id);
            println!("entries={}", verified.entries);
            println!("winners={}", verified.winners);
            println!("root={}", verified.root);
            println!("rules_hash={}", verified.rules_hash);
            println!("seed={}", verified.seed);
            println!("entropy={}", verified.entropy.join(","));
            println!("supply={}", if verified.supply_from_file { "campaign" } else { "proof" });
            println!("not_checked={}", verified.not_checked.join(","));
            ExitCode::SUCCESS
        }
        Err(Failure::CouldNotLook(faults)) => {
            for fault in &faults {
                eprintln!("quanyu: {fault}.");
            }
            ExitCode::from(2)
        }
        Err(Failure::Differs(differences)) => {
            println!("draw=different");
            for difference in &differences {
                eprintln!("{difference}.");
            }
            ExitCode::FAILURE
        }
    }
}

/// Differences found so far; the list stays short however different the files are.
#[derive(Default)]
struct Faults {
    named: Vec<String>,
    unnamed: u64,
}

impl Faults {
    fn add(&mut self, fault: String) {
        if self.named.len() < DIFFERENCES_NAMED {
            self.named.push(fault);
        } else {
            self.unnamed += 1;
        }
    }

    fn into_result(mut self) -> Result<(), Failure> {
        if self.named.is_empty() {
            return Ok(());
        }
        if self.unnamed > 0 {
            self.named.push(format!("{} further differences are not listed", self.unnamed));
        }
        Err(Failure::Differs(self.named))
    }
}
