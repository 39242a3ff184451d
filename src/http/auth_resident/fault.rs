//! What is wrong with a resident's token, in words.

use jsonwebtoken::errors::ErrorKind;

use super::{AUDIENCE, ISSUER};
use crate::clock::wall_ms;
use crate::domain::refusal::{Code, Refusal};

/// What is wrong with a token, without repeating anything of it but the names of claims.
pub(super) fn refusal(kind: &ErrorKind) -> Refusal {
    let plain = |zh: &str, en: &str| (zh.to_owned(), en.to_owned());
    let missing = |claim: &str| (format!("缺少 {claim}。"), format!("The claim {claim} is missing."));
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
        ErrorKind::Json(error) if error.to_string().starts_with("missing field") => {
            match error.to_string().split('`').nth(1) {
                Some(claim) => missing(claim),
                None => plain("缺少必要的声明。", "A claim is missing."),
            }
        }
        ErrorKind::Json(_) => plain("有声明的类型不符。", "A claim has a wrong type."),
        _ => plain("这不是 JSON Web Token。", "It is not a JSON Web Token."),
    };
    Refusal::new(Code::TokenInvalid).detail(zh, en)
}
