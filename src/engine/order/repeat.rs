//! An order that has had its effect, asked for again: the same answer to the same request, a refusal to another one.

use super::plan::PayerView;
use super::{Answered, Ask, OrderView, Payer};
use crate::domain::binding::Asked;
use crate::domain::order::{Order, OrderKey, OrderState};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::told;
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::order::StoredOrder;

/// A request for an order that may have had its effect already.
pub(super) struct Repeat<'a> {
    pub till: &'a Till,
    pub order_id: &'a str,
    pub ask: &'a Ask,
    pub asked: Asked,
    pub key: &'a OrderKey,
    /// A refusal if the till named nobody of ours.
    pub payer: Result<&'a PayerView, Refusal>,
}

impl Engine {
    /// The answer of an order that has had its effect: the same body to the same request, a refusal to another one.
    pub(super) async fn standing(
        &self,
        repeat: &Repeat<'_>,
        shard: u8,
        stored: StoredOrder,
    ) -> Result<Answered<OrderView>, Failure> {
        let Repeat { till, order_id, key, .. } = *repeat;
        let order = stored.order;
        if order.state == OrderState::Reversed {
            return Err(Code::OrderReversed.into());
        }
        self.require_same(repeat, shard, &order)?;
        let ran_out = order.state == OrderState::Held && self.now() >= order.until();
        let order = match ran_out || order.state == OrderState::Expired {
            true => self.lapse_order(shard, key).await?.unwrap_or(order),
            false => order,
        };
        match order.state {
            OrderState::Cancelled => Err(Code::OrderCancelled.into()),
            OrderState::Reversed => Err(Code::OrderReversed.into()),
            OrderState::Expired | OrderState::Lapsed => Err(Code::HoldExpired.into()),
            _ => Ok(Answered { value: self.order_view(&till.merchant_id, order_id, shard, order)?, replayed: true }),
        }
    }

    /// The request must be the one that the order is bound to. The same words for the payer are the same payer, whatever has become of code
    /// or account since; a fresh code of the same person is no difference, and a code that names nobody is nobody's.
    fn require_same(&self, repeat: &Repeat<'_>, shard: u8, order: &Order) -> Result<(), Refusal> {
        let Repeat { ask, asked, .. } = repeat;
        let taken = || order.units.iter().map(|unit| self.keys.voucher.id(&unit.voucher(shard))).collect();
        let mut fields = ask.binding().conflicts(asked, order, taken, ask.payer.field());
        // Named vouchers are compared by the fingerprint.
        let named = matches!(ask.payer, Payer::Vouchers(_)) && !fields.contains(&ask.payer.field());
        let same = named || order.asked.is_some_and(|known| known.same_payer(asked.payer));
        let another = |payer: &&PayerView| payer.is_another(&self.view(), shard, order);
        if !same && repeat.payer.as_ref().is_ok_and(another) && !fields.contains(&ask.payer.field()) {
            fields.push(ask.payer.field());
        }
        if !fields.is_empty() {
            let refusal = Refusal::new(Code::OrderConflict).with("fields", fields.clone());
            return Err(told::conflict(refusal, &fields));
        }
        match &repeat.payer {
            Err(nobody) if !same => Err(nobody.clone()),
            _ => Ok(()),
        }
    }
}

/// What a till named that is nobody of ours.
pub(super) fn nobody(ask: &Ask) -> Refusal {
    match ask.payer {
        Payer::PayCode(_) => Code::PayCodeUnknown,
        Payer::Vouchers(_) => Code::VoucherUnknown,
        Payer::Account(_) | Payer::Person(_) => Code::AccountUnknown,
    }
    .into()
}
