//! Whole folders, made here from the published rules, then spoiled in one place each.

mod lacking;

use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::proof::lp;
use super::*;

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.0.join(name)).unwrap();
        self.write(name, change(text));
    }

    fn faults(&self) -> Vec<String> {
        match verify_folder(&self.0) {
            Err(Failure::Differs(faults)) => faults,
            other => panic!("the folder was spoiled, and yet {other:?}"),
        }
    }
}

type Entry = (String, Option<&'static str>, Option<&'static str>, u16);

fn entry(person: u32, channel: Option<&'static str>, pack: Option<&'static str>, k: u16) -> Entry {
    (hex::encode(Sha256::digest(person.to_be_bytes())), channel, pack, k)
}

fn bytes((pseudonym, channel, pack, k): &Entry) -> Vec<u8> {
    let pseudonym = hex::decode(pseudonym).unwrap();
    [pseudonym, lp(channel.unwrap_or("").as_bytes()), lp(pack.unwrap_or("").as_bytes()), k.to_be_bytes().to_vec()]
        .concat()
}

fn ndjson(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|(p, c, t, k)| json!({"pseudonym": p, "channel": c, "pack_id": t, "k": k}).to_string() + "\n")
        .collect()
}

/// Runs a draw the slow way: sort everything, take the first `n` per (channel if split, pack).
fn folder(
    packs: Value,
    assignment: &str,
    split: bool,
    mut entries: Vec<Entry>,
    supply: impl Fn(&Entry) -> usize,
) -> Folder {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("quanyu-verify-{}-{number}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let campaign = json!({"campaign_id": "demo", "channels": ["alipay", "wechat"], "packs": [{"pack_id": "a"}, {"pack_id": "b"}],
        "rounds": [{"round_id": "r1", "packs": packs, "assignment": assignment, "draw": {"entropy": ["operator", "notary"]}}]});
    entries.sort_by_key(bytes);
    let rules_hash = Sha256::digest(serde_json_canonicalizer::to_vec(&campaign).unwrap());
    let mut tree = tree::Tree::default();
    entries.iter().for_each(|entry| tree.push(&bytes(entry)));
    let (secret, notary) = ([7u8; 32], [1u8, 2, 3]);
    let seed = Sha256::new()
        .chain_update(b"quanyu.draw.v1\0")
        .chain_update(lp(b"demo"))
        .chain_update(lp(b"r1"))
        .chain_update(rules_hash)
        .chain_update(tree.root())
        .chain_update((entries.len() as u64).to_be_bytes())
        .chain_update(lp(&notary))
        .chain_update(secret)
        .finalize();
    let score = |entry: &Entry| {
        Hmac::<Sha256>::new_from_slice(&seed).unwrap().chain_update(bytes(entry)).finalize().into_bytes()
    };
    let mut ranked: Vec<_> = entries.iter().map(|entry| (score(entry), entry.clone())).collect();
    ranked.sort_by(|a, b| (&a.0, &a.1.0).cmp(&(&b.0, &b.1.0)));
    let mut winners: Vec<Entry> = Vec::new();
    let mut cutoffs: Vec<Value> = Vec::new();
    for (score, entry) in ranked {
        let group = (if split { entry.1 } else { None }, entry.2);
        if winners.iter().any(|won| (&won.0, won.1, won.2) == (&entry.0, entry.1, entry.2)) {
            continue;
        }
        let before = winners.iter().filter(|won| (if split { won.1 } else { None }, won.2) == group).count();
        if before < supply(&entry) {
            cutoffs.retain(|cutoff| cutoff["channel"] != json!(group.0) || cutoff["pack_id"] != json!(group.1));
            cutoffs.push(
                json!({"channel": group.0, "pack_id": group.1, "score": hex::encode(score), "pseudonym": entry.0,
                "winners": before + 1}),
            );
            winners.push(entry);
        }
    }
    winners.sort_by_key(bytes);
    let mut commitment = json!({"round_id": "r1", "count": entries.len(), "root": hex::encode(tree.root()),
        "rules_hash": hex::encode(rules_hash), "secret_commitment": hex::encode(Sha256::digest(secret)),
        "entropy": ["operator", "notary"], "closed_at": "2026-01-01T00:00:00+08:00"});
    folder.write("campaign.json", serde_json::to_vec_pretty(&campaign).unwrap());
    folder.write("commitment.json", commitment.to_string());
    let proof = commitment.as_object_mut().unwrap();
    proof.insert("secret".into(), json!(hex::encode(secret)));
    proof.insert("entropy_values".into(), json!([hex::encode(notary)]));
    proof.insert("cutoffs".into(), json!(cutoffs));
    folder.write("proof.json", commitment.to_string());
    folder.write("entries.ndjson", ndjson(&entries));
    folder.write("winners.ndjson", ndjson(&winners));
    folder
}

fn single() -> Folder {
    folder(json!({"a": 10}), "single", false, (0..100).map(|n| entry(n, Some("wechat"), None, 0)).collect(), |_| 10)
}

