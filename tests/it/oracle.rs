//! A sequential model of the rules, written from the API contract and not from the code.
//!
//! The model predicts every answer of a till before it is given. Where the contract leaves a
//! choice, the prediction allows more than one answer and the model follows the one that came:
//! what it checks is that no order of calls makes or loses money.

mod after;
pub mod money;
mod redeem;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::client::Reply;
use crate::harness::fixture::{HOUR, MINUTE, SECOND};

pub const HOLD: i64 = 120 * SECOND;
/// A confirm may come this long after the hold had run out, if its voucher is still free.
pub const LATE: i64 = 10 * MINUTE;
pub const REVERSE_WINDOW: i64 = 24 * HOUR;
pub const MAX_RESTORES: u32 = 3;

/// The rules in which the campaigns of the random days differ.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Vouchers in one payment.
    pub most: usize,
    /// Vouchers of one person at one merchant on one day.
    pub person_merchant_day: i64,
    /// Fen of one person on one day.
    pub person_day: Option<i64>,
    /// Vouchers of everybody at one merchant on one day.
    pub merchant_day: Option<i64>,
    /// Fen of everybody at all merchants on one day.
    pub all_day: Option<i64>,
    /// 60-20 is for eating in.
    pub sixty_dines_in: bool,
}

impl Terms {
    /// Chengdu 2020.
    pub fn simple() -> Terms {
        Terms {
            most: 1,
            person_merchant_day: 2,
            person_day: None,
            merchant_day: None,
            all_day: None,
            sixty_dines_in: false,
        }
    }

    pub fn rich() -> Terms {
        Terms {
            most: 3,
            person_merchant_day: 4,
            person_day: Some(6000),
            merchant_day: Some(12),
            all_day: Some(24_000),
            sixty_dines_in: true,
        }
    }
}

pub struct Model {
    pub now: i64,
    pub terms: Terms,
    pub begin: i64,
    pub end: i64,
    pub packs: i64,
    /// People by number; losers have an empty wallet.
    pub wallets: Vec<BTreeMap<String, Unit>>,
    pub codes: BTreeMap<String, PayCode>,
    pub orders: BTreeMap<(usize, String), Order>,
    pub settled: BTreeMap<(String, usize), money::Day>,
}

#[derive(Clone, Debug)]
pub struct Unit {
    pub kind: Kind,
    pub place: Place,
    pub restores: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sixty,
    Thirty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Free,
    Held,
    Used,
}

#[derive(Clone, Debug)]
pub struct PayCode {
    pub person: usize,
    pub made: i64,
    pub bound: Option<(usize, String)>,
    /// It came with a repeat, and the contract does not say whether that binds it.
    pub perhaps_used: bool,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub request: Request,
    pub state: State,
    pub person: usize,
    pub vouchers: Vec<String>,
    pub discount: i64,
    pub payable: i64,
    pub held_at: i64,
    pub hold_id: String,
    pub redeemed_at: i64,
    pub refunds: Vec<Refund>,
    /// The faces of the vouchers that a full refund has put back into the wallet.
    pub restored: i64,
    pub first_answer: Value,
    pub last_answer: Value,
}

