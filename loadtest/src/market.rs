//! Purchases at the tills: a pay code of the resident, then a hold that is confirmed or cancelled, or one call, and goods that come back.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use serde::Deserialize;

use crate::campaign::Campaign;
use crate::claims::refused;
use crate::crowd::{Crowd, code};
use crate::dice::dice;
use crate::engine::{Answer, Lost, Request};
use crate::meter::Class;
use crate::till::Till;

/// How often a till sends a step that was shed, limited or not answered, and how long it waits between.
const TRIES: u8 = 4;
const WAIT: Duration = Duration::from_secs(1);
/// One of this many purchases is sent a second time though it was answered.
const REPEATED: u64 = 20;

/// How a purchase goes, decided by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    OneCall,
    Confirmed,
    Cancelled,
    RefundedWhole,
    RefundedHalf,
    Reversed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    PayCode,
    Redeem,
    Repeat,
    Confirm,
    Cancel,
    Refund,
    Reverse,
}

/// What a till was told last about an order, and will find there later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Held,
    Redeemed,
    Cancelled,
    PartiallyRefunded,
    Refunded,
    Reversed,
}

impl State {
    fn read(text: &str) -> Option<State> {
        Some(match text {
            "held" => State::Held,
            "redeemed" => State::Redeemed,
            "cancelled" => State::Cancelled,
            "partially_refunded" => State::PartiallyRefunded,
            "refunded" => State::Refunded,
            "reversed" => State::Reversed,
            _ => return None,
        })
    }

    /// An order with vouchers that nobody else may have.
    fn has_vouchers(self) -> bool {
        matches!(self, State::Held | State::Redeemed | State::PartiallyRefunded)
    }
}

pub struct Sale {
    person: u32,
    till: u32,
    flow: Flow,
    step: Step,
    tries: u8,
    pay_code: Box<str>,
    hold_id: Box<str>,
    payable: i64,
    transaction: u64,
    /// Acknowledged, with no later step whose outcome is unknown.
    acknowledged: Option<State>,
}

#[derive(Deserialize)]
struct PayCode<'a> {
    #[serde(borrow)]
    pay_code: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Order<'a> {
    #[serde(borrow)]
    state: &'a str,
    #[serde(borrow)]
    transaction_id: Option<&'a str>,
    #[serde(borrow)]
    hold_id: Option<&'a str>,
    payable: Option<i64>,
    #[serde(borrow, default)]
    vouchers: Vec<Voucher<'a>>,
}

#[derive(Deserialize)]
struct Voucher<'a> {
    #[serde(borrow)]
    voucher_id: &'a str,
}

/// When the next step of a purchase is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    After(Duration),
}

pub struct Market {
    pub tills: Vec<Till>,
    pub sales: Vec<Sale>,
    seed: u64,
    run: u64,
    nonce: u64,
    amount: i64,
    category: String,
    pay_codes: Request,
    redemptions: Request,
    host: String,
    hasher: RandomState,
    pub double: u64,
    /// People with vouchers, in the order in which they shop.
    pub shoppers: Vec<u32>,
}

impl Market {
    pub fn new(tills: Vec<Till>, shoppers: Vec<u32>, host: &str, campaign: &Campaign, seed: u64) -> Market {
        Market {
            tills,
            sales: Vec::new(),
            seed,
            run: crate::wall_seconds(),
            nonce: 0,
            amount: campaign.amount,
            category: campaign.category.clone(),
            pay_codes: Request::new("POST", host, "/v1/pay-codes"),
            redemptions: Request::new("POST", host, "/v1/redemptions"),
            host: host.to_owned(),
            hasher: RandomState::new(),
            double: 0,
            shoppers,
        }
    }

    /// Somebody goes shopping.
    pub fn open(&mut self) -> u32 {
        let number = self.sales.len() as u64;
        let shoppers = self.shoppers.len().max(1) as u64;
        let flow = match dice(self.seed, 5, number) % 100 {
            0..35 => Flow::OneCall,
            35..75 => Flow::Confirmed,
            75..85 => Flow::Cancelled,
            85..91 => Flow::RefundedWhole,
            91..96 => Flow::RefundedHalf,
            _ => Flow::Reversed,
        };
        // Every further purchase of a person is at another till, so that no limit per person and merchant is met early.
        let till = (number + number / shoppers) % self.tills.len().max(1) as u64;
        self.sales.push(Sale {
            person: self.shoppers.get((number % shoppers) as usize).copied().unwrap_or_default(),
            till: till as u32,
            flow,
            step: Step::PayCode,
            tries: 0,
            pay_code: "".into(),
            hold_id: "".into(),
            payable: 0,
            transaction: 0,
            acknowledged: None,
        });
        number as u32
    }

