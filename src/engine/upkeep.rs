//! Upkeep of a store that leaves it to us: its append-only file is compacted before a round opens and never while one is open, for a rewrite in a rush
//! costs a fifth of the throughput.

use super::Engine;
use super::view::RoundView;
use crate::domain::time::{MINUTE, Ms};
use crate::store::StoreError;

/// A rewrite is asked for this long before a round opens, so that it has ended by then.
const AHEAD: Ms = 10 * MINUTE;

/// Outside rounds the file is compacted when it has grown to twice its size after the last rewrite, from this size on.
const GROWN_BYTES: u64 = 64 * 1024 * 1024;

/// What the last look decided, so that a round is prepared once.
#[derive(Default)]
pub struct Upkeep {
    prepared: Option<Ms>,
}

impl Upkeep {
    /// One look; the rewrite runs in the store's background.
    pub async fn step(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let now = engine.now();
        let view = engine.view();
        let published = view.by_id.values().filter(|view| view.is_published());
        let rounds: Vec<&RoundView> = published.flat_map(|view| &view.rounds).collect();
        if rounds.iter().any(|round| is_open(round, now)) {
            return Ok(());
        }
        let coming = rounds
            .iter()
            .filter_map(|round| round.round.opens_at)
            .filter(|opens_at| now < *opens_at && *opens_at - now <= AHEAD)
            .min();
        let unprepared = coming.is_some() && coming != self.prepared;
        let facts = engine.store.aof_facts().await?;
        let grown = facts.current_bytes > GROWN_BYTES && facts.current_bytes > 2 * facts.base_bytes;
        if !facts.rewriting && (unprepared || grown) {
            tracing::info!(bytes = facts.current_bytes, "the store's append-only file is compacted");
            engine.store.rewrite_aof().await?;
            self.prepared = coming;
        }
        Ok(())
    }
}

fn is_open(round: &RoundView, now: Ms) -> bool {
    round
        .round
        .opens_at
        .zip(round.round.closes_at)
        .is_some_and(|(opens_at, closes_at)| opens_at <= now && now < closes_at)
}
