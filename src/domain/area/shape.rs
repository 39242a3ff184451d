//! Whether rings are what an area can be made of: each has an area and neither crosses nor touches itself, and holes lie inside. Every
//! comparison is exact, so no place is refused for a rounding.

use robust::orient2d;

use super::{Location, Ring, Side, fault, side};
use crate::domain::refusal::FieldError;

/// From one corner to the next that differs; `at` is the position of the first in the file.
#[derive(Clone, Copy)]
struct Edge {
    a: Location,
    b: Location,
    at: usize,
}

pub fn check(polygons: &[Vec<Ring>], several: bool) -> Result<(), FieldError> {
    for (n, rings) in polygons.iter().enumerate() {
        let parent = if several { format!("/coordinates/{n}") } else { "/coordinates".to_owned() };
        let edges: Vec<Vec<Edge>> = rings.iter().map(edges).collect();
        for (m, own) in edges.iter().enumerate() {
            let at = format!("{parent}/{m}");
            if let Some(edge) = own.iter().find(|edge| (edge.a.longitude - edge.b.longitude).abs() > 180.0) {
                let zh = "此边跨越 180 度经线：请在经线处分成两块，写作 MultiPolygon。";
                let en = "This edge goes over the antimeridian: cut the area there and write a MultiPolygon.";
                return Err(fault(&format!("{at}/{}", edge.at), "over_antimeridian", zh, en));
            }
            if has_no_area(own) {
                return Err(fault(&at, "no_area", "环没有面积。", "The ring has no area."));
            }
            if let Some(corner) = crossing(own) {
                let (zh, en) = ("环在此处与自身相交或相接。", "The ring crosses or touches itself here.");
                return Err(fault(&format!("{at}/{corner}"), "crosses_itself", zh, en));
            }
        }
        for (m, hole) in rings.iter().enumerate().skip(1) {
            if let Some(corner) = outside(hole, &edges[m], &rings[0], &edges[0]) {
                let (zh, en) = (
                    "孔须在外环之内，至多有一点相接。",
                    "A hole lies inside its outer ring and touches it in one point at most.",
                );
                return Err(fault(&format!("{parent}/{m}/{corner}"), "hole_outside", zh, en));
            }
            // Where two holes lie over each other, what is in both would be out for one reader and in for another.
            if let Some(other) = (1..m).find(|other| overlap((&rings[*other], &edges[*other]), (hole, &edges[m]))) {
                let (zh, en) = (
                    format!("孔 {m} 与孔 {other} 重叠，请合并为一个孔。"),
                    format!("Hole {m} overlaps hole {other}: make one hole of the two."),
                );
                return Err(fault(&format!("{parent}/{m}"), "holes_overlap", &zh, &en));
            }
        }
    }
    Ok(())
}

/// A corner that is written twice in a row makes no edge.
fn edges(ring: &Ring) -> Vec<Edge> {
    let ends = ring.iter().skip(1).chain(ring.first());
    let all = ring.iter().zip(ends).enumerate().map(|(at, (a, b))| Edge { a: *a, b: *b, at });
    all.filter(|edge| edge.a != edge.b).collect()
}

fn has_no_area(edges: &[Edge]) -> bool {
    let Some(first) = edges.first() else { return true };
    edges.iter().all(|edge| turn(first.a, first.b, edge.a) == 0.0)
}

/// The first corner from which an edge starts that meets one before it. Edges are compared from west to east, each with those that begin before
/// it ends.
fn crossing(edges: &[Edge]) -> Option<usize> {
    let mut first_found: Option<usize> = None;
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|a, b| west(&edges[*a]).total_cmp(&west(&edges[*b])));
    for (place, first) in order.iter().enumerate() {
        let east = edges[*first].a.longitude.max(edges[*first].b.longitude);
        for second in order[place + 1..].iter().take_while(|second| west(&edges[**second]) <= east) {
            let (low, high) = (*first.min(second), *first.max(second));
            let meets = if high == low + 1 {
                folds_back(&edges[low], &edges[high])
            } else if low == 0 && high == edges.len() - 1 {
                folds_back(&edges[high], &edges[low])
            } else {
                meet(&edges[low], &edges[high])
            };
            if meets {
                first_found = Some(first_found.map_or(edges[high].at, |known| known.min(edges[high].at)));
            }
        }
    }
    first_found
}

