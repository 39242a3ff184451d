//! The listening side of the server, as actix-web's own but for one thing: what actix answers by itself, because no request could be read
//! (a head that is not HTTP, too long or too slow), has no body and no id. On its way out it becomes a problem with a `Request-Id`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpSocket;

use super::error::{self, PROBLEM_JSON};
use super::language::Language;
use super::middleware::{NO_SNIFF, new_id};
use crate::config::Settings;
use crate::domain::refusal::{Code, Outcome, Refusal};

/// Connections that may wait to be taken: at 18:00 thousands connect at once.
const BACKLOG: u32 = 8_192;
/// Connections of one worker.
const MOST_CONNECTIONS: usize = 25_000;
/// Within this time the head of a request has arrived.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// So long a connection without a request is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Bytes of an answer that actix gives by itself: a status line and three headers.
const LONGEST_BARE: usize = 256;

/// Binds the address of the settings and serves the application there; answers the address that it really has.
pub fn serve<F, I, S, B>(application: F, settings: &Settings) -> io::Result<(Server, SocketAddr)>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let mut server = ServerBuilder::new()
        .workers(settings.workers())
        .max_concurrent_connections(MOST_CONNECTIONS)
        .shutdown_timeout(settings.drain_seconds)
        .disable_signals();
    let shutdown = server.graceful_shutdown_signal();
    let listeners = listeners(&settings.listen)?;
    let address = listeners[0].local_addr()?;
    for listener in listeners {
        let (application, shutdown) = (application.clone(), shutdown.clone());
        server = server.listen(format!("http-{address}"), listener, move || {
            let shutdown = shutdown.clone();
            let application = application().into_factory().map_err(|error| error.into().error_response());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let shutdown = shutdown.clone();
                    async move { shutdown.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_DEADLINE)
                .finish(map_config(application, |()| AppConfig::default()));
            let accepted = fn_service(|stream: TcpStream| async move {
                let peer = stream.peer_addr().ok();
                Ok((Socket { stream, rest: Vec::new() }, Protocol::Http1, peer))
            });
            accepted.and_then(http)
        })?;
    }
    Ok((server.run(), address))
}

/// Listeners on every address of the name. The backlog counts because it is set here.
fn listeners(name: &str) -> io::Result<Vec<TcpListener>> {
    let mut bound = Vec::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in name.to_socket_addrs()? {
        match listen(address) {
            Ok(listener) => bound.push(listener),
            Err(error) => failed = error,
        }
    }
    if bound.is_empty() { Err(failed) } else { Ok(bound) }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// A connection on which no bare answer leaves.
struct Socket {
    stream: TcpStream,
    /// What still has to leave in place of a bare answer.
    rest: Vec<u8>,
}

impl Socket {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(cx))?;
        match bare_answer(bytes) {
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Some(Bare { begins: 0, status, head }) => {
                self.rest = problem(status, head);
                Poll::Ready(Ok(bytes.len()))
            }
            // The answers to the requests before it leave first.
            Some(Bare { begins, .. }) => Pin::new(&mut self.stream).poll_write(cx, &bytes[..begins]),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// An answer of actix alone, at the end of what leaves: after it the connection closes.
#[derive(Debug, PartialEq)]
struct Bare<'a> {
    begins: usize,
    status: u16,
    /// Status line and headers.
    head: &'a str,
}

/// Every answer of ours has a `Request-Id`, so what has only the headers that actix writes is its own.
fn bare_answer(bytes: &[u8]) -> Option<Bare<'_>> {
    let head = bytes.strip_suffix(b"\r\n\r\n")?;
    let looked_at = head.len().saturating_sub(LONGEST_BARE);
    let start = b"HTTP/1.1 ";
    let begins = looked_at + head[looked_at..].windows(start.len()).rposition(|window| window == start)?;
    let head = str::from_utf8(&head[begins..]).ok()?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.to_ascii_lowercase()).unwrap_or_default();
    let actix_alone = lines.all(|line| ["content-length", "connection", "date"].contains(&name(line).as_str()));
    (status >= 400 && actix_alone).then_some(Bare { begins, status, head })
}

/// The same answer as a problem.
fn problem(status: u16, head: &str) -> Vec<u8> {
    let mut refusal = Refusal::new(match status {
        408 => Code::HeadTimeout,
        431 => Code::HeadTooLarge,
        500.. => Code::Internal,
        _ => Code::MalformedRequest,
    });
    if status >= 500 {
        refusal.outcome = Outcome::Unknown;
    }
    let mut buffer = [0; 36];
    let request_id = new_id(&mut buffer);
    tracing::info!(target: "quanyu::access", status, code = refusal.code.as_str(), request_id, "answered");
    let body = error::body(&refusal, request_id, false, Language::default()).to_string();
    let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let mut lines: Vec<String> = kept.map(str::to_owned).collect();
    lines.push(format!("content-type: {PROBLEM_JSON}"));
    lines.push("content-language: en".to_owned());
    lines.push(format!("content-length: {}", body.len()));
    lines.push(format!("request-id: {request_id}"));
    lines.push(format!("{}: {}", NO_SNIFF.0, NO_SNIFF.1.to_str().unwrap_or_default()));
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "date: Fri, 24 Jul 2020 10:00:00 GMT";

    #[test]
    fn only_what_actix_answers_by_itself_is_bare() {
        let check = |before: &str, answer: &str, status: Option<u16>| {
            let bytes = format!("{before}{answer}");
            let found = bare_answer(bytes.as_bytes()).map(|bare| (bare.begins, bare.status));
            assert_eq!(found, status.map(|status| (before.len(), status)), "{bytes}");
        };
        let bad = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n{DATE}\r\n\r\n");
        let late = format!("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n{DATE}\r\n\r\n");
        check("", &bad, Some(400));
        check("", &late, Some(408));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", &bad, Some(400));
        check("", &format!("HTTP/1.1 204 No Content\r\n{DATE}\r\n\r\n"), None);
        check("", &format!("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nrequest-id: 01\r\n{DATE}\r\n\r\n"), None);
        check("", &format!("{bad}{{}}"), None);
        check("", "\r\n\r\n", None);
        check("", "", None);
    }

    #[test]
    fn a_bare_answer_becomes_a_problem_with_its_own_id() {
        for (status, reason, code) in [
            (400, "Bad Request", "malformed_request"),
            (408, "Request Timeout", "head_timeout"),
            (431, "Request Header Fields Too Large", "head_too_large"),
            (500, "Internal Server Error", "internal"),
        ] {
            let head = format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n{DATE}");
            let answer = String::from_utf8(problem(status, &head)).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()));
            let id = body["request_id"].as_str().unwrap();
            for line in [
                &format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\n{DATE}\r\n"),
                &format!("request-id: {id}"),
                "content-type: application/problem+json",
                &format!("content-length: {}", answer.len() - head.len() - 4),
            ] {
                assert!(head.contains(line), "{head} lacks {line}");
            }
        }
    }
}
