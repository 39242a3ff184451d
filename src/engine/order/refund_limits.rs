//! Limits on refunds: a person's in the person's record, those of a payment on the order itself, all others as quotas. A refund is never
//! taken back, so nothing of one that is booked is given back; what the n-th refund of an order means to take stands under that number, and
//! whoever books the n-th refund uses it. A copy that is not booked gives back what it has added, unless another copy has come since; what an
//! outage or a crash leaves is given back by the walk (`refund_marks.rs`).

use super::broken;
use super::limits::place_of_order;
use crate::domain::bought::Bought;
use crate::domain::campaign::schema::{LimitAction, LimitMax};
use crate::domain::limit::{Keeper, LimitFact, Place, facts_on};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey};
use crate::domain::refund::{completed_at, is_of_voucher, shares_so_far};
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::merchant::caller::Till;
use crate::engine::quota::Ahead;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::quota::{Generation, QuotaPlace, Share, Taken};

/// There is one try at the n-th refund, whoever makes it: the record of the order says who did.
const ATTEMPT: u32 = 1;

/// What a copy of a refund has taken of quotas before it is booked.
pub(super) struct TakenAhead {
    shares: Vec<(QuotaPlace, i64, Share)>,
    pub ahead: Ahead,
}

/// A limit that vouchers of the order meet, with the issuer's share that comes back by them.
struct Met<'a> {
    view: &'a CampaignView,
    fact: LimitFact<'a>,
    /// Places of the vouchers that meet it.
    places: Vec<usize>,
    share: Fen,
}

impl Met<'_> {
    /// One voucher more of the same limit: the refund is one, the shares add up.
    fn is(&self, view: &CampaignView, fact: &LimitFact) -> bool {
        self.view.number == view.number && self.fact.same(fact)
    }

    fn takes(&self) -> (i64, i64) {
        match self.fact.limit.max {
            LimitMax::Count(most) => (1, i64::from(most)),
            LimitMax::Amount(most) => (self.share.0, most.0),
        }
    }

    fn quota_name(&self) -> String {
        keys::quota_name(self.view.number, self.fact.number, &self.fact.entity, self.fact.period)
    }

    /// Whether a refund with these shares is one of its vouchers.
    fn counts(&self, shares: &[Fen]) -> bool {
        self.places.iter().any(|place| is_of_voucher(shares, *place))
    }

    /// Refunds of one payment: of its own vouchers alone, for those of another campaign follow that campaign's limits.
    fn require_of_payment(&self, so_far: &[Vec<Fen>]) -> Result<(), Refusal> {
        let before: Vec<&Vec<Fen>> = so_far.iter().filter(|shares| self.counts(shares)).collect();
        let amount = before.iter().flat_map(|shares| self.places.iter().map(|place| shares[*place])).sum();
        let used = LimitFact { count: before.len() as i64, amount, ..self.fact.clone() };
        if used.admits(1, self.share) { Ok(()) } else { Err(used.reached()) }
    }
}

/// The limits that this refund meets, by the vouchers that it is of.
fn met<'a>(
    snapshot: &'a Snapshot,
    order: &Order,
    place: &Place,
    shares: &[Fen],
    now: Ms,
) -> Result<Vec<Met<'a>>, StoreError> {
    let mut met: Vec<Met> = Vec::new();
    for (index, (unit, share)) in order.units.iter().zip(shares).enumerate() {
        let view = snapshot.numbered(unit.c)?;
        let facts = facts_on(LimitAction::Refund, &view.campaign, &view.zone, unit.of_pack(), place, now);
        for fact in facts.into_iter().filter(|fact| matches!(fact.keeper, Keeper::Payment | Keeper::Quota)) {
            match met.iter_mut().find(|known| known.is(view, &fact)) {
                Some(known) => {
                    known.places.push(index);
                    known.share = known.share + *share;
                }
                None => met.push(Met { view, fact, places: vec![index], share: *share }),
            }
        }
    }
    met.retain(|one| one.counts(shares));
    Ok(met)
}

