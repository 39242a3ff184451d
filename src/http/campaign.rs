//! Campaigns for the program office: the file, its life, and what a city watches.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, delete, get, post, put};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Anyone, Officer};
use super::body::{Body, MaybeBody, NoBody, Params, RawBody};
use super::shapes::campaign_file::CampaignFile;
use super::shapes::office::{CampaignShown, CampaignStats, CampaignStatus, PublicCampaign};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Failure;
use crate::engine::campaign;
use crate::engine::ledger::money::LedgerView;
use crate::store::campaign::Scope;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(put_campaign)
        .service(get_campaign)
        .service(delete_draft)
        .service(submit_campaign)
        .service(approve_campaign)
        .service(reject_campaign)
        .service(publish_campaign)
        .service(pause_campaign)
        .service(resume_campaign)
        .service(stop_campaign)
        .service(campaign_stats)
        .service(campaign_ledger)
        .service(public_campaign);
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    /// Check the file and store nothing.
    #[serde(default)]
    validate_only: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GetQuery {
    /// `effective`: every round with the rules that hold for it.
    view: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the audit.
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// What to stop; confirm, cancel, reverse and refund never stop.
    scope: Vec<Scope>,
    reason: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// What goes on; absent: all that was paused.
    scope: Option<Vec<Scope>>,
}

/// Create a draft (`If-None-Match: *`) or replace one (`If-Match`).
#[utoipa::path(tag = "office", params(PutQuery, ("campaign_id" = String, Path)), request_body = CampaignFile,
    responses((status = 201, body = CampaignStatus), (status = 200, body = CampaignStatus)))]
#[put("/v1/campaigns/{campaign_id}")]
pub async fn put_campaign(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    query: Params<PutQuery>,
    request: HttpRequest,
    file: RawBody,
) -> answer::Result {
    let key = officer.key();
    let expect = answer::expectation(&request);
    let status = state.engine.put_campaign(key, &campaign_id, expect, &file.0, query.validate_only).await?;
    Ok(written(&state, status))
}

/// A campaign of the caller's program, as written or as it takes effect.
#[utoipa::path(tag = "office", params(GetQuery, ("campaign_id" = String, Path)), responses((status = 200, body = CampaignShown)))]
#[get("/v1/campaigns/{campaign_id}")]
pub async fn get_campaign(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    query: Params<GetQuery>,
) -> answer::Result {
    let key = officer.key();
    let effective = match query.view.as_deref() {
        None => false,
        Some("effective") => true,
        Some(_) => {
            let refusal = Refusal::new(Code::InvalidRequest);
            return Err(refusal
                .field("/view", "invalid_value", "只支持 effective。", "Only effective is offered.")
                .into());
        }
    };
    let status = state.engine.get_campaign(key, &campaign_id, effective).await?;
    Ok(Answer::ok(&status.body).etag(status.version))
}

/// Remove what was never published (`If-Match`); a published campaign stays for good.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), responses((status = 204)))]
#[delete("/v1/campaigns/{campaign_id}")]
pub async fn delete_draft(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    request: HttpRequest,
) -> answer::Result {
    let key = officer.key();
    state.engine.delete_draft(key, &campaign_id, answer::expectation(&request)).await?;
    Ok(Answer::no_content().effect(&state.engine.settings.durability, false))
}

macro_rules! step {
    ($(#[$doc:meta])* $name:ident $path:literal $method:ident) => {
        $(#[$doc])*
        #[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), responses((status = 200, body = CampaignStatus)))]
        #[post($path)]
        pub async fn $name(
            state: Data<State>,
            officer: Officer,
            campaign_id: Path<String>,
            _: NoBody,
        ) -> answer::Result {
            let key = officer.key();
            Ok(written(&state, state.engine.$method(key, &campaign_id).await?))
        }
    };
}

step! {
    /// Hand a draft over for approval.
    submit_campaign "/v1/campaigns/{campaign_id}/submit" submit_campaign
}
step! {
    /// Approve what another person submitted.
    approve_campaign "/v1/campaigns/{campaign_id}/approve" approve_campaign
}
step! {
    /// Send a campaign back to its author.
    reject_campaign "/v1/campaigns/{campaign_id}/reject" reject_campaign
}
step! {
    /// Freeze the rules and let the clock run the campaign.
    publish_campaign "/v1/campaigns/{campaign_id}/publish" publish_campaign
}
/// Go on after a pause, with what `scope` names or, without it, with all that was paused.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), request_body(content = Option<Resume>),
    responses((status = 200, body = CampaignStatus)))]
