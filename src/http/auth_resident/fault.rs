//! What is wrong with a resident's token, in words.

use jsonwebtoken::errors::ErrorKind;

use super::claims::ATTRIBUTE_TWICE;
use super::{AUDIENCE, ISSUER};
use crate::clock::wall_ms;
use crate::domain::refusal::{Code, Refusal};

fn plain(zh: &str, en: &str) -> (String, String) {
    (zh.to_owned(), en.to_owned())
}

fn missing(claim: &str) -> (String, String) {
    (format!("缺少 {claim}。"), format!("The claim {claim} is missing."))
}

/// What the reader of JSON found. It names a claim only where that is one of ours.
fn wrong_claim(message: &str) -> (String, String) {
    let named = |text: &str| message.starts_with(text).then(|| message.split('`').nth(1)).flatten();
    match (named("missing field"), named("duplicate field")) {
        (Some(claim), _) => missing(claim),
        (_, Some(claim)) => (format!("{claim} 出现了两次。"), format!("The claim {claim} is given twice.")),
        _ if message.starts_with(ATTRIBUTE_TWICE) => plain("有属性出现了两次。", "An attribute is given twice."),
        _ => plain("有声明的类型不符。", "A claim has a wrong type."),
    }
}

/// What is wrong with a token, without repeating anything of it but the names of claims.
pub(super) fn refusal(kind: &ErrorKind) -> Refusal {
    let (zh, en) = match kind {
        ErrorKind::ExpiredSignature => return Refusal::new(Code::TokenExpired).with("server_time", wall_ms() / 1000),
        ErrorKind::InvalidSignature => {
            plain("签名不是以本服务器的密钥所作。", "The signature was not made with this server's key.")
        }
        ErrorKind::InvalidAlgorithm => plain("算法须为 HS256。", "The algorithm must be HS256."),
        ErrorKind::InvalidIssuer => (format!("iss 须为 {ISSUER}。"), format!("iss must be {ISSUER}.")),
        ErrorKind::InvalidAudience => (format!("aud 须为 {AUDIENCE}。"), format!("aud must be {AUDIENCE}.")),
        ErrorKind::MissingRequiredClaim(claim) => missing(claim),
        ErrorKind::InvalidClaimFormat(claim) => {
            (format!("{claim} 的格式有误。"), format!("The claim {claim} has a wrong form."))
        }
        ErrorKind::Json(error) => wrong_claim(&error.to_string()),
        _ => plain("这不是 JSON Web Token。", "It is not a JSON Web Token."),
    };
    Refusal::new(Code::TokenInvalid).detail(zh, en)
}
