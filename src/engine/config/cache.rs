//! What a node keeps of configuration records that it meets at every request: good for one revision of the configuration.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::recent::Recent;

/// Entries that a cache holds at most; beyond, old ones make room.
const MOST: usize = 50_000;

/// How long a node believes that a key is none, whatever keeps it from seeing a new revision.
const ABSENT: Duration = Duration::from_secs(1);

/// Records by id. An entry is read after the revision it is kept under, so it is never older than that; when the node adopts a new
/// revision (it looks every 100 ms) all entries have to be read again.
pub struct Cache<T> {
    entries: RwLock<HashMap<String, (u64, Arc<T>)>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache { entries: RwLock::new(HashMap::new()) }
    }
}

impl<T> Cache<T> {
    pub fn get(&self, id: &str, revision: u64) -> Option<Arc<T>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(id).filter(|(kept_under, _)| *kept_under == revision).map(|(_, value)| value.clone())
    }

    pub fn put(&self, id: &str, revision: u64, value: Arc<T>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST && !entries.contains_key(id) {
            entries.retain(|_, (kept_under, _)| *kept_under == revision);
            if entries.len() >= MOST {
                entries.clear();
            }
        }
        entries.insert(id.to_owned(), (revision, value));
    }

    /// The record as it was read last, under whatever revision: for what of it never changes.
    pub fn as_met(&self, id: &str) -> Option<Arc<T>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(id).map(|(_, value)| value.clone())
    }

    /// Whether there was a record with this id under an earlier revision: whoever names it does not guess.
    fn was_met(&self, id: &str) -> bool {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// After this node itself has changed the record.
    pub fn forget(&self, id: &str) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// What a node can say of a key without asking the store.
#[derive(Debug, PartialEq)]
pub enum Recalled<T> {
    Known(T),
    /// It was there under an earlier revision and has to be read again.
    Met,
    /// The store had none a moment ago.
    Absent,
    /// It may be new, and it may be a guess.
    Never,
}

impl<T> Recalled<T> {
    pub fn map<U>(self, as_known: impl FnOnce(T) -> U) -> Recalled<U> {
        match self {
            Recalled::Known(key) => Recalled::Known(as_known(key)),
            Recalled::Met => Recalled::Met,
            Recalled::Absent => Recalled::Absent,
            Recalled::Never => Recalled::Never,
        }
    }
}

/// Keys by which callers are known, and names that were none: a stranger who repeats one costs the store nothing.
pub struct KeyCache<T> {
    keys: Cache<T>,
    absent: Recent<String, (u64, Instant)>,
}

impl<T> Default for KeyCache<T> {
    fn default() -> Self {
        KeyCache { keys: Cache::default(), absent: Recent::default() }
    }
}

impl<T> KeyCache<T> {
    pub fn recall(&self, id: &str, revision: u64, now: Instant) -> Recalled<Arc<T>> {
        if let Some(known) = self.keys.get(id, revision) {
            return Recalled::Known(known);
        }
        if self.keys.was_met(id) {
            return Recalled::Met;
        }
        let still = |(under, since): &(u64, Instant)| *under == revision && now.duration_since(*since) < ABSENT;
        if self.absent.get(&id.to_owned()).as_ref().is_some_and(still) { Recalled::Absent } else { Recalled::Never }
    }

    /// What the store said after `revision` had been seen, and after `asked`.
    pub fn learn(&self, id: &str, revision: u64, asked: Instant, key: Option<&Arc<T>>) {
        match key {
            Some(key) => self.keys.put(id, revision, key.clone()),
            None => {
                self.keys.forget(id);
                self.absent.put(id.to_owned(), (revision, asked));
            }
        }
    }

    pub fn forget(&self, id: &str) {
        self.keys.forget(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_good_for_its_own_revision_and_until_it_is_forgotten() {
        let cache = Cache::default();
        cache.put("a", 1, Arc::new("first"));
        assert_eq!(cache.get("a", 1).as_deref(), Some(&"first"));
        assert_eq!(cache.get("a", 2), None);
        cache.put("a", 2, Arc::new("second"));
        assert_eq!(cache.get("a", 2).as_deref(), Some(&"second"));
        cache.forget("a");
        assert_eq!(cache.get("a", 2), None);
    }

    #[test]
    fn a_full_cache_drops_what_is_out_of_date_first_and_stays_bounded() {
        let cache = Cache::default();
        for n in 0..MOST {
            cache.put(&n.to_string(), (n % 2) as u64, Arc::new(n));
        }
        cache.put("new", 1, Arc::new(0));
        assert_eq!(cache.get("0", 0), None);
        assert_eq!(cache.get("1", 1).as_deref(), Some(&1));
        for n in 0..2 * MOST {
            cache.put(&n.to_string(), 1, Arc::new(n));
        }
        assert!(cache.entries.read().expect("not poisoned").len() <= MOST);
    }

    #[test]
    fn a_name_that_was_no_key_is_one_again_with_the_next_revision_or_after_a_second() {
        let (cache, asked) = (KeyCache::<&str>::default(), Instant::now());
        let recall = |id: &str, revision: u64, later: Duration| cache.recall(id, revision, asked + later);
        assert_eq!(recall("a", 1, Duration::ZERO), Recalled::Never);
        cache.learn("a", 1, asked, None);
        assert_eq!(recall("a", 1, ABSENT - Duration::from_nanos(1)), Recalled::Absent);
        assert_eq!(recall("a", 1, ABSENT), Recalled::Never);
        assert_eq!(recall("a", 2, Duration::ZERO), Recalled::Never);
        cache.learn("a", 2, asked, Some(&Arc::new("key")));
        assert_eq!(recall("a", 2, Duration::ZERO), Recalled::Known(Arc::new("key")));
        assert_eq!(recall("a", 3, Duration::ZERO), Recalled::Met);
        cache.learn("a", 3, asked, None);
        assert_eq!(recall("a", 3, Duration::ZERO), Recalled::Absent);
    }
}
