//! The books of a campaign: its live counters, read so that they are of one moment with its record, and the accounts in which every fen of
//! its budget is.

pub mod counters;
pub mod facts;
pub mod money;
pub(in crate::engine) mod posted;

use std::sync::Arc;

use crate::domain::time::{Ms, SECOND};
use crate::engine::config::view::CampaignView;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys::{self, Slot};
use counters::Counters;
use facts::facts_of;
use money::{AsOf, LedgerView, ledger_view};

/// Two nodes' clocks may each be off by the second that the store allows; a call in flight takes some more.
const LATE_CALLS: Ms = 5 * SECOND;

/// How often a campaign's books are read again when its record changes under the reader.
const READS: usize = 8;

impl Engine {
    /// Counters of all campaigns, summed over the shards, and where in the ledger they stand.
    pub async fn counters(&self) -> Result<(Counters, AsOf), StoreError> {
        let (counters, as_of, _) = self.counters_at(0).await?;
        Ok((counters, as_of))
    }

    /// A campaign with counters that were read while its record was this one: what the record gives to a round or takes from the pool
    /// and what the shards count are then of one moment.
    pub async fn books(&self, campaign_id: &str) -> Result<(Arc<CampaignView>, Counters, AsOf), Failure> {
        let mut reads = 0;
        loop {
            reads += 1;
            let view = self.campaign(campaign_id)?;
            let (counters, as_of, revs) = self.counters_at(view.number).await?;
            let other = revs.into_iter().find(|rev| view.is_published() && *rev != view.rev);
            match other {
                Some(rev) if reads < READS => self.reconcile(view.number, rev).await?,
                _ => return Ok((view, counters, as_of)),
            }
        }
    }

    /// The counters, and the revision of a campaign that each shard had when it was read.
    async fn counters_at(&self, campaign: u16) -> Result<(Counters, AsOf, Vec<u64>), StoreError> {
        let (mut counters, mut as_of) = (Counters::default(), AsOf { epoch: 0, seq: 0 });
        let (mut revs, view_field) = (Vec::new(), keys::view_field(campaign));
        for shard in 0..self.store.shards() {
            let header = self.store.header(&Slot::Shard(shard)).await?;
            counters.plus(&counters_of_header(&header));
            for (field, value) in &header {
                match field.as_str() {
                    "seq" => as_of.seq += value.parse::<u64>().unwrap_or_default(),
                    "epoch" => as_of.epoch = as_of.epoch.max(value.parse().unwrap_or_default()),
                    view if view == view_field => revs.push(value.parse().unwrap_or_default()),
                    _ => {}
                }
            }
        }
        Ok((counters, as_of, revs))
    }

    /// Where every fen of a campaign's budget is.
    pub async fn ledger(&self, campaign_id: &str) -> Result<LedgerView, Failure> {
        let (view, counters, as_of) = self.books(campaign_id).await?;
        Ok(ledger_view(&counters, &facts_of(&view), as_of))
    }

    /// The instant up to which every call has arrived that was stamped with it.
    pub(in crate::engine) fn arrived(&self, now: Ms) -> Ms {
        if self.clock().is_sandbox() { now } else { now - LATE_CALLS }
    }
}

pub(in crate::engine) fn counters_of_header(header: &[(String, String)]) -> Counters {
    Counters::of_header(header.iter().map(|(field, value)| (field.as_str(), value.as_str())))
}
