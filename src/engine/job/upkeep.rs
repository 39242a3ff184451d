//! Upkeep of a store that leaves it to us: its append-only file is compacted before a round opens and in quiet minutes, for a rewrite in a rush
//! costs a fifth of the throughput. What is quiet is measured, for rounds that follow each other leave no hour without one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::time::{MINUTE, Ms};
use crate::engine::Engine;
use crate::engine::config::view::Unreadable;
use crate::store::StoreError;
use crate::store::probe::AofFacts;

/// A rewrite is asked for this long before an opening, so that it has ended by then.
const AHEAD: Ms = 10 * MINUTE;
/// From here on it is too late to begin one before the opening, and until as long after it the rush may still be growing.
const NEAR: Ms = 2 * MINUTE;

/// The file is compacted when it has grown to twice its size after the last rewrite, from this size on.
const GROWN_BYTES: u64 = 64 * 1024 * 1024;

/// A minute is quiet when the file has grown by less than this, some twenty effects a second, and fewer calls came than this.
const QUIET_BYTES: u64 = 512 * 1024;
const QUIET_CALLS_PER_SECOND: u64 = 1_000;
const QUIET_FOR: Duration = Duration::from_secs(60);

/// What the last looks saw, and which opening was prepared last.
#[derive(Default)]
pub struct Upkeep {
    prepared: Option<Ms>,
    /// Size of the file and calls a second, oldest first, back to the last look that is a minute old.
    looks: VecDeque<(Instant, AofFacts)>,
}

impl Upkeep {
    /// One look; the rewrite runs in the store's background.
    pub async fn step(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let facts = engine.store.aof_facts().await?;
        self.note(Instant::now(), facts);
        if engine.view().unreadable.values().any(Unreadable::may_be_published) {
            // When its rounds open is not known.
            return Ok(());
        }
        let openings = openings(engine);
        if self.is_due(engine.now(), &openings) {
            tracing::info!(bytes = facts.current_bytes, "the store's append-only file is compacted");
            engine.store.rewrite_aof().await?;
            self.prepared = coming(engine.now(), &openings).or(self.prepared);
        }
        Ok(())
    }

    fn note(&mut self, at: Instant, facts: AofFacts) {
        self.looks.push_back((at, facts));
        while self.looks.get(1).is_some_and(|(then, _)| at.duration_since(*then) >= QUIET_FOR) {
            self.looks.pop_front();
        }
    }

    /// Nothing is begun near an opening or while many call, however large the file is. Before an opening there may be no whole quiet minute
    /// left, so there it is enough that few call now.
    fn is_due(&self, now: Ms, openings: &[Ms]) -> bool {
        let Some((_, facts)) = self.looks.back() else { return false };
        if facts.rewriting
            || openings.iter().any(|opening| (now - opening).abs() < NEAR)
            || facts.calls_per_second >= QUIET_CALLS_PER_SECOND
        {
            return false;
        }
        let coming = coming(now, openings);
        let unprepared = coming.is_some() && coming != self.prepared;
        let grown = facts.current_bytes > GROWN_BYTES && facts.current_bytes > 2 * facts.base_bytes;
        unprepared || (grown && self.is_quiet())
    }

    /// Whether the last minute was; less than a minute of looks says nothing.
    fn is_quiet(&self) -> bool {
        let (Some((first, then)), Some((last, now))) = (self.looks.front(), self.looks.back()) else { return false };
        last.duration_since(*first) >= QUIET_FOR
            && now.current_bytes.abs_diff(then.current_bytes) < QUIET_BYTES
            && self.looks.iter().all(|(_, look)| look.calls_per_second < QUIET_CALLS_PER_SECOND)
    }
}

/// The next opening that a rewrite should come before.
fn coming(now: Ms, openings: &[Ms]) -> Option<Ms> {
    openings.iter().copied().filter(|opening| now < *opening && *opening - now <= AHEAD).min()
}

