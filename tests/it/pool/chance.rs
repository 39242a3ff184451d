//! Random rounds, sales, refunds and leaps of the clock: at every instant the accounts add up, and the pool never owes.

use serde_json::json;

use super::{FIRST, Sale, WEEK, Weeks, money, weekly};
use crate::harness::fixture::{DAY, HOUR, MINUTE, at};
use crate::harness::identity::Resident;
use crate::harness::random::{Random, seeds};

const ROUNDS: i64 = 5;
const STEPS: usize = 160;

struct Chance {
    weeks: Weeks,
    random: Random,
    now: i64,
    people: Vec<Resident>,
    /// Sales and what of their 5,000 fen can still be refunded.
    sales: Vec<(Sale, i64)>,
    sold: usize,
    refunds: usize,
}

#[test]
fn no_fen_is_lost_or_spent_twice_over_random_rounds() {
    for seed in seeds(3) {
        println!("QUANYU_TEST_SEED={seed}");
        let mut chance = Chance::open(seed);
        for _ in 0..STEPS {
            chance.step();
        }
        chance.weeks.go(ROUNDS + 1, 0);
        chance.weeks.server.assert_audit_clean();
        let ledger = chance.weeks.ledger();
        let taken = ledger["pools"][1]["taken"].as_i64().expect("an amount");
        let sold = chance.sold;
        println!(
            "{} came, {sold} sales, {} refunds, {taken} fen taken from the pool",
            chance.people.len(),
            chance.refunds
        );
        assert!(chance.people.len() > 5, "a campaign without people proves little");
    }
}

impl Chance {
    fn open(seed: u64) -> Chance {
        let mut random = Random::new(seed);
        let next_round = random.chance(50);
        let mut supplies = vec![money(json!(random.between(2_000, 12_000)))];
        while (supplies.len() as i64) < ROUNDS {
            let supply = match random.below(3) {
                _ if supplies.len() as i64 + 1 == ROUNDS => money(json!("pool")),
                0 => json!({"p20": random.between(1, 2)}),
                1 => money(json!(random.between(2_000, 4_500))),
                _ => money(json!("pool")),
            };
            supplies.push(supply);
        }
        let mut campaign = weekly("chance", &supplies);
        campaign["budget"] = json!(40_000);
        campaign["carry_over"] = json!(if next_round { "next_round" } else { "pool" });
        let mut sources = vec!["unissued", "expired", "refunded"];
        for _ in 0..random.below(3) {
            sources.remove(random.below(sources.len()));
        }
        campaign["carry_over_sources"] = json!(sources);
        campaign["expired_refund_to"] = json!(*random.pick(&["pool", "treasury"]));
        println!("{supplies:?} {} {sources:?}", campaign["carry_over"]);
        let (weeks, now) = (Weeks::open(&campaign), at(FIRST));
        Chance { weeks, random, now, people: Vec::new(), sales: Vec::new(), sold: 0, refunds: 0 }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=2 => self.leap(),
            3..=6 => self.spend(),
            _ => self.refund(),
        }
        self.weeks.assert_balanced();
    }

    /// To some instant before, in or after what happens on every Monday, or over several of them.
    fn leap(&mut self) {
        let week = (self.now - at(FIRST)) / WEEK;
        let hours = [9, 12, 13, 14, 15, 60, 7 * 24, 7 * 24 + 1, 7 * 24 + 9];
        let next = hours.iter().map(|hours| at(FIRST) + week * WEEK + hours * HOUR).find(|next| *next > self.now);
        let odd = self.random.between(0, 59) * MINUTE;
        self.now = match self.random.below(20) {
            0 => self.now + self.random.between(1, 20) * DAY,
            1..=4 => self.now + odd,
            _ => next.expect("the next Monday") + if self.random.chance(50) { odd } else { 0 },
        };
        self.now = self.now.min(at(FIRST) + (ROUNDS + 1) * WEEK);
        self.weeks.server.set_clock(self.now);
        self.come();
    }

    /// Some come to reserve; between the rounds nobody can.
    fn come(&mut self) {
        for person in Resident::many(self.random.below(6)) {
            if self.weeks.server.reserve(&self.weeks.campaign, &person).is_success() {
                self.people.push(person);
            }
        }
    }

    fn spend(&mut self) {
        if self.people.is_empty() {
            return;
        }
        let latest = self.people.len().saturating_sub(8);
        let person = self.random.pick(&self.people[latest..]).clone();
        let (server, order) = (&self.weeks.server, super::new_order());
        let sold = server.redeem(&self.weeks.till, &super::sale(&order, &server.pay_code(&person), 5_000, true));
        if sold.is_success() && sold.int("discount_amount") > 0 {
            self.sales.push((Sale { order }, 5_000));
            self.sold += 1;
        }
    }

    fn refund(&mut self) {
        if self.sales.is_empty() {
            return;
        }
        let index = self.random.below(self.sales.len());
        let left = self.sales[index].1;
        let amount = if self.random.chance(50) { left } else { self.random.between(1, left) };
        self.refunds += 1;
        self.weeks.refund(&self.sales[index].0, &format!("R{}", self.refunds), amount);
        self.sales[index].1 -= amount;
        if self.sales[index].1 == 0 {
            self.sales.swap_remove(index);
        }
    }
}
