//! The draw, exactly (`quanyu.draw.v1`, and `v2` where chance gives the packs): one score per entry, the lowest win, and a rain reveals by a
//! threshold what was decided before. The versions differ only in how many winners get each pack (`ranking.rs`, `shares`).
//! `verify/` recomputes all of this without a line of this file.

use sha2::{Digest, Sha256};

use super::person::{MacKey, Pseudonym};

const VERSION: &[u8] = b"quanyu.draw.v1\0";
/// Second scores are of another domain, so that a lucky first one is not a good tier too.
const TIER: &[u8] = b"quanyu.tier.v1\0";

/// A place on a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry<'a> {
    pub pseudonym: Pseudonym,
    pub channel: &'a str,
    /// The chosen tier; empty when there was nothing to choose.
    pub pack_id: &'a str,
    /// Number of the entry of a person with several, from 0.
    pub k: u16,
}

impl Entry<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48 + self.channel.len() + self.pack_id.len());
        bytes.extend_from_slice(&self.pseudonym.0);
        push_lp(&mut bytes, self.channel.as_bytes());
        push_lp(&mut bytes, self.pack_id.as_bytes());
        bytes.extend_from_slice(&self.k.to_be_bytes());
        bytes
    }
}

fn push_lp(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_be_bytes());
    out.extend_from_slice(part);
}

/// Merkle root over entries given in order, in the shape of RFC 6962 (an odd node is promoted). It keeps one hash per level instead of
/// the tree, which for 15 million entries is the difference between a kilobyte and a gigabyte.
#[derive(Default)]
pub struct ListRoot {
    /// Roots of full subtrees, largest first; bit i of `count` is set when the subtree of 2^i leaves is there.
    subtrees: Vec<[u8; 32]>,
    count: u64,
}

impl ListRoot {
    pub fn push(&mut self, entry: &[u8]) {
        self.push_node(hash(&[&[0], entry]));
    }

