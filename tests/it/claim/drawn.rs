//! Drawn rounds beyond the single rain: tiers by choice and chance, one of each, channels with a draw each, waves, public entropy, and
//! winners of one round kept off another. Every proof is recomputed by the program's own verifier, which shares no code with the draw.

mod chance;
mod due;
mod entropy;
mod kept;
mod lists;
mod off_list;
mod waves;
mod why;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, SECOND, at, chengdu, new_campaign_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, together, wait_until};

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

    fn mine(&self, round: &str, pass: &str) -> Reply {
        self.server.send(&Request::new("GET", &self.path(round, "claims/mine")).bearer(pass)).ok()
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
        let drawn = self.server.verified_draw(&self.campaign, round);
        (drawn.proof, drawn.entries, drawn.winners)
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

/// Shanghai 2025 in small: a tier chosen on each of three channels, equal parts, a notary, up to three packs for one person.
#[test]
fn a_person_on_three_channels_wins_on_each_of_them_or_not() {
    let file = file("channels", |file| {
        file["reservation"]["one_per"] = json!(["person", "channel"]);
        let round = &mut file["rounds"][0];
        round["assignment"] = json!("choice");
        round["max_packs_per_person"] = json!(3);
        round["packs"] = json!({"a": {"count": 6, "by_channel": "equal"}, "b": {"count": 3, "by_channel": "equal"}});
        round["draw"]["entropy"] = json!(["operator", "notary"]);
    });
    let drawn = Drawn::reserved(file, 9, |index| Some(["a", "b"][index % 2]));
    for (index, person) in drawn.people.iter().enumerate() {
        for channel in ["wechat", "alipay", "unionpay"].into_iter().filter(|channel| *channel != person.channel) {
            let pack_id = ["a", "b"][index % 2];
            let body = json!({"pack_id": pack_id, "consent_version": "2020-07-13"});
            drawn.server.reserve_with(&drawn.campaign, &person.clone().through(channel), body).ok();
        }
    }
    drawn.server.set_clock(at(DRAW));
    let digits = json!({"notary_digits": "31415926"});
    wait_until("the list is closed", || (drawn.stats(0)["list"] == "closed").then_some(()));
    drawn.server.office("POST", &drawn.path("r1", "draw"), Some(digits)).ok();
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    assert_eq!((entries.len(), winners.len()), (27, 9));
    let cell = |line: &Value| format!("{} {}", text(&line["pack_id"]), text(&line["channel"]));
    let wanted =
        ["wechat", "alipay", "unionpay"].map(|channel| [(format!("a {channel}"), 2), (format!("b {channel}"), 1)]);
    assert_eq!(count_by(&winners, cell), wanted.into_iter().flatten().collect());
    assert_eq!((0..9).map(|index| drawn.packs_of(index).len()).sum::<usize>(), 9);
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
        file["rounds"][0]["packs"] = json!({"a": 4, "b": 4, "c": 4});
    });
    let drawn = Drawn::reserved(file, 9, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(CREDIT));
    drawn.wait_credited(0);
    let (_, entries, winners) = drawn.verified("r1");
    assert_eq!((entries.len(), winners.len()), (27, 12));
    let of_person = count_by(&winners, |line| text(&line["pseudonym"]));
    assert!(of_person.values().all(|packs| *packs <= 2), "{of_person:?}");
    let held: Vec<usize> = (0..9).map(|index| drawn.packs_of(index).len()).collect();
    assert_eq!((held.iter().sum::<usize>(), held.iter().all(|packs| *packs <= 2)), (12, true));
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
