//! Statements from the ledger: the lines of one day of the city, told by merchant, equal to the ledger to the fen.

use std::collections::HashMap;

use crate::domain::money::Fen;
use crate::domain::order::transaction_id;
use crate::domain::settlement::{Day, DayState, Kind, Statement, StatementLine, Summary};
use crate::domain::time::{Ms, Zone};
use crate::domain::voucher::VoucherRef;
use crate::store::ledger::{Item, LedgerEntry, LedgerReader, Line, PersonField};
use crate::store::{Store, StoreError};

/// Says a voucher's printed id and template; the pack is its position in the campaign file.
pub type VoucherNames<'a> = dyn Fn(&VoucherRef, u8) -> (String, String) + Sync + 'a;

/// Folds ledger lines into one day's statements.
pub struct Books<'a> {
    day: Day,
    number: i64,
    zones: &'a HashMap<u16, Zone>,
    names: &'a VoucherNames<'a>,
    /// Only this merchant's lines, or everybody's.
    merchant_id: Option<&'a str>,
    /// Which packs a person was credited, in order: a line names a pack only by its place in the record.
    packs: HashMap<(u16, PersonField), Vec<u8>>,
}

impl<'a> Books<'a> {
    /// `number` is the date as days since 1970-01-01; `zones` are those of the campaigns.
    pub fn new(
        day: Day,
        number: i64,
        zones: &'a HashMap<u16, Zone>,
        names: &'a VoucherNames<'a>,
        merchant_id: Option<&'a str>,
    ) -> Books<'a> {
        Books { day, number, zones, names, merchant_id, packs: HashMap::new() }
    }

    pub fn take(&mut self, shard: u8, entry: &LedgerEntry) {
        if let Line::Credited { c, f, pack, .. } = &entry.line {
            self.packs.entry((*c, *f)).or_default().push(*pack);
            return;
        }
        let Some(posted) = Posted::of(&entry.line) else { return };
        let ours = self.merchant_id.is_none_or(|merchant_id| merchant_id == posted.merchant_id);
        let today = self.zones.get(&posted.c).is_some_and(|zone| zone.day_number(entry.at) == self.number);
        if !ours || !today {
            return;
        }
        let pack = self.packs.get(&(posted.c, posted.f)).and_then(|packs| packs.get(usize::from(posted.p))).copied();
        let voucher = VoucherRef { c: posted.c, shard, f: posted.f.0, p: posted.p, u: posted.u };
        let (voucher_id, voucher_kind) = (self.names)(&voucher, pack.unwrap_or(u8::MAX));
        let line = StatementLine {
            order_id: posted.order_id.to_owned(),
            transaction_id: posted.named.transaction_id(posted.merchant_id, posted.order_id),
            store: posted.store.to_owned(),
            terminal: posted.terminal.to_owned(),
            voucher_id,
            voucher_kind,
            amount: Fen(posted.amount),
            subsidy: Fen(posted.subsidy),
            kind: posted.kind,
            funding: Vec::new(),
        };
        self.day.add(posted.merchant_id, posted.c, line);
    }

    pub fn close(self) -> Day {
        self.day
    }
}

/// What a line means to a merchant.
struct Posted<'l> {
    c: u16,
    f: PersonField,
    p: u8,
    u: u8,
    merchant_id: &'l str,
    order_id: &'l str,
    named: Named<'l>,
    store: &'l str,
    terminal: &'l str,
    amount: i64,
    subsidy: i64,
    kind: Kind,
}

/// What a line says of its transaction: a refund has a number of its own, any other is named by its order and attempt.
enum Named<'l> {
    Attempt(u32),
    Refund(&'l str),
}

impl Named<'_> {
    fn transaction_id(&self, merchant_id: &str, order_id: &str) -> String {
        match self {
            Named::Attempt(attempt) => transaction_id(merchant_id, order_id, *attempt),
            Named::Refund(refund_id) => (*refund_id).to_owned(),
        }
    }
}

