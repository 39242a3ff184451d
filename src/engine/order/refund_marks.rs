//! What refunds hold of quotas, beside the orders that say which of them were booked. A refund that is booked holds what it uses; one that
//! is not, and that nobody comes back to, holds nothing.

use futures_util::future::try_join_all;

use crate::engine::Engine;
use crate::engine::config::view::CampaignView;
use crate::engine::quota::{BEFORE, Idle};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::quota::StoredMark;

impl Engine {
    /// A refund's mark that holds more than its order says that the refund uses; `None` too where the order cannot be read or is forgotten.
    pub(in crate::engine) async fn idle_refund(
        &self,
        view: &CampaignView,
        slot: u8,
        mark: StoredMark,
    ) -> Result<Option<Idle>, StoreError> {
        let Some((key, number)) = mark.refund() else { return Ok(None) };
        let reading = (0..self.store.shards()).map(|shard| self.store.order_with_goods(shard, &key));
        let read = match try_join_all(reading).await {
            Err(StoreError::Broken(_)) => return Ok(None),
            read => read?,
        };
        let mut of_campaign = read.into_iter().filter_map(|(stored, bought)| Some((stored?.order, bought)));
        let Some((order, bought)) = of_campaign.find(|(order, _)| order.units.iter().any(|unit| unit.c == view.number))
        else {
            return Ok(None);
        };
        let bought = bought.as_ref().map(|stored| &stored.bought);
        let mut keeps = 0;
        for before in [0, BEFORE] {
            let uses = self.uses_of_refund(&key, (&order, bought), number, before)?;
            let mut of_mark = uses.iter().filter(|(place, _)| keys::quota_digest(&place.name) == mark.digest);
            keeps = of_mark.next().map_or(keeps, |(_, n)| *n);
        }
        let is_settled = number < order.refunds.len();
        Ok((mark.holds > keeps).then_some(Idle { slot, mark, keeps, is_settled }))
    }
}
