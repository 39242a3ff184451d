//! What comes back when goods come back: the shares of payer and issuer, and what becomes of the vouchers.
//!
//! Of an amount the payer's cumulative share is `floor(payable x refunded_total / net)` and the issuer's is the rest, so any split into
//! refunds sums exactly. Worked case: order 100, voucher 20, paid 80, refund 50: 40 to the payer, 10 to the issuer. Named goods give back
//! what was paid for them (`bought.rs`). An order's first refund decides which of the two it is; what is left may always come back whole.
//!
//! Each voucher follows the terms of its own campaign (`Terms`). A refund is of the vouchers that bear a share of it, and the time for
//! refunds must not be over for any of them; one of which no voucher bears a share goes on while it is not over for all. What a refund
//! does to a voucher beyond its share (it comes back, its use is not counted any more) it does only while the voucher's time is not over, and
//! when all is back that its campaign looks at (`refund/whole.rs`).

mod whole;

use crate::domain::bought::{Bought, Part, Piece, Worth};
use crate::domain::campaign::schema::{Campaign, RefundPolicy};
use crate::domain::cashier;
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::order::Order;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{DAY, Ms};

pub use whole::{Completion, completed_at, completions, whole_bits};

/// A refund as a till asks for it: an amount, or goods and perhaps the amount that it expects for them.
#[derive(Clone, Debug, PartialEq)]
pub struct RefundAsk {
    pub refund_id: String,
    pub amount: Option<Fen>,
    pub items: Vec<Piece>,
}

/// What comes back with one refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    pub amount: Fen,
    /// The issuer's share, by voucher of the order.
    pub by_voucher: Vec<Fen>,
    /// The goods; none with an amount.
    pub parts: Vec<Part>,
}

impl RefundAsk {
    pub fn of_amount(refund_id: &str, amount: Fen) -> RefundAsk {
        RefundAsk { refund_id: refund_id.to_owned(), amount: Some(amount), items: Vec::new() }
    }

    /// Amounts that cannot be a refund, whatever the order is. Goods say themselves what they come to.
    pub fn check(&self) -> Result<(), Refusal> {
        if let Some(place) = self.items.iter().position(|piece| piece.quantity == 0) {
            let at = format!("/items/{place}/quantity");
            let refusal = Refusal::new(Code::InvalidRequest);
            return Err(refusal.field(at, "out_of_range", "至少一件。", "At least one piece."));
        }
        if let Some(place) = self.items.iter().position(|piece| piece.serial.is_some() && piece.quantity != 1) {
            let (zh, en) = ("有序列号的商品须为一件。", "An item with a serial number is one piece.");
            return Err(Refusal::new(Code::InvalidRequest).field(
                format!("/items/{place}/quantity"),
                "not_one_piece",
                zh,
                en,
            ));
        }
        let in_range = |amount: Fen| (1..FEN_LIMIT).contains(&amount.0);
        if !self.items.is_empty() || self.amount.is_some_and(in_range) {
            return Ok(());
        }
        let (code, zh, en) = match self.amount {
            Some(_) => ("out_of_range", "须为 1 分至 10^14 分之间。", "Must be from 1 to below 10^14 fen."),
            None => ("missing_field", "须有 amount 或 items。", "Either amount or items is needed."),
        };
        Err(Refusal::new(Code::InvalidRequest).field("/amount", code, zh, en))
    }

    /// Whether it is this refund of the order that it asks for.
    pub fn is_of(&self, order: &Order, bought: Option<&Bought>, index: usize) -> bool {
        let amount = order.refunds[index].amount;
        if self.items.is_empty() {
            let of_goods = bought.is_some_and(|bought| bought.pieces_of(index).is_some());
            return self.amount == Some(amount) && !of_goods;
        }
        self.amount.is_none_or(|asked| asked == amount)
            && bought.is_some_and(|bought| bought.was_of(index, &self.items))
    }
}

