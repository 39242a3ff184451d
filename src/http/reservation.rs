//! Reservation for residents: reserve, look, change, withdraw, and why not.

use actix_web::web::{Data, Path};
use actix_web::{delete, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::area::LocationBody;
use super::auth_resident::TokenHolder;
use super::body::{Body, MaybeBody, NoBody, Params};
use super::shapes::office::EligibilityExplained;
use crate::domain::refusal::Refusal;
use crate::engine::reservation::{Reserved, Wish};

pub fn configure(config: &mut ServiceConfig) {
    config.service(reserve).service(change_reservation).service(my_reservation).service(withdraw).service(explain);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationRequest {
    /// Needed when several lists are open.
    round_id: Option<String>,
    /// The chosen tier, for rounds that offer a choice.
    pack_id: Option<String>,
    /// `location`, `phone` and `device` are taken and dropped unless the campaign's rules name them; a location is judged and not kept.
    location: Option<LocationBody>,
    phone: Option<String>,
    device: Option<String>,
    consent_version: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ReservationAnswer {
    reservation: ReservationBody,
    /// Proves the reservation to the program office.
    receipt: String,
    /// Carried by every tap.
    pass: String,
}

#[derive(Serialize, ToSchema)]
pub struct ReservationBody {
    pseudonym: String,
    round_id: String,
    channel: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack_id: Option<String>,
    reserved_at: String,
    rules_hash: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RoundQuery {
    round_id: Option<String>,
}

impl From<Reserved> for ReservationAnswer {
    fn from(reserved: Reserved) -> ReservationAnswer {
        ReservationAnswer {
            reservation: ReservationBody {
                pseudonym: reserved.pseudonym,
                round_id: reserved.round_id,
                channel: reserved.channel,
                pack_id: reserved.pack_id,
                reserved_at: reserved.reserved_at,
                rules_hash: reserved.rules_hash,
            },
            receipt: reserved.receipt,
            pass: reserved.pass,
        }
    }
}

/// Put the caller on a round's list; repeating answers the same.
#[utoipa::path(tag = "resident", params(("campaign_id" = String, Path)), request_body = ReservationRequest,
    responses((status = 201, body = ReservationAnswer), (status = 200, body = ReservationAnswer)))]
#[post("/v1/campaigns/{campaign_id}/reservations")]
pub async fn reserve(
    state: Data<State>,
    token: TokenHolder,
    campaign_id: Path<String>,
    body: Body<ReservationRequest>,
) -> answer::Result {
    let wish = wish(body.0)?;
    let resident = state.engine.resident(&token.0.identity())?;
    let reserved = state.engine.reserve(&campaign_id, &resident, &wish, false).await?;
    let replayed = reserved.replayed;
    let body = ReservationAnswer::from(reserved);
    let answer = if replayed { Answer::ok(&body) } else { Answer::created(&body) };
    Ok(answer.effect(&state.engine.settings.durability, replayed))
}

/// Replace the caller's choice while the list is open.
#[utoipa::path(tag = "resident", params(("campaign_id" = String, Path)), request_body = ReservationRequest,
    responses((status = 200, body = ReservationAnswer)))]
#[put("/v1/campaigns/{campaign_id}/reservations/mine")]
pub async fn change_reservation(
    state: Data<State>,
    token: TokenHolder,
    campaign_id: Path<String>,
    body: Body<ReservationRequest>,
) -> answer::Result {
    let wish = wish(body.0)?;
    let resident = state.engine.resident(&token.0.identity())?;
    // A change needs something to change; the window is judged by the transition itself.
    state.engine.my_reservation(&campaign_id, &resident, wish.round_id.as_deref()).await?;
    let reserved = state.engine.reserve(&campaign_id, &resident, &wish, true).await?;
    let replayed = reserved.replayed;
    Ok(Answer::ok(&ReservationAnswer::from(reserved)).effect(&state.engine.settings.durability, replayed))
}

/// The caller's reservation with a fresh copy of its pass. From the closing of the list on, one that it did not take is `not_eligible`: another,
/// earlier one has its phone, device or account (`duplicates`), or the caller has won before (`exclude_winners_of`).
#[utoipa::path(tag = "resident", params(RoundQuery, ("campaign_id" = String, Path)), responses((status = 200, body = ReservationAnswer)))]
#[get("/v1/campaigns/{campaign_id}/reservations/mine")]
pub async fn my_reservation(
    state: Data<State>,
    token: TokenHolder,
    campaign_id: Path<String>,
    query: Params<RoundQuery>,
) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    let reserved = state.engine.my_reservation(&campaign_id, &resident, query.round_id.as_deref()).await?;
    Ok(Answer::ok(&ReservationAnswer::from(reserved)))
}

/// Take the caller off the list.
#[utoipa::path(tag = "resident", params(RoundQuery, ("campaign_id" = String, Path)), responses((status = 204)))]
#[delete("/v1/campaigns/{campaign_id}/reservations/mine")]
pub async fn withdraw(
    state: Data<State>,
    token: TokenHolder,
    campaign_id: Path<String>,
    query: Params<RoundQuery>,
    _: NoBody,
) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    state.engine.withdraw(&campaign_id, &resident, query.round_id.as_deref()).await?;
    Ok(Answer::no_content().effect(&state.engine.settings.durability, false))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    location: Option<LocationBody>,
}

/// Every rule of eligibility with its verdict for the caller; once the list is closed also the rule by which it did not take the caller's entry.
#[utoipa::path(tag = "resident", params(RoundQuery, ("campaign_id" = String, Path)), request_body(content = Option<ExplainRequest>),
    responses((status = 200, body = EligibilityExplained)))]
#[post("/v1/campaigns/{campaign_id}/eligibility/explain")]
pub async fn explain(
    state: Data<State>,
    token: TokenHolder,
    campaign_id: Path<String>,
    query: Params<RoundQuery>,
    body: MaybeBody<ExplainRequest>,
) -> answer::Result {
    let resident = state.engine.resident(&token.0.identity())?;
    let location = body.0.and_then(|body| body.location).map(LocationBody::location).transpose()?;
    let verdicts = state.engine.explain(&campaign_id, &resident, query.round_id.as_deref(), location).await?;
    let rules = verdicts.iter().map(|verdict| {
        let (zh, en) = verdict.message();
        serde_json::json!({"rule": verdict.rule, "passed": verdict.passed, "message": {"zh": zh, "en": en}})
    });
    let eligible = verdicts.iter().all(|verdict| verdict.passed);
    Ok(Answer::ok(&serde_json::json!({"eligible": eligible, "rules": rules.collect::<Vec<_>>()})))
}

fn wish(request: ReservationRequest) -> Result<Wish, Refusal> {
    let ReservationRequest { round_id, pack_id, location, phone, device, consent_version } = request;
    let location = location.map(LocationBody::location).transpose()?;
    Ok(Wish { round_id, pack_id, consent_version, location, phone, device })
}
