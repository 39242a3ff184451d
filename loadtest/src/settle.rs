//! A closed loop that insists: what is limited, shed or lost is asked again, until everything has its answer. For the work before and after a
//! run, which is idempotent and not measured.

use std::time::Duration;

use crate::Fault;
use crate::engine::{Answer, Lost, Target, Times, Work, drive};

const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Whether an answer is the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Final,
    AskAgain,
}

/// 429, 503 and no answer at all are not the last word.
pub fn word(outcome: &Result<Answer<'_>, Lost>) -> Word {
    match outcome {
        Ok(answer) if !matches!(answer.status, 429 | 503) => Word::Final,
        _ => Word::AskAgain,
    }
}

struct Round<'a, M, J> {
    items: std::slice::Iter<'a, u64>,
    start: std::time::Instant,
    make: &'a mut M,
    judge: &'a mut J,
    again: Vec<u64>,
}

impl<M: FnMut(u64, &mut Vec<u8>), J: FnMut(u64, Result<Answer<'_>, Lost>) -> Word> Work for Round<'_, M, J> {
    fn due(&mut self) -> Option<std::time::Instant> {
        (self.items.len() > 0).then_some(self.start)
    }

    fn take(&mut self, _now: std::time::Instant, request: &mut Vec<u8>) -> u64 {
        let item = self.items.next().copied().unwrap_or_default();
        (self.make)(item, request);
        item
    }

    fn answered(&mut self, tag: u64, _times: Times, outcome: Result<Answer<'_>, Lost>) {
        if (self.judge)(tag, outcome) == Word::AskAgain {
            self.again.push(tag);
        }
    }
}

/// Asks about every item; `make` writes its request and `judge` reads its answer.
pub fn settle(
    target: &Target,
    what: &'static str,
    mut items: Vec<u64>,
    mut make: impl FnMut(u64, &mut Vec<u8>),
    mut judge: impl FnMut(u64, Result<Answer<'_>, Lost>) -> Word,
) -> Result<(), Fault> {
    // Fewer items than connections need no more of them.
    let target = Target { connections: target.connections.min(items.len()).max(1), ..target.clone() };
    for _ in 0..TRIES {
        if items.is_empty() {
            return Ok(());
        }
        let mut round = Round {
            items: items.iter(),
            start: std::time::Instant::now(),
            make: &mut make,
            judge: &mut judge,
            again: Vec::new(),
        };
        drive(&target, &mut round).map_err(Fault::Unreachable)?;
        items = round.again;
        if !items.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
    Err(Fault::Silent { what, left: items.len() })
}
