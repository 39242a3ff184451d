//! The rows of the till. Winners of the round's claims come with fresh pay codes: one to be redeemed at once, one for a quote, a hold and
//! its confirmation; what was redeemed at once is refunded in part.

use std::cell::Cell;
use std::ops::Range;

use serde_json::json;

use super::Fault;
use super::drive::{Reply, drive};
use super::rows::{Requests, Row, Rows};
use super::till::Till;
use super::world::{post, shown, text_of};

pub const QUOTE: &str = "quote";
pub const REDEEM: &str = "redeem in one call, signed both ways";
pub const HOLD: &str = "hold";
pub const CONFIRM: &str = "confirm";
pub const REFUND: &str = "refund";

/// Codes that are made before the rows, for each second that a row may take.
const CODES_PER_SECOND: f64 = 20_000.0;
/// Of so many answers one has its signature checked: checking all would measure the generator.
const CHECKED: usize = 64;

/// 118.00 with 8.00 off at the shop, as in the contract's example; the best voucher takes 20.00 off.
const AMOUNT: i64 = 11_800;
const SHOP_DISCOUNT: i64 = 800;
const PAYABLE: i64 = 9_000;
const RETURNED: i64 = 5_500;

/// What the rows of the till have done, for the books at the end.
#[derive(Default)]
pub struct Done {
    pub redeemed: Cell<u64>,
    pub confirmed: Cell<u64>,
    pub refunded: Cell<u64>,
}

pub struct Checkout<'a> {
    rows: &'a Rows<'a>,
    round: usize,
    shoppers: Vec<u32>,
}

impl<'a> Checkout<'a> {
    /// `claimed` are the winners who tapped in this round.
    pub fn new(rows: &'a Rows<'a>, round: usize, claimed: Range<usize>) -> Checkout<'a> {
        let most = (rows.world.settings.seconds * CODES_PER_SECOND) as usize;
        let shoppers = rows.world.winners[claimed].iter().copied().take(most).collect();
        Checkout { rows, round, shoppers }
    }

    pub fn run(&self, done: &Done) -> Result<(), Fault> {
        let (first, second) = (self.codes()?, self.codes()?);
        let add = |cell: &Cell<u64>, count: u64| cell.set(cell.get() + count);
        self.quote(&second)?;
        let redeemed = self.redeem(&first)?;
        add(&done.redeemed, redeemed as u64);
        let holds = self.hold(&second)?;
        let confirmed = self.confirm(&holds)?;
        add(&done.confirmed, confirmed as u64);
        let refunded = self.refund(redeemed)?;
        add(&done.refunded, refunded as u64);
        Ok(())
    }

    /// A fresh pay code of every shopper.
    fn codes(&self) -> Result<Vec<String>, Fault> {
        let (world, request) = (self.rows.world, post("/v1/pay-codes"));
        let mut codes = vec![String::new(); self.shoppers.len()];
        let build = |at: usize, out: &mut Vec<u8>| {
            request.write(out, &["Bearer ", &world.people.token(u64::from(self.shoppers[at]))], b"");
        };
        drive(world.quick(), self.shoppers.len(), None, build, |at, reply| match text_of(&reply, 201, "pay_code") {
            Some(code) => codes[at] = code.to_owned(),
            None => world.faults.add(|| format!("pay code: {}", shown(&reply))),
        })?;
        Ok(codes)
    }

    fn till(&self, at: usize) -> &Till {
        &self.rows.world.tills[at % self.rows.world.tills.len()]
    }

    fn order(&self, kind: &str, at: usize) -> String {
        format!("{kind}{}-{at:07}", self.round)
    }

    /// Signed before the row begins; answers are believed by their content, and every so often by their signature.
    fn signed(
        &self,
        name: &'static str,
        count: usize,
        request: impl Fn(usize) -> (String, serde_json::Value),
        mut good: impl FnMut(usize, &Reply<'_>) -> bool,
    ) -> Result<usize, Fault> {
        // Only signatures differ by it, so two rows may use the same numbers.
        let nonce = |at: usize| at as u64;
        let requests = Requests::make(count, |at, out| {
            let (path, body) = request(at);
            self.till(at).request(&path, nonce(at), &body.to_string(), out);
        });
        let row: Row = self.rows.timed(name, count);
        let driven = self.rows.measure(
            self.round,
            &row,
            |at, out| requests.write(at, out),
            |at, reply| {
                let signed =
                    at % CHECKED != 0 || reply.as_ref().is_ok_and(|answer| self.till(at).believes(answer, nonce(at)));
                good(at, reply) && signed
            },
        )?;
        Ok(driven.answered as usize)
    }

    fn sale(&self, code: &str) -> serde_json::Value {
        json!({"pay_code": code, "amount": AMOUNT, "merchant_discount": SHOP_DISCOUNT, "category": "catering"})
    }

    fn order_of(&self, order: String, code: &str, capture: bool) -> (String, serde_json::Value) {
        let mut sale = self.sale(code);
        sale["order_id"] = order.into();
        sale["capture"] = capture.into();
        ("/v1/redemptions".to_owned(), sale)
    }

    fn quote(&self, codes: &[String]) -> Result<usize, Fault> {
        let request = |at: usize| ("/v1/redemptions/quote".to_owned(), self.sale(&codes[at]));
        self.signed(QUOTE, codes.len(), request, |_, reply| text_of(reply, 200, "voucher_kind") == Some("60-20"))
    }

    fn redeem(&self, codes: &[String]) -> Result<usize, Fault> {
        let request = |at: usize| self.order_of(self.order("R", at), &codes[at], true);
        self.signed(REDEEM, codes.len(), request, |_, reply| text_of(reply, 200, "state") == Some("redeemed"))
    }

    /// The ids of the holds, by order.
    fn hold(&self, codes: &[String]) -> Result<Vec<String>, Fault> {
        let mut holds = vec![String::new(); codes.len()];
        let request = |at: usize| self.order_of(self.order("H", at), &codes[at], false);
        let held = self.signed(HOLD, codes.len(), request, |at, reply| {
            let id = text_of(reply, 200, "hold_id").filter(|_| text_of(reply, 200, "state") == Some("held"));
            holds[at] = id.unwrap_or_default().to_owned();
            id.is_some()
        })?;
        holds.truncate(held);
        Ok(holds)
    }

    fn confirm(&self, holds: &[String]) -> Result<usize, Fault> {
        let request = |at: usize| {
            let path = format!("/v1/redemptions/{}/confirm", self.order("H", at));
            (path, json!({"hold_id": holds[at], "paid_amount": PAYABLE}))
        };
        self.signed(CONFIRM, holds.len(), request, |_, reply| text_of(reply, 200, "state") == Some("redeemed"))
    }

    fn refund(&self, redeemed: usize) -> Result<usize, Fault> {
        let request = |at: usize| {
            let path = format!("/v1/redemptions/{}/refunds", self.order("R", at));
            (path, json!({"refund_id": "R1", "amount": RETURNED}))
        };
        self.signed(REFUND, redeemed, request, |_, reply| text_of(reply, 200, "state") == Some("partially_refunded"))
    }
}
