//! Limits that neither a person nor a merchant counts: by category, channel, pack, phone, device or account over the whole campaign.

use redis::Commands;
use serde_json::{Value, json};

use super::vectors::{buy, campaign, kind, market};
use crate::harness::fixture::{DAY, MINUTE, Market, Round, at, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{together, wait_until};

const NOON: &str = "2020-07-25T12:00:00";

fn limit(entities: Value, period: &str, name: &str, most: i64) -> Value {
    let mut limit = json!({"action": "redeem", "entities": entities, "period": period});
    limit[name] = json!(most);
    limit
}

fn vouchers() -> Value {
    json!([kind("60-20", 6_000, 2_000, 2), kind("30-10", 3_000, 1_000, 4)])
}

fn limited(name: &str, people: usize, limits: Value) -> Market {
    market(name, people, vouchers(), |campaign| {
        campaign["limits"] = limits.clone();
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
    })
}

#[test]
fn a_category_is_capped_over_all_persons_and_merchants_and_gets_it_back() {
    let market = limited("quota", 4, json!([limit(json!(["category"]), "day", "max_count", 2)]));
    let server = market.server();
    let tills: Vec<Till> = (0..4).map(|_| market.till()).collect();
    let people: Vec<Resident> = (0..4).map(|_| market.shopper()).collect();
    let pay = |who: usize, capture: bool| buy(&market, &tills[who], &people[who], 3_000, json!({"capture": capture}));
    let (first, second) = (pay(0, true).ok(), pay(1, false).ok());
    let refused = pay(2, true).refused_with("limit_reached");
    assert_eq!(refused["limit"]["entities"], json!(["category"]), "{}", refused.text());
    let quote = json!({"pay_code": server.pay_code(&people[2]), "amount": 3_000, "category": "catering"});
    assert_eq!(server.quote(&tills[2], &quote).ok()["not_taken"][0]["code"], "limit_reached");
    buy(&market, &tills[2], &people[2], 3_000, json!({"category": "culture"})).ok();

    server.cancel(&tills[1], second.str("order_id")).ok();
    server.cancel(&tills[1], second.str("order_id")).ok();
    let third = pay(2, true).ok();
    pay(3, true).refused_with("limit_reached");
    server.reverse(&tills[2], third.str("order_id")).ok();
    server.reverse(&tills[2], third.str("order_id")).ok();
    let fourth = pay(3, false).ok();
    pay(2, true).refused_with("limit_reached");
    server.set_clock(at(NOON) + 3 * MINUTE);
    wait_until("the lapsed hold has given its share back", || pay(2, true).is_success().then_some(()));
    // The late confirm would be the third of the day.
    let late = || server.confirm(&tills[3], fourth.str("order_id"), fourth.str("hold_id"), 2_000);
    assert_eq!(late().code(), "hold_expired");
    server.refund(&tills[0], first.str("order_id"), "R1", 3_000).ok();
    assert_eq!(late().code(), "hold_expired", "what was told stays told");
    let fifth = pay(3, false).ok();
    server.set_clock(at(NOON) + 6 * MINUTE);
    assert_eq!(server.confirm(&tills[3], fifth.str("order_id"), fifth.str("hold_id"), 2_000).ok()["late"], true);
    pay(1, true).refused_with("limit_reached");
    server.set_clock(at("2020-07-26T00:00:00"));
    pay(1, true).ok();
    server.assert_audit_clean();
}

#[test]
fn money_of_a_channel_is_used_to_the_last_voucher_that_fits() {
    let market = limited("quota-money", 2, json!([limit(json!(["channel"]), "campaign", "max_amount", 4_500)]));
    let (person, other) = (market.shopper(), market.shopper());
    assert_eq!(buy(&market, &market.till(), &person, 9_000, json!({})).ok().int("discount_amount"), 3_000);
    let till = market.till();
    assert_eq!(buy(&market, &till, &other, 12_000, json!({})).ok().int("discount_amount"), 1_000);
    let refused = buy(&market, &till, &other, 12_000, json!({"category": "culture"})).refused_with("limit_reached");
    assert_eq!(refused["limit"]["max_amount"], 4_500);
    market.server().set_clock(at("2020-08-25T12:00:00"));
    buy(&market, &till, &other, 12_000, json!({})).refused_with("limit_reached");
    market.server().assert_audit_clean();
}

/// A market whose people have reserved with a phone and a device each.
fn with_contacts(entities: &Value) -> Market {
    let file = campaign("contacts", 2, vouchers(), |campaign| {
        campaign["limits"] = json!([limit(entities.clone(), "month", "max_count", 1)]);
        campaign["reservation"]["identity_keys"] = json!(["person", "device", "phone"]);
    });
    let mut round = Round::reserved(file, 0);
    round.people = Resident::many(2);
    for (number, person) in round.people.iter().enumerate() {
        let body = json!({"consent_version": "2020-07-13", "phone": format!("1380013800{number}"), "device": format!("d-{number}")});
        round.server.reserve_with(&round.campaign, person, body).ok();
    }
    round.everybody_credited();
    Market::of(round)
}

#[test]
fn phone_and_device_are_those_of_the_reservation() {
    for entities in
        [json!(["phone"]), json!(["device", "category"]), json!(["person", "phone"]), json!(["device", "merchant"])]
    {
        let market = with_contacts(&entities);
        let (server, till) = (market.server(), market.till());
        let (one, other) = (market.shopper(), market.shopper());
        let done = buy(&market, &till, &one, 3_000, json!({})).ok();
        let refused = buy(&market, &till, &one, 3_000, json!({})).refused_with("limit_reached");
        assert_eq!(refused["limit"]["entities"], entities);
        let held = buy(&market, &till, &other, 3_000, json!({"capture": false})).ok();
        buy(&market, &till, &other, 3_000, json!({})).refused_with("limit_reached");
        server.cancel(&till, held.str("order_id")).ok();
        buy(&market, &till, &other, 3_000, json!({})).ok();
        server.refund(&till, done.str("order_id"), "R1", 3_000).ok();
        buy(&market, &till, &one, 3_000, json!({})).ok();
        server.assert_audit_clean();
    }
}

#[test]
fn a_limit_by_phone_needs_a_reservation_that_asks_for_it() {
    let market = limited("asks", 1, json!([]));
    let mut file = campaign("no-phone", 1, vouchers(), |campaign| {
        campaign["limits"] = json!([limit(json!(["phone"]), "month", "max_count", 1)]);
    });
    let reply = market.server().validate_campaign(&file);
    assert_eq!(reply.code(), "campaign_invalid", "{}", reply.text());
    assert_eq!(reply["errors"][0]["pointer"], "/limits/0/entities");
    assert_eq!(reply["errors"][0]["code"], "identity_key_not_asked_for");
    file["reservation"]["identity_keys"] = json!(["person", "phone"]);
    market.server().validate_campaign(&file).ok();
}

#[test]
fn a_quota_is_exact_when_everybody_pays_at_once_at_two_nodes() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes("2020-07-12T12:00:00+08:00");
    let limits =
        json!([limit(json!(["category"]), "day", "max_count", 5), limit(json!(["pack"]), "day", "max_amount", 9_000)]);
    let file = campaign("quota-rush", 12, json!([kind("30-10", 3_000, 1_000, 4)]), |campaign| {
        campaign["limits"] = limits.clone();
    });
    let market = Market::open_on(first, file, 12);
    second.set_clock(at(NOON));
    let tills: Vec<Till> = (0..3).map(|_| market.till()).collect();
    let codes: Vec<String> = (0..12).map(|_| market.server().pay_code(&market.shopper())).collect();
    let orders: Vec<Value> = codes.iter().map(|code| sale(&new_order(), code, 3_000, true)).collect();
    let answers = together(24, |index| {
        let server = if index % 2 == 0 { market.server() } else { &second };
        wait_until("it is decided", || {
            let reply = server.redeem(&tills[index / 2 % 3], &orders[index / 2]);
            (reply.status != 503).then_some(reply)
        })
    });
    for reply in &answers {
        assert!(reply.is_success() || reply.code() == "limit_reached", "{}", reply.text());
    }
    let effects = answers.iter().filter(|reply| reply.is_success() && !reply.replayed()).count();
    let state = |order: usize| {
        let id = orders[order]["order_id"].as_str().expect("one");
        second.order(&tills[order % 3], id)["state"].clone()
    };
    assert_eq!((effects, (0..12).filter(|order| state(*order) == "redeemed").count()), (5, 5));
    market.server().assert_audit_clean();
}

