//! One history from its seed: what a person's tills do and what happens to their calls on the way.

use std::collections::BTreeMap;

use quanyu::domain::money::Fen;
use quanyu::domain::order::{hold_id, order_key};
use quanyu::domain::refund::RefundAsk;
use quanyu::domain::refusal::Refusal;
use quanyu::domain::time::parse_rfc3339;
use quanyu::engine::claim::{Claimant, Tap};
use quanyu::engine::order::{Ask, OrderView, Payer};
use quanyu::engine::resident::{Identity, Resident};
use quanyu::store::ledger::{LedgerEntry, Line, OrderKey, To};

use super::checker::{Answer, Call, Event, Evidence, Found, Move, OrderSeen, Unit};
use super::flight::Flight;
use super::town::{A_DAY, CAMPAIGN, MOST, ROUND, Town};
use crate::harness::fixture::{DAY, MINUTE, SECOND};
use crate::harness::identity::digest_of;
use crate::harness::random::Random;

const AMOUNTS: &[i64] = &[2_999, 3_000, 5_999, 6_000, 6_001, 9_000, 9_001, 15_000];

/// What the till means to do with one order.
struct Plan {
    merchant: usize,
    order_id: String,
    amount: i64,
    capture: bool,
    /// Printed vouchers instead of a pay code.
    named: Option<Vec<String>>,
    /// Hold and what is to be paid, once an answer has told.
    held: Option<(String, i64)>,
    refunds: Vec<(String, i64)>,
}

/// A call on its way; sweeps and other jobs of the nodes are on their way without one.
struct Going {
    flight: Flight<Reply>,
    event: Option<usize>,
}

/// The body, what goes to payer and issuer, hold and amount to pay.
type Reply = Result<(String, i64, i64, Option<(String, i64)>), Refusal>;

struct Play<'a> {
    town: &'a Town,
    random: Random,
    resident: Resident,
    vouchers: Vec<(String, Unit)>,
    plans: Vec<Plan>,
    events: Vec<Event>,
    going: Vec<Going>,
    tick: u32,
}

/// Plays the history of a seed and tells all that can be known of it afterwards.
pub async fn play(town: &Town, seed: u64, near_the_end: bool) -> Evidence {
    let mut random = Random::new(seed);
    let digest = digest_of(&format!("person-{seed}"));
    let identity =
        Identity { document_type: "cn_id", person_digest: Some(&digest), channel: "wechat", ..Identity::default() };
    let resident = town.nodes[0].resident(&identity).expect("a person");
    let claimant = Claimant::Resident(Box::new(resident.clone()));
    let tap = town.nodes[0].claim(CAMPAIGN, ROUND, &claimant, None, None).await.expect("an answer");
    assert!(matches!(tap, Tap::Won { .. }), "{tap:?}");
    let wallet = town.nodes[0].wallet(&resident, Some(CAMPAIGN), None).await.expect("a wallet").vouchers;
    let unit_of = |id: &str| {
        let voucher = town.nodes[0].keys.voucher.voucher(id).expect("a voucher of ours");
        (voucher.p, voucher.u)
    };
    let vouchers: Vec<(String, Unit)> =
        wallet.iter().map(|one| (one.voucher_id.clone(), unit_of(&one.voucher_id))).collect();
    let terms = |one: &quanyu::engine::wallet::WalletVoucher| {
        (unit_of(&one.voucher_id), (one.transaction_minimum.0, one.discount_amount.0))
    };
    let time = |text: &str| parse_rfc3339(text).expect("a time");
    let (begin, end) = (time(&wallet[0].available_begin_time), time(&wallet[0].available_end_time));
    if near_the_end {
        town.set_clock(end - random.between(0, 4 * MINUTE));
    } else if random.chance(10) {
        town.set_clock(town.now() + random.between(0, DAY / 2));
    }
    town.new_lines().await;
    let plans = (0..=random.below(3)).map(|number| plan(&mut random, seed, number, &vouchers)).collect();
    let terms = wallet.iter().map(terms).collect();
    let mut play = Play { town, random, resident, vouchers, plans, events: Vec::new(), going: Vec::new(), tick: 0 };
    play.run().await;
    play.evidence(terms, begin, end).await
}

fn plan(random: &mut Random, seed: u64, number: usize, vouchers: &[(String, Unit)]) -> Plan {
    let named = random.chance(15).then(|| {
        let first = random.below(vouchers.len());
        let count = 1 + random.below(2);
        (first..first + count).map(|place| vouchers[place % vouchers.len()].0.clone()).collect()
    });
    Plan {
        merchant: random.below(2),
        order_id: format!("{seed}-{number}"),
        amount: *random.pick(AMOUNTS),
        capture: random.chance(40),
        named,
        held: None,
        refunds: Vec::new(),
    }
}

