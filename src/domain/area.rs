//! Areas on the map: polygons in GeoJSON, or a circle. Coordinates are WGS 84 degrees, longitude first. The border belongs to an area.

mod shape;

use robust::{Coord, orient2d};
use serde_json::Value;

use super::refusal::FieldError;

/// Points of one area over all rings.
const MOST_POINTS: usize = 5_000;
/// Mean radius of the earth.
const EARTH_M: f64 = 6_371_008.8;
const LARGEST_RADIUS_M: f64 = 1_000_000.0;

/// A place told by a request; it is judged and not kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    pub longitude: f64,
    pub latitude: f64,
}

/// How a pay code names an area of use: campaigns pin versions of their own, so the same id may mean two areas.
pub fn name_of_use(campaign: u16, area_id: &str) -> String {
    format!("{campaign}/{area_id}")
}

#[derive(Clone, Debug, PartialEq)]
pub enum Area {
    /// Each an outer ring and the rings of its holes.
    Polygons(Vec<Vec<Ring>>),
    Circle {
        center: Location,
        radius_m: f64,
    },
}

/// Corners, without the repeated last one.
pub type Ring = Vec<Location>;

#[derive(Clone, Copy, PartialEq)]
enum Side {
    In,
    Border,
    Out,
}

impl Location {
    /// `None` when it is no place on the earth.
    pub fn new(longitude: f64, latitude: f64) -> Option<Location> {
        let right = longitude.abs() <= 180.0 && latitude.abs() <= 90.0;
        right.then_some(Location { longitude, latitude })
    }

    /// Metres along the great circle.
    pub fn distance_m(self, other: Location) -> f64 {
        let [a, b] = [self, other].map(|place| (place.longitude.to_radians(), place.latitude.to_radians()));
        let across = ((b.1 - a.1) / 2.0).sin().powi(2) + a.1.cos() * b.1.cos() * ((b.0 - a.0) / 2.0).sin().powi(2);
        2.0 * EARTH_M * across.sqrt().min(1.0).asin()
    }

    fn coord(self) -> Coord<f64> {
        Coord { x: self.longitude, y: self.latitude }
    }
}

impl Area {
    /// What an office puts: a geometry, alone or as the one feature of a GeoJSON file, or a circle. Answers the area and how it is kept:
    /// without what surrounds the geometry. Its rings have an area, do not cross or touch themselves, and holes lie inside.
    pub fn take(value: &Value) -> Result<(Area, Value), FieldError> {
        let (mut kept, at) = geometry(value)?;
        let placed = |fault: FieldError| FieldError { pointer: format!("{at}{}", fault.pointer), ..fault };
        bounds(kept.as_object_mut().and_then(|members| members.remove("bbox"))).map_err(placed)?;
        let area = Area::parse(&kept).map_err(placed)?;
        if let Area::Polygons(polygons) = &area {
            shape::check(polygons, kept["type"] == "MultiPolygon").map_err(placed)?;
        }
        Ok((area, kept))
    }

    /// Corners over all rings.
    pub fn points(&self) -> usize {
        match self {
            Area::Circle { .. } => 1,
            Area::Polygons(polygons) => polygons.iter().flatten().map(Vec::len).sum(),
        }
    }

    /// `{"type":"Polygon"|"MultiPolygon","coordinates":…}` (RFC 7946) or `{"circle":{"center":[longitude, latitude],"radius_m":…}}`.
    pub fn parse(value: &Value) -> Result<Area, FieldError> {
        let members: Vec<&str> = value.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
        let mut points = 0;
        let area = match (members.as_slice(), value["type"].as_str()) {
            (["circle"], None) => circle(&value["circle"])?,
            (["coordinates", "type"] | ["type", "coordinates"], Some("Polygon")) => {
                Area::Polygons(vec![polygon(&value["coordinates"], "/coordinates", &mut points)?])
            }
            (["coordinates", "type"] | ["type", "coordinates"], Some("MultiPolygon")) => {
                Area::Polygons(each(&value["coordinates"], "/coordinates", |part, at| polygon(part, at, &mut points))?)
            }
            _ => {
                let zh = "须为 GeoJSON 的 Polygon 或 MultiPolygon，或 {\"circle\":{center,radius_m}}。";
                return Err(fault("", "not_an_area", zh, "Must be a GeoJSON Polygon or MultiPolygon, or a circle."));
            }
        };
        if points > MOST_POINTS {
            return Err(fault("/coordinates", "too_many_points", "至多 5000 个点。", "At most 5,000 points."));
        }
        Ok(area)
    }

