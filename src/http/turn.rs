//! How much of what is long or large one caller may have under way at once: a rate bounds how often something begins, and says nothing
//! of a body that takes minutes. Whoever has a turn keeps it until the work, or the answer with its last byte, is over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::domain::refusal::{Code, Refusal};

/// Files that one program may send at the same time.
const UPLOADS: usize = 4;

/// What is done in turns, by whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Sending a file, by the program it is for.
    Upload(String),
    /// Reading a published list, by the address it is sent to.
    Download(IpAddr),
}

impl Doing {
    fn at_once(&self) -> usize {
        match self {
            Doing::Upload(_) => UPLOADS,
            Doing::Download(_) => 1,
        }
    }
}

/// Who does what right now; no larger than the number of requests under way.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<Doing, usize>>>);

impl Turns {
    /// A turn, or `rate_limited` when the caller has as many under way as there may be.
    pub fn take(&self, doing: Doing) -> Result<Turn, Refusal> {
        let at_once = doing.at_once();
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = under_way.entry(doing.clone()).or_default();
        if *own >= at_once {
            let limit = json!({ "at_once": at_once });
            return Err(Refusal::new(Code::RateLimited).retry_after_ms(1_000).with("limit", limit));
        }
        *own += 1;
        Ok(Turn { turns: self.clone(), doing })
    }
}

/// Given back when it is dropped.
pub struct Turn {
    turns: Turns,
    doing: Doing,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = under_way.get_mut(&self.doing) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.doing);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_waits_for_its_own_turns_and_for_nobody_elses() {
        let turns = Turns::default();
        let upload = |program: &str| turns.take(Doing::Upload(program.into()));
        let mut held: Vec<Turn> = (0..UPLOADS).map(|_| upload("a").expect("a turn")).collect();
        let refusal = upload("a").err().expect("one too many");
        assert_eq!((refusal.code, refusal.extra["limit"].clone()), (Code::RateLimited, json!({"at_once": UPLOADS})));
        assert!(upload("b").is_ok(), "another program");
        held.pop();
        assert!(upload("a").is_ok());
        drop(held);
        assert!(turns.0.lock().expect("not poisoned").is_empty(), "who has nothing under way is forgotten");
    }
}
