//! Grants: the list itself says who gets a pack, by the clock or by a claim.

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::Server;
use crate::harness::fixture::at;
use crate::harness::identity::Resident;
use crate::harness::wait_until;
use crate::list::{csv_of, put_list};

const CREDIT: &str = "2020-03-27T08:00:00";

/// One grant to a list, credited at an instant or claimed in a window.
fn grant(name: &str, packs: i64, window: bool) -> Value {
    let mut file = hangzhou(name, [packs, 1, 1]);
    let round = json!({"round_id": "i", "mode": "grant", "entries_list": "nurses", "packs": {"five-40-10": packs}});
    file["rounds"] = json!([round]);
    file["limits"] = json!([]);
    if window {
        file["rounds"][0]["opens_at"] = json!("2020-03-27T09:00:00+08:00");
        file["rounds"][0]["closes_at"] = json!("2020-03-28T00:00:00+08:00");
    } else {
        file["rounds"][0]["credit_at"] = json!(format!("{CREDIT}+08:00"));
    }
    file
}

fn open(file: &Value, csv: &str, shards: u8) -> Rush {
    let options = crate::harness::Options { shards, ..crate::harness::Options::at("2020-03-20T12:00:00+08:00") };
    let server = Server::start(options);
    put_list(&server, "nurses", csv).ok();
    Rush::open_on(server, file)
}

fn warnings(server: &Server) -> String {
    server.client.get("/readyz").expect("an answer").text()
}

#[test]
fn at_its_instant_a_grant_credits_everybody_on_the_list_and_nobody_else() {
    let people = Resident::many(7);
    let rush = open(&grant("credited", 9, false), &csv_of(&people), 3);
    wait_until("everybody is credited", || (rush.issued() == 7).then_some(()));
    for person in &people {
        assert_eq!(rush.server.vouchers(&rush.campaign, person).len(), 5);
        assert_eq!(rush.mine("i", person).ok().str("result"), "won");
    }
    let stranger = Resident::new();
    assert!(rush.server.vouchers(&rush.campaign, &stranger).is_empty());
    rush.mine("i", &stranger).refused(403, "not_eligible");
    let token = rush.server.token(&people[0]);
    for reply in [rush.tap("i", &token), rush.ask_pass("i", &people[0])] {
        let reply = reply.refused(404, "round_has_no_tap");
        assert!(reply.str("title").contains("claims/mine"), "{}", reply.text());
    }
    for body in [json!({}), json!({"round_id": "i"})] {
        rush.server.reserve_with(&rush.campaign, &people[0], body).refused(404, "round_has_no_reservation");
    }
    let ledger = rush.server.ledger(&rush.campaign);
    assert_eq!(
        (&ledger["rounds"][0]["unissued"], &ledger["rounds"][0]["outstanding"]),
        (&json!(10_000), &json!(35_000))
    );
    rush.server.assert_audit_clean();
}

#[test]
fn a_list_with_more_names_than_packs_is_not_credited_and_the_operator_is_told() {
    let people = Resident::many(4);
    let rush = open(&grant("too-long", 3, false), &csv_of(&people), 2);
    wait_until("the operator is told", || warnings(&rush.server).contains("4 persons").then_some(()));
    rush.server.set_clock(at(CREDIT) + 3_600_000);
    assert_eq!(rush.issued(), 0);
    assert_eq!(rush.mine("i", &people[0]).ok().str("result"), "pending");
    rush.server.assert_audit_clean();
}

#[test]
fn in_a_window_the_persons_of_the_list_claim_and_the_rest_is_credited_at_the_close() {
    let people = Resident::many(5);
    let rush = open(&grant("claimed", 5, true), &csv_of(&people), 2);
    let pass = rush.pass("i", &people[0]);
    assert_eq!(rush.tap("i", &pass).ok().int("retry_after_ms"), 3_600_000, "the exact wait");
    rush.ask_pass("i", &Resident::new()).refused(403, "not_eligible");
    rush.server.set_clock(at("2020-03-27T09:00:00"));
    let won = wait_until("the grant is counted", || {
        let reply = rush.tap("i", &pass).ok();
        (reply.str("outcome") == "won").then_some(reply)
    });
    assert!(rush.tap("i", &rush.server.token(&people[0])).ok().replayed());
    assert_eq!(won["pack"]["pack_id"], "five-40-10");
    assert_eq!(rush.mine("i", &people[1]).ok().str("result"), "pending");
    rush.server.set_clock(at("2020-03-28T00:00:00"));
    let late = rush.tap("i", &rush.server.token(&people[1])).ok();
    assert_eq!((late.str("outcome"), late.str("result")), ("closed", "won"), "{}", late.text());
    wait_until("the rest is credited", || (rush.issued() == 5).then_some(()));
    rush.server.assert_audit_clean();
}
