//! An order with vouchers of two campaigns: each voucher follows the refund policy, windows, restores and limits of its own.

use serde_json::{Value, json};

use super::vectors::{buy, campaign, kind};
use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, EVE, HOUR, Market, Round, SECOND, at, parse_time};
use crate::harness::identity::Resident;
use crate::harness::till::Till;
use crate::harness::{Server, wait_until};

const NOON: &str = "2020-07-25T12:00:00";

/// Two campaigns of one city, and people with a pack of each: the first has 60-20, the second 50-25.
pub struct Pair {
    pub market: Market,
    pub second: String,
}

impl Pair {
    pub fn open(name: &str, people: usize, first: impl Fn(&mut Value), second: impl Fn(&mut Value)) -> Pair {
        let of = |part: &str, face: Value, change: &dyn Fn(&mut Value)| {
            campaign(&format!("{name}-{part}"), people as i64, json!([face]), |campaign| {
                campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
                campaign["use_rule"]["combine_with_campaigns"] = json!(true);
                campaign["limits"] = json!([]);
                change(campaign);
            })
        };
        let (first, second) =
            (of("a", kind("60-20", 6_000, 2_000, 1), &first), of("b", kind("50-25", 5_000, 2_500, 1), &second));
        let id = second["campaign_id"].as_str().expect("an id").to_string();
        Pair { market: credited_in_all(&[first, second], people), second: id }
    }

    pub fn till(&self) -> Till {
        let till = self.market.till();
        self.market.server().enrol(&self.second, &till.merchant_id);
        till
    }

    /// Goods `a` that the first campaign is for, `b` that the second is for, and `c` that nobody is for.
    pub fn of_goods(name: &str, people: usize, first: impl Fn(&mut Value), second: impl Fn(&mut Value)) -> Pair {
        let only = |sku: &'static str, change: &dyn Fn(&mut Value), campaign: &mut Value| {
            campaign["use_rule"]["eligible_items"] = json!([sku]);
            change(campaign);
        };
        Pair::open(name, people, |campaign| only("a", &first, campaign), |campaign| only("b", &second, campaign))
    }

    pub fn buy(&self, till: &Till, person: &Resident) -> String {
        let items = json!([{"sku": "a", "amount": 6_000}, {"sku": "b", "quantity": 2, "amount": 5_000}, {"sku": "c", "amount": 900}]);
        let done = buy(&self.market, till, person, 11_900, json!({"items": items})).ok();
        assert_eq!(done.int("discount_amount"), 4_500, "{}", done.text());
        done.str("order_id").to_string()
    }

    pub fn back(&self, till: &Till, order: &str, id: &str, goods: Value) -> Reply {
        self.market.server().refund_items(till, order, id, goods, None)
    }

    /// How the two vouchers of a person stand.
    pub fn states(&self, person: &Resident) -> [String; 2] {
        [self.market.campaign(), &self.second]
            .map(|campaign| self.market.server().vouchers(campaign, person)[0].2.clone())
    }

    fn total(&self, campaign: &str, name: &str) -> i64 {
        self.market.server().ledger(campaign)["total"][name].as_i64().expect("an account")
    }
}

/// Campaigns of one city, and people with a pack of each; the first is the market's.
pub fn credited_in_all(campaigns: &[Value], people: usize) -> Market {
    let ids: Vec<&str> = campaigns.iter().map(|campaign| campaign["campaign_id"].as_str().expect("an id")).collect();
    let server = Server::at(EVE);
    for (campaign, id) in campaigns.iter().zip(&ids).skip(1) {
        server.create_campaign(campaign).ok();
        server.publish(id);
    }
    let round = Round::reserved_on(server, campaigns[0].clone(), people);
    for (id, person) in ids[1..].iter().flat_map(|id| round.people.iter().map(move |one| (id, one))) {
        round.server.reserve(id, person).ok();
    }
    round.raining(480 * SECOND);
    round.server.set_clock(at(NOON));
    for (id, person) in ids.iter().flat_map(|id| round.people.iter().map(move |one| (id, one))) {
        wait_until("every pack is there", || (!round.server.vouchers(id, person).is_empty()).then_some(()));
    }
    Market::of(round)
}

pub fn set(name: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |campaign| campaign[name] = value.clone()
}

