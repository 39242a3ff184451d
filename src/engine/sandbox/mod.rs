//! The sandbox's campaign clock, shared by all nodes of a store.

pub mod magic;

use crate::clock::{Setting, wall_ms};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::config::{Kind, PutError};

impl Engine {
    /// Takes over the clock that the sandbox keeps in its data, before anything is judged by this node's own; at the first start it
    /// begins there. `start` is where the operator wants it to be.
    pub async fn begin_clock(&self, start: Option<Ms>) -> Result<(), StoreError> {
        let Some(own) = self.clock().setting() else { return Ok(()) };
        for _ in 0..8 {
            let held = self.store.record::<Setting>(Kind::Clock, "sandbox").await?;
            let expected = held.as_ref().map(|held| held.version).unwrap_or_default();
            let newer = match held {
                None => Setting { version: own.version + 1, ..own },
                Some(held) => {
                    self.clock().adopt(held.value);
                    let Some(start) = start else { return Ok(()) };
                    match held.value.restarted(self.now(), start, wall_ms()) {
                        Some(newer) => newer,
                        None => return Ok(()),
                    }
                }
            };
            match self.store.put_record(Kind::Clock, "sandbox", expected, &newer).await {
                Ok(_) => {
                    self.clock().adopt(newer);
                    return Ok(());
                }
                Err(PutError::Conflict(_)) => continue,
                Err(PutError::Store(error)) => return Err(error),
            }
        }
        Err(StoreError::Overloaded)
    }

    /// Sets time and rate (both optional), forward only. What became due by the jump is done before this returns, so that a caller who
    /// moved the clock past a close finds the list closed.
    pub async fn set_clock(&self, now: Option<Ms>, rate: Option<u32>) -> Result<(), Refusal> {
        for _ in 0..8 {
            let held = self.store.record::<Setting>(Kind::Clock, "sandbox").await?;
            let expected = held.as_ref().map(|held| held.version).unwrap_or_default();
            if let Some(held) = held {
                self.clock().adopt(held.value);
            }
            let (current, wall) = (self.now(), wall_ms());
            let setting = self.clock().setting().ok_or(Code::SandboxOnly)?;
            let wanted = now.unwrap_or(current);
            if wanted < current && setting.began.is_none() {
                return Err(Refusal::new(Code::ClockBackwards).with("now", current));
            }
            let newer = Setting {
                campaign_ms: wanted,
                wall_ms: wall,
                rate: rate.unwrap_or(setting.rate),
                version: setting.version + 1,
                began: None,
            };
            match self.store.put_record(Kind::Clock, "sandbox", expected, &newer).await {
                Ok(_) => {
                    self.clock().adopt(newer);
                    // The clock is where it was asked to be, whatever becomes of what is due.
                    return self.step().await.map_err(|failure| failure.into_refusal().half_done());
                }
                Err(PutError::Conflict(_)) => continue,
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(Refusal::contended())
    }
}
