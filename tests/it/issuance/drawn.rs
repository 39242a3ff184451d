//! Drawn rounds beyond the single rain: tiers by choice and chance, one of each, channels with a draw each, waves, public entropy, and
//! winners of one round kept off another. Every proof is recomputed by the program's own verifier, which shares no code with the draw.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, MINUTE, SECOND, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Scratch, Server, program, together, wait_until};

const DRAW: &str = "2020-07-22T10:00:00";
const OPENS: &str = "2020-07-24T18:00:00";
const CLOSES: &str = "2020-07-24T18:10:00";
const CREDIT: &str = "2020-07-24T12:00:00";

/// A published campaign with people on the list of its first round.
struct Drawn {
    server: Server,
    campaign: String,
    people: Vec<Resident>,
    passes: Vec<String>,
}

/// Packs a, b and c of 10, 20 and 30 yuan; a ballot that credits, changed as the test wants it.
fn file(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut file = chengdu(&new_campaign_id(name), 1);
    let pack = |pack_id: &str, fen: i64| {
        json!({"pack_id": pack_id, "vouchers": [{"voucher_kind": pack_id, "transaction_minimum": 4 * fen,
            "discount_amount": fen, "count": 1}]})
    };
    file["packs"] = json!([pack("a", 1000), pack("b", 2000), pack("c", 3000)]);
    file["channels"] = json!(["wechat", "alipay", "unionpay"]);
    file["budget"] = json!(10_000_000);
    file["rounds"] = json!([{"round_id": "r1", "mode": "ballot", "packs": {"a": 4},
        "draw": {"at": format!("{DRAW}+08:00"), "entropy": ["operator"]}, "credit_at": format!("{CREDIT}+08:00")}]);
    change(&mut file);
    file
}

/// Turns the first round into one with a claim window.
fn windowed(file: &mut Value, mode: &str, unclaimed: &str) {
    let round = &mut file["rounds"][0];
    round["mode"] = json!(mode);
    round.as_object_mut().expect("a round").remove("credit_at");
    round["opens_at"] = json!(format!("{OPENS}+08:00"));
    round["closes_at"] = json!(format!("{CLOSES}+08:00"));
    round["unclaimed"] = json!(unclaimed);
}

impl Drawn {
    /// Everybody reserves through one of the channels in turn, with the pack that `choice` names.
    fn reserved(file: Value, people: usize, choice: impl Fn(usize) -> Option<&'static str>) -> Drawn {
        let server = Server::at(EVE);
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        server.create_campaign(&file).ok();
        server.publish(&campaign);
        server.set_clock(at("2020-07-13T09:00:00"));
        let channels = ["wechat", "alipay", "unionpay"];
        let through = |(index, person): (usize, Resident)| person.through(channels[index % 3]);
        let people: Vec<Resident> = Resident::many(people).into_iter().enumerate().map(through).collect();
        let passes = people.iter().enumerate().map(|(index, person)| {
            let mut body = json!({"consent_version": "2020-07-13"});
            if let Some(pack_id) = choice(index) {
                body["pack_id"] = json!(pack_id);
            }
            server.reserve_with(&campaign, person, body).ok().str("pass").to_string()
        });
        let passes = passes.collect();
        Drawn { server, campaign, people, passes }
    }

    fn path(&self, round: &str, what: &str) -> String {
        format!("/v1/campaigns/{}/rounds/{round}/{what}", self.campaign)
    }

    fn get(&self, round: &str, what: &str) -> Reply {
        self.server.office("GET", &self.path(round, what), None)
    }

    fn tap(&self, round: &str, bearer: &str, pack_id: Option<&str>) -> Reply {
        let request = Request::new("POST", &self.path(round, "claims")).bearer(bearer);
        self.server.send(&match pack_id {
            Some(pack_id) => request.json(&json!({"pack_id": pack_id})),
            None => request,
        })
    }

