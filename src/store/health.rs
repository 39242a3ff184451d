//! What the store is right now, asked all the time: settings, role and clock change under a running service. While the store keeps less
//! than is declared nothing is written, so no answer claims a level that is not kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};

use super::Store;
use super::keys::{self, Slot};
use super::probe::{Durability, StoreFacts};
use crate::clock::wall_ms;
use crate::domain::time::Ms;

/// A look that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Settings are read at every n-th look; one write is tried at each.
const SETTINGS_EVERY: u32 = 3;
/// Without a look for this long, nothing is known of the store.
const OLD: Duration = Duration::from_secs(15);
/// A transition judged by a clock that is further off than this is refused by the scripts.
const CLOCKS_APART: Ms = 1_000;

/// What was seen at the last look; cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    below: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    findings: Findings,
}

/// What is wrong, in words; nothing where all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// A write was not taken.
    pub writes: Option<String>,
    /// Less is kept than is declared.
    pub level: Option<String>,
    /// It is not the store that the node began with: emptied, or replaced.
    pub replaced: Option<String>,
    /// The store's clock and this node's are apart.
    pub clock: Option<String>,
    /// What cannot be seen.
    pub unseen: Option<String>,
}

impl Default for Health {
    fn default() -> Health {
        let seen = Seen { at: Instant::now(), findings: Findings::default() };
        Health(Arc::new(Inner { below: AtomicBool::new(false), seen: Mutex::new(seen) }))
    }
}

impl Health {
    /// Whether the store keeps less than is declared, or is no longer the one that was served.
    pub(super) fn is_below(&self) -> bool {
        self.0.below.load(Ordering::Relaxed)
    }

    /// Findings of the last look, and whether it is too long ago.
    pub fn findings(&self) -> (Findings, bool) {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.findings.clone(), seen.at.elapsed() > OLD)
    }

    fn note(&self, findings: Findings) {
        self.0.below.store(findings.level.is_some() || findings.replaced.is_some(), Ordering::Relaxed);
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (was, is) in [
            (&seen.findings.writes, &findings.writes),
            (&seen.findings.level, &findings.level),
            (&seen.findings.replaced, &findings.replaced),
            (&seen.findings.clock, &findings.clock),
        ] {
            match (was, is) {
                (None, Some(trouble)) => tracing::error!("{trouble}"),
                (Some(trouble), None) => tracing::info!("no longer: {trouble}"),
                _ => {}
            }
        }
        *seen = Seen { at: Instant::now(), findings };
    }
}

/// Looks at the store over a connection of its own, made anew after each failure.
pub struct Probe {
    store: Store,
    level: Durability,
    connection: Option<MultiplexedConnection>,
    looks: u32,
    level_trouble: Option<String>,
    replaced: Option<String>,
    unseen: Option<String>,
    /// The append-only file was off; switched on again, it keeps nothing until it has been written whole.
    rebuilding: bool,
}

impl Probe {
    pub fn new(store: Store, level: Durability) -> Probe {
        Probe {
            store,
            level,
            connection: None,
            looks: 0,
            level_trouble: None,
            replaced: None,
            unseen: None,
            rebuilding: false,
        }
    }

