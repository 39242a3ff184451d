//! Who a resident is to us: a keyed pseudonym made on the node. No document number goes further than this file.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// HMAC-SHA256 over the concatenation of the parts.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A key with its part of the hash done: half of the work of a short HMAC, once instead of at every tap.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub fn new(key: &[u8]) -> MacKey {
        MacKey(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// HMAC-SHA256 over the concatenation of the parts.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A resident over all campaigns: the root pseudonym decides the shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Root(pub [u8; 32]);

impl Root {
    /// From an identity document, already normalised.
    pub fn of_document(identity_key: &MacKey, document_type: &str, number: &str) -> Root {
        Root(identity_key.mac(&[document_type.as_bytes(), &[0], number.as_bytes()]))
    }

    /// From a digest that the identity provider made instead of telling the number.
    pub fn of_digest(identity_key: &MacKey, document_type: &str, digest: &str) -> Root {
        Root(identity_key.mac(&[document_type.as_bytes(), &[1], digest.as_bytes()]))
    }

    pub fn shard(&self, shards: u8) -> u8 {
        let [a, b, c, d, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]) % u32::from(shards.max(1))) as u8
    }

    pub fn in_campaign(&self, campaign_key: &MacKey) -> Pseudonym {
        Pseudonym(campaign_key.mac(&[&self.0]))
    }
}

/// The published form of a person in one campaign; pseudonyms of two campaigns cannot be joined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pseudonym(pub [u8; 32]);

impl Pseudonym {
    /// The first nine bytes name the person's record.
    pub fn field(&self) -> [u8; 9] {
        let mut field = [0; 9];
        field.copy_from_slice(&self.0[..9]);
        field
    }

    pub fn tail(&self) -> &[u8] {
        &self.0[9..]
    }

    pub fn bucket(&self, buckets: u32) -> u32 {
        bucket_of(&self.field(), buckets)
    }

    pub fn from_parts(field: &[u8], tail: &[u8]) -> Option<Pseudonym> {
        let mut bytes = [0; 32];
        if field.len() != 9 || tail.len() != 23 {
            return None;
        }
        bytes[..9].copy_from_slice(field);
        bytes[9..].copy_from_slice(tail);
        Some(Pseudonym(bytes))
    }

    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// The bucket of a person's record, so that a voucher id finds it too.
pub fn bucket_of(field: &[u8; 9], buckets: u32) -> u32 {
    u32::from_be_bytes([field[0], field[1], field[2], field[3]]) % buckets.max(1)
}

/// What is wrong with a document number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFault {
    Length,
    Characters,
    Date,
    Checksum,
    /// Not a number of a document of this type.
    Form,
}

impl DocumentFault {
    pub fn text(self) -> (&'static str, &'static str) {
        match self {
            DocumentFault::Length => ("号码应为 18 位。", "The number has 18 characters."),
            DocumentFault::Characters => ("应为 17 位数字加一位数字或 X。", "17 digits and a digit or X."),
            DocumentFault::Date => ("出生日期有误。", "The date of birth is not a date in the past."),
            DocumentFault::Checksum => ("校验位不符。", "The check character does not fit: look for a typo."),
            DocumentFault::Form => ("号码格式与证件类型不符。", "Not the form of a number of this document type."),
        }
    }
}

/// A resident identity card number (GB 11643): normalised form and date of birth.
#[derive(Clone, Debug, PartialEq)]
pub struct CnId {
    pub number: String,
    pub birth_date: jiff::civil::Date,
    /// District code (GB/T 2260) in which the number was given out.
    pub district: String,
}

/// Parses and checks a number against GB 11643; `today` bounds the date of birth.
pub fn cn_id(text: &str, today: jiff::civil::Date) -> Result<CnId, DocumentFault> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let number = text.trim().to_ascii_uppercase();
    if number.len() != 18 {
        return Err(DocumentFault::Length);
    }
    let (body, check) = number.as_bytes().split_at(17);
    if !body.iter().all(u8::is_ascii_digit) || !(check[0].is_ascii_digit() || check[0] == b'X') {
        return Err(DocumentFault::Characters);
    }
    let part = |range: std::ops::Range<usize>| number[range].parse::<i16>().unwrap_or_default();
    let birth_date =
        jiff::civil::Date::new(part(6..10), part(10..12) as i8, part(12..14) as i8).map_err(|_| DocumentFault::Date)?;
    if birth_date > today || birth_date.year() < 1850 {
        return Err(DocumentFault::Date);
    }
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    if b"10X98765432"[(sum % 11) as usize] != check[0] {
        return Err(DocumentFault::Checksum);
    }
    let district = number[..6].to_owned();
    Ok(CnId { number, birth_date, district })
}

/// Full years of age on a day.
pub fn age_on(birth_date: jiff::civil::Date, day: jiff::civil::Date) -> i32 {
    let years = i32::from(day.year()) - i32::from(birth_date.year());
    let had_birthday = (day.month(), day.day()) >= (birth_date.month(), birth_date.day());
    if had_birthday { years } else { years - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn identity_numbers_follow_gb_11643() {
        let today = date(2020, 7, 13);
        for (number, fault) in [
            ("11010519491231002X", None),
            ("11010519491231002x", None),
            ("440524188001010014", None),
            ("110105194912310021", Some(DocumentFault::Checksum)),
            ("11010519490231002X", Some(DocumentFault::Date)),
            ("11010530491231002X", Some(DocumentFault::Date)),
            ("1101051949123100X2", Some(DocumentFault::Characters)),
            ("110105491231002", Some(DocumentFault::Length)),
        ] {
            assert_eq!(cn_id(number, today).err(), fault, "{number}");
        }
    }

    #[test]
    fn an_age_is_reached_on_the_birthday() {
        assert_eq!(age_on(date(2004, 8, 20), date(2022, 8, 19)), 17);
        assert_eq!(age_on(date(2004, 8, 20), date(2022, 8, 20)), 18);
    }
}