fn west(edge: &Edge) -> f64 {
    edge.a.longitude.min(edge.b.longitude)
}

/// Which side of the line from a to b a place is on; 0 is on the line.
fn turn(a: Location, b: Location, place: Location) -> f64 {
    orient2d(a.coord(), b.coord(), place.coord())
}

/// Whether the second of two edges in a row goes back along the first.
fn folds_back(first: &Edge, second: &Edge) -> bool {
    let ahead = |from: f64, to: f64| to.total_cmp(&from);
    let back = |of: fn(&Location) -> f64| {
        let (came, goes) = (ahead(of(&first.b), of(&first.a)), ahead(of(&second.a), of(&second.b)));
        came == goes && came.is_ne()
    };
    turn(first.a, first.b, second.b) == 0.0 && (back(|place| place.longitude) || back(|place| place.latitude))
}

/// Whether two edges have a point in common.
fn meet(one: &Edge, other: &Edge) -> bool {
    if !boxes_meet(one, other) {
        return false;
    }
    let apart = |edge: &Edge, other: &Edge| {
        let (a, b) = (turn(edge.a, edge.b, other.a), turn(edge.a, edge.b, other.b));
        a > 0.0 && b > 0.0 || a < 0.0 && b < 0.0
    };
    // Boxes that meet and neither edge wholly on one side of the other's line: of edges on one line the boxes say it.
    !apart(one, other) && !apart(other, one)
}

fn boxes_meet(one: &Edge, other: &Edge) -> bool {
    let overlap = |of: fn(&Location) -> f64| {
        let (low, high) = (of(&one.a).min(of(&one.b)), of(&one.a).max(of(&one.b)));
        low <= of(&other.a).max(of(&other.b)) && of(&other.a).min(of(&other.b)) <= high
    };
    overlap(|place| place.longitude) && overlap(|place| place.latitude)
}

/// Whether two edges cross in a point inside both.
fn cross(one: &Edge, other: &Edge) -> bool {
    let parted = |edge: &Edge, other: &Edge| {
        let (a, b) = (turn(edge.a, edge.b, other.a), turn(edge.a, edge.b, other.b));
        a > 0.0 && b < 0.0 || a < 0.0 && b > 0.0
    };
    boxes_meet(one, other) && parted(one, other) && parted(other, one)
}

/// Whether two rings have some area in common. They may touch.
fn overlap((one, one_edges): (&Ring, &[Edge]), (other, other_edges): (&Ring, &[Edge])) -> bool {
    if one_edges.iter().any(|edge| other_edges.iter().any(|its| cross(edge, its))) {
        return true;
    }
    // No edges cross, so between two touches an edge is wholly inside or wholly outside the other ring.
    let goes_into = |edges: &[Edge], around: &Ring| {
        edges.iter().any(|edge| {
            let on = around.iter().filter(|corner| meet(edge, &Edge { a: **corner, b: **corner, at: 0 }));
            let mut stops: Vec<Location> = on.copied().chain([edge.a, edge.b]).collect();
            let along = |a: f64, b: f64| a.total_cmp(&b);
            stops.sort_by(|p, q| along(p.longitude, q.longitude).then(along(p.latitude, q.latitude)));
            stops.windows(2).any(|pair| pair[0] != pair[1] && side(around, halfway(pair[0], pair[1])) == Side::In)
        })
    };
    goes_into(one_edges, other) || goes_into(other_edges, one) || same(one, other)
}

/// Rings of the same corners, wherever each begins.
fn same(one: &Ring, other: &Ring) -> bool {
    one.iter().all(|corner| other.contains(corner)) && other.iter().all(|corner| one.contains(corner))
}

fn halfway(a: Location, b: Location) -> Location {
    Location { longitude: (a.longitude + b.longitude) / 2.0, latitude: (a.latitude + b.latitude) / 2.0 }
}

