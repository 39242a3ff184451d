//! Applying a plan on the payer's shard: the order that it makes, and what the script needs to make it.

use super::limits::{keeps_place, place_of};
use super::moves::Moves;
use super::plan::{Planned, Seen, shown_terminal, till_args};
use super::redeem::Call;
use crate::domain::limit::Place;
use crate::domain::order::{Order, OrderState, Receipt, transaction_id};
use crate::engine::{Engine, Failure};
use crate::store::keys::{self, Slot};
use crate::store::orders::around_instant;
use crate::store::script::{self, Args};
use crate::store::{Reply, StoreError};

impl Engine {
    /// What the shard says, and the order as it stands there if it says `ok`, but for its instant.
    pub(super) async fn apply(
        &self,
        call: &Call<'_>,
        attempt: u32,
        planned: &(Planned, Seen),
    ) -> Result<(Reply, Order), StoreError> {
        let ((plan, seen), payer, ask) = (planned, call.payer, call.ask);
        let place = place_of(call.till, ask);
        let moves = Moves::new(call.snapshot, payer.shard, &call.key, &plan.units, &place, seen.now);
        let mut moves = moves.map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Refusal(refusal) => StoreError::Broken(refusal.code.as_str().to_owned()),
        })?;
        let code = payer.code.as_ref();
        let code_key = code.map_or(0, |code| moves.key(keys::pay_code(payer.shard, code.as_str())));
        let order = order_of(call, attempt, plan, &place);
        let before = Args::with_capacity(512).bytes(call.key).int(attempt).bytes(call.fingerprint);
        let member = moves.member(before.int(order.hold_seconds), |args| {
            let [head, tail] = around_instant(&order);
            let args = args.int(code_key as i64).bytes(head).bytes(tail).int(ask.amount.0);
            if !order.captured() {
                return args.list(|none| none);
            }
            let transaction = transaction_id(&call.till.merchant_id, call.order_id, attempt);
            args.list(till_args(call.till, call.order_id, &transaction, &ask.store, &ask.terminal, &ask.category))
        });
        let reply = self.store.call(&script::ORDER_REDEEM, &Slot::Shard(payer.shard), member).await?;
        Ok((reply, order))
    }
}

/// Store and terminal stay with the order, so that what comes back is booked where it was redeemed; the rest where a hold or limits
/// need it.
fn order_of(call: &Call<'_>, attempt: u32, plan: &Planned, place: &Place) -> Order {
    let (till, ask) = (call.till, call.ask);
    let kept = keeps_place(call.snapshot, &plan.units);
    let mut receipt = Receipt {
        store: ask.store.clone(),
        terminal: shown_terminal(till, &ask.terminal).to_owned(),
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
