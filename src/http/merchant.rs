//! Merchants for the program office: registration, enrolment in campaigns, freeze, terminals and their keys.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, get, post, put};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::body::{Body, MaybeBody};
use super::shapes::office::{EnrolmentShown, MerchantShown, TerminalKey};
use crate::domain::merchant::{Draft, DraftStore, EnrolState, Name};
use crate::domain::refusal::{Code, Refusal};
use crate::engine::key::terminal::Rotation;
use crate::engine::merchant::MerchantStatus;

const LONGEST_REASON: usize = 500;

/// A merchant to register. Every field but `merchant_id` and `stores` is needed; all faults are told at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MerchantBody {
    /// Left out, it is `m-` and the code in lower case.
    #[schema(example = "m00001")]
    merchant_id: Option<String>,
    /// Unified social credit code (GB 32100).
    #[schema(example = "9144030071526726XG")]
    code: Option<String>,
    /// `enterprise` or `sole_trader`.
    #[schema(example = "enterprise")]
    kind: Option<String>,
    name: Option<NameBody>,
    /// GB/T 2260, 6, 9 or 12 digits.
    #[schema(example = "510104")]
    registered_district: Option<String>,
    #[schema(example = "510104")]
    operating_district: Option<String>,
    /// GB/T 4754.
    #[schema(example = "6210")]
    industry_code: Option<String>,
    #[serde(default)]
    stores: Vec<StoreBody>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreBody {
    #[schema(example = "s1")]
    store_id: Option<String>,
    name: Option<NameBody>,
    #[schema(example = "510104")]
    district: Option<String>,
}

/// A name in both languages, or one text.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields, expecting = "a name is a text or {\"zh\", \"en\"}")]
pub enum NameBody {
    One(String),
    Both { zh: String, en: String },
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyBody {
    /// Why, for the record.
    reason: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminalBody {
    #[schema(example = "t1")]
    terminal_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationBody {
    /// The version to replace; a repeat with it answers the same new secret.
    from_version: Option<u32>,
    /// Whether the replaced secret stays good until the next rotation; yes when left out.
    keep_previous: Option<bool>,
}

impl RotationBody {
    /// Without a body the newest version is replaced and stays good for a while.
    pub(super) fn rotation(body: Option<RotationBody>) -> Rotation {
        let (from_version, keep_previous) =
            body.map(|body| (body.from_version, body.keep_previous)).unwrap_or_default();
        Rotation { from_version, keep_previous: keep_previous.unwrap_or(true) }
    }
}

/// Nothing, or an object without members.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyBody {}

/// Every route of merchants, terminals and enrolments.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_merchant)
        .service(super::merchant_import::import_merchants)
        .service(get_merchant)
        .service(change_merchant)
        .service(freeze_merchant)
        .service(unfreeze_merchant)
        .service(create_terminal)
        .service(rotate_terminal)
        .service(revoke_terminal)
        .service(apply_to_campaign)
        .service(get_enrolment)
        .service(approve_enrolment)
        .service(suspend_enrolment)
        .service(leave_campaign);
}

/// Register a merchant; the same again is the same merchant.
#[utoipa::path(tag = "office", request_body = MerchantBody, 
    responses((status = 201, body = MerchantShown), (status = 200, description = "Registered before.", body = MerchantShown)))]
#[post("/v1/merchants")]
pub async fn create_merchant(state: Data<State>, officer: Officer, body: Body<MerchantBody>) -> answer::Result {
    let key = officer.key();
    let status = state.engine.create_merchant(key, body.0.into()).await?;
    let path = format!("/v1/merchants/{}", status.merchant_id);
    let answer = if status.created { Answer::created(&status.body) } else { Answer::ok(&status.body) };
    let answer = answer.effect(&state.engine.settings.durability, !status.created);
    Ok(answer.etag(status.version).location(&path))
}

/// A merchant with its enrolments and terminals.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path)), responses((status = 200, body = MerchantShown)))]
#[get("/v1/merchants/{merchant_id}")]
pub async fn get_merchant(state: Data<State>, officer: Officer, merchant_id: Path<String>) -> answer::Result {
    let status = state.engine.get_merchant(officer.key(), &merchant_id).await?;
    Ok(Answer::ok(&status.body).etag(status.version))
}