    fn stats(&self, round: usize) -> Value {
        self.server.stats(&self.campaign)["rounds"][round].clone()
    }

    fn wait_drawn(&self, round: usize) {
        wait_until("the round is drawn", || (self.stats(round)["drawn"] == true).then_some(()));
    }

    fn wait_credited(&self, round: usize) {
        wait_until("the round is credited", || (self.stats(round)["credited"] == true).then_some(()));
    }

    /// The kinds of vouchers that a person has; a pack of this file has one voucher of its own name.
    fn packs_of(&self, index: usize) -> Vec<String> {
        let vouchers = self.server.vouchers(&self.campaign, &self.people[index]);
        vouchers.into_iter().map(|voucher| voucher.1).collect()
    }

    /// Every published file agrees with what the verifier computes from them. Answers proof, entries and winners.
    #[track_caller]
    fn verified(&self, round: &str) -> (Value, Vec<Value>, Vec<Value>) {
        let proof = self.get(round, "proof").ok().json;
        let folder = Scratch::new("quanyu-drawn");
        let put = |name: &str, text: &str| fs::write(folder.path.join(name), text).expect("a file");
        let lists = ["entries", "winners"].map(|name| {
            let text = self.get(round, name).ok().text();
            put(&format!("{name}.ndjson"), &text);
            text.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect::<Vec<Value>>()
        });
        put("proof.json", &proof.to_string());
        put("commitment.json", &self.get(round, "commitment").ok().text());
        let output = Command::new(program()).arg("verify-draw").arg(&folder.path).output().expect("it runs");
        assert!(output.status.success(), "{}\n{proof}", String::from_utf8_lossy(&output.stderr));
        let [entries, winners] = lists;
        (proof, entries, winners)
    }
}

/// How many lines have each value of a field.
fn count_by(lines: &[Value], field: impl Fn(&Value) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(field(line)).or_default() += 1;
    }
    counts
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_string()
}

#[test]
fn tiers_by_choice_are_drawn_apart_on_every_channel() {
    let file = file("choice", |file| {
        file["rounds"][0]["assignment"] = json!("choice");
        file["rounds"][0]["packs"] = json!({"a": {"count": 7, "by_channel": "equal"},
            "b": {"count": 4, "by_channel": {"wechat": 1, "unionpay": 3}}, "c": 2});
    });
    let drawn = Drawn::reserved(file, 45, |index| Some(["a", "b", "c"][index / 3 % 3]));
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    assert_eq!(entries.len(), 45);
    let cell = |line: &Value| format!("{} {}", text(&line["pack_id"]), text(&line["channel"]));
    let mut won = count_by(&winners, cell);
    let c: usize = ["c wechat", "c alipay", "c unionpay"].iter().filter_map(|cell| won.remove(*cell)).sum();
    assert_eq!(c, 2, "all channels compete for c");
    let wanted = [("a wechat", 3), ("a alipay", 2), ("a unionpay", 2), ("b wechat", 1), ("b unionpay", 3)];
    assert_eq!(won, wanted.map(|(cell, count)| (cell.to_string(), count)).into());
    let packs: Vec<String> = (0..45).flat_map(|index| drawn.packs_of(index)).collect();
    assert_eq!(count_by(&packs.iter().map(|pack| json!(pack)).collect::<Vec<_>>(), text).len(), 3);
    for (index, _) in drawn.people.iter().enumerate() {
        let chosen = ["a", "b", "c"][index / 3 % 3];
        assert!(drawn.packs_of(index).iter().all(|pack| pack == chosen), "nobody gets what was not chosen");
    }
    assert_eq!(packs.len(), 13);
    drawn.server.assert_audit_clean();
}

