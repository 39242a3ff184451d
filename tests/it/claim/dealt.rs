//! `chance` without a draw: in a rush the first to come get a pack, and which one is dealt to the person beforehand; in a grant every name
//! of the list is dealt one, exactly as many of each as there are.

mod kills;
mod proof;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::fixture::{SECOND, at};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, together, wait_until};
use crate::list::{csv_of, put_list};

const BEFORE: &str = "2020-03-20T12:00:00+08:00";
const OPENS: &str = "2020-03-27T08:00:00";

/// Packs a, b and c of 10, 20 and 30 yuan by chance; the first round of the file, changed as the test wants it.
fn by_chance(name: &str, packs: Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut file = hangzhou(name, [1, 1, 1]);
    let pack = |pack_id: &str, fen: i64| {
        json!({"pack_id": pack_id, "vouchers": [{"voucher_kind": pack_id, "transaction_minimum": 4 * fen,
            "discount_amount": fen, "count": 1}]})
    };
    file["packs"] = json!([pack("a", 1000), pack("b", 2000), pack("c", 3000)]);
    file["budget"] = json!(10_000_000);
    file["limits"] = json!([]);
    let mut round = file["rounds"][0].clone();
    round["packs"] = packs;
    round["assignment"] = json!("chance");
    file["rounds"] = json!([round]);
    change(&mut file);
    file
}

fn options(shards: u8) -> Options {
    Options { shards, ..Options::at(BEFORE) }
}

fn by_pack<'a>(answers: impl Iterator<Item = &'a Value>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer["pack"]["pack_id"].as_str().unwrap_or("-").to_string()).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(wanted: [(&str, usize); N]) -> BTreeMap<String, usize> {
    wanted.map(|(pack, count)| (pack.to_string(), count)).into()
}

/// Many on many connections, to the last pack of every kind; then every answer is asked for again.
fn rush_to_the_end(nodes: &[&Rush], people: &[Resident], wanted: BTreeMap<String, usize>) -> Vec<Value> {
    let rush = nodes[0];
    let packs: usize = wanted.values().sum();
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let answers = together(8, |thread| {
        let node = nodes[thread % nodes.len()];
        let own = (0..passes.len()).filter(|index| index % 8 == thread);
        own.map(|index| {
            let reply = node.tap_on("i", &passes[index]).ok();
            let issued = if reply.str("outcome") == "sold_out" { rush.issued() } else { packs as i64 };
            assert_eq!(issued, packs as i64, "sold out was said while something was left");
            (index, reply.json)
        })
        .collect::<Vec<_>>()
    });
    let mut answers: Vec<(usize, Value)> = answers.into_iter().flatten().collect();
    answers.sort_by_key(|one| one.0);
    let won = answers.iter().map(|one| &one.1).filter(|answer| answer["outcome"] == "won");
    assert_eq!(by_pack(won), wanted);
    for (index, first) in &answers {
        let node = nodes[(index + 1) % nodes.len()];
        assert_eq!(&node.tap_on("i", &passes[*index]).ok().json, first, "a repeat is the same answer on any node");
        let held = rush.server.vouchers(&rush.campaign, &people[*index]).len();
        assert_eq!(held, usize::from(first["outcome"] == "won"));
    }
    rush.server.assert_audit_clean();
    answers.into_iter().map(|one| one.1).collect()
}

#[test]
fn the_rush_gives_every_pack_of_every_kind_and_sold_out_only_when_nothing_at_all_is_left() {
    let file = by_chance("dealt", json!({"a": 17, "b": 2, "c": 9}), |_| ());
    let rush = Rush::open_on(Server::start(options(4)), &file);
    let people = Resident::many(44);
    rush_to_the_end(&[&rush], &people, counts([("a", 17), ("b", 2), ("c", 9)]));
    let ledger = rush.server.ledger(&rush.campaign);
    let round = &ledger["rounds"][0];
    assert_eq!((&round["unissued"], &round["outstanding"]), (&json!(0), &json!(17_000 + 4_000 + 27_000)));
    let lost = people.iter().filter(|one| rush.mine("i", one).ok().str("result") == "lost").count();
    assert_eq!(lost, 16);
}

