//! Where a tap comes from, in rounds with a list that ask for it: judged for would-be winners only, after the threshold and before the stock.

use super::Tap;
use super::judge::{Judged, names_pack};
use crate::domain::area::Location;
use crate::domain::eligibility;
use crate::domain::pass::Pass;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::eligibility::not_eligible;
use crate::engine::pack::held_pack;
use crate::engine::{Engine, Failure};

impl Engine {
    /// Refuses who is not in the round's area. A pack that is there already is told wherever somebody is.
    pub(super) async fn judge_place(
        &self,
        view: &CampaignView,
        round: &RoundView,
        pass: &Pass,
        would_be: &Judged,
        location: Option<Location>,
    ) -> Result<Option<Tap>, Failure> {
        let pack = match would_be {
            Judged::Issue(issue) => Some(issue.pack),
            Judged::Present { .. } => None,
            _ => return Ok(None),
        };
        let rules = round.eligibility.as_ref().filter(|_| round.asks_place());
        let Some((rules, rule)) = rules.and_then(|rules| Some((rules, rules.location.as_ref()?))) else {
            return Ok(None);
        };
        let in_area = match location {
            Some(place) => Some(self.area(view, &rule.area_id).await?.contains(place)),
            None => None,
        };
        let Some(verdict) = eligibility::place(rules, in_area).filter(|verdict| !verdict.passed) else {
            return Ok(None);
        };
        let record = self.person_record(&pass.person(view)).await?.unwrap_or_default();
        let named = pack.filter(|_| names_pack(&round.round));
        match held_pack(view, &record, round, pass.channel, named) {
            Some(pack) => Ok(Some(Tap::Won { pack, replayed: true })),
            None => Err(not_eligible(&verdict).into()),
        }
    }
}
