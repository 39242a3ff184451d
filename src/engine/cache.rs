//! What a node keeps of configuration records that it meets at every request: good for one revision of the configuration.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Entries that a cache holds at most; beyond, old ones make room.
const MOST: usize = 50_000;

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

    /// After this node itself has changed the record.
    pub fn forget(&self, id: &str) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(id);
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
}