#[post("/v1/campaigns/{campaign_id}/resume")]
pub async fn resume_campaign(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    body: MaybeBody<Resume>,
) -> answer::Result {
    let key = officer.key();
    let scope = body.0.and_then(|body| body.scope);
    Ok(written(&state, state.engine.resume_campaign(key, &campaign_id, scope.as_deref()).await?))
}

/// Stop reserving, claiming or redeeming. Nothing that it names has an effect on any node once it is answered. What another node says from
/// memory, that there is nothing to get (`sold_out`, `lost`, a limit over everybody), it says until it has heard of the pause: a moment longer,
/// or as long as it is cut off from the store.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), request_body = Pause,
    responses((status = 200, body = CampaignStatus)))]
#[post("/v1/campaigns/{campaign_id}/pause")]
pub async fn pause_campaign(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    body: Body<Pause>,
) -> answer::Result {
    let key = officer.key();
    let status = state.engine.pause_campaign(key, &campaign_id, &body.0.scope, &body.0.reason).await?;
    Ok(written(&state, status))
}

/// Issue nothing more; issued vouchers stay valid.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), request_body = Reason,
    responses((status = 200, body = CampaignStatus)))]
#[post("/v1/campaigns/{campaign_id}/stop")]
pub async fn stop_campaign(
    state: Data<State>,
    officer: Officer,
    campaign_id: Path<String>,
    body: Body<Reason>,
) -> answer::Result {
    let key = officer.key();
    Ok(written(&state, state.engine.stop_campaign(key, &campaign_id, &body.0.reason).await?))
}

/// Reserved, issued, redeemed, and each round's issued against released.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), responses((status = 200, body = CampaignStats)))]
#[get("/v1/campaigns/{campaign_id}/stats")]
pub async fn campaign_stats(state: Data<State>, officer: Officer, campaign_id: Path<String>) -> answer::Result {
    let view = state.engine.own_view(officer.key(), &campaign_id).await?;
    let stats = state.engine.stats(&view.id).await.map_err(Failure::into_refusal)?;
    Ok(Answer::ok(&stats))
}

/// The accounts of the budget: in total, and by round, channel, pack and pool. What ran out is booked at the next full hour: until then it is
/// `outstanding`, although wallets and tills say `expired`, and it is not in the pool yet. Validities that end on a full hour are booked as
/// they end.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path)), responses((status = 200, body = LedgerView)))]
#[get("/v1/campaigns/{campaign_id}/ledger")]
pub async fn campaign_ledger(state: Data<State>, officer: Officer, campaign_id: Path<String>) -> answer::Result {
    let view = state.engine.own_view(officer.key(), &campaign_id).await?;
    let ledger = state.engine.ledger(&view.id).await.map_err(Failure::into_refusal)?;
    Ok(Answer::ok(&ledger))
}

/// What everybody may know of a published campaign: its file and its rules hash.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path)), responses((status = 200, body = PublicCampaign)))]
#[get("/v1/public/campaigns/{campaign_id}")]
pub async fn public_campaign(state: Data<State>, _: Anyone, campaign_id: Path<String>) -> answer::Result {
    let view = state.engine.published_anywhere(&campaign_id).await?;
    let shown = state.engine.public_campaign(&view);
    Ok(Answer::ok(&shown))
}

/// What a write answers; a mere check of a file (version 0) has no effect to vouch for.
fn written(state: &State, status: campaign::CampaignStatus) -> Answer {
    let answer = if status.created { Answer::created(&status.body) } else { Answer::ok(&status.body) };
    if status.version == 0 {
        answer
    } else {
        answer.effect(&state.engine.settings.durability, false).etag(status.version)
    }
}
