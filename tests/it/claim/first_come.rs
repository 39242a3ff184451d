//! The rush without a list: everybody wins while released stock is left, exact to the last pack over all shards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{DAY, HOUR, SECOND, at, new_campaign_id, parse_time};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, poll, together, wait_until};

const BEFORE: &str = "2020-03-20T12:00:00+08:00";
const OPENS: &str = "2020-03-27T08:00:00";

/// Hangzhou 2020 (F2) in small: its file with other numbers, on the channel of the test residents.
pub fn hangzhou(name: &str, packs: [i64; 3]) -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/campaigns/hangzhou-2020.json"));
    let mut file: Value = serde_json::from_str(&text.expect("the city's file")).expect("the file is JSON");
    file["campaign_id"] = json!(new_campaign_id(name));
    file["channels"] = json!(["wechat"]);
    file["budget"] = json!(packs[0] * 5_000 + packs[1] * 10_000 + packs[2] * 5_000);
    for (round, (pack, count)) in ["five-40-10", "hundred", "fifty-2022"].iter().zip(packs).enumerate() {
        file["rounds"][round]["packs"] = json!({ *pack: count });
    }
    file["use_rule"].as_object_mut().expect("a use rule").remove("scenes");
    file
}

/// A server with a published walk-in campaign, its clock standing at the opening.
pub struct Rush {
    pub server: Server,
    pub campaign: String,
}

impl Rush {
    pub fn open(file: &Value, shards: u8) -> Rush {
        Rush::open_on(Server::start(Options { shards, ..Options::at(BEFORE) }), file)
    }

    pub fn open_on(server: Server, file: &Value) -> Rush {
        server.create_campaign(file).ok();
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        server.publish(&campaign);
        server.set_clock(at(OPENS));
        Rush { server, campaign }
    }

    fn path(&self, round: &str, rest: &str) -> String {
        format!("/v1/campaigns/{}/rounds/{round}/{rest}", self.campaign)
    }

    pub fn ask_pass(&self, round: &str, person: &Resident) -> Reply {
        self.server.resident(person, "POST", &self.path(round, "passes"), None)
    }

    pub fn pass(&self, round: &str, person: &Resident) -> String {
        self.ask_pass(round, person).ok().str("pass").to_string()
    }

    pub fn tap_for(&self, round: &str, bearer: &str, body: Option<Value>) -> Reply {
        let request = Request::new("POST", &self.path(round, "claims")).bearer(bearer);
        self.server.send(&match body {
            Some(body) => request.json(&body),
            None => request,
        })
    }

    pub fn tap(&self, round: &str, bearer: &str) -> Reply {
        self.tap_for(round, bearer, None)
    }

    pub fn mine(&self, round: &str, person: &Resident) -> Reply {
        self.server.resident(person, "GET", &self.path(round, "claims/mine"), None)
    }

    pub fn issued(&self) -> i64 {
        self.server.stats(&self.campaign)["issued"].as_i64().expect("a number")
    }

    /// Taps until the answer is final: others may have been faster with what had just been leased.
    pub fn tap_on(&self, round: &str, bearer: &str) -> Reply {
        wait_until("the tap has a result", || {
            let reply = self.tap(round, bearer);
            let again = reply.status == 429 || reply.str("outcome") == "not_yet";
            (!again).then_some(reply)
        })
    }
}

fn exhaust(shards: u8, packs: i64, people: usize) {
    let rush = Rush::open(&hangzhou("exact", [packs, 2, 2]), shards);
    let people = Resident::many(people);
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let answers = together(8, |thread| {
        let own = passes.iter().skip(thread).step_by(8);
        own.map(|pass| {
            let reply = rush.tap_on("i", pass).ok();
            // Sold out is final, so it must not be said before the last pack is issued.
            let issued = if reply.str("outcome") == "sold_out" { rush.issued() } else { packs };
            (pass.clone(), reply.json, issued)
        })
        .collect::<Vec<_>>()
    });
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let won: Vec<&Value> = answers.iter().map(|one| &one.1).filter(|answer| answer["outcome"] == "won").collect();
    let numbers: BTreeSet<String> = won.iter().map(|answer| answer["pack"]["pack_no"].to_string()).collect();
    assert_eq!(
        (won.len() as i64, numbers.len() as i64),
        (packs, packs),
        "exact to the last pack, each with its number"
    );
    assert!(answers.iter().all(|(_, _, issued)| *issued == packs), "sold out was said too early");
    let lost = answers.iter().filter(|one| one.1["outcome"] == "sold_out").count();
    assert_eq!(lost, people.len() - packs as usize);
    for (pass, first, _) in &answers {
        assert_eq!(&rush.tap_on("i", pass).ok().json, first, "a repeat is the same answer");
    }
    for person in &people {
        let count = rush.server.vouchers(&rush.campaign, person).len();
        let result = rush.mine("i", person).ok();
        assert_eq!(count, if result.str("result") == "won" { 5 } else { 0 }, "{}", result.text());
    }
    let ledger = rush.server.ledger(&rush.campaign);
    assert_eq!(
        (&ledger["rounds"][0]["unissued"], &ledger["rounds"][0]["outstanding"]),
        (&json!(0), &json!(packs * 5_000))
    );
    rush.server.assert_audit_clean();
}

