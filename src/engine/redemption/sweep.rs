//! Holds that have run out. Whether one has is decided by the clock inside the script; this only tidies, and any node may.

use super::moves::Moves;
use super::redeem::refused;
use crate::domain::order::{LATE_CONFIRM, OrderKey, OrderState};
use crate::domain::refusal::Refusal;
use crate::engine::{Engine, Failure};
use crate::store::keys::Slot;
use crate::store::orders::StoredOrder;
use crate::store::script;

impl Engine {
    /// One round of the sweeper over all shards; how many holds it ended. Two sweepers are harmless.
    pub async fn expire_lapsed_holds(&self) -> Result<usize, Refusal> {
        let mut ended = 0;
        for shard in 0..self.store.shards() {
            for (key, until) in self.store.lapsing_holds(shard).await? {
                if until > self.now() {
                    continue;
                }
                // A hold that cannot be ended is the audit's to explain; the others must not wait for it.
                match self.with_view(|| self.expire_order(shard, &key)).await {
                    Ok(_) => ended += 1,
                    Err(refusal) => tracing::warn!(code = refusal.code.as_str(), "a lapsed hold could not be ended"),
                }
            }
        }
        Ok(ended)
    }

    /// Ends one hold if its time is over; the order as it stands then.
    pub(super) async fn expire_order(&self, shard: u8, key: &OrderKey) -> Result<Option<StoredOrder>, Failure> {
        for _ in 0..super::TRIES {
            let Some(stored) = self.store.order(shard, key).await? else { return Ok(None) };
            if stored.order.state != OrderState::Held {
                return Ok(Some(stored));
            }
            let moves = Moves::of_order(&self.view(), shard, key, &stored.order, stored.order.receipt.merchant)?;
            let member = moves.into_member(key, &stored.bytes, |args| args.int(LATE_CONFIRM));
            let reply = self.store.call(&script::ORDER_EXPIRE, &Slot::Shard(shard), member).await?;
            match reply.refused() {
                Some("hold_runs") => return Ok(Some(stored)),
                Some(code) => return Err(refused(code)),
                None if reply.is("ok") => {
                    // A late confirm may take the caps again; then they are of a later generation and stay.
                    self.release_ended(&stored.order.receipt.merchant_id, key, &stored.order, Some(0)).await?;
                    return Ok(Some(StoredOrder::decode(reply.bytes(0))?));
                }
                None => {}
            }
        }
        Ok(None)
    }
}
