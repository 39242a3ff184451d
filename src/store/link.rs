//! A link is one place for a connection to the store. A connection that fails is replaced behind it, again and again until that
//! succeeds, so a lane heals by itself; meanwhile calls take the other links.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use redis::aio::{MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult};
use tokio::sync::Notify;

/// A connection that has not been made by then is tried anew.
const CONNECTING: Duration = Duration::from_secs(2);
/// How often an idle connection is asked whether it still answers.
const LOOK: Duration = Duration::from_secs(1);
/// Attempts at the start; later there is no last one.
const FIRST_ATTEMPTS: usize = 5;

pub(super) struct Link {
    client: redis::Client,
    /// How long an answer may take.
    deadline: Duration,
    current: ArcSwap<Connection>,
    failed: Arc<Notify>,
}

/// One connection, until it fails; then it is never used again.
pub(super) struct Connection {
    pub(super) wire: MultiplexedConnection,
    whole: Arc<AtomicBool>,
}

impl Link {
    pub(super) async fn open(client: &redis::Client, deadline: Duration) -> RedisResult<Link> {
        let client = told_of_ends(client)?;
        let failed = Arc::new(Notify::new());
        let mut pauses = pauses().take(FIRST_ATTEMPTS - 1);
        let first = loop {
            let error = match connect(&client, &failed).await {
                Ok(connection) => break connection,
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tokio::time::sleep(pause).await;
        };
        Ok(Link { client, deadline, current: ArcSwap::from_pointee(first), failed })
    }

    /// The connection, unless it is known to have failed.
    pub(super) fn whole(&self) -> Option<Arc<Connection>> {
        let current = self.current.load_full();
        current.whole.load(Ordering::Acquire).then_some(current)
    }

    /// Has the connection replaced over which a call had this error, if the error says that it cannot be used.
    pub(super) fn note(&self, used: &Connection, error: &RedisError) {
        let refused = matches!(error.code(), Some("NOAUTH" | "WRONGPASS"));
        let failed = refused || matches!(error.kind(), ErrorKind::Io | ErrorKind::AuthenticationFailed);
        if failed && used.whole.swap(false, Ordering::AcqRel) {
            self.failed.notify_one();
        }
    }

    /// Keeps a whole connection in the link for as long as it is polled.
    pub(super) async fn keep(self: Arc<Link>) {
        while AssertUnwindSafe(self.keep_whole()).catch_unwind().await.is_err() {
            tracing::error!("the keeper of a connection to the store panicked and goes on");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn keep_whole(&self) {
        loop {
            let _ = tokio::time::timeout(LOOK, self.failed.notified()).await;
            match self.whole() {
                Some(connection) => self.ask(&connection).await,
                None => self.replace().await,
            }
        }
    }

    /// A connection that leads nowhere is found here, before a call is lost on it.
    async fn ask(&self, connection: &Connection) {
        let (mut wire, ping) = (connection.wire.clone(), redis::cmd("PING"));
        let answer = match tokio::time::timeout(self.deadline, wire.send_packed_command(&ping)).await {
            Ok(answer) => answer.and_then(redis::Value::extract_error),
            Err(_) => Err(timed_out()),
        };
        if let Err(error) = answer {
            self.note(connection, &error);
        }
    }

    async fn replace(&self) {
        for pause in pauses() {
            // Why this fails is told by the look at the store, once for the node.
            if let Ok(connection) = connect(&self.client, &self.failed).await {
                self.current.store(Arc::new(connection));
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// How the client says that a call was given up.
pub(super) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_millis(50)), |pause| Some((*pause * 2).min(Duration::from_secs(1))))
}

/// Only with the third protocol the client tells that a connection has ended before somebody uses it.
fn told_of_ends(client: &redis::Client) -> RedisResult<redis::Client> {
    let info = client.get_connection_info();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    redis::Client::open(info.clone().set_redis_settings(settings))
}

async fn connect(client: &redis::Client, failed: &Arc<Notify>) -> RedisResult<Connection> {
    let whole = Arc::new(AtomicBool::new(true));
    let (seen, failed) = (whole.clone(), failed.clone());
    let watch = move |push: PushInfo| {
        if push.kind == PushKind::Disconnection && seen.swap(false, Ordering::AcqRel) {
            failed.notify_one();
        }
        Ok::<(), SendError>(())
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTING))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024)
        .set_push_sender(watch);
    let wire = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok(Connection { wire, whole })
}
