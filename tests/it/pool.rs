//! Money that nobody used: it flows into the pool and into later rounds, and no fen is lost or spent twice on the way.

mod chance;
mod cities;
mod late;

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::fixture::{DAY, HOUR, SECOND, at, chengdu, new_campaign_id, new_order, new_till, sale, text_of};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Scratch, Server, wait_until};

/// Reservation of the first round opens; every round takes a week and looks like the others.
const FIRST: &str = "2020-07-13T00:00:00";
const EVE: &str = "2020-07-12T12:00:00+08:00";
const WEEK: i64 = 7 * DAY;
const PACK: i64 = 2000;

/// Weekly ballots of one kind of pack: reservation on Monday morning, the draw at 13:00, the credit at 14:00, valid until the next Monday.
fn weekly(name: &str, supplies: &[Value]) -> Value {
    let mut campaign = chengdu(&new_campaign_id(name), 1);
    let round = |index: usize, supply: &Value| {
        let hour = |hours: i64| json!(text_of(at(FIRST) + index as i64 * WEEK + hours * HOUR));
        let mut round = json!({
            "round_id": format!("r{}", index + 1), "mode": "ballot",
            "reservation": {"opens_at": hour(0), "closes_at": hour(12), "duplicates": "reject"},
            "draw": {"at": hour(13), "entropy": ["operator"]}, "credit_at": hour(14), "max_packs_per_person": 1,
            "validity": {"available_begin_time": hour(14), "available_end_time": hour(7 * 24)}});
        let (kind, supply) = if supply.get("amount").is_some() { ("money", supply) } else { ("packs", supply) };
        round[kind] = supply.clone();
        round
    };
    campaign["packs"] = json!([{"pack_id": "p20", "vouchers": [
        {"voucher_kind": "50-20", "transaction_minimum": 5000, "discount_amount": PACK, "count": 1}]}]);
    campaign["rounds"] = supplies.iter().enumerate().map(|(index, supply)| round(index, supply)).collect();
    for field in ["reservation", "validity"] {
        campaign.as_object_mut().expect("a file").remove(field);
    }
    campaign["limits"] = json!([]);
    campaign["budget"] = json!(20_000);
    campaign["carry_over"] = json!("pool");
    campaign["carry_over_sources"] = json!(["unissued", "expired", "refunded"]);
    campaign["merchant_enrolment"] = json!({});
    campaign
}

fn money(amount: Value) -> Value {
    json!({"amount": amount, "weights": {"p20": 1}})
}

/// A published campaign of weekly rounds and a till; people come and go.
struct Weeks {
    server: Server,
    campaign: String,
    till: Till,
}

/// One person's voucher at the till: the order that used it.
struct Sale {
    order: String,
}

impl Weeks {
    fn open(campaign: &Value) -> Weeks {
        Weeks::open_on(Server::at(EVE), campaign)
    }

    fn open_on(server: Server, campaign: &Value) -> Weeks {
        let id = campaign["campaign_id"].as_str().expect("an id").to_string();
        server.create_campaign(campaign).ok();
        server.publish(&id);
        let till = new_till(&server, &id);
        Weeks { server, campaign: id, till }
    }

    /// Hours after the round's Monday began. What is due has been done when this returns.
    fn go(&self, week: i64, hours: i64) {
        self.server.set_clock(at(FIRST) + week * WEEK + hours * HOUR);
        self.assert_balanced();
    }

    /// That many people reserve in a round, and it is drawn and credited.
    fn play(&self, week: i64, people: usize) -> Vec<Resident> {
        self.go(week, 9);
        let people = Resident::many(people);
        for person in &people {
            self.server.reserve(&self.campaign, person).ok();
        }
        self.go(week, 13);
        self.go(week, 15);
        people
    }

    /// The first of these who has a voucher that can be used spends it.
    fn spend(&self, people: &[Resident]) -> Sale {
        let usable = |person: &&Resident| {
            let vouchers = self.server.vouchers(&self.campaign, person);
            vouchers.iter().any(|voucher| voucher.2 == "available")
        };
        let person = people.iter().find(usable).expect("somebody has a voucher");
        let order = new_order();
        self.server.redeem(&self.till, &sale(&order, &self.server.pay_code(person), 5000, true)).ok();
        Sale { order }
    }

    fn refund(&self, sale: &Sale, id: &str, amount: i64) {
        self.server.refund(&self.till, &sale.order, id, amount).ok();
        self.assert_balanced();
    }

    fn ledger(&self) -> Value {
        self.server.ledger(&self.campaign)
    }