#[test]
fn on_one_shard_the_rush_ends_with_the_last_pack_and_each_person_has_one() {
    exhaust(1, 30, 50);
}

#[test]
fn on_four_shards_the_rush_ends_with_the_last_pack_and_each_person_has_one() {
    exhaust(4, 41, 64);
}

#[test]
fn with_fewer_packs_than_shards_every_pack_finds_its_person() {
    exhaust(16, 3, 24);
}

#[test]
fn the_last_packs_go_to_whoever_comes_though_they_were_leased_to_another_shard() {
    let rush = Rush::open(&hangzhou("recall", [4, 2, 2]), 4);
    // One tap each on many shards leases the stock out; then only one person after another comes.
    let people = Resident::many(12);
    let outcomes: Vec<String> =
        people.iter().map(|person| rush.tap_on("i", &rush.pass("i", person)).ok().str("outcome").to_string()).collect();
    assert_eq!(outcomes[..4], ["won", "won", "won", "won"], "with stock left, whoever comes first wins: {outcomes:?}");
    assert!(outcomes[4..].iter().all(|outcome| outcome == "sold_out"), "{outcomes:?}");
    rush.server.assert_audit_clean();
}

#[test]
fn slices_come_out_on_time_and_until_then_the_wait_is_exact() {
    let mut file = hangzhou("slices", [6, 2, 2]);
    file["rounds"][0]["release"] = json!({"shape": "slices", "seconds": 90, "slices": 3});
    let rush = Rush::open(&file, 4);
    let people = Resident::many(8);
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let mut next = 0;
    for slice in 0..3 {
        let begins = at(OPENS) + slice * 30 * SECOND;
        if slice > 0 {
            rush.server.set_clock(begins - 1);
            let sooner = rush.tap("i", &passes[next]).ok();
            assert_eq!((sooner.str("outcome"), sooner.int("retry_after_ms")), ("not_yet", 1), "{}", sooner.text());
            rush.server.set_clock(begins);
        }
        for _ in 0..2 {
            assert_eq!(rush.tap_on("i", &passes[next]).ok().str("outcome"), "won");
            next += 1;
        }
        let reply = rush.tap("i", &passes[next]).ok();
        if slice < 2 {
            assert_eq!(
                (reply.str("outcome"), reply.int("retry_after_ms")),
                ("not_yet", 30 * SECOND),
                "{}",
                reply.text()
            );
            assert_eq!(parse_time(&reply["opens_at"]), at(OPENS));
            let again = rush.tap("i", &passes[next - 1]).ok();
            assert!(
                again.str("outcome") == "won" && again.replayed(),
                "who has one is told so between slices: {}",
                again.text()
            );
        } else {
            assert_eq!(reply.str("outcome"), "sold_out", "{}", reply.text());
        }
        let stats = rush.server.stats(&rush.campaign);
        assert_eq!((&stats["rounds"][0]["released"], &stats["rounds"][0]["issued"]), (&json!(next), &json!(next)));
    }
}

