//! One phone, device or account for one person on a list, refused at once: who comes first, who comes after a withdrawal, and who comes
//! at the same instant through another node.

use serde_json::{Value, json};

use super::open_list;
use super::terms::{bring, results, row};
use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::random::{Random, seeds};
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, together};

const CONSENT: &str = "2020-07-13";

fn phones(campaign: &mut Value) {
    campaign["reservation"]["identity_keys"] = json!(["person", "phone"]);
}

#[track_caller]
fn reserve(server: &Server, campaign: &str, person: &Resident, phone: &str) -> Reply {
    server.reserve_with(campaign, person, json!({"consent_version": CONSENT, "phone": phone}))
}

#[track_caller]
fn change(server: &Server, campaign: &str, person: &Resident, body: Value) -> Reply {
    let path = format!("/v1/campaigns/{campaign}/reservations/mine");
    server.resident(person, "PUT", &path, Some(body))
}

#[track_caller]
fn in_use(reply: Reply, key: &str) {
    let reply = reply.refused(409, "identity_in_use");
    assert_eq!(reply["identity_key"], key, "{}", reply.text());
}

#[test]
fn a_phone_on_the_list_refuses_the_next_person_at_once_and_says_nothing_of_the_first() {
    let (server, id) = open_list(phones);
    let [first, second] = [Resident::new(), Resident::new()];
    let reserved = reserve(&server, &id, &first, "13800138000").ok();
    let reply = reserve(&server, &id, &second, "+86 138-0013-8000");
    let pseudonym = reserved["reservation"]["pseudonym"].as_str().expect("a pseudonym");
    assert!(!reply.text().contains(&pseudonym[..8]) && !reply.text().contains("0138"), "{}", reply.text());
    in_use(reply, "phone");
    server.my_reservation(&id, &second).refused(404, "reservation_not_found");
    assert_eq!(reserve(&server, &id, &second, "13800138001").status, 201);
    for phone in ["13800138000", "13800138001"] {
        let again = reserve(&server, &id, &first, phone);
        assert_eq!((again.status, &again["reservation"]), (200, &reserved["reservation"]), "{}", again.text());
    }
    assert_eq!(server.stats(&id)["reserved"], 2);
    assert!(!server.log_tail().contains("13800138000"));
    server.assert_audit_clean();
}

#[test]
fn who_withdraws_gives_the_phone_free_and_may_find_it_taken() {
    let (server, id) = open_list(phones);
    let people = Resident::many(3);
    for turn in 0..6 {
        let (holder, other) = (&people[turn % 3], &people[(turn + 1) % 3]);
        assert_eq!(reserve(&server, &id, holder, "13800138000").status, 201, "turn {turn}");
        in_use(reserve(&server, &id, other, "13800138000"), "phone");
        server.withdraw(&id, holder).ok();
        server.withdraw(&id, holder).refused(404, "reservation_not_found");
        if turn == 4 {
            assert_eq!(reserve(&server, &id, holder, "13800138000").status, 201, "the same person again");
            server.withdraw(&id, holder).ok();
        }
    }
    assert_eq!(server.stats(&id)["reserved"], 0);
    server.assert_audit_clean();
}

#[test]
fn a_change_takes_the_new_phone_and_gives_the_old_one_free() {
    let (server, id) = open_list(phones);
    let [first, second, third] = [Resident::new(), Resident::new(), Resident::new()];
    let with = |phone: &str| json!({"consent_version": CONSENT, "phone": phone});
    let reserved = reserve(&server, &id, &first, "13800138000").ok();
    reserve(&server, &id, &second, "13800138001").ok();
    in_use(change(&server, &id, &first, with("13800138001")), "phone");
    assert_eq!(server.my_reservation(&id, &first).ok()["reservation"], reserved["reservation"]);
    in_use(reserve(&server, &id, &third, "13800138000"), "phone");
    change(&server, &id, &first, with("13800138002")).ok();
    assert_eq!(reserve(&server, &id, &third, "13800138000").status, 201);
    in_use(change(&server, &id, &first, with("13800138000")), "phone");
    in_use(change(&server, &id, &second, with("13800138002")), "phone");
    assert_eq!(server.stats(&id)["reserved"], 3);
    server.assert_audit_clean();
}

