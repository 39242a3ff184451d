//! Answers about orders.

use crate::engine::settlement::transactions::Transaction;
use crate::engine::settlement::transactions::TransactionPage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{OrderView, PieceBody, RefundView, ReversedView, VoucherBody, WordsBody};
use crate::domain::bought::{Bought, BoughtLine};
use crate::domain::cashier;
use crate::domain::order::{OrderState, Receipt};
use crate::domain::voucher::UnitState;

/// A hold (`hold_id`, `expires_at`) or a redemption (`redeemed_at`, `settlement_date`).
#[derive(Serialize, ToSchema)]
pub struct Redeemed {
    order_id: String,
    /// `held` or `redeemed`.
    state: &'static str,
    transaction_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    amount: i64,
    merchant_discount: i64,
    discount_amount: i64,
    /// What the customer pays.
    payable: i64,
    vouchers: Vec<VoucherBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeemed_at: Option<String>,
    /// The day of the city on which it is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    settlement_date: Option<String>,
    /// The hold had run out, and its vouchers were still free.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    pos_message: WordsBody,
}

impl Redeemed {
    /// The answer to the request that made the order: held or redeemed, whatever has happened to it since.
    pub fn first(view: &OrderView) -> Redeemed {
        if view.order.captured() { Redeemed::confirmed(view) } else { Redeemed::held(view) }
    }

    fn held(view: &OrderView) -> Redeemed {
        let order = &view.order;
        Redeemed {
            state: "held",
            hold_id: Some(view.hold_id.clone()),
            expires_at: Some(view.zone.rfc3339(order.until())),
            redeemed_at: None,
            settlement_date: None,
            late: false,
            pos_message: cashier::held(order.payable(), order.discount, &view.zone.date(order.t0)).into(),
            ..Redeemed::confirmed(view)
        }
    }

