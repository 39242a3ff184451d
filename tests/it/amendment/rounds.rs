//! What an amendment may still do to a round, and what stays because it has been decided.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{amend, approve, change, propose};
use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::fixture::{DAY, Market, Round, SECOND, at, chengdu, new_campaign_id, new_order, new_till, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Scratch, Server, program, wait_until};
use crate::list::{csv_of, put_list};

const CLOSES: &str = "2020-07-24T18:10:00";

fn of_round(round: &Round, what: &str) -> Value {
    let path = format!("/v1/campaigns/{}/rounds/rain/{what}", round.campaign);
    wait_until("it is published", || {
        let reply = round.server.office("GET", &path, None);
        (reply.status == 200).then_some(reply.json)
    })
}

/// What `quanyu verify-draw` says of the published files.
fn verified(round: &Round, proof: &Value) -> (bool, String) {
    let folder = Scratch::new("quanyu-amended");
    let put = |name: &str, text: &str| fs::write(folder.path.join(name), text).expect("a file");
    put("commitment.json", &of_round(round, "commitment").to_string());
    put("proof.json", &proof.to_string());
    for what in ["entries", "winners"] {
        let path = format!("/v1/campaigns/{}/rounds/rain/{what}", round.campaign);
        put(&format!("{what}.ndjson"), &round.server.office("GET", &path, None).ok().text());
    }
    let output = Command::new(program()).arg("verify-draw").arg(&folder.path).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn packs_added_while_the_list_is_open_are_drawn_and_the_proof_shows_where_they_came_from() {
    let round = Round::reserved(chengdu(&new_campaign_id("grown"), 2), 9);
    let more =
        [change("/budget", json!(16_000), json!(40_000)), change("/rounds/0/packs/standard", json!(2), json!(5))];
    amend(&round.server, &round.campaign, "A1", &more);
    round.raining(480 * SECOND);
    let won = (0..9).filter(|index| round.tap_drawn(*index).ok().str("outcome") == "won").count();
    assert_eq!(won, 5);
    round.server.set_clock(at(CLOSES));
    let proof = of_round(&round, "proof");
    assert_eq!(proof["campaign"]["rounds"][0]["packs"]["standard"], 2, "the file that rules_hash names");
    let (honest, said) = verified(&round, &proof);
    assert!(honest, "{said}");
    let mut silent = proof.clone();
    silent.as_object_mut().expect("an object").remove("amendments");
    assert!(!verified(&round, &silent).0, "an amendment cannot be left out");
    let mut other = proof;
    other["amendments"][0]["changes"][1]["target"] = json!(6);
    assert!(!verified(&round, &other).0, "nor made another");
    round.server.assert_audit_clean();
}

#[test]
fn once_the_list_is_closed_no_amendment_changes_the_draw() {
    let round = Round::reserved(chengdu(&new_campaign_id("decided"), 3), 7);
    let (server, id) = (&round.server, round.campaign.as_str());
    server.set_clock(at("2020-07-21T12:00:00"));
    let before = of_round(&round, "commitment");
    amend(server, id, "A1", &[change("/budget", json!(24_000), json!(48_000))]);
    let text = |local: &str| json!(format!("{local}+08:00"));
    for (pointer, current, target) in [
        ("/rounds/0/packs/standard", json!(3), json!(6)),
        ("/rounds/0/closes_at", text("2020-07-24T18:10:00"), text("2020-07-24T18:20:00")),
        ("/rounds/0/draw/at", text("2020-07-22T10:00:00"), text("2020-07-22T11:00:00")),
    ] {
        let late = propose(server, id, "A2", &[change(pointer, current, target)]).refused(409, "amendment_too_late");
        assert_eq!(late.faults(), ["/changes/0/target decided"]);
    }
    round.raining(480 * SECOND);
    let won = (0..7).filter(|index| round.tap_drawn(*index).ok().str("outcome") == "won").count();
    assert_eq!(won, 3);
    assert_eq!(of_round(&round, "commitment"), before);
    server.set_clock(at(CLOSES));
    let proof = of_round(&round, "proof");
    assert!(proof["amendments"].is_null(), "none was in force when the list closed");
    let (honest, said) = verified(&round, &proof);
    assert!(honest, "{said}");
    server.assert_audit_clean();
}

#[test]
fn a_proposal_that_waits_too_long_finds_its_round_decided() {
    let round = Round::reserved(chengdu(&new_campaign_id("waits"), 3), 1);
    let more =
        [change("/budget", json!(24_000), json!(48_000)), change("/rounds/0/packs/standard", json!(3), json!(6))];
    propose(&round.server, &round.campaign, "A1", &more).ok();
    round.server.set_clock(at("2020-07-21T00:00:00"));
    of_round(&round, "commitment");
    approve(&round.server, &round.campaign, "A1").refused(409, "amendment_too_late");
    assert_eq!(round.server.ledger(&round.campaign)["total"]["budget"], 24_000);
}

#[test]
fn validity_may_be_extended_until_packs_can_be_issued_and_their_money_expires_at_the_new_end() {
    let round = Round::reserved(chengdu(&new_campaign_id("valid"), 1), 1);
    let end = |day: i64| json!(format!("2020-09-{:02}T00:00:00+08:00", day));
    let id = round.campaign.clone();
    round.server.set_clock(at("2020-07-22T09:59:59"));
    of_round(&round, "commitment");
    let longer = |from: i64| [change("/validity/available_end_time", end(from), end(from + 1))];
    amend(&round.server, &id, "A1", &longer(7));
    round.everybody_credited();
    propose(&round.server, &id, "A2", &longer(8)).refused(409, "amendment_too_late");

    let market = Market::of(round);
    let (server, person) = (market.server(), market.shopper());
    let till = new_till(server, &id);
    server.set_clock(at("2020-09-08T00:00:00") - 1);
    server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 7000, true)).ok();
    assert_eq!(server.ledger(&id)["total"]["outstanding"], 6_000);
    server.set_clock(at("2020-09-08T00:00:00"));
    wait_until("the rest has expired", || (server.ledger(&id)["total"]["expired"] == 6_000).then_some(()));
    server.assert_audit_clean();
}

