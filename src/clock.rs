//! The campaign clock: it decides windows, validity, holds, pay codes and days. A live server follows the wall clock; a sandbox may set
//! it and change its rate. Token expiry and request timestamps never use it.

use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::domain::time::Ms;

/// The wall clock in UTC milliseconds.
pub fn wall_ms() -> Ms {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|elapsed| elapsed.as_millis() as Ms).unwrap_or_default()
}

/// Where a sandbox clock was set, when, and how fast it runs: `campaign + (wall now - wall) x rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub campaign_ms: Ms,
    pub wall_ms: Ms,
    /// Campaign milliseconds per wall millisecond; 0 stands still.
    pub rate: u32,
    /// Grows with each setting, so that nodes sharing a store agree on the latest.
    pub version: u64,
}

/// Cheap to clone; all clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<RwLock<Setting>>>);

impl Clock {
    pub fn live() -> Clock {
        Clock(None)
    }

    pub fn sandbox(start: Option<Ms>) -> Clock {
        let wall = wall_ms();
        let setting = Setting { campaign_ms: start.unwrap_or(wall), wall_ms: wall, rate: 1, version: 0 };
        Clock(Some(Arc::new(RwLock::new(setting))))
    }

    pub fn is_sandbox(&self) -> bool {
        self.0.is_some()
    }

    pub fn now(&self) -> Ms {
        match &self.0 {
            None => wall_ms(),
            Some(setting) => {
                let setting = *setting.read().unwrap_or_else(|poisoned| poisoned.into_inner());
                setting.campaign_ms + (wall_ms() - setting.wall_ms).max(0) * Ms::from(setting.rate)
            }
        }
    }

    /// The sandbox's setting; a live clock has none.
    pub fn setting(&self) -> Option<Setting> {
        self.0.as_ref().map(|setting| *setting.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Takes over a setting if it is newer than the one in force.
    pub fn adopt(&self, newer: Setting) {
        if let Some(setting) = &self.0 {
            let mut current = setting.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if newer.version > current.version {
                *current = newer;
            }
        }
    }
}
