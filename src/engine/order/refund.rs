//! Refunds: goods come back, wholly or in part, once or in several steps.

use super::draft::Draft;
use super::found::Found;
use super::limits::place_of_order;
use super::refund_limits::TakenAhead;
use super::{Answered, OrderView, TRIES, contended};
use crate::domain::bought::{Bought, Piece, Returned};
use crate::domain::cashier;
use crate::domain::limit::Place;
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, OrderUnit, Refunded, limit_entity, order_key};
use crate::domain::refund::{self, Back, RefundAsk};
use crate::domain::refusal::{Code, Outcome, Refusal};
use crate::domain::voucher::UnitState;
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::bought::{self, StoredBought};
use crate::store::change::{Account, Tally};
use crate::store::ledger::{Bytes, Line, To};
use crate::store::record::WITH_THE_CALL;

/// Refunds of one order, so that its record stays small (payment platforms take 50 as well).
const MOST_REFUNDS: usize = 50;

/// One refund and the order as it stood after it.
#[derive(Clone, Debug)]
pub struct RefundView {
    pub refund_id: String,
    pub to_payer: Fen,
    pub to_issuer: Fen,
    pub at: i64,
    /// The goods that came back; none with a refund of an amount.
    pub items: Vec<Piece>,
    pub after: OrderView,
}

/// A refund on its way.
struct Refunding<'a> {
    till: &'a Till,
    order_id: &'a str,
    key: OrderKey,
    found: Found,
}

impl Engine {
    /// Books a refund; its repeat is answered from the order's record.
    pub async fn refund(&self, till: &Till, order_id: &str, ask: &RefundAsk) -> Result<Answered<RefundView>, Refusal> {
        ask.check()?;
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let refunding = Refunding { till, order_id, key, found: self.found(till, &key).await? };
                let (order, bought) = (&refunding.found.stored.order, refunding.bought());
                if let Some(index) = known_refund(order, bought, ask)? {
                    self.give_back_refunded(till, &key, order).await;
                    let pieces = bought.and_then(|bought| bought.pieces_of(index));
                    let value = self.refund_view(&refunding, order, index, pieces)?;
                    return Ok(Answered { value, replayed: true });
                }
                let back = self.judge_refund(&refunding, ask)?;
                if let Some((order, pieces)) = self.put_refund(&refunding, &ask.refund_id, &back).await? {
                    let value = self.refund_view(&refunding, &order, order.refunds.len() - 1, pieces)?;
                    return Ok(Answered { value, replayed: false });
                }
            }
            Err(contended().into())
        })
        .await
    }

    fn judge_refund(&self, refunding: &Refunding<'_>, ask: &RefundAsk) -> Result<Back, Failure> {
        let found = &refunding.found;
        let order = &found.stored.order;
        let terms = self.terms(order)?;
        self.require_refundable((found.shard, order), &terms, &[], found.now)?;
        let back = refund::judge(order, refunding.bought(), ask)?;
        self.require_refundable((found.shard, order), &terms, &back.by_voucher, found.now)?;
        if order.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::new(Code::LimitReached)
                .with("limit", serde_json::json!({ "refunds_per_order": MOST_REFUNDS }))
                .to_cashier(cashier::no_more_refunds())
                .into());
        }
        Ok(back)
    }

    /// The order with the refund, and the goods that came back; `None` when something has changed meanwhile.
    async fn put_refund(
        &self,
        refunding: &Refunding<'_>,
        refund_id: &str,
        back: &Back,
    ) -> Result<Option<(Order, Option<Vec<Piece>>)>, Failure> {
        let Refunding { till, key, found, .. } = refunding;
        let order = &found.stored.order;
        let shares: Vec<Fen> =
            (0..order.units.len()).map(|unit| back.by_voucher.get(unit).copied().unwrap_or_default()).collect();
        let place = place_of_order(order, limit_entity(&till.merchant_id));
        let mut draft = found.draft();
        if let Some(limit) = draft.count_refund(&order.units, &shares, &place)? {
            return Err(limit.reached().into());
        }
        let completions = refund::completions(order, refunding.bought(), back);
        let taken = self.take_refund_quotas(key, (order, refunding.bought()), &place, &shares).await?;
        let put = self.put_counted(refunding, refund_id, back, (draft, shares, &place), &taken).await;
        match &put {
            Ok(Some(_)) => self.settle_refund(&taken).await,
            // It may be booked.
            Err(Failure::Store(error)) if error.outcome() != Outcome::NotApplied => {}
            Ok(None) | Err(_) => self.give_refund_quotas(&taken).await,
        }
        let Some(after) = put? else { return Ok(None) };
        if completions.iter().any(|one| one.whole) {
            self.release_or_owe(&till.merchant_id, key, &after, None).await;
        }
        let pieces = refunding.goods_after(back).and_then(|(_, becomes)| becomes.pieces_of(order.refunds.len()));
        Ok(Some((after, pieces)))
    }

    /// The order with a refund that is counted already.
    async fn put_counted(
        &self,
        refunding: &Refunding<'_>,
        refund_id: &str,
        back: &Back,
        (mut draft, shares, place): (Draft<'_>, Vec<Fen>, &Place),
        taken: &TakenAhead,
    ) -> Result<Option<Order>, Failure> {
        let Refunding { key, found, .. } = refunding;
        let order = &found.stored.order;
        let terms = self.terms(order)?;
        let completions = refund::completions(order, refunding.bought(), back);
        let mut restored = 0;
        for (index, (unit, share)) in order.units.iter().zip(&shares).enumerate() {
            let most = draft.most_restores(&terms[index], completions[index]);
            if completions[index].whole && terms[index].uncounts(draft.now) {
                draft.uncount(unit, place, order.t0)?;
            }
            if let Some(to) = give_back(&mut draft, unit, *share, most)? {
                restored |= u64::from(to == To::Outstanding) << index;
                draft.line(refunding.line(unit, refund_id, back.amount, *share, to));
            }
        }
        let refund = Refunded {
            refund_id: refund_id.to_owned(),
            amount: back.amount,
            share: shares.into_iter().sum(),
            at: WITH_THE_CALL,
            restored,
            whole: refund::whole_bits(order, &completions),
        };
        let mut after = order.clone();
        after.refunds.push(refund);
        let mut change = found.change(draft, key, &after);
        if let Some((seen, becomes)) = &refunding.goods_after(back) {
            change.bought(key, Some(&seen.bytes), bought::encode(becomes));
        }
        taken.ahead.require()?;
        Ok(self.put_order(change, after).await?)
    }

    fn refund_view(
        &self,
        refunding: &Refunding<'_>,
        order: &Order,
        index: usize,
        pieces: Option<Vec<Piece>>,
    ) -> Result<RefundView, Refusal> {
        let Refunding { till, order_id, found, .. } = refunding;
        let refund = &order.refunds[index];
        let (refund_id, to_issuer, to_payer, at) =
            (refund.refund_id.clone(), refund.share, refund.amount - refund.share, refund.at);
        let after = self.order_view(&till.merchant_id, order_id, found.shard, order.after_refund(index))?;
        Ok(RefundView { refund_id, to_payer, to_issuer, at, items: pieces.unwrap_or_default(), after })
    }
}

