//! Limits on reserving that count over everybody, or by phone and device: exact when all come at once, and given back with the entry.

use serde_json::{Value, json};

use super::open_list;
use super::terms::{bring, results, row};
use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{together, wait_until};

const CONSENT: &str = "2020-07-13";

fn limit(entities: Value, period: &str, most: i64) -> Value {
    json!({"action": "reserve", "entities": entities, "period": period, "max_count": most})
}

/// A second round with the same list, where a person may reserve too.
fn second_round(campaign: &mut Value) {
    let mut second = campaign["rounds"][0].clone();
    second["round_id"] = json!("second");
    campaign["rounds"].as_array_mut().expect("rounds").push(second);
    campaign["budget"] = json!(2 * 10 * 8000);
}

/// Two packs to choose from.
fn tiers(campaign: &mut Value) {
    let mut other = campaign["packs"][0].clone();
    other["pack_id"] = json!("other");
    campaign["packs"].as_array_mut().expect("packs").push(other);
    campaign["rounds"][0]["packs"] = json!({"standard": 5, "other": 5});
    campaign["rounds"][0]["assignment"] = json!("choice");
}

fn reached(reply: Reply, entities: Value) {
    let reply = reply.refused(409, "limit_reached");
    assert_eq!(reply["limit"]["entities"], entities, "{}", reply.text());
}

#[test]
fn a_channel_has_so_many_reservations_a_day_and_a_withdrawal_gives_one_back() {
    let (server, id) = open_list(|campaign| {
        campaign["channels"] = json!(["wechat", "alipay"]);
        campaign["limits"] = json!([limit(json!(["channel"]), "day", 2)]);
    });
    let people = Resident::many(4);
    assert_eq!(server.reserve(&id, &people[0]).status, 201);
    assert_eq!(server.reserve(&id, &people[1]).status, 201);
    reached(server.reserve(&id, &people[2]), json!(["channel"]));
    assert_eq!(server.reserve(&id, &people[0]).status, 200, "a repeat is answered, whatever is used up");
    assert_eq!(server.reserve(&id, &people[3].clone().through("alipay")).status, 201);
    server.withdraw(&id, &people[1]).ok();
    server.withdraw(&id, &people[1]).refused(404, "reservation_not_found");
    assert_eq!(server.reserve(&id, &people[2]).status, 201);
    reached(server.reserve(&id, &people[1]), json!(["channel"]));
    server.set_clock(at("2020-07-14T00:00:00"));
    assert_eq!(server.reserve(&id, &people[1]).status, 201);
    assert_eq!(server.stats(&id)["reserved"], 4);
    server.assert_audit_clean();
}

#[test]
fn a_change_of_pack_takes_the_count_along() {
    let (server, id) = open_list(|campaign| {
        tiers(campaign);
        campaign["limits"] = json!([limit(json!(["pack"]), "round", 1)]);
    });
    let [one, other] = [Resident::new(), Resident::new()];
    let wish = |pack: &str| json!({"consent_version": CONSENT, "pack_id": pack});
    let reserve = |person: &Resident, pack: &str| server.reserve_with(&id, person, wish(pack));
    let change = |person: &Resident, pack: &str| {
        server.resident(person, "PUT", &format!("/v1/campaigns/{id}/reservations/mine"), Some(wish(pack)))
    };
    reserve(&one, "standard").ok();
    reserve(&one, "other").refused(409, "already_reserved");
    reached(reserve(&other, "standard"), json!(["pack"]));
    reserve(&other, "other").ok();
    reached(change(&one, "other"), json!(["pack"]));
    server.withdraw(&id, &other).ok();
    change(&one, "other").ok();
    change(&one, "other").ok();
    reserve(&other, "standard").ok();
    server.withdraw(&id, &one).ok();
    change(&other, "other").ok();
    reserve(&one, "standard").ok();
    server.assert_audit_clean();
}

#[test]
fn one_phone_reserves_once_over_all_rounds_whoever_holds_it() {
    let (server, id) = open_list(|campaign| {
        second_round(campaign);
        campaign["reservation"]["identity_keys"] = json!(["person", "phone", "device"]);
        campaign["limits"] =
            json!([limit(json!(["phone"]), "campaign", 1), limit(json!(["person", "device"]), "campaign", 1)]);
    });
    let [one, other] = [Resident::new(), Resident::new()];
    let reserve = |person: &Resident, round: &str, phone: &str, device: &str| {
        let wish = json!({"consent_version": CONSENT, "round_id": round, "phone": phone, "device": device});
        server.reserve_with(&id, person, wish)
    };
    reserve(&one, "rain", "13800138000", "d1").ok();
    reached(reserve(&other, "second", "13800138000", "d2"), json!(["phone"]));
    reached(reserve(&one, "second", "13800138001", "d1"), json!(["person", "device"]));
    reserve(&other, "second", "13800138001", "d1").ok();
    let wish = json!({"consent_version": CONSENT, "round_id": "rain", "phone": "13800138002", "device": "d3"});
    server.resident(&one, "PUT", &format!("/v1/campaigns/{id}/reservations/mine"), Some(wish)).ok();
    // Who is refused for another reason has counted nothing.
    reserve(&one, "second", "13800138000", "d1").refused(409, "identity_in_use");
    reserve(&one, "second", "13800138000", "d4").ok();
    server.assert_audit_clean();
}