impl Engine {
    /// Judges a refund by the limits on its payment, and takes of the quotas that its order's vouchers meet now.
    pub(super) async fn take_refund_quotas(
        &self,
        key: &OrderKey,
        (order, bought): (&Order, Option<&Bought>),
        place: &Place,
        shares: &[Fen],
    ) -> Result<TakenAhead, Failure> {
        let snapshot = self.view();
        let met = met(&snapshot, order, place, shares, self.now())?;
        if met.iter().any(|one| one.fact.keeper == Keeper::Payment) {
            let so_far = shares_so_far(order, bought);
            for one in met.iter().filter(|one| one.fact.keeper == Keeper::Payment) {
                one.require_of_payment(&so_far)?;
            }
        }
        let holder = [&key[..], &[b'r', order.refunds.len() as u8]].concat();
        let mut taken = TakenAhead { shares: Vec::new(), ahead: Ahead::counted() };
        for one in met.iter().filter(|one| one.fact.keeper == Keeper::Quota) {
            if let Err(failure) = self.take_refund_quota(&holder, one, &mut taken).await {
                self.give_refund_quotas(&taken).await;
                return Err(failure);
            }
        }
        Ok(taken)
    }

    async fn take_refund_quota(&self, holder: &[u8], one: &Met<'_>, taken: &mut TakenAhead) -> Result<(), Failure> {
        let (n, most) = one.takes();
        if n <= 0 {
            return Ok(());
        }
        let place = self.quota_place(&one.quota_name(), holder)?;
        match self.store.take_quota(&place, ATTEMPT, (n, most), Generation::Next, true).await? {
            Taken::Holds(share) => taken.shares.push((place, n, share)),
            Taken::Full => return Err(one.fact.reached().into()),
            Taken::AttemptVoid => return Err(broken("a refund's quota was given back").into()),
        }
        Ok(())
    }

    /// The refund is booked: what others have asked for under its number is given back.
    pub(super) async fn settle_refund(&self, taken: &TakenAhead) {
        for (place, n, _) in taken.shares.iter().filter(|(_, n, share)| share.holds > *n) {
            if let Err(error) = self.store.give_quota(place, ATTEMPT, None, *n).await {
                tracing::warn!(%error, "a quota keeps more than its refund uses");
            }
        }
    }

    /// This copy of the refund is not booked and never will be: what it has added is given back, unless another copy came after it.
    pub(super) async fn give_refund_quotas(&self, taken: &TakenAhead) {
        for (place, _, share) in &taken.shares {
            let given = self.store.give_quota(place, ATTEMPT, Some(share.generation), share.before).await;
            if let Err(error) = given {
                tracing::warn!(%error, "a quota keeps what a refund took that was not booked");
            }
        }
    }

    /// What a refund of an order that was booked uses of quotas, counted some time before.
    pub(in crate::engine) fn uses_of_refund(
        &self,
        key: &OrderKey,
        (order, bought): (&Order, Option<&Bought>),
        number: usize,
        before: Ms,
    ) -> Result<Vec<(QuotaPlace, i64)>, StoreError> {
        let (all, snapshot) = (shares_so_far(order, bought), self.view());
        let (Some(shares), Some(refund)) = (all.get(number), order.refunds.get(number)) else { return Ok(Vec::new()) };
        let place = place_of_order(order, order.receipt.merchant);
        let holder = [&key[..], &[b'r', number as u8]].concat();
        let met = met(&snapshot, order, &place, shares, refund.at - before)?;
        let quotas = met.iter().filter(|one| one.fact.keeper == Keeper::Quota && one.takes().0 > 0);
        quotas.map(|one| Ok((self.quota_place(&one.quota_name(), &holder)?, one.takes().0))).collect()
    }

    /// Who booked the refund that made the order whole, or a campaign's part of it, may have stopped before the limits on its redemption
    /// were given back.
    pub(super) async fn give_back_refunded(&self, till: &Till, key: &OrderKey, order: &Order) {
        if (0..order.units.len()).any(|place| completed_at(order, place).is_some()) {
            self.release_or_owe(&till.merchant_id, key, order, None).await;
        }
    }
}
