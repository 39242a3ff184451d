//! The loop: sends what is due over whichever connection is free, and hands out the answers.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use super::connection::{Connection, Flight};
use crate::{Lost, Target, Work};

/// Answers that are read before requests are sent again.
const TOGETHER: usize = 64;
/// How often the loop looks for answers that are overdue and connections to open again.
const SWEEP: Duration = Duration::from_millis(100);
/// Connections that are opened together, and the pause between.
const WAVE: usize = 64;
const WAVE_PAUSE: Duration = Duration::from_millis(5);
/// How long the last of them may take to open.
const OPEN: Duration = Duration::from_secs(10);

/// Runs the work to its end. Fails only when the server cannot be reached at the start.
pub fn drive(target: &Target, work: &mut impl Work) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut pool = Pool::open(target, &mut events)?;
    let mut sweep = Instant::now() + SWEEP;
    work.begin(Instant::now());
    loop {
        pool.send(work);
        let due = work.due();
        if due.is_none() && pool.in_flight == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let wake = match due {
            Some(at) if !pool.free.is_empty() => at.min(sweep),
            _ => sweep,
        };
        match pool.poll.poll(&mut events, Some(wake.saturating_duration_since(now))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        for (number, event) in events.iter().enumerate() {
            pool.ready(event, work);
            // What is due does not wait for all answers to be read; but to send after each would wake the server for every single request.
            if number % TOGETHER == TOGETHER - 1 {
                pool.send(work);
            }
        }
        if sweep <= Instant::now() {
            pool.sweep(work);
            sweep = Instant::now() + SWEEP;
        }
    }
}

struct Pool<'a> {
    target: &'a Target,
    poll: Poll,
    connections: Vec<Connection>,
    /// Connections with room for a request, those that have had it longest first: so all stay warm.
    free: VecDeque<usize>,
    in_flight: usize,
}

impl<'a> Pool<'a> {
    fn open(target: &'a Target, events: &mut Events) -> io::Result<Pool<'a>> {
        let now = Instant::now();
        let connections = (0..target.connections).map(|_| Connection::new(now)).collect();
        let mut pool = Pool { target, poll: Poll::new()?, connections, free: VecDeque::new(), in_flight: 0 };
        let until = now + OPEN + WAVE_PAUSE * (target.connections / WAVE) as u32;
        let mut begun = 0;
        while pool.free.len() < target.connections {
            // In small waves: a server's queue of connections that it has not accepted yet may be short, and what overflows it stalls for seconds.
            let wave = begun..target.connections.min(begun + WAVE);
            begun = wave.end;
            for at in wave {
                pool.connections[at].connect(target.address, pool.poll.registry(), Token(at))?;
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            pool.poll.poll(events, Some(WAVE_PAUSE))?;
            for event in events.iter() {
                let at = event.token().0;
                match pool.connections[at].established() {
                    Ok(true) => pool.offer(at),
                    Ok(false) => {}
                    Err(_) => return Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
            if begun < target.connections {
                std::thread::sleep(WAVE_PAUSE);
            }
        }
        Ok(pool)
    }

    /// Puts a connection in the queue when it has room. Half of a pipeline is refilled at once, so that one write carries several requests.
    fn offer(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        let room = connection.flights.len() <= self.target.pipeline / 2;
        if room && connection.is_connected() && !connection.queued {
            connection.queued = true;
            connection.free = Instant::now();
            self.free.push_back(at);
        }
    }

    /// Sends what is due, as long as connections are free.
    fn send(&mut self, work: &mut impl Work) {
        let mut now = Instant::now();
        while let (Some(&at), Some(due)) = (self.free.front(), work.due()) {
            if due > now {
                now = Instant::now();
                if due > now {
                    return;
                }
            }
            self.free.pop_front();
            let connection = &mut self.connections[at];
            connection.queued = false;
            if !connection.is_connected() {
                continue;
            }
            let free = connection.free;
            while connection.flights.len() < self.target.pipeline && work.due().is_some_and(|due| due <= now) {
                let tag = work.take(now, connection.out());
                let sent = Instant::now();
                connection.flights.push_back(Flight { tag, free, sent });
                self.in_flight += 1;
            }
            match connection.flush() {
                Ok(()) => self.offer(at),
                Err(lost) => self.fail(at, lost, work),
            }
        }
    }

    fn ready(&mut self, event: &Event, work: &mut impl Work) {
        let at = event.token().0;
        let connection = &mut self.connections[at];
        match connection.established() {
            Ok(true) => {}
            Ok(false) => return,
            Err(lost) => return self.fail(at, lost, work),
        }
        let mut outcome = if event.is_writable() { connection.flush() } else { Ok(()) };
        if outcome.is_ok() && (event.is_readable() || event.is_read_closed()) {
            let mut answers = 0;
            let now = Instant::now();
            outcome = connection.read(|flight, answer| {
                answers += 1;
                work.answered(flight.tag, flight.times(now), Ok(answer));
            });
            self.in_flight -= answers;
        }
        if outcome.is_ok() && event.is_read_closed() {
            outcome = Err(Lost::Closed);
        }
        match outcome {
            Ok(()) => self.offer(at),
            Err(lost) => self.fail(at, lost, work),
        }
    }

    /// The connection is gone: what was on it has no answer, and a new one is opened.
    fn fail(&mut self, at: usize, lost: Lost, work: &mut impl Work) {
        let flights = self.connections[at].close(self.poll.registry());
        self.in_flight -= flights.len();
        let now = Instant::now();
        for flight in flights {
            work.answered(flight.tag, flight.times(now), Err(lost));
        }
        if lost == Lost::Connect {
            // Nobody is there: what is due is lost too, one request for each try, so that the run comes to its end.
            self.connections[at].retry = Some(now + SWEEP);
            if work.due().is_some_and(|due| due <= now) {
                let tag = work.take(now, &mut Vec::new());
                let flight = Flight { tag, free: now, sent: now };
                work.answered(tag, flight.times(now), Err(Lost::Connect));
            }
            return;
        }
        self.reconnect(at);
    }

    fn reconnect(&mut self, at: usize) {
        if self.connections[at].connect(self.target.address, self.poll.registry(), Token(at)).is_err() {
            self.connections[at].retry = Some(Instant::now() + SWEEP);
        }
    }

    fn sweep(&mut self, work: &mut impl Work) {
        let now = Instant::now();
        for at in 0..self.connections.len() {
            let connection = &self.connections[at];
            if connection.retry.is_some_and(|retry| retry <= now) {
                self.reconnect(at);
            } else if connection.flights.front().is_some_and(|flight| flight.sent + self.target.patience < now) {
                self.fail(at, Lost::Deadline, work);
            }
        }
    }
}
