//! A till: signs what it sends and checks what it is answered.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use loadtest::engine::Answer;
use sha2::Sha256;

use super::world::post;

pub struct Till {
    pub key_id: String,
    pub secret: String,
}

impl Till {
    /// A signed request with a JSON body.
    pub fn request(&self, path: &str, nonce: &str, body: &str, out: &mut Vec<u8>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string();
        let (key_id, signature) = (&self.key_id, self.sign(&["POST", path, &at, nonce, body]));
        let authorization = format!(
            "QUANYU-HMAC-SHA256 key_id=\"{key_id}\",timestamp=\"{at}\",nonce=\"{nonce}\",signature=\"{signature}\""
        );
        post(path).write(out, &[&authorization], body.as_bytes());
    }

    /// Whether an answer to the request with this nonce was signed with our secret.
    pub fn believes(&self, answer: &Answer<'_>, nonce: &str) -> bool {
        let body = String::from_utf8_lossy(answer.body);
        let at = answer.header("quanyu-timestamp").unwrap_or_default();
        let expected = self.sign(&[&answer.status.to_string(), at, nonce, &body]);
        answer.header("quanyu-signature") == Some(expected.as_str())
    }

    /// Every line is ended by a line feed, the last one too.
    fn sign(&self, lines: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        for line in lines {
            mac.update(line.as_bytes());
            mac.update(b"\n");
        }
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_the_contract_comes_out() {
        let till = Till { key_id: "k".into(), secret: "sk_test_0123456789abcdef0123456789abcdef".into() };
        let body = concat!(
            r#"{"order_id":"A1-0001","pay_code":"975015833669018376","amount":11800,"#,
            r#""merchant_discount":800,"category":"catering","capture":true}"#
        );
        let signature = till.sign(&["POST", "/v1/redemptions", "1595644800", "N5Qv7pX2kT9wL3aB", body]);
        assert_eq!(signature, "X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=");
    }
}
