//! The only code that knows Redis: typed calls of scripts on slots, batched per slot, with own deadlines and no automatic re-send.

pub mod area;
mod batch;
pub mod bought;
pub mod campaign;
pub mod change;
pub mod config;
pub mod embedded;
mod error;
pub mod health;
pub mod history;
pub mod identity;
pub mod installation;
pub mod keys;
mod lane;
pub mod ledger;
mod link;
pub mod list;
pub mod made;
pub mod merchant;
pub mod order;
pub mod orders;
pub mod probe;
pub mod quota;
pub mod read;
pub mod record;
pub mod retention;
pub mod script;
pub mod serial;
pub mod snapshot;
mod unknown;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::io::tcp::{TcpSettings, socket2};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use rmpv::Value;

use crate::clock::Clock;
use batch::Call;
pub use error::StoreError;
use health::Health;
use keys::Slot;
use lane::{Lane, Wire};
pub use script::{Args, Member, Reply, Script};

/// How a store is reached and how much is in flight to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `redis://`, `rediss://` or `unix://` with optional user, password and database.
    pub url: String,
    /// Shards of the installation, 1 to 255; fixed once there are persons.
    pub shards: u8,
    /// Hot multiplexed connections, at least 4.
    pub connections: usize,
    /// After this long without an answer the outcome of a call is unknown.
    pub deadline: Duration,
    /// Calls that may wait per slot before new ones are shed.
    pub queue: usize,
    /// Check `now` of a call against the store's clock; off on a sandbox clock.
    pub clock_guard: bool,
    /// What is known of the store; nothing is written while it keeps less than is declared.
    pub health: Health,
    /// The id that the store was found with; nothing is written to one that no longer has it. Without one nobody looks.
    pub id: Option<String>,
}

impl Options {
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            shards: 1,
            connections: 4,
            deadline: Duration::from_secs(5),
            queue: 16_384,
            clock_guard: true,
            health: Health::default(),
            id: None,
        }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    options: Options,
    clock: Clock,
    client: redis::Client,
    /// For whoever has no lane of its own: jobs and commands.
    common: Arc<Lane>,
    admin: deadpool_redis::Pool,
    books: deadpool_redis::Pool,
    persons: deadpool_redis::Pool,
}

/// Why a text is no address of a store.
pub fn url_fault(url: &str) -> Option<String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| ["redis", "rediss", "unix"].contains(&scheme)) {
        return Some("it must begin with redis://, rediss:// or unix://".to_owned());
    }
    redis::Client::open(url).err().map(|error| format!("it is no address of a store: {error}"))
}

impl Store {
    /// Connects, loads every script and starts the batchers.
    pub async fn open(options: Options, clock: Clock) -> Result<Store, StoreError> {
        let info = connection_info(&options.url)?;
        let client = redis::Client::open(info.clone()).map_err(|error| StoreError::from_client(&error))?;
        let common = Arc::new(Lane::open(&client, &options, &clock, options.connections.max(4)).await?);
        let admin = pool(info.clone(), options.deadline, 8, Duration::from_secs(5))?;
        let books = pool(info.clone(), options.deadline, 4, Duration::from_secs(1))?;
        let persons = pool(info, options.deadline, 2, Duration::from_secs(1))?;
        let store = Store(Arc::new(Inner { options, clock, client, common, admin, books, persons }));
        store.load_scripts().await?;
        Ok(store)
    }

    pub fn shards(&self) -> u8 {
        self.0.options.shards
    }

    /// The slot of a merchant: there are as many as shards, fixed like them.
    pub fn merchant_slot(&self, merchant_id: &str) -> u8 {
        keys::merchant_slot(merchant_id, self.shards())
    }

    /// What the last look at the store found.
    pub fn health(&self) -> &Health {
        &self.0.options.health
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// One member through the slot's batcher. Safe to repeat: every transition is idempotent by its caller's id.
    pub async fn call(&self, script: &'static Script, slot: &Slot, member: Member) -> Result<Reply, StoreError> {
        match self.lane().queue(slot) {
            Some(queue) => queue.call(script, member).await,
            None => {
                let mut replies = self.batch(script, slot, vec![member]).await?;
                replies.pop().unwrap_or_else(|| Err(StoreError::malformed("batch")))
            }
        }
    }

    /// A batch in one script call, for jobs that make their own batches (at most 64 members keep it under a millisecond).
    pub async fn batch(
        &self,
        script: &'static Script,
        slot: &Slot,
        members: Vec<Member>,
    ) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let wire = &self.lane().wire;
        wire.batch(script, slot, &members, Instant::now() + wire.deadline).await
    }

    /// One command over a hot connection, bounded by our own deadline, never sent twice.
    pub async fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        self.lane().wire.send(command).await
    }

    /// The caller's own lane, else the common one.
    fn lane(&self) -> Arc<Lane> {
        Lane::here().unwrap_or_else(|| self.0.common.clone())
    }

    /// A typed read over a hot connection.
    pub async fn query<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StoreError> {
        let value = self.send(command).await.map_err(|error| StoreError::from_client(&error))?;
        redis::from_redis_value(value).map_err(|error| StoreError::Unknown(error.to_string()))
    }

    /// A connection of its own for administrative and long work (walks, exports), bounded in number and in waiting.
    pub async fn admin(&self) -> Result<deadpool_redis::Connection, StoreError> {
        self.0.admin.get().await.map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// A connection for statements and other reads of whole ledgers: these are few and long, so they wait for each other and for no job.
    async fn books(&self) -> Result<deadpool_redis::Connection, StoreError> {
        self.0.books.get().await.map_err(busy)
    }

    /// A connection for what residents read of a ledger, however many of them ask.
    async fn persons(&self) -> Result<deadpool_redis::Connection, StoreError> {
        self.0.persons.get().await.map_err(busy)
    }

    async fn load_scripts(&self) -> Result<(), StoreError> {
        for script in script::ALL {
            self.send(redis::cmd("SCRIPT").arg("LOAD").arg(script.text))
                .await
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", script.name)))?;
        }
        Ok(())
    }
}

