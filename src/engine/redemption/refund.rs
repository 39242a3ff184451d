//! Refunds: goods come back, wholly or in part, once or in several steps.

use super::limits::{place_of_order, use_args};
use super::moves::Moves;
use super::redeem::refused;
use super::reverse::campaign_of;
use super::{Answered, OrderView, TRIES, Till, broken, contended, in_effect};
use crate::domain::bought::{Bought, Piece, Returned};
use crate::domain::campaign::schema::LimitAction;
use crate::domain::limit::{Keeper, LimitFact, facts_on};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderKey, OrderState, limit_entity, order_key};
use crate::domain::person::bucket_of;
use crate::domain::refund::{self, Back, RefundAsk};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{DAY, Ms};
use crate::domain::voucher::PersonField;
use crate::engine::view::Snapshot;
use crate::engine::{Engine, Failure};
use crate::store::bought::{self, StoredBought};
use crate::store::keys::{self, Slot};
use crate::store::orders::StoredOrder;
use crate::store::script::{self, Args};

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

/// A refund on its way: the order as it was read, with what was bought.
struct Refunding<'a> {
    till: &'a Till,
    order_id: &'a str,
    key: OrderKey,
    shard: u8,
    stored: StoredOrder,
    bought: Option<StoredBought>,
}

impl Engine {
    /// Books a refund; its repeat is answered from the order's record.
    pub async fn refund(&self, till: &Till, order_id: &str, ask: &RefundAsk) -> Result<Answered<RefundView>, Refusal> {
        ask.check()?;
        let key = order_key(&till.merchant_id, order_id);
        self.with_view(|| async move {
            for _ in 0..TRIES {
                let shard = self.order_shard(till, &key).await?;
                let (stored, bought) = self.store.order_with_goods(shard, &key).await?;
                let refunding = Refunding { till, order_id, key, shard, stored: in_effect(stored)?, bought };
                let (order, bought) = (&refunding.stored.order, refunding.bought());
                if let Some(index) = known_refund(order, bought, ask)? {
                    let pieces = bought.and_then(|bought| bought.pieces_of(index));
                    let value = self.refund_view(&refunding, order, index, pieces)?;
                    return Ok(Answered { value, replayed: true });
                }
                let back = self.judge_refund(order, bought, ask)?;
                if let Some((order, pieces)) = self.refund_stored(&refunding, &ask.refund_id, &back).await? {
                    let value = self.refund_view(&refunding, &order, order.refunds.len() - 1, pieces)?;
                    return Ok(Answered { value, replayed: false });
                }
            }
            Err(contended().into())
        })
        .await
    }

    fn judge_refund(&self, order: &Order, bought: Option<&Bought>, ask: &RefundAsk) -> Result<Back, Refusal> {
        let days = campaign_of(&self.view(), order).ok_or_else(|| broken("an order's campaign is gone"))?.refund_days;
        if self.now() >= order.t1 + i64::from(days) * DAY {
            return Err(Code::RefundWindowClosed.into());
        }
        let back = refund::judge(order, bought, ask)?;
        if order.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::new(Code::LimitReached)
                .with("limit", serde_json::json!({ "refunds_per_order": MOST_REFUNDS })));
        }
        Ok(back)
    }

    /// The order with the refund, and the goods that came back; `None` when the order has changed meanwhile.
    async fn refund_stored(
        &self,
        refunding: &Refunding<'_>,
        refund_id: &str,
        back: &Back,
    ) -> Result<Option<(Order, Option<Vec<Piece>>)>, Failure> {
        let Refunding { till, order_id, key, shard, stored, .. } = refunding;
        let (order, snapshot, shard) = (&stored.order, self.view(), *shard);
        let campaign = campaign_of(&snapshot, order).ok_or_else(|| broken("an order's campaign is gone"))?;
        let (net, refunded) = (order.net(), order.refunded_total());
        let shares: Vec<Fen> =
            (0..order.units.len()).map(|unit| back.by_voucher.get(unit).copied().unwrap_or_default()).collect();
        let restore = refund::restores(campaign.refund_policy, net, refunded, back.amount);
        let mut moves = Moves::of_order(&snapshot, shard, key, order, limit_entity(&till.merchant_id))?;
        let limits_restored = campaign.refund_restores_limits && refund::completes(net, refunded, back.amount);
        if !limits_restored {
            moves = moves.without_uses();
        }
        let on_refund = refund_limits(&snapshot, shard, &moves, order, &till.merchant_id, &shares, self.now())?;
        let (moves, returned) = refunding.with_goods(moves, back);
        let named = [till.merchant_id.as_str(), order_id, "", &till.terminal_id];
        let more = |args: Args| {
            let args = args.bytes(refund_id).int(back.amount.0);
            let args = args.list(|list| shares.iter().fold(list, |list, share| list.int(share.0)));
            let args = args.int(u8::from(restore)).int(campaign.max_restores_per_voucher.min(63));
            let args = args.list(|list| named.iter().fold(list, |list, name| list.bytes(name)));
            let args = args.list(|list| on_refund.iter().fold(list, |list, one| one.write(list)));
            args.list(|list| returned.iter().fold(list, |list, goods| goods.write(list)))
        };
        let member = moves.into_member(key, &stored.bytes, more);
        let reply = self.store.call(&script::ORDER_REFUND, &Slot::Shard(shard), member).await?;
        match reply.refused() {
            Some("limit_reached") => {
                let reached = usize::try_from(reply.int(1) - 1).ok().and_then(|place| on_refund.get(place));
                Err(reached.map_or(Code::LimitReached.into(), |one| one.fact.reached()).into())
            }
            Some(code) => Err(refused(code)),
            None if reply.is("ok") => {
                if limits_restored {
                    self.release_ended(&till.merchant_id, key, order, None).await?;
                }
                let order = StoredOrder::decode(reply.bytes(0))?.order;
                let pieces = returned.and_then(|goods| goods.becomes.pieces_of(order.refunds.len() - 1));
                Ok(Some((order, pieces)))
            }
            None => Ok(None),
        }
    }

    fn refund_view(
        &self,
        refunding: &Refunding<'_>,
        order: &Order,
        index: usize,
        pieces: Option<Vec<Piece>>,
    ) -> Result<RefundView, Refusal> {
        let Refunding { till, order_id, shard, .. } = refunding;
        let refund = &order.refunds[index];
        let (refund_id, to_issuer, to_payer, at) =
            (refund.refund_id.clone(), refund.share, refund.amount - refund.share, refund.at);
        let after = self.order_view(&till.merchant_id, order_id, *shard, order.after_refund(index))?;
        Ok(RefundView { refund_id, to_payer, to_issuer, at, items: pieces.unwrap_or_default(), after })
    }
}