/// Judges a refund of an order that was redeemed; `bought` is there if the order was sent with its items.
pub fn judge(order: &Order, bought: Option<&Bought>, ask: &RefundAsk) -> Result<Back, Refusal> {
    let by_goods = bought.filter(|bought| !bought.returns.is_empty());
    let Some(amount) = ask.amount.filter(|_| ask.items.is_empty()) else {
        let bought = bought.ok_or(Code::ItemsNotKnown)?;
        // A refund that names no goods has no entry among the returns.
        return if order.refunds.len() > bought.returns.len() {
            Err(begun_with(order, "amount"))
        } else {
            goods_back(bought, ask)
        };
    };
    if amount > order.refundable() {
        let refusal = Refusal::new(Code::RefundExceedsOrder).with("refundable_amount", order.refundable().0);
        return Err(refusal.to_cashier(cashier::refundable(order.refundable())));
    }
    if by_goods.is_some() && amount < order.refundable() {
        return Err(begun_with(order, "items"));
    }
    Ok(Back { amount, by_voucher: of_amount(order, by_goods, amount), parts: Vec::new() })
}

/// The issuer's share of an amount, by voucher. After goods an amount is all that is left.
fn of_amount(order: &Order, bought: Option<&Bought>, amount: Fen) -> Vec<Fen> {
    let Some(bought) = bought.filter(|bought| !bought.returns.is_empty()) else {
        return shares_of_amount(order, amount);
    };
    let back = bought.back_by_voucher();
    let left = |(place, discount): (usize, Fen)| discount - back.get(place).copied().unwrap_or_default();
    discounts(order).into_iter().enumerate().map(left).collect()
}

fn begun_with(order: &Order, by: &str) -> Refusal {
    Refusal::new(Code::RefundMannerFixed).with("by", by).with("refundable_amount", order.refundable().0)
}

fn goods_back(order_goods: &Bought, ask: &RefundAsk) -> Result<Back, Refusal> {
    let parts = order_goods.find(&ask.items)?;
    let Worth { amount, by_voucher } = order_goods.worth(&parts);
    if ask.amount.is_some_and(|asked| asked != amount) {
        let refusal = Refusal::new(Code::RefundAmountMismatch).with("refund_amount", amount.0);
        return Err(refusal.to_cashier(cashier::comes_to(amount)));
    }
    Ok(Back { amount, by_voucher, parts })
}

fn discounts(order: &Order) -> Vec<Fen> {
    order.units.iter().map(|unit| unit.discount).collect()
}

fn shares_of_amount(order: &Order, amount: Fen) -> Vec<Fen> {
    let shares = shares(order.net(), order.discount, order.refunded_total(), amount);
    let before: Fen = order.refunds.iter().map(|refund| refund.share).sum();
    shares_by_voucher(&discounts(order), before, shares.to_issuer)
}

/// What a voucher's own campaign says of refunds of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The time for refunds is over from this instant on.
    pub closes: Ms,
    policy: RefundPolicy,
    most_restores: u8,
    restores_limits: bool,
}

impl Terms {
    pub fn of(campaign: &Campaign, order: &Order) -> Terms {
        Terms {
            closes: order.t1 + i64::from(campaign.refund_days) * DAY,
            policy: campaign.refund_policy,
            // Six bits of a voucher's byte count them.
            most_restores: campaign.max_restores_per_voucher.min(63) as u8,
            restores_limits: campaign.refund_restores_limits,
        }
    }

    /// How often the voucher may have been given back for it to be given back once more by a refund that stands so to its campaign's part.
    pub fn most_restores(&self, completion: Completion, now: Ms) -> u8 {
        if restores(self.policy, completion) && now < self.closes { self.most_restores } else { 0 }
    }

    /// Whether the use of the voucher is not counted any more after the refund at this instant has made its campaign's part whole.
    pub fn uncounts(&self, at: Ms) -> bool {
        self.restores_limits && at < self.closes
    }
}

/// The place of a voucher whose time for refunds is over although it bears a share of this refund; where none bears any, the last whose
/// time was over, if it is over for all.
pub fn closed(terms: &[Terms], shares: &[Fen], now: Ms) -> Option<usize> {
    let bears = |place: &usize| shares.get(*place).is_some_and(|share| *share > Fen::ZERO);
    if let Some(place) = (0..terms.len()).find(|place| bears(place) && now >= terms[*place].closes) {
        return Some(place);
    }
    let last = (0..terms.len()).max_by_key(|place| terms[*place].closes)?;
    (now >= terms[last].closes).then_some(last)
}

