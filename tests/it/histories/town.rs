//! Two nodes on one store, a published campaign that is always open, and merchants: what all histories share.

use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::merchant::{Draft, EnrolState, Name};
use quanyu::domain::order::{Order, order_key};
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::engine::merchant::caller::Till;
use quanyu::engine::{Engine, Settings};
use quanyu::keyring::KeyRing;
use quanyu::store::ledger::{Item, LedgerEntry, LedgerReader};
use quanyu::store::{Options, Store};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::HISTORIES;
use crate::harness::fixture::{MINUTE, SECOND, at};
use crate::harness::identity::firm_code;
use crate::harness::random::Random;
use crate::harness::redis::OwnRedis;

pub const CAMPAIGN: &str = "histories";
pub const ROUND: &str = "always";
const PROGRAM: &str = "city";
const MERCHANTS: usize = 2;
/// Vouchers in a payment, and of a person at a merchant on a day.
pub const MOST: usize = 2;
pub const A_DAY: usize = 3;

pub struct Town {
    pub nodes: [Arc<Engine>; 2],
    pub tills: Vec<Till>,
    clock: Clock,
    reader: Mutex<LedgerReader>,
    _redis: OwnRedis,
}

fn campaign() -> Value {
    json!({
        "campaign_id": CAMPAIGN, "name": {"zh": "历史", "en": "Histories"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": 4_000 * HISTORIES, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "p", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6_000, "discount_amount": 2_000, "count": 1},
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 2}]}],
        "rounds": [{"round_id": ROUND, "mode": "first_come", "reservation": null, "packs": {"p": HISTORIES},
            "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00", "release": {"shape": "at_once"}}],
        "validity": {"available_day_after_receive": 1, "day_counting": "hours_24"},
        "use_rule": {"categories": ["catering"], "max_vouchers_per_payment": MOST, "hold_seconds": 120},
        "limits": [{"action": "redeem", "entities": ["person", "merchant"], "period": "day", "max_count": A_DAY}],
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

impl Town {
    pub async fn open() -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        let first = node(&redis, &clock, 1).await;
        let town = Town {
            nodes: [first.clone(), node(&redis, &clock, 1).await],
            tills: (0..MERCHANTS).map(till).collect(),
            clock,
            reader: Mutex::new(LedgerReader::open(&first.store, 0).await.expect("a reader")),
            _redis: redis,
        };
        town.set_clock(at("2020-06-30T00:00:00"));
        let key = ApiKey::new("office", &Role::ALL, PROGRAM);
        let file = campaign().to_string();
        first.put_campaign(&key, CAMPAIGN, Some(Expect::Absent), file.as_bytes(), false).await.expect("a valid file");
        first.submit_campaign(&key, CAMPAIGN).await.expect("a draft");
        first.approve_campaign(&key, CAMPAIGN).await.expect("a campaign in review");
        first.publish_campaign(&key, CAMPAIGN).await.expect("what this version can do");
        first.refresh().await.expect("a configuration");
        for till in &town.tills {
            first.create_merchant(&key, draft(&till.merchant_id)).await.expect("a merchant");
            first.apply_to_campaign(&key, CAMPAIGN, &till.merchant_id).await.expect("an application");
            let approved = EnrolState::Approved;
            first.move_enrolment(&key, CAMPAIGN, &till.merchant_id, approved, None).await.expect("an approval");
        }
        for node in &town.nodes {
            node.refresh().await.expect("a configuration");
        }
        town.set_clock(at("2020-07-01T00:00:00"));
        town
    }

    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    pub fn set_clock(&self, to: i64) {
        let version = self.clock.setting().expect("a sandbox").version + 1;
        self.clock.adopt(Setting { campaign_ms: to, wall_ms: 0, rate: 0, version, began: None });
    }

    /// The ledger's lines since the last call.
    pub async fn new_lines(&self) -> Vec<LedgerEntry> {
        let mut reader = self.reader.lock().await;
        let mut lines = Vec::new();
        let take = |item| match item {
            Item::Entry(entry) => lines.push(entry),
            Item::Gap(gap) => panic!("the ledger has a gap: {gap:?}"),
        };
        reader.each(u64::MAX, take).await.expect("a readable ledger");
        lines
    }

    /// Records, counters and ledger of all histories so far say the same, and every fen is somewhere.
    pub async fn audit(&self) {
        self.nodes[0].step().await.expect("jobs run");
        let report = self.nodes[1].audit().await.expect("an audit");
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        let ledger = self.nodes[0].ledger(CAMPAIGN).await.expect("a ledger");
        let total = serde_json::to_value(ledger.total).expect("accounts");
        let of = |name: &str| total[name].as_i64().expect("fen");
        let names = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];
        assert_eq!(names.map(of).iter().sum::<i64>(), of("budget"), "{total}");
    }
}

pub async fn node(redis: &OwnRedis, clock: &Clock, shards: u8) -> Arc<Engine> {
    node_with(Options { clock_guard: false, shards, ..Options::new(&redis.url) }, clock).await
}

pub async fn node_with(options: Options, clock: &Clock) -> Arc<Engine> {
    let store = Store::open(options, clock.clone()).await.expect("a store");
    let settings = Settings {
        four_eyes: false,
        key_prefix: "test",
        durability: "D1".into(),
        compacts_store: false,
        pay_code_step: 60_000,
    };
    Engine::new(store, KeyRing::of_master([7; 32]), settings).await.expect("a node")
}

pub fn till(number: usize) -> Till {
    let named = format!("m{number}");
    Till {
        program: PROGRAM.into(),
        merchant_id: named.clone(),
        named,
        terminal_id: "t1".into(),
        is_terminals_key: true,
    }
}

pub fn draft(merchant_id: &str) -> Draft {
    let name = Name::One("小馆".into());
    Draft {
        merchant_id: Some(merchant_id.into()),
        code: Some(firm_code()),
        kind: Some("enterprise".into()),
        name: Some(name),
        registered_district: Some("510104".into()),
        operating_district: Some("510104".into()),
        industry_code: Some("6210".into()),
        stores: Vec::new(),
    }
}

/// The order behind a number, wherever its directory says that it is.
pub async fn order_of(store: &Store, merchant_id: &str, order_id: &str) -> Option<Order> {
    let key = order_key(merchant_id, order_id);
    let entry = store.directory_entry(merchant_id, &key).await.expect("a directory")?;
    if entry.shard >= store.shards() {
        return None;
    }
    Some(store.order(entry.shard, &key).await.expect("an order")?.order)
}

/// Milliseconds: little, past a hold, or about as long as a late confirm is taken.
pub fn some_time(random: &mut Random) -> i64 {
    match random.below(3) {
        0 => random.between(1, 20_000),
        1 => random.between(100, 130) * SECOND,
        _ => random.between(9, 12) * MINUTE,
    }
}
