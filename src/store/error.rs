//! Why a call of the store has no reply, and what that says about its effect.

use crate::domain::refusal::{Code, Outcome, Refusal};

/// Words with which a server refuses a command before it runs any of it. NOPERM is none: a user who may not run the second write of a script
/// may have run the first.
const REFUSED: [&str; 13] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOREPLICAS",
    "NOSCRIPT",
    "READONLY",
    "TRYAGAIN",
    "WRONGPASS",
];

/// Why a call has no reply. A refusal is not an error: it is a reply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("the queue to the store is full")]
    Overloaded,
    #[error("the store refused before any effect: {0}")]
    Unavailable(String),
    /// Memory is at the store's `maxmemory`: it takes no new money, and nothing of the call has happened.
    #[error("the store is full: {0}")]
    Full(String),
    #[error("the outcome is not known: {0}")]
    Unknown(String),
    /// A script or a reply is broken: a fault of ours, shown to nobody but the log.
    #[error("a script failed: {0}")]
    Broken(String),
    /// The node's view of a campaign is not the shard's: reload and judge again.
    #[error("stale view of campaign {campaign}: the shard has {held}")]
    Stale { campaign: u16, held: u64 },
    #[error("this node's clock is off: the store says {0}")]
    Clock(i64),
}

impl StoreError {
    pub(super) fn malformed(what: &str) -> StoreError {
        StoreError::Broken(format!("malformed {what}"))
    }

    /// Whether the same call may succeed later.
    pub fn transient(&self) -> bool {
        !matches!(self, StoreError::Clock(_) | StoreError::Broken(_))
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            StoreError::Unknown(_) | StoreError::Broken(_) => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }

    /// The one place where a client's error becomes a statement about the effect; what is not known to be refused is unknown.
    pub fn from_client(error: &redis::RedisError) -> StoreError {
        if error.code() == Some("OOM") {
            return StoreError::Full(error.to_string());
        }
        if error.code().is_some_and(|code| REFUSED.contains(&code)) || error.is_connection_refusal() {
            return StoreError::Unavailable(error.to_string());
        }
        match error.kind() {
            redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => StoreError::Broken(error.to_string()),
            _ => StoreError::Unknown(error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        match error {
            StoreError::Overloaded => Refusal::new(Code::Overloaded).retry_after_ms(1_000),
            StoreError::Unknown(_) => Refusal::new(Code::StoreTimeout).retry_after_ms(1_000),
            StoreError::Broken(detail) => {
                tracing::error!(detail, "a script or record is broken");
                let mut refusal = Refusal::new(Code::Internal);
                refusal.outcome = Outcome::Unknown;
                refusal
            }
            StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Clock(_) | StoreError::Stale { .. } => {
                Refusal::new(Code::StoreUnavailable).retry_after_ms(1_000)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server's text becomes.
    fn read(text: &str) -> StoreError {
        let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error is a value");
        StoreError::from_client(&value.extract_error().expect_err("it is an error"))
    }

    #[test]
    fn every_text_with_which_a_server_refuses_says_that_nothing_has_happened() {
        let refused = [
            "ASK 3999 127.0.0.1:6381",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "CLUSTERDOWN Hash slot not served",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "MOVED 3999 127.0.0.1:6381",
            "NOAUTH Authentication required.",
            "NOREPLICAS Not enough good replicas to write.",
            "NOSCRIPT No matching script. Please use EVAL.",
            "READONLY You can't write against a read only replica.",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "WRONGPASS invalid username-password pair or user is disabled.",
        ];
        for text in refused {
            let error = read(text);
            assert!(matches!(error, StoreError::Unavailable(_)), "{text}: {error:?}");
            assert_eq!((error.outcome(), error.transient()), (Outcome::NotApplied, true), "{text}");
        }
        let full = read("OOM command not allowed when used memory > 'maxmemory'.");
        assert!(matches!(full, StoreError::Full(_)) && full.outcome() == Outcome::NotApplied, "{full:?}");
    }

    #[test]
    fn what_is_not_known_to_be_refused_may_have_happened() {
        let fault = read("ERR user_script:12: attempt to index a nil value");
        assert!(matches!(fault, StoreError::Broken(_)) && fault.outcome() == Outcome::Unknown, "{fault:?}");
        for kind in [std::io::ErrorKind::TimedOut, std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe]
        {
            let error = StoreError::from_client(&redis::RedisError::from(std::io::Error::from(kind)));
            assert!(matches!(error, StoreError::Unknown(_)), "{kind}: {error:?}");
        }
    }
}
