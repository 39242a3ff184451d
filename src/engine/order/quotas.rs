//! Quotas at the till: limits that neither the payer's record nor the merchant's slot counts.
//!
//! A quota and the orders that use it lie on different slots. The merchant's directory names the quotas of an attempt before any of them
//! is taken, so whoever ends the attempt gives back by that list, and a mark beside each quota says what the attempt holds of it: taken
//! twice it is held once, given back it stays given back, and a copy that comes later takes nothing. A crash leaves a quota stricter, never
//! wider.

use futures_util::future::try_join_all;
use rmpv::Value;

use super::limits::{Cap, Capped, Caps, Held, cap_names, caps_of};
use super::plan::{PayerView, Planned};
use super::redeem::Call;
use super::seen::Seen;
use crate::domain::limit::{Keeper, Place};
use crate::domain::order::OrderKey;
use crate::domain::refusal::Refusal;
use crate::engine::config::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::quota::{Generation, QuotaPlace, Taken};
use crate::store::{Reply, StoreError, keys};

/// The quotas that a step of the directory names.
pub(super) fn named_quotas(reply: &Reply, index: usize) -> Vec<String> {
    let names = reply.value(index).and_then(Value::as_array).into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn place_in(view: &CampaignView, name: &str, holder: &[u8]) -> QuotaPlace {
    QuotaPlace { name: name.to_owned(), campaign: view.number, buckets: view.record.buckets, holder: holder.to_vec() }
}

impl Engine {
    /// Where a quota is counted. While its campaign cannot be read nothing is given back to it, so whoever has to give back tries again.
    pub(in crate::engine) fn quota_place(&self, name: &str, holder: &[u8]) -> Result<QuotaPlace, StoreError> {
        let number = keys::quota_campaign(name).ok_or_else(|| StoreError::Broken(format!("quota {name}")))?;
        Ok(place_in(self.view().numbered(number)?, name, holder))
    }

    /// What others have used of the quotas that the payer's vouchers may meet.
    pub(super) async fn quotas_seen(
        &self,
        payer: &PayerView,
        seen: &Seen,
        merchant_id: &str,
        place: &Place,
        order: Option<&OrderKey>,
    ) -> Result<Caps, Refusal> {
        let people = payer.people.iter().zip(&seen.records);
        let names = people.filter_map(|(person, record)| {
            let record = &record.as_ref()?.person;
            Some(cap_names(Keeper::Quota, merchant_id, &person.view, record, place, seen.now))
        });
        let holder = order.map(|key| key.as_slice()).unwrap_or_default();
        let reading = names.flatten().map(|name| async move {
            let used = self.store.quota_used(&self.quota_place(&name, holder)?).await?;
            Ok::<_, StoreError>((name, used.all - used.own))
        });
        Ok(try_join_all(reading).await?.into_iter().collect())
    }

    /// One quota after the other, in one order for everybody, so that two who want the last of the same quotas meet at the first. A
    /// generation above 0 is a late confirm's.
    pub(super) async fn take_quotas(
        &self,
        holder: &[u8],
        attempt: u32,
        quotas: &[Cap],
        generation: i64,
    ) -> Result<Capped, Failure> {
        for quota in quotas {
            let place = self.quota_place(&quota.name, holder)?;
            let (amounts, goes_on) = ((quota.n, quota.most), generation > 0);
            match self.store.take_quota(&place, attempt, amounts, Generation::Is(generation), goes_on).await? {
                Taken::Holds(_) => {}
                Taken::Full => return Ok(Capped::Full),
                Taken::AttemptVoid => return Ok(Capped::Void),
            }
        }
        Ok(Capped::Held)
    }

    pub(super) async fn give_quotas(
        &self,
        holder: &[u8],
        attempt: u32,
        generation: Option<i64>,
        names: &[String],
        kept: &[Cap],
    ) -> Result<(), StoreError> {
        let giving = names.iter().map(|name| async move {
            let keeps = kept.iter().find(|cap| cap.name == *name).map_or(0, |cap| cap.n);
            self.store.give_quota(&self.quota_place(name, holder)?, attempt, generation, keeps).await
        });
        try_join_all(giving).await.map(|_| ())
    }

    /// The attempt has had its effect: what plans before the last one took is given back. No other copy of it applies any more.
    pub(super) async fn settle_quotas(
        &self,
        call: &Call<'_>,
        attempt: u32,
        (plan, seen): &(Planned, Seen),
        held: &Held,
    ) {
        let (merchant_id, place) = (&call.till.merchant_id, &call.place);
        let used = caps_of(Keeper::Quota, call.snapshot, merchant_id, &plan.units, place, seen.now);
        for quota in &held.quotas {
            let keeps = used.iter().find(|used| used.name == quota.name).map_or(0, |used| used.n);
            if quota.n <= keeps {
                continue;
            }
            let given =
                async { self.store.give_quota(&self.quota_place(&quota.name, &call.key)?, attempt, None, keeps).await };
            // The vouchers are taken, whatever becomes of this: a quota that keeps too much is stricter.
            if let Err(error) = given.await {
                self.owed.note(&error);
            }
        }
    }
}
