//! The merchant's list of what its tills did, read from the ledger.

use super::Till;
use crate::domain::money::Fen;
use crate::domain::order::transaction_id;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Zone};
use crate::domain::voucher::VoucherRef;
use crate::engine::Engine;
use crate::store::ledger::{Item, LedgerEntry, LedgerReader, Line};

/// Lines per page.
const PAGE: usize = 200;

/// One line of the list: a redemption, a reversal or a refund of one voucher.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub kind: &'static str,
    pub order_id: String,
    pub transaction_id: Option<String>,
    pub refund_id: Option<String>,
    pub store: String,
    pub terminal: String,
    pub voucher_id: String,
    pub campaign_id: String,
    pub amount: Fen,
    /// What the programme owes for it; negative when money comes back.
    pub subsidy: Fen,
    pub at: String,
}

#[derive(Clone, Debug)]
pub struct TransactionPage {
    pub items: Vec<Transaction>,
    pub next_cursor: Option<String>,
}

impl Engine {
    /// Transactions in `[from, to)`, shard by shard in ledger order; the cursor names shard and seq to go on from.
    pub async fn transactions(
        &self,
        till: &Till,
        from: Ms,
        to: Ms,
        cursor: Option<&str>,
    ) -> Result<TransactionPage, Refusal> {
        self.merchant_of(till).await?;
        let (first_shard, first_seq) = match cursor {
            None => (0, 0),
            Some(text) => {
                parse_cursor(text).filter(|(shard, _)| *shard < self.store.shards()).ok_or_else(bad_cursor)?
            }
        };
        let mut items = Vec::new();
        for shard in first_shard..self.store.shards() {
            let mut reader = LedgerReader::open(&self.store, shard).await?;
            let skip_to = if shard == first_shard { first_seq } else { 0 };
            loop {
                let page = reader.page(u64::MAX).await?;
                if page.is_empty() {
                    break;
                }
                for entry in page.into_iter().filter_map(in_window(from, to)).filter(|entry| entry.seq >= skip_to) {
                    let Some(transaction) = self.transaction(&till.merchant_id, shard, &entry) else { continue };
                    if items.len() == PAGE {
                        return Ok(TransactionPage { items, next_cursor: Some(format!("{shard}-{}", entry.seq)) });
                    }
                    items.push(transaction);
                }
            }
        }
        Ok(TransactionPage { items, next_cursor: None })
    }

    fn transaction(&self, merchant: &str, shard: u8, entry: &LedgerEntry) -> Option<Transaction> {
        let row = row(&entry.line)?;
        if row.merchant_id != merchant {
            return None;
        }
        let snapshot = self.view();
        let view = snapshot.by_number.get(&row.c);
        let zone = view.map(|view| view.zone.clone()).or_else(|| Zone::named("UTC"))?;
        let voucher = VoucherRef { c: row.c, shard, f: row.f, p: row.p, u: row.u };
        Some(Transaction {
            kind: row.kind,
            order_id: row.order_id.to_owned(),
            transaction_id: row.attempt.map(|attempt| transaction_id(row.merchant_id, row.order_id, attempt)),
            refund_id: row.refund_id.map(str::to_owned),
            store: row.store.to_owned(),
            terminal: row.terminal.to_owned(),
            voucher_id: self.voucher_ids().id(&voucher),
            campaign_id: view.map(|view| view.id.clone()).unwrap_or_default(),
            amount: Fen(row.amount),
            subsidy: Fen(row.subsidy),
            at: zone.rfc3339(entry.at),
        })
    }
}

fn in_window(from: Ms, to: Ms) -> impl Fn(Item) -> Option<LedgerEntry> {
    move |item| match item {
        Item::Entry(entry) if from <= entry.at && entry.at < to => Some(entry),
        _ => None,
    }
}

struct Row<'a> {
    kind: &'static str,
    c: u16,
    f: [u8; 9],
    p: u8,
    u: u8,
    merchant_id: &'a str,
    order_id: &'a str,
    attempt: Option<u32>,
    refund_id: Option<&'a str>,
    store: &'a str,
    terminal: &'a str,
    amount: i64,
    subsidy: i64,
}

fn row(line: &Line) -> Option<Row<'_>> {
    match line {
        Line::Confirmed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. }
        | Line::Redeemed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. } => {
            Some(Row {
                kind: "redeem",
                c: *c,
                f: f.0,
                p: *p,
                u: *u,
                merchant_id,
                order_id,
                attempt: Some(*attempt),
                refund_id: None,
                store,
                terminal,
                amount: *amount,
                subsidy: *discount,
            })
        }
        Line::Reversed { c, f, p, u, discount, merchant_id, order_id, attempt, store, terminal, amount, .. } => {
            Some(Row {
                kind: "reverse",
                c: *c,
                f: f.0,
                p: *p,
                u: *u,
                merchant_id,
                order_id,
                attempt: Some(*attempt),
                refund_id: None,
                store,
                terminal,
                amount: *amount,
                subsidy: -*discount,
            })
        }
        Line::Refunded { c, f, p, u, share, merchant_id, order_id, refund_id, store, terminal, amount, .. } => {
            Some(Row {
                kind: "refund",
                c: *c,
                f: f.0,
                p: *p,
                u: *u,
                merchant_id,
                order_id,
                attempt: None,
                refund_id: Some(refund_id),
                store,
                terminal,
                amount: *amount,
                subsidy: -*share,
            })
        }
        _ => None,
    }
}

fn parse_cursor(text: &str) -> Option<(u8, u64)> {
    let (shard, seq) = text.split_once('-')?;
    Some((shard.parse().ok()?, seq.parse().ok()?))
}

fn bad_cursor() -> Refusal {
    Refusal::new(Code::InvalidRequest).field(
        "/cursor",
        "invalid_cursor",
        "cursor 无效。",
        "Use next_cursor as it was given.",
    )
}
