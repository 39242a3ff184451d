//! The till's signature in both directions: HMAC-SHA256 over lines that each end with a line feed.
//!
//! The raw path, query and body are signed, never a parsed form, so that two readers cannot understand one signature differently.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use crate::clock::wall_ms;
use crate::domain::person::mac;

/// First word of the `Authorization` header.
pub const SCHEME: &str = "QUANYU-HMAC-SHA256";
/// Headers of a signed answer.
pub const ANSWER_TIMESTAMP: &str = "Quanyu-Timestamp";
pub const ANSWER_SIGNATURE: &str = "Quanyu-Signature";
/// How far a till's clock may be off, in seconds.
pub const TOLERANCE_SECONDS: i64 = 300;

/// What an `Authorization` header of a till says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub key_id: String,
    /// Unix seconds, kept as they were written: they are signed so.
    pub timestamp: String,
    pub nonce: String,
    pub signature: String,
}

/// Why a header is not one; the text says how to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("Authorization must start with {SCHEME}.")]
    Scheme,
    #[error(r#"Authorization must be: {SCHEME} key_id="…",timestamp="…",nonce="…",signature="…"."#)]
    Shape,
    #[error("A parameter of Authorization is given twice.")]
    Duplicate,
    #[error("A parameter of Authorization is missing; key_id, timestamp, nonce and signature are needed.")]
    Missing,
    #[error("timestamp must be unix seconds.")]
    Timestamp,
    #[error("nonce must be 16 to 64 of A-Z, a-z, 0-9, _ and -.")]
    Nonce,
}

impl HeaderFault {
    /// The same in Chinese.
    pub fn zh(self) -> String {
        match self {
            HeaderFault::Scheme => format!("Authorization 须以 {SCHEME} 开头。"),
            HeaderFault::Shape => {
                format!(r#"Authorization 的写法：{SCHEME} key_id="…",timestamp="…",nonce="…",signature="…"。"#)
            }
            HeaderFault::Duplicate => "Authorization 中有参数重复。".to_owned(),
            HeaderFault::Missing => "Authorization 缺少参数；须有 key_id、timestamp、nonce 和 signature。".to_owned(),
            HeaderFault::Timestamp => "timestamp 须为 Unix 秒数。".to_owned(),
            HeaderFault::Nonce => "nonce 须为 16 至 64 个字符，可用 A-Z、a-z、0-9、_ 和 -。".to_owned(),
        }
    }
}

impl Credentials {
    pub fn parse(header: &str) -> Result<Credentials, HeaderFault> {
        let (scheme, rest) = header.split_once(' ').ok_or(HeaderFault::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(HeaderFault::Scheme);
        }
        let mut found = [None; 4];
        for parameter in rest.split(',') {
            let (name, value) = parameter.trim().split_once('=').ok_or(HeaderFault::Shape)?;
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).ok_or(HeaderFault::Shape)?;
            let at = ["key_id", "timestamp", "nonce", "signature"].iter().position(|known| *known == name);
            let slot = &mut found[at.ok_or(HeaderFault::Shape)?];
            if slot.replace(value).is_some() {
                return Err(HeaderFault::Duplicate);
            }
        }
        let [Some(key_id), Some(timestamp), Some(nonce), Some(signature)] = found else {
            return Err(HeaderFault::Missing);
        };
        if !(1..=12).contains(&timestamp.len()) || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
            return Err(HeaderFault::Timestamp);
        }
        if !is_nonce(nonce) {
            return Err(HeaderFault::Nonce);
        }
        let [key_id, timestamp, nonce, signature] = [key_id, timestamp, nonce, signature].map(str::to_owned);
        Ok(Credentials { key_id, timestamp, nonce, signature })
    }

    /// Whether the secret made the signature of this request; takes the same time wherever the first difference is.
    pub fn signed(&self, secret: &str, method: &str, path_and_query: &str, body: &[u8]) -> bool {
        let expected = request_signature(secret, method, path_and_query, &self.timestamp, &self.nonce, body);
        expected.as_bytes().ct_eq(self.signature.as_bytes()).into()
    }

    /// Whether the till's clock is near enough to `now` (unix seconds, wall clock).
    pub fn is_current(&self, now: i64) -> bool {
        self.timestamp.parse::<i64>().is_ok_and(|timestamp| (timestamp - now).abs() <= TOLERANCE_SECONDS)
    }

    fn header(&self) -> String {
        let Credentials { key_id, timestamp, nonce, signature } = self;
        format!(r#"{SCHEME} key_id="{key_id}",timestamp="{timestamp}",nonce="{nonce}",signature="{signature}""#)
    }
}

