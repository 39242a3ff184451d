//! HTTP/1.1 over kept connections. A connection carries one request at a time; as many are opened as the load needs, up to a bound.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};

/// An answer: status and JSON body.
pub struct Answer {
    pub status: u16,
    pub body: serde_json::Value,
}

/// Why there is no answer; the request may have had its effect.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("connection lost: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer in {} s", DEADLINE.as_secs())]
    Deadline,
}

const DEADLINE: Duration = Duration::from_secs(20);

pub struct Client {
    address: String,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    open: Semaphore,
}

impl Client {
    /// `http://HOST:PORT` and the most connections at once.
    pub fn new(url: &str, connections: usize) -> Client {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Client { address, idle: Mutex::new(Vec::new()), open: Semaphore::new(connections) }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, Lost> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.address);
        if !bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes)).expect("a request of checked parts");
        match tokio::time::timeout(DEADLINE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Lost::Deadline),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Lost> {
        let _place = self.open.acquire().await.expect("the semaphore is never closed");
        let mut connection = self.connection().await?;
        let response = connection.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        self.idle.lock().await.push(connection);
        let body = serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null);
        Ok(Answer { status, body })
    }

    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Lost> {
        loop {
            let Some(mut connection) = self.idle.lock().await.pop() else { break };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let stream = TcpStream::connect(&self.address).await.map_err(Lost::Connect)?;
        stream.set_nodelay(true).map_err(Lost::Connect)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }
}
