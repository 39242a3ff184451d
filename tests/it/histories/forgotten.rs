//! A redemption that stops anywhere on its way, while its campaign ends and all that refused attempts have left is forgotten: the order
//! has at most one effect, though its name is free again and somebody else pays with it.

use std::sync::Arc;

use quanyu::clock::{Clock, Setting};
use quanyu::domain::merchant::EnrolState;
use quanyu::domain::money::Fen;
use quanyu::domain::order::order_key;
use quanyu::domain::refusal::Refusal;
use quanyu::engine::Engine;
use quanyu::engine::access::{ApiKey, Role};
use quanyu::engine::campaign::Expect;
use quanyu::engine::issuance::{Claimant, Tap};
use quanyu::engine::redemption::{Ask, Payer, Till};
use quanyu::engine::resident::{Identity, Resident};
use quanyu::store::keys::ORDER_BUCKETS;
use quanyu::store::ledger::{Item, LedgerReader, Line};
use serde_json::{Value, json};

use super::flight::Flight;
use super::town::{draft, node, till};
use crate::harness::fixture::{DAY, HOUR, at, text_of};
use crate::harness::random::Random;
use crate::harness::redis::OwnRedis;

const ORDER: &str = "once";
/// A redemption has fewer steps.
const MOST_STEPS: usize = 40;
const HISTORIES: u64 = 120;
const YEARS: u64 = 12;

struct Years {
    nodes: [Arc<Engine>; 2],
    key: ApiKey,
    till: Till,
    clock: Clock,
    campaigns: usize,
    _redis: OwnRedis,
}

impl Years {
    async fn open() -> Years {
        let redis = OwnRedis::in_memory();
        let clock = Clock::sandbox(Some(0));
        let nodes = [node(&redis, &clock, 3).await, node(&redis, &clock, 3).await];
        let key = ApiKey { name: "office".into(), roles: Role::ALL.to_vec(), program: "city".into(), created_at: 0 };
        let years = Years { nodes, key, till: till(0), clock, campaigns: 0, _redis: redis };
        years.set_clock(at("2020-01-01T00:00:00"));
        years.nodes[0].create_merchant(&years.key, draft(&years.till.merchant_id)).await.expect("a merchant");
        years
    }

    fn set_clock(&self, to: i64) {
        let version = self.clock.setting().expect("a sandbox").version + 1;
        self.clock.adopt(Setting { campaign_ms: to, wall_ms: 0, rate: 0, version });
    }

    fn go(&self, by: i64) {
        self.set_clock(self.clock.now() + by);
    }

    /// A campaign that is open for an hour; its vouchers are good for a day.
    async fn publish(&mut self) {
        self.campaigns += 1;
        let (name, office) = (format!("year-{}", self.campaigns), &self.nodes[0]);
        let file = campaign(&name, self.clock.now()).to_string();
        office
            .put_campaign(&self.key, &name, Some(Expect::Absent), file.as_bytes(), false)
            .await
            .expect("a valid file");
        office.submit_campaign(&self.key, &name).await.expect("a draft");
        office.approve_campaign(&self.key, &name).await.expect("a campaign in review");
        office.publish_campaign(&self.key, &name).await.expect("what this version can do");
        office.apply_to_campaign(&self.key, &name, &self.till.merchant_id).await.expect("an application");
        let (approved, merchant) = (EnrolState::Approved, &self.till.merchant_id);
        office.move_enrolment(&self.key, &name, merchant, approved, None).await.expect("an approval");
        for node in &self.nodes {
            node.refresh().await.expect("a configuration");
        }
        self.go(HOUR);
    }

    async fn shopper(&mut self) -> Resident {
        self.publish().await;
        self.winner(1).await
    }

