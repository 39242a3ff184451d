//! Synthetic residents: valid identity numbers and tokens signed with a sandbox's key, the same for the same seed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Numbers of one seed do not meet those of the next before so many people.
const PEOPLE_OF_A_SEED: u64 = 50_000_000;

pub struct People {
    mac: Hmac<Sha256>,
    head: String,
    channel: String,
    seed: u64,
    expires_at: u64,
}

impl People {
    /// `key` is the content of `<data>/sandbox-token.key` (hex).
    pub fn new(key: &str, channel: &str, seed: u64) -> Option<People> {
        let key = hex::decode(key.trim()).ok().filter(|key| !key.is_empty())?;
        Some(People {
            mac: Hmac::new_from_slice(&key).ok()?,
            head: URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#),
            channel: channel.to_owned(),
            seed,
            expires_at: crate::wall_seconds() + 48 * 3600,
        })
    }

    /// A resident's HS256 token.
    pub fn token(&self, index: u64) -> String {
        let number = identity_number(self.seed % 300 * PEOPLE_OF_A_SEED + index);
        let (expires_at, channel) = (self.expires_at, &self.channel);
        let claims = format!(
            r#"{{"iss":"quanyu-sandbox","aud":"quanyu","sub":"load-{index}","exp":{expires_at},"channel":"{channel}","document_type":"cn_id","document_number":"{number}","health_pass":"green"}}"#
        );
        let mut token = format!("{}.{}", self.head, URL_SAFE_NO_PAD.encode(claims));
        let mut mac = self.mac.clone();
        mac.update(token.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        token.push('.');
        token.push_str(&signature);
        token
    }
}

/// The n-th number of a space of some 17 billion valid ones (GB 11643).
fn identity_number(n: u64) -> String {
    const WEIGHTS: [u64; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let (sequence, rest) = (n % 999 + 1, n / 999);
    let (day, rest) = (rest % 28 + 1, rest / 28);
    let (month, rest) = (rest % 12 + 1, rest / 12);
    let (year, rest) = (rest % 50 + 1950, rest / 50);
    let district = 510_000 + rest % 1_000;
    let body = format!("{district:06}{year:04}{month:02}{day:02}{sequence:03}");
    let sum: u64 = body.bytes().zip(WEIGHTS).map(|(digit, weight)| u64::from(digit - b'0') * weight).sum();
    format!("{body}{}", b"10X98765432"[(sum % 11) as usize] as char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_valid_and_differ() {
        let numbers: std::collections::BTreeSet<String> = (0..10_000).map(identity_number).collect();
        assert_eq!(numbers.len(), 10_000);
        assert!(numbers.iter().all(|number| number.len() == 18));
        assert_eq!(identity_number(0), "51000019500101001X".replace('X', &identity_number(0)[17..]));
    }

    #[test]
    fn a_key_that_is_not_hex_is_no_key() {
        for key in ["", "xyz", "abc"] {
            assert!(People::new(key, "wechat", 1).is_none(), "{key:?}");
        }
    }
}
