//! Reading what a caller sends: at most 16 KiB of JSON, from the office 1 MiB, within five seconds, unknown fields refused, every fault with
//! its pointer.

mod repeated;
mod told;

use std::ops::Deref;
use std::time::Duration;

use actix_web::error::QueryPayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, dev};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use told::explain;

use super::auth::{officer_admitted, told_after_the_caller};
use super::error::Problem;
use crate::domain::campaign::value_from;
use crate::domain::refusal::{Code, Refusal};

pub const BODY_LIMIT: usize = 16 * 1024;
/// A campaign of 60 rounds and an area of 5,000 points fit.
pub const OFFICE_BODY_LIMIT: usize = 1024 * 1024;
/// actix has a timer for the head of a request only, so a slow body needs its own.
pub const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// A JSON body; `T` carries `#[serde(deny_unknown_fields)]`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct MaybeBody<T>(pub Option<T>);

/// No body, or an empty object: a caller that sends more expects something that this route does not do.
#[derive(Debug)]
pub struct NoBody;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let body = MaybeBody::<Nothing>::from_request(request, payload);
        Box::pin(async move { body.await.map(|_| NoBody) })
    }
}

/// The parameters of the query; `T` carries `#[serde(deny_unknown_fields)]`.
#[derive(Debug)]
pub struct Params<T>(pub T);

/// The bytes as they came, of a file whose faults are told by who reads it.
#[derive(Debug)]
pub struct RawBody(pub Bytes);

/// JSON in which no key is written twice: of two, one would count and the other be lost unseen.
#[derive(Debug)]
pub struct StrictBody(pub Value);

impl<T> Deref for Body<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for Params<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(after_the_caller(request.clone(), async move {
            let bytes = read(&request, payload).await?;
            require_json(&request)?;
            Ok(Body(parse(&bytes)?))
        }))
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for MaybeBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        // The tap of the rain has no body: nothing is cloned or boxed for longer than needed.
        if matches!(payload, dev::Payload::None) {
            return Box::pin(std::future::ready(Ok(MaybeBody(None))));
        }
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(after_the_caller(request.clone(), async move {
            let bytes = read(&request, payload).await?;
            if bytes.is_empty() {
                return Ok(MaybeBody(None));
            }
            require_json(&request)?;
            Ok(MaybeBody(Some(parse(&bytes)?)))
        }))
    }
}

impl FromRequest for RawBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(after_the_caller(request.clone(), async move { Ok(RawBody(read(&request, payload).await?)) }))
    }
}

impl FromRequest for StrictBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(after_the_caller(request.clone(), async move {
            let bytes = read(&request, payload).await?;
            require_json(&request)?;
            value_from(&bytes).map(StrictBody).map_err(|fault| {
                let malformed = fault.code == "malformed_json";
                let mut refusal = Refusal::new(if malformed { Code::MalformedJson } else { Code::InvalidRequest });
                refusal.errors = vec![fault];
                refusal
            })
        }))
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Params<T> {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        match actix_web::web::Query::<T>::from_query(request.query_string()) {
            Ok(query) => Either::Left(ready(Ok(Params(query.into_inner())))),
            Err(error) => {
                let fault = ready(Err(query_fault(&error)));
                Either::Right(Box::pin(after_the_caller(request.clone(), fault)))
            }
        }
    }
}

fn query_fault(error: &QueryPayloadError) -> Refusal {
    let message = match error {
        QueryPayloadError::Deserialize(error) => error.to_string(),
        error => error.to_string(),
    };
    let (code, name, zh, en) = explain(&message);
    let pointer = name.map(|name| format!("?{name}")).unwrap_or_else(|| "?".to_owned());
    Refusal::new(Code::InvalidRequest).field(pointer, code, zh, en)
}