    pub fn contains(&self, place: Location) -> bool {
        match self {
            Area::Circle { center, radius_m } => center.distance_m(place) <= *radius_m,
            Area::Polygons(polygons) => polygons.iter().any(|rings| {
                let mut sides = rings.iter().map(|ring| side(ring, place));
                match sides.next() {
                    Some(Side::In) => !sides.any(|hole| hole == Side::In),
                    Some(Side::Border) => true,
                    _ => false,
                }
            }),
        }
    }
}

/// The geometry of a feature or of a collection that holds one feature, and where it stands.
fn geometry(value: &Value) -> Result<(Value, String), FieldError> {
    let (mut value, mut at) = (value, String::new());
    let kind = |value: &Value| value["type"].as_str().unwrap_or_default().to_owned();
    if kind(value) == "FeatureCollection" {
        only(value, &at, &["type", "features", "bbox"])?;
        let Some([feature]) = value["features"].as_array().map(Vec::as_slice) else {
            let (zh, en) = (
                "须恰有一个要素；多块区域请用 MultiPolygon。",
                "Must hold exactly one feature; write several parts as a MultiPolygon.",
            );
            return Err(fault("/features", "not_one_feature", zh, en));
        };
        (value, at) = (feature, "/features/0".into());
        if kind(value) != "Feature" {
            return Err(fault(&at, "not_an_area", "须为 Feature。", "Must be a Feature."));
        }
    }
    if kind(value) == "Feature" {
        only(value, &at, &["type", "geometry", "properties", "id", "bbox"])?;
        (value, at) = (&value["geometry"], format!("{at}/geometry"));
    }
    Ok((value.clone(), at))
}

/// Members that nobody reads may be what matters, such as another system of coordinates.
fn only(value: &Value, at: &str, known: &[&str]) -> Result<(), FieldError> {
    let members = value.as_object().into_iter().flatten();
    if let Some((name, _)) = members.clone().find(|(name, _)| !known.contains(&name.as_str())) {
        let at = crate::domain::campaign::below(at, name);
        return Err(fault(&at, "unknown_field", "没有这个字段。", "There is no such field."));
    }
    bounds(value.get("bbox").cloned())
        .map_err(|fault| FieldError { pointer: format!("{at}{}", fault.pointer), ..fault })
}

/// A box around what follows says nothing new: it is read and dropped.
fn bounds(bbox: Option<Value>) -> Result<(), FieldError> {
    let Some(bbox) = bbox else { return Ok(()) };
    let numbers = bbox.as_array().filter(|list| matches!(list.len(), 4 | 6) && list.iter().all(Value::is_number));
    match numbers {
        Some(_) => Ok(()),
        None => Err(fault("/bbox", "not_a_box", "须为 4 或 6 个数。", "Must be 4 or 6 numbers.")),
    }
}

/// Counts how often the ring crosses the parallel of the place to its east; which side of an edge the place is on is computed exactly.
fn side(ring: &[Location], place: Location) -> Side {
    let mut inside = false;
    let ends = ring.iter().skip(1).chain(ring.first());
    for (a, b) in ring.iter().zip(ends) {
        let turn = orient2d(a.coord(), b.coord(), place.coord());
        let between = |a: f64, b: f64, x: f64| a.min(b) <= x && x <= a.max(b);
        let beside =
            between(a.longitude, b.longitude, place.longitude) && between(a.latitude, b.latitude, place.latitude);
        if beside && turn == 0.0 {
            return Side::Border;
        }
        let upward = a.latitude <= place.latitude && place.latitude < b.latitude && turn > 0.0;
        let downward = b.latitude <= place.latitude && place.latitude < a.latitude && turn < 0.0;
        if upward || downward {
            inside = !inside;
        }
    }
    if inside { Side::In } else { Side::Out }
}

