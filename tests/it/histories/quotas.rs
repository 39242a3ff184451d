//! Limits that no person and no merchant counts, and a cap of a merchant beside them, under few orders: calls run on two nodes, step by
//! step in any order, repeat and die between any two steps, while holds run out and come back late. Whatever happened, no limit is passed;
//! and when every order has been taken back, all of each is free again.

use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::merchant::EnrolState;
use quanyu::domain::money::Fen;
use quanyu::domain::order::{Order, OrderState, hold_id};
use quanyu::domain::refund::RefundAsk;
use quanyu::domain::refusal::{Code, Refusal};
use quanyu::engine::Engine;
use quanyu::engine::claim::{Claimant, Tap};
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::{ApiKey, Role};
use quanyu::engine::merchant::caller::Till;
use quanyu::engine::order::{Ask, Payer};
use quanyu::engine::resident::{Identity, Resident};
use serde_json::json;

use super::flight::{Flight, Flights};
use super::town::{draft, node, order_of, some_time, till};
use crate::harness::fixture::at;
use crate::harness::identity::digest_of;
use crate::harness::random::Random;
use crate::harness::redis::OwnRedis;

const CAMPAIGN: &str = "quotas";
const HISTORIES: u64 = 300;
/// How often the whole store is audited.
/// Histories in one town, for a campaign names its categories: at most fifty.
const A_TOWN: u64 = 25;
const SHARDS: u8 = 3;
const PEOPLE: usize = 3;
const CATEGORIES: usize = 2;
const ORDERS: usize = 5;
const PRICE: i64 = 10_000;
/// Vouchers, and fen of both kinds together, that a category has in all; vouchers of a category at one merchant.
const COUNT: i64 = 3;
const AMOUNT: i64 = 4_000;
const AT_MERCHANT: i64 = 2;

/// A category of the town that no other history in it uses.
fn category(seed: u64, number: usize) -> String {
    format!("c{}-{number}", seed % A_TOWN)
}

struct Town {
    nodes: [Arc<Engine>; 2],
    tills: [Till; 2],
    clock: Clock,
    _redis: OwnRedis,
}

