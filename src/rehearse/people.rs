//! Synthetic residents: a number decides a person's document, token and behaviour, so nobody has to be stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::ToSpan;
use jiff::civil::Date;
use sha2::Sha256;
use std::fmt::Write as _;

use super::campaign::Scenario;

/// Districts of Chengdu, for files that do not ask for another residence.
const DISTRICTS: [&str; 12] = [
    "510104", "510105", "510106", "510107", "510108", "510112", "510113", "510114", "510115", "510116", "510117",
    "510118",
];
/// Everybody is born in 1950 to 2001, so an adult in any campaign since 2020.
const BIRTH_DAYS: u64 = 18_993;
const SEQUENCES: u64 = 999;
/// Prime and larger than any factor of the number space, so that stepping by it visits every document once.
const STRIDE: u64 = 15_485_863;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What the identity provider says about a person's health; the wrong colour must be refused.
#[derive(Clone, Copy, Debug)]
pub enum Health {
    Green,
    Yellow,
}

pub struct People {
    seed: u64,
    districts: Vec<String>,
    channels: Vec<String>,
    phone_needed: bool,
    key: Hmac<Sha256>,
    header: String,
    /// Tokens live on the wall clock, whatever the campaign clock says.
    expires: i64,
}

impl People {
    pub fn new(seed: u64, scenario: &Scenario, token_key: &[u8]) -> Self {
        let districts = match &scenario.residence_prefix {
            Some(prefix) => vec![district(prefix, 0)],
            None => DISTRICTS.iter().map(|code| (*code).to_owned()).collect(),
        };
        let key = Hmac::new_from_slice(token_key).expect("HMAC takes a key of any length");
        let expires = jiff::Timestamp::now().as_second() + 24 * 3600;
        Self {
            seed,
            districts,
            channels: scenario.channels.clone(),
            phone_needed: scenario.phone_needed,
            key,
            header: URL_SAFE_NO_PAD.encode(HEADER),
            expires,
        }
    }

    /// A resident's token as the program's identity provider would sign it.
    pub fn token(&self, person: u32, health: Health) -> String {
        let mut token = Vec::with_capacity(480);
        self.write_token(person, health, &mut token);
        String::from_utf8(token).expect("a token is base64 and dots")
    }

    /// Appends the token; it is signed on the spot with a key that was prepared once.
    pub fn write_token(&self, person: u32, health: Health, out: &mut Vec<u8>) {
        let number = self.document_number(person);
        let colour = match health {
            Health::Green => "green",
            Health::Yellow => "yellow",
        };
        let mut claims = String::with_capacity(300);
        // Writing into a string cannot fail.
        let _ = write!(
            claims,
            r#"{{"iss":"quanyu-sandbox","aud":"quanyu","sub":"resident-{person}","exp":{},"document_type":"cn_id","document_number":"{number}","health_pass":"{colour}","residence":"{}""#,
            self.expires,
            &number[..6]
        );
        if let Some(channel) = self.channel(person) {
            let _ = write!(claims, r#","channel":"{channel}""#);
        }
        if self.phone_needed {
            let _ = write!(claims, r#","phone":"+86199{:08}""#, person);
        }
        claims.push('}');
        let begin = out.len();
        out.extend_from_slice(self.header.as_bytes());
        out.push(b'.');
        encode(claims.as_bytes(), out);
        let mut mac = self.key.clone();
        mac.update(&out[begin..]);
        let signature = mac.finalize().into_bytes();
        out.push(b'.');
        encode(&signature, out);
    }

    pub fn channel(&self, person: u32) -> Option<&str> {
        if self.channels.is_empty() {
            return None;
        }
        self.channels.get(person as usize % self.channels.len()).map(String::as_str)
    }

    /// A formally valid GB 11643 number; no two persons of one seed share one.
    pub fn document_number(&self, person: u32) -> String {
        let space = self.districts.len() as u64 * BIRTH_DAYS * SEQUENCES;
        let place = (mix(self.seed, Stream::Document, 0) % space + u64::from(person) * STRIDE) % space;
        let sequence = place % SEQUENCES + 1;
        let day = place / SEQUENCES % BIRTH_DAYS;
        let district = &self.districts[(place / SEQUENCES / BIRTH_DAYS) as usize];
        let first = Date::constant(1950, 1, 1);
        let born = first.checked_add((day as i64).days()).unwrap_or(first);
        let mut number = format!("{district}{:04}{:02}{:02}{sequence:03}", born.year(), born.month(), born.day());
        number.push(document_check(number.as_bytes()));
        number
    }

    /// The person's or purchase's dice: the same seed, stream and index always fall the same way.
    pub fn dice(&self, stream: Stream, index: u64) -> u64 {
        mix(self.seed, stream, index)
    }

    /// True for `basis_points` of 10,000 indexes.
    pub fn chance(&self, stream: Stream, index: u64, basis_points: u64) -> bool {
        self.dice(stream, index) % 10_000 < basis_points
    }
}

/// Appends base64 without padding.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut out[start..]).expect("the slice has room for all padding");
    out.truncate(start + written);
}

/// Independent uses of the seed.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Document = 1,
    TapTime,
    TapCount,
    TapReturn,
    TapRepeat,
    ReserveRepeat,
    Buys,
    When,
    Amount,
    Flow,
    Extra,
    Refund,
    RefundWhen,
    Shop,
    Sample,
    Script,
}

