//! A campaign's record and its shards: what is written is told to every shard before it is answered.

use futures_util::future::try_join_all;

use crate::domain::refusal::Refusal;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::campaign::{CampaignRecord, State};
use crate::store::keys::{self, Slot};

impl Engine {
    /// The record has been written; until the shards are told, they judge as before.
    pub(in crate::engine) async fn tell_shards(&self, record: &CampaignRecord) -> Result<(), Refusal> {
        self.make_known(record).await.map_err(|error| Refusal::from(error).half_done())
    }

    /// The same of a record that was what was asked for: whoever wrote it may have died before the shards were told. One that all of them know
    /// is nobody's unfinished work, and what the store refuses then is told as it is.
    pub(in crate::engine) async fn tell_shards_again(&self, record: &CampaignRecord) -> Result<(), Refusal> {
        let Err(error) = self.make_known(record).await else { return Ok(()) };
        let refusal = Refusal::from(error);
        Err(if self.shards_know(record).await { refusal } else { refusal.half_done() })
    }

    async fn shards_know(&self, record: &CampaignRecord) -> bool {
        let field = [keys::view_field(record.number)];
        let slots: Vec<Slot> = (0..self.store.shards()).map(Slot::Shard).collect();
        let known = try_join_all(slots.iter().map(|slot| self.store.header_numbers(slot, &field)));
        known.await.is_ok_and(|known| known.iter().flatten().all(|known| *known >= record.rev as i64))
    }

    /// Brings the view of a record that was just read or written to this node and to every shard.
    async fn make_known(&self, record: &CampaignRecord) -> Result<(), StoreError> {
        let read = self.refresh().await;
        if record.state != State::Published {
            // No shard needs to know of it, and this node reads it again by itself.
            if let Err(error) = read {
                tracing::warn!(%error, "a change is read later");
            }
            return Ok(());
        }
        self.push_view(record.number, record.rev).await?;
        read
    }
}
