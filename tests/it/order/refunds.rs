//! What becomes of vouchers, money and limits when goods come back, by each of a campaign's policies.

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::fixture::{DAY, Market, at};
use crate::harness::wait_until;

const NOON: &str = "2020-07-25T12:00:00";

fn with_terms(name: &str, change: impl Fn(&mut Value)) -> Market {
    market(name, 2, json!([kind("60-20", 6_000, 2_000, 2)]), change)
}

fn policy(name: &str, policy: &str) -> Market {
    with_terms(name, |campaign| campaign["refund_policy"] = json!(policy))
}

fn accounts(market: &Market, wanted: Value) {
    wait_until("the ledger stands", || {
        let total = market.server().ledger(market.campaign())["total"].clone();
        let same = wanted.as_object()?.iter().all(|(name, fen)| total[name] == *fen);
        same.then_some(())
    });
}

#[test]
fn a_single_full_refund_restores_and_a_split_one_consumes_where_the_campaign_says_so() {
    let market = policy("single", "restore_on_single_full_refund");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let whole = buy(&market, &till, &person, 6_000, json!({})).ok();
    let back = server.refund(&till, whole.str("order_id"), "R1", 6_000).ok();
    assert_eq!((back.str("state"), &back["vouchers"][0]["state"]), ("refunded", &json!("available")));
    let split = buy(&market, &till, &person, 6_000, json!({})).ok();
    server.refund(&till, split.str("order_id"), "R1", 1).ok();
    let rest = server.refund(&till, split.str("order_id"), "R2", 5_999).ok();
    assert_eq!((rest.str("state"), &rest["vouchers"][0]["state"]), ("refunded", &json!("used")));
    assert_eq!(market.vouchers(&person, "available").len(), 1);
    accounts(&market, json!({"redeemed": 0, "recovered": 2_000, "outstanding": 6_000}));
    server.assert_audit_clean();
}

#[test]
fn a_consumed_voucher_never_comes_back_and_its_money_goes_to_the_issuer() {
    let market = policy("consume", "consume");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = buy(&market, &till, &person, 6_000, json!({})).ok();
    let back = server.refund(&till, done.str("order_id"), "R1", 6_000).ok();
    assert_eq!((back.int("to_payer"), back.int("to_issuer")), (4_000, 2_000));
    assert_eq!(back["vouchers"][0]["state"], "used");
    accounts(&market, json!({"redeemed": 0, "recovered": 2_000, "outstanding": 6_000}));
    server.assert_audit_clean();
}

#[test]
fn a_refund_gives_back_what_was_used_of_a_limit_only_where_the_campaign_says_so() {
    for restores in [true, false] {
        let market = with_terms("quota", |campaign| {
            campaign["refund_restores_limits"] = json!(restores);
            campaign["limits"] = json!([{"action": "redeem", "entities": ["person"], "period": "day", "max_count": 1}]);
        });
        let (server, till, person) = (market.server(), market.till(), market.shopper());
        let done = buy(&market, &till, &person, 6_000, json!({})).ok();
        server.refund(&till, done.str("order_id"), "R1", 5_999).ok();
        buy(&market, &till, &person, 6_000, json!({})).refused_with("limit_reached");
        server.refund(&till, done.str("order_id"), "R2", 1).ok();
        let again = buy(&market, &till, &person, 6_000, json!({}));
        assert_eq!(again.is_success(), restores, "{}", again.text());
        server.assert_audit_clean();
    }
}