impl Order {
    /// Whoever is told that the hold ran out gives the money back: no confirm is taken any more.
    pub fn hear(&mut self, reply: &Reply, now: i64) {
        if reply.code() == "hold_expired" {
            assert!(matches!(self.state, State::Lapsed { .. }), "{self:?} has not run out");
            self.state = State::Lapsed { until: now - LATE };
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Held { until: i64 },
    Lapsed { until: i64 },
    Redeemed,
    Cancelled,
    Reversed,
}

#[derive(Clone, Debug)]
pub struct Refund {
    pub id: String,
    pub amount: i64,
    pub to_issuer: i64,
    pub answer: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub till: usize,
    pub order: String,
    pub amount: i64,
    pub merchant_discount: i64,
    pub capture: bool,
    pub category: &'static str,
    pub scene: Option<&'static str>,
    pub pay: Pay,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pay {
    Code(String),
    Ids(Vec<String>),
}

/// What may be answered: success with these facts, or one of these codes.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub success: Option<Expected>,
    /// Where the contract leaves open what counts: the other success.
    pub or: Option<Expected>,
    pub refusals: Vec<&'static str>,
    /// Facts a refusal must carry when it is the only one possible.
    pub details: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub facts: Vec<(&'static str, Value)>,
    /// A repeat: exactly this body, marked as a replay.
    pub replay_of: Option<Value>,
}

impl Kind {
    pub fn named(text: &str) -> Kind {
        if text == "60-20" { Kind::Sixty } else { Kind::Thirty }
    }

    pub fn name(self) -> &'static str {
        if self == Kind::Sixty { "60-20" } else { "30-10" }
    }

    pub fn minimum(self) -> i64 {
        if self == Kind::Sixty { 6000 } else { 3000 }
    }

    pub fn discount(self) -> i64 {
        if self == Kind::Sixty { 2000 } else { 1000 }
    }
}

impl Request {
    pub fn net(&self) -> i64 {
        self.amount - self.merchant_discount
    }

    pub fn key(&self) -> (usize, String) {
        (self.till, self.order.clone())
    }

    /// The fields that bind an order to a body, where two requests differ.
    pub fn differences(&self, other: &Request) -> Vec<&'static str> {
        let ids = |request: &Request| match &request.pay {
            Pay::Ids(ids) => Some(ids.clone()),
            Pay::Code(_) => None,
        };
        let mut fields = Vec::new();
        let mut compare = |name, differs: bool| {
            if differs {
                fields.push(name);
            }
        };
        compare("amount", self.amount != other.amount);
        compare("merchant_discount", self.merchant_discount != other.merchant_discount);
        compare("capture", self.capture != other.capture);
        compare("category", self.category != other.category);
        compare("scene", self.scene.unwrap_or("offline") != other.scene.unwrap_or("offline"));
        compare("voucher_ids", ids(self) != ids(other));
        fields
    }
}

impl Verdict {
    pub fn refused(codes: &[&'static str]) -> Verdict {
        Verdict { refusals: codes.to_vec(), ..Verdict::default() }
    }

    pub fn expects(facts: Vec<(&'static str, Value)>) -> Verdict {
        let success = Some(Expected { facts, replay_of: None });
        Verdict { success, ..Verdict::default() }
    }

    pub fn replays(body: &Value) -> Verdict {
        let success = Some(Expected { facts: Vec::new(), replay_of: Some(body.clone()) });
        Verdict { success, ..Verdict::default() }
    }

    pub fn or_refused(mut self, codes: &[&'static str]) -> Verdict {
        self.refusals.extend_from_slice(codes);
        self
    }

    /// Says what is wrong with an answer, or nothing.
    pub fn fault(&self, reply: &Reply) -> Option<String> {
        if !reply.is_success() {
            if !self.refusals.contains(&reply.code()) {
                return Some(format!("{} was not to be expected", reply.code()));
            }
            let facts = if self.refusals.len() == 1 { &self.details[..] } else { &[] };
            return differing(facts, &reply.json);
        }
        let Some(expected) = &self.success else {
            return Some("success was not to be expected".to_string());
        };
        match &expected.replay_of {
            Some(body) if *body != reply.json => Some(format!("the repeat differs from {body}")),
            Some(_) if !reply.replayed() => Some("a repeat without Idempotent-Replayed".to_string()),
            Some(_) => None,
            None if reply.replayed() => Some("this was no repeat".to_string()),
            None => {
                let fault = differing(&expected.facts, &reply.json)?;
                let other = self.or.as_ref()?;
                differing(&other.facts, &reply.json).map(|also| format!("{fault}; or {also}"))
            }
        }
    }
}

fn differing(facts: &[(&'static str, Value)], body: &Value) -> Option<String> {
    for (pointer, wanted) in facts {
        let got = body.pointer(pointer).unwrap_or(&Value::Null);
        if got != wanted {
            return Some(format!("{pointer} should be {wanted}, is {got}"));
        }
    }
    None
}

impl Model {
    pub fn new(terms: Terms, now: i64, validity: (i64, i64), packs: i64) -> Model {
        Model {
            terms,
            now,
            begin: validity.0,
            end: validity.1,
            packs,
            wallets: Vec::new(),
            codes: BTreeMap::new(),
            orders: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    /// Moves time; holds that have run out give their vouchers back.
    pub fn advance(&mut self, milliseconds: i64) {
        self.now += milliseconds;
        for order in self.orders.values_mut() {
            if let State::Held { until } = order.state
                && until <= self.now
            {
                order.state = State::Lapsed { until };
                for voucher in &order.vouchers {
                    let unit = self.wallets[order.person].get_mut(voucher);
                    unit.expect("an order's voucher is in its wallet").place = Place::Free;
                }
            }
        }
    }

    pub fn expired(&self) -> bool {
        self.now >= self.end
    }

    /// The wallet's word for a voucher.
    pub fn voucher_state(&self, unit: &Unit) -> &'static str {
        match unit.place {
            Place::Held => "held",
            Place::Used => "used",
            Place::Free if self.expired() => "expired",
            Place::Free if self.now < self.begin => "pending",
            Place::Free => "available",
        }
    }

    pub fn place_all(&mut self, person: usize, vouchers: &[String], place: Place) {
        vouchers.iter().for_each(|voucher| self.unit(person, voucher).place = place);
    }

    pub fn unit(&mut self, person: usize, voucher: &str) -> &mut Unit {
        self.wallets[person].get_mut(voucher).expect("an order's voucher is in its wallet")
    }
}

impl Order {
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|one| one.amount).sum()
    }

    pub fn given_back(&self) -> i64 {
        self.refunds.iter().map(|one| one.to_issuer).sum()
    }

    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Held { .. } => "held",
            State::Lapsed { .. } => "expired",
            State::Cancelled => "cancelled",
            State::Reversed => "reversed",
            State::Redeemed if self.refunds.is_empty() => "redeemed",
            State::Redeemed if self.refunded() < self.request.net() => "partially_refunded",
            State::Redeemed => "refunded",
        }
    }
}