#[test]
fn a_draw_that_followed_the_rules_is_verified() {
    let verified = verify_folder(&single().0).unwrap();
    assert_eq!((verified.entries, verified.winners), (100, 10));
}

#[test]
fn a_round_with_one_pack_may_name_it_where_nothing_was_chosen() {
    let folder = single();
    folder.change("proof.json", |text| text.replace("\"pack_id\":null", "\"pack_id\":\"a\""));
    folder.change("winners.ndjson", |text| text.replace("\"pack_id\":null", "\"pack_id\":\"a\""));
    assert_eq!(verify_folder(&folder.0).map(|verified| verified.winners), Ok(10));
    folder.change("proof.json", |text| text.replace("\"pack_id\":\"a\"", "\"pack_id\":\"b\""));
    assert!(!folder.faults().is_empty());
}

#[test]
fn fewer_entries_than_packs_all_win() {
    let entries = (0..7).map(|n| entry(n, None, None, 0)).collect();
    assert_eq!(verify_folder(&folder(json!({"a": 10}), "single", false, entries, |_| 10).0).unwrap().winners, 7);
}

#[test]
fn channels_and_tiers_are_drawn_apart_and_several_chances_count_once() {
    let mut entries = Vec::new();
    for n in 0..60 {
        for channel in ["alipay", "wechat"] {
            let pack = if n % 3 == 0 { "b" } else { "a" };
            entries.extend((0..=(n % 4) as u16).map(|k| entry(n, Some(channel), Some(pack), k)));
        }
    }
    let packs =
        json!({"a": {"count": 9, "by_channel": "equal"}, "b": {"count": 5, "by_channel": {"alipay": 2, "wechat": 3}}});
    let supply = |entry: &Entry| match (entry.2, entry.1) {
        (Some("a"), Some("alipay")) => 5,
        (Some("a"), _) => 4,
        (_, Some("alipay")) => 2,
        _ => 3,
    };
    assert_eq!(verify_folder(&folder(packs, "choice", true, entries, supply).0).unwrap().winners, 14);
}

#[test]
fn a_changed_entry_changes_the_root() {
    let folder = single();
    folder.change("entries.ndjson", |text| text.replacen("wechat", "alipay", 1));
    assert!(folder.faults().iter().any(|fault| fault.contains("the root of entries.ndjson")));
}

#[test]
fn a_changed_winner_is_named_with_its_line() {
    let folder = single();
    folder.change("winners.ndjson", |text| {
        let loser = hex::encode([0xab; 32]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[3] = json!({"pseudonym": loser, "channel": "wechat", "pack_id": null, "k": 0}).to_string();
        lines.join("\n")
    });
    let faults = folder.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("winners.ndjson line 4: the winner is "), "{faults:?}");
}

#[test]
fn a_left_out_winner_and_a_smuggled_one_are_named() {
    let folder = single();
    folder.change("winners.ndjson", |text| text.lines().take(9).map(|line| line.to_owned() + "\n").collect());
    assert_eq!(folder.faults(), ["winners.ndjson ends early: 1 winners are missing"]);
    let extra = ndjson(&[entry(1000, Some("wechat"), None, 0)]);
    let folder = single();
    folder.change("winners.ndjson", |text| text + &extra);
    assert!(folder.faults()[0].ends_with("has not won"));
}

#[test]
fn another_secret_is_not_the_one_committed_to() {
    let folder = single();
    folder.change("proof.json", |text| text.replace(&hex::encode([7u8; 32]), &hex::encode([8u8; 32])));
    assert!(folder.faults()[0].starts_with("SHA-256 of the secret is "));
}

#[test]
fn swapped_and_repeated_lines_are_not_a_list() {
    let folder = single();
    folder.change("entries.ndjson", |text| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.swap(4, 5);
        lines.join("\n")
    });
    assert_eq!(folder.faults()[0], "entries.ndjson line 6 is not in order");
    let folder = single();
    folder.change("entries.ndjson", |text| text.clone() + text.lines().last().unwrap());
    assert_eq!(folder.faults()[0], "entries.ndjson line 101 repeats the line before");
}

#[test]
fn a_wrong_count_is_a_difference() {
    let folder = single();
    folder.change("commitment.json", |text| text.replace("\"count\":100", "\"count\":101"));
    let faults = folder.faults();
    assert!(faults.contains(&"proof.json says another count than commitment.json".to_owned()), "{faults:?}");
    assert!(faults.contains(&"entries.ndjson holds 100 entries, the commitment says 101".to_owned()), "{faults:?}");
}

#[test]
fn an_amended_campaign_file_is_not_the_one_drawn_from() {
    let folder = single();
    folder.change("campaign.json", |text| text.replace("\"a\": 10", "\"a\": 11"));
    assert!(folder.faults()[0].starts_with("the rules_hash of campaign.json is "));
}

