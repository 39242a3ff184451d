//! Tills: every request is signed, and every answer to a request whose signature holds is signed too, refusals included. The signature is
//! judged before anything else is looked at, over the bytes as they came. What anybody may have sent gets an answer without a signature:
//! somebody on the way could change a request, keep the signed refusal, and hand it to the till as the answer to the real one.

mod hint;

use std::time::Instant;

use actix_web::dev::{self, ServiceRequest};
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bytes::Bytes;
use hint::Received;

use super::auth::{Gate, authorization};
use super::body;
use super::error::Problem;
use super::limit::Class;
use super::middleware::Call;
use crate::clock::wall_ms;
use crate::domain::refusal::{Code, Refusal};
use crate::signing::{self, Credentials};
pub use crate::store::merchant::TillKind;

/// A body above the limit is still read up to here, so that a till that sent it gets a refusal which it can believe.
const LONGEST_SIGNED: usize = 4 * body::BODY_LIMIT;

/// Routes on which a till calls.
pub fn is_till_path(path: &str) -> bool {
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below("/v1/redemptions") || below("/v1/transactions")
}

/// Who a signed request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Till {
    pub key_id: String,
    pub kind: TillKind,
    pub program: String,
    /// Missing for a platform.
    pub merchant_id: Option<String>,
    /// Missing for a platform and for a merchant's key.
    pub terminal_id: Option<String>,
    /// Through which a platform may name a payer by account; empty for others.
    pub channels: Vec<String>,
}

impl Till {
    /// Counts the pay codes of the request that turn out to be nobody's.
    pub fn guesses(&self) -> Guesses {
        // One terminal, a merchant's terminals, all the tills of a platform.
        let each = match self.kind {
            TillKind::Terminal => 10,
            TillKind::Merchant => 2,
            TillKind::Platform => 1,
        };
        Guesses { class: Class::Guess { each }, key_id: self.key_id.clone() }
    }
}

/// How often a key may send a pay code that nobody has: who tries numbers until one is somebody's has to wait.
pub struct Guesses {
    class: Class,
    key_id: String,
}

impl Guesses {
    pub async fn counted<T>(self, gate: &Gate, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        gate.may(self.class, &self.key_id)?;
        let done = work.await;
        if done.as_ref().is_err_and(|refusal| refusal.code == Code::PayCodeUnknown) {
            gate.limits.check(self.class, &self.key_id);
        }
        done
    }
}

/// A key as the directory knows it.
#[derive(Clone)]
pub struct TillKey {
    pub till: Till,
    /// What it may sign with, the newest first; two while it is rotated.
    pub secrets: Vec<String>,
    pub revoked: bool,
}

impl TillKey {
    pub fn of(key: &crate::engine::key::terminal::TillKey) -> TillKey {
        let till = Till {
            key_id: key.key_id.clone(),
            kind: key.kind,
            program: key.program.clone(),
            merchant_id: key.merchant_id.clone(),
            terminal_id: key.terminal_id.clone(),
            channels: key.channels.clone(),
        };
        TillKey { till, secrets: key.secrets.clone(), revoked: key.revoked }
    }

    /// The secret that made a signature.
    fn secret_of(&self, signed: impl Fn(&str) -> bool) -> Option<&str> {
        self.secrets.iter().map(String::as_str).find(|secret| signed(secret))
    }
}

impl std::fmt::Debug for TillKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TillKey").field("till", &self.till).field("revoked", &self.revoked).finish_non_exhaustive()
    }
}

/// Signs the answer that the request gets, whatever it is.
pub struct Signer {
    secret: String,
    nonce: String,
}

impl Signer {
    pub fn sign(&self, status: u16, body: &[u8], headers: &mut HeaderMap) {
        let timestamp = (wall_ms() / 1000).to_string();
        let signature = signing::answer_signature(&self.secret, status, &timestamp, &self.nonce, body);
        for (name, value) in [(signing::ANSWER_TIMESTAMP, timestamp), (signing::ANSWER_SIGNATURE, signature)] {
            if let (Ok(name), Ok(value)) = (name.parse(), value.parse()) {
                headers.insert(name, value);
            }
        }
    }
}

/// Authenticates a request on a till's route; the caller is then in its extensions and its body can be read again.
pub async fn authenticate(request: &mut ServiceRequest) -> Result<(), Refusal> {
    let gate = Gate::of(request.request())?;
    match judge_request(request, &gate).await {
        Ok(till) => {
            gate.admit(Class::Till, &till.key_id)?;
            request.extensions_mut().insert(till);
            Ok(())
        }
        Err(refusal) => {
            // Guessing keys is limited; a store that is away is not the caller's doing.
            if refusal.code.status() == 401 {
                gate.admit_address(gate.address_of(request.request()))?;
            }
            Err(refusal)
        }
    }
}