/// Tells a fault after the caller is judged: the arguments of a handler are read side by side, and the first fault is the answer.
async fn after_the_caller<T>(
    request: HttpRequest,
    reading: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Problem> {
    match reading.await {
        Ok(read) => Ok(read),
        Err(fault) => Err(told_after_the_caller(&request, fault).await),
    }
}

/// Reads the whole body, bounded in size and time. Nothing large is read from anybody but an officer who was admitted before.
pub async fn read(request: &HttpRequest, payload: dev::Payload) -> Result<Bytes, Refusal> {
    let limit = match officer_admitted(request).await {
        Some(admitted) => admitted.map(|()| OFFICE_BODY_LIMIT)?,
        None => BODY_LIMIT,
    };
    read_up_to(limit, request, payload).await
}

/// The same with a bound of the caller's.
pub async fn read_up_to(limit: usize, request: &HttpRequest, payload: dev::Payload) -> Result<Bytes, Refusal> {
    read_within(BODY_DEADLINE, limit, request, payload).await
}

async fn read_within(
    deadline: Duration,
    limit: usize,
    request: &HttpRequest,
    payload: dev::Payload,
) -> Result<Bytes, Refusal> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        // What is signed and measured is what was sent.
        let (zh, en) = (
            "不接受压缩的请求体，请不带 Content-Encoding 重发。",
            "A compressed body is not taken; send it without Content-Encoding.",
        );
        return Err(Refusal::new(Code::UnsupportedMediaType).with("accept_encoding", "identity").detail(zh, en));
    }
    if header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(deadline, collect(limit, payload)).await {
        Ok(read) => read,
        Err(_) => Err(Code::BodyTimeout.into()),
    }
}

/// What a body is told that is larger than its route takes.
pub fn too_large(limit: usize) -> Refusal {
    Refusal::new(Code::BodyTooLarge)
        .with("limit", limit)
        .detail(format!("最多 {} KiB。", limit / 1024), format!("At most {} KiB.", limit / 1024))
}

async fn collect(limit: usize, mut payload: dev::Payload) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            Refusal::new(Code::MalformedJson).detail("请求体未传完即中断。", "The body ended before it was complete.")
        })?;
        if first.len() + rest.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        // Nearly every body comes in one piece, which is then not copied.
        if first.is_empty() && rest.is_empty() {
            first = chunk;
            continue;
        }
        rest.extend_from_slice(&std::mem::take(&mut first));
        rest.extend_from_slice(&chunk);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// A body of another type than the route takes.
pub fn media_type_refused(accept: &[&str]) -> Refusal {
    let (zh, en) = (accept.join(" 或 "), accept.join(" or "));
    let refusal = Refusal::new(Code::UnsupportedMediaType).with("accept", accept.to_vec());
    refusal.detail(format!("请以 Content-Type: {zh} 发送。"), format!("Send it as Content-Type: {en}."))
}

/// What is no JSON, by the place where it stops being one.
pub fn malformed(error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    let (zh, en) = (
        format!("自第 {line} 行第 {column} 列起不是 JSON；请发送一个 JSON 对象。"),
        format!("From line {line}, column {column} on this is not JSON: send one JSON object."),
    );
    Refusal::new(Code::MalformedJson).detail(zh, en)
}

fn require_json(request: &HttpRequest) -> Result<(), Refusal> {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    if media_type.trim().eq_ignore_ascii_case("application/json")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
    {
        return Ok(());
    }
    Err(media_type_refused(&["application/json"]))
}

/// Parses a JSON object into a type; the refusal points at the field and never repeats what was sent.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // serde also fills a struct from an array, by position, which no caller should come to rely on.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Refusal::new(Code::InvalidRequest).field(
            "",
            "wrong_type",
            "请求体应为 JSON 对象。",
            "The body must be a JSON object.",
        ));
    }
    if let Ok(parsed) = serde_json::from_slice(bytes) {
        return repeated::refused(bytes).map_or(Ok(parsed), Err);
    }
    // Only a body with a fault is read again, for the place of the fault: keeping track of the place costs more than reading.
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize::<_, T>(&mut deserializer).map_err(|error| {
        let path = pointer(error.path());
        // What is no JSON as a whole is malformed, whatever its beginning lacks.
        match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => refusal(&path, error.inner()),
            Err(whole) => refusal("", &whole),
        }
    })?;
    match deserializer.end() {
        Ok(()) => Ok(parsed),
        Err(error) => Err(refusal("", &error)),
    }
}

fn refusal(path: &str, error: &serde_json::Error) -> Refusal {
    if error.classify() != serde_json::error::Category::Data {
        return malformed(error);
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let (code, name, zh, en) = explain(message);
    let pointer = match name {
        // For a field that is missing the path ends at its object; for an unknown one it may name the field already.
        Some(name) if !path.ends_with(&format!("/{}", escape(name))) || code != "unknown_field" => {
            format!("{path}/{}", escape(name))
        }
        _ => path.to_owned(),
    };
    let (hint_zh, hint_en) = if code == "integer_expected" { told::of_fen(&pointer) } else { ("", "") };
    Refusal::new(Code::InvalidRequest).field(pointer, code, format!("{zh}{hint_zh}"), format!("{en}{hint_en}"))
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => pointer.extend(["/", &escape(key)]),
            Segment::Seq { index } => pointer.extend(["/", &index.to_string()]),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