#[test]
fn before_the_opening_a_tap_is_told_how_long_and_after_the_close_how_it_ended() {
    let rush = Rush::open(&hangzhou("windows", [5, 2, 2]), 1);
    let (winner, late) = (Resident::new(), Resident::new());
    assert_eq!(rush.tap("i", &rush.pass("i", &winner)).ok().str("outcome"), "won");
    let (won, unused) = (rush.pass("i", &winner), rush.pass("i", &late));
    let pending = rush.mine("i", &late).ok();
    assert_eq!((pending.str("result"), parse_time(&pending["known_at"])), ("pending", at("2020-04-03T00:00:00")));
    rush.server.set_clock(at("2020-04-02T23:00:00"));
    let early = rush.pass("ii", &late);
    let wait = rush.tap("ii", &early).ok();
    assert_eq!((wait.str("outcome"), wait.int("retry_after_ms")), ("not_yet", 11 * HOUR));
    rush.server.set_clock(at("2020-04-03T00:00:00"));
    let closed = |pass: &str| {
        let reply = rush.tap("i", pass).ok();
        assert_eq!(reply.str("outcome"), "closed", "{}", reply.text());
        reply.str("result").to_string()
    };
    assert_eq!((closed(&won).as_str(), closed(&unused).as_str()), ("won", "lost"));
    rush.server.set_clock(at("2020-04-03T00:10:00"));
    for _ in 0..3 {
        assert_eq!((closed(&won).as_str(), closed(&unused).as_str()), ("won", "lost"));
    }
    assert_eq!(rush.mine("i", &late).ok().str("result"), "lost");
    rush.ask_pass("i", &late).refused(409, "round_closed");
}

#[test]
fn a_pass_is_given_from_a_day_before_the_opening_to_who_may_take_part() {
    let mut file = hangzhou("passes", [5, 2, 2]);
    file["eligibility"] = json!({"document_types": ["cn_id"], "health_pass": "green", "health_pass_unknown": "refuse"});
    let rush = Rush::open(&file, 1);
    let (person, opens) = (Resident::new(), at("2020-04-03T10:00:00"));
    rush.server.set_clock(opens - DAY - 1);
    let early = rush.ask_pass("ii", &person).refused(409, "pass_not_open");
    assert_eq!(parse_time(&early["opens_at"]), opens - DAY);
    rush.server.set_clock(opens - DAY);
    let given = rush.ask_pass("ii", &person).ok();
    assert_eq!(parse_time(&given["expires_at"]), at("2020-04-10T00:00:00"));
    let red = Resident::new().claiming("health_pass", json!("red"));
    let refused = rush.ask_pass("ii", &red).refused(403, "not_eligible");
    assert!(refused["reasons"][0]["rule"].is_string(), "{}", refused.text());
    rush.ask_pass("ii", &Resident::new().through("another")).refused(403, "not_eligible");
    rush.ask_pass("none", &person).refused(404, "round_not_found");
    rush.server.set_clock(opens + 600 * SECOND);
    // A token taps as well as a pass, and is judged in the same way.
    assert_eq!(rush.tap("ii", &rush.server.token(&person)).ok().str("outcome"), "won");
    let again = rush.tap("ii", given.str("pass")).ok();
    assert!(again.str("outcome") == "won" && again.replayed());
    rush.tap("ii", &rush.server.token(&red)).refused(403, "not_eligible");
    assert_eq!(rush.issued(), 1);
}

#[test]
fn bad_input_of_the_rush_has_its_own_code_each_and_issues_nothing() {
    let rush = Rush::open(&hangzhou("bad", [5, 2, 2]), 1);
    let person = Resident::new();
    let pass = rush.pass("i", &person);
    let mut tampered = pass.clone().into_bytes();
    tampered[10] = if tampered[10] == b'A' { b'B' } else { b'A' };
    rush.tap("i", &String::from_utf8(tampered).expect("text")).refused(401, "token_invalid");
    rush.tap("ii", &pass).refused(401, "token_invalid");
    rush.tap("none", &pass).refused(404, "round_not_found");
    rush.tap("i", "qp1.a.b").refused(401, "token_invalid");
    rush.tap_for("i", &pass, Some(json!({"pack_id": "hundred"}))).refused(422, "invalid_request");
    rush.server.pause(&rush.campaign, &["claim"]).ok();
    let paused = rush.tap("i", &pass).refused(409, "campaign_not_running");
    assert!(paused.header("retry-after").is_some() && paused["retryable"] == true);
    assert_eq!(rush.issued(), 0);
    rush.server.step(&rush.campaign, "resume").ok();
    let both = together(2, |_| rush.tap("i", &pass).ok().json);
    assert_eq!(both[0], both[1], "two claims at once are one");
    assert_eq!((rush.issued(), both[0]["outcome"].as_str()), (1, Some("won")));
    rush.server.set_clock(at("2020-04-03T00:00:00") + DAY - 1);
    assert_eq!(rush.tap("i", &pass).ok().str("result"), "won");
    rush.server.set_clock(at("2020-04-03T00:00:00") + DAY);
    rush.tap("i", &pass).refused(401, "token_expired");
    rush.server.assert_audit_clean();
}