    /// Somebody with a voucher of the last campaign.
    async fn winner(&self, number: usize) -> Resident {
        let resident = self.somebody(number);
        let (name, office) = (format!("year-{}", self.campaigns), &self.nodes[0]);
        let claimant = Claimant::Resident(Box::new(resident.clone()));
        let tap = office.claim(&name, "rush", &claimant, None, None).await.expect("an answer");
        assert!(matches!(tap, Tap::Won { .. }), "{tap:?}");
        resident
    }

    fn somebody(&self, number: usize) -> Resident {
        let digest = format!("person-{}-{number}", self.campaigns);
        let identity =
            Identity { document_type: "cn_id", person_digest: Some(&digest), channel: "wechat", ..Identity::default() };
        self.nodes[0].resident(&identity).expect("a person")
    }

    async fn ask(&self, resident: &Resident) -> Ask {
        let code = self.nodes[0].new_pay_code(resident, None).await.expect("a pay code");
        Ask {
            payer: Payer::PayCode(code.pay_code),
            amount: Fen(6_000),
            merchant_discount: Fen(0),
            category: "catering".into(),
            scene: None,
            items: Vec::new(),
            capture: true,
            store: String::new(),
            terminal: String::new(),
            cashier: String::new(),
            receipt_no: String::new(),
        }
    }

    fn redeeming(&self, node: usize, ask: Ask) -> Flight<Result<bool, Refusal>> {
        let (node, till) = (self.nodes[node].clone(), self.till.clone());
        Flight::new(async move { node.redeem(&till, ORDER, &ask).await.map(|answered| answered.replayed) })
    }

    /// All campaigns are over and the walk has come by, of another node than the one that is half way.
    async fn everything_is_forgotten(&self) {
        self.go(10 * DAY);
        self.nodes[1].step().await.expect("jobs run");
        self.nodes[0].refresh().await.expect("a configuration");
        self.walk(1).await;
    }

    /// The step of the walk that comes to the order.
    fn walk(&self, node: usize) -> impl Future<Output = ()> + use<> {
        let bucket = u16::from_be_bytes(order_key(&self.till.merchant_id, ORDER)[..2].try_into().expect("two bytes"));
        let (node, bucket) = (self.nodes[node].clone(), bucket % ORDER_BUCKETS);
        async move { node.forget_orders(bucket..bucket + 1).await.expect("a walk") }
    }

    /// How often the order has used a voucher so far.
    async fn effects(&self) -> i64 {
        let mut lines = Vec::new();
        for shard in 0..3 {
            let mut reader = LedgerReader::open(&self.nodes[0].store, shard).await.expect("a reader");
            let take = |item| {
                if let Item::Entry(entry) = item {
                    lines.push(entry.line);
                }
            };
            reader.each(u64::MAX, take).await.expect("a readable ledger");
        }
        lines.iter().filter(|line| matches!(line, Line::Redeemed { .. })).count() as i64
    }
}

