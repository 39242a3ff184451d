//! The groups that compete for the same packs, and the N lowest of each.

use std::collections::BinaryHeap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::entries::{Line, Pseudonym, entry_bytes};
use super::proof::Proof;
use super::tree::Hash;

/// One (person, channel, pack_id) with its lowest score; ordered as the rule orders: score, then pseudonym.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub score: Hash,
    pub pseudonym: Pseudonym,
    /// Position in the campaign's `channels`, or none.
    pub channel: Option<u8>,
    pub k: u16,
}

pub struct Group {
    /// None when one group runs over all channels.
    pub channel: Option<String>,
    /// Empty when the persons choose nothing.
    pub pack_id: String,
    /// Packs that the winners share: one, or the tiers of `chance` in file order.
    pub tiers: Vec<(String, u64)>,
    pub supply: u64,
    /// The lowest seen so far, the highest of them on top.
    lowest: BinaryHeap<Candidate>,
}

/// A group after the whole list has gone by.
pub struct Decided {
    pub channel: Option<String>,
    pub pack_id: String,
    pub cutoff: Option<Candidate>,
    /// Winner and the pack it gets.
    pub winners: Vec<(Candidate, String)>,
}

pub struct Groups {
    groups: Vec<Group>,
    channels: Vec<String>,
    split: bool,
    chosen: bool,
    /// The candidate whose `k` are still arriving: the list is sorted, so they are neighbours.
    pending: Option<(usize, Candidate)>,
}

impl Groups {
    pub fn of_round(proof: &Proof) -> Result<Groups, String> {
        let channels: Vec<String> = strings(&proof.campaign["channels"]);
        let assignment = proof.round["assignment"].as_str().unwrap_or("single");
        let chosen = matches!(assignment, "choice" | "each");
        let supply = if proof.supply_from_file() { supply_of_file(proof, &channels)? } else { supply_of_proof(proof) };
        let split = supply.iter().any(|part| part.channel.is_some());
        let mut groups: Vec<Group> = Vec::new();
        for part in supply {
            let pack_id = if chosen { part.pack_id.clone() } else { String::new() };
            let tier = (part.pack_id, part.count);
            match groups.iter_mut().find(|group| group.channel == part.channel && group.pack_id == pack_id) {
                Some(group) => {
                    group.supply += part.count;
                    group.tiers.push(tier);
                }
                None => groups.push(Group {
                    channel: part.channel,
                    pack_id,
                    tiers: vec![tier],
                    supply: part.count,
                    lowest: BinaryHeap::new(),
                }),
            }
        }
        if assignment == "single" && groups.iter().any(|group| group.tiers.len() > 1) {
            return Err("the round gives several packs without saying who gets which (assignment single)".to_owned());
        }
        Ok(Groups { groups, channels, split, chosen, pending: None })
    }

    /// Takes the next entry of the sorted list.
    pub fn offer(&mut self, line: &Line, score: Hash) -> Result<(), String> {
        let channel = match line.channel() {
            "" => None,
            name => Some(
                self.channels
                    .iter()
                    .position(|known| known == name)
                    .ok_or(format!("channel {name} is not the campaign's"))?,
            ),
        };
        let group = self.group_of(line).ok_or_else(|| {
            format!("no packs are set apart for channel \"{}\" and pack \"{}\"", line.channel(), line.pack_id())
        })?;
        let channel = channel.and_then(|index| u8::try_from(index).ok());
        let candidate = Candidate { score, pseudonym: line.pseudonym, channel, k: line.k };
        if let Some((pending_group, pending)) = &mut self.pending
            && *pending_group == group
            && (pending.pseudonym, pending.channel) == (candidate.pseudonym, candidate.channel)
        {
            *pending = (*pending).min(candidate);
            return Ok(());
        }
        self.settle();
        self.pending = Some((group, candidate));
        Ok(())
    }

    fn group_of(&self, line: &Line) -> Option<usize> {
        self.groups.iter().position(|group| {
            group.pack_id == line.pack_id()
                && (!self.split || group.channel.as_deref().unwrap_or_default() == line.channel())
        })
    }

    fn settle(&mut self) {
        let Some((index, candidate)) = self.pending.take() else { return };
        let group = &mut self.groups[index];
        if (group.lowest.len() as u64) < group.supply {
            group.lowest.push(candidate);
        } else if let Some(mut highest) = group.lowest.peek_mut()
            && candidate < *highest
        {
            *highest = candidate;
        }
    }

    /// After the last entry: who won what.
    pub fn decide(mut self, seed: &Hash) -> Vec<Decided> {
        self.settle();
        let (channels, chosen) = (self.channels, self.chosen);
        let decide = |group: Group| {
            let cutoff = group.lowest.peek().copied();
            let mut ranked = group.lowest.into_vec();
            if group.tiers.len() > 1 {
                ranked.sort_unstable_by_key(|winner| (tier_rank(seed, winner, &channels), winner.pseudonym));
            }
            let packs = group.tiers.iter().flat_map(|(pack_id, count)| {
                std::iter::repeat_n(pack_id, usize::try_from(*count).unwrap_or(usize::MAX))
            });
            let winners = ranked.into_iter().zip(packs.cloned()).collect();
            let pack_id = if chosen { group.pack_id } else { String::new() };
            Decided { channel: group.channel, pack_id, cutoff, winners }
        };
        self.groups.into_iter().map(decide).collect()
    }
}

/// Which winner of a `chance` group gets the better tier: a second HMAC, so that a lucky score is not a good tier too.
fn tier_rank(seed: &Hash, winner: &Candidate, channels: &[String]) -> Hash {
    let channel = winner.channel.map_or("", |index| channels[usize::from(index)].as_str());
    let entry = entry_bytes(&winner.pseudonym, channel, "", winner.k);
    let keyed = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes a key of any length");
    keyed.chain_update(b"quanyu.tier.v1\0").chain_update(entry).finalize().into_bytes().into()
}

struct Part {
    channel: Option<String>,
    pack_id: String,
    count: u64,
}

/// `packs` of the round, in the order of the campaign's `packs`.
fn supply_of_file(proof: &Proof, channels: &[String]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let known = proof.campaign["packs"].as_array().into_iter().flatten().filter_map(|pack| pack["pack_id"].as_str());
    for pack_id in known {
        let supply = &proof.round["packs"][pack_id];
        let Some(count) = supply.as_u64().or(supply["count"].as_u64()) else { continue };
        let part =
            |channel: Option<&String>, count| Part { channel: channel.cloned(), pack_id: pack_id.to_owned(), count };
        match &supply["by_channel"] {
            Value::String(word) if word == "equal" => {
                let share = count / channels.len().max(1) as u64;
                let rest = count % channels.len().max(1) as u64;
                parts.extend((0..).zip(channels).map(|(n, channel)| part(Some(channel), share + u64::from(n < rest))));
            }
            Value::Object(counts) => {
                parts.extend(
                    channels.iter().filter_map(|channel| Some(part(Some(channel), counts.get(channel)?.as_u64()?))),
                );
            }
            _ => parts.push(part(None, count)),
        }
    }
    if parts.is_empty() { Err("the round sets no packs apart".to_owned()) } else { Ok(parts) }
}

/// For a `money` supply the counts were fixed at the draw: the proof says them.
fn supply_of_proof(proof: &Proof) -> Vec<Part> {
    let part = |cutoff: &super::proof::Cutoff| Part {
        channel: cutoff.channel.clone(),
        pack_id: cutoff.pack_id.clone().unwrap_or_default(),
        count: cutoff.winners,
    };
    proof.cutoffs.iter().map(part).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
