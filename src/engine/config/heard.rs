//! How much of the configuration's present a node knows. It looks every tenth of a second; a look that succeeds stands for what held when it
//! began. What takes a right away is answered only after `LEASE`, and nobody is admitted by what is known from longer ago, so no
//! node admits whoever comes after the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::view::CampaignView;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::{Engine, Failure};

/// How long what was read of a right may be believed, by a clock that nobody sets.
const LEASE: Duration = Duration::from_secs(1);

/// When the looks of a node at the configuration began.
pub struct Heard {
    start: Instant,
    /// Nanoseconds from the start to the beginning of the newest look that has succeeded.
    newest: AtomicU64,
    /// Held by the one call that looks for all that wait for it; when such a look has failed last, and how.
    looking: tokio::sync::Mutex<Option<(Instant, Refusal)>>,
}

impl Default for Heard {
    fn default() -> Self {
        Heard { start: Instant::now(), newest: AtomicU64::new(0), looking: Default::default() }
    }
}

impl Heard {
    /// A look that began at this instant has succeeded, and what it found is in use.
    pub fn note(&self, began: Instant) {
        self.newest.fetch_max(self.nanoseconds(began), Ordering::AcqRel);
    }

    /// Whether a look has succeeded that began then or later.
    fn is_since(&self, instant: Instant) -> bool {
        self.newest.load(Ordering::Acquire) >= self.nanoseconds(instant)
    }

    fn nanoseconds(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_nanos() as u64
    }
}

impl Engine {
    /// Whether rights may be judged by what this node remembers, for a request that came at this instant.
    pub fn has_heard(&self, came: Instant) -> bool {
        came.checked_sub(LEASE).is_some_and(|instant| self.heard.is_since(instant))
    }

    /// Looks at the configuration unless [`Engine::has_heard`]; whoever comes meanwhile waits for the same look.
    pub async fn hear(&self, came: Instant) -> Result<(), Refusal> {
        match came.checked_sub(LEASE) {
            Some(instant) => self.hear_since(instant).await,
            None => self.hear_since(came).await,
        }
    }

    /// Looks at the configuration unless a look has succeeded that began at this instant or later.
    pub(in crate::engine) async fn hear_since(&self, instant: Instant) -> Result<(), Refusal> {
        let waited_from = Instant::now();
        let mut failed = self.heard.looking.lock().await;
        if self.heard.is_since(instant) {
            return Ok(());
        }
        if let Some((at, refusal)) = failed.as_ref().filter(|(at, _)| *at >= waited_from) {
            tracing::debug!(ago = ?at.elapsed(), "the configuration could not be looked at for another request");
            return Err(refusal.clone());
        }
        let looked = self.look().await.map_err(|failure| failure.not_begun().into_refusal());
        *failed = looked.as_ref().err().map(|refusal| (Instant::now(), refusal.clone()));
        looked
    }

    /// A campaign that residents and tills can see. What this node does not know another one may have published just now, so it looks before it
    /// denies it.
    pub async fn published_anywhere(&self, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        match self.published(campaign_id) {
            Err(refusal) if refusal.code == Code::NotFound => {
                self.hear_since(Instant::now()).await?;
                self.published(campaign_id)
            }
            known => known,
        }
    }

    /// Takes over what other nodes have changed of the records that this one keeps.
    pub(in crate::engine) async fn look(&self) -> Result<(), Failure> {
        let began = Instant::now();
        if self.store.config_revision().await? != self.view().revision {
            self.refresh().await?;
        }
        self.heard.note(began);
        Ok(())
    }

    /// Returns when no node admits anybody any more by a record that was replaced before this was called.
    pub async fn until_known_everywhere(&self) {
        tokio::time::sleep(LEASE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_counts_from_the_beginning_of_the_look() {
        let heard = Heard::default();
        let at = |ms: u64| heard.start + Duration::from_millis(ms);
        heard.note(at(500));
        heard.note(at(300));
        for (instant, known) in [(0, true), (500, true), (501, false)] {
            assert_eq!(heard.is_since(at(instant)), known, "{instant}");
        }
    }
}
