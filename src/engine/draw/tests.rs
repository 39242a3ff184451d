//! The decision of a draw against a slow one that does what the rules say, and the size of the largest list.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::result::Standing;
use super::*;
use crate::domain::draw::Inputs;
use crate::domain::person::mac;
use crate::domain::ranking::Rule;
use crate::keyring::KeyRing;
use crate::store::campaign::{CampaignRecord, WaveRecord};
use crate::store::record::Entry as RecordEntry;

const CHANNELS: u32 = 3;

/// A campaign of three packs on three channels whose only round is what the test wants.
fn record(change: impl FnOnce(&mut Value)) -> CampaignRecord {
    let pack = |pack_id: &str| {
        json!({"pack_id": pack_id, "vouchers": [{"voucher_kind": pack_id, "transaction_minimum": 4000,
            "discount_amount": 1000, "count": 1}]})
    };
    let mut file = json!({"campaign_id": "c1", "name": {"zh": "一", "en": "One"}, "time_zone": "Asia/Shanghai",
        "currency": "CNY", "budget": 90_000_000_000_i64, "channels": ["wechat", "alipay", "unionpay"],
        "packs": [pack("b"), pack("a"), pack("cc")],
        "reservation": {"opens_at": "2026-01-01T00:00:00+08:00", "closes_at": "2026-01-02T00:00:00+08:00"},
        "rounds": [{"round_id": "r1", "mode": "ballot", "packs": {"a": 9},
            "draw": {"at": "2026-01-03T00:00:00+08:00", "entropy": ["operator"]}, "credit_at": "2026-01-04T00:00:00+08:00"}],
        "validity": {"available_begin_time": "2026-01-05T00:00:00+08:00", "available_end_time": "2026-02-05T00:00:00+08:00"},
        "use_rule": {"categories": ["catering"]}, "refund_policy": "restore_on_full_refund"});
    change(&mut file["rounds"][0]);
    let hash = "11".repeat(32);
    let closed = json!({"count": 1, "root": hash, "secret_commitment": "", "closed_at": 0});
    let record = json!({"number": 1, "program": "p", "file": file.to_string(), "rules_hash": hash, "state": "published",
        "rev": 1, "buckets": 1, "put_by": "", "submitted_by": null, "approved_by": null, "published_at": null, "paused": [],
        "pause_reason": null, "stopped": false, "rounds": [{"list": {"closed": closed}, "draw": null, "credited_at": null}]});
    serde_json::from_value(record).expect("a stored record")
}

fn view(record: &CampaignRecord) -> CampaignView {
    CampaignView::new("c1", record.clone(), &KeyRing::of_master([5; 32])).expect("the file parses")
}

fn people(view: &CampaignView, people: u32, choice: impl Fn(u32) -> u8, chances: impl Fn(u32) -> u8) -> Vec<ListEntry> {
    let entry = |n: u32, choice| ListEntry {
        pseudonym: Pseudonym(mac(b"people", &[&(n / CHANNELS).to_be_bytes()])),
        channel: (n % CHANNELS) as u8,
        choice,
        shard: (n / CHANNELS % 2) as u8,
        chances: chances(n),
    };
    let all =
        (0..people * CHANNELS).flat_map(|n| view.rounds[0].choices(choice(n)).into_iter().map(move |c| entry(n, c)));
    let mut list: Vec<ListEntry> = all.collect();
    super::entries::sort(view, &mut list);
    list
}

fn decide(record: &CampaignRecord, list: &[ListEntry], contests: Option<Vec<Contest>>) -> Decision {
    let view = view(record);
    let round = &view.rounds[0];
    let state = &record.rounds[0];
    let seed =
        seed("c1", &round.round, record, state, &KeyRing::of_master([5; 32])).expect("no public value is awaited");
    let contests = contests.unwrap_or_else(|| round.contests(round.cells()));
    Decider { view: &view, round, seed: &seed, list, drawn: round.draw.as_ref(), shards: 2 }.decide(&contests)
}