    /// What a round has, or the whole campaign: `account` of round 0, 1, ...
    fn round(&self, round: usize, account: &str) -> i64 {
        self.ledger()["rounds"][round][account].as_i64().expect("an amount")
    }

    fn pool(&self) -> i64 {
        let ledger = self.ledger();
        let pools = ledger["pools"].as_array().expect("pools");
        let pool = pools.iter().find(|pool| pool["pool"] == "pool").expect("the pool");
        pool["amount"].as_i64().expect("an amount")
    }

    fn remaining(&self, round: usize) -> i64 {
        self.server.stats(&self.campaign)["rounds"][round]["remaining"].as_i64().expect("a number")
    }

    #[track_caller]
    fn assert_balanced(&self) {
        assert_balanced(&self.ledger());
    }
}

/// The identity in total, by round, channel and pack, and the pools as parts of what is unallocated.
#[track_caller]
pub fn assert_balanced(ledger: &Value) {
    let fen = |part: &Value, account: &str| part[account].as_i64().unwrap_or_else(|| panic!("no {account}: {part}"));
    let accounts = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];
    let lists = ["rounds", "channels", "packs"].map(|list| ledger[list].as_array().expect("a list"));
    for part in std::iter::once(&ledger["total"]).chain(lists.into_iter().flatten()) {
        let sum: i64 = accounts.iter().map(|account| fen(part, account)).sum();
        assert_eq!(sum, fen(part, "budget"), "{part} in {ledger}");
        assert!(accounts.iter().all(|account| fen(part, account) >= 0), "{part} in {ledger}");
    }
    let pools = ledger["pools"].as_array().expect("a list");
    let amounts: i64 = pools.iter().map(|pool| fen(pool, "amount")).sum();
    assert_eq!(amounts, fen(&ledger["total"], "unallocated"), "{ledger}");
    for pool in pools {
        assert_eq!(fen(pool, "amount"), fen(pool, "received") - fen(pool, "taken"), "{ledger}");
        assert!(fen(pool, "amount") >= 0, "{ledger}");
    }
    let rounds: i64 = lists[0].iter().map(|round| fen(round, "budget")).sum();
    assert_eq!(rounds + amounts, fen(&ledger["total"], "budget"), "{ledger}");
}

