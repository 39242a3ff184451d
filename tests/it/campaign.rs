//! The life of a campaign file: written, checked, approved by another, published, paused, stopped.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{Market, Round, SECOND, at, chengdu, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server};

const BEFORE: &str = "2020-07-12T12:00:00+08:00";

fn get(server: &Server, id: &str) -> Reply {
    server.office("GET", &format!("/v1/campaigns/{id}"), None)
}

fn replace(server: &Server, campaign: &Value, etag: &str) -> Reply {
    let path = format!("/v1/campaigns/{}", campaign["campaign_id"].as_str().expect("an id"));
    let request = Request::new("PUT", &path).bearer(&server.admin_key).header("if-match", etag);
    server.send(&request.json(campaign))
}

#[test]
fn a_draft_is_created_once_and_replaced_only_by_who_has_read_it() {
    let server = Server::at(BEFORE);
    let mut campaign = chengdu("draft", 10);
    let created = server.create_campaign(&campaign).ok();
    assert_eq!(created.str("state"), "draft");
    assert_eq!(created["totals"], json!({"packs": 10, "vouchers": 60, "amount": 80_000}));
    server.create_campaign(&campaign).refused(412, "precondition_failed");

    let etag = get(&server, "draft").ok().header("etag").expect("an ETag").to_string();
    campaign["name"]["en"] = json!("Another name");
    let replaced = replace(&server, &campaign, &etag).ok();
    assert_ne!(replaced["version"], created["version"]);
    assert_ne!(replaced["rules_hash"], created["rules_hash"]);
    replace(&server, &campaign, &etag).refused(412, "precondition_failed");
    server.office("PUT", "/v1/campaigns/draft", Some(campaign.clone())).refused(428, "precondition_required");

    server.publish("draft");
    let etag = get(&server, "draft").ok().header("etag").expect("an ETag").to_string();
    campaign["name"]["en"] = json!("Too late");
    let late = replace(&server, &campaign, &etag);
    assert_eq!(late.status, 409, "published rules do not change: {}", late.text());
}

#[test]
fn validate_only_says_everything_and_stores_nothing() {
    let server = Server::at(BEFORE);
    let valid = server.validate_campaign(&chengdu("maybe", 10)).ok();
    assert_eq!(valid["totals"]["amount"], 80_000);
    assert_eq!(get(&server, "maybe").status, 404);
    let mut campaign = chengdu("maybe", 10);
    campaign["budget"] = json!(79_999);
    server.validate_campaign(&campaign).refused(422, "campaign_invalid");
    assert_eq!(get(&server, "maybe").status, 404);
}

#[test]
fn all_faults_of_a_campaign_file_are_told_at_once() {
    let server = Server::at(BEFORE);
    let mut campaign = chengdu("faulty", 10);
    campaign["packs"][0]["vouchers"][0]["discount_amount"] = json!(6000);
    campaign["packs"][0]["vouchers"][1]["count"] = json!(0);
    campaign["rounds"][0]["closes_at"] = json!("2020-07-24T17:00:00+08:00");
    campaign["reservation"]["closes_at"] = json!("2020-07-12T00:00:00+08:00");
    campaign["use_rule"]["hold_seconds"] = json!(5);
    campaign["time_zone"] = json!("Asia/Atlantis");
    let reply = server.create_campaign(&campaign).refused(422, "campaign_invalid");
    let faults = reply.faults();
    for pointer in [
        "/packs/0/vouchers/0/transaction_minimum",
        "/packs/0/vouchers/1/count",
        "/rounds/0/closes_at",
        "/reservation/closes_at",
        "/use_rule/hold_seconds",
        "/time_zone",
    ] {
        let told = faults.iter().any(|fault| fault.starts_with(&format!("{pointer} ")));
        assert!(told, "{pointer} is not among {faults:?}");
    }
    assert_eq!(get(&server, "faulty").status, 404);
}

#[test]
fn an_end_just_before_midnight_is_warned_of_and_24_00_is_refused_with_the_right_spelling() {
    let server = Server::at(BEFORE);
    let mut campaign = chengdu("ends", 10);
    campaign["validity"]["available_end_time"] = json!("2020-09-06T23:59:59+08:00");
    let reply = server.create_campaign(&campaign).ok();
    let warnings = reply["warnings"].to_string();
    assert!(warnings.contains("/validity/available_end_time"), "{warnings}");

    let mut campaign = chengdu("ends-24", 10);
    campaign["reservation"]["closes_at"] = json!("2020-07-20T24:00:00+08:00");
    let reply = server.create_campaign(&campaign);
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("2020-07-21T00:00:00+08:00"), "{}", reply.text());
}

