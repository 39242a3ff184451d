//! What was published about the winners, against what the list and the seed give.

use std::path::Path;

use super::entries::{self, entry_bytes};
use super::groups::{Decided, Window};
use super::proof::{Cutoff, Proof};
use super::{Failure, Faults};

pub fn check_cutoffs(decided: &[Decided], proof: &Proof, faults: &mut Faults) {
    for (n, published) in proof.windows.iter().enumerate() {
        let of_wave = if n == 0 { String::new() } else { format!(" of wave {n}") };
        let mut unused: Vec<&Cutoff> = published.cutoffs.iter().collect();
        for group in decided {
            let name = name(group.channel.as_deref(), &group.pack_id) + &of_wave;
            let own = unused.iter().position(|cutoff| is_of(cutoff, group)).map(|index| unused.swap_remove(index));
            check_cutoff(&name, &group.windows[n], own, faults);
        }
        for cutoff in unused {
            faults.add(format!(
                "the cutoff for {}{of_wave} belongs to no packs of the round",
                name(cutoff.channel.as_deref(), pack(cutoff))
            ));
        }
        check_tiers(decided, n, published.tiers.as_deref(), faults);
    }
}

fn check_cutoff(name: &str, window: &Window, published: Option<&Cutoff>, faults: &mut Faults) {
    let won = window.winners.len() as u64;
    match (published, &window.cutoff) {
        (None, None) => {}
        (None, Some(_)) => faults.add(format!("the proof has no cutoff for {name}")),
        (Some(cutoff), _) if cutoff.winners != won => {
            faults.add(format!("{name} has {won} winners, its cutoff says {}", cutoff.winners));
        }
        (Some(_), None) => {}
        (Some(cutoff), Some(last)) => {
            let (score, pseudonym) = (hex::encode(last.score), hex::encode(last.pseudonym.0));
            if cutoff.score.as_ref() != Some(&score) || cutoff.pseudonym.as_ref() != Some(&pseudonym) {
                faults.add(format!(
                    "the last winner of {name} is {pseudonym} with score {score}, its cutoff says another"
                ));
            }
        }
    }
}

/// Second scores are checked where the proof says them; the list of winners is checked in any case.
fn check_tiers(decided: &[Decided], window: usize, published: Option<&[Cutoff]>, faults: &mut Faults) {
    let Some(published) = published else { return };
    let mut unused: Vec<&Cutoff> = published.iter().collect();
    for group in decided {
        for (pack_id, score, pseudonym, winners) in &group.windows[window].tiers {
            let same = |tier: &&Cutoff| {
                tier.channel == group.channel
                    && pack(tier) == pack_id
                    && tier.winners == *winners
                    && tier.score.as_deref() == Some(&hex::encode(score))
                    && tier.pseudonym.as_deref() == Some(&hex::encode(pseudonym.0))
            };
            match unused.iter().position(same) {
                Some(index) => drop(unused.swap_remove(index)),
                None => faults.add(format!(
                    "the tier of {} ends with {} at {}, the proof says otherwise",
                    name(group.channel.as_deref(), pack_id),
                    hex::encode(pseudonym.0),
                    hex::encode(score)
                )),
            }
        }
    }
    for tier in unused {
        faults.add(format!("the tier of {} follows from nothing", name(tier.channel.as_deref(), pack(tier))));
    }
}

fn pack(cutoff: &Cutoff) -> &str {
    cutoff.pack_id.as_deref().unwrap_or_default()
}

/// Where nothing is chosen the group has no pack id; a cutoff may still name the only pack.
fn is_of(cutoff: &Cutoff, group: &Decided) -> bool {
    let same_pack = pack(cutoff) == group.pack_id
        || group.pack_id.is_empty()
            && group.windows.iter().flat_map(|window| &window.winners).all(|(_, won)| won == pack(cutoff));
    same_pack && cutoff.channel.as_deref().unwrap_or_default() == group.channel.as_deref().unwrap_or_default()
}

fn name(channel: Option<&str>, pack_id: &str) -> String {
    let channel = channel.unwrap_or("all channels");
    if pack_id.is_empty() { channel.to_owned() } else { format!("{channel}, pack {pack_id}") }
}

/// Walks the published list beside the recomputed one; both are in the order of the tree. Answers how many won.
pub fn check_list(folder: &Path, decided: Vec<Decided>, proof: &Proof, faults: &mut Faults) -> Result<u64, Failure> {
    let channels: Vec<&str> =
        proof.campaign["channels"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let mut packs: Vec<String> = Vec::new();
    let mut chosen: Vec<bool> = Vec::new();
    let mut expected = Vec::new();
    for group in decided {
        let windows = group.windows.into_iter().enumerate();
        let winners = windows.flat_map(|(wave, window)| window.winners.into_iter().map(move |won| (wave, won)));
        for (wave, (winner, pack_id)) in winners {
            let pack = packs.iter().position(|known| *known == pack_id).unwrap_or_else(|| {
                packs.push(pack_id);
                chosen.push(!group.pack_id.is_empty());
                packs.len() - 1
            });
            expected.push((winner.pseudonym, winner.channel, pack as u32, winner.k, wave as u8));
        }
    }
    let channel_of = |index: Option<u8>| index.map_or("", |index| channels[usize::from(index)]);
    // An entry names its pack only where it was chosen; pack order in the tree is the order of those bytes.
    let entry_of = |&(pseudonym, channel, pack, k, _): &(entries::Pseudonym, Option<u8>, u32, u16, u8)| {
        let pack = pack as usize;
        entry_bytes(&pseudonym, channel_of(channel), if chosen[pack] { &packs[pack] } else { "" }, k)
    };
    expected.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| entry_of(a).cmp(&entry_of(b))));
    let mut wanted = expected.iter();
    entries::for_each_line(folder, "winners.ndjson", |number, line| {
        let Some(next) = wanted.next() else {
            return faults.add(format!("winners.ndjson line {number}: {} has not won", hex::encode(line.pseudonym.0)));
        };
        let pack = next.2 as usize;
        let same_pack = line.pack_id() == packs[pack] || line.pack_id().is_empty() && !chosen[pack];
        let same = line.pseudonym == next.0 && line.channel() == channel_of(next.1) && line.k == next.3 && same_pack;
        let same = same && line.wave == usize::from(next.4);
        if !same {
            let (channel, pack_id) = (channel_of(next.1), &packs[pack]);
            let pseudonym = hex::encode(next.0.0);
            faults.add(format!(
                "winners.ndjson line {number}: the winner is {pseudonym} (channel \"{channel}\", pack {pack_id}, k {}), the file says {} (channel \"{}\", pack {}, k {})",
                next.3, hex::encode(line.pseudonym.0), line.channel(), line.pack_id(), line.k
            ));
        }
    })?;
    let missing = wanted.count();
    if missing > 0 {
        faults.add(format!("winners.ndjson ends early: {missing} winners are missing"));
    }
    Ok(expected.len() as u64)
}
