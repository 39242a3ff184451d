//! A refusal leaves nothing in the store, so a till that sends orders which are refused does not make it grow.

use serde_json::{Value, json};

use crate::harness::fixture::{Market, at, chengdu, merchant, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, together};

const ORDERS: usize = 200;

/// Keys, fields and bytes of all directories and shards, but for pay codes, which end by themselves.
fn kept(redis: &OwnRedis) -> String {
    let count = "local keys, fields, bytes = 0, 0, 0 for _, key in ipairs(redis.call('KEYS', '*')) do \
        if redis.call('TYPE', key).ok == 'hash' and not key:find(':pc:', 1, true) and not key:find('^{cfg}') then \
        keys, fields = keys + 1, fields + redis.call('HLEN', key) \
        bytes = bytes + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0') end end \
        return keys .. ' keys, ' .. fields .. ' fields, ' .. bytes .. ' bytes'";
    redis.ask(&["EVAL", count, "0"])
}

/// Entries of directories and orders.
fn orders_kept(redis: &OwnRedis) -> usize {
    let count = "local n = 0 for _, pattern in ipairs({'{m*}:o:*', '{s*}:o:*'}) do \
        for _, key in ipairs(redis.call('KEYS', pattern)) do n = n + redis.call('HLEN', key) end end return n";
    redis.ask(&["EVAL", count, "0"]).parse().expect("a number")
}

fn market(redis: &OwnRedis) -> Market {
    let mut file = chengdu(&new_campaign_id("traces"), 3);
    let limit = json!({"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": 1});
    file["limits"].as_array_mut().expect("limits").push(limit);
    Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 2, None), file, 3)
}

/// A till of a shop that takes part in nothing.
fn outside(server: &Server) -> Till {
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    server.create_terminal(&id, "t1")
}

/// What differs from a payment that would be taken.
type Differs<'a> = &'a dyn Fn(&mut Value);

#[test]
fn two_hundred_refused_orders_of_each_kind_leave_no_key_no_field_and_no_byte() {
    let redis = OwnRedis::start();
    let market = market(&redis);
    let (server, person, till) = (market.server(), market.shopper(), market.till());
    let full = market.till();
    server.redeem(&full, &sale(&new_order(), &server.pay_code(&market.shopper()), 3_000, true)).ok();
    let stranger = outside(server);
    let (code, spent) = (server.pay_code(&person), server.pay_code(&person));
    server.redeem(&market.till(), &sale(&new_order(), &spent, 3_000, true)).ok();
    let used = market.vouchers(&person, "used")[0].0.clone();
    let named = |body: &mut Value, voucher: &str| {
        body.as_object_mut().expect("an object").remove("pay_code");
        body["voucher_ids"] = json!([voucher]);
    };
    let table: &[(&str, &Till, Differs)] = &[
        ("minimum_not_met", &till, &|body| body["amount"] = json!(2_000)),
        ("category_not_allowed", &till, &|body| body["category"] = json!("fuel")),
        ("store_unknown", &till, &|body| body["receipt"] = json!({"store": "none"})),
        ("pay_code_used", &till, &|body| body["pay_code"] = json!(spent)),
        ("pay_code_unknown", &till, &|body| body["pay_code"] = json!("000000000000000000")),
        ("limit_reached", &full, &|_| {}),
        ("merchant_not_enrolled", &stranger, &|_| {}),
        ("voucher_used", &till, &|body| named(body, &used)),
    ];
    // A node that remembers a code as unused comes as far as the caps, once.
    server.redeem(&till, &sale(&new_order(), &spent, 3_000, true)).refused_with("pay_code_used");
    let before = kept(&redis);
    for (refusal, till, differs) in table {
        // A till that guesses codes is stopped before.
        for _ in 0..if *refusal == "pay_code_unknown" { 20 } else { ORDERS } {
            let mut body = sale(&new_order(), &code, 3_000, true);
            differs(&mut body);
            server.redeem(till, &body).refused_with(refusal);
        }
        assert_eq!(kept(&redis), before, "{refusal}");
    }
    server.assert_audit_clean();
}

