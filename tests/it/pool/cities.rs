//! The pool as cities have run it, from their own files with small numbers.

use serde_json::{Value, json};

use super::{assert_balanced, verified};
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{DAY, MINUTE, at, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server};

fn file_of(city: &str, change: impl FnOnce(&mut Value)) -> Value {
    let path = format!("{}/deploy/campaigns/{city}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the city's file");
    let mut file: Value = serde_json::from_str(&text).expect("the file is JSON");
    file["campaign_id"] = json!(new_campaign_id(city));
    change(&mut file);
    file
}

struct City {
    server: Server,
    campaign: String,
}

impl City {
    fn open(file: &Value, eve: &str) -> City {
        let server = Server::start(Options { shards: 3, ..Options::at(eve) });
        server.create_campaign(file).ok();
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        server.publish(&campaign);
        City { server, campaign }
    }

    fn go(&self, local: &str) {
        self.server.set_clock(at(local));
        assert_balanced(&self.ledger());
    }

    fn ledger(&self) -> Value {
        self.server.ledger(&self.campaign)
    }

    fn path(&self, round: &str, what: &str) -> String {
        format!("/v1/campaigns/{}/rounds/{round}/{what}", self.campaign)
    }

    /// A tap of a first-come round without reservation, for one of its packs.
    fn tap(&self, round: &str, person: &Resident, pack_id: &str) -> Reply {
        let pass = self.server.resident(person, "POST", &self.path(round, "passes"), None).ok();
        let request = Request::new("POST", &self.path(round, "claims")).bearer(pass.str("pass"));
        self.server.send(&request.json(&json!({"pack_id": pack_id})))
    }

    fn remaining(&self, round: usize) -> i64 {
        self.server.stats(&self.campaign)["rounds"][round]["remaining"].as_i64().expect("a number")
    }
}

fn pool(ledger: &Value) -> i64 {
    ledger["pools"][1]["amount"].as_i64().expect("an amount")
}

/// Shijingshan 2025 (F5): one of each face for a person and round, and what is left buys the faces of the next round.
#[test]
fn shijingshans_faces_come_back_as_the_faces_of_the_next_round() {
    let file = file_of("shijingshan-2025", |file| {
        file["budget"] = json!(100_000);
        file["rounds"][0]["money"]["amount"] = json!(100_000);
    });
    let city = City::open(&file, "2025-12-27T12:00:00+08:00");
    let merchant = new_merchant_id();
    let mut shop = crate::harness::fixture::merchant(&merchant);
    for field in ["registered_district", "operating_district"] {
        shop[field] = json!("110107");
    }
    shop["stores"][0]["district"] = json!("110107");
    city.server.create_merchant(&shop).ok();
    city.server.enrol(&city.campaign, &merchant);
    let till = city.server.create_terminal(&merchant, "t1");

    // 4:3:2:1 of 1,000 yuan are 20 packs of 20, 7 of 40, 2 of 80 and none of 120; 160 yuan stay in the pool.
    city.go("2025-12-28T10:00:00");
    assert_eq!((city.remaining(0), pool(&city.ledger())), (29, 16_000));
    let people: Vec<Resident> = (0..4).map(|_| Resident::new().through("alipay")).collect();
    let outcomes = |round: &str, pack: &str| -> Vec<String> {
        people.iter().map(|person| city.tap(round, person, pack).ok().str("outcome").to_string()).collect()
    };
    assert_eq!(outcomes("r1", "f20"), ["won", "won", "won", "won"]);
    assert_eq!(outcomes("r1", "f80"), ["won", "won", "sold_out", "sold_out"]);
    assert_eq!(outcomes("r1", "f120"), ["sold_out"; 4]);
    assert_eq!(outcomes("r1", "f20"), ["won"; 4], "the same pack again");
    let order = new_order();
    let code = city.server.pay_code(&people[0]);
    let sold = city.server.redeem(&till, &sale(&order, &code, 20_000, true)).ok();
    assert_eq!(sold.int("discount_amount"), 8_000);
    city.server.refund(&till, &order, "R1", 5_000).ok();

    // Redeemed 80 less 20 of the refund; all else of the round has flowed on at midnight.
    city.go("2026-01-04T00:00:00");
    assert_eq!((city.ledger()["rounds"][0]["budget"].clone(), pool(&city.ledger())), (json!(6_000), 94_000));
    city.server.refund(&till, &order, "R2", 5_000).ok();
    city.server.set_clock(at("2026-01-04T00:00:00") + 2 * MINUTE);
    assert_eq!(pool(&city.ledger()), 96_000, "a late refund follows");
    // 384, 288, 192 and 96 yuan: 19 of 20, 7 of 40, 2 of 80, none of 120.
    city.go("2026-01-04T10:00:00");
    assert_eq!((city.remaining(1), pool(&city.ledger())), (28, 96_000 - 38_000 - 28_000 - 16_000));
    assert_eq!(outcomes("r2", "f40"), ["won"; 4]);
    city.server.set_clock(at("2026-01-11T00:00:00") + DAY);
    let ledger = city.ledger();
    assert_balanced(&ledger);
    assert_eq!(ledger["rounds"][1]["expired"], 16_000, "what the last round leaves stays where it is");
    city.server.assert_audit_clean();
}