#[test]
fn who_buys_and_refunds_again_and_again_meets_the_limit_on_refunds() {
    let market = with_terms("cool", |campaign| {
        campaign["limits"] = json!([
            {"action": "refund", "entities": ["person"], "period": "day", "max_count": 2},
            {"action": "refund", "entities": ["person", "merchant"], "period": "campaign", "max_amount": 4_999},
        ]);
    });
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = buy(&market, &till, &person, 6_000, json!({})).ok();
    let order = done.str("order_id");
    let refund = |id: &str, amount: i64| server.refund(&till, order, id, amount);
    refund("R1", 3_000).ok();
    refund("R2", 3_000).ok();
    assert!(refund("R2", 3_000).ok().replayed(), "a repeat is no further refund");
    let second = buy(&market, &till, &person, 6_000, json!({})).ok();
    let refused = server.refund(&till, second.str("order_id"), "R1", 6_000).refused_with("limit_reached");
    assert_eq!((&refused["limit"]["action"], &refused["limit"]["max_count"]), (&json!("refund"), &json!(2)));
    assert_eq!(server.order(&till, second.str("order_id")).ok().str("state"), "redeemed", "nothing has changed");
    server.set_clock(at("2020-07-26T00:00:00"));
    server.refund(&till, second.str("order_id"), "R1", 6_000).ok();
    let third = buy(&market, &till, &person, 6_000, json!({})).ok();
    server.refund(&till, third.str("order_id"), "R1", 2_997).ok();
    server.set_clock(at("2020-07-27T00:00:00"));
    let fourth = server.refund(&till, third.str("order_id"), "R2", 3).refused_with("limit_reached");
    assert_eq!(fourth["limit"]["max_amount"], 4_999, "{}", fourth.text());
    server.assert_audit_clean();
}

#[test]
fn a_refund_on_a_later_day_is_a_negative_line_of_its_own_day() {
    let market = policy("later", "restore_on_full_refund");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = buy(&market, &till, &person, 6_000, json!({})).ok();
    let day = |date: &str| server.settlement(date, &till.merchant_id).ok();
    server.set_clock(at(NOON) + DAY);
    let first = day("2020-07-25");
    server.refund(&till, done.str("order_id"), "R1", 1_500).ok();
    assert_eq!(day("2020-07-25").json["lines"], first.json["lines"], "the day of the sale does not change");
    assert_eq!(day("2020-07-25")["totals"]["subsidy"], 2_000);
    let second = day("2020-07-26");
    assert_eq!((&second["totals"]["subsidy"], &second["lines"][0]["kind"]), (&json!(-500), &json!("refund")));
    assert_eq!(second["lines"].as_array().map(Vec::len), Some(1), "{}", second.text());
    server.assert_audit_clean();
}

#[test]
fn an_order_takes_fifty_refunds_and_tells_the_limit_to_the_next() {
    let market = policy("fifty", "restore_on_full_refund");
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = buy(&market, &till, &person, 6_000, json!({})).ok();
    let refund = |n: i64, amount: i64| server.refund(&till, done.str("order_id"), &format!("R{n}"), amount);
    let parts: Vec<[i64; 2]> = (1..=50)
        .map(|n| {
            let back = refund(n, 7).ok();
            ["to_payer", "to_issuer"].map(|name| back.int(name))
        })
        .collect();
    let sum = |at: usize| parts.iter().map(|part| part[at]).sum::<i64>();
    assert_eq!((sum(0), sum(1)), (233, 117), "two thirds of 3.50, rounded down, and the rest");
    assert_eq!(refund(51, 7).refused(409, "limit_reached")["limit"], json!({"refunds_per_order": 50}));
    assert!(refund(50, 7).ok().replayed());
    server.assert_audit_clean();
}

#[test]
fn refunds_in_any_order_end_in_the_same_sums() {
    let market = policy("order", "restore_on_full_refund");
    let (server, till) = (market.server(), market.till());
    let parts = [1, 1_999, 2_500, 1_501];
    let sums = |order: [usize; 4]| {
        let person = market.shopper();
        let done = buy(&market, &till, &person, 6_001, json!({})).ok();
        let replies =
            order.map(|part| server.refund(&till, done.str("order_id"), &format!("R{part}"), parts[part]).ok());
        let sum = |name: &str| replies.iter().map(|reply| reply.int(name)).sum::<i64>();
        (sum("to_payer"), sum("to_issuer"), market.vouchers(&person, "available").len())
    };
    assert_eq!(sums([0, 1, 2, 3]), (4_001, 2_000, 2));
    assert_eq!(sums([3, 1, 0, 2]), (4_001, 2_000, 2));
    server.assert_audit_clean();
}
