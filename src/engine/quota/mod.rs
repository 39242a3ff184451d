//! Marks that count towards quotas, beside what they stand for. A claim, a reservation and a refund are counted before they have their effect;
//! what an outage then keeps from being given back, or a node that ended, stays counted. Marks and persons lie in buckets of the same
//! numbers, so a walk reads both side by side and gives back what stands for nothing; the order of a refund is asked for
//! (`order/refund_marks.rs`).
//!
//! A mark may be ahead of its effect. It is cleared when its last copy came long ago, two looks have found it the same and for nothing,
//! and it is still the same when the script looks: whatever comes meanwhile changes its bytes. What was counted long ago has its
//! effect no more (`Ahead`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{MINUTE, Ms, SECOND};
use crate::domain::voucher::PersonField;
use crate::domain::{claim_limit, limit, reserve_limit};
use crate::engine::config::view::CampaignView;
use crate::engine::pack::quotas as claims;
use crate::engine::reservation::ANY_CHANNEL;
use crate::engine::reservation::quotas as reservations;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::{self, QuotaDigest};
use crate::store::quota::{QuotaPlace, StoredMark};
use crate::store::record::{Entry, PersonRecord};

/// How long ago the last copy must have come, by the campaign clock and by ours: much longer than a request takes.
const UNDER_WAY: Ms = MINUTE;
const LOOKS: Duration = Duration::from_secs(6);

/// How long after it was counted something may be sent to have its effect.
const MOST_AHEAD: Duration = Duration::from_secs(3);

/// Something is counted before it has its effect, maybe on the day before.
pub(super) const BEFORE: Ms = UNDER_WAY;

/// Buckets that are read at once.
const STEP: usize = 64;

/// Between two walks: fifty times what the last one took, but within this.
const REST: Range<Duration> = Duration::from_secs(2)..Duration::from_secs(3_600);
const SHARE: u32 = 50;

/// Marks that a node keeps in mind.
const MOST: usize = 65_536;

/// What is counted now, and must have its effect soon: later nobody waits for it, and what it counts may have been given back.
pub(super) struct Ahead(Instant);

impl Ahead {
    pub(super) fn counted() -> Ahead {
        Ahead(Instant::now())
    }

    pub(super) fn require(&self) -> Result<(), Failure> {
        match self.0.elapsed() < MOST_AHEAD {
            true => Ok(()),
            false => Err(Refusal::new(Code::Overloaded).retry_after_ms(1_000).into()),
        }
    }
}

/// A mark that holds more than what it stands for uses, as it was read.
pub(super) struct Idle {
    pub slot: u8,
    pub mark: StoredMark,
    /// What it stands for uses.
    pub keeps: i64,
    /// Nothing that is under way may use more of it.
    pub is_settled: bool,
}

