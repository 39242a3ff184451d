//! A lane is what one runtime needs to talk to the store: connections made on it and a batcher of its own. A worker that has a lane
//! never wakes another thread for a call: at the opening of a rain those wakes cost as much as the script.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::batch::{self, Queue};
use super::health::Health;
use super::keys::Slot;
use super::link::{Link, timed_out};
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
    /// One task per link, which ends with the lane.
    _keepers: JoinSet<()>,
}

/// Connections, and what a call over them needs to know.
pub(super) struct Wire {
    links: Vec<Arc<Link>>,
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
        let mut links = Vec::with_capacity(connections);
        let mut keepers = JoinSet::new();
        for _ in 0..connections {
            let link = Link::open(client, options.deadline).await.map_err(|error| StoreError::from_client(&error))?;
            let link = Arc::new(link);
            keepers.spawn(link.clone().keep());
            links.push(link);
        }
        let wire = Arc::new(Wire {
            links,
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
        Ok(Lane { wire, queues, shards, _keepers: keepers })
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
        self.links.len()
    }

    /// One command, bounded by our own deadline, never sent twice.
    pub(super) async fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        self.send_until(command, Instant::now() + self.deadline).await
    }

    /// One command that is given up at an instant, over the next link that is whole. With none it is refused: nothing was sent.
    pub(super) async fn send_until(
        &self,
        command: &redis::Cmd,
        until: Instant,
    ) -> Result<redis::Value, redis::RedisError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let links = (0..self.links.len()).map(|at| &self.links[first.wrapping_add(at) % self.links.len()]);
        let Some((link, connection)) = links.filter_map(|link| Some((link, link.whole()?))).next() else {
            return Err(no_connection());
        };
        let mut wire = connection.wire.clone();
        let answer = match tokio::time::timeout_at(until.into(), wire.send_packed_command(command)).await {
            // A server error arrives as a value at this level of the client; it becomes an error here, once.
            Ok(answer) => answer.and_then(redis::Value::extract_error),
            Err(_) => Err(timed_out()),
        };
        answer.inspect_err(|error| link.note(&connection, error))
    }
}

/// An error of the kind that says that nothing was sent.
fn no_connection() -> redis::RedisError {
    std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "no connection to the store is whole").into()
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
