//! What a merchant is owed for a day: one line per voucher and movement, totals that are their sum, and a summary over merchants.
//!
//! `subsidy` is what the issuer pays, and `amount` the goods' value of the call that moved the voucher; both are negative for what comes
//! back. A call that moves several vouchers says its amount on its first line and nothing on the others, so every column sums to its total.
//! Where campaigns name their sources of money, each line says what each source pays of it; the lines of a statement share its sums exactly.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::funding::{Part, Share, Sharing, Sources};
use crate::domain::money::Fen;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[schema(as = SettlementKind)]
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

/// One voucher moved by one call. All calls of an order have its `transaction_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StatementLine {
    pub order_id: String,
    pub transaction_id: String,
    pub store: String,
    pub terminal: String,
    pub voucher_id: String,
    pub voucher_kind: String,
    /// The goods' value of the call, on the line of its first voucher.
    pub amount: Fen,
    pub subsidy: Fen,
    pub kind: Kind,
    /// Of a refund only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub refund_id: String,
    pub campaign_id: String,
    /// When it was booked, in the city's time.
    pub at: String,
    /// As the till gave it; empty without.
    pub receipt_no: String,
    /// By source of money, where its campaign names any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub funding: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SettlementTotals)]
pub struct Totals {
    /// Lines.
    pub count: u64,
    pub amount: Fen,
    pub subsidy: Fen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SettlementState)]
#[serde(rename_all = "snake_case")]
pub enum DayState {
    Open,
    Closed,
}

/// One merchant's day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MerchantStatement)]
pub struct Statement {
    pub date: String,
    pub merchant_id: String,
    pub state: DayState,
    pub lines: Vec<StatementLine>,
    pub totals: Totals,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub funding: Vec<Share>,
    /// All sources of the program's campaigns: the columns of a table.
    #[serde(skip)]
    pub sources: Vec<String>,
}

/// All merchants of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SettlementDay)]
pub struct Summary {
    pub date: String,
    pub state: DayState,
    pub merchants: Vec<MerchantTotals>,
    pub totals: Totals,
    /// The sums of the merchants' statements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub funding: Vec<Share>,
    #[serde(skip)]
    pub sources: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MerchantTotals {
    pub merchant_id: String,
    #[serde(flatten)]
    pub totals: Totals,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub funding: Vec<Share>,
}

/// A day while its lines come in, in the ledger's order.
#[derive(Clone, Debug)]
pub struct Day {
    date: String,
    state: DayState,
    /// By campaign.
    sources: BTreeMap<u16, Sources>,
    /// Each line with its campaign.
    merchants: BTreeMap<String, Vec<(u16, StatementLine)>>,
}

impl Day {
    pub fn new(date: &str, state: DayState) -> Day {
        Day { date: date.to_owned(), state, sources: BTreeMap::new(), merchants: BTreeMap::new() }
    }

    pub fn funded_by(self, sources: BTreeMap<u16, Sources>) -> Day {
        Day { sources, ..self }
    }

    pub fn add(&mut self, merchant_id: &str, campaign: u16, line: StatementLine) {
        match self.merchants.get_mut(merchant_id) {
            Some(lines) => lines.push((campaign, line)),
            None => drop(self.merchants.insert(merchant_id.to_owned(), vec![(campaign, line)])),
        }
    }

    fn source_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for one in self.sources.values().flat_map(|sources| &sources.funding) {
            if !names.contains(&one.source) {
                names.push(one.source.clone());
            }
        }
        names
    }

    /// A merchant without movements has an empty statement.
    pub fn statement(&self, merchant_id: &str) -> Statement {
        let mut sharing: BTreeMap<u16, Sharing> = BTreeMap::new();
        let mut lines = Vec::new();
        for (campaign, line) in self.merchants.get(merchant_id).into_iter().flatten() {
            let funding = self.sources.get(campaign).map(|sources| {
                let sharing = sharing.entry(*campaign).or_insert_with(|| Sharing::of(sources));
                sharing.add(line.subsidy)
            });
            lines.push(StatementLine { funding: funding.unwrap_or_default(), ..line.clone() });
        }
        Statement {
            date: self.date.clone(),
            merchant_id: merchant_id.to_owned(),
            state: self.state,
            totals: Totals {
                count: lines.len() as u64,
                amount: lines.iter().map(|line| line.amount).sum(),
                subsidy: lines.iter().map(|line| line.subsidy).sum(),
            },
            lines,
            funding: sharing.values().flat_map(|one| one.shares().collect::<Vec<_>>()).collect(),
            sources: self.source_names(),
        }
    }

