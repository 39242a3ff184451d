use std::sync::Arc;

use actix_web::body::to_bytes;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, get, middleware::from_fn, post, web};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use super::*;
use crate::domain::pass::Pass;
use crate::domain::person::Pseudonym;
use crate::engine::config::cache::Recalled;
use crate::engine::key::{ApiKey, Role};
use crate::http::answer::{Answer, Result as Answered};
use crate::http::auth::{Anyone, Gate, Keys, News, Officer};
use crate::http::auth_resident::{Tapper, TokenHolder, mint};
use crate::http::auth_till::{Till, TillKey, TillKind};
use crate::http::body::{Body, MaybeBody};
use crate::http::limit::Limits;
use crate::http::openapi::{Document, unmatched};
use crate::http::ops::{self, Ops, Readiness};
use crate::signing;

const SECRET: &str = "sk_test_0123456789abcdef0123456789abcdef";
const KEY: [u8; 32] = [7; 32];

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    amount: u32,
}

#[utoipa::path(tag = "till", request_body = Order, responses((status = 200)))]
#[post("/v1/redemptions")]
async fn redeem(till: Till, order: Body<Order>) -> Answered {
    Ok(Answer::ok(&json!({ "key_id": till.key_id, "amount": order.amount })).effect("D2", false))
}

#[utoipa::path(tag = "office", responses((status = 200)))]
#[get("/v1/campaigns/{campaign_id}")]
async fn office(officer: Officer) -> Answered {
    Ok(Answer::ok(&officer.key().name))
}

#[utoipa::path(tag = "claim", responses((status = 200)))]
#[post("/v1/claims")]
async fn claim(_: Tapper, body: MaybeBody<Order>) -> Answered {
    Ok(Answer::ok(&body.0.map(|order| order.amount)))
}

#[utoipa::path(tag = "resident", responses((status = 200)))]
#[get("/v1/wallet")]
async fn wallet(resident: TokenHolder) -> Answered {
    Ok(Answer::ok(&resident.0.channel))
}

#[utoipa::path(responses((status = 200)))]
#[get("/v1/public")]
async fn public(_: Anyone) -> Answered {
    Ok(Answer::ok(&1))
}

#[utoipa::path(responses((status = 200)))]
#[get("/v1/panic/{number}")]
async fn panics(number: web::Path<u32>) -> Answered {
    panic!("{number}")
}

fn routes(config: &mut ServiceConfig) {
    ops::configure(config);
    config.service(redeem).service(office).service(claim).service(wallet).service(public).service(panics);
}

fn gate() -> Gate {
    let api_key = |text: String| {
        let found = (text == "qk_li").then(|| ApiKey::new("li", &[Role::Officer], "p"));
        async move { Ok(found) }.boxed_local()
    };
    let till_key = |key_id: String| {
        let till = Till {
            key_id: key_id.clone(),
            kind: TillKind::Terminal,
            program: "p".into(),
            merchant_id: None,
            terminal_id: None,
            channels: Vec::new(),
        };
        let found = (key_id == "k").then(|| TillKey { till, secrets: vec![SECRET.into()], revoked: false });
        async move { Ok(found) }.boxed_local()
    };
    let rates =
        crate::config::Limits { rate_office: 9, rate_resident: 9, rate_claim: 20, rate_till: 9, rate_anonymous: 3 };
    Gate {
        api_keys: Keys { recall: Box::new(|_| Recalled::Never), look_up: Box::new(api_key) },
        till_keys: Keys { recall: Box::new(|_| Recalled::Never), look_up: Box::new(till_key) },
        news: News { has_heard: Box::new(|_| true), hear: Box::new(|_| Box::pin(async { Ok(()) })) },
        tokens: Some(crate::http::auth_resident::Verifier::new(&KEY)),
        pass_keys: vec![crate::domain::person::MacKey::new(&KEY)],
        limits: Limits::new(&rates),
        turns: Default::default(),
        proxies: Default::default(),
    }
}

