//! What section 1 of the contract says about every answer, checked on every answer of every test.

use serde_json::Value;

use super::client::{Reply, Request};

#[track_caller]
pub fn check(request: &Request, reply: &Reply) {
    let what = || format!("{} {} -> {} {}", request.method, request.path, reply.status, reply.text());
    if !request.path.starts_with("/v1/") {
        return;
    }
    assert!(reply.status != 500, "an internal error: {}", what());
    let id = reply.header("request-id");
    assert!(id.is_some_and(|id| !id.is_empty()), "no Request-Id: {}", what());
    if reply.status >= 400 {
        check_problem(reply, id.unwrap_or_default(), &what());
    }
}

fn check_problem(reply: &Reply, request_id: &str, what: &str) {
    let kind = reply.header("content-type").unwrap_or("");
    assert!(kind.starts_with("application/problem+json"), "content type {kind}: {what}");
    for field in ["title", "detail"] {
        assert!(reply[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is missing: {what}");
    }
    assert_eq!(reply.int("status"), i64::from(reply.status), "{what}");
    let code = reply.code();
    // `/docs` has a place for every code; `callers.rs` looks.
    assert_eq!(reply.str("type"), format!("/docs#{code}"), "{what}");
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!code.is_empty() && code.chars().all(snake), "code {code:?}: {what}");
    assert!(reply["retryable"].is_boolean(), "retryable is missing: {what}");
    let outcome = reply.str("outcome");
    assert!(["not_applied", "applied", "unknown"].contains(&outcome), "outcome {outcome}: {what}");
    assert_eq!(reply.str("request_id"), request_id, "{what}");
    let paused = reply.code() == "campaign_not_running" && reply["retryable"] == true;
    if reply.status == 429 || paused {
        assert!(reply.header("retry-after").is_some(), "no Retry-After: {what}");
    }
    for fault in reply["errors"].as_array().into_iter().flatten() {
        let pointer = fault["pointer"].as_str();
        assert!(pointer.is_some_and(|p| p.is_empty() || p.starts_with(['/', '?'])), "pointer: {what}");
        assert!(fault["code"].is_string(), "a fault without a code: {what}");
        assert!(both_languages(&fault["message"]), "a fault without its words: {what}");
    }
}

pub fn both_languages(text: &Value) -> bool {
    let filled = |key: &str| text[key].as_str().is_some_and(|words| !words.is_empty());
    filled("zh") && filled("en")
}
