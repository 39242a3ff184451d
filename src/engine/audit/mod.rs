//! Proves that counters and records are what the ledger made of them, beside a live system.
//!
//! Per shard: (a) one snapshot of header and ledger end; the ledger up to there is folded and compared with the counters. (b) Records
//! are read in batches, each with the ledger's end at the same instant; the fold moves on to exactly there and the batch is compared.
//! Nothing is stopped and nothing is compared with another moment. Over all shards: supply, budget, one redemption per order.
//! Causes and their consequences are told apart in `resolve`: one fault of the store is one finding. Nor do two persons hold a phone,
//! device or account that refuses at once. Packs of drawn rounds are where the draw says (`winners`). Each person's history names the calls
//! that the ledger has of the person, and no other.
//!
//! Caps and quotas are what orders, claims, reservations and refunds hold of them (`limits`, `marks`), pieces are marked by the orders
//! that pay for them, and goods are those of their orders (`goods`).
//!
//! Not looked at: the index of identity keys, uploaded lists, pay codes, limits used (`usage`), times inside records.

mod conservation;
mod facts;
mod fold;
mod goods;
mod held;
mod history;
mod limits;
mod marks;
mod money_lines;
mod order;
mod person;
mod posting;
mod resolve;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod walk;
mod winners;

use serde::Serialize;

pub use facts::Facts;
use walk::{ShardWalk, Walked};

use crate::engine::Engine;
use crate::engine::config::view::Unreadable;
use crate::engine::ledger::counters::Counters;
use crate::engine::ledger::facts::facts_of;
use crate::store::keys::ORDER_BUCKETS;
use crate::store::ledger::LedgerReader;
use crate::store::{Store, StoreError, snapshot};

/// One fault of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: &'static str,
    pub subject: String,
    pub expected: String,
    pub found: String,
    pub explanation: String,
}

impl Finding {
    fn new(kind: &'static str, subject: String, expected: String, found: String, explanation: String) -> Finding {
        Finding { kind, subject, expected, found, explanation }
    }

    /// Nothing of such a campaign is compared with what it allows.
    pub fn unreadable_campaign(campaign_id: &str, reason: &str) -> Finding {
        Finding::new(
            "campaign_unreadable",
            format!("campaign {campaign_id}"),
            "a readable record".to_owned(),
            reason.to_owned(),
            "what the campaign allows is not known, so nothing of it was compared with that".to_owned(),
        )
    }
}

/// What an audit has looked at and found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// What moved whenever it was looked at, so that nothing can be said of it: in use, or wrong.
    pub not_settled: Vec<String>,
    /// Counters of all shards, as the headers had them.
    pub counters: Counters,
    pub lines: u64,
    /// Highest epoch and sum of the seqs of all shards.
    pub epoch: u64,
    pub seq: u64,
}

impl Engine {
    /// Audits the store beside whatever runs on it.
    pub async fn audit(&self) -> Result<Report, StoreError> {
        loop {
            let before = self.facts();
            let mut report = audit(&self.store, &before).await?;
            self.refresh().await?;
            let after = self.facts();
            // Orders that go while they are read would be missed; a campaign's go once, so this ends.
            if after.orders_over() == before.orders_over() {
                conclude(&before, &after, &mut report);
                let unreadable = |(id, one): (&String, &Unreadable)| Finding::unreadable_campaign(id, &one.reason);
                report.findings.extend(self.view().unreadable.iter().map(unreadable));
                report.findings.extend(self.audit_winners(&report.findings).await?);
                let (wrong, not_settled) = self.audit_limits().await?;
                report.findings.extend(wrong);
                report.not_settled = not_settled;
                return Ok(report);
            }
        }
    }

    /// What an audit has to know of every published campaign.
    pub fn facts(&self) -> Facts {
        let views = self.view();
        let published = views.by_number.values().filter(|view| view.is_published());
        Facts { campaigns: published.map(|view| (view.number, facts_of(view))).collect(), order_buckets: ORDER_BUCKETS }
    }
}

/// Audits all shards, one after the other; `conclude` then compares them with each other.
pub async fn audit(store: &Store, facts: &Facts) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let (mut redeemed, mut keys) = (Vec::new(), Vec::new());
    for shard in 0..store.shards() {
        let (walked, epoch, seq) = audit_shard(store, shard, facts).await?;
        report.findings.extend(walked.findings);
        report.counters.plus(&walked.counters);
        report.lines += walked.lines;
        report.epoch = report.epoch.max(epoch);
        report.seq += seq;
        redeemed.extend(walked.redeemed);
        keys.extend(walked.keys);
    }
    report.findings.extend(held::held_twice(store, facts, keys).await?);
    report.findings.extend(conservation::redeemed_twice(redeemed));
    Ok(report)
}

/// Compares sums over all shards with what the campaigns have, as it was known before the audit and after it.
pub fn conclude(before: &Facts, after: &Facts, report: &mut Report) {
    conservation::check(before, after, &report.counters, &mut report.findings);
}

async fn audit_shard(store: &Store, shard: u8, facts: &Facts) -> Result<(Walked, u64, u64), StoreError> {
    let (header, mut wrong_goods) = (store.snapshot_header(shard).await?, Vec::new());
    let mut walk = ShardWalk::new(shard, facts, header.seq);
    let mut reader = LedgerReader::open(store, shard).await?;
    reader.each(header.last_id, |item| walk.ledger(item)).await?;
    let end = reader.next_seq() - 1;
    let tail = reader.gap_at_end(header.seq);
    walk.header(&header, end, tail);
    for (&c, campaign) in &facts.campaigns {
        for first in (0..campaign.buckets).step_by(snapshot::PERSON_BUCKETS as usize) {
            let range = first..campaign.buckets.min(first + snapshot::PERSON_BUCKETS);
            let (last_id, buckets) = store.snapshot_people(shard, c, range.clone()).await?;
            reader.each(last_id, |item| walk.ledger(item)).await?;
            for (bucket, (records, histories)) in range.zip(&buckets) {
                walk.history_bucket(histories);
                walk.person_bucket(c, bucket, records);
            }
        }
    }
    for first in (0..facts.order_buckets).step_by(usize::from(snapshot::ORDER_BUCKETS)) {
        let range = first..facts.order_buckets.min(first + snapshot::ORDER_BUCKETS);
        let (last_id, buckets, goods) = store.snapshot_goods(shard, range.clone()).await?;
        reader.each(last_id, |item| walk.ledger(item)).await?;
        range.zip(&buckets).for_each(|(bucket, records)| walk.order_bucket(bucket, records));
        wrong_goods.extend(goods::check(shard, &buckets, &goods));
    }
    let mut walked = walk.finish();
    walked.findings.extend(wrong_goods);
    Ok((walked, header.epoch, header.seq))
}
