//! One purchase at a till, in one of the ways purchases go; and what comes back to the counter later.

use std::cell::{Cell, RefCell};

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use super::books::{Books, Sale};
use super::campaign::Kind;
use super::client::{Answer, Auth, Call};
use super::merchants::Till;
use super::people::{Health, Stream};
use super::recorder::Op;
use super::{Result, World};

/// What a purchase is, decided by the seed before the shop opens.
pub struct Purchase<'k> {
    pub person: u32,
    pub kind: &'k Kind,
    pub serial: u64,
    pub till: usize,
    pub date: Date,
}

/// Everything the tills of a rehearsal share.
pub struct Market<'w, 'a> {
    pub world: &'w World<'a>,
    pub tills: Vec<Till>,
    pub books: RefCell<Books>,
    /// Redeemed orders whose goods come back: serial, till, sale and how many parts.
    pub returns: RefCell<Vec<Return>>,
    /// Holds that were walked away from, to be looked up when they have run out.
    pub abandoned: RefCell<Vec<(u64, usize)>>,
    pub done: Cell<u64>,
}

#[derive(Clone, Debug)]
pub struct Return {
    pub serial: u64,
    pub till: usize,
    pub sale: Sale,
    pub amounts: Vec<i64>,
}

#[derive(Deserialize)]
struct Order {
    state: String,
    discount_amount: i64,
    payable: i64,
    hold_id: Option<String>,
    settlement_date: Option<String>,
}

#[derive(Deserialize)]
struct Refunded {
    state: String,
    to_payer: i64,
    to_issuer: i64,
    refunded_total: i64,
    refundable_amount: i64,
    vouchers: Vec<RefundedVoucher>,
}

#[derive(Deserialize)]
struct RefundedVoucher {
    state: String,
}

struct Bill {
    amount: i64,
    merchant_discount: i64,
    net: i64,
}

/// How the till goes about it, per 10,000 purchases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    OneCall,
    Confirmed,
    Cancelled,
    Abandoned,
    ReversedHold,
    ReversedSale,
}

fn flow(dice: u64) -> Flow {
    match dice % 10_000 {
        0..5_500 => Flow::OneCall,
        5_500..5_550 => Flow::ReversedSale,
        5_550..5_700 => Flow::Cancelled,
        5_700..5_800 => Flow::Abandoned,
        5_800..5_850 => Flow::ReversedHold,
        _ => Flow::Confirmed,
    }
}

impl Market<'_, '_> {
    pub async fn buy(&self, purchase: &Purchase<'_>) -> Result<()> {
        let (world, till) = (self.world, &self.tills[purchase.till]);
        let people = world.people;
        let flow = flow(people.dice(Stream::Flow, purchase.serial));
        let bill = self.bill(purchase);
        let token = people.token(purchase.person, Health::Green);
        let made = world.client.ask(Call::post(Op::PayCode, "/v1/pay-codes", Auth::Bearer(&token), &json!({}))).await?;
        let value = made.value();
        let Some(code) = value["pay_code"].as_str().filter(|_| made.ok()) else {
            self.unexpected("pay code", &made);
            return Ok(());
        };
        let extra = people.dice(Stream::Extra, purchase.serial) % 10_000;
        if extra < 300 {
            self.quote(purchase, till, code, &bill).await?;
        }
        if (300..320).contains(&extra) {
            self.reverse_unseen(purchase, till, code, &bill).await?;
        }
        let capture = matches!(flow, Flow::OneCall | Flow::ReversedSale);
        let body = self.redeem_body(purchase, till, code, &bill, capture);
        let op = if capture { Op::Redeem } else { Op::Hold };
        let answer = world.client.ask(Call::post(op, "/v1/redemptions", Auth::Till(till), &body)).await?;
        let Some(order) = self.judge(purchase, &bill, &answer, if capture { "redeemed" } else { "held" }) else {
            return Ok(());
        };
        if (400..600).contains(&extra) {
            self.repeat(Call::post(op, "/v1/redemptions", Auth::Till(till), &body), &answer).await?;
        }
        self.finish(purchase, till, flow, &bill, order, extra).await?;
        if (700..800).contains(&extra) && flow == Flow::OneCall {
            let path = format!("/v1/pay-codes/{code}");
            let seen = world.client.ask(Call::get(Op::Read, &path, Auth::Bearer(&token))).await?;
            self.expect(&seen, "state", "redeemed", "pay code after the purchase");
        }
        Ok(())
    }