#[test]
fn chance_gives_every_pack_of_the_round_to_somebody_whom_only_the_draw_has_picked() {
    let file = file("chance", |file| {
        windowed(file, "rain", "credit");
        file["rounds"][0]["assignment"] = json!("chance");
        file["rounds"][0]["packs"] = json!({"c": 1, "a": 5, "b": 3});
        file["rounds"][0]["release"] = json!({"shape": "slices", "seconds": 480, "slices": 4});
    });
    let drawn = Drawn::reserved(file, 20, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS) + 480 * SECOND);
    let told: Vec<Reply> = drawn.passes.iter().map(|pass| drawn.tap("r1", pass, None).ok()).collect();
    let won: Vec<Value> =
        told.iter().filter(|reply| reply.str("outcome") == "won").map(|reply| reply.json.clone()).collect();
    let counts = count_by(&won, |reply| text(&reply["pack"]["pack_id"]));
    assert_eq!(counts, [("a".to_string(), 5), ("b".to_string(), 3), ("c".to_string(), 1)].into());
    drawn.server.set_clock(at(CLOSES));
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["cutoffs"].as_array().map(Vec::len), Some(1), "one draw for all packs: {proof}");
    assert_eq!(proof["tiers"].as_array().map(Vec::len), Some(3));
    assert_eq!(count_by(&winners, |line| text(&line["pack_id"])), counts);
    drawn.server.assert_audit_clean();
}