#[test]
fn an_earlier_entry_that_comes_later_takes_the_count_along() {
    let (server, id) = open_list(|campaign| {
        campaign["channels"] = json!(["wechat", "alipay"]);
        campaign["reservation"]["duplicates"] = json!("earliest");
        campaign["limits"] = json!([limit(json!(["channel"]), "campaign", 1)]);
    });
    let [one, other] = [Resident::new(), Resident::new()];
    server.reserve(&id, &one).ok();
    reached(server.reserve(&id, &other), json!(["channel"]));
    let alipay = one.clone().through("alipay");
    assert_eq!(results(&bring(&server, &id, &[row(&alipay, "2020-07-13T08:00:00")]).ok()), ["replaced"]);
    server.reserve(&id, &other).ok();
    let third = Resident::new().through("alipay");
    reached(server.reserve(&id, &third), json!(["channel"]));
    assert_eq!(results(&bring(&server, &id, &[row(&alipay, "2020-07-13T08:00:00")]).ok()), ["unchanged"]);
    server.assert_audit_clean();
}

#[test]
fn reservations_of_a_day_are_exact_when_all_come_at_once_at_two_nodes() {
    let redis = OwnRedis::start();
    let [first, second] = redis.nodes_with("2020-07-12T12:00:00+08:00", 2);
    let id = new_campaign_id("crowd");
    let mut campaign = chengdu(&id, 10);
    campaign["limits"] = json!([limit(json!(["channel"]), "day", 7)]);
    first.create_campaign(&campaign).ok();
    first.publish(&id);
    first.set_clock(at("2020-07-13T09:00:00"));
    second.set_clock(at("2020-07-13T09:00:00"));
    let people = Resident::many(15);
    let answers = together(30, |index| {
        let server = if index % 2 == 0 { &first } else { &second };
        wait_until("it is decided", || {
            let reply = server.reserve(&id, &people[index / 2]);
            (reply.status != 503).then_some(reply)
        })
    });
    assert_eq!(answers.iter().filter(|reply| reply.status == 201).count(), 7);
    assert!(answers.iter().all(|reply| reply.is_success() || reply.code() == "limit_reached"));
    assert_eq!(first.stats(&id)["reserved"], 7);
    first.assert_audit_clean();
}

#[test]
fn a_limit_of_a_day_over_everybody_is_not_for_a_list_where_the_earliest_counts() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let id = new_campaign_id("earliest");
    let mut campaign = chengdu(&id, 10);
    campaign["reservation"]["duplicates"] = json!("earliest");
    campaign["limits"] = json!([limit(json!(["channel"]), "day", 7)]);
    server.create_campaign(&campaign).ok();
    server.step(&id, "submit").ok();
    server.step(&id, "approve").ok();
    let refused = server.step(&id, "publish").refused(422, "not_supported_yet");
    assert_eq!(refused.faults(), ["/limits/0/period not_supported_yet"]);
}

/// What a channel has taken down on one day is brought on the next, when the person has reserved again.
#[test]
fn a_reservation_that_is_brought_later_meets_the_limit_of_its_own_day() {
    let (server, id) = open_list(|campaign| {
        for round_id in ["second", "third"] {
            let mut round = campaign["rounds"][0].clone();
            round["round_id"] = json!(round_id);
            campaign["rounds"].as_array_mut().expect("rounds").push(round);
        }
        campaign["budget"] = json!(3 * 10 * 8000);
        campaign["limits"] = json!([limit(json!(["person"]), "day", 1)]);
    });
    let person = Resident::new();
    let into =
        |round_id: &str| server.reserve_with(&id, &person, json!({"consent_version": CONSENT, "round_id": round_id}));
    server.set_clock(at("2020-07-13T09:00:00"));
    assert_eq!(into("rain").status, 201);
    server.set_clock(at("2020-07-14T09:00:00"));
    assert_eq!(into("second").status, 201);
    let mut brought = row(&person, "2020-07-13T08:00:00");
    brought["round_id"] = json!("third");
    assert_eq!(results(&bring(&server, &id, &[brought]).ok()), ["limit_reached"]);
    reached(into("third"), json!(["person"]));
    server.set_clock(at("2020-07-15T09:00:00"));
    assert_eq!(into("third").status, 201);
    server.assert_audit_clean();
}

#[test]
fn what_an_outage_left_counted_of_a_withdrawn_entry_is_given_back() {
    let redis = OwnRedis::start();
    let server = redis.node("2020-07-12T12:00:00+08:00", 1, None);
    let mut file = chengdu(&new_campaign_id("outage"), 10);
    file["limits"] = json!([limit(json!(["channel"]), "day", 1)]);
    let id = file["campaign_id"].as_str().expect("an id");
    server.create_campaign(&file).ok();
    server.publish(id);
    server.set_clock(at("2020-07-13T09:00:00"));
    let [one, other] = [Resident::new(), Resident::new()];
    assert_eq!(server.reserve(id, &one).status, 201);
    redis.ask(&["ACL", "SETUSER", "default", "resetkeys", "~{s*", "~{m*", "~{r*", "~{cfg}*"]);
    server.withdraw(id, &one).ok();
    redis.ask(&["ACL", "SETUSER", "default", "allkeys"]);
    reached(server.reserve(id, &other), json!(["channel"]));
    // Nobody can be on the way with it any more.
    server.set_clock(at("2020-07-13T09:01:00"));
    wait_until("the quota is free again", || (server.reserve(id, &other).status == 201).then_some(()));
    reached(server.reserve(id, &one), json!(["channel"]));
    server.assert_audit_clean();
}
