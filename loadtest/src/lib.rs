//! Load for a running Quanyu, as a stranger who knows only the public API: it shares no code with the server.
//!
//! [`engine`] is the client, a crate of its own: it knows HTTP and nothing of vouchers, and serves closed loops as well as open ones. [`load`] is the
//! open loop with its taps, reservations and purchases; [`scenario`] says which load offers what, and looks afterwards whether everything that was
//! acknowledged is there.

pub mod campaign;
pub mod claims;
pub mod crowd;
pub mod dice;
pub mod ledger;
pub mod load;
pub mod market;
pub mod meter;
pub mod office;
pub mod people;
pub mod report;
pub mod scenario;
pub mod schedule;
pub mod settle;
pub mod stage;
pub mod summary;
pub mod till;

use std::path::PathBuf;

pub use load_client as engine;

/// Why a load could not be run; what it finds when it runs is no fault but a finding.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} is not a hex key")]
    Key(PathBuf),
    #[error("{0} is not http://HOST:PORT of a machine that is known here")]
    Url(String),
    #[error("the server cannot be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("{asked} answered {status} {body}")]
    Refused { asked: String, status: u16, body: serde_json::Value },
    #[error("{0} cannot be read as a campaign")]
    Campaign(String),
    #[error("{left} of the {what} have no answer after many tries")]
    Silent { what: &'static str, left: usize },
    #[error("{0}")]
    Nobody(String),
}

/// Unix seconds of the wall clock, which tokens and signatures go by.
pub(crate) fn wall_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
