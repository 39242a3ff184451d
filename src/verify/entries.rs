//! The list, one line at a time: decoded, checked to be sorted and unique, hashed into the tree, scored and offered to its group.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::groups::Groups;
use super::proof::lp;
use super::tree::{Hash, Tree};
use super::{Failure, Faults};

/// A line of `entries.ndjson` or `winners.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub pseudonym: Pseudonym,
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(default)]
    pub pack_id: Option<String>,
    #[serde(default)]
    pub k: u16,
    /// Of winners: the wave in which the place won, absent for the draw itself.
    #[serde(default)]
    pub wave: usize,
}

/// 32 bytes, 64 lower-case hex digits in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "std::borrow::Cow<'_, str>")]
pub struct Pseudonym(pub [u8; 32]);

impl TryFrom<std::borrow::Cow<'_, str>> for Pseudonym {
    type Error = &'static str;

    fn try_from(text: std::borrow::Cow<'_, str>) -> Result<Pseudonym, Self::Error> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        match hex::decode_to_slice(text.as_bytes(), &mut bytes) {
            Ok(()) if lower => Ok(Pseudonym(bytes)),
            _ => Err("a pseudonym is 64 lower-case hex digits"),
        }
    }
}

impl Line {
    pub fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or_default()
    }

    pub fn pack_id(&self) -> &str {
        self.pack_id.as_deref().unwrap_or_default()
    }

    /// The bytes that are hashed, scored and sorted.
    pub fn entry(&self) -> Vec<u8> {
        entry_bytes(&self.pseudonym, self.channel(), self.pack_id(), self.k)
    }
}

pub fn entry_bytes(pseudonym: &Pseudonym, channel: &str, pack_id: &str, k: u16) -> Vec<u8> {
    [&pseudonym.0[..], &lp(channel.as_bytes()), &lp(pack_id.as_bytes()), &k.to_be_bytes()].concat()
}

pub struct Found {
    pub count: u64,
    pub root: Hash,
}

/// Streams the list; memory does not grow with it beyond what the groups keep.
pub fn read(folder: &Path, seed: &Hash, groups: &mut Groups, faults: &mut Faults) -> Result<Found, Failure> {
    let keyed = Hmac::<Sha256>::new_from_slice(seed).map_err(|error| Failure::unreadable(error.to_string()))?;
    let mut tree = Tree::default();
    let mut previous = Vec::new();
    let mut count = 0;
    for_each_line(folder, "entries.ndjson", |number, line| {
        let entry = line.entry();
        match entry.cmp(&previous) {
            std::cmp::Ordering::Greater => {}
            std::cmp::Ordering::Equal => faults.add(format!("entries.ndjson line {number} repeats the line before")),
            std::cmp::Ordering::Less => faults.add(format!("entries.ndjson line {number} is not in order")),
        }
        tree.push(&entry);
        count += 1;
        let score = keyed.clone().chain_update(&entry).finalize().into_bytes().into();
        if let Err(fault) = groups.offer(&line, score) {
            faults.add(format!("entries.ndjson line {number}: {fault}"));
        }
        previous = entry;
    })?;
    Ok(Found { count, root: tree.root() })
}

/// Calls `each` with the number of the line, from 1, and what it says.
pub fn for_each_line(folder: &Path, name: &str, mut each: impl FnMut(u64, Line)) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::unreadable(format!("{name} cannot be read: {error}"));
    let file = File::open(folder.join(name)).map_err(unreadable)?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if reader.read_until(b'\n', &mut text).map_err(unreadable)? == 0 {
            break;
        }
        let line = serde_json::from_slice(&text)
            .map_err(|error| Failure::difference(format!("{name} line {number} is not an entry: {error}")))?;
        each(number, line);
    }
    Ok(())
}
