//! A published campaign may give more: proposed by one, approved by another, in force on every node when it is answered.

mod rounds;

use serde_json::{Value, json};

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, at, chengdu, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

fn change(pointer: &str, current: Value, target: Value) -> Value {
    json!({"pointer": pointer, "current": current, "target": target})
}

fn path(campaign: &str) -> String {
    format!("/v1/campaigns/{campaign}/amendments")
}

#[track_caller]
fn propose(server: &Server, campaign: &str, id: &str, changes: &[Value]) -> Reply {
    let body = json!({"amendment_id": id, "reason": "a test", "changes": changes});
    server.office("POST", &path(campaign), Some(body))
}

#[track_caller]
fn approve(server: &Server, campaign: &str, id: &str) -> Reply {
    server.office("POST", &format!("{}/{id}/approve", path(campaign)), None)
}

/// Proposed and in force.
#[track_caller]
fn amend(server: &Server, campaign: &str, id: &str, changes: &[Value]) -> Reply {
    propose(server, campaign, id, changes).ok();
    approve(server, campaign, id).ok()
}

fn published(id: &str, packs: i64) -> Server {
    let server = Server::at(EVE);
    server.create_campaign(&chengdu(id, packs)).ok();
    server.publish(id);
    server
}

#[test]
fn a_proposal_changes_nothing_until_it_is_approved_and_then_every_figure_follows() {
    let server = published("more", 10);
    let total = |field: &str| server.ledger("more")["total"][field].clone();
    let hash = server.office("GET", "/v1/campaigns/more", None).ok()["rules_hash"].clone();
    let changes = [
        change("/budget", json!(80_000), json!(100_000)),
        change("/rounds/0/packs/standard", json!(10), json!(12)),
        change("/refund_days", Value::Null, json!(400)),
    ];
    let proposed = propose(&server, "more", "A1", &changes).ok();
    assert_eq!((proposed.status, proposed.str("state")), (201, "proposed"));
    assert_eq!((total("budget"), total("unissued")), (json!(80_000), json!(80_000)));

    let applied = approve(&server, "more", "A1").ok();
    assert_eq!(applied.str("state"), "applied");
    assert_eq!(
        (total("budget"), total("unissued"), total("unallocated")),
        (json!(100_000), json!(96_000), json!(4_000))
    );
    assert_eq!(server.stats("more")["rounds"][0]["remaining"], 12);
    let shown = server.office("GET", "/v1/campaigns/more", None).ok();
    assert_eq!(shown["rules_hash"], hash, "the rules keep the name under which they were published");
    assert_eq!(shown["amended_rules_hash"], applied["rules_hash"]);
    assert_eq!(shown["campaign"]["refund_days"], 400);
    let public = server.office("GET", "/v1/public/campaigns/more", None).ok();
    assert_eq!((&public["campaign"]["budget"], &public["published"]["budget"]), (&json!(100_000), &json!(80_000)));
    assert_eq!(public["amendments"][0]["changes"], json!(changes));
    let listed = server.office("GET", &path("more"), None).ok();
    assert_eq!((&listed["items"][0]["amendment_id"], &listed["next_cursor"]), (&json!("A1"), &Value::Null));
    server.assert_audit_clean();
}

#[test]
fn an_amendment_is_known_by_its_id_and_content_and_a_repeat_changes_nothing() {
    let server = published("again", 10);
    let changes = [change("/budget", json!(80_000), json!(90_000))];
    propose(&server, "again", "A1", &changes).ok();
    let repeat = propose(&server, "again", "A1", &changes).ok();
    assert!(repeat.status == 200 && repeat.replayed(), "{}", repeat.text());
    let other = [change("/budget", json!(80_000), json!(95_000))];
    propose(&server, "again", "A1", &other).refused(409, "amendment_conflict");
    assert!(!approve(&server, "again", "A1").ok().replayed());
    assert!(approve(&server, "again", "A1").ok().replayed());
    assert!(propose(&server, "again", "A1", &changes).ok().replayed(), "also once it is in force");
    assert_eq!(server.ledger("again")["total"]["budget"], 90_000);
    approve(&server, "again", "A2").refused(404, "not_found");
}

