//! A client that costs little: it shares its machine with what it measures.
//!
//! One thread, one readiness loop, kept connections, requests as bytes that were made before or are written straight into the connection's
//! buffer. A request costs one write, one read and a share of one wait; there are no tasks, no timers and no allocation for each of them.

mod ask;
mod closed;
mod connection;
mod pool;
mod request;
mod wire;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use ask::{Reply, ask};
pub use closed::{Closed, closed_loop};
pub use pool::drive;
pub use request::Request;
pub use wire::{Answer, first};

/// Whom to load, over how many connections.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub connections: usize,
    /// Requests in flight on one connection. Above 1 a slow answer delays those behind it, so an open loop leaves it at 1.
    pub pipeline: usize,
    /// After this long without an answer a request counts as lost, and its connection is given up.
    pub patience: Duration,
}

impl Target {
    pub fn new(address: SocketAddr, connections: usize) -> Target {
        Target { address, connections: connections.max(1), pipeline: 1, patience: Duration::from_secs(20) }
    }

    pub fn pipelined(self, pipeline: usize) -> Target {
        Target { pipeline: pipeline.max(1), ..self }
    }
}

/// What is sent, and what becomes of the answers.
pub trait Work {
    /// The connections are open, which takes its time when there are thousands: now the run begins.
    fn begin(&mut self, _now: Instant) {}

    /// When the next request is to be sent; `None` when there is none until an answer brings one. The run ends when there is none and nothing
    /// is in flight.
    fn due(&mut self) -> Option<Instant>;

    /// Appends the request that is due and answers its tag. Called only when `due` is not in the future.
    fn take(&mut self, now: Instant, request: &mut Vec<u8>) -> u64;

    /// An answer, or why there is none.
    fn answered(&mut self, tag: u64, times: Times, outcome: Result<Answer<'_>, Lost>);
}

/// The instants of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Since when the connection had been free for it.
    pub free: Instant,
    pub sent: Instant,
    pub received: Instant,
}

impl Times {
    /// How late the generator itself was: from when the request was due and a connection was free for it. A wait for a connection is the
    /// server's doing, and part of the latency only.
    pub fn lag(&self, intended: Instant) -> Duration {
        self.sent.saturating_duration_since(intended.max(self.free))
    }
}

/// Why there is no answer. But for `Connect`, the request may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("cannot connect")]
    Connect,
    #[error("the connection was closed")]
    Closed,
    #[error("no answer in time")]
    Deadline,
    #[error("the answer is not HTTP/1.1 with a Content-Length")]
    Malformed,
}
