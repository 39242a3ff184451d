//! Limits on claims that count over everybody, or by phone and device, and the most face value of a day: exact, and never lost to a copy.

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::client::Reply;
use crate::harness::fixture::{at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, together, wait_until};

const BEFORE: &str = "2020-03-20T12:00:00+08:00";
const OPENS: &str = "2020-03-27T08:00:00";

/// One round of packs of 50 yuan that is open for a week.
fn open_week(name: &str, packs: i64, change: impl Fn(&mut Value)) -> Value {
    let mut file = hangzhou(name, [packs, 1, 1]);
    file["campaign_id"] = json!(new_campaign_id(name));
    file["rounds"].as_array_mut().expect("rounds").truncate(1);
    file["packs"].as_array_mut().expect("packs").truncate(1);
    file["budget"] = json!(packs * 5_000);
    file["rounds"][0]["opens_at"] = json!("2020-03-27T08:00:00+08:00");
    file["rounds"][0]["closes_at"] = json!("2020-04-03T08:00:00+08:00");
    file["rounds"][0]["release"] = json!({"shape": "at_once"});
    file["limits"] = json!([]);
    change(&mut file);
    file
}

fn claim(entities: Value, period: &str, most: i64) -> Value {
    json!([{"action": "claim", "entities": entities, "period": period, "max_count": most}])
}

fn word(reply: &Reply) -> &str {
    if reply.status == 200 { reply.str("outcome") } else { reply.code() }
}

#[test]
fn no_more_face_value_is_issued_on_a_day_than_the_campaign_says() {
    // Three packs of 50 yuan and something that no pack fits into.
    let file = open_week("by-day", 20, |file| file["max_amount_by_day"] = json!(19_999));
    let rush = Rush::open(&file, 2);
    let people = Resident::many(6);
    let tap = |person: &Resident| rush.tap_on("i", &rush.server.token(person));
    let won: Vec<Reply> = people[..3].iter().map(|person| tap(person).ok()).collect();
    let refused = tap(&people[3]);
    assert_eq!((refused.status, refused.code()), (409, "limit_reached"), "{}", refused.text());
    assert_eq!(refused["limit"], json!({"max_amount_by_day": 19_999}));
    let again = tap(&people[0]).ok();
    assert_eq!((again.replayed(), &again["pack"]["pack_no"]), (true, &won[0]["pack"]["pack_no"]));
    assert_eq!(rush.issued(), 3);
    let change = json!({"amendment_id": "day", "reason": "More",
        "changes": [{"pointer": "/max_amount_by_day", "current": 19_999, "target": 20_000}]});
    let path = format!("/v1/campaigns/{}/amendments", rush.campaign);
    rush.server.office("POST", &path, Some(change)).ok();
    rush.server.office("POST", &format!("{path}/day/approve"), None).ok();
    assert_eq!(word(&tap(&people[4])), "won");
    rush.server.set_clock(at("2020-03-28T00:00:00") - 1);
    assert_eq!(tap(&people[3]).code(), "limit_reached");
    rush.server.set_clock(at("2020-03-28T00:00:00"));
    assert_eq!(word(&tap(&people[3])), "won");
    // Who has a pack takes nothing of the new day.
    assert!(tap(&people[0]).ok().replayed());
    assert_eq!(word(&tap(&people[5])), "won");
    assert_eq!(rush.issued(), 6);
    rush.server.assert_audit_clean();
}

#[test]
fn a_channel_has_its_claims_of_a_day_and_they_are_exact_when_all_come_at_once_at_two_nodes() {
    let redis = OwnRedis::start();
    let [first, second] = redis.nodes_with(BEFORE, 2);
    let file = open_week("channel-day", 30, |file| {
        file["channels"] = json!(["wechat", "alipay"]);
        file["limits"] = claim(json!(["channel"]), "day", 5);
    });
    let rush = Rush::open_on(first, &file);
    second.set_clock(at(OPENS));
    let people: Vec<Resident> =
        Resident::many(20).into_iter().enumerate().map(|(n, one)| one.through(["wechat", "alipay"][n % 2])).collect();
    let path = format!("/v1/campaigns/{}/rounds/i/claims", rush.campaign);
    let answers = together(40, |index| {
        let person = &people[index / 2];
        let server = if index % 2 == 0 { &rush.server } else { &second };
        wait_until("the tap has a result", || {
            let reply = server.resident(person, "POST", &path, None);
            let again = [429, 503].contains(&reply.status) || reply["outcome"] == "not_yet";
            (!again).then_some(reply)
        })
    });
    for channel in 0..2 {
        let of_channel = (0..40).filter(|index| index / 2 % 2 == channel);
        let won = of_channel.filter(|index| word(&answers[*index]) == "won" && !answers[*index].replayed()).count();
        assert_eq!(won, 5, "channel {channel}");
    }
    assert!(answers.iter().all(|reply| ["won", "limit_reached"].contains(&word(reply))));
    assert_eq!(rush.issued(), 10);
    rush.server.assert_audit_clean();
}

