//! Reverse: whatever happened to an order, and even if nothing did, afterwards nothing has happened and nothing ever will.

use super::moves::Moves;
use super::plan::till_args;
use super::quotas::named_quotas;
use super::redeem::refused;
use super::{Answered, TRIES, Till, contended};
use crate::domain::campaign::schema::Campaign;
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, Receipt, Reversal, limit_entity, order_key};
use crate::domain::refusal::{Code, Outcome, Refusal};
use crate::domain::time::HOUR;
use crate::engine::view::Snapshot;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::Slot;
use crate::store::orders::{DirectoryEntry, NO_SHARD, StoredOrder};
use crate::store::script::{self, Args};

/// What was there and when it was undone.
#[derive(Clone, Debug)]
pub struct ReversedView {
    pub order_id: String,
    pub reversal: Reversal,
    pub zone: crate::domain::time::Zone,
}

/// The record of an order that was reversed before anybody saw it.
pub(super) fn never_seen(reversal: Reversal) -> Order {
    Order {
        state: OrderState::Reversed,
        attempt: 0,
        fingerprint: [0; 8],
        amount: Fen::ZERO,
        merchant_discount: Fen::ZERO,
        discount: Fen::ZERO,
        t0: reversal.at,
        t1: reversal.at,
        hold_seconds: 0,
        units: Vec::new(),
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: Some(reversal),
    }
}

/// The vouchers may have been given back already, so whatever stops us here, the till must repeat until it is answered.
fn half_done(error: StoreError) -> Failure {
    let mut refusal = Refusal::from(error);
    refusal.outcome = Outcome::Unknown;
    refusal.into()
}

impl Engine {
    pub async fn reverse(&self, till: &Till, order_id: &str) -> Result<Answered<ReversedView>, Refusal> {
        self.merchant_of(till).await?;
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let entry = self.store.directory_entry(&till.merchant_id, &key).await?;
                let reversal = entry.and_then(|entry| entry.reversed);
                if let Some(reversal) = reversal.filter(|_| !entry.is_some_and(|entry| entry.quotas)) {
                    return Ok(self.reversed(order_id, reversal, true)?);
                }
                let was = match reversal {
                    // Who reversed it may have stopped before its quotas were given back.
                    Some(reversal) => reversal.was.as_str(),
                    None => match self.undo(till, order_id, &key, entry).await? {
                        Some(was) => was,
                        None => continue,
                    },
                };
                // Only after this compare-and-set is it final: a newer attempt elsewhere would still stand.
                let attempt = entry.map(|entry| entry.attempt).unwrap_or_default();
                let fill = |args: Args| args.int(attempt).bytes(was);
                let step = self.store.directory_step(&script::ORDER_REVERSE, &till.merchant_id, &key, fill);
                let reply = step.await.map_err(half_done)?;
                if !reply.is("changed") {
                    self.give_quotas(&key, attempt, None, &named_quotas(&reply, 4)).await.map_err(half_done)?;
                    let was = crate::domain::order::Was::named(reply.text(3));
                    return Ok(self.reversed(order_id, Reversal { was, at: reply.int(2) }, reply.is("replay"))?);
                }
            }
            let mut refusal = contended();
            refusal.outcome = Outcome::Unknown;
            Err(refusal.into())
        })
        .await
    }

    fn reversed(&self, order_id: &str, reversal: Reversal, replayed: bool) -> Result<Answered<ReversedView>, Refusal> {
        let zone = super::any_zone(&self.view()).ok_or_else(|| super::broken("no zone"))?;
        Ok(Answered { value: ReversedView { order_id: order_id.to_owned(), reversal, zone }, replayed })
    }

    /// Takes back an open attempt on its shard; what it was, or `None` when it has changed meanwhile.
    async fn undo(
        &self,
        till: &Till,
        order_id: &str,
        key: &OrderKey,
        entry: Option<DirectoryEntry>,
    ) -> Result<Option<&'static str>, Failure> {
        let Some(entry) = entry else { return Ok(Some("unknown")) };
        if entry.shard == NO_SHARD {
            return Err(super::broken("an open order has no shard").into());
        }
        let stored = self.store.order(entry.shard, key).await?;
        let snapshot = self.view();
        let (order, seen) = match &stored {
            Some(stored) => (stored.order.clone(), stored.bytes.as_slice()),
            None => (never_seen(Reversal { was: crate::domain::order::Was::Unknown, at: 0 }), [].as_slice()),
        };
        if stored.is_some() {
            self.require_reversible(&snapshot, &order)?;
        }
        let moves = Moves::of_order(&snapshot, entry.shard, key, &order, limit_entity(&till.merchant_id))?;
        let named = till_args(till, order_id, entry.attempt, &order.receipt);
        let member = moves.into_member(key, seen, |args| args.int(entry.attempt).list(named));
        let reply = self.store.call(&script::ORDER_UNDO, &Slot::Shard(entry.shard), member).await?;
        if let Some(code) = reply.refused() {
            return Err(refused(code));
        }
        if reply.is("changed") {
            return Ok(None);
        }
        let undone = StoredOrder::decode(reply.bytes(0))?.order.reversal;
        Ok(undone.map(|reversal| reversal.was.as_str()))
    }

    /// A refund or the end of `reverse_hours` makes a reverse impossible; an order that never had an effect can always be closed.
    fn require_reversible(&self, snapshot: &Snapshot, order: &Order) -> Result<(), Refusal> {
        if !order.refunds.is_empty() {
            return Err(Code::OrderHasRefunds.into());
        }
        let hours = campaign_of(snapshot, order).map(|campaign| i64::from(campaign.reverse_hours)).unwrap_or(24);
        let has_effect = matches!(order.state, OrderState::Held | OrderState::Redeemed);
        if has_effect && self.now() >= order.t0 + hours * HOUR {
            return Err(Code::ReversalWindowClosed.into());
        }
        Ok(())
    }
}

/// The campaign whose terms hold for an order: that of its first voucher.
pub(super) fn campaign_of<'a>(snapshot: &'a Snapshot, order: &Order) -> Option<&'a Campaign> {
    order.units.first().and_then(|unit| snapshot.by_number.get(&unit.c)).map(|view| &view.campaign)
}
