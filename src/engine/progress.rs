//! How far the long steps of a round are that this node runs: reading a list, drawing, crediting, a wave.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Running steps by campaign and round.
#[derive(Default)]
pub struct Board(Mutex<HashMap<(u16, u8), Progress>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// `closing`, `drawing`, `crediting` or `wave`.
    pub step: &'static str,
    /// Buckets of the walk that are done, of `total`.
    pub done: u64,
    pub total: u64,
}

/// A step that is running; it leaves the board when it ends, however it ends.
pub struct Running<'b> {
    board: &'b Board,
    key: (u16, u8),
}

impl Board {
    pub fn begin(&self, campaign: u16, round: u8, step: &'static str, total: u64) -> Running<'_> {
        let running = Running { board: self, key: (campaign, round) };
        running.change(|progress| *progress = Progress { step, done: 0, total });
        running
    }

    pub fn of(&self, campaign: u16, round: u8) -> Option<Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(campaign, round)).copied()
    }
}

impl Running<'_> {
    pub fn add(&self, done: u64) {
        self.change(|progress| progress.done += done);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut board = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(board.entry(self.key).or_insert(Progress { step: "", done: 0, total: 0 }));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.board.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
