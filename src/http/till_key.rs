//! Keys of merchants and platforms; those of single terminals are in `merchant.rs`.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, get, post};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::body::{Body, MaybeBody, Params};
use super::merchant::{RotationBody, WhyBody, why};
use super::shapes::office::{TillKeyList, TillKeyShown};
use crate::domain::ids::caller_id;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::key::till::KeyScope;

/// Channels that one platform may have.
const MOST_CHANNELS: usize = 5;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_till_key)
        .service(list_till_keys)
        .service(get_till_key)
        .service(rotate_till_key)
        .service(revoke_till_key);
}

/// A merchant's key signs for all its terminals, a platform's for all merchants of the program.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TillKeyRequest {
    Merchant {
        merchant_id: String,
    },
    Platform {
        /// Channels whose accounts the platform may name as payers.
        #[serde(default)]
        channels: Vec<String>,
    },
}

impl TillKeyRequest {
    fn scope(self) -> Result<KeyScope, Refusal> {
        match self {
            TillKeyRequest::Merchant { merchant_id } => {
                Ok(KeyScope::Merchant { merchant_id: caller_id("/merchant_id", &merchant_id)? })
            }
            TillKeyRequest::Platform { channels } => {
                if channels.len() > MOST_CHANNELS {
                    let (zh, en) = ("最多 5 个渠道。", "A platform has at most 5 channels.");
                    return Err(Refusal::new(Code::InvalidRequest).field("/channels", "too_many", zh, en));
                }
                let parse = |(at, name): (usize, &String)| caller_id(&format!("/channels/{at}"), name);
                Ok(KeyScope::Platform { channels: channels.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
            }
        }
    }
}

/// Make a key for a merchant or a platform. The secret is shown here and never again; with an Idempotency-Key a repeat tells which key it
/// is, without its secret, and makes no other.
#[utoipa::path(tag = "office", request_body = TillKeyRequest,
    responses((status = 201, body = TillKeyShown), (status = 200, description = "Made before; its secret is not shown.", body = TillKeyShown)))]
#[post("/v1/till-keys")]
pub async fn create_till_key(
    state: Data<State>,
    officer: Officer,
    request: HttpRequest,
    body: Body<TillKeyRequest>,
) -> answer::Result {
    let key = officer.key();
    let made = state.engine.create_till_key(key, body.0.scope()?, idempotency_key(&request)?).await?;
    let answer = if made.created { Answer::created(&made.body) } else { Answer::ok(&made.body) };
    Ok(answer.effect(&state.engine.settings.durability, !made.created))
}

/// What the caller calls the request; empty if it has sent none.
fn idempotency_key(request: &HttpRequest) -> Result<&str, Refusal> {
    let Some(sent) = request.headers().get("idempotency-key") else { return Ok("") };
    let read = sent.to_str().ok().filter(|name| (1..=255).contains(&name.len()));
    read.ok_or_else(|| {
        let (zh, en) = (
            "Idempotency-Key 须为 1 至 255 个可见 ASCII 字符。",
            "Idempotency-Key must be 1 to 255 visible ASCII characters.",
        );
        Refusal::new(Code::InvalidRequest).field("", "invalid_id", zh, en)
    })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The program's keys of merchants and platforms, without their secrets.
#[utoipa::path(tag = "office", params(ListQuery), responses((status = 200, body = TillKeyList)))]
#[get("/v1/till-keys")]
pub async fn list_till_keys(state: Data<State>, officer: Officer, query: Params<ListQuery>) -> answer::Result {
    let key = officer.key();
    Ok(Answer::ok(&state.engine.list_till_keys(key, query.0.cursor.as_deref()).await?))
}

/// A key of a merchant or platform, without its secret.
#[utoipa::path(tag = "office", params(("key_id" = String, Path)), responses((status = 200, body = TillKeyShown)))]
#[get("/v1/till-keys/{key_id}")]
pub async fn get_till_key(state: Data<State>, officer: Officer, key_id: Path<String>) -> answer::Result {
    Ok(Answer::ok(&state.engine.get_till_key(officer.key(), &key_id).await?))
}

/// A new secret; the old one stays good until the next rotation unless `keep_previous` is false.
#[utoipa::path(tag = "office", params(("key_id" = String, Path)), request_body(content = Option<RotationBody>),
    responses((status = 200, body = TillKeyShown)))]
#[post("/v1/till-keys/{key_id}/rotate")]
pub async fn rotate_till_key(
    state: Data<State>,
    officer: Officer,
    key_id: Path<String>,
    body: MaybeBody<RotationBody>,
) -> answer::Result {
    let key = officer.key();
    let body = state.engine.rotate_till_key(key, &key_id, RotationBody::rotation(body.0)).await?;
    state.engine.until_known_everywhere().await;
    Ok(Answer::ok(&body).effect(&state.engine.settings.durability, false))
}

/// The key signs nothing any more.
#[utoipa::path(tag = "office", params(("key_id" = String, Path)), request_body(content = Option<WhyBody>),
    responses((status = 200, body = TillKeyShown)))]
#[post("/v1/till-keys/{key_id}/revoke")]
pub async fn revoke_till_key(
    state: Data<State>,
    officer: Officer,
    key_id: Path<String>,
    body: MaybeBody<WhyBody>,
) -> answer::Result {
    let key = officer.key();
    let body = state.engine.revoke_till_key(key, &key_id, why(body)?).await?;
    state.engine.until_known_everywhere().await;
    Ok(Answer::ok(&body).effect(&state.engine.settings.durability, false))
}