#[test]
fn one_reservation_takes_part_for_each_pack_and_keeps_the_luckiest_up_to_the_maximum() {
    let file = file("each", |file| {
        file["rounds"][0]["assignment"] = json!("each");
        file["rounds"][0]["max_packs_per_person"] = json!(2);
        file["rounds"][0]["packs"] = json!({"a": 6, "b": 6, "c": 6});
    });
    let drawn = Drawn::reserved(file, 9, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    assert_eq!((entries.len(), winners.len()), (27, 18));
    let of_person = count_by(&winners, |line| text(&line["pseudonym"]));
    assert!(of_person.values().all(|packs| *packs <= 2), "{of_person:?}");
    let held: Vec<usize> = (0..9).map(|index| drawn.packs_of(index).len()).collect();
    assert_eq!((held.iter().sum::<usize>(), held.iter().max()), (18, Some(&2)));
    drawn.server.assert_audit_clean();
}

#[test]
fn a_ballot_with_a_window_gives_its_packs_to_who_comes_and_keeps_the_rest() {
    let file = file("window", |file| windowed(file, "ballot", "return"));
    let drawn = Drawn::reserved(file, 12, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let first: Vec<String> =
        drawn.passes[..6].iter().map(|pass| drawn.tap("r1", pass, None).ok().str("outcome").to_string()).collect();
    let came = first.iter().filter(|outcome| *outcome == "won").count();
    drawn.server.set_clock(at(CLOSES));
    for (index, pass) in drawn.passes.iter().enumerate() {
        let reply = drawn.tap("r1", pass, None).ok();
        let wanted = if index < 6 && first[index] == "won" { "won" } else { "lost" };
        assert_eq!((reply.str("outcome"), reply.str("result")), ("closed", wanted));
    }
    assert_eq!(drawn.stats(0)["issued"], came);
    assert_eq!(drawn.verified("r1").2.len(), 4, "four were drawn, whoever came");
}

fn released(name: &str, mode: &str) -> Value {
    file(name, |file| {
        windowed(file, mode, "release");
        let wave = |day: u32| json!({"opens_at": format!("2020-07-{day}T10:00:00+08:00"), "closes_at": format!("2020-07-{day}T12:00:00+08:00")});
        file["rounds"][0]["waves"] = json!([wave(26), wave(27)]);
        file["rounds"][0]["packs"] = json!({"a": 4});
    })
}

#[test]
fn what_nobody_claims_goes_to_the_next_scores_wave_by_wave() {
    let drawn = Drawn::reserved(released("waves", "ballot"), 10, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let tap = |index: usize| drawn.tap("r1", &drawn.passes[index], None).ok();
    let mut left: Vec<usize> = (0..10).collect();
    // In the window one winner comes, then nobody taps any more; the others of the four let their packs lie.
    let first = left.iter().copied().find(|index| tap(*index).str("outcome") == "won").expect("somebody has won");
    left.retain(|index| *index != first);
    drawn.server.set_clock(at("2020-07-26T10:00:00"));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    assert_eq!(tap(first).str("outcome"), "won", "a win that was told stays told");
    let told: Vec<(usize, String)> =
        left.iter().map(|index| (*index, tap(*index).str("outcome").to_string())).collect();
    let second: BTreeSet<usize> = told.iter().filter(|one| one.1 == "won").map(|one| one.0).collect();
    let tapped_first = told.iter().filter(|one| one.1 == "lost").count();
    assert_eq!(second.len(), 3, "three packs were left: {told:?}");
    assert!(tapped_first <= 3, "only who has let a pack lie has lost: {told:?}");
    drawn.server.set_clock(at("2020-07-27T10:00:00"));
    wait_until("the next wave is decided", || (drawn.stats(0)["waves"] == 2).then_some(()));
    assert_eq!(drawn.stats(0)["issued"], 4);
    let third = left.iter().filter(|index| !second.contains(index) && tap(**index).str("outcome") == "won").count();
    assert_eq!(third, 0, "nothing is left");
    drawn.server.set_clock(at("2020-07-27T12:00:00"));
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["waves"].as_array().map(Vec::len), Some(2));
    assert_eq!(winners.iter().filter(|line| line["wave"] == 1).count(), 3);
    drawn.server.assert_audit_clean();
}

#[test]
fn who_has_tapped_too_early_in_a_rain_is_there_and_nobody_passes_over_the_pack() {
    let mut file = released("present", "rain");
    file["rounds"][0]["release"] = json!({"shape": "even", "seconds": 480});
    let drawn = Drawn::reserved(file, 8, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let taps: Vec<Reply> = drawn.passes.iter().map(|pass| drawn.tap("r1", pass, None).ok()).collect();
    assert!(taps.iter().all(|reply| reply.str("outcome") == "not_yet"), "nobody has lost before the last wave");
    drawn.server.set_clock(at(CLOSES));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    assert_eq!(drawn.stats(0)["issued"], 4, "all four winners had tapped");
    let credited = (0..8).filter(|index| drawn.packs_of(*index).len() == 1).count();
    assert_eq!(credited, 4);
    drawn.server.assert_audit_clean();
}

#[test]
fn a_draw_waits_for_the_notary_and_nothing_stands_in_for_the_digits() {
    let file = file("notary", |file| {
        windowed(file, "rain", "credit");
        file["rounds"][0]["draw"]["entropy"] = json!(["operator", "notary"]);
    });
    let drawn = Drawn::reserved(file, 9, |_| None);
    let draw = |body: Value| drawn.server.office("POST", &drawn.path("r1", "draw"), Some(body));
    drawn.server.set_clock(at(DRAW) - 1);
    wait_until("the list is closed", || (drawn.stats(0)["list"] == "closed").then_some(()));
    draw(json!({"notary_digits": "20200722"})).refused(409, "round_not_drawn");
    drawn.server.set_clock(at(OPENS));
    assert_eq!(drawn.get("r1", "commitment").ok()["entropy"], json!(["operator", "notary"]));
    let reply = drawn.tap("r1", &drawn.passes[0], None).ok();
    assert_eq!((reply.str("outcome"), reply.str("detail")), ("not_yet", "round_not_drawn"));
    assert_eq!(drawn.stats(0)["waiting_for"], json!(["notary"]));
    assert!(drawn.server.client.get("/readyz").expect("an answer").text().contains("the draw is due"));
    drawn.server.office("POST", &drawn.path("r1", "draw"), None).refused(409, "round_not_drawn");
    draw(json!({"notary_digits": "12"})).refused(422, "invalid_request");
    draw(json!({"notary_digits": "12345x"})).refused(422, "invalid_request");
    draw(json!({"drand_signature": "00"})).refused(422, "invalid_request");
    let operator = drawn.server.create_key("operator", "sandbox");
    drawn
        .server
        .office_as(&operator, "POST", &drawn.path("r1", "draw"), Some(json!({"notary_digits": "007311"})))
        .refused(403, "forbidden");
    draw(json!({"notary_digits": "007311"})).ok();
    draw(json!({"notary_digits": "007312"})).refused(409, "entropy_conflict");
    assert_eq!(drawn.stats(0)["drawn"], true);
    drawn.server.set_clock(at(CLOSES) + MINUTE);
    drawn.wait_credited(0);
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["entropy_values"], json!([hex::encode("007311")]));
    assert_eq!(winners.len(), 4);
}

#[test]
fn winners_of_one_round_are_not_on_the_list_of_the_next() {
    let file = file("exclude", |file| {
        let mut second = file["rounds"][0].clone();
        second["round_id"] = json!("r2");
        second["exclude_winners_of"] = json!(["r1"]);
        second["reservation"] =
            json!({"opens_at": "2020-07-13T00:00:00+08:00", "closes_at": "2020-07-23T00:00:00+08:00"});
        second["draw"]["at"] = json!("2020-07-23T10:00:00+08:00");
        second["packs"] = json!({"b": 5});
        file["rounds"].as_array_mut().expect("rounds").push(second);
    });
    let server = Server::at(EVE);
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    server.create_campaign(&file).ok();
    server.publish(&campaign);
    server.set_clock(at("2020-07-13T09:00:00"));
    let people = Resident::many(9);
    for person in &people {
        for round_id in ["r1", "r2"] {
            let body = json!({"round_id": round_id, "consent_version": "2020-07-13"});
            server.reserve_with(&campaign, person, body).ok();
        }
    }
    let drawn = Drawn { server, campaign, people, passes: Vec::new() };
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    drawn.wait_credited(1);
    let (_, first, winners) = drawn.verified("r1");
    let (_, second, all) = drawn.verified("r2");
    assert_eq!((first.len(), winners.len(), second.len(), all.len()), (9, 4, 5, 5));
    let pseudonyms = |lines: &[Value]| lines.iter().map(|line| text(&line["pseudonym"])).collect::<BTreeSet<_>>();
    assert!(pseudonyms(&winners).is_disjoint(&pseudonyms(&second)));
    assert!((0..9).all(|index| drawn.packs_of(index).len() == 1), "everybody has won once");
    drawn.server.assert_audit_clean();
}

#[test]
fn two_nodes_that_close_draw_and_credit_at_once_come_to_one_result() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let file = file("nodes", |_| ());
    let campaign = file["campaign_id"].as_str().expect("an id").to_string();
    first.create_campaign(&file).ok();
    first.publish(&campaign);
    first.set_clock(at("2020-07-13T09:00:00"));
    let people = Resident::many(12);
    for person in &people {
        first.reserve(&campaign, person).ok();
    }
    let nodes = [&first, &second];
    together(2, |node| nodes[node].set_clock(at(DRAW)));
    together(2, |node| nodes[node].set_clock(at(CREDIT)));
    let credited = |server: &Server| {
        let stats = server.stats(&campaign);
        (stats["rounds"][0]["credited"] == true).then_some(stats["issued"].clone())
    };
    for node in nodes {
        let issued = wait_until("the round is credited", || credited(node));
        assert_eq!(issued, 4);
    }
    first.assert_audit_clean();
    let proofs = nodes.map(|node| {
        let path = format!("/v1/campaigns/{campaign}/rounds/r1/proof");
        node.office("GET", &path, None).ok().json
    });
    assert_eq!(proofs[0], proofs[1]);
}
