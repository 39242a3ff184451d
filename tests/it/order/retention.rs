//! Orders are remembered to the end of campaign and refund window, and forgotten then; the books do not feel it.

use quanyu::store::script::ORDER_REPLAN;
use redis::Commands;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, MINUTE, Market, Round, at, chengdu, new_campaign_id, new_order, new_till, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, wait_until};

const EVE: &str = "2020-07-12T12:00:00+08:00";
/// Order buckets of a shard.
const BUCKETS: u16 = 16_384;
/// Thirty days of refunds and a day of reverses after the last hold, which may be confirmed late.
const KEPT: i64 = 31 * DAY + 25 * MINUTE;

fn campaign(name: &str, people: i64, end: &str) -> Value {
    let mut campaign = chengdu(&new_campaign_id(name), people);
    campaign["refund_days"] = json!(30);
    campaign["validity"]["available_end_time"] = json!(format!("{end}+08:00"));
    campaign["merchant_enrolment"]["closes_at"] = json!(format!("{end}+08:00"));
    campaign["use_rule"]["combine_with_campaigns"] = json!(true);
    campaign["use_rule"]["max_vouchers_per_payment"] = json!(2);
    campaign
}

/// What the store remembers: records of orders, and entries of directories.
fn remembered(store: &mut redis::Connection) -> [usize; 2] {
    ["{s*}:o:*", "{m*}:d:*"].map(|pattern| {
        let keys: Vec<String> = store.keys(pattern).expect("the store answers");
        keys.iter().map(|key| store.hlen::<_, usize>(key).expect("a hash")).sum()
    })
}

/// Orders of which the store remembers what was bought.
fn goods_of(store: &mut redis::Connection) -> usize {
    let keys: Vec<String> = store.keys("{s*}:b:*").expect("the store answers");
    keys.iter().map(|key| store.hlen::<_, usize>(key).expect("a hash")).sum()
}

/// What the store remembers of merchants' caps.
fn caps(store: &mut redis::Connection) -> Vec<i64> {
    let headers: Vec<String> = store.keys("{m*}:h").expect("the store answers");
    let fields = |key| -> Vec<(String, redis::Value)> { store.hgetall(key).expect("a hash") };
    let all = headers.into_iter().flat_map(fields);
    let counters = all.filter(|(name, _)| name.starts_with("u:"));
    counters.map(|(_, value)| redis::from_redis_value(value).expect("a number")).collect()
}

fn connected(redis: &OwnRedis) -> redis::Connection {
    redis::Client::open(redis.url.as_str()).expect("an address").get_connection().expect("the store answers")
}

#[test]
fn an_order_is_remembered_to_the_end_of_campaign_and_refund_window_and_then_forgotten() {
    const END: &str = "2020-09-07T00:00:00";
    let redis = OwnRedis::start();
    let [server, other] = redis.nodes_with(EVE, 2);
    let mut store = connected(&redis);
    let mut file = campaign("kept", 5, END);
    file["limits"] = json!([{"action": "redeem", "entities": ["merchant"], "period": "day", "max_count": 9}]);
    let market = Market::open_on(server, file, 5);
    let (server, till, elsewhere) = (market.server(), market.till(), market.till());
    let sell_at = |till: &Till, amount, capture| {
        let person = market.shopper();
        server.redeem(till, &sale(&new_order(), &server.pay_code(&person), amount, capture))
    };
    let sell = |amount, capture| sell_at(&till, amount, capture);
    let (used, cancelled, lapsed, undone) = (
        sell(6_000, true).ok(),
        sell(6_000, false).ok(),
        sell(6_000, false).ok(),
        sell_at(&elsewhere, 6_000, true).ok(),
    );
    server.cancel(&till, cancelled.str("order_id")).ok();
    server.reverse(&elsewhere, undone.str("order_id")).ok();
    let unseen = new_order();
    server.reverse(&till, &unseen).ok();
    sell(2_999, true).refused(422, "minimum_not_met");
    server.set_clock(at("2020-07-25T13:00:00"));
    assert_eq!(server.order(&till, lapsed.str("order_id")).ok().str("state"), "expired");
    assert_eq!(remembered(&mut store), [4, 5]);
    assert_eq!(goods_of(&mut store), 0, "without items there is nothing to remember of them");

    server.set_clock(at(END) + KEPT - 1);
    let order = used.str("order_id");
    assert_eq!(server.order(&till, order).ok().str("state"), "redeemed");
    server.refund(&till, order, "R1", 1).refused(409, "refund_window_closed");
    assert_eq!(server.reverse(&till, &unseen).ok().str("was"), "unknown");
    assert_eq!(remembered(&mut store), [4, 5]);
    assert_eq!(caps(&mut store), [1], "a cap of which nobody holds anything is gone");
    let books = server.ledger(market.campaign())["total"].clone();

    server.set_clock(at(END) + KEPT);
    wait_until("what is over is forgotten", || (remembered(&mut store) == [0, 0]).then_some(()));
    assert_eq!(caps(&mut store), [0; 0]);
    server.order(&till, order).refused(404, "order_not_found");
    server.refund(&till, order, "R1", 1).refused(404, "order_not_found");
    assert_eq!(server.ledger(market.campaign())["total"], books);
    server.assert_audit_clean();
    other.assert_audit_clean();
}

