//! Where a case is played: the integration on one side, the service on the other, the bad network between, and what was found.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::adapter::Adapter;
use super::proxy::{Fault, Proxy, Seen, Step};
use super::sandbox::Sandbox;
use crate::domain::magic::pay_code;

/// Milliseconds before the first, second and third repeat of a redemption.
const SCHEDULE: [u64; 3] = [1_000, 2_000, 4_000];
/// Members of a redemption that may not differ in a repeat.
const BOUND: [&str; 5] = ["amount", "merchant_discount", "items", "voucher_ids", "capture"];

pub struct Stage {
    pub adapter: Adapter,
    pub proxy: Proxy,
    pub sandbox: Sandbox,
    /// The secret that the service knows for sure.
    pub secret: String,
    /// The integration may wait this much shorter than a till would.
    pub pace: f64,
    sales: u32,
    played: Vec<Sale>,
    findings: Vec<String>,
    unsupported: Option<String>,
}

/// A sale as the cashier started it, and what the integration said in the end.
#[derive(Clone)]
pub struct Sale {
    pub name: String,
    pub pay_code: String,
    pub told: Value,
}

/// What a cashier does.
pub struct Wanted {
    pub amount: i64,
    pub outcome: u16,
    pub hold: bool,
    pub declined: bool,
}

impl Wanted {
    /// 118.00 with a customer whose vouchers are fine: 20.00 off.
    pub const PLAIN: Wanted = Wanted { amount: 11_800, outcome: 1, hold: false, declined: false };
    pub const HELD: Wanted = Wanted { hold: true, ..Wanted::PLAIN };
}

impl Sale {
    pub fn order_id(&self) -> &str {
        self.told["order_id"].as_str().unwrap_or_default()
    }

    pub fn state(&self) -> &str {
        self.told["state"].as_str().unwrap_or_default()
    }
}

impl Stage {
    pub fn new(adapter: Adapter, proxy: Proxy, sandbox: Sandbox, pace: f64) -> Stage {
        let secret = sandbox.secret.clone();
        Stage {
            adapter,
            proxy,
            sandbox,
            secret,
            pace,
            sales: 0,
            played: Vec::new(),
            findings: Vec::new(),
            unsupported: None,
        }
    }

    /// What the integration calls itself.
    pub fn setup(&mut self) -> Result<Value, String> {
        let url = format!("http://{}", self.proxy.address);
        let (key_id, secret) = (&self.sandbox.key_id, &self.secret);
        self.adapter.ask(&json!({"do": "setup", "url": url, "key_id": key_id, "secret": secret, "pace": self.pace}))
    }

    /// A good network, an adapter that answers, and nothing found so far.
    pub fn begin(&mut self) -> Result<(), String> {
        if let Some(revived) = self.adapter.revived(self.pace) {
            self.adapter = revived.map_err(|error| error.to_string())?;
            self.setup()?;
        }
        self.proxy.clear();
        self.played.clear();
        self.findings.clear();
        self.unsupported = None;
        Ok(())
    }

    pub fn end(&mut self) -> (Vec<String>, Option<String>) {
        (std::mem::take(&mut self.findings), self.unsupported.take())
    }

    /// Has the cashier sell something; the answer is what the integration tells the cashier.
    pub fn sell(&mut self, wanted: &Wanted) -> Sale {
        self.sales += 1;
        let sale = self.ring_up(format!("S{:03}", self.sales), wanted);
        self.played.push(sale.clone());
        sale
    }

    /// Has the cashier go on with a sale, with a code that another customer shows.
    pub fn sell_again(&mut self, sale: &Sale, wanted: &Wanted) -> Sale {
        self.ring_up(sale.name.clone(), wanted)
    }

    fn ring_up(&mut self, name: String, wanted: &Wanted) -> Sale {
        let pay_code = pay_code(wanted.outcome, self.sales);
        let command = json!({
            "do": "sale", "sale": name, "amount": wanted.amount, "merchant_discount": 0, "category": "catering",
            "pay_code": pay_code, "mode": if wanted.hold { "hold" } else { "capture" },
            "payment": if wanted.declined { "declined" } else { "paid" },
        });
        let told = self.ask(&command);
        Sale { name, pay_code, told }
    }

    /// Goods of a sale come back.
    pub fn give_back(&mut self, sale: &Sale, refund: &str, amount: i64) -> Value {
        self.ask(
            &json!({"do": "refund", "sale": sale.name, "refund": format!("{}-{refund}", sale.name), "amount": amount}),
        )
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        match self.adapter.ask(command) {
            Ok(answer) => {
                if answer["unsupported"] == true {
                    self.unsupported = Some(format!("the adapter does not support {}", command["do"]));
                }
                answer
            }
            Err(error) => {
                self.findings.push(error);
                json!({})
            }
        }
    }

