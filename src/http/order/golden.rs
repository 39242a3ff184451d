//! The exact bytes of answers about orders. A repeat years later must read the same: whoever changes one of these changes what a
//! till that lost its answer is told, and needs a new version of the record instead.

use super::wire::{Cancelled, OrderBody, Redeemed, RefundBody, ReverseBody};
use crate::domain::binding::Asked;
use crate::domain::bought::{Bought, BoughtLine, Part, Returned};
use crate::domain::money::Fen;
use crate::domain::order::{Order, OrderState, OrderUnit, Receipt, Refunded, Reversal, Was};
use crate::domain::time::{Zone, parse_rfc3339};
use crate::engine::order::{OrderView, RefundView, ReversedView, VoucherView};
use crate::store::order::StoredOrder;

fn noon() -> i64 {
    parse_rfc3339("2020-07-25T12:00:00+08:00").unwrap()
}

fn zone() -> Zone {
    Zone::named("Asia/Shanghai").unwrap()
}

fn view(state: OrderState, hold_seconds: i64) -> OrderView {
    let unit = OrderUnit {
        c: 1,
        f: [1; 9],
        p: 0,
        u: 0,
        discount: Fen(2_000),
        round: 0,
        channel: 0,
        pack: 0,
        received_s: 0,
        contacts: [0; 3],
    };
    let order = Order {
        state,
        attempt: 1,
        fingerprint: [0; 8],
        asked: None,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
        discount: Fen(2_000),
        t0: noon(),
        t1: if hold_seconds == 0 { noon() } else { noon() + 30_500 },
        hold_seconds,
        units: vec![unit],
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: None,
        late_given_back: 0,
        elsewhere: 0,
    };
    OrderView {
        order_id: "A1-0001".into(),
        transaction_id: "tx-1".into(),
        hold_id: "h-1".into(),
        order,
        vouchers: vec![VoucherView {
            voucher_id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ".into(),
            voucher_kind: "60-20".into(),
            campaign_id: "chengdu-2020-07".into(),
            discount: Fen(2_000),
            end: parse_rfc3339("2020-09-07T00:00:00+08:00").unwrap(),
        }],
        bought: None,
        zone: zone(),
    }
}

fn json(body: &impl serde::Serialize) -> String {
    serde_json::to_string(body).unwrap()
}

const VOUCHERS: &str = r#""vouchers":[{"voucher_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","voucher_kind":"60-20","campaign_id":"chengdu-2020-07","discount_amount":2000}]"#;
const MONEY: &str = r#""amount":11800,"merchant_discount":800,"discount_amount":2000,"payable":9000"#;

#[test]
fn a_hold_reads_the_same_before_and_after_its_confirm() {
    let expected = format!(
        r#"{{"order_id":"A1-0001","state":"held","transaction_id":"tx-1","hold_id":"h-1","expires_at":"2020-07-25T12:02:00+08:00",{MONEY},{VOUCHERS},"pos_message":{{"zh":"2020-07-25 已锁券，减20.00元，请收款90.00元。","en":"Voucher held on 2020-07-25, 20.00 off: collect 90.00."}}}}"#
    );
    assert_eq!(json(&Redeemed::first(&view(OrderState::Held, 120))), expected);
    assert_eq!(json(&Redeemed::first(&view(OrderState::Redeemed, 120))), expected);
}

#[test]
fn a_redemption_in_one_call() {
    let expected = format!(
        r#"{{"order_id":"A1-0001","state":"redeemed","transaction_id":"tx-1",{MONEY},{VOUCHERS},"redeemed_at":"2020-07-25T12:00:00+08:00","settlement_date":"2020-07-25","pos_message":{{"zh":"2020-07-25 已用券，减20.00元，实收90.00元。","en":"Voucher used on 2020-07-25, 20.00 off: 90.00 paid."}}}}"#
    );
    assert_eq!(json(&Redeemed::first(&view(OrderState::Redeemed, 0))), expected);
}

