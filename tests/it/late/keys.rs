//! What one node has answered of keys and campaigns holds at every other one from that moment on.

use serde_json::{Value, json};

use super::Post;
use crate::harness::Server;
use crate::harness::fixture::{EVE, merchant, new_merchant_id};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;

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
