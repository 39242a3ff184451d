//! Limits on refunds: a person's in the person's record, those of a payment on the order itself, all others as quotas. A refund is never
//! taken back, so nothing of them is given back; what the n-th refund of an order means to take stands under that number, and whoever
//! books the n-th refund uses it. A refund that stops halfway leaves a quota stricter until the order's next refund.

use super::limits::{place_of_order, use_args};
use super::moves::Moves;
use super::{Till, broken};
use crate::domain::campaign::schema::{LimitAction, LimitMax};
use crate::domain::limit::{Keeper, LimitFact, facts_on};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, limit_entity};
use crate::domain::person::bucket_of;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::voucher::PersonField;
use crate::engine::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::quota::{QuotaPlace, Taken};
use crate::store::script::Args;
use crate::store::{StoreError, keys};

/// There is one try at the n-th refund, whoever makes it: the record of the order says who did.
const ATTEMPT: u32 = 1;

/// What a refund takes of its limits.
pub(super) struct RefundLimits {
    uses: Vec<RefundUse>,
    /// Quotas of which somebody has asked for more than this refund takes: where, and what this one takes.
    beyond: Vec<(QuotaPlace, i64)>,
}

/// What a refund takes of a person's limit: one, and the issuer's share.
struct RefundUse {
    /// As the script reads it.
    args: Args,
    reached: Refusal,
}

impl RefundLimits {
    pub(super) fn write(&self, list: Args) -> Args {
        self.uses.iter().fold(list, |list, one| list.then(&one.args))
    }

    /// The refusal by the n-th use, counted from one.
    pub(super) fn reached(&self, place: i64) -> Refusal {
        let reached = usize::try_from(place - 1).ok().and_then(|place| self.uses.get(place));
        reached.map_or(Code::LimitReached.into(), |one| one.reached.clone())
    }
}

/// A limit that vouchers of the order meet, with the issuer's share that comes back by them.
struct Met<'a> {
    view: &'a CampaignView,
    field: PersonField,
    fact: LimitFact<'a>,
    share: Fen,
}

impl Met<'_> {
    /// One voucher more of the same limit: the refund is one, the shares add up.
    fn is(&self, view: &CampaignView, field: &PersonField, fact: &LimitFact) -> bool {
        let same_person = self.fact.keeper != Keeper::Person || self.field == *field;
        self.view.number == view.number && same_person && self.fact.same(fact)
    }

    fn takes(&self) -> (i64, i64) {
        match self.fact.limit.max {
            LimitMax::Count(most) => (1, i64::from(most)),
            LimitMax::Amount(most) => (self.share.0, most.0),
        }
    }
}

impl Engine {
    /// Judges a refund by the limits that its order's vouchers meet now, and takes what is counted elsewhere.
    pub(super) async fn limit_refund(
        &self,
        moves: &Moves,
        (shard, key, order): (u8, &OrderKey, &Order),
        merchant_id: &str,
        shares: &[Fen],
    ) -> Result<RefundLimits, Failure> {
        let snapshot = self.view();
        let place = place_of_order(order, limit_entity(merchant_id));
        let mut met: Vec<Met> = Vec::new();
        for (unit, share) in order.units.iter().zip(shares) {
            let view = snapshot.by_number.get(&unit.c).ok_or_else(|| broken("an order's campaign is gone"))?;
            let facts = facts_on(LimitAction::Refund, &view.campaign, &view.zone, unit.of_pack(), &place, self.now());
            for fact in facts {
                match met.iter_mut().find(|known| known.is(view, &unit.f, &fact)) {
                    Some(known) => known.share = known.share + *share,
                    None => met.push(Met { view, field: unit.f, fact, share: *share }),
                }
            }
        }
        let of_payment = met.iter().filter(|one| one.fact.keeper == Keeper::Payment);
        for one in of_payment {
            require_of_payment(order, &one.fact, shares.iter().copied().sum())?;
        }
        let mut limits = RefundLimits { uses: Vec::new(), beyond: Vec::new() };
        for one in met.iter().filter(|one| one.fact.keeper == Keeper::Person) {
            let bucket = keys::person_bucket(shard, one.view.number, bucket_of(&one.field, one.view.record.buckets));
            let key = moves.place_of(&bucket).ok_or_else(|| broken("a unit has no bucket"))?;
            let args = use_args(Args::default(), key, &one.field, &one.fact, 1, one.share);
            limits.uses.push(RefundUse { args, reached: one.fact.reached() });
        }
        let holder = [&key[..], &[b'r', order.refunds.len() as u8]].concat();
        for one in met.iter().filter(|one| one.fact.keeper == Keeper::Quota) {
            let (n, most) = one.takes();
            let name = keys::quota_name(one.view.number, one.fact.number, &one.fact.entity, one.fact.period);
            let Some(place) = self.quota_place(&name, &holder).filter(|_| n > 0) else { continue };
            match self.store.take_quota(&place, ATTEMPT, n, most, false).await? {
                Taken::Holds(held) if held > n => limits.beyond.push((place, n)),
                Taken::Holds(_) => {}
                Taken::Full => return Err(one.fact.reached().into()),
                Taken::AttemptVoid => return Err(broken("a refund's quota was given back").into()),
            }
        }
        Ok(limits)
    }

    /// The refund is booked: what others have asked for under its number is given back. A quota that keeps too much is stricter.
    pub(super) async fn settle_refund(&self, limits: &RefundLimits) {
        for (place, keeps) in &limits.beyond {
            if let Err(error) = self.store.give_quota(place, ATTEMPT, None, *keeps).await {
                tracing::warn!(%error, "a quota keeps more than its refund uses");
            }
        }
    }

    /// Who booked the refund that made the order whole may have stopped before the limits on its redemption were given back.
    pub(super) async fn give_back_refunded(
        &self,
        till: &Till,
        key: &OrderKey,
        order: &Order,
    ) -> Result<(), StoreError> {
        let snapshot = self.view();
        let restores = super::reverse::campaign_of(&snapshot, order).is_some_and(|one| one.refund_restores_limits);
        if restores && order.refundable() == Fen::ZERO {
            self.release_ended(&till.merchant_id, key, order, None).await?;
        }
        Ok(())
    }
}

/// All refunds of an order, and the issuer's shares of all its vouchers.
fn require_of_payment(order: &Order, fact: &LimitFact, share: Fen) -> Result<(), Refusal> {
    let before: Fen = order.refunds.iter().map(|refund| refund.share).sum();
    let used = LimitFact { count: order.refunds.len() as i64, amount: before, ..fact.clone() };
    if used.admits(1, share) { Ok(()) } else { Err(used.reached()) }
}
