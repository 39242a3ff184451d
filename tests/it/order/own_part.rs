//! In an order with vouchers of several campaigns each campaign looks at the goods that its own vouchers were for: when these are back,
//! its voucher comes back or not, whatever becomes of the others.

use serde_json::{Value, json};

use super::two_campaigns::{Pair, set};
use crate::harness::fixture::{DAY, MINUTE, at, new_order};
use crate::harness::wait_until;

const NOON: &str = "2020-07-25T12:00:00";

/// A step of a story: these pieces come back, and then the vouchers stand like this.
type Step = (&'static [(&'static str, i64)], [&'static str; 2]);

/// Goods a of the first campaign, two b of the second, c of none.
#[track_caller]
fn play(name: &str, first: &str, second: &str, steps: &[Step]) {
    let policy = |word: &str| {
        let word = match word {
            "full" => "restore_on_full_refund",
            "single" => "restore_on_single_full_refund",
            other => other,
        };
        set("refund_policy", json!(word))
    };
    let pair = Pair::of_goods(name, 1, policy(first), policy(second));
    let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
    let order = pair.buy(&till, &person);
    for (number, (goods, wanted)) in steps.iter().enumerate() {
        let id = format!("R{number}");
        let items: Vec<Value> = goods.iter().map(|(sku, n)| json!({"sku": sku, "quantity": n})).collect();
        let back = || match goods {
            [("rest", amount)] => server.refund(&till, &order, &id, *amount).ok(),
            _ => pair.back(&till, &order, &id, json!(items)).ok(),
        };
        let told = back();
        let free = |states: &[&str]| states.iter().filter(|state| **state == "available").count();
        let states: Vec<&str> =
            told["vouchers"].as_array().expect("vouchers").iter().filter_map(|one| one["state"].as_str()).collect();
        assert_eq!(pair.states(&person), *wanted, "{name} {first} {second} {goods:?}: {}", told.text());
        assert_eq!(free(&states), free(wanted), "{name} {first} {second} {goods:?}: {}", told.text());
        assert!(back().replayed());
    }
    server.assert_audit_clean();
}

#[test]
fn a_voucher_comes_back_with_the_goods_that_it_was_for() {
    play("own", "full", "full", &[(&[("a", 1)], ["available", "used"]), (&[("b", 2)], ["available"; 2])]);
    play(
        "own",
        "full",
        "full",
        &[
            (&[("b", 1)], ["used", "used"]),
            (&[("c", 1)], ["used", "used"]),
            (&[("b", 1)], ["used", "available"]),
            (&[("a", 1)], ["available"; 2]),
        ],
    );
    // A single refund is one of all of the campaign's goods, whatever came back before of others.
    play("own", "single", "single", &[(&[("a", 1)], ["available", "used"]), (&[("b", 2)], ["available"; 2])]);
    play(
        "own",
        "single",
        "single",
        &[
            (&[("b", 1)], ["used", "used"]),
            (&[("a", 1), ("b", 1)], ["available", "used"]),
            (&[("c", 1)], ["available", "used"]),
        ],
    );
    play("own", "consume", "full", &[(&[("a", 1)], ["used", "used"]), (&[("b", 2)], ["used", "available"])]);
    // What is left comes back as one amount.
    play("own", "full", "single", &[(&[("a", 1)], ["available", "used"]), (&[("rest", 5_900)], ["available"; 2])]);
    play("own", "full", "single", &[(&[("b", 1)], ["used", "used"]), (&[("rest", 9_400)], ["available", "used"])]);
    // An amount is of no goods: then it is the whole order for everybody.
    play(
        "own",
        "full",
        "single",
        &[(&[("rest", 11_000)], ["used", "used"]), (&[("rest", 900)], ["available", "used"])],
    );
}

#[test]
fn goods_of_another_campaign_that_cannot_come_back_keep_no_voucher_used() {
    let pair = Pair::of_goods("closed", 1, set("refund_days", json!(9)), set("refund_days", json!(7)));
    let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
    let order = pair.buy(&till, &person);
    server.set_clock(at(NOON) + 7 * DAY);
    pair.back(&till, &order, "R1", json!([{"sku": "b"}])).refused(409, "refund_window_closed");
    pair.back(&till, &order, "R1", json!([{"sku": "a"}])).ok();
    assert_eq!(pair.states(&person), ["available", "used"]);
    server.assert_audit_clean();
}

/// What came back once is not given back again with the rest of the order, though another order has used it meanwhile.
#[test]
fn a_voucher_that_came_back_with_its_goods_does_not_come_back_with_the_rest_again() {
    let pair = Pair::of_goods("twice", 1, |_| {}, |_| {});
    let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
    let order = pair.buy(&till, &person);
    pair.back(&till, &order, "R1", json!([{"sku": "a"}])).ok();
    let free = pair.market.vouchers(&person, "available")[0].0.clone();
    let again = json!({"order_id": new_order(), "voucher_ids": [free], "amount": 6_000, "category": "catering",
        "items": [{"sku": "a", "amount": 6_000}], "capture": true});
    assert_eq!(server.redeem(&till, &again).ok().int("discount_amount"), 2_000);
    let rest = server.refund(&till, &order, "R2", 5_900).ok();
    assert_eq!((rest.str("state"), pair.states(&person)), ("refunded", ["used".to_string(), "available".to_string()]));
    server.assert_audit_clean();
}

#[test]
fn goods_that_two_campaigns_paid_for_count_for_both() {
    let pair = Pair::open("shared", 1, |_| {}, |second| second["use_rule"]["eligible_items"] = json!(["b"]));
    let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
    let order = pair.buy(&till, &person);
    // The first is for everything, the second for b alone.
    pair.back(&till, &order, "R1", json!([{"sku": "b", "quantity": 2}])).ok();
    assert_eq!(pair.states(&person), ["used", "available"]);
    pair.back(&till, &order, "R2", json!([{"sku": "a"}])).ok();
    assert_eq!(pair.states(&person), ["used", "available"]);
    pair.back(&till, &order, "R3", json!([{"sku": "c"}])).ok();
    assert_eq!(pair.states(&person), ["available", "available"]);
    server.assert_audit_clean();
}

#[test]
fn a_voucher_that_has_ended_stays_away_and_the_others_come_back() {
    let end = "2020-07-25T12:05:00+08:00";
    let ends = |campaign: &mut Value| campaign["validity"]["available_end_time"] = json!(end);
    let pair = Pair::of_goods("ended", 1, ends, |_| {});
    let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
    let order = pair.buy(&till, &person);
    server.set_clock(at(NOON) + 6 * MINUTE);
    let back = pair.back(&till, &order, "R1", json!([{"sku": "a"}])).ok();
    assert_eq!((back.int("to_issuer"), pair.states(&person)), (2_000, ["used".to_string(), "used".to_string()]));
    pair.back(&till, &order, "R2", json!([{"sku": "b", "quantity": 2}])).ok();
    assert_eq!(pair.states(&person), ["used", "available"]);
    server.assert_audit_clean();
}

/// Caps and quotas follow the same rule, each campaign's own when its own goods are back.
#[test]
fn limits_come_off_with_the_goods_of_their_campaign() {
    for entity in ["person", "merchant", "channel"] {
        let limited = |campaign: &mut Value| {
            campaign["limits"] = json!([{"action": "redeem", "entities": [entity], "period": "week", "max_count": 1}]);
        };
        let pair = Pair::of_goods("off", 1, limited, limited);
        let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
        let order = pair.buy(&till, &person);
        let quoted = || {
            let items = json!([{"sku": "a", "amount": 6_000}, {"sku": "b", "amount": 5_000}]);
            let body =
                json!({"pay_code": server.pay_code(&person), "amount": 11_000, "category": "catering", "items": items});
            server.quote(&till, &body).ok().int("discount_amount")
        };
        pair.back(&till, &order, "R1", json!([{"sku": "a"}])).ok();
        wait_until("the first campaign's voucher can be used", || (quoted() == 2_000).then_some(()));
        server.assert_audit_clean();
        pair.back(&till, &order, "R2", json!([{"sku": "b", "quantity": 2}])).ok();
        wait_until("both can be used", || (quoted() == 4_500).then_some(()));
        server.refund(&till, &order, "R3", 900).ok();
        assert_eq!(quoted(), 4_500, "{entity}");
        server.assert_audit_clean();
    }
}