impl Posted<'_> {
    #[rustfmt::skip] // A table: one row per kind of line.
    fn of(line: &Line) -> Option<Posted<'_>> {
        let (kind, subsidy, (c, f, p, u), merchant_id, order_id, named, store, terminal, amount) = match line {
            Line::Confirmed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. }
            | Line::Redeemed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. } =>
                (Kind::Redeem, *discount, (c, f, p, u), merchant_id, order_id, Named::Attempt(*attempt), store, terminal, amount),
            Line::Reversed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. } =>
                (Kind::Reverse, -discount, (c, f, p, u), merchant_id, order_id, Named::Attempt(*attempt), store, terminal, amount),
            Line::Refunded { c, f, p, u, share, merchant_id, order_id, refund_id, store, terminal, amount, .. } =>
                (Kind::Refund, -share, (c, f, p, u), merchant_id, order_id, Named::Refund(refund_id), store, terminal, amount),
            _ => return None,
        };
        let (c, f, p, u, amount) = (*c, *f, *p, *u, *amount);
        Some(Posted { c, f, p, u, merchant_id, order_id, named, store, terminal, amount, subsidy, kind })
    }
}

/// Reads the ledger of all shards into the books, from `from` (or its first line) to the first entry after `until`. A gap is the
/// audit's to tell; a statement shows what there is.
pub async fn read(books: &mut Books<'_>, store: &Store, from: Option<Ms>, until: Ms) -> Result<(), StoreError> {
    for shard in 0..store.shards() {
        let mut reader = LedgerReader::open(store, shard).await?;
        if let Some(from) = from {
            reader.seek(from).await?;
        }
        loop {
            let page = reader.page(u64::MAX).await?;
            let entries =
                || page.iter().filter_map(|item| if let Item::Entry(entry) = item { Some(entry) } else { None });
            entries().for_each(|entry| books.take(shard, entry));
            if page.is_empty() || entries().any(|entry| entry.at > until) {
                break;
            }
        }
    }
    Ok(())
}

/// The statement as a table; a cell of text that a spreadsheet would take for a formula starts with an apostrophe.
pub fn statement_csv(statement: &Statement) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = [
        "date",
        "merchant_id",
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
    table.write_record(head.map(str::to_owned).into_iter().chain(columns(&statement.sources)))?;
    for line in &statement.lines {
        let texts = [
            &statement.date,
            &statement.merchant_id,
            &line.order_id,
            &line.transaction_id,
            &line.store,
            &line.terminal,
        ];
        let mut row: Vec<String> =
            texts.into_iter().chain([&line.voucher_id, &line.voucher_kind]).map(|text| cell(text)).collect();
        row.extend([line.amount.0.to_string(), line.subsidy.0.to_string(), line.kind.word().to_owned()]);
        let parts = line.funding.iter().map(|part| (&part.source, part.subsidy));
        row.extend(by_source(&statement.sources, &parts.collect::<Vec<_>>()));
        table.write_record(row)?;
    }
    written(table)
}

/// The summary as a table, one row per merchant.
pub fn summary_csv(summary: &Summary) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = ["date", "merchant_id", "count", "amount", "subsidy"];
    table.write_record(head.map(str::to_owned).into_iter().chain(columns(&summary.sources)))?;
    for merchant in &summary.merchants {
        let totals = &merchant.totals;
        let numbers = [totals.count.to_string(), totals.amount.0.to_string(), totals.subsidy.0.to_string()];
        let shares = merchant.funding.iter().map(|share| (&share.source, share.subsidy));
        let shares = by_source(&summary.sources, &shares.collect::<Vec<_>>());
        let row = [cell(&summary.date), cell(&merchant.merchant_id)].into_iter().chain(numbers).chain(shares);
        table.write_record(row)?;
    }
    written(table)
}

/// A column for each source of money.
fn columns(sources: &[String]) -> impl Iterator<Item = String> + '_ {
    sources.iter().map(|source| format!("funding_{source}"))
}

/// What each source pays, over all campaigns that name it.
fn by_source(sources: &[String], parts: &[(&String, Fen)]) -> Vec<String> {
    let of = |source: &String| parts.iter().filter(|(named, _)| *named == source).map(|(_, part)| *part).sum::<Fen>();
    sources.iter().map(|source| of(source).0.to_string()).collect()
}

