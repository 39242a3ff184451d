//! Areas as they are put: GeoJSON (RFC 7946) or a circle.

use utoipa::ToSchema;

/// A polygon, several, or a circle; in WGS 84 degrees, longitude first.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum AreaForm {
    Polygon(PolygonForm),
    MultiPolygon(MultiPolygonForm),
    Circle(CircleForm),
}

#[derive(ToSchema)]
pub enum PolygonWord {
    Polygon,
}

#[derive(ToSchema)]
pub struct PolygonForm {
    r#type: PolygonWord,
    /// Rings of positions: the outer one, then its holes.
    coordinates: Vec<Vec<Vec<f64>>>,
}

#[derive(ToSchema)]
pub enum MultiPolygonWord {
    MultiPolygon,
}

#[derive(ToSchema)]
pub struct MultiPolygonForm {
    r#type: MultiPolygonWord,
    coordinates: Vec<Vec<Vec<Vec<f64>>>>,
}

#[derive(ToSchema)]
pub struct CircleForm {
    circle: CircleBody,
}

#[derive(ToSchema)]
pub struct CircleBody {
    /// Longitude and latitude.
    center: Vec<f64>,
    /// 1 to 1,000,000.
    radius_m: f64,
}
