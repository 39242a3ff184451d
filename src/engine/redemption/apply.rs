//! Applying a plan on the payer's shard: the order that it makes, and what becomes of the records that it was made of.

use super::limits::{keeps_place, place_of};
use super::plan::{PersonAt, Planned, shown_terminal};
use super::redeem::Call;
use super::seen::{Seen, StoredRecord};
use crate::domain::limit::{Keeper, Place, facts_of_voucher};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, OrderUnit, Receipt};
use crate::domain::time::Ms;
use crate::domain::voucher::{UnitByte, UnitState};
use crate::engine::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::bought;
use crate::store::ledger::{Bytes, Line};
use crate::store::record::{Hold, PersonRecord, Usage, WITH_THE_CALL};
use crate::store::redemption::{RecordChange, Redemption};
use crate::store::{Reply, StoreError, keys::Slot, script};

impl Engine {
    /// What the shard says, and the order as it stands there if it says `ok`, but for its instant.
    pub(super) async fn apply(
        &self,
        call: &Call<'_>,
        attempt: u32,
        (plan, seen): &(Planned, Seen),
    ) -> Result<(Reply, Order), Failure> {
        let payer = call.payer;
        let place = place_of(call.till, call.ask);
        let order = order_of(call, attempt, plan, &place);
        let ends = order.units.iter().map(|unit| end_of(call, unit)).collect::<Result<Vec<Ms>, _>>()?;
        let code = payer.code.as_ref().zip(seen.code.as_ref());
        let code_ends = code.map(|(_, record)| record.expires + self.settings.pay_code_step);
        let people = payer.people.iter().zip(&seen.records);
        let taken: Vec<(&PersonAt, &StoredRecord)> = people
            .filter_map(|(person, record)| Some((person, record.as_ref()?)))
            .filter(|(person, _)| order.units.iter().any(|unit| unit.c == person.view.number))
            .collect();
        let change =
            |(person, record): &(&PersonAt, &StoredRecord)| change_of(call, &order, person, record, &place, seen.now);
        let records = taken.iter().map(change).collect::<Result<_, _>>()?;
        let lines: Vec<Line> = order.units.iter().map(|unit| line_of(call, &order, unit)).collect();
        let valid_until = ends.iter().copied().chain(code_ends).min().unwrap_or_default();
        let redemption = Redemption {
            shard: payer.shard,
            key: &call.key,
            order: &order,
            valid_until,
            records,
            code,
            lines: &lines,
            bought: plan.bought.as_ref().map(bought::encode),
        };
        let member = redemption.member(&ends);
        let member = taken.iter().fold(member, |member, (at, _)| member.view(at.view.number, at.view.rev));
        let reply = self.store.call(&script::ORDER_REDEEM, &Slot::Shard(payer.shard), member).await?;
        Ok((reply, order))
    }
}

/// The end of a voucher's validity.
fn end_of(call: &Call<'_>, unit: &OrderUnit) -> Result<Ms, StoreError> {
    let view = call.payer.view_of(unit.c);
    let received = unit.received_s * 1_000;
    let window = view
        .and_then(|view| view.campaign.unit_window(usize::from(unit.round), usize::from(unit.pack), unit.u, received));
    window.map(|window| window.end).ok_or_else(|| StoreError::Broken("a unit has no window".into()))
}

/// A record with the order's vouchers taken and its uses of limits counted. The plan was made within the limits; what passes one here
/// is told as they would be.
fn change_of(
    call: &Call<'_>,
    order: &Order,
    person: &PersonAt,
    record: &StoredRecord,
    place: &Place,
    now: Ms,
) -> Result<RecordChange, Failure> {
    let mut becomes = record.person.clone();
    for unit in order.units.iter().filter(|unit| unit.c == person.view.number) {
        take(&mut becomes, unit, &call.key, order.captured());
        count_uses(&mut becomes, &person.view, unit, place, now)?;
    }
    Ok(RecordChange {
        bucket_key: person.bucket_key.clone(),
        field: person.field,
        seen: record.bytes.clone(),
        becomes: becomes.pieces(),
    })
}

fn take(record: &mut PersonRecord, unit: &OrderUnit, key: &OrderKey, captured: bool) {
    let Some(pack) = record.packs.get_mut(usize::from(unit.p)) else { return };
    let state = if captured { UnitState::Used } else { UnitState::Held };
    UnitByte::of(&pack.units, unit.u).into_state(state).put(&mut pack.units, unit.u);
    record.holds.retain(|hold| (hold.pack, hold.unit) != (unit.p, unit.u));
    if !captured {
        record.holds.push(Hold { pack: unit.p, unit: unit.u, until: WITH_THE_CALL, order: key.to_vec() });
    }
}

/// Older periods of a counted limit leave the record: it stays small.
fn count_uses(
    record: &mut PersonRecord,
    view: &CampaignView,
    unit: &OrderUnit,
    place: &Place,
    now: Ms,
) -> Result<(), Failure> {
    let of_person = facts_of_voucher(&view.campaign, &view.zone, (unit.of_pack(), unit.u), place, now);
    for mut fact in of_person.into_iter().filter(|fact| fact.keeper == Keeper::Person) {
        let same = |used: &Usage| (used.limit, used.period) == (fact.number, fact.period) && used.entity == fact.entity;
        let known = record.usage.iter().find(|used| same(used));
        (fact.count, fact.amount) = known.map(|used| (used.count, Fen(used.amount))).unwrap_or_default();
        if !fact.admits(1, unit.discount) {
            return Err(fact.reached().into());
        }
        record.usage.retain(|used| !same(used) && (used.limit != fact.number || used.period >= fact.period));
        record.usage.push(Usage {
            limit: fact.number,
            entity: fact.entity.to_vec(),
            period: fact.period,
            count: fact.count + 1,
            amount: (fact.amount + unit.discount).0,
        });
    }
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
    }
}

/// What the receipt said stays with the order, so that what comes back is booked where it was redeemed; the rest where a hold or limits
/// need it.
fn order_of(call: &Call<'_>, attempt: u32, plan: &Planned, place: &Place) -> Order {
    let (till, ask) = (call.till, call.ask);
    let kept = keeps_place(call.snapshot, &plan.units);
    let mut receipt = Receipt {
        store: ask.store.clone(),
        terminal: shown_terminal(till, &ask.terminal).to_owned(),
        cashier: ask.cashier.clone(),
        receipt_no: ask.receipt_no.clone(),
        ..Receipt::default()
    };
    let hold_seconds = if ask.capture { 0 } else { plan.hold_seconds };
    if kept || hold_seconds > 0 {
        receipt.category.clone_from(&ask.category);
        receipt.merchant = place.merchant;
    }
    if kept {
        receipt.key_terminal.clone_from(&place.terminal);
        receipt.merchant_id.clone_from(&till.merchant_id);
    }
    Order {
        state: if hold_seconds > 0 { OrderState::Held } else { OrderState::Redeemed },
        attempt,
        fingerprint: call.fingerprint,
        amount: ask.amount,
        merchant_discount: ask.merchant_discount,
        discount: plan.units.iter().map(|unit| unit.discount).sum(),
        t0: 0,
        t1: 0,
        hold_seconds,
        units: plan.units.clone(),
        refunds: Vec::new(),
        receipt,
        reversal: None,
    }
}
