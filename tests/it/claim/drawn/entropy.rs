//! Public values that a draw waits for: a notary's digits, a beacon.

use serde_json::{Value, json};

use super::{CLOSES, DRAW, Drawn, OPENS, file, windowed};
use crate::harness::fixture::{MINUTE, at};
use crate::harness::wait_until;

#[test]
fn a_draw_waits_for_the_notary_and_nothing_stands_in_for_the_digits() {
    let file = file("notary", |file| {
        windowed(file, "rain", "credit");
        file["rounds"][0]["draw"]["entropy"] = json!(["operator", "notary"]);
    });
    let drawn = Drawn::reserved(file, 9, |_| None);
    let draw = |body: Value| drawn.server.office("POST", &drawn.path("r1", "draw"), Some(body));
    drawn.server.set_clock(at(DRAW) - 1);
    wait_until("the list is closed", || (drawn.stats(0)["list"] == "closed").then_some(()));
    draw(json!({"notary_digits": "20200722"})).refused(409, "round_not_drawn");
    drawn.server.set_clock(at(OPENS));
    assert_eq!(drawn.get("r1", "commitment").ok()["entropy"], json!(["operator", "notary"]));
    let reply = drawn.tap("r1", &drawn.passes[0], None).ok();
    assert_eq!((reply.str("outcome"), reply.str("detail")), ("not_yet", "round_not_drawn"));
    assert_eq!(drawn.stats(0)["waiting_for"], json!(["notary"]));
    assert!(drawn.server.client.get("/readyz").expect("an answer").text().contains("the draw is due"));
    drawn.server.office("POST", &drawn.path("r1", "draw"), None).refused(409, "round_not_drawn");
    draw(json!({"notary_digits": "12"})).refused(422, "invalid_request");
    draw(json!({"notary_digits": "12345x"})).refused(422, "invalid_request");
    draw(json!({"drand_signature": "00"})).refused(422, "invalid_request");
    let operator = drawn.server.create_key("operator", "sandbox");
    drawn
        .server
        .office_as(&operator, "POST", &drawn.path("r1", "draw"), Some(json!({"notary_digits": "007311"})))
        .refused(403, "forbidden");
    draw(json!({"notary_digits": "007311"})).ok();
    draw(json!({"notary_digits": "007312"})).refused(409, "entropy_conflict");
    assert_eq!(drawn.stats(0)["drawn"], true);
    drawn.server.set_clock(at(CLOSES) + MINUTE);
    drawn.wait_credited(0);
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["entropy_values"], json!([hex::encode("007311")]));
    assert_eq!(winners.len(), 4);
}

/// Round 657,413 of the beacon came out at 19:00:03 in Chengdu on 15 September 2023, and this is what it was signed with.
const BEACON: (u64, &str) =
    (657_413, "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b");

#[test]
fn a_public_beacon_that_was_named_before_it_came_out_decides_with_the_secret() {
    let file = file("beacon", |file| {
        let late = |text: &str| json!(format!("2023-09-{text}+08:00"));
        let round = &mut file["rounds"][0];
        round["draw"] = json!({"at": late("15T19:00:00"), "entropy": ["drand", "operator"], "drand_round": BEACON.0});
        round["credit_at"] = late("15T20:00:00");
        file["reservation"]["closes_at"] = late("15T12:00:00");
        file["validity"] =
            json!({"available_begin_time": late("16T00:00:00"), "available_end_time": late("30T00:00:00")});
    });
    let mut early = file.clone();
    early["rounds"][0]["draw"]["close_list_at"] = json!("2023-09-15T18:59:30+08:00");
    let drawn = Drawn::reserved(file, 7, |_| None);
    let refused = drawn.server.validate_campaign(&early);
    assert!(refused.text().contains("beacon_too_early"), "{}", refused.text());
    drawn.server.set_clock(at("2023-09-15T19:00:03"));
    wait_until("the list is closed", || (drawn.stats(0)["list"] == "closed").then_some(()));
    let commitment = drawn.get("r1", "commitment").ok();
    assert_eq!((&commitment["entropy"], &commitment["drand_round"]), (&json!(["drand", "operator"]), &json!(BEACON.0)));
    let draw = |signature: &str| {
        drawn.server.office("POST", &drawn.path("r1", "draw"), Some(json!({"drand_signature": signature})))
    };
    draw(&BEACON.1.replacen('7', "8", 1)).refused(422, "invalid_request");
    draw(BEACON.1).ok();
    draw(BEACON.1).ok();
    drawn.server.set_clock(at("2023-09-15T20:00:00"));
    drawn.wait_credited(0);
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["drand_signature"], BEACON.1);
    assert_eq!(winners.len(), 4);
}
