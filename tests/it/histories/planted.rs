//! The checker must be able to fail: a sound history is altered in one place, and it has to say so.

use super::checker::{Answer, Call, Event, Evidence, Found, Move, OrderSeen, faults};

const SIXTY: (u8, u8) = (0, 0);
const THIRTY: (u8, u8) = (0, 1);

/// One order of 60 yuan, held, confirmed and refunded in two parts; another is reversed.
fn sound() -> Evidence {
    let step = |entry: u64, at: i64, kind: &'static str, order: usize, unit, fen, to: &str, why: &str| {
        let (to, why) = (to.to_owned(), why.to_owned());
        Move { entry, at, kind, order, unit, fen, to, why }
    };
    let event = |order: usize, tick: u32, call: Call, answer: Answer| Event {
        order,
        call,
        begun: tick,
        ended: tick + 1,
        answer,
    };
    let done = |payer: i64, issuer: i64| Answer::Done("b".into(), payer, issuer);
    let refund = |id: &str, amount: i64| Call::Refund { id: id.into(), amount };
    let redeem = |capture: bool| Call::Redeem { amount: 6_000, capture };
    let found = |state: &str, unit, discount: i64, refunds: &[(&str, i64, i64)]| {
        let refunds = refunds.iter().map(|one| (one.0.to_owned(), one.1, one.2)).collect();
        Some(Found { state: state.into(), units: [unit].into(), discount, net: 6_000, refunds })
    };
    Evidence {
        vouchers: [(SIXTY, (6_000, 2_000)), (THIRTY, (3_000, 1_000))].into(),
        begin: 0,
        end: 1_000_000,
        orders: vec![
            OrderSeen { merchant: 0, found: found("refunded", SIXTY, 2_000, &[("R1", 1, 1), ("R2", 5_999, 1_999)]) },
            OrderSeen { merchant: 0, found: found("reversed", THIRTY, 1_000, &[]) },
        ],
        events: vec![
            event(0, 1, redeem(false), done(0, 0)),
            event(0, 3, redeem(false), Answer::Lost),
            event(0, 5, Call::Confirm, done(0, 0)),
            event(0, 7, refund("R1", 1), done(0, 1)),
            event(0, 9, refund("R2", 5_999), done(4_000, 1_999)),
            event(1, 11, redeem(true), done(0, 0)),
            event(1, 13, Call::Reverse, done(0, 0)),
            event(1, 15, redeem(true), Answer::Refused("order_reversed")),
        ],
        moves: vec![
            step(1, 10, "H", 0, SIXTY, 2_000, "", ""),
            step(2, 20, "K", 0, SIXTY, 2_000, "", ""),
            step(3, 30, "F", 0, SIXTY, 1, "elsewhere", "R1"),
            step(4, 40, "F", 0, SIXTY, 1_999, "outstanding", "R2"),
            step(5, 50, "D", 1, THIRTY, 1_000, "", ""),
            step(6, 60, "V", 1, THIRTY, 1_000, "", ""),
        ],
        wallet: [(SIXTY, "available".to_owned()), (THIRTY, "available".to_owned())].into(),
        most_vouchers: 2,
        most_a_day: 2,
    }
}

#[track_caller]
fn told(change: impl FnOnce(&mut Evidence)) {
    let mut evidence = sound();
    change(&mut evidence);
    assert!(!faults(&evidence).is_empty(), "a fault was planted and nothing was told");
}

#[test]
fn a_sound_history_has_no_faults() {
    assert_eq!(faults(&sound()), Vec::<String>::new());
}

#[test]
fn a_second_effect_of_an_order_is_told() {
    told(|one| one.moves.push(Move { entry: 9, at: 90, ..one.moves[0].clone() }));
    told(|one| one.moves.insert(2, Move { entry: 9, kind: "D", unit: THIRTY, fen: 1_000, ..one.moves[0].clone() }));
    told(|one| one.moves.push(Move { entry: 9, at: 90, ..one.moves[4].clone() }));
}

#[test]
fn a_voucher_that_pays_two_orders_is_told() {
    told(|one| one.moves.insert(1, Move { entry: 9, order: 1, ..one.moves[0].clone() }));
    told(|one| one.moves[4].unit = SIXTY);
}

#[test]
fn an_effect_after_a_reverse_is_told() {
    told(|one| one.events[7].answer = Answer::Done("b".into(), 0, 0));
    told(|one| drop(one.moves.pop()));
    told(|one| one.orders[1].found.as_mut().expect("an order").state = "redeemed".into());
}

#[test]
fn a_refund_that_is_a_fen_off_or_lost_or_of_nobody_is_told() {
    told(|one| one.moves[3].fen += 1);
    told(|one| one.orders[0].found.as_mut().expect("an order").refunds[0].2 -= 1);
    told(|one| drop(one.orders[0].found.as_mut().expect("an order").refunds.pop()));
    told(|one| one.events[4].answer = Answer::Done("b".into(), 3_999, 2_000));
    told(|one| drop(one.events.remove(4)));
}

#[test]
fn an_answer_that_did_not_happen_is_told() {
    told(|one| one.orders[0].found = None);
    told(|one| one.moves.retain(|step| step.order == 1));
    told(|one| one.events[1].answer = Answer::Done("another".into(), 0, 0));
    told(|one| [5, 7].iter().for_each(|place| one.events[*place].answer = Answer::Refused("limit_reached")));
    told(|one| drop(one.wallet.insert(SIXTY, "used".into())));
}

#[test]
fn what_breaks_a_rule_of_time_number_or_amount_is_told() {
    told(|one| one.moves[0].at = one.end);
    told(|one| one.moves[1].at = 10 + 120_000 + 600_000);
    told(|one| one.moves[0].fen -= 1);
    told(|one| one.most_a_day = 0);
    told(|one| one.most_vouchers = 0);
}
