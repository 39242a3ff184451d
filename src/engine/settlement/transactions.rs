//! The merchant's list of what its tills did, read from the ledger.

use crate::domain::money::Fen;
use crate::domain::refusal::Refusal;
use crate::domain::time::{Ms, Zone};
use crate::engine::Engine;
use crate::engine::ledger::posted::{Calls, Posted};
use crate::engine::merchant::caller::Till;
use crate::store::ledger::{Item, LedgerEntry, LedgerReader};

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
    pub receipt_no: String,
    /// The goods' value of the call, on the line of its first voucher; negative when they come back.
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
        let _ = self.known_merchant_of(till).await?;
        let (first_shard, first_seq) = match cursor {
            None => (0, 0),
            Some(text) => parse_cursor(text)
                .filter(|(shard, _)| *shard < self.store.shards())
                .ok_or_else(Refusal::invalid_cursor)?,
        };
        let (mut items, mut calls) = (Vec::new(), Calls::default());
        for shard in first_shard..self.store.shards() {
            let mut reader = LedgerReader::open(&self.store, shard).await?;
            let skip_to = if shard == first_shard { first_seq } else { 0 };
            loop {
                let page = reader.page(u64::MAX).await?;
                if page.is_empty() {
                    break;
                }
                for entry in page.into_iter().filter_map(in_window(from, to)) {
                    let Some(posted) = Posted::of(&entry.line).filter(|posted| posted.merchant_id == till.merchant_id)
                    else {
                        continue;
                    };
                    let amount = calls.amount(shard, &entry, &posted);
                    if entry.seq < skip_to {
                        continue;
                    }
                    if items.len() == PAGE {
                        return Ok(TransactionPage { items, next_cursor: Some(format!("{shard}-{}", entry.seq)) });
                    }
                    items.extend(self.transaction(shard, entry.at, &posted, amount));
                }
            }
        }
        Ok(TransactionPage { items, next_cursor: None })
    }

    fn transaction(&self, shard: u8, at: Ms, posted: &Posted<'_>, amount: Fen) -> Option<Transaction> {
        let snapshot = self.view();
        let view = snapshot.by_number.get(&posted.c);
        let zone = view.map(|view| view.zone.clone()).or_else(|| Zone::named("UTC"))?;
        Some(Transaction {
            kind: posted.kind.word(),
            order_id: posted.order_id.to_owned(),
            transaction_id: posted.transaction_id(),
            refund_id: Some(posted.refund_id).filter(|id| !id.is_empty()).map(str::to_owned),
            store: posted.store.to_owned(),
            terminal: posted.terminal.to_owned(),
            voucher_id: self.keys.voucher.id(&posted.voucher(shard)),
            campaign_id: view.map(|view| view.id.clone()).unwrap_or_default(),
            receipt_no: posted.receipt_no.to_owned(),
            amount,
            subsidy: posted.subsidy,
            at: zone.rfc3339(at),
        })
    }
}

fn in_window(from: Ms, to: Ms) -> impl Fn(Item) -> Option<LedgerEntry> {
    move |item| match item {
        Item::Entry(entry) if from <= entry.at && entry.at < to => Some(entry),
        _ => None,
    }
}

fn parse_cursor(text: &str) -> Option<(u8, u64)> {
    let (shard, seq) = text.split_once('-')?;
    Some((shard.parse().ok()?, seq.parse().ok()?))
}