/// The record after the draw, or after one more wave.
fn after(record: &CampaignRecord, decision: &Decision) -> CampaignRecord {
    let mut record = record.clone();
    let cutoffs = decision.cutoffs.clone();
    match &record.rounds[0].draw {
        None => record.rounds[0].draw = Some(DrawRecord { drawn_at: 0, cutoffs }),
        Some(_) => record.rounds[0].waves.push(WaveRecord { frozen_at: 0, cutoffs: Some(cutoffs), left: Vec::new() }),
    }
    record
}

/// (person, channel, pack) of everybody whose place in the drawn round wins in a window.
fn winners(record: &CampaignRecord, list: &[ListEntry], window: usize) -> Vec<(Pseudonym, u8, u8)> {
    let view = view(record);
    let place = |entry: &ListEntry| {
        let place = view.rounds[0].place(&view, &entry.standing())?;
        (place.won && place.window == window).then_some((entry.pseudonym, entry.channel, place.group.pack))
    };
    list.iter().filter_map(place).collect()
}

fn counts(winners: &[(Pseudonym, u8, u8)]) -> BTreeMap<(u8, u8), usize> {
    let mut counts = BTreeMap::new();
    winners.iter().for_each(|(_, channel, pack)| *counts.entry((*channel, *pack)).or_default() += 1);
    counts
}

#[test]
fn every_cell_gives_exactly_its_packs_and_each_shard_knows_its_share() {
    let record = record(|round| {
        round["assignment"] = json!("choice");
        round["packs"] =
            json!({"a": {"count": 10, "by_channel": "equal"}, "b": {"count": 5, "by_channel": {"alipay": 5}}});
    });
    // Positions are the campaign's: b is 0, a is 1.
    let list = people(&view(&record), 90, |n| (n / CHANNELS % 2) as u8, |n| 1 + (n % 4) as u8);
    let decision = decide(&record, &list, None);
    let won = winners(&after(&record, &decision), &list, 0);
    assert_eq!(counts(&won), [((0, 1), 4), ((1, 1), 3), ((2, 1), 3), ((1, 0), 5)].into());
    for allowance in &decision.allowances {
        for (shard, packs) in allowance.per_shard.iter().enumerate() {
            let of_shard = won.iter().filter(|(person, channel, pack)| {
                let entry = list.iter().find(|entry| entry.pseudonym == *person).expect("a winner is on the list");
                usize::from(entry.shard) == shard && *pack == allowance.pack && allowance.channel == Some(*channel)
            });
            assert_eq!(of_shard.count() as u64, *packs);
        }
    }
}

#[test]
fn the_order_of_input_and_the_other_channels_change_nothing() {
    let record = record(|round| round["packs"] = json!({"a": {"count": 30, "by_channel": "equal"}}));
    let view = view(&record);
    let list = people(&view, 200, |_| NO_CHOICE, |_| 1);
    let mut shuffled: Vec<ListEntry> = list.iter().rev().copied().collect();
    shuffled.sort_by_key(|entry| (entry.shard, entry.channel));
    super::entries::sort(&view, &mut shuffled);
    assert_eq!(shuffled, list);
    let whole = decide(&record, &list, None);
    let wechat: Vec<ListEntry> = list.iter().filter(|entry| entry.channel == 0).copied().collect();
    let alone = decide(&record, &wechat, None);
    let of_wechat = |decision: &Decision| decision.cutoffs.iter().find(|cutoff| cutoff.channel == Some(0)).cloned();
    assert_eq!(of_wechat(&whole), of_wechat(&alone));
    // Winning on one channel says nothing about another: of 10 in 200 on each, about none wins twice.
    let won = winners(&after(&record, &whole), &list, 0);
    let mut persons: Vec<Pseudonym> = won.iter().map(|winner| winner.0).collect();
    persons.sort_unstable();
    persons.dedup();
    assert!(persons.len() >= 24, "{}", persons.len());
}

