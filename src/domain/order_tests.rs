use super::*;

fn order(state: OrderState) -> Order {
    Order {
        state,
        attempt: 1,
        fingerprint: [0; 8],
        amount: Fen(11_800),
        merchant_discount: Fen(800),
        discount: Fen(2_000),
        t0: 1_000_000,
        t1: 1_030_000,
        hold_seconds: 120,
        units: Vec::new(),
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: None,
        late_given_back: 0,
    }
}

fn refunded(id: &str, amount: i64, at: Ms) -> Refunded {
    Refunded { refund_id: id.into(), amount: Fen(amount), share: Fen(0), at, restored: 0 }
}

fn binding<'a>(ids: &'a [String]) -> Binding<'a> {
    Binding { amount: Fen(11_800), merchant_discount: Fen(800), items: &[], voucher_ids: ids, capture: true }
}

#[test]
fn an_order_is_bound_to_money_items_vouchers_and_capture_only() {
    let item = Item {
        sku: "a".into(),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
    };
    let base = binding(&[]);
    let with_serial = Item { serial: Some("SN1".into()), ..item.clone() };
    let (upper, lower) = (["AB".to_owned(), "CD".to_owned()], ["cd".to_owned(), "ab".to_owned()]);
    assert_eq!(base.fingerprint(), binding(&[]).fingerprint());
    assert_eq!(binding(&upper).fingerprint(), binding(&lower).fingerprint());
    let others = [
        Binding { amount: Fen(11_801), ..base.clone() },
        Binding { merchant_discount: Fen(801), ..base.clone() },
        Binding { capture: false, ..base.clone() },
        Binding { items: std::slice::from_ref(&item), ..base.clone() },
        binding(&upper),
    ];
    let bound = |item| Binding { items: std::slice::from_ref(item), ..base.clone() }.fingerprint();
    assert_ne!(bound(&item), bound(&with_serial));
    for other in others {
        assert_ne!(base.fingerprint(), other.fingerprint(), "{other:?}");
    }
}

#[test]
fn a_conflict_names_the_fields_that_differ() {
    let item = Item {
        sku: "a".into(),
        category: None,
        serial: None,
        quantity: 1,
        amount: Fen(11_800),
        merchant_discount: Fen(800),
    };
    let (item, taken, others) = ([item], ["AB".to_owned()], ["CD".to_owned()]);
    let by_code = Binding { capture: false, ..binding(&[]) };
    let by_ids = Binding { voucher_ids: &taken, ..by_code.clone() };
    let check = |bound: &Binding, asked: &Binding, fields: &[&str]| {
        let payer = if asked.voucher_ids.is_empty() { "pay_code" } else { "voucher_ids" };
        let held = Order { fingerprint: bound.fingerprint(), ..order(OrderState::Held) };
        assert_eq!(asked.differences(&held, &taken, payer), fields, "{asked:?}");
    };
    check(&by_code, &by_code, &[]);
    check(&by_code, &Binding { amount: Fen(1), capture: true, ..by_code.clone() }, &["amount", "capture"]);
    check(&by_code, &Binding { items: &item, ..by_code.clone() }, &["items"]);
    check(&by_code, &Binding { voucher_ids: &others, ..by_code.clone() }, &["voucher_ids"]);
    check(&by_code, &by_ids, &["voucher_ids"]);
    check(&by_ids, &by_code, &["pay_code"]);
    check(&by_ids, &Binding { items: &item, ..by_ids.clone() }, &["items"]);
    check(&by_ids, &Binding { items: &item, voucher_ids: &others, ..by_code.clone() }, &["items", "voucher_ids"]);
}

#[test]
fn the_history_tells_every_state_and_its_instant() {
    let mut redeemed = order(OrderState::Redeemed);
    redeemed.refunds = vec![refunded("R1", 5_500, 1_100_000), refunded("R2", 5_500, 1_200_000)];
    assert_eq!(redeemed.word(), "refunded");
    assert_eq!(redeemed.after_refund(0).word(), "partially_refunded");
    assert_eq!(
        redeemed.history(),
        [("held", 1_000_000), ("redeemed", 1_030_000), ("partially_refunded", 1_100_000), ("refunded", 1_200_000)]
    );
    let mut reversed = order(OrderState::Reversed);
    reversed.hold_seconds = 0;
    reversed.reversal = Some(Reversal { was: Was::Redeemed, at: 1_300_000 });
    assert_eq!(reversed.history(), [("redeemed", 1_030_000), ("reversed", 1_300_000)]);
    reversed.reversal = Some(Reversal { was: Was::Unknown, at: 1_300_000 });
    assert_eq!(reversed.history(), [("reversed", 1_300_000)]);
}

#[test]
fn a_confirm_at_the_end_of_its_hold_is_late() {
    let mut redeemed = order(OrderState::Redeemed);
    assert!(!redeemed.late());
    redeemed.t1 = redeemed.until();
    assert!(redeemed.late());
    redeemed.hold_seconds = 0;
    assert!(!redeemed.late());
}

#[test]
fn names_are_derived_and_differ_by_attempt() {
    assert_eq!(transaction_id("m1", "A1", 1), transaction_id("m1", "A1", 1));
    assert_ne!(transaction_id("m1", "A1", 1), transaction_id("m1", "A1", 2));
    assert_ne!(order_key("m1", "A1"), order_key("m1A", "1"));
    assert!(hold_id("m1", "A1", 1).starts_with("h-"));
}
