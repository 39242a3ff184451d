//! The groups that compete for the same packs, and the lowest of each: in the draw, and after it in each wave.

use std::collections::{BinaryHeap, HashMap};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::entries::{Line, Pseudonym, entry_bytes};
use super::proof::Fixed;
use super::proof::{Cutoff, Proof, Sharing};
use super::supply::{self, Part};
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

struct Group {
    /// None when one group runs over all channels.
    channel: Option<String>,
    /// Empty when the persons choose nothing.
    pack_id: String,
    /// For the draw and each wave the packs that its winners share: one, or the tiers of `chance` in file order.
    windows: Vec<Vec<(String, u64)>>,
    /// As many as may matter.
    most: u64,
    /// The lowest seen so far, the highest of them on top.
    lowest: BinaryHeap<Candidate>,
}

/// A group after the whole list has gone by.
pub struct Decided {
    pub channel: Option<String>,
    pub pack_id: String,
    /// The draw, then each wave.
    pub windows: Vec<Window>,
}

pub struct Window {
    pub cutoff: Option<Candidate>,
    /// Winner and the pack it gets.
    pub winners: Vec<(Candidate, String)>,
    /// Where chance gives the packs: each with its last winner and that one's second score.
    pub tiers: Vec<(String, Hash, Pseudonym, u64)>,
}

pub struct Groups {
    groups: Vec<Group>,
    channels: Vec<String>,
    /// Where chance gives the packs: how.
    chance: Option<Sharing>,
    /// How many packs a person may keep, where the entries of one may win more.
    cap: Option<u64>,
    /// The candidate whose `k` are still arriving: the list is sorted, so they are neighbours.
    pending: Option<(usize, Candidate)>,
}

impl Groups {
    pub fn of_round(proof: &Proof) -> Result<Groups, String> {
        let channels = supply::channels(proof);
        let assignment = proof.round["assignment"].as_str().unwrap_or("single");
        let chosen = matches!(assignment, "choice" | "each");
        let cap = supply::cap(proof, &channels);
        let mut groups: Vec<Group> = Vec::new();
        for Part { channel, pack_id: pack, count } in supply::parts(proof, &channels)? {
            let pack_id = if chosen { pack.clone() } else { String::new() };
            match groups.iter_mut().find(|group| group.channel == channel && group.pack_id == pack_id) {
                Some(group) => group.windows[0].push((pack, count)),
                None => {
                    let windows = vec![vec![(pack, count)]];
                    groups.push(Group { channel, pack_id, windows, most: 0, lowest: BinaryHeap::new() });
                }
            }
        }
        if assignment == "single" && groups.iter().any(|group| group.windows[0].len() > 1) {
            return Err("the round gives several packs without saying who gets which (assignment single)".to_owned());
        }
        let chance = if assignment == "chance" { Some(proof.sharing()?) } else { None };
        for group in &mut groups {
            group.take_waves(proof, chance)?;
            let matter = group.windows.iter().flatten().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
            group.most = if cap.is_some() { u64::MAX } else { matter };
        }
        Ok(Groups { groups, channels, chance, cap, pending: None })
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
            group.pack_id == line.pack_id() && group.channel.as_deref().is_none_or(|channel| channel == line.channel())
        })
    }

    fn settle(&mut self) {
        let Some((index, candidate)) = self.pending.take() else { return };
        let group = &mut self.groups[index];
        if (group.lowest.len() as u64) < group.most {
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
        let ranked: Vec<Vec<Candidate>> =
            self.groups.iter_mut().map(|group| std::mem::take(&mut group.lowest).into_sorted_vec()).collect();
        let supplies: Vec<Vec<usize>> = self.groups.iter().map(Group::supplies).collect();
        let won = match self.cap {
            Some(cap) => capped(&ranked, &supplies, cap),
            None => ranked.iter().zip(&supplies).map(|(ranked, supplies)| in_turn(ranked, supplies)).collect(),
        };
        let tiers = Tiers { seed, channels: &self.channels, chance: self.chance };
        let decide = |(group, won): (Group, Vec<Vec<Candidate>>)| {
            let windows = group.windows.iter().zip(&won).map(|(packs, won)| tiers.give(won, packs)).collect();
            Decided { channel: group.channel, pack_id: group.pack_id, windows }
        };
        self.groups.into_iter().zip(won).map(decide).collect()
    }
}