/// Whether a refund with these shares is one of the voucher at this place, as limits on refunds count it: it bears a share, or none does.
pub fn is_of_voucher(shares: &[Fen], place: usize) -> bool {
    shares.get(place).is_some_and(|share| *share > Fen::ZERO) || shares.iter().all(|share| *share == Fen::ZERO)
}

/// The shares of every refund of an order so far, by voucher.
pub fn shares_so_far(order: &Order, bought: Option<&Bought>) -> Vec<Vec<Fen>> {
    let mut before = Order { refunds: Vec::new(), ..order.clone() };
    let mut goods = bought.map(|bought| Bought { returns: Vec::new(), ..bought.clone() });
    let mut all = Vec::with_capacity(order.refunds.len());
    for (index, refund) in order.refunds.iter().enumerate() {
        let returned = bought.and_then(|bought| bought.returns.iter().find(|one| one.refund == index));
        let mut shares = match (returned, &mut goods) {
            (Some(returned), Some(goods)) => {
                let worth = goods.worth(&returned.parts);
                goods.returns.push(returned.clone());
                worth.by_voucher
            }
            (_, goods) => of_amount(&before, goods.as_ref(), refund.amount),
        };
        shares.resize(order.units.len(), Fen::ZERO);
        before.refunds.push(refund.clone());
        all.push(shares);
    }
    all
}

/// Shares of one refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    pub to_payer: Fen,
    pub to_issuer: Fen,
}

/// The shares of a refund of `amount` after `refunded` of `net` had come back before.
pub fn shares(net: Fen, discount: Fen, refunded: Fen, amount: Fen) -> Shares {
    let payable = net - discount;
    let to_payer = payable.share(refunded + amount, net) - payable.share(refunded, net);
    Shares { to_payer, to_issuer: amount - to_payer }
}

/// The issuer's share of one refund divided over the vouchers of the payment: cumulative and rounded down, the last takes the rest.
/// The issuer's cumulative share never exceeds the discount, and no voucher's share its own discount.
pub fn shares_by_voucher(discounts: &[Fen], issuer_before: Fen, issuer_share: Fen) -> Vec<Fen> {
    let before = split(discounts, issuer_before);
    let after = split(discounts, issuer_before + issuer_share);
    after.into_iter().zip(before).map(|(after, before)| after - before).collect()
}

/// Fills vouchers in order: the first is used up before the next gives anything, so every part only grows with the total.
pub fn split(discounts: &[Fen], total: Fen) -> Vec<Fen> {
    let mut left = total;
    discounts
        .iter()
        .map(|discount| {
            let part = left.min(*discount);
            left = left - part;
            part
        })
        .collect()
}