    pub fn statements(&self) -> impl Iterator<Item = Statement> + '_ {
        self.merchants.keys().map(|merchant_id| self.statement(merchant_id))
    }

    pub fn summary(&self) -> Summary {
        let merchants = self.statements().map(|Statement { merchant_id, totals, funding, .. }| MerchantTotals {
            merchant_id,
            totals,
            funding,
        });
        let merchants: Vec<MerchantTotals> = merchants.collect();
        let mut sum = Totals::default();
        let mut funding: Vec<Share> = Vec::new();
        for merchant in &merchants {
            sum.count += merchant.totals.count;
            sum.amount = sum.amount + merchant.totals.amount;
            sum.subsidy = sum.subsidy + merchant.totals.subsidy;
            for share in &merchant.funding {
                let same =
                    |known: &&mut Share| (&known.campaign_id, &known.source) == (&share.campaign_id, &share.source);
                match funding.iter_mut().find(same) {
                    Some(known) => known.subsidy = known.subsidy + share.subsidy,
                    None => funding.push(share.clone()),
                }
            }
        }
        let (date, state, sources) = (self.date.clone(), self.state, self.source_names());
        Summary { date, state, merchants, totals: sum, funding, sources }
    }
}

/// A calendar date `YYYY-MM-DD` as days since 1970-01-01, to compare with `Zone::day_number`.
pub fn day_number(date: &str) -> Option<i64> {
    let text = date;
    // jiff also takes other forms, and times behind them; a date has one name.
    let date: jiff::civil::Date = text.parse().ok().filter(|date: &jiff::civil::Date| date.to_string() == text)?;
    let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
    Some(i64::from(days.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::schema::Funding;

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
            refund_id: String::new(),
            campaign_id: text(),
            at: text(),
            receipt_no: text(),
            funding: Vec::new(),
        }
    }

    #[test]
    fn totals_are_the_sums_of_the_lines_and_the_summary_is_the_sum_of_the_statements() {
        let mut day = Day::new("2020-07-25", DayState::Open);
        day.add("m1", 7, line("A", Kind::Redeem, 11800, 2000));
        day.add("m1", 7, line("A", Kind::Redeem, 0, 1000));
        day.add("m1", 7, line("A", Kind::Refund, -5500, -1500));
        day.add("m2", 7, line("A", Kind::Redeem, 6000, 1000));
        assert_eq!(day.statement("m1").totals, Totals { count: 3, amount: Fen(6300), subsidy: Fen(1500) });
        assert_eq!(day.summary().totals, Totals { count: 4, amount: Fen(12300), subsidy: Fen(2500) });
        assert_eq!(day.statement("nobody").totals, Totals::default());
    }

    #[test]
    fn sources_share_each_statement_exactly_and_the_summary_is_their_sum() {
        let source = |source: &str, weight| Funding { source: source.into(), weight };
        let of = |id: &str, funding| Sources { campaign_id: id.into(), funding };
        let both = of("a", vec![source("city", 2), source("district", 1)]);
        let one = of("b", vec![source("city", 1)]);
        let mut day = Day::new("2020-07-25", DayState::Open).funded_by(BTreeMap::from([(7, both), (8, one)]));
        day.add("m1", 7, line("A", Kind::Redeem, 6000, 1000));
        day.add("m1", 8, line("B", Kind::Redeem, 6000, 500));
        day.add("m1", 7, line("C", Kind::Redeem, 6000, 1000));
        day.add("m1", 7, line("A", Kind::Refund, 600, -10));
        day.add("m1", 9, line("D", Kind::Redeem, 6000, 300));
        day.add("m2", 7, line("A", Kind::Reverse, 6000, -1000));
        let shares = |shares: &[Share]| -> Vec<(String, i64)> {
            shares.iter().map(|one| (format!("{} {}", one.campaign_id, one.source), one.subsidy.0)).collect()
        };
        let statement = day.statement("m1");
        assert_eq!(
            shares(&statement.funding),
            [("a city".into(), 1326), ("a district".into(), 664), ("b city".into(), 500)]
        );
        for line in &statement.lines {
            let parts: Fen = line.funding.iter().map(|part| part.subsidy).sum();
            assert_eq!(parts, if line.order_id == "D" { Fen::ZERO } else { line.subsidy });
        }
        let summary = day.summary();
        assert_eq!(shares(&summary.merchants[1].funding), [("a city".into(), -667), ("a district".into(), -333)]);
        assert_eq!(
            shares(&summary.funding),
            [("a city".into(), 659), ("a district".into(), 331), ("b city".into(), 500)]
        );
        assert_eq!(summary.sources, ["city", "district"]);
    }

    #[test]
    fn a_statement_has_the_contracts_shape() {
        let mut day = Day::new("2020-07-25", DayState::Closed);
        day.add("m1", 7, line("A", Kind::Reverse, -100, -20));
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
            "campaign_id",
            "at",
            "receipt_no",
        ];
        wanted.sort_unstable();
        assert_eq!(names, wanted);
    }

    #[test]
    fn a_date_is_a_number_of_days() {
        assert_eq!(day_number("1970-01-02"), Some(1));
        assert_eq!(day_number("2020-07-25"), Some(18468));
        for other in ["2020-02-30", "20200725", "2020-07-25T00:00:00", "2020-7-25", "", "+002020-07-25"] {
            assert_eq!(day_number(other), None, "{other}");
        }
    }
}