#[test]
fn without_a_draw_validity_stays_from_a_minute_before_the_opening_on() {
    let file = hangzhou("minute", [2, 2, 2]);
    let server = Server::at("2020-03-20T12:00:00+08:00");
    server.create_campaign(&file).ok();
    let id = file["campaign_id"].as_str().expect("an id");
    server.publish(id);
    let days = file["validity"]["available_day_after_receive"].as_i64().expect("days");
    let longer = |from: i64| [change("/validity/available_day_after_receive", json!(from), json!(from + 1))];
    server.set_clock(at("2020-03-27T07:59:00"));
    amend(&server, id, "A1", &longer(days));
    server.set_clock(at("2020-03-27T07:59:00") + 1);
    propose(&server, id, "A2", &longer(days + 1)).refused(409, "amendment_too_late");
    server.assert_audit_clean();
}

#[test]
fn a_sold_out_round_is_restocked_for_everybody_on_both_nodes() {
    let redis = OwnRedis::start();
    let options =
        || Options { redis_url: Some(redis.url.clone()), shards: 3, ..Options::at("2020-03-20T12:00:00+08:00") };
    let first = Server::start(options());
    let second = Server::start(Options { keys_from: Some(first.data.clone()), ..options() });
    let first = Rush::open_on(first, &hangzhou("restock", [2, 2, 2]));
    let second = Rush { campaign: first.campaign.clone(), server: second };
    second.server.set_clock(at("2020-03-27T08:00:00"));
    let passes: Vec<String> = Resident::many(8).iter().map(|one| first.pass("i", one)).collect();
    let outcome = |rush: &Rush, pass: &str| rush.tap_on("i", pass).ok().str("outcome").to_string();
    assert_eq!([&passes[0], &passes[1]].map(|pass| outcome(&first, pass)), ["won", "won"]);
    assert_eq!(outcome(&first, &passes[2]), "sold_out");
    assert_eq!(outcome(&second, &passes[3]), "sold_out");

    let file = hangzhou("restock", [2, 2, 2]);
    let budget = file["budget"].as_i64().expect("a budget");
    let more = [
        change("/budget", json!(budget), json!(budget + 15_000)),
        change("/rounds/0/packs/five-40-10", json!(2), json!(5)),
    ];
    amend(&first.server, &first.campaign, "A1", &more);
    assert_eq!(outcome(&first, &passes[2]), "won", "at once, also for who was told that there is nothing");
    let told = || outcome(&second, &passes[3]);
    wait_until("the other node knows", || (told() == "won").then_some(()));
    assert_eq!(outcome(&second, &passes[4]), "won");
    assert_eq!([outcome(&second, &passes[5]), outcome(&first, &passes[6])], ["sold_out", "sold_out"]);
    assert_eq!(first.issued(), 5);
    let ledger = second.server.ledger(&second.campaign);
    assert_eq!((&ledger["rounds"][0]["unissued"], &ledger["total"]["budget"]), (&json!(0), &json!(budget + 15_000)));
    // The window has opened and stays; the round ends, and then so does its stock.
    let closes = file["rounds"][0]["closes_at"].as_str().expect("a time");
    let longer = change("/rounds/0/closes_at", json!(closes), json!("2020-04-30T00:00:00+08:00"));
    propose(&first.server, &first.campaign, "A2", &[longer]).refused(409, "amendment_too_late");
    first.server.set_clock(closes.parse::<jiff::Timestamp>().expect("a time").as_millisecond());
    let late = change("/rounds/0/packs/five-40-10", json!(5), json!(6));
    propose(&first.server, &first.campaign, "A3", &[late]).refused(409, "amendment_too_late");
    first.server.assert_audit_clean();
}

#[test]
fn a_grant_whose_list_was_too_long_is_credited_once_it_has_packs_for_all() {
    let people = Resident::many(4);
    let mut file = hangzhou("short", [3, 1, 1]);
    file["rounds"] = json!([{"round_id": "i", "mode": "grant", "entries_list": "nurses",
        "packs": {"five-40-10": 3}, "credit_at": "2020-03-27T08:00:00+08:00"}]);
    file["limits"] = json!([]);
    let server = Server::start(Options { shards: 2, ..Options::at("2020-03-20T12:00:00+08:00") });
    put_list(&server, "nurses", &csv_of(&people)).ok();
    let rush = Rush::open_on(server, &file);
    let warned = || rush.server.client.get("/readyz").expect("an answer").text().contains("4 persons");
    wait_until("the operator is told", || warned().then_some(()));
    rush.server.set_clock(at("2020-03-27T08:00:00") + DAY);
    assert_eq!(rush.issued(), 0);
    amend(&rush.server, &rush.campaign, "A1", &[change("/rounds/0/packs/five-40-10", json!(3), json!(4))]);
    wait_until("everybody is credited", || (rush.issued() == 4).then_some(()));
    assert!(!warned());
    rush.server.assert_audit_clean();
}