impl Group {
    /// How many win in the draw and in each wave, if there are as many.
    fn supplies(&self) -> Vec<usize> {
        self.windows.iter().map(|packs| usize::try_from(total(packs)).unwrap_or(usize::MAX)).collect()
    }

    /// How many a wave passed on is not in the files: it is read from the proof, and can never be more than the group had.
    fn take_waves(&mut self, proof: &Proof, chance: Option<Sharing>) -> Result<(), String> {
        let supply = total(&self.windows[0]);
        for (n, wave) in proof.windows.iter().enumerate().skip(1) {
            if chance == Some(Sharing::InProportion) {
                let left = wave.supply.as_ref().ok_or(format!("wave {n} does not say what it passed on"))?;
                let packs = self.left(left).ok_or(format!("wave {n} passes on packs that the round does not have"))?;
                self.windows.push(packs);
                continue;
            }
            let here = |cutoff: &&Cutoff| cutoff.channel == self.channel;
            let of_tiers = wave.tiers.iter().flatten().filter(here);
            let tiers: Vec<_> = of_tiers.map(|tier| (tier.pack_id.clone().unwrap_or_default(), tier.winners)).collect();
            let only = &self.windows[0][0].0;
            let own = wave.cutoffs.iter().filter(here).find(|cutoff| {
                let pack = cutoff.pack_id.as_deref().unwrap_or_default();
                pack == self.pack_id || self.pack_id.is_empty() && pack == only
            });
            let winners = own.map_or(0, |cutoff| cutoff.winners);
            let packs = if tiers.is_empty() { vec![(only.clone(), winners)] } else { tiers };
            if total(&packs) > supply {
                return Err(format!("wave {n} gives more packs than the round has"));
            }
            self.windows.push(packs);
        }
        Ok(())
    }

    /// What a wave passed on of each pack of the group, in file order; none when it is more than there was, or of another pack.
    fn left(&self, left: &[Fixed]) -> Option<Vec<(String, u64)>> {
        let own: Vec<&Fixed> = left.iter().filter(|cell| cell.channel == self.channel).collect();
        let of_pack = |(pack, had): &(String, u64)| {
            let count = own.iter().filter(|cell| cell.pack_id == *pack).map(|cell| cell.count).sum::<u64>();
            (count <= *had).then(|| (pack.clone(), count))
        };
        let known = |cell: &&Fixed| self.windows[0].iter().any(|(pack, _)| *pack == cell.pack_id);
        if own.iter().all(known) { self.windows[0].iter().map(of_pack).collect() } else { None }
    }
}

fn total(packs: &[(String, u64)]) -> u64 {
    packs.iter().map(|(_, count)| count).sum()
}

/// Of a group, window by window, the lowest that have not won before.
fn in_turn(ranked: &[Candidate], supplies: &[usize]) -> Vec<Vec<Candidate>> {
    let mut rest = ranked;
    let mut won = Vec::new();
    for supply in supplies {
        let (own, others) = rest.split_at((*supply).min(rest.len()));
        won.push(own.to_vec());
        rest = others;
    }
    won
}

