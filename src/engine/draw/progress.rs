//! How far the long steps of a round are that this node runs: reading a list, drawing, crediting, a wave; and which of them stands still
//! because of a record that cannot be read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::StoreError;

/// Running steps by campaign and round.
#[derive(Default)]
pub struct Board {
    running: Mutex<HashMap<(u16, u8), Progress>>,
    /// What a step has met that it cannot go on without, until one has come through.
    unreadable: Mutex<HashMap<(u16, u8), String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// `closing`, `reading`, `drawing`, `counting`, `crediting` or `wave`.
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
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&(campaign, round)).copied()
    }

    /// What the steps of a round have met last and could not read.
    pub fn unreadable(&self, campaign: u16, round: u8) -> Option<String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).get(&(campaign, round)).cloned()
    }
}

impl Running<'_> {
    /// Hands on what was read; a record that cannot be read is noted, for an operator has to mend it before the step can go on.
    pub fn heeding<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Broken(what)) = &read {
            let mut unreadable = self.board.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
            unreadable.insert(self.key, what.clone());
        }
        read
    }

    /// Everything could be read.
    pub fn came_through(self) {
        self.board.unreadable.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }

    pub fn add(&self, done: u64) {
        self.change(|progress| progress.done += done);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut board = self.board.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(board.entry(self.key).or_insert(Progress { step: "", done: 0, total: 0 }));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.board.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
