//! A lane is what one runtime needs to talk to the store: connections made on it and a batcher of its own. A worker that has a lane
//! never wakes another thread for a call: at the opening of a rain those wakes cost as much as the script.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};

use super::batch::{self, Queue};
use super::health::Health;
use super::keys::Slot;
use super::{Options, Store, StoreError};
use crate::clock::Clock;

thread_local! {
    /// The lane of this thread; a worker serves one store.
    static HERE: RefCell<Option<Arc<Lane>>> = const { RefCell::new(None) };
}

pub(super) struct Lane {
    pub(super) wire: Arc<Wire>,
    /// One per shard, then one per merchant slot, then one per slot of the index.
    queues: Vec<Queue>,
    shards: u8,
}

/// Connections, and what a call over them needs to know.
pub(super) struct Wire {
    connections: Vec<ConnectionManager>,
    next: AtomicUsize,
    pub(super) clock: Clock,
    pub(super) deadline: Duration,
    pub(super) clock_guard: bool,
    pub(super) health: Health,
}

impl Lane {
    /// Connects on the runtime that calls, and starts a batcher for each shard, merchant slot and index slot there.
    pub(super) async fn open(
        client: &redis::Client,
        options: &Options,
        clock: &Clock,
        connections: usize,
    ) -> Result<Lane, StoreError> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(Duration::from_secs(2)))
                .set_response_timeout(None)
                .set_max_delay(Duration::from_millis(500))
                .set_pipeline_buffer_size(1024);
            let connection = client.get_connection_manager_with_config(config).await;
            opened.push(connection.map_err(|error| StoreError::from_client(&error))?);
        }
        let wire = Arc::new(Wire {
            connections: opened,
            next: AtomicUsize::new(0),
            clock: clock.clone(),
            deadline: options.deadline,
            clock_guard: options.clock_guard,
            health: options.health.clone(),
        });
        let shards = options.shards;
        let slots = [Slot::Shard, Slot::Merchant, Slot::Identity].into_iter();
        let slots = slots.flat_map(|kind| (0..shards).map(kind));
        let queues = slots.map(|slot| batch::start(wire.clone(), slot, options.queue)).collect();
        Ok(Lane { wire, queues, shards })
    }

    /// Where the hot calls of a slot wait for each other; the others go one by one.
    pub(super) fn queue(&self, slot: &Slot) -> Option<&Queue> {
        let (kind, number) = match slot {
            Slot::Shard(shard) => (0, shard),
            Slot::Merchant(merchant) => (1, merchant),
            Slot::Identity(index) => (2, index),
            Slot::Pool(..) | Slot::Config => return None,
        };
        self.queues.get(kind * usize::from(self.shards) + usize::from(*number))
    }

    /// The lane of this thread, if it has opened one.
    pub(super) fn here() -> Option<Arc<Lane>> {
        HERE.with_borrow(Clone::clone)
    }
}

impl Wire {
    pub(super) fn width(&self) -> usize {
        self.connections.len()
    }

    /// One command, bounded by our own deadline, never sent twice.
    pub(super) async fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        self.send_until(command, Instant::now() + self.deadline).await
    }

    /// One command that is given up at an instant.
    pub(super) async fn send_until(
        &self,
        command: &redis::Cmd,
        until: Instant,
    ) -> Result<redis::Value, redis::RedisError> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[index].clone();
        match tokio::time::timeout_at(until.into(), connection.req_packed_command(command)).await {
            // A server error arrives as a value at this level of the client; it becomes an error here, once.
            Ok(answer) => answer.and_then(redis::Value::extract_error),
            Err(_) => Err(redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
        }
    }
}

impl Store {
    /// Gives the calling thread, which has a runtime of its own, a lane to the store; without one it shares the common lane.
    pub async fn open_lane(&self) -> Result<(), StoreError> {
        let connections = (self.0.options.connections / 2).max(2);
        let lane = Lane::open(&self.0.client, &self.0.options, &self.0.clock, connections).await?;
        HERE.set(Some(Arc::new(lane)));
        Ok(())
    }
}