    /// Adds the next node of one level: of leaves, or of complete subtrees of equal size, the last of which may be smaller.
    pub fn push_node(&mut self, mut hash: [u8; 32]) {
        let mut level = self.count;
        while level & 1 == 1 {
            if let Some(left) = self.subtrees.pop() {
                hash = self::hash(&[&[1], &left, &hash]);
            }
            level >>= 1;
        }
        self.subtrees.push(hash);
        self.count += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The root; of an empty list the hash of nothing, as in RFC 6962.
    pub fn root(&self) -> [u8; 32] {
        let mut subtrees = self.subtrees.iter().rev();
        match subtrees.next() {
            None => hash(&[]),
            Some(last) => subtrees.fold(*last, |right, left| hash(&[&[1], left, &right])),
        }
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// What a draw depends on.
pub struct Inputs<'a> {
    pub campaign_id: &'a str,
    pub round_id: &'a str,
    pub rules_hash: [u8; 32],
    pub root: [u8; 32],
    pub count: u64,
    /// Values of the public entropy in the order in which the campaign names it; none for the operator's secret.
    pub entropy: &'a [Vec<u8>],
    pub secret: [u8; 32],
}

/// The seed of a round's scores, secret until the round has ended. It is kept as the key of a MAC that has read its key already.
#[derive(Clone)]
pub struct Seed(MacKey);

impl Seed {
    pub fn of(inputs: &Inputs) -> Seed {
        let mut bytes = VERSION.to_vec();
        push_lp(&mut bytes, inputs.campaign_id.as_bytes());
        push_lp(&mut bytes, inputs.round_id.as_bytes());
        bytes.extend_from_slice(&inputs.rules_hash);
        bytes.extend_from_slice(&inputs.root);
        bytes.extend_from_slice(&inputs.count.to_be_bytes());
        for value in inputs.entropy {
            push_lp(&mut bytes, value);
        }
        bytes.extend_from_slice(&inputs.secret);
        Seed(MacKey::new(&hash(&[&bytes])))
    }

    pub fn score(&self, entry: &Entry) -> Score {
        self.mac(&[], entry)
    }

    /// The second score, by which `chance` gives its packs to the winners.
    pub fn tier_score(&self, entry: &Entry) -> Score {
        self.mac(TIER, entry)
    }

    /// The lowest score of a person with `chances` entries, and the `k` that has it.
    pub fn best(&self, entry: &Entry, chances: u8) -> (Score, u16) {
        let scores = (0..u16::from(chances.max(1))).map(|k| (self.score(&Entry { k, ..*entry }), k));
        scores.min().expect("there is at least one entry")
    }

    fn mac(&self, domain: &[u8], entry: &Entry) -> Score {
        let [channel, pack_id] = [entry.channel, entry.pack_id].map(|text| (text.len() as u32).to_be_bytes());
        let parts: [&[u8]; 7] = [
            domain,
            &entry.pseudonym.0,
            &channel,
            entry.channel.as_bytes(),
            &pack_id,
            entry.pack_id.as_bytes(),
            &entry.k.to_be_bytes(),
        ];
        // One piece is hashed faster than seven, and millions are hashed: nearly every entry fits.
        let mut whole = [0; 128];
        let mut length = 0;
        for part in parts {
            match whole.get_mut(length..length + part.len()) {
                Some(place) => place.copy_from_slice(part),
                None => return Score(self.0.mac(&parts)),
            }
            length += part.len();
        }
        Score(self.0.mac(&[&whole[..length]]))
    }
}

/// Low wins; equal scores are ordered by pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub [u8; 32]);

impl Score {
    /// The first eight bytes decide all but ties of the hot path.
    pub fn high(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The N-th lowest (score, pseudonym) of a list, inclusive; absent when nobody wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cutoff {
    pub score: Score,
    pub pseudonym: Pseudonym,
}

impl Cutoff {
    pub fn admits(&self, score: Score, pseudonym: Pseudonym) -> bool {
        (score, pseudonym) <= (self.score, self.pseudonym)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u8) -> Pseudonym {
        Pseudonym(hash(&[&[n]]))
    }

    #[test]
    fn the_root_of_seven_entries_promotes_the_odd_nodes() {
        let leaf = |n: u8| hash(&[&[0], &[n]]);
        let node = |l: [u8; 32], r: [u8; 32]| hash(&[&[1], &l, &r]);
        let mut root = ListRoot::default();
        for n in 0..7 {
            root.push(&[n]);
        }
        let left = node(node(leaf(0), leaf(1)), node(leaf(2), leaf(3)));
        let right = node(node(leaf(4), leaf(5)), leaf(6));
        assert_eq!(root.root(), node(left, right));
    }

    #[test]
    fn subtrees_of_one_size_add_up_to_the_same_root() {
        for count in [0, 1, 3, 4, 5, 8, 11, 12, 13, 64, 65] {
            let leaves: Vec<[u8; 2]> = (0..count).map(|n: u16| n.to_be_bytes()).collect();
            let mut whole = ListRoot::default();
            leaves.iter().for_each(|leaf| whole.push(leaf));
            let mut above = ListRoot::default();
            for chunk in leaves.chunks(4) {
                let mut part = ListRoot::default();
                chunk.iter().for_each(|leaf| part.push(leaf));
                above.push_node(part.root());
            }
            assert_eq!(above.root(), whole.root(), "{count} leaves");
        }
    }

    #[test]
    fn one_entry_more_changes_ranks_by_insertion_only() {
        let inputs = |rules_hash| Inputs {
            campaign_id: "c",
            round_id: "r",
            rules_hash,
            root: [2; 32],
            count: 9,
            entropy: &[],
            secret: [3; 32],
        };
        for case in 0..20 {
            let seed = Seed::of(&inputs([case; 32]));
            let ranked = |people: std::ops::Range<u8>| {
                let score = |n| (seed.score(&Entry { pseudonym: person(n), channel: "wechat", pack_id: "", k: 0 }), n);
                let mut ranked: Vec<_> = people.map(score).collect();
                ranked.sort_unstable();
                ranked
            };
            let (before, mut after) = (ranked(0..40), ranked(0..41));
            after.retain(|(_, n)| *n != 40);
            assert_eq!(after, before);
        }
    }

    #[test]
    fn a_score_is_the_mac_of_the_entrys_bytes_and_the_lowest_of_several_counts() {
        let entry = Entry { pseudonym: person(1), channel: "wechat", pack_id: "a", k: 0 };
        let inputs = Inputs {
            campaign_id: "c",
            round_id: "r",
            rules_hash: [1; 32],
            root: [2; 32],
            count: 9,
            entropy: &[],
            secret: [3; 32],
        };
        let seed = Seed::of(&inputs);
        let mut expected: Vec<(Score, u16)> = (0..5).map(|k| (seed.score(&Entry { k, ..entry }), k)).collect();
        expected.sort_unstable();
        assert_eq!(seed.best(&entry, 5), expected[0]);
        for long in ["x".repeat(60), "x".repeat(81), "x".repeat(82), "x".repeat(200)] {
            let entry = Entry { channel: &long, ..entry };
            assert_eq!(seed.score(&entry).0, seed.0.mac(&[&entry.bytes()]), "{} bytes", entry.bytes().len());
        }
        assert_eq!(seed.best(&entry, 1), (seed.score(&entry), 0));
        assert_ne!(seed.tier_score(&entry), seed.score(&entry));
    }
}