impl Play<'_> {
    async fn run(&mut self) {
        let mut calls = self.random.between(3, 11);
        while calls > 0 || !self.going.is_empty() {
            self.tick += 1;
            match self.random.below(100) {
                0..=24 if calls > 0 => {
                    calls -= 1;
                    self.begin().await;
                }
                25..=80 => self.advance().await,
                81..=85 => self.crash().await,
                86..=92 => self.let_time_pass(),
                93..=95 => self.job(),
                _ => {}
            }
        }
        // A till that does not know asks for a reverse until it is answered.
        for order in 0..self.plans.len() {
            if self.random.chance(25) {
                self.launch(order, Call::Reverse).await;
                while !self.going.is_empty() {
                    self.tick += 1;
                    self.advance().await;
                }
            }
        }
    }

    fn let_time_pass(&mut self) {
        let step = match self.random.below(10) {
            0..=5 => self.random.between(1, 20_000),
            6..=7 => self.random.between(100, 130) * SECOND,
            8 => self.random.between(2, 11) * MINUTE,
            _ => self.random.between(9 * MINUTE + 55 * SECOND, 10 * MINUTE + 5 * SECOND),
        };
        self.town.set_clock(self.town.now() + step);
    }

    /// The sweeper, or all that a node does by itself.
    fn job(&mut self) {
        let node = self.town.nodes[self.random.below(2)].clone();
        let done = |_| Ok((String::new(), 0, 0, None));
        let flight = match self.random.chance(70) {
            true => {
                Flight::new(
                    async move { node.expire_lapsed_holds().await.map_err(|f| f.into_refusal()).and_then(done) },
                )
            }
            false => {
                Flight::new(async move { node.step().await.map(|()| 0).map_err(|f| f.into_refusal()).and_then(done) })
            }
        };
        self.going.push(Going { flight, event: None });
    }

    async fn begin(&mut self) {
        let order = self.random.below(self.plans.len());
        let redeemed = self.events.iter().any(|event| event.order == order);
        let (kind, change) = (self.random.below(100), self.random.chance(6));
        let plan = &mut self.plans[order];
        let redeem = Call::Redeem { amount: plan.amount + i64::from(change), capture: plan.capture };
        let call = match kind {
            _ if !redeemed && kind < 85 => redeem,
            0..=24 => redeem,
            25..=54 => Call::Confirm,
            55..=62 => Call::Cancel,
            63..=75 => Call::Reverse,
            _ => {
                let repeats = !plan.refunds.is_empty() && self.random.chance(30);
                if !repeats {
                    let amount = match self.random.below(3) {
                        0 => plan.amount,
                        _ => self.random.between(1, plan.amount),
                    };
                    plan.refunds.push((format!("R{}", plan.refunds.len()), amount));
                }
                let (id, amount) = self.random.pick(&plan.refunds).clone();
                Call::Refund { id, amount }
            }
        };
        for _ in 0..1 + usize::from(self.random.chance(25)) {
            self.launch(order, call.clone()).await;
        }
    }

    async fn launch(&mut self, order: usize, call: Call) {
        let event = Event { order, call: call.clone(), begun: self.tick, ended: u32::MAX, answer: Answer::Lost };
        self.events.push(event);
        let plan = &self.plans[order];
        let node = self.town.nodes[self.random.below(2)].clone();
        let (till, id) = (self.town.tills[plan.merchant].clone(), plan.order_id.clone());
        let flight: Flight<Reply> = match call {
            Call::Redeem { amount, capture } => {
                let ask = self.ask(order, amount, capture).await;
                Flight::new(async move {
                    let view = node.redeem(&till, &id, &ask).await?.value;
                    let held = Some((view.hold_id.clone(), view.order.payable().0));
                    Ok((told(&view), 0, 0, held))
                })
            }
            Call::Confirm => {
                let guess = || (hold_id(&till.merchant_id, &id, 1), plan.amount - 2_000);
                let (hold, paid) = plan.held.clone().unwrap_or_else(guess);
                Flight::new(async move {
                    let view = node.confirm(&till, &id, &hold, Fen(paid)).await?.value;
                    Ok((told(&view), 0, 0, None))
                })
            }
            Call::Cancel => Flight::new(async move {
                node.cancel(&till, &id).await?;
                Ok((String::new(), 0, 0, None))
            }),
            Call::Reverse => Flight::new(async move {
                node.reverse(&till, &id).await?;
                Ok((String::new(), 0, 0, None))
            }),
            Call::Refund { id: refund, amount } => Flight::new(async move {
                let view = node.refund(&till, &id, &RefundAsk::of_amount(&refund, Fen(amount))).await?.value;
                Ok((String::new(), view.to_payer.0, view.to_issuer.0, None))
            }),
        };
        self.going.push(Going { flight, event: Some(self.events.len() - 1) });
    }

    async fn ask(&self, order: usize, amount: i64, capture: bool) -> Ask {
        let payer = match &self.plans[order].named {
            Some(ids) => Payer::Vouchers(ids.clone()),
            None => {
                let code = self.town.nodes[0].new_pay_code(&self.resident, None).await.expect("a pay code");
                Payer::PayCode(code.pay_code)
            }
        };
        Ask {
            payer,
            amount: Fen(amount),
            merchant_discount: Fen(0),
            category: "catering".into(),
            scene: None,
            items: Vec::new(),
            capture,
            store: String::new(),
            terminal: String::new(),
            cashier: String::new(),
            receipt_no: String::new(),
        }
    }

    /// One call takes its next step; at its end the answer arrives or is lost.
    async fn advance(&mut self) {
        if self.going.is_empty() {
            return;
        }
        let place = self.random.below(self.going.len());
        let Some(reply) = self.going[place].flight.step().await else { return };
        let Some(event) = self.going.swap_remove(place).event else { return };
        if self.random.chance(10) {
            return;
        }
        let event = &mut self.events[event];
        event.ended = self.tick;
        event.answer = match reply {
            Ok((body, payer, issuer, held)) => {
                let plan = &mut self.plans[event.order];
                plan.held = held.or(plan.held.take());
                Answer::Done(body, payer, issuer)
            }
            Err(refusal) => Answer::Refused(refusal.code.as_str()),
        };
    }

    /// The node dies with a call on it: before the store has it, or after.
    async fn crash(&mut self) {
        if self.going.is_empty() {
            return;
        }
        let place = self.random.below(self.going.len());
        if self.random.chance(60) {
            self.going[place].flight.answered().await;
        }
        self.going.swap_remove(place);
    }

    async fn evidence(self, terms: BTreeMap<Unit, (i64, i64)>, begin: i64, end: i64) -> Evidence {
        let node = &self.town.nodes[self.tick as usize % 2];
        let mut orders = Vec::new();
        for plan in &self.plans {
            let found = match node.get_order(&self.town.tills[plan.merchant], &plan.order_id).await {
                Ok(view) => Some(self.found(&view)),
                Err(refusal) if refusal.code.as_str() == "order_not_found" => None,
                Err(refusal) => panic!("{} cannot be read: {refusal:?}", plan.order_id),
            };
            orders.push(OrderSeen { merchant: plan.merchant, found });
        }
        let wallet = node.wallet(&self.resident, Some(CAMPAIGN), None).await.expect("a wallet").vouchers;
        let word =
            |one: &quanyu::engine::wallet::WalletVoucher| (self.unit(&one.voucher_id), one.state.as_str().to_owned());
        let keys: Vec<OrderKey> = self.plans.iter().map(|plan| self.key(plan)).collect();
        let lines = self.town.new_lines().await;
        Evidence {
            vouchers: terms,
            begin,
            end,
            orders,
            wallet: wallet.iter().map(word).collect(),
            moves: lines.iter().filter_map(|entry| moved(entry, &keys)).collect(),
            events: self.events,
            most_vouchers: MOST,
            most_a_day: A_DAY,
        }
    }

    fn key(&self, plan: &Plan) -> OrderKey {
        quanyu::store::ledger::Bytes(order_key(&self.town.tills[plan.merchant].merchant_id, &plan.order_id))
    }

    fn unit(&self, id: &str) -> Unit {
        self.vouchers.iter().find(|one| one.0 == id).expect("a voucher of the person").1
    }

    fn found(&self, view: &OrderView) -> Found {
        let order = &view.order;
        Found {
            state: order.word().to_owned(),
            units: view.vouchers.iter().map(|one| self.unit(&one.voucher_id)).collect(),
            discount: order.discount.0,
            net: order.net().0,
            refunds: order.refunds.iter().map(|one| (one.refund_id.clone(), one.amount.0, one.share.0)).collect(),
        }
    }
}