fn circle(value: &Value) -> Result<Area, FieldError> {
    let members = value.as_object().map_or(0, |members| members.len());
    let center = location(&value["center"], "/circle/center")?;
    let radius_m = value["radius_m"].as_f64().filter(|radius| (1.0..=LARGEST_RADIUS_M).contains(radius));
    match radius_m {
        Some(radius_m) if members == 2 => Ok(Area::Circle { center, radius_m }),
        Some(_) => Err(fault("/circle", "unknown_field", "只有 center 与 radius_m。", "Only center and radius_m.")),
        None => {
            Err(fault("/circle/radius_m", "out_of_range", "须为 1 至 1,000,000 米。", "Must be 1 to 1,000,000 metres."))
        }
    }
}

fn polygon(value: &Value, at: &str, points: &mut usize) -> Result<Vec<Ring>, FieldError> {
    each(value, at, |ring, at| {
        let mut corners = each(ring, at, location)?;
        *points += corners.len();
        let closed = corners.len() >= 4 && corners.first() == corners.last();
        if !closed {
            let zh = "环至少四个点，且首尾相同。";
            return Err(fault(at, "open_ring", zh, "A ring has at least four points, the last equal to the first."));
        }
        corners.pop();
        Ok(corners)
    })
}

fn location(value: &Value, at: &str) -> Result<Location, FieldError> {
    let pair = value.as_array().filter(|pair| (2..=3).contains(&pair.len()));
    let place = pair.and_then(|pair| Location::new(pair[0].as_f64()?, pair[1].as_f64()?));
    place.ok_or_else(|| {
        fault(at, "not_a_position", "须为 [经度, 纬度]（WGS 84）。", "Must be [longitude, latitude] in WGS 84.")
    })
}

/// The items of an array that has some.
fn each<T>(
    value: &Value,
    at: &str,
    mut item: impl FnMut(&Value, &str) -> Result<T, FieldError>,
) -> Result<Vec<T>, FieldError> {
    let items = value.as_array().filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| fault(at, "empty", "须为非空列表。", "Must be a list that is not empty."))?;
    items.iter().enumerate().map(|(index, value)| item(value, &format!("{at}/{index}"))).collect()
}

