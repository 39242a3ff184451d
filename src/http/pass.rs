//! Passes for rounds without reservation.

use actix_web::post;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::area::LocationBody;
use super::auth_resident::TokenHolder;
use super::body::MaybeBody;

pub fn configure(config: &mut ServiceConfig) {
    config.service(give_pass);
}

/// Who the caller is stands in the token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// Needed where the round may be claimed in some places only; judged and not kept.
    location: Option<LocationBody>,
}

#[derive(Serialize, ToSchema)]
pub struct PassAnswer {
    /// The bearer of claims: `qp1.…`.
    pass: String,
    expires_at: String,
}

/// A pass for the round's claims, from 24 hours before it opens: eligibility is judged here, once.
#[utoipa::path(tag = "claim", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    request_body(content = Option<PassRequest>),
    responses((status = 200, body = PassAnswer)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/passes")]
pub async fn give_pass(
    state: Data<State>,
    token: TokenHolder,
    path: Path<(String, String)>,
    body: MaybeBody<PassRequest>,
) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let resident = state.engine.resident(&token.0.identity())?;
    let location = body.0.and_then(|body| body.location).map(LocationBody::location).transpose()?;
    let given = state.engine.give_pass(&campaign_id, &round_id, &resident, location).await?;
    Ok(Answer::ok(&PassAnswer { pass: given.pass, expires_at: given.expires_at }))
}
