//! Figures that only the program itself can take, because what they measure never leaves its memory.

use std::time::Instant;

use super::Decider;
use super::entries::{ListEntry, on_all_cores};
use super::result::seed;
use crate::domain::campaign;
use crate::domain::person::{MacKey, Pseudonym};
use crate::engine::campaign::file::draft;
use crate::engine::config::view::CampaignView;
use crate::engine::key::ApiKey;
use crate::engine::reservation::NO_CHOICE;
use crate::keyring::KeyRing;
use crate::store::campaign::{CampaignRecord, ClosedList, ListState, RoundRecord};

/// Two million packs, and as many entries as the caller likes.
const FILE: &[u8] = include_bytes!("../../../deploy/campaigns/chengdu-2020.json");
/// Measured in turn, so that a machine that becomes slower or faster does so for both.
const ROUNDS: usize = 3;

/// The draw of a list in memory, against what no draw can do without.
pub struct Ballot {
    /// One bare MAC for each entry, on all cores.
    pub hmac_seconds: f64,
    /// The scores, the cutoff and the winners of each shard: all that is decided between a closed list and the draw's record.
    pub cutoff_seconds: f64,
    pub winners: u64,
}

pub fn ballot(entries: u64) -> Ballot {
    let list: Vec<ListEntry> = (0..entries).map(entry).collect();
    let keys = KeyRing::of_master([7; 32]);
    let view =
        CampaignView::new("chengdu-2020-07", drawable(entries), &keys).expect("the file of a shipped campaign parses");
    let round = &view.rounds[0];
    let seed = seed(&view.id, &round.round, &view.record, &round.record, &keys).expect("a closed list has a seed");
    let (mut macs, mut cutoffs, mut winners) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        macs.push(seconds(|| bare_macs(&list)).0);
        let decider = Decider { view: &view, round, seed: &seed, list: &list, drawn: None, shards: 1 };
        let (taken, decision) = seconds(|| decider.decide(&round.contests(round.cells())));
        cutoffs.push(taken);
        winners = decision.allowances.iter().flat_map(|allowance| &allowance.per_shard).sum();
    }
    Ballot { hmac_seconds: middle(macs), cutoff_seconds: middle(cutoffs), winners }
}

/// Spread over the names as pseudonyms are, and sorted as a list is.
fn entry(n: u64) -> ListEntry {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(n << 32).to_be_bytes());
    bytes[8..16].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ListEntry { pseudonym: Pseudonym(bytes), channel: 0, choice: NO_CHOICE, shard: 0, chances: 1 }
}

fn drawable(entries: u64) -> CampaignRecord {
    let parsed = campaign::parse(FILE).expect("the file of a shipped campaign parses");
    let nobody = ApiKey::new("", &[], "");
    let list = ClosedList {
        count: entries,
        root: hex::encode([2; 32]),
        secret_commitment: String::new(),
        closed_at: 0,
        drand_round: None,
        amendments: 0,
    };
    let round = RoundRecord { list: ListState::Closed(list), ..RoundRecord::default() };
    CampaignRecord { rounds: vec![round], ..draft(1, &nobody, FILE, &parsed) }
}

/// The key is read once, as a draw reads its seed once.
fn bare_macs(list: &[ListEntry]) {
    let key = MacKey::new(&[7; 32]);
    let fold = |_: usize, part: &[ListEntry]| part.iter().fold(0, |sum, entry| sum ^ key.mac(&[&entry.pseudonym.0])[0]);
    std::hint::black_box(on_all_cores(list, 1, fold));
}

fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let since = Instant::now();
    let done = work();
    (since.elapsed().as_secs_f64(), done)
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_measured_draw_has_as_many_winners_as_packs_or_people() {
        assert_eq!(super::ballot(3_000).winners, 3_000);
    }
}
