//! Random days at the tills, each answer compared with the model's prediction.
//!
//! Every run prints its seed; `QUANYU_TEST_SEED=n` plays one again.

mod choice;
mod rules;

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, EVE, HOUR, MINUTE, Market, SECOND, at, new_order, parse_time};
use crate::harness::identity::Resident;
use crate::harness::random::{Random, seeds};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, wait_until};
use crate::oracle::money::{Accounts, Day};
use crate::oracle::{Kind, Model, Pay, Place, Request, State, Terms, Unit, Verdict};

const STEPS: usize = 400;
const PEOPLE: usize = 12;
/// One pack less than people: somebody has lost and stands at the till with an empty wallet.
const PACKS: i64 = 11;
const NOON: &str = "2020-07-25T12:00:00";
const AMOUNTS: &[i64] = &[1000, 2999, 3000, 3001, 4500, 5999, 6000, 6400, 9000, 11_800, 15_000, 99_999];
const LAST_MINUTES: &str = "2020-09-06T23:40:00";

struct Shop {
    market: Market,
    /// A second node on the same Redis; requests then go to either by turns.
    second: Option<Server>,
    turn: Cell<usize>,
    /// Calls that were no refusals and no repeats.
    effects: usize,
    tills: Vec<Till>,
    model: Model,
    random: Random,
    /// Vouchers of each person and pay codes in the order in which we saw them; their names are chance.
    shelves: Vec<Vec<String>>,
    codes: Vec<String>,
    trace: Vec<String>,
    /// Every request that was sent once, to be sent again out of order.
    sent: Vec<Request>,
    refunds: Vec<((usize, String), String, i64)>,
    /// Dropped last: the nodes stand on it.
    _redis: Option<OwnRedis>,
}

fn random_days(nodes: usize, start: &str, fixed: u64) {
    days_of(Terms::simple(), nodes, start, fixed);
}

fn days_of(terms: Terms, nodes: usize, start: &str, fixed: u64) {
    for seed in seeds(fixed) {
        println!("QUANYU_TEST_SEED={seed}");
        let mut shop = Shop::open(terms.clone(), nodes, seed, at(start));
        for _ in 0..STEPS {
            shop.step();
        }
        if start == LAST_MINUTES {
            let rest = (at("2020-09-07T00:30:00") - shop.model.now).max(0);
            shop.advance(rest);
        }
        shop.compare_everything();
        assert!(shop.effects >= STEPS / 20, "a day of refusals proves little: {} effects", shop.effects);
        println!("{} effects in {STEPS} steps", shop.effects);
    }
}

#[test]
fn every_answer_of_a_random_day_is_the_one_the_model_predicts() {
    random_days(1, NOON, 10);
}

#[test]
fn every_answer_of_a_random_day_on_two_nodes_is_the_one_the_model_predicts() {
    random_days(2, NOON, 8);
}

#[test]
fn random_days_across_the_end_of_the_validity_lose_no_fen() {
    random_days(1, LAST_MINUTES, 8);
}

#[test]
fn random_days_of_two_nodes_across_the_end_of_the_validity_lose_no_fen() {
    random_days(2, LAST_MINUTES, 6);
}

#[test]
fn random_days_with_sets_scenes_and_caps_are_as_the_model_predicts() {
    days_of(Terms::rich(), 1, NOON, 8);
}

#[test]
fn random_days_with_sets_scenes_and_caps_on_two_nodes_lose_no_fen_across_the_end() {
    days_of(Terms::rich(), 2, LAST_MINUTES, 4);
}