/// Whether claims, reservations or refunds of a campaign are counted towards quotas.
pub(super) fn is_counted(view: &CampaignView) -> bool {
    let of_persons = claim_limit::has_quotas(&view.campaign) || reserve_limit::has_quotas(&view.campaign);
    let counted = of_persons || limit::refunds_within_quotas(&view.campaign);
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
    let is = |(place, _): &(QuotaPlace, i64)| keys::quota_digest(&place.name) == mark.digest;
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
    /// Marks of some buckets that hold more than they stand for, as far as anybody can tell.
    pub(super) async fn idle_marks(&self, view: &CampaignView, buckets: Range<u32>) -> Result<Vec<Idle>, StoreError> {
        let (mut of_persons, mut of_refunds) = (Vec::new(), Vec::new());
        for slot in 0..self.store.shards() {
            let (_, stored) = self.store.snapshot_quotas(slot, view.number, buckets.clone()).await?;
            for mark in stored.iter().filter_map(|(field, value)| StoredMark::of(field, value)) {
                if mark.entered.is_some() {
                    of_persons.push(Idle { slot, mark, keeps: 0, is_settled: false });
                } else if mark.holds > 0 && mark.refund().is_some() {
                    of_refunds.push((slot, mark));
                }
            }
        }
        let mut idle = Vec::new();
        for (slot, mark) in of_refunds {
            idle.extend(self.idle_refund(view, slot, mark).await?);
        }
        if of_persons.is_empty() {
            return Ok(idle);
        }
        let mut people = People::new();
        for shard in 0..self.store.shards() {
            for (_, read) in self.store.people_each(shard, view.number, buckets.clone()).await? {
                // What a record that cannot be read would say is not known.
                let Ok((pseudonym, record)) = read else { return Ok(idle) };
                people.entry(pseudonym.field()).or_default().push(record);
            }
        }
        idle.extend(of_persons.into_iter().filter(|idle| !stands(view, &people, &idle.mark)));
        Ok(idle)
    }

    /// Gives back what marks hold too much, as they were read.
    async fn clear(&self, view: &CampaignView, idle: &[Idle]) -> Result<(), StoreError> {
        let slots: HashSet<u8> = idle.iter().map(|idle| idle.slot).collect();
        for slot in slots {
            let of_slot = || idle.iter().filter(move |idle| idle.slot == slot);
            let names = self.names_on(view, slot, &of_slot().map(|idle| idle.mark.digest).collect()).await?;
            for Idle { mark, keeps, .. } in of_slot() {
                let Some(name) = names.get(&mark.digest).cloned() else { continue };
                let (campaign, buckets, holder) = (view.number, view.record.buckets, mark.holder.clone());
                let place = QuotaPlace { name, campaign, buckets, holder };
                let cleared = self.store.clear_quota(&place, mark, *keeps).await?;
                tracing::info!(campaign.id = view.id, cleared, "a quota counted what had no effect");
            }
        }
        Ok(())
    }

    /// The quotas on a slot whose marks end so.
    async fn names_on(
        &self,
        view: &CampaignView,
        slot: u8,
        digests: &HashSet<QuotaDigest>,
    ) -> Result<HashMap<QuotaDigest, String>, StoreError> {
        let mut found = HashMap::new();
        for first in (0..view.record.buckets).step_by(STEP) {
            let range = first..(first + STEP as u32).min(view.record.buckets);
            let (counters, _) = self.store.snapshot_quotas(slot, view.number, range).await?;
            let names = counters.into_iter().filter_map(|(name, _)| String::from_utf8(name).ok());
            found.extend(names.map(|name| (keys::quota_digest(&name), name)).filter(|(one, _)| digests.contains(one)));
            if found.len() == digests.len() {
                break;
            }
        }
        Ok(found)
    }
}

/// Marks that held too much, with their bytes and since when.
type Seen = HashMap<(u8, Vec<u8>), (Vec<u8>, Instant)>;

/// The walk, as one node takes it.
pub struct MarkWalk {
    left: VecDeque<(u16, Range<u32>)>,
    walking: bool,
    begun: Instant,
    due: Instant,
    /// In the last walk, and in this one.
    before: Seen,
    now: Seen,
}

impl Default for MarkWalk {
    fn default() -> MarkWalk {
        let now = Instant::now();
        let (left, walking) = (VecDeque::new(), false);
        MarkWalk { left, walking, begun: now, due: now, before: Seen::new(), now: Seen::new() }
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
            for view in snapshot.by_number.values().filter(|view| is_counted(view)) {
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
        let mut over = Vec::new();
        for idle in engine.idle_marks(view, buckets).await? {
            let age = engine.now() - idle.mark.entered.unwrap_or_default();
            let place = (idle.slot, [&idle.mark.holder[..], &idle.mark.digest].concat());
            let known = self.before.get(&place).filter(|(bytes, _)| *bytes == idle.mark.bytes);
            let since = known.map_or_else(Instant::now, |(_, since)| *since);
            if idle.is_settled || age >= UNDER_WAY && since.elapsed() >= LOOKS {
                over.push(idle);
            } else if self.now.len() < MOST {
                self.now.insert(place, (idle.mark.bytes, since));
            }
        }
        engine.clear(view, &over).await
    }
}
