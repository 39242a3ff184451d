//! Answers as they stand in the receive buffer.

use crate::Lost;

/// More headers than any answer of the API has.
const HEADERS: usize = 48;

/// One answer, borrowed from the connection's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    headers: &'a [httparse::Header<'a>],
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let header = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    }
}

/// Hands the first whole answer in `bytes` to `with` and tells its length; `None` when more bytes must come first.
pub fn first<R>(bytes: &[u8], with: impl FnOnce(Answer<'_>) -> R) -> Result<Option<(usize, R)>, Lost> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Lost::Malformed),
    };
    let status = response.code.ok_or(Lost::Malformed)?;
    let length = match status {
        204 | 304 => 0,
        _ => length(response.headers).ok_or(Lost::Malformed)?,
    };
    let end = head.checked_add(length).ok_or(Lost::Malformed)?;
    let Some(body) = bytes.get(head..end) else { return Ok(None) };
    Ok(Some((end, with(Answer { status, headers: response.headers, body }))))
}

fn length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    std::str::from_utf8(header.value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 503 No\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";

    #[test]
    fn answers_on_one_connection_are_told_apart() {
        let (end, body) = first(TWO, |answer| (answer.status, answer.body.to_vec())).unwrap().unwrap();
        assert_eq!(body, (200, b"{}".to_vec()));
        let (rest, wait) =
            first(&TWO[end..], |answer| answer.header("Retry-After").map(str::to_owned)).unwrap().unwrap();
        assert_eq!((end + rest, wait.as_deref()), (TWO.len(), Some("3")));
    }

    #[test]
    fn an_answer_that_has_not_come_whole_waits_for_the_rest() {
        let whole = first(TWO, |_| ()).unwrap().unwrap().0;
        for cut in 0..whole {
            assert!(first(&TWO[..cut], |_| ()).unwrap().is_none(), "{cut}");
        }
    }

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        for bytes in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
            assert_eq!(first(bytes.as_bytes(), |_| ()).unwrap_err(), Lost::Malformed, "{bytes}");
        }
    }
}
