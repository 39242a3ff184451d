//! Two nodes on one store: one whose calls may have trouble, and one that says how things are.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::merchant::EnrolState;
use quanyu::engine::Engine;
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::engine::merchant::caller::Till;
use quanyu::engine::resident::{Identity, Resident};
use quanyu::store::Options;
use quanyu::store::keys::{self, Slot};
use serde_json::{Value, json};

use super::toll::{Toll, Trouble};
use crate::harness::fixture::at;
use crate::harness::identity::digest_of;
use crate::harness::redis::OwnRedis;
use crate::histories::town::{draft, node, node_with, till};

pub const SHARDS: u8 = 3;

/// A silent call is given up after this; the store answers long before.
const PATIENCE: Duration = Duration::from_millis(400);

pub struct Town {
    pub tested: Arc<Engine>,
    pub clean: Arc<Engine>,
    pub toll: Toll,
    pub clock: Clock,
    pub key: ApiKey,
    pub faults: RefCell<Vec<String>>,
    /// Calls that had trouble.
    pub tries: Cell<usize>,
    next: Cell<usize>,
    store: RefCell<redis::Connection>,
    _redis: OwnRedis,
}

/// What counters of a kind hold, by campaign and number of the limit: `u` are a merchant's caps, `q` quotas.
pub type Used = BTreeMap<(char, u16, u8), i64>;

