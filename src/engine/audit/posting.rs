//! What a line does to the counters.

use super::person::Entry;
use crate::engine::ledger::counters::{Cell, Counters, What};
use crate::store::ledger::{Line, To};

/// A person comes onto a list (n = 1) or leaves it (n = -1).
pub fn reservation(c: u16, entry: Entry, n: i64) -> Counters {
    let mut delta = Counters::default();
    delta.add(Cell { c, round: entry.round, channel: entry.channel, pack: entry.choice }, What::Reservations, n);
    delta
}

/// What a cell hands on to the pool. More than is there may be carried when lines before it are lost: the counters then show it.
pub fn carry(cell: Cell, from: To, amount: i64) -> Counters {
    let mut delta = Counters::default();
    let from = match from {
        To::Expired => What::Expired,
        To::Recovered => What::Recovered,
        To::Late => What::Late,
        // Nobody's to carry: the line moves nothing, and the header tells what was done.
        To::Outstanding => return delta,
    };
    delta.add(cell, from, -amount);
    delta.add(cell, What::Pool, amount);
    delta
}

/// The balanced posting of a voucher's line.
pub fn posting(line: &Line, cell: Cell, hour: i64, discount: i64) -> Counters {
    let mut delta = Counters::default();
    let account = |to: &To| match to {
        To::Outstanding => What::Outstanding(hour),
        To::Recovered => What::Recovered,
        To::Expired => What::Expired,
        To::Late => What::Late,
    };
    let mut transfer = |from, to, amount: i64| {
        delta.add(cell, from, -amount);
        delta.add(cell, to, amount);
    };
    match line {
        Line::Held { .. } => transfer(What::Outstanding(hour), What::Held, discount),
        Line::Confirmed { .. } => transfer(What::Held, What::Redeemed, discount),
        Line::Redeemed { .. } => transfer(What::Outstanding(hour), What::Redeemed, discount),
        Line::Released { to, .. } => transfer(What::Held, account(to), discount),
        Line::Reversed { to, .. } => transfer(What::Redeemed, account(to), discount),
        Line::Refunded { share, to: To::Outstanding, .. } => {
            transfer(What::Redeemed, What::Outstanding(hour), *share);
            transfer(What::Recovered, What::Outstanding(hour), discount - share);
        }
        Line::Refunded { share, to, .. } => transfer(What::Redeemed, account(to), *share),
        _ => {}
    }
    match line {
        Line::Confirmed { .. } | Line::Redeemed { .. } => {
            delta.add(cell, What::Redemptions, 1);
            delta.add(cell, What::GrossRedeemed, discount);
        }
        Line::Reversed { .. } => delta.add(cell, What::GrossReturned, discount),
        Line::Refunded { share, .. } => delta.add(cell, What::GrossReturned, *share),
        _ => {}
    }
    delta
}
