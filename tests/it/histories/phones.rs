//! People who come and go on a list with fewer phones than people: their calls run on two nodes, step by step in any order, and die
//! between any two steps. Whatever happened, no phone has two people on the list, nobody who was told of a place has lost it, and a phone
//! that nobody holds is anybody's.

use std::collections::BTreeSet;
use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::engine::reservation::Wish;
use quanyu::engine::resident::{Identity, Resident};
use quanyu::store::identity::{List, Who};
use quanyu::store::{Options, Store};
use serde_json::json;

use super::flight::Flight;
use super::town::node;
use crate::harness::fixture::at;
use crate::harness::identity::digest_of;
use crate::harness::random::Random;
use crate::harness::redis::OwnRedis;

const CAMPAIGN: &str = "phones";
const HISTORIES: u64 = 800;
/// How often the whole store is audited.
const LOOK: u64 = 400;
const SHARDS: u8 = 3;
const PEOPLE: usize = 3;
const PHONES: usize = 2;

struct Town {
    nodes: [Arc<Engine>; 2],
    _redis: OwnRedis,
}

impl Town {
    async fn open() -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        clock.adopt(Setting { campaign_ms: at("2020-07-01T00:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
        let first = node(&redis, &clock, SHARDS).await;
        let file = json!({
            "campaign_id": CAMPAIGN, "name": {"zh": "手机", "en": "Phones"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
            "budget": 1_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
            "reservation": {"opens_at": "2020-06-01T00:00:00+08:00", "closes_at": "2020-08-01T00:00:00+08:00",
                "identity_keys": ["person", "phone", "device"], "duplicates": "reject"},
            "packs": [{"pack_id": "p", "vouchers": [
                {"voucher_kind": "30-10", "transaction_minimum": 3_000, "discount_amount": 1_000, "count": 1}]}],
            "rounds": [{"round_id": "r", "mode": "ballot", "packs": {"p": 1},
                "draw": {"at": "2020-08-02T00:00:00+08:00", "entropy": ["operator"]}, "credit_at": "2020-08-03T00:00:00+08:00"}],
            "validity": {"available_day_after_receive": 7}, "use_rule": {"categories": ["catering"]},
            "refund_policy": "restore_on_full_refund", "carry_over": "none",
            "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
        });
        let key = ApiKey::new("office", &Role::ALL, "city");
        let file = file.to_string();
        first.put_campaign(&key, CAMPAIGN, Some(Expect::Absent), file.as_bytes(), false).await.expect("a valid file");
        first.submit_campaign(&key, CAMPAIGN).await.expect("a draft");
        first.approve_campaign(&key, CAMPAIGN).await.expect("a campaign in review");
        first.publish_campaign(&key, CAMPAIGN).await.expect("what this version can do");
        let nodes = [first, node(&redis, &clock, SHARDS).await];
        for node in &nodes {
            node.refresh().await.expect("a configuration");
        }
        Town { nodes, _redis: redis }
    }

    /// Phone and device of everybody who is on the list.
    async fn held(&self, people: &[Resident]) -> Vec<Option<[u64; 2]>> {
        let (node, mut held) = (&self.nodes[0], Vec::new());
        let view = node.published(CAMPAIGN).expect("a campaign");
        for resident in people {
            let record = node.person_record(&node.person(&view, resident)).await.expect("a record");
            let entry = record.and_then(|record| record.entries.first().copied());
            held.push(entry.map(|entry| [entry.digests[0], entry.digests[1]]));
        }
        held
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Reserve { phone: usize, device: usize },
    Change { phone: usize, device: usize },
    Withdraw,
}

type Reply = Result<(), Refusal>;

struct Going {
    flight: Flight<Reply>,
    person: usize,
    call: Call,
    /// No withdrawal of the person was on its way at any time since it began.
    undisturbed: bool,
}

struct Play<'a> {
    town: &'a Town,
    seed: u64,
    people: Vec<Resident>,
    random: Random,
    going: Vec<Going>,
    /// Who was told of a place, with no withdrawal on its way meanwhile or since.
    told: BTreeSet<usize>,
    story: Vec<String>,
}

impl<'a> Play<'a> {
    fn new(town: &'a Town, seed: u64) -> Play<'a> {
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
        let random = Random::new(seed);
        Play { town, seed, people, random, going: Vec::new(), told: BTreeSet::new(), story: Vec::new() }
    }

    async fn run(mut self) {
        let mut calls = self.random.between(3, 9);
        while calls > 0 || !self.going.is_empty() {
            match self.random.below(100) {
                0..=29 if calls > 0 => {
                    calls -= 1;
                    self.begin();
                }
                30..=89 => self.advance().await,
                90..=94 => self.crash().await,
                _ => {}
            }
        }
        self.check().await;
        self.anybodys().await;
    }

    fn flight(&mut self, person: usize, call: Call) -> Flight<Reply> {
        let node = self.town.nodes[self.random.below(2)].clone();
        let resident = self.people[person].clone();
        let wish = |phone: usize, device: usize| Wish {
            phone: Some(format!("13{:08}{phone}", self.seed % 100_000_000)),
            device: Some(format!("{}-{device}", self.seed)),
            ..Wish::default()
        };
        match call {
            Call::Withdraw => Flight::new(async move { node.withdraw(CAMPAIGN, &resident, None).await }),
            Call::Reserve { phone, device } | Call::Change { phone, device } => {
                let (wish, change) = (wish(phone, device), matches!(call, Call::Change { .. }));
                Flight::new(async move { node.reserve(CAMPAIGN, &resident, &wish, change).await.map(drop) })
            }
        }
    }

    fn begin(&mut self) {
        let (person, phone) = (self.random.below(PEOPLE), self.random.below(PHONES));
        let device = self.random.below(PHONES + 1);
        let call = match self.random.below(10) {
            0..=5 => Call::Reserve { phone, device },
            6..=7 => Call::Change { phone, device },
            _ => Call::Withdraw,
        };
        let undisturbed = !self.going.iter().any(|one| one.person == person && one.call == Call::Withdraw);
        if call == Call::Withdraw {
            self.told.remove(&person);
            self.going.iter_mut().filter(|one| one.person == person).for_each(|one| one.undisturbed = false);
        }
        self.story.push(format!("{person} begins {call:?}"));
        let flight = self.flight(person, call);
        self.going.push(Going { flight, person, call, undisturbed });
    }

    async fn advance(&mut self) {
        if self.going.is_empty() {
            return;
        }
        let place = self.random.below(self.going.len());
        let Some(reply) = self.going[place].flight.step().await else { return };
        let Going { person, call, undisturbed, .. } = self.going.swap_remove(place);
        self.story.push(format!("{person} ends {call:?}: {:?}", reply.as_ref().map_err(|refusal| refusal.code)));
        match reply {
            Ok(()) if call != Call::Withdraw && undisturbed => drop(self.told.insert(person)),
            Ok(()) => {}
            Err(refusal) => {
                let known = [Code::IdentityInUse, Code::ReservationNotFound, Code::Overloaded];
                assert!(known.contains(&refusal.code), "seed {}: {refusal:?} {:#?}", self.seed, self.story);
            }
        }
        self.check().await;
    }

    /// The node dies with a call on it: before the store has it, or after.
    async fn crash(&mut self) {
        if self.going.is_empty() {
            return;
        }
        let place = self.random.below(self.going.len());
        let after = self.random.chance(60);
        if after {
            self.going[place].flight.answered().await;
        }
        let Going { person, call, .. } = self.going.swap_remove(place);
        self.story.push(format!("{person} loses {call:?}, answered {after}"));
    }

    async fn check(&self) {
        let held = self.town.held(&self.people).await;
        let mut keys: Vec<u64> = held.iter().flatten().flatten().copied().collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "seed {}: two with one key {:#?}", self.seed, self.story);
        for person in &self.told {
            assert!(held[*person].is_some(), "seed {}: {person} has lost the place {:#?}", self.seed, self.story);
        }
    }

    /// When all is quiet, a phone and a device refuse if and only if somebody on the list has one of them.
    async fn anybodys(&mut self) {
        for person in 0..PEOPLE {
            let before = self.town.held(&self.people).await;
            if before[person].is_some() {
                continue;
            }
            let (phone, device) = (self.random.below(PHONES), self.random.below(PHONES + 1));
            let mut flight = self.flight(person, Call::Reserve { phone, device });
            let reply = loop {
                if let Some(reply) = flight.step().await {
                    break reply;
                }
            };
            self.story.push(format!("{person} asks for {phone}, {device} at last: {reply:?}"));
            let after = self.town.held(&self.people).await;
            match reply {
                Ok(()) => assert!(after[person].is_some(), "seed {}: {:#?}", self.seed, self.story),
                Err(refusal) => {
                    assert_eq!(refusal.code, Code::IdentityInUse, "seed {}: {:#?}", self.seed, self.story);
                    assert_eq!(before, after);
                    // With nobody else on the list, the same wish is granted.
                    for other in (0..PEOPLE).filter(|other| before[*other].is_some()) {
                        self.town.nodes[0].withdraw(CAMPAIGN, &self.people[other], None).await.expect("a place");
                    }
                    let mut flight = self.flight(person, Call::Reserve { phone, device });
                    let again = loop {
                        if let Some(reply) = flight.step().await {
                            break reply;
                        }
                    };
                    assert_eq!(again, Ok(()), "seed {}: {:#?}", self.seed, self.story);
                }
            }
        }
    }
}

#[test]
fn hundreds_of_histories_of_few_phones_never_give_one_to_two() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let town = Town::open().await;
        let one = std::env::var("QUANYU_TEST_SEED").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seeds: Vec<u64> = one.map_or_else(|| (1..=HISTORIES).collect(), |seed| vec![seed]);
        for seed in &seeds {
            Play::new(&town, *seed).run().await;
            if seed.is_multiple_of(LOOK) {
                let report = town.nodes[1].audit().await.expect("an audit");
                assert!(report.findings.is_empty(), "{:#?}", report.findings);
            }
        }
    });
}