struct Got {
    status: u16,
    headers: HeaderMap,
    raw: Vec<u8>,
    body: Value,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Sends the requests to one fresh server.
async fn send(requests: Vec<TestRequest>) -> Vec<Got> {
    let readiness = || async { Readiness { ready: true, ..Readiness::default() } }.boxed_local();
    let (app, _) = App::new()
        .app_data(web::Data::new(gate()))
        .app_data(web::Data::new(Ops { readiness: Box::new(readiness), sandbox: true }))
        .app_data(web::Data::from(Arc::new(Document::collect(routes))))
        .into_utoipa_app()
        .configure(routes)
        .default_service(web::to(unmatched))
        .map(|app| app.wrap(from_fn(manners)))
        .split_for_parts();
    let server = init_service(app).await;
    let mut answers = Vec::new();
    for request in requests {
        let request = request.peer_addr("192.0.2.1:9".parse().unwrap()).to_request();
        let response = match actix_web::dev::Service::call(&server, request).await {
            Ok(response) => response.into_parts().1,
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let raw = to_bytes(response.into_body()).await.unwrap().to_vec();
        answers.push(Got { status, headers, body: serde_json::from_slice(&raw).unwrap_or_default(), raw });
    }
    answers
}

async fn send_one(request: TestRequest) -> Got {
    send(vec![request]).await.remove(0)
}

fn bearer(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("Authorization", format!("Bearer {token}")))
}

#[actix_web::test]
async fn every_answer_has_a_request_id_and_a_good_one_is_kept() {
    for (given, kept) in [("till-0001_a", true), ("short", false), ("with space", false), (&"a".repeat(65), false)] {
        let got = send_one(TestRequest::get().uri("/livez").insert_header(("Request-Id", given))).await;
        assert_eq!(got.header("request-id") == Some(given), kept, "{given}");
        assert!(got.header("request-id").is_some_and(is_request_id));
    }
}

#[actix_web::test]
async fn what_is_not_there_is_a_problem_that_says_so() {
    let check = async |request: TestRequest, status: u16, code: &str| {
        let got = send_one(request.insert_header(("Request-Id", "request-1"))).await;
        assert_eq!((got.status, got.body["code"].as_str()), (status, Some(code)), "{}", got.body);
        assert_eq!(got.header("content-type"), Some(PROBLEM_JSON));
        assert_eq!((got.header("request-id"), got.body["request_id"].as_str()), (Some("request-1"), Some("request-1")));
        got
    };
    check(TestRequest::get().uri("/v1/nothing"), 404, "route_not_found").await;
    let got = check(TestRequest::delete().uri("/v1/campaigns/7"), 405, "method_not_allowed").await;
    assert_eq!(got.header("allow"), Some("GET"));
    check(TestRequest::get().uri("/v1/panic/x"), 404, "route_not_found").await;
    let got = check(TestRequest::get().uri("/v1/panic/7"), 500, "internal").await;
    assert_eq!(got.body["outcome"], "unknown");
}

#[actix_web::test]
async fn an_officer_is_known_by_the_key_and_nobody_else_is() {
    let plain = || TestRequest::get().uri("/v1/campaigns/7");
    for (request, status, code) in [
        (bearer(plain(), "qk_li"), 200, None),
        (bearer(plain(), "qk_other"), 401, Some("unauthenticated")),
        (bearer(plain(), "ey.ey.ey"), 401, Some("unauthenticated")),
        (plain(), 401, Some("unauthenticated")),
        (bearer(plain(), "qk_li").append_header(("Authorization", "Bearer qk_other")), 401, Some("unauthenticated")),
    ] {
        let got = send_one(request).await;
        assert_eq!((got.status, got.body["code"].as_str()), (status, code), "{}", got.body);
    }
}

#[actix_web::test]
async fn a_tap_needs_no_body_and_is_limited_by_its_pass_only() {
    let pass = |no: u8| {
        let pass = Pass {
            campaign: 1,
            round: 0,
            shard: 0,
            channel: 0,
            choice: 255,
            entries: 1,
            pseudonym: Pseudonym([no; 32]),
            expires_at: 0,
        };
        bearer(TestRequest::post().uri("/v1/claims"), &pass.encode(&crate::domain::person::MacKey::new(&KEY)))
    };
    let mut taps: Vec<TestRequest> = (0..21).map(|_| pass(1)).collect();
    taps.extend((2..40).map(pass));
    taps.extend((0..5).map(|_| bearer(TestRequest::post().uri("/v1/claims"), "qp1.bad.bad")));
    let got = send(taps).await;
    assert!(got[..20].iter().all(|got| got.status == 200 && got.header("ratelimit").is_none()));
    assert_eq!((got[20].status, got[20].header("ratelimit-policy")), (429, Some("\"claim\";q=20;w=1")));
    assert_eq!(got[20].header("retry-after"), Some("1"));
    assert!(got[21..59].iter().all(|got| got.status == 200));
    assert!(got[59..].iter().all(|got| got.body["code"] == "token_invalid"));
}

#[actix_web::test]
async fn an_address_without_a_caller_is_limited_and_told_so() {
    let got = send(
        (0..4)
            .map(|_| TestRequest::get().uri("/v1/public").insert_header(("X-Forwarded-For", "198.51.100.1")))
            .collect(),
    )
    .await;
    assert_eq!(got.iter().map(|got| got.status).collect::<Vec<_>>(), [200, 200, 200, 429]);
    assert_eq!(got[0].header("ratelimit"), Some("\"anonymous\";r=2;t=1"));
    assert_eq!(got[3].body["limit"]["requests"], 3);
}

#[actix_web::test]
async fn a_resident_is_known_by_the_token() {
    let token = mint(r#"{"channel":"wechat","document_type":"passport","document_number":"E1"}"#, &KEY).unwrap();
    let got = send_one(bearer(TestRequest::get().uri("/v1/wallet"), &token)).await;
    assert_eq!((got.status, got.body), (200, json!("wechat")));
}

#[actix_web::test]
async fn every_answer_to_a_request_that_a_till_signed_is_signed_and_no_other() {
    let nonce = "N5Qv7pX2kT9wL3aB";
    let check = async |method: Method,
                       path: &str,
                       key_id: &str,
                       body: &'static str,
                       sent: &'static str,
                       status: u16,
                       code: Option<&str>| {
        let header = signing::sign_request_at(
            crate::clock::wall_ms() / 1000,
            nonce,
            method.as_str(),
            path,
            key_id,
            SECRET,
            body.as_bytes(),
        );
        let request = TestRequest::with_uri(path).method(method).insert_header(("Authorization", header));
        let got = send_one(request.insert_header(("Content-Type", "application/json")).set_payload(sent)).await;
        assert_eq!((got.status, got.body["code"].as_str()), (status, code), "{}", got.body);
        assert!(code.is_none() || got.body["pos_message"]["zh"].is_string());
        let signed = got.header("quanyu-timestamp").zip(got.header("quanyu-signature"));
        assert_eq!(signed.is_some(), key_id == "k" && body == sent, "{path} {}", got.body);
        if let Some((timestamp, signature)) = signed {
            assert!(signing::answer_is_signed(SECRET, status, timestamp, nonce, &got.raw, signature));
        }
    };
    let (order, path) = (r#"{"amount":1}"#, "/v1/redemptions");
    check(Method::POST, path, "k", order, order, 200, None).await;
    check(Method::POST, path, "k", order, r#"{"amount":2}"#, 401, Some("signature_invalid")).await;
    check(Method::POST, path, "k", r#"{"amount":1.5}"#, r#"{"amount":1.5}"#, 422, Some("invalid_request")).await;
    check(Method::DELETE, path, "k", "", "", 405, Some("method_not_allowed")).await;
    check(Method::POST, "/v1/redemptions/x/y/z", "k", "", "", 404, Some("route_not_found")).await;
    check(Method::POST, path, "unknown", order, order, 401, Some("signature_invalid")).await;
}

#[actix_web::test]
async fn an_idempotency_key_is_echoed() {
    let got = send_one(TestRequest::get().uri("/version").insert_header(("Idempotency-Key", "\"a\""))).await;
    assert_eq!(got.header("idempotency-key"), Some("\"a\""));
    assert_eq!(got.body["sandbox"], true);
}

#[actix_web::test]
async fn a_handler_that_takes_too_long_leaves_the_outcome_unknown() {
    let response = CALL.sync_scope(
        Call { request_id: "r".into(), till: true, reads: false, language: Language::default(), notes: Rc::default() },
        || unknown(Code::DeadlineExceeded),
    );
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
    assert_eq!(
        (&body["outcome"], &body["code"], &body["request_id"]),
        (&json!("unknown"), &json!("deadline_exceeded"), &json!("r"))
    );
}

/// Sends the text over a real connection and reads all of the answer.
async fn over_a_connection(text: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let document = web::Data::from(Arc::new(Document::collect(routes)));
    let gate = web::Data::new(gate());
    let app = move || {
        let app = App::new().app_data(gate.clone()).app_data(document.clone()).into_utoipa_app().configure(routes);
        app.default_service(web::to(unmatched)).map(|app| app.wrap(from_fn(manners))).into_app()
    };
    let server = actix_web::HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    answer
}

#[actix_web::test]
async fn over_a_connection_too_every_refusal_is_a_problem_with_its_id() {
    let check = async |head: &str, expected: &str| {
        let answer =
            over_a_connection(&format!("{head}host: h\r\nconnection: close\r\nrequest-id: request-1\r\n\r\n")).await;
        assert!(answer.starts_with(expected), "{answer}");
        assert!(
            answer.contains("request-id: request-1\r\n") && answer.contains(r#""request_id":"request-1""#),
            "{answer}"
        );
    };
    check("GET /v1/panic/7 HTTP/1.1\r\n", "HTTP/1.1 500").await;
    check("POST /v1/livez HTTP/1.1\r\n", "HTTP/1.1 404").await;
    check("POST /livez HTTP/1.1\r\n", "HTTP/1.1 405").await;
    check("POST /v1/redemptions HTTP/1.1\r\ncontent-length: 20000\r\n", "HTTP/1.1 401").await;
    let nonce = signing::fresh_nonce();
    let header =
        signing::sign_request_at(crate::clock::wall_ms() / 1000, &nonce, "POST", "/v1/redemptions", "k", SECRET, b"");
    check(
        &format!("POST /v1/redemptions HTTP/1.1\r\nauthorization: {header}\r\ncontent-length: 70000\r\n"),
        "HTTP/1.1 413",
    )
    .await;
}