    async fn finish(
        &self,
        purchase: &Purchase<'_>,
        till: &Till,
        flow: Flow,
        bill: &Bill,
        order: Order,
        extra: u64,
    ) -> Result<()> {
        let number = order_id(purchase.serial);
        let path = |rest: &str| format!("/v1/redemptions/{number}/{rest}");
        let client = self.world.client;
        match flow {
            Flow::OneCall => self.sold(purchase, bill, &order),
            Flow::Confirmed => {
                let body = json!({"hold_id": order.hold_id, "paid_amount": order.payable});
                let path = path("confirm");
                let answer = client.ask(Call::post(Op::Confirm, &path, Auth::Till(till), &body)).await?;
                if let Some(order) = self.judge(purchase, bill, &answer, "redeemed") {
                    self.sold(purchase, bill, &order);
                }
                if (600..700).contains(&extra) {
                    self.repeat(Call::post(Op::Confirm, &path, Auth::Till(till), &body), &answer).await?;
                }
            }
            Flow::Cancelled => {
                let answer = client.ask(Call::post(Op::Cancel, &path("cancel"), Auth::Till(till), &json!({}))).await?;
                self.expect(&answer, "state", "cancelled", "cancel");
            }
            Flow::Abandoned => self.abandoned.borrow_mut().push((purchase.serial, purchase.till)),
            Flow::ReversedHold => self.reverse(till, &path("reverse"), "held").await?,
            Flow::ReversedSale => {
                self.book_sale(purchase, &order);
                self.reverse(till, &path("reverse"), "redeemed").await?;
                self.books.borrow_mut().reverse(purchase.date, order.discount_amount);
            }
        }
        Ok(())
    }

    /// Goods are given back; the till repeats some refunds, as tills do.
    pub async fn give_back(&self, back: &Return, date: Date) -> Result<()> {
        let (scenario, till) = (self.world.scenario, &self.tills[back.till]);
        let path = format!("/v1/redemptions/{}/refunds", order_id(back.serial));
        let mut sale = back.sale.clone();
        for (part, amount) in back.amounts.iter().enumerate() {
            let earlier = sale.to_issuer;
            let due = sale.give_back(*amount, scenario.single_restores, scenario.parts_restore);
            let body = json!({"refund_id": format!("R{}", part + 1), "amount": amount});
            let answer = self.world.client.ask(Call::post(Op::Refund, &path, Auth::Till(till), &body)).await?;
            let Some(seen) = answer.parse::<Refunded>().ok().filter(|_| answer.ok()) else {
                self.unexpected("refund", &answer);
                return Ok(());
            };
            let state = if sale.refunded == sale.net { "refunded" } else { "partially_refunded" };
            let restored = seen.vouchers.iter().any(|voucher| voucher.state == "available");
            let exact = seen.to_payer == due.to_payer && seen.to_issuer == due.to_issuer && seen.state == state;
            let totals = seen.refunded_total == sale.refunded && seen.refundable_amount == sale.net - sale.refunded;
            if !exact || !totals || restored != due.restores {
                self.world.recorder.fault("a refund was shared otherwise than agreed", || {
                    format!("due {due:?} of {sale:?}, answered {}", answer.text())
                });
            }
            self.books.borrow_mut().refund(date, &due, earlier);
            if self.world.people.chance(Stream::Sample, back.serial, 1_000) {
                self.repeat(Call::post(Op::Refund, &path, Auth::Till(till), &body), &answer).await?;
            }
        }
        Ok(())
    }

    /// A hold that nobody confirmed has run out by itself.
    pub async fn look_up_abandoned(&self, serial: u64, till: usize) -> Result<()> {
        let path = format!("/v1/redemptions/{}", order_id(serial));
        let answer = self.world.client.ask(Call::get(Op::Read, &path, Auth::Till(&self.tills[till]))).await?;
        self.expect(&answer, "state", "expired", "an abandoned hold");
        Ok(())
    }

    fn sold(&self, purchase: &Purchase<'_>, bill: &Bill, order: &Order) {
        self.book_sale(purchase, order);
        let people = self.world.people;
        if !people.chance(Stream::Refund, purchase.serial, self.world.options.refund_share) {
            return;
        }
        let part = 1 + (people.dice(Stream::Amount, purchase.serial | 1 << 60) % (bill.net as u64 - 1)) as i64;
        let amounts = match people.dice(Stream::Sample, purchase.serial | 1 << 60) % 4 {
            0 => vec![part],
            1 => vec![part, bill.net - part],
            _ => vec![bill.net],
        };
        let sale = Sale { net: bill.net, payable: order.payable, refunded: 0, refunds: 0, to_issuer: 0 };
        let back = Return { serial: purchase.serial, till: purchase.till, sale, amounts };
        self.returns.borrow_mut().push(back);
    }

    fn book_sale(&self, purchase: &Purchase<'_>, order: &Order) {
        if order.settlement_date.as_ref().is_some_and(|date| *date != purchase.date.to_string()) {
            self.world
                .recorder
                .fault("settled on another day than the purchase's", || format!("{:?}", order.settlement_date));
        }
        self.books.borrow_mut().redeem(purchase.date, order.discount_amount);
        self.done.set(self.done.get() + 1);
    }

