use super::*;

fn order(state: OrderState) -> Order {
    Order {
        state,
        attempt: 1,
        fingerprint: [0; 8],
        asked: None,
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
        elsewhere: 0,
    }
}

fn refunded(id: &str, amount: i64, at: Ms) -> Refunded {
    Refunded { refund_id: id.into(), amount: Fen(amount), share: Fen(0), at, restored: 0, whole: 0 }
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