/// What a repeat must say again: all that the first answer said of the order.
fn told(view: &OrderView) -> String {
    let order = &view.order;
    let vouchers: Vec<&str> = view.vouchers.iter().map(|one| one.voucher_id.as_str()).collect();
    format!("{} {} {} {} {vouchers:?}", view.transaction_id, view.hold_id, order.t0, order.discount.0)
}

/// A voucher's line as the checker takes it; others are of no order.
fn moved(entry: &LedgerEntry, keys: &[OrderKey]) -> Option<Move> {
    let of_order = |merchant: &str, order: &str| quanyu::store::ledger::Bytes(order_key(merchant, order));
    let word = |to: &To| if *to == To::Outstanding { "outstanding" } else { "elsewhere" };
    let (p, u, fen, key, to, why) = match &entry.line {
        Line::Held { p, u, discount, ok, .. } => (p, u, discount, *ok, "", ""),
        Line::Released { p, u, discount, ok, why, .. } => (p, u, discount, *ok, "", why.as_str()),
        Line::Confirmed { p, u, discount, merchant_id, order_id, .. }
        | Line::Redeemed { p, u, discount, merchant_id, order_id, .. }
        | Line::Reversed { p, u, discount, merchant_id, order_id, .. } => {
            (p, u, discount, of_order(merchant_id, order_id), "", "")
        }
        Line::Refunded { p, u, share, merchant_id, order_id, refund_id, to, .. } => {
            (p, u, share, of_order(merchant_id, order_id), word(to), refund_id.as_str())
        }
        _ => return None,
    };
    let order = keys.iter().position(|known| *known == key)?;
    let (to, why) = (to.to_owned(), why.to_owned());
    Some(Move {
        entry: entry.first_seq,
        at: entry.at,
        kind: entry.line.kind(),
        order,
        unit: (*p, *u),
        fen: *fen,
        to,
        why,
    })
}