#[test]
fn a_low_threshold_is_warned_of() {
    let server = Server::at(BEFORE);
    let mut campaign = chengdu("low", 10);
    campaign["packs"][0]["vouchers"][0]["transaction_minimum"] = json!(3999);
    let reply = server.create_campaign(&campaign).ok();
    let warnings = reply["warnings"].to_string();
    assert!(warnings.contains("/packs/0/vouchers/0"), "{warnings}");
}

#[test]
fn the_rules_hash_is_the_sha_256_of_the_canonical_file() {
    let server = Server::at(BEFORE);
    let campaign = chengdu("hashed", 10);
    let told = server.create_campaign(&campaign).ok();
    // Keys of serde_json's map are sorted and its numbers are integers: that is RFC 8785 here.
    let wanted = hex::encode(Sha256::digest(campaign.to_string()));
    assert_eq!(told.str("rules_hash"), wanted);
    assert_eq!(server.publish("hashed").str("rules_hash"), wanted);
}

#[test]
fn a_campaign_walks_from_draft_to_published_and_the_clock_opens_it() {
    let server = Server::at(BEFORE);
    server.create_campaign(&chengdu("walk", 10)).ok();
    let early = server.step("walk", "publish");
    let refused = early.status == 409 && early.code() == "campaign_state_refuses";
    assert!(refused || early.is_success(), "{}", early.text());
    if refused {
        assert_eq!(server.step("walk", "submit").ok().str("state"), "review");
        assert_eq!(server.step("walk", "reject").ok().str("state"), "draft");
        assert_eq!(server.step("walk", "submit").ok().str("state"), "review");
        assert_eq!(server.step("walk", "approve").ok().str("state"), "approved");
        assert_eq!(server.step("walk", "publish").ok().str("state"), "published");
    }
    server.set_clock(at("2020-07-13T00:00:00"));
    assert_eq!(get(&server, "walk").ok().str("state"), "open");
    server.set_clock(at("2020-09-07T00:00:00"));
    assert_eq!(get(&server, "walk").ok().str("state"), "ended");
}

#[test]
fn with_four_eyes_nobody_approves_what_he_submitted() {
    let server = Server::start(Options { four_eyes: true, ..Options::at(BEFORE) });
    let program = program_of(&server);
    let officer = server.create_key("officer", &program);
    let first = server.create_key("approver", &program);
    let auditor = server.create_key("auditor", &program);
    let step =
        |key: &str, verb: &str| server.office_as(key, "POST", &format!("/v1/campaigns/eyes/{verb}"), Some(json!({})));
    server.create_campaign_as(&auditor, &chengdu("eyes", 10)).refused(403, "forbidden");
    server.create_campaign_as(&officer, &chengdu("eyes", 10)).ok();
    step(&officer, "publish").refused(403, "forbidden");
    step(&first, "publish").refused(409, "campaign_state_refuses");
    step(&officer, "submit").ok();
    let own = step(&officer, "approve");
    assert_eq!(own.status, 403, "{}", own.text());
    assert!(["four_eyes_required", "forbidden"].contains(&own.code()), "{}", own.text());
    step(&auditor, "approve").refused(403, "forbidden");
    step(&first, "approve").ok();
    assert_eq!(step(&first, "publish").ok().str("state"), "published");
}

#[test]
fn with_four_eyes_even_a_key_of_all_roles_cannot_do_both_steps() {
    let server = Server::start(Options { four_eyes: true, ..Options::at(BEFORE) });
    server.create_campaign(&chengdu("both", 10)).ok();
    server.step("both", "submit").ok();
    server.step("both", "approve").refused(403, "four_eyes_required");
}

/// The program of the instance's first key, so that further keys can be made beside it.
pub fn program_of(server: &Server) -> String {
    server.create_campaign(&chengdu("whose", 1)).ok();
    let shown = get(server, "whose").ok();
    shown["program"].as_str().unwrap_or("default").to_string()
}

#[test]
fn no_program_sees_another_programs_campaigns() {
    let market = Market::open("isolated", 1);
    let (server, id) = (market.server(), market.campaign());
    let stranger = server.create_key("officer", "another-city");
    let path = |rest: &str| format!("/v1/campaigns/{id}{rest}");
    for (method, rest) in
        [("GET", ""), ("GET", "/stats"), ("GET", "/ledger"), ("POST", "/submit"), ("POST", "/pause"), ("POST", "/stop")]
    {
        let body = match (method, rest) {
            ("GET", _) => None,
            (_, "/pause") => Some(json!({"scope": ["redeem"], "reason": "not mine"})),
            (_, "/stop") => Some(json!({"reason": "not mine"})),
            _ => Some(json!({})),
        };
        let theirs = server.office_as(&stranger, method, &path(rest), body.clone());
        let nobodys = server.office_as(&stranger, method, &format!("/v1/campaigns/no-such{rest}"), body);
        assert_eq!((theirs.status, theirs.code()), (404, "not_found"), "{rest}: {}", theirs.text());
        assert_eq!((nobodys.status, nobodys.code()), (404, "not_found"), "the same answer");
    }
    let listed = server.office_as(&stranger, "GET", "/v1/campaigns", None);
    assert!(!listed.text().contains(id), "{}", listed.text());
    let taken = server.create_campaign_as(&stranger, &chengdu(id, 1));
    assert!(!taken.is_success(), "an id belongs to its first program: {}", taken.text());
    assert_eq!(get(server, id).ok().str("campaign_id"), id);
}

