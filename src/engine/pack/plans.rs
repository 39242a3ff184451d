//! Plans of issuing that a node keeps: the two million winners of a rain share a handful of them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::validity::Holds;
use crate::domain::time::Ms;
use crate::store::script::Shared;

/// What a plan depends on besides the campaign's view and the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanPlace {
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
    pub supply: u8,
    pub shard: u8,
}

/// The plans of one view of a campaign; as many at most as it has places.
#[derive(Default)]
pub struct Plans(RwLock<HashMap<PlanPlace, (Arc<Shared>, Holds)>>);

impl Plans {
    /// The plan that holds at `at` for a pack that counts as received at `received`, or with the call; made if there is none.
    pub(in crate::engine) fn at(
        &self,
        place: PlanPlace,
        at: Ms,
        received: Option<Ms>,
        make: impl FnOnce() -> (Arc<Shared>, Holds),
    ) -> Arc<Shared> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some((plan, holds)) = kept
            && holds.at(at, received)
        {
            return plan;
        }
        let made = make();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(place, made.clone());
        made.0
    }
}
