//! Reverse: whatever happened to an order, and even if nothing did, afterwards nothing has happened and nothing ever will.

use super::draft::{Draft, Released};
use super::limits::place_of_order;
use super::quotas::named_quotas;
use super::{Answered, TRIES, contended};
use crate::domain::limit::Place;
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, Receipt, Reversal, Was, limit_entity, order_key};
use crate::domain::refusal::Refusal;
use crate::domain::time::Zone;
use crate::domain::voucher::UnitState;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::change::{Account, Change, Tally};
use crate::store::ledger::{Bytes, Line, To};
use crate::store::orders::{DirectoryEntry, NO_SHARD};
use crate::store::record::WITH_THE_CALL;
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
        asked: None,
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
        late_given_back: 0,
        elsewhere: 0,
    }
}

impl Engine {
    pub async fn reverse(&self, till: &Till, order_id: &str) -> Result<Answered<ReversedView>, Refusal> {
        let _ = self.known_merchant_of(till).await?;
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            // The vouchers may have been given back already, so whatever stops us then, the till must repeat until it is answered.
            let mut undone = false;
            let told = |undone: bool, failure: Failure| match failure {
                Failure::Store(StoreError::Stale { .. }) => failure,
                failure if undone => failure.half_done(),
                failure => failure,
            };
            for _ in 0..TRIES {
                let entry = self.store.directory_entry(&till.merchant_id, &key).await;
                let entry = entry.map_err(|error| told(undone, error.into()))?;
                let reversal = entry.and_then(|entry| entry.reversed);
                if let Some(reversal) = reversal.filter(|_| !entry.is_some_and(|entry| entry.quotas)) {
                    return Ok(self.reversed(order_id, reversal, true)?);
                }
                let was = match reversal {
                    // Who reversed it may have stopped before its quotas were given back.
                    Some(reversal) => reversal.was.as_str(),
                    None => {
                        match self.undo(till, order_id, &key, entry).await.map_err(|failure| told(undone, failure))? {
                            Some(was) => was,
                            None => continue,
                        }
                    }
                };
                undone |= entry.is_some();
                // Only after this compare-and-set is it final: a newer attempt elsewhere would still stand.
                let (attempt, shard) = entry.map_or((0, NO_SHARD), |entry| (entry.attempt, entry.shard));
                let fill = |args: Args| args.int(attempt).int(shard).bytes(was);
                let step = self.store.directory_step(&script::ORDER_REVERSE, &till.merchant_id, &key, true, fill);
                let reply = step.await.map_err(|error| told(undone, error.into()))?;
                if !reply.is("changed") {
                    // It is final: what of its quotas is not taken back now is owed.
                    let giving = self.give_quotas(&key, attempt, None, &named_quotas(&reply, 4), &[]).await;
                    let _ = giving.inspect_err(|error| self.owed.note(error));
                    let was = Was::named(reply.text(3));
                    return Ok(self.reversed(order_id, Reversal { was, at: reply.int(2) }, reply.is("replay"))?);
                }
            }
            Err(contended().half_done().into())
        })
        .await
    }

    fn reversed(&self, order_id: &str, reversal: Reversal, replayed: bool) -> Result<Answered<ReversedView>, Refusal> {
        let zone = any_zone(&self.view()).ok_or_else(|| super::broken("no zone"))?;
        Ok(Answered { value: ReversedView { order_id: order_id.to_owned(), reversal, zone }, replayed })
    }

    /// Takes back an open attempt on its shard, and leaves a mark that refuses every later copy; what it was, or `None` when something has
    /// changed meanwhile.
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
        let found = self.found_on(entry.shard, key).await?;
        let Some(found) = found.filter(|found| found.stored.order.state != OrderState::Void) else {
            return self.undo_unseen(key, &entry).await;
        };
        let order = &found.stored.order;
        if let Some(reversal) = order.reversal {
            return Ok(Some(reversal.was.as_str()));
        }
        self.require_reversible(entry.shard, order)?;
        let mut draft = found.draft();
        let place = place_of_order(order, limit_entity(&till.merchant_id));
        let was = match order.state {
            OrderState::Held => {
                draft.release(key, order, &place, Released::Reverse)?;
                if draft.is_before(order.until()) { Was::Held } else { Was::Expired }
            }
            OrderState::Redeemed => {
                give_back(&mut draft, till, order_id, order, &place)?;
                Was::Redeemed
            }
            OrderState::Cancelled => Was::Cancelled,
            OrderState::Expired | OrderState::Lapsed | OrderState::Reversed | OrderState::Void => Was::Expired,
        };
        let reversed = reversed(order, was);
        let mut change = found.change(draft, key, &reversed);
        change.hold_ends(key);
        Ok(self.put_order(change, reversed).await?.map(|_| was.as_str()))
    }

    /// An attempt that has had no effect never will.
    async fn undo_unseen(&self, key: &OrderKey, entry: &DirectoryEntry) -> Result<Option<&'static str>, Failure> {
        let void = self.store.order(entry.shard, key).await?;
        if void.as_ref().is_some_and(|stored| stored.order.state != OrderState::Void) {
            return Ok(None);
        }
        let seen = void.map(|stored| stored.bytes).unwrap_or_default();
        let unseen = never_seen(Reversal { was: Was::Unknown, at: WITH_THE_CALL });
        let unseen = Order { attempt: entry.attempt, ..unseen };
        let change = Change::new(entry.shard, key, &seen, &unseen);
        Ok(self.put_order(change, unseen).await?.map(|_| Was::Unknown.as_str()))
    }
}

