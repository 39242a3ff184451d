//! A refusal says what this very case is and what comes next, the same in both languages.

use serde_json::json;

use crate::campaign::program_of;
use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Round, at, chengdu, new_campaign_id};
use crate::list::put_list;

/// Both languages of a refusal's message name what the reader needs.
#[track_caller]
fn check(reply: &Reply, code: &str, names: &[&str]) {
    assert_eq!(reply.code(), code, "{}", reply.text());
    let fault = reply["errors"].as_array().and_then(|faults| faults.first());
    for language in ["zh", "en"] {
        let own = reply["message"][language].as_str().unwrap_or_default();
        let told = fault.and_then(|fault| fault["message"][language].as_str()).unwrap_or_default();
        let missing: Vec<&&str> = names.iter().filter(|name| !format!("{own}{told}").contains(**name)).collect();
        assert!(missing.is_empty(), "{language} lacks {missing:?}: {}", reply.text());
    }
}

#[test]
fn who_is_refused_is_told_which_role_may_and_what_a_campaign_in_this_state_allows() {
    let server = Server::at(EVE);
    let id = new_campaign_id("told");
    let auditor = server.create_key("auditor", &program_of(&server));
    check(&server.create_campaign_as(&auditor, &chengdu(&id, 4)), "forbidden", &["officer", "auditor"]);
    server.create_campaign(&chengdu(&id, 4)).ok();
    check(&server.step(&id, "approve"), "campaign_state_refuses", &["submit"]);
    server.step(&id, "submit").ok();
    check(&server.step(&id, "publish"), "campaign_state_refuses", &["approve", "reject"]);
    server.set_clock(at("2020-07-21T12:00:00"));
    let approved = server.step(&id, "approve").ok();
    let late = json!("/reservation/closes_at");
    let warnings = approved["warnings"].as_array().expect("warnings");
    let warned = warnings.iter().any(|one| one["code"] == "window_in_past" && one["pointer"] == late);
    assert!(warned, "what the publication will refuse is told at the approval: {}", approved.text());
    check(&server.step(&id, "submit"), "campaign_state_refuses", &["publish"]);
    server.step(&id, "publish").refused(422, "campaign_invalid");
}

#[test]
fn a_missing_list_an_unknown_column_and_a_flag_that_is_none_are_named() {
    let server = Server::at(EVE);
    let id = new_campaign_id("told");
    let mut file = chengdu(&id, 4);
    file["eligibility"]["deny_list"] = json!("banned");
    server.create_campaign(&file).ok();
    check(&server.step(&id, "submit"), "campaign_invalid", &["banned", "PUT /v1/lists/banned"]);
    let columns = put_list(&server, "banned", "document_type,document_nummer\ncn_id,1\n");
    check(&columns, "invalid_request", &["document_nummer", "document_number"]);
    let flag = server.office("PUT", &format!("/v1/campaigns/{id}?validate_only=1"), Some(file));
    check(&flag, "invalid_request", &["true", "false"]);
}

#[test]
fn an_early_draw_and_one_that_waits_say_when_and_for_what() {
    let mut file = chengdu(&new_campaign_id("told"), 4);
    file["rounds"][0]["draw"]["entropy"] = json!(["operator", "notary"]);
    let round = Round::reserved(file, 4);
    let draw = || round.server.office("POST", &format!("/v1/campaigns/{}/rounds/rain/draw", round.campaign), None);
    round.server.set_clock(at("2020-07-21T12:00:00"));
    check(&draw(), "round_not_drawn", &["2020-07-22T10:00:00+08:00"]);
    round.server.set_clock(at("2020-07-22T10:00:00"));
    round.wait_drawn();
    let waits = draw();
    check(&waits, "round_not_drawn", &["notary", "2020-07-22T10:00:00+08:00"]);
    assert_eq!(waits["waiting_for"], json!(["notary"]));
    let ready = round.server.client.get("/readyz").expect("an answer").text();
    assert!(ready.contains("waits for notary"), "{ready}");
}

#[test]
fn who_may_not_take_part_reads_the_reason_in_the_detail() {
    let round = Round::reserved(chengdu(&new_campaign_id("told"), 4), 0);
    let red = crate::harness::identity::Resident::new().claiming("health_pass", json!("red"));
    let refused = round.server.reserve(&round.campaign, &red);
    assert_eq!(refused.code(), "not_eligible");
    for (language, words) in [("zh", "健康码须为绿码"), ("en", "has to be green")] {
        assert!(refused["message"][language].as_str().is_some_and(|text| text.contains(words)), "{}", refused.text());
    }
}
