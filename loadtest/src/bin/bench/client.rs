//! The calls around the measured ones: one connection, one request, one JSON answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Fault;

/// A jump of the sandbox clock closes and draws whole lists before it is answered.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Answer {
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends a finished request and reads the answer.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Result<Answer, Fault> {
    let fault = |error: std::io::Error| Fault::new(format!("http://{address}: {error}"));
    let mut stream = TcpStream::connect(address).map_err(fault)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
    stream.write_all(request).map_err(fault)?;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1_024]);
    loop {
        if let Some(answer) = whole(&bytes) {
            return Ok(answer);
        }
        match stream.read(&mut buffer).map_err(fault)? {
            0 => return Err(Fault::new(format!("http://{address} hung up: {}", String::from_utf8_lossy(&bytes)))),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..body]).into_owned();
    let status = head.get(9..12)?.parse().ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let end = body + length.unwrap_or(0_usize);
    (bytes.len() >= end).then(|| Answer { status, head, body: bytes[body..end].to_vec() })
}

/// A request with a bearer and, where it is not null, a JSON body.
pub fn call(address: SocketAddr, method: &str, path: &str, bearer: &str, body: &Value) -> Result<Answer, Fault> {
    let draft = method == "PUT" && path.starts_with("/v1/campaigns/") && path.matches('/').count() == 3;
    let more = if draft { "if-none-match: *\r\n" } else { "" };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: quanyu\r\nauthorization: Bearer {bearer}\r\n{more}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, head.as_bytes())
}
