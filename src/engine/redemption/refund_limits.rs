//! Limits on refunds: a person's in the person's record, those of a payment on the order itself, all others as quotas. A refund is never
//! taken back, so nothing of them is given back; what the n-th refund of an order means to take stands under that number, and whoever
//! books the n-th refund uses it. A refund that stops halfway leaves a quota stricter until the order's next refund.

use super::{Till, broken};
use crate::domain::bought::Bought;
use crate::domain::campaign::schema::{LimitAction, LimitMax};
use crate::domain::limit::{Keeper, LimitFact, Place, facts_on};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey};
use crate::domain::refund::{is_of_voucher, shares_so_far};
use crate::domain::refusal::Refusal;
use crate::domain::time::Ms;
use crate::engine::view::{CampaignView, Snapshot};
use crate::engine::{Engine, Failure};
use crate::store::quota::{QuotaPlace, Taken};
use crate::store::{StoreError, keys};

/// There is one try at the n-th refund, whoever makes it: the record of the order says who did.
const ATTEMPT: u32 = 1;

/// Quotas of which somebody has asked for more than this refund takes: where, and what this one takes.
pub(super) struct Beyond(Vec<(QuotaPlace, i64)>);

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
    ) -> Result<Beyond, Failure> {
        let snapshot = self.view();
        let met = met(&snapshot, order, place, shares, self.now())?;
        if met.iter().any(|one| one.fact.keeper == Keeper::Payment) {
            let so_far = shares_so_far(order, bought);
            for one in met.iter().filter(|one| one.fact.keeper == Keeper::Payment) {
                one.require_of_payment(&so_far)?;
            }
        }
        let mut beyond = Vec::new();
        let holder = [&key[..], &[b'r', order.refunds.len() as u8]].concat();
        for one in met.iter().filter(|one| one.fact.keeper == Keeper::Quota) {
            let (n, most) = one.takes();
            let name = keys::quota_name(one.view.number, one.fact.number, &one.fact.entity, one.fact.period);
            if n <= 0 {
                continue;
            }
            let place = self.quota_place(&name, &holder)?;
            match self.store.take_quota(&place, ATTEMPT, n, most, false, true).await? {
                Taken::Holds(held) if held > n => beyond.push((place, n)),
                Taken::Holds(_) => {}
                Taken::Full => return Err(one.fact.reached().into()),
                Taken::AttemptVoid => return Err(broken("a refund's quota was given back").into()),
            }
        }
        Ok(Beyond(beyond))
    }

    /// The refund is booked: what others have asked for under its number is given back. A quota that keeps too much is stricter.
    pub(super) async fn settle_refund(&self, beyond: &Beyond) {
        for (place, keeps) in &beyond.0 {
            if let Err(error) = self.store.give_quota(place, ATTEMPT, None, *keeps).await {
                tracing::warn!(%error, "a quota keeps more than its refund uses");
            }
        }
    }

    /// Who booked the refund that made the order whole may have stopped before the limits on its redemption were given back.
    pub(super) async fn give_back_refunded(&self, till: &Till, key: &OrderKey, order: &Order) {
        if order.refundable() == Fen::ZERO {
            self.release_or_owe(&till.merchant_id, key, order, None).await;
        }
    }
}