#[test]
fn whatever_takes_away_is_refused_with_every_pointer_and_the_reason() {
    let server = published("less", 10);
    let changes = [
        change("/budget", json!(80_000), json!(79_999)),
        change("/validity/available_end_time", json!("2020-09-07T00:00:00+08:00"), json!("2020-09-06T00:00:00+08:00")),
        change("/use_rule/districts", json!(["5101"]), json!(["5102"])),
        change("/rounds/0/opens_at", json!("2020-07-24T18:00:00+08:00"), json!("2020-07-24T17:00:00+08:00")),
        change("/limits/0/max_count", json!(2), json!(3)),
    ];
    let refused = propose(&server, "less", "A1", &changes).refused(422, "amendment_not_additive");
    let wanted = [
        "/changes/0/target not_additive",
        "/changes/1/target not_additive",
        "/changes/2/target not_additive",
        "/changes/3/pointer not_amendable",
    ];
    assert_eq!(refused.faults(), wanted);
    // What the file as a whole does not allow is told as for any file.
    let unpaid = [change("/rounds/0/packs/standard", json!(10), json!(11))];
    let refused = propose(&server, "less", "A1", &unpaid).refused(422, "campaign_invalid");
    // The place is one that the amendment leaves alone, and the text names it.
    assert_eq!(refused.faults(), ["/changes budget_exceeded"]);
    let said = refused["errors"][0]["message"]["en"].as_str().expect("a text");
    assert!(said.starts_with("/budget: "), "{said}");
    let twice = [changes[0].clone(), changes[4].clone(), changes[4].clone()];
    let refused = propose(&server, "less", "A1", &twice).refused(422, "amendment_not_additive");
    assert_eq!(refused.faults(), ["/changes/0/target not_additive", "/changes/2/pointer named_twice"]);
    let spelling = [change("/merchant_enrolment/closes_at", json!("2020-09-07T00:00:00+08:00"), json!("2020-09-08"))];
    propose(&server, "less", "A1", &spelling).refused(422, "campaign_invalid");
    assert_eq!(server.office("GET", &path("less"), None).ok()["items"], json!([]), "nothing was kept");

    server.create_campaign(&chengdu("draft", 10)).ok();
    let early = [change("/budget", json!(80_000), json!(90_000))];
    propose(&server, "draft", "A1", &early).refused(409, "campaign_state_refuses");
    propose(&server, "less", "", &early).refused(422, "invalid_request");
    propose(&server, "less", "A1", &[]).refused(422, "invalid_request");
}

#[test]
fn what_has_changed_meanwhile_is_stale_at_the_proposal_and_at_the_approval() {
    let server = published("stale", 10);
    let wrong = [
        change("/budget", json!(70_000), json!(90_000)),
        change("/refund_days", json!(365), json!(400)),
        change("/limits/0/max_count", json!(2), json!(3)),
    ];
    let stale = propose(&server, "stale", "A0", &wrong).refused(409, "amendment_stale");
    assert_eq!(stale.faults(), ["/changes/0/current differs", "/changes/1/current differs"]);
    assert_eq!(
        stale["differing"],
        json!([{"pointer": "/budget", "current": 80_000}, {"pointer": "/refund_days", "current": null}])
    );
    let more = |target: i64| [change("/budget", json!(80_000), json!(target))];
    propose(&server, "stale", "A1", &more(90_000)).ok();
    propose(&server, "stale", "A2", &more(95_000)).ok();
    approve(&server, "stale", "A2").ok();
    let late = approve(&server, "stale", "A1").refused(409, "amendment_stale");
    assert_eq!(late.faults(), ["/changes/0/current differs"]);
    assert_eq!(server.ledger("stale")["total"]["budget"], 95_000);
}

