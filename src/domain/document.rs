//! Identity documents in one spelling, so that one person has one pseudonym however the number was typed.

use jiff::civil::Date;

use super::campaign::spelling::{did_you_mean, nearest};
use super::person::{DocumentFault, MacKey, Root, cn_id};
use super::typed::typed;

/// The words for documents. Whoever writes another one would be another person with the same paper.
pub const DOCUMENT_TYPES: [&str; 6] =
    ["cn_id", "hk_macau_permit", "taiwan_permit", "passport", "residence_permit", "permanent_resident_card"];

/// How a token, a row of a list or a row of reservations names a person.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    pub document_type: &'a str,
    pub number: Option<&'a str>,
    /// Made by the identity provider, which does not tell the number.
    pub digest: Option<&'a str>,
}

/// What names nobody: the member with the fault, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct NamesNobody {
    pub field: &'static str,
    pub code: &'static str,
    pub zh: String,
    pub en: String,
}

impl Naming<'_> {
    /// The person and, where the number tells it, the date of birth.
    pub fn person(&self, identity_key: &MacKey, today: Date) -> Result<(Root, Option<Date>), NamesNobody> {
        if !DOCUMENT_TYPES.contains(&self.document_type) {
            return Err(unknown_type(self.document_type));
        }
        match (self.number, self.digest) {
            (Some(number), None) => {
                let document = document(self.document_type, number, today).map_err(|fault| {
                    let (zh, en) = fault.text();
                    nobody("document_number", "document_invalid", zh, en)
                })?;
                Ok((Root::of_document(identity_key, document.series, &document.number), document.birth_date))
            }
            (None, Some(digest)) => {
                let (zh, en) = (
                    "须为 64 位十六进制数（32 字节，如 SHA-256 或 SM3）。",
                    "Must be 64 hexadecimal digits: 32 bytes, of SHA-256 or SM3.",
                );
                let digest = person_digest(digest).ok_or_else(|| nobody("person_digest", "bad_digest", zh, en))?;
                Ok((Root::of_digest(identity_key, self.document_type, &digest), None))
            }
            _ => {
                let zh = "须且只须填 document_number 与 person_digest 之一。";
                Err(nobody(
                    "document_number",
                    "exactly_one_of",
                    zh,
                    "Needs exactly one of document_number and person_digest.",
                ))
            }
        }
    }
}

/// What a word says that is none of the documents.
pub fn unknown_type(word: &str) -> NamesNobody {
    let (meant_zh, meant_en) = did_you_mean(nearest(word, &DOCUMENT_TYPES));
    let zh = format!("没有这个证件类型，可用：{}。{meant_zh}", DOCUMENT_TYPES.join("、"));
    let en = format!("Not a document type; known: {}.{meant_en}", DOCUMENT_TYPES.join(", "));
    nobody("document_type", "unknown_value", &zh, &en)
}

fn nobody(field: &'static str, code: &'static str, zh: &str, en: &str) -> NamesNobody {
    NamesNobody { field, code, zh: zh.to_owned(), en: en.to_owned() }
}

/// A digest in the one form that names a person: 64 hexadecimal digits, in small letters.
fn person_digest(text: &str) -> Option<String> {
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// A document number as pseudonyms are made of it, and what the number itself tells.
#[derive(Clone, Debug, PartialEq)]
struct Document<'a> {
    /// Which numbers it is one of: all of the national standard are one series, whatever paper shows them.
    series: &'a str,
    number: String,
    birth_date: Option<Date>,
}

/// Checks and normalises a number: capital letters in half width, without spaces, dashes and dots. Each type has its form.
fn document<'a>(document_type: &'a str, text: &str, today: Date) -> Result<Document<'a>, DocumentFault> {
    let number = typed(text);
    if !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(DocumentFault::Form);
    }
    // A residence permit has a number of the same standard, of a district that nobody is born in.
    let of_standard = match document_type {
        "cn_id" => true,
        "residence_permit" if ["81", "82", "83"].iter().any(|begins| number.starts_with(begins)) => true,
        "permanent_resident_card" => number.len() == 18 && number.starts_with('9'),
        _ => false,
    };
    if of_standard {
        let id = cn_id(&number, today)?;
        return Ok(Document { series: "cn_id", number: id.number, birth_date: Some(id.birth_date) });
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let right = match document_type {
        // H or M, eight digits of the holder, and on cards up to 2012 two of the issue, which change: they are left out.
        "hk_macau_permit" => {
            let letter = number.starts_with(['H', 'M']);
            letter && matches!(number.len(), 9 | 11) && digits(&number[1..])
        }
        // Eight digits of the holder; older booklets have two of the issue behind them.
        "taiwan_permit" => matches!(number.len(), 8 | 10) && digits(&number),
        "passport" => (5..=15).contains(&number.len()) && number.bytes().any(|b| b.is_ascii_digit()),
        // Cards up to 2023: three letters of the country, and twelve digits.
        "permanent_resident_card" => {
            number.len() == 15 && number[..3].bytes().all(|b| b.is_ascii_alphabetic()) && digits(&number[3..])
        }
        _ => false,
    };
    if !right {
        return Err(DocumentFault::Form);
    }
    let holder = match document_type {
        "hk_macau_permit" => &number[..9],
        "taiwan_permit" => &number[..8],
        _ => number.as_str(),
    };
    Ok(Document { series: document_type, number: holder.to_owned(), birth_date: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_number_has_one_spelling_and_known_forms_are_checked() {
        let check = |document_type: &str, text: &str, expected: Option<&str>| {
            let found = document(document_type, text, date(2020, 7, 13)).ok().map(|document| document.number);
            assert_eq!(found.as_deref(), expected, "{document_type} {text}");
        };
        check("cn_id", "11010519491231002x", Some("11010519491231002X"));
        check("cn_id", "110105 1949.1231 002ｘ", Some("11010519491231002X"));
        check("cn_id", "11010519491231002Х", None);
        check("hk_macau_permit", "h12345678", Some("H12345678"));
        check("hk_macau_permit", "H1234567801", Some("H12345678"));
        check("hk_macau_permit", "A12345678", None);
        check("hk_macau_permit", "H1234567", None);
        check("taiwan_permit", "1234 5678", Some("12345678"));
        check("taiwan_permit", "1234567801", Some("12345678"));
        check("taiwan_permit", "1234567", None);
        check("passport", "e-12345678", Some("E12345678"));
        check("passport", "ABCDEFG", None);
        check("passport", "E1234567é", None);
        check("residence_permit", "810000199408230021", Some("810000199408230021"));
        check("residence_permit", "11010519491231002X", None);
        check("residence_permit", "", None);
        check("permanent_resident_card", "usa 110180010101", Some("USA110180010101"));
        check("permanent_resident_card", "US1110180010101", None);
        check("student_card", "1", None);
    }

    #[test]
    fn a_digest_has_one_form() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(person_digest(text).as_deref(), expected, "{text:?}");
        let lower = "ab".repeat(32);
        check(&lower, Some(&lower));
        check(&lower.to_uppercase(), Some(&lower));
        for wrong in
            [&lower[1..], &format!("{lower}a"), &format!(" {}", &lower[1..]), &"ag".repeat(32), "", &"ａ".repeat(64)]
        {
            check(wrong, None);
        }
    }
}
