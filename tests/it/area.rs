//! Areas: put as versions, and judged where somebody reserves.

use serde_json::{Value, json};

use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::client::Request;
use crate::harness::fixture::{EVE, Round, SECOND, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::{Server, wait_until};

/// Chengdu within the third ring road, roughly, with the old airport left out.
fn chengdu_area() -> Value {
    json!({"type": "Polygon", "coordinates": [
        [[104.00, 30.60], [104.14, 30.60], [104.14, 30.73], [104.00, 30.73], [104.00, 30.60]],
        [[104.02, 30.61], [104.04, 30.61], [104.04, 30.63], [104.02, 30.63], [104.02, 30.61]]]})
}

fn put_area(server: &Server, area_id: &str, area: &Value) -> crate::harness::client::Reply {
    server.office("PUT", &format!("/v1/areas/{area_id}"), Some(area.clone()))
}

#[test]
fn an_area_has_versions_and_the_same_again_is_the_same() {
    let server = Server::at(EVE);
    server.office("GET", "/v1/areas/inner", None).refused(404, "not_found");
    let first = put_area(&server, "inner", &chengdu_area());
    assert_eq!((first.status, first.int("version")), (201, 1), "{}", first.text());
    let again = put_area(&server, "inner", &chengdu_area());
    assert!(again.status == 200 && again.replayed() && again.json == first.json, "{}", again.text());
    let circle = json!({"circle": {"center": [104.0657, 30.6595], "radius_m": 500}});
    assert_eq!(put_area(&server, "inner", &circle).ok().int("version"), 2);
    assert_eq!(server.office("GET", "/v1/areas/inner", None).ok()["area"], circle);
    let reply = put_area(&server, "inner", &json!({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}));
    assert_eq!(reply.refused(422, "invalid_request").faults(), ["/coordinates/0 open_ring"]);
    assert_eq!(server.office("GET", "/v1/areas/inner", None).ok().int("version"), 2);
    let stranger = server.create_key("officer", "another-city");
    server.office_as(&stranger, "GET", "/v1/areas/inner", None).refused(404, "not_found");
}

#[test]
fn who_reserves_has_to_be_in_the_area_that_the_campaign_was_approved_with() {
    let server = Server::at(EVE);
    let id = new_campaign_id("here");
    let mut campaign = chengdu(&id, 10);
    campaign["eligibility"]["location"] = json!({"area_id": "chengdu", "at": ["reserve"]});
    server.create_campaign(&campaign).ok();
    let missing = server.step(&id, "submit").refused(422, "campaign_invalid");
    assert_eq!(missing.faults(), ["/eligibility/location/area_id unknown_area"]);
    let area = put_area(&server, "chengdu", &chengdu_area()).ok();
    let pinned = server.step(&id, "submit").ok()["areas"].clone();
    assert_eq!(pinned, json!([{"area_id": "chengdu", "version": 1, "sha256": area["sha256"]}]));
    put_area(&server, "chengdu", &json!({"circle": {"center": [0, 0], "radius_m": 1}})).ok();
    server.step(&id, "approve").ok();
    assert_eq!(server.step(&id, "publish").ok()["areas"], pinned);
    server.set_clock(at("2020-07-13T09:00:00"));
    let place = |longitude: f64, latitude: f64| json!({"longitude": longitude, "latitude": latitude});
    let reserve = |place: Option<Value>| {
        let mut body = json!({"consent_version": "2020-07-13"});
        if let Some(place) = place {
            body["location"] = place;
        }
        server.reserve_with(&id, &Resident::new(), body)
    };
    reserve(Some(place(104.0657, 30.6595))).ok();
    reserve(Some(place(104.00, 30.65))).ok();
    for outside in [Some(place(104.03, 30.62)), Some(place(121.47, 31.23)), Some(place(103.999_999, 30.65)), None] {
        let reply = reserve(outside).refused(403, "not_eligible");
        assert_eq!(reply["reasons"][0]["rule"], "location", "{}", reply.text());
    }
    assert_eq!(reserve(Some(place(200.0, 0.0))).refused(422, "invalid_request").faults(), ["/location out_of_range"]);
    let explain = format!("/v1/campaigns/{id}/eligibility/explain");
    let body = json!({"location": place(104.0657, 30.6595)});
    assert_eq!(server.resident(&Resident::new(), "POST", &explain, Some(body)).ok()["eligible"], true);
    assert_eq!(server.resident(&Resident::new(), "POST", &explain, None).ok()["eligible"], false);
}

#[test]
fn a_round_without_reservation_judges_the_place_when_it_gives_the_pass() {
    let server = Server::at("2020-03-20T12:00:00+08:00");
    let mut campaign = hangzhou("placed", [3, 3, 3]);
    campaign["eligibility"]["location"] = json!({"area_id": "lake", "at": ["claim"]});
    put_area(&server, "lake", &json!({"circle": {"center": [120.1551, 30.2741], "radius_m": 20_000}})).ok();
    let rush = Rush::open_on(server, &campaign);
    let round = campaign["rounds"][0]["round_id"].as_str().expect("an id");
    let path = format!("/v1/campaigns/{}/rounds/{round}/passes", rush.campaign);
    let ask = |body: Option<Value>| rush.server.resident(&Resident::new(), "POST", &path, body);
    let place = |longitude: f64| Some(json!({"location": {"longitude": longitude, "latitude": 30.2741}}));
    let reply = ask(place(121.47)).refused(403, "not_eligible");
    assert_eq!(reply["reasons"][0]["rule"], "location", "{}", reply.text());
    ask(None).refused(403, "not_eligible");
    let pass = ask(place(120.16)).ok();
    assert_eq!(rush.tap(round, pass.str("pass")).status, 200);
}

/// The rule asks for the place at the tap: a pass of the reservation alone wins nothing, and who has lost need not say anything.
#[test]
fn a_winner_of_a_list_claims_in_the_area_and_a_pack_that_was_told_is_told_anywhere() {
    let server = Server::at(EVE);
    put_area(&server, "chengdu", &chengdu_area()).ok();
    let id = new_campaign_id("claimed-here");
    let mut campaign = chengdu(&id, 2);
    campaign["eligibility"]["location"] = json!({"area_id": "chengdu", "at": ["claim"]});
    server.create_campaign(&campaign).ok();
    let steps = ["submit", "approve"].map(|step| server.step(&id, step).status);
    assert_eq!(steps, [200, 200]);
    let credited = server.step(&id, "publish").refused(422, "not_supported_yet");
    assert_eq!(credited.faults(), ["/eligibility/location/at not_supported_yet"], "nobody is asked who is credited");

    let id = new_campaign_id("claimed-there");
    campaign["campaign_id"] = json!(id);
    campaign["rounds"][0]["unclaimed"] = json!("return");
    let round = Round::reserved_on(server, campaign, 4);
    round.raining(480 * SECOND);
    let tap = |index: usize, place: Option<Value>| {
        let path = format!("/v1/campaigns/{id}/rounds/rain/claims");
        let request = Request::new("POST", &path).bearer(&round.passes[index]);
        round.server.send(&match place {
            Some(place) => request.json(&json!({"location": place})),
            None => request,
        })
    };
    let (here, lake) =
        (json!({"longitude": 104.0657, "latitude": 30.6595}), json!({"longitude": 104.03, "latitude": 30.62}));
    wait_until("the round is drawn", || (round.server.stats(&id)["rounds"][0]["drawn"] == true).then_some(()));
    let lost: Vec<bool> = (0..4).map(|index| tap(index, None).status == 200).collect();
    assert_eq!(lost.iter().filter(|lost| **lost).count(), 2, "two have lost, and were not asked where they are");
    for index in (0..4).filter(|index| !lost[*index]) {
        for place in [None, Some(lake.clone())] {
            let refused = tap(index, place).refused(403, "not_eligible");
            assert_eq!(refused["reasons"][0]["rule"], "location", "{}", refused.text());
        }
        let far = json!({"longitude": 204.0, "latitude": 30.0});
        tap(index, Some(far)).refused(422, "invalid_request");
        let won = tap(index, Some(here.clone())).ok();
        assert_eq!(won.str("outcome"), "won");
        for place in [None, Some(lake.clone()), Some(here.clone())] {
            let again = tap(index, place).ok();
            assert!(again.replayed() && again.json == won.json, "{}", again.text());
        }
    }
    assert_eq!(round.server.stats(&id)["issued"], 2);
    round.server.assert_audit_clean();
}

/// A ring of so many corners around Chengdu.
fn round_area(corners: u32) -> Value {
    let corner = |n: u32| {
        let turn = f64::from(n % corners) / f64::from(corners) * std::f64::consts::TAU;
        json!([104.066_112_233_445_5 + 0.1 * turn.cos(), 30.659_544_332_211_1 + 0.1 * turn.sin()])
    };
    json!({"type": "Polygon", "coordinates": [(0..=corners).map(corner).collect::<Vec<_>>()]})
}

#[test]
fn an_area_of_the_most_points_fits_and_is_put_as_a_file_of_one_feature_too() {
    let server = Server::at(EVE);
    let area = round_area(4_999);
    assert!(area.to_string().len() > 150_000, "far more than 16 KiB");
    let plain = put_area(&server, "round", &area).ok();
    let feature = json!({"type": "Feature", "properties": null, "geometry": area});
    let file = json!({"type": "FeatureCollection", "bbox": [103.9, 30.5, 104.2, 30.8], "features": [feature]});
    let again = put_area(&server, "round", &file).ok();
    assert_eq!(
        (again["version"].as_i64(), &again["area"]),
        (plain["version"].as_i64(), &area),
        "the geometry is the area"
    );
    let more = put_area(&server, "round", &round_area(5_000)).refused(422, "invalid_request");
    assert_eq!(more.faults(), ["/coordinates too_many_points"]);
    let crossed = json!({"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]});
    assert_eq!(
        put_area(&server, "round", &crossed).refused(422, "invalid_request").faults(),
        ["/coordinates/0/2 crosses_itself"]
    );
    let twice = r#"{"circle":{"center":[104,30],"radius_m":5,"radius_m":5000}}"#;
    let request = Request::new("PUT", "/v1/areas/round").bearer(&server.admin_key).text(twice);
    let reply = server.send(&request).refused(422, "invalid_request");
    assert_eq!(reply.faults(), [" duplicate_key"]);
    assert!(reply.str("detail").contains("line 1, character 52"), "{}", reply.text());
    assert_eq!(server.office("GET", "/v1/areas/round", None).ok()["version"], plain["version"]);
}
