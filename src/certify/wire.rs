//! As much of HTTP/1.1 as a proxy needs that must see every byte: one message after another on a connection, bodies by length or chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A till's request and a service's answer are small.
const LARGEST_BODY: usize = 1 << 20;
const MOST_HEADERS: usize = 100;
/// Longer than the service takes for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request or an answer as it travelled.
#[derive(Clone, Debug)]
pub struct Message {
    /// Request line or status line.
    pub first: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
        // Of no meaning here, but a server refuses a request that does not name its host.
        let headers = [("host", "localhost")].iter().chain(headers);
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Message { first: format!("{method} {target} HTTP/1.1"), headers: headers.collect(), body: body.to_vec() }
    }

    /// The next message of a connection; `None` when the other side has ended it.
    pub fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Message>> {
        let first = line(stream)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let text = line(stream)?;
            let Some((name, value)) = text.split_once(':') else { break };
            if headers.len() == MOST_HEADERS {
                return Err(broken("more headers than anybody sends"));
            }
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let mut message = Message { first, headers, body: Vec::new() };
        message.body = message.read_body(stream)?;
        Ok(Some(message))
    }

    fn read_body(&self, stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = usize::from_str_radix(&line(stream)?, 16).map_err(|_| broken("a chunk without a length"))?;
                read_more(stream, &mut body, size)?;
                line(stream)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        read_more(stream, &mut body, length)?;
        Ok(body)
    }

    /// Sends it with its length and as the last message of the connection.
    pub fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut head = format!("{}\r\n", self.first);
        let ours = ["content-length", "transfer-encoding", "connection"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !ours.contains(&name.to_ascii_lowercase().as_str()))
        {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        stream.flush()
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub fn exchange(&self, address: &str) -> io::Result<Message> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.write(&mut stream)?;
        Message::read(&mut BufReader::new(stream))?.ok_or_else(|| broken("the connection ended without an answer"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn read_more(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>, size: usize) -> io::Result<()> {
    if size > LARGEST_BODY || body.len() + size > LARGEST_BODY {
        return Err(broken("a body larger than any of the API"));
    }
    let start = body.len();
    body.resize(start + size, 0);
    stream.read_exact(&mut body[start..])
}

/// A line without its end; empty at the end of the headers and of the connection.
fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    stream.take(16 * 1024).read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
