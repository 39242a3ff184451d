//! Closing a list and reading it. Every step is idempotent: two nodes that take it at once come to the same result, and a node that
//! stops halfway is continued by the next run. A list of 15 million entries is read, sorted and hashed in well under a gigabyte.

use crate::engine::blocking;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use sha2::{Digest, Sha256};

use super::result::Standing;
use crate::domain::beacon;
use crate::domain::campaign::schema::{Entropy, Mode};
use crate::domain::draw::{Entry, ListRoot};
use crate::domain::person::Pseudonym;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::reservation::NO_CHOICE;
use crate::engine::{Engine, Failure};
use crate::store::campaign::{ClosedList, ListState};
use crate::store::list::UnreadableRow;
use crate::store::record::Mark;
use crate::store::{StoreError, read};

/// Leaves of a subtree that one core hashes; a power of two, so that the subtrees add up to the tree.
const SUBTREE: usize = 1 << 14;

/// One place on a list, compact: 15 million of them are 540 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListEntry {
    pub pseudonym: Pseudonym,
    pub channel: u8,
    pub choice: u8,
    pub shard: u8,
    /// Entries of this person, `k` counting from 0.
    pub chances: u8,
}

/// A closed list, shared by all who read it at the same time.
pub type List = Arc<Vec<ListEntry>>;

/// The list that was read last, by campaign and round. Readers wait for each other instead of holding a list each.
pub type Held = tokio::sync::Mutex<Option<(u16, u8, Weak<Vec<ListEntry>>)>>;

impl Engine {
    /// Stops reservation on every shard, takes off who may not be on the list, reads it and publishes the commitment to it.
    pub async fn close_list(&self, campaign_id: &str, round_id: &str) -> Result<(), Failure> {
        let (view, round) = self.round_of(campaign_id, round_id)?;
        let (index, now) = (usize::from(round), self.now());
        if let Some(earlier) = undecided(&view, &view.rounds[index]) {
            let earlier = &earlier.round.round_id;
            return Err(Refusal::new(Code::RoundNotDrawn)
                .detail(
                    format!("场次 {earlier} 的中签者不得参加本场，而其结果未定。"),
                    format!("Winners of {earlier} are excluded and not decided yet."),
                )
                .into());
        }
        self.advance(campaign_id, |record| {
            // Whether the list is due was read from the file as this node knew it; amended since, it may be due later.
            let open = matches!(record.rounds[index].list, ListState::Open) && record.file == view.record.file;
            if open {
                record.rounds[index].list = ListState::Closing;
                record.rounds[index].closing_at = Some(now);
            }
            open
        })
        .await?;
        let (view, _) = self.round_of(campaign_id, round_id)?;
        let state = &view.rounds[index].record;
        if !matches!(state.list, ListState::Closing) {
            return Ok(());
        }
        // Nobody enters any more, and the list will be committed to by this node or another.
        let closing_at = state.closing_at.unwrap_or(now);
        let mut committed = self.commit_list(campaign_id, round_id, &view, closing_at).await;
        if let Err(Failure::Store(StoreError::Stale { campaign, held })) = committed {
            self.reconcile(campaign, held).await.map_err(|error| Refusal::from(error).half_done())?;
            let (view, _) = self.round_of(campaign_id, round_id)?;
            committed = self.commit_list(campaign_id, round_id, &view, closing_at).await;
        }
        committed.map_err(Failure::half_done)
    }

    /// Takes off a closing list who may not be on it, reads it and publishes the commitment to it.
    async fn commit_list(
        &self,
        campaign_id: &str,
        round_id: &str,
        view: &Arc<CampaignView>,
        closing_at: Ms,
    ) -> Result<(), Failure> {
        let round = view.named_round(round_id)?.index;
        let index = usize::from(round);
        self.strike(view, round, closing_at).await?;
        let list = self.entries(view, round).await?;
        let root = root_of(view, &list).await?;
        let secret = self.keys.draw_secret(campaign_id, round_id);
        let closed_at = self.now();
        let closed = ClosedList {
            count: root.count,
            root: hex::encode(root.hash),
            secret_commitment: hex::encode(Sha256::digest(secret)),
            closed_at,
            drand_round: drand_round(&view.rounds[index], closed_at),
            amendments: 0,
        };
        tracing::info!(campaign.id = campaign_id, round.id = round_id, entries = closed.count, "list closed");
        self.advance(campaign_id, |record| {
            let closing = matches!(record.rounds[index].list, ListState::Closing);
            if closing {
                let amendments = record.amendments_count();
                record.rounds[index].list = ListState::Closed(ClosedList { amendments, ..closed.clone() });
            }
            closing
        })
        .await
    }

