//! People and firms with valid numbers, and the sandbox tokens of people.
//!
//! The check digits follow GB 11643 and GB 32100 (with GB 11714 inside), written from the
//! standards' tables; the known vectors are tested at the bottom.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Server;

#[derive(Clone, Debug)]
pub struct Resident {
    pub number: String,
    pub channel: String,
    /// What the identity provider says besides the number; a test may add or remove.
    pub claims: Value,
}

impl Resident {
    /// A new person with a green health pass, through the first channel.
    pub fn new() -> Resident {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let (day, month) = (1 + serial / 900 % 28, 1 + serial / 25_200 % 12);
        let year = 1960 + serial / 302_400 % 40;
        let first = format!("510104{year:04}{month:02}{day:02}{:03}", 1 + serial % 900);
        Resident { number: with_check_digit(&first), channel: "wechat".into(), claims: json!({"health_pass": "green"}) }
    }

    pub fn many(count: usize) -> Vec<Resident> {
        (0..count).map(|_| Resident::new()).collect()
    }

    pub fn claiming(mut self, name: &str, value: Value) -> Resident {
        self.claims[name] = value;
        self
    }

    /// The same person, coming through another channel.
    pub fn through(mut self, channel: &str) -> Resident {
        self.channel = channel.into();
        self
    }
}

impl Server {
    pub fn token(&self, person: &Resident) -> String {
        let mut claims = json!({
            "iss": "quanyu-sandbox", "aud": "quanyu", "sub": format!("sub-{}", person.number),
            "exp": wall_seconds() + 3600, "channel": person.channel,
            "document_type": "cn_id", "document_number": person.number,
        });
        for (name, value) in person.claims.as_object().expect("claims are an object") {
            claims[name] = value.clone();
        }
        self.sign_token(&claims)
    }

    /// A token over exactly these claims: for expired, foreign and incomplete ones.
    pub fn sign_token(&self, claims: &Value) -> String {
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let head = encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
        let signed = format!("{head}.{}", encode(claims.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.token_key).expect("any key length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// What an identity provider may tell in place of the number.
pub fn digest_of(person: &str) -> String {
    hex::encode(Sha256::digest(person.as_bytes()))
}

pub fn wall_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    now.as_secs() as i64
}

/// GB 11643: the 18th character of a resident number.
pub fn with_check_digit(first17: &str) -> String {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let digits = first17.chars().map(|c| c.to_digit(10).expect("digits only"));
    let sum: u32 = digits.zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    format!("{first17}{}", &"10X98765432"[sum as usize % 11..][..1])
}

/// The same number with a check digit that cannot be right.
pub fn with_wrong_check_digit(number: &str) -> String {
    let (first, last) = number.split_at(17);
    format!("{first}{}", if last == "1" { "2" } else { "1" })
}

/// A new unified social credit code of a firm registered in Chengdu.
pub fn firm_code() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let serial = 10_000_000 + NEXT.fetch_add(1, Ordering::Relaxed);
    firm_code_of(&format!("91510104{serial:08}"))
}

/// GB 32100 over the first 16 characters: GB 11714's digit, then the code's own.
pub fn firm_code_of(first16: &str) -> String {
    const ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let value = |c: char| ALPHABET.find(c).expect("a letter of the code") as u32;
    const INNER: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
    let plain = |c: char| c.to_digit(36).expect("a letter or digit");
    let sum: u32 = first16[8..].chars().map(plain).zip(INNER).map(|(v, w)| v * w).sum();
    let inner = match 11 - sum % 11 {
        10 => "X".to_string(),
        11 => "0".to_string(),
        digit => digit.to_string(),
    };
    let first17 = format!("{first16}{inner}");
    let mut weight = 1;
    let mut total = 0;
    for letter in first17.chars() {
        total += value(letter) * weight;
        weight = weight * 3 % 31;
    }
    let check = (31 - total % 31) as usize % 31;
    format!("{first17}{}", &ALPHABET[check..=check])
}

#[test]
fn the_known_numbers_of_the_standards_come_out() {
    assert_eq!(with_check_digit("11010519491231002"), "11010519491231002X");
    assert_eq!(with_check_digit("44052418800101001"), "440524188001010014");
    assert_eq!(firm_code_of("9144030071526726"), "9144030071526726XG");
}
