//! Marks that count claims and reservations towards quotas, beside what they stand for. A wish is counted before it has its effect, and taken
//! off when it has none or when its entry goes; what an outage refused then, or a node that ended, stays counted. Marks and persons lie in
//! buckets of the same numbers, so a walk reads both side by side and gives back what stands for nothing.
//!
//! A mark may be ahead of its effect. It is cleared when its last copy came long ago, two looks have found it the same and for nothing,
//! and it is still the same when the script looks: whatever comes meanwhile changes its bytes.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Engine;
use super::issuance::quotas as claims;
use super::reservation::ANY_CHANNEL;
use super::reservation::quotas as reservations;
use super::view::CampaignView;
use crate::domain::time::{MINUTE, Ms, SECOND};
use crate::domain::voucher::PersonField;
use crate::domain::{claim_limit, reserve_limit};
use crate::store::StoreError;
use crate::store::keys::{self, QuotaDigest};
use crate::store::quota::{QuotaPlace, StoredMark};
use crate::store::record::{Entry, PersonRecord};

/// How long ago the last copy must have come, by the campaign clock and by ours: much longer than a request takes.
const UNDER_WAY: Ms = MINUTE;
const LOOKS: Duration = Duration::from_secs(6);

/// A wish is counted a moment before it has its effect, maybe on the day before.
const BEFORE: Ms = 5 * SECOND;

/// Buckets that are read at once.
const STEP: usize = 64;

/// Between two walks: fifty times what the last one took, but within this.
const REST: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(3_600);
const SHARE: u32 = 50;

/// Marks that a node keeps in mind.
const MOST: usize = 65_536;

/// A mark that stands for nothing, as it was read.
pub(super) struct Idle {
    pub slot: u8,
    pub mark: StoredMark,
}

/// Whether claims or reservations of a campaign are counted towards quotas.
pub(super) fn counts_persons(view: &CampaignView) -> bool {
    let counted = claim_limit::has_quotas(&view.campaign) || reserve_limit::has_quotas(&view.campaign);
    counted && view.is_published() && view.record.orders_over_at.is_none()
}

/// What the persons of some buckets have, by field; two shards may have the same one.
type People = HashMap<PersonField, Vec<PersonRecord>>;

/// Whether a claim's or reservation's mark stands for what its person has.
fn stands(view: &CampaignView, people: &People, mark: &StoredMark) -> bool {
    // A reservation names the person, its round and channel, a claim the pack besides.
    let (field, kind, round, channel) = match mark.holder.as_slice() {
        [field @ .., kind @ b'v', round, channel] if field.len() == 9 => (field, kind, round, channel),
        [field @ .., kind @ b'c', round, channel, _] if field.len() == 9 => (field, kind, round, channel),
        _ => return true,
    };
    let Ok(field) = PersonField::try_from(field) else { return true };
    let Some(of_round) = view.rounds.get(usize::from(*round)) else { return false };
    let records = people.get(&field).map(Vec::as_slice).unwrap_or_default();
    let is = |name: &String| keys::quota_digest(name) == mark.digest;
    records.iter().any(|record| match kind {
        b'v' => {
            let own = record.entries.iter().filter(|entry| entry.round == *round);
            let mut own = own.filter(|entry| *channel == ANY_CHANNEL || entry.channel == *channel);
            own.any(|entry| {
                let earlier = Entry { at: entry.at - BEFORE / SECOND, ..*entry };
                [*entry, earlier].iter().any(|one| reservations::counting(view, of_round, field, one).iter().any(is))
            })
        }
        _ => {
            let mut own = record.packs.iter().filter(|pack| (pack.round, pack.channel) == (*round, *channel));
            own.any(|pack| {
                let at = pack.at * SECOND;
                [at, at - BEFORE].iter().any(|at| claims::counting(view, field, record, pack, *at).iter().any(is))
            })
        }
    })
}

