//! The deal, computed a second time from what is published after the round and a person's own pass.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{by_chance, grant, granted, kinds_of, options};
use crate::claim::first_come::Rush;
use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, at};
use crate::harness::identity::Resident;
use crate::harness::wait_until;
use crate::list::csv_of;

fn get(rush: &Rush, what: &str) -> Reply {
    rush.server.office("GET", &format!("/v1/campaigns/{}/rounds/i/{what}", rush.campaign), None)
}

/// The pseudonym that stands in a pass.
fn pseudonym(pass: &str) -> Vec<u8> {
    let payload = pass.split('.').nth(1).expect("a payload");
    URL_SAFE_NO_PAD.decode(payload).expect("base64url")[7..39].to_vec()
}

fn lp(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_else(|| panic!("no hex: {value}"))).expect("hex")
}

/// The key of the round, after the proof has been compared with what was said beforehand.
fn key_of(rush: &Rush, before: &Reply, proof: &Value) -> Vec<u8> {
    for (name, said) in before.json.as_object().expect("an object") {
        assert_eq!(&proof[name], said, "the proof repeats the commitment");
    }
    assert_eq!((&proof["deal"], proof["secret"].is_string()), (&json!("quanyu.deal.v2"), true));
    let (secret, rules_hash) = (unhex(&proof["secret"]), unhex(&proof["rules_hash"]));
    assert_eq!(proof["secret_commitment"], json!(hex::encode(Sha256::digest(&secret))));
    let parts = [b"quanyu.deal.v1\0".to_vec(), lp(&rush.campaign), lp("i"), rules_hash, secret];
    Sha256::digest(parts.concat()).to_vec()
}

#[test]
fn what_somebody_got_in_the_rush_is_the_first_of_the_order_that_anybody_computes_afterwards() {
    let file = by_chance("deal-proof", json!({"a": 500, "b": 300, "c": 200}), |_| ());
    let rush = Rush::open_on(Server::start(options(2)), &file);
    let before = get(&rush, "commitment").ok();
    assert!(before["secret"].is_null(), "the secret is secret");
    let told: Vec<(Vec<u8>, String)> = Resident::many(12)
        .iter()
        .map(|person| {
            let pass = rush.pass("i", person);
            let won = rush.tap_on("i", &pass).ok();
            (pseudonym(&pass), won["pack"]["pack_id"].as_str().expect("a pack").to_string())
        })
        .collect();
    get(&rush, "proof").refused(409, "round_not_closed");
    rush.server.set_clock(at("2020-04-03T00:00:00"));
    let proof = get(&rush, "proof").ok();
    let key = key_of(&rush, &before, &proof.json);
    for (pseudonym, got) in told {
        let drawn = mac(&key, &[b"order\0", &pseudonym, &lp("wechat"), &0_u16.to_be_bytes()]);
        let x = u128::from(u64::from_be_bytes(drawn[..8].try_into().expect("eight bytes")));
        let at = (x * 1_000) >> 64;
        let first = if at < 500 {
            "a"
        } else if at < 800 {
            "b"
        } else {
            "c"
        };
        assert_eq!(got, first);
    }
}

#[test]
fn what_a_name_of_a_grant_was_dealt_follows_from_the_published_last_names() {
    let people = Resident::many(10);
    let rush = granted(
        Server::start(options(2)),
        &grant("grant-proof", json!({"a": 5, "b": 3, "c": 2}), true),
        &csv_of(&people),
    );
    rush.server.set_clock(at("2020-03-27T09:00:00"));
    let before = get(&rush, "commitment").ok();
    let passes: Vec<Vec<u8>> = people.iter().map(|one| pseudonym(&rush.pass("i", one))).collect();
    rush.server.set_clock(at("2020-03-27T09:00:00") + DAY);
    wait_until("everybody is credited", || (rush.issued() == 10).then_some(()));
    let proof = get(&rush, "proof").ok();
    let key = key_of(&rush, &before, &proof.json);
    let mut ranked: Vec<([u8; 32], Vec<u8>, usize)> = passes
        .into_iter()
        .enumerate()
        .map(|(index, pseudonym)| (mac(&key, &[b"grant\0", &pseudonym]), pseudonym, index))
        .collect();
    ranked.sort();
    let kinds = kinds_of(&rush, &people);
    for (place, (score, pseudonym, index)) in ranked.iter().enumerate() {
        let pack = if place < 5 {
            "a"
        } else if place < 8 {
            "b"
        } else {
            "c"
        };
        assert_eq!(kinds[*index], [pack]);
        let last = proof["cutoffs"].as_array().expect("cutoffs").iter().find(|last| last["pack_id"] == pack);
        let last = last.expect("every pack has a last name");
        let last = (unhex(&last["score"]), unhex(&last["pseudonym"]));
        assert!((score.to_vec(), pseudonym.clone()) <= last, "nobody comes after the last name of a pack");
    }
}