impl Town {
    pub async fn open(trouble: Trouble) -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        clock.adopt(Setting { campaign_ms: at("2020-07-01T08:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
        let toll = Toll::to(&redis);
        let clean = node(&redis, &clock, SHARDS).await;
        let mut options = Options { clock_guard: false, shards: SHARDS, ..Options::new(&toll.url) };
        if trouble == Trouble::Silence {
            options.deadline = PATIENCE;
        }
        let tested = node_with(options, &clock).await;
        let client = redis::Client::open(redis.url.as_str()).expect("a url");
        let key = ApiKey::new("office", &Role::ALL, "city");
        Town {
            tested,
            clean,
            toll,
            clock,
            key,
            faults: RefCell::default(),
            tries: Cell::default(),
            next: Cell::default(),
            store: RefCell::new(client.get_connection().expect("the store listens")),
            _redis: redis,
        }
    }

    /// Waits until the tested node has read what there is: a connection that broke is replaced meanwhile.
    pub async fn wait_known(&self) {
        let mut turns = tokio::time::interval(Duration::from_millis(5));
        let mut last = None;
        for _ in 0..2_000 {
            match self.tested.refresh().await {
                Ok(()) => return,
                Err(error) => last = Some(error),
            }
            turns.tick().await;
        }
        panic!("the tested node stays without the store: {last:?}");
    }

    /// Nothing is left to be found.
    pub async fn close(&self) {
        self.clean.step().await.expect("jobs run");
        let findings = self.clean.audit().await.expect("an audit").findings;
        self.faults.borrow_mut().extend(findings.iter().map(|finding| format!("the audit finds {finding:?}")));
    }

    pub fn number(&self) -> usize {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    pub fn set_clock(&self, to: i64) {
        let version = self.clock.setting().expect("a sandbox").version + 1;
        self.clock.adopt(Setting { campaign_ms: to, wall_ms: 0, rate: 0, version, began: None });
    }

    pub fn pass(&self, ms: i64) {
        self.set_clock(self.clock.now() + ms);
    }

    /// A new person.
    pub fn person(&self, of: &Identity<'_>) -> Resident {
        self.named(&format!("person-{}", self.number()), of)
    }

    /// The person of this name.
    pub fn named(&self, name: &str, of: &Identity<'_>) -> Resident {
        let digest = digest_of(name);
        let identity = Identity {
            document_type: "cn_id",
            person_digest: Some(&digest),
            channel: "wechat",
            contacts: of.contacts.clone(),
            ..Identity::default()
        };
        self.clean.resident(&identity).expect("a person")
    }

    /// A list of these names.
    pub async fn list(&self, list_id: &str, names: impl Iterator<Item = String>) {
        let rows: String = names.map(|name| format!("cn_id,{}\n", digest_of(&name))).collect();
        let file = format!("document_type,person_digest\n{rows}");
        let length = Some(file.len() as u64);
        let mut list = self.clean.begin_list(&self.key, list_id, length).await.expect("an upload");
        list.push(file.as_bytes()).await.expect("a file");
        list.finish().await.expect("a list");
    }

    pub async fn put(&self, campaign: &str, file: &Value) {
        let file = file.to_string();
        let put = self.clean.put_campaign(&self.key, campaign, Some(Expect::Absent), file.as_bytes(), false).await;
        put.expect("a valid file");
    }

    pub async fn publish(&self, campaign: &str, file: &Value) {
        self.put(campaign, file).await;
        let (node, key) = (&self.clean, &self.key);
        node.submit_campaign(key, campaign).await.expect("a draft");
        node.approve_campaign(key, campaign).await.expect("a campaign in review");
        node.publish_campaign(key, campaign).await.expect("what this version can do");
    }

    /// A merchant that takes part in these campaigns.
    pub async fn merchant(&self, campaigns: &[&str]) -> Till {
        let till = till(self.number());
        let (node, key) = (&self.clean, &self.key);
        node.create_merchant(key, draft(&till.merchant_id)).await.expect("a merchant");
        for campaign in campaigns {
            node.apply_to_campaign(key, campaign, &till.merchant_id).await.expect("an application");
            let approved = EnrolState::Approved;
            node.move_enrolment(key, campaign, &till.merchant_id, approved, None).await.expect("an approval");
        }
        till
    }

    /// What a merchant's slot judges orders by: its state, and in how many campaigns it takes part.
    pub fn merchant_on_its_slot(&self, merchant_id: &str) -> Option<(String, usize)> {
        let slot = Slot::Merchant(keys::merchant_slot(merchant_id, SHARDS)).header();
        let mut asked = redis::cmd("HGET");
        asked.arg(slot).arg(keys::merchant_field(merchant_id));
        let value: Option<Vec<u8>> = asked.query(&mut *self.store.borrow_mut()).expect("a header");
        let value = rmpv::decode::read_value(&mut value?.as_slice()).expect("a view");
        let part = |index: usize| value.as_array().and_then(|parts| parts.get(index)).expect("a part").clone();
        let approved = part(2).as_array().map_or(0, Vec::len);
        Some((part(1).as_str().expect("a state").to_owned(), approved))
    }

    /// What is used of caps and quotas, all in all.
    pub fn used(&self) -> Used {
        let mut store = self.store.borrow_mut();
        let mut used = Used::new();
        let mut add = |kind: char, name: &str, n: i64| {
            let mut parts = name.split(':');
            let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
            let (campaign, limit): (u16, u16) = (number(), number());
            if n != 0 {
                *used.entry((kind, campaign, limit as u8)).or_default() += n;
            }
        };
        for slot in 0..SHARDS {
            let header = format!("{{m{slot:03}}}:h");
            let fields: BTreeMap<String, redis::Value> =
                redis::cmd("HGETALL").arg(header).query(&mut *store).expect("a header");
            for (name, value) in fields {
                if let Some(name) = name.strip_prefix("u:") {
                    add('u', name, redis::from_redis_value(value).expect("a number"));
                }
            }
        }
        let buckets: Vec<String> = redis::cmd("KEYS").arg("{i*}:c*:q:*").query(&mut *store).expect("keys");
        for bucket in buckets {
            let fields: BTreeMap<String, i64> = redis::cmd("HGETALL").arg(bucket).query(&mut *store).expect("quotas");
            fields.iter().for_each(|(name, n)| add('q', name, *n));
        }
        used
    }
}

/// A campaign with caps and quotas on every redemption.
pub fn till_campaign(campaign: &str) -> Value {
    let limit = |entities: &[&str], name: &str| {
        let mut limit = json!({"action": "redeem", "entities": entities, "period": "campaign"});
        limit[name] = json!(1_000_000);
        limit
    };
    json!({
        "campaign_id": campaign, "name": {"zh": "收银", "en": "Tills"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": 12_000 * 20_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "p", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6_000, "discount_amount": 2_000, "count": 2},
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 2},
            {"voucher_kind": "15-off", "kind": "percent", "discount_basis_points": 1_500, "discount_amount_max": 3_000, "count": 2,
                "unique_serial": true}]}],
        "rounds": [{"round_id": "r", "mode": "first_come", "reservation": null, "packs": {"p": 20_000},
            "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00", "release": {"shape": "at_once"}}],
        "limits": [limit(&["merchant"], "max_count"), limit(&["category"], "max_count"), limit(&["channel", "category"], "max_amount")],
        "validity": {"available_day_after_receive": 30},
        "use_rule": {"categories": ["catering"], "hold_seconds": 120, "max_vouchers_per_payment": 4, "combine_with_campaigns": true},
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}
