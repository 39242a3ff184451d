//! Goods that come back by name: each gives back what was paid for it, by its buyer and by the vouchers that were for it.

use serde_json::{Value, json};

use super::vectors::{buy, campaign, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, at, new_order};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::together;

const EVE: &str = "2020-07-12T12:00:00+08:00";

/// 60-20 off food, 30-10 off tools, both in one payment.
fn vouchers() -> Value {
    let of = |name: &str, minimum: i64, discount: i64, goods: &str| {
        let mut kind = kind(name, minimum, discount, 2);
        kind["use_rule"] = json!({"eligible_items": [goods]});
        kind
    };
    json!([of("60-20", 6_000, 2_000, "catering"), of("30-10", 3_000, 1_000, "culture")])
}

fn two_a_payment(campaign: &mut Value) {
    campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
    campaign["limits"] = json!([]);
}

fn open(name: &str, people: usize) -> Market {
    market(name, people, vouchers(), two_a_payment)
}

/// Three breads for 60.01 with 20.00 off, a saw for 30.00 with 10.00 off, and a bottle that no voucher is for.
fn basket() -> Value {
    json!([{"sku": "bread", "category": "catering", "quantity": 3, "amount": 6_501, "merchant_discount": 500},
        {"sku": "wine", "amount": 8_800},
        {"sku": "saw", "category": "culture", "amount": 3_000}])
}

fn sell(market: &Market, till: &Till, person: &Resident, capture: bool) -> Reply {
    let more = json!({"items": basket(), "merchant_discount": 500, "capture": capture});
    let done = buy(market, till, person, 18_301, more).ok();
    assert_eq!((done.int("discount_amount"), done.int("payable")), (3_000, 14_801), "{}", done.text());
    done
}

fn goods(named: &[(&str, u32)]) -> Value {
    named.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect()
}

fn parts(reply: &Reply) -> [i64; 3] {
    ["amount", "to_payer", "to_issuer"].map(|name| reply.int(name))
}

