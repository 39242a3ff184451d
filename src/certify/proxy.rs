//! The bad network between an integration and the service: it does what the case at hand has planned, and notes everything.

use std::collections::VecDeque;
use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::wire::Message;

/// Connections on which nothing is said are ended, so that no thread outlives the run for long.
const IDLE: Duration = Duration::from_secs(60);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Quote,
    Redeem,
    Confirm,
    Cancel,
    Reverse,
    Refund,
    Other,
}

/// What the network does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing.
    None,
    /// The request does not arrive.
    RequestLost,
    /// The request does not arrive now; a copy of it comes much later.
    RequestDelayed,
    /// It is applied, and the answer does not arrive.
    AnswerLost,
    /// It arrives twice; the second answer is the one that comes back.
    Doubled,
    /// Somebody in between says 502, without a signature.
    BadGateway,
    /// Somebody in between changes the amount to pay.
    AnswerForged,
}

/// A request that the integration sent, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    pub milliseconds: u64,
    pub step: Step,
    pub order_id: String,
    pub body: Value,
    pub nonce: String,
    pub fault: Fault,
    /// What the service answered, whether or not that arrived; 0 when it was not asked.
    pub status: u16,
    pub code: String,
}

/// Faults that are still to come, by step; the last of a list may stay for ever.
#[derive(Default)]
struct Plan {
    next: Vec<(Step, VecDeque<Fault>)>,
    always: Vec<(Step, Fault)>,
}

struct Inner {
    service: String,
    begun: Instant,
    plan: Mutex<Plan>,
    seen: Mutex<Vec<Seen>>,
    delayed: Mutex<Vec<Message>>,
}

/// Listens on an address of its own until the process ends.
#[derive(Clone)]
pub struct Proxy {
    pub address: String,
    inner: Arc<Inner>,
}

impl Proxy {
    pub fn start(service: &str) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let inner = Arc::new(Inner {
            service: service.to_owned(),
            begun: Instant::now(),
            plan: Mutex::default(),
            seen: Mutex::default(),
            delayed: Mutex::default(),
        });
        let serving = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = serving.clone();
                // A connection that breaks is what this is for; the integration notices it by itself.
                std::thread::spawn(move || inner.serve(stream));
            }
        });
        Ok(Proxy { address, inner })
    }

    /// What happens to the next requests of a step, one fault each; then nothing happens to them.
    pub fn plan(&self, step: Step, faults: &[Fault]) {
        lock(&self.inner.plan).next.push((step, faults.iter().copied().collect()));
    }

    /// What happens to every request of a step from now on.
    pub fn always(&self, step: Step, fault: Fault) {
        lock(&self.inner.plan).always.push((step, fault));
    }

    /// The network is good again, and nothing of an earlier case is remembered.
    pub fn clear(&self) {
        *lock(&self.inner.plan) = Plan::default();
        lock(&self.inner.seen).clear();
        lock(&self.inner.delayed).clear();
    }

    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }

    /// Delivers what was delayed, and answers what the service said to each.
    pub fn deliver_delayed(&self) -> io::Result<Vec<Message>> {
        let delayed = std::mem::take(&mut *lock(&self.inner.delayed));
        delayed.iter().map(|request| request.exchange(&self.inner.service)).collect()
    }
}

impl Inner {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE))?;
        let mut answers = stream.try_clone()?;
        let mut requests = BufReader::new(stream);
        let Some(request) = Message::read(&mut requests)? else { return Ok(()) };
        let step = step_of(&request);
        let fault = lock(&self.plan).take(step);
        let arrives = matches!(fault, Fault::None | Fault::AnswerLost | Fault::Doubled | Fault::AnswerForged);
        let at = self.note(step, &request, fault);
        if fault == Fault::RequestDelayed {
            lock(&self.delayed).push(request.clone());
        }
        if fault == Fault::BadGateway {
            let text = r#"{"message":"upstream connect error"}"#;
            let first = "HTTP/1.1 502 Bad Gateway".to_owned();
            return Message { first, headers: Vec::new(), body: text.into() }.write(&mut answers);
        }
        if !arrives {
            return Ok(());
        }
        let mut answer = request.exchange(&self.service)?;
        if fault == Fault::Doubled {
            answer = request.exchange(&self.service)?;
        }
        if let Some(seen) = lock(&self.seen).get_mut(at) {
            seen.status = answer.status();
            seen.code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        }
        match fault {
            Fault::AnswerLost => Ok(()),
            Fault::AnswerForged => forged(answer).write(&mut answers),
            _ => answer.write(&mut answers),
        }
    }

    /// Notes a request before anything is done with it, and answers where.
    fn note(&self, step: Step, request: &Message, fault: Fault) -> usize {
        let body = request.json();
        let of_path = request.target().strip_prefix("/v1/redemptions/").and_then(|rest| rest.split(['/', '?']).next());
        let order_id = body["order_id"].as_str().or(of_path).unwrap_or_default().to_owned();
        let credentials =
            request.header("authorization").and_then(|text| crate::signing::Credentials::parse(text).ok());
        let nonce = credentials.map(|credentials| credentials.nonce).unwrap_or_default();
        let milliseconds = self.begun.elapsed().as_millis() as u64;
        let mut seen = lock(&self.seen);
        seen.push(Seen { milliseconds, step, order_id, body, nonce, fault, status: 0, code: String::new() });
        seen.len() - 1
    }
}

impl Plan {
    fn take(&mut self, step: Step) -> Fault {
        let planned = self.next.iter_mut().filter(|(of, _)| *of == step).find_map(|(_, faults)| faults.pop_front());
        let always = || self.always.iter().find(|(of, _)| *of == step).map(|(_, fault)| *fault);
        planned.or_else(always).unwrap_or(Fault::None)
    }
}

fn step_of(request: &Message) -> Step {
    let path = request.target().split('?').next().unwrap_or_default();
    match (request.method(), path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "quote") => Step::Quote,
        ("POST", "redemptions") => Step::Redeem,
        ("POST", "confirm") => Step::Confirm,
        ("POST", "cancel") => Step::Cancel,
        ("POST", "reverse") => Step::Reverse,
        ("POST", "refunds") => Step::Refund,
        _ => Step::Other,
    }
}

/// The signature stays, so whoever checks it notices.
fn forged(mut answer: Message) -> Message {
    let mut body = answer.json();
    body["payable"] = 1.into();
    answer.body = body.to_string().into_bytes();
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
