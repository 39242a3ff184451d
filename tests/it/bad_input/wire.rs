//! What reaches the port and is not a request.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::Server;
use crate::harness::fixture::EVE;

/// All that the server answers to these bytes, to the end of the connection.
fn answered(server: &Server, sent: &str) -> String {
    let mut stream = TcpStream::connect(&server.client.address).expect("the server listens");
    stream.write_all(sent.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers and closes");
    answer
}

#[test]
fn what_is_not_http_is_answered_by_a_problem_with_an_id() {
    let server = Server::at(EVE);
    let get = "GET /livez HTTP/1.1\r\nhost: h\r\n";
    let check = |sent: &str, before: &str, status: u16, code: &str| {
        let answer = answered(&server, sent);
        assert!(answer.starts_with(before), "{sent:?}: {answer}");
        let begins = answer.rfind("HTTP/1.1 ").expect("a status line");
        let (head, body) = answer[begins..].split_once("\r\n\r\n").expect("a head");
        let told = || format!("{sent:?}: {answer}");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{}", told());
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}", told()));
        let has = |line: String| head.to_ascii_lowercase().split("\r\n").any(|one| one == line);
        assert!(has("content-type: application/problem+json".into()), "{}", told());
        assert!(has(format!("request-id: {}", body["request_id"].as_str().unwrap_or("?"))), "{}", told());
        assert_eq!((&body["code"], &body["outcome"]), (&code.into(), &"not_applied".into()), "{}", told());
    };
    let malformed = |sent: &str| check(sent, "HTTP/1.1 400 ", 400, "malformed_request");
    malformed("quanyu\r\n\r\n");
    malformed("GET /livez HTTP/1.1\r\n\r\n");
    malformed("GET /livez HTTP/1.1\r\nhost: h\r\nre quest: 1\r\n\r\n");
    malformed("GET /livez HTTP/1.1\r\nhost: h\r\ncontent-length: many\r\n\r\n");
    malformed("POST /v1/redemptions HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}");
    malformed("POST /v1/redemptions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n{}");
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    check(&format!("{get}{many}\r\n"), "HTTP/1.1 431 ", 431, "head_too_large");
    // Whoever sends one request after another gets the good answers first.
    check(&format!("{get}\r\n{get}\r\nquanyu\r\n\r\n"), "HTTP/1.1 200 ", 400, "malformed_request");
    assert_eq!(answered(&server, &format!("{get}connection: close\r\n\r\n")).matches("HTTP/1.1 ").count(), 1);
}