    fn order_id(&self, number: u32) -> String {
        format!("L{}-{:x}-{number}", self.seed, self.run)
    }

    /// What the step is called in the report.
    pub fn kind(&self, number: u32) -> &'static str {
        let sale = &self.sales[number as usize];
        match (sale.step, sale.flow) {
            (Step::PayCode, _) => "pay_code",
            (Step::Redeem | Step::Repeat, Flow::Confirmed | Flow::Cancelled) => "hold",
            (Step::Redeem | Step::Repeat, _) => "redeem",
            (Step::Confirm, _) => "confirm",
            (Step::Cancel, _) => "cancel",
            (Step::Refund, _) => "refund",
            (Step::Reverse, _) => "reverse",
        }
    }

    /// Appends the request of the purchase's step, freshly signed.
    pub fn write(&mut self, number: u32, crowd: &Crowd, out: &mut Vec<u8>) {
        let order_id = self.order_id(number);
        let sale = &self.sales[number as usize];
        let (path, body) = match sale.step {
            Step::PayCode => {
                let token = crowd.people.token(u64::from(sale.person));
                return self.pay_codes.write(out, &["Bearer ", &token], b"{}");
            }
            Step::Redeem | Step::Repeat => {
                let (pay_code, amount, category) = (&sale.pay_code, self.amount, &self.category);
                let capture = !matches!(sale.flow, Flow::Confirmed | Flow::Cancelled);
                let body = format!(
                    r#"{{"order_id":"{order_id}","pay_code":"{pay_code}","amount":{amount},"merchant_discount":0,"category":"{category}","capture":{capture}}}"#
                );
                return self.signed(number, None, body, out);
            }
            Step::Confirm => {
                let (hold_id, payable) = (&sale.hold_id, sale.payable);
                ("confirm", format!(r#"{{"hold_id":"{hold_id}","paid_amount":{payable}}}"#))
            }
            Step::Cancel => ("cancel", "{}".to_owned()),
            Step::Refund => {
                let amount = if sale.flow == Flow::RefundedWhole { self.amount } else { self.amount / 2 };
                ("refunds", format!(r#"{{"refund_id":"R1","amount":{amount}}}"#))
            }
            Step::Reverse => ("reverse", r#"{"reason":"load"}"#.to_owned()),
        };
        self.signed(number, Some(format!("/v1/redemptions/{order_id}/{path}")), body, out);
    }

    fn signed(&mut self, number: u32, path: Option<String>, body: String, out: &mut Vec<u8>) {
        self.nonce += 1;
        let nonce = self.run << 32 | self.nonce;
        let till = &self.tills[self.sales[number as usize].till as usize];
        let name = path.as_deref().unwrap_or("/v1/redemptions");
        let authorization = till.authorization("POST", name, body.as_bytes(), crate::wall_seconds(), nonce);
        match path {
            None => self.redemptions.write(out, &[&authorization], body.as_bytes()),
            Some(path) => Request::new("POST", &self.host, path).write(out, &[&authorization], body.as_bytes()),
        }
    }

    /// Appends the question where an order stands.
    pub fn write_read(&mut self, number: u32, out: &mut Vec<u8>) {
        self.nonce += 1;
        let nonce = self.run << 32 | self.nonce;
        let path = format!("/v1/redemptions/{}", self.order_id(number));
        let till = &self.tills[self.sales[number as usize].till as usize];
        let authorization = till.authorization("GET", &path, b"", crate::wall_seconds(), nonce);
        Request::new("GET", &self.host, path).write(out, &[&authorization], b"");
    }

    /// Enters the answer to the purchase's step and says what comes next.
    pub fn told(&mut self, number: u32, outcome: &Result<Answer<'_>, Lost>) -> (Class, Then) {
        let Some(class) = refused(outcome) else {
            let answer = outcome.as_ref().ok();
            return match answer.and_then(|answer| self.succeeded(number, answer)) {
                Some(then) => (Class::Done, then),
                None => (Class::Error, Then::Nothing),
            };
        };
        let sale = &mut self.sales[number as usize];
        if class == Class::Unknown {
            sale.acknowledged = None;
        }
        if class == Class::Error {
            let known = outcome.as_ref().ok().is_some_and(|answer| {
                matches!(
                    code(answer),
                    "no_voucher_applicable"
                        | "limit_reached"
                        | "voucher_held"
                        | "voucher_used"
                        | "voucher_expired"
                        | "pay_code_expired"
                        | "hold_expired"
                )
            });
            return (if known { Class::Refused } else { Class::Error }, Then::Nothing);
        }
        sale.tries += 1;
        (class, if sale.tries < TRIES { Then::After(WAIT * u32::from(sale.tries)) } else { Then::Nothing })
    }

    /// `None` when the answer is not what the contract says.
    fn succeeded(&mut self, number: u32, answer: &Answer<'_>) -> Option<Then> {
        let sale = &mut self.sales[number as usize];
        sale.tries = 0;
        if sale.step == Step::PayCode {
            sale.pay_code = serde_json::from_slice::<PayCode<'_>>(answer.body).ok()?.pay_code.into();
            sale.step = Step::Redeem;
            return Some(Then::After(Duration::ZERO));
        }
        let order = serde_json::from_slice::<Order<'_>>(answer.body).ok()?;
        let state = State::read(order.state)?;
        let transaction = order.transaction_id.map(|id| self.hasher.hash_one(id)).unwrap_or_default();
        if sale.step == Step::Repeat {
            self.double += u64::from(transaction != sale.transaction);
        } else {
            sale.acknowledged = Some(state);
        }
        if sale.step == Step::Redeem {
            sale.transaction = transaction;
            sale.hold_id = order.hold_id.unwrap_or_default().into();
            sale.payable = order.payable?;
        }
        let again = sale.step == Step::Redeem && dice(self.seed, 6, u64::from(number)).is_multiple_of(REPEATED);
        let next = match (sale.step, sale.flow) {
            (Step::Redeem, _) if again => Some(Step::Repeat),
            (Step::Redeem | Step::Repeat, Flow::Confirmed) => Some(Step::Confirm),
            (Step::Redeem | Step::Repeat, Flow::Cancelled) => Some(Step::Cancel),
            (Step::Redeem | Step::Repeat, Flow::RefundedWhole | Flow::RefundedHalf) => Some(Step::Refund),
            (Step::Redeem | Step::Repeat, Flow::Reversed) => Some(Step::Reverse),
            _ => None,
        };
        let Some(step) = next else { return Some(Then::Nothing) };
        sale.step = step;
        Some(Then::After(Duration::ZERO))
    }

    /// Purchases whose acknowledged end can be looked up.
    pub fn acknowledged(&self) -> Vec<u64> {
        (0..self.sales.len() as u64).filter(|number| self.sales[*number as usize].acknowledged.is_some()).collect()
    }

    /// Compares what is found with what was acknowledged; enters the vouchers of the order in `vouchers` and notices those that are there.
    pub fn found(&self, number: u64, answer: &Answer<'_>, vouchers: &mut std::collections::HashSet<u64>) -> Found {
        let told = self.sales[number as usize].acknowledged;
        let order = serde_json::from_slice::<Order<'_>>(answer.body).ok().filter(|_| answer.status == 200);
        let Some(order) = order else { return Found { lost: true, double: 0 } };
        let state = State::read(order.state);
        // A hold that nobody came back to runs out by itself.
        let ran_out = told == Some(State::Held) && order.state == "expired";
        let mut double = 0;
        if state.is_some_and(State::has_vouchers) {
            for voucher in &order.vouchers {
                double += u64::from(!vouchers.insert(self.hasher.hash_one(voucher.voucher_id)));
            }
        }
        Found { lost: state != told && !ran_out, double }
    }

    pub fn count(&self, state: State) -> usize {
        self.sales.iter().filter(|sale| sale.acknowledged == Some(state)).count()
    }
}

pub struct Found {
    pub lost: bool,
    pub double: u64,
}

#[cfg(test)]
#[path = "market_tests.rs"]
mod tests;
