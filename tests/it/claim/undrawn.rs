//! Rounds without a draw: whoever asks for a list, a proof or a draw of theirs is told for good that there is none, and what is
//! published instead.

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::{Options, manners, wait_until};
use crate::list::{csv_of, put_list};

const LISTS: [&str; 4] = ["commitment", "proof", "entries", "winners"];

fn get(rush: &Rush, what: &str) -> Reply {
    rush.server.office("GET", &format!("/v1/campaigns/{}/rounds/i/{what}", rush.campaign), None)
}

fn published(reply: &Reply) -> Vec<&str> {
    reply["published"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A refusal that stays: it names the mode and what is published in the list's place.
#[track_caller]
fn final_refusal(reply: Reply, mode: &str) -> Reply {
    let reply = reply.refused(404, "round_has_no_draw");
    assert_eq!((&reply["retryable"], reply.str("mode")), (&json!(false), mode), "{}", reply.text());
    assert!(published(&reply)[0].starts_with("/v1/public/campaigns/"), "{}", reply.text());
    assert!(manners::both_languages(&reply["message"]) && reply.str("detail").contains(mode), "{}", reply.text());
    reply
}

fn grant() -> Value {
    let mut file = hangzhou("undrawn", [4, 2, 2]);
    file["rounds"] = json!([{"round_id": "i", "mode": "grant", "entries_list": "nurses", "packs": {"five-40-10": 4},
        "credit_at": "2020-03-28T08:00:00+08:00"}]);
    file["limits"] = json!([]);
    file
}

#[test]
fn a_round_that_is_not_drawn_has_no_lists_before_it_in_it_and_after_it() {
    for (mode, file) in [("first_come", hangzhou("undrawn", [4, 2, 2])), ("grant", grant())] {
        let server = Server::start(Options::at("2020-03-20T12:00:00+08:00"));
        put_list(&server, "nurses", &csv_of(&Resident::many(2))).ok();
        let rush = Rush::open_on(server, &file);
        for clock in ["2020-03-27T08:00:00", "2020-03-29T00:00:00", "2020-07-01T00:00:00"] {
            rush.server.set_clock(at(clock));
            LISTS.iter().for_each(|what| drop(final_refusal(get(&rush, what), mode)));
            for step in ["close-list", "draw"] {
                let path = format!("/v1/campaigns/{}/rounds/i/{step}", rush.campaign);
                final_refusal(rush.server.office("POST", &path, None), mode);
            }
        }
    }
}

#[test]
fn a_dealt_round_names_its_commitment_and_its_proof_in_place_of_lists() {
    let mut file = hangzhou("undrawn", [8, 2, 2]);
    file["rounds"][0]["packs"] = json!({"five-40-10": 4, "hundred": 2});
    file["rounds"][0]["assignment"] = json!("chance");
    let rush = Rush::open(&file, 1);
    for (clock, over) in [("2020-03-27T08:00:00", false), ("2020-07-01T00:00:00", true)] {
        rush.server.set_clock(at(clock));
        for what in ["entries", "winners"] {
            let reply = final_refusal(get(&rush, what), "first_come");
            let named: Vec<&str> = published(&reply).into_iter().filter(|path| path.contains("/rounds/i/")).collect();
            assert_eq!(named.len(), 2, "{}", reply.text());
            rush.server.office("GET", named[0], None).ok();
            let proof = rush.server.office("GET", named[1], None);
            if over {
                proof.ok()
            } else {
                proof.refused(409, "round_not_closed")
            };
        }
    }
}

#[test]
fn a_round_that_is_over_and_not_drawn_is_not_said_to_be_still_running() {
    let server = Server::at(EVE);
    let mut file = chengdu(&new_campaign_id("undrawn"), 4);
    file["rounds"][0]["draw"]["entropy"] = json!(["notary"]);
    server.create_campaign(&file).ok();
    let campaign = file["campaign_id"].as_str().expect("an id");
    server.publish(campaign);
    let path = |what: &str| format!("/v1/campaigns/{campaign}/rounds/rain/{what}");
    server.set_clock(at("2020-07-22T09:00:00"));
    server.office("GET", &path("winners"), None).refused(409, "round_not_closed");
    server.set_clock(at("2020-07-24T18:10:00"));
    wait_until("the list is closed", || server.office("GET", &path("commitment"), None).is_success().then_some(()));
    for what in ["proof", "entries", "winners"] {
        let reply = server.office("GET", &path(what), None).refused(409, "round_not_drawn");
        assert_eq!(reply.str("draw_at"), "2020-07-22T10:00:00+08:00", "{}", reply.text());
    }
}
