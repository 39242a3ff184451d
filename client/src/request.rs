//! Requests as bytes.

use std::fmt::Write as _;

/// A request made once; the parts that differ between people are handed over when it is written.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    path: String,
    host: String,
    headers: String,
}

impl Request {
    /// `path` begins with a slash and carries the query; `host` is HOST:PORT.
    pub fn new(method: &'static str, host: &str, path: impl Into<String>) -> Request {
        Request { method, path: path.into(), host: host.to_owned(), headers: String::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// Method and path, to name it in a message.
    pub fn what(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The whole request for one caller: `authorization` is the header's value (empty: none), an empty body is none.
    pub fn bytes(&self, authorization: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + authorization.len() + body.len());
        self.write(&mut bytes, &[authorization], body);
        bytes
    }

    /// Appends the request; the pieces of the authorization are written one after the other, which saves joining them.
    pub fn write(&self, out: &mut Vec<u8>, authorization: &[&str], body: &[u8]) {
        for part in [self.method, " ", &self.path, " HTTP/1.1\r\nHost: ", &self.host, "\r\n", &self.headers] {
            out.extend_from_slice(part.as_bytes());
        }
        if authorization.iter().any(|part| !part.is_empty()) {
            out.extend_from_slice(b"Authorization: ");
            authorization.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(b"\r\n");
        }
        if !body.is_empty() {
            out.extend_from_slice(b"Content-Type: application/json\r\n");
        }
        if !body.is_empty() || self.method != "GET" {
            let mut digits = [0; 20];
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(decimal(body.len(), &mut digits));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }
}

fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_who_asks_and_how_long_its_body_is() {
        let bytes = Request::new("POST", "localhost:80", "/v1/x?a=1")
            .header("If-None-Match", "*")
            .bytes("Bearer k", b"{\"a\":1}");
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "POST /v1/x?a=1 HTTP/1.1\r\nHost: localhost:80\r\nIf-None-Match: *\r\nAuthorization: Bearer k\r\n\
             Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
        );
    }

    #[test]
    fn a_get_has_no_body_and_a_post_says_that_it_has_none() {
        assert!(!String::from_utf8(Request::new("GET", "h", "/").bytes("", b"")).unwrap().contains("Content-Length"));
        assert!(
            String::from_utf8(Request::new("POST", "h", "/").bytes("", b"")).unwrap().contains("Content-Length: 0\r\n")
        );
    }
}
