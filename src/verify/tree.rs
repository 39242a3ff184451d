//! The root of the list of entries: RFC 6962 shape, computed while the list streams by, with one node per level in memory.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// Complete subtrees seen so far, largest first: the binary digits of the number of leaves.
#[derive(Default)]
pub struct Tree {
    complete: Vec<(u32, Hash)>,
}

impl Tree {
    pub fn push(&mut self, entry: &[u8]) {
        let mut node: Hash = Sha256::new().chain_update([0]).chain_update(entry).finalize().into();
        let mut height = 0;
        while let Some((_, left)) = self.complete.pop_if(|(top, _)| *top == height) {
            node = parent(&left, &node);
            height += 1;
        }
        self.complete.push((height, node));
    }

    /// An odd node is promoted: incomplete right edges join their left neighbour from the smallest up. An empty list has the
    /// root of RFC 6962, the hash of nothing.
    pub fn root(&self) -> Hash {
        let right_to_left = self.complete.iter().rev().map(|(_, node)| *node);
        right_to_left.reduce(|right, left| parent(&left, &right)).unwrap_or_else(|| Sha256::digest([]).into())
    }
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    /// The rule as it is written: pair up each level, promote the odd node.
    fn by_levels(entries: &[Vec<u8>]) -> Hash {
        let mut level: Vec<Hash> =
            entries.iter().map(|entry| Sha256::new().chain_update([0]).chain_update(entry).finalize().into()).collect();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| if pair.len() == 2 { parent(&pair[0], &pair[1]) } else { pair[0] })
                .collect();
        }
        level[0]
    }

    #[test]
    fn promoting_the_odd_node_gives_the_tree_of_rfc_6962() {
        let mut tree = Tree::default();
        let mut transparency = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut entries = Vec::new();
        for n in 0..200u32 {
            let entry = n.to_be_bytes().to_vec();
            tree.push(&entry);
            transparency.push(entry.clone());
            entries.push(entry);
            assert_eq!(tree.root(), by_levels(&entries), "{} leaves", n + 1);
            assert_eq!(tree.root()[..], transparency.root().as_bytes()[..], "{} leaves", n + 1);
        }
    }
}
