//! How a hold ends at the till: confirm after the payment, cancel without one; and how an attempt ends that has had no effect.

use super::draft::{Draft, Released};
use super::found::Found;
use super::limits::place_of_order;
use super::redeem::refused;
use super::{Answered, OrderView, TRIES, contended};
use crate::domain::cashier;
use crate::domain::money::Fen;
use crate::domain::order::{
    LATE_CONFIRM, LimitEntityKey, Order, OrderKey, OrderState, OrderUnit, Receipt, hold_id, limit_entity, order_key,
};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::expiry_hour;
use crate::domain::told;
use crate::domain::voucher::UnitState;
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::change::{Account, Tally};
use crate::store::keys::{self, Slot};
use crate::store::ledger::{Bytes, Line};
use crate::store::order::StoredOrder;
use crate::store::orders::NO_SHARD;
use crate::store::record::WITH_THE_CALL;
use crate::store::script::{self, Member, bytes};
use crate::store::{StoreError, int};

type Answer = Answered<OrderView>;

impl Engine {
    /// The customer has paid: what is held is redeemed. Late, the vouchers are taken again if they are still free.
    pub async fn confirm(&self, till: &Till, order_id: &str, hold: &str, paid_amount: Fen) -> Result<Answer, Refusal> {
        let confirmed = self.confirm_paid(till, order_id, hold, paid_amount).await;
        confirmed.map_err(|refusal| cashier::paid(refusal, paid_amount))
    }

    async fn confirm_paid(&self, till: &Till, order_id: &str, hold: &str, paid_amount: Fen) -> Result<Answer, Refusal> {
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let found = self.found(till, &key).await?;
                let (shard, order) = (found.shard, &found.stored.order);
                if order.state == OrderState::Redeemed && order.captured() {
                    return Err(Refusal::new(Code::OrderAlreadyRedeemed).to_cashier(cashier::already_used()).into());
                }
                if hold != hold_id(&till.merchant_id, order_id, order.attempt) {
                    let refusal =
                        told::conflict(Refusal::new(Code::OrderConflict).with("fields", vec!["hold_id"]), &["hold_id"]);
                    return Err(refusal.to_cashier(cashier::another_hold()).into());
                }
                let confirmed = match self.confirmable(till, order_id, shard, order, paid_amount) {
                    Ok(Some(answer)) => return Ok(answer),
                    Ok(None) => self.confirm_found(till, order_id, &key, &found).await,
                    Err(refused) => Err(refused),
                };
                match confirmed {
                    Ok(Some(order)) => {
                        let value = self.order_view(&till.merchant_id, order_id, shard, order)?;
                        return Ok(Answered { value, replayed: false });
                    }
                    Ok(None) => {}
                    // Whoever is told so gives the money back, so it is written down before it is told.
                    Err(Failure::Refusal(refusal))
                        if refusal.code == Code::HoldExpired && order.state != OrderState::Lapsed =>
                    {
                        let ended = self.lapse_order(shard, &key).await?;
                        if ended.is_some_and(|order| order.state == OrderState::Lapsed) {
                            return Err(Failure::Refusal(refusal));
                        }
                    }
                    Err(failure) => return Err(failure),
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
        let mismatch = Refusal::new(Code::PaidAmountMismatch)
            .with("payable", order.payable().0)
            .to_cashier(cashier::payable(order.payable()));
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
            OrderState::Lapsed => Err(Code::HoldExpired.into()),
            _ if self.now() >= order.until() + LATE_CONFIRM => Err(Code::HoldExpired.into()),
            _ if paid_amount != order.payable() => Err(mismatch.into()),
            _ => Ok(None),
        }
    }