impl Engine {
    /// Marks of some buckets that stand for nothing, as far as anybody can tell.
    pub(super) async fn idle_marks(&self, view: &CampaignView, buckets: Range<u32>) -> Result<Vec<Idle>, StoreError> {
        let mut marks = Vec::new();
        for slot in 0..self.store.shards() {
            let (_, stored) = self.store.snapshot_quotas(slot, view.number, buckets.clone()).await?;
            let read = stored.iter().filter_map(|(field, value)| StoredMark::of(field, value));
            marks.extend(read.filter(|mark| mark.entered.is_some()).map(|mark| Idle { slot, mark }));
        }
        if marks.is_empty() {
            return Ok(marks);
        }
        let mut people = People::new();
        for shard in 0..self.store.shards() {
            for (_, read) in self.store.people_each(shard, view.number, buckets.clone()).await? {
                // What a record that cannot be read would say is not known.
                let Ok((pseudonym, record)) = read else { return Ok(Vec::new()) };
                people.entry(pseudonym.field()).or_default().push(record);
            }
        }
        marks.retain(|idle| !stands(view, &people, &idle.mark));
        Ok(marks)
    }

    async fn clear(&self, view: &CampaignView, idle: &Idle) -> Result<(), StoreError> {
        let Some(name) = self.name_of(view, idle.slot, idle.mark.digest).await? else { return Ok(()) };
        let (campaign, buckets, holder) = (view.number, view.record.buckets, idle.mark.holder.clone());
        let cleared = self.store.clear_quota(&QuotaPlace { name, campaign, buckets, holder }, &idle.mark).await?;
        tracing::info!(campaign.id = view.id, cleared, "a quota counted what had no effect");
        Ok(())
    }

    /// The quota on a slot whose marks end so.
    async fn name_of(&self, view: &CampaignView, slot: u8, digest: QuotaDigest) -> Result<Option<String>, StoreError> {
        for first in (0..view.record.buckets).step_by(STEP) {
            let range = first..(first + STEP as u32).min(view.record.buckets);
            let (counters, _) = self.store.snapshot_quotas(slot, view.number, range).await?;
            let mut names = counters.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok());
            if let Some(name) = names.find(|name| keys::quota_digest(name) == digest) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// The walk, as one node takes it.
pub struct MarkWalk {
    left: VecDeque<(u16, Range<u32>)>,
    walking: bool,
    begun: Instant,
    due: Instant,
    /// Marks that stood for nothing in the last walk, and those that do in this one, with their bytes and since when.
    before: HashMap<(u8, Vec<u8>), (Vec<u8>, Instant)>,
    now: HashMap<(u8, Vec<u8>), (Vec<u8>, Instant)>,
}

impl Default for MarkWalk {
    fn default() -> MarkWalk {
        let now = Instant::now();
        let (left, walking) = (VecDeque::new(), false);
        MarkWalk { left, walking, begun: now, due: now, before: HashMap::new(), now: HashMap::new() }
    }
}

impl MarkWalk {
    /// A step of a walk that is due; none when none is.
    pub async fn step(&mut self, engine: &Engine) -> Result<(), StoreError> {
        let snapshot = engine.view();
        if !self.walking {
            if Instant::now() < self.due {
                return Ok(());
            }
            (self.walking, self.begun) = (true, Instant::now());
            for view in snapshot.by_number.values().filter(|view| counts_persons(view)) {
                let steps = (0..view.record.buckets).step_by(STEP);
                let range = |first: u32| first..(first + STEP as u32).min(view.record.buckets);
                self.left.extend(steps.map(|first| (view.number, range(first))));
            }
        }
        for _ in 0..STEP {
            let Some((number, buckets)) = self.left.front().cloned() else { break };
            if let Some(view) = snapshot.by_number.get(&number) {
                self.look(engine, view, buckets).await?;
            }
            self.left.pop_front();
        }
        if self.left.is_empty() {
            let rest = (self.begun.elapsed() * SHARE).clamp(REST.start, REST.end);
            self.before = std::mem::take(&mut self.now);
            self.due = Instant::now() + if self.before.is_empty() { rest } else { rest.min(LOOKS) };
            self.walking = false;
        }
        Ok(())
    }

    async fn look(&mut self, engine: &Engine, view: &CampaignView, buckets: Range<u32>) -> Result<(), StoreError> {
        for idle in engine.idle_marks(view, buckets).await? {
            let age = engine.now() - idle.mark.entered.unwrap_or_default();
            let place = (idle.slot, [&idle.mark.holder[..], &idle.mark.digest].concat());
            let known = self.before.get(&place).filter(|(bytes, _)| *bytes == idle.mark.bytes);
            let since = known.map_or_else(Instant::now, |(_, since)| *since);
            if age >= UNDER_WAY && since.elapsed() >= LOOKS {
                engine.clear(view, &idle).await?;
            } else if self.now.len() < MOST {
                self.now.insert(place, (idle.mark.bytes, since));
            }
        }
        Ok(())
    }
}