#[test]
fn phone_device_and_account_each_stand_for_one_person() {
    let (server, id) = open_list(|campaign| {
        campaign["reservation"]["identity_keys"] = json!(["person", "account", "phone", "device"]);
    });
    let person = |account: &str, phone: &str, device: &str| {
        let person = Resident::new().claiming("sub", json!(account));
        person.claiming("phone", json!(phone)).claiming("device", json!(device))
    };
    server.reserve(&id, &person("a1", "13800138001", "d1")).ok();
    for (account, phone, device, key) in [
        ("a1", "13800138002", "d2", "account"),
        ("a2", "13800138001", "d2", "phone"),
        ("a2", "13800138002", "d1", "device"),
        ("a2", "d1d1", "d2", ""),
    ] {
        let reply = server.reserve(&id, &person(account, phone, device));
        if key.is_empty() { drop(reply.refused(422, "invalid_request")) } else { in_use(reply, key) }
    }
    // What the refused ones had marked in vain keeps nobody out.
    server.reserve(&id, &person("a2", "13800138002", "d2")).ok();
    server.assert_audit_clean();
}

#[test]
fn one_person_may_bring_one_phone_through_every_channel_and_keeps_it_with_the_last_entry() {
    let (server, id) = open_list(|campaign| {
        phones(campaign);
        campaign["channels"] = json!(["wechat", "alipay"]);
        campaign["reservation"]["one_per"] = json!(["person", "channel"]);
    });
    let (first, other) = (Resident::new(), Resident::new());
    for channel in ["wechat", "alipay"] {
        assert_eq!(reserve(&server, &id, &first.clone().through(channel), "13800138000").status, 201);
    }
    for channel in ["wechat", "alipay"] {
        in_use(reserve(&server, &id, &other.clone().through("wechat"), "13800138000"), "phone");
        server.withdraw(&id, &first.clone().through(channel)).ok();
    }
    assert_eq!(reserve(&server, &id, &other, "13800138000").status, 201);
    assert_eq!(server.stats(&id)["reserved"], 1);
    server.assert_audit_clean();
}

#[test]
fn every_list_has_its_own_phones_and_a_round_without_a_draw_does_not_wait_for_its_list_to_close() {
    let (server, id) = open_list(|campaign| {
        phones(campaign);
        campaign["reservation"]["duplicates"] = json!("earliest");
        let mut first_come = campaign["rounds"][0].clone();
        for name in ["draw", "release", "unclaimed"] {
            first_come.as_object_mut().expect("a round").remove(name);
        }
        first_come["mode"] = json!("first_come");
        first_come["round_id"] = json!("rush");
        campaign["rounds"].as_array_mut().expect("rounds").push(first_come);
        campaign["budget"] = json!(2 * 10 * 8_000);
    });
    let [first, second] = [Resident::new(), Resident::new()];
    let reserve = |person: &Resident, round: &str| {
        let body = json!({"consent_version": CONSENT, "phone": "13800138000", "round_id": round});
        server.reserve_with(&id, person, body)
    };
    reserve(&first, "rush").ok();
    in_use(reserve(&second, "rush"), "phone");
    // The drawn round settles at its closing who was earlier.
    reserve(&second, "rain").ok();
    reserve(&first, "rain").ok();
    let mut brought = row(&second, "2020-07-13T08:00:00");
    brought["phone"] = json!("13800138000");
    brought["round_id"] = json!("rush");
    assert_eq!(results(&bring(&server, &id, &[brought]).ok()), ["identity_in_use"], "nobody is put off a list at once");
    server.set_clock(at("2020-07-21T00:00:01"));
    let commitment = server.office("GET", &format!("/v1/campaigns/{id}/rounds/rain/commitment"), None).ok();
    assert_eq!(commitment["count"], 1);
    server.set_clock(at("2020-07-24T18:01:00"));
    let tap = |person: &Resident| {
        let path = format!("/v1/campaigns/{id}/rounds/rush/claims");
        server.resident(person, "POST", &path, None)
    };
    assert_eq!(tap(&first).ok().str("outcome"), "won");
    tap(&second).refused(403, "not_eligible");
    server.assert_audit_clean();
}

#[test]
fn what_a_channel_brings_later_meets_the_phones_that_are_there() {
    let (server, id) = open_list(phones);
    let people = Resident::many(3);
    reserve(&server, &id, &people[0], "13800138000").ok();
    let brought = |person: &Resident, phone: &str| {
        let mut row = row(person, "2020-07-13T08:00:00");
        row["phone"] = json!(phone);
        row
    };
    let rows = [
        brought(&people[1], "13800138000"),
        brought(&people[1], "13800138001"),
        brought(&people[1], "13800138001"),
        brought(&people[2], "13800138001"),
        brought(&people[0], "13800138000"),
    ];
    for row in rows.iter().zip(["identity_in_use", "reserved", "unchanged", "identity_in_use", "unchanged"]) {
        assert_eq!(results(&bring(&server, &id, std::slice::from_ref(row.0)).ok()), [row.1]);
    }
    let mine = server.my_reservation(&id, &people[1]).ok();
    assert_eq!(mine["reservation"]["reserved_at"], "2020-07-13T08:00:00+08:00");
    in_use(reserve(&server, &id, &people[2], "13800138001"), "phone");
    server.assert_audit_clean();
}

