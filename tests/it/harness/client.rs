//! A small blocking HTTP/1.1 client with kept connections: enough to see exactly what was sent
//! and what came back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Index;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

pub struct Client {
    pub address: String,
    idle: Mutex<Vec<(Instant, BufReader<TcpStream>)>>,
}

#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub json: Value,
}

/// A server may close a connection that was idle for long; younger ones are used again.
const IDLE_AT_MOST: Duration = Duration::from_secs(2);

impl Client {
    pub fn new(address: &str) -> Client {
        Client { address: address.to_string(), idle: Mutex::new(Vec::new()) }
    }

    pub fn get(&self, path: &str) -> io::Result<Reply> {
        self.send(&Request::new("GET", path))
    }

    pub fn send(&self, request: &Request) -> io::Result<Reply> {
        let mut stream = self.connection()?;
        stream.get_mut().write_all(&self.encode(request))?;
        let (reply, keep) = read_reply(&mut stream)?;
        if keep {
            self.idle.lock().unwrap().push((Instant::now(), stream));
        }
        Ok(reply)
    }

    /// Sends a request of which some bytes are still to come, and leaves it there; it ends when what is answered is dropped.
    pub fn begin(&self, request: &Request, to_come: usize) -> TcpStream {
        let promised = request.body.len() + to_come;
        let whole = Request {
            body: vec![0; promised],
            headers: request.headers.clone(),
            ..Request::new(&request.method, &request.path)
        };
        let mut bytes = self.encode(&whole);
        bytes.truncate(bytes.len() - promised);
        bytes.extend_from_slice(&request.body);
        let mut stream = self.fresh().expect("a connection").into_inner();
        stream.write_all(&bytes).expect("the server reads");
        stream
    }

    fn connection(&self) -> io::Result<BufReader<TcpStream>> {
        let mut idle = self.idle.lock().unwrap();
        while let Some((since, stream)) = idle.pop() {
            if since.elapsed() < IDLE_AT_MOST {
                return Ok(stream);
            }
        }
        drop(idle);
        self.fresh()
    }

    fn fresh(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(BufReader::new(stream))
    }

    fn encode(&self, request: &Request) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
        text.push_str(&format!("host: {}\r\n", self.address));
        for (name, value) in &request.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_body = !request.body.is_empty() || request.method != "GET";
        if has_body {
            text.push_str(&format!("content-length: {}\r\n", request.body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&request.body);
        bytes
    }
}

impl Request {
    pub fn new(method: &str, path: &str) -> Request {
        let (method, path) = (method.to_string(), path.to_string());
        Request { method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    pub fn bearer(self, key: &str) -> Request {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub fn json(mut self, body: &Value) -> Request {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub fn text(mut self, body: &str) -> Request {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", "application/json")
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The problem's stable code, or "" when this is no problem.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("")
    }

    pub fn str(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or("")
    }

    pub fn int(&self, field: &str) -> i64 {
        self.json[field].as_i64().unwrap_or(i64::MIN)
    }

    pub fn replayed(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    #[track_caller]
    pub fn ok(self) -> Reply {
        assert!(self.is_success(), "wanted success, got {} {}", self.status, self.text());
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Reply {
        let got = (self.status, self.code());
        assert_eq!(got, (status, code), "wanted a refusal, got {}", self.text());
        self
    }

    /// A refusal whose status the contract does not pin: 409 or 422 or another 4xx.
    #[track_caller]
    pub fn refused_with(self, code: &str) -> Reply {
        assert!((400..500).contains(&self.status), "got {} {}", self.status, self.text());
        assert_eq!(self.code(), code, "got {}", self.text());
        self
    }

    /// The faults listed in a problem, as "pointer code".
    pub fn faults(&self) -> Vec<String> {
        let list = self.json["errors"].as_array().cloned().unwrap_or_default();
        let text = |fault: &Value, key: &str| fault[key].as_str().unwrap_or("").to_string();
        list.iter().map(|one| format!("{} {}", text(one, "pointer"), text(one, "code"))).collect()
    }
}

impl Index<&str> for Reply {
    type Output = Value;
    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}

fn read_reply(stream: &mut BufReader<TcpStream>) -> io::Result<(Reply, bool)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|text| text.parse::<u16>().ok());
    let status = status.ok_or_else(|| bad(&format!("no status line: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        headers.push((name.trim().to_string(), value.trim().to_string()));
    }
    let find = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let chunked = find("transfer-encoding") == Some("chunked");
    let length = find("content-length").and_then(|text| text.parse::<usize>().ok());
    let keep = find("connection") != Some("close") && (chunked || length.is_some());
    let body = match (chunked, length) {
        (true, _) => read_chunks(stream)?,
        (false, Some(length)) => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            body
        }
        (false, None) => Vec::new(),
    };
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok((Reply { status, headers, body, json }, keep))
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
    }
    Ok(line.trim_end().to_string())
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&read_line(stream)?, 16)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let start = body.len();
        body.resize(start + size, 0);
        stream.read_exact(&mut body[start..])?;
        read_line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