    /// `None` when something has changed meanwhile.
    async fn confirm_found(
        &self,
        till: &Till,
        order_id: &str,
        key: &OrderKey,
        found: &Found,
    ) -> Result<Option<Order>, Failure> {
        let order = &found.stored.order;
        let mut draft = found.draft();
        if !draft.is_before(order.until() + LATE_CONFIRM) {
            return Err(Code::HoldExpired.into());
        }
        match order.state {
            OrderState::Held => redeem_held(&mut draft, order)?,
            _ => self.redeem_late(&mut draft, found.shard, order, limit_entity(&till.merchant_id)).await?,
        }
        for unit in &order.units {
            draft.line(line_of(till, order_id, order, unit));
        }
        let confirmed = confirmed(order);
        let mut change = found.change(draft, key, &confirmed);
        change.hold_ends(key);
        match order.state {
            OrderState::Expired => self.put_late(till, key, found, change, confirmed).await,
            _ => Ok(self.put_order(change, confirmed).await?),
        }
    }

    /// Takes the vouchers of a hold that has run out again, if they are free and within their limits. Their validity was judged at the hold.
    async fn redeem_late(
        &self,
        draft: &mut Draft<'_>,
        shard: u8,
        order: &Order,
        merchant: LimitEntityKey,
    ) -> Result<(), Failure> {
        if !draft.are(&order.units, UnitState::Available)? {
            return Err(Code::HoldExpired.into());
        }
        let place = place_of_order(order, merchant);
        for unit in &order.units {
            if draft.count(unit, &place, order.t0)?.is_some() {
                return Err(Code::HoldExpired.into());
            }
        }
        for (unit, expired) in order.units.iter().zip(self.lapsed_to(draft, shard, order).await?) {
            draft.put_state(unit, UnitState::Used)?;
            if expired {
                unexpire(draft, unit)?;
            }
            redeemed(draft, unit, Account::Outstanding)?;
        }
        Ok(())
    }

    /// Whether each voucher's money has gone to expired since the hold ran out, for the voucher has ended meanwhile. What was handed on from
    /// there may be in other packs by now: then it is too late. The change holds only while as much is where it was found.
    async fn lapsed_to(&self, draft: &mut Draft<'_>, shard: u8, order: &Order) -> Result<Vec<bool>, Failure> {
        let mut wanted: Vec<(String, Fen)> = Vec::new();
        let mut names = Vec::with_capacity(2 * order.units.len());
        for unit in &order.units {
            let end = draft.end(unit)?;
            names.push(Account::Outstanding.counter(unit, end));
            names.push(Account::Expired.counter(unit, end));
        }
        let left = self.store.counters(shard, &names).await?;
        let mut take = |at: usize, fen: Fen| {
            let known = match wanted.iter().position(|(name, _)| *name == names[at]) {
                Some(known) => known,
                None => {
                    wanted.push((names[at].clone(), Fen::ZERO));
                    wanted.len() - 1
                }
            };
            let fits = wanted[known].1 + fen <= left[at];
            if fits {
                wanted[known].1 = wanted[known].1 + fen;
            }
            fits.then_some(wanted[known].1)
        };
        let mut expired = Vec::with_capacity(order.units.len());
        for (index, unit) in order.units.iter().enumerate() {
            if let Some(sum) = take(2 * index, unit.discount) {
                draft.require(unit, Account::Outstanding, sum)?;
                expired.push(false);
            } else if let Some(sum) = take(2 * index + 1, unit.discount) {
                draft.require(unit, Account::Expired, sum)?;
                expired.push(true);
            } else {
                return Err(Code::HoldExpired.into());
            }
        }
        Ok(expired)
    }

