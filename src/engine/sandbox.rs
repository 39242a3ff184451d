//! The sandbox's campaign clock, shared by all nodes of a store.

pub mod magic;

use super::Engine;
use crate::clock::{Setting, wall_ms};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::store::config::{Kind, PutError};

impl Engine {
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
            if wanted < current && setting.version > 0 {
                return Err(Refusal::new(Code::ClockBackwards).with("now", current));
            }
            let newer = Setting {
                campaign_ms: wanted,
                wall_ms: wall,
                rate: rate.unwrap_or(setting.rate),
                version: setting.version + 1,
            };
            match self.store.put_record(Kind::Clock, "sandbox", expected, &newer).await {
                Ok(_) => {
                    self.clock().adopt(newer);
                    return self.step().await.map_err(super::Failure::into_refusal);
                }
                Err(PutError::Conflict(_)) => continue,
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(Code::Overloaded.into())
    }
}