/// A corner of a hole that is not inside the outer ring, or from which an edge leaves it.
fn outside(hole: &Ring, edges: &[Edge], outer: &Ring, outer_edges: &[Edge]) -> Option<usize> {
    let mut touched: Option<Location> = None;
    for (at, corner) in hole.iter().enumerate() {
        match side(outer, *corner) {
            Side::In => {}
            Side::Border if touched.is_none_or(|known| known == *corner) => touched = Some(*corner),
            Side::Border | Side::Out => return Some(at),
        }
    }
    // A corner of the outer ring on an edge of the hole is a touch too.
    for corner in outer {
        let on = |edge: &&Edge| meet(edge, &Edge { a: *corner, b: *corner, at: 0 });
        if let Some(edge) = edges.iter().find(on) {
            match touched {
                Some(known) if known != *corner => return Some(edge.at),
                _ => touched = Some(*corner),
            }
        }
    }
    let leaves = |edge: &&Edge| outer_edges.iter().any(|other| cross(edge, other));
    edges.iter().find(leaves).map(|edge| edge.at)
}

#[cfg(test)]
mod tests {
    use crate::domain::area::Area;
    use serde_json::{Value, json};

    fn found(rings: &Value) -> Option<(String, &'static str)> {
        let value = json!({"type": "Polygon", "coordinates": rings});
        Area::take(&value).err().map(|fault| (fault.pointer, fault.code))
    }

