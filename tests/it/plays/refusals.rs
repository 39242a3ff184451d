//! Bad input of a claim: each has a code of its own, nothing is lost and nothing is issued.

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{DAY, HOUR, Round, SECOND, at, chengdu, new_campaign_id};
use crate::harness::together;

/// Two rains, one after the other; everybody has reserved in both, and the first is fully open.
struct Scene {
    round: Round,
    second: Vec<String>,
}

impl Scene {
    fn open() -> Scene {
        let mut campaign = chengdu(&new_campaign_id("refusals"), 3);
        let text = campaign["rounds"][0].to_string().replace("2020-07-24T18", "2020-07-24T20");
        let mut second: Value = serde_json::from_str(&text).expect("still JSON");
        second["round_id"] = json!("hail");
        campaign["rounds"].as_array_mut().expect("rounds").push(second);
        campaign["budget"] = json!(2 * 3 * 8_000);
        let server = crate::harness::Server::at("2020-07-12T12:00:00+08:00");
        let id = campaign["campaign_id"].as_str().expect("an id").to_string();
        server.create_campaign(&campaign).ok();
        server.publish(&id);
        server.set_clock(at("2020-07-13T09:00:00"));
        let people = crate::harness::identity::Resident::many(3);
        let reserved = |round: &str| {
            let body = json!({"consent_version": "2020-07-13", "round_id": round});
            let one = |person| server.reserve_with(&id, person, body.clone()).ok().str("pass").to_string();
            people.iter().map(one).collect::<Vec<String>>()
        };
        let (passes, second) = (reserved("rain"), reserved("hail"));
        let round = Round { server, campaign: id, people, passes };
        round.raining(480 * SECOND);
        Scene { round, second }
    }

    fn tap(&self, round: &str, bearer: &str) -> Reply {
        let path = format!("/v1/campaigns/{}/rounds/{round}/claims", self.round.campaign);
        self.round.server.send(&Request::new("POST", &path).bearer(bearer))
    }

    fn books(&self) -> Value {
        let ledger = self.round.server.ledger(&self.round.campaign);
        json!([ledger["total"], ledger["rounds"], ledger["as_of"], self.round.server.stats(&self.round.campaign)])
    }
}

/// One character of a pass changed, at this place of its text.
fn tampered(pass: &str, place: usize) -> String {
    let mut bytes = pass.as_bytes().to_vec();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("still text")
}

#[test]
fn every_bad_claim_has_its_own_code_and_moves_no_fen() {
    let scene = Scene::open();
    let pass = scene.round.passes[0].clone();
    let before = scene.books();
    let last = pass.len() - 1;
    let rows: [(&str, &str, String, u16, &str); 9] = [
        ("a pass of another round", "rain", scene.second[0].clone(), 401, "token_invalid"),
        ("a pass with another payload", "rain", tampered(&pass, 8), 401, "token_invalid"),
        ("a pass with another MAC", "rain", tampered(&pass, last - 3), 401, "token_invalid"),
        ("a pass cut short", "rain", pass[..last].to_string(), 401, "token_invalid"),
        ("no pass at all", "rain", "qp1.".to_string(), 401, "token_invalid"),
        ("a round that does not exist", "snow", pass.clone(), 404, "round_not_found"),
        ("a pass in a round of another name", "hail", pass.clone(), 401, "token_invalid"),
        ("a key of the office", "rain", scene.round.server.admin_key.clone(), 401, "token_invalid"),
        ("a token that nobody signed", "rain", "a.b.c".to_string(), 401, "token_invalid"),
    ];
    for (name, round, bearer, status, code) in rows {
        let reply = scene.tap(round, &bearer);
        assert_eq!((reply.status, reply.code()), (status, code), "{name}: {}", reply.text());
        assert_eq!(reply.str("outcome"), "not_applied", "{name}: {}", reply.text());
        assert_eq!(scene.books(), before, "{name} moved something");
    }
    let path = "/v1/campaigns/nowhere/rounds/rain/claims";
    scene.round.server.send(&Request::new("POST", path).bearer(&pass)).refused(404, "not_found");

    scene.round.server.pause(&scene.round.campaign, &["claim"]).ok();
    let paused = scene.books();
    for bearer in [&pass, &scene.round.passes[1], &scene.round.server.token(&scene.round.people[2])] {
        let reply = scene.tap("rain", bearer).refused(409, "campaign_not_running");
        assert!(reply["retryable"] == true && reply.header("retry-after").is_some(), "{}", reply.text());
    }
    assert_eq!((&paused, &scene.books()), (&before, &before), "a claim during a pause moved something");
    scene.round.server.step(&scene.round.campaign, "resume").ok();

    let both = together(2, |_| scene.tap("rain", &pass).ok());
    assert_eq!(both[0].json, both[1].json, "two claims at once are one pack");
    assert_eq!(both.iter().filter(|reply| reply.replayed()).count(), 1, "and one of them is the repeat");
    assert_eq!(scene.round.server.stats(&scene.round.campaign)["issued"], 1);
    for other in &scene.round.passes[1..] {
        assert_eq!(scene.tap("rain", other).ok().str("outcome"), "won", "nothing was lost meanwhile");
    }
    let closes = at("2020-07-24T18:10:00");
    scene.round.server.set_clock(closes + HOUR);
    assert_eq!(scene.tap("rain", &pass).ok().str("result"), "won");
    scene.round.server.set_clock(closes + DAY);
    let after = scene.books();
    scene.tap("rain", &pass).refused(401, "token_expired");
    assert_eq!(scene.books(), after);
    scene.round.server.assert_audit_clean();
}