#[test]
fn goods_come_back_with_exactly_what_was_paid_for_them() {
    let market = open("goods", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = sell(&market, &till, &person, true);
    let order = done.str("order_id");
    let refund = |id: &str, items: Value| server.refund_items(&till, order, id, items, None).ok();
    let wine = refund("R1", json!([{"sku": "wine"}]));
    assert_eq!(parts(&wine), [8_800, 8_800, 0], "no voucher was for it");
    assert_eq!(wine["items"], goods(&[("wine", 1)]));
    assert_eq!(parts(&refund("R2", goods(&[("bread", 1)]))), [2_000, 1_333, 667]);
    let both = refund("R3", goods(&[("saw", 1), ("bread", 1)]));
    assert_eq!(parts(&both), [5_000, 1_333 + 2_000, 667 + 1_000]);
    assert_eq!((both.str("state"), both.int("refundable_amount")), ("partially_refunded", 2_001));
    let told = server.order(&till, order).ok();
    let line = |at: i64, sku: &str, quantity: i64, net: i64, off: i64, back: i64| json!({"line": at, "sku": sku, "quantity": quantity, "net_amount": net, "discount_amount": off, "returned_quantity": back});
    let lines = json!([
        line(0, "bread", 3, 6_001, 2_000, 2),
        line(1, "wine", 1, 8_800, 0, 1),
        line(2, "saw", 1, 3_000, 1_000, 1)
    ]);
    assert_eq!(told["items"], lines, "{}", told.text());
    assert_eq!(told["refunds"][2]["items"], goods(&[("saw", 1), ("bread", 1)]));
    let last = refund("R4", goods(&[("bread", 1)]));
    assert_eq!(parts(&last), [2_001, 1_335, 666]);
    assert_eq!((last.str("state"), market.vouchers(&person, "available").len()), ("refunded", 4));
    // Each voucher got back its own.
    let day = server.settlement("2020-07-25", &till.merchant_id).ok();
    let back = |kind: &str| -> Vec<i64> {
        let lines = day["lines"].as_array().expect("lines").iter();
        let own = lines.filter(|line| line["kind"] == "refund" && line["voucher_kind"] == kind);
        own.map(|line| line["subsidy"].as_i64().expect("fen")).collect()
    };
    assert_eq!((back("60-20"), back("30-10")), (vec![-667, -667, -666], vec![-1_000, 0]), "{}", day.text());
    assert_eq!(day["totals"]["subsidy"], 0);
    let total = server.ledger(market.campaign())["total"].clone();
    assert_eq!((&total["redeemed"], &total["outstanding"], &total["recovered"]), (&json!(0), &json!(6_000), &json!(0)));
    server.assert_audit_clean();
}

#[test]
fn a_refund_of_goods_has_one_effect_and_another_body_under_its_number_is_a_conflict() {
    let market = open("once", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = sell(&market, &till, &person, true);
    let order = done.str("order_id");
    let refund = |id: &str, items: Value, amount| server.refund_items(&till, order, id, items, amount);
    let first = refund("R1", goods(&[("bread", 1), ("wine", 1)]), Some(10_800)).ok();
    refund("R2", goods(&[("saw", 1)]), None).ok();
    for (items, amount) in
        [(goods(&[("bread", 1), ("wine", 1)]), Some(10_800)), (goods(&[("wine", 1), ("bread", 1)]), None)]
    {
        let again = refund("R1", items, amount).ok();
        assert!(again.replayed());
        assert_eq!(again.json, first.json, "though more has come back since");
    }
    for (items, amount) in [
        (goods(&[("bread", 1)]), None),
        (goods(&[("bread", 2), ("wine", 1)]), None),
        (goods(&[("bread", 1), ("wine", 1)]), Some(10_801)),
        (json!([]), Some(10_800)),
    ] {
        refund("R1", items, amount).refused(409, "refund_conflict");
    }
    assert_eq!(server.order(&till, order).ok().int("refunded_total"), 13_800);
    server.assert_audit_clean();
}

#[test]
fn what_cannot_come_back_is_refused_with_what_can_and_nothing_changes() {
    let market = open("refused", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = sell(&market, &till, &person, true);
    let order = done.str("order_id");
    let refund = |items: Value, amount| server.refund_items(&till, order, "R1", items, amount);
    assert_eq!(refund(goods(&[("milk", 1)]), None).refused(422, "item_not_in_order")["sku"], "milk");
    let many = refund(goods(&[("bread", 2), ("bread", 2)]), None).refused(422, "item_exceeds_order");
    assert_eq!((&many["sku"], &many["quantity_left"]), (&json!("bread"), &json!(3)));
    let wrong = refund(goods(&[("bread", 1)]), Some(1_999)).refused(422, "refund_amount_mismatch");
    assert_eq!(wrong["refund_amount"], 2_000);
    for (body, fault) in [
        (json!({"refund_id": "R1"}), "/amount missing_field"),
        (json!({"refund_id": "R1", "items": []}), "/amount missing_field"),
        (json!({"refund_id": "R1", "items": [{"sku": "saw", "quantity": 0}]}), "/items/0/quantity out_of_range"),
        (json!({"refund_id": "R1", "items": [{"sku": "saw", "quantity": -1}]}), "/items/0/quantity out_of_range"),
        (json!({"refund_id": "R1", "items": [{"quantity": 1}]}), "/items/0/sku missing_field"),
        (json!({"refund_id": "R1", "items": [{"sku": "saw", "amount": 1}]}), "/items/0/amount unknown_field"),
    ] {
        let path = format!("/v1/redemptions/{order}/refunds");
        let refused = server.till(&till, "POST", &path, Some(&body)).refused(422, "invalid_request");
        assert_eq!(refused.faults(), [fault]);
    }
    assert_eq!(server.order(&till, order).ok().int("refunded_total"), 0);
    let plain = buy(&market, &till, &market.shopper(), 6_000, json!({})).ok();
    server
        .refund_items(&till, plain.str("order_id"), "R1", goods(&[("bread", 1)]), None)
        .refused(409, "items_not_known");
    server.refund(&till, plain.str("order_id"), "R1", 6_000).ok();
    server.assert_audit_clean();
}

#[test]
fn an_orders_first_refund_decides_between_goods_and_amounts() {
    let market = open("manner", 2);
    let (server, till) = (market.server(), market.till());
    let (by_goods, by_amount) = (
        sell(&market, &till, &market.shopper(), true).str("order_id").to_string(),
        sell(&market, &till, &market.shopper(), true).str("order_id").to_string(),
    );
    server.refund_items(&till, &by_goods, "R1", goods(&[("bread", 2)]), None).ok();
    let refused = server.refund(&till, &by_goods, "R2", 3_000).refused(409, "refund_manner_fixed");
    assert_eq!((&refused["by"], &refused["refundable_amount"]), (&json!("items"), &json!(13_801)));
    let rest = server.refund(&till, &by_goods, "R2", 13_801).ok();
    assert_eq!((rest.str("state"), parts(&rest)), ("refunded", [13_801, 13_801 - 666 - 1_000, 666 + 1_000]));
    assert_eq!(rest["items"], Value::Null, "it named none");
    assert!(server.refund(&till, &by_goods, "R2", 13_801).ok().replayed());

    server.refund(&till, &by_amount, "R1", 17_800).ok();
    let refused = server.refund_items(&till, &by_amount, "R2", goods(&[("saw", 1)]), None);
    assert_eq!(refused.refused(409, "refund_manner_fixed")["by"], "amount");
    server.refund(&till, &by_amount, "R2", 1).ok();
    server.assert_audit_clean();
}

#[test]
fn of_one_sku_on_two_lines_the_piece_that_is_named_comes_back_at_what_it_cost() {
    let market = open("two-lines", 2);
    let (server, till) = (market.server(), market.till());
    let items = json!([{"sku": "pan", "category": "catering", "amount": 7_000, "serial": "sn-1"},
        {"sku": "pan", "category": "catering", "amount": 5_000, "merchant_discount": 1_000, "serial": "SN-2"},
        {"sku": "cup", "quantity": 2, "amount": 800}, {"sku": "cup", "amount": 400}]);
    let more = json!({"items": items, "merchant_discount": 1_000});
    let sell = || buy(&market, &till, &market.shopper(), 13_200, more.clone()).ok().str("order_id").to_string();
    let (order, other) = (sell(), sell());
    let told = server.order(&till, &order).ok();
    assert_eq!((&told["items"][1]["line"], &told["items"][1]["serial"]), (&json!(1), &json!("SN-2")));
    let refund = |id: &str, items: Value| server.refund_items(&till, &order, id, items, None);
    let asked = json!([{"sku": "cup"}, {"sku": "pan"}]);
    let refused = refund("R1", asked).refused(422, "line_required");
    assert_eq!(refused.faults(), ["/items/1/line missing_field"]);
    assert_eq!(refused["sku"], "pan");
    let line = |at: usize, net: i64, off: i64, serial: &str| json!({"line": at, "quantity": 1, "quantity_left": 1, "net_amount": net, "discount_amount": off, "serial": serial});
    let off = |at: usize| told["items"][at]["discount_amount"].as_i64().expect("fen");
    assert_eq!(refused["lines"], json!([line(0, 7_000, off(0), "SN-1"), line(1, 4_000, off(1), "SN-2")]));
    // Where all pieces cost the same the sku is enough, and nothing was applied by what was refused.
    let cups = refund("R1", json!([{"sku": "cup", "quantity": 2}])).ok();
    assert_eq!((cups.int("amount"), &cups["items"]), (800, &json!([{"sku": "cup", "quantity": 2, "line": 2}])));
    let back = refund("R2", json!([{"sku": "pan", "serial": "sn-2"}])).ok();
    assert_eq!((back.int("amount"), back.int("to_issuer")), (4_000, off(1)));
    assert_eq!(back["items"], json!([{"sku": "pan", "quantity": 1, "line": 1, "serial": "SN-2"}]));
    let again = refund("R2", json!([{"sku": "pan", "line": 1}])).ok();
    assert!(again.replayed() && again.json == back.json, "the same goods under another name");
    refund("R2", json!([{"sku": "pan", "line": 0}])).refused(409, "refund_conflict");
    let last = refund("R3", json!([{"sku": "pan"}])).ok();
    assert_eq!((last.int("amount"), last.int("to_issuer")), (7_000, off(0)), "only one is left");
    let named = server.refund_items(&till, &other, "R1", json!([{"sku": "pan", "line": 0}]), Some(7_000)).ok();
    assert_eq!(named.int("to_issuer"), off(0));
    for (piece, fault) in [
        (json!({"sku": "pan", "line": -1}), "/items/0/line out_of_range"),
        (json!({"sku": "pan", "serial": "SN-1", "quantity": 2}), "/items/0/quantity not_one_piece"),
    ] {
        let refused = server.refund_items(&till, &other, "R2", json!([piece]), None).refused(422, "invalid_request");
        assert_eq!(refused.faults(), [fault]);
    }
    server
        .refund_items(&till, &other, "R2", json!([{"sku": "pan", "serial": "SN-9"}]), None)
        .refused(422, "item_not_in_order");
    server.assert_audit_clean();
}

#[test]
fn a_hold_remembers_its_goods_until_it_is_confirmed_and_they_come_back() {
    let market = open("held-goods", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let held = sell(&market, &till, &person, false);
    let order = held.str("order_id");
    server.refund_items(&till, order, "R1", goods(&[("saw", 1)]), None).refused(409, "order_not_redeemed");
    server.confirm(&till, order, held.str("hold_id"), 14_801).ok();
    assert_eq!(parts(&server.refund_items(&till, order, "R1", goods(&[("saw", 1)]), None).ok()), [3_000, 2_000, 1_000]);
    server.reverse(&till, order).refused(409, "order_has_refunds");
    let late = sell(&market, &till, &market.shopper(), false);
    server.set_clock(at("2020-07-25T12:05:00"));
    server.confirm(&till, late.str("order_id"), late.str("hold_id"), 14_801).ok();
    let back = server.refund_items(&till, late.str("order_id"), "R1", goods(&[("wine", 1)]), None).ok();
    assert_eq!(parts(&back), [8_800, 8_800, 0]);
    server.assert_audit_clean();
}

#[test]
fn of_many_copies_of_a_return_at_two_nodes_one_has_an_effect_and_all_answers_are_equal() {
    let redis = OwnRedis::start();
    let [server, other] = redis.two_nodes(EVE);
    let market = Market::open_on(server, campaign("two-nodes", 1, vouchers(), two_a_payment), 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let done = sell(&market, &till, &person, true);
    let order = done.str("order_id");
    // Eight copies of one return, and six different ones of the same three breads.
    let replies = together(14, |n| {
        let node = if n % 2 == 0 { server } else { &other };
        let (id, items) = match n {
            0..8 => ("W".to_string(), goods(&[("wine", 1)])),
            _ => (format!("B{n}"), goods(&[("bread", 1)])),
        };
        loop {
            let reply = node.refund_items(&till, order, &id, items.clone(), None);
            if reply.is_success() || reply.code() != "store_unavailable" {
                return reply;
            }
        }
    });
    let (wine, bread) = replies.split_at(8);
    assert_eq!(wine.iter().filter(|reply| reply.is_success() && !reply.replayed()).count(), 1);
    assert!(wine.iter().all(|reply| parts(reply) == [8_800, 8_800, 0]));
    assert_eq!(bread.iter().filter(|reply| reply.is_success()).count(), 3, "there are three");
    for refused in bread.iter().filter(|reply| !reply.is_success()) {
        assert_eq!((refused.code(), &refused["quantity_left"]), ("item_exceeds_order", &json!(0)));
    }
    let sum: i64 = bread.iter().filter(|reply| reply.is_success()).map(|reply| reply.int("to_issuer")).sum();
    assert_eq!(sum, 2_000);
    // A node that starts now knows what the others did.
    let third = redis.node("2020-07-25T12:00:00+08:00", 1, Some(server));
    assert!(third.refund_items(&till, order, "W", goods(&[("wine", 1)]), None).ok().replayed());
    assert_eq!(parts(&third.refund_items(&till, order, "S", goods(&[("saw", 1)]), None).ok()), [3_000, 2_000, 1_000]);
    assert_eq!(third.order(&till, order).ok().str("state"), "refunded");
    server.assert_audit_clean();
}

#[test]
fn random_receipts_come_back_in_random_steps_to_the_same_sums() {
    const PEOPLE: usize = 8;
    let market = open("random-goods", PEOPLE);
    let (server, till) = (market.server(), market.till());
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut state = seed;
    let mut below = |bound: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % bound
    };
    for case in 0..PEOPLE / 2 {
        let item = |at: i64, below: &mut dyn FnMut(i64) -> i64| {
            let category = if at % 2 == 0 { "catering" } else { "culture" };
            json!({"sku": format!("g{}", below(4)), "category": category, "quantity": 1 + below(3),
                "amount": 3_001 + below(5_000)})
        };
        let items: Vec<Value> = (0..2 + below(3)).map(|at| item(at, &mut below)).collect();
        let sum = |name: &str| items.iter().map(|item| item[name].as_i64().expect("a number")).sum::<i64>();
        let mut pieces: Vec<Value> = Vec::new();
        for (line, item) in items.iter().enumerate() {
            let piece = json!({"sku": item["sku"], "line": line});
            (0..item["quantity"].as_i64().expect("a number")).for_each(|_| pieces.push(piece.clone()));
        }
        let kept = below(pieces.len() as i64) as usize;
        let came_back: Vec<Value> = pieces[kept..].to_vec();
        let sums: Vec<[i64; 3]> = (0..2)
            .map(|_| {
                let person = market.shopper();
                let done = buy(&market, &till, &person, sum("amount"), json!({"items": items})).ok();
                let order = done.str("order_id");
                let mut left = came_back.clone();
                let mut sums = [0; 3];
                while !left.is_empty() {
                    let step: Vec<Value> = (0..1 + below(left.len() as i64))
                        .map(|_| left.swap_remove(below(left.len() as i64) as usize))
                        .collect();
                    let back = server.refund_items(&till, order, &new_order(), json!(step), None).ok();
                    sums = std::array::from_fn(|at| sums[at] + parts(&back)[at]);
                }
                let told = server.order(&till, order).ok();
                assert_eq!(told.int("refunded_total"), sums[0], "case {case}");
                let rest = told.int("refundable_amount");
                let last = (rest > 0).then(|| server.refund(&till, order, "last", rest).ok().int("to_issuer"));
                assert_eq!(sums[2] + last.unwrap_or(0), done.int("discount_amount"), "case {case}: {}", told.text());
                sums
            })
            .collect();
        assert_eq!(sums[0], sums[1], "case {case} of seed {seed}: {items:?} {came_back:?}");
    }
    server.assert_audit_clean();
}
