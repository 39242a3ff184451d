//! One keep-alive HTTP/1.1 connection, and the rules for asking again.
//!
//! Requests that may have been applied unseen (a lost connection, 503) are sent again with the same ids: every
//! effect of the API is idempotent, and the rehearsal would notice if one were not.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;

use super::merchants::Till;
use super::recorder::{Op, Recorder};
use super::{RehearsalError, Result};

const TRIES: u32 = 8;
/// Longer than any honest answer, shorter than a person's patience with a rehearsal that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is calling.
#[derive(Clone, Copy)]
pub enum Auth<'a> {
    Bearer(&'a str),
    Till(&'a Till),
}

pub struct Call<'a> {
    pub op: Op,
    pub method: Method,
    pub path: &'a str,
    pub auth: Auth<'a>,
    pub body: Option<String>,
    /// `If-None-Match: *`: create, never replace.
    pub create: bool,
}

impl<'a> Call<'a> {
    pub fn get(op: Op, path: &'a str, auth: Auth<'a>) -> Self {
        Self { op, method: Method::GET, path, auth, body: None, create: false }
    }

    pub fn post(op: Op, path: &'a str, auth: Auth<'a>, body: &Value) -> Self {
        Self { op, method: Method::POST, path, auth, body: Some(body.to_string()), create: false }
    }

    pub fn put(op: Op, path: &'a str, auth: Auth<'a>, body: &Value) -> Self {
        Self { op, method: Method::PUT, path, auth, body: Some(body.to_string()), create: false }
    }

    pub fn delete(op: Op, path: &'a str, auth: Auth<'a>) -> Self {
        Self { op, method: Method::DELETE, path, auth, body: None, create: false }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub replayed: bool,
    /// How often the request had to be sent again before this answer.
    pub retries: u32,
    /// Seconds that a limit asks to wait.
    pub retry_after: u64,
    pub body: Bytes,
}

impl Answer {
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The refusal's code, empty when there is none.
    pub fn code(&self) -> String {
        problem_code(&self.body)
    }

    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn parse<'b, T: Deserialize<'b>>(&'b self) -> std::result::Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("{error} in {}", self.text()))
    }

    pub fn text(&self) -> String {
        excerpt(&self.body)
    }
}

pub fn problem_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        code: String,
    }
    serde_json::from_slice::<Problem>(body).map(|problem| problem.code).unwrap_or_default()
}

pub fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().take(600).collect()
}

pub struct Client<'a> {
    pub address: SocketAddr,
    pub recorder: &'a Recorder,
    workers: usize,
    idle: RefCell<Vec<SendRequest<Full<Bytes>>>>,
}

impl<'a> Client<'a> {
    pub fn new(address: SocketAddr, workers: usize, recorder: &'a Recorder) -> Self {
        Self { address, recorder, workers, idle: RefCell::default() }
    }

    /// Does `count` jobs, as many at once as there are connections; the first error ends it.
    pub async fn each(&self, count: usize, job: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
        let cursor = Cell::new(0);
        let worker = async || {
            while cursor.get() < count {
                let index = cursor.replace(cursor.get() + 1);
                if let Err(error) = job(index).await {
                    cursor.set(count);
                    return Err(error);
                }
            }
            Ok(())
        };
        let workers = (0..self.workers.min(count)).map(|_| worker());
        join_all(workers).await.into_iter().collect()
    }

