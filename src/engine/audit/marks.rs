//! Quotas beside their marks, and marks beside what they stand for: orders (`limits`), refunds, claims and reservations; and the index of
//! serial numbers beside the orders that use them. A mark that stands for nothing may be under way, so it is told when it is an hour
//! old. A refund's has no age, but each copy that takes changes it: it is told when its order says that the refund was booked with less, or when
//! it stays as it is for longer than a refund may be under way.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::limits::{SHORT, Wrong, is_counted};
use crate::domain::campaign::schema::Mode;
use crate::domain::time::{HOUR, Ms, SECOND};
use crate::domain::voucher::PersonField;
use crate::domain::{claim_limit, limit, reserve_limit};
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::pack::quotas as claims;
use crate::engine::quota::BEFORE;
use crate::engine::reservation::quotas as reservations;
use crate::store::StoreError;
use crate::store::keys;
use crate::store::quota::{QuotaPlace, StoredMark};
use crate::store::record::{Entry, PersonRecord};
use crate::store::retention::KeptOrder;

/// Buckets that are read at once.
const QUOTAS: usize = 64;

/// What marks hold, by holder and the quota's digest.
type Held = HashMap<Vec<u8>, i64>;

pub(super) fn has_quotas(view: &CampaignView) -> bool {
    let campaign = &view.campaign;
    let counted =
        limit::has_quotas(campaign) || claim_limit::has_quotas(campaign) || reserve_limit::has_quotas(campaign);
    counted && view.is_published() && view.record.orders_over_at.is_none()
}

/// Whether something of its orders is counted that no directory names.
pub(super) fn is_of_orders(view: &CampaignView) -> bool {
    let counted = view.unique_serials || limit::refunds_within_quotas(&view.campaign);
    counted && view.is_published() && view.record.orders_over_at.is_none()
}

impl Engine {
    pub(super) async fn look_at_quotas(&self, view: &CampaignView, wrong: &mut Wrong) -> Result<(), StoreError> {
        for slot in 0..self.store.shards() {
            self.look_at_sums(view, slot, wrong).await?;
        }
        for first in (0..view.record.buckets).step_by(QUOTAS) {
            let buckets = first..(first + QUOTAS as u32).min(view.record.buckets);
            for idle in self.idle_marks(view, buckets.clone()).await? {
                if idle.is_settled || idle.mark.entered.is_none_or(|at| self.now() - at >= HOUR) {
                    let mut subject = format!("mark {} on index slot {}", hex::encode(&idle.mark.holder), idle.slot);
                    if idle.mark.entered.is_none() && !idle.is_settled {
                        // The looks compare subjects, so one that is taken again meanwhile is another.
                        subject = format!("{subject}, as {}", hex::encode(&idle.mark.bytes));
                        wrong.may_be_under_way();
                    }
                    let explanation = "a quota counts a claim, reservation or refund that is not there";
                    wrong.tell("quota_kept", subject, (idle.keeps, idle.mark.holds), explanation);
                }
            }
            self.look_at_people(view, buckets, wrong).await?;
        }
        Ok(())
    }

    /// Counters of a campaign's quotas on a slot are what their marks hold.
    async fn look_at_sums(&self, view: &CampaignView, slot: u8, wrong: &mut Wrong) -> Result<(), StoreError> {
        let (mut counted, mut held) = (BTreeMap::new(), HashMap::new());
        for first in (0..view.record.buckets).step_by(QUOTAS) {
            let range = first..(first + QUOTAS as u32).min(view.record.buckets);
            let (counters, marks) = self.store.snapshot_quotas(slot, view.number, range).await?;
            for (name, n) in counters {
                let n = std::str::from_utf8(&n).ok().and_then(|n| n.parse::<i64>().ok());
                // What is no number equals no sum.
                counted.insert(String::from_utf8_lossy(&name).into_owned(), n.unwrap_or(i64::MIN));
            }
            for (field, value) in marks {
                match StoredMark::of(&field, &value) {
                    Some(mark) => *held.entry(mark.digest).or_insert(0) += mark.holds,
                    None => {
                        let subject = format!("mark {} of {} on index slot {slot}", hex::encode(&field), view.id);
                        wrong.tell("unreadable_record", subject, ("a mark", "other bytes"), "the value cannot be read");
                    }
                }
            }
        }
        let explanation = "a quota does not count what its marks hold of it";
        for (name, n) in counted {
            let sum = held.remove(&keys::quota_digest(&name)).unwrap_or_default();
            if sum != n {
                wrong.tell("quota_sum", format!("quota {name} on index slot {slot}"), (sum, n), explanation);
            }
        }
        for (digest, sum) in held.into_iter().filter(|(_, sum)| *sum != 0) {
            let subject = format!("quota with digest {} of {} on index slot {slot}", hex::encode(digest), view.id);
            wrong.tell("quota_sum", subject, (sum, 0), explanation);
        }
        Ok(())
    }

