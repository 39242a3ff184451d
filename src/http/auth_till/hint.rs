//! What a vendor is told when a till's signature does not match: what follows from the call itself, and else everything that it may be. An
//! unknown key, a wrong secret and a changed request stay one answer, so that nobody learns which keys there are or how near a guess is.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::refusal::{Code, Refusal};
use crate::signing::{Credentials, is_signature};

/// One thing that may be wrong, with what to do about it.
struct Cause {
    code: &'static str,
    zh: &'static str,
    en: &'static str,
}

const OF_A_LIVE_SERVER: Cause = Cause {
    code: "live_key_at_a_sandbox",
    zh: "这是正式环境的密钥，而本服务器是沙箱；请用以 test_ 开头的密钥。",
    en: "The key is one of a live server, and this is a sandbox: use a key that begins with test_.",
};
const OF_A_SANDBOX: Cause = Cause {
    code: "test_key_at_a_live_server",
    zh: "这是沙箱的密钥，而本服务器是正式环境；请用以 live_ 开头的密钥。",
    en: "The key is one of a sandbox, and this is a live server: use a key that begins with live_.",
};
const ENCODING: Cause = Cause {
    code: "signature_encoding",
    zh: "签名须为 32 字节按标准 base64 编码：44 个字符，以 = 结尾；不可用十六进制或 base64url。",
    en: "A signature is 32 bytes in standard base64: 44 characters that end with =; neither hex nor base64url.",
};
const UNKNOWN_KEY: Cause = Cause {
    code: "unknown_key",
    zh: "key_id 可能有误，或不是本服务器的密钥。",
    en: "key_id may have a typo, or be a key of another server.",
};
const WRONG_SECRET: Cause = Cause {
    code: "wrong_secret",
    zh: "密钥（secret）可能有误：须按显示的原文使用，不解码，首尾无空格；轮换两次后旧密钥失效。",
    en: "The secret may be another: use the text as it was shown, not decoded, without blanks; after a second rotation the first is over.",
};
const REQUEST_CHANGED: Cause = Cause {
    code: "request_changed",
    zh: "所签内容可能与收到的不同，请与 received 对照：须签所发送的原始路径、查询串与字节，五行各以换行结尾。",
    en: "What was signed may not be what arrived; compare with received: sign raw path, query and body as sent, five lines that each end with a line feed.",
};

/// A request as it arrived.
pub struct Received<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub body: &'a [u8],
}

/// The refusal of a signature that does not match: a function of the call and of what kind of server this is.
pub fn not_signed(credentials: &Credentials, sandbox: bool, received: &Received<'_>) -> Refusal {
    let told = |cause: &Cause| json!({"code": cause.code, "message": {"zh": cause.zh, "en": cause.en}});
    let may_be: Vec<Value> = causes(credentials, sandbox).iter().map(told).collect();
    Refusal::new(Code::SignatureInvalid).with("may_be", may_be).with(
        "received",
        json!({
            "method": received.method, "target": received.target, "timestamp": credentials.timestamp,
            "nonce": credentials.nonce, "body_bytes": received.body.len(),
            "body_sha256": hex::encode(Sha256::digest(received.body)),
        }),
    )
}

fn causes(credentials: &Credentials, sandbox: bool) -> &'static [Cause] {
    if sandbox && credentials.key_id.starts_with("live_") {
        &[OF_A_LIVE_SERVER]
    } else if !sandbox && credentials.key_id.starts_with("test_") {
        &[OF_A_SANDBOX]
    } else if !is_signature(&credentials.signature) {
        &[ENCODING]
    } else {
        &[UNKNOWN_KEY, WRONG_SECRET, REQUEST_CHANGED]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::sign_request;

    #[test]
    fn a_hint_says_what_follows_from_the_call_and_else_all_that_it_may_be() {
        let of = |key_id: &str, signature: &str, sandbox| {
            let header = sign_request("POST", "/v1/redemptions", key_id, "sk_test_0123456789abcdef", b"{}");
            let credentials = Credentials { signature: signature.into(), ..Credentials::parse(&header).unwrap() };
            causes(&credentials, sandbox).iter().map(|cause| cause.code).collect::<Vec<_>>()
        };
        let other = "X6OEvyRkScfe5uDqhgJVnQOl52d6Qb/LM43c50WOVK0=";
        let unknown = ["unknown_key", "wrong_secret", "request_changed"];
        assert_eq!(of("test_t_01", other, true), unknown);
        assert_eq!(of("live_t_01", other, false), unknown);
        assert_eq!(of("live_t_01", other, true), ["live_key_at_a_sandbox"]);
        assert_eq!(of("test_t_01", other, false), ["test_key_at_a_live_server"]);
        let hex = "5f".repeat(32);
        let url_safe = other.replace('/', "_");
        for wrong in ["", &other[..43], &hex, &url_safe, "X6OEvyRkScfe5uDqhgJVnQ=="] {
            assert_eq!(of("test_t_01", wrong, true), ["signature_encoding"], "{wrong}");
        }
    }
}