    /// Sends until there is an answer that says what happened; refusals are answers, limits are waited for.
    pub async fn ask(&self, call: Call<'_>) -> Result<Answer> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                self.recorder.retried();
                tokio::time::sleep(Duration::from_millis(50 << attempt.min(6))).await;
            }
            let begun = Instant::now();
            match tokio::time::timeout(PATIENCE, self.once(&call)).await {
                Ok(Ok(answer)) if answer.status == 429 => {
                    last = format!("429 {}", answer.text());
                    tokio::time::sleep(Duration::from_secs(answer.retry_after)).await;
                }
                Ok(Ok(answer)) if answer.status == 503 => last = format!("503 {}", answer.text()),
                Ok(Ok(mut answer)) => {
                    self.recorder.answered(call.op, begun.elapsed());
                    answer.retries = attempt;
                    return Ok(answer);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = format!("no answer within {} s", PATIENCE.as_secs()),
            }
        }
        Err(RehearsalError::Silent { path: call.path.to_owned(), tries: TRIES, last })
    }

    /// Asks for something that nobody may refuse now.
    pub async fn must(&self, call: Call<'_>) -> Result<Answer> {
        let (method, path) = (call.method.to_string(), call.path.to_owned());
        let answer = self.ask(call).await?;
        if answer.ok() {
            return Ok(answer);
        }
        Err(RehearsalError::Refused { method, path, status: answer.status, body: answer.text() })
    }

    async fn once(&self, call: &Call<'_>) -> std::result::Result<Answer, String> {
        let authorization = match call.auth {
            Auth::Bearer(token) => format!("Bearer {token}"),
            Auth::Till(till) => till.sign(call.method.as_str(), call.path, call.body.as_deref().unwrap_or("")),
        };
        let (response, sender) = self.send(call, &authorization).await?;
        let status = response.status().as_u16();
        let replayed = response.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
        let retry_after = header_of(&response, "retry-after").parse().unwrap_or(0).min(10);
        let stamp = (header_of(&response, "quanyu-timestamp"), header_of(&response, "quanyu-signature"));
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        self.idle.borrow_mut().push(sender);
        if let Auth::Till(till) = call.auth {
            self.check_seal(till, &authorization, status, stamp, &body);
        }
        Ok(Answer { status, replayed, retries: 0, retry_after, body })
    }

    async fn send(
        &self,
        call: &Call<'_>,
        authorization: &str,
    ) -> std::result::Result<(Response<Incoming>, SendRequest<Full<Bytes>>), String> {
        let mut sender = self.connection().await?;
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, authorization);
        if call.create {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(call.body.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok((response, sender))
    }

    async fn connection(&self) -> std::result::Result<SendRequest<Full<Bytes>>, String> {
        loop {
            let Some(mut sender) = self.idle.borrow_mut().pop() else { break };
            // A server may close an idle connection at any time; `ready` tells before anything is sent.
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Streams a large answer into a file.
    pub async fn download(&self, path: &str, token: &str, file: &std::path::Path) -> Result<()> {
        use tokio::io::AsyncWriteExt;
        let silent = |last: String| RehearsalError::Silent { path: path.to_owned(), tries: 1, last };
        let call = Call::get(Op::Office, path, Auth::Bearer(token));
        let (response, _sender) = self.send(&call, &format!("Bearer {token}")).await.map_err(silent)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut out = tokio::fs::File::create(file).await.map_err(|e| super::io_error(file, e))?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| silent(error.to_string()))?;
            if let Some(data) = frame.data_ref() {
                out.write_all(data).await.map_err(|e| super::io_error(file, e))?;
            }
        }
        out.flush().await.map_err(|e| super::io_error(file, e))?;
        if status == 200 {
            return Ok(());
        }
        Err(RehearsalError::Refused {
            method: "GET".into(),
            path: path.into(),
            status,
            body: file.display().to_string(),
        })
    }

    /// A till must be able to trust what it shows, so errors are sealed like everything else.
    fn check_seal(&self, till: &Till, authorization: &str, status: u16, seal: (String, String), body: &[u8]) {
        let nonce = authorization.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let (timestamp, signature) = seal;
        if !crate::signing::answer_is_signed(&till.secret, status, &timestamp, nonce, body, &signature) {
            self.recorder.fault("answer to a till not signed as agreed", || {
                format!("{status} {timestamp} {signature} {}", excerpt(body))
            });
        }
    }
}

fn header_of(response: &Response<Incoming>, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or("").to_owned()
}