/// What no call can do is done by hand, and only the audit looks at it.
#[test]
fn the_audit_finds_two_people_with_one_phone() {
    let (nodes, id, redis) = two_nodes(3);
    let people = Resident::many(3);
    for (person, phone) in people.iter().zip(["13800138000", "13800138001", "13800138002"]) {
        reserve(&nodes[0], &id, person, phone).ok();
    }
    nodes[0].assert_audit_clean();
    let mut store = redis::Client::open(redis.url.as_str()).expect("a client").get_connection().expect("a connection");
    let mut records = Vec::new();
    for key in redis::Commands::keys::<_, Vec<String>>(&mut store, "{s*}:c*:p:*").expect("keys") {
        let found: Vec<(Vec<u8>, Vec<u8>)> = redis::Commands::hgetall(&mut store, &key).expect("records");
        records.extend(found.into_iter().map(|(field, record)| (key.clone(), field, record)));
    }
    assert_eq!(records.len(), 3);
    // The phone is what a record with one entry ends with.
    let (_, _, first) = &records[0];
    let (key, field, second) = &records[1];
    let spoiled = [&second[..second.len() - 8], &first[first.len() - 8..]].concat();
    redis::Commands::hset::<_, _, _, ()>(&mut store, key, field, spoiled).expect("a spoiled record");
    let output = nodes[0].command(&["audit", "--json"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), said.matches("identity_held_twice").count()), (Some(1), 1), "{said}");
}

/// Two nodes over one store, and a published campaign with phones as keys.
fn two_nodes(shards: u8) -> ([Server; 2], String, OwnRedis) {
    let redis = OwnRedis::start();
    let nodes = redis.nodes_with(EVE, shards);
    let id = new_campaign_id("phones");
    let mut campaign = chengdu(&id, 10);
    phones(&mut campaign);
    nodes[0].create_campaign(&campaign).ok();
    nodes[0].publish(&id);
    nodes.iter().for_each(|node| node.set_clock(at("2020-07-13T09:00:00")));
    (nodes, id, redis)
}

#[test]
fn of_many_with_one_phone_at_the_same_instant_on_two_nodes_exactly_one_is_on_the_list() {
    const PHONES: usize = 30;
    let (nodes, id, _redis) = two_nodes(3);
    for round in 0..PHONES {
        let people = Resident::many(6);
        let phone = format!("139{round:08}");
        let replies = together(6, |thread| reserve(&nodes[thread % 2], &id, &people[thread], &phone));
        let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
        assert_eq!((count(201), count(409)), (1, 5), "{:?}", replies.iter().map(Reply::text).collect::<Vec<_>>());
        replies.into_iter().filter(|reply| reply.status == 409).for_each(|reply| in_use(reply, "phone"));
    }
    assert_eq!(nodes[0].stats(&id)["reserved"], PHONES);
    nodes[0].assert_audit_clean();
}

#[test]
fn people_who_come_and_go_with_few_phones_never_hold_one_together() {
    for seed in seeds(1) {
        println!("QUANYU_TEST_SEED={seed}");
        let (nodes, id, _redis) = two_nodes(2);
        let people = Resident::many(4);
        together(8, |thread| {
            let mut random = Random::new(seed.wrapping_mul(8) + thread as u64);
            for _ in 0..40 {
                let (person, node) = (&people[thread / 2], random.pick(&nodes));
                let phone = format!("1390000000{}", random.below(2));
                let body = json!({"consent_version": CONSENT, "phone": phone});
                let reply = match random.below(5) {
                    0..=1 => reserve(node, &id, person, &phone),
                    2 => change(node, &id, person, body),
                    _ => node.withdraw(&id, person),
                };
                let expected = ["", "identity_in_use", "reservation_not_found", "store_unavailable"];
                assert!(expected.contains(&reply.code()), "{}", reply.text());
            }
        });
        let held = |person: &&Resident| nodes[0].my_reservation(&id, person).status == 200;
        assert!(people.iter().filter(held).count() <= 2, "two phones for more than two people");
        nodes[0].assert_audit_clean();
        // When all is quiet, whoever has no entry gets one with a phone that nobody has.
        for person in people.iter().filter(held) {
            nodes[1].withdraw(&id, person).ok();
        }
        for (place, person) in people[..2].iter().enumerate() {
            assert_eq!(reserve(&nodes[place], &id, person, &format!("1390000000{place}")).status, 201);
        }
        people[2..].iter().for_each(|person| in_use(reserve(&nodes[0], &id, person, "13900000000"), "phone"));
        nodes[0].assert_audit_clean();
    }
}