/// What the index takes of the store's memory, with its share of buckets and of the keys' table.
#[test]
fn an_indexed_phone_takes_at_most_forty_bytes() {
    const KEYS: u64 = 64_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let redis = OwnRedis::in_memory();
        let options = Options { clock_guard: false, shards: 2, ..Options::new(&redis.url) };
        let store = Store::open(options, Clock::sandbox(Some(0))).await.expect("a store");
        let memory = || {
            let client = redis::Client::open(redis.url.as_str()).expect("a client");
            let mut connection = client.get_connection().expect("a connection");
            let info: String = redis::cmd("INFO").arg("memory").query(&mut connection).expect("facts");
            let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("used memory");
            line.trim().parse::<i64>().expect("bytes")
        };
        let list = List { campaign: 7, round: 0, buckets: (KEYS / 2 / 16) as u32 };
        let mut random = Random::new(1);
        let before = memory();
        for _ in 0..KEYS / 640 {
            let takes = (0..640).map(|_| {
                let (digest, first) = (random.next(), random.next());
                let mut field = [0; 9];
                field[..8].copy_from_slice(&first.to_be_bytes());
                let (store, who) = (&store, Who { shard: 1, field });
                async move { store.take_identity(list, digest, &who, 1, None).await }
            });
            for taken in futures_util::future::join_all(takes).await {
                assert_eq!(taken, Ok(None));
            }
        }
        let bytes = (memory() - before) as f64 / KEYS as f64;
        println!("identity_key_bytes={bytes:.1}");
        assert!(bytes <= 40.0, "{bytes:.1} bytes for an indexed key");
    });
}
