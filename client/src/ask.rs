//! Single requests, for what stands around a load: the clock, the office, the ledger.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::{Lost, Target, closed_loop};

/// An answer that outlives its connection.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends one request over a connection of its own. Waits long: a clock that jumps over a draw answers when the draw is done.
pub fn ask(address: SocketAddr, request: &[u8]) -> io::Result<Reply> {
    let target = Target { patience: Duration::from_secs(600), ..Target::new(address, 1) };
    let mut reply = Err(Lost::Closed);
    closed_loop(&target, [request], |_, _, answer| {
        reply = answer.map(|answer| Reply { status: answer.status, body: answer.body.to_vec() });
    })?;
    reply.map_err(|lost| io::Error::other(lost.to_string()))
}
