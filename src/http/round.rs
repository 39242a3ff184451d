//! Rounds: closing and drawing by hand, the commitment, the proof and the published lists.

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpResponse, get, post};

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Anyone, Officer};
use super::body::{MaybeBody, NoBody};
use super::error::Problem;
use super::shapes::draw::{DrawCommitment, RoundCommitment, RoundProof};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Failure;
use crate::engine::campaign::may;
use crate::engine::entropy::Entered;
use crate::engine::proof::{self, Published};
use crate::engine::view::CampaignView;

/// Entries in one part of a stream.
const PART: usize = 4_096;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(close_list)
        .service(draw_round)
        .service(get_commitment)
        .service(get_proof)
        .service(get_entries)
        .service(get_winners);
}

/// Close a round's list now, after its reservation has ended.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, body = DrawCommitment)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/close-list")]
pub async fn close_list(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    _: NoBody,
) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.own_view(officer.require(may::OPERATE)?, &campaign_id).await?;
    let round = view.round(&round_id).ok_or(Code::RoundNotFound)?;
    let ends = round.reservation.as_ref().map(|reservation| reservation.closes_at).unwrap_or_default();
    if state.engine.now() < ends {
        return Err(Refusal::new(Code::ListNotClosed).with("closes_at", view.zone.rfc3339(ends)).into());
    }
    state.engine.close_list(&campaign_id, &round_id).await.map_err(refusal)?;
    let view = state.engine.campaign(&campaign_id)?;
    commitment_of(&view, &round_id)
}

/// What a draw may be waiting for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawRequest {
    /// Digits as the notary has drawn them, 4 to 128 of them.
    notary_digits: Option<String>,
    /// Hex of the signature of the drand round that the commitment names.
    drand_signature: Option<String>,
}

/// Draw a closed round now, from its draw time on; an approver enters the public values that it waits for.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    request_body(content = Option<DrawRequest>), responses((status = 200, body = DrawCommitment)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/draw")]
pub async fn draw_round(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    body: MaybeBody<DrawRequest>,
) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let entered =
        body.0.map(|body| Entered { notary_digits: body.notary_digits, drand_signature: body.drand_signature });
    let key = officer.require(if entered.is_some() { may::APPROVE } else { may::OPERATE })?;
    let view = state.engine.own_view(key, &campaign_id).await?;
    let round = view.round(&round_id).ok_or(Code::RoundNotFound)?;
    let at = round.round.draw.as_ref().map(|draw| draw.at).ok_or(Code::RoundNotFound)?;
    if state.engine.now() < at {
        return Err(Refusal::new(Code::RoundNotDrawn).with("draw_at", view.zone.rfc3339(at)).into());
    }
    if let Some(entered) = &entered {
        state.engine.enter_entropy(&campaign_id, &round_id, entered).await.map_err(refusal)?;
    }
    // One of several values may have come; the draw is held when the last one does.
    let drawn = state.engine.draw_round(&campaign_id, &round_id).await.map_err(refusal);
    drawn.or_else(
        |refusal| if entered.is_some() && refusal.code == Code::RoundNotDrawn { Ok(()) } else { Err(refusal) },
    )?;
    let view = state.engine.campaign(&campaign_id)?;
    commitment_of(&view, &round_id)
}

/// What was fixed before the draw: count, root, rules hash and the hash of the operator's secret. Of a round that deals its packs by
/// chance without a draw: rules hash and hash of the secret, from its publication on.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, body = RoundCommitment)))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/commitment")]
pub async fn get_commitment(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.published(&campaign_id)?;
    let round = view.round(&round_id).ok_or(Code::RoundNotFound)?;
    match proof::deal_commitment(&state.engine, &view, round) {
        Some(commitment) => Ok(Answer::ok(&commitment)),
        None => commitment_of(&view, &round_id),
    }
}

/// Everything that `quanyu verify-draw` needs, once the round has ended. Of a round that is not drawn and gives its packs by chance: what
/// it takes to recompute which pack was dealt to whom (ARCHITECTURE, "Deal").
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, body = RoundProof)))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/proof")]
pub async fn get_proof(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.published(&campaign_id)?;
    let dealt = view.round(&round_id).filter(|round| state.engine.now() >= round.last_close());
    if let Some(proof) = dealt.and_then(|round| proof::deal_proof(&state.engine, &view, round)) {
        return Ok(Answer::ok(&proof));
    }
    let round = ended(&state, &view, &round_id)?;
    let proof = proof::proof(&state.engine, &view, &view.rounds[round]).ok_or(Code::RoundNotDrawn)?;
    Ok(Answer::ok(&proof))
}

/// The closed list, one entry a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, description = "One entry a line.", body = String, content_type = "application/x-ndjson")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/entries")]
pub async fn get_entries(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    stream(&state, path.into_inner(), Published::Entries).await
}

/// The winners, one a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, description = "One entry a line.", body = String, content_type = "application/x-ndjson")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/winners")]
pub async fn get_winners(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    stream(&state, path.into_inner(), Published::Winners).await
}

fn commitment_of(view: &CampaignView, round_id: &str) -> answer::Result {
    let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
    let commitment = proof::commitment(view, round).ok_or(Code::ListNotClosed)?;
    Ok(Answer::ok(&commitment))
}

/// The position of a round that is over and drawn; before that its seed is a secret.
fn ended(state: &State, view: &CampaignView, round_id: &str) -> Result<usize, Problem> {
    let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
    if state.engine.now() < round.last_close() || round.draw.is_none() {
        return Err(Refusal::new(Code::RoundNotClosed).with("closes_at", view.zone.rfc3339(round.last_close())).into());
    }
    Ok(usize::from(round.index))
}

/// Streams a list some thousand lines at a time; the list itself is held once, compactly, for all who read it.
async fn stream(
    state: &Data<State>,
    (campaign_id, round_id): (String, String),
    published: Published,
) -> Result<HttpResponse, Problem> {
    let view = state.engine.published(&campaign_id)?;
    let round = ended(state, &view, &round_id)?;
    let list = state.engine.entries(&view, round as u8).await.map_err(refusal)?;
    let mut begin = 0;
    let lines = std::iter::from_fn(move || {
        let rest = list.get(begin..).filter(|rest| !rest.is_empty())?;
        // The entries of a person stay together.
        let least = rest.len().min(PART);
        let more = rest[least..].iter().take_while(|entry| entry.pseudonym == rest[least - 1].pseudonym).count();
        begin += least + more;
        let text = proof::lines(&view, &view.rounds[round], published, &rest[..least + more]);
        Some(Ok::<Bytes, actix_web::Error>(Bytes::from(text)))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(futures_util::stream::iter(lines)))
}

fn refusal(failure: Failure) -> Refusal {
    failure.into_refusal()
}
