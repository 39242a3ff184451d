//! Who has a pack of a supply that issues no more. With it a node answers everybody else from memory, while a repeat of a win still
//! finds its pack.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Cell;
use crate::domain::person::Pseudonym;
use crate::domain::time::{DAY, Ms, SECOND};
use crate::engine::config::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::read;

/// Packs that a node remembers the holders of, over all rounds: 160 MB. The rest is asked for in the store.
const MOST: usize = 20_000_000;

/// Two nodes' clocks may each be off by a second; a call in flight takes some more.
const LATE_CALLS: Ms = 5 * SECOND;

/// Eight bytes for each pack, sorted. Two persons with the same eight only cost a question to the store.
pub struct Holders {
    packs: Vec<u64>,
    /// Persons whose record cannot be read, sorted: the store is asked about them, and nobody else waits for its mending.
    unread: Vec<u64>,
}

impl Holders {
    fn new(mut packs: Vec<u64>, mut unread: Vec<u64>) -> Holders {
        packs.sort_unstable();
        packs.shrink_to_fit();
        unread.sort_unstable();
        Holders { packs, unread }
    }

    /// False only for who has no such pack.
    pub fn may_have(&self, pseudonym: &Pseudonym, channel: u8, pack: u8) -> bool {
        let has = self.packs.binary_search(&mark(pseudonym, channel, pack)).is_ok();
        has || head(&pseudonym.0).is_some_and(|head| self.unread.binary_search(&head).is_ok())
    }
}

pub(super) fn mark(pseudonym: &Pseudonym, channel: u8, pack: u8) -> u64 {
    head(&pseudonym.0).unwrap_or_default() ^ (u64::from(channel) << 8 | u64::from(pack))
}

/// The first eight bytes of a pseudonym, which the field of its record begins with too.
fn head(pseudonym: &[u8]) -> Option<u64> {
    pseudonym.first_chunk().map(|head| u64::from_be_bytes(*head))
}

impl Cell {
    /// Whether the person may have a pack of this cell, as far as the node knows; asks for the holders to be read.
    pub fn may_have(&self, pseudonym: &Pseudonym, channel: u8, pack: u8) -> bool {
        let holders = self.holders.read().unwrap_or_else(PoisonError::into_inner);
        match holders.as_ref() {
            Some(holders) => holders.may_have(pseudonym, channel, pack),
            None => {
                self.wanted.store(true, Ordering::Release);
                true
            }
        }
    }

    fn knows_holders(&self) -> bool {
        self.holders.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Engine {
    /// Reads the holders of cells that taps have asked about, and forgets those of rounds whose passes are over.
    pub(in crate::engine) async fn step_stock(&self) -> Result<(), Failure> {
        let mut wanted: HashMap<(u16, u8), Vec<Arc<Cell>>> = HashMap::new();
        let (snapshot, now) = (self.view(), self.now());
        let mut room = MOST;
        for (id, cell) in self.stocks.all() {
            let view = snapshot.by_number.get(&id.campaign);
            let Some(round) = view.and_then(|view| view.rounds.get(usize::from(id.round))) else { continue };
            if now >= round.last_close().saturating_add(DAY) {
                self.stocks.forget(&id);
                continue;
            }
            room = room.saturating_sub(
                cell.holders.read().map(|held| held.as_ref().map_or(0, |h| h.packs.len())).unwrap_or(0),
            );
            let current = view.is_some_and(|view| view.rev == cell.rev);
            // A call judged in time may still be on its way just after the close.
            let is_final = cell.is_sold_out() || now >= round.last_close() + LATE_CALLS;
            if current && is_final && cell.wanted.load(Ordering::Acquire) && !cell.knows_holders() {
                wanted.entry((id.campaign, id.round)).or_default().push(cell);
            }
        }
        for ((campaign, round), cells) in wanted {
            let Some(view) = snapshot.by_number.get(&campaign) else { continue };
            let packs: u64 = view.campaign.round_totals(&view.rounds[usize::from(round)].round).packs;
            if packs > room as u64 {
                continue;
            }
            let holders = Arc::new(self.read_holders(view, round).await?);
            room -= holders.packs.len();
            tracing::info!(
                campaign.id = view.id,
                round,
                holders = holders.packs.len(),
                unread = holders.unread.len(),
                "holders of a round are known"
            );
            for cell in cells {
                *cell.holders.write().unwrap_or_else(PoisonError::into_inner) = Some(holders.clone());
            }
        }
        Ok(())
    }

    async fn read_holders(&self, view: &CampaignView, round: u8) -> Result<Holders, Failure> {
        let (mut packs, mut unread) = (Vec::new(), Vec::new());
        for shard in 0..self.store.shards() {
            for buckets in read::steps(view.record.buckets) {
                for (field, read) in self.store.people_each(shard, view.number, buckets).await? {
                    let Ok((pseudonym, record)) = read else {
                        unread.extend(head(&field));
                        continue;
                    };
                    let own = record.packs.iter().filter(|pack| pack.round == round);
                    packs.extend(own.map(|pack| mark(&pseudonym, pack.channel, pack.pack)));
                }
            }
        }
        Ok(Holders::new(packs, unread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_others_by_person_channel_and_pack() {
        let person = |n: u8| Pseudonym([n; 32]);
        let holders =
            Holders::new((1..100).map(|n| mark(&person(n), 1, 2)).collect(), head(&[200; 9]).into_iter().collect());
        assert!(holders.may_have(&person(200), 0, 7), "nobody knows what stands in a record that cannot be read");
        assert!((1..100).all(|n| holders.may_have(&person(n), 1, 2)));
        assert!(!holders.may_have(&person(100), 1, 2));
        assert!(!holders.may_have(&person(5), 0, 2) && !holders.may_have(&person(5), 1, 0));
    }
}
