//! An order at a till, as it is remembered: what it is bound to, what it did, and everything an answer says about it.
//! Every answer is a function of the record alone, so a repeat reads the same, however late it comes.

use sha2::{Digest, Sha256};

use crate::domain::binding::Asked;
use crate::domain::limit::{Contacts, OfPack};
use crate::domain::money::Fen;
use crate::domain::time::{MINUTE, Ms, SECOND};
use crate::domain::voucher::{PersonField, UnitByte, UnitState, VoucherRef};

/// Digest of (merchant, order) that names an order in the store.
pub type OrderKey = [u8; 12];
/// What an order is bound to by its first effect.
pub type Fingerprint = [u8; 8];
/// What a limit counts besides the person.
pub type LimitEntityKey = [u8; 6];

/// A confirm is taken this long after its hold has run out, if the vouchers are still free.
pub const LATE_CONFIRM: Ms = 10 * MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    Held = 1,
    Redeemed = 2,
    Cancelled = 3,
    Expired = 4,
    Reversed = 5,
    /// A refused attempt: no copy of it can take effect any more.
    Void = 6,
    /// A hold that has run out for good: somebody was told so, or what it meant to use is another order's.
    Lapsed = 7,
}

impl OrderState {
    pub fn of(number: i64) -> Option<OrderState> {
        use OrderState::*;
        [Held, Redeemed, Cancelled, Expired, Reversed, Void, Lapsed].into_iter().find(|state| *state as i64 == number)
    }
}

/// What was there when a reverse came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    Unknown,
    Held,
    Redeemed,
    Cancelled,
    /// A hold that had run out.
    Expired,
}