#[test]
fn quotas_are_forgotten_with_the_orders_of_their_campaign() {
    const END: &str = "2020-09-07T00:00:00";
    let redis = OwnRedis::start();
    let file = campaign("quota-end", 1, vouchers(), |campaign| {
        campaign["limits"] = json!([limit(json!(["category"]), "day", "max_count", 2)]);
        campaign["refund_days"] = json!(30);
    });
    let market = Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 2, None), file, 1);
    buy(&market, &market.till(), &market.shopper(), 3_000, json!({})).ok();
    let mut store =
        redis::Client::open(redis.url.as_str()).expect("an address").get_connection().expect("the store answers");
    let mut kept = || -> Vec<String> { store.keys("{i*}:c*:q*").expect("the store answers") };
    assert_eq!(kept().len(), 2, "a counter and a mark");
    market.server().set_clock(at(END) + 31 * DAY + 25 * MINUTE);
    wait_until("they are forgotten", || kept().is_empty().then_some(()));
    market.server().assert_audit_clean();
}

#[test]
fn what_ends_while_the_merchants_slot_refuses_is_told_as_it_is_and_given_back_later() {
    let redis = OwnRedis::start();
    let file = campaign("owed", 3, vouchers(), |campaign| {
        campaign["limits"] = json!([limit(json!(["merchant"]), "day", "max_count", 1)]);
    });
    let market = Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 1, None), file, 3);
    let (server, person) = (market.server(), market.shopper());
    let mut store =
        redis::Client::open(redis.url.as_str()).expect("an address").get_connection().expect("the store answers");
    let mut may = |keys: &[&str]| -> () {
        redis::cmd("ACL").arg("SETUSER").arg("default").arg(keys).query(&mut store).expect("the store answers")
    };
    for verb in ["cancel", "refund"] {
        let till = market.till();
        let sold = buy(&market, &till, &person, 3_000, json!({"capture": verb == "refund"})).ok();
        let order = sold.str("order_id");
        may(&["resetkeys", "~{s*", "~{i*", "~{r*", "~{cfg}*"]);
        match verb {
            "cancel" => server.cancel(&till, order).ok(),
            _ => server.refund(&till, order, "R1", 3_000).ok(),
        };
        may(&["allkeys"]);
        let again = || buy(&market, &till, &person, 3_000, json!({})).is_success().then_some(());
        wait_until(&format!("the cap is free again after {verb}"), again);
    }
    server.assert_audit_clean();
}