impl Wire {
    /// A batch in one script call; on a full store, which has refused the whole of it, those members go on that may.
    async fn batch(
        &self,
        script: &Script,
        slot: &Slot,
        members: &[Member],
        until: Instant,
    ) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        if self.health.is_below() && script.writes() {
            return Err(StoreError::Unavailable("it keeps less than the declared durability, or lost its data".into()));
        }
        match self.run((script.text, script.hash()), slot, members, until).await {
            Err(StoreError::Full(why)) if members.iter().any(|member| member.goes_on(script)) => {
                self.batch_of_a_full_store(script, slot, members, (&why, until)).await
            }
            answer => answer,
        }
    }

    async fn batch_of_a_full_store(
        &self,
        script: &Script,
        slot: &Slot,
        members: &[Member],
        (why, until): (&str, Instant),
    ) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let going: Vec<Member> = members.iter().filter(|member| member.goes_on(script)).cloned().collect();
        let mut replies = match self.run(script.reserve(), slot, &going, until).await {
            Ok(replies) => replies.into_iter(),
            // The caller runs them one by one.
            Err(error @ StoreError::Broken(_)) => return Err(error),
            Err(error) => going.iter().map(|_| Err(error.clone())).collect::<Vec<_>>().into_iter(),
        };
        let full = || Err(StoreError::Full(why.to_owned()));
        let answer =
            |member: &Member| if member.goes_on(script) { replies.next().unwrap_or_else(full) } else { full() };
        Ok(members.iter().map(answer).collect())
    }

    async fn run(
        &self,
        form: (&str, &str),
        slot: &Slot,
        members: &[Member],
        until: Instant,
    ) -> Result<Vec<Result<Reply, StoreError>>, StoreError> {
        let now = self.clock.now();
        let call = batch::encode(slot, members, now, self.clock_guard)?;
        let reply = self.eval(form, &call, until).await?;
        batch::decode(reply, members.len(), now)
    }

    /// Runs a script by its hash; a store without the script gets it and runs it then, for NOSCRIPT means nothing ran.
    async fn eval(&self, (text, hash): (&str, &str), call: &Call, until: Instant) -> Result<redis::Value, StoreError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
        match self.send_until(&command, until).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                // Whatever becomes of the loading, the script has not run.
                let load = self.send_until(redis::cmd("SCRIPT").arg("LOAD").arg(text), until).await;
                load.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                self.send_until(&command, until).await.map_err(|error| StoreError::from_client(&error))
            }
            answer => answer.map_err(|error| StoreError::from_client(&error)),
        }
    }
}

/// An integer as scripts read it.
pub fn int(n: impl Into<i64>) -> Value {
    Value::from(n.into())
}

/// A text as scripts read it.
pub fn text(text: impl AsRef<str>) -> Value {
    Value::from(text.as_ref())
}

/// For how long the network may swallow what was sent, or an idle connection its probes, before the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(5);

/// TCP_NODELAY is off by default in this line of the client; a batch must not wait for the delayed acknowledgement of the one before.
fn connection_info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|error| StoreError::Unavailable(format!("redis.url: {error}")))?;
    Ok(match info.addr() {
        ConnectionAddr::Unix(_) => info,
        _ => info.set_tcp_settings(tcp_settings()),
    })
}

fn tcp_settings() -> TcpSettings {
    let keepalive = socket2::TcpKeepalive::new().with_time(SILENCE).with_interval(Duration::from_secs(1));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(SILENCE);
    settings
}

/// Whoever waited in vain for one of a few connections may come again.
fn busy(error: deadpool_redis::PoolError) -> StoreError {
    match error {
        deadpool_redis::PoolError::Timeout(deadpool_redis::TimeoutType::Wait) => StoreError::Overloaded,
        error => StoreError::Unavailable(error.to_string()),
    }
}

/// At most `size` connections, for one of which a caller waits at most `wait`.
fn pool(
    info: ConnectionInfo,
    deadline: Duration,
    size: usize,
    wait: Duration,
) -> Result<deadpool_redis::Pool, StoreError> {
    let bad = |error: String| StoreError::Unavailable(error);
    // The client's own half second is for small commands; a page of a list or of the ledger may take longer on a busy store.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(deadline.max(Duration::from_secs(10))));
    let manager = deadpool_redis::Manager::new_with_config(info, config).map_err(|error| bad(error.to_string()))?;
    deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(wait))
        .create_timeout(Some(Duration::from_secs(5)))
        .recycle_timeout(Some(Duration::from_secs(5)))
        .runtime(deadpool_redis::Runtime::Tokio1)
        .build()
        .map_err(|error| bad(error.to_string()))
}
