//! Areas for the program office: where somebody has to be to take part.

use actix_web::web::{Data, Path};
use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth::Officer;
use super::body::StrictBody;
use super::shapes::area::{AreaForm, AreaSent};
use crate::domain::area::Location;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::area::AreaStatus;

pub fn configure(config: &mut ServiceConfig) {
    config.service(put_area).service(get_area);
}

#[derive(Serialize, ToSchema)]
pub struct AreaAnswer {
    area_id: String,
    /// Counted from 1; a campaign uses the one that was newest when it was submitted for approval.
    version: u32,
    /// Of the area in canonical JSON.
    sha256: String,
    #[schema(value_type = AreaForm)]
    area: Value,
}

/// Where a request comes from, in WGS 84 degrees; it is judged and not kept.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationBody {
    #[schema(example = 104.0657)]
    longitude: f64,
    #[schema(example = 30.6595)]
    latitude: f64,
}

impl LocationBody {
    pub fn location(self) -> Result<Location, Refusal> {
        Location::new(self.longitude, self.latitude).ok_or_else(|| {
            let (zh, en) = ("经纬度超出范围。", "Not a longitude and latitude in degrees.");
            Refusal::new(Code::InvalidRequest).field("/location", "out_of_range", zh, en)
        })
    }
}

/// Put an area: GeoJSON `{"type":"Polygon"|"MultiPolygon","coordinates":…}`, alone, as a Feature or as a FeatureCollection of one, or
/// `{"circle":{"center":[longitude,latitude],"radius_m":…}}`, in WGS 84. The geometry is kept. Another one is a new version; the same one is
/// the version that is there.
#[utoipa::path(tag = "office", params(("area_id" = String, Path)), request_body = AreaSent,
    responses((status = 201, body = AreaAnswer), (status = 200, body = AreaAnswer)))]
#[put("/v1/areas/{area_id}")]
pub async fn put_area(state: Data<State>, officer: Officer, area_id: Path<String>, body: StrictBody) -> answer::Result {
    let status = state.engine.put_area(officer.key(), &area_id, &body.0).await?;
    let created = status.created;
    let body = body_of(status);
    let answer = if created { Answer::created(&body) } else { Answer::ok(&body) };
    Ok(answer.effect(&state.engine.settings.durability, !created))
}

/// The newest version of an area.
#[utoipa::path(tag = "office", params(("area_id" = String, Path)), responses((status = 200, body = AreaAnswer)))]
#[get("/v1/areas/{area_id}")]
pub async fn get_area(state: Data<State>, officer: Officer, area_id: Path<String>) -> answer::Result {
    Ok(Answer::ok(&body_of(state.engine.area_status(officer.key(), &area_id).await?)))
}

fn body_of(status: AreaStatus) -> AreaAnswer {
    let AreaStatus { area_id, version, sha256, area, .. } = status;
    AreaAnswer { area_id, version, sha256, area }
}
