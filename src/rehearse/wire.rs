//! Pipelined HTTP/1.1 for the two bursts, where millions of small requests meet two cores.
//!
//! A general client costs more than the server's answer to a losing tap. This one writes a handful of requests at
//! once and reads the answers in their order. It understands what our server sends to a tap, and nothing else.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::recorder::{Op, Recorder};
use super::{RehearsalError, Result};

const ROUNDS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Reply<'a> {
    pub status: u16,
    pub replayed: bool,
    pub body: &'a [u8],
}

/// Whether an answer settles the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Again,
}

/// The connections of the bursts, kept open between the steps.
pub struct Wires {
    address: SocketAddr,
    depth: usize,
    wires: Vec<Option<Wire>>,
}

struct Wire {
    stream: TcpStream,
    inbox: Vec<u8>,
    begin: usize,
}

/// One kind of burst: how a request is written and what its answer means.
pub struct Burst<'a, B, H> {
    pub op: Op,
    pub recorder: &'a Recorder,
    pub build: B,
    pub handle: H,
}

impl Wires {
    pub fn new(address: SocketAddr, connections: usize, depth: usize) -> Self {
        Self { address, depth, wires: (0..connections).map(|_| None).collect() }
    }

    /// Sends one request for every item until each is settled.
    pub async fn run<B, H>(&mut self, items: &[u32], burst: Burst<'_, B, H>) -> Result<()>
    where
        B: Fn(u32, &mut Vec<u8>),
        H: FnMut(u32, Reply<'_>) -> Verdict,
    {
        let handle = RefCell::new(burst.handle);
        let mut due = items.to_vec();
        let mut last = String::new();
        for round in 0..ROUNDS {
            if due.is_empty() {
                return Ok(());
            }
            if round > 0 {
                due.iter().for_each(|_| burst.recorder.retried());
                tokio::time::sleep(Duration::from_millis(20 << round)).await;
            }
            let cursor = Cell::new(0);
            let again = RefCell::new((Vec::new(), String::new()));
            // Few items are spread over all connections rather than queued behind each other on one.
            let depth = due.len().div_ceil(self.wires.len()).clamp(1, self.depth);
            let workers = self.wires.iter_mut().map(|wire| {
                worker(
                    wire,
                    self.address,
                    depth,
                    &due,
                    &cursor,
                    &burst.build,
                    &handle,
                    &again,
                    (burst.op, burst.recorder),
                )
            });
            join_all(workers).await;
            (due, last) = again.into_inner();
        }
        Err(RehearsalError::Silent { path: burst.op.name().to_owned(), tries: ROUNDS, last })
    }
}

#[allow(clippy::too_many_arguments)] // One call site; a struct would only repeat the names.
async fn worker<B, H>(
    slot: &mut Option<Wire>,
    address: SocketAddr,
    depth: usize,
    items: &[u32],
    cursor: &Cell<usize>,
    build: &B,
    handle: &RefCell<H>,
    again: &RefCell<(Vec<u32>, String)>,
    (op, recorder): (Op, &Recorder),
) where
    B: Fn(u32, &mut Vec<u8>),
    H: FnMut(u32, Reply<'_>) -> Verdict,
{
    let mut outbox = Vec::with_capacity(depth * 600);
    loop {
        let from = cursor.get();
        let batch = &items[from.min(items.len())..(from + depth).min(items.len())];
        if batch.is_empty() {
            return;
        }
        cursor.set(from + batch.len());
        outbox.clear();
        batch.iter().for_each(|item| build(*item, &mut outbox));
        let mut settled = 0;
        let begun = Instant::now();
        let exchange = async {
            let wire = match slot {
                Some(wire) => wire,
                None => slot.insert(Wire::connect(address).await?),
            };
            wire.stream.write_all(&outbox).await?;
            while settled < batch.len() {
                let reply = wire.reply().await?;
                let busy = matches!(reply.status, 429 | 503);
                recorder.answered(op, begun.elapsed());
                if busy || (handle.borrow_mut())(batch[settled], reply) == Verdict::Again {
                    again.borrow_mut().0.push(batch[settled]);
                }
                settled += 1;
            }
            Ok::<(), io::Error>(())
        };
        let ended = tokio::time::timeout(PATIENCE, exchange).await;
        let error = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        *slot = None;
        let mut again = again.borrow_mut();
        again.0.extend_from_slice(&batch[settled..]);
        again.1 = error;
    }
}

impl Wire {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Vec::with_capacity(16 * 1024), begin: 0 })
    }

    async fn reply(&mut self) -> io::Result<Reply<'_>> {
        let head = loop {
            if let Some(head) = Head::read(&self.inbox[self.begin..])?
                && self.begin + head.length + head.body <= self.inbox.len()
            {
                break head;
            }
            if self.begin > 0 {
                self.inbox.drain(..self.begin);
                self.begin = 0;
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let from = self.begin + head.length;
        self.begin = from + head.body;
        Ok(Reply { status: head.status, replayed: head.replayed, body: &self.inbox[from..self.begin] })
    }
}

/// The part of an answer's head that matters to a burst.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    replayed: bool,
    /// Bytes of the head with its empty line.
    length: usize,
    body: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(length) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "an answer this client cannot read");
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| bad())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
        let (mut body, mut replayed) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("idempotent-replayed") {
                replayed = value.trim() == "true";
            }
        }
        let body = if status == 204 { 0 } else { body.ok_or_else(bad)? };
        Ok(Some(Self { status, replayed, length, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nIDEMPOTENT-REPLAYED: true\r\n\r\nhelloHTTP";
        let head = Head::read(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.replayed, head.body), (200, true, 5));
        assert_eq!(&bytes[head.length..head.length + head.body], b"hello");
    }

    #[test]
    fn half_a_head_waits_for_the_rest_and_an_unknown_length_is_an_error() {
        assert_eq!(Head::read(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        assert!(Head::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[tokio::test]
    async fn every_item_is_settled_although_the_server_hangs_up_in_between() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut first = true;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let hang_up = std::mem::take(&mut first);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        let asked = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
                        let answers = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                            .repeat(asked.div_ceil(1 + usize::from(hang_up)));
                        let _ = stream.write_all(answers.as_bytes()).await;
                        if hang_up {
                            return;
                        }
                    }
                });
            }
        });
        let recorder = Recorder::new();
        let mut wires = Wires::new(address, 2, 4);
        let items: Vec<u32> = (0..50).collect();
        let mut seen = Vec::new();
        let build = |item: u32, out: &mut Vec<u8>| out.extend_from_slice(format!("{item}\n").as_bytes());
        let handle = |item: u32, _: Reply<'_>| {
            seen.push(item);
            Verdict::Done
        };
        wires.run(&items, Burst { op: Op::Tap, recorder: &recorder, build, handle }).await.unwrap();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, items);
    }
}
