//! Applying a plan on the payer's shard: the order that it makes, and what becomes of the records that it was made of.

use super::draft::Draft;
use super::limits::keeps_place;
use super::plan::Planned;
use super::redeem::Call;
use super::seen::Seen;
use crate::domain::limit::Place;
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderState, OrderUnit, Receipt};
use crate::domain::voucher::UnitState;
use crate::engine::{Engine, Failure};
use crate::store::bought;
use crate::store::change::{Account, Changed, Tally};
use crate::store::ledger::{Bytes, Line};
use crate::store::order::taking_effect;
use crate::store::record::WITH_THE_CALL;

/// What the shard says of a plan.
pub(super) enum Applied {
    Order(Box<Order>),
    /// There is an order already; its record, or nothing if it has gone meanwhile.
    Another(Vec<u8>),
    Stale,
}

impl Engine {
    pub(super) async fn apply(
        &self,
        call: &Call<'_>,
        attempt: u32,
        (plan, seen): &(Planned, Seen),
    ) -> Result<Applied, Failure> {
        // Where lapsed holds were ended first, the order was read again after it was looked at.
        if let Some(stored) = &seen.order
            && (stored.order.state != OrderState::Void || stored.order.attempt >= attempt)
        {
            return Ok(Applied::Another(stored.bytes.clone()));
        }
        let payer = call.payer;
        let place = &call.place;
        let order = order_of(call, attempt, plan, place);
        let mut draft = Draft::new(&payer.people, &seen.records, seen.now);
        for unit in &order.units {
            take(&mut draft, call, &order, unit)?;
            // The plan was made within the limits; what passes one here is told as they would be.
            if let Some(limit) = draft.count(unit, place, seen.now)? {
                return Err(limit.reached().into());
            }
        }
        let code = payer.code.as_ref().zip(seen.code.as_ref());
        if let Some((_, record)) = code {
            draft.is_before(record.expires + self.settings.pay_code_step);
        }
        let before = seen.order.as_ref().map(|stored| stored.bytes.as_slice()).unwrap_or_default();
        let mut change = draft.change(payer.shard, &call.key, before, &order);
        if let Some((code, record)) = code {
            change.pays(code, record, &call.key);
        }
        if let Some(bought) = &plan.bought {
            change.bought(&call.key, None, bought::encode(bought));
        }
        if !order.captured() {
            change.hold_begins(&call.key, order.hold_seconds);
        }
        Ok(match self.store.change_order(change).await? {
            Changed::At(now) => Applied::Order(Box::new(taking_effect(order, now))),
            Changed::Order(raw) => Applied::Another(raw),
            Changed::Stale => Applied::Stale,
        })
    }
}

/// A voucher is used or held from now on, which must be before its end.
fn take(draft: &mut Draft<'_>, call: &Call<'_>, order: &Order, unit: &OrderUnit) -> Result<(), Failure> {
    let (end, discount) = (draft.end(unit)?, unit.discount);
    draft.is_before(end);
    let mut accounts = [(Account::Outstanding, Fen::ZERO - discount), (Account::Held, discount)];
    if order.captured() {
        accounts[1].0 = Account::Redeemed;
        draft.put_state(unit, UnitState::Used)?;
        draft.money(unit, &accounts, &[(Tally::Redemptions, 1), (Tally::Given, discount.0)])?;
    } else {
        draft.hold(unit, &call.key)?;
        draft.money(unit, &accounts, &[])?;
    }
    draft.line(line_of(call, order, unit));
    Ok(())
}

fn line_of(call: &Call<'_>, order: &Order, unit: &OrderUnit) -> Line {
    let (c, f, p, u, discount) = (unit.c, Bytes(unit.f), unit.p, unit.u, unit.discount.0);
    if !order.captured() {
        return Line::Held { c, f, p, u, discount, ok: Bytes(call.key) };
    }
    Line::Redeemed {
        c,
        f,
        p,
        u,
        discount,
        merchant_id: call.till.merchant_id.clone(),
        order_id: call.order_id.to_owned(),
        attempt: order.attempt,
        store: order.receipt.store.clone(),
        terminal: order.receipt.terminal.clone(),
        amount: order.amount.0,
        category: call.ask.category.clone(),
        receipt_no: order.receipt.receipt_no.clone(),
    }
}

/// What the receipt said stays with the order, so that what comes back is booked where it was redeemed; the rest where a hold or limits
/// need it.
fn order_of(call: &Call<'_>, attempt: u32, plan: &Planned, place: &Place) -> Order {
    let (till, ask) = (call.till, call.ask);
    let kept = keeps_place(call.snapshot, &plan.units);
    let mut receipt = Receipt {
        store: place.store.clone(),
        terminal: place.terminal.clone(),
        cashier: ask.cashier.clone(),
        receipt_no: ask.receipt_no.clone(),
        said_terminal: if ask.terminal == place.terminal { String::new() } else { ask.terminal.clone() },
        ..Receipt::default()
    };
    let hold_seconds = if ask.capture { 0 } else { plan.hold_seconds };
    if kept || hold_seconds > 0 {
        receipt.category.clone_from(&ask.category);
        receipt.merchant = place.merchant;
    }
    if kept {
        receipt.merchant_id.clone_from(&till.merchant_id);
    }
    Order {
        state: if hold_seconds > 0 { OrderState::Held } else { OrderState::Redeemed },
        attempt,
        fingerprint: call.fingerprint,
        asked: Some(call.asked),
        amount: ask.amount,
        merchant_discount: ask.merchant_discount,
        discount: plan.units.iter().map(|unit| unit.discount).sum(),
        t0: WITH_THE_CALL,
        t1: WITH_THE_CALL,
        hold_seconds,
        units: plan.units.clone(),
        refunds: Vec::new(),
        receipt,
        reversal: None,
        late_given_back: 0,
        elsewhere: 0,
    }
}