impl Shop {
    fn open(terms: Terms, nodes: usize, seed: u64, start: i64) -> Shop {
        let redis = (nodes == 2).then(OwnRedis::start);
        let (first, second) = match &redis {
            None => (Server::at(EVE), None),
            Some(redis) => {
                let [first, second] = redis.two_nodes(EVE);
                (first, Some(second))
            }
        };
        let mut market = Market::open_on(first, rules::campaign_of(&terms), PEOPLE);
        let tills = vec![market.till(), market.till()];
        let validity = (at("2020-07-25T00:00:00"), at("2020-09-07T00:00:00"));
        let mut model = Model::new(terms, at(NOON), validity, PACKS);
        let wallet_of = |person: &Resident| market.server().vouchers(market.campaign(), person);
        let mut shoppers: Vec<_> = market.round.people.iter().map(|one| (one.clone(), wallet_of(one))).collect();
        // The draw is chance: a seed plays the same day again only when who has lost has always the same number.
        shoppers.sort_by_key(|one| one.1.is_empty());
        let mut shelves = Vec::new();
        for (_, wallet) in &shoppers {
            let unit = |kind: &str| Unit { kind: Kind::named(kind), place: Place::Free, restores: 0 };
            assert!([0, 6].contains(&wallet.len()), "a pack is whole: {wallet:?}");
            model.wallets.push(wallet.iter().map(|one| (one.0.clone(), unit(&one.1))).collect());
            shelves.push(wallet.iter().map(|one| one.0.clone()).collect());
        }
        market.round.people = shoppers.into_iter().map(|one| one.0).collect();
        let winners = model.wallets.iter().filter(|wallet| !wallet.is_empty()).count();
        assert_eq!(winners as i64, PACKS, "as many winners as packs");
        let random = Random::new(seed);
        let (trace, sent, refunds, turn) = (Vec::new(), Vec::new(), Vec::new(), Cell::new(0));
        let (codes, effects) = (Vec::new(), 0);
        let mut shop = Shop {
            market,
            second,
            turn,
            effects,
            tills,
            model,
            random,
            shelves,
            codes,
            trace,
            sent,
            refunds,
            _redis: redis,
        };
        shop.advance(start - shop.model.now);
        shop
    }