#[test]
fn waves_go_on_where_the_draw_stopped_and_chance_deals_what_is_left() {
    let first = record(|round| {
        round["assignment"] = json!("chance");
        round["packs"] = json!({"cc": 3, "a": 20, "b": 5});
    });
    let list = people(&view(&first), 40, |_| NO_CHOICE, |_| 1);
    let drawn = after(&first, &decide(&first, &list, None));
    let won = winners(&drawn, &list, 0);
    let of_pack = |won: &[(Pseudonym, u8, u8)], pack| won.iter().filter(|winner| winner.2 == pack).count();
    assert_eq!([0, 1, 2].map(|pack| of_pack(&won, pack)), [5, 20, 3]);
    let left = vec![Contest { channel: None, pack: NO_CHOICE, packs: vec![(0, 2), (1, 4), (2, 0)] }];
    let wave = after(&drawn, &decide(&drawn, &list, Some(left)));
    let next = winners(&wave, &list, 1);
    assert_eq!([0, 1, 2].map(|pack| of_pack(&next, pack)), [2, 4, 0]);
    assert_eq!(winners(&wave, &list, 0), won, "who had won has won");
    let mut ranked: Vec<(Score, Pseudonym, u8)> = Vec::new();
    let seen = view(&wave);
    for entry in &list {
        let place = seen.rounds[0].place(&seen, &entry.standing()).expect("a place");
        ranked.push((place.score, entry.pseudonym, entry.channel));
    }
    ranked.sort_unstable();
    let mut lowest: Vec<(Pseudonym, u8)> = ranked[28..34].iter().map(|one| (one.1, one.2)).collect();
    let mut passed: Vec<(Pseudonym, u8)> = next.iter().map(|one| (one.0, one.1)).collect();
    lowest.sort_unstable();
    passed.sort_unstable();
    assert_eq!(passed, lowest);
}

/// Three packs on three channels, of which a person may keep two: against a slow draw that does what the rule says, over three windows.
#[test]
fn fewer_winners_than_packs_share_them_by_the_version_that_was_published() {
    let mut drawn = record(|round| {
        round["assignment"] = json!("chance");
        round["packs"] = json!({"b": 20, "a": 60, "cc": 10});
    });
    for (rule, wanted) in [(Rule::V1, vec![(0, 20), (1, 10)]), (Rule::V2, vec![(0, 7), (1, 20), (2, 3)])] {
        drawn.rounds[0].rule = rule;
        let list = people(&view(&drawn), 10, |_| NO_CHOICE, |_| 1);
        let decision = decide(&drawn, &list, None);
        let tiers = decision.cutoffs[0].tiers.iter().map(|tier| (tier.pack, tier.winners));
        assert_eq!(tiers.collect::<Vec<_>>(), wanted, "{rule:?}");
    }
}