    /// The list of a round in its canonical order, without the entries that were struck off when it closed. One record that cannot be read
    /// stops it: a list is committed to for good, and without that person's entry it would be another list and cost somebody the draw.
    pub async fn entries(&self, view: &Arc<CampaignView>, round: u8) -> Result<List, Failure> {
        let mut held = self.lists.lock().await;
        if let Some((campaign, of_round, list)) = held.as_ref()
            && (*campaign, *of_round) == (view.number, round)
            && let Some(list) = list.upgrade()
        {
            return Ok(list);
        }
        let progress = self.progress.begin(view.number, round, "reading", self.walk_length(view));
        let mut list = Vec::new();
        for shard in 0..self.store.shards() {
            let chances = progress.heeding(self.chances(view, round, shard).await)?;
            for buckets in read::steps(view.record.buckets) {
                let done = buckets.len() as u64;
                let people = self.store.people(shard, view.number, buckets).await;
                for (pseudonym, record) in progress.heeding(people)? {
                    let chances = chances.get(&pseudonym.field()).copied().unwrap_or(1);
                    let own = record.entries.iter().filter(|own| own.round == round && own.mark != Mark::Struck);
                    for own in own {
                        let entry = |choice| ListEntry { pseudonym, channel: own.channel, choice, shard, chances };
                        list.extend(view.rounds[usize::from(round)].choices(own.choice).into_iter().map(entry));
                    }
                }
                progress.add(done);
            }
        }
        progress.came_through();
        let sorted_by = view.clone();
        let list = blocking(move || {
            sort(&sorted_by, &mut list);
            Arc::new(list)
        })
        .await?;
        *held = Some((view.number, round, Arc::downgrade(&list)));
        Ok(list)
    }

    pub(in crate::engine) fn round_of(
        &self,
        campaign_id: &str,
        round_id: &str,
    ) -> Result<(Arc<CampaignView>, u8), Failure> {
        let view = self.published(campaign_id)?;
        let round = view.named_round(round_id)?.index;
        Ok((view, round))
    }

    /// Buckets that a walk over a campaign reads.
    pub(in crate::engine) fn walk_length(&self, view: &CampaignView) -> u64 {
        u64::from(view.record.buckets) * u64::from(self.store.shards())
    }

    /// Who of a shard has more than one entry in the draw, by the round's `entries_list`; everybody else has one.
    pub(in crate::engine) async fn chances(
        &self,
        view: &CampaignView,
        round: u8,
        shard: u8,
    ) -> Result<HashMap<[u8; 9], u8>, StoreError> {
        let (chances, unreadable) = self.chances_each(view, round, shard).await?;
        match unreadable.into_iter().next() {
            Some(row) => Err(row.into()),
            None => Ok(chances),
        }
    }

    /// The same for whoever can go on without some of them.
    pub(in crate::engine) async fn chances_each(
        &self,
        view: &CampaignView,
        round: u8,
        shard: u8,
    ) -> Result<(HashMap<[u8; 9], u8>, Vec<UnreadableRow>), StoreError> {
        let (mut chances, mut unreadable) = (HashMap::new(), Vec::new());
        let named = view.rounds[usize::from(round)].round.entries_list.as_deref();
        let Some(list) = named.and_then(|list_id| view.record.lists.get(list_id)) else {
            return Ok((chances, unreadable));
        };
        let mut walk = self.list_walk(list, shard);
        while let Some(rows) = walk.next().await? {
            for row in rows {
                match row {
                    Ok((root, member)) if member.entries > 1 => {
                        chances.insert(root.in_campaign(&view.pseudonym_key).field(), member.entries);
                    }
                    Ok(_) => {}
                    Err(row) => unreadable.push(row),
                }
            }
        }
        Ok((chances, unreadable))
    }
}

/// An excluded round whose winners are not decided yet; the list that excludes them waits.
pub(in crate::engine) fn undecided<'a>(view: &'a CampaignView, round: &RoundView) -> Option<&'a RoundView> {
    let mut excluded = round.round.exclude_winners_of.iter().filter_map(|round_id| view.round(round_id));
    excluded.find(|earlier| {
        let drawn = matches!(earlier.round.mode, Mode::Ballot | Mode::Rain);
        drawn && (earlier.draw.is_none() || earlier.record.waves.iter().any(|wave| wave.cutoffs.is_none()))
    })
}