/// The refusal names the campaign whose time is over, and since when.
#[track_caller]
fn over(reply: &Reply, code: &str, campaign: &str, until: i64) {
    let refused = reply.clone().refused(409, code);
    assert_eq!((refused.str("campaign_id"), parse_time(&refused["until"])), (campaign, until), "{}", refused.text());
}

#[test]
fn each_voucher_comes_back_as_its_own_campaign_says() {
    let (full, single, consume) =
        (json!("restore_on_full_refund"), json!("restore_on_single_full_refund"), json!("consume"));
    for (name, first, second, amounts, wanted) in [
        ("refund_policy", full.clone(), consume.clone(), vec![11_900], ["available", "used"]),
        ("refund_policy", consume, full.clone(), vec![11_900], ["used", "available"]),
        ("refund_policy", full.clone(), single.clone(), vec![1, 11_899], ["available", "used"]),
        ("refund_policy", single, full, vec![1, 11_899], ["used", "available"]),
        ("max_restores_per_voucher", json!(0), json!(1), vec![11_900], ["used", "available"]),
        ("max_restores_per_voucher", json!(1), json!(0), vec![11_900], ["available", "used"]),
    ] {
        let pair = Pair::of_goods("policies", 1, set(name, first), set(name, second));
        let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
        let order = pair.buy(&till, &person);
        let mut to_issuer = 0;
        for (number, amount) in amounts.iter().enumerate() {
            to_issuer += server.refund(&till, &order, &format!("R{number}"), *amount).ok().int("to_issuer");
        }
        assert_eq!(to_issuer, 4_500);
        assert_eq!(pair.states(&person), wanted, "{name} {amounts:?}");
        for (campaign, face, state) in [(pair.market.campaign(), 2_000, wanted[0]), (&pair.second, 2_500, wanted[1])] {
            let recovered = if state == "used" { face } else { 0 };
            let stands = |account: &str| pair.total(campaign, account);
            wait_until("the ledger stands", || {
                (stands("recovered") == recovered && stands("redeemed") == 0).then_some(())
            });
        }
        server.assert_audit_clean();
    }
}

#[test]
fn a_refund_is_open_while_it_is_for_every_voucher_that_bears_a_share_of_it() {
    let pair = Pair::of_goods("days", 5, set("refund_days", json!(7)), set("refund_days", json!(9)));
    let (server, till, first) = (pair.market.server(), pair.till(), pair.market.campaign());
    let people: Vec<Resident> = (0..5).map(|_| pair.market.shopper()).collect();
    let orders: Vec<String> = people.iter().map(|person| pair.buy(&till, person)).collect();
    let goods = |order: usize, id: &str, sku: &str, quantity: i64| {
        pair.back(&till, &orders[order], id, json!([{"sku": sku, "quantity": quantity}]))
    };
    let (end, last) = (at(NOON) + 7 * DAY, at(NOON) + 9 * DAY);
    goods(3, "R1", "a", 1).ok();
    goods(4, "R1", "a", 1).ok();
    server.set_clock(end - 1);
    goods(0, "R1", "a", 1).ok();
    goods(3, "R2", "c", 1).ok();
    goods(3, "R3", "b", 2).ok();
    assert_eq!(pair.states(&people[3]), ["available"; 2], "all goods are back in time");
    server.set_clock(end);
    assert!(goods(0, "R1", "a", 1).ok().replayed(), "what was done stays told");
    over(&goods(1, "R1", "a", 1), "refund_window_closed", first, end);
    over(&server.refund(&till, &orders[2], "R1", 11_900), "refund_window_closed", first, end);
    // The issuer's share of a small amount is of the voucher that stands first.
    assert_eq!(server.refund(&till, &orders[2], "R1", 1_190).ok().int("to_issuer"), 450);
    goods(1, "R1", "b", 1).ok();
    goods(1, "R2", "c", 1).ok();
    over(&server.refund(&till, &orders[1], "R3", 8_500), "refund_window_closed", first, end);
    // The goods of the first campaign were back in time, whatever becomes of the others.
    assert_eq!(pair.states(&people[4]), ["available", "used"]);
    goods(4, "R2", "c", 1).ok();
    let whole = goods(4, "R3", "b", 2).ok();
    assert_eq!(whole.str("state"), "refunded");
    assert_eq!(pair.states(&people[4]), ["available", "available"]);
    server.set_clock(last - 1);
    goods(1, "R4", "b", 1).ok();
    server.set_clock(last);
    over(&goods(0, "R2", "c", 1), "refund_window_closed", &pair.second, last);
    over(&goods(0, "R2", "b", 1), "refund_window_closed", &pair.second, last);
    server.assert_audit_clean();
}

