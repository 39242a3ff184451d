//! Statements from the ledger: the lines of one day of the city, told by merchant, equal to the ledger to the fen.

pub mod statement;
pub mod transactions;

use crate::engine::ledger::posted::{Calls, Posted};
use std::collections::HashMap;

use crate::domain::money::Fen;
use crate::domain::settlement::{Day, DayState, Statement, StatementLine, Summary};
use crate::domain::time::{Ms, Zone};
use crate::domain::voucher::VoucherRef;
use crate::store::ledger::{Item, LedgerEntry, LedgerReader, Line, PersonField};
use crate::store::merchant::id_in_program;
use crate::store::{Store, StoreError};

/// Says a voucher's printed id, template and campaign; the pack is its position in the campaign file.
pub type VoucherNames<'a> = dyn Fn(&VoucherRef, u8) -> [String; 3] + Sync + 'a;

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
    calls: Calls,
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
        Books { day, number, zones, names, merchant_id, packs: HashMap::new(), calls: Calls::default() }
    }

    pub fn take(&mut self, shard: u8, entry: &LedgerEntry) {
        if let Line::Credited { c, f, pack, .. } = &entry.line {
            self.packs.entry((*c, *f)).or_default().push(*pack);
            return;
        }
        let Some(posted) = Posted::of(&entry.line) else { return };
        // Of a program's campaigns only its own merchants have lines.
        let merchant_id = id_in_program(posted.merchant_id);
        let ours = self.merchant_id.is_none_or(|wanted| wanted == merchant_id);
        let Some(zone) = self.zones.get(&posted.c).filter(|_| ours) else { return };
        let amount = self.calls.amount(shard, entry, &posted);
        if zone.day_number(entry.at) != self.number {
            return;
        }
        let pack = self.packs.get(&(posted.c, posted.f)).and_then(|packs| packs.get(usize::from(posted.p))).copied();
        let [voucher_id, voucher_kind, campaign_id] = (self.names)(&posted.voucher(shard), pack.unwrap_or(u8::MAX));
        let line = StatementLine {
            order_id: posted.order_id.to_owned(),
            transaction_id: posted.transaction_id().unwrap_or_default(),
            store: posted.store.to_owned(),
            terminal: posted.terminal.to_owned(),
            voucher_id,
            voucher_kind,
            amount,
            subsidy: posted.subsidy,
            kind: posted.kind,
            refund_id: posted.refund_id.to_owned(),
            campaign_id,
            at: zone.rfc3339(entry.at),
            receipt_no: posted.receipt_no.to_owned(),
            funding: Vec::new(),
        };
        self.day.add(merchant_id, posted.c, line);
    }

    pub fn close(self) -> Day {
        self.day
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
        "refund_id",
        "campaign_id",
        "at",
        "receipt_no",
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
        row.extend([&line.refund_id, &line.campaign_id, &line.at, &line.receipt_no].map(|text| cell(text)));
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

/// Text that a spreadsheet would take for a formula gets an apostrophe, and so does text that begins with one: whoever takes one
/// apostrophe off each cell of text that begins with it has what was written. Numbers are no text and get none.
fn cell(text: &str) -> String {
    const BEGINS: [char; 12] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n', '\''];
    if text.starts_with(BEGINS) { format!("'{text}") } else { text.to_owned() }
}