#[test]
fn with_fewer_packs_than_shards_the_last_of_every_kind_finds_its_person() {
    let file = by_chance("few", json!({"a": 1, "b": 1, "c": 1}), |_| ());
    let rush = Rush::open_on(Server::start(options(16)), &file);
    rush_to_the_end(&[&rush], &Resident::many(20), counts([("a", 1), ("b", 1), ("c", 1)]));
}

#[test]
fn two_nodes_deal_the_same_and_share_every_kind_to_the_last() {
    let redis = OwnRedis::start();
    let options = || Options { redis_url: Some(redis.url.clone()), ..options(4) };
    let file = by_chance("deal-nodes", json!({"a": 9, "b": 8, "c": 7}), |_| ());
    let first = Rush::open_on(Server::start(options()), &file);
    let same_clock = format!("{OPENS}+08:00");
    let node = Server::start(Options { keys_from: Some(first.server.data.clone()), clock: same_clock, ..options() });
    let second = Rush { server: node, campaign: first.campaign.clone() };
    let people = Resident::many(36);
    rush_to_the_end(&[&first, &second], &people, counts([("a", 9), ("b", 8), ("c", 7)]));
}

/// The same persons in another order, on another number of shards, with two nodes' keys: with plenty of everything each gets the pack
/// that the round's secret deals, so when and how often one taps is of no use.
#[test]
fn with_plenty_of_everything_the_pack_depends_on_the_person_and_the_round_alone() {
    let people = Resident::many(30);
    let file = by_chance("same", json!({"a": 1_000, "b": 1_000, "c": 1_000}), |_| ());
    let dealt = |server: Server, order: Vec<usize>| {
        let rush = Rush::open_on(server, &file);
        let mut packs = vec![String::new(); people.len()];
        for index in order {
            let reply = rush.tap_on("i", &rush.pass("i", &people[index])).ok();
            packs[index] = reply["pack"]["pack_id"].as_str().expect("a pack").to_string();
        }
        (packs, rush)
    };
    let (forward, rush) = dealt(Server::start(options(1)), (0..30).collect());
    let later = Options { keys_from: Some(rush.server.data.clone()), ..options(5) };
    let (backward, _) = dealt(Server::start(later), (0..30).rev().collect());
    assert_eq!(forward, backward);
    let kinds: std::collections::BTreeSet<&String> = forward.iter().collect();
    assert_eq!(kinds.len(), 3, "of thirty people somebody gets each kind: {forward:?}");
}

#[test]
fn between_slices_somebody_gets_what_is_out_and_the_wait_for_the_rest_is_exact() {
    let file = by_chance("deal-slices", json!({"a": 4, "b": 2}), |file| {
        file["rounds"][0]["release"] = json!({"shape": "slices", "seconds": 60, "slices": 2});
    });
    let rush = Rush::open_on(Server::start(options(3)), &file);
    let passes: Vec<String> = Resident::many(8).iter().map(|one| rush.pass("i", one)).collect();
    let take = |from: usize| -> Vec<Value> {
        (from..from + 3).map(|index| rush.tap_on("i", &passes[index]).ok().json).collect()
    };
    let first = take(0);
    assert_eq!(by_pack(first.iter()), counts([("a", 2), ("b", 1)]), "half of each kind is out: {first:?}");
    let early = rush.tap("i", &passes[3]).ok();
    assert_eq!((early.str("outcome"), early.int("retry_after_ms")), ("not_yet", 30 * SECOND), "{}", early.text());
    assert_eq!(rush.tap("i", &passes[3]).ok().int("retry_after_ms"), 30 * SECOND);
    assert_eq!(rush.tap("i", &passes[0]).ok().json, first[0], "who has one is told so between slices");
    rush.server.set_clock(at(OPENS) + 30 * SECOND);
    assert_eq!(by_pack(take(3).iter()), counts([("a", 2), ("b", 1)]));
    assert_eq!(rush.tap_on("i", &passes[6]).ok().str("outcome"), "sold_out");
    rush.server.assert_audit_clean();
}

