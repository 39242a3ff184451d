//! What a node has met lately, so that it need not be looked up: bounded, and never more than a hint.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// The latest entries, at least `MOST` and at most twice as many: those of one generation, of which two are kept.
pub struct Recent<K, V, const MOST: usize = 65_536>(Mutex<[HashMap<K, V>; 2]>);

impl<K, V, const MOST: usize> Default for Recent<K, V, MOST> {
    fn default() -> Self {
        Recent(Mutex::new([HashMap::new(), HashMap::new()]))
    }
}

impl<K: Eq + Hash, V: Clone, const MOST: usize> Recent<K, V, MOST> {
    pub fn put(&self, key: K, value: V) {
        let [recent, older] = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= MOST {
            *older = std::mem::take(recent);
        }
        recent.insert(key, value);
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter().find_map(|entries| entries.get(key).cloned())
    }

    pub fn forget(&self, key: &K) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.iter_mut().for_each(|entries| drop(entries.remove(key)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_met_is_known_until_twice_as_much_newer_came() {
        const MOST: usize = 100;
        let met = Recent::<usize, &str, MOST>::default();
        met.put(0, "first");
        assert_eq!((met.get(&0), met.get(&1)), (Some("first"), None));
        (1..=MOST).for_each(|n| met.put(n, "later"));
        assert_eq!(met.get(&0), Some("first"));
        met.forget(&0);
        assert_eq!(met.get(&0), None);
        (1..=2 * MOST).for_each(|n| met.put(MOST + n, "latest"));
        assert_eq!(met.get(&1), None);
    }
}