/// An empty day to fold into.
pub fn open_day(date: &str) -> Day {
    Day::new(date, DayState::Open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::transaction_id;
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
            receipt_no: "N7".into(),
        }
    }

    fn books(lines: &[(&str, Line)], date: &str) -> Statement {
        let zones = HashMap::from([(7, Zone::named("Asia/Shanghai").unwrap())]);
        let names =
            |voucher: &VoucherRef, pack: u8| [format!("v{}", voucher.u), format!("pack{pack}"), "spring".into()];
        let mut books = Books::new(open_day(date), day_number(date).unwrap(), &zones, &names, Some("m1"));
        for (seq, (at, line)) in (1..).zip(lines) {
            books.take(0, &LedgerEntry { seq, first_seq: seq, at: parse_rfc3339(at).unwrap(), line: line.clone() });
        }
        books.close().statement("m1")
    }

    fn lines() -> Vec<(&'static str, Line)> {
        let (merchant_id, store, terminal) = (String::from("m1"), String::new(), String::new());
        vec![
            (
                "2020-07-24T18:00:00+08:00",
                Line::Credited { c: 7, f: F, round: 0, channel: 0, pack: 3, no: 1, received: 0 },
            ),
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
                    attempt: 1,
                    receipt_no: "N7".into(),
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
                    receipt_no: String::new(),
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
    fn a_calls_amount_stands_on_the_line_of_its_first_voucher() {
        let at = parse_rfc3339("2020-07-25T12:00:00+08:00").unwrap();
        let late = Line::Expired { c: 7, round: 0, channel: 0, pack: 3, hour: 0, amount: -1000 };
        let (first, mut refund) = (lines().remove(3).1, lines().remove(3).1);
        let Line::Refunded { refund_id, .. } = &mut refund else { unreachable!() };
        *refund_id = "R2".into();
        // By stream entry: two calls of two vouchers in one batch, one of them late; two refunds; an order of the same name elsewhere.
        let ledger: [(u64, Vec<Line>); 3] = [
            (1, vec![redeemed("A1", 1), redeemed("A1", 2), redeemed("A2", 3), late, redeemed("A2", 4)]),
            (6, vec![first.clone(), first, refund.clone(), refund]),
            (10, vec![redeemed("A1", 5)]),
        ];
        let (mut calls, mut amounts) = (Calls::default(), Vec::new());
        for (first_seq, batch) in ledger {
            for (seq, line) in (first_seq..).zip(batch) {
                let entry = LedgerEntry { seq, first_seq, at, line };
                amounts.extend(Posted::of(&entry.line).map(|posted| calls.amount(0, &entry, &posted).0));
            }
        }
        assert_eq!(amounts, [6000, 0, 6000, 0, -2500, 0, -2500, 0, 6000]);
    }

    #[test]
    fn a_refund_of_an_older_line_is_told_without_a_transaction() {
        let mut older = lines();
        let Line::Refunded { attempt, receipt_no, store, .. } = &mut older[3].1 else { unreachable!() };
        (*attempt, *receipt_no, *store) = (0, String::new(), String::new());
        let statement = books(&older, "2020-07-25");
        let refund = &statement.lines[1];
        assert_eq!((refund.transaction_id.as_str(), refund.refund_id.as_str(), refund.amount), ("", "R1", Fen(-2500)));
    }

    #[test]
    fn a_cell_is_never_a_formula_and_what_was_written_can_be_read_back() {
        for text in ["=1", "'=1", "''=1", "'", "+1", "-1", "@x", "＝1", "\t=1", "\r\n", "A1", "O'Brien", "", " =1"] {
            let written = cell(text);
            assert!(!written.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r']), "{text}");
            assert_eq!(written.strip_prefix('\'').unwrap_or(&written), text);
        }
    }

    #[test]
    fn a_cell_that_looks_like_a_formula_is_only_text() {
        let table = String::from_utf8(statement_csv(&books(&lines(), "2020-07-25")).unwrap()).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        let transaction = transaction_id("m1", "A1", 1);
        let redeemed = "'=cmd(),,v0,pack3,6000,2000,redeem,,spring,2020-07-25T00:00:00+08:00,N7";
        let refunded = ",,v0,pack3,-2500,-700,refund,R1,spring,2020-07-25T23:00:00+08:00,N7";
        assert_eq!(rows[1], format!("2020-07-25,m1,A1,{transaction},{redeemed}"));
        assert_eq!(rows[2], format!("2020-07-25,m1,A1,{transaction},{refunded}"));
    }
}