    /// Every entry and every pack that limits count has its marks. Persons are read first, for a mark comes before its effect.
    async fn look_at_people(
        &self,
        view: &CampaignView,
        buckets: Range<u32>,
        wrong: &mut Wrong,
    ) -> Result<(), StoreError> {
        if !claim_limit::has_quotas(&view.campaign) && !reserve_limit::has_quotas(&view.campaign) {
            return Ok(());
        }
        let mut uses = Vec::new();
        for shard in 0..self.store.shards() {
            // A record that cannot be read is a finding of its own.
            let people = self.store.people_each(shard, view.number, buckets.clone()).await?;
            for (pseudonym, record) in people.into_iter().filter_map(|(_, read)| read.ok()) {
                uses.extend(uses_of(view, pseudonym.field(), &record));
            }
        }
        let mut held = Held::new();
        for slot in 0..self.store.shards() {
            let (_, marks) = self.store.snapshot_quotas(slot, view.number, buckets.clone()).await?;
            held.extend(
                marks.iter().filter_map(|(field, value)| Some((field.clone(), StoredMark::of(field, value)?.holds))),
            );
        }
        for [at, earlier] in uses {
            let found = |one: &(QuotaPlace, i64)| held.get(&mark_of(&one.0)).copied().unwrap_or_default();
            if found(&at) != at.1 && found(&earlier) != earlier.1 {
                let (place, n) = &at;
                let subject = format!("person {} of {}, quota {}", hex::encode(&place.holder), view.id, place.name);
                wrong.tell("quota_not_held", subject, (n, found(&at)), SHORT);
            }
        }
        Ok(())
    }

    /// Every refund that was booked is counted, and every piece that an order pays for is marked with it.
    pub(super) async fn look_at_refunds_and_pieces(
        &self,
        snapshot: &Snapshot,
        one: &KeptOrder,
        wrong: &mut Wrong,
    ) -> Result<(), StoreError> {
        let (Some(stored), bought) = self.store.order_with_goods(one.shard, &one.key).await? else { return Ok(()) };
        let (order, bought) = (&stored.order, bought.as_ref().map(|stored| &stored.bought));
        let said = format!("order {} of shard {}", hex::encode(one.key), one.shard);
        for number in 0..order.refunds.len() {
            let used = |before: Ms| self.uses_of_refund(&one.key, (order, bought), number, before);
            for (at, earlier) in used(0)?.into_iter().zip(used(BEFORE)?) {
                let own = async |place| Ok::<_, StoreError>(self.store.quota_used(place).await?.own);
                let held = own(&at.0).await?;
                if is_counted(snapshot, &at.0.name) && held < at.1 && own(&earlier.0).await? < earlier.1 {
                    let subject = format!("{said}, refund {number}, quota {}", at.0.name);
                    wrong.tell("quota_not_held", subject, (at.1, held), SHORT);
                }
            }
        }
        for (place, serial) in self.pieces_of(order, bought) {
            let holder = self.store.serial_holder(&place).await?;
            if holder.is_none_or(|holder| holder.key != one.key) {
                let found = holder.map_or("nothing".to_owned(), |holder| format!("order {}", hex::encode(holder.key)));
                let explanation = "an order pays for a piece that the index does not name as its own";
                wrong.tell("serial_not_held", format!("{said}, serial number {serial}"), (&said, found), explanation);
            }
        }
        Ok(())
    }
}

/// How the mark of a holder is called beside its quota.
fn mark_of(place: &QuotaPlace) -> Vec<u8> {
    [&place.holder[..], &keys::quota_digest(&place.name)].concat()
}

/// What a person's entries and packs use of quotas, by the instant that their record says and by the one at which they may have been counted.
fn uses_of(view: &CampaignView, field: PersonField, record: &PersonRecord) -> Vec<[(QuotaPlace, i64); 2]> {
    let mut uses = Vec::new();
    for entry in &record.entries {
        let Some(round) = view.rounds.get(usize::from(entry.round)) else { continue };
        let earlier = Entry { at: entry.at - BEFORE / SECOND, ..*entry };
        let of = |entry: &Entry| reservations::counting(view, round, field, entry);
        uses.extend(of(entry).into_iter().zip(of(&earlier)).map(|(at, earlier)| [at, earlier]));
    }
    let first_come =
        |round: u8| view.rounds.get(usize::from(round)).is_some_and(|one| one.round.mode == Mode::FirstCome);
    for pack in record.packs.iter().filter(|pack| first_come(pack.round)) {
        let of = |at: Ms| claims::counting(view, field, record, pack, at);
        let at = pack.at * SECOND;
        uses.extend(of(at).into_iter().zip(of(at - BEFORE)).map(|(at, earlier)| [at, earlier]));
    }
    uses
}
