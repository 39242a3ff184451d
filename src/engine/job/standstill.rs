//! What a job cannot go on without is told when it begins to stand still, and again when it goes on, however often it is tried meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::engine::Failure;

/// Records that stand still at most before what is known of them is forgotten, and told once more.
const MOST: usize = 1000;

/// Jobs that stand still, each with what it has met.
#[derive(Default)]
pub struct Standstills(Mutex<HashMap<String, String>>);

impl Standstills {
    /// Tells the log how a turn of a job ended, where that is news. That the store is gone is told by the look at it, once for all jobs.
    pub fn heed<T>(&self, job: &str, turn: &Result<T, Failure>) {
        match turn {
            Ok(_) if self.goes_on(job) => tracing::info!(job, "a background job goes on"),
            Ok(_) => {}
            Err(failure) if failure.is_of_the_store() => {
                tracing::debug!(job, ?failure, "a background job waits for the store");
            }
            Err(failure) if self.stands_still(job, format!("{failure:?}")) => {
                tracing::warn!(job, ?failure, "a background job stands still and is tried again");
            }
            Err(_) => {}
        }
    }

    /// Whether it is news that a job stands still for this reason.
    fn stands_still(&self, job: &str, why: String) -> bool {
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = standing.get(job) == Some(&why);
        if !known {
            // One that another node has mended is never heard of again here.
            if standing.len() >= MOST {
                standing.clear();
            }
            standing.insert(job.to_owned(), why);
        }
        !known
    }

    /// Whether it is news that a job goes on.
    fn goes_on(&self, job: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_news_when_it_begins_when_its_reason_changes_and_when_it_ends() {
        let standing = Standstills::default();
        let check = |job: &str, why: Option<&str>, news: bool| {
            let told = match why {
                Some(why) => standing.stands_still(job, why.to_owned()),
                None => standing.goes_on(job),
            };
            assert_eq!(told, news, "{job} {why:?}");
        };
        check("a", None, false);
        check("a", Some("person 1"), true);
        check("a", Some("person 1"), false);
        check("b", Some("person 1"), true);
        check("a", Some("person 2"), true);
        check("a", None, true);
        check("a", None, false);
        check("b", Some("person 1"), false);
    }
}