#[test]
fn an_order_that_was_refused_may_be_tried_again_and_reversed() {
    let redis = OwnRedis::start();
    let market = market(&redis);
    let (server, person, till) = (market.server(), market.shopper(), market.till());
    let order = new_order();
    for _ in 0..3 {
        server.redeem(&till, &sale(&order, &server.pay_code(&person), 2_000, true)).refused_with("minimum_not_met");
        server.order(&till, &order).refused(404, "order_not_found");
    }
    let body = sale(&order, &server.pay_code(&person), 3_000, true);
    let done = server.redeem(&till, &body).ok();
    assert!(server.redeem(&till, &body).ok().json == done.json);
    assert_eq!(server.reverse(&till, &order).ok()["was"], "redeemed");
    let never = new_order();
    server.redeem(&till, &sale(&never, &server.pay_code(&person), 2_000, true)).refused_with("minimum_not_met");
    assert_eq!(server.reverse(&till, &never).ok()["was"], "unknown");
    server.redeem(&till, &sale(&never, &server.pay_code(&person), 3_000, true)).refused_with("order_reversed");
    server.assert_audit_clean();
}

#[test]
fn copies_of_one_order_at_once_have_one_effect_whichever_of_them_is_refused() {
    let redis = OwnRedis::start();
    let market = market(&redis);
    let (server, person) = (market.server(), market.shopper());
    server.set_clock(at("2020-07-25T12:00:00"));
    for _ in 0..12 {
        let (till, order) = (market.till(), new_order());
        let (good, poor) = (server.pay_code(&person), server.pay_code(&person));
        let told = together(6, |at| {
            let (code, amount) = if at % 2 == 0 { (&good, 3_000) } else { (&poor, 2_000) };
            server.redeem(&till, &sale(&order, code, amount, true))
        });
        let done: Vec<_> = told.iter().filter(|reply| reply.is_success()).collect();
        assert!(done.iter().all(|reply| reply.json == done[0].json));
        let used = market.vouchers(&person, "used").len();
        assert_eq!(used, usize::from(!done.is_empty()), "{:?}", told.iter().map(|one| one.code()).collect::<Vec<_>>());
        assert_eq!(server.order(&till, &order).is_success(), !done.is_empty());
        server.reverse(&till, &order).ok();
        assert_eq!(market.vouchers(&person, "used").len(), 0);
    }
    server.assert_audit_clean();
}

#[test]
fn two_copies_at_once_of_an_order_that_is_refused_leave_an_entry_and_a_void_attempt_at_most() {
    let redis = OwnRedis::start();
    let market = market(&redis);
    let (server, person, till) = (market.server(), market.shopper(), market.till());
    let code = server.pay_code(&person);
    for _ in 0..20 {
        let (order, before) = (new_order(), orders_kept(&redis));
        for reply in together(2, |_| server.redeem(&till, &sale(&order, &code, 2_000, true))) {
            reply.refused_with("minimum_not_met");
        }
        server.redeem(&till, &sale(&order, &code, 2_000, true)).refused_with("minimum_not_met");
        let left = orders_kept(&redis) - before;
        assert!(left <= 2, "{left}");
        server.order(&till, &order).refused(404, "order_not_found");
    }
    server.assert_audit_clean();
}

#[test]
fn an_order_that_is_reversed_beside_its_copies_has_no_effect_once_the_reverse_is_answered() {
    let redis = OwnRedis::start();
    let market = market(&redis);
    let (server, people) = (market.server(), [market.shopper(), market.shopper()]);
    server.set_clock(at("2020-07-25T12:00:00"));
    for _ in 0..20 {
        let (till, order) = (market.till(), new_order());
        // Of two persons, so on two shards as often as not.
        let codes = people.each_ref().map(|person| server.pay_code(person));
        let told = together(6, |at| match at {
            0 | 1 => server.reverse(&till, &order),
            at => server.redeem(&till, &sale(&order, &codes[at % 2], if at < 4 { 3_000 } else { 2_000 }, true)),
        });
        assert!(told[..2].iter().any(|reply| reply.is_success()), "{} {}", told[0].text(), told[1].text());
        for person in &people {
            assert_eq!(market.vouchers(person, "used").len(), 0);
        }
        server.redeem(&till, &sale(&order, &codes[0], 3_000, true)).refused_with("order_reversed");
    }
    server.assert_audit_clean();
}
