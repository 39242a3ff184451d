//! The till's side of section 6: signing requests, and checking that answers are signed too.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::Server;
use super::client::{Reply, Request};
use super::identity::wall_seconds;

/// One till with its own key.
#[derive(Clone, Debug)]
pub struct Till {
    pub merchant_id: String,
    pub key_id: String,
    pub secret: String,
}

impl Till {
    pub fn request(&self, method: &str, path: &str, body: &str) -> (Request, String) {
        self.request_at(method, path, body, wall_seconds())
    }

    pub fn request_at(&self, method: &str, path: &str, body: &str, at: i64) -> (Request, String) {
        let nonce = new_nonce();
        let signature = sign(&self.secret, &[method, path, &at.to_string(), &nonce, body]);
        let request =
            Request::new(method, path).header("authorization", &authorization(&self.key_id, at, &nonce, &signature));
        (if body.is_empty() { request } else { request.text(body) }, nonce)
    }
}

pub fn authorization(key_id: &str, at: i64, nonce: &str, signature: &str) -> String {
    format!(
        "QUANYU-HMAC-SHA256 key_id=\"{key_id}\",timestamp=\"{at}\",nonce=\"{nonce}\",\
         signature=\"{signature}\""
    )
}

/// Every line is ended by a newline, the last one too.
pub fn sign(secret: &str, lines: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    for line in lines {
        mac.update(line.as_bytes());
        mac.update(b"\n");
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

pub fn new_nonce() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("n-{:08x}-{:08}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An answer without our signature must be treated as forged, so every one is checked.
#[track_caller]
pub fn assert_signed(till: &Till, nonce: &str, reply: &Reply) {
    let stamp = reply.header("quanyu-timestamp").expect("answers to tills carry a timestamp");
    let got = reply.header("quanyu-signature").expect("answers to tills are signed");
    let wanted = sign(&till.secret, &[&reply.status.to_string(), stamp, nonce, &reply.text()]);
    assert_eq!(got, wanted, "the answer's signature is wrong: {}", reply.text());
    let stamp: i64 = stamp.parse().expect("unix seconds");
    assert!((stamp - wall_seconds()).abs() <= 5, "the answer's timestamp is the wall clock");
}

impl Server {
    /// A signed call; the answer's own signature is checked every time.
    #[track_caller]
    pub fn till(&self, till: &Till, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (request, nonce) = till.request(method, path, &body);
        let reply = self.send(&request);
        assert_signed(till, &nonce, &reply);
        reply
    }
}

#[test]
fn the_signature_vector_of_the_contract_comes_out() {
    let body = concat!(
        r#"{"order_id":"A1-0001","pay_code":"975015833669018376","amount":11800,"#,
        r#""merchant_discount":800,"category":"catering","capture":true}"#
    );
    let lines = ["POST", "/v1/redemptions", "1595644800", "N5Qv7pX2kT9wL3aB", body];
    let signature = sign("sk_test_0123456789abcdef0123456789abcdef", &lines);
    assert_eq!(signature, "X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=");
}
