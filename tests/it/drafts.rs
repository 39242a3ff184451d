//! Campaigns before their publication: nobody but their program sees them, is slowed by them, or goes without a name or a number for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, chengdu, merchant, new_campaign_id, new_merchant_id};
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

fn on(redis: &OwnRedis) -> Server {
    Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) })
}

/// A program with one key for writing and one for approving.
struct Program<'a> {
    server: &'a Server,
    officer: String,
    approver: String,
}

impl<'a> Program<'a> {
    fn new(server: &'a Server, name: &str) -> Program<'a> {
        let [officer, approver] = ["officer", "approver"].map(|role| server.create_key(role, name));
        Program { server, officer, approver }
    }

    fn draft(&self, id: &str, packs: i64) -> Reply {
        self.server.create_campaign_as(&self.officer, &chengdu(id, packs))
    }

    fn get(&self, id: &str) -> Reply {
        self.server.office_as(&self.officer, "GET", &format!("/v1/campaigns/{id}"), None)
    }

    /// The answer of the step that did not succeed, or of the publication.
    fn publish(&self, id: &str) -> Reply {
        let step = |key: &str, verb: &str| {
            self.server.office_as(key, "POST", &format!("/v1/campaigns/{id}/{verb}"), Some(json!({})))
        };
        step(&self.officer, "submit").ok();
        step(&self.approver, "approve").ok();
        step(&self.approver, "publish")
    }
}

fn packs_of(shown: &Reply) -> &Value {
    &shown["totals"]["packs"]
}

#[test]
fn a_draft_holds_no_name_and_who_publishes_first_has_it() {
    let server = Server::at(EVE);
    let [first, second, third] = ["first", "second", "third"].map(|name| Program::new(&server, name));
    let id = new_campaign_id("name");
    first.draft(&id, 10).ok();
    second.draft(&id, 20).ok();
    assert_eq!([first.get(&id), second.get(&id)].map(|shown| packs_of(&shown.ok()).clone()), [json!(10), json!(20)]);
    third.get(&id).refused(404, "not_found");
    assert_eq!(second.publish(&id).ok().str("state"), "published");
    let public = server.send(&Request::new("GET", &format!("/v1/public/campaigns/{id}"))).ok();
    assert_eq!(*packs_of(&public), json!(20));
    // The other draft is where it was, and says what it lacks.
    assert_eq!(*packs_of(&first.get(&id).ok()), json!(10));
    first.publish(&id).refused(409, "campaign_id_taken");
    third.draft(&id, 30).refused(409, "campaign_id_taken");
    second.draft(&id, 20).refused(412, "precondition_failed");
    for path in ["/stats", "/ledger"] {
        let own = server.office_as(&first.officer, "GET", &format!("/v1/campaigns/{id}{path}"), None);
        assert_eq!(own.refused(409, "campaign_state_refuses").str("state"), "approved");
        server.office_as(&third.officer, "GET", &format!("/v1/campaigns/{id}{path}"), None).refused(404, "not_found");
    }
}

#[test]
fn of_two_programs_that_publish_one_name_at_once_one_has_it() {
    let redis = OwnRedis::start();
    let nodes = redis.two_nodes(EVE);
    let programs = [Program::new(&nodes[0], "left"), Program::new(&nodes[1], "right")];
    let id = new_campaign_id("race");
    for program in &programs {
        program.draft(&id, 10).ok();
    }
    let told = crate::harness::together(2, |at| programs[at].publish(&id));
    let mut codes: Vec<&str> =
        told.iter().map(|reply| if reply.is_success() { "published" } else { reply.code() }).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["campaign_id_taken", "published"]);
    let states = programs.iter().map(|program| program.get(&id).ok().str("state").to_owned());
    let mut states: Vec<String> = states.collect();
    states.sort_unstable();
    assert_eq!(states, ["approved", "published"]);
}

#[test]
fn drafts_take_no_number_and_change_nothing_that_nodes_follow() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    let (busy, other) = (Program::new(&server, "busy"), Program::new(&server, "other"));
    let facts = || ["campaigns", "rev"].map(|field| redis.ask(&["HGET", "{cfg}:h", field]));
    let before = facts();
    let heard = redis.hears(|| {
        for n in 0..20 {
            busy.draft(&format!("idea-{n:02}"), 10).ok();
        }
    });
    assert_eq!(facts(), before, "numbers and revision");
    // The node may still have been reading what came before.
    let whole = heard.iter().filter(|line| line.contains("HGETALL")).count();
    assert!(whole < 5, "{whole} readings of everything for twenty drafts");
    let ids = [new_campaign_id("a"), new_campaign_id("b")];
    busy.draft(&ids[0], 10).ok();
    busy.publish(&ids[0]).ok();
    other.draft(&ids[1], 10).ok();
    other.publish(&ids[1]).ok();
    assert_eq!(facts()[0], "2", "a number for each that is published");
    assert_eq!(redis.ask(&["HLEN", "{cfg}:drafts"]), "20", "what is published is no draft any more");
}