    pub fn require(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.findings.push(otherwise.into());
        }
    }

    /// The integration says that a sale ended so, and the service knows it so.
    pub fn require_state(&mut self, sale: &Sale, told: &str, recorded: &str) {
        let (said, order_id) = (sale.state().to_owned(), sale.order_id().to_owned());
        self.require(said == told, format!("{}: the cashier was told {said:?}, not {told:?}", sale.name));
        let record = self.record(&order_id);
        let state = state_of(&record);
        self.require(state == recorded, format!("{}: order {order_id:?} is {state:?}, not {recorded:?}", sale.name));
        if recorded == "redeemed" {
            let payable = sale.told["payable"].clone();
            self.require(
                payable.is_i64() && payable == record["payable"],
                format!("{}: {payable} was collected, {} was due", sale.name, record["payable"]),
            );
        }
    }

    /// The day's statement tells all that became of an order under its transaction, and sums to what is left of it.
    pub fn require_books(&mut self, record: &Value, amount: i64, subsidy: i64) {
        let history = record["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        let redeemed = history.iter().find(|step| step["state"] == "redeemed");
        let date = redeemed.and_then(|step| step["at"].as_str()?.get(..10)).unwrap_or_default();
        let statement = match self.sandbox.statement(date) {
            Ok(statement) => statement,
            Err(error) => return self.require(false, format!("the statement could not be read: {error}")),
        };
        let lines = statement["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own: Vec<&Value> = lines.iter().filter(|line| line["order_id"] == record["order_id"]).collect();
        let sum = |column: &str| own.iter().filter_map(|line| line[column].as_i64()).sum::<i64>();
        let sums = (sum("amount"), sum("subsidy"));
        self.require(sums == (amount, subsidy), format!("the statement says {sums:?} of the order: {own:?}"));
        let apart = own.iter().any(|line| line["transaction_id"] != record["transaction_id"]);
        self.require(!apart, format!("the statement tells the order as several transactions: {own:?}"));
    }

    pub fn record(&mut self, order_id: &str) -> Value {
        if order_id.is_empty() {
            return json!({});
        }
        match self.sandbox.order(&self.secret, order_id) {
            Ok(record) => record,
            Err(error) => {
                self.findings.push(format!("the order could not be read: {error}"));
                json!({})
            }
        }
    }

    /// What every sale must keep, whatever the case is about.
    pub fn require_manners(&mut self) {
        let seen = self.proxy.seen();
        for sale in self.played.clone() {
            let tries: Vec<&Seen> = seen
                .iter()
                .filter(|one| one.step == Step::Redeem && one.body["pay_code"] == sale.pay_code.as_str())
                .collect();
            self.require_one_order(&sale, &tries);
            self.require_equal_repeats(&sale, &tries);
            self.require_patience(&sale, &tries);
        }
        let nonces: BTreeSet<&str> = seen.iter().map(|one| one.nonce.as_str()).collect();
        self.require(nonces.len() == seen.len(), "a nonce was used twice: sign every repeat afresh");
        let unsigned = seen.iter().filter(|one| one.code == "signature_invalid").count();
        self.require(unsigned == 0, format!("{unsigned} requests had a wrong signature"));
        let unknown = seen.iter().find(|one| one.status == 422 || one.status == 400);
        let wrong = unknown.filter(|one| ["invalid_request", "malformed_json"].contains(&one.code.as_str()));
        self.require(wrong.is_none(), format!("a request had faults: {:?}", wrong.map(|one| &one.body)));
    }

    fn require_one_order(&mut self, sale: &Sale, tries: &[&Seen]) {
        let orders: BTreeSet<&str> = tries.iter().map(|one| one.order_id.as_str()).collect();
        self.require(
            orders.len() <= 1,
            format!(
                "{}: one sale was sent as {} orders, {orders:?}: repeat an order under its own order_id",
                sale.name,
                orders.len()
            ),
        );
        let standing = |state: &str| ["held", "redeemed", "partially_refunded", "refunded"].contains(&state);
        let records: Vec<Value> = orders.iter().map(|order_id| self.record(order_id)).collect();
        let effects = records.iter().filter(|record| standing(state_of(record))).count();
        self.require(effects <= 1, format!("{}: one sale used vouchers {effects} times", sale.name));
        let open = records.iter().any(|record| state_of(record) == "held");
        self.require(!open, format!("{}: a hold was left open: confirm, cancel or reverse it", sale.name));
        let unsold = !["redeemed"].contains(&sale.state()) && effects > 0;
        self.require(
            !unsold,
            format!("{}: the cashier was told {:?}, but the voucher is used", sale.name, sale.state()),
        );
    }

    fn require_equal_repeats(&mut self, sale: &Sale, tries: &[&Seen]) {
        let differs =
            BOUND.iter().find(|member| tries.windows(2).any(|pair| pair[0].body[**member] != pair[1].body[**member]));
        self.require(differs.is_none(), format!("{}: a repeat has another {}", sale.name, differs.unwrap_or(&"")));
    }

    /// Half of the schedule is near enough: clocks and machines differ.
    fn require_patience(&mut self, sale: &Sale, tries: &[&Seen]) {
        for (pair, wait) in tries.windows(2).zip(SCHEDULE) {
            let least = (wait as f64 * self.pace / 2.0) as u64;
            let waited = pair[1].milliseconds - pair[0].milliseconds;
            self.require(waited >= least, format!("{}: repeated after {waited} ms instead of {wait}", sale.name));
        }
    }

    /// How often a step was asked for.
    pub fn count(&self, step: Step) -> usize {
        self.proxy.seen().iter().filter(|one| one.step == step).count()
    }

    pub fn plan(&self, step: Step, faults: &[Fault]) {
        self.proxy.plan(step, faults);
    }
}

/// The state of an order as the service answers it; `unknown` where it has had no effect.
pub fn state_of(record: &Value) -> &str {
    record["state"].as_str().unwrap_or("unknown")
}