/// Shanghai 2025 (F4): tiers by choice, drawn apart in equal thirds; the second month lives on what the first left.
#[test]
fn shanghais_second_month_is_divided_by_tier_and_channel_from_the_pool() {
    let file = file_of("shanghai-2025", |file| {
        file["budget"] = json!(1_000_000);
        for (pack, count) in [("a", 9), ("b", 3), ("c", 3)] {
            file["rounds"][0]["packs"][pack]["count"] = json!(count);
        }
        for round in 0..2 {
            file["rounds"][round]["draw"]["entropy"] = json!(["operator"]);
        }
        file["eligibility"].as_object_mut().expect("terms").remove("location");
    });
    let city = City::open(&file, "2025-02-21T12:00:00+08:00");
    let reserve = |channel: &str, pack: &str| {
        let person = Resident::new().through(channel);
        city.server.reserve_with(&city.campaign, &person, json!({"pack_id": pack})).ok();
    };
    city.go("2025-02-22T09:00:00");
    for (channel, pack) in [("wechat", "a"), ("wechat", "c"), ("wechat", "c"), ("alipay", "b"), ("unionpay", "a")] {
        reserve(channel, pack);
    }
    // One c of wechat goes to one of two; everybody else is alone in a third. What nobody got of 255,000 goes back.
    city.go("2025-02-28T12:00:00");
    let ledger = city.ledger();
    assert_eq!(ledger["rounds"][0]["outstanding"], 2 * 9_000 + 18_000 + 40_000);
    assert_eq!(pool(&ledger), 255_000 - 76_000);
    // 179,000: thirds of 59,666; of each 17,899 for a, 17,899 for b, 23,866 for c: one pack of 90 yuan each, and no other.
    city.go("2025-03-22T09:00:00");
    for (channel, pack) in [("wechat", "a"), ("wechat", "a"), ("alipay", "a"), ("alipay", "c")] {
        reserve(channel, pack);
    }
    city.go("2025-03-31T12:00:00");
    let ledger = city.ledger();
    let of_channel = |channel: usize| ledger["channels"][channel]["outstanding"].as_i64().expect("an amount");
    assert_eq!(ledger["rounds"][1]["outstanding"], 18_000, "one a of wechat, one of alipay");
    assert_eq!(ledger["rounds"][1]["unissued"], 9_000, "nobody of unionpay");
    assert_eq!((of_channel(0), of_channel(1), of_channel(2)), (9_000, 27_000, 58_000));
    assert_eq!(pool(&ledger), 179_000 - 27_000);
    city.server.set_clock(at("2025-05-02T00:00:00"));
    let ledger = city.ledger();
    assert_balanced(&ledger);
    assert_eq!((pool(&ledger), ledger["rounds"][1]["expired"].clone()), (152_000 + 76_000, json!(18_000)));
    city.server.assert_audit_clean();
    let verified = verified(&city.server, &city.campaign, "r2");
    assert!(verified.contains("supply=proof"), "{verified}");
}
