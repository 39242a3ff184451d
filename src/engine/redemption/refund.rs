//! Refunds: goods come back, wholly or in part, once or in several steps.

use super::moves::Moves;
use super::redeem::refused;
use super::reverse::campaign_of;
use super::{Answered, OrderView, TRIES, Till, broken, contended};
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::order::{Order, OrderKey, OrderState, limit_entity, order_key};
use crate::domain::refund;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::DAY;
use crate::engine::{Engine, Failure};
use crate::store::keys::Slot;
use crate::store::order::StoredOrder;
use crate::store::script::{self, Args};

/// Refunds of one order, so that its record stays small (payment platforms take 50 as well).
const MOST_REFUNDS: usize = 50;

/// One refund and the order as it stood after it.
#[derive(Clone, Debug)]
pub struct RefundView {
    pub refund_id: String,
    pub to_payer: Fen,
    pub to_issuer: Fen,
    pub at: i64,
    pub after: OrderView,
}

impl Engine {
    /// Books a refund; its repeat is answered from the order's record.
    pub async fn refund(
        &self,
        till: &Till,
        order_id: &str,
        refund_id: &str,
        amount: Fen,
    ) -> Result<Answered<RefundView>, Refusal> {
        if !(1..FEN_LIMIT).contains(&amount.0) {
            return Err(Refusal::new(Code::InvalidRequest).field(
                "/amount",
                "out_of_range",
                "须为 1 分至 10^14 分之间。",
                "Must be from 1 to below 10^14 fen.",
            ));
        }
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let found = self.found(till, &key).await?;
                let (shard, stored) = (found.shard(), &found.stored);
                let order = &stored.order;
                if let Some(index) = known_refund(order, refund_id, amount)? {
                    self.give_back_refunded(till, &key, order).await?;
                    let value = self.refund_view(till, order_id, shard, order, index)?;
                    return Ok(Answered { value, replayed: true });
                }
                self.require_refundable(order, amount)?;
                if let Some(order) = self.refund_stored(till, order_id, &key, shard, stored, refund_id, amount).await? {
                    let value = self.refund_view(till, order_id, shard, &order, order.refunds.len() - 1)?;
                    return Ok(Answered { value, replayed: false });
                }
            }
            Err(contended().into())
        })
        .await
    }

    fn require_refundable(&self, order: &Order, amount: Fen) -> Result<(), Refusal> {
        let days = campaign_of(&self.view(), order).ok_or_else(|| broken("an order's campaign is gone"))?.refund_days;
        if self.now() >= order.t1 + i64::from(days) * DAY {
            return Err(Code::RefundWindowClosed.into());
        }
        if amount > order.refundable() {
            return Err(Refusal::new(Code::RefundExceedsOrder).with("refundable_amount", order.refundable().0));
        }
        if order.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::new(Code::LimitReached)
                .with("limit", serde_json::json!({ "refunds_per_order": MOST_REFUNDS })));
        }
        Ok(())
    }

    /// `None` when the order has changed meanwhile.
    #[allow(clippy::too_many_arguments, reason = "the parts of one refund")]
    async fn refund_stored(
        &self,
        till: &Till,
        order_id: &str,
        key: &OrderKey,
        shard: u8,
        stored: &StoredOrder,
        refund_id: &str,
        amount: Fen,
    ) -> Result<Option<Order>, Failure> {
        let (order, snapshot) = (&stored.order, self.view());
        let campaign = campaign_of(&snapshot, order).ok_or_else(|| broken("an order's campaign is gone"))?;
        let refunded = order.refunded_total();
        let shares = refund::shares(order.net(), order.discount, refunded, amount);
        let before: Fen = order.refunds.iter().map(|refund| refund.share).sum();
        let discounts: Vec<Fen> = order.units.iter().map(|unit| unit.discount).collect();
        let by_voucher = refund::shares_by_voucher(&discounts, before, shares.to_issuer);
        let restore = refund::restores(campaign.refund_policy, order.net(), refunded, amount);
        let mut moves = Moves::of_order(&snapshot, shard, key, order, limit_entity(&till.merchant_id))?;
        let limits_restored = campaign.refund_restores_limits && refunded + amount == order.net();
        if !limits_restored {
            moves = moves.without_uses();
        }
        let limits = self.limit_refund(&moves, (shard, key, order), &till.merchant_id, &by_voucher).await?;
        let named = [&till.merchant_id, order_id, "", &till.terminal_id];
        let more = |args: Args| {
            let args = args.bytes(refund_id).int(amount.0);
            let args = args.list(|list| by_voucher.iter().fold(list, |list, share| list.int(share.0)));
            let args = args.int(u8::from(restore)).int(campaign.max_restores_per_voucher.min(63));
            let args = args.list(|list| named.iter().fold(list, |list, name| list.bytes(name)));
            args.list(|list| limits.write(list))
        };
        let member = moves.into_member(key, &stored.bytes, more);
        let reply = self.store.call(&script::ORDER_REFUND, &Slot::Shard(shard), member).await?;
        match reply.refused() {
            Some("limit_reached") => Err(limits.reached(reply.int(1)).into()),
            Some(code) => Err(refused(code)),
            None if reply.is("ok") => {
                self.settle_refund(&limits).await;
                if limits_restored {
                    self.release_ended(&till.merchant_id, key, order, None).await?;
                }
                Ok(Some(StoredOrder::decode(reply.bytes(0))?.order))
            }
            None => Ok(None),
        }
    }

    fn refund_view(
        &self,
        till: &Till,
        order_id: &str,
        shard: u8,
        order: &Order,
        index: usize,
    ) -> Result<RefundView, Refusal> {
        let refund = &order.refunds[index];
        let (refund_id, to_issuer, to_payer, at) =
            (refund.refund_id.clone(), refund.share, refund.amount - refund.share, refund.at);
        let after = self.order_view(&till.merchant_id, order_id, shard, order.after_refund(index))?;
        Ok(RefundView { refund_id, to_payer, to_issuer, at, after })
    }
}

/// The place of a refund that was booked before; the same number with another amount is a conflict.
fn known_refund(order: &Order, refund_id: &str, amount: Fen) -> Result<Option<usize>, Refusal> {
    match order.state {
        OrderState::Cancelled => return Err(Code::OrderCancelled.into()),
        OrderState::Redeemed => {}
        _ => return Err(Code::OrderNotRedeemed.into()),
    }
    match order.refunds.iter().position(|refund| refund.refund_id == refund_id) {
        Some(index) if order.refunds[index].amount == amount => Ok(Some(index)),
        Some(_) => Err(Code::RefundConflict.into()),
        None => Ok(None),
    }
}
