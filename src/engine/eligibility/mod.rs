//! Who may take part: what the rules of a round need to know is looked up, judged, and forgotten but for the verdicts.

use futures_util::future::try_join;

use crate::domain::area::Location;
use crate::domain::campaign::schema::LocationAt;
use crate::domain::eligibility::{self, Evidence, Verdict};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::resident::Resident;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::list::ListMember;

/// When and where somebody wants to take part.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    pub at: LocationAt,
    pub now: Ms,
    pub location: Option<Location>,
}

impl Engine {
    /// Every rule of a round's eligibility with its verdict; a rule on places is judged whatever the occasion. Whose entry a closed list did
    /// not take is told by which rule.
    pub async fn explain(
        &self,
        campaign_id: &str,
        resident: &Resident,
        round_id: Option<&str>,
        location: Option<Location>,
    ) -> Result<Vec<Verdict>, Refusal> {
        let view = self.published_anywhere(campaign_id).await?;
        let round = match round_id {
            Some(round_id) => view.named_round(round_id)?,
            None => view.rounds.first().ok_or(Code::RoundRequired)?,
        };
        let rule = round.eligibility.as_ref().and_then(|rules| rules.location.as_ref());
        let at = rule.and_then(|rule| rule.at.first().copied()).unwrap_or(LocationAt::Reserve);
        let occasion = Occasion { at, now: self.now(), location };
        let mut verdicts = self.verdicts(&view, round, resident, occasion).await.map_err(Failure::into_refusal)?;
        verdicts.extend(self.struck(&view, round, resident).await?);
        Ok(verdicts)
    }

    /// Refuses who may not take part, with every rule that says so. For reservations, and for passes of rounds without one.
    pub(super) async fn require_eligible(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        occasion: Occasion,
    ) -> Result<(), Failure> {
        let verdicts = self.verdicts(view, round, resident, occasion).await?;
        let failed: Vec<_> = verdicts.iter().filter(|verdict| !verdict.passed).map(reason).collect();
        if failed.is_empty() { Ok(()) } else { Err(eligibility::not_eligible(failed).into()) }
    }

    /// The position of the token's channel in the campaign; another channel cannot take part.
    pub(super) fn channel_of(&self, view: &CampaignView, resident: &Resident) -> Result<u8, Refusal> {
        view.channel(&resident.channel).ok_or_else(|| {
            let en = "The campaign does not run on this channel.";
            let verdict = Verdict { rule: "channels", passed: false, zh: "该渠道不参加活动。", en };
            not_eligible(&verdict)
        })
    }

    /// How many entries a person has in a round's draw: what the round's list says, or one.
    pub(super) async fn entries_of(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
    ) -> Result<u8, StoreError> {
        let member = self.member_of(view, round.round.entries_list.as_deref(), resident).await?;
        Ok(member.map_or(1, |member| member.entries))
    }

    async fn verdicts(
        &self,
        view: &CampaignView,
        round: &RoundView,
        resident: &Resident,
        occasion: Occasion,
    ) -> Result<Vec<Verdict>, Failure> {
        let Some(rules) = &round.eligibility else { return Ok(Vec::new()) };
        let (allowed, denied) = try_join(
            self.member_of(view, rules.allow_list.as_deref(), resident),
            self.member_of(view, rules.deny_list.as_deref(), resident),
        )
        .await?;
        // Where there is no reservation, the pass is the one occasion at which anybody is judged.
        let counts = |at: &[LocationAt]| at.contains(&occasion.at) || round.reservation.is_none();
        let mut evidence = Evidence {
            on_allow_list: allowed.is_some(),
            on_deny_list: denied.is_some(),
            in_area: None,
            place_counts: rules.location.as_ref().is_some_and(|rule| counts(&rule.at)),
        };
        if let (true, Some(rule), Some(place)) = (evidence.place_counts, &rules.location, occasion.location) {
            evidence.in_area = Some(self.area(view, &rule.area_id).await?.contains(place));
        }
        Ok(eligibility::judge(rules, &resident.facts, &evidence, view.zone.civil_date(occasion.now)))
    }

    /// What a list that the campaign names says about a person.
    async fn member_of(
        &self,
        view: &CampaignView,
        list_id: Option<&str>,
        resident: &Resident,
    ) -> Result<Option<ListMember>, StoreError> {
        let Some(list_id) = list_id else { return Ok(None) };
        let list = view.record.lists.get(list_id);
        let list = list.ok_or_else(|| StoreError::Broken(format!("campaign {} has no list {list_id}", view.id)))?;
        self.list_member(list, &resident.root).await
    }
}

/// A verdict as a refusal tells it.
pub(super) fn reason(verdict: &Verdict) -> serde_json::Value {
    serde_json::json!({"rule": verdict.rule, "message": {"zh": verdict.zh, "en": verdict.en}})
}

pub(super) fn not_eligible(verdict: &Verdict) -> Refusal {
    eligibility::not_eligible(vec![reason(verdict)])
}