#[test]
fn a_node_reads_again_only_the_campaigns_that_have_changed() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    let ids = [new_campaign_id("one"), new_campaign_id("two"), new_campaign_id("three")];
    for id in &ids {
        server.create_campaign(&chengdu(id, 10)).ok();
        server.publish(id);
    }
    let about = |heard: &[String], id: &str| {
        let reads =
            heard.iter().filter(|line| line.contains("\"HMGET\"") || line.contains("\"HGETALL\" \"{cfg}:campaigns\""));
        reads.filter(|line| line.contains(&format!("\"{id}\"")) || line.contains("HGETALL")).count()
    };
    let revision = || redis.ask(&["HGET", "{cfg}:h", "rev"]);
    let heard = redis.hears(|| {
        let before = revision();
        let made = merchant(&new_merchant_id());
        server.create_merchant(&made).ok();
        assert_ne!(revision(), before);
        // A look at all versions means that the node has seen the new revision.
        server.pause(&ids[1], &["claim"]).ok();
    });
    let reads: Vec<usize> = ids.iter().map(|id| about(&heard, id)).collect();
    assert!(reads[0] == 0 && reads[1] > 0 && reads[2] == 0, "{reads:?}");
}

/// Puts a draft where older binaries kept it: among the campaigns, with a number.
fn as_of_old(redis: &OwnRedis, program: &str, id: &str, number: u16) {
    let field = format!("{program}/{id}");
    let held = redis.ask(&["HGET", "{cfg}:drafts", &field]);
    let mut record: Value = serde_json::from_str(&held).expect("a record is JSON");
    record["number"] = json!(number);
    redis.ask(&["HSET", "{cfg}:campaigns", id, &record.to_string()]);
    redis.ask(&["HSET", "{cfg}:campaigns:v", id, "1"]);
    redis.ask(&["HDEL", "{cfg}:drafts", &field]);
    redis.ask(&["HDEL", "{cfg}:drafts:v", &field]);
    redis.ask(&["HSET", "{cfg}:h", "campaigns", &number.to_string()]);
    redis.ask(&["HINCRBY", "{cfg}:h", "rev", "1"]);
}

#[test]
fn drafts_of_an_older_binary_are_read_and_published_and_hold_no_name_either() {
    let redis = OwnRedis::start();
    let server = on(&redis);
    let (old, new) = (Program::new(&server, "old"), Program::new(&server, "new"));
    let [kept, contested] = [new_campaign_id("kept"), new_campaign_id("contested")];
    for (number, id) in [(7, &kept), (9, &contested)] {
        old.draft(id, 10).ok();
        as_of_old(&redis, "old", id, number);
    }
    let shown = old.get(&kept).ok();
    let mut file = chengdu(&kept, 10);
    file["name"]["en"] = json!("Another name");
    let put = Request::new("PUT", &format!("/v1/campaigns/{kept}")).bearer(&old.officer);
    let put = put.header("if-match", shown.header("etag").expect("an ETag"));
    server.send(&put.json(&file)).ok();
    old.publish(&kept).ok();
    let record: Value = serde_json::from_str(&redis.ask(&["HGET", "{cfg}:campaigns", &kept])).expect("JSON");
    assert_eq!(record["number"], 7, "the number it had");

    new.get(&contested).refused(404, "not_found");
    new.draft(&contested, 20).ok();
    new.publish(&contested).ok();
    let public = || server.send(&Request::new("GET", &format!("/v1/public/campaigns/{contested}")));
    wait_until("the campaign is public", || (*packs_of(&public()) == json!(20)).then_some(()));
    let record: Value = serde_json::from_str(&redis.ask(&["HGET", "{cfg}:campaigns", &contested])).expect("JSON");
    assert_eq!(record["number"], 10);
    let moved = old.get(&contested).ok();
    assert_eq!((moved.str("state"), packs_of(&moved)), ("draft", &json!(10)));
    old.publish(&contested).refused(409, "campaign_id_taken");
}

/// Every word that is read from a campaign file, and every value of one, stands in the document that explains it.
#[test]
fn every_field_and_value_of_a_campaign_file_is_explained() {
    let explained = include_str!("../../deploy/campaign-file.md");
    let sources = [
        include_str!("../../src/domain/campaign/parse.rs"),
        include_str!("../../src/domain/campaign/parse_round.rs"),
        include_str!("../../src/domain/campaign/parse_terms.rs"),
    ];
    let read = sources.iter().flat_map(|source| {
        ["req(\"", "opt(\"", "nullable(\""].into_iter().flat_map(move |how| source.split(how).skip(1))
    });
    let fields = read.filter_map(|rest| rest.split('"').next());
    let schema =
        [include_str!("../../src/domain/campaign/schema.rs"), include_str!("../../src/domain/campaign/terms.rs")];
    let values = schema
        .iter()
        .filter_map(|source| source.split("words! {").nth(1))
        .flat_map(|words| words.split(" = \"").skip(1).filter_map(|rest| rest.split('"').next()));
    let told: BTreeSet<&str> = explained.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let missing: BTreeSet<&str> = fields.chain(values).filter(|word| !told.contains(word)).collect();
    assert!(missing.is_empty(), "deploy/campaign-file.md says nothing of {missing:?}");
}
