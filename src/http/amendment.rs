//! Amendments of a published campaign.

use actix_web::web::{Data, Path};
use actix_web::{get, post};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::body::{Body, NoBody};
use super::shapes::office::{AmendmentList, AmendmentShown};
use crate::domain::amendment::Change;
use crate::engine::campaign::amendment::Proposal;

pub fn configure(config: &mut ServiceConfig) {
    config.service(propose_amendment).service(approve_amendment).service(list_amendments);
}

/// What is to change, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendmentRequest {
    /// 1 to 64 of letters, digits, _ . and -; the same id with the same content is the same amendment.
    amendment_id: String,
    /// Published with the change.
    reason: String,
    changes: Vec<Change>,
}

/// Propose a change that gives more: money up, ends later, categories added. It takes effect when it is approved.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), request_body = AmendmentRequest,
    responses((status = 201, body = AmendmentShown), (status = 200, description = "It was proposed before.", body = AmendmentShown)))]
#[post("/v1/campaigns/{campaign_id}/amendments")]
pub async fn propose_amendment(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    body: Body<AmendmentRequest>,
) -> answer::Result {
    let key = officer.key();
    let AmendmentRequest { amendment_id, reason, changes } = body.0;
    let proposal = Proposal { amendment_id, reason, changes };
    let told = state.engine.propose_amendment(key, &campaign_id, &proposal).await?;
    let answer = if told.replayed { Answer::ok(&told.body) } else { Answer::created(&told.body) };
    Ok(answer.effect(&state.engine.settings.durability, told.replayed))
}

/// Bring another person's amendment into force; when it is answered every node judges by it.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("amendment_id" = String, Path)),
    responses((status = 200, body = AmendmentShown)))]
#[post("/v1/campaigns/{campaign_id}/amendments/{amendment_id}/approve")]
pub async fn approve_amendment(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    _: NoBody,
) -> answer::Result {
    let key = officer.key();
    let (campaign_id, amendment_id) = path.into_inner();
    let told = state.engine.approve_amendment(key, &campaign_id, &amendment_id).await?;
    Ok(Answer::ok(&told.body).effect(&state.engine.settings.durability, told.replayed))
}

/// All amendments of a campaign, in the order in which they were proposed; there are at most 64.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), responses((status = 200, body = AmendmentList)))]
#[get("/v1/campaigns/{campaign_id}/amendments")]
pub async fn list_amendments(state: Data<State>, officer: Officer, campaign_id: Path<String>) -> answer::Result {
    let key = officer.key();
    let items = state.engine.amendments(key, &campaign_id).await?;
    Ok(Answer::ok(&json!({"items": items, "next_cursor": null})))
}