/// What `verify-draw` says of a round's published files.
#[track_caller]
fn verified(server: &Server, campaign: &str, round: &str) -> String {
    let scratch = Scratch::new("quanyu-pool-proof");
    for name in ["commitment.json", "proof.json", "entries.ndjson", "winners.ndjson"] {
        let what = name.split('.').next().expect("a name");
        let text = server.office("GET", &format!("/v1/campaigns/{campaign}/rounds/{round}/{what}"), None).ok().text();
        std::fs::write(scratch.path.join(name), text).expect("the file is kept");
    }
    let folder: &Path = &scratch.path;
    let output = std::process::Command::new(crate::harness::program()).arg("verify-draw").arg(folder).output();
    let output = output.expect("the program can be run");
    let text = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn unspent_money_of_each_round_buys_the_packs_of_the_next() {
    let mut campaign = weekly("weeks", &[money(json!(10_500)), money(json!("pool")), money(json!("pool"))]);
    campaign["expired_refund_to"] = json!("pool");
    let weeks = Weeks::open(&campaign);
    assert_eq!(weeks.round(0, "budget"), 10_500, "undivided money is the round's");
    // Five packs for 10,500; three people, so two packs go back with the 500 that buy no pack.
    let people = weeks.play(0, 3);
    assert_eq!((weeks.pool(), weeks.round(0, "budget"), weeks.remaining(0)), (4_500, 6_000, 0));
    // One voucher is used, one is used and half refunded, one expires.
    let first = weeks.spend(&people);
    let second = weeks.spend(&people);
    weeks.refund(&second, "R1", 2_500);
    assert_eq!((weeks.round(0, "redeemed"), weeks.round(0, "recovered")), (3_000, 1_000));
    assert_eq!(weeks.pool(), 4_500, "a full refund could still take it back");
    weeks.go(1, 0);
    assert_eq!((weeks.round(0, "expired"), weeks.round(0, "recovered"), weeks.pool()), (0, 0, 7_500));
    // 7,500 buy three packs of the second round; 1,500 stay. A refund of the first round comes after that.
    let people = weeks.play(1, 4);
    assert_eq!((weeks.round(1, "outstanding"), weeks.pool()), (6_000, 1_500));
    weeks.refund(&first, "R2", 5_000);
    weeks.go(1, 16);
    assert_eq!((weeks.round(0, "redeemed"), weeks.pool()), (1_000, 3_500), "late refunds go to the pool");
    drop(weeks.spend(&people));
    // 4,000 of the second round expire: with 3,500 they buy three packs of the last, and its leftovers stay where they are.
    let people = weeks.play(2, 2);
    assert_eq!((weeks.round(2, "unissued"), weeks.round(2, "outstanding"), weeks.pool()), (2_000, 4_000, 1_500));
    let late = weeks.spend(&people);
    weeks.go(3, 0);
    weeks.refund(&late, "R3", 5_000);
    weeks.go(4, 0);
    let last = ["unissued", "expired", "recovered"].map(|account| weeks.round(2, account));
    assert_eq!((last, weeks.pool()), ([2_000; 3], 1_500));
    assert_eq!(
        weeks.ledger()["pools"][0],
        json!({"pool": "unallocated", "amount": 9_500, "received": 9_500, "taken": 0})
    );
    weeks.server.assert_audit_clean();
}

#[test]
fn only_the_sources_that_are_named_flow_and_late_refunds_have_their_own_word() {
    let mut campaign = weekly("sources", &[money(json!(8_000)), money(json!("pool"))]);
    campaign["carry_over_sources"] = json!(["expired"]);
    campaign["expired_refund_to"] = json!("pool");
    let weeks = Weeks::open(&campaign);
    let people = weeks.play(0, 3);
    let (early, late) = (weeks.spend(&people), weeks.spend(&people));
    weeks.refund(&early, "R1", 2_500);
    weeks.go(1, 0);
    weeks.refund(&late, "R2", 2_500);
    weeks.go(1, 1);
    let left = ["unissued", "expired", "recovered", "redeemed"].map(|account| weeks.round(0, account));
    assert_eq!((left, weeks.pool()), ([2_000, 0, 1_000, 2_000], 3_000));
    weeks.server.assert_audit_clean();

    // The other way round: refunds flow, but those of expired vouchers are the treasury's.
    let mut campaign = weekly("sources", &[money(json!(8_000)), money(json!("pool"))]);
    campaign["carry_over_sources"] = json!(["refunded"]);
    let weeks = Weeks::open(&campaign);
    let people = weeks.play(0, 3);
    let (early, late) = (weeks.spend(&people), weeks.spend(&people));
    weeks.refund(&early, "R1", 2_500);
    weeks.go(1, 0);
    weeks.refund(&late, "R2", 2_500);
    weeks.go(1, 1);
    let left = ["unissued", "expired", "recovered", "redeemed"].map(|account| weeks.round(0, account));
    assert_eq!((left, weeks.pool()), ([2_000, 2_000, 1_000, 2_000], 1_000));
    weeks.server.assert_audit_clean();
}

#[test]
fn with_next_round_the_next_round_grows_by_what_is_left() {
    let mut campaign = weekly("grows", &[json!({"p20": 3}), json!({"p20": 2}), money(json!(5_000))]);
    campaign["carry_over"] = json!("next_round");
    let weeks = Weeks::open(&campaign);
    weeks.play(0, 1);
    assert_eq!(weeks.pool(), 4_000);
    weeks.go(1, 1);
    assert_eq!(weeks.pool(), 6_000, "the one voucher has expired too");
    weeks.play(1, 9);
    assert_eq!((weeks.round(1, "outstanding"), weeks.pool()), (10_000, 0), "two packs of its own, three of the pool");
    weeks.play(2, 9);
    assert_eq!((weeks.round(2, "outstanding"), weeks.pool()), (14_000, 1_000), "5,000 and 10,000 buy seven");
    weeks.go(3, 1);
    let said = verified(&weeks.server, &weeks.campaign, "r2");
    assert!(said.contains("supply=proof"), "{said}");
    weeks.server.assert_audit_clean();
}

#[test]
fn who_reserves_before_the_packs_are_counted_takes_part_for_each_of_them() {
    let mut campaign = weekly("each", &[json!({"amount": 14_000, "weights": {"p20": 4, "p50": 5}})]);
    let mut other = campaign["packs"][0].clone();
    other["pack_id"] = json!("p50");
    other["vouchers"][0]["discount_amount"] = json!(5_000);
    other["vouchers"][0]["transaction_minimum"] = json!(10_000);
    other["vouchers"][0]["voucher_kind"] = json!("100-50");
    campaign["packs"].as_array_mut().expect("packs").push(other);
    campaign["rounds"][0]["assignment"] = json!("each");
    campaign["rounds"][0]["max_packs_per_person"] = json!(2);
    let weeks = Weeks::open(&campaign);
    let people = weeks.play(0, 2);
    // 6,222 buy three packs of 20 yuan and 7,777 one of 50: two of the first and the one of the second are won.
    let kinds = people.iter().flat_map(|person| weeks.server.vouchers(&weeks.campaign, person));
    let mut kinds: Vec<String> = kinds.map(|voucher| voucher.1).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["100-50", "50-20", "50-20"]);
    assert_eq!((weeks.round(0, "unissued"), weeks.pool()), (2_000, 3_000));
    weeks.server.assert_audit_clean();
}