/// Whether the vouchers go back to the person with this refund, by the campaign's policy alone.
fn restores(policy: RefundPolicy, Completion { whole, at_once }: Completion) -> bool {
    match policy {
        RefundPolicy::RestoreOnFullRefund => whole,
        RefundPolicy::RestoreOnSingleFullRefund => whole && at_once,
        RefundPolicy::Consume => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_example_and_the_worked_case_hold() {
        let of = |net, discount, refunded, amount| shares(Fen(net), Fen(discount), Fen(refunded), Fen(amount));
        assert_eq!(of(11_000, 2_000, 0, 5_500), Shares { to_payer: Fen(4_500), to_issuer: Fen(1_000) });
        assert_eq!(of(11_000, 2_000, 5_500, 5_500), Shares { to_payer: Fen(4_500), to_issuer: Fen(1_000) });
        assert_eq!(of(10_000, 2_000, 0, 5_000), Shares { to_payer: Fen(4_000), to_issuer: Fen(1_000) });
    }

    #[test]
    fn any_split_into_refunds_sums_to_what_was_paid_and_what_was_given() {
        let mut state: u64 = 20_200_724;
        let mut below = |bound: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % bound
        };
        for case in 0..2_000 {
            let net = 2 + below(100_000);
            let discount = 1 + below(net - 1);
            let (mut refunded, mut payer, mut issuer) = (0, 0, 0);
            while refunded < net {
                let amount = (1 + below(net)).min(net - refunded);
                let part = shares(Fen(net), Fen(discount), Fen(refunded), Fen(amount));
                assert!(part.to_payer.0 >= 0 && part.to_issuer.0 >= 0, "case {case}");
                refunded += amount;
                payer += part.to_payer.0;
                issuer += part.to_issuer.0;
                assert!(
                    issuer <= discount,
                    "case {case}: net {net} discount {discount} refunded {refunded} issuer {issuer}"
                );
            }
            assert_eq!((payer, issuer), (net - discount, discount), "case {case}");
        }
    }

    /// Sums of payer, issuer and each voucher after these refunds, and whether the last of them gives the vouchers back.
    fn after(policy: RefundPolicy, net: Fen, discounts: &[Fen], amounts: &[Fen]) -> (Fen, Fen, Vec<Fen>, bool) {
        let discount = discounts.iter().copied().sum();
        let (mut refunded, mut payer, mut issuer, mut restored) = (Fen::ZERO, Fen::ZERO, Fen::ZERO, false);
        let mut vouchers = vec![Fen::ZERO; discounts.len()];
        for amount in amounts {
            let part = shares(net, discount, refunded, *amount);
            let by_voucher = shares_by_voucher(discounts, issuer, part.to_issuer);
            assert_eq!(by_voucher.iter().copied().sum::<Fen>(), part.to_issuer);
            vouchers.iter_mut().zip(by_voucher).for_each(|(sum, share)| *sum = *sum + share);
            restored |= restores(policy, Completion::of_order(net, refunded, *amount));
            refunded = refunded + *amount;
            payer = payer + part.to_payer;
            issuer = issuer + part.to_issuer;
        }
        (payer, issuer, vouchers, restored)
    }

    #[test]
    fn the_order_of_refunds_never_matters() {
        use RefundPolicy::*;
        let mut state: u64 = 20_250_301;
        let mut below = |bound: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % bound
        };
        for case in 0..2_000 {
            let discounts: Vec<Fen> = (0..=below(3)).map(|_| Fen(1 + below(50_000))).collect();
            let discount: Fen = discounts.iter().copied().sum();
            let net = discount + Fen(1 + below(100_000));
            let mut amounts = Vec::new();
            let mut left = net;
            while left > Fen::ZERO && amounts.len() < 8 {
                let amount = Fen(1 + below(left.0));
                amounts.push(if below(4) == 0 { left } else { amount });
                left = left - amounts[amounts.len() - 1];
            }
            let policy = [RestoreOnFullRefund, RestoreOnSingleFullRefund, Consume][below(3) as usize];
            let once = after(policy, net, &discounts, &amounts);
            for _ in 0..5 {
                for place in (1..amounts.len()).rev() {
                    amounts.swap(place, below(place as i64 + 1) as usize);
                }
                assert_eq!(after(policy, net, &discounts, &amounts), once, "case {case}: {amounts:?} of {net:?}");
            }
        }
    }

    #[test]
    fn the_issuers_share_is_taken_from_the_vouchers_in_order() {
        let discounts = [Fen(2_000), Fen(1_000)];
        assert_eq!(shares_by_voucher(&discounts, Fen(0), Fen(500)), [Fen(500), Fen(0)]);
        assert_eq!(shares_by_voucher(&discounts, Fen(500), Fen(2_000)), [Fen(1_500), Fen(500)]);
        assert_eq!(shares_by_voucher(&discounts, Fen(2_500), Fen(500)), [Fen(0), Fen(500)]);
    }

    #[test]
    fn a_voucher_comes_back_only_as_the_policy_says() {
        use RefundPolicy::*;
        for (policy, refunded, amount, restored) in [
            (RestoreOnFullRefund, 0, 100, true),
            (RestoreOnFullRefund, 60, 40, true),
            (RestoreOnFullRefund, 0, 99, false),
            (RestoreOnSingleFullRefund, 0, 100, true),
            (RestoreOnSingleFullRefund, 60, 40, false),
            (Consume, 0, 100, false),
        ] {
            assert_eq!(
                restores(policy, Completion::of_order(Fen(100), Fen(refunded), Fen(amount))),
                restored,
                "{policy:?} {refunded} + {amount}"
            );
        }
    }
}