/// What was bought as it was read, and as it becomes.
struct GoodsBack<'a> {
    /// Place of its bucket among the keys of the member.
    key: usize,
    seen: &'a [u8],
    becomes: Bought,
}

impl GoodsBack<'_> {
    fn write(&self, list: Args) -> Args {
        list.int(self.key as i64).bytes(self.seen).bytes(bought::encode(&self.becomes))
    }
}

impl Refunding<'_> {
    fn bought(&self) -> Option<&Bought> {
        self.bought.as_ref().map(|stored| &stored.bought)
    }

    /// A refund of an amount says nothing of goods and leaves them as they are.
    fn with_goods(&self, moves: Moves, back: &Back) -> (Moves, Option<GoodsBack<'_>>) {
        let Some(stored) = self.bought.as_ref().filter(|_| !back.parts.is_empty()) else { return (moves, None) };
        let (moves, key) = moves.with_key(keys::bought_bucket(self.shard, &self.key));
        let mut becomes = stored.bought.clone();
        becomes.returns.push(Returned { refund: self.stored.order.refunds.len(), parts: back.parts.clone() });
        (moves, Some(GoodsBack { key, seen: &stored.bytes, becomes }))
    }
}

/// What a refund takes of a limit on refunds: one, and the issuer's share.
struct RefundUse<'a> {
    /// Place of the person's bucket among the keys of the member.
    key: usize,
    field: PersonField,
    fact: LimitFact<'a>,
    amount: Fen,
}

impl RefundUse<'_> {
    fn write(&self, list: Args) -> Args {
        use_args(list, self.key, &self.field, &self.fact, 1, self.amount)
    }
}

/// The limits on refunds that the vouchers of an order meet now.
fn refund_limits<'a>(
    snapshot: &'a Snapshot,
    shard: u8,
    moves: &Moves,
    order: &Order,
    merchant_id: &str,
    shares: &[Fen],
    now: Ms,
) -> Result<Vec<RefundUse<'a>>, Refusal> {
    let place = place_of_order(order, limit_entity(merchant_id));
    let mut uses: Vec<RefundUse> = Vec::new();
    for (unit, share) in order.units.iter().zip(shares) {
        let view = snapshot.by_number.get(&unit.c).ok_or_else(|| broken("an order's campaign is gone"))?;
        let bucket = keys::person_bucket(shard, unit.c, bucket_of(&unit.f, view.record.buckets));
        let key = moves.place_of(&bucket).ok_or_else(|| broken("a unit has no bucket"))?;
        let facts = facts_on(LimitAction::Refund, &view.campaign, &view.zone, unit.of_pack(), &place, now);
        for fact in facts.into_iter().filter(|fact| fact.keeper == Keeper::Person) {
            match uses.iter_mut().find(|known| known.key == key && known.field == unit.f && known.fact.same(&fact)) {
                Some(known) => known.amount = known.amount + *share,
                None => uses.push(RefundUse { key, field: unit.f, fact, amount: *share }),
            }
        }
    }
    Ok(uses)
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
