//! Every setting: its name, default, unit and limit. A flag beats the environment, the environment beats the file named by `--config`
//! (lines of `NAME=value`, as in deploy/service.env).

mod faults;
mod names;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::domain::time::{Ms, parse_rfc3339};
use crate::store::probe::Durability;
pub use faults::Judged;
pub use names::{SettingsFile, misnamed};

/// Settings of `quanyu serve`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Data directory: names the installation for every command.
    #[arg(long, env = "QUANYU_DATA", default_value = ".quanyu/data")]
    pub data: PathBuf,
    /// Address to listen on; port 0 takes a free one, which instance.json in the data directory names.
    #[arg(long, env = "QUANYU_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// A Redis or Valkey to use instead of the embedded one: redis://, rediss:// or unix://.
    #[arg(long, env = "QUANYU_REDIS_URL")]
    pub redis_url: Option<String>,
    /// Declared durability: D1 everysec, D2 always. Below it the service does not start (D3, replicated, is not offered yet).
    #[arg(long, env = "QUANYU_DURABILITY", default_value = "D2")]
    pub durability: Durability,
    /// Shards of the installation, 1 to 255; fixed once the store has data.
    #[arg(long, env = "QUANYU_SHARDS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub shards: u8,
    /// Store binary of the embedded store; empty searches beside this executable and on PATH.
    #[arg(long, env = "QUANYU_STORE_BINARY")]
    pub store_binary: Option<PathBuf>,
    /// MiB of memory at which the embedded store refuses new reservations, claims and redemptions, while confirms, cancels, refunds and
    /// reversals go on; 0 sets no limit.
    #[arg(long, env = "QUANYU_STORE_MEMORY_MIB", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=16_777_216))]
    pub store_memory_mib: u64,
    /// Hot connections to the store, 4 to 64.
    #[arg(long, env = "QUANYU_STORE_CONNECTIONS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=64))]
    pub store_connections: u16,
    /// Milliseconds after which a call to the store counts as unknown, 100 to 60000.
    #[arg(long, env = "QUANYU_STORE_DEADLINE_MS", default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub store_deadline_ms: u64,
    /// Calls that may wait per shard before new ones are shed with 503.
    #[arg(long, env = "QUANYU_STORE_QUEUE", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(64..))]
    pub store_queue: u32,
    /// HTTP worker threads; 0 = one per core.
    #[arg(long, env = "QUANYU_WORKERS", default_value_t = 0)]
    pub workers: u16,
    /// Seconds after SIGTERM in which readyz says 503 and requests are still taken, so that the load balancer sends none here any
    /// more, 0 to 600; a second signal ends them. Default: 5, in a sandbox 0.
    #[arg(long, env = "QUANYU_NOTICE_SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pub notice_seconds: Option<u64>,
    /// Seconds that running requests get at shutdown.
    #[arg(long, env = "QUANYU_DRAIN_SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub drain_seconds: u64,
    /// A sandbox has a campaign clock that can be set, test_ keys, and no four-eyes unless asked for.
    #[arg(long, env = "QUANYU_SANDBOX", num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    pub sandbox: bool,
    /// Sets the campaign clock of a sandbox at the start (RFC 3339), forward only once it was set by hand. Otherwise it goes on as the data keeps it, at first from the wall clock.
    #[arg(long, env = "QUANYU_CLOCK", value_parser = clock)]
    pub clock: Option<Ms>,
    /// Approval by another person than the submitter: on unless it is a sandbox.
    #[arg(long, env = "QUANYU_FOUR_EYES", num_args = 0..=1, default_missing_value = "true")]
    pub four_eyes: Option<bool>,
    /// Seconds that a pay code is shown; a till may send it one such step later. 30 to 300.
    #[arg(long, env = "QUANYU_PAY_CODE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(i64).range(30..=300))]
    pub pay_code_seconds: i64,
    /// A sandbox ready to be tried: F1 published, a merchant, a terminal, a reserved resident, the clock at the rain.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, hide = true)]
    pub first_minute: bool,
    /// Addresses and networks (CIDR, apart by commas) of the proxies in front of this server: of them, X-Forwarded-For says who the
    /// caller is. Empty: nobody is believed, and a caller is the address of its connection.
    #[arg(long, env = "QUANYU_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub log: crate::telemetry::LogSettings,
}