#[test]
fn a_confirm_and_a_late_confirm() {
    let expected = |late: &str| {
        format!(
            r#"{{"order_id":"A1-0001","state":"redeemed","transaction_id":"tx-1","hold_id":"h-1",{MONEY},{VOUCHERS},"redeemed_at":"2020-07-25T12:00:30.500+08:00","settlement_date":"2020-07-25",{late}"pos_message":{{"zh":"2020-07-25 已用券，减20.00元，实收90.00元。","en":"Voucher used on 2020-07-25, 20.00 off: 90.00 paid."}}}}"#
        )
    };
    assert_eq!(json(&Redeemed::confirmed(&view(OrderState::Redeemed, 120))), expected(""));
    assert_eq!(json(&Redeemed::confirmed(&view(OrderState::Redeemed, 30))), expected(r#""late":true,"#));
}

#[test]
fn a_cancel_and_a_reverse() {
    assert_eq!(
        json(&Cancelled::from(&view(OrderState::Cancelled, 120))),
        r#"{"order_id":"A1-0001","state":"cancelled","transaction_id":"tx-1","hold_id":"h-1","cancelled_at":"2020-07-25T12:00:30.500+08:00","vouchers":[{"voucher_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","state":"available"}],"pos_message":{"zh":"已取消，券已退回顾客。","en":"Cancelled: the voucher is back with the customer."}}"#
    );
    let mut elsewhere = view(OrderState::Cancelled, 120);
    elsewhere.order.elsewhere = 2;
    assert_eq!(
        json(&Cancelled::from(&elsewhere)),
        r#"{"order_id":"A1-0001","state":"cancelled","transaction_id":"tx-1","hold_id":"h-1","cancelled_at":"2020-07-25T12:00:30.500+08:00","vouchers":[{"voucher_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","state":"used"}],"pos_message":{"zh":"已取消，本单未用券。","en":"Cancelled: this order used no voucher."}}"#
    );
    let reversed =
        ReversedView { order_id: "A1-0001".into(), reversal: Reversal { was: Was::Unknown, at: noon() }, zone: zone() };
    assert_eq!(
        json(&ReverseBody::from(reversed)),
        r#"{"order_id":"A1-0001","state":"reversed","was":"unknown","reversed_at":"2020-07-25T12:00:00+08:00","pos_message":{"zh":"订单已冲正，不可再用此订单号。","en":"The order is undone: start a new order number."}}"#
    );
}

fn refund(id: &str, amount: i64, restored: u64) -> Refunded {
    Refunded { refund_id: id.into(), amount: Fen(amount), share: Fen(1_000), at: noon() + 60_000, restored, whole: 0 }
}

#[test]
fn a_partial_refund_reads_the_same_after_the_rest_came_back_too() {
    let expected = r#"{"order_id":"A1-0001","refund_id":"R1","transaction_id":"tx-1","state":"partially_refunded","amount":5500,"to_payer":4500,"to_issuer":1000,"refunded_total":5500,"refundable_amount":5500,"refunded_at":"2020-07-25T12:01:00+08:00","vouchers":[{"voucher_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","state":"used"}],"pos_message":{"zh":"请退顾客45.00元，券不退回。","en":"Give 45.00 back; the voucher stays used."}}"#;
    let mut after = view(OrderState::Redeemed, 0);
    for refunds in [vec![refund("R1", 5_500, 0)], vec![refund("R1", 5_500, 0), refund("R2", 5_500, 1)]] {
        after.order.refunds = refunds;
        let after = OrderView { order: after.order.after_refund(0), ..after.clone() };
        let body = RefundBody::from(&RefundView {
            refund_id: "R1".into(),
            to_payer: Fen(4_500),
            to_issuer: Fen(1_000),
            at: noon() + 60_000,
            items: Vec::new(),
            after,
        });
        assert_eq!(json(&body), expected);
    }
}

#[test]
fn an_order_tells_all_that_happened_to_it() {
    let mut refunded = view(OrderState::Redeemed, 0);
    refunded.order.refunds = vec![refund("R1", 5_500, 0)];
    let expected = format!(
        r#"{{"order_id":"A1-0001","state":"partially_refunded","transaction_id":"tx-1",{MONEY},"refunded_total":5500,"refundable_amount":5500,{VOUCHERS},"refunds":[{{"refund_id":"R1","amount":5500,"to_payer":4500,"to_issuer":1000,"refunded_at":"2020-07-25T12:01:00+08:00"}}],"history":[{{"state":"redeemed","at":"2020-07-25T12:00:00+08:00"}},{{"state":"partially_refunded","at":"2020-07-25T12:01:00+08:00"}}]}}"#
    );
    assert_eq!(json(&OrderBody::from(&refunded)), expected);
}

#[test]
fn goods_that_came_back_are_named_where_the_order_was_sent_with_them() {
    let line = |sku: &str, quantity: u32, net: i64, off: Vec<Fen>| BoughtLine {
        sku: sku.into(),
        serial: None,
        quantity,
        net: Fen(net),
        off,
    };
    let lines = vec![line("bread", 2, 6_000, vec![Fen(2_000)]), line("wine", 1, 5_000, vec![])];
    let parts = vec![Part { line: 1, quantity: 1 }, Part { line: 0, quantity: 1 }];
    let bought = Bought { lines, returns: vec![Returned { refund: 0, parts }] };
    let mut order = view(OrderState::Redeemed, 0);
    order.order.refunds = vec![refund("R1", 8_000, 0)];
    order.bought = Some(bought.clone());
    let items = r#""items":[{"sku":"wine","quantity":1},{"sku":"bread","quantity":1}]"#;
    let expected = format!(
        r#"{{"order_id":"A1-0001","state":"partially_refunded","transaction_id":"tx-1",{MONEY},"refunded_total":8000,"refundable_amount":3000,{VOUCHERS},"items":[{{"line":0,"sku":"bread","quantity":2,"net_amount":6000,"discount_amount":2000,"returned_quantity":1}},{{"line":1,"sku":"wine","quantity":1,"net_amount":5000,"discount_amount":0,"returned_quantity":1}}],"refunds":[{{"refund_id":"R1","amount":8000,"to_payer":7000,"to_issuer":1000,{items},"refunded_at":"2020-07-25T12:01:00+08:00"}}],"history":[{{"state":"redeemed","at":"2020-07-25T12:00:00+08:00"}},{{"state":"partially_refunded","at":"2020-07-25T12:01:00+08:00"}}]}}"#
    );
    assert_eq!(json(&OrderBody::from(&order)), expected);
    let body = RefundBody::from(&RefundView {
        refund_id: "R1".into(),
        to_payer: Fen(7_000),
        to_issuer: Fen(1_000),
        at: noon() + 60_000,
        items: bought.pieces_of(0).unwrap(),
        after: order,
    });
    let expected = format!(
        r#"{{"order_id":"A1-0001","refund_id":"R1","transaction_id":"tx-1","state":"partially_refunded","amount":8000,"to_payer":7000,"to_issuer":1000,{items},"refunded_total":8000,"refundable_amount":3000,"refunded_at":"2020-07-25T12:01:00+08:00","vouchers":[{{"voucher_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ","state":"used"}}],"pos_message":{{"zh":"请退顾客70.00元，券不退回。","en":"Give 70.00 back; the voucher stays used."}}}}"#
    );
    assert_eq!(json(&body), expected);
}

/// Records as the store holds them, in the form of this version.
const REDEEMED: &str = "9d010201a80000000000000000cd2e18cd0320cd07d0cf000001738420aa000000919901a90101010101010101010000cd07d0000000009092a0a0";
const HELD: &str = "9d010101a80000000000000000cd2e18cd0320cd07d0cf000001738420aa00cd772478919901a90101010101010101010000cd07d0000000009094a0a0a0a6000000000000";
const CONFIRMED: &str = "9d010201a80000000000000000cd2e18cd0320cd07d0cf000001738420aa00cd772478919901a90101010101010101010000cd07d0000000009092a0a0";
const REFUNDED: &str = "9d010201a80000000000000000cd2e18cd0320cd07d0cf000001738420aa000000919901a90101010101010101010000cd07d0000000009295a25231cd157ccd03e8cdea600095a25232cd157ccd03e8cdea600192a0a0";
const REVERSED: &str = "9d010501a80000000000000000cd2e18cd0320cd07d0cf000001738420aa000000919901a90101010101010101010000cd07d0000000009092a872656465656d6564cdee48";

/// From the stored bytes to the words of an answer there is one way, and it must not change under records that are there.
#[test]
fn stored_bytes_of_this_version_are_the_orders_that_the_answers_above_are_made_of() {
    let stored = |hexed: &str| StoredOrder::decode(&hex::decode(hexed).unwrap()).unwrap().order;
    assert_eq!(stored(REDEEMED), view(OrderState::Redeemed, 0).order);
    assert_eq!(stored(HELD), view(OrderState::Held, 120).order);
    assert_eq!(stored(CONFIRMED), view(OrderState::Redeemed, 120).order);
    let with_asked = REDEEMED.replacen("a80000000000000000", "b000000000000000000102030405060703", 1);
    let asked = Some(Asked::of_bytes([1, 2, 3, 4, 5, 6, 7, 3]));
    assert_eq!(stored(&with_asked), Order { asked, ..view(OrderState::Redeemed, 0).order });
    let cancelled_elsewhere = HELD.replacen("9d010101", "9f010301", 1) + "0002";
    let held = view(OrderState::Held, 120).order;
    assert_eq!(stored(&cancelled_elsewhere), Order { state: OrderState::Cancelled, elsewhere: 2, ..held.clone() });
    assert_eq!(stored(&HELD.replacen("9d010101", "9d010701", 1)), Order { state: OrderState::Lapsed, ..held });
    let refunds = vec![refund("R1", 5_500, 0), refund("R2", 5_500, 1)];
    assert_eq!(stored(REFUNDED), Order { refunds, ..view(OrderState::Redeemed, 0).order });
    let reversal = Some(Reversal { was: Was::Redeemed, at: noon() + 61_000 });
    assert_eq!(stored(REVERSED), Order { reversal, ..view(OrderState::Reversed, 0).order });
}
