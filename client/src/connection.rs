//! One kept connection: what is on its way out, what has come in, and which requests wait for their answers.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::wire::first;
use crate::{Answer, Lost, Times};

const READ: usize = 32 * 1024;

/// A request that was sent and has no answer yet.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    pub tag: u64,
    pub free: Instant,
    pub sent: Instant,
}

impl Flight {
    pub fn times(&self, received: Instant) -> Times {
        Times { free: self.free, sent: self.sent, received }
    }
}

pub struct Connection {
    stream: Option<TcpStream>,
    connected: bool,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// `input[start..filled]` has not been understood yet.
    start: usize,
    filled: usize,
    pub flights: VecDeque<Flight>,
    /// Since when it has had room for another request.
    pub free: Instant,
    /// It waits in the pool's queue.
    pub queued: bool,
    /// When to try to connect again, after it failed.
    pub retry: Option<Instant>,
}

impl Connection {
    pub fn new(now: Instant) -> Connection {
        Connection {
            stream: None,
            connected: false,
            out: Vec::new(),
            written: 0,
            input: vec![0; READ],
            start: 0,
            filled: 0,
            flights: VecDeque::new(),
            free: now,
            queued: false,
            retry: None,
        }
    }

    /// Begins to connect; that it has come about is told by a readiness event.
    pub fn connect(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        (self.stream, self.connected, self.retry) = (Some(stream), false, None);
        Ok(())
    }

    /// An event has come: whether the connection is there now, or has failed.
    pub fn established(&mut self) -> Result<bool, Lost> {
        if self.connected {
            return Ok(true);
        }
        let Some(stream) = &self.stream else { return Ok(false) };
        if let Ok(Some(_)) | Err(_) = stream.take_error() {
            return Err(Lost::Connect);
        }
        match stream.peer_addr() {
            Ok(_) => {
                let _ = stream.set_nodelay(true);
                self.connected = true;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(_) => Err(Lost::Connect),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Where the next request is appended; `flush` sends it.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes as much as the socket takes; the rest goes when it is writable again.
    pub fn flush(&mut self) -> Result<(), Lost> {
        let Some(stream) = &mut self.stream else { return Err(Lost::Closed) };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(Lost::Closed),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Lost::Closed),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what has come and hands over each whole answer with its request.
    pub fn read(&mut self, mut with: impl FnMut(Flight, Answer<'_>)) -> Result<(), Lost> {
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
            let Some(stream) = &mut self.stream else { return Ok(()) };
            let room = self.input.len() - self.filled;
            let read = match stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Err(Lost::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Lost::Closed),
            };
            self.filled += read;
            self.understand(&mut with)?;
            // A short read has emptied the socket: the next bytes come with an event of their own, so no second read is spent to learn that.
            if read < room {
                return Ok(());
            }
        }
    }

    fn understand(&mut self, with: &mut impl FnMut(Flight, Answer<'_>)) -> Result<(), Lost> {
        while self.start < self.filled {
            let Some(flight) = self.flights.front().copied() else { return Err(Lost::Malformed) };
            let mut closing = false;
            let seen = first(&self.input[self.start..self.filled], |answer| {
                closing = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                with(flight, answer);
            })?;
            let Some((length, ())) = seen else { break };
            self.flights.pop_front();
            self.start += length;
            if closing {
                return Err(Lost::Closed);
            }
        }
        self.input.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled - self.start);
        Ok(())
    }

    /// Gives the connection up and hands back what was on its way.
    pub fn close(&mut self, registry: &Registry) -> VecDeque<Flight> {
        if let Some(mut stream) = self.stream.take() {
            let _ = registry.deregister(&mut stream);
        }
        self.connected = false;
        self.out.clear();
        (self.written, self.start, self.filled) = (0, 0, 0);
        std::mem::take(&mut self.flights)
    }
}