impl Refunding<'_> {
    fn bought(&self) -> Option<&Bought> {
        self.found.bought.as_ref().map(|stored| &stored.bought)
    }

    /// What was bought as it was read, and as it becomes. A refund of an amount says nothing of goods and leaves them as they are.
    fn goods_after(&self, back: &Back) -> Option<(&StoredBought, Bought)> {
        let stored = self.found.bought.as_ref().filter(|_| !back.parts.is_empty())?;
        let mut becomes = stored.bought.clone();
        becomes.returns.push(Returned { refund: self.found.stored.order.refunds.len(), parts: back.parts.clone() });
        Some((stored, becomes))
    }

    /// A refund is booked where its order was redeemed.
    fn line(&self, unit: &OrderUnit, refund_id: &str, amount: Fen, share: Fen, to: To) -> Line {
        let Order { attempt, receipt, .. } = &self.found.stored.order;
        Line::Refunded {
            c: unit.c,
            f: Bytes(unit.f),
            p: unit.p,
            u: unit.u,
            share: share.0,
            discount: unit.discount.0,
            merchant_id: self.till.merchant_id.clone(),
            order_id: self.order_id.to_owned(),
            refund_id: refund_id.to_owned(),
            store: receipt.store.clone(),
            terminal: receipt.counted_terminal().to_owned(),
            amount: amount.0,
            to,
            attempt: *attempt,
            receipt_no: receipt.receipt_no.clone(),
        }
    }
}

/// Where the issuer's share of a voucher goes; `None` if there is none and the voucher stays used. One that goes back, as often as the campaign
/// allows and while it is valid, moves its whole discount to outstanding and takes from recovered what earlier refunds have put there.
fn give_back(draft: &mut Draft<'_>, unit: &OrderUnit, share: Fen, most: u8) -> Result<Option<To>, StoreError> {
    let (byte, end) = (draft.byte(unit)?, draft.end(unit)?);
    let may_return = byte.state() == UnitState::Used && byte.restored() < most;
    if !may_return && share == Fen::ZERO {
        return Ok(None);
    }
    let valid = draft.is_before(end);
    let left = (Account::Redeemed, Fen::ZERO - share);
    let tally = [(Tally::GivenBack, share.0)];
    if may_return && valid {
        draft.put(unit, byte.given_back())?;
        let accounts = [left, (Account::Recovered, share - unit.discount), (Account::Outstanding, unit.discount)];
        draft.money(unit, &accounts, &tally)?;
        return Ok(Some(To::Outstanding));
    }
    if share == Fen::ZERO {
        return Ok(None);
    }
    let (account, to) = if valid { (Account::Recovered, To::Recovered) } else { (Account::Late, To::Late) };
    draft.money(unit, &[left, (account, share)], &tally)?;
    Ok(Some(to))
}

/// The place of a refund that was booked before; the same number with another amount or other goods is a conflict.
fn known_refund(order: &Order, bought: Option<&Bought>, ask: &RefundAsk) -> Result<Option<usize>, Refusal> {
    match order.state {
        OrderState::Cancelled => return Err(Code::OrderCancelled.into()),
        OrderState::Redeemed => {}
        _ => return Err(Code::OrderNotRedeemed.into()),
    }
    match order.refunds.iter().position(|refund| refund.refund_id == ask.refund_id) {
        Some(index) if ask.is_of(order, bought, index) => Ok(Some(index)),
        Some(_) => Err(Code::RefundConflict.into()),
        None => Ok(None),
    }
}