#[test]
fn with_four_eyes_another_person_brings_an_amendment_into_force() {
    let server = Server::start(Options { four_eyes: true, ..Options::at(EVE) });
    let program = "chengdu";
    let [officer, approver, auditor] = ["officer", "approver", "auditor"].map(|role| server.create_key(role, program));
    server.create_campaign_as(&officer, &chengdu("eyes", 10)).ok();
    let call = |key: &str, path: &str, body: Value| server.office_as(key, "POST", path, Some(body));
    call(&officer, "/v1/campaigns/eyes/submit", json!({})).ok();
    call(&approver, "/v1/campaigns/eyes/approve", json!({})).ok();
    call(&approver, "/v1/campaigns/eyes/publish", json!({})).ok();
    let body = json!({"amendment_id": "A1", "reason": "more money",
        "changes": [change("/budget", json!(80_000), json!(90_000))]});
    call(&auditor, &path("eyes"), body.clone()).refused(403, "forbidden");
    call(&officer, &path("eyes"), body.clone()).ok();
    let approve = format!("{}/A1/approve", path("eyes"));
    let own = call(&officer, &approve, json!({}));
    assert!(own.status == 403 && ["four_eyes_required", "forbidden"].contains(&own.code()), "{}", own.text());
    call(&auditor, &approve, json!({})).refused(403, "forbidden");
    let applied = call(&approver, &approve, json!({})).ok();
    assert_ne!(applied["approved_by"], applied["submitted_by"]);
    // A key of all roles in another program does not see it; in its own it cannot do both steps.
    server.create_campaign(&chengdu("both", 10)).ok();
    call(&server.admin_key, &approve, json!({})).refused(404, "not_found");
}

#[test]
fn rules_of_use_that_were_widened_hold_for_vouchers_that_people_have_on_both_nodes() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let market = Market::open_on(first, chengdu("widened", 2), 2);
    let (first, till, person) = (market.server(), market.till(), market.shopper());
    second.set_clock(at("2020-07-25T12:00:00"));
    let goods = |order: &str, code: &str| {
        let mut body = sale(order, code, 7000, true);
        body["category"] = json!("books");
        body
    };
    let refused = second.redeem(&till, &goods(&new_order(), &second.pay_code(&person)));
    refused.refused(422, "category_not_allowed");
    let had = chengdu("widened", 2)["use_rule"]["categories"].clone();
    let mut has = had.clone();
    has.as_array_mut().expect("a list").push(json!("books"));
    amend(first, "widened", "A1", &[change("/use_rule/categories", had, has)]);
    first.redeem(&till, &goods(&new_order(), &first.pay_code(&person))).ok();
    // The other node refuses from memory, which follows within a tenth of a second.
    let code = second.pay_code(&market.shopper());
    wait_until("the other node has the new rules", || {
        second.redeem(&till, &goods("A1-widened", &code)).is_success().then_some(())
    });
    first.assert_audit_clean();
}

#[test]
fn a_reservation_may_be_extended_to_the_last_moment_and_not_after() {
    let closes = "2020-07-21T00:00:00";
    let longer = |from: &str, to: &str| {
        let text = |local: &str| json!(format!("{local}+08:00"));
        [change("/reservation/closes_at", text(from), text(to))]
    };
    let server = published("longer", 3);
    server.set_clock(at(closes) - 1);
    amend(&server, "longer", "A1", &longer(closes, "2020-07-21T12:00:00"));
    server.set_clock(at("2020-07-21T11:59:59"));
    server.reserve("longer", &Resident::new()).ok();
    server.set_clock(at("2020-07-21T12:00:00"));
    server.reserve("longer", &Resident::new()).refused(409, "reservation_closed");
    let again = propose(&server, "longer", "A2", &longer("2020-07-21T12:00:00", "2020-07-21T13:00:00"));
    let again = again.refused(409, "amendment_too_late");
    assert!(again.faults()[0].starts_with("/changes/0/target "), "{}", again.text());
    // A list cannot close later than its draw: the file as a whole is judged.
    let server = published("order", 3);
    let beyond = propose(&server, "order", "A1", &longer(closes, "2020-07-22T10:00:01"));
    assert!(beyond.refused(422, "campaign_invalid").faults()[0].starts_with("/changes"));
}
