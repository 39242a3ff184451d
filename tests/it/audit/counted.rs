//! Caps, quotas, marks and goods that were changed by hand, beside the orders and reservations that they count.

use redis::Commands;
use rmpv::Value as Packed;
use serde_json::json;

use super::Books;
use super::plant::{items, packed, part, unpacked};
use crate::harness::fixture::{Market, Round, SECOND, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::redis::OwnRedis;

type Plant = (&'static str, fn(&mut redis::Connection));

const PLANTS: &[Plant] = &[
    ("a cap counts one more", |store| {
        let field = cap(store);
        let _: i64 = store.hincr("{m000}:h", field, 1).unwrap();
    }),
    ("a live order holds nothing of its cap", |store| {
        let field = cap(store);
        change(store, "{m000}:d:*", holds, |entry| items(entry)[4] = 0.into());
        let _: i64 = store.hincr("{m000}:h", field, -1).unwrap();
    }),
    ("an order that is over holds a cap", |store| {
        let field = cap(store);
        let held = Packed::Array(vec![Packed::Array(vec![field.as_str().into(), 1.into()])]);
        change(store, "{m000}:d:*", |entry| !holds(entry), |entry| items(entry)[4] = held.clone());
        let _: i64 = store.hincr("{m000}:h", field, 1).unwrap();
    }),
    ("a quota of orders counts one less", |store| {
        let (key, field) = quota(store, 2);
        let _: i64 = store.hincr(key, field, -1).unwrap();
    }),
    ("a quota of reservations counts one more", |store| {
        let (key, field) = quota(store, 3);
        let _: i64 = store.hincr(key, field, 1).unwrap();
    }),
    ("the mark of a live order is lost", |store| {
        let (key, field, _) =
            pick(store, "{i000}:c*:qm:*", |mark| mark.as_array().unwrap().len() == 3 && held(mark) > 0);
        let _: i64 = store.hdel(key, field).unwrap();
    }),
    ("a mark is of a reservation that is not there", |store| {
        let (key, mut field, _) = pick(store, "{i000}:c*:qm:*", |mark| mark.as_array().unwrap().len() == 4);
        // The first four bytes choose the bucket.
        field[8] ^= 0xff;
        let _: i64 = store.hset(key, field, packed(&Packed::Array(vec![1.into(), 1.into()]))).unwrap();
        let (key, field) = quota(store, 3);
        let _: i64 = store.hincr(key, field, 1).unwrap();
    }),
    ("the mark of a reservation is lost", |store| {
        let (key, field, _) = pick(store, "{i000}:c*:qm:*", |mark| mark.as_array().unwrap().len() == 4);
        let _: i64 = store.hdel(key, field).unwrap();
        let (key, field) = quota(store, 3);
        let _: i64 = store.hincr(key, field, -1).unwrap();
    }),
    ("a refund that was booked is not counted", |store| {
        let (key, field) = refunded(store);
        let _: i64 = store.hdel(key, field).unwrap();
        let (key, field) = quota(store, 4);
        let _: i64 = store.hincr(key, field, -1).unwrap();
    }),
    ("a refund that was booked is counted twice", |store| {
        let (key, field) = refunded(store);
        let twice = Packed::Array([1, 2, 1].map(Packed::from).to_vec());
        let _: i64 = store.hset(key, field, packed(&twice)).unwrap();
        let (key, field) = quota(store, 4);
        let _: i64 = store.hincr(key, field, 1).unwrap();
    }),
    ("a refund that was never booked is counted", |store| {
        let (key, mut field) = refunded(store);
        // The next one of the order.
        field[13] += 1;
        let once = Packed::Array([1, 1, 1].map(Packed::from).to_vec());
        let _: i64 = store.hset(key, field, packed(&once)).unwrap();
        let (key, field) = quota(store, 4);
        let _: i64 = store.hincr(key, field, 1).unwrap();
    }),
    ("a piece is marked with another order", |store| {
        let keys: Vec<String> = store.keys("{i000}:c*:sn:*").unwrap();
        let pieces: Vec<(Vec<u8>, Vec<u8>)> = store.hgetall(&keys[0]).unwrap();
        let (serial, mut holder) = pieces[0].clone();
        holder[3] ^= 0xff;
        let _: i64 = store.hset(&keys[0], serial, holder).unwrap();
    }),
    ("goods cost a fen more", |store| {
        let first = |bought: &mut Packed| items(&mut items(part(bought, 1))[0])[2] = 3_001.into();
        change(store, "{s000}:b:*", |_| true, first);
    }),
    ("goods lie beside no order", |store| {
        let (key, mut field, bought) = pick(store, "{s000}:b:*", |_| true);
        // The first two bytes choose the bucket.
        field[11] ^= 0xff;
        let _: i64 = store.hset(key, field, packed(&bought)).unwrap();
    }),
];

#[test]
fn what_is_counted_otherwise_than_it_is_held_is_one_finding_each() {
    let mut books = kept();
    let clean = books.dump();
    books.assert_finds(0, "nothing was planted");
    for (name, plant) in PLANTS {
        plant(&mut books.connection);
        books.assert_finds(1, name);
        books.restore(&clean);
    }
    books.assert_finds(0, "everything was mended");
}

/// Live orders and one that is over, all of goods, in a campaign with a cap, quotas at the till and of refunds, and one of its reservations.
fn kept() -> Books {
    let redis = OwnRedis::start();
    let mut file = chengdu(&new_campaign_id("counted"), 2);
    file["limits"] = json!([
        {"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": 9},
        {"action": "redeem", "entities": ["category"], "period": "day", "max_count": 9},
        {"action": "reserve", "entities": ["channel"], "period": "day", "max_count": 9},
        {"action": "refund", "entities": ["channel"], "period": "day", "max_count": 9},
    ]);
    file["packs"][0]["vouchers"] = json!([
        {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 3},
        {"voucher_kind": "15-off", "kind": "percent", "discount_basis_points": 1_500, "discount_amount_max": 5_000,
            "count": 1, "unique_serial": true},
    ]);
    let market = Market::open_on(redis.node("2020-07-12T12:00:00+08:00", 1, None), file, 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    server.set_clock(at("2020-07-25T12:00:00") + SECOND);
    let sell = |capture: bool, item: serde_json::Value| {
        let mut body = sale(&new_order(), &server.pay_code(&person), item["amount"].as_i64().expect("fen"), capture);
        body["items"] = json!([item]);
        server.redeem(&till, &body).ok()
    };
    let rice = || json!({"sku": "rice", "quantity": 3, "amount": 3_000, "category": "catering"});
    server.refund(&till, sell(true, rice()).str("order_id"), "R1", 1_000).ok();
    server.cancel(&till, sell(false, rice()).str("order_id")).ok();
    sell(true, json!({"sku": "kettle", "amount": 2_000, "category": "catering", "serial": "SN-1"}));
    server.assert_audit_clean();
    let connection = redis::Client::open(redis.url.as_str()).expect("an address");
    let connection = connection.get_connection().expect("the store answers");
    let Market { round: Round { server, .. }, .. } = market;
    let books = Books { server, redis, connection };
    books.server.stop();
    books
}

/// The one cap that is counted.
fn cap(store: &mut redis::Connection) -> String {
    let fields: Vec<String> = store.hkeys("{m000}:h").unwrap();
    fields.into_iter().find(|field| field.starts_with("u:")).expect("a cap")
}

/// The quota by the length of its entry in `limits`: its name begins with campaign and number of the limit.
fn quota(store: &mut redis::Connection, limit: usize) -> (String, String) {
    let keys: Vec<String> = store.keys("{i000}:c*:q:*").unwrap();
    let of = |key: &String, store: &mut redis::Connection| -> Vec<String> { store.hkeys(key).unwrap() };
    let number = (limit - 1).to_string();
    let found = keys.iter().find_map(|key| {
        let field = of(key, store).into_iter().find(|name| name.split(':').nth(1) == Some(number.as_str()));
        field.map(|field| (key.clone(), field))
    });
    found.expect("a quota")
}

/// The mark of the one refund: order, number and digest.
fn refunded(store: &mut redis::Connection) -> (String, Vec<u8>) {
    let keys: Vec<String> = store.keys("{i000}:c*:qm:*").unwrap();
    let mut marks = Vec::new();
    for key in keys {
        let fields: Vec<Vec<u8>> = store.hkeys(&key).unwrap();
        marks.extend(fields.into_iter().map(|field| (key.clone(), field)));
    }
    marks.into_iter().find(|(_, field)| field.len() == 20 && field[12] == b'r').expect("a refund that is counted")
}

fn holds(entry: &Packed) -> bool {
    entry.as_array().unwrap()[4].as_array().is_some_and(|caps| !caps.is_empty())
}

fn held(mark: &Packed) -> i64 {
    mark.as_array().unwrap()[1].as_i64().unwrap()
}

fn pick(store: &mut redis::Connection, pattern: &str, fits: impl Fn(&Packed) -> bool) -> (String, Vec<u8>, Packed) {
    let keys: Vec<String> = store.keys(pattern).unwrap();
    let mut all = Vec::new();
    for key in keys {
        let records: Vec<(Vec<u8>, Vec<u8>)> = store.hgetall(&key).unwrap();
        all.extend(records.into_iter().map(|(field, value)| (key.clone(), field, unpacked(&value))));
    }
    all.into_iter().find(|(_, _, value)| fits(value)).expect("a record to spoil")
}

fn change(store: &mut redis::Connection, pattern: &str, fits: impl Fn(&Packed) -> bool, change: impl Fn(&mut Packed)) {
    let (key, field, mut value) = pick(store, pattern, fits);
    change(&mut value);
    let _: i64 = store.hset(key, field, packed(&value)).unwrap();
}
