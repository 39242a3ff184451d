//! Identity documents in one spelling, so that one person has one pseudonym however the number was typed.

use jiff::civil::Date;

use super::person::{DocumentFault, cn_id};

/// A document number as pseudonyms are made of it, and what the number itself tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub number: String,
    pub birth_date: Option<Date>,
}

/// Checks and normalises a number: capital letters, without spaces and hyphens. Types whose form is known are held to it.
pub fn document(document_type: &str, text: &str, today: Date) -> Result<Document, DocumentFault> {
    if document_type == "cn_id" {
        let id = cn_id(text, today)?;
        return Ok(Document { number: id.number, birth_date: Some(id.birth_date) });
    }
    let spaced = |c: &char| !c.is_whitespace() && *c != '-';
    let number: String = text.chars().filter(spaced).map(|c| c.to_ascii_uppercase()).collect();
    if !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(DocumentFault::Form);
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
    Ok(Document { number: holder.to_owned(), birth_date: None })
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
        check("residence_permit", "ab 12", Some("AB12"));
        check("residence_permit", "", None);
    }
}