impl Was {
    /// What the contract calls it: a hold that was cancelled or had run out was held.
    pub fn told(self) -> &'static str {
        match self {
            Was::Cancelled | Was::Expired => Was::Held.as_str(),
            was => was.as_str(),
        }
    }

    /// How the hold had ended before, if it had.
    pub fn ended(self) -> Option<&'static str> {
        matches!(self, Was::Cancelled | Was::Expired).then(|| self.as_str())
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Was::Unknown => "unknown",
            Was::Held => "held",
            Was::Redeemed => "redeemed",
            Was::Cancelled => "cancelled",
            Was::Expired => "expired",
        }
    }

    pub fn named(text: &str) -> Was {
        match text {
            "held" => Was::Held,
            "redeemed" => Was::Redeemed,
            "cancelled" => Was::Cancelled,
            "expired" => Was::Expired,
            _ => Was::Unknown,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub state: OrderState,
    pub attempt: u32,
    pub fingerprint: Fingerprint,
    /// `None` of an order that was made before it was kept.
    pub asked: Option<Asked>,
    pub amount: Fen,
    pub merchant_discount: Fen,
    pub discount: Fen,
    /// First effect.
    pub t0: Ms,
    /// When it was redeemed, cancelled or expired.
    pub t1: Ms,
    /// 0 = redeemed in one call.
    pub hold_seconds: i64,
    pub units: Vec<OrderUnit>,
    pub refunds: Vec<Refunded>,
    /// What the receipt said stays with the order; what limits ask for, while it is held or where a campaign has such limits.
    pub receipt: Receipt,
    pub reversal: Option<Reversal>,
    /// How many late confirms have given back what they had taken of caps and quotas: those that were judged before are judged again.
    pub late_given_back: u32,
    /// Of a hold that had run out before it was cancelled: where its vouchers were then, two bits each.
    pub elsewhere: u64,
}

/// One voucher of an order, with what finds its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderUnit {
    pub c: u16,
    pub f: PersonField,
    pub p: u8,
    pub u: u8,
    pub discount: Fen,
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
    /// When the pack was credited, in whole seconds.
    pub received_s: i64,
    /// Where limits of the campaign ask for them; else zeros.
    pub contacts: Contacts,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Receipt {
    pub store: String,
    /// The terminal at which the order was made, as limits and books count it; empty if its till named none.
    pub terminal: String,
    pub category: String,
    /// The merchant, as limits count it: whoever ends the hold gives back what it used.
    pub merchant: LimitEntityKey,
    /// Of orders that were made when `terminal` was what the receipt said: the terminal of the till's key, where limits asked for it.
    pub key_terminal: String,
    /// The merchant's id, where limits of the campaign ask for it.
    pub merchant_id: String,
    /// Who sold it, the number on the paper, and its word for the terminal if that is another: told again to whoever asks for the order.
    pub cashier: String,
    pub receipt_no: String,
    pub said_terminal: String,
}

impl Receipt {
    /// Where the order was made, as limits and books count it.
    pub fn counted_terminal(&self) -> &str {
        if self.key_terminal.is_empty() { &self.terminal } else { &self.key_terminal }
    }

    /// What the receipt says of its terminal: that of the till where it says nothing.
    pub fn shown_terminal(&self) -> &str {
        if self.said_terminal.is_empty() { &self.terminal } else { &self.said_terminal }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refunded {
    pub refund_id: String,
    pub amount: Fen,
    /// The issuer's share.
    pub share: Fen,
    pub at: Ms,
    /// One bit per unit that went back to the person.
    pub restored: u64,
    /// With vouchers of several campaigns one bit per unit whose campaign's part of the order is whole with it.
    pub whole: u64,
}

impl Refunded {
    pub fn completes(&self, unit: usize) -> bool {
        self.whole >> unit & 1 == 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reversal {
    pub was: Was,
    pub at: Ms,
}

impl OrderUnit {
    pub fn voucher(&self, shard: u8) -> VoucherRef {
        VoucherRef { c: self.c, shard, f: self.f, p: self.p, u: self.u }
    }

    pub fn of_pack(&self) -> OfPack {
        OfPack { round: self.round, channel: self.channel, pack: self.pack, contacts: self.contacts }
    }
}

impl Order {
    pub fn net(&self) -> Fen {
        self.amount - self.merchant_discount
    }

    /// What the payer pays.
    pub fn payable(&self) -> Fen {
        self.net() - self.discount
    }

    pub fn captured(&self) -> bool {
        self.hold_seconds == 0
    }

    /// When the hold runs out.
    pub fn until(&self) -> Ms {
        self.t0 + self.hold_seconds * SECOND
    }

    /// Whether it was confirmed after its hold had run out.
    pub fn late(&self) -> bool {
        !self.captured() && self.t1 >= self.until()
    }

    pub fn refunded_total(&self) -> Fen {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }

    pub fn refundable(&self) -> Fen {
        self.net() - self.refunded_total()
    }

    /// The order as it stood after the refund with this number, for the same answer to its repeat.
    pub fn after_refund(&self, index: usize) -> Order {
        Order { refunds: self.refunds[..=index].to_vec(), state: OrderState::Redeemed, reversal: None, ..self.clone() }
    }

    /// The word of the contract for where the order stands.
    pub fn word(&self) -> &'static str {
        match self.state {
            OrderState::Held => "held",
            OrderState::Redeemed if self.refunds.is_empty() => "redeemed",
            OrderState::Redeemed if self.refundable() > Fen::ZERO => "partially_refunded",
            OrderState::Redeemed => "refunded",
            OrderState::Cancelled => "cancelled",
            OrderState::Expired | OrderState::Lapsed => "expired",
            OrderState::Reversed => "reversed",
            OrderState::Void => "void",
        }
    }

    /// Every state the order has had, with its instant, oldest first.
    pub fn history(&self) -> Vec<(&'static str, Ms)> {
        let mut history = Vec::new();
        let was = self.reversal.map(|reversal| reversal.was);
        if !self.captured() && was != Some(Was::Unknown) {
            history.push(("held", self.t0));
        }
        match self.state {
            OrderState::Cancelled => history.push(("cancelled", self.t1)),
            OrderState::Expired | OrderState::Lapsed => history.push(("expired", self.t1)),
            OrderState::Redeemed => history.push(("redeemed", self.t1)),
            OrderState::Reversed => {
                let ended = was.filter(|was| matches!(was, Was::Redeemed | Was::Cancelled | Was::Expired));
                history.extend(ended.map(|was| (was.as_str(), self.t1)));
            }
            OrderState::Held | OrderState::Void => {}
        }
        for index in 0..self.refunds.len() {
            history.push((self.after_refund(index).word(), self.refunds[index].at));
        }
        history.extend(self.reversal.map(|reversal| ("reversed", reversal.at)));
        history
    }

    /// Whether the unit went back to the person, by a refund, a cancel, an expiry or a reverse.
    pub fn unit_restored(&self, unit: usize) -> bool {
        let by_refund = self.refunds.iter().any(|refund| refund.restored >> unit & 1 == 1);
        use OrderState::*;
        by_refund || matches!(self.state, Cancelled | Expired | Lapsed | Reversed)
    }

    /// What another order or the office had made of the unit when the hold was cancelled, which had run out before.
    pub fn unit_elsewhere(&self, unit: usize) -> Option<UnitState> {
        let state = UnitByte((self.elsewhere >> (2 * unit) & 3) as u8).state();
        (state != UnitState::Available).then_some(state)
    }
}

pub fn order_key(merchant_id: &str, order_id: &str) -> OrderKey {
    first(&digest(&[merchant_id, order_id]))
}

/// Derived, so that a repeat names the same transaction without storing it.
pub fn transaction_id(merchant_id: &str, order_id: &str, attempt: u32) -> String {
    derived("tx", merchant_id, order_id, attempt)
}

pub fn hold_id(merchant_id: &str, order_id: &str, attempt: u32) -> String {
    derived("h", merchant_id, order_id, attempt)
}

/// Short digest of the merchant, for limits that count by person and merchant.
pub fn limit_entity(merchant_id: &str) -> LimitEntityKey {
    first(&digest(&["merchant", merchant_id]))
}

/// Short digest of parts that a limit counts by.
pub fn digest_of(parts: &[String]) -> LimitEntityKey {
    first(&digest(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn derived(kind: &str, merchant_id: &str, order_id: &str, attempt: u32) -> String {
    let bytes: [u8; 12] = first(&digest(&[kind, merchant_id, order_id, &attempt.to_string()]));
    format!("{kind}-{}", hex::encode(bytes))
}

/// SHA-256 over the parts with a zero byte between them.
pub(super) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update([0]);
        }
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

pub(super) fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[..N]);
    part
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