/// SplitMix64 over seed, stream and index: cheap, stateless and even enough for a crowd.
fn mix(seed: u64, stream: Stream, index: u64) -> u64 {
    let mut x = seed ^ (stream as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2 {
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
    }
    x
}

/// Fills a prefix of the administrative division code up to six digits.
pub fn district(prefix: &str, salt: u64) -> String {
    let sample = DISTRICTS[(salt % DISTRICTS.len() as u64) as usize];
    let kept = prefix.len().min(6);
    format!("{}{}", &prefix[..kept], &sample[kept..])
}

fn document_check(digits: &[u8]) -> char {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    char::from(b"10X98765432"[(sum % 11) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::campaign::tests::chengdu;
    use std::collections::HashSet;

    fn people(seed: u64) -> People {
        let scenario = Scenario::from_document(chengdu(), None, None).unwrap();
        People::new(seed, &scenario, b"key of the sandbox")
    }

    #[test]
    fn the_published_vectors_have_the_right_check_character() {
        assert_eq!(document_check(b"11010519491231002"), 'X');
        assert_eq!(document_check(b"44052418800101001"), '4');
    }

    #[test]
    fn a_hundred_thousand_people_have_different_numbers() {
        let people = people(7);
        let numbers: HashSet<_> = (0..100_000).map(|person| people.document_number(person)).collect();
        assert_eq!(numbers.len(), 100_000);
        assert!(numbers.iter().all(|number| number.len() == 18));
    }

    #[test]
    fn the_stride_shares_no_factor_with_the_number_space() {
        let gcd = |mut a: u64, mut b: u64| {
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        };
        assert_eq!(gcd(STRIDE, 12 * BIRTH_DAYS * SEQUENCES), 1);
        assert_eq!(gcd(STRIDE, BIRTH_DAYS * SEQUENCES), 1);
    }

    #[test]
    fn a_token_is_the_same_for_the_same_seed_and_differs_by_person() {
        let people = people(7);
        assert_eq!(people.token(3, Health::Green), people.token(3, Health::Green));
        assert_ne!(people.token(3, Health::Green), people.token(4, Health::Green));
        assert_eq!(people.token(3, Health::Green).split('.').count(), 3);
    }

    #[test]
    fn chances_come_near_their_share() {
        let people = people(7);
        let hits = (0..100_000).filter(|index| people.chance(Stream::Refund, *index, 300)).count();
        assert!((2_700..3_300).contains(&hits), "{hits}");
    }
}
