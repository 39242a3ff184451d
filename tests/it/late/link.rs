//! A resident's consent to automatic deduction, given and taken back: what was answered last stands.

use quanyu::store::script;
use serde_json::json;

use super::Post;
use crate::harness::fixture::EVE;
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Server, together, wait_until};

const PATH: &str = "/v1/wallet/account";

fn linked(server: &Server, person: &Resident) -> bool {
    server.resident(person, "GET", PATH, None).ok()["linked"] == true
}

/// The call of one verb is kept by the network, the other verb is answered, and then the first arrives.
fn overtaken(late: &'static str, answered: &str, linked_before: bool) {
    let redis = OwnRedis::start();
    let first = redis.node(EVE, 1, None);
    let post = Post::to(&redis);
    let second = post.node(&first, EVE);
    let person = Resident::new();
    if linked_before {
        first.resident(&person, "PUT", PATH, None).ok();
    }
    let call: &'static str = Box::leak(script::ACCOUNT_LINK.hash().to_owned().into_boxed_str());
    post.keep(Box::leak(Box::new([call])));
    let told = together(2, |index| match index {
        0 => second.resident(&person, late, PATH, None),
        _ => {
            wait_until("the network has it", || post.has_kept().then_some(()));
            first.resident(&person, answered, PATH, None)
        }
    });
    told[0].clone().refused(503, "store_timeout");
    assert_eq!(told[1].clone().ok().json, json!({"channel": "wechat", "linked": answered == "PUT"}));
    post.deliver();
    assert_eq!(linked(&first, &person), answered == "PUT", "a late {late} after an answered {answered}");
    // Whoever asks again is obeyed.
    first.resident(&person, late, PATH, None).ok();
    assert_eq!(linked(&first, &person), late == "PUT");
}

#[test]
fn a_link_that_arrives_after_an_answered_unlink_changes_nothing() {
    overtaken("PUT", "DELETE", false);
    overtaken("PUT", "DELETE", true);
}

#[test]
fn an_unlink_that_arrives_after_an_answered_link_changes_nothing() {
    overtaken("DELETE", "PUT", false);
    overtaken("DELETE", "PUT", true);
}
