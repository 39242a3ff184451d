//! Whether the shop takes the voucher: its enrolment, its terminal, what it sells and where it stands.

use serde_json::json;

use super::{Candidate, Payment};
use crate::domain::campaign::terms::UseRule;
use crate::domain::cashier;
use crate::domain::industry;
use crate::domain::merchant::EnrolState;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::told;

/// How the merchant stands to a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    Admitted,
    /// It is not approved in the campaign; the state of its enrolment, if it ever applied.
    Outside(Option<EnrolState>),
    /// It is approved in the campaign, and the voucher is for the merchants of a list that does not have it.
    Unlisted(&'a str),
}

pub(super) fn merchant_enrolled(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let refusal = match candidate.standing {
        Standing::Admitted => return Ok(()),
        Standing::Outside(state) => not_enrolled(state),
        Standing::Unlisted(list) => {
            let (zh, en) = (
                format!("商户已加入该活动，但不在该券的商户名单“{list}”中。"),
                format!(
                    "The merchant is in the campaign, but not on the list \"{list}\" of merchants that the voucher is for."
                ),
            );
            let refusal = Refusal::new(Code::MerchantNotEnrolled).with("merchants_list", list).detail(zh, en);
            refusal.to_cashier(cashier::another_shop())
        }
    };
    Err(refusal.with("campaign_id", candidate.campaign_id))
}

/// Why a merchant is outside a campaign, as far as its enrolment tells.
pub fn not_enrolled(state: Option<EnrolState>) -> Refusal {
    let refusal = Refusal::new(Code::MerchantNotEnrolled);
    let Some(state) = state else { return refusal };
    let refusal = refusal.with("state", state.as_str()).to_cashier(cashier::outside(state));
    match state {
        EnrolState::Applied => refusal.detail(
            "商户已报名该活动，尚未获批；请联系主管部门。",
            "The merchant has applied to the campaign and is not approved yet; ask the program office.",
        ),
        EnrolState::Suspended => refusal.detail(
            "商户在该活动中已被暂停；请联系主管部门。",
            "The merchant is suspended in the campaign; ask the program office.",
        ),
        EnrolState::Left => refusal.detail("商户已退出该活动。", "The merchant has left the campaign."),
        // Approved when this node looked, and not when it came to the payment.
        EnrolState::Approved => Refusal::new(Code::MerchantNotEnrolled),
    }
}

pub(super) fn terminal(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    match candidate.uncounted_terminal {
        Some(terminal_id) => Err(unknown_terminal(terminal_id, false)),
        None => Ok(()),
    }
}

/// A terminal that a merchant's or platform's key names and that is not one of the merchant's, or not any more.
pub fn unknown_terminal(terminal_id: &str, revoked: bool) -> Refusal {
    let (state, zh, en) = match revoked {
        true => ("revoked", "该终端已停用。", "The terminal was revoked."),
        false => (
            "unknown",
            "活动按终端计数，须为该商户登记的终端，或不填。",
            "The campaign counts by terminal: name one of the merchant's terminals, or none.",
        ),
    };
    let refusal = Refusal::new(Code::TerminalUnknown).with("terminal_id", terminal_id).with("state", state);
    refusal.field("/terminal_id", "unknown_terminal", zh, en)
}

pub(super) fn category(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    match candidate.rules.iter().find(|rule| !rule.allows_category(payment.category)) {
        Some(rule) => {
            let allowed: Vec<&str> = rule.allowed_categories().collect();
            let refusal = Refusal::new(Code::CategoryNotAllowed).with("category", payment.category);
            Err(told::category(refusal.with("allowed", json!(allowed)), payment.category, &allowed))
        }
        None => Ok(()),
    }
}

/// The merchant's own industry decides what its goods may be called, where the campaign says which codes belong to a category.
pub(super) fn industry(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    for codes in candidate.rules.iter().filter_map(|rule| rule.category_codes.get(payment.category)) {
        if !codes.iter().any(|prefix| industry::is_below(payment.industry_code, prefix)) {
            let refusal = Refusal::new(Code::CategoryNotAllowed).with("industry_code", payment.industry_code);
            let refusal = refusal.with("category", payment.category).with("allowed_codes", json!(codes));
            let refusal = told::industry(refusal, payment.category, payment.industry_code, codes);
            return Err(refusal.to_cashier(cashier::other_industry()));
        }
    }
    Ok(())
}

pub(super) fn district(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let outside = |rule: &&&UseRule| {
        !rule.districts.is_empty() && !rule.districts.iter().any(|prefix| payment.district.starts_with(prefix.as_str()))
    };
    match candidate.rules.iter().find(outside) {
        Some(rule) => {
            let refusal = Refusal::new(Code::DistrictNotAllowed).with("allowed", json!(rule.districts));
            Err(told::district(refusal.with("district", payment.district), payment.district, &rule.districts))
        }
        None => Ok(()),
    }
}
