//! A till: its key, its signature (api.md section 6), and a merchant that a city would enrol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub struct Till {
    pub merchant_id: String,
    key_id: String,
    mac: Hmac<Sha256>,
}

impl Till {
    pub fn new(merchant_id: &str, key_id: &str, secret: &str) -> Till {
        let mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        Till { merchant_id: merchant_id.to_owned(), key_id: key_id.to_owned(), mac }
    }

    /// The value of `Authorization` for a request that is sent at `seconds`, wall clock.
    pub fn authorization(&self, method: &str, path: &str, body: &[u8], seconds: u64, nonce: u64) -> String {
        self.sign(method, path, body, &seconds.to_string(), &format!("load-{nonce:016x}"))
    }

    fn sign(&self, method: &str, path: &str, body: &[u8], timestamp: &str, nonce: &str) -> String {
        let mut mac = self.mac.clone();
        for line in [method, path, timestamp, nonce] {
            mac.update(line.as_bytes());
            mac.update(b"\n");
        }
        mac.update(body);
        mac.update(b"\n");
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let key_id = &self.key_id;
        format!(
            r#"QUANYU-HMAC-SHA256 key_id="{key_id}",timestamp="{timestamp}",nonce="{nonce}",signature="{signature}""#
        )
    }
}

/// A merchant's application; `registered` and `operating` are district codes.
pub fn merchant(number: u64, seed: u64, registered: &str, operating: &str) -> (String, Value) {
    let id = format!("load{seed}m{number:04}");
    let code = credit_code(registered, seed % 10_000 * 10_000 + number);
    let body = json!({
        "merchant_id": id, "code": code, "kind": "enterprise", "industry_code": "6210",
        "name": {"zh": format!("压测商户{number}号"), "en": format!("Load merchant {number}")},
        "registered_district": registered, "operating_district": operating,
        "stores": [{"store_id": format!("{id}-s1"), "name": {"zh": "总店", "en": "Main store"}, "district": operating}],
    });
    (id, body)
}

/// A formally valid unified social credit code (GB 32100) with the organisation code's own check character inside (GB 11714).
fn credit_code(district: &str, number: u64) -> String {
    const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    const WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let digits = format!("{:08}", number % 100_000_000);
    let sum: u32 = digits.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let check = b"0123456789X0"[(11 - sum % 11) as usize];
    let mut code = format!("91{district}{digits}{}", char::from(check));
    let (mut sum, mut weight) = (0, 1);
    for character in code.bytes() {
        sum += ALPHABET.iter().position(|known| *known == character).unwrap_or(0) * weight;
        weight = weight * 3 % 31;
    }
    code.push(char::from(ALPHABET[(31 - sum % 31) % 31]));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the published contract.
    #[test]
    fn a_signature_is_the_published_one() {
        let till = Till::new("m", "test_t_01", "sk_test_0123456789abcdef0123456789abcdef");
        let body = r#"{"order_id":"A1-0001","pay_code":"975015833669018376","amount":11800,"merchant_discount":800,"category":"catering","capture":true}"#;
        let header = till.sign("POST", "/v1/redemptions", body.as_bytes(), "1595644800", "N5Qv7pX2kT9wL3aB");
        assert_eq!(
            header,
            r#"QUANYU-HMAC-SHA256 key_id="test_t_01",timestamp="1595644800",nonce="N5Qv7pX2kT9wL3aB",signature="X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=""#
        );
    }

    #[test]
    fn codes_of_merchants_have_eighteen_characters_and_differ() {
        let codes: std::collections::BTreeSet<String> = (0..500).map(|number| credit_code("510104", number)).collect();
        assert_eq!(codes.len(), 500);
        assert!(codes.iter().all(|code| code.len() == 18));
    }
}
