//! Names that callers give to things, parsed once; nothing that fails here reaches a key.

use crate::domain::refusal::{Code, Refusal};

/// The longest id of an order, and of what callers name.
pub const LONGEST: usize = 64;

/// An order's id, as the till's own system writes it: 1 to 64 printable ASCII characters, spaces and slashes included.
pub fn order_id(pointer: &str, text: &str) -> Result<String, Refusal> {
    if (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(Code::InvalidRequest).field(
        pointer,
        "invalid_id",
        "须为 1 至 64 个可打印的 ASCII 字符。",
        "Must be 1 to 64 printable ASCII characters.",
    ))
}

/// A caller's id: 1 to 64 of `[A-Za-z0-9_.-]` (refunds, terminals, stores, merchants, keys).
pub fn caller_id(pointer: &str, text: &str) -> Result<String, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=LONGEST).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(Refusal::new(Code::InvalidRequest).field(
        pointer,
        "invalid_id",
        "须为 1 至 64 个字母、数字或 _ . -。",
        "Must be 1 to 64 of letters, digits, _ . and -.",
    ))
}

/// What a city or department is called: 1 to 64 letters, digits, signs and spaces of any script, and no slash, behind which its records have
/// their ids.
pub fn program(text: &str) -> Result<String, String> {
    if !(1..=64).contains(&text.chars().count()) || text.trim() != text {
        return Err("it needs 1 to 64 characters, without spaces around them".to_owned());
    }
    match text.chars().find(|c| *c == '/' || c.is_control()) {
        Some(c) => Err(format!("{c:?} is not a character of a program's name")),
        None => Ok(text.to_owned()),
    }
}

/// What another system calls a person or a device, compared as it stands: 1 to 128 visible ASCII characters.
pub fn opaque(text: &str) -> Option<String> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// A channel's name, as a campaign file may have it.
pub fn is_channel(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=40).contains(&text.len()) && text.bytes().all(allowed)
}

/// A campaign's id: `[a-z0-9-]{2,40}`.
pub fn is_campaign_id(text: &str) -> bool {
    (2..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