/// Where an order lies: its bucket, and its field there.
fn place_of(till: &Till, order: &str) -> (u16, [u8; 12]) {
    let digest = Sha256::new().chain_update(&till.merchant_id).chain_update([0]).chain_update(order).finalize();
    let field: [u8; 12] = std::array::from_fn(|at| digest[at]);
    (u16::from_be_bytes([field[0], field[1]]) % BUCKETS, field)
}

#[test]
fn a_walk_goes_on_where_another_stopped_and_the_next_takes_what_was_left() {
    const END: &str = "2020-09-07T00:00:00";
    let redis = OwnRedis::start();
    let mut store = connected(&redis);
    let market = Market::open_on(redis.node(EVE, 1, None), campaign("walk", 4, END), 4);
    let (server, till) = (market.server(), market.till());
    let mut orders = Vec::new();
    for person in (0..4).map(|_| market.shopper()) {
        for amount in [3_000, 6_000] {
            orders.push(new_order());
            let mut body = sale(&orders[orders.len() - 1], &server.pay_code(&person), amount, true);
            body["items"] = json!([{"sku": "a", "quantity": 3, "amount": amount}]);
            server.redeem(&till, &body).ok();
            server.refund_items(&till, &orders[orders.len() - 1], "R1", json!([{"sku": "a"}]), None).ok();
        }
    }
    assert_eq!(goods_of(&mut store), 8);
    let known = || -> Vec<&String> { orders.iter().filter(|order| server.order(&till, order).status == 200).collect() };
    // The first walk over the buckets has done their first half.
    store.hset::<_, _, _, ()>("{s000}:h", "cur:o", i64::from(BUCKETS + BUCKETS / 2)).expect("the store answers");
    let passed: Vec<&String> = orders.iter().filter(|order| place_of(&till, order).0 < BUCKETS / 2).collect();
    server.set_clock(at(END) + KEPT);
    let walked = |store: &mut redis::Connection| -> i64 { store.hget("{s000}:h", "cur:o").expect("the cursor") };
    wait_until("the walk is over", || (walked(&mut store) == 2 * i64::from(BUCKETS)).then_some(()));
    assert_eq!(known(), passed);
    assert_eq!(goods_of(&mut store), passed.len(), "goods go with their orders");
    server.assert_audit_clean();
    server.set_clock(at(END) + KEPT + 30 * DAY);
    wait_until("the next walk is over", || (walked(&mut store) == 3 * i64::from(BUCKETS)).then_some(()));
    assert_eq!((known().len(), remembered(&mut store), goods_of(&mut store)), (0, [0, 0], 0));
    server.assert_audit_clean();
}

/// Two campaigns of one server, whose people have a pack of each; the second goes on to the end of the year.
struct Pair {
    round: Round,
    longer: String,
    till: Till,
    redis: OwnRedis,
}

impl Pair {
    fn open() -> Pair {
        let redis = OwnRedis::start();
        let round = Round::reserved_on(redis.node(EVE, 1, None), campaign("short", 1, "2020-09-07T00:00:00"), 1);
        let longer = campaign("long", 1, "2021-01-01T00:00:00");
        let server = &round.server;
        server.create_campaign(&longer).ok();
        let longer = longer["campaign_id"].as_str().expect("an id").to_string();
        server.publish(&longer);
        server.reserve(&longer, &round.people[0]).ok();
        round.everybody_credited();
        wait_until("the second pack is there", || {
            (round.server.vouchers(&longer, &round.people[0]).len() == 6).then_some(())
        });
        let till = new_till(&round.server, &round.campaign);
        round.server.enrol(&longer, &till.merchant_id);
        Pair { round, longer, till, redis }
    }

