//! Limits on reserving that no person's record counts: over everybody, or by phone, device or account.
//!
//! As with claims, a wish is counted on the quota's slot before it reaches the person's shard, once however many copies of it are on their
//! way; a copy that had no effect takes itself off. Whoever takes an entry off the list, or puts another in its place, is told by the
//! shard what was there, and gives that back. What a node that dies in between leaves counted, or an outage, `quota_marks.rs` gives back.

use super::{Entered, Wanted, identity};
use crate::domain::campaign::schema::{Limit, Reservation};
use crate::domain::claim_limit::Claimer;
use crate::domain::limit::contacts;
use crate::domain::refusal::{Code, Outcome, Refusal};
use crate::domain::reserve_limit;
use crate::domain::time::{Ms, SECOND};
use crate::domain::voucher::PersonField;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::quota::Ahead;
use crate::engine::{Engine, Failure};
use crate::store::keys;
use crate::store::quota::{QuotaPlace, Taken};
use crate::store::record::Entry;

/// A quota that an entry counts towards.
struct Met<'a> {
    place: QuotaPlace,
    limit: &'a Limit,
    most: i64,
}

fn met<'a>(view: &'a CampaignView, round: &RoundView, field: PersonField, entry: &Entry) -> Vec<Met<'a>> {
    let per_channel = round.reservation.as_ref().is_some_and(Reservation::per_channel);
    let of = if per_channel { entry.channel } else { super::ANY_CHANNEL };
    let claimer = Claimer { field, contacts: contacts(&view.campaign, round.index, entry.digests) };
    let at = (round.index, entry.channel, entry.choice);
    let quotas = reserve_limit::quotas(&view.campaign, &view.zone, at, &claimer, entry.at * SECOND);
    let place = |quota: reserve_limit::ReserveQuota<'a>| Met {
        place: QuotaPlace {
            name: keys::quota_name(view.number, quota.number, &quota.entity, quota.period),
            campaign: view.number,
            buckets: view.record.buckets,
            holder: [&field[..], &[b'v', round.index, of]].concat(),
        },
        limit: quota.limit,
        most: quota.most,
    };
    quotas.into_iter().map(place).collect()
}

/// The quotas that count an entry, and how much it is there.
pub(in crate::engine) fn counting(
    view: &CampaignView,
    round: &RoundView,
    field: PersonField,
    entry: &Entry,
) -> Vec<(QuotaPlace, i64)> {
    met(view, round, field, entry).into_iter().map(|met| (met.place, 1)).collect()
}

impl Engine {
    /// Puts a wish on the list within the limits over everybody.
    pub(super) async fn enter_counted(
        &self,
        view: &CampaignView,
        round: &RoundView,
        reservation: &Reservation,
        wanted: &Wanted,
        now: Ms,
    ) -> Result<Entered, Failure> {
        let field = wanted.person.pseudonym.field();
        let mut entry =
            Entry { round: round.index, channel: wanted.channel, choice: wanted.choice, ..Entry::default() };
        entry.at = now.div_euclid(SECOND);
        for (digest, bytes) in entry.digests.iter_mut().zip(wanted.digests.as_chunks().0) {
            *digest = u64::from_be_bytes(*bytes);
        }
        let (met, ahead) = (met(view, round, field, &entry), Ahead::counted());
        for (counted, quota) in met.iter().enumerate() {
            let taken = self.store.enter_quota(&quota.place, 1, quota.most).await;
            if !matches!(taken, Ok(Taken::Holds(_))) {
                self.leave(&met[..counted]).await;
            }
            if taken? == Taken::Full {
                let record = self.person_record(&wanted.person).await?.unwrap_or_default();
                let standing = identity::standing(view, round, reservation, &record, wanted)?;
                let limit = serde_json::to_value(quota.limit).unwrap_or_default();
                return standing.ok_or_else(|| Refusal::new(Code::LimitReached).with("limit", limit).into());
            }
        }
        let entered = match ahead.require() {
            Ok(()) => self.enter_uncounted(view, round, reservation, wanted, now).await,
            Err(late) => Err(late),
        };
        match &entered {
            Ok(Entered { replayed: true, .. }) | Err(Failure::Refusal(_)) => self.leave(&met).await,
            Err(Failure::Store(error)) if error.outcome() == Outcome::NotApplied => {
                self.leave(&met).await;
            }
            Ok(Entered { instead_of: Some(old), .. }) => self.leave_entry(view, round, field, old).await,
            _ => {}
        }
        entered
    }

    /// An entry is off the list.
    pub(super) async fn leave_entry(&self, view: &CampaignView, round: &RoundView, field: PersonField, entry: &Entry) {
        self.leave(&met(view, round, field, entry)).await;
    }

    async fn leave(&self, met: &[Met<'_>]) {
        for quota in met {
            if let Err(error) = self.store.leave_quota(&quota.place).await {
                tracing::warn!(%error, "a quota keeps an entry that is not on the list");
            }
        }
    }
}
