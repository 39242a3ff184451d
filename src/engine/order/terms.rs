//! Until when and how an order may be undone: each of its vouchers by the terms of its own campaign.
//!
//! A reverse undoes the whole order, so the time for it must not be over for any voucher. A refund is of the vouchers that bear a share
//! of it (`domain/refund.rs`).

use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderState, OrderUnit};
use crate::domain::refund::{Terms, closed, completed_at};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{HOUR, Ms};
use crate::engine::config::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;

impl Engine {
    /// What each voucher's campaign says of refunds, in the order of the vouchers.
    pub(super) fn terms(&self, order: &Order) -> Result<Vec<Terms>, StoreError> {
        let snapshot = self.view();
        order.units.iter().map(|unit| Ok(Terms::of(&snapshot.numbered(unit.c)?.campaign, order))).collect()
    }

    /// The time for refunds is not over for any voucher that bears one of these shares; without shares, for one voucher at least.
    pub(super) fn require_refundable(
        &self,
        (shard, order): (u8, &Order),
        terms: &[Terms],
        shares: &[Fen],
        now: Ms,
    ) -> Result<(), Failure> {
        match closed(terms, shares, now) {
            Some(place) => {
                Err(self.over(Code::RefundWindowClosed, shard, &order.units[place], terms[place].closes)?.into())
            }
            None => Ok(()),
        }
    }

    /// A refund or the end of `reverse_hours` makes a reverse impossible; an order that never had an effect can always be closed.
    pub(super) fn require_reversible(&self, shard: u8, order: &Order) -> Result<(), Failure> {
        if !order.refunds.is_empty() {
            return Err(Code::OrderHasRefunds.into());
        }
        if !matches!(order.state, OrderState::Held | OrderState::Redeemed) {
            return Ok(());
        }
        let snapshot = self.view();
        for unit in &order.units {
            let closes = order.t0 + i64::from(snapshot.numbered(unit.c)?.campaign.reverse_hours) * HOUR;
            if self.now() >= closes {
                return Err(self.over(Code::ReversalWindowClosed, shard, unit, closes)?.into());
            }
        }
        Ok(())
    }

    /// Names the voucher for which it is too late, and since when.
    fn over(&self, code: Code, shard: u8, unit: &OrderUnit, closed: Ms) -> Result<Refusal, StoreError> {
        let snapshot = self.view();
        let view: &CampaignView = snapshot.numbered(unit.c)?;
        let refusal = Refusal::new(code).with("until", view.zone.rfc3339(closed));
        Ok(refusal.with("campaign_id", view.id.as_str()).with("voucher_id", self.keys.voucher.id(&unit.voucher(shard))))
    }

    /// Of an order that was redeemed, the vouchers whose use its limits count: all but those whose campaign does not after what is back.
    pub(super) fn counted_still(&self, order: &Order) -> Result<Vec<OrderUnit>, StoreError> {
        if order.refunds.is_empty() {
            return Ok(order.units.clone());
        }
        let terms = self.terms(order)?;
        let counts = |place: usize| !completed_at(order, place).is_some_and(|at| terms[place].uncounts(at));
        Ok((0..order.units.len()).filter(|place| counts(*place)).map(|place| order.units[place]).collect())
    }
}
