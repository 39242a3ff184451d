//! Limits on claiming that no person's record counts: over everybody, by phone, device or account, and `max_amount_by_day`.
//!
//! A quota lies on another slot than the person, so it is counted before the pack is issued, once for a person, round, channel and pack,
//! however many copies of the claim are on their way. A copy that is refused, or finds the pack there already, takes itself off; only when
//! none is left that may have had its effect is the quota given back. What a node that dies in between leaves counted, or an outage,
//! `quota_marks.rs` gives back.

use super::Issued;
use super::held_pack;
use crate::domain::campaign::schema::LimitMax;
use crate::domain::claim_limit::{self, ClaimQuota, Claimer};
use crate::domain::limit::contacts;
use crate::domain::time::Ms;
use crate::domain::voucher::PersonField;
use crate::engine::claim::judge::names_pack;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::resident::Person;
use crate::engine::{Engine, Failure};
use crate::store::keys;
use crate::store::quota::{QuotaPlace, Taken};
use crate::store::record::{Entry, Pack, PersonRecord};

/// What came of counting a claim.
pub(in crate::engine) enum Counted {
    At(Vec<QuotaPlace>),
    /// A quota is used up, or the person has the pack already.
    Instead(Issued),
}

/// A quota as a claim of a pack counts towards it: where, how much it is there, and how much there is at most.
fn counted(
    view: &CampaignView,
    (round, channel, pack): (u8, u8, u8),
    field: PersonField,
    quota: &ClaimQuota,
) -> (QuotaPlace, i64, i64) {
    let (n, most) = match quota.max {
        LimitMax::Count(most) => (1, i64::from(most)),
        LimitMax::Amount(most) => (view.pack_value(pack).0, most.0),
    };
    let place = QuotaPlace {
        name: keys::quota_name(view.number, quota.number, &quota.entity, quota.period),
        campaign: view.number,
        buckets: view.record.buckets,
        holder: [&field[..], &[b'c', round, channel, pack]].concat(),
    };
    (place, n, most)
}

/// The quotas that count a pack which a person was issued, and how much it is there.
pub(in crate::engine) fn counting(
    view: &CampaignView,
    field: PersonField,
    record: &PersonRecord,
    pack: &Pack,
    at: Ms,
) -> Vec<(QuotaPlace, i64)> {
    let same = |entry: &&Entry| (entry.round, entry.channel) == (pack.round, pack.channel);
    let entry = record.entries.iter().find(same);
    let contacts = entry.map(|one| contacts(&view.campaign, pack.round, one.digests)).unwrap_or_default();
    let claimer = Claimer { field, contacts };
    let of = (pack.round, pack.channel, pack.pack);
    let quotas = claim_limit::quotas(&view.campaign, &view.zone, of, &claimer, at);
    quotas.iter().map(|quota| counted(view, of, field, quota)).map(|(place, n, _)| (place, n)).collect()
}

impl Engine {
    /// Counts a claim towards every quota that it meets at an instant, one after the other in the order of the file. A quota's slot knows no
    /// revision of the campaign: who finds it full is refused by the limit until this node has heard of a pause, as with what is sold out.
    pub(in crate::engine) async fn count_claim(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        (channel, pack): (u8, u8),
        at: Ms,
    ) -> Result<Counted, Failure> {
        let mut claimer = Claimer { field: person.pseudonym.field(), contacts: [0; 3] };
        if claim_limit::counts_contacts(&view.campaign, round.index) {
            let record = self.person_record(person).await?.unwrap_or_default();
            let entry = record.entries.iter().find(|entry| (entry.round, entry.channel) == (round.index, channel));
            claimer.contacts = entry.map(|one| contacts(&view.campaign, round.index, one.digests)).unwrap_or_default();
        }
        let mut places = Vec::new();
        for quota in claim_limit::quotas(&view.campaign, &view.zone, (round.index, channel, pack), &claimer, at) {
            let (place, n, most) = counted(view, (round.index, channel, pack), claimer.field, &quota);
            let taken = self.store.enter_quota(&place, n, most).await;
            if !matches!(taken, Ok(Taken::Holds(_))) {
                self.uncount_claim(&places).await;
            }
            if taken? == Taken::Full {
                return Ok(Counted::Instead(
                    self.claimed_before(view, round, person, (channel, pack), quota.number).await?,
                ));
            }
            places.push(place);
        }
        Ok(Counted::At(places))
    }

    /// Whoever has the pack is told so, whatever is used up by now.
    async fn claimed_before(
        &self,
        view: &CampaignView,
        round: &RoundView,
        person: &Person,
        (channel, pack): (u8, u8),
        number: u8,
    ) -> Result<Issued, Failure> {
        let record = self.person_record(person).await?.unwrap_or_default();
        let named = names_pack(&round.round).then_some(pack);
        Ok(match held_pack(view, &record, round, channel, named) {
            Some(pack) => Issued::Pack { pack, replayed: true },
            None => Issued::Refused(Box::new(claim_limit::reached(&view.campaign, round.index, number))),
        })
    }

    /// This copy of the claim had no effect. What stays counted for want of an answer is stricter by one claim.
    pub(in crate::engine) async fn uncount_claim(&self, places: &[QuotaPlace]) {
        for place in places {
            if let Err(error) = self.store.leave_quota(place).await {
                tracing::warn!(%error, "a quota keeps a claim that had no effect");
            }
        }
    }
}