#[test]
fn each_channel_has_its_own_kinds_and_a_restart_changes_nothing() {
    let redis = OwnRedis::start();
    let options = || Options { redis_url: Some(redis.url.clone()), ..options(3) };
    let file = by_chance(
        "deal-channels",
        json!({"a": {"count": 6, "by_channel": "equal"}, "b": {"count": 3, "by_channel": {"alipay": 3}}}),
        |file| file["channels"] = json!(["wechat", "alipay"]),
    );
    let rush = Rush::open_on(Server::start(options()), &file);
    let channel = |index: usize| ["wechat", "alipay"][index % 2];
    let people: Vec<Resident> =
        Resident::many(16).into_iter().enumerate().map(|(index, one)| one.through(channel(index))).collect();
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let first: Vec<Value> = passes[..5].iter().map(|pass| rush.tap_on("i", pass).ok().json).collect();
    rush.server.stop();
    let later = Options { keys_from: Some(rush.server.data.clone()), clock: format!("{OPENS}.100+08:00"), ..options() };
    let after = Rush { server: Server::start(later), campaign: rush.campaign.clone() };
    for (pass, told) in passes.iter().zip(&first) {
        assert_eq!(&after.tap_on("i", pass).ok().json, told, "a win outlives the node that gave it");
    }
    let all: Vec<Value> = passes.iter().map(|pass| after.tap_on("i", pass).ok().json).collect();
    let won = |channel: usize| {
        let own = all.iter().skip(channel).step_by(2);
        by_pack(own.filter(|answer| answer["outcome"] == "won"))
    };
    assert_eq!((won(0), won(1)), (counts([("a", 3)]), counts([("a", 3), ("b", 3)])));
    after.server.assert_audit_clean();
}

/// Three rounds with one limit over all: one of each kind for a person.
#[test]
fn who_has_had_one_kind_is_dealt_another_and_with_all_kinds_is_told_the_limit() {
    let file = by_chance("deal-limit", json!({"a": 30, "b": 30}), |file| {
        file["limits"] =
            json!([{"action": "claim", "entities": ["person", "pack"], "period": "campaign", "max_count": 1}]);
        let round = |id: &str| {
            let mut round = file["rounds"][0].clone();
            round["round_id"] = json!(id);
            round
        };
        file["rounds"] = json!([round("i"), round("ii"), round("iii")]);
    });
    let rush = Rush::open_on(Server::start(options(3)), &file);
    for person in Resident::many(8) {
        let mut kinds: Vec<String> = ["i", "ii"]
            .map(|round| rush.tap_on(round, &rush.pass(round, &person)).ok()["pack"]["pack_id"].to_string())
            .into();
        kinds.sort_unstable();
        assert_eq!(kinds, ["\"a\"", "\"b\""]);
        let third = rush.tap("iii", &rush.pass("iii", &person)).refused(409, "limit_reached");
        assert_eq!(third["limit"]["entities"], json!(["person", "pack"]));
    }
    assert_eq!(rush.issued(), 16);
    rush.server.assert_audit_clean();
}

/// A grant of packs a, b and c to the list of nurses.
fn grant(name: &str, packs: Value, window: bool) -> Value {
    by_chance(name, packs, |file| {
        let round = json!({"round_id": "i", "mode": "grant", "entries_list": "nurses", "assignment": "chance",
            "packs": file["rounds"][0]["packs"].clone()});
        file["rounds"] = json!([round]);
        if window {
            file["rounds"][0]["opens_at"] = json!("2020-03-27T09:00:00+08:00");
            file["rounds"][0]["closes_at"] = json!("2020-03-28T00:00:00+08:00");
        } else {
            file["rounds"][0]["credit_at"] = json!(format!("{OPENS}+08:00"));
        }
    })
}

fn granted(server: Server, file: &Value, csv: &str) -> Rush {
    put_list(&server, "nurses", csv).ok();
    Rush::open_on(server, file)
}

fn kinds_of(rush: &Rush, people: &[Resident]) -> Vec<Vec<String>> {
    let kinds = |one| rush.server.vouchers(&rush.campaign, one).into_iter().map(|voucher| voucher.1).collect();
    people.iter().map(kinds).collect()
}