fn campaign(name: &str, now: i64) -> Value {
    json!({
        "campaign_id": name, "name": {"zh": "年", "en": "Year"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": 4_000, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "p", "vouchers": [
            {"voucher_kind": "60-20", "transaction_minimum": 6_000, "discount_amount": 2_000, "count": 1}]}],
        "rounds": [{"round_id": "rush", "mode": "first_come", "reservation": null, "packs": {"p": 2},
            "opens_at": text_of(now + HOUR), "closes_at": text_of(now + 2 * HOUR), "release": {"shape": "at_once"}}],
        "validity": {"available_day_after_receive": 1, "day_counting": "hours_24"},
        "use_rule": {"categories": ["catering"]}, "refund_days": 1,
        "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

/// Stops a redemption after so many steps, forgets everything, lets somebody of a new campaign pay under the same name, and goes on;
/// with a second one that stops at the same place where `twice` says so. True when the redemption was over before.
async fn stopped_after(years: &mut Years, steps: usize, twice: bool) -> bool {
    let before = years.effects().await;
    let first = years.shopper().await;
    let mut half_way = vec![years.redeeming(0, years.ask(&first).await)];
    if twice {
        half_way.push(years.redeeming(1, years.ask(&first).await));
    }
    let mut over = false;
    for flight in &mut half_way {
        for _ in 0..steps {
            if flight.step().await.is_some() {
                over = true;
                break;
            }
        }
    }
    if over {
        years.everything_is_forgotten().await;
        return true;
    }
    let redeemed = years.effects().await - before;
    years.everything_is_forgotten().await;
    let second = years.shopper().await;
    let mut other = years.redeeming(1, years.ask(&second).await);
    let answer = loop {
        if let Some(answer) = other.step().await {
            break answer;
        }
    };
    for mut flight in half_way {
        while flight.step().await.is_none() {}
    }
    let effects = years.effects().await - before;
    assert!(matches!(answer, Ok(false)), "after {steps} steps: {answer:?}");
    // One that was applied and only not answered is another order by now: it was forgotten with its campaign.
    assert_eq!(effects, redeemed + 1, "after {steps} steps");
    years.everything_is_forgotten().await;
    false
}

#[test]
fn what_is_half_way_when_all_is_forgotten_has_no_effect_afterwards() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut years = Years::open().await;
        for twice in [false, true] {
            let steps = async |years: &mut Years| {
                for steps in 0..MOST_STEPS {
                    if stopped_after(years, steps, twice).await {
                        return steps;
                    }
                }
                panic!("a redemption of more than {MOST_STEPS} steps");
            };
            let steps = steps(&mut years).await;
            assert!(steps > 2, "stopped at {steps} places only");
        }
        let report = years.nodes[1].audit().await.expect("an audit");
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
    });
}

/// One history: an order was refused in an old year; while it is being forgotten, a campaign is published and two people pay under its
/// name at once.
async fn forgotten_while_it_is_paid(years: &mut Years, seed: u64) {
    let mut random = Random::new(seed);
    years.publish().await;
    for _ in 0..1 + random.below(2) {
        let stranger = years.somebody(9);
        let mut refused = years.redeeming(0, years.ask(&stranger).await);
        while refused.step().await.is_none() {}
    }
    years.go(10 * DAY);
    years.nodes[1].step().await.expect("jobs run");
    years.nodes[0].refresh().await.expect("a configuration");
    let mut walks: Vec<Flight<()>> = (0..2).map(|node| Flight::new(years.walk(node))).collect();
    for walk in &mut walks {
        for _ in 0..random.below(8) {
            if walk.step().await.is_some() {
                *walk = Flight::new(async {});
            }
        }
    }
    let before = years.effects().await;
    years.publish().await;
    let mut paying = Vec::new();
    for number in 0..2 {
        let ask = years.ask(&years.winner(number).await).await;
        paying.push(years.redeeming(number, ask));
    }
    let mut applied = 0;
    while !(walks.is_empty() && paying.is_empty()) {
        if random.chance(40) && !walks.is_empty() {
            let place = random.below(walks.len());
            if walks[place].step().await.is_some() {
                drop(walks.swap_remove(place));
            }
        } else if !paying.is_empty() {
            let place = random.below(paying.len());
            if let Some(answer) = paying[place].step().await {
                applied += i64::from(matches!(answer, Ok(false)));
                drop(paying.swap_remove(place));
            }
        }
    }
    let effects = years.effects().await - before;
    assert!(effects <= 1 && applied == effects, "seed {seed}: {effects} effects, {applied} told");
    years.everything_is_forgotten().await;
}

#[test]
fn an_order_that_is_paid_while_what_was_refused_of_it_is_forgotten_has_one_effect() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // Each year is two campaigns, so that a city of hundreds of years would take its time.
        for first in (1..=HISTORIES).step_by(YEARS as usize) {
            let mut years = Years::open().await;
            for seed in first..first + YEARS {
                forgotten_while_it_is_paid(&mut years, seed).await;
            }
            let report = years.nodes[1].audit().await.expect("an audit");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    });
}