#[test]
fn after_a_stop_nothing_more_is_issued_and_a_win_stays_told() {
    let rush = Rush::open(&hangzhou("stop", [5, 2, 2]), 2);
    let (winner, late) = (Resident::new(), Resident::new());
    let (won, unused) = (rush.pass("i", &winner), rush.pass("i", &late));
    let first = rush.tap_on("i", &won).ok();
    let body = json!({"reason": "a test"});
    rush.server.office("POST", &format!("/v1/campaigns/{}/stop", rush.campaign), Some(body)).ok();
    assert_eq!(rush.tap("i", &won).ok().json, first.json);
    rush.tap("i", &unused).refused(409, "campaign_not_running");
    rush.ask_pass("i", &late).refused(409, "campaign_not_running");
    assert_eq!(rush.issued(), 1);
}

#[test]
fn a_restart_in_the_middle_of_the_rush_keeps_everything_right() {
    let redis = OwnRedis::start();
    let options = || Options { redis_url: Some(redis.url.clone()), shards: 4, ..Options::at(BEFORE) };
    let rush = Rush::open_on(Server::start(options()), &hangzhou("restart", [20, 2, 2]));
    let people = Resident::many(32);
    let passes: Vec<String> = people.iter().map(|one| rush.pass("i", one)).collect();
    let first: Vec<Value> = passes[..11].iter().map(|pass| rush.tap_on("i", pass).ok().json).collect();
    assert!(first.iter().all(|answer| answer["outcome"] == "won"));
    rush.server.stop();
    let later = Options { keys_from: Some(rush.server.data.clone()), clock: format!("{OPENS}.100+08:00"), ..options() };
    let second = Server::start(later);
    let after = Rush { server: second, campaign: rush.campaign.clone() };
    for (pass, answer) in passes.iter().zip(&first) {
        assert_eq!(&after.tap_on("i", pass).ok().json, answer, "a win outlives the node that gave it");
    }
    let rest: Vec<String> =
        passes[11..].iter().map(|pass| after.tap_on("i", pass).ok().str("outcome").to_string()).collect();
    assert_eq!(rest.iter().filter(|outcome| *outcome == "won").count(), 9);
    assert_eq!(rest.iter().filter(|outcome| *outcome == "sold_out").count(), 12);
    assert_eq!(after.issued(), 20);
    after.server.assert_audit_clean();
}

#[test]
fn two_nodes_on_one_store_share_the_stock_to_the_last_pack() {
    let redis = OwnRedis::start();
    let options = || Options { redis_url: Some(redis.url.clone()), shards: 4, ..Options::at(BEFORE) };
    let first = Rush::open_on(Server::start(options()), &hangzhou("nodes", [25, 2, 2]));
    let same_clock = format!("{OPENS}+08:00");
    let node = Server::start(Options { keys_from: Some(first.server.data.clone()), clock: same_clock, ..options() });
    let second = Rush { server: node, campaign: first.campaign.clone() };
    let passes: Vec<String> = Resident::many(40).iter().map(|one| first.pass("i", one)).collect();
    let outcomes = together(6, |thread| {
        let node = if thread % 2 == 0 { &first } else { &second };
        let own = passes.iter().skip(thread).step_by(6);
        own.map(|pass| node.tap_on("i", pass).ok().str("outcome").to_string()).collect::<Vec<_>>()
    });
    let outcomes: Vec<String> = outcomes.into_iter().flatten().collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "won").count(), 25, "{outcomes:?}");
    // After a pause has been answered, no claim succeeds on either node.
    first.server.pause(&first.campaign, &["claim"]).ok();
    for (rush, pass) in [(&first, &passes[0]), (&second, &passes[1])] {
        let told = poll(std::time::Duration::from_secs(5), || {
            let reply = rush.tap("i", pass);
            (reply.code() == "campaign_not_running").then_some(())
        });
        assert!(told.is_some());
    }
    first.server.assert_audit_clean();
}
