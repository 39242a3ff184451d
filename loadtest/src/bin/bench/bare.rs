//! What the service is compared with: an actix-web handler that does nothing but answer, and the usual ways of giving vouchers away,
//! each a few lines over the same store.
//!
//! The peers get the best connection there is, one multiplexed connection made on each worker's own runtime; with a pool in front they
//! are two to three times slower. None of them checks who asks, knows a campaign or keeps a ledger that balances.

use std::cell::Cell;
use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Path, post};
use actix_web::{App, HttpResponse, HttpServer};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisResult, Script, cmd};

use super::Fault;

/// Every peer starts with more packs than a run can take.
const STOCK: i64 = 1_000_000_000;
/// Packs that a node takes at once into its own hands.
const LEASE: i64 = 100;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The stored answer of the service, split for actix.
#[derive(Clone)]
struct Canned {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Canned {
    /// An answer as it came over the wire. What actix writes by itself is left to it.
    fn read(bytes: &[u8]) -> Option<Canned> {
        let body = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..body]).ok()?;
        let status = StatusCode::from_bytes(bytes.get(9..12)?).ok()?;
        let pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let own = pairs.filter(|(name, _)| !["content-length", "date", "connection"].contains(name));
        let headers = own.map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)));
        Some(Canned { status, headers: headers.collect::<Option<_>>()?, body: Bytes::copy_from_slice(&bytes[body..]) })
    }
}

async fn bare(canned: Data<Canned>) -> HttpResponse {
    let mut response = HttpResponse::build(canned.status);
    for (name, value) in &canned.headers {
        response.insert_header((name.clone(), value.clone()));
    }
    response.body(canned.body.clone())
}

/// One worker's connection, and the packs it holds on lease.
struct Peer {
    connection: MultiplexedConnection,
    leased: Cell<i64>,
    counter_set_stream: Script,
    hash_stock: Script,
}

impl Peer {
    async fn connect(url: &str) -> RedisResult<Peer> {
        // The stock is the answer to a question we ask often, so nothing is said twice by itself.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        for key in ["counter", "two-trips", "leased"] {
            cmd("SET").arg(format!("bench:{key}:stock")).arg(STOCK).exec_async(&mut connection).await?;
        }
        cmd("HSET").arg("bench:hash").arg("stock").arg(STOCK).exec_async(&mut connection).await?;
        let counter_set_stream = Script::new(
            "if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 0 end
             if tonumber(redis.call('GET', KEYS[1])) <= 0 then return -1 end
             redis.call('DECR', KEYS[1])
             redis.call('SADD', KEYS[2], ARGV[1])
             redis.call('XADD', KEYS[3], '*', 'person', ARGV[1])
             return 1",
        );
        let hash_stock = Script::new(
            "if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
             if tonumber(redis.call('HGET', KEYS[1], 'stock')) <= 0 then return -1 end
             redis.call('HINCRBY', KEYS[1], 'stock', -1)
             redis.call('SET', KEYS[2], 1, 'PX', ARGV[1])
             return 1",
        );
        Ok(Peer { connection, leased: Cell::new(0), counter_set_stream, hash_stock })
    }

    async fn int(&self, command: &Cmd) -> RedisResult<i64> {
        command.query_async(&mut self.connection.clone()).await
    }
}

/// A counter, the set of those who have got one and a stream for whoever books it, in one script call for each request.
async fn counter_set_stream(peer: Data<Peer>, person: Path<u64>) -> HttpResponse {
    let mut call = peer.counter_set_stream.prepare_invoke();
    call.key("bench:counter:stock").key("bench:counter:persons").key("bench:counter:stream").arg(person.into_inner());
    told(call.invoke_async(&mut peer.connection.clone()).await)
}

/// Stock in the field of a hash and a key of its own for each person, which goes by itself.
async fn hash_stock(peer: Data<Peer>, person: Path<u64>) -> HttpResponse {
    let mut call = peer.hash_stock.prepare_invoke();
    call.key("bench:hash").key(format!("bench:hash:{person}")).arg(DAY_MS);
    told(call.invoke_async(&mut peer.connection.clone()).await)
}

/// Who, and then how many, as two commands that know nothing of each other.
async fn two_trips(peer: Data<Peer>, person: Path<u64>) -> HttpResponse {
    let mut first = cmd("SADD");
    match peer.int(first.arg("bench:two-trips:persons").arg(person.into_inner())).await {
        Ok(1) => told(peer.int(cmd("DECR").arg("bench:two-trips:stock")).await.map(|left| i64::from(left >= 0))),
        other => told(other),
    }
}

/// The node takes packs a hundred at a time and asks the store only who has got one.
async fn leased(peer: Data<Peer>, person: Path<u64>) -> HttpResponse {
    let mut mark = cmd("SADD");
    match peer.int(mark.arg("bench:leased:persons").arg(person.into_inner())).await {
        Ok(1) => {}
        other => return told(other),
    }
    if peer.leased.get() == 0 {
        match peer.int(cmd("DECRBY").arg("bench:leased:stock").arg(LEASE)).await {
            Ok(left) if left >= 0 => peer.leased.set(peer.leased.get() + LEASE),
            other => return told(other.map(|_| -1)),
        }
    }
    peer.leased.set(peer.leased.get() - 1);
    told(Ok(1))
}

fn told(result: RedisResult<i64>) -> HttpResponse {
    let json = |text: &'static str| HttpResponse::Ok().content_type("application/json").body(text);
    match result {
        Ok(1) => json(r#"{"outcome":"won"}"#),
        Ok(0) => json(r#"{"outcome":"had_one"}"#),
        Ok(_) => json(r#"{"outcome":"sold_out"}"#),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

/// `bench bare ANSWER NOTE WORKERS REDIS`: serves until it is ended; the address goes to the note.
pub fn run(arguments: &[String]) -> Result<(), Fault> {
    let [answer, note, workers, redis_url] = arguments else { return Err("bare takes four arguments".into()) };
    let bytes = std::fs::read(answer).map_err(|error| Fault::new(format!("{answer}: {error}")))?;
    let canned = Canned::read(&bytes).ok_or("the stored answer cannot be read")?;
    let workers = workers.parse().map_err(|_| "the number of workers is not one")?;
    let fault = |error: std::io::Error| Fault::new(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    let redis_url = redis_url.clone();
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let redis_url = redis_url.clone();
            App::new()
                .app_data(Data::new(canned.clone()))
                .data_factory(move || {
                    let redis_url = redis_url.clone();
                    async move { Peer::connect(&redis_url).await }
                })
                .route("/v1/campaigns/{campaign_id}/rounds/{round_id}/claims", post().to(bare))
                .route("/peers/counter/{person}", post().to(counter_set_stream))
                .route("/peers/hash/{person}", post().to(hash_stock))
                .route("/peers/two-trips/{person}", post().to(two_trips))
                .route("/peers/leased/{person}", post().to(leased))
        });
        let server = server.workers(workers).backlog(8_192).listen(listener).map_err(fault)?.run();
        std::fs::write(note, address.to_string()).map_err(fault)?;
        server.await.map_err(fault)
    })
}