#[test]
fn a_missing_public_value_is_not_replaced_by_anything() {
    let folder = single();
    folder.change("proof.json", |text| text.replace("\"entropy_values\":[\"010203\"]", "\"entropy_values\":[]"));
    assert_eq!(folder.faults()[0], "1 public entropy values were named, the proof has 0");
}

#[test]
fn a_moved_cutoff_is_a_difference() {
    let folder = single();
    folder.change("proof.json", |text| text.replace("\"winners\":10", "\"winners\":11"));
    assert_eq!(folder.faults(), ["all channels has 10 winners, its cutoff says 11"]);
}

#[test]
fn a_folder_that_lacks_a_file_is_not_a_different_draw() {
    for name in ["proof.json", "entries.ndjson", "winners.ndjson", "campaign.json"] {
        let folder = single();
        std::fs::remove_file(folder.0.join(name)).unwrap();
        let Err(Failure::CouldNotLook(faults)) = verify_folder(&folder.0) else { panic!("{name} is missing") };
        assert!(faults.len() == 1 && faults[0].starts_with(name), "{name}: {faults:?}");
    }
    for name in ["proof.json", "commitment.json", "campaign.json"] {
        let folder = single();
        folder.write(name, "<html>");
        let Err(Failure::CouldNotLook(faults)) = verify_folder(&folder.0) else { panic!("{name} is a page") };
        assert!(faults[0].starts_with(&format!("{name} is not JSON")), "{name}: {faults:?}");
    }
    let empty = Folder(std::env::temp_dir().join(format!("quanyu-verify-{}-empty", std::process::id())));
    std::fs::create_dir_all(&empty.0).unwrap();
    let Err(Failure::CouldNotLook(faults)) = verify_folder(&empty.0) else { panic!("nothing is there") };
    assert_eq!(faults.len(), 3, "every missing file is named at once: {faults:?}");
}

#[test]
fn the_public_answer_about_a_campaign_is_taken_for_its_file() {
    let answer = |wrap: fn(Value) -> Value| {
        let folder = single();
        folder.change("campaign.json", |text| wrap(serde_json::from_str(&text).unwrap()).to_string());
        folder
    };
    let plain = answer(|file| json!({"campaign_id": "demo", "rules_hash": "ab", "campaign": file}));
    assert!(verify_folder(&plain.0).is_ok());
    let amended = answer(|file| json!({"campaign": {"campaign_id": "demo", "rounds": []}, "published": file}));
    assert!(verify_folder(&amended.0).is_ok());
    let forged = answer(|mut file| {
        file["rounds"][0]["packs"] = json!({"a": 11});
        json!({"campaign": file})
    });
    assert!(forged.faults()[0].starts_with("the rules_hash of campaign.json is "));
}

/// Thirty people all win one of 10 packs a and 50 packs b, the first of them by second score a; `draw` names the version.
fn by_chance(draw: Option<&str>, firsts: usize) -> Folder {
    let entries: Vec<Entry> = (0..30).map(|n| entry(n, Some("wechat"), None, 0)).collect();
    let folder = folder(json!({"a": 10, "b": 50}), "chance", false, entries.clone(), |_| 60);
    let seed = Proof::read(&folder.0).unwrap().check(&mut Faults::default());
    let second = |entry: &Entry| {
        let mac = Hmac::<Sha256>::new_from_slice(&seed).unwrap().chain_update(b"quanyu.tier.v1\0");
        mac.chain_update(bytes(entry)).finalize().into_bytes()
    };
    let mut winners = entries;
    winners.sort_by_key(second);
    winners.iter_mut().enumerate().for_each(|(place, winner)| winner.2 = Some(if place < firsts { "a" } else { "b" }));
    winners.sort_by_key(|winner| bytes(&(winner.0.clone(), winner.1, None, winner.3)));
    folder.write("winners.ndjson", ndjson(&winners));
    for name in ["commitment.json", "proof.json"] {
        folder.change(name, |text| match draw {
            Some(draw) => text.replacen('{', &format!("{{\"draw\":\"{draw}\","), 1),
            None => text,
        });
    }
    folder
}

#[test]
fn packs_of_chance_go_in_turn_by_the_first_version_and_in_proportion_by_the_second() {
    for (draw, firsts, follows) in [
        (None, 10, true),
        (Some("quanyu.draw.v1"), 10, true),
        (Some("quanyu.draw.v2"), 5, true),
        (None, 5, false),
        (Some("quanyu.draw.v2"), 10, false),
        (Some("quanyu.draw.v3"), 5, false),
    ] {
        let found = verify_folder(&by_chance(draw, firsts).0);
        assert_eq!(found.is_ok(), follows, "{draw:?} {firsts}: {found:?}");
    }
}

#[test]
fn a_version_that_nobody_was_promised_is_a_difference() {
    let folder = by_chance(Some("quanyu.draw.v2"), 5);
    folder.change("commitment.json", |text| text.replace("\"draw\":\"quanyu.draw.v2\",", ""));
    assert_eq!(folder.faults()[0], "proof.json names a version of the draw that commitment.json does not");
}
