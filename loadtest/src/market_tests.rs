use super::*;
use crate::engine::first;
use serde_json::json;

fn market() -> Market {
    let file = json!({"campaign_id": "c", "channels": ["wechat"], "packs": [], "rounds": []});
    let tills = vec![Till::new("m", "k", "s")];
    Market::new(tills, vec![1], "localhost", &Campaign::read(&file).unwrap(), 1)
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn tell(market: &mut Market, number: u32, bytes: &[u8]) -> (Class, Then) {
    first(bytes, |answer| market.told(number, &Ok(answer))).unwrap().unwrap().1
}

fn order(state: &str, transaction: &str, voucher: &str) -> Vec<u8> {
    answer(
        200,
        &format!(
            r#"{{"order_id":"A","state":"{state}","transaction_id":"{transaction}","hold_id":"h","payable":90,"vouchers":[{{"voucher_id":"{voucher}"}}]}}"#
        ),
    )
}

/// A purchase of the wanted kind that is (not) sent twice.
fn sale(market: &mut Market, flow: Flow, repeated: bool) -> u32 {
    loop {
        let number = market.open();
        if market.sales[number as usize].flow == flow
            && dice(1, 6, u64::from(number)).is_multiple_of(REPEATED) == repeated
        {
            tell(market, number, &answer(201, r#"{"pay_code":"97"}"#));
            return number;
        }
    }
}

#[test]
fn a_hold_is_confirmed_and_found_as_redeemed() {
    let mut market = market();
    let number = sale(&mut market, Flow::Confirmed, false);
    assert_eq!(tell(&mut market, number, &order("held", "t", "v")).0, Class::Done);
    assert_eq!(market.kind(number), "confirm");
    assert_eq!(tell(&mut market, number, &order("redeemed", "t", "v")), (Class::Done, Then::Nothing));
    assert_eq!((market.count(State::Redeemed), market.acknowledged()), (1, vec![u64::from(number)]));
}

#[test]
fn a_second_effect_of_one_order_is_a_double() {
    for (again, double) in [("t", 0), ("u", 1)] {
        let mut market = market();
        let number = sale(&mut market, Flow::OneCall, true);
        tell(&mut market, number, &order("redeemed", "t", "v"));
        tell(&mut market, number, &order("redeemed", again, "v"));
        assert_eq!(market.double, double);
    }
}

#[test]
fn what_was_acknowledged_must_be_found_and_no_voucher_twice() {
    let mut market = market();
    let (one, two) = (sale(&mut market, Flow::OneCall, false), sale(&mut market, Flow::OneCall, false));
    tell(&mut market, one, &order("redeemed", "t", "v"));
    tell(&mut market, two, &order("redeemed", "u", "v"));
    let mut vouchers = std::collections::HashSet::new();
    let mut found = |number: u32, bytes: &[u8]| {
        let found = first(bytes, |answer| market.found(u64::from(number), &answer, &mut vouchers)).unwrap().unwrap().1;
        (found.lost, found.double)
    };
    assert_eq!(found(one, &order("redeemed", "t", "v")), (false, 0));
    assert_eq!(found(two, &order("redeemed", "u", "v")), (false, 1));
    assert_eq!(found(two, &order("held", "u", "w")), (true, 0));
    assert_eq!(found(two, &answer(404, r#"{"code":"order_not_found"}"#)), (true, 0));
}

#[test]
fn a_step_without_an_answer_is_sent_again_and_in_the_end_nothing_is_claimed_of_it() {
    let mut market = market();
    let number = sale(&mut market, Flow::Confirmed, false);
    tell(&mut market, number, &order("held", "t", "v"));
    for left in (0..TRIES).rev() {
        let (class, then) = market.told(number, &Err(Lost::Closed));
        assert_eq!((class, then == Then::Nothing), (Class::Unknown, left == 0));
    }
    assert!(market.acknowledged().is_empty());
}

#[test]
fn a_shed_step_leaves_what_was_acknowledged_before() {
    let mut market = market();
    let number = sale(&mut market, Flow::Confirmed, false);
    tell(&mut market, number, &order("held", "t", "v"));
    let shed = answer(503, r#"{"code":"overloaded","outcome":"not_applied","retryable":true}"#);
    assert_eq!(tell(&mut market, number, &shed).0, Class::Shed);
    assert_eq!(market.count(State::Held), 1);
}
