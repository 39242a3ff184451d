//! How a success becomes HTTP: JSON with the headers that the API promises. `Request-Id` is added by the middleware.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use serde::Serialize;

use super::error::Problem;
use crate::engine::config::expect::Expect;

pub const DURABILITY: HeaderName = HeaderName::from_static("durability");
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a handler returns; `?` works on refusals and on everything that becomes one.
pub type Result<T = Answer> = std::result::Result<T, Problem>;

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
    etag: Option<String>,
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Answer {
        Answer::json(StatusCode::OK, body)
    }

    pub fn created(body: &impl Serialize) -> Answer {
        Answer::json(StatusCode::CREATED, body)
    }

    pub fn no_content() -> Answer {
        Answer { status: StatusCode::NO_CONTENT, body: Bytes::new(), headers: Vec::new(), etag: None }
    }

    /// JSON that was written before, such as the frequent answers to a tap.
    pub fn raw(json: impl Into<Bytes>) -> Answer {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Answer { status: StatusCode::OK, body: json.into(), headers, etag: None }
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Answer {
        match serde_json::to_vec(body) {
            Ok(text) => Answer { status, ..Answer::raw(text) },
            Err(error) => {
                // Only a map with keys that are not strings gets here, which is a fault of ours: no effect may be denied.
                tracing::error!(%error, "an answer cannot be written as JSON");
                Answer { status: StatusCode::INTERNAL_SERVER_ERROR, ..Answer::raw("{}") }
            }
        }
    }

    /// An effect took place (now or at the first request with these ids), and how it is kept.
    pub fn effect(self, durability: &str, replayed: bool) -> Answer {
        let answer = self.header(DURABILITY, durability);
        if replayed { answer.header(IDEMPOTENT_REPLAYED, "true") } else { answer }
    }

    /// Names the version of what is answered; a GET with an equal `If-None-Match` becomes 304.
    pub fn etag(mut self, version: impl std::fmt::Display) -> Answer {
        self.etag = Some(format!("\"{version}\""));
        self
    }

    pub fn location(self, path: &str) -> Answer {
        self.header(LOCATION, path)
    }

    /// Sets a header that has a value already, such as the type of a body that is not JSON.
    pub fn replace_header(mut self, name: HeaderName, value: &str) -> Answer {
        self.headers.retain(|(known, _)| *known != name);
        self.header(name, value)
    }

    /// A header value that cannot be sent is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Answer {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let unchanged =
            self.etag.as_deref().is_some_and(|etag| request.method().is_safe() && listed(request, IF_NONE_MATCH, etag));
        let mut response = HttpResponse::build(if unchanged { StatusCode::NOT_MODIFIED } else { self.status });
        response.insert_header((CACHE_CONTROL, if self.etag.is_some() { "private, no-cache" } else { "no-store" }));
        if let Some(etag) = &self.etag {
            response.insert_header((ETAG, etag.as_str()));
        }
        // A handler that names its own caching comes last and wins.
        for header in self.headers {
            response.insert_header(header);
        }
        if unchanged { response.finish() } else { response.body(self.body) }
    }
}

fn listed(request: &HttpRequest, name: HeaderName, etag: &str) -> bool {
    let values = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// `If-None-Match: *`, or `If-Match` with `*` or with tags of ours; a weak tag and what is no tag match nothing (RFC 9110, 13.1.1).
pub fn expectation(request: &HttpRequest) -> Option<Expect> {
    let header = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if header(IF_NONE_MATCH).as_deref() == Some("*") {
        return Some(Expect::Absent);
    }
    let values: Vec<String> = request
        .headers()
        .get_all(IF_MATCH)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let text = (!values.is_empty()).then(|| values.join(", "))?;
    if text.trim() == "*" {
        return Some(Expect::Present);
    }
    let version = |tag: &str| tag.trim().trim_matches('"').parse::<u64>().ok();
    Some(Expect::OneOf(text.split(',').filter_map(version).collect(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;
    use serde_json::json;

    #[actix_web::test]
    async fn an_effect_says_how_it_is_kept_and_whether_it_was_there_before() {
        let response =
            Answer::created(&json!({"a": 1})).effect("D2", true).respond_to(&TestRequest::default().to_http_request());
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers().get("durability").unwrap(), "D2");
        assert_eq!(response.headers().get("idempotent-replayed").unwrap(), "true");
        assert_eq!(to_bytes(response.into_body()).await.unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn a_writer_names_the_versions_that_may_be_replaced() {
        for (header, sent, holds) in [
            (IF_MATCH, "*", true),
            (IF_MATCH, " * ", true),
            (IF_MATCH, "\"7\"", true),
            (IF_MATCH, "7", true),
            (IF_MATCH, "\"6\", \"7\"", true),
            (IF_MATCH, "\"6\"", false),
            (IF_MATCH, "W/\"7\"", false),
            (IF_MATCH, "\"x\"", false),
            (IF_NONE_MATCH, "*", false),
        ] {
            let request = TestRequest::put().insert_header((header.clone(), sent)).to_http_request();
            let expect = expectation(&request).expect("an expectation");
            assert_eq!(expect.holds_for(7), holds, "{header}: {sent}");
        }
        assert_eq!(expectation(&TestRequest::put().to_http_request()), None);
    }

    #[test]
    fn a_reader_that_knows_the_version_gets_no_body() {
        for (known, status) in [("\"7\"", 304), ("W/\"7\"", 304), ("\"6\", \"7\"", 304), ("\"8\"", 200)] {
            let request = TestRequest::get().insert_header((IF_NONE_MATCH, known)).to_http_request();
            assert_eq!(Answer::ok(&1).etag(7).respond_to(&request).status(), status, "{known}");
        }
    }
}