    fn judge(&self, purchase: &Purchase<'_>, bill: &Bill, answer: &Answer, state: &str) -> Option<Order> {
        let Some(order) = answer.parse::<Order>().ok().filter(|_| answer.ok()) else {
            self.unexpected(if state == "held" { "hold" } else { "redeem" }, answer);
            return None;
        };
        let discount = purchase.kind.discount;
        if order.state != state || order.discount_amount != discount || order.payable != bill.net - discount {
            self.world.recorder.fault("another discount than the best voucher's", || {
                format!("expected {state} with {discount} off {}: {}", bill.net, answer.text())
            });
        }
        Some(order)
    }

    /// The same request again must give the same bytes and say that it is a repeat.
    async fn repeat(&self, call: Call<'_>, first: &Answer) -> Result<()> {
        let again = self.world.client.ask(call).await?;
        if !again.replayed || again.body != first.body {
            self.world.recorder.fault("a repeated request was not answered as before", || {
                format!("replayed {}: {} then {}", again.replayed, first.text(), again.text())
            });
        }
        Ok(())
    }

    async fn reverse(&self, till: &Till, path: &str, was: &str) -> Result<()> {
        let body = json!({"reason": "rehearsed: the outcome was not seen"});
        let answer = self.world.client.ask(Call::post(Op::Reverse, path, Auth::Till(till), &body)).await?;
        // A lost answer is asked for again, and the repeat may tell only the final state.
        if answer.retries == 0 {
            self.expect(&answer, "was", was, "reverse");
        }
        self.expect(&answer, "state", "reversed", "reverse");
        Ok(())
    }

    /// A reversal that overtakes its purchase wins: the purchase is refused for good.
    async fn reverse_unseen(&self, purchase: &Purchase<'_>, till: &Till, code: &str, bill: &Bill) -> Result<()> {
        let number = format!("{}-unseen", order_id(purchase.serial));
        self.reverse(till, &format!("/v1/redemptions/{number}/reverse"), "unknown").await?;
        let mut body = self.redeem_body(purchase, till, code, bill, true);
        body["order_id"] = Value::from(number);
        let answer = self.world.client.ask(Call::post(Op::Redeem, "/v1/redemptions", Auth::Till(till), &body)).await?;
        if answer.ok() || answer.code() != "order_reversed" {
            self.world
                .recorder
                .fault("a purchase overtook its reversal", || format!("{} {}", answer.status, answer.text()));
        }
        Ok(())
    }

    async fn quote(&self, purchase: &Purchase<'_>, till: &Till, code: &str, bill: &Bill) -> Result<()> {
        let body = json!({"pay_code": code, "amount": bill.amount, "merchant_discount": bill.merchant_discount, "category": till.category});
        let answer =
            self.world.client.ask(Call::post(Op::Quote, "/v1/redemptions/quote", Auth::Till(till), &body)).await?;
        if !answer.ok() || answer.value()["discount_amount"].as_i64() != Some(purchase.kind.discount) {
            self.unexpected("quote", &answer);
        }
        Ok(())
    }

    /// An amount for which the planned kind of voucher is the best one.
    fn bill(&self, purchase: &Purchase<'_>) -> Bill {
        let (world, kind) = (self.world, purchase.kind);
        let dice = world.people.dice(Stream::Amount, purchase.serial);
        let least = kind.minimum.max(kind.discount + 1);
        let net = least + (dice % (kind.net_max - least + 1) as u64) as i64;
        let offered = world.scenario.offers && dice >> 32 & 3 == 0;
        let merchant_discount = if offered { net / 10 } else { 0 };
        Bill { amount: net + merchant_discount, merchant_discount, net }
    }

    fn redeem_body(&self, purchase: &Purchase<'_>, till: &Till, code: &str, bill: &Bill, capture: bool) -> Value {
        json!({
            "order_id": order_id(purchase.serial),
            "pay_code": code,
            "amount": bill.amount,
            "merchant_discount": bill.merchant_discount,
            "category": till.category,
            "receipt": {"store": till.store_id, "terminal": till.terminal_id, "receipt_no": purchase.serial.to_string()},
            "capture": capture,
        })
    }

    fn expect(&self, answer: &Answer, field: &str, due: &str, what: &str) {
        if !answer.ok() || answer.value()[field] != due {
            self.world
                .recorder
                .fault(&format!("{what}: {field} is not {due}"), || format!("{} {}", answer.status, answer.text()));
        }
    }

    fn unexpected(&self, what: &str, answer: &Answer) {
        self.world.recorder.fault(&format!("{what}: {} {}", answer.status, answer.code()), || answer.text());
    }
}

fn order_id(serial: u64) -> String {
    format!("A{serial:08}")
}