/// Requests per second and caller; claims are never limited per address.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Requests per second of one API key of the program office.
    #[arg(long, env = "QUANYU_RATE_OFFICE", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_office: u32,
    /// Requests per second of one resident, claims apart.
    #[arg(long, env = "QUANYU_RATE_RESIDENT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_resident: u32,
    /// Taps per second of one pass.
    #[arg(long, env = "QUANYU_RATE_CLAIM", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_claim: u32,
    /// Requests per second of one till key.
    #[arg(long, env = "QUANYU_RATE_TILL", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_till: u32,
    /// Requests per second of one address without credentials.
    #[arg(long, env = "QUANYU_RATE_ANONYMOUS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_anonymous: u32,
}

/// Who is believed when they say for whom they speak.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<TrustedProxies, String> {
        let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let network = |name: &str| {
            let whole = || name.parse::<IpAddr>().ok().map(IpNet::from);
            let network = name.parse().ok().or_else(whole);
            network.ok_or_else(|| format!("{name:?} is neither an address nor a network such as 10.0.0.0/8"))
        };
        named.map(network).collect::<Result<_, _>>().map(TrustedProxies)
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(IpNet::to_string).collect();
        out.write_str(&names.join(","))
    }
}

/// The settings that a command beside the service uses: where the installation is, and how its store is reached or started.
pub const BESIDE: [&str; 8] = [
    "QUANYU_DATA",
    "QUANYU_REDIS_URL",
    "QUANYU_DURABILITY",
    "QUANYU_STORE_BINARY",
    "QUANYU_STORE_MEMORY_MIB",
    "QUANYU_STORE_CONNECTIONS",
    "QUANYU_STORE_DEADLINE_MS",
    "QUANYU_STORE_QUEUE",
];

impl Settings {
    /// Name and value of every setting; passwords in URLs are hidden.
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let log_format = self.log.log_format.to_possible_value();
        vec![
            ("QUANYU_DATA", self.data.display().to_string()),
            ("QUANYU_LISTEN", self.listen.clone()),
            ("QUANYU_REDIS_URL", self.redis_url.as_deref().map(without_password).unwrap_or_default()),
            ("QUANYU_DURABILITY", self.durability.to_string()),
            ("QUANYU_SHARDS", self.shards.to_string()),
            ("QUANYU_STORE_BINARY", path(&self.store_binary)),
            ("QUANYU_STORE_MEMORY_MIB", self.store_memory_mib.to_string()),
            ("QUANYU_STORE_CONNECTIONS", self.store_connections.to_string()),
            ("QUANYU_STORE_DEADLINE_MS", self.store_deadline_ms.to_string()),
            ("QUANYU_STORE_QUEUE", self.store_queue.to_string()),
            ("QUANYU_WORKERS", self.workers.to_string()),
            ("QUANYU_NOTICE_SECONDS", self.notice().as_secs().to_string()),
            ("QUANYU_DRAIN_SECONDS", self.drain_seconds.to_string()),
            ("QUANYU_SANDBOX", self.sandbox.to_string()),
            ("QUANYU_CLOCK", self.clock.map(|clock| clock.to_string()).unwrap_or_default()),
            ("QUANYU_FOUR_EYES", self.four_eyes().to_string()),
            ("QUANYU_PAY_CODE_SECONDS", self.pay_code_seconds.to_string()),
            ("QUANYU_TRUSTED_PROXIES", self.trusted_proxies.to_string()),
            ("QUANYU_RATE_OFFICE", self.limits.rate_office.to_string()),
            ("QUANYU_RATE_RESIDENT", self.limits.rate_resident.to_string()),
            ("QUANYU_RATE_CLAIM", self.limits.rate_claim.to_string()),
            ("QUANYU_RATE_TILL", self.limits.rate_till.to_string()),
            ("QUANYU_RATE_ANONYMOUS", self.limits.rate_anonymous.to_string()),
            ("QUANYU_LOG", self.log.log.clone()),
            ("QUANYU_LOG_FORMAT", log_format.map(|format| format.get_name().to_owned()).unwrap_or_default()),
        ]
    }

    pub fn four_eyes(&self) -> bool {
        self.four_eyes.unwrap_or(!self.sandbox)
    }

    /// How long the node says that it is going before it takes no more connections.
    pub fn notice(&self) -> Duration {
        Duration::from_secs(self.notice_seconds.unwrap_or(if self.sandbox { 0 } else { 5 }))
    }

    pub fn store_deadline(&self) -> Duration {
        Duration::from_millis(self.store_deadline_ms)
    }

    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map(usize::from).unwrap_or(2),
            workers => usize::from(workers),
        }
    }
}

/// An address of a store as it may be shown.
pub fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    }
}

fn clock(text: &str) -> Result<Ms, String> {
    parse_rfc3339(text)
        .ok_or_else(|| format!("{text:?} is not RFC 3339 with an offset, such as 2020-07-24T18:00:00+08:00"))
}
