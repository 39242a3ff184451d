//! Rounds: closing and drawing by hand, the commitment, the proof and the published lists.

use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpResponse, get, post};

use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Anyone, Officer};
use super::error::Problem;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Failure;
use crate::engine::campaign::may;
use crate::engine::lists;
use crate::engine::view::CampaignView;

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
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/close-list")]
pub async fn close_list(state: Data<State>, officer: Officer, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.own_view(officer.require(may::OPERATE)?, &campaign_id)?;
    let round = view.round(&round_id).ok_or(Code::RoundNotFound)?;
    let ends = round.reservation.as_ref().map(|reservation| reservation.closes_at).unwrap_or_default();
    if state.engine.now() < ends {
        return Err(Refusal::new(Code::ListNotClosed).with("closes_at", view.zone.rfc3339(ends)).into());
    }
    state.engine.close_list(&campaign_id, &round_id).await.map_err(refusal)?;
    let view = state.engine.campaign(&campaign_id)?;
    commitment_of(&view, &round_id)
}

/// Draw a closed round now, from its draw time on.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200)))]
#[post("/v1/campaigns/{campaign_id}/rounds/{round_id}/draw")]
pub async fn draw_round(state: Data<State>, officer: Officer, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.own_view(officer.require(may::OPERATE)?, &campaign_id)?;
    let round = view.round(&round_id).ok_or(Code::RoundNotFound)?;
    let at = round.round.draw.as_ref().map(|draw| draw.at).ok_or(Code::RoundNotFound)?;
    if state.engine.now() < at {
        return Err(Refusal::new(Code::RoundNotDrawn).with("draw_at", view.zone.rfc3339(at)).into());
    }
    state.engine.draw_round(&campaign_id, &round_id).await.map_err(refusal)?;
    let view = state.engine.campaign(&campaign_id)?;
    commitment_of(&view, &round_id)
}

/// What was fixed before the draw: count, root, rules hash and the hash of the operator's secret.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200)))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/commitment")]
pub async fn get_commitment(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.published(&campaign_id)?;
    commitment_of(&view, &round_id)
}

/// Everything that `quanyu verify-draw` needs, once the round has ended.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200)))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/proof")]
pub async fn get_proof(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> answer::Result {
    let (campaign_id, round_id) = path.into_inner();
    let view = state.engine.published(&campaign_id)?;
    let round = ended(&state, &view, &round_id)?;
    let proof = lists::proof(&state.engine, &view, &view.rounds[round]).ok_or(Code::RoundNotDrawn)?;
    Ok(Answer::ok(&proof))
}

/// The closed list, one entry a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200, content_type = "application/x-ndjson")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/entries")]
pub async fn get_entries(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    list(&state, path.into_inner(), false).await
}

/// The winners, one a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)), responses((status = 200, content_type = "application/x-ndjson")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/winners")]
pub async fn get_winners(state: Data<State>, _: Anyone, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    list(&state, path.into_inner(), true).await
}

fn commitment_of(view: &CampaignView, round_id: &str) -> answer::Result {
    let round = view.round(round_id).ok_or(Code::RoundNotFound)?;
    let commitment = lists::commitment(view, round).ok_or(Code::ListNotClosed)?;
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

/// Streams a list in chunks of some thousand lines; the list itself is held once, compactly.
async fn list(
    state: &Data<State>,
    (campaign_id, round_id): (String, String),
    only_winners: bool,
) -> Result<HttpResponse, Problem> {
    let view = state.engine.published(&campaign_id)?;
    let round = ended(state, &view, &round_id)?;
    let entries = state.engine.entries(&view, round as u8).await.map_err(refusal)?;
    let chunks = entries.chunks(4_096).map(<[_]>::to_vec).collect::<Vec<_>>().into_iter();
    let lines = chunks.map(move |chunk| {
        let round = &view.rounds[round];
        let mut text = String::with_capacity(chunk.len() * 128);
        for entry in &chunk {
            let place =
                round.draw.as_ref().and_then(|draw| draw.place(&lists::draw_entry(&view, entry), entry.channel));
            let won = place.filter(|place| place.won);
            if only_winners && won.is_none() {
                continue;
            }
            let pack = won.filter(|_| only_winners).map(|place| place.group.pack);
            text.push_str(&lists::list_line(&view, entry, pack));
            text.push('\n');
        }
        Ok::<Bytes, actix_web::Error>(Bytes::from(text))
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(futures_util::stream::iter(lines)))
}

fn refusal(failure: Failure) -> Refusal {
    failure.into_refusal()
}