fn fault(pointer: &str, code: &'static str, zh: &str, en: &str) -> FieldError {
    FieldError { pointer: pointer.into(), code, zh: zh.into(), en: en.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(longitude: f64, latitude: f64) -> Location {
        Location::new(longitude, latitude).unwrap()
    }

    #[test]
    fn a_place_is_in_a_polygon_on_its_border_or_out_and_holes_are_out() {
        let square = |a: f64, b: f64| json!([[a, a], [b, a], [b, b], [a, b], [a, a]]);
        let area = json!({"type": "MultiPolygon", "coordinates": [[square(0.0, 10.0), square(4.0, 6.0)], [square(20.0, 21.0)]]});
        let area = Area::parse(&area).unwrap();
        for (longitude, latitude, expected) in [
            (1.0, 1.0, true),
            (0.0, 5.0, true),
            (10.0, 10.0, true),
            (10.0, 0.0, true),
            (10.000_000_1, 5.0, false),
            (5.0, 5.0, false),
            (4.0, 5.0, true),
            (20.5, 20.5, true),
            (15.0, 15.0, false),
            (-1.0, 10.0, false),
            (-1.0, 0.0, false),
        ] {
            assert_eq!(area.contains(place(longitude, latitude)), expected, "{longitude} {latitude}");
        }
        let notch = json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [2, 2], [4, 4], [0, 4], [0, 0]]]});
        let notch = Area::parse(&notch).unwrap();
        assert!(notch.contains(place(1.0, 2.0)) && notch.contains(place(2.0, 2.0)) && !notch.contains(place(3.0, 2.0)));
    }

    #[test]
    fn a_circle_is_measured_along_the_ground() {
        let (chengdu, shanghai) = (place(104.0657, 30.6595), place(121.4737, 31.2304));
        assert!((chengdu.distance_m(shanghai) - 1_659_000.0).abs() < 5_000.0, "{}", chengdu.distance_m(shanghai));
        let area = Area::parse(&json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 1112}})).unwrap();
        assert!(area.contains(place(104.0657, 30.6694)) && !area.contains(place(104.0657, 30.6696)));
    }

    #[test]
    fn a_geojson_file_of_one_feature_is_its_geometry() {
        let plain = json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 0]]]});
        let with = |mut value: Value, name: &str, member: Value| {
            value[name] = member;
            value
        };
        let feature = json!({"type": "Feature", "id": 7, "properties": {"name": "x"}, "geometry": plain});
        let boxed = with(plain.clone(), "bbox", json!([0, 0, 4, 4]));
        let collection = json!({"type": "FeatureCollection", "bbox": [0, 0, 0, 4, 4, 0], "features": [feature]});
        for value in [
            plain.clone(),
            boxed.clone(),
            feature.clone(),
            with(feature.clone(), "geometry", boxed),
            collection.clone(),
        ] {
            assert_eq!(Area::take(&value).map(|taken| taken.1), Ok(plain.clone()), "{value}");
        }
        let spoilt = with(feature.clone(), "geometry", json!({"type": "Point", "coordinates": [1, 2]}));
        for (value, pointer, code) in [
            (with(collection.clone(), "features", json!([])), "/features", "not_one_feature"),
            (with(collection.clone(), "features", json!([feature, feature])), "/features", "not_one_feature"),
            (with(collection.clone(), "features", json!([plain])), "/features/0", "not_an_area"),
            (with(collection, "features", json!([spoilt])), "/features/0/geometry", "not_an_area"),
            (with(feature.clone(), "crs", json!("EPSG:3857")), "/crs", "unknown_field"),
            (with(feature.clone(), "bbox", json!([1, 2, 3])), "/bbox", "not_a_box"),
            (with(feature, "geometry", Value::Null), "/geometry", "not_an_area"),
            (with(plain.clone(), "bbox", json!("all")), "/bbox", "not_a_box"),
            (with(plain, "properties", json!({})), "", "not_an_area"),
        ] {
            let found = Area::take(&value).unwrap_err();
            assert_eq!((found.pointer.as_str(), found.code), (pointer, code), "{value}");
        }
    }

    #[test]
    fn what_is_no_area_is_refused_with_its_place() {
        for (value, pointer, code) in [
            (json!({}), "", "not_an_area"),
            (json!({"type": "Point", "coordinates": [1, 2]}), "", "not_an_area"),
            (json!({"type": "Polygon", "coordinates": [], "bbox": []}), "", "not_an_area"),
            (json!({"type": "Polygon", "coordinates": []}), "/coordinates", "empty"),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}),
                "/coordinates/0",
                "open_ring",
            ),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 0], [200, 0], [1, 1], [0, 0]]]}),
                "/coordinates/0/1",
                "not_a_position",
            ),
            (json!({"circle": {"center": [0, 0], "radius_m": 0}}), "/circle/radius_m", "out_of_range"),
            (json!({"circle": {"center": [0, 0], "radius_m": 9, "unit": "km"}}), "/circle", "unknown_field"),
            (json!({"circle": {"center": "here", "radius_m": 9}}), "/circle/center", "not_a_position"),
        ] {
            let found = Area::parse(&value).unwrap_err();
            assert_eq!((found.pointer.as_str(), found.code), (pointer, code), "{value}");
        }
    }
}
