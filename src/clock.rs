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
    /// Where the sandbox began, while nobody has set its clock: until then it may still be set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Ms>,
}

impl Setting {
    /// What a start does with `--clock`: `None` leaves the clock of the data as it runs. It goes forward as by hand, and back only while
    /// nobody has set it; where it began already, the same order is no news.
    pub fn restarted(&self, now: Ms, start: Ms, wall: Ms) -> Option<Setting> {
        let wanted = match self.began {
            Some(began) => start != began,
            None => start > now,
        };
        let began = self.began.map(|_| start);
        wanted.then_some(Setting { campaign_ms: start, wall_ms: wall, version: self.version + 1, began, ..*self })
    }
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
        let campaign_ms = start.unwrap_or(wall);
        let setting = Setting { campaign_ms, wall_ms: wall, rate: 1, version: 0, began: Some(campaign_ms) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_moves_a_kept_clock_forward_and_back_only_while_nobody_has_set_it() {
        let kept = |began| Setting { campaign_ms: 1_000, wall_ms: 5_000, rate: 3, version: 4, began };
        let moved = |began, start| kept(began).restarted(1_500, start, 6_000).map(|setting| setting.campaign_ms);
        for (began, start, expected) in [
            (None, 1_501, Some(1_501)),
            (None, 1_500, None),
            (None, 900, None),
            (Some(1_000), 1_000, None),
            (Some(1_000), 900, Some(900)),
            (Some(1_000), 2_000, Some(2_000)),
        ] {
            assert_eq!(moved(began, start), expected, "{began:?} {start}");
        }
        let set = kept(None).restarted(1_500, 2_000, 6_000).unwrap();
        assert_eq!((set.wall_ms, set.rate, set.version, set.began), (6_000, 3, 5, None));
    }

    #[test]
    fn a_setting_of_an_older_version_counts_as_set() {
        let old: Setting = serde_json::from_str(r#"{"campaign_ms":1,"wall_ms":2,"rate":0,"version":3}"#).unwrap();
        assert_eq!(old.began, None);
    }
}