    /// The node that gets the next request.
    fn node(&self) -> &Server {
        self.turn.set(self.turn.get() + 1);
        match &self.second {
            Some(second) if self.turn.get().is_multiple_of(2) => second,
            _ => self.market.server(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=11 => self.let_time_pass(),
            12..=37 => self.new_sale(),
            38..=45 => self.repeat_sale(),
            46..=61 => self.confirm(),
            62..=67 => self.cancel(),
            68..=75 => self.reverse(),
            76..=88 => self.refund(),
            89..=94 => self.read_order(),
            _ => self.read_wallet(),
        }
    }

    fn advance(&mut self, milliseconds: i64) {
        self.model.advance(milliseconds);
        self.trace.push(format!("+{milliseconds} ms"));
        for node in [Some(self.market.server()), self.second.as_ref()].into_iter().flatten() {
            node.set_clock(self.model.now);
        }
    }

    fn let_time_pass(&mut self) {
        let step = match self.random.below(20) {
            0..=8 => self.random.between(1, 30) * SECOND,
            9..=13 => self.random.between(50, 130) * SECOND,
            14..=17 => self.random.between(2, 12) * MINUTE,
            18 => self.random.between(1, 5) * HOUR,
            _ => DAY + self.random.between(0, 60) * MINUTE,
        };
        let near_the_end = self.model.end - self.model.now < HOUR && !self.model.expired();
        let step = if near_the_end { step.min(3 * MINUTE) } else { step };
        let odd = self.random.between(0, 999);
        self.advance(step + odd);
    }

    fn new_sale(&mut self) {
        let person = self.random.below(PEOPLE);
        let pay = match self.random.below(10) {
            0 => Pay::Ids(self.some_vouchers(person)),
            1 => self.old_code(),
            _ => self.fresh_code(person),
        };
        let request = Request {
            till: self.random.below(self.tills.len()),
            order: new_order(),
            amount: *self.random.pick(AMOUNTS),
            merchant_discount: *self.random.pick(&[0, 0, 0, 1, 800]),
            capture: self.random.chance(40),
            category: if self.random.chance(4) { "lottery_tickets" } else { "catering" },
            scene: self.some_scene(),
            pay,
        };
        self.redeem(request);
    }

    /// The same order again, in any later state: as it was, with a fresh code, changed, or with the code of somebody else.
    fn repeat_sale(&mut self) {
        let Some(mut request) = self.any_sent() else { return };
        match self.random.below(6) {
            0 => request.amount += 1,
            1 => request.capture = !request.capture,
            4 if matches!(request.pay, Pay::Code(_)) => {
                let anybody = self.random.below(PEOPLE);
                request.pay = self.fresh_code(anybody);
            }
            2 | 3 => {
                let known = self.model.orders.get(&request.key()).map(|order| order.person);
                if let (Pay::Code(_), Some(person)) = (&request.pay, known)
                    && person < PEOPLE
                {
                    request.pay = self.fresh_code(person);
                }
            }
            _ => {}
        }
        self.redeem(request);
    }

    fn redeem(&mut self, request: Request) {
        let mut body = json!({"order_id": request.order, "amount": request.amount,
            "merchant_discount": request.merchant_discount, "category": request.category,
            "capture": request.capture});
        if let Some(scene) = request.scene {
            body["scene"] = json!(scene);
        }
        match &request.pay {
            Pay::Code(code) => body["pay_code"] = json!(code),
            Pay::Ids(ids) => body["voucher_ids"] = json!(ids),
        }
        let verdict = self.model.predict_redeem(&request);
        let reply = self.node().redeem(&self.tills[request.till], &body);
        self.check(&format!("redeem {body}"), &verdict, &reply);
        if reply.is_success() && !reply.replayed() && !request.capture {
            let until = parse_time(&reply["expires_at"]);
            assert_eq!(until, self.model.now + crate::oracle::HOLD, "a hold lasts 120 s");
        }
        // Whether a replay binds the fresh code that came with it is left to the service.
        if let (true, Pay::Code(code)) = (reply.replayed(), &request.pay)
            && let Some(code) = self.model.codes.get_mut(code)
        {
            code.perhaps_used = true;
        }
        self.model.apply_redeem(&request, &reply);
        self.sent.push(request);
    }

    fn confirm(&mut self) {
        let Some(key) = self.any_order() else { return };
        let order = self.model.orders.get(&key);
        let (hold, payable) = order.map_or_else(Default::default, |o| (o.hold_id.clone(), o.payable));
        let paid = if self.random.chance(6) { payable + 1 } else { payable };
        let verdict = self.model.predict_confirm(&key, paid);
        let hold = if hold.is_empty() { "h-unknown".to_string() } else { hold };
        let reply = self.node().confirm(&self.tills[key.0], &key.1, &hold, paid);
        self.check(&format!("confirm {key:?} {paid}"), &verdict, &reply);
        self.model.apply_confirm(&key, &reply);
    }

    fn cancel(&mut self) {
        let Some(key) = self.any_order() else { return };
        let verdict = self.model.predict_cancel(&key);
        let reply = self.node().cancel(&self.tills[key.0], &key.1);
        self.check(&format!("cancel {key:?}"), &verdict, &reply);
        self.model.apply_cancel(&key, &reply);
    }

    fn reverse(&mut self) {
        let unseen = (self.random.below(self.tills.len()), new_order());
        let key = if self.random.chance(20) { Some(unseen) } else { self.any_order() };
        let Some(key) = key else { return };
        let verdict = self.model.predict_reverse(&key);
        let reply = self.node().reverse(&self.tills[key.0], &key.1);
        self.check(&format!("reverse {key:?}"), &verdict, &reply);
        self.model.apply_reverse(&key, &reply);
        if !self.model.orders[&key].request.key().1.is_empty() && self.random.chance(30) {
            self.late_redeem(&key);
        }
    }

    /// A redeem that comes after the reversal of its order must never succeed.
    fn late_redeem(&mut self, key: &(usize, String)) {
        if self.model.orders[key].state != State::Reversed {
            return;
        }
        let pay = self.fresh_code(0);
        let (till, order) = key.clone();
        let (amount, capture) = (6000, self.random.chance(50));
        let (category, scene) = ("catering", None);
        self.redeem(Request { till, order, amount, merchant_discount: 0, capture, category, scene, pay });
    }

    fn refund(&mut self) {
        let again = self.random.chance(20) && !self.refunds.is_empty();
        let (key, id, amount) = if again {
            let (key, id, amount) = self.random.pick(&self.refunds).clone();
            (key, id, if self.random.chance(30) { amount + 1 } else { amount })
        } else {
            let Some(key) = self.any_order() else { return };
            let order = self.model.orders.get(&key);
            let left = order.map_or(1000, |o| o.request.net() - o.refunded());
            let amount = match self.random.below(5) {
                0 | 1 => left.max(1),
                2 => left + 1,
                _ => self.random.between(1, left.max(1)),
            };
            (key, format!("R{}", self.refunds.len()), amount)
        };
        let verdict = self.model.predict_refund(&key, &id, amount);
        let reply = self.node().refund(&self.tills[key.0], &key.1, &id, amount);
        self.check(&format!("refund {key:?} {id} {amount}"), &verdict, &reply);
        self.model.apply_refund(&key, &id, amount, &reply);
        self.refunds.push((key, id, amount));
    }

    fn read_order(&mut self) {
        let Some(key) = self.any_order() else { return };
        let verdict = match self.model.orders.get(&key) {
            None => Verdict::refused(&["order_not_found"]),
            Some(order) => Verdict::expects(vec![("/state", json!(order.state_name()))]),
        };
        let reply = self.node().order(&self.tills[key.0], &key.1);
        self.check(&format!("read {key:?}"), &verdict, &reply);
    }

    fn read_wallet(&mut self) {
        let person = self.random.below(PEOPLE);
        self.compare_wallet(person);
    }

    fn check(&mut self, what: &str, verdict: &Verdict, reply: &Reply) {
        self.trace.push(format!("{what} -> {} {}", reply.status, reply.text()));
        self.effects += usize::from(reply.is_success() && !reply.replayed());
        if let Some(fault) = verdict.fault(reply) {
            panic!("{fault}\nallowed: {verdict:?}\n{}", self.last_steps());
        }
    }

    fn last_steps(&self) -> String {
        self.trace[self.trace.len().saturating_sub(25)..].join("\n")
    }
}

/// At the end everything that can be read is compared.
impl Shop {
    fn compare_wallet(&self, person: usize) {
        let server = self.node();
        let shown = server.vouchers(self.market.campaign(), &self.market.round.people[person]);
        let shown: BTreeMap<_, _> = shown.into_iter().map(|one| (one.0, one.2)).collect();
        let wallet = &self.model.wallets[person];
        let wanted = wallet.iter().map(|(id, unit)| (id.clone(), self.model.voucher_state(unit).to_string()));
        let wanted: BTreeMap<_, _> = wanted.collect();
        assert_eq!(shown, wanted, "the wallet of person {person}\n{}", self.last_steps());
    }

    fn compare_everything(&self) {
        (0..PEOPLE).for_each(|person| self.compare_wallet(person));
        let server = self.node();
        let wanted = self.model.accounts();
        let mut last = Value::Null;
        let same = crate::harness::poll(std::time::Duration::from_secs(10), || {
            last = self.node().ledger(self.market.campaign());
            (Accounts::read(&last) == wanted).then_some(())
        });
        assert!(same.is_some(), "ledger {last}\nmodel {wanted:?}\n{}", self.last_steps());
        for ((date, till), day) in &self.model.settled {
            let path_of = &self.tills[*till].merchant_id;
            let settled = server.settlement(date, path_of).ok();
            let mut read = Day::read(&settled.json);
            if self.model.terms.most > 1 {
                // A line for each voucher: the money is what counts.
                (read.redeems, read.reverses, read.refunds) = (day.redeems, day.reverses, day.refunds);
            }
            assert_eq!(read, *day, "{date} {path_of}: {}", settled.text());
        }
        wait_until("the audit is clean", || (server.command(&["audit"]).status.code() == Some(0)).then_some(()));
    }
}
