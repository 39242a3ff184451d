//! The only place where a refusal becomes HTTP: an RFC 9457 problem that says what happened, whether anything was applied, whether
//! trying again helps, and what the reader needs for it.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use super::docs::PAGE;
use super::language::Language;
use super::middleware::Call;
use crate::domain::cashier::Words;
use crate::domain::refusal::{Code, FieldError, Outcome, Refusal};

pub const PROBLEM_JSON: &str = "application/problem+json";

/// What handlers and extractors return as their error.
#[derive(Debug)]
pub struct Problem(pub Box<Refusal>);

impl<T: Into<Refusal>> From<T> for Problem {
    fn from(refusal: T) -> Problem {
        Problem(Box::new(refusal.into()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.code.as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let call = Call::current();
        let mut body = body(&self.0, &call.request_id, call.till, call.language);
        if call.reads && self.0.code.status() == 503 && self.0.detail.is_none() {
            unread(&mut body, call.language);
        }
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON)));
        response.insert_header((CONTENT_LANGUAGE, call.language.tag()));
        response.insert_header((VARY, HeaderValue::from_static("accept-language")));
        // For the log: an answer that is made from its problem by hand carries no error any more.
        response.extensions_mut().insert(self.0.code);
        if let Some(milliseconds) = self.0.retry_after_ms {
            response.insert_header((RETRY_AFTER, milliseconds.div_ceil(1_000).max(1)));
        }
        if self.0.code.status() == 401 && !call.till {
            response.insert_header((actix_web::http::header::WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(body.to_string())
    }
}

/// The members of a problem; `extra` cannot replace one of the fixed ones. `title` and `detail` are in the language that was asked for,
/// `message` says what `detail` says in both.
pub fn body(refusal: &Refusal, request_id: &str, till: bool, language: Language) -> Value {
    let code = refusal.code;
    let (zh, en) = code.message();
    let meaning = Words { zh: zh.to_owned(), en: en.to_owned() };
    let told = refusal.told();
    let mut body = refusal.extra.clone();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("type", json!(format!("{PAGE}#{}", code.as_str())));
    put("title", json!(language.of_words(&meaning)));
    put("status", json!(code.status()));
    put("code", json!(code.as_str()));
    put("message", text(&told.zh, &told.en));
    put("retryable", json!(code.retryable() && !refusal.for_good));
    put("outcome", json!(refusal.outcome.as_str()));
    put("request_id", json!(request_id));
    put("detail", json!(language.of_words(&told)));
    if !refusal.errors.is_empty() {
        put("errors", refusal.errors.iter().map(field_error).collect());
    }
    if let Some(milliseconds) = refusal.retry_after_ms {
        put("retry_after_ms", json!(milliseconds));
    }
    if till {
        let words = refusal.words();
        let words = words.as_ref().map(|words| (words.zh.as_str(), words.en.as_str()));
        let (zh, en) = words.unwrap_or_else(|| cashier_sentence(code));
        put("pos_message", text(zh, en));
    }
    Value::Object(body)
}

/// What could not be read says nothing of an order: the texts of the code are about a call that changes something, and a till would take
/// them for what became of its order. A refusal that says its own case keeps its words.
fn unread(body: &mut Value, language: Language) {
    let told = Words {
        zh: "未能读取；这不说明订单等是否已生效，请稍后再查。".to_owned(),
        en: "It could not be read, which says nothing of what was applied: ask again in a moment.".to_owned(),
    };
    body["title"] = json!(language.of_words(&told));
    body["detail"] = body["title"].clone();
    body["message"] = text(&told.zh, &told.en);
    if body.get("pos_message").is_some() {
        body["pos_message"] = text("未能查询，请稍后再查。", "It could not be looked up: try again in a moment.");
    }
}

/// A cashier always gets a sentence, even for a fault of the till's program.
fn cashier_sentence(code: Code) -> (&'static str, &'static str) {
    match code.status() {
        500.. => ("系统暂时出错，请重试同一订单。", "Something failed: try the same order again."),
        _ => ("收银系统发送的内容有误，请联系系统商。", "The till sent something wrong: call the POS vendor."),
    }
}

fn field_error(error: &FieldError) -> Value {
    json!({ "pointer": error.pointer, "code": error.code, "message": text(&error.zh, &error.en) })
}

fn text(zh: &str, en: &str) -> Value {
    json!({ "zh": zh, "en": en })
}

/// What actix itself refuses (an unreadable path, a payload cut short) as one of our codes.
pub fn of_status(status: StatusCode) -> Refusal {
    match status.as_u16() {
        404 => Code::RouteNotFound.into(),
        405 => Code::MethodNotAllowed.into(),
        406 => Code::NotAcceptable.into(),
        408 => Code::BodyTimeout.into(),
        413 => Code::BodyTooLarge.into(),
        415 => Code::UnsupportedMediaType.into(),
        400..=499 => Code::InvalidRequest.into(),
        _ => {
            let mut refusal = Refusal::new(Code::Internal);
            refusal.outcome = Outcome::Unknown;
            refusal
        }
    }
}

/// Members that every problem has, for the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[allow(dead_code, reason = "describes the JSON that `body` builds")]
pub struct ProblemSchema {
    /// Where `/docs` of this server explains the code.
    #[schema(rename = "type", example = "/docs#order_conflict")]
    kind: String,
    /// What the code means and what to do, in the language of `Content-Language`.
    title: String,
    status: u16,
    /// What was refused in this very case, in the same language.
    detail: String,
    /// Stable name of the refusal.
    code: String,
    /// What `detail` says, in both languages.
    message: TextSchema,
    /// Whether the same request may be answered otherwise later.
    retryable: bool,
    /// `not_applied`, `applied` or `unknown`.
    outcome: String,
    request_id: String,
    errors: Option<Vec<FieldErrorSchema>>,
    retry_after_ms: Option<u64>,
    /// One sentence for the cashier, shown as it is; tills only.
    pos_message: Option<TextSchema>,
}

#[derive(utoipa::ToSchema)]
#[schema(as = Text)]
#[allow(dead_code, reason = "describes the JSON that `text` builds")]
pub struct TextSchema {
    zh: String,
    en: String,
}

#[derive(utoipa::ToSchema)]
#[schema(as = FieldError)]
#[allow(dead_code, reason = "describes the JSON that `field_error` builds")]
pub struct FieldErrorSchema {
    /// RFC 6901 pointer into the body.
    pointer: String,
    code: String,
    message: TextSchema,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_was_applied_and_whether_to_try_again() {
        let refusal = Refusal::new(Code::StoreTimeout).retry_after_ms(1_200);
        let body = body(&refusal, "r-1", true, Language::En);
        assert_eq!(body["outcome"], "unknown");
        assert_eq!(body["retryable"], true);
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["pos_message"]["en"], "The result is not known: try the same order again.");
        assert_eq!(Problem::from(refusal).error_response().headers().get(RETRY_AFTER).unwrap(), "2");
    }

    #[test]
    fn what_the_reader_needs_stands_beside_the_fixed_members_and_replaces_none() {
        let refusal = Refusal::new(Code::MinimumNotMet).with("missing_amount", 400).with("status", 200);
        let body = body(&refusal, "r", false, Language::En);
        assert_eq!(body["missing_amount"], 400);
        assert_eq!(body["status"], 422);
        assert!(body.get("pos_message").is_none());
    }

    #[test]
    fn the_detail_is_of_the_case_and_never_missing() {
        let bare = Refusal::new(Code::OrderNotFound);
        let one = Refusal::new(Code::InvalidRequest).field("/amount", "out_of_range", "过小。", "Too small.");
        let two = one.clone().field("/category", "missing_field", "缺少。", "Missing.");
        let own = two.clone().detail("未读取任何内容。", "Nothing of it was read.");
        let whole = Refusal::new(Code::InvalidRequest).field("", "wrong_type", "须为对象。", "Must be an object.");
        for (refusal, zh, en) in [
            (&bare, Code::OrderNotFound.message().0, Code::OrderNotFound.message().1),
            (&one, "/amount：过小。", "/amount: Too small."),
            (&two, "/amount：过小。另有1处，见 errors。", "/amount: Too small. 1 more in errors."),
            (&own, "未读取任何内容。", "Nothing of it was read."),
            (&whole, "须为对象。", "Must be an object."),
        ] {
            for (language, detail) in [(Language::Zh, zh), (Language::En, en)] {
                let body = body(refusal, "r", false, language);
                assert_eq!((&body["detail"], &body["message"]), (&json!(detail), &json!({"zh": zh, "en": en})));
            }
        }
        for code in Code::ALL {
            for language in [Language::Zh, Language::En] {
                let detail = &body(&Refusal::new(*code), "r", false, language)["detail"];
                assert!(detail.as_str().is_some_and(|text| !text.is_empty()), "{}", code.as_str());
            }
        }
    }

    #[actix_web::test]
    async fn a_read_that_fails_says_nothing_of_what_was_applied() {
        use actix_web::body::to_bytes;
        use actix_web::test::TestRequest;
        let codes = [Code::StoreUnavailable, Code::StoreTimeout, Code::Overloaded, Code::DeadlineExceeded];
        for (code, reads) in codes.into_iter().flat_map(|code| [(code, true), (code, false)]) {
            let request = if reads { TestRequest::get() } else { TestRequest::post() };
            let request = request.uri("/v1/redemptions/A1").to_srv_request();
            let refused = crate::http::middleware::refused(&request, Refusal::new(code));
            let body = to_bytes(refused.into_body()).await.expect("a body");
            let body: Value = serde_json::from_slice(&body).expect("a problem");
            let said =
                [&body["message"], &body["pos_message"]].map(Value::to_string).concat() + &body["title"].to_string();
            let of_an_order =
                ["nothing was applied", "没有任何扣减", "same order", "same ids", "同一订单", "reverse", "冲正"];
            assert_eq!(of_an_order.iter().any(|words| said.contains(words)), !reads, "{}: {said}", code.as_str());
            assert_eq!(body["detail"], body["message"]["en"]);
        }
    }

    #[test]
    fn a_cashier_gets_a_sentence_for_every_code() {
        for code in Code::ALL {
            let body = body(&Refusal::new(*code), "r", true, Language::En);
            assert!(body["pos_message"]["zh"].as_str().is_some_and(|text| !text.is_empty()), "{}", code.as_str());
        }
    }
}