    /// One look; what it finds is in the store's [`Health`].
    pub async fn look(&mut self) {
        let looked = tokio::time::timeout(PATIENCE, self.ask()).await;
        let findings = match looked {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => self.unreachable(error.to_string()),
            Err(_) => self.unreachable(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        self.store.health().note(findings);
    }

    /// A store that cannot be asked keeps what it was last seen to keep; calls to it fail by themselves.
    fn unreachable(&mut self, why: String) -> Findings {
        self.connection = None;
        self.looks = 0;
        let writes = Some(format!("the store cannot be reached: {why}"));
        Findings { writes, ..self.last_seen() }
    }

    fn last_seen(&self) -> Findings {
        let (level, replaced, unseen) = (self.level_trouble.clone(), self.replaced.clone(), self.unseen.clone());
        Findings { level, replaced, unseen, ..Findings::default() }
    }

    async fn ask(&mut self) -> RedisResult<Findings> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.0.client.get_multiplexed_async_connection().await?,
        };
        if self.looks.is_multiple_of(SETTINGS_EVERY) {
            let facts = StoreFacts::read(&mut connection).await?;
            self.judge(&facts);
        }
        self.looks += 1;
        self.replaced = self.look_for_id(&mut connection).await?;
        let write = redis::cmd("SET").arg(keys::PROBE).arg(wall_ms()).query_async::<()>(&mut connection).await;
        let writes = refused(write)?.map(|why| format!("the store takes no writes: {why}"));
        let clock = match self.store.0.options.clock_guard {
            true => {
                let (seconds, micros): (Ms, Ms) = redis::cmd("TIME").query_async(&mut connection).await?;
                apart(wall_ms(), seconds * 1_000 + micros / 1_000)
            }
            false => None,
        };
        self.connection = Some(connection);
        Ok(Findings { writes, clock, ..self.last_seen() })
    }

    /// A store that was emptied under the service answers like one in which nobody has ever reserved.
    async fn look_for_id(&self, connection: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
        let Some(expected) = &self.store.0.options.id else { return Ok(None) };
        let mut asked = redis::cmd("HGET");
        asked.arg(Slot::Config.header()).arg(keys::STORE_ID);
        let found: Option<String> = asked.query_async(connection).await?;
        Ok((found.as_ref() != Some(expected)).then(|| {
            "the store is not the one that this node began with: it was emptied or replaced. Stop the node, and restore the store's files"
                .to_owned()
        }))
    }

    fn judge(&mut self, facts: &StoreFacts) {
        self.rebuilding = !facts.aof_enabled || (self.rebuilding && facts.aof_rewriting);
        let mut reasons = facts.refuse_below(self.level).err().unwrap_or_default();
        if facts.aof_enabled && self.rebuilding {
            reasons.push("appendonly was switched on again and the file is still being written".to_owned());
        }
        self.level_trouble =
            (!reasons.is_empty()).then(|| format!("the store keeps less than {}: {}", self.level, reasons.join("; ")));
        self.unseen = facts.appendfsync.is_none().then(|| {
            "the store does not allow CONFIG GET, so a change of appendfsync is not seen: allow +config|get".to_owned()
        });
    }
}

/// The words of a refusal by the server; a connection that broke is an error.
fn refused(answer: RedisResult<()>) -> Result<Option<String>, RedisError> {
    match answer {
        Ok(()) => Ok(None),
        Err(error) if error.code().is_some() => Ok(Some(match error.code() {
            Some("OOM") => "its memory is at maxmemory; new reservations, claims and redemptions are refused, and confirms, cancels, \
                            refunds and reversals go on: raise maxmemory"
                .to_owned(),
            Some("READONLY") => "it has become a replica: name the primary in QUANYU_REDIS_URL".to_owned(),
            _ => error.to_string(),
        })),
        Err(error) => Err(error),
    }
}

fn apart(here: Ms, there: Ms) -> Option<String> {
    let off = there - here;
    (off.abs() > CLOCKS_APART).then(|| {
        let way = if off > 0 { "ahead of" } else { "behind" };
        format!(
            "the store's clock is {} ms {way} this node's, and effects are refused: set both by one time server",
            off.abs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_one_second_apart() {
        for (off, told) in [(0, false), (1_000, false), (-1_000, false), (1_001, true), (-1_001, true)] {
            assert_eq!(apart(50_000, 50_000 + off).is_some(), told, "{off}");
        }
        assert!(apart(50_000, 53_000).is_some_and(|words| words.contains("3000 ms ahead of")));
        assert!(apart(50_000, 47_000).is_some_and(|words| words.contains("3000 ms behind")));
    }
}
