//! A merchant in a campaign: applies in the enrolment window, is approved, suspended, or leaves. A voucher is judged by the enrolment
//! at the instant of redemption, so who joins on the last day takes vouchers issued long before.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::campaign::schema::MerchantEnrolment;
use crate::domain::eligibility::not_eligible;
use crate::domain::merchant::{EnrolState, Merchant, enrolment_is_open};
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::engine::campaign::file::refused_in as campaign_refused_in;
use crate::engine::config::view::CampaignView;
use crate::engine::key::ApiKey;
use crate::store::config::Purpose;
use crate::store::merchant::{EnrolStep, Enrolment, MerchantRecord};

impl Engine {
    /// Asks for admission; the rules and the window are judged now. Who is in already stays as they are.
    pub async fn apply_to_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        merchant_id: &str,
    ) -> Result<Value, Refusal> {
        let view = self.enrolling_campaign(key, campaign_id).await?;
        let now = self.now();
        let listed = self.is_listed(key, &view, merchant_id).await?;
        let held = self
            .change_merchant(Purpose::Any, key, merchant_id, |record| {
                let state = record.enrolments.get(campaign_id).map(|enrolment| enrolment.state);
                if matches!(state, Some(EnrolState::Applied | EnrolState::Approved)) {
                    return Ok(false);
                }
                if !EnrolState::Applied.may_follow(state) {
                    return Err(refused_in(state));
                }
                admit(&record.merchant, &view, now, listed)?;
                enter(record, &view, step(EnrolState::Applied, now, key, None));
                Ok(true)
            })
            .await?;
        enrolment_body(&held.value, &view)
    }

    /// Approves, suspends, or lets a merchant leave; the same again changes nothing. Who applied for a merchant does not approve it.
    pub async fn move_enrolment(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        merchant_id: &str,
        to: EnrolState,
        reason: Option<String>,
    ) -> Result<Value, Refusal> {
        let view = self.enrolling_campaign(key, campaign_id).await?;
        let stops = matches!(to, EnrolState::Suspended | EnrolState::Left);
        let purpose = if stops { Purpose::Stops } else { Purpose::Any };
        let now = self.now();
        let held = self
            .change_merchant(purpose, key, merchant_id, |record| {
                let enrolment =
                    record.enrolments.get(campaign_id).ok_or_else(|| Noun::Enrolment.not_found(merchant_id))?;
                if enrolment.state == to {
                    return Ok(false);
                }
                if !to.may_follow(Some(enrolment.state)) {
                    return Err(refused_in(Some(enrolment.state)));
                }
                if let (EnrolState::Approved, Some(applicant)) = (to, enrolment.applicant()) {
                    self.require_another_person(key, applicant)?;
                }
                enter(record, &view, step(to, now, key, reason.clone()));
                Ok(true)
            })
            .await?;
        enrolment_body(&held.value, &view)
    }

    pub async fn get_enrolment(&self, key: &ApiKey, campaign_id: &str, merchant_id: &str) -> Result<Value, Refusal> {
        let view = self.enrolling_campaign(key, campaign_id).await?;
        enrolment_body(&self.own_merchant(key, merchant_id).await?.1.value, &view)
    }

    /// Whether the campaign's list has the merchant, where it admits by a list.
    async fn is_listed(&self, key: &ApiKey, view: &CampaignView, merchant_id: &str) -> Result<bool, Refusal> {
        let Some(by_list) = &view.campaign.merchant_enrolment.by_list else { return Ok(true) };
        self.own_merchant(key, merchant_id).await?;
        match view.record.lists.get(by_list) {
            Some(list) => Ok(self.list_has_merchant(list, merchant_id).await?),
            None => Ok(false),
        }
    }

    /// A published campaign of the caller's program. What another node has just published is read before it is denied.
    async fn enrolling_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<Arc<CampaignView>, Refusal> {
        if !self.own_view(key, campaign_id).await.is_ok_and(|view| view.is_published()) {
            self.refresh().await?;
        }
        let view = self.own_view(key, campaign_id).await?;
        if view.is_published() {
            return Ok(view);
        }
        Err(campaign_refused_in(&view.record))
    }
}

/// Judges a merchant by a campaign's enrolment rules.
fn admit(merchant: &Merchant, view: &CampaignView, now: Ms, listed: bool) -> Result<(), Refusal> {
    let rules: &MerchantEnrolment = &view.campaign.merchant_enrolment;
    if !enrolment_is_open(rules, now) {
        let time = |at: Option<Ms>| json!(at.map(|at| view.zone.rfc3339(at)));
        let refusal = Refusal::new(Code::EnrolmentClosed);
        return Err(refusal.with("opens_at", time(rules.opens_at)).with("closes_at", time(rules.closes_at)));
    }
    let reason = |rule: &str, zh: &str, en: &str| json!({"rule": rule, "message": {"zh": zh, "en": en}});
    let bars = merchant.barred_by(rules);
    let mut reasons: Vec<Value> = bars.iter().map(|bar| reason(bar.rule, bar.zh, bar.en)).collect();
    if !listed {
        reasons.push(reason("by_list", "商户不在名单内。", "The merchant is not on the campaign's list."));
    }
    if reasons.is_empty() { Ok(()) } else { Err(not_eligible(reasons)) }
}

fn step(state: EnrolState, at: Ms, key: &ApiKey, reason: Option<String>) -> EnrolStep {
    EnrolStep { state, at, by: key.holder(), reason }
}

fn enter(record: &mut MerchantRecord, view: &CampaignView, step: EnrolStep) {
    let enrolment = record.enrolments.entry(view.id.clone()).or_insert_with(|| Enrolment {
        number: view.number,
        state: step.state,
        since: step.at,
        history: Vec::new(),
    });
    enrolment.state = step.state;
    enrolment.since = step.at;
    enrolment.history.push(step);
}

fn refused_in(state: Option<EnrolState>) -> Refusal {
    let (zh, en) = match state {
        None => ("商户未报名本活动。", "The merchant has not applied to the campaign."),
        Some(EnrolState::Applied) => ("商户已报名，等待审批。", "The merchant has applied and waits for the approval."),
        Some(EnrolState::Approved) => ("商户已获批准。", "The merchant is approved."),
        Some(EnrolState::Suspended) => ("商户在本活动中已被暂停。", "The merchant is suspended in the campaign."),
        Some(EnrolState::Left) => ("商户已退出本活动。", "The merchant has left the campaign."),
    };
    Refusal::new(Code::MerchantStateRefuses).with("state", json!(state)).detail(zh, en)
}

fn enrolment_body(record: &MerchantRecord, view: &CampaignView) -> Result<Value, Refusal> {
    let enrolment =
        record.enrolments.get(&view.id).ok_or_else(|| Noun::Enrolment.not_found(&record.merchant.merchant_id))?;
    let history = enrolment.history.iter().map(|step| {
        let mut entry = json!({"state": step.state, "at": view.zone.rfc3339(step.at), "by": step.by.name});
        if let Some(reason) = &step.reason {
            entry["reason"] = json!(reason);
        }
        entry
    });
    Ok(json!({
        "campaign_id": view.id,
        "merchant_id": record.merchant.merchant_id,
        "state": enrolment.state,
        "since": view.zone.rfc3339(enrolment.since),
        "history": history.collect::<Vec<_>>(),
    }))
}