/// A nonce only makes signatures differ; it is not stored.
pub fn is_nonce(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether it is the base64 of as many bytes as a signature has.
pub fn is_signature(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// The `Authorization` header of a request made now, with a fresh nonce.
pub fn sign_request(method: &str, path_and_query: &str, key_id: &str, secret: &str, body: &[u8]) -> String {
    sign_request_at(wall_ms() / 1000, &fresh_nonce(), method, path_and_query, key_id, secret, body)
}

/// The header for a given instant (unix seconds) and nonce.
pub fn sign_request_at(
    seconds: i64,
    nonce: &str,
    method: &str,
    path_and_query: &str,
    key_id: &str,
    secret: &str,
    body: &[u8],
) -> String {
    let timestamp = seconds.to_string();
    let signature = request_signature(secret, method, path_and_query, &timestamp, nonce, body);
    Credentials { key_id: key_id.to_owned(), timestamp, nonce: nonce.to_owned(), signature }.header()
}

/// 22 characters from 128 random bits.
pub fn fresh_nonce() -> String {
    use rand::RngExt;
    let bytes: [u8; 16] = rand::rng().random();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Five lines: method, raw path and query, timestamp, nonce, raw body.
pub fn request_signature(
    secret: &str,
    method: &str,
    path_and_query: &str,
    timestamp: &str,
    nonce: &str,
    body: &[u8],
) -> String {
    let mut head = String::with_capacity(96);
    // Writing to a String cannot fail.
    let _ = write!(head, "{method}\n{path_and_query}\n{timestamp}\n{nonce}\n");
    STANDARD.encode(mac(secret.as_bytes(), &[head.as_bytes(), body, b"\n"]))
}

/// Four lines: status, timestamp of the answer, nonce of the request, raw body of the answer.
pub fn answer_signature(secret: &str, status: u16, timestamp: &str, nonce: &str, body: &[u8]) -> String {
    let head = format!("{status}\n{timestamp}\n{nonce}\n");
    STANDARD.encode(mac(secret.as_bytes(), &[head.as_bytes(), body, b"\n"]))
}

/// What a till does with an answer before it believes it.
pub fn answer_is_signed(secret: &str, status: u16, timestamp: &str, nonce: &str, body: &[u8], signature: &str) -> bool {
    answer_signature(secret, status, timestamp, nonce, body).as_bytes().ct_eq(signature.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk_test_0123456789abcdef0123456789abcdef";
    const BODY: &str = concat!(
        r#"{"order_id":"A1-0001","pay_code":"975015833669018376","amount":11800,"merchant_discount":800,"#,
        r#""category":"catering","capture":true}"#
    );
    const SIGNATURE: &str = "X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=";

    fn vector() -> Credentials {
        let header = sign_request_at(
            1595644800,
            "N5Qv7pX2kT9wL3aB",
            "POST",
            "/v1/redemptions",
            "test_t_01",
            SECRET,
            BODY.as_bytes(),
        );
        Credentials::parse(&header).unwrap()
    }

    #[test]
    fn the_published_vector_is_reproduced() {
        assert_eq!(vector().signature, SIGNATURE);
        assert_eq!(vector().key_id, "test_t_01");
    }

    #[test]
    fn every_signed_part_counts() {
        let signed =
            |method: &str, path: &str, body: &str, secret: &str| vector().signed(secret, method, path, body.as_bytes());
        assert!(signed("POST", "/v1/redemptions", BODY, SECRET));
        assert!(!signed("PUT", "/v1/redemptions", BODY, SECRET));
        assert!(!signed("POST", "/v1/redemptions?x=1", BODY, SECRET));
        assert!(!signed("POST", "/v1/redemptions", &BODY.replace("11800", "11801"), SECRET));
        assert!(!signed("POST", "/v1/redemptions", BODY, "sk_test_other"));
        let later = Credentials { timestamp: "1595644801".into(), ..vector() };
        assert!(!later.signed(SECRET, "POST", "/v1/redemptions", BODY.as_bytes()));
    }

    #[test]
    fn a_header_that_is_not_exactly_ours_is_refused_with_its_reason() {
        let check = |header: &str, expected: Result<(), HeaderFault>| {
            assert_eq!(Credentials::parse(header).map(|_| ()), expected, "{header}");
        };
        let nonce = "0123456789abcdef";
        let of = |parameters: &str| format!("{SCHEME} {parameters}");
        check(&of(&format!(r#"key_id="k",timestamp="1",nonce="{nonce}",signature="s""#)), Ok(()));
        check(&of(&format!(r#"signature="s=", nonce="{nonce}", timestamp="1", key_id="k""#)), Ok(()));
        check("Bearer qk_1", Err(HeaderFault::Scheme));
        check(SCHEME, Err(HeaderFault::Scheme));
        check(&of(&format!(r#"key_id=k,timestamp="1",nonce="{nonce}",signature="s""#)), Err(HeaderFault::Shape));
        check(
            &of(&format!(r#"key_id="k",timestamp="1",nonce="{nonce}",signature="s",realm="r""#)),
            Err(HeaderFault::Shape),
        );
        check(
            &of(&format!(r#"key_id="k",key_id="l",timestamp="1",nonce="{nonce}",signature="s""#)),
            Err(HeaderFault::Duplicate),
        );
        check(&of(&format!(r#"key_id="k",timestamp="1",nonce="{nonce}""#)), Err(HeaderFault::Missing));
        check(&of(&format!(r#"key_id="k",timestamp="-1",nonce="{nonce}",signature="s""#)), Err(HeaderFault::Timestamp));
        check(&of(r#"key_id="k",timestamp="1",nonce="short",signature="s""#), Err(HeaderFault::Nonce));
        check(&of(r#"key_id="k",timestamp="1",nonce="0123456789abcde+",signature="s""#), Err(HeaderFault::Nonce));
    }

    #[test]
    fn a_clock_may_be_off_by_300_seconds_and_no_more() {
        for (now, current) in [(0, true), (300, true), (301, false), (-300, true), (-301, false)] {
            assert_eq!(vector().is_current(1595644800 + now), current, "{now}");
        }
    }

    #[test]
    fn an_answer_belongs_to_its_request_and_its_status() {
        let signature = answer_signature(SECRET, 200, "1595644801", "N5Qv7pX2kT9wL3aB", b"{}");
        let check = |status, nonce| answer_is_signed(SECRET, status, "1595644801", nonce, b"{}", &signature);
        assert!(check(200, "N5Qv7pX2kT9wL3aB"));
        assert!(!check(409, "N5Qv7pX2kT9wL3aB"));
        assert!(!check(200, "N5Qv7pX2kT9wL3aC"));
    }

    #[test]
    fn a_fresh_nonce_is_a_nonce_and_differs_from_the_last() {
        let nonce = fresh_nonce();
        assert!(is_nonce(&nonce));
        assert_ne!(nonce, fresh_nonce());
    }
}
