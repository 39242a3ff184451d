//! Reservations under limits that no person's record counts: copies of wishes, changes of mind and withdrawals run on two nodes, step by
//! step in any order, and die between any two steps. Whatever happened, no limit is passed; and when everybody has withdrawn, all of each
//! limit is free again but for calls that died.

use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::engine::reservation::Wish;
use quanyu::engine::resident::{Identity, Resident};
use serde_json::{Value, json};

use super::flight::{Flight, Flights};
use super::town::node;
use crate::harness::fixture::at;
use crate::harness::identity::digest_of;
use crate::harness::random::Random;
use crate::harness::redis::OwnRedis;

const HISTORIES: u64 = 150;
const PER_TOWN: u64 = 30;
const SHARDS: u8 = 3;
const PEOPLE: usize = 5;
/// Entries with one choice, and in the round.
const OF_PACK: usize = 2;
const OF_CHANNEL: usize = 3;
const PACKS: [&str; 2] = ["a", "b"];

type Reply = Result<(), Refusal>;

struct Town {
    nodes: [Arc<Engine>; 2],
    key: ApiKey,
    _redis: OwnRedis,
}

fn file(campaign: &str) -> Value {
    let pack = |id: &str| {
        json!({"pack_id": id, "vouchers": [
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 1}]})
    };
    let limit = |entity: &str, most: usize| json!({"action": "reserve", "entities": [entity], "period": "campaign", "max_count": most});
    json!({
        "campaign_id": campaign, "name": {"zh": "名单", "en": "Lists"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": 20_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": PACKS.map(pack),
        "rounds": [{"round_id": "r", "mode": "ballot", "assignment": "choice", "packs": {"a": 10, "b": 10},
            "draw": {"at": "2060-07-02T00:00:00+08:00", "entropy": ["operator"]}, "credit_at": "2060-07-03T00:00:00+08:00"}],
        "reservation": {"opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00"},
        "limits": [limit("pack", OF_PACK), limit("channel", OF_CHANNEL)],
        "validity": {"available_day_after_receive": 30}, "use_rule": {},
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

impl Town {
    async fn open() -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        clock.adopt(Setting { campaign_ms: at("2020-07-01T08:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
        let nodes = [node(&redis, &clock, SHARDS).await, node(&redis, &clock, SHARDS).await];
        let key = ApiKey::new("office", &Role::ALL, "city");
        Town { nodes, key, _redis: redis }
    }

    async fn publish(&self, campaign: &str) {
        let (first, key, file) = (&self.nodes[0], &self.key, file(campaign).to_string());
        first.put_campaign(key, campaign, Some(Expect::Absent), file.as_bytes(), false).await.expect("a valid file");
        first.submit_campaign(key, campaign).await.expect("a draft");
        first.approve_campaign(key, campaign).await.expect("a campaign in review");
        first.publish_campaign(key, campaign).await.expect("what this version can do");
        for node in &self.nodes {
            node.refresh().await.expect("a configuration");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Reserve(usize),
    Change(usize),
    Withdraw,
}

struct Play<'a> {
    town: &'a Town,
    seed: u64,
    campaign: String,
    random: Random,
    people: Vec<Resident>,
    going: Flights<usize, Reply>,
    lost: usize,
    story: Vec<String>,
}

impl<'a> Play<'a> {
    async fn new(town: &'a Town, seed: u64) -> Play<'a> {
        let campaign = format!("lists-{seed}");
        town.publish(&campaign).await;
        let person = |number: usize| {
            let digest = digest_of(&format!("{seed}-{number}"));
            let identity = Identity {
                document_type: "cn_id",
                person_digest: Some(&digest),
                channel: "wechat",
                ..Identity::default()
            };
            town.nodes[0].resident(&identity).expect("a person")
        };
        let people = (0..PEOPLE).map(person).collect();
        Play {
            town,
            seed,
            campaign,
            random: Random::new(seed),
            people,
            going: Flights::default(),
            lost: 0,
            story: Vec::new(),
        }
    }

    fn call(&self, node: usize, person: usize, call: Call) -> Flight<Reply> {
        let (node, campaign, person) =
            (self.town.nodes[node].clone(), self.campaign.clone(), self.people[person].clone());
        Flight::new(async move {
            let wish = |pack: usize| Wish { pack_id: Some(PACKS[pack].to_owned()), ..Wish::default() };
            match call {
                Call::Reserve(pack) => node.reserve(&campaign, &person, &wish(pack), false).await.map(drop),
                Call::Change(pack) => node.reserve(&campaign, &person, &wish(pack), true).await.map(drop),
                Call::Withdraw => node.withdraw(&campaign, &person, None).await,
            }
        })
    }

    async fn run(mut self) {
        let mut calls = self.random.between(6, 20);
        while calls > 0 || !self.going.is_empty() {
            match self.random.below(100) {
                0..=29 if calls > 0 => {
                    calls -= 1;
                    let (node, person, pack) = (self.random.below(2), self.random.below(PEOPLE), self.random.below(2));
                    let call = match self.random.below(10) {
                        0..=4 => Call::Reserve(pack),
                        5..=7 => Call::Change(pack),
                        _ => Call::Withdraw,
                    };
                    self.story.push(format!("{person} sends {call:?} to {node}"));
                    self.going.push(person, self.call(node, person, call));
                }
                30..=89 => self.advance().await,
                90..=95 => self.crash().await,
                _ => {}
            }
        }
        self.at_last().await;
    }

    async fn advance(&mut self) {
        if let Some((person, reply)) = self.going.step_one(&mut self.random).await {
            self.story.push(format!("{person} is told {:?}", reply.as_ref().map_err(|refusal| refusal.code)));
            let known = [Code::LimitReached, Code::AlreadyReserved, Code::ReservationNotFound, Code::Overloaded];
            assert!(reply.is_ok() || reply.is_err_and(|one| known.contains(&one.code)), "{:#?}", self.story);
            self.check().await;
        }
    }

    async fn crash(&mut self) {
        if let Some(person) = self.going.lose_one(&mut self.random).await {
            self.lost += 1;
            self.story.push(format!("{person}'s call is lost"));
        }
    }

    /// Entries by choice.
    async fn entries(&self) -> [usize; 2] {
        let mut entries = [0, 0];
        for person in &self.people {
            if let Ok(mine) = self.town.nodes[1].my_reservation(&self.campaign, person, None).await {
                let pack = PACKS.iter().position(|pack| mine.pack_id.as_deref() == Some(pack)).expect("a choice");
                entries[pack] += 1;
            }
        }
        entries
    }

    async fn check(&self) {
        let entries = self.entries().await;
        let within = entries.iter().all(|count| *count <= OF_PACK) && entries.iter().sum::<usize>() <= OF_CHANNEL;
        assert!(within, "seed {}: {entries:?} {:#?}", self.seed, self.story);
    }

    /// When all is quiet and everybody has withdrawn, as many come in as may, but for calls that were lost on their way.
    async fn at_last(&mut self) {
        let node = &self.town.nodes[0];
        for person in &self.people {
            let _ = node.withdraw(&self.campaign, person, None).await;
        }
        assert_eq!(self.entries().await, [0, 0], "seed {}: {:#?}", self.seed, self.story);
        for (number, person) in self.people.iter().enumerate() {
            let wish = Wish { pack_id: Some(PACKS[number % 2].to_owned()), ..Wish::default() };
            let reply = node.reserve(&self.campaign, person, &wish, false).await.map(drop);
            self.story.push(format!("at last {number}: {:?}", reply.map_err(|refusal| refusal.code)));
        }
        self.check().await;
        let entered: usize = self.entries().await.iter().sum();
        assert!(entered + self.lost >= OF_CHANNEL, "seed {}: {entered} {:#?}", self.seed, self.story);
    }
}

#[test]
fn histories_of_reservations_never_pass_a_limit_over_everybody_and_lose_at_most_what_died() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let one = std::env::var("QUANYU_TEST_SEED").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seeds: Vec<u64> = one.map_or_else(|| (1..=HISTORIES).collect(), |seed| vec![seed]);
        for some in seeds.chunks(PER_TOWN as usize) {
            let town = Town::open().await;
            for seed in some {
                Play::new(&town, *seed).await.run().await;
            }
            let report = town.nodes[1].audit().await.expect("an audit");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    });
}