/// Change a merchant at the version that `If-Match` names: its name, operating district, industry and stores. All of it is written, as
/// for a registration; a store may be added or renamed, and none is dropped.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path)), request_body = MerchantBody,
    responses((status = 200, body = MerchantShown)))]
#[put("/v1/merchants/{merchant_id}")]
pub async fn change_merchant(
    state: Data<State>,
    officer: Officer,
    merchant_id: Path<String>,
    request: HttpRequest,
    body: Body<MerchantBody>,
) -> answer::Result {
    let key = officer.key();
    let expect = answer::expectation(&request);
    let (status, replayed) = state.engine.replace_merchant(key, &merchant_id, expect, body.0.into()).await?;
    let answer = Answer::ok(&status.body).effect(&state.engine.settings.durability, replayed);
    Ok(answer.etag(status.version))
}

/// No order begins there any more, on any node, when this is answered; what is under way ends as usual.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path)), request_body(content = Option<WhyBody>),
    responses((status = 200, body = MerchantShown)))]
#[post("/v1/merchants/{merchant_id}/freeze")]
pub async fn freeze_merchant(
    state: Data<State>,
    officer: Officer,
    merchant_id: Path<String>,
    body: MaybeBody<WhyBody>,
) -> answer::Result {
    let key = officer.key();
    Ok(shown(&state, state.engine.freeze_merchant(key, &merchant_id, true, why(body)?).await?))
}

/// Let a frozen merchant take vouchers again.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path)), request_body(content = Option<WhyBody>),
    responses((status = 200, body = MerchantShown)))]
#[post("/v1/merchants/{merchant_id}/unfreeze")]
pub async fn unfreeze_merchant(
    state: Data<State>,
    officer: Officer,
    merchant_id: Path<String>,
    body: MaybeBody<WhyBody>,
) -> answer::Result {
    let key = officer.key();
    Ok(shown(&state, state.engine.freeze_merchant(key, &merchant_id, false, why(body)?).await?))
}

/// Make a terminal and its key. The secret is shown here and never again; for a terminal that exists there is none in the answer.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path)), request_body = TerminalBody,
    responses((status = 201, body = TerminalKey), (status = 200, description = "It exists; its secret is not shown.", body = TerminalKey)))]
#[post("/v1/merchants/{merchant_id}/terminals")]
pub async fn create_terminal(
    state: Data<State>,
    officer: Officer,
    merchant_id: Path<String>,
    body: Body<TerminalBody>,
) -> answer::Result {
    let key = officer.key();
    let status = state.engine.create_terminal(key, &merchant_id, &body.terminal_id).await?;
    let answer = if status.created { Answer::created(&status.body) } else { Answer::ok(&status.body) };
    Ok(answer.effect(&state.engine.settings.durability, !status.created))
}

/// A new secret for a terminal's key; the old one stays good until the next rotation unless `keep_previous` is false.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path), ("terminal_id" = String, Path)), request_body(content = Option<RotationBody>),
    responses((status = 200, body = TerminalKey)))]
#[post("/v1/merchants/{merchant_id}/terminals/{terminal_id}/rotate")]
pub async fn rotate_terminal(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    body: MaybeBody<RotationBody>,
) -> answer::Result {
    let key = officer.key();
    let (merchant_id, terminal_id) = path.into_inner();
    let rotation = RotationBody::rotation(body.0);
    let body = state.engine.rotate_terminal(key, &merchant_id, &terminal_id, rotation).await?;
    state.engine.until_known_everywhere().await;
    Ok(effect(&state, &body))
}

/// The terminal's key signs nothing any more.
#[utoipa::path(tag = "office", params(("merchant_id" = String, Path), ("terminal_id" = String, Path)), 
    request_body(content = Option<WhyBody>), responses((status = 200, body = TerminalKey)))]
