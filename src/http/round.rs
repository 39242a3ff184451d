//! Rounds: closing and drawing by hand, the commitment, the proof and the published lists.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, ETAG, Encoding, EntityTag, Header, IfNoneMatch,
    VARY,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::{Anyone, Gate, Officer};
use super::body::{MaybeBody, NoBody};
use super::error::Problem;
use super::published::{self, Item};
use super::roles;
use super::shapes::draw::{DrawCommitment, RoundCommitment, RoundProof};
use super::turn::Doing;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Failure;
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::draw::entropy::Entered;
use crate::engine::draw::proof;
use crate::engine::draw::proof::Published;

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
    let view = state.engine.own_view(officer.key(), &campaign_id).await?;
    let round = drawn_round(&view, &round_id)?;
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
    let key = officer.require(if entered.is_some() { roles::ENTER_VALUES } else { roles::OPERATE })?;
    let view = state.engine.own_view(key, &campaign_id).await?;
    let round = drawn_round(&view, &round_id)?;
    if state.engine.now() < round.round.draw.as_ref().map(|draw| draw.at).unwrap_or_default() {
        return Err(round.not_drawn(&view, state.engine.now()).into());
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
    let view = state.engine.published_anywhere(&campaign_id).await?;
    let round = view.named_round(&round_id)?;
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
    let view = state.engine.published_anywhere(&campaign_id).await?;
    let round = view.named_round(&round_id)?;
    if round.deal.is_some() {
        is_over(&state, &view, round)?;
        return Ok(Answer::ok(&proof::deal_proof(&state.engine, &view, round)));
    }
    let round = ended(&state, &view, &round_id)?;
    let proof = proof::proof(&state.engine, &view, round).ok_or_else(|| round.not_drawn(&view, state.engine.now()))?;
    Ok(Answer::ok(&proof))
}

/// The closed list, one entry a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, description = "One entry a line.", body = String, content_type = "application/x-ndjson"),
        (status = 304, description = "The reader has this list.")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/entries")]
pub async fn get_entries(
    state: Data<State>,
    _: Anyone,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    send(&state, &request, path.into_inner(), Published::Entries).await
}

/// The winners, one a line, sorted as in the tree.
#[utoipa::path(tag = "public", params(("campaign_id" = String, Path), ("round_id" = String, Path)),
    responses((status = 200, description = "One entry a line.", body = String, content_type = "application/x-ndjson"),
        (status = 304, description = "The reader has this list.")))]
#[get("/v1/campaigns/{campaign_id}/rounds/{round_id}/winners")]
pub async fn get_winners(
    state: Data<State>,
    _: Anyone,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    send(&state, &request, path.into_inner(), Published::Winners).await
}

fn commitment_of(view: &CampaignView, round_id: &str) -> answer::Result {
    let round = drawn_round(view, round_id)?;
    let closes_at = round.list_closes_at().map(|at| view.zone.rfc3339(at));
    let open = || Refusal::new(Code::ListNotClosed).with("closes_at", closes_at);
    let commitment = proof::commitment(view, round).ok_or_else(open)?;
    Ok(Answer::ok(&commitment))
}

/// A round that has a list and a draw.
fn drawn_round<'a>(view: &'a CampaignView, round_id: &str) -> Result<&'a RoundView, Refusal> {
    let round = view.named_round(round_id)?;
    proof::undrawn(view, round).map_or(Ok(round), Err)
}

/// A round that is over and drawn; before that its seed is a secret.
fn ended<'a>(state: &State, view: &'a CampaignView, round_id: &str) -> Result<&'a RoundView, Refusal> {
    let round = drawn_round(view, round_id)?;
    is_over(state, view, round)?;
    if round.draw.is_none() { Err(round.not_drawn(view, state.engine.now())) } else { Ok(round) }
}

fn is_over(state: &State, view: &CampaignView, round: &RoundView) -> Result<(), Refusal> {
    let closes_at = round.last_close();
    let open = || Refusal::new(Code::RoundNotClosed).with("closes_at", view.zone.rfc3339(closes_at));
    if state.engine.now() < closes_at { Err(open()) } else { Ok(()) }
}

/// Sends a list from its file, compressed for those who take that; to one address one list at a time.
async fn send(
    state: &Data<State>,
    request: &HttpRequest,
    (campaign_id, round_id): (String, String),
    published: Published,
) -> Result<HttpResponse, Problem> {
    let view = state.engine.published_anywhere(&campaign_id).await?;
    let round = usize::from(ended(state, &view, &round_id)?.index);
    let item = Item::new(view, round, published);
    let gate = Gate::of(request)?;
    let address = gate.address_of(request).unwrap_or(UNKNOWN);
    let turn = gate.turns.take(Doing::Download(address))?;
    let mut response = HttpResponse::Ok();
    let etag = EntityTag::new_weak(item.digest.clone());
    response.insert_header((CACHE_CONTROL, "public, max-age=60"));
    response.insert_header((VARY, "accept-encoding"));
    response.insert_header((ETAG, etag.to_string()));
    if IfNoneMatch::parse(request).is_ok_and(|known| lists(&known, &etag)) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let file = state.published.file(&state.engine, &item).await.map_err(refusal)?;
    let packed = takes_gzip(request);
    if packed {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(response.content_type("application/x-ndjson").streaming(published::pieces(file, !packed, turn)))
}

/// A caller without an address, which only tests have.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn lists(known: &IfNoneMatch, etag: &EntityTag) -> bool {
    match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(items) => items.iter().any(|item| item.weak_eq(etag)),
    }
}

/// Whoever does not ask for it gets the text as it is.
fn takes_gzip(request: &HttpRequest) -> bool {
    let offered = [Encoding::identity(), Encoding::gzip()];
    let asked = AcceptEncoding::parse(request).ok().filter(|_| request.headers().contains_key(ACCEPT_ENCODING));
    asked.and_then(|asked| asked.negotiate(offered.iter())) == Some(Encoding::gzip())
}

fn refusal(failure: Failure) -> Refusal {
    failure.into_refusal()
}
