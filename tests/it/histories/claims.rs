//! Claims of a first-come round under limits that no person's record counts, with few packs: copies of claims run on two nodes, step by
//! step in any order, and die between any two steps. Whatever happened, no limit is passed and nobody has two packs; and each claim that
//! is lost for good keeps back at most itself.

use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::claim::{Claimant, Tap};
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
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
const PEOPLE: usize = 6;
/// Claims of a channel and fen of the campaign on a day.
const OF_CHANNEL: usize = 2;
const BY_DAY: i64 = 3_500;
const VALUE: i64 = 1_000;
const CHANNELS: [&str; 2] = ["wechat", "alipay"];

type Reply = Result<Tap, Refusal>;

struct Town {
    nodes: [Arc<Engine>; 2],
    clock: Clock,
    key: ApiKey,
    _redis: OwnRedis,
}

/// Packs of the round: enough, or fewer than the limits let through.
fn packs(seed: u64) -> i64 {
    if seed.is_multiple_of(2) { 2 } else { 4 }
}

fn file(campaign: &str, packs: i64) -> Value {
    json!({
        "campaign_id": campaign, "name": {"zh": "限量", "en": "Claims"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": VALUE * packs, "channels": CHANNELS, "max_amount_by_day": BY_DAY,
        "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "p", "vouchers": [
            {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": VALUE, "count": 1}]}],
        "rounds": [{"round_id": "r", "mode": "first_come", "reservation": null, "packs": {"p": packs},
            "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00", "release": {"shape": "at_once"}}],
        "limits": [{"action": "claim", "entities": ["channel"], "period": "day", "max_count": OF_CHANNEL}],
        "validity": {"available_day_after_receive": 30}, "use_rule": {},
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

impl Town {
    async fn open() -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        clock.adopt(Setting { campaign_ms: at("2020-06-30T00:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
        let nodes = [node(&redis, &clock, SHARDS).await, node(&redis, &clock, SHARDS).await];
        let key = ApiKey::new("office", &Role::ALL, "city");
        Town { nodes, clock, key, _redis: redis }
    }

    fn set_clock(&self, to: i64) {
        let version = self.clock.setting().expect("a sandbox").version + 1;
        self.clock.adopt(Setting { campaign_ms: to, wall_ms: 0, rate: 0, version, began: None });
    }

    async fn publish(&self, campaign: &str, packs: i64) {
        let (first, key, file) = (&self.nodes[0], &self.key, file(campaign, packs).to_string());
        first.put_campaign(key, campaign, Some(Expect::Absent), file.as_bytes(), false).await.expect("a valid file");
        first.submit_campaign(key, campaign).await.expect("a draft");
        first.approve_campaign(key, campaign).await.expect("a campaign in review");
        first.publish_campaign(key, campaign).await.expect("what this version can do");
        for node in &self.nodes {
            node.refresh().await.expect("a configuration");
        }
    }
}

struct Play<'a> {
    town: &'a Town,
    seed: u64,
    campaign: String,
    random: Random,
    people: Vec<Resident>,
    going: Flights<usize, Reply>,
    /// How often each was told of a pack that is no repeat.
    won: Vec<usize>,
    lost: usize,
    story: Vec<String>,
}

impl<'a> Play<'a> {
    async fn new(town: &'a Town, seed: u64) -> Play<'a> {
        let campaign = format!("claims-{seed}");
        town.publish(&campaign, packs(seed)).await;
        let person = |number: usize| {
            let digest = digest_of(&format!("{seed}-{number}"));
            let identity = Identity {
                document_type: "cn_id",
                person_digest: Some(&digest),
                channel: CHANNELS[number % 2],
                ..Identity::default()
            };
            town.nodes[0].resident(&identity).expect("a person")
        };
        let people = (0..PEOPLE).map(person).collect();
        let won = vec![0; PEOPLE];
        Play {
            town,
            seed,
            campaign,
            random: Random::new(seed),
            people,
            going: Flights::default(),
            won,
            lost: 0,
            story: Vec::new(),
        }
    }

    fn claim(&self, node: usize, person: usize) -> Flight<Reply> {
        let (node, campaign) = (self.town.nodes[node].clone(), self.campaign.clone());
        let claimant = Claimant::Resident(Box::new(self.people[person].clone()));
        Flight::new(async move { node.claim(&campaign, "r", &claimant, None, None).await })
    }

    async fn run(mut self) {
        let mut calls = self.random.between(6, 16);
        while calls > 0 || !self.going.is_empty() {
            match self.random.below(100) {
                0..=29 if calls > 0 => {
                    calls -= 1;
                    let (node, person) = (self.random.below(2), self.random.below(PEOPLE));
                    self.story.push(format!("{person} taps at {node}"));
                    self.going.push(person, self.claim(node, person));
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
            self.told(person, reply).await;
        }
    }

    async fn told(&mut self, person: usize, reply: Reply) {
        self.story.push(format!("{person} is told {reply:?}"));
        match reply {
            Ok(Tap::Won { replayed, .. }) => {
                self.won[person] += usize::from(!replayed);
                assert!(self.won[person] <= 1, "seed {}: {:#?}", self.seed, self.story);
            }
            Ok(Tap::NotYet { .. } | Tap::SoldOut) => {}
            Err(refusal) if [Code::LimitReached, Code::Overloaded].contains(&refusal.code) => {}
            other => panic!("seed {}: {other:?} {:#?}", self.seed, self.story),
        }
        self.check().await;
    }

    async fn crash(&mut self) {
        if let Some(person) = self.going.lose_one(&mut self.random).await {
            self.lost += 1;
            self.story.push(format!("{person}'s tap is lost"));
        }
    }

    /// Packs that there are, by channel.
    async fn issued(&self) -> [usize; 2] {
        let mut by_channel = [0, 0];
        for (number, person) in self.people.iter().enumerate() {
            let wallet = self.town.nodes[1].wallet(person, Some(&self.campaign), None).await.expect("a wallet");
            by_channel[number % 2] += usize::from(!wallet.vouchers.is_empty());
        }
        by_channel
    }

    async fn check(&self) {
        let issued = self.issued().await;
        let within =
            issued.iter().all(|count| *count <= OF_CHANNEL) && issued.iter().sum::<usize>() as i64 * VALUE <= BY_DAY;
        assert!(within, "seed {}: {issued:?} {:#?}", self.seed, self.story);
    }

    /// When all is quiet, everybody taps once more: as many have a pack as may, but for claims that were lost on their way.
    async fn at_last(&mut self) {
        for person in 0..PEOPLE {
            for _ in 0..8 {
                let mut flight = self.claim(person % 2, person);
                let reply = loop {
                    if let Some(reply) = flight.step().await {
                        break reply;
                    }
                };
                let again = matches!(reply, Ok(Tap::NotYet { .. }));
                self.told(person, reply).await;
                if !again {
                    break;
                }
            }
        }
        let issued: usize = self.issued().await.iter().sum();
        let may = (BY_DAY / VALUE).min(packs(self.seed)) as usize;
        assert!(issued + self.lost >= may, "seed {}: {issued} of {may} {:#?}", self.seed, self.story);
    }
}

#[test]
fn histories_of_claims_never_pass_a_limit_over_everybody_and_lose_at_most_what_died() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let one = std::env::var("QUANYU_TEST_SEED").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seeds: Vec<u64> = one.map_or_else(|| (1..=HISTORIES).collect(), |seed| vec![seed]);
        for some in seeds.chunks(PER_TOWN as usize) {
            let town = Town::open().await;
            for seed in some {
                town.set_clock(at("2020-07-01T08:00:00") + *seed as i64);
                Play::new(&town, *seed).await.run().await;
            }
            let report = town.nodes[1].audit().await.expect("an audit");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    });
}
