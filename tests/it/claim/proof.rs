//! The draw, computed a second time from what is published: tree, seed, scores, cutoffs, winners.

use std::fs;
use std::path::Path;
use std::process::Command;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{CLOSES, rain};
use crate::harness::client::Reply;
use crate::harness::fixture::{Round, SECOND, at};
use crate::harness::{Scratch, program, wait_until};

type Hash = [u8; 32];

fn get(round: &Round, what: &str) -> Reply {
    let path = format!("/v1/campaigns/{}/rounds/rain/{what}", round.campaign);
    round.server.office("GET", &path, None)
}

fn published(round: &Round) -> (Value, Value, String, String) {
    let proof = wait_until("the proof is published", || {
        let reply = get(round, "proof");
        (reply.status == 200).then_some(reply.json)
    });
    let file = |field: &str| {
        let url = proof[field].as_str().unwrap_or_else(|| panic!("no {field}: {proof}"));
        let path = &url[url.find("/v1/").expect("an address of this API")..];
        round.server.office("GET", path, None).ok().text()
    };
    let (entries, winners) = (file("entries_url"), file("winners_url"));
    (get(round, "commitment").ok().json, proof, entries, winners)
}

#[test]
fn the_list_is_committed_to_before_the_draw_and_the_secret_comes_only_after_the_round() {
    let round = rain(2, 5);
    assert_ne!(get(&round, "commitment").status, 200, "the list is still open");
    round.raining(0);
    let commitment = get(&round, "commitment").ok();
    assert_eq!((&commitment["round_id"], &commitment["count"]), (&json!("rain"), &json!(5)));
    for field in ["root", "rules_hash", "secret_commitment"] {
        assert_eq!(commitment.str(field).len(), 64, "{field}: {}", commitment.text());
    }
    assert_eq!(commitment["entropy"], json!(["operator"]));
    assert!(commitment["secret"].is_null(), "the secret is secret");
    get(&round, "proof").refused(409, "round_not_closed");
    round.server.set_clock(at(CLOSES) - 1);
    get(&round, "proof").refused(409, "round_not_closed");
    round.server.set_clock(at(CLOSES));
    let (after, proof, _, _) = published(&round);
    assert_eq!(after["root"], commitment["root"]);
    let secret = hex::decode(proof["secret"].as_str().expect("the secret")).expect("hex");
    assert_eq!(hex::encode(Sha256::digest(secret)), commitment.str("secret_commitment"));
}

#[test]
fn anybody_who_reads_the_published_files_computes_the_same_winners() {
    let round = rain(4, 11);
    round.raining(480 * SECOND);
    let told: Vec<bool> = (0..11).map(|index| round.tap_drawn(index).ok().str("outcome") == "won").collect();
    round.server.set_clock(at(CLOSES));
    let (commitment, proof, entries, winners) = published(&round);
    let lines: Vec<Value> = entries.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect();
    let entries: Vec<Vec<u8>> = lines.iter().map(entry).collect();
    assert!(entries.is_sorted() && entries.len() == 11, "the list is sorted as in the tree");
    assert_eq!(hex::encode(root_of(&entries)), commitment["root"].as_str().expect("a root"));

    let seed = seed_of(&round.campaign, &commitment, &proof);
    let mut ranked: Vec<(Hash, String)> = entries
        .iter()
        .zip(&lines)
        .map(|(entry, line)| (keyed(&seed, entry), line["pseudonym"].as_str().expect("a pseudonym").to_string()))
        .collect();
    ranked.sort();
    let mut mine: Vec<String> = ranked[..4].iter().map(|one| one.1.clone()).collect();
    mine.sort();
    let theirs: Vec<Value> = winners.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect();
    let mut theirs: Vec<&str> = theirs.iter().map(|line| line["pseudonym"].as_str().expect("one")).collect();
    theirs.sort();
    assert_eq!(mine, theirs, "the published winners are the lowest scores");
    let cutoff = &proof["cutoffs"][0];
    assert_eq!(cutoff["winners"], 4);
    assert_eq!(cutoff["score"], json!(hex::encode(ranked[3].0)), "{cutoff}");
    assert_eq!(cutoff["pseudonym"], json!(ranked[3].1));

    for (index, person) in round.people.iter().enumerate() {
        let reservation = round.server.my_reservation(&round.campaign, person).ok();
        let pseudonym = reservation["reservation"]["pseudonym"].as_str().expect("a pseudonym");
        assert_eq!(mine.iter().any(|one| one == pseudonym), told[index], "what the tap had said");
    }
}

