//! Holds that have run out. Whether one has is decided by the clock inside the script; this only tidies, and any node may.

use std::collections::HashMap;

use tokio::sync::Mutex;

use super::draft::Released;
use super::limits::place_of_order;
use super::{TRIES, contended};
use crate::domain::campaign::terms::HOLD_SECONDS;
use crate::domain::order::{Order, OrderKey, OrderState};
use crate::domain::time::{Ms, SECOND};
use crate::engine::{Engine, Failure};

/// By shard, the holds that a look at its list has shown to run out before the next look.
#[derive(Default)]
pub struct Lapsing(Mutex<HashMap<u8, Look>>);

struct Look {
    at: Ms,
    due: Vec<(OrderKey, Ms)>,
}

/// A hold that was not on the list yet runs longer than this after the look, even if the clock of the node that made it was behind: half of
/// the shortest hold. So the whole list, which may be long, is read rarely.
fn look_holds() -> Ms {
    i64::from(*HOLD_SECONDS.start()) * SECOND / 2
}

impl Engine {
    /// One round of the sweeper over all shards; how many holds it ended. Two sweepers are harmless.
    pub async fn expire_lapsed_holds(&self) -> Result<usize, Failure> {
        let mut ended = 0;
        let mut looks = self.lapsing.0.lock().await;
        for shard in 0..self.store.shards() {
            let now = self.now();
            let fresh = looks.get(&shard).is_some_and(|look| (look.at..look.at + look_holds()).contains(&now));
            if !fresh {
                let mut due = self.store.lapsing_holds(shard).await?;
                due.retain(|(_, until)| *until < now + look_holds());
                looks.insert(shard, Look { at: now, due });
            }
            let Some(look) = looks.get_mut(&shard) else { continue };
            let mut later = Vec::new();
            for (key, until) in std::mem::take(&mut look.due) {
                if until > now {
                    later.push((key, until));
                    continue;
                }
                // A hold that cannot be ended is the audit's to explain; the others must not wait for it.
                let done = self.decided(|| self.expire_order(shard, &key)).await;
                self.standing.heed(&format!("hold of order {} on shard {shard}", hex::encode(key)), &done);
                match done {
                    Ok(_) => ended += 1,
                    Err(_) => later.push((key, until)),
                }
            }
            look.due = later;
        }
        Ok(ended)
    }

    /// Ends one hold if its time is over; the order as it stands then.
    pub(super) async fn expire_order(&self, shard: u8, key: &OrderKey) -> Result<Option<Order>, Failure> {
        for _ in 0..TRIES {
            let Some(found) = self.found_on(shard, key).await? else { return Ok(None) };
            let order = &found.stored.order;
            let mut draft = found.draft();
            if order.state != OrderState::Held || draft.is_before(order.until()) {
                return Ok(Some(order.clone()));
            }
            draft.release(key, order, &place_of_order(order, order.receipt.merchant), Released::Expire)?;
            let expired = Order { state: OrderState::Expired, t1: order.until(), ..order.clone() };
            let mut change = found.change(draft, key, &expired);
            change.hold_ends(key);
            if let Some(expired) = self.put_order(change, expired).await? {
                // A late confirm may take the caps again; then they are of a later generation and stay.
                self.release_or_owe(&order.receipt.merchant_id, key, order, Some(0)).await;
                return Ok(Some(expired));
            }
        }
        Ok(None)
    }

    /// Ends the chance of a late confirm: a hold that has run out says so for ever from now on, and whoever is told so may rely on it. The
    /// order as it stands then, for somebody may have been faster.
    pub(super) async fn lapse_order(&self, shard: u8, key: &OrderKey) -> Result<Option<Order>, Failure> {
        for _ in 0..TRIES {
            let Some(found) = self.found_on(shard, key).await? else { return Ok(None) };
            let order = &found.stored.order;
            match order.state {
                OrderState::Held if found.now >= order.until() => {
                    self.expire_order(shard, key).await?;
                }
                OrderState::Expired => {
                    let lapsed = Order { state: OrderState::Lapsed, ..order.clone() };
                    let change = found.change(found.draft(), key, &lapsed);
                    if let Some(lapsed) = self.put_order(change, lapsed).await? {
                        // What a late confirm took of the caps again and could not use.
                        self.release_or_owe(&lapsed.receipt.merchant_id, key, &lapsed, None).await;
                        return Ok(Some(lapsed));
                    }
                }
                _ => return Ok(Some(order.clone())),
            }
        }
        Err(contended().into())
    }
}
