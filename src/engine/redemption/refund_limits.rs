//! Limits on refunds: a person's in the person's record, those of a payment on the order itself, all others as quotas. A refund is never
//! taken back, so nothing of them is given back; what the n-th refund of an order means to take stands under that number, and whoever
//! books the n-th refund uses it. A refund that stops halfway leaves a quota stricter until the order's next refund.

use super::{Till, broken};
use crate::domain::campaign::schema::{LimitAction, LimitMax};
use crate::domain::limit::{Keeper, LimitFact, Place, facts_on};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey};
use crate::domain::refusal::Refusal;
use crate::engine::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::keys;
use crate::store::quota::{QuotaPlace, Taken};

/// There is one try at the n-th refund, whoever makes it: the record of the order says who did.
const ATTEMPT: u32 = 1;

/// Quotas of which somebody has asked for more than this refund takes: where, and what this one takes.
pub(super) struct Beyond(Vec<(QuotaPlace, i64)>);

/// A limit that vouchers of the order meet, with the issuer's share that comes back by them.
struct Met<'a> {
    view: &'a CampaignView,
    fact: LimitFact<'a>,
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
}

impl Engine {
    /// Judges a refund by the limits on its payment, and takes of the quotas that its order's vouchers meet now.
    pub(super) async fn take_refund_quotas(
        &self,
        key: &OrderKey,
        order: &Order,
        place: &Place,
        shares: &[Fen],
    ) -> Result<Beyond, Failure> {
        let snapshot = self.view();
        let mut met: Vec<Met> = Vec::new();
        for (unit, share) in order.units.iter().zip(shares) {
            let view = snapshot.numbered(unit.c)?;
            let facts = facts_on(LimitAction::Refund, &view.campaign, &view.zone, unit.of_pack(), place, self.now());
            for fact in facts.into_iter().filter(|fact| matches!(fact.keeper, Keeper::Payment | Keeper::Quota)) {
                match met.iter_mut().find(|known| known.is(view, &fact)) {
                    Some(known) => known.share = known.share + *share,
                    None => met.push(Met { view, fact, share: *share }),
                }
            }
        }
        for one in met.iter().filter(|one| one.fact.keeper == Keeper::Payment) {
            require_of_payment(order, &one.fact, shares.iter().copied().sum())?;
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
        let snapshot = self.view();
        // Where the campaign cannot be read the answer says so, and the next repeat gives back.
        let campaign = super::reverse::campaign_of(&snapshot, order).ok().flatten();
        let restores = campaign.is_some_and(|one| one.refund_restores_limits);
        if restores && order.refundable() == Fen::ZERO {
            self.release_or_owe(&till.merchant_id, key, order, None).await;
        }
    }
}

/// All refunds of an order, and the issuer's shares of all its vouchers.
fn require_of_payment(order: &Order, fact: &LimitFact, share: Fen) -> Result<(), Refusal> {
    let before: Fen = order.refunds.iter().map(|refund| refund.share).sum();
    let used = LimitFact { count: order.refunds.len() as i64, amount: before, ..fact.clone() };
    if used.admits(1, share) { Ok(()) } else { Err(used.reached()) }
}