/// What cannot be given back is out of its place, so the outcome of the step is not known.
fn misplace(store: &mut redis::Connection) -> Vec<String> {
    let marks: Vec<String> = store.keys("{i*}:c*:qm:*").expect("the store answers");
    for key in &marks {
        let _: () = store.rename(key, format!("aside:{key}")).expect("the store answers");
        let _: () = store.set(key, "not a hash").expect("the store answers");
    }
    marks
}

fn put_right(store: &mut redis::Connection, marks: &[String]) {
    for key in marks {
        let _: () = store.rename(format!("aside:{key}"), key).expect("the store answers");
    }
}

#[test]
fn an_attempt_that_is_turned_away_is_told_so_and_gives_back_what_it_held() {
    let redis = OwnRedis::start();
    let file = campaign("owed-void", 3, vouchers(), |campaign| {
        campaign["limits"] = json!([
            limit(json!(["merchant"]), "day", "max_count", 1),
            limit(json!(["category"]), "day", "max_count", 1)
        ]);
        campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
    });
    let market = Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 1, None), file, 3);
    let (server, person, other) = (market.server(), market.shopper(), market.shopper());
    let connect = || redis::Client::open(redis.url.as_str()).expect("an address").get_connection();
    let mut store = connect().expect("the store answers");
    let may = |store: &mut redis::Connection, keys: &[&str]| -> () {
        redis::cmd("ACL").arg("SETUSER").arg("default").arg(keys).query(store).expect("the store answers")
    };
    let voucher = |person: &Resident| json!(market.vouchers(person, "available")[0].0);
    let without_payer = |more: Value| {
        let mut body = sale("", "", 6_000, false);
        body.as_object_mut().expect("an object").remove("pay_code");
        more.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    for (what, code) in [
        ("frozen", "merchant_frozen"),
        ("people", "vouchers_of_several_persons"),
        ("nobody", "pay_code_unknown"),
        ("another", "store_unavailable"),
    ] {
        let till = market.till();
        let freeze = |verb: &str| {
            let path = format!("/v1/merchants/{}/{verb}", till.merchant_id);
            server.office("POST", &path, Some(json!({"reason": "a test"}))).ok();
        };
        let order = new_order();
        let first = without_payer(json!({"order_id": order, "voucher_ids": [voucher(&person)]}));
        // The order itself is refused after its caps and quotas were taken: only the list of holds is closed.
        may(&mut store, &["resetkeys", "~{s*}:[^x]*", "~{m*", "~{i*", "~{r*", "~{cfg}*"]);
        let (request, _) = till.request("POST", "/v1/redemptions", &first.to_string());
        let refused = server.client.send(&request).expect("an answer");
        assert!(refused.status >= 500, "{what}: {}", refused.text());
        may(&mut store, &["allkeys"]);
        let marks = misplace(&mut store);
        assert!(!marks.is_empty(), "{what}: the attempt holds a quota");
        let repeat = match what {
            "people" => json!({"voucher_ids": [voucher(&person), voucher(&other)]}),
            "nobody" => json!({"pay_code": "nobody's"}),
            "another" => json!({"voucher_ids": [voucher(&person)], "amount": 7_000}),
            _ => json!({"voucher_ids": [voucher(&person)]}),
        };
        let mut repeat = without_payer(repeat);
        repeat["order_id"] = json!(order);
        if what == "frozen" {
            freeze("freeze");
        }
        let answer = server.redeem(&till, &repeat);
        assert_eq!((answer.code(), answer.str("outcome")), (code, "not_applied"), "{what}: {}", answer.text());
        if what == "frozen" {
            freeze("unfreeze");
        }
        put_right(&mut store, &marks);
        let again = || Some(buy(&market, &till, &person, 3_000, json!({}))).filter(|sold| sold.is_success());
        let sold = wait_until(&format!("caps and quotas are free again after {what}"), again);
        server.reverse(&till, sold.str("order_id")).ok();
    }
    server.assert_audit_clean();
}