#[test]
fn verify_draw_agrees_with_the_published_files_and_finds_every_forgery() {
    let round = rain(3, 7);
    round.raining(480 * SECOND);
    round.server.set_clock(at(CLOSES));
    let (commitment, proof, entries, winners) = published(&round);
    let folder = Scratch::new("quanyu-draw");
    let write = |commitment: &Value, proof: &Value, entries: &str, winners: &str| {
        let put = |name: &str, text: &str| fs::write(folder.path.join(name), text).expect("a file");
        put("commitment.json", &commitment.to_string());
        put("proof.json", &proof.to_string());
        put("entries.ndjson", entries);
        put("winners.ndjson", winners);
    };
    write(&commitment, &proof, &entries, &winners);
    let (honest, said) = verify(&folder.path);
    assert!(honest, "{said}");

    let mut lines: Vec<&str> = entries.lines().collect();
    lines.pop();
    write(&commitment, &proof, &format!("{}\n", lines.join("\n")), &winners);
    assert!(!verify(&folder.path).0, "an entry is missing");

    // The lines differ in more than the person: an entry of a single pack names none.
    let person = |line: &str| -> String {
        let line: Value = serde_json::from_str(line).expect("NDJSON");
        line["pseudonym"].as_str().expect("a pseudonym").to_string()
    };
    let loser = entries.lines().map(person).find(|person| !winners.contains(person)).expect("a loser");
    let winner = winners.lines().map(person).next().expect("a winner");
    let mut swapped: Vec<String> = winners.lines().map(|line| line.replace(&winner, &loser)).collect();
    swapped.sort_by_key(|line| person(line));
    write(&commitment, &proof, &entries, &format!("{}\n", swapped.join("\n")));
    assert!(!verify(&folder.path).0, "a loser stands among the winners");

    let fewer: Vec<&str> = winners.lines().skip(1).collect();
    write(&commitment, &proof, &entries, &format!("{}\n", fewer.join("\n")));
    assert!(!verify(&folder.path).0, "a winner is missing");

    let mut forged = proof.clone();
    forged["secret"] = json!("00".repeat(32));
    write(&commitment, &forged, &entries, &winners);
    assert!(!verify(&folder.path).0, "the secret is not the committed one");
    write(&commitment, &proof, &entries, &winners);
    let public = round.server.office("GET", &format!("/v1/public/campaigns/{}", round.campaign), None).ok();
    fs::write(folder.path.join("campaign.json"), public.text()).expect("a file");
    let (honest, said) = verify(&folder.path);
    assert!(honest, "the public answer is the campaign file: {said}");
    fs::remove_file(folder.path.join("winners.ndjson")).expect("it was there");
    let output = Command::new(program()).arg("verify-draw").arg(&folder.path).output().expect("it runs");
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!((output.status.code(), &*out), (Some(2), ""), "a missing file is no difference");
    assert!(err.contains("winners.ndjson cannot be read"), "{err}");
}

fn verify(folder: &Path) -> (bool, String) {
    let output = Command::new(program()).arg("verify-draw").arg(folder).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    [&length[..], bytes].concat()
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_else(|| panic!("no hex: {value}"))).expect("hex")
}

fn entry(line: &Value) -> Vec<u8> {
    let text = |field: &str| lp(line[field].as_str().unwrap_or("").as_bytes());
    let k = u16::try_from(line["k"].as_u64().expect("k")).expect("k is small").to_be_bytes();
    [unhex(&line["pseudonym"]), text("channel"), text("pack_id"), k.to_vec()].concat()
}

/// Leaves and nodes are told apart by their first byte; an odd node goes up as it is.
fn root_of(entries: &[Vec<u8>]) -> Hash {
    let hash = |parts: &[&[u8]]| -> Hash { Sha256::digest(parts.concat()).into() };
    let mut level: Vec<Hash> = entries.iter().map(|entry| hash(&[&[0], entry])).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => hash(&[&[1], left, right]),
                odd => odd[0],
            })
            .collect();
    }
    level[0]
}

fn seed_of(campaign: &str, commitment: &Value, proof: &Value) -> Hash {
    let mut input = b"quanyu.draw.v1\0".to_vec();
    input.extend(lp(campaign.as_bytes()));
    input.extend(lp(commitment["round_id"].as_str().expect("a round").as_bytes()));
    input.extend(unhex(&commitment["rules_hash"]));
    input.extend(unhex(&commitment["root"]));
    input.extend(commitment["count"].as_u64().expect("a count").to_be_bytes());
    for value in proof["entropy_values"].as_array().into_iter().flatten() {
        input.extend(lp(&unhex(value)));
    }
    input.extend(unhex(&proof["secret"]));
    Sha256::digest(input).into()
}

fn keyed(seed: &Hash, entry: &[u8]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("any key length");
    mac.update(entry);
    mac.finalize().into_bytes().into()
}