/// The beacon that goes into a round's seed: the file's, else the first one from the draw on that is not known yet.
fn drand_round(round: &RoundView, closed_at: Ms) -> Option<u64> {
    let draw = round.round.draw.as_ref().filter(|draw| draw.entropy.contains(&Entropy::Drand))?;
    Some(draw.drand_round.unwrap_or_else(|| beacon::round_from(draw.at.max(closed_at + beacon::LEAD))))
}

/// A list entry as the draw sees it.
pub fn draw_entry<'a>(view: &'a CampaignView, entry: &ListEntry) -> Entry<'a> {
    entry.standing().entry(view)
}

impl ListEntry {
    pub fn standing(&self) -> Standing {
        Standing { pseudonym: self.pseudonym, channel: self.channel, choice: self.choice, chances: self.chances }
    }
}

/// Brings entries into the order of the tree.
pub(in crate::engine) fn sort(view: &CampaignView, list: &mut [ListEntry]) {
    let order = Order::of(view);
    list.sort_unstable_by_key(|entry| order.key(entry));
}

/// The order of the tree, by which entries sort as their bytes do; names and positions may sort differently.
struct Order {
    channels: Vec<usize>,
    packs: Vec<usize>,
}

impl Order {
    fn of(view: &CampaignView) -> Order {
        let ranks = |names: Vec<&str>| {
            let rank = |name: &str| names.iter().filter(|other| (other.len(), **other) < (name.len(), name)).count();
            names.iter().map(|name| rank(name)).collect()
        };
        Order {
            channels: ranks(view.campaign.channels.iter().map(String::as_str).collect()),
            packs: ranks(view.campaign.packs.iter().map(|pack| pack.pack_id.as_str()).collect()),
        }
    }

    fn key(&self, entry: &ListEntry) -> (Pseudonym, usize, usize) {
        let channel = self.channels.get(usize::from(entry.channel)).copied().unwrap_or(usize::MAX);
        // An entry without a choice names no pack, and nothing sorts before everything.
        let rank = || self.packs.get(usize::from(entry.choice)).map_or(usize::MAX, |rank| rank + 1);
        let pack = if entry.choice == NO_CHOICE { 0 } else { rank() };
        (entry.pseudonym, channel, pack)
    }
}

/// The root of a list's tree, and its leaves.
pub(in crate::engine) struct Tree {
    pub hash: [u8; 32],
    pub count: u64,
}

/// The tree of a list, hashed on all cores.
pub(in crate::engine) async fn root_of(view: &Arc<CampaignView>, list: &List) -> Result<Tree, Failure> {
    let (view, list) = (view.clone(), list.clone());
    blocking(move || {
        let mut root = ListRoot::default();
        if list.iter().any(|entry| entry.chances > 1) {
            list.iter().for_each(|entry| push(&mut root, &view, entry));
            return Tree { hash: root.root(), count: root.count() };
        }
        let subtrees: Vec<&[ListEntry]> = list.chunks(SUBTREE).collect();
        let hashed = on_all_cores(&subtrees, 1, |_, subtrees| {
            let hash = |entries: &&[ListEntry]| {
                let mut subtree = ListRoot::default();
                entries.iter().for_each(|entry| push(&mut subtree, &view, entry));
                subtree.root()
            };
            subtrees.iter().map(hash).collect::<Vec<_>>()
        });
        hashed.into_iter().flatten().for_each(|subtree| root.push_node(subtree));
        Tree { hash: root.root(), count: list.len() as u64 }
    })
    .await
}

fn push(root: &mut ListRoot, view: &CampaignView, entry: &ListEntry) {
    let read = draw_entry(view, entry);
    (0..u16::from(entry.chances)).for_each(|k| root.push(&Entry { k, ..read }.bytes()));
}

/// Runs `work` over equal parts of `items` on all cores; it is told where its part begins. Answers come in the order of the parts.
pub fn on_all_cores<T: Sync, R: Send>(items: &[T], least: usize, work: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = items.len().div_ceil(cores).max(least);
    std::thread::scope(|scope| {
        let work = &work;
        let begin = |(n, part_of): (usize, _)| scope.spawn(move || work(n * part, part_of));
        let running: Vec<_> = items.chunks(part).enumerate().map(begin).collect();
        let parts = running.into_iter().map(|part| part.join().expect("the work of one part does not panic"));
        parts.collect()
    })
}