#[test]
fn without_a_pool_what_buys_no_pack_is_unallocated_and_nothing_else_moves() {
    let mut campaign = weekly("none", &[money(json!(5_500)), money(json!(4_000))]);
    campaign["carry_over"] = json!("none");
    let draft = campaign.clone();
    let weeks = Weeks::open(&campaign);
    let totals = weeks.server.office("GET", &format!("/v1/campaigns/{}", weeks.campaign), None).ok();
    assert_eq!(totals["totals"], json!({"packs": 4, "vouchers": 4, "amount": 9_500}), "{draft}");
    weeks.play(0, 1);
    weeks.go(1, 13);
    let ledger = weeks.ledger();
    assert_eq!(ledger["pools"], json!([{"pool": "unallocated", "amount": 12_000, "received": 12_000, "taken": 0}]));
    assert_eq!((weeks.round(0, "unissued"), weeks.round(0, "expired")), (2_000, 2_000));
    weeks.server.assert_audit_clean();
}

#[test]
fn a_campaign_that_slept_through_its_rounds_takes_them_in_order() {
    let weeks = Weeks::open(&weekly("slept", &[money(json!(10_000)), money(json!("pool")), money(json!("pool"))]));
    weeks.go(0, 9);
    for person in Resident::many(2) {
        weeks.server.reserve(&weeks.campaign, &person).ok();
    }
    // Draw, credit, expiry, and the next round's draw in one jump of the clock.
    weeks.go(1, 14);
    assert_eq!((weeks.round(0, "budget"), weeks.pool()), (0, 10_000), "nobody was on the second list: it went on");
    weeks.go(2, 14);
    assert_eq!((weeks.round(2, "unissued"), weeks.pool()), (10_000, 0), "the last round keeps it");
    weeks.server.assert_audit_clean();
}

#[test]
fn two_nodes_fix_a_supply_once_and_agree_on_the_ledger() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let weeks =
        Weeks::open_on(first, &weekly("two", &[money(json!(20_000)), money(json!("pool")), money(json!("pool"))]));
    for week in 0..3 {
        let people = weeks.play(week, 3);
        drop(weeks.spend(&people));
        let same = || second.ledger(&weeks.campaign)["total"] == weeks.ledger()["total"];
        wait_until("the second node says the same", || same().then_some(()));
        assert_balanced(&second.ledger(&weeks.campaign));
    }
    weeks.go(3, 0);
    weeks.server.assert_audit_clean();
}

#[test]
fn the_audit_finds_a_pool_that_was_tampered_with() {
    let redis = OwnRedis::start();
    let [node, _] = redis.two_nodes(EVE);
    let weeks = Weeks::open_on(node, &weekly("spoilt", &[money(json!(10_000)), money(json!("pool"))]));
    weeks.play(0, 3);
    weeks.go(1, 0);
    assert_eq!(weeks.pool(), 10_000);
    weeks.server.assert_audit_clean();
    let mut connection = redis::Client::open(redis.url.as_str()).unwrap().get_connection().unwrap();
    let fields: Vec<String> = redis::cmd("HKEYS").arg("{s000}:h").query(&mut connection).unwrap();
    let pool = fields.iter().find(|field| field.ends_with(":pool")).expect("a pool counter");
    let mut spoil = |fen: i64| -> i64 {
        redis::cmd("HINCRBY").arg("{s000}:h").arg(pool).arg(fen).query(&mut connection).expect("the counter")
    };
    spoil(1);
    let output = weeks.server.command(&["audit", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let findings: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(findings.len(), 1, "{text}");
    assert_eq!(findings[0]["kind"], "counter");
    spoil(-1);
    weeks.server.assert_audit_clean();
}

#[test]
fn a_second_of_the_clock_does_not_matter() {
    let weeks = Weeks::open(&weekly("edges", &[money(json!(4_000)), money(json!("pool"))]));
    weeks.play(0, 1);
    assert_eq!(weeks.pool(), 2_000);
    weeks.server.set_clock(at(FIRST) + WEEK - SECOND);
    assert_eq!((weeks.round(0, "outstanding"), weeks.pool()), (2_000, 2_000));
    weeks.go(1, 0);
    assert_eq!((weeks.round(0, "budget"), weeks.pool()), (0, 4_000));
}