#[test]
fn a_grant_deals_exactly_as_many_of_each_kind_as_there_are_and_the_same_on_any_shards_and_nodes() {
    let people = Resident::many(23);
    let file = grant("dealt-grant", json!({"a": 12, "b": 8, "c": 3}), false);
    let one = granted(Server::start(options(1)), &file, &csv_of(&people));
    wait_until("everybody is credited", || (one.issued() == 23).then_some(()));
    let kinds = kinds_of(&one, &people);
    let count = |kind: &str| kinds.iter().filter(|own| **own == [kind.to_string()]).count();
    assert_eq!(["a", "b", "c"].map(count), [12, 8, 3]);
    let ledger = one.server.ledger(&one.campaign);
    assert_eq!(ledger["rounds"][0]["outstanding"], 12_000 + 16_000 + 9_000);
    one.server.assert_audit_clean();
    let redis = OwnRedis::start();
    let nodes = [0; 2].map(|_| redis.node(BEFORE, 6, Some(&one.server)));
    let [first, second] = nodes;
    let mut turned = people.clone();
    turned.reverse();
    let six = granted(first, &file, &csv_of(&turned));
    second.set_clock(at(OPENS));
    wait_until("everybody is credited", || (six.issued() == 23).then_some(()));
    assert_eq!(kinds_of(&six, &people), kinds, "the order of the list and the shards are of no account");
    six.server.assert_audit_clean();
}

#[test]
fn in_a_window_each_name_claims_the_pack_that_was_dealt_and_the_sweep_gives_the_rest_theirs() {
    let people = Resident::many(9);
    let file = grant("dealt-window", json!({"a": 8, "b": 4, "c": 6}), true);
    let rush = granted(Server::start(options(3)), &file, &csv_of(&people));
    rush.server.set_clock(at("2020-03-27T09:00:00"));
    let tap = |index: usize| {
        let pass = rush.pass("i", &people[index]);
        wait_until("the grant is counted", || {
            let reply = rush.tap("i", &pass).ok();
            (reply.str("outcome") == "won").then_some(reply)
        })
    };
    let told: Vec<String> =
        (0..4).map(|index| tap(index)["pack"]["pack_id"].as_str().expect("a pack").into()).collect();
    assert!(tap(0).replayed());
    let named = json!({"pack_id": "a"});
    rush.tap_for("i", &rush.pass("i", &people[5]), Some(named)).refused(422, "invalid_request");
    rush.server.set_clock(at("2020-03-28T00:00:00"));
    wait_until("the rest is credited", || (rush.issued() == 9).then_some(()));
    let kinds = kinds_of(&rush, &people);
    assert!(told.iter().zip(&kinds).all(|(told, own)| [told.clone()] == own[..]), "{told:?} {kinds:?}");
    let count = |kind: &str| kinds.iter().filter(|own| **own == [kind.to_string()]).count();
    assert_eq!(["a", "b", "c"].map(count), [4, 2, 3], "nine names share eighteen packs in proportion");
    rush.server.assert_audit_clean();
}

#[test]
fn a_list_that_is_too_long_or_names_packs_itself_is_dealt_to_nobody_until_there_are_enough() {
    let people = Resident::many(5);
    let warned = |rush: &Rush| {
        let ready = || rush.server.client.get("/readyz").expect("an answer").text();
        wait_until("the operator is told", || ready().contains("nobody is credited").then_some(()));
        assert_eq!(rush.issued(), 0);
    };
    let rush =
        granted(Server::start(options(2)), &grant("deal-long", json!({"a": 2, "b": 2}), false), &csv_of(&people));
    warned(&rush);
    let path = format!("/v1/campaigns/{}/amendments", rush.campaign);
    let change = json!({"pointer": "/rounds/0/packs/a", "current": 2, "target": 4});
    let body = json!({"amendment_id": "more", "reason": "a longer list", "changes": [change]});
    rush.server.office("POST", &path, Some(body)).ok();
    rush.server.office("POST", &format!("{path}/more/approve"), None).ok();
    wait_until("everybody is credited", || (rush.issued() == 5).then_some(()));
    let kinds = kinds_of(&rush, &people);
    let count = |kind: &str| kinds.iter().filter(|own| **own == [kind.to_string()]).count();
    assert_eq!(["a", "b"].map(count), [3, 2]);
    rush.server.assert_audit_clean();

    let rows = people.iter().map(|one| format!("cn_id,{},a\n", one.number));
    let csv: String = std::iter::once("document_type,document_number,pack_id\n".to_string()).chain(rows).collect();
    let file = grant("deal-named", json!({"a": 9, "b": 2}), false);
    warned(&granted(Server::start(options(2)), &file, &csv));
}
