//! The generator of all rows: the load test's engine in a closed loop that ends by count or by time.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loadtest::engine::{self, Answer, Lost, Target, Times, Work};

/// How the requests of a row are sent.
#[derive(Clone, Copy)]
pub struct Shape {
    pub address: SocketAddr,
    pub connections: usize,
    /// Requests on the way on each connection; phones and gateways send one.
    pub depth: usize,
}

/// What came back.
pub type Reply<'a> = Result<Answer<'a>, Lost>;

/// Requests that were answered, and the time from the first one sent to the last answer.
#[derive(Clone, Copy, Default)]
pub struct Driven {
    pub answered: u64,
    pub seconds: f64,
}

/// Sends requests 0..count until all are answered or the time is over. `build` writes the n-th request, `handle` sees what became of it.
pub fn drive(
    shape: Shape,
    count: usize,
    time: Option<Duration>,
    build: impl FnMut(usize, &mut Vec<u8>),
    handle: impl FnMut(usize, Reply<'_>),
) -> io::Result<Driven> {
    let target = Target::new(shape.address, shape.connections.min(count)).pipelined(shape.depth);
    let begun = Instant::now();
    let mut row = Row { begun, first: None, last: begun, time, count, next: 0, answered: 0, build, handle };
    engine::drive(&target, &mut row)?;
    let seconds = row.last.saturating_duration_since(row.first.unwrap_or(begun)).as_secs_f64();
    Ok(Driven { answered: row.answered, seconds })
}

struct Row<B, H> {
    begun: Instant,
    first: Option<Instant>,
    last: Instant,
    time: Option<Duration>,
    count: usize,
    next: usize,
    answered: u64,
    build: B,
    handle: H,
}

impl<B, H> Work for Row<B, H>
where
    B: FnMut(usize, &mut Vec<u8>),
    H: FnMut(usize, Reply<'_>),
{
    fn due(&mut self) -> Option<Instant> {
        (self.next < self.count).then_some(self.begun)
    }

    fn take(&mut self, now: Instant, request: &mut Vec<u8>) -> u64 {
        self.first.get_or_insert(now);
        (self.build)(self.next, request);
        self.next += 1;
        self.next as u64 - 1
    }

    fn answered(&mut self, tag: u64, times: Times, outcome: Reply<'_>) {
        self.last = times.received;
        self.answered += u64::from(outcome.is_ok());
        (self.handle)(tag as usize, outcome);
        if self.time.zip(self.first).is_some_and(|(time, first)| times.received.duration_since(first) >= time) {
            self.count = self.next;
        }
    }
}