#[test]
fn what_a_refused_claim_had_counted_is_free_again() {
    let file = open_week("given-back", 2, |file| file["limits"] = claim(json!(["pack"]), "campaign", 3));
    let rush = Rush::open(&file, 1);
    let people = Resident::many(4);
    for person in &people[..2] {
        assert_eq!(word(&rush.tap_on("i", &rush.server.token(person))), "won");
    }
    // Sold out is said to whoever comes; none of them keeps a claim of the three.
    for person in people[2..].iter().chain(&people[2..]) {
        assert_eq!(word(&rush.tap_on("i", &rush.server.token(person))), "sold_out");
    }
    let change = json!({"amendment_id": "more", "reason": "More", "changes": [
        {"pointer": "/budget", "current": 10_000, "target": 20_000},
        {"pointer": "/rounds/0/packs/five-40-10", "current": 2, "target": 4}]});
    let path = format!("/v1/campaigns/{}/amendments", rush.campaign);
    rush.server.office("POST", &path, Some(change)).ok();
    rush.server.office("POST", &format!("{path}/more/approve"), None).ok();
    let tap = |person: &Resident| {
        wait_until("the restock is known", || {
            let reply = rush.tap_on("i", &rush.server.token(person));
            (word(&reply) != "sold_out").then_some(reply)
        })
    };
    assert_eq!([word(&tap(&people[2])), word(&tap(&people[3]))], ["won", "limit_reached"]);
    assert_eq!(rush.issued(), 3);
    rush.server.assert_audit_clean();
}

#[test]
fn one_phone_claims_once_whoever_holds_it_and_a_device_as_often_as_the_campaign_says() {
    let reservation = json!({"opens_at": "2020-03-21T00:00:00+08:00", "closes_at": "2020-03-26T00:00:00+08:00",
        "identity_keys": ["person", "phone", "device"], "duplicates": "reject"});
    let mut file = open_week("phone-claims", 9, |_| {});
    let mut second = file["rounds"][0].clone();
    second["round_id"] = json!("ii");
    file["rounds"].as_array_mut().expect("rounds").push(second);
    file["budget"] = json!(2 * 9 * 5_000);
    for round in 0..2 {
        file["rounds"][round]["reservation"] = reservation.clone();
    }
    let both = [claim(json!(["phone"]), "campaign", 1), claim(json!(["person", "device"]), "campaign", 1)];
    file["limits"] = json!([both[0][0], both[1][0]]);
    let server = Server::at(BEFORE);
    server.create_campaign(&file).ok();
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    server.publish(&campaign);
    server.set_clock(at("2020-03-22T08:00:00"));
    let rush = Rush { server, campaign };
    let [one, other] = [Resident::new(), Resident::new()];
    let enter = |person: &Resident, round: &str, phone: &str, device: &str| {
        let body = json!({"round_id": round, "phone": phone, "device": device});
        rush.server.reserve_with(&rush.campaign, person, body).ok().str("pass").to_string()
    };
    let passes = [
        enter(&one, "i", "13800138000", "d1"),
        enter(&other, "ii", "13800138000", "d2"),
        enter(&one, "ii", "13800138001", "d1"),
        enter(&other, "i", "13800138002", "d2"),
    ];
    rush.server.set_clock(at(OPENS));
    assert_eq!(word(&rush.tap_on("i", &passes[0])), "won");
    let refused = rush.tap_on("ii", &passes[1]);
    assert_eq!((word(&refused), &refused["limit"]["entities"]), ("limit_reached", &json!(["phone"])));
    let refused = rush.tap_on("ii", &passes[2]);
    assert_eq!((word(&refused), &refused["limit"]["entities"]), ("limit_reached", &json!(["person", "device"])));
    assert_eq!(word(&rush.tap_on("i", &passes[3])), "won");
    assert_eq!(word(&rush.tap_on("ii", &passes[1])), "limit_reached");
    rush.server.assert_audit_clean();
}

#[test]
fn limits_over_everybody_are_not_for_rounds_whose_packs_are_promised_before_anybody_claims() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let mut file = chengdu(&new_campaign_id("promised"), 2);
    file["max_amount_by_day"] = json!(8_000);
    file["limits"] = claim(json!(["channel"]), "day", 1);
    server.create_campaign(&file).ok();
    let id = file["campaign_id"].as_str().expect("an id");
    server.step(id, "submit").ok();
    server.step(id, "approve").ok();
    let refused = server.step(id, "publish").refused(422, "not_supported_yet");
    assert_eq!(refused.faults(), ["/max_amount_by_day not_supported_yet", "/limits/0/entities not_supported_yet"]);
}
