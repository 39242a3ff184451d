//! A grant that gives one of each: every name gets every pack of the round, as far as a person may have them, once and never twice.

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::client::Request;
use crate::harness::fixture::at;
use crate::harness::identity::Resident;
use crate::harness::{Options, Server, together, wait_until};
use crate::list::{csv_of, put_list};

fn each(name: &str, packs: Value, most: i64, window: bool) -> Value {
    let mut file = hangzhou(name, [1, 1, 1]);
    let pack = |pack_id: &str, fen: i64| {
        json!({"pack_id": pack_id, "vouchers": [{"voucher_kind": pack_id, "transaction_minimum": 4 * fen,
            "discount_amount": fen, "count": 1}]})
    };
    file["packs"] = json!([pack("a", 1000), pack("b", 2000), pack("c", 3000)]);
    file["channels"] = json!(["wechat", "alipay"]);
    file["budget"] = json!(10_000_000);
    file["limits"] = json!([]);
    file["rounds"] = json!([{"round_id": "i", "mode": "grant", "entries_list": "nurses", "assignment": "each",
        "max_packs_per_person": most, "packs": packs}]);
    if window {
        file["rounds"][0]["opens_at"] = json!("2020-03-27T09:00:00+08:00");
        file["rounds"][0]["closes_at"] = json!("2020-03-28T00:00:00+08:00");
    } else {
        file["rounds"][0]["credit_at"] = json!("2020-03-27T08:00:00+08:00");
    }
    file
}

fn open(file: &Value, people: &[Resident]) -> Rush {
    let server = Server::start(Options { shards: 3, ..Options::at("2020-03-20T12:00:00+08:00") });
    put_list(&server, "nurses", &csv_of(people)).ok();
    Rush::open_on(server, file)
}

fn kinds_of(rush: &Rush, person: &Resident) -> Vec<String> {
    let mut kinds: Vec<String> =
        rush.server.vouchers(&rush.campaign, person).into_iter().map(|voucher| voucher.1).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn every_name_gets_one_of_each_and_the_rest_stays_unissued() {
    let people = Resident::many(7);
    let rush = open(&each("each-grant", json!({"a": 7, "b": 8, "c": 9}), 3, false), &people);
    wait_until("everybody is credited", || (rush.issued() == 21).then_some(()));
    for person in &people {
        assert_eq!(kinds_of(&rush, person), ["a", "b", "c"]);
        assert_eq!(rush.mine("i", person).ok().str("result"), "won");
    }
    let ledger = rush.server.ledger(&rush.campaign);
    let round = &ledger["rounds"][0];
    assert_eq!((&round["outstanding"], &round["unissued"]), (&json!(42_000), &json!(2_000 + 6_000)));
    rush.server.assert_audit_clean();
}

#[test]
fn who_may_have_fewer_gets_the_first_packs_of_the_file() {
    let people = Resident::many(3);
    let rush = open(&each("each-two", json!({"a": 3, "b": 3, "c": 9}), 2, false), &people);
    wait_until("everybody is credited", || (rush.issued() == 6).then_some(()));
    assert!(people.iter().all(|person| kinds_of(&rush, person) == ["a", "b"]));
    rush.server.assert_audit_clean();
}

#[test]
fn one_pack_too_few_of_one_kind_and_nobody_is_credited() {
    let people = Resident::many(4);
    let rush = open(&each("each-short", json!({"a": 4, "b": 3, "c": 9}), 3, false), &people);
    let ready = || rush.server.client.get("/readyz").expect("an answer").text();
    wait_until("the operator is told", || ready().contains("4 persons").then_some(()));
    assert_eq!(rush.issued(), 0);
}

/// The list names no channel: who taps gets the packs on the channel of the tap, and nobody gets one of them twice by another channel, by
/// a repeat or by the sweep.
#[test]
fn in_a_window_each_pack_is_claimed_by_name_and_no_channel_gives_a_second_one() {
    let people = Resident::many(6);
    let rush = open(&each("each-window", json!({"a": 6, "b": 6, "c": 6}), 2, true), &people);
    rush.server.set_clock(at("2020-03-27T09:00:00"));
    let person = people[0].clone().through("alipay");
    let tap = |person: &Resident, pack_id: Option<&str>| {
        let path = format!("/v1/campaigns/{}/rounds/i/claims", rush.campaign);
        let request = Request::new("POST", &path).bearer(&rush.server.token(person));
        rush.server.send(&match pack_id {
            Some(pack_id) => request.json(&json!({"pack_id": pack_id})),
            None => request,
        })
    };
    let won = wait_until("the grant is counted", || {
        let reply = tap(&person, Some("b")).ok();
        (reply.str("outcome") == "won").then_some(reply)
    });
    assert_eq!(won["pack"]["pack_id"], "b");
    tap(&person, None).refused(422, "pack_choice_required");
    tap(&person, Some("c")).refused(403, "not_eligible");
    let again = tap(&people[0].clone().through("wechat"), Some("b")).ok();
    assert!(
        again.replayed() && again.json == won.json,
        "through another channel it is the same pack: {}",
        again.text()
    );
    let both = together(4, |_| tap(&people[1], Some("a")).ok().json);
    assert!(both.iter().all(|one| *one == both[0]));
    assert_eq!(rush.issued(), 2);
    rush.server.set_clock(at("2020-03-28T00:00:00"));
    wait_until("the rest is credited", || (rush.issued() == 12).then_some(()));
    for person in &people {
        assert_eq!(kinds_of(&rush, person), ["a", "b"]);
    }
    let late = tap(&people[2], Some("a")).ok();
    assert_eq!((late.str("outcome"), late.str("result")), ("closed", "won"), "{}", late.text());
    rush.server.assert_audit_clean();
}
