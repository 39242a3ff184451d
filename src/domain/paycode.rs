//! The code that a resident shows at a till: 18 digits, `97` + shard + 12 random digits + Luhn digit. It changes every minute
//! and is taken one step late, so that a code photographed yesterday pays nothing and a slow queue still works.

use crate::domain::time::{Ms, SECOND};

/// A shown code is replaced after this time, unless the installation says otherwise.
pub const STEP: Ms = 60 * SECOND;
/// How long before its end the phone fetches the next code, so that it never shows a dead one.
const REFRESH_BEFORE: Ms = 5 * SECOND;
/// How long the store keeps a code: long enough to tell an expired or used one from an unknown one.
pub const KEPT: Ms = 30 * 60 * SECOND;

const PREFIX: &str = "97";
const QR_PREFIX: &str = "QY1:";
const RANDOM: u64 = 1_000_000_000_000;

/// A code of the right form. Whether it lives is for the store to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayCode(String);

impl PayCode {
    /// `random` may be any number; it is reduced to 12 digits.
    pub fn new(shard: u8, random: u64) -> PayCode {
        let digits = format!("{PREFIX}{shard:03}{:012}", random % RANDOM);
        let check = luhn(&digits);
        PayCode(format!("{digits}{check}"))
    }

    /// Takes the digits or the text of the QR picture; `None` when the prefix, the length or the check digit is wrong.
    pub fn parse(text: &str) -> Option<PayCode> {
        let digits = text.strip_prefix(QR_PREFIX).unwrap_or(text);
        let right_form = digits.len() == 18 && digits.starts_with(PREFIX) && digits.bytes().all(|b| b.is_ascii_digit());
        let code = PayCode(digits.to_owned());
        (right_form && luhn(&digits[..17]) == digits.as_bytes()[17] - b'0' && code.shard_number() <= u16::from(u8::MAX))
            .then_some(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits as a number, for those who remember many.
    pub fn number(&self) -> u64 {
        self.0.bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    }

    pub fn qr(&self) -> String {
        format!("{QR_PREFIX}{}", self.0)
    }

    fn shard_number(&self) -> u16 {
        self.0[2..5].bytes().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'))
    }

    pub fn shard(&self) -> u8 {
        self.shard_number() as u8
    }
}

/// The digit that makes a typo of one digit visible.
pub(super) fn luhn(digits: &str) -> u8 {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let doubled = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

/// Whether a till may still use a code that is shown until `expires`: one step longer than the phone shows it.
pub fn accepted(expires: Ms, step: Ms, now: Ms) -> bool {
    now < expires + step
}

/// After which time the phone asks for the next code.
pub fn refresh_after(step: Ms) -> Ms {
    step - REFRESH_BEFORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_shard_and_is_read_from_digits_and_picture() {
        let code = PayCode::new(17, 583_366_901_837);
        assert!(code.as_str().starts_with("97017583366901837"));
        assert_eq!(PayCode::parse(code.as_str()), Some(code.clone()));
        assert_eq!(PayCode::parse(&code.qr()).map(|code| code.shard()), Some(17));
    }

    #[test]
    fn every_single_wrong_digit_is_noticed() {
        let code = PayCode::new(0, 42);
        for place in 0..18 {
            for digit in b'0'..=b'9' {
                let mut typo = code.as_str().as_bytes().to_vec();
                if typo[place] != digit {
                    typo[place] = digit;
                    assert_eq!(PayCode::parse(std::str::from_utf8(&typo).unwrap()), None);
                }
            }
        }
    }

    #[test]
    fn other_texts_are_not_codes() {
        for text in ["", "97", "QY1:", "９７", "281501583366901837", "97501583366901837a"] {
            assert_eq!(PayCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_code_is_taken_one_step_late_and_no_later() {
        let issued = 1_000_000;
        for step in [STEP, 30 * SECOND] {
            assert!(accepted(issued + step, step, issued + 2 * step - 1));
            assert!(!accepted(issued + step, step, issued + 2 * step));
        }
        assert_eq!(refresh_after(STEP), 55 * SECOND);
    }
}
