//! What operators and their machines ask: does it live, may it be sent requests, which version is it, what can it do.

use actix_web::{HttpResponse, get, web};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::answer::Answer;
use super::auth::Anyone;
use super::openapi::Document;
use super::shapes::OpenApiDocument;

/// What the process says about itself, as `web::Data<Ops>`.
pub struct Ops {
    /// Asked at each `/readyz`.
    pub readiness: Box<dyn Fn() -> LocalBoxFuture<'static, Readiness> + Send + Sync>,
    pub sandbox: bool,
}

/// Whether requests may be sent here, and what is in the way.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Check>,
    /// What needs an operator soon and does not stop requests now, such as a draw that lacks its entropy.
    pub warnings: Vec<String>,
}

/// One thing the node depends on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Check {
    #[schema(example = "store")]
    pub name: String,
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Live {
    /// Always `live`.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
    sandbox: bool,
}

pub fn configure(config: &mut ServiceConfig) {
    config.service(livez).service(readyz).service(version).service(openapi);
}

/// The process lives and answers.
#[utoipa::path(tag = "operations", responses((status = 200, body = Live)))]
#[get("/livez")]
async fn livez() -> Answer {
    Answer::ok(&Live { status: "live" })
}

/// Whether requests may be sent here; 503 names what is in the way.
#[utoipa::path(tag = "operations", responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
#[get("/readyz")]
async fn readyz(ops: web::Data<Ops>) -> HttpResponse {
    let readiness = (ops.readiness)().await;
    let mut response = if readiness.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(readiness)
}

/// Name and version of the service.
#[utoipa::path(tag = "operations", responses((status = 200, body = Version)))]
#[get("/version")]
async fn version(ops: web::Data<Ops>) -> Answer {
    Answer::ok(&Version { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), sandbox: ops.sandbox })
}

/// This document.
#[utoipa::path(tag = "operations", responses((status = 200, body = OpenApiDocument)))]
#[get("/openapi.json")]
async fn openapi(document: web::Data<Document>, _: Anyone) -> Answer {
    Answer::raw(document.json.clone())
}
