//! What a merchant is owed for a day: one line per voucher and movement, totals that are their sum, and a summary over merchants.
//!
//! `subsidy` is what the issuer pays and is negative for money that comes back. `amount` is the goods' value of the call that moved
//! the voucher; a call that moves several vouchers repeats it on each line, and the total counts it once, given back with a minus.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::domain::money::Fen;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Redeem,
    Refund,
    Reverse,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Redeem => "redeem",
            Kind::Refund => "refund",
            Kind::Reverse => "reverse",
        }
    }
}

/// One voucher moved by one call. A refund's `transaction_id` is its refund id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    pub order_id: String,
    pub transaction_id: String,
    pub store: String,
    pub terminal: String,
    pub voucher_id: String,
    pub voucher_kind: String,
    pub amount: Fen,
    pub subsidy: Fen,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Lines.
    pub count: u64,
    pub amount: Fen,
    pub subsidy: Fen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    Open,
    Closed,
}

/// One merchant's day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statement {
    pub date: String,
    pub merchant_id: String,
    pub state: DayState,
    pub lines: Vec<StatementLine>,
    pub totals: Totals,
}

/// All merchants of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub date: String,
    pub state: DayState,
    pub merchants: Vec<MerchantTotals>,
    pub totals: Totals,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MerchantTotals {
    pub merchant_id: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// A day while its lines come in, in the ledger's order.
#[derive(Clone, Debug)]
pub struct Day {
    date: String,
    state: DayState,
    merchants: BTreeMap<String, Vec<StatementLine>>,
}

impl Day {
    pub fn new(date: &str, state: DayState) -> Day {
        Day { date: date.to_owned(), state, merchants: BTreeMap::new() }
    }

    pub fn add(&mut self, merchant_id: &str, line: StatementLine) {
        match self.merchants.get_mut(merchant_id) {
            Some(lines) => lines.push(line),
            None => drop(self.merchants.insert(merchant_id.to_owned(), vec![line])),
        }
    }

    /// A merchant without movements has an empty statement.
    pub fn statement(&self, merchant_id: &str) -> Statement {
        let lines = self.merchants.get(merchant_id).cloned().unwrap_or_default();
        let totals = totals(&lines);
        Statement { date: self.date.clone(), merchant_id: merchant_id.to_owned(), state: self.state, lines, totals }
    }

    pub fn statements(&self) -> impl Iterator<Item = Statement> + '_ {
        self.merchants.keys().map(|merchant_id| self.statement(merchant_id))
    }

    pub fn summary(&self) -> Summary {
        let of_merchant = |(merchant_id, lines): (&String, &Vec<StatementLine>)| MerchantTotals {
            merchant_id: merchant_id.clone(),
            totals: totals(lines),
        };
        let merchants: Vec<MerchantTotals> = self.merchants.iter().map(of_merchant).collect();
        let mut sum = Totals::default();
        for merchant in &merchants {
            sum.count += merchant.totals.count;
            sum.amount = sum.amount + merchant.totals.amount;
            sum.subsidy = sum.subsidy + merchant.totals.subsidy;
        }
        Summary { date: self.date.clone(), state: self.state, merchants, totals: sum }
    }
}

fn totals(lines: &[StatementLine]) -> Totals {
    let mut calls = BTreeSet::new();
    let mut amount = 0;
    for line in lines {
        if calls.insert((&line.order_id, line.kind, &line.transaction_id)) {
            amount += if line.kind == Kind::Redeem { line.amount.0 } else { -line.amount.0 };
        }
    }
    Totals { count: lines.len() as u64, amount: Fen(amount), subsidy: lines.iter().map(|line| line.subsidy).sum() }
}

/// A calendar date `YYYY-MM-DD` as days since 1970-01-01, to compare with `Zone::day_number`.
pub fn day_number(date: &str) -> Option<i64> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
    Some(i64::from(days.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(order_id: &str, kind: Kind, amount: i64, subsidy: i64) -> StatementLine {
        let text = || String::from("x");
        let (amount, subsidy) = (Fen(amount), Fen(subsidy));
        StatementLine {
            order_id: order_id.into(),
            transaction_id: text(),
            store: text(),
            terminal: text(),
            voucher_id: text(),
            voucher_kind: text(),
            amount,
            subsidy,
            kind,
        }
    }

    #[test]
    fn totals_count_an_orders_amount_once_and_every_subsidy() {
        let mut day = Day::new("2020-07-25", DayState::Open);
        day.add("m1", line("A", Kind::Redeem, 11800, 2000));
        day.add("m1", line("A", Kind::Redeem, 11800, 1000));
        day.add("m1", line("A", Kind::Refund, 5500, -1000));
        day.add("m2", line("A", Kind::Redeem, 6000, 1000));
        assert_eq!(day.statement("m1").totals, Totals { count: 3, amount: Fen(6300), subsidy: Fen(2000) });
        assert_eq!(day.summary().totals, Totals { count: 4, amount: Fen(12300), subsidy: Fen(3000) });
        assert_eq!(day.statement("nobody").totals, Totals::default());
    }

    #[test]
    fn a_statement_has_the_contracts_shape() {
        let mut day = Day::new("2020-07-25", DayState::Closed);
        day.add("m1", line("A", Kind::Reverse, 100, -20));
        let json = serde_json::to_value(day.statement("m1")).unwrap();
        assert_eq!(json["state"], "closed");
        assert_eq!(json["totals"], serde_json::json!({"count": 1, "amount": -100, "subsidy": -20}));
        let names: Vec<&String> = json["lines"][0].as_object().unwrap().keys().collect();
        let mut wanted = [
            "order_id",
            "transaction_id",
            "store",
            "terminal",
            "voucher_id",
            "voucher_kind",
            "amount",
            "subsidy",
            "kind",
        ];
        wanted.sort_unstable();
        assert_eq!(names, wanted);
    }

    #[test]
    fn a_date_is_a_number_of_days() {
        assert_eq!(day_number("1970-01-02"), Some(1));
        assert_eq!(day_number("2020-07-25"), Some(18468));
        assert_eq!(day_number("2020-02-30"), None);
    }
}
