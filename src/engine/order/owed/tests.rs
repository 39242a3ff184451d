use super::*;
use crate::domain::money::Fen;
use crate::domain::order::{Receipt, Reversal, Was};
use crate::domain::time::{MINUTE, SECOND};
use crate::store::orders::DirectoryEntry;

const T0: Ms = 1_595_671_200_000;

fn entry(attempt: u32) -> KeptEntry {
    let entry = DirectoryEntry { attempt, shard: 0, reversed: None, quotas: false, alone: false };
    KeptEntry { slot: 0, key: [1; 12], entry, bytes: Vec::new() }
}

fn order(state: OrderState, attempt: u32) -> Order {
    Order {
        state,
        attempt,
        fingerprint: [1; 8],
        asked: None,
        amount: Fen(6_000),
        merchant_discount: Fen::ZERO,
        discount: Fen(1_000),
        t0: T0,
        t1: T0,
        hold_seconds: 120,
        units: Vec::new(),
        refunds: Vec::new(),
        receipt: Receipt::default(),
        reversal: None,
        late_given_back: 0,
        elsewhere: 0,
    }
}

#[test]
fn only_what_can_never_be_used_again_is_due_for_a_give_back() {
    use Due::{Back, Beyond, Late, Nothing, UnderWay};
    use OrderState::*;
    let late = T0 + 120 * SECOND + 10 * MINUTE;
    let check = |state: Option<(OrderState, u32)>, generation: i64, arrived: Ms, expected: Due| {
        let order = state.map(|(state, attempt)| order(state, attempt));
        let holding = Holding { generation, ..Holding::default() };
        let found = due(&entry(2), &holding, order.as_ref(), false, arrived);
        assert_eq!(found, expected, "{state:?}, generation {generation}, {arrived}");
    };
    check(None, 0, T0, UnderWay);
    check(Some((Void, 1)), 0, T0, UnderWay);
    check(Some((Void, 2)), 0, T0, Back(None));
    check(Some((Void, 3)), 0, T0, Back(None));
    check(Some((Held, 2)), 0, T0, Beyond);
    check(Some((Redeemed, 2)), 0, T0, Beyond);
    // The directory was read before the order went on to its next attempt.
    check(Some((Redeemed, 3)), 0, T0, Nothing);
    check(Some((Cancelled, 2)), 1, T0, Back(None));
    check(Some((Reversed, 2)), 1, T0, Back(None));
    check(Some((Lapsed, 2)), 1, T0, Back(None));
    check(Some((Expired, 2)), 0, T0, Back(Some(0)));
    check(Some((Expired, 2)), 1, late - 1, Late);
    check(Some((Expired, 2)), 1, late, Back(Some(1)));
}

#[test]
fn what_limits_no_longer_count_is_due_after_a_refund_and_everything_after_a_reverse() {
    let redeemed = order(OrderState::Redeemed, 2);
    let due_of = |restores| due(&entry(2), &Holding::default(), Some(&redeemed), restores, T0);
    assert_eq!((due_of(true), due_of(false)), (Due::Back(None), Due::Beyond));
    let mut reversed = entry(2);
    reversed.entry.reversed = Some(Reversal { was: Was::Held, at: T0 });
    assert_eq!(due(&reversed, &Holding::default(), None, false, T0), Due::Back(None));
}
