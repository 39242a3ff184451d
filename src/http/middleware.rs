//! What every request goes through: an id, a deadline, authentication of tills, panics and stray errors turned into problems, the
//! promised headers, the signature of answers to tills, and one line in the log.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::FutureExt;
use tracing::Instrument;

use super::auth_till::{self, Signer};
use super::error::{PROBLEM_JSON, Problem, of_status};
use super::language::Language;
use super::limit::Standing;
use crate::domain::refusal::{Code, Outcome, Refusal};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const NO_SNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// A request is answered within this time, or its outcome is said to be unknown.
const DEADLINE: Duration = Duration::from_secs(10);
/// Drawing, closing, importing and exporting move whole lists, and a jump of the sandbox clock does all that became due.
const LONG_DEADLINE: Duration = Duration::from_secs(600);

tokio::task_local! {
    static CALL: Call;
}

/// The request being answered, known to everything that runs for it.
#[derive(Clone)]
pub struct Call {
    pub request_id: Rc<str>,
    /// Answers to tills carry a sentence for the cashier.
    pub till: bool,
    /// It only reads, so that a failure says nothing of what was applied.
    pub reads: bool,
    /// In which a refusal is told, as `Accept-Language` asks.
    pub language: Language,
    notes: Rc<Notes>,
}

/// What is learned about the request on the way and told in the headers of its answer.
#[derive(Default)]
struct Notes {
    signer: RefCell<Option<Signer>>,
    standing: RefCell<Option<Standing>>,
    lost: Cell<bool>,
}

impl Call {
    fn of(request: &ServiceRequest) -> Call {
        let request_id = match given_id(request) {
            Some(id) => Rc::from(id),
            None => Rc::from(new_id(&mut [0; 36])),
        };
        let language = Language::of(request.headers());
        let till = auth_till::is_till_path(request.path());
        Call { request_id, till, reads: reads(request.method()), language, notes: Rc::default() }
    }

    /// Outside a request there is an empty one.
    pub fn current() -> Call {
        CALL.try_with(Call::clone).unwrap_or_else(|_| Call {
            request_id: Rc::from(""),
            till: false,
            reads: false,
            language: Language::default(),
            notes: Rc::default(),
        })
    }

    pub fn set_signer(&self, signer: Signer) {
        *self.notes.signer.borrow_mut() = Some(signer);
    }

    /// The connection ends instead of the answer: a sandbox lets a till see what a bad network does.
    pub fn lose_answer(&self) {
        self.notes.lost.set(true);
    }

    pub fn set_standing(&self, standing: Standing) {
        *self.notes.standing.borrow_mut() = Some(standing);
    }
}

/// The caller's own id of the request, if it is one.
fn given_id(request: &ServiceRequest) -> Option<&str> {
    request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_request_id(id))
}

/// A fresh id of a request.
pub(super) fn new_id(buffer: &mut [u8; 36]) -> &str {
    uuid::Uuid::now_v7().hyphenated().encode_lower(buffer)
}

/// The headers that every answer has, for an answer that did not come through [`manners`].
pub fn identified(request: &ServiceRequest, mut response: HttpResponse) -> HttpResponse {
    match given_id(request) {
        Some(id) => identify(&mut response, id),
        None => identify(&mut response, new_id(&mut [0; 36])),
    }
    echo(&mut response, echoed(request));
    response
}

/// The caller's idempotency key, which is echoed and means nothing to us.
fn echoed(request: &ServiceRequest) -> Option<HeaderValue> {
    request.headers().get(IDEMPOTENCY_KEY).filter(|key| key.len() <= 255).cloned()
}

fn echo(response: &mut HttpResponse, key: Option<HeaderValue>) {
    if let Some(key) = key {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
}

fn identify(response: &mut HttpResponse, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.headers_mut().insert(NO_SNIFF.0, NO_SNIFF.1);
}

/// A refusal as the problem that it is, for a request that did not come through [`manners`].
pub fn refused(request: &ServiceRequest, refusal: Refusal) -> HttpResponse {
    let call = Call::of(request);
    let mut response = CALL.sync_scope(call.clone(), || Problem::from(refusal).error_response());
    identify(&mut response, &call.request_id);
    echo(&mut response, echoed(request));
    if let Some(standing) = call.notes.standing.take() {
        standing.write(response.headers_mut());
    }
    response
}

/// For `App::wrap(actix_web::middleware::from_fn(manners))`, outside the routes.
pub async fn manners<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let call = Call::of(&request);
    let line = Line::of(&request);
    let key = echoed(&request);
    let answered = CALL.scope(call.clone(), answer(request, next).instrument(line.span(&call))).await;
    let finish = async |mut response: HttpResponse| {
        echo(&mut response, key);
        finish(&call, response).await
    };
    match answered {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let response = finish(response).await;
            line.write(&call, request.match_pattern().as_deref(), &response);
            let response = if call.notes.lost.get() { response.set_body(BoxBody::new(Lost)) } else { response };
            Ok(ServiceResponse::new(request, response))
        }
        // Here the request is gone, and actix takes the answer from the error.
        Err(response) => {
            let response = finish(response).await;
            line.write(&call, None, &response);
            Err(InternalError::from_response("refused", response).into())
        }
    }
}

