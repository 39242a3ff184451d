//! Areas as they are put and kept: GeoJSON (RFC 7946) or a circle.

use std::borrow::Cow;

use utoipa::openapi::schema::{AdditionalProperties, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A polygon, several, or a circle; in WGS 84 degrees, longitude first. At most 5,000 points.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum AreaForm {
    Polygon(PolygonForm),
    MultiPolygon(MultiPolygonForm),
    Circle(CircleForm),
}

/// An area, alone or as the one feature of a GeoJSON file.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum AreaSent {
    Polygon(PolygonForm),
    MultiPolygon(MultiPolygonForm),
    Circle(CircleForm),
    Feature(FeatureForm),
    Collection(FeatureCollectionForm),
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
    /// Dropped.
    bbox: Option<Vec<f64>>,
}

#[derive(ToSchema)]
pub enum MultiPolygonWord {
    MultiPolygon,
}

#[derive(ToSchema)]
pub struct MultiPolygonForm {
    r#type: MultiPolygonWord,
    coordinates: Vec<Vec<Vec<Vec<f64>>>>,
    /// Dropped.
    bbox: Option<Vec<f64>>,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum GeometryForm {
    Polygon(PolygonForm),
    MultiPolygon(MultiPolygonForm),
}

#[derive(ToSchema)]
pub enum FeatureWord {
    Feature,
}

/// Its geometry is the area; the rest is dropped.
#[derive(ToSchema)]
pub struct FeatureForm {
    r#type: FeatureWord,
    geometry: GeometryForm,
    properties: Option<FeatureProperties>,
    id: Option<FeatureId>,
    bbox: Option<Vec<f64>>,
}

/// Anything, or null; nobody reads it.
pub struct FeatureProperties;

impl PartialSchema for FeatureProperties {
    fn schema() -> RefOr<Schema> {
        let kinds = SchemaType::from_iter([Type::Object, Type::Null]);
        let free = Some(AdditionalProperties::FreeForm(true));
        ObjectBuilder::new().schema_type(kinds).additional_properties(free).into()
    }
}

impl ToSchema for FeatureProperties {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("FeatureProperties")
    }
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum FeatureId {
    Text(String),
    Number(f64),
}

#[derive(ToSchema)]
pub enum FeatureCollectionWord {
    FeatureCollection,
}

/// With exactly one feature.
#[derive(ToSchema)]
pub struct FeatureCollectionForm {
    r#type: FeatureCollectionWord,
    features: Vec<FeatureForm>,
    bbox: Option<Vec<f64>>,
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
