//! A till: the load test's signs what is sent, and here every so often an answer is checked as a till must check all of them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use loadtest::engine::Answer;
use loadtest::till;
use sha2::Sha256;

use super::world::post;

pub struct Till {
    signs: till::Till,
    secret: String,
}

impl Till {
    pub fn new(merchant_id: &str, key_id: &str, secret: &str) -> Till {
        Till { signs: till::Till::new(merchant_id, key_id, secret), secret: secret.to_owned() }
    }

    /// A signed request with a JSON body.
    pub fn request(&self, path: &str, nonce: u64, body: &str, out: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let authorization = self.signs.authorization("POST", path, body.as_bytes(), now, nonce);
        post(path).write(out, &[&authorization], body.as_bytes());
    }

    /// Whether an answer to the request with this nonce was signed with our secret.
    pub fn believes(&self, answer: &Answer<'_>, nonce: u64) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        let (at, nonce) = (answer.header("quanyu-timestamp").unwrap_or_default(), format!("load-{nonce:016x}"));
        for line in [answer.status.to_string().as_bytes(), at.as_bytes(), nonce.as_bytes(), answer.body] {
            mac.update(line);
            mac.update(b"\n");
        }
        answer.header("quanyu-signature") == Some(STANDARD.encode(mac.finalize().into_bytes()).as_str())
    }
}