#[test]
fn everybody_can_read_a_published_campaign_but_no_draft() {
    let server = Server::at(BEFORE);
    server.create_campaign(&chengdu("public", 10)).ok();
    let read = || server.send(&Request::new("GET", "/v1/public/campaigns/public"));
    assert_eq!(read().status, 404);
    server.publish("public");
    let shown = read().ok();
    assert!(shown.text().contains("2020-07-24T18:00:00"), "{}", shown.text());
}

#[test]
fn a_pause_stops_what_it_names_and_never_what_settles_a_payment() {
    let market = Market::open("pause", 3);
    let (server, id) = (market.server(), market.campaign());
    let till = market.till();
    let people = [market.shopper(), market.shopper(), market.shopper()];
    let mut holds = Vec::new();
    for person in &people {
        let code = server.pay_code(person);
        holds.push(server.redeem(&till, &sale(&new_order(), &code, 7000, false)).ok());
    }
    server.confirm(&till, holds[2].str("order_id"), holds[2].str("hold_id"), 5000).ok();
    server.pause(id, &["reserve", "claim", "redeem"]).ok();

    let code = server.pay_code(&people[0]);
    let refused = server.redeem(&till, &sale(&new_order(), &code, 7000, true));
    let refused = refused.refused(409, "campaign_not_running");
    assert_eq!(refused["retryable"], true);
    server.confirm(&till, holds[0].str("order_id"), holds[0].str("hold_id"), 5000).ok();
    server.cancel(&till, holds[1].str("order_id")).ok();
    server.reverse(&till, holds[0].str("order_id")).ok();
    server.refund(&till, holds[2].str("order_id"), "R1", 7000).ok();

    server.step(id, "resume").ok();
    server.redeem(&till, &sale(&new_order(), &server.pay_code(&people[0]), 7000, true)).ok();
    server.assert_audit_clean();
}

#[test]
fn a_pause_of_reservations_is_exact_and_a_resume_lets_them_in_again() {
    let server = Server::at(BEFORE);
    server.create_campaign(&chengdu("halt", 10)).ok();
    server.publish("halt");
    server.set_clock(at("2020-07-13T09:00:00"));
    server.reserve("halt", &Resident::new()).ok();
    server.pause("halt", &["reserve"]).ok();
    server.reserve("halt", &Resident::new()).refused(409, "campaign_not_running");
    assert_eq!(server.stats("halt")["reserved"], 1);
    server.step("halt", "resume").ok();
    server.reserve("halt", &Resident::new()).ok();
    assert_eq!(server.stats("halt")["reserved"], 2);
}

#[test]
fn a_resume_lets_on_what_its_scope_names_and_without_one_everything() {
    let server = Server::at(BEFORE);
    server.create_campaign(&chengdu("partly", 10)).ok();
    server.publish("partly");
    let paused = |reply: Reply| reply.ok()["paused"].clone();
    let resume = |body: Value| server.office("POST", "/v1/campaigns/partly/resume", Some(body));
    server.pause("partly", &["reserve", "claim", "redeem"]).ok();
    assert_eq!(paused(resume(json!({"scope": ["redeem"]}))), json!(["reserve", "claim"]));
    resume(json!({"scopes": ["claim"]})).refused(422, "invalid_request");
    resume(json!({"scope": ["everything"]})).refused(422, "invalid_request");
    assert_eq!(paused(resume(json!({"scope": []}))), json!(["reserve", "claim"]));
    assert_eq!(paused(resume(json!({"scope": ["claim"]}))), json!(["reserve"]));
    assert_eq!(paused(server.step("partly", "resume")), json!([]));
}

#[test]
fn a_route_that_takes_no_body_refuses_one() {
    let server = Server::at(BEFORE);
    server.create_campaign(&chengdu("bare", 10)).ok();
    let body = json!({"force": true});
    for path in ["submit", "approve", "reject", "publish", "rounds/rain/close-list", "amendments/a/approve"] {
        server
            .office("POST", &format!("/v1/campaigns/bare/{path}"), Some(body.clone()))
            .refused(422, "invalid_request");
    }
    server.office("GET", "/v1/campaigns/bare", Some(body)).refused(422, "invalid_request");
    assert_eq!(server.office("GET", "/v1/campaigns/bare", None).ok()["state"], "draft");
}