    const SQUARE: [[i32; 2]; 5] = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]];

    #[test]
    fn a_ring_has_an_area_and_does_not_meet_itself() {
        for (ring, expected) in [
            (json!(SQUARE), None),
            (json!([[0, 0], [8, 0], [8, 0], [8, 8], [0, 0]]), None),
            (json!([[0, 0], [4, 0], [8, 0], [8, 8], [0, 0]]), None),
            (json!([[0, 0], [4, 4], [8, 8], [0, 0]]), Some(("/coordinates/0", "no_area"))),
            (json!([[3, 3], [3, 3], [3, 3], [3, 3]]), Some(("/coordinates/0", "no_area"))),
            (json!([[0, 0], [8, 8], [8, 0], [0, 8], [0, 0]]), Some(("/coordinates/0/2", "crosses_itself"))),
            (json!([[0, 0], [8, 0], [8, 8], [4, 0], [0, 8], [0, 0]]), Some(("/coordinates/0/2", "crosses_itself"))),
            (json!([[0, 0], [8, 0], [8, 8], [8, 4], [0, 0]]), Some(("/coordinates/0/2", "crosses_itself"))),
            (
                json!([[0, 0], [2, 2], [4, 0], [4, 4], [2, 2], [0, 4], [0, 0]]),
                Some(("/coordinates/0/3", "crosses_itself")),
            ),
            (json!([[0, 0], [8, 0], [9, 0], [4, 0], [4, 4], [0, 0]]), Some(("/coordinates/0/2", "crosses_itself"))),
        ] {
            let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
            assert_eq!(found(&json!([ring])), expected, "{ring}");
        }
    }

    #[test]
    fn a_hole_lies_inside_its_outer_ring() {
        for (hole, expected) in [
            (json!([[2, 2], [4, 2], [4, 4], [2, 2]]), None),
            (json!([[0, 4], [4, 2], [4, 6], [0, 4]]), None),
            (json!([[2, 2], [9, 2], [4, 4], [2, 2]]), Some("/coordinates/1/1")),
            (json!([[20, 20], [24, 20], [24, 24], [20, 20]]), Some("/coordinates/1/0")),
            (json!([[-1, -1], [9, -1], [9, 9], [-1, 9], [-1, -1]]), Some("/coordinates/1/0")),
            (json!([[0, 2], [4, 4], [0, 6], [0, 2]]), Some("/coordinates/1/2")),
            (json!(SQUARE), Some("/coordinates/1/1")),
        ] {
            let expected = expected.map(|pointer| (pointer.to_owned(), "hole_outside"));
            assert_eq!(found(&json!([SQUARE, hole])), expected, "{hole}");
        }
        // A notch in the outer ring: all corners of the hole are inside, and one of its edges is not.
        let notched = json!([[0, 0], [8, 0], [8, 8], [4, 1], [0, 8], [0, 0]]);
        let over = json!([[1, 1], [7, 1], [7, 5], [1, 5], [1, 1]]);
        assert_eq!(found(&json!([notched, over])), Some(("/coordinates/1/2".to_owned(), "hole_outside")));
        let parts =
            json!({"type": "MultiPolygon", "coordinates": [[SQUARE], [[[20, 0], [28, 8], [28, 0], [20, 8], [20, 0]]]]});
        let found = Area::take(&parts).unwrap_err();
        assert_eq!((found.pointer.as_str(), found.code), ("/coordinates/1/0/2", "crosses_itself"));
    }

    #[test]
    fn holes_lie_beside_each_other() {
        let hole = |a: i32, b: i32| json!([[a, a], [b, a], [b, b], [a, b], [a, a]]);
        for (second, expected) in [
            (hole(4, 6), None),
            (json!([[3, 3], [5, 3], [5, 5], [3, 3]]), None),
            (hole(1, 3), Some("/coordinates/2")),
            (hole(2, 4), Some("/coordinates/2")),
            (json!([[2, 2], [5, 2], [5, 5], [2, 2]]), Some("/coordinates/2")),
            (json!([[1, 2], [3, 2], [3, 4], [1, 4], [1, 2]]), Some("/coordinates/2")),
            (json!([[2, 4], [4, 2], [5, 5], [2, 4]]), None),
            (json!([[3, 4], [4, 2], [2, 4], [3, 4]]), None),
            // No corner is in the other, and no edge crosses another: they meet in corners.
            (json!([[1, 1], [3, 3], [5, 2], [1, 1]]), Some("/coordinates/2")),
            (json!([[1, 2], [4, 1], [4, 3], [1, 2]]), Some("/coordinates/2")),
        ] {
            let expected = expected.map(|pointer| (pointer.to_owned(), "holes_overlap"));
            assert_eq!(found(&json!([SQUARE, hole(1, 3), second])), expected, "{second}");
        }
        let inner = json!([[2, 2], [2, 2], [3, 2], [3, 3], [2, 2]]);
        let expected = Some(("/coordinates/2".to_owned(), "holes_overlap"));
        assert_eq!(found(&json!([SQUARE, hole(1, 6), inner])), expected, "a hole in a hole");
        assert_eq!(found(&json!([SQUARE, inner, hole(1, 6)])), expected, "a hole around a hole");
    }

    #[test]
    fn a_ring_does_not_go_over_the_antimeridian() {
        let islands = json!([[[179, 0], [-179, 0], [-179, 2], [179, 2], [179, 0]]]);
        assert_eq!(found(&islands), Some(("/coordinates/0/0".to_owned(), "over_antimeridian")));
        let halves = json!({"type": "MultiPolygon", "coordinates": [[[[179, 0], [180, 0], [180, 2], [179, 2], [179, 0]]],
            [[[-180, 0], [-179, 0], [-179, 2], [-180, 2], [-180, 0]]]]});
        assert!(Area::take(&halves).is_ok());
    }

    /// A comb of 5,000 corners whose teeth all overlap from west to east, then the same with its last tooth through the first.
    #[test]
    fn a_ring_of_the_most_corners_is_judged() {
        let teeth = 1_249;
        let mut ring = vec![[0.0, 0.0]];
        for tooth in 0..teeth {
            let low = f64::from(tooth) * 0.01;
            ring.extend([[100.0, low], [100.0, low + 0.004], [1.0, low + 0.004], [1.0, low + 0.01]]);
        }
        ring.extend([[0.0, 12.49], [0.0, 0.0]]);
        assert!(ring.len() <= 5_000, "{}", ring.len());
        assert_eq!(found(&json!([ring])), None);
        let last = ring.len() - 3;
        ring[last] = [50.0, 0.002];
        assert_eq!(found(&json!([ring])).map(|found| found.1), Some("crosses_itself"));
    }
}