    /// The answer to a confirm, or to a redemption in one call.
    pub fn confirmed(view: &OrderView) -> Redeemed {
        let order = &view.order;
        Redeemed {
            order_id: view.order_id.clone(),
            state: "redeemed",
            transaction_id: view.transaction_id.clone(),
            hold_id: (!order.captured()).then(|| view.hold_id.clone()),
            expires_at: None,
            amount: order.amount.0,
            merchant_discount: order.merchant_discount.0,
            discount_amount: order.discount.0,
            payable: order.payable().0,
            vouchers: view.vouchers.iter().map(VoucherBody::from).collect(),
            redeemed_at: Some(view.zone.rfc3339(order.t1)),
            settlement_date: Some(view.zone.date(order.t1)),
            late: order.late(),
            pos_message: cashier::redeemed(order.payable(), order.discount, &view.zone.date(order.t1)).into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Cancelled {
    order_id: String,
    /// `cancelled`
    state: &'static str,
    transaction_id: String,
    hold_id: String,
    cancelled_at: String,
    vouchers: Vec<VoucherStateBody>,
    pos_message: WordsBody,
}

impl From<&OrderView> for Cancelled {
    fn from(view: &OrderView) -> Cancelled {
        let vouchers = states(view, view.order.t1);
        Cancelled {
            order_id: view.order_id.clone(),
            state: "cancelled",
            transaction_id: view.transaction_id.clone(),
            hold_id: view.hold_id.clone(),
            cancelled_at: view.zone.rfc3339(view.order.t1),
            pos_message: cashier::cancelled(vouchers.iter().all(|one| one.state == "available")).into(),
            vouchers,
        }
    }
}

/// A voucher of an order and what has become of it.
#[derive(Serialize, ToSchema)]
pub struct VoucherStateBody {
    voucher_id: String,
    /// `available`, `used` or `expired`; after the cancel of a hold that had run out also `held` or `revoked`, where another order or the
    /// office was faster.
    state: &'static str,
}

/// What the step at this instant made of the vouchers.
fn states(view: &OrderView, at: i64) -> Vec<VoucherStateBody> {
    let one = |(index, voucher): (usize, &super::VoucherView)| {
        let restored = view.order.unit_restored(index);
        let state = match (view.order.unit_elsewhere(index), restored, at < voucher.end) {
            (Some(UnitState::Held), ..) => "held",
            (Some(UnitState::Revoked), ..) => "revoked",
            (Some(_), ..) | (None, false, _) => "used",
            (None, true, true) => "available",
            (None, true, false) => "expired",
        };
        VoucherStateBody { voucher_id: voucher.voucher_id.clone(), state }
    };
    view.vouchers.iter().enumerate().map(one).collect()
}

#[derive(Serialize, ToSchema)]
pub struct ReverseBody {
    order_id: String,
    /// `reversed`
    state: &'static str,
    /// What was there: `unknown`, `held` or `redeemed`.
    was: &'static str,
    /// How the hold had ended before: `cancelled`, or `expired` when it had run out.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'static str>,
    reversed_at: String,
    pos_message: WordsBody,
}

impl From<ReversedView> for ReverseBody {
    fn from(view: ReversedView) -> ReverseBody {
        ReverseBody {
            order_id: view.order_id,
            state: "reversed",
            was: view.reversal.was.told(),
            ended: view.reversal.was.ended(),
            reversed_at: view.zone.rfc3339(view.reversal.at),
            pos_message: cashier::reversed().into(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct RefundBody {
    order_id: String,
    refund_id: String,
    transaction_id: String,
    /// `partially_refunded` or `refunded`.
    state: &'static str,
    amount: i64,
    /// What the customer gets back.
    to_payer: i64,
    /// What the programme gets back.
    to_issuer: i64,
    /// What came back, if the refund named it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<PieceBody>,
    refunded_total: i64,
    refundable_amount: i64,
    refunded_at: String,
    vouchers: Vec<VoucherStateBody>,
    pos_message: WordsBody,
}

impl From<&RefundView> for RefundBody {
    fn from(view: &RefundView) -> RefundBody {
        let order = &view.after.order;
        let restored = (0..order.units.len()).any(|index| order.unit_restored(index));
        RefundBody {
            order_id: view.after.order_id.clone(),
            refund_id: view.refund_id.clone(),
            transaction_id: view.after.transaction_id.clone(),
            state: order.word(),
            amount: (view.to_payer + view.to_issuer).0,
            to_payer: view.to_payer.0,
            to_issuer: view.to_issuer.0,
            items: view.items.iter().cloned().map(PieceBody::from).collect(),
            refunded_total: order.refunded_total().0,
            refundable_amount: order.refundable().0,
            refunded_at: view.after.zone.rfc3339(view.at),
            vouchers: states(&view.after, view.at),
            pos_message: cashier::refunded(view.to_payer, restored).into(),
        }
    }
}

/// An order with all that happened to it.
#[derive(Serialize, ToSchema)]
pub struct OrderBody {
    order_id: String,
    /// `held`, `redeemed`, `partially_refunded`, `refunded`, `cancelled`, `expired` or `reversed`.
    state: &'static str,
    transaction_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    amount: i64,
    merchant_discount: i64,
    discount_amount: i64,
    payable: i64,
    refunded_total: i64,
    refundable_amount: i64,
    vouchers: Vec<VoucherBody>,
    /// At which the order was made, as limits and books count it: that of the till's key, or the one that a merchant's or platform's key named.
    #[serde(skip_serializing_if = "String::is_empty")]
    terminal: String,
    /// What the till said of its receipt; the terminal is that of its key where it named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<OrderReceiptBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<BoughtBody>,
    refunds: Vec<OrderRefundBody>,
    history: Vec<HistoryBody>,
}

#[derive(Serialize, ToSchema)]
pub struct OrderReceiptBody {
    #[serde(skip_serializing_if = "String::is_empty")]
    store: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    terminal: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cashier: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    receipt_no: String,
}

impl OrderReceiptBody {
    fn of(receipt: &Receipt) -> Option<OrderReceiptBody> {
        let body = OrderReceiptBody {
            store: receipt.store.clone(),
            terminal: receipt.shown_terminal().to_owned(),
            cashier: receipt.cashier.clone(),
            receipt_no: receipt.receipt_no.clone(),
        };
        let empty = [&body.store, &body.terminal, &body.cashier, &body.receipt_no].iter().all(|text| text.is_empty());
        (!empty).then_some(body)
    }
}

#[derive(Serialize, ToSchema)]
pub struct OrderRefundBody {
    refund_id: String,
    amount: i64,
    to_payer: i64,
    to_issuer: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<PieceBody>,
    refunded_at: String,
}

/// A line of the receipt as the order was sent with it.
#[derive(Serialize, ToSchema)]
pub struct BoughtBody {
    /// Its place on the receipt, from 0: what a refund names it by.
    line: usize,
    sku: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    quantity: u32,
    /// After the merchant's own offer, for all pieces of the line.
    net_amount: i64,
    /// What the vouchers took off it.
    discount_amount: i64,
    returned_quantity: u32,
}

impl BoughtBody {
    fn of(bought: &Bought) -> Vec<BoughtBody> {
        let body = |(place, (line, returned_quantity)): (usize, (&BoughtLine, u32))| BoughtBody {
            line: place,
            sku: line.sku.clone(),
            serial: line.serial.clone(),
            quantity: line.quantity,
            net_amount: line.net.0,
            discount_amount: line.off.iter().map(|off| off.0).sum(),
            returned_quantity,
        };
        bought.lines.iter().zip(bought.returned()).enumerate().map(body).collect()
    }
}

#[derive(Serialize, ToSchema)]
pub struct HistoryBody {
    state: &'static str,
    at: String,
}

impl From<&OrderView> for OrderBody {
    fn from(view: &OrderView) -> OrderBody {
        let order = &view.order;
        let pieces = |index| view.bought.as_ref().and_then(|bought| bought.pieces_of(index)).unwrap_or_default();
        let refunds = order.refunds.iter().enumerate().map(|(index, refund)| OrderRefundBody {
            refund_id: refund.refund_id.clone(),
            amount: refund.amount.0,
            to_payer: (refund.amount - refund.share).0,
            to_issuer: refund.share.0,
            items: pieces(index).into_iter().map(PieceBody::from).collect(),
            refunded_at: view.zone.rfc3339(refund.at),
        });
        let refundable = if order.state == OrderState::Redeemed { order.refundable().0 } else { 0 };
        OrderBody {
            order_id: view.order_id.clone(),
            state: order.word(),
            transaction_id: view.transaction_id.clone(),
            hold_id: (!order.captured()).then(|| view.hold_id.clone()),
            expires_at: (!order.captured()).then(|| view.zone.rfc3339(order.until())),
            amount: order.amount.0,
            merchant_discount: order.merchant_discount.0,
            discount_amount: order.discount.0,
            payable: order.payable().0,
            refunded_total: order.refunded_total().0,
            refundable_amount: refundable,
            vouchers: view.vouchers.iter().map(VoucherBody::from).collect(),
            terminal: order.receipt.counted_terminal().to_owned(),
            receipt: OrderReceiptBody::of(&order.receipt),
            items: view.bought.as_ref().map(BoughtBody::of).unwrap_or_default(),
            refunds: refunds.collect(),
            history: order
                .history()
                .into_iter()
                .map(|(state, at)| HistoryBody { state, at: view.zone.rfc3339(at) })
                .collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct TransactionsBody {
    items: Vec<TransactionBody>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct TransactionBody {
    /// `redeem`, `refund` or `reverse`.
    kind: &'static str,
    order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_id: Option<String>,
    store: String,
    terminal: String,
    voucher_id: String,
    campaign_id: String,
    /// As the till gave it; empty without.
    receipt_no: String,
    /// The goods' value of the call in fen, on the line of its first voucher and 0 on the others; negative when goods come back.
    amount: i64,
    /// What the programme owes; negative when money comes back.
    subsidy: i64,
    at: String,
}

impl From<TransactionPage> for TransactionsBody {
    fn from(page: TransactionPage) -> TransactionsBody {
        let body = |one: Transaction| TransactionBody {
            kind: one.kind,
            order_id: one.order_id,
            transaction_id: one.transaction_id,
            refund_id: one.refund_id,
            store: one.store,
            terminal: one.terminal,
            voucher_id: one.voucher_id,
            campaign_id: one.campaign_id,
            receipt_no: one.receipt_no,
            amount: one.amount.0,
            subsidy: one.subsidy.0,
            at: one.at,
        };
        TransactionsBody { items: page.items.into_iter().map(body).collect(), next_cursor: page.next_cursor }
    }
}