async fn judge_request(request: &mut ServiceRequest, gate: &Gate) -> Result<Till, Refusal> {
    let header = authorization(request.headers())?;
    let credentials = Credentials::parse(header)
        .map_err(|fault| Refusal::new(Code::SignatureInvalid).detail(fault.zh(), fault.to_string()))?;
    let (address, came) = (gate.address_of(request.request()), Instant::now());
    let find = || gate.find(address, &gate.till_keys, credentials.key_id.clone());
    let mut key = find().await?;
    let payload = request.take_payload();
    let bytes = body::read_up_to(LONGEST_SIGNED, request.request(), payload).await?;
    request.set_payload(dev::Payload::from(bytes.clone()));
    let mut heard = Ok(());
    if !(gate.news.has_heard)(came) {
        heard = (gate.news.hear)(came).await;
        if heard.is_ok() {
            key = find().await?;
        }
    }
    let signed_by = signing_secret(key.as_ref(), &credentials, request, &bytes);
    let signed = signed_by.is_some();
    if let Some(secret) = signed_by {
        let signer = Signer { secret: secret.to_owned(), nonce: credentials.nonce.clone() };
        Call::current().set_signer(signer);
    }
    // A till believes no answer without a signature; what this node remembers is good enough for one that says that it cannot judge.
    heard?;
    let received = Received { method: request.method().as_str(), target: target(request), body: &bytes };
    let not_signed = || hint::not_signed(&credentials, gate.tokens.is_some(), &received);
    let till = judge(key.filter(|_| signed).ok_or_else(not_signed), &credentials, wall_ms() / 1000)?;
    if bytes.len() > body::BODY_LIMIT { Err(body::too_large(body::BODY_LIMIT)) } else { Ok(till) }
}

/// The secret that made the signature. For an unknown key there is none, after the same work.
fn signing_secret<'k>(
    key: Option<&'k TillKey>,
    credentials: &Credentials,
    request: &ServiceRequest,
    body: &Bytes,
) -> Option<&'k str> {
    let signed = |secret: &str| credentials.signed(secret, request.method().as_str(), target(request), body);
    match key {
        Some(key) => key.secret_of(signed),
        None => Some("").filter(|nobodys| signed(nobodys)).and(None),
    }
}

/// Signature first: an unknown key, a wrong secret and a changed body are one answer.
fn judge(key: Result<TillKey, Refusal>, credentials: &Credentials, now: i64) -> Result<Till, Refusal> {
    let key = key?;
    if key.revoked {
        return Err(Code::KeyRevoked.into());
    }
    if !credentials.is_current(now) {
        return Err(Refusal::new(Code::TimestampOutOfRange).with("server_time", now));
    }
    Ok(key.till)
}

/// The raw path and query, as they were signed.
fn target(request: &ServiceRequest) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

impl FromRequest for Till {
    type Error = Problem;
    type Future = std::future::Ready<Result<Till, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let till = request.extensions().get::<Till>().cloned();
        std::future::ready(till.ok_or_else(|| Code::Unauthenticated.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const SECRET: &str = "sk_test_0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_595_644_800;

    fn key() -> TillKey {
        let till = Till {
            key_id: "k".into(),
            kind: TillKind::Terminal,
            program: "p".into(),
            merchant_id: Some("m".into()),
            terminal_id: Some("t".into()),
            channels: Vec::new(),
        };
        TillKey { till, secrets: vec![SECRET.into()], revoked: false }
    }

    #[test]
    fn a_request_is_admitted_by_its_raw_target_and_raw_body_within_300_seconds() {
        let check =
            |key: Option<TillKey>, sent: &str, signed: &str, body: &'static str, now: i64, expected: Option<Code>| {
                let header = signing::sign_request_at(NOW, "N5Qv7pX2kT9wL3aB", "POST", signed, "k", SECRET, b"{}");
                let request = TestRequest::post().uri(sent).to_srv_request();
                let credentials = Credentials::parse(&header).unwrap();
                let signed = signing_secret(key.as_ref(), &credentials, &request, &Bytes::from(body)).is_some();
                let judged = judge(key.filter(|_| signed).ok_or(Code::SignatureInvalid.into()), &credentials, now);
                assert_eq!(judged.as_ref().err().map(|refusal| refusal.code), expected, "{sent} {body} {now}");
            };
        let path = "/v1/redemptions/A%2D1/cancel?x=%41";
        check(Some(key()), path, path, "{}", NOW, None);
        check(Some(key()), path, path, "{}", NOW + 300, None);
        check(Some(key()), path, path, "{}", NOW - 301, Some(Code::TimestampOutOfRange));
        check(Some(key()), path, path, "{ }", NOW, Some(Code::SignatureInvalid));
        check(Some(key()), path, "/v1/redemptions/A-1/cancel?x=A", "{}", NOW, Some(Code::SignatureInvalid));
        check(None, path, path, "{}", NOW, Some(Code::SignatureInvalid));
        check(Some(TillKey { revoked: true, ..key() }), path, path, "{}", NOW, Some(Code::KeyRevoked));
        check(Some(TillKey { revoked: true, ..key() }), path, path, "{ }", NOW, Some(Code::SignatureInvalid));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert!(!format!("{:?}", key()).contains(SECRET));
    }

    #[test]
    fn only_the_tills_routes_are_signed() {
        for (path, till) in [
            ("/v1/redemptions", true),
            ("/v1/redemptions/A1/confirm", true),
            ("/v1/transactions", true),
            ("/v1/redemptionsx", false),
            ("/v1/wallet/transactions", false),
        ] {
            assert_eq!(is_till_path(path), till, "{path}");
        }
    }
}