    /// The customer does not pay after all: the vouchers go back. A hold that has run out only loses its chance of a late confirm.
    pub async fn cancel(&self, till: &Till, order_id: &str) -> Result<Answer, Refusal> {
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let found = self.found(till, &key).await?;
                let (shard, order) = (found.shard, &found.stored.order);
                let (ended, replayed) = match order.state {
                    OrderState::Redeemed => return Err(Code::OrderAlreadyRedeemed.into()),
                    OrderState::Cancelled => (Some(order.clone()), true),
                    _ => (self.cancel_found(&key, &found, limit_entity(&till.merchant_id)).await?, false),
                };
                if let Some(ended) = ended {
                    self.release_or_owe(&till.merchant_id, &key, order, None).await;
                    let value = self.order_view(&till.merchant_id, order_id, shard, ended)?;
                    return Ok(Answered { value, replayed });
                }
            }
            Err(contended().into())
        })
        .await
    }

    /// `None` when something has changed meanwhile.
    pub(super) async fn cancel_found(
        &self,
        key: &OrderKey,
        found: &Found,
        merchant: LimitEntityKey,
    ) -> Result<Option<Order>, Failure> {
        let order = &found.stored.order;
        let mut draft = found.draft();
        let elsewhere = if order.state == OrderState::Held {
            draft.release(key, order, &place_of_order(order, merchant), Released::Cancel)?;
            0
        } else {
            draft.whereabouts(&order.units)?
        };
        let cancelled = Order { state: OrderState::Cancelled, t1: WITH_THE_CALL, elsewhere, ..order.clone() };
        let mut change = found.change(draft, key, &cancelled);
        change.hold_ends(key);
        Ok(self.put_order(change, cancelled).await?)
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
        self.close_attempt(key, attempt, shard).await
    }

    /// The same for whoever does not know the merchant.
    pub(super) async fn close_attempt(
        &self,
        key: &OrderKey,
        attempt: u32,
        shard: u8,
    ) -> Result<Option<StoredOrder>, Failure> {
        let member = Member::new(vec![keys::order_bucket(shard, key)], vec![bytes(key), int(attempt)]);
        let reply = self.store.call(&script::ORDER_CLOSE, &Slot::Shard(shard), member).await?;
        match reply.refused() {
            Some(code) => Err(refused(code)),
            None if reply.is("replay") => Ok(Some(StoredOrder::decode(reply.bytes(0))?)),
            None => Ok(None),
        }
    }
}

fn redeem_held(draft: &mut Draft<'_>, order: &Order) -> Result<(), Failure> {
    draft.require_held(&order.units)?;
    for unit in &order.units {
        draft.put_state(unit, UnitState::Used)?;
        redeemed(draft, unit, Account::Held)?;
    }
    Ok(())
}

fn redeemed(draft: &mut Draft<'_>, unit: &OrderUnit, from: Account) -> Result<(), Failure> {
    let discount = unit.discount;
    let accounts = [(from, Fen::ZERO - discount), (Account::Redeemed, discount)];
    Ok(draft.money(unit, &accounts, &[(Tally::Redemptions, 1), (Tally::Given, discount.0)])?)
}

/// An expiry that did not happen for this voucher: the line of one, with its money going back.
fn unexpire(draft: &mut Draft<'_>, unit: &OrderUnit) -> Result<(), Failure> {
    draft.moves(unit, Account::Expired, Account::Outstanding)?;
    let hour = expiry_hour(draft.end(unit)?);
    let (c, round, channel, pack, amount) = (unit.c, unit.round, unit.channel, unit.pack, -unit.discount.0);
    draft.line(Line::Expired { c, round, channel, pack, hour, amount });
    Ok(())
}

/// What only the hold needed goes; an order of a campaign with limits by place keeps all of it.
fn confirmed(order: &Order) -> Order {
    let mut receipt = order.receipt.clone();
    if receipt.merchant_id.is_empty() {
        let Receipt { store, terminal, cashier, receipt_no, said_terminal, .. } = receipt;
        receipt = Receipt { store, terminal, cashier, receipt_no, said_terminal, ..Receipt::default() };
    }
    Order { state: OrderState::Redeemed, t1: WITH_THE_CALL, receipt, late_given_back: 0, ..order.clone() }
}

#[rustfmt::skip] // Two lines of the same fields.
fn line_of(till: &Till, order_id: &str, order: &Order, unit: &OrderUnit) -> Line {
    let (c, f, p, u, discount) = (unit.c, Bytes(unit.f), unit.p, unit.u, unit.discount.0);
    let (merchant_id, order_id, attempt) = (till.merchant_id.clone(), order_id.to_owned(), order.attempt);
    let receipt = &order.receipt;
    let (store, category) = (receipt.store.clone(), receipt.category.clone());
    let terminal = receipt.counted_terminal().to_owned();
    let (amount, receipt_no) = (order.amount.0, receipt.receipt_no.clone());
    if order.state == OrderState::Held {
        Line::Confirmed {
            c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, category, receipt_no,
        }
    } else {
        Line::Redeemed {
            c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, category, receipt_no,
        }
    }
}