#[test]
fn in_every_wave_a_person_keeps_no_more_than_allowed_and_what_one_let_lie_counts() {
    let mut record = record(|round| {
        round["assignment"] = json!("each");
        round["max_packs_per_person"] = json!(2);
        round["packs"] = json!({"a": 11, "b": {"count": 12, "by_channel": "equal"}, "cc": 20});
    });
    let list = people(&view(&record), 30, |_| NO_CHOICE, |n| 1 + (n / 9 % 3) as u8);
    let seed = seed("c1", &view(&record).rounds[0].round, &record, &record.rounds[0], &KeyRing::of_master([5; 32]));
    let (seed, seen) = (seed.expect("no public value is awaited"), view(&record));
    let mut waiting: Vec<(Score, Pseudonym, u8, u8)> = list
        .iter()
        .map(|one| (seed.best(&one.standing().entry(&seen), one.chances).0, one.pseudonym, one.channel, one.choice))
        .collect();
    waiting.sort_unstable();
    let whole = seen.rounds[0].contests(seen.rounds[0].cells());
    let left = |counts: [u64; 5]| -> Vec<Contest> {
        let counted = whole.iter().zip(counts);
        counted.map(|(one, count)| Contest { packs: vec![(one.pack, count)], ..one.clone() }).collect()
    };
    let mut kept: BTreeMap<Pseudonym, usize> = BTreeMap::new();
    let mut expected: Vec<(usize, Pseudonym, u8, u8)> = Vec::new();
    for (window, contests) in [whole.clone(), left([2, 1, 0, 3, 4]), left([4, 2, 2, 2, 2])].into_iter().enumerate() {
        let mut open: Vec<u64> = contests.iter().map(Contest::supply).collect();
        waiting.retain(|(_, person, channel, choice)| {
            let contest = contests.iter().position(|contest| contest.takes(*channel, *choice)).expect("a contest");
            let kept = kept.entry(*person).or_default();
            let wins = open[contest] > 0 && *kept < 2;
            if wins {
                (*kept, open[contest]) = (*kept + 1, open[contest] - 1);
                expected.push((window, *person, *channel, *choice));
            }
            !wins
        });
        let decision = decide(&record, &list, Some(contests));
        record = after(&record, &decision);
    }
    assert!((0..3).all(|window| expected.iter().any(|won| won.0 == window)), "every wave gives something");
    // Anybody's wins follow from the cutoffs and that person's entries alone.
    let drawn = view(&record);
    let mut found = Vec::new();
    for person in list.chunk_by(|a, b| a.pseudonym == b.pseudonym) {
        let entry = |channel| RecordEntry { channel, choice: NO_CHOICE, ..RecordEntry::default() };
        let entries: Vec<RecordEntry> = (0..CHANNELS as u8).map(entry).collect();
        let chances = |channel| person.iter().find(|one| one.channel == channel).map(|one| one.chances);
        assert!((0..3).all(|channel| chances(channel) == chances(0)), "a person has as many entries on every channel");
        let wins = drawn.rounds[0].wins(&drawn, person[0].pseudonym, &entries, person[0].chances);
        found.extend(wins.iter().map(|win| (win.place.window, person[0].pseudonym, win.channel, win.place.group.pack)));
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn the_seed_depends_on_every_public_value() {
    let of = |entropy: &[Vec<u8>]| {
        let (rules_hash, root, secret) = ([1; 32], [2; 32], [3; 32]);
        let seed = Seed::of(&Inputs { campaign_id: "c", round_id: "r", rules_hash, root, count: 1, entropy, secret });
        seed.score(&Entry { pseudonym: Pseudonym([0; 32]), channel: "", pack_id: "", k: 0 })
    };
    let scores = [of(&[]), of(&[vec![1]]), of(&[vec![2]]), of(&[vec![1], vec![2]]), of(&[vec![1, 2]])];
    assert!((0..5).all(|a| (0..a).all(|b| scores[a] != scores[b])));
}

/// Run it alone: `cargo test --lib fifteen_million -- --ignored --nocapture`. It measures this process at its largest.
#[test]
#[ignore = "takes minutes and a gigabyte"]
fn fifteen_million_entries_are_drawn_in_a_gigabyte_and_a_half() {
    let record = record(|round| round["packs"] = json!({"a": {"count": 4_000_000, "by_channel": "equal"}}));
    let seen = Arc::new(view(&record));
    let mut list: Vec<ListEntry> = Vec::new();
    for n in 0..15_000_000_u32 {
        let pseudonym = Pseudonym(mac(b"people", &[&n.to_be_bytes()]));
        list.push(ListEntry { pseudonym, channel: (n % CHANNELS) as u8, choice: NO_CHOICE, shard: 0, chances: 1 });
    }
    super::entries::sort(&seen, &mut list);
    let list = Arc::new(list);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let tree = runtime.block_on(root_of(&seen, &list)).expect("a root");
    assert_eq!(tree.count, 15_000_000);
    let decision = decide(&record, &list, None);
    assert_eq!(decision.cutoffs.iter().map(|cutoff| cutoff.winners).sum::<u64>(), 4_000_000);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("peak_mib={}", kib / 1024);
    assert!(kib < 1_572_864, "{kib} KiB");
    let one = Standing { pseudonym: list[0].pseudonym, channel: list[0].channel, choice: NO_CHOICE, chances: 1 };
    let drawn = view(&after(&record, &decision));
    assert!(drawn.rounds[0].place(&drawn, &one).is_some());
}