#[test]
fn after_a_stop_nothing_is_issued_and_issued_vouchers_stay_valid() {
    let round = Round::reserved(chengdu("stop", 3), 3);
    round.raining(480 * SECOND);
    assert_eq!(round.tap_drawn(0).ok().str("outcome"), "won");
    round.server.office("POST", "/v1/campaigns/stop/stop", Some(json!({"reason": "a test"}))).ok();
    let late = round.tap(1);
    assert_ne!(late.str("outcome"), "won", "{}", late.text());

    round.server.set_clock(at("2020-07-25T12:00:00"));
    let till = crate::harness::fixture::new_till(&round.server, "stop");
    let code = round.server.pay_code(&round.people[0]);
    round.server.redeem(&till, &sale(&new_order(), &code, 7000, true)).ok();
    assert_eq!(round.server.stats("stop")["issued"], 1);
    round.server.assert_audit_clean();
}

#[test]
fn the_ledger_of_a_fresh_campaign_has_everything_unissued() {
    let server = Server::at(BEFORE);
    let mut campaign = chengdu("fresh", 10);
    campaign["budget"] = json!(100_000);
    server.create_campaign(&campaign).ok();
    server.publish("fresh");
    let total = server.ledger("fresh")["total"].clone();
    let wanted = json!({"budget": 100_000, "unallocated": 20_000, "unissued": 80_000, "outstanding": 0,
        "held": 0, "redeemed": 0, "expired": 0, "recovered": 0});
    assert_eq!(total, wanted);
    server.assert_audit_clean();
}

#[test]
fn the_whole_chengdu_file_is_accepted_and_sums_to_its_budget() {
    let server = Server::at(BEFORE);
    let reply = server.create_campaign(&chengdu("chengdu-2020-07", 2_000_000)).ok();
    let wanted = json!({"packs": 2_000_000, "vouchers": 12_000_000, "amount": 16_000_000_000_i64});
    assert_eq!(reply["totals"], wanted);
    assert_eq!(reply["warnings"], json!([]));
}

#[test]
fn what_no_round_looks_at_is_told_with_the_draft_and_refused_at_publication() {
    let server = Server::at(BEFORE);
    let id = "ignored";
    let mut file = chengdu(id, 1);
    let round = file["rounds"][0].as_object_mut().expect("a round");
    round.insert("mode".into(), json!("first_come"));
    round.insert("lost_at".into(), json!("close"));
    round.remove("draw");
    let draft = server.create_campaign(&file).ok();
    assert_eq!(draft["warnings"][0]["pointer"], "/rounds/0/lost_at", "{}", draft.text());
    server.step(id, "submit").ok();
    server.step(id, "approve").ok();
    let refused = server.step(id, "publish").refused(422, "campaign_invalid");
    assert_eq!(refused.faults(), ["/rounds/0/lost_at no_effect"]);
    assert_eq!(get(&server, id).ok().str("state"), "approved");
}

#[test]
fn a_file_of_sixty_rounds_fits_and_a_body_has_the_limit_of_its_route() {
    let server = Server::at(BEFORE);
    let mut file = chengdu("sixty", 60);
    let round = file["rounds"][0].clone();
    let name = json!({"zh": "一场雨".repeat(20), "en": "One rain of sixty".repeat(8)});
    let rounds = (0..60).map(|n| {
        let mut round = round.clone();
        (round["round_id"], round["packs"]["standard"]) = (json!(format!("rain-{n}")), json!(1));
        round["name"] = name.clone();
        round
    });
    file["rounds"] = rounds.collect();
    assert!(file.to_string().len() > 32 * 1024, "{} bytes", file.to_string().len());
    assert_eq!(server.create_campaign(&file).ok()["totals"]["packs"], 60);
    server.publish("sixty");
    let put = |bytes: usize, key: &str| {
        let request = Request::new("PUT", "/v1/campaigns/large").bearer(key).header("if-none-match", "*");
        server.send(&request.text(&" ".repeat(bytes)))
    };
    let admitted = &server.admin_key;
    assert_eq!(put(1024 * 1024, admitted).code(), "malformed_json", "an office body of 1 MiB is read");
    let refused = put(1024 * 1024 + 1, admitted).refused(413, "body_too_large");
    assert_eq!((refused.int("limit"), refused.str("detail")), (1024 * 1024, "At most 1024 KiB."));
    put(64 * 1024, "qk_00000000000000000000000000000000").refused(401, "unauthenticated");
    server.set_clock(at("2020-07-13T09:00:00"));
    let request = Request::new("POST", "/v1/campaigns/sixty/reservations").bearer(&server.token(&Resident::new()));
    let refused = server.send(&request.text(&" ".repeat(16 * 1024 + 1))).refused(413, "body_too_large");
    assert_eq!(refused.int("limit"), 16 * 1024);
}