    fn server(&self) -> &Server {
        &self.round.server
    }

    fn voucher(&self, campaign: &str, kind: &str) -> String {
        let all = self.server().vouchers(campaign, &self.round.people[0]);
        all.into_iter().find(|one| one.1 == kind && one.2 == "available").expect("one is left").0
    }

    fn sell(&self, order: &str, vouchers: &[String]) -> Reply {
        let body = json!({"order_id": order, "voucher_ids": vouchers, "amount": 12_000, "merchant_discount": 0,
            "category": "catering", "capture": true});
        self.server().redeem(&self.till, &body)
    }

    fn is_known(&self, order: &str) -> bool {
        self.server().order(&self.till, order).status == 200
    }

    /// What `quanyu audit` finds, one a line.
    fn findings(&self) -> Vec<Value> {
        let output = self.server().command(&["audit", "--json"]);
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[test]
fn the_last_campaign_of_an_order_decides_and_the_audit_finds_one_that_is_missing_too_early() {
    let pair = Pair::open();
    let (server, till) = (pair.server(), &pair.till);
    let [short, long, both] = [new_order(), new_order(), new_order()];
    pair.sell(&short, &[pair.voucher(&pair.round.campaign, "30-10")]).ok();
    pair.sell(&long, &[pair.voucher(&pair.longer, "30-10")]).ok();
    server.set_clock(at("2020-07-26T12:00:00"));
    let of_each = [pair.voucher(&pair.round.campaign, "60-20"), pair.voucher(&pair.longer, "60-20")];
    assert_eq!(pair.sell(&both, &of_each).ok().int("discount_amount"), 4_000);

    server.set_clock(at("2020-09-07T00:00:00") + KEPT);
    wait_until("the short campaign's order is forgotten", || (!pair.is_known(&short)).then_some(()));
    let mut store = connected(&pair.redis);
    wait_until("its entry went with it", || (remembered(&mut store) == [2, 2]).then_some(()));
    assert!(pair.is_known(&long) && pair.is_known(&both));
    assert_eq!(pair.findings(), [json!(null); 0]);

    // The name is free again: another order may bear it.
    pair.sell(&short, &[pair.voucher(&pair.longer, "30-10")]).ok();
    assert_eq!(pair.findings(), [json!(null); 0]);

    let (bucket, field) = place_of(till, &both);
    let bucket = format!("{{s000}}:o:{bucket}");
    let record: Vec<u8> = store.hget(&bucket, &field).expect("the record");
    assert_eq!(store.hdel::<_, _, usize>(&bucket, &field).expect("the store answers"), 1);
    let found = pair.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["subject"].as_str().is_some_and(|subject| subject.contains(&hex::encode(field))), "{found:?}");
    store.hset::<_, _, _, ()>(&bucket, &field, record).expect("the store answers");

    server.set_clock(at("2021-01-01T00:00:00") + KEPT);
    wait_until("all are forgotten", || (remembered(&mut store) == [0, 0]).then_some(()));
    assert_eq!(pair.findings(), [json!(null); 0]);
}

/// Numbers, texts and lists of them, as the store packs them.
fn packed(value: Value) -> Vec<u8> {
    rmp_serde::to_vec(&value).expect("writing to memory cannot fail")
}

#[test]
fn a_name_that_came_back_on_another_shard_is_not_moved_on_by_a_request_of_before() {
    let redis = OwnRedis::start();
    let mut store = connected(&redis);
    let (order, fingerprint, keys) = ("of a till's", "8 bytes.", ["{m000}:h", "{m000}:l", "{m000}:d:0"]);
    let entry = |attempt: i64, shard: i64| packed(json!([1, attempt, shard, fingerprint, []]));
    for (void_on, after) in [(2, entry(1, 3)), (3, entry(2, 5))] {
        store.hset::<_, _, _, ()>(keys[2], order, entry(1, 3)).expect("the store answers");
        let member = packed(json!([[3], order, "merchant", 1, void_on, fingerprint, 5, 0]));
        let script = redis::Script::new(ORDER_REPLAN.text);
        let mut call = script.arg(packed(json!([0, 0, [], []])));
        call.arg(member);
        for key in keys {
            call.key(key);
        }
        let _: redis::Value = call.invoke(&mut store).expect("the script answers");
        let found: Vec<u8> = store.hget(keys[2], order).expect("an entry");
        assert_eq!(found, after, "void on shard {void_on}");
    }
}
