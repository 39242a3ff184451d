//! Identity documents in one spelling, so that one person has one pseudonym however the number was typed.

use jiff::civil::Date;

use super::campaign::spelling::{did_you_mean, nearest};
use super::person::{DocumentFault, MacKey, Root, cn_id};
use super::typed::typed;

/// The words for documents whose forms are known. A program may have papers of its own under other words.
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
        if !is_type(self.document_type) {
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
                    "须为摘要的十六进制数，如 SHA-256 或 SM3 的 64 位，不得截短；其他标识为 1 至 128 个可见 ASCII 字符，不含空格。",
                    "Must be a whole digest in hexadecimal, such as the 64 digits of SHA-256 or SM3; another name of a person has 1 to 128 visible ASCII characters and no space.",
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

/// Whether a word may stand for a document. A slip of a known word may not: it would be another person with the same paper.
fn is_type(word: &str) -> bool {
    let is_word = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    DOCUMENT_TYPES.contains(&word)
        || ((1..=40).contains(&word.len()) && is_word && !DOCUMENT_TYPES.iter().any(|known| is_slip(word, known)))
}

/// One letter left out, one too many, or two that stand side by side swapped. A letter in place of another may be another word.
fn is_slip(word: &str, known: &str) -> bool {
    let lacks_one = |short: &str, long: &str| {
        short.len() + 1 == long.len() && (0..long.len()).any(|i| long[..i] == short[..i] && long[i + 1..] == short[i..])
    };
    let swapped = |i: usize| {
        let mut bytes = known.as_bytes().to_vec();
        bytes.swap(i, i + 1);
        bytes == word.as_bytes()
    };
    lacks_one(word, known) || lacks_one(known, word) || (0..known.len() - 1).any(swapped)
}

/// What a word is told that stands for no document: a slip of a known one, or no word at all.
fn unknown_type(word: &str) -> NamesNobody {
    let (meant_zh, meant_en) = did_you_mean(nearest(word, &DOCUMENT_TYPES));
    let zh = format!("不是已知的证件类型：{}。{meant_zh}", DOCUMENT_TYPES.join("、"));
    let en = format!("Not a document type; known: {}.{meant_en}", DOCUMENT_TYPES.join(", "));
    nobody("document_type", "unknown_value", &zh, &en)
}

/// What a campaign's file is told of a word that is none of the known documents, in Chinese and English: the program's own stands for a paper
/// only where everybody writes it alike, and one that may not stand for any lets nobody in.
pub fn not_known(word: &str) -> Option<(String, String)> {
    if DOCUMENT_TYPES.contains(&word) {
        return None;
    }
    let (meant_zh, meant_en) = did_you_mean(nearest(word, &DOCUMENT_TYPES));
    let known = DOCUMENT_TYPES;
    Some(match is_type(word) {
        true => (
            format!(
                "“{word}”是本项目自己的证件类型，不在已知的 {} 之列：令牌、名单与导入中须写得完全一样。{meant_zh}",
                known.join("、")
            ),
            format!(
                "\"{word}\" is a document type of the program's own, none of the known {}: tokens, lists and imports must spell it in the same way.{meant_en}",
                known.join(", ")
            ),
        ),
        false => (
            format!("没有证件可以叫“{word}”，无人符合；已知的有 {}。{meant_zh}", known.join("、")),
            format!(
                "No document may be called \"{word}\", so nobody has it; known are {}.{meant_en}",
                known.join(", ")
            ),
        ),
    })
}

fn nobody(field: &'static str, code: &'static str, zh: &str, en: &str) -> NamesNobody {
    NamesNobody { field, code, zh: zh.to_owned(), en: en.to_owned() }
}

/// What a provider tells in place of the number, in the one form that names the person. Hexadecimal digits are one digest in either
/// case, and a long row of them is as long as a digest is: a cut one would be another person. Anything else is compared as it stands.
fn person_digest(text: &str) -> Option<String> {
    if !(1..=128).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(text.to_owned());
    }
    (text.len() <= 32 || matches!(text.len(), 40 | 48 | 56 | 64 | 96 | 128)).then(|| text.to_ascii_lowercase())
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
        _ => (1..=64).contains(&number.len()),
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
        check("residence_permit", "ab 12", Some("AB12"));
        check("residence_permit", "", None);
        check("permanent_resident_card", "usa 110180010101", Some("USA110180010101"));
        check("permanent_resident_card", "US1110180010101", None);
        check("kr_rrn", "900101-1234567", Some("9001011234567"));
        check("household", "", None);
    }

    #[test]
    fn a_program_may_have_papers_of_its_own_and_a_slip_of_a_known_word_is_none() {
        for word in ["cn_id", "kr_rrn", "th_id", "tw_id", "vn_id", "household", "student_card", &"a".repeat(40)] {
            assert!(is_type(word), "{word}");
        }
        for slip in
            ["cnid", "cn_idd", "c_nid", "pasport", "passports", "passprot", "CN_ID", "cn_id ", "", &"a".repeat(41)]
        {
            assert!(!is_type(slip), "{slip}");
        }
    }

    #[test]
    fn a_digest_has_one_form() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(person_digest(text).as_deref(), expected, "{text:?}");
        let lower = "ab".repeat(32);
        check(&lower, Some(&lower));
        check(&lower.to_uppercase(), Some(&lower));
        check(&lower[..40].to_uppercase(), Some(&lower[..40]));
        check("D0", Some("d0"));
        let base64 = "qL8R4QIcQ/ZsRqOAbeRfcZhilN/MksRtDaErMA+9";
        check(base64, Some(base64));
        check("d\"1", Some("d\"1"));
        let longest = "x".repeat(128);
        check(&longest, Some(&longest));
        let cut = [&lower[1..], &lower[..33], &format!("{lower}a")];
        let unseen =
            [&format!(" {}", &lower[1..]), &format!("{lower}\n"), "", "张伟", &"ａ".repeat(20), &"x".repeat(129)];
        cut.iter().chain(&unseen).for_each(|wrong| check(wrong, None));
    }
}
