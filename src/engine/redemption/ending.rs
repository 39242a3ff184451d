//! How a hold ends at the till: confirm after the payment, cancel without one; and how an attempt ends that has had no effect.

use super::limits::{Capped, caps_of, place_of_order};
use super::moves::Moves;
use super::plan::till_args;
use super::redeem::refused;
use super::{Answered, OrderView, TRIES, Till, contended};
use crate::domain::limit::Keeper;
use crate::domain::money::Fen;
use crate::domain::order::{LATE_CONFIRM, Order, OrderKey, OrderState, hold_id, limit_entity, order_key};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::{Engine, Failure};
use crate::store::keys::{self, Slot};
use crate::store::orders::{NO_SHARD, StoredOrder};
use crate::store::script::{self, Member, bytes};
use crate::store::{StoreError, int};

type Answer = Answered<OrderView>;

impl Engine {
    /// The customer has paid: what is held is redeemed. Late, the vouchers are taken again if they are still free.
    pub async fn confirm(&self, till: &Till, order_id: &str, hold: &str, paid_amount: Fen) -> Result<Answer, Refusal> {
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let (shard, stored) = self.found(till, &key).await?;
                let order = &stored.order;
                if order.state == OrderState::Redeemed && order.captured() {
                    return Err(Code::OrderAlreadyRedeemed.into());
                }
                if hold != hold_id(&till.merchant_id, order_id, order.attempt) {
                    return Err(Refusal::new(Code::OrderConflict).with("fields", vec!["hold_id"]).into());
                }
                if let Some(answer) = self.confirmable(till, order_id, shard, order, paid_amount)? {
                    return Ok(answer);
                }
                if let Some(order) = self.confirm_stored(till, order_id, &key, shard, &stored).await? {
                    let value = self.order_view(&till.merchant_id, order_id, shard, order)?;
                    return Ok(Answered { value, replayed: false });
                }
            }
            Err(contended().into())
        })
        .await
    }

    /// The answer to a repeat, a refusal, or nothing when the store has to decide.
    fn confirmable(
        &self,
        till: &Till,
        order_id: &str,
        shard: u8,
        order: &Order,
        paid_amount: Fen,
    ) -> Result<Option<Answer>, Failure> {
        let mismatch = Refusal::new(Code::PaidAmountMismatch).with("payable", order.payable().0);
        match order.state {
            OrderState::Cancelled => Err(Code::OrderCancelled.into()),
            OrderState::Redeemed if paid_amount != order.payable() => Err(mismatch.into()),
            OrderState::Redeemed => {
                let order = Order { refunds: Vec::new(), ..order.clone() };
                Ok(Some(Answered {
                    value: self.order_view(&till.merchant_id, order_id, shard, order)?,
                    replayed: true,
                }))
            }
            _ if self.now() >= order.until() + LATE_CONFIRM => Err(Code::HoldExpired.into()),
            _ if paid_amount != order.payable() => Err(mismatch.into()),
            _ => Ok(None),
        }
    }

    /// `None` when the order has changed meanwhile.
    async fn confirm_stored(
        &self,
        till: &Till,
        order_id: &str,
        key: &OrderKey,
        shard: u8,
        stored: &StoredOrder,
    ) -> Result<Option<Order>, Failure> {
        let order = &stored.order;
        let named = till_args(till, order_id, order.attempt, &order.receipt);
        self.cap_again(till, key, order).await?;
        let moves = Moves::of_order(&self.view(), shard, key, order, limit_entity(&till.merchant_id))?;
        let member = moves.into_member(key, &stored.bytes, |args| args.int(LATE_CONFIRM).list(named));
        let reply = self.store.call(&script::ORDER_CONFIRM, &Slot::Shard(shard), member).await?;
        match reply.refused() {
            Some(code) => Err(refused(code)),
            None if reply.is("ok") => Ok(Some(StoredOrder::decode(reply.bytes(0))?.order)),
            None => {
                let now = StoredOrder::decode(reply.bytes(0))?.order;
                if matches!(now.state, OrderState::Cancelled | OrderState::Reversed) {
                    self.release_ended(&till.merchant_id, key, &now, None).await?;
                }
                Ok(None)
            }
        }
    }

    /// A late confirm takes the merchant's caps and the quotas once more: they were given back when the hold ran out. If its vouchers turn out to be
    /// taken, they stay until the order is cancelled or reversed, for another confirm of it may be on its way.
    async fn cap_again(&self, till: &Till, key: &OrderKey, order: &Order) -> Result<(), Failure> {
        if order.state != OrderState::Expired {
            return Ok(());
        }
        let place = place_of_order(order, limit_entity(&till.merchant_id));
        let of = |keeper| caps_of(keeper, &self.view(), &till.merchant_id, &order.units, &place, order.t0);
        let (caps, quotas) = (of(Keeper::Merchant), of(Keeper::Quota));
        if caps.is_empty() && quotas.is_empty() {
            return Ok(());
        }
        match self.take_caps(&till.merchant_id, key, order.attempt, (&caps, &quotas), true).await? {
            Capped::Held => Ok(()),
            Capped::Full | Capped::Void => Err(Code::HoldExpired.into()),
        }
    }

    /// The customer does not pay after all: the vouchers go back.
    pub async fn cancel(&self, till: &Till, order_id: &str) -> Result<Answer, Refusal> {
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let (shard, stored) = self.found(till, &key).await?;
                if stored.order.state == OrderState::Redeemed {
                    return Err(Code::OrderAlreadyRedeemed.into());
                }
                if stored.order.state == OrderState::Cancelled {
                    self.release_ended(&till.merchant_id, &key, &stored.order, None).await?;
                    let value = self.order_view(&till.merchant_id, order_id, shard, stored.order)?;
                    return Ok(Answered { value, replayed: true });
                }
                let moves = Moves::of_order(&self.view(), shard, &key, &stored.order, limit_entity(&till.merchant_id))?;
                let member = moves.into_member(&key, &stored.bytes, |args| args);
                let reply = self.store.call(&script::ORDER_CANCEL, &Slot::Shard(shard), member).await?;
                if let Some(code) = reply.refused() {
                    return Err(refused(code));
                }
                if reply.is("ok") {
                    let order = StoredOrder::decode(reply.bytes(0))?.order;
                    self.release_ended(&till.merchant_id, &key, &stored.order, None).await?;
                    return Ok(Answered {
                        value: self.order_view(&till.merchant_id, order_id, shard, order)?,
                        replayed: false,
                    });
                }
            }
            Err(contended().into())
        })
        .await
    }

    /// Makes an attempt void, unless it has had its effect: then that is the answer.
    pub(super) async fn close(
        &self,
        till: &Till,
        key: &OrderKey,
        attempt: u32,
        shard: u8,
    ) -> Result<Option<StoredOrder>, Failure> {
        if shard == NO_SHARD || shard >= self.store.shards() {
            return Err(StoreError::Broken(format!("an order of {} is on shard {shard}", till.merchant_id)).into());
        }
        let member = Member::new(vec![keys::order_bucket(shard, key)], vec![bytes(key), int(attempt)]);
        let reply = self.store.call(&script::ORDER_CLOSE, &Slot::Shard(shard), member).await?;
        match reply.refused() {
            Some(code) => Err(refused(code)),
            None if reply.is("replay") => Ok(Some(StoredOrder::decode(reply.bytes(0))?)),
            None => Ok(None),
        }
    }
}
