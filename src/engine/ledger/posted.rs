//! What a ledger line means to a merchant: read once, for statements and for the tills' list of transactions alike.

use crate::domain::money::Fen;
use crate::domain::order::transaction_id;
use crate::domain::settlement::Kind;
use crate::domain::voucher::VoucherRef;
use crate::store::ledger::{LedgerEntry, Line, PersonField};

/// A voucher that was moved by a call of the till.
pub struct Posted<'l> {
    pub c: u16,
    pub f: PersonField,
    pub p: u8,
    pub u: u8,
    pub merchant_id: &'l str,
    pub order_id: &'l str,
    /// 0 where an older line of a refund does not say it.
    attempt: u32,
    /// Empty unless it is a refund.
    pub refund_id: &'l str,
    pub receipt_no: &'l str,
    pub store: &'l str,
    pub terminal: &'l str,
    /// Of the whole call, as it stands in the ledger: without a sign.
    amount: i64,
    /// What the issuer pays; negative for what comes back.
    pub subsidy: Fen,
    pub kind: Kind,
}

impl Posted<'_> {
    /// All calls of an order have its transaction id; nothing where an older line of a refund does not name it.
    pub fn transaction_id(&self) -> Option<String> {
        (self.attempt > 0).then(|| transaction_id(self.merchant_id, self.order_id, self.attempt))
    }

    pub fn voucher(&self, shard: u8) -> VoucherRef {
        VoucherRef { c: self.c, shard, f: self.f.0, p: self.p, u: self.u }
    }

    /// Nothing of a line that moves no money of a merchant.
    #[rustfmt::skip] // A table: one row per kind of line.
    pub fn of(line: &Line) -> Option<Posted<'_>> {
        let (kind, subsidy, (c, f, p, u), merchant_id, order_id, attempt, refund_id, store, terminal, amount, receipt_no) = match line {
            Line::Confirmed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, receipt_no, .. }
            | Line::Redeemed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, receipt_no, .. } =>
                (Kind::Redeem, *discount, (c, f, p, u), merchant_id, order_id, attempt, "", store, terminal, amount, receipt_no),
            Line::Reversed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, receipt_no, .. } =>
                (Kind::Reverse, -discount, (c, f, p, u), merchant_id, order_id, attempt, "", store, terminal, amount, receipt_no),
            Line::Refunded { c, f, p, u, share, merchant_id, order_id, attempt, refund_id, store, terminal, amount, receipt_no, .. } =>
                (Kind::Refund, -share, (c, f, p, u), merchant_id, order_id, attempt, refund_id.as_str(), store, terminal, amount, receipt_no),
            _ => return None,
        };
        let (c, f, p, u, amount, attempt, subsidy) = (*c, *f, *p, *u, *amount, *attempt, Fen(subsidy));
        Some(Posted { c, f, p, u, merchant_id, order_id, attempt, refund_id, receipt_no, store, terminal, amount, subsidy, kind })
    }
}

/// The call that the last line was of: shard, stream entry, merchant, order, what was done, which refund.
type Call = (u8, u64, String, String, Kind, String);

/// Tells the first line of a call from those of its other vouchers, which stand behind it in the same stream entry.
#[derive(Default)]
pub struct Calls {
    last: Option<Call>,
}

impl Calls {
    /// The goods' value to write on a line: that of the call on its first line and nothing on the others, negative for what comes
    /// back, so that the lines sum to what was sold. Every line of the ledger has to pass here, in its order.
    pub fn amount(&mut self, shard: u8, entry: &LedgerEntry, posted: &Posted<'_>) -> Fen {
        let texts = [posted.merchant_id, posted.order_id, posted.refund_id].map(str::to_owned);
        let [merchant_id, order_id, refund_id] = texts;
        let call = Some((shard, entry.first_seq, merchant_id, order_id, posted.kind, refund_id));
        if self.last == call {
            return Fen::ZERO;
        }
        self.last = call;
        match posted.kind {
            Kind::Redeem => Fen(posted.amount),
            Kind::Refund | Kind::Reverse => Fen(-posted.amount),
        }
    }
}