/// A person keeps the lowest scores over all groups, and what one may not keep goes to the next on the list of its group. A wave goes on
/// with who has not won yet, and a win counts against its person's maximum in every later window, whether it was claimed or not.
/// Answers the winners of each group, window by window.
fn capped(ranked: &[Vec<Candidate>], supplies: &[Vec<usize>], cap: u64) -> Vec<Vec<Vec<Candidate>>> {
    let of_group = |(group, own): (usize, &Vec<Candidate>)| own.iter().map(|one| (*one, group)).collect::<Vec<_>>();
    let mut waiting: Vec<(Candidate, usize)> = ranked.iter().enumerate().flat_map(of_group).collect();
    waiting.sort_unstable();
    let windows = supplies.first().map_or(0, Vec::len);
    let mut kept: HashMap<Pseudonym, u64> = HashMap::new();
    let mut won = vec![vec![Vec::new(); windows]; supplies.len()];
    for window in 0..windows {
        waiting.retain(|(candidate, group)| {
            let winners = &mut won[*group][window];
            let kept = kept.entry(candidate.pseudonym).or_default();
            let wins = winners.len() < supplies[*group][window] && *kept < cap;
            if wins {
                *kept += 1;
                winners.push(*candidate);
            }
            !wins
        });
    }
    won
}

/// How many of the winners get each pack. In proportion: a pack of supply s among S gets floor(w s / S) of w winners, and those that are
/// left go to the largest remainders w s mod S, of equal ones to the pack whose id is smaller as bytes.
fn shares(sharing: Sharing, winners: usize, packs: &[(String, u64)]) -> Vec<usize> {
    let supply: u128 = packs.iter().map(|(_, count)| u128::from(*count)).sum();
    let mut left = (winners as u128).min(supply);
    let mut shares = vec![0; packs.len()];
    if sharing == Sharing::InTurn || supply == 0 {
        for (share, (_, count)) in shares.iter_mut().zip(packs) {
            *share = left.min(u128::from(*count)) as usize;
            left -= *share as u128;
        }
        return shares;
    }
    let wanted = left;
    let mut by_remainder: Vec<(u128, &str, usize)> = Vec::new();
    for (place, (pack, count)) in packs.iter().enumerate() {
        let exact = wanted * u128::from(*count);
        shares[place] = (exact / supply) as usize;
        left -= exact / supply;
        by_remainder.push((supply - exact % supply, pack, place));
    }
    by_remainder.sort_unstable();
    by_remainder.iter().take(left as usize).for_each(|(_, _, place)| shares[*place] += 1);
    shares
}

struct Tiers<'a> {
    seed: &'a Hash,
    channels: &'a [String],
    chance: Option<Sharing>,
}

impl Tiers<'_> {
    /// The winners of a window, lowest score first, and what each of them gets.
    fn give(&self, winners: &[Candidate], packs: &[(String, u64)]) -> Window {
        let cutoff = winners.last().copied();
        let Some(sharing) = self.chance else {
            let pack = packs.first().map(|(pack, _)| pack.clone()).unwrap_or_default();
            let winners = winners.iter().map(|winner| (*winner, pack.clone())).collect();
            return Window { cutoff, winners, tiers: Vec::new() };
        };
        let mut second: Vec<(Hash, Pseudonym, Candidate)> =
            winners.iter().map(|winner| (self.rank(winner), winner.pseudonym, *winner)).collect();
        second.sort_unstable();
        let (mut given, mut tiers, mut rest) = (Vec::with_capacity(winners.len()), Vec::new(), second.as_slice());
        for ((pack, _), share) in packs.iter().zip(shares(sharing, winners.len(), packs)) {
            let (own, others) = rest.split_at(share);
            given.extend(own.iter().map(|(_, _, winner)| (*winner, pack.clone())));
            if let Some((score, pseudonym, _)) = own.last() {
                tiers.push((pack.clone(), *score, *pseudonym, own.len() as u64));
            }
            rest = others;
        }
        Window { cutoff, winners: given, tiers }
    }

    /// Which winner of a `chance` group gets the better tier: a second HMAC, so that a lucky score is not a good tier too.
    fn rank(&self, winner: &Candidate) -> Hash {
        let channel = winner.channel.map_or("", |index| self.channels[usize::from(index)].as_str());
        let entry = entry_bytes(&winner.pseudonym, channel, "", winner.k);
        let keyed = Hmac::<Sha256>::new_from_slice(self.seed).expect("HMAC takes a key of any length");
        keyed.chain_update(b"quanyu.tier.v1\0").chain_update(entry).finalize().into_bytes().into()
    }
}
