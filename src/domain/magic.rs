//! Codes of a sandbox with which a POS vendor meets every outcome without a resident or a phone. They cannot be real ones: there is no
//! shard 999, and no voucher's number is as large as one that begins with Z.

use serde_json::json;

use crate::domain::goods::Counting;
use crate::domain::money::Fen;
use crate::domain::paycode::luhn;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;

/// `97`, shard 999, nine digits that mean nothing, three that name the outcome, Luhn digit.
const PAY_CODE: &str = "97999";
/// 23 letters and the outcome.
const VOUCHER: &str = "ZZZZZZZZZZZZZZZZZZZZZZZ";

/// What a magic code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// A customer with a fresh 60-20 and a fresh 30-10; each order has its own.
    Fine,
    /// The same, but of each order another person than the one of `Fine`.
    Another,
    Refused(Code),
    /// The first request of an order meets this and has no effect; its repeat is fine.
    Once(Code),
    /// The order is applied, its first answer is lost with the connection, and its repeat is answered.
    AnswerLost,
    /// The order is applied, its first answer says that the outcome is unknown, and its repeat is answered.
    Unknown,
}

/// Number and outcome; deploy/pos-clients/README.md lists the same.
pub const ALL: &[(u16, Magic)] = &[
    (1, Magic::Fine),
    (2, Magic::Refused(Code::VoucherUsed)),
    (3, Magic::Refused(Code::VoucherExpired)),
    (4, Magic::Refused(Code::MerchantNotEnrolled)),
    (5, Magic::Refused(Code::MinimumNotMet)),
    (6, Magic::Refused(Code::LimitReached)),
    (7, Magic::Refused(Code::RateLimited)),
    (8, Magic::Once(Code::Internal)),
    (9, Magic::AnswerLost),
    (10, Magic::Refused(Code::PayCodeExpired)),
    (11, Magic::Refused(Code::PayCodeUsed)),
    (12, Magic::Refused(Code::VoucherHeld)),
    (13, Magic::Once(Code::Overloaded)),
    (14, Magic::Unknown),
    (15, Magic::Refused(Code::NoVoucherApplicable)),
    (ANOTHER, Magic::Another),
];

/// The number of `Magic::Another`.
pub const ANOTHER: u16 = 16;

/// What a customer of a sandbox buys vouchers' goods in: a till that names another category is told so, as in a city.
pub const CATEGORIES: [&str; 11] = [
    "catering",
    "department_store",
    "supermarket",
    "tourism",
    "lodging",
    "culture",
    "sport",
    "entertainment",
    "creative",
    "appliance",
    "digital",
];

impl Magic {
    /// Of the digits or the text of a QR picture.
    pub fn of_pay_code(text: &str) -> Option<Magic> {
        let digits = text.strip_prefix("QY1:").unwrap_or(text);
        let right_form = digits.len() == 18 && digits.bytes().all(|b| b.is_ascii_digit());
        let ours = right_form && digits.starts_with(PAY_CODE) && luhn(&digits[..17]) == digits.as_bytes()[17] - b'0';
        if ours { Magic::numbered(&digits[14..17]) } else { None }
    }

    pub fn of_voucher(text: &str) -> Option<Magic> {
        Magic::numbered(text.to_ascii_uppercase().strip_prefix(VOUCHER).filter(|number| number.len() == 3)?)
    }

    fn numbered(digits: &str) -> Option<Magic> {
        let number: u16 = digits.parse().ok()?;
        ALL.iter().find(|(known, _)| *known == number).map(|(_, magic)| *magic)
    }

    /// What the till is told, with what a real refusal of this code would carry.
    pub fn refusal(code: Code, now: Ms, in_minutes: impl Fn(Ms) -> String) -> Refusal {
        let refusal = Refusal::new(code);
        match code {
            Code::MinimumNotMet => Counting::default().short_by(Fen(1_000)),
            Code::LimitReached => refusal.with(
                "limit",
                json!({"action": "redeem", "entities": ["person", "merchant"], "period": "day", "max_count": 2}),
            ),
            Code::VoucherHeld => refusal.with("until", in_minutes(now + 120_000)),
            Code::NoVoucherApplicable => refusal.with("not_taken", json!([])),
            Code::RateLimited | Code::Overloaded => refusal.retry_after_ms(1_000),
            _ => refusal,
        }
    }

    /// A quote answers what is wrong with a voucher; only what is wrong with the code or the call is a refusal.
    pub fn is_told_by_a_quote(code: Code) -> bool {
        !matches!(code, Code::PayCodeExpired | Code::PayCodeUsed | Code::RateLimited)
    }
}

/// The code with this outcome, for tests and for the certification of tills; `filler` may be anything.
pub fn pay_code(number: u16, filler: u32) -> String {
    let digits = format!("{PAY_CODE}{:09}{number:03}", filler % 1_000_000_000);
    format!("{digits}{}", luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::paycode::PayCode;

    #[test]
    fn every_outcome_has_a_pay_code_and_a_voucher_that_no_resident_can_have() {
        for (number, magic) in ALL {
            let code = pay_code(*number, 123_456);
            assert_eq!(Magic::of_pay_code(&code), Some(*magic));
            assert_eq!(Magic::of_pay_code(&format!("QY1:{code}")), Some(*magic));
            assert_eq!(Magic::of_voucher(&format!("{VOUCHER}{number:03}")), Some(*magic));
            assert_eq!(PayCode::parse(&code), None, "{code}");
        }
    }

    #[test]
    fn other_codes_are_not_magic() {
        let typo = format!("{}0", &pay_code(1, 0)[..17]);
        for text in [PayCode::new(7, 42).as_str(), &pay_code(999, 0), &typo, "", "97999", "９７９９９"] {
            assert_eq!(Magic::of_pay_code(text), None, "{text}");
        }
        for text in ["", "ZZZ", VOUCHER, "01A74R8X2C4T6EZZXKCD3GW271", "ZZZZZZZZZZZZZZZZZZZZZZZ999"] {
            assert_eq!(Magic::of_voucher(text), None, "{text}");
        }
    }
}