impl Town {
    async fn open() -> Town {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        clock.adopt(Setting { campaign_ms: at("2020-06-30T00:00:00"), wall_ms: 0, rate: 0, version: 1, began: None });
        let first = node(&redis, &clock, SHARDS).await;
        let packs = A_TOWN * PEOPLE as u64;
        let limit = |entities: &[&str], name: &str, most: i64| {
            let mut limit = json!({"action": "redeem", "entities": entities, "period": "campaign"});
            limit[name] = json!(most);
            limit
        };
        let kind = |discount: i64| json!({"voucher_kind": format!("v{discount}"), "transaction_minimum": 3_000, "discount_amount": discount, "count": 4});
        let categories: Vec<String> =
            (0..A_TOWN).flat_map(|seed| (0..CATEGORIES).map(move |n| category(seed, n))).collect();
        let file = json!({
            "campaign_id": CAMPAIGN, "name": {"zh": "总量", "en": "Quotas"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
            "budget": 10_000 * packs, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
            "packs": [{"pack_id": "p", "vouchers": [kind(1_000), kind(1_500)]}],
            "rounds": [{"round_id": "r", "mode": "first_come", "reservation": null, "packs": {"p": packs},
                "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2060-07-01T00:00:00+08:00", "release": {"shape": "at_once"}}],
            "limits": [limit(&["category"], "max_count", COUNT), limit(&["channel", "category"], "max_amount", AMOUNT),
                limit(&["merchant", "category"], "max_count", AT_MERCHANT)],
            "validity": {"available_day_after_receive": 30},
            "use_rule": {"hold_seconds": 120, "max_vouchers_per_payment": 2, "categories": categories},
            "refund_policy": "restore_on_full_refund", "carry_over": "none",
            "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
        });
        let key = ApiKey::new("office", &Role::ALL, "city");
        let file = file.to_string();
        first.put_campaign(&key, CAMPAIGN, Some(Expect::Absent), file.as_bytes(), false).await.expect("a valid file");
        first.submit_campaign(&key, CAMPAIGN).await.expect("a draft");
        first.approve_campaign(&key, CAMPAIGN).await.expect("a campaign in review");
        first.publish_campaign(&key, CAMPAIGN).await.expect("what this version can do");
        first.refresh().await.expect("a configuration");
        let tills = [till(0), till(1)];
        for till in &tills {
            first.create_merchant(&key, draft(&till.merchant_id)).await.expect("a merchant");
            first.apply_to_campaign(&key, CAMPAIGN, &till.merchant_id).await.expect("an application");
            let approved = EnrolState::Approved;
            first.move_enrolment(&key, CAMPAIGN, &till.merchant_id, approved, None).await.expect("an approval");
        }
        let town = Town { nodes: [first, node(&redis, &clock, SHARDS).await], tills, clock, _redis: redis };
        for node in &town.nodes {
            node.refresh().await.expect("a configuration");
        }
        town.set_clock(at("2020-07-01T00:00:00"));
        town
    }

    fn set_clock(&self, to: i64) {
        let version = self.clock.setting().expect("a sandbox").version + 1;
        self.clock.adopt(Setting { campaign_ms: to, wall_ms: 0, rate: 0, version, began: None });
    }

    async fn buyer(&self, seed: u64, number: usize) -> Resident {
        let digest = digest_of(&format!("{seed}-{number}"));
        let identity =
            Identity { document_type: "cn_id", person_digest: Some(&digest), channel: "wechat", ..Identity::default() };
        let resident = self.nodes[0].resident(&identity).expect("a person");
        let claimant = Claimant::Resident(Box::new(resident.clone()));
        let tap = self.nodes[0].claim(CAMPAIGN, "r", &claimant, None, None).await.expect("an answer");
        assert!(matches!(tap, Tap::Won { .. }), "{tap:?}");
        resident
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Redeem,
    Confirm,
    Cancel,
    Reverse,
    Refund,
}

/// An order and the category that it is of.
#[derive(Clone, Debug)]
struct Plan {
    order_id: String,
    merchant: usize,
    person: usize,
    category: usize,
    capture: bool,
}

type Reply = Result<(), Refusal>;

struct Play<'a> {
    town: &'a Town,
    seed: u64,
    random: Random,
    people: Vec<Resident>,
    plans: Vec<Plan>,
    going: Flights<(usize, Call), Reply>,
    story: Vec<String>,
}

impl<'a> Play<'a> {
    async fn new(town: &'a Town, seed: u64) -> Play<'a> {
        let (mut random, mut people) = (Random::new(seed), Vec::new());
        for number in 0..PEOPLE {
            people.push(town.buyer(seed, number).await);
        }
        let plan = |number: usize| Plan {
            order_id: format!("{seed}-{number}"),
            merchant: random.below(2),
            person: random.below(PEOPLE),
            category: random.below(CATEGORIES),
            capture: random.chance(40),
        };
        let plans = (0..ORDERS).map(plan).collect();
        Play { town, seed, random, people, plans, going: Flights::default(), story: Vec::new() }
    }

    async fn run(mut self) {
        let mut calls = self.random.between(4, 14);
        while calls > 0 || !self.going.is_empty() {
            match self.random.below(100) {
                0..=24 if calls > 0 => {
                    calls -= 1;
                    let order = self.random.below(ORDERS);
                    let call = match self.random.below(14) {
                        0..=6 => Call::Redeem,
                        7..=8 => Call::Confirm,
                        9 => Call::Cancel,
                        10 => Call::Reverse,
                        _ => Call::Refund,
                    };
                    self.launch(order, call).await;
                }
                25..=84 => self.advance().await,
                85..=90 => self.crash().await,
                91..=95 => self.let_time_pass(),
                96..=97 => drop(self.town.nodes[1].expire_lapsed_holds().await.expect("a sweep")),
                _ => {}
            }
        }
        self.at_last().await;
    }

    fn let_time_pass(&mut self) {
        let step = some_time(&mut self.random);
        self.story.push(format!("{step} ms pass"));
        self.town.set_clock(self.town.clock.now() + step);
    }

    async fn launch(&mut self, order: usize, call: Call) {
        self.story.push(format!("begins {call:?} of {:?}", self.plans[order]));
        let node = self.town.nodes[self.random.below(2)].clone();
        let plan = self.plans[order].clone();
        let till = self.town.tills[plan.merchant].clone();
        let id = plan.order_id.clone();
        let flight: Flight<Reply> = match call {
            Call::Redeem => {
                let ask = self.ask(&plan).await;
                Flight::new(async move { node.redeem(&till, &id, &ask).await.map(drop) })
            }
            Call::Confirm => {
                let stored = self.stored(&plan).await;
                let attempt = stored.as_ref().map_or(1, |order| order.attempt);
                let payable = stored.map_or(Fen(8_500), |order| order.payable());
                let hold = hold_id(&till.merchant_id, &id, attempt);
                Flight::new(async move { node.confirm(&till, &id, &hold, payable).await.map(drop) })
            }
            Call::Cancel => Flight::new(async move { node.cancel(&till, &id).await.map(drop) }),
            Call::Reverse => Flight::new(async move { node.reverse(&till, &id).await.map(drop) }),
            Call::Refund => {
                let amount = if self.random.chance(70) { PRICE } else { 1 };
                let refund = format!("R-{amount}");
                let ask = RefundAsk::of_amount(&refund, Fen(amount));
                Flight::new(async move { node.refund(&till, &id, &ask).await.map(drop) })
            }
        };
        self.going.push((order, call), flight);
    }

    /// Sometimes another amount, so that an order's attempts differ.
    async fn ask(&mut self, plan: &Plan) -> Ask {
        let code = self.town.nodes[0].new_pay_code(&self.people[plan.person], None).await.expect("a pay code");
        Ask {
            payer: Payer::PayCode(code.pay_code),
            amount: Fen(if self.random.chance(85) { PRICE } else { 3_000 }),
            merchant_discount: Fen(0),
            category: self.category(plan.category),
            scene: None,
            items: Vec::new(),
            capture: plan.capture,
            store: String::new(),
            terminal: String::new(),
            cashier: String::new(),
            receipt_no: String::new(),
        }
    }

    fn category(&self, number: usize) -> String {
        category(self.seed, number)
    }

    async fn advance(&mut self) {
        if let Some(((order, call), reply)) = self.going.step_one(&mut self.random).await {
            self.story.push(format!("ends {call:?} of {order}: {:?}", reply.as_ref().map_err(|refusal| refusal.code)));
            let broken = [Code::Internal, Code::StoreUnavailable, Code::StoreTimeout];
            let broke = reply.err().is_some_and(|refusal| broken.contains(&refusal.code));
            assert!(!broke, "seed {}: {:#?}", self.seed, self.story);
        }
        self.check().await;
    }

    async fn crash(&mut self) {
        if let Some((order, call)) = self.going.lose_one(&mut self.random).await {
            self.story.push(format!("loses {call:?} of {order}"));
        }
    }

    async fn stored(&self, plan: &Plan) -> Option<Order> {
        order_of(&self.town.nodes[0].store, &self.town.tills[plan.merchant].merchant_id, &plan.order_id).await
    }

    /// Vouchers and fen that live orders use in each category, and the vouchers of each at each merchant.
    async fn check(&self) {
        let mut used = [(0, 0, [0, 0]); CATEGORIES];
        for plan in &self.plans {
            let Some(order) = self.stored(plan).await else { continue };
            let live = match order.state {
                OrderState::Held => self.town.clock.now() < order.until(),
                OrderState::Redeemed => order.refundable() > Fen::ZERO,
                _ => false,
            };
            if live {
                let (count, amount, at_merchant) = &mut used[plan.category];
                *count += order.units.len() as i64;
                *amount += order.discount.0;
                at_merchant[plan.merchant] += order.units.len() as i64;
            }
        }
        let within = used.iter().all(|(count, amount, at_merchant)| {
            *count <= COUNT && *amount <= AMOUNT && at_merchant.iter().all(|count| *count <= AT_MERCHANT)
        });
        assert!(within, "seed {}: {used:?} {:#?}", self.seed, self.story);
    }

    /// When all is quiet and every order was taken back, as much as ever can be used, and not more.
    async fn at_last(&mut self) {
        for plan in self.plans.clone() {
            let (node, till) = (&self.town.nodes[1], &self.town.tills[plan.merchant]);
            let reversed = node.reverse(till, &plan.order_id).await;
            if let Err(refusal) = &reversed {
                assert_eq!(refusal.code, Code::OrderHasRefunds, "seed {}: {:#?}", self.seed, self.story);
                let order = self.stored(&plan).await.expect("an order with refunds");
                let known = order.refunds.last().expect("one").clone();
                let (id, amount) = match order.refundable() {
                    Fen::ZERO => (known.refund_id, known.amount),
                    rest => ("R-last".to_owned(), rest),
                };
                node.refund(till, &plan.order_id, &RefundAsk::of_amount(&id, amount))
                    .await
                    .expect("a refund or its repeat");
            }
        }
        for category in 0..CATEGORIES {
            for (last, (merchant, left)) in [(0, 3_000), (1, 1_000), (1, 0)].into_iter().enumerate() {
                let order_id = format!("{}-last-{category}-{last}", self.seed);
                let plan = Plan { order_id, merchant, person: last, category, capture: true };
                let ask = Ask { amount: Fen(PRICE), ..self.ask(&plan).await };
                let reply = self.town.nodes[0].redeem(&self.town.tills[merchant], &plan.order_id, &ask).await;
                let told = reply.as_ref().map(|order| order.value.order.discount.0).map_err(|refusal| refusal.code);
                let expected = if left > 0 { Ok(left) } else { Err(Code::LimitReached) };
                assert_eq!(told, expected, "seed {}: category {category}, {last} {:#?}", self.seed, self.story);
                self.plans.push(plan);
                self.check().await;
            }
        }
    }
}

#[test]
fn hundreds_of_histories_of_small_quotas_never_pass_one_and_leave_nothing_taken() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let one = std::env::var("QUANYU_TEST_SEED").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seeds: Vec<u64> = one.map_or_else(|| (1..=HISTORIES).collect(), |seed| vec![seed]);
        for some in seeds.chunks(A_TOWN as usize) {
            let town = Town::open().await;
            for seed in some {
                Play::new(&town, *seed).await.run().await;
            }
            let report = town.nodes[1].audit().await.expect("an audit");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    });
}