#[test]
fn a_reverse_is_open_while_it_is_for_every_voucher() {
    for (name, hours) in [("early", [1, 24]), ("late", [24, 1])] {
        let pair =
            Pair::of_goods(name, 2, set("reverse_hours", json!(hours[0])), set("reverse_hours", json!(hours[1])));
        let (server, till) = (pair.market.server(), pair.till());
        let person = pair.market.shopper();
        let (order, other) = (pair.buy(&till, &person), pair.buy(&till, &pair.market.shopper()));
        server.set_clock(at(NOON) + HOUR - 1);
        server.reverse(&till, &order).ok();
        assert_eq!(pair.states(&person), ["available"; 2]);
        server.set_clock(at(NOON) + HOUR);
        let short = if hours[0] == 1 { pair.market.campaign() } else { &pair.second };
        over(&server.reverse(&till, &other), "reversal_window_closed", short, at(NOON) + HOUR);
        assert!(server.reverse(&till, &order).ok().replayed());
        server.assert_audit_clean();
    }
}

#[test]
fn a_full_refund_gives_back_the_limits_of_the_campaigns_that_say_so() {
    for (entity, restores) in [
        ("person", [true, false]),
        ("merchant", [true, false]),
        ("merchant", [false, true]),
        ("channel", [true, false]),
        ("channel", [false, true]),
    ] {
        let limited = |gives: bool| {
            move |campaign: &mut Value| {
                campaign["refund_restores_limits"] = json!(gives);
                campaign["limits"] =
                    json!([{"action": "redeem", "entities": [entity], "period": "week", "max_count": 1}]);
            }
        };
        let pair = Pair::of_goods(entity, 1, limited(restores[0]), limited(restores[1]));
        let (server, till, person) = (pair.market.server(), pair.till(), pair.market.shopper());
        let order = pair.buy(&till, &person);
        pair.back(&till, &order, "R1", json!([{"sku": "a"}, {"sku": "b", "quantity": 2}])).ok();
        let rest = server.refund(&till, &order, "R2", 900).ok();
        assert_eq!(rest.str("state"), "refunded");
        assert!(server.refund(&till, &order, "R2", 900).ok().replayed());
        assert_eq!(pair.states(&person), ["available"; 2]);
        let items = json!([{"sku": "a", "amount": 6_000}, {"sku": "b", "amount": 5_000}]);
        let again = buy(&pair.market, &till, &person, 11_000, json!({"items": items})).ok();
        let wanted = if restores[0] { 2_000 } else { 2_500 };
        assert_eq!(again.int("discount_amount"), wanted, "{entity} {restores:?}: {}", again.text());
        server.assert_audit_clean();
    }
}

#[test]
fn limits_on_refunds_count_the_refunds_of_their_own_campaigns_vouchers() {
    for (entity, period, most) in [
        ("merchant", "payment", json!({"max_amount": 1_999})),
        ("merchant", "payment", json!({"max_count": 1})),
        ("person", "day", json!({"max_amount": 1_999})),
        ("person", "day", json!({"max_count": 1})),
        ("channel", "day", json!({"max_amount": 1_999})),
        ("channel", "day", json!({"max_count": 1})),
    ] {
        let limit = |campaign: &mut Value| {
            let mut limit = json!({"action": "refund", "entities": [entity], "period": period});
            for (name, value) in most.as_object().expect("an object") {
                limit[name] = value.clone();
            }
            campaign["limits"] = json!([limit]);
        };
        let pair = Pair::of_goods("own", 1, limit, |_| {});
        let (server, till) = (pair.market.server(), pair.till());
        let order = pair.buy(&till, &pair.market.shopper());
        // Both are of the other campaign alone, which has no limit.
        pair.back(&till, &order, "R1", json!([{"sku": "b"}])).ok();
        pair.back(&till, &order, "R2", json!([{"sku": "b"}])).ok();
        let last = pair.back(&till, &order, "R3", json!([{"sku": "a"}]));
        match most.get("max_count") {
            Some(_) => drop(last.ok()),
            None => drop(last.refused_with("limit_reached")),
        }
        server.assert_audit_clean();
    }
}
