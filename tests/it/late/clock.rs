//! A node whose clock is off by more than a second has every script refused before it runs: whatever it is asked, it has changed nothing.

use quanyu::clock::{Clock, Setting};
use quanyu::domain::merchant::EnrolState;
use quanyu::domain::refusal::{Code, Outcome, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::campaign::amendment::Proposal;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::store::Options;
use quanyu::store::campaign::Scope;
use serde_json::json;

use crate::answers::office_file;
use crate::harness::fixture::at;
use crate::harness::redis::OwnRedis;
use crate::histories::town::{draft, node, node_with};

const CAMPAIGN: &str = "off";
const SHOP: &str = "shop";

/// What the office asks for is so already, so that nothing has to be written before the shards are told again.
#[actix_web::test]
async fn what_is_so_already_is_not_said_to_be_unknown_by_a_node_whose_clock_is_off() {
    let redis = OwnRedis::in_memory();
    let clock = Clock::sandbox(Some(0));
    clock.adopt(Setting { campaign_ms: at("2020-07-01T08:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
    let right = node(&redis, &clock, 2).await;
    let key = ApiKey::new("office", &Role::ALL, "city");
    settle(&right, &key).await;
    let wrong = node_with(Options { clock_guard: true, shards: 2, ..Options::new(&redis.url) }, &clock).await;
    let told = |verb: &str, told: Result<(), Refusal>| {
        let refusal = told.expect_err(verb);
        assert_eq!((refusal.code, refusal.outcome), (Code::StoreUnavailable, Outcome::NotApplied), "{verb}");
    };
    let (node, key) = (&wrong, &key);
    told("freeze", node.freeze_merchant(key, SHOP, true, None).await.map(drop));
    told("unfreeze", node.freeze_merchant(key, SHOP, false, None).await.map(drop));
    told("apply", node.apply_to_campaign(key, CAMPAIGN, SHOP).await.map(drop));
    told("approve", node.move_enrolment(key, CAMPAIGN, SHOP, EnrolState::Approved, None).await.map(drop));
    told("suspend", node.move_enrolment(key, CAMPAIGN, SHOP, EnrolState::Suspended, None).await.map(drop));
    told("register", node.create_merchant(key, draft("another")).await.map(drop));
    told("pause", node.pause_campaign(key, CAMPAIGN, &[Scope::Claim], "a test").await.map(drop));
    told("publish", node.publish_campaign(key, CAMPAIGN).await.map(drop));
    told("amend", node.approve_amendment(key, CAMPAIGN, "more").await.map(drop));
    // The shards do not know the newest view: a change of it stopped half-way, and nobody can say that nothing has happened.
    redis.ask(&["HSET", "{s001}:h", "v:1", "1"]);
    let halfway = node.publish_campaign(key, CAMPAIGN).await.map(drop).expect_err("it is published");
    assert_eq!((halfway.code, halfway.outcome), (Code::StoreTimeout, Outcome::Unknown));
}

async fn settle(node: &Engine, key: &ApiKey) {
    let file = office_file(CAMPAIGN, node.now()).to_string();
    let absent = Some(quanyu::engine::config::expect::Expect::Absent);
    node.put_campaign(key, CAMPAIGN, absent, file.as_bytes(), false).await.expect("a valid file");
    node.submit_campaign(key, CAMPAIGN).await.expect("a draft");
    node.approve_campaign(key, CAMPAIGN).await.expect("a campaign in review");
    node.publish_campaign(key, CAMPAIGN).await.expect("what this version can do");
    let change =
        quanyu::domain::amendment::Change { pointer: "/budget".into(), current: json!(20_000), target: json!(30_000) };
    let proposal = Proposal { amendment_id: "more".into(), reason: "a test".into(), changes: vec![change] };
    node.propose_amendment(key, CAMPAIGN, &proposal).await.expect("a proposal");
    node.approve_amendment(key, CAMPAIGN, "more").await.expect("an amendment");
    node.create_merchant(key, draft(SHOP)).await.expect("a merchant");
    node.apply_to_campaign(key, CAMPAIGN, SHOP).await.expect("an application");
    node.move_enrolment(key, CAMPAIGN, SHOP, EnrolState::Approved, None).await.expect("an approval");
}