/// When people come all at once: lists, windows and waves of published campaigns open.
fn openings(engine: &Engine) -> Vec<Ms> {
    let view = engine.view();
    let published = view.by_id.values().filter(|view| view.is_published());
    let of = published.flat_map(|view| {
        view.campaign.rounds.iter().flat_map(|round| {
            let list = view.campaign.reservation_of(round).map(|reservation| reservation.opens_at);
            let waves = round.waves.iter().map(|wave| wave.opens_at);
            list.into_iter().chain(round.opens_at).chain(waves)
        })
    });
    of.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const OPENING: Ms = 100 * MINUTE;

    fn facts(current: u64, base: u64) -> AofFacts {
        AofFacts { current_bytes: current, base_bytes: base, rewriting: false, calls_per_second: 40 }
    }

    /// A minute of looks, in which the file came to the last size.
    fn after(grown: u64, last: AofFacts) -> Upkeep {
        let (mut upkeep, start) = (Upkeep::default(), Instant::now());
        for look in 0..=12_u64 {
            let current_bytes = last.current_bytes - grown * (12 - look) / 12;
            upkeep.note(start + Duration::from_secs(5 * look), AofFacts { current_bytes, ..last });
        }
        upkeep
    }

    #[test]
    fn a_file_that_has_grown_is_compacted_in_a_quiet_minute_while_a_round_is_open() {
        let open_for_an_hour = OPENING + 60 * MINUTE;
        let due = |grown, last| after(grown, last).is_due(open_for_an_hour, &[OPENING]);
        assert!(due(0, facts(130 * MIB, MIB)));
        assert!(due(QUIET_BYTES - 1, facts(130 * MIB, MIB)));
        assert!(!due(QUIET_BYTES, facts(130 * MIB, MIB)), "the minute was not quiet");
        assert!(!due(0, AofFacts { calls_per_second: QUIET_CALLS_PER_SECOND, ..facts(130 * MIB, MIB) }));
        assert!(!due(0, AofFacts { rewriting: true, ..facts(130 * MIB, MIB) }));
        assert!(!due(0, facts(GROWN_BYTES, MIB)));
        assert!(!due(0, facts(130 * MIB, 65 * MIB)));
        assert!(due(0, facts(130 * MIB + 1, 65 * MIB)));
        let mut short = Upkeep::default();
        short.note(Instant::now(), facts(130 * MIB, MIB));
        assert!(!short.is_due(open_for_an_hour, &[OPENING]), "one look does not make a minute");
    }

    #[test]
    fn nothing_is_begun_near_an_opening_and_each_is_prepared_once() {
        let mut upkeep = after(0, facts(130 * MIB, MIB));
        for (now, due) in [
            (OPENING - NEAR, true),
            (OPENING - NEAR + 1, false),
            (OPENING, false),
            (OPENING + NEAR - 1, false),
            (OPENING + NEAR, true),
        ] {
            assert_eq!(upkeep.is_due(now, &[OPENING]), due, "{}", now - OPENING);
        }
        upkeep = after(0, facts(MIB, MIB));
        assert!(upkeep.is_due(OPENING - AHEAD, &[OPENING]), "a small file is prepared too");
        assert!(!upkeep.is_due(OPENING - AHEAD - 1, &[OPENING]));
        upkeep.prepared = Some(OPENING);
        assert!(!upkeep.is_due(OPENING - AHEAD, &[OPENING]));
        assert!(upkeep.is_due(OPENING - AHEAD, &[OPENING, OPENING - NEAR]));
    }

    #[test]
    fn looks_are_kept_for_a_minute() {
        let (mut upkeep, start) = (Upkeep::default(), Instant::now());
        (0..1_000).for_each(|look| upkeep.note(start + Duration::from_secs(5 * look), facts(MIB, MIB)));
        assert_eq!(upkeep.looks.len(), 13);
    }
}