fn written(table: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    table.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// An empty day to fold into.
pub fn open_day(date: &str) -> Day {
    Day::new(date, DayState::Open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::settlement::day_number;
    use crate::domain::time::parse_rfc3339;
    use crate::store::ledger::{Bytes, To};

    const F: PersonField = Bytes([1; 9]);

    fn redeemed(order_id: &str, discount: i64) -> Line {
        Line::Redeemed {
            c: 7,
            f: F,
            p: 0,
            u: 0,
            discount,
            merchant_id: "m1".into(),
            order_id: order_id.into(),
            attempt: 1,
            store: "=cmd()".into(),
            terminal: "".into(),
            amount: 6000,
            category: "catering".into(),
        }
    }

    fn books(lines: &[(&str, Line)], date: &str) -> Statement {
        let zones = HashMap::from([(7, Zone::named("Asia/Shanghai").unwrap())]);
        let names = |voucher: &VoucherRef, pack: u8| (format!("v{}", voucher.u), format!("pack{pack}"));
        let mut books = Books::new(open_day(date), day_number(date).unwrap(), &zones, &names, Some("m1"));
        for (seq, (at, line)) in (1..).zip(lines) {
            books.take(0, &LedgerEntry { seq, first_seq: seq, at: parse_rfc3339(at).unwrap(), line: line.clone() });
        }
        books.close().statement("m1")
    }

    fn lines() -> Vec<(&'static str, Line)> {
        let (merchant_id, store, terminal) = (String::from("m1"), String::new(), String::new());
        vec![
            ("2020-07-24T18:00:00+08:00", Line::Credited { c: 7, f: F, round: 0, channel: 0, pack: 3, no: 1 }),
            ("2020-07-24T23:59:59+08:00", redeemed("A0", 1000)),
            ("2020-07-25T00:00:00+08:00", redeemed("A1", 2000)),
            (
                "2020-07-25T23:00:00+08:00",
                Line::Refunded {
                    c: 7,
                    f: F,
                    p: 0,
                    u: 0,
                    share: 700,
                    discount: 2000,
                    merchant_id: merchant_id.clone(),
                    order_id: "A1".into(),
                    refund_id: "R1".into(),
                    store: store.clone(),
                    terminal: terminal.clone(),
                    amount: 2500,
                    to: To::Recovered,
                },
            ),
            (
                "2020-07-26T00:00:00+08:00",
                Line::Reversed {
                    c: 7,
                    f: F,
                    p: 0,
                    u: 0,
                    discount: 1000,
                    merchant_id,
                    order_id: "A0".into(),
                    attempt: 1,
                    store,
                    terminal,
                    amount: 6000,
                    to: To::Outstanding,
                },
            ),
        ]
    }

    #[test]
    fn a_day_is_the_citys_day_and_its_lines_are_the_ledgers() {
        let subsidies = |date| books(&lines(), date).lines.iter().map(|line| line.subsidy.0).collect::<Vec<_>>();
        assert_eq!(subsidies("2020-07-24"), [1000]);
        assert_eq!(subsidies("2020-07-25"), [2000, -700]);
        assert_eq!(subsidies("2020-07-26"), [-1000]);
        let statement = books(&lines(), "2020-07-25");
        assert_eq!((statement.totals.amount, statement.totals.subsidy), (Fen(3500), Fen(1300)));
        assert_eq!(statement.lines[0].voucher_kind, "pack3");
    }

    #[test]
    fn a_cell_that_looks_like_a_formula_is_only_text() {
        let table = String::from_utf8(statement_csv(&books(&lines(), "2020-07-25")).unwrap()).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        let transaction = transaction_id("m1", "A1", 1);
        assert_eq!(rows[1], format!("2020-07-25,m1,A1,{transaction},'=cmd(),,v0,pack3,6000,2000,redeem"));
        assert_eq!(rows[2], "2020-07-25,m1,A1,R1,,,v0,pack3,2500,-700,refund");
    }
}
