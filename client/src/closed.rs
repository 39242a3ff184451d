//! A closed loop: each connection sends its next request when an answer has come. It finds the most that a server answers, and says nothing
//! about what callers would wait, for it waits with them.

use std::io;
use std::iter::Peekable;
use std::time::{Duration, Instant};

use super::{Answer, Lost, Target, Times, Work, drive};

/// Work that is always due, until its iterator ends. Requests are tagged 0, 1, 2 and so on.
pub struct Closed<I: Iterator, F> {
    requests: Peekable<I>,
    sent: u64,
    on_answer: F,
    since: Instant,
}

impl<I, R, F> Closed<I, F>
where
    I: Iterator<Item = R>,
    R: AsRef<[u8]>,
    F: FnMut(u64, Duration, Result<Answer<'_>, Lost>),
{
    pub fn new(requests: impl IntoIterator<IntoIter = I>, on_answer: F) -> Self {
        Closed { requests: requests.into_iter().peekable(), sent: 0, on_answer, since: Instant::now() }
    }
}

impl<I, R, F> Work for Closed<I, F>
where
    I: Iterator<Item = R>,
    R: AsRef<[u8]>,
    F: FnMut(u64, Duration, Result<Answer<'_>, Lost>),
{
    fn due(&mut self) -> Option<Instant> {
        self.requests.peek().map(|_| self.since)
    }

    fn take(&mut self, _now: Instant, request: &mut Vec<u8>) -> u64 {
        if let Some(next) = self.requests.next() {
            request.extend_from_slice(next.as_ref());
        }
        self.sent += 1;
        self.sent - 1
    }

    fn answered(&mut self, tag: u64, times: Times, outcome: Result<Answer<'_>, Lost>) {
        (self.on_answer)(tag, times.received.saturating_duration_since(times.sent), outcome);
    }
}

/// Sends all requests as fast as the server answers; tells how long that took. `on_answer` gets the number of the request, the time from
/// sending it to its answer, and the answer.
pub fn closed_loop<R: AsRef<[u8]>>(
    target: &Target,
    requests: impl IntoIterator<Item = R>,
    on_answer: impl FnMut(u64, Duration, Result<Answer<'_>, Lost>),
) -> io::Result<Duration> {
    let mut work = Closed::new(requests, on_answer);
    let start = Instant::now();
    drive(target, &mut work)?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::Request;

    /// A server of one path that answers the number in its request; it closes the connection instead when that is a multiple of `closes`.
    fn echo(closes: u64) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                std::thread::spawn(move || serve(stream, closes));
            }
        });
        address
    }

    fn serve(stream: TcpStream, closes: u64) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().ok()?;
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let number: u64 = std::str::from_utf8(&body).ok()?.parse().ok()?;
            if closes > 0 && number % closes == closes - 1 {
                return None;
            }
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{number}");
            reader.get_mut().write_all(text.as_bytes()).ok()?;
        }
    }

    fn numbers(count: u64) -> impl Iterator<Item = Vec<u8>> {
        let request = Request::new("POST", "localhost", "/");
        (0..count).map(move |number| request.bytes("", number.to_string().as_bytes()))
    }

    #[test]
    fn every_request_gets_its_own_answer_whatever_the_depth() {
        let address = echo(0);
        for (connections, pipeline) in [(1, 1), (8, 1), (1, 16), (4, 16)] {
            let mut seen = vec![0; 1_000];
            let target = Target::new(address, connections).pipelined(pipeline);
            closed_loop(&target, numbers(1_000), |tag, _, answer| {
                let answer = answer.unwrap();
                assert_eq!(answer.body, tag.to_string().as_bytes());
                seen[tag as usize] += 1;
            })
            .unwrap();
            assert!(seen.iter().all(|count| *count == 1), "{connections} {pipeline}");
        }
    }

    #[test]
    fn a_connection_that_closes_loses_its_requests_and_no_other() {
        let address = echo(10);
        let (mut answered, mut lost) = (0, Vec::new());
        closed_loop(&Target::new(address, 4), numbers(200), |tag, _, answer| match answer {
            Ok(_) => answered += 1,
            Err(why) => lost.push((tag, why)),
        })
        .unwrap();
        lost.sort_by_key(|(tag, _)| *tag);
        assert_eq!(lost, (0..20).map(|n| (n * 10 + 9, Lost::Closed)).collect::<Vec<_>>());
        assert_eq!(answered, 180);
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_at_once() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(closed_loop(&Target::new(address, 2), numbers(1), |_, _, _| ()).is_err());
    }

    #[test]
    fn a_request_without_an_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target { patience: Duration::from_millis(50), ..Target::new(listener.local_addr().unwrap(), 1) };
        let mut lost = Vec::new();
        closed_loop(&target, numbers(2), |tag, _, answer| lost.push((tag, answer.map(|_| ()).unwrap_err()))).unwrap();
        assert_eq!(lost, [(0, Lost::Deadline), (1, Lost::Deadline)]);
    }
}