/// The answer of the route, or of what stood in the way of it.
async fn answer<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, HttpResponse> {
    let limit = if is_long(request.method(), request.path()) { LONG_DEADLINE } else { DEADLINE };
    let route = async move {
        if Call::current().till
            && let Err(refusal) = auth_till::authenticate(&mut request).await
        {
            let response = Problem::from(refusal).error_response();
            return Ok(request.into_response(response));
        }
        if let Some(refusal) = unread_body(&request) {
            return Ok(request.into_response(Problem::from(refusal).error_response()));
        }
        next.call(request).await.map(ServiceResponse::map_into_boxed_body)
    };
    match tokio::time::timeout(limit, AssertUnwindSafe(route).catch_unwind()).await {
        Ok(Ok(Ok(response))) => Ok(response.map_body(|_, body| body)),
        Ok(Ok(Err(error))) => Err(error.error_response()),
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            Err(unknown(Code::Internal))
        }
        Err(_) => Err(unknown(Code::DeadlineExceeded)),
    }
}

/// A request that only reads takes no body: what stands in one would be ignored, and its sender would not know.
fn unread_body(request: &ServiceRequest) -> Option<Refusal> {
    let length = request.headers().get(CONTENT_LENGTH).map(|length| length.as_bytes() != b"0");
    let has_body = length.unwrap_or_else(|| request.headers().contains_key(TRANSFER_ENCODING));
    (reads(request.method()) && has_body).then(|| {
        Refusal::new(Code::InvalidRequest).field(
            "",
            "no_body_here",
            "该请求不接受请求体。",
            "This request takes no body.",
        )
    })
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn unknown(code: Code) -> HttpResponse {
    let mut refusal = Refusal::new(code);
    refusal.outcome = Outcome::Unknown;
    Problem::from(refusal.retry_after_ms(1_000)).error_response()
}

/// Headers and, for a till, the signature; what actix refused by itself becomes a problem.
async fn finish(call: &Call, response: HttpResponse) -> HttpResponse {
    let mut response = if is_stray(&response) {
        CALL.sync_scope(call.clone(), || Problem::from(of_status(response.status())).error_response())
    } else {
        response
    };
    identify(&mut response, &call.request_id);
    if let Some(standing) = call.notes.standing.take() {
        standing.write(response.headers_mut());
    }
    let Some(signer) = call.notes.signer.take() else { return response };
    let (mut response, body) = response.into_parts();
    let status = response.status().as_u16();
    match to_bytes(body).await {
        Ok(bytes) => {
            signer.sign(status, &bytes, response.headers_mut());
            response.set_body(BoxBody::new(bytes))
        }
        Err(_) => CALL.sync_scope(call.clone(), || unknown(Code::Internal)),
    }
}

/// A body that breaks before its first byte, and the connection with it.
struct Lost;

impl MessageBody for Lost {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())))
    }
}

fn is_stray(response: &HttpResponse) -> bool {
    let is = |headers: &HeaderMap, media_type: &str| {
        headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(media_type.as_bytes()))
    };
    let (status, headers) = (response.status(), response.headers());
    (status.is_client_error() || status.is_server_error())
        && !is(headers, PROBLEM_JSON)
        && !is(headers, "application/json")
}

fn is_request_id(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_long(method: &Method, path: &str) -> bool {
    const LONG: [&str; 10] =
        ["import", "draw", "close-list", "close", "reconcile", "publish", "entries", "winners", "events", "clock"];
    let last = path.rsplit('/').next().unwrap_or_default();
    LONG.contains(&last) || (method == Method::PUT && path.starts_with("/v1/lists/"))
}

/// One request in the log: the route's pattern and never its path, which may hold a pay code.
struct Line {
    method: Method,
    started: Instant,
    probe: bool,
    tap: bool,
}

impl Line {
    fn of(request: &ServiceRequest) -> Line {
        let path = request.path();
        let probe = ["/livez", "/readyz", "/metrics"].contains(&path);
        let tap = request.method() == Method::POST && path.ends_with("/claims");
        Line { method: request.method().clone(), started: Instant::now(), probe, tap }
    }

    /// A tap has no span of its own: at the opening of a rain it would cost more than the answer.
    fn span(&self, call: &Call) -> tracing::Span {
        if self.tap || self.probe {
            return tracing::Span::none();
        }
        tracing::info_span!("request", request_id = %call.request_id)
    }

    fn write(&self, call: &Call, route: Option<&str>, response: &HttpResponse) {
        if self.probe {
            return;
        }
        let (method, status, request_id) = (self.method.as_str(), response.status().as_u16(), &*call.request_id);
        let route = route.unwrap_or("-");
        let milliseconds = self.started.elapsed().as_millis() as u64;
        let code = response.extensions().get::<Code>().map_or("", |code| code.as_str());
        match status {
            500.. => {
                tracing::warn!(target: "quanyu::access", method, route, status, code, milliseconds, request_id, "answered")
            }
            400..=499 if !self.tap => {
                tracing::info!(target: "quanyu::access", method, route, status, code, milliseconds, request_id, "answered")
            }
            _ => {
                tracing::debug!(target: "quanyu::access", method, route, status, code, milliseconds, request_id, "answered")
            }
        }
    }
}

#[cfg(test)]
#[path = "middleware_tests.rs"]
mod tests;
