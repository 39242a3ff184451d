//! Four eyes: what one person proposes, another brings into force, whatever keys and spellings of a name the one has.

use serde_json::{Value, json};

use crate::harness::fixture::{EVE, at, chengdu, merchant, new_merchant_id};
use crate::harness::{Options, Server};

const PROGRAM: &str = "chengdu";

fn server() -> Server {
    Server::start(Options { four_eyes: true, ..Options::at(EVE) })
}

/// Keys of one role each, for holders by name and person's id.
fn keys<const N: usize>(server: &Server, holders: [(&str, &str, Option<&str>); N]) -> [String; N] {
    holders.map(|(role, name, person_id)| {
        let id = person_id.map(|id| ["--person-id", id]);
        let arguments = ["keys", "create", "--role", role, "--program", PROGRAM, "--name", name];
        let arguments: Vec<&str> = arguments.into_iter().chain(id.into_iter().flatten()).collect();
        let output = server.command(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

#[test]
fn nobody_approves_an_own_campaign_or_amendment_by_another_spelling_or_another_key() {
    let server = server();
    let [officer, spelled, numbered, other] = keys(
        &server,
        [
            ("officer", "Zhang Wei", Some("B-17")),
            ("approver", "  ＺＨＡＮＧ\u{3000}ｗｅｉ ", None),
            ("approver", "deputy", Some("b-17")),
            ("approver", "Zhang Wei", Some("B-18")),
        ],
    );
    let call = |key: &str, path: &str, body: Value| server.office_as(key, "POST", path, Some(body));
    let approve_as_another = |path: &str| {
        for own in [&spelled, &numbered] {
            call(own, path, json!({})).refused(403, "four_eyes_required");
        }
        call(&other, path, json!({})).ok()
    };
    server.create_campaign_as(&officer, &chengdu("eyes", 10)).ok();
    call(&officer, "/v1/campaigns/eyes/submit", json!({})).ok();
    assert_eq!(approve_as_another("/v1/campaigns/eyes/approve").str("state"), "approved");
    call(&other, "/v1/campaigns/eyes/publish", json!({})).ok();
    let body = json!({"amendment_id": "A1", "reason": "more money",
        "changes": [{"pointer": "/budget", "current": 80_000, "target": 90_000}]});
    call(&officer, "/v1/campaigns/eyes/amendments", body).ok();
    let applied = approve_as_another("/v1/campaigns/eyes/amendments/A1/approve");
    assert_eq!((applied.str("state"), applied.str("submitted_by")), ("applied", "Zhang Wei"));
}

#[test]
fn who_applies_for_a_merchant_does_not_approve_it() {
    let server = server();
    let [officer, second, approver] =
        keys(&server, [("officer", "li", None), ("officer", "wang", None), ("approver", "Li", None)]);
    server.create_campaign_as(&officer, &chengdu("shops", 10)).ok();
    let step =
        |key: &str, verb: &str| server.office_as(key, "POST", &format!("/v1/campaigns/shops/{verb}"), Some(json!({})));
    step(&officer, "submit").ok();
    let [outsider] = keys(&server, [("approver", "chen", None)]);
    step(&outsider, "approve").ok();
    step(&outsider, "publish").ok();
    server.set_clock(at("2020-07-14T09:00:00"));
    let id = new_merchant_id();
    server.office_as(&officer, "POST", "/v1/merchants", Some(merchant(&id))).ok();
    let path = format!("/v1/campaigns/shops/merchants/{id}");
    let enrol = |key: &str, verb: &str| server.office_as(key, "POST", &format!("{path}/{verb}"), Some(json!({})));
    let apply = |key: &str| server.office_as(key, "PUT", &path, Some(json!({}))).ok();
    apply(&officer);
    for own in [&officer, &approver] {
        enrol(own, "approve").refused(403, "four_eyes_required");
    }
    assert_eq!(enrol(&second, "approve").ok().str("state"), "approved");
    enrol(&officer, "approve").ok();
    // Whoever took it out, its applicant does not admit it again; who applies the next time is the next applicant.
    enrol(&second, "suspend").ok();
    enrol(&officer, "approve").refused(403, "four_eyes_required");
    enrol(&second, "approve").ok();
    enrol(&second, "leave").ok();
    apply(&second);
    enrol(&second, "approve").refused(403, "four_eyes_required");
    enrol(&officer, "approve").ok();
}

#[test]
fn a_name_that_cannot_be_seen_whole_is_refused_where_a_key_is_made() {
    let server = Server::at(EVE);
    for (option, text) in [
        ("--name", "张\u{200b}伟"),
        ("--name", " "),
        ("--person-id", "17\u{feff}"),
        ("--name", &"a".repeat(65)),
        ("--name", "Wang\u{2800}Li"),
        ("--name", "W\u{430}ng Li"),
        ("--name", "\u{301}a"),
        ("--person-id", "B 17"),
        ("--person-id", "В-17"),
        ("--person-id", "工号17"),
    ] {
        let output = server.command(&["keys", "create", "--role", "officer", "--program", PROGRAM, option, text]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && output.stdout.is_empty() && said.contains(option),
            "{option} {text:?}: {said}"
        );
    }
}
