//! What one node has answered of keys and campaigns holds at every other one from that moment on.

use serde_json::{Value, json};

use super::Post;
use crate::harness::fixture::{EVE, chengdu, merchant, new_campaign_id, new_merchant_id};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, together};

const ASKED: &str = "/v1/redemptions/nobodys";

fn new_merchant(server: &Server) -> String {
    let id = new_merchant_id();
    server.create_merchant(&merchant(&id)).ok();
    id
}

fn new_key(server: &Server, merchant_id: &str) -> Till {
    let scope = json!({"kind": "merchant", "merchant_id": merchant_id});
    let made = server.office("POST", "/v1/till-keys", Some(scope)).ok();
    let text = |name: &str| made.str(name).to_string();
    Till { merchant_id: merchant_id.to_string(), key_id: text("key_id"), secret: text("secret") }
}

/// The node knows the key from now on.
fn meet(server: &Server, till: &Till) {
    server.till(till, "GET", ASKED, None).refused(404, "order_not_found");
}

#[test]
fn a_key_that_was_revoked_at_one_node_is_refused_by_the_other_at_once() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let shop = new_merchant(&first);
    for _ in 0..3 {
        let key = new_key(&first, &shop);
        meet(&second, &key);
        let path = format!("/v1/till-keys/{}/revoke", key.key_id);
        first.office("POST", &path, None).ok();
        second.till(&key, "GET", ASKED, None).refused(401, "key_revoked");
        // The answer to it was lost, and the repeat says as much.
        first.office("POST", &path, None).ok();
    }
    let terminal = first.create_terminal(&shop, "t1");
    meet(&second, &terminal);
    first.office("POST", &format!("/v1/merchants/{shop}/terminals/t1/revoke"), None).ok();
    second.till(&terminal, "GET", ASKED, None).refused(401, "key_revoked");
}

#[test]
fn a_secret_that_was_replaced_at_one_node_is_refused_by_the_other_at_once_and_the_new_one_is_taken() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    let shop = new_merchant(&first);
    let rotated = |path: String, key: &Till, keep_previous: bool| {
        meet(&second, key);
        let made = first.office("POST", &path, Some(json!({"keep_previous": keep_previous}))).ok();
        let new = Till { secret: made.str("secret").to_string(), ..key.clone() };
        meet(&second, &new);
        match keep_previous {
            true => meet(&second, key),
            // To nobody a signed answer is owed.
            false => drop(second.send(&key.request("GET", ASKED, "").0).refused(401, "signature_invalid")),
        }
        new
    };
    let key = new_key(&first, &shop);
    let path = |key: &Till| format!("/v1/till-keys/{}/rotate", key.key_id);
    let next = rotated(path(&key), &key, true);
    rotated(path(&next), &next, false);
    let terminal = first.create_terminal(&shop, "t1");
    rotated(format!("/v1/merchants/{shop}/terminals/t1/rotate"), &terminal, false);
}

/// The network keeps what the second node asks of the configuration, and nothing else: it cannot know that the key is revoked, and knows
/// that it cannot.
#[test]
fn a_node_that_does_not_hear_of_changes_takes_no_key_from_memory() {
    let redis = OwnRedis::start();
    let first = redis.node(EVE, 1, None);
    let post = Post::to(&redis);
    let second = post.node(&first, EVE);
    let shop = new_merchant(&first);
    let key = new_key(&first, &shop);
    meet(&second, &key);
    post.keep(&["{cfg}:h\r\n$3\r\nrev"]);
    first.office("POST", &format!("/v1/till-keys/{}/revoke", key.key_id), None).ok();
    let told = second.till(&key, "GET", ASKED, None).refused(503, "store_unavailable");
    assert_eq!(told["outcome"], Value::from("not_applied"));
    post.deliver();
    second.till(&key, "GET", ASKED, None).refused(401, "key_revoked");
}

/// Whoever was answered that a campaign is published may send anybody to any node.
#[test]
fn a_campaign_that_one_node_has_published_is_found_at_the_other_at_once() {
    let redis = OwnRedis::start();
    let [first, second] = redis.two_nodes(EVE);
    for _ in 0..4 {
        let campaign = new_campaign_id("anywhere");
        first.create_campaign(&chengdu(&campaign, 4)).ok();
        first.publish(&campaign);
        second.client.get(&format!("/v1/public/campaigns/{campaign}")).expect("an answer").ok();
        let another = new_campaign_id("anywhere");
        first.create_campaign(&chengdu(&another, 4)).ok();
        first.publish(&another);
        second.reserve(&another, &Resident::new()).refused(409, "reservation_not_open");
    }
    second.client.get("/v1/public/campaigns/nowhere").expect("an answer").refused(404, "not_found");
}

/// Several clients of one program send the same step of the same draft.
#[test]
fn a_campaign_that_is_published_many_times_at_once_is_nobody_elses() {
    let server = Server::at(EVE);
    for _ in 0..6 {
        let campaign = new_campaign_id("ours");
        server.create_campaign(&chengdu(&campaign, 4)).ok();
        ["submit", "approve"].iter().for_each(|verb| drop(server.step(&campaign, verb).ok()));
        let told = together(8, |_| server.step(&campaign, "publish"));
        assert_eq!(told.iter().filter(|reply| reply.is_success()).count(), 1);
        let refused = told.into_iter().filter(|reply| !reply.is_success());
        refused.for_each(|reply| drop(reply.refused(409, "campaign_state_refuses")));
    }
}
