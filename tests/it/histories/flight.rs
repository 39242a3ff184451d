//! A call on its way through a node, step by step: it moves only when it is told to, and it may be dropped wherever it waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::harness::random::Random;

/// The store answers long before.
const PATIENCE: Duration = Duration::from_millis(30);

/// Tells that what a call waits for has come.
struct Bell {
    rung: AtomicBool,
    notify: Notify,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

pub struct Flight<T> {
    future: Pin<Box<dyn Future<Output = T>>>,
    bell: Arc<Bell>,
}

impl<T> Flight<T> {
    pub fn new(future: impl Future<Output = T> + 'static) -> Flight<T> {
        Flight { future: Box::pin(future), bell: Arc::new(Bell { rung: AtomicBool::new(true), notify: Notify::new() }) }
    }

    /// Goes on to the next place where the call waits for the store.
    pub async fn step(&mut self) -> Option<T> {
        if !self.answered().await {
            return None;
        }
        self.bell.rung.store(false, Ordering::Release);
        let waker = Waker::from(self.bell.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    /// Waits until the store has answered, without letting the call know: dropped now, it dies with its effect done. False when the
    /// call waits for another one of its node, which may have to take its steps first.
    pub async fn answered(&self) -> bool {
        let rung = async {
            while !self.bell.rung.load(Ordering::Acquire) {
                self.bell.notify.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, rung).await.is_ok()
    }
}

/// Calls that are on their way, each with what its history knows of it.
pub struct Flights<K, T>(Vec<(K, Flight<T>)>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Flights(Vec::new())
    }
}

impl<K, T> Flights<K, T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, known: K, flight: Flight<T>) {
        self.0.push((known, flight));
    }

    /// One of them goes on; what it ended with, if it did.
    pub async fn step_one(&mut self, random: &mut Random) -> Option<(K, T)> {
        let place = self.place(random)?;
        let done = self.0[place].1.step().await?;
        Some((self.0.swap_remove(place).0, done))
    }

    /// The node dies with one of them on it: before the store has it, or after.
    pub async fn lose_one(&mut self, random: &mut Random) -> Option<K> {
        let place = self.place(random)?;
        if random.chance(60) {
            self.0[place].1.answered().await;
        }
        Some(self.0.swap_remove(place).0)
    }

    fn place(&self, random: &mut Random) -> Option<usize> {
        (!self.0.is_empty()).then(|| random.below(self.0.len()))
    }
}