pub(super) fn any_zone(snapshot: &Snapshot) -> Option<Zone> {
    let first = snapshot.by_number.iter().min_by_key(|(number, _)| **number);
    first.map(|(_, view): (_, &std::sync::Arc<CampaignView>)| view.zone.clone()).or_else(|| Zone::named("UTC"))
}

/// A use that never was leaves the voucher to its person: usable, or expired by now; one that was revoked meanwhile stays so.
fn give_back(
    draft: &mut Draft<'_>,
    till: &Till,
    order_id: &str,
    order: &Order,
    place: &Place,
) -> Result<(), StoreError> {
    for unit in &order.units {
        let used = draft.byte(unit)?.state() == UnitState::Used;
        let end = draft.end(unit)?;
        let (account, to) = match used {
            false => (Account::Recovered, To::Recovered),
            true if draft.is_before(end) => (Account::Outstanding, To::Outstanding),
            true => (Account::Expired, To::Expired),
        };
        if used {
            draft.put_state(unit, UnitState::Available)?;
        }
        let moved = unit.discount;
        let accounts = [(Account::Redeemed, Fen::ZERO - moved), (account, moved)];
        draft.money(unit, &accounts, &[(Tally::GivenBack, moved.0)])?;
        draft.line(Line::Reversed {
            c: unit.c,
            f: Bytes(unit.f),
            p: unit.p,
            u: unit.u,
            discount: moved.0,
            merchant_id: till.merchant_id.clone(),
            order_id: order_id.to_owned(),
            attempt: order.attempt,
            store: order.receipt.store.clone(),
            terminal: order.receipt.counted_terminal().to_owned(),
            amount: order.amount.0,
            to,
            receipt_no: order.receipt.receipt_no.clone(),
        });
        draft.uncount(unit, place, order.t0)?;
    }
    Ok(())
}

/// Of what the receipt said, a reversed order keeps what tells it again to whoever asks for it.
fn reversed(order: &Order, was: Was) -> Order {
    let reversal = Some(Reversal { was, at: WITH_THE_CALL });
    let t1 = if was == Was::Expired { order.until() } else { order.t1 };
    Order { state: OrderState::Reversed, t1, reversal, ..order.clone() }
}
