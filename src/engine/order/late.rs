//! What a late confirm takes of caps and quotas once more, for they were given back when the hold ran out. It is judged first, so one that
//! is refused for its vouchers takes nothing. One that has taken and has no effect after all gives back: it counts so in the order's
//! record, so that another copy that was judged on what the order was comes again, and then releases what was taken up to its own
//! generation. So nothing stays taken, and no copy uses what was given back.

use super::TRIES;
use super::contended;
use super::found::Found;
use super::limits::Capped;
use crate::domain::order::{Order, OrderKey, OrderState};
use crate::domain::refusal::{Code, Outcome};
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::change::Change;

/// How far a late confirm has come.
#[derive(Default)]
struct Late {
    /// The generation of what it has taken.
    taken: Option<i64>,
    /// It may have had its effect.
    sent: bool,
}

impl Engine {
    /// Takes caps and quotas again and makes the order what the change says; `None` when something has moved meanwhile.
    pub(super) async fn put_late(
        &self,
        till: &Till,
        key: &OrderKey,
        found: &Found,
        change: Change,
        confirmed: Order,
    ) -> Result<Option<Order>, Failure> {
        let (order, mut late) = (&found.stored.order, Late::default());
        let put = self.take_and_put(till, key, order, (change, confirmed), &mut late).await;
        let stays = match &put {
            Ok(after) => after.is_some(),
            Err(Failure::Store(error)) => late.sent && error.outcome() != Outcome::NotApplied,
            Err(Failure::Refusal(_)) => false,
        };
        if stays && put.is_err() {
            self.owed.wake();
        }
        if let Some(generation) = late.taken.filter(|_| !stays) {
            let slot = self.store.merchant_slot(&till.merchant_id);
            if let Err(failure) = self.let_go(slot, key, (found.shard, order.attempt), generation).await {
                self.owed.note(&failure.into_refusal().code.as_str());
            }
        }
        put
    }

    async fn take_and_put(
        &self,
        till: &Till,
        key: &OrderKey,
        order: &Order,
        (change, confirmed): (Change, Order),
        late: &mut Late,
    ) -> Result<Option<Order>, Failure> {
        let (caps, quotas) = self.caps_of_order(&till.merchant_id, order, &order.units);
        if !caps.is_empty() || !quotas.is_empty() {
            let taking = self.take_caps(&till.merchant_id, key, order.attempt, (&caps, &quotas), true);
            let (mut capped, generation) = taking.await?;
            if matches!(capped, Capped::Held) {
                late.taken = Some(generation);
                capped = self.take_quotas(key, order.attempt, &quotas, generation).await?;
            }
            match capped {
                Capped::Held => {}
                Capped::Full => return Err(Code::HoldExpired.into()),
                // Another copy has given back meanwhile.
                Capped::Void => return Ok(None),
            }
        }
        late.sent = true;
        Ok(self.put_order(change, confirmed).await?)
    }

    /// Gives back what late confirms of an order have taken up to a generation, unless one has had its effect. The slot is its merchant's.
    pub(super) async fn let_go(
        &self,
        slot: u8,
        key: &OrderKey,
        (shard, attempt): (u8, u32),
        generation: i64,
    ) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let Some(found) = self.found_on(shard, key).await? else { return Ok(()) };
            let order = &found.stored.order;
            let up_to = match order.state {
                _ if order.attempt != attempt => return Ok(()),
                OrderState::Expired => Some(generation),
                OrderState::Cancelled | OrderState::Reversed | OrderState::Lapsed => None,
                OrderState::Held | OrderState::Redeemed | OrderState::Void => return Ok(()),
            };
            if up_to.is_some() {
                let after = Order { late_given_back: order.late_given_back + 1, ..order.clone() };
                let change = found.change(found.draft(), key, &after);
                if self.put_order(change, after).await?.is_none() {
                    continue;
                }
            }
            return Ok(self.release_caps(slot, key, attempt, up_to, &[]).await?);
        }
        Err(contended().into())
    }
}