#[post("/v1/merchants/{merchant_id}/terminals/{terminal_id}/revoke")]
pub async fn revoke_terminal(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    body: MaybeBody<WhyBody>,
) -> answer::Result {
    let key = officer.key();
    let (merchant_id, terminal_id) = path.into_inner();
    let body = state.engine.revoke_terminal(key, &merchant_id, &terminal_id, why(body)?).await?;
    state.engine.until_known_everywhere().await;
    Ok(effect(&state, &body))
}

/// Ask for admission to a campaign; judged by its window, kinds and districts.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("merchant_id" = String, Path)),
    request_body(content = Option<EmptyBody>), responses((status = 200, body = EnrolmentShown)))]
#[put("/v1/campaigns/{campaign_id}/merchants/{merchant_id}")]
pub async fn apply_to_campaign(
    state: Data<State>,
    officer: Officer,
    path: Path<(String, String)>,
    _body: MaybeBody<EmptyBody>,
) -> answer::Result {
    let key = officer.key();
    Ok(effect(&state, &state.engine.apply_to_campaign(key, &path.0, &path.1).await?))
}

/// A merchant's enrolment and how it came about.
#[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("merchant_id" = String, Path)),
    responses((status = 200, body = EnrolmentShown)))]
#[get("/v1/campaigns/{campaign_id}/merchants/{merchant_id}")]
pub async fn get_enrolment(state: Data<State>, officer: Officer, path: Path<(String, String)>) -> answer::Result {
    let key = officer.key();
    Ok(Answer::ok(&state.engine.get_enrolment(key, &path.0, &path.1).await?))
}

macro_rules! enrolment_step {
    ($(#[$doc:meta])* $name:ident $path:literal $state:ident) => {
        $(#[$doc])*
        #[utoipa::path(tag = "office", params(("campaign_id" = String, Path), ("merchant_id" = String, Path)),
            request_body(content = Option<WhyBody>), responses((status = 200, body = EnrolmentShown)))]
        #[post($path)]
        pub async fn $name(
            state: Data<State>,
            officer: Officer,
            path: Path<(String, String)>,
            body: MaybeBody<WhyBody>,
        ) -> answer::Result {
            let key = officer.key();
            let moved = state.engine.move_enrolment(key, &path.0, &path.1, EnrolState::$state, why(body)?).await?;
            Ok(effect(&state, &moved))
        }
    };
}

enrolment_step! {
    /// Admit a merchant, or admit a suspended one again.
    approve_enrolment "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/approve" Approved
}
enrolment_step! {
    /// Take a merchant out of a campaign until it is approved again.
    suspend_enrolment "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/suspend" Suspended
}
enrolment_step! {
    /// A merchant leaves a campaign; it may apply again while the window is open.
    leave_campaign "/v1/campaigns/{campaign_id}/merchants/{merchant_id}/leave" Left
}

fn shown(state: &State, status: MerchantStatus) -> Answer {
    effect(state, &status.body).etag(status.version)
}

fn effect(state: &State, body: &Value) -> Answer {
    Answer::ok(body).effect(&state.engine.settings.durability, false)
}

pub(super) fn why(body: MaybeBody<WhyBody>) -> Result<Option<String>, Refusal> {
    let reason = body.0.and_then(|body| body.reason);
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(Refusal::new(Code::InvalidRequest).field(
            "/reason",
            "too_long",
            "最多 500 字。",
            "At most 500 characters.",
        ));
    }
    Ok(reason)
}

impl From<MerchantBody> for Draft {
    fn from(body: MerchantBody) -> Draft {
        Draft {
            merchant_id: body.merchant_id,
            code: body.code,
            kind: body.kind,
            name: body.name.map(Name::from),
            registered_district: body.registered_district,
            operating_district: body.operating_district,
            industry_code: body.industry_code,
            stores: body.stores.into_iter().map(DraftStore::from).collect(),
        }
    }
}

impl From<StoreBody> for DraftStore {
    fn from(body: StoreBody) -> DraftStore {
        DraftStore { store_id: body.store_id, name: body.name.map(Name::from), district: body.district }
    }
}

impl From<NameBody> for Name {
    fn from(body: NameBody) -> Name {
        match body {
            NameBody::One(text) => Name::One(text),
            NameBody::Both { zh, en } => Name::Both { zh, en },
        }
    }
}
