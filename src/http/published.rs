//! The published lists of decided rounds, as compressed files beside the data: written once, when somebody first asks, and read by everybody
//! after that. Whoever reads one costs a file that is sent, not the walk over all persons that wrote it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};

use super::turn::Turn;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::config::view::CampaignView;
use crate::engine::draw::entries::List;
use crate::engine::draw::proof;
use crate::engine::draw::proof::Published;
use crate::engine::{Engine, Failure};

/// Entries that are turned into text at once.
const PART: usize = 4_096;
/// Bytes that are read for one piece of an answer.
const PIECE: usize = 64 * 1024;
/// Files that are kept; who asks for an older one has it written again.
const MOST_FILES: usize = 64;
/// Changes whenever the same facts are written differently.
const FORM: &str = "quanyu.published.v1";
const ENDING: &str = ".ndjson.gz";

/// The folder of one node.
pub struct Shelf {
    folder: PathBuf,
    /// One list is read and written at a time: a list may be half a gigabyte in memory.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// One list of one round, as it stands.
pub struct Item {
    /// Of what it says; whoever has it has the same bytes.
    pub digest: String,
    list: Published,
    round: usize,
    view: Arc<CampaignView>,
}

impl Item {
    pub fn new(view: Arc<CampaignView>, round: usize, list: Published) -> Item {
        let record = &view.rounds[round].record;
        let facts = match list {
            Published::Entries => serde_json::json!([record.list]),
            // Whoever wins more than may be kept goes by the file, which an amendment may have changed.
            Published::Winners => {
                serde_json::json!([record.list, record.draw, record.waves, record.supply, view.record.file])
            }
        };
        let mut hash = Sha256::new();
        for part in [FORM, &view.record.rules_hash, &facts.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        Item { digest: hex::encode(&hash.finalize()[..16]), list, round, view }
    }

    /// What all versions of this list are called.
    fn family(&self) -> String {
        let word = match self.list {
            Published::Entries => "entries",
            Published::Winners => "winners",
        };
        format!("{}-{}-{word}-", self.view.number, self.round)
    }

    fn name(&self) -> String {
        format!("{}{}{ENDING}", self.family(), self.digest)
    }
}

impl Shelf {
    pub fn new(folder: PathBuf) -> Shelf {
        Shelf { folder, writing: Arc::default() }
    }

    /// The compressed file of a list, written now if it is not there.
    pub async fn file(&self, engine: &Engine, item: &Item) -> Result<File, Failure> {
        let path = self.folder.join(item.name());
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let writing = self.writing.clone().lock_owned().await;
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let list = engine.entries(&item.view, item.round as u8).await?;
        let (folder, family, name) = (self.folder.clone(), item.family(), item.name());
        let (view, round, published) = (item.view.clone(), item.round, item.list);
        let written = tokio::task::spawn_blocking(move || {
            let _writing = writing;
            write(&folder, &name, |out| put_lines(out, &view, round, published, &list))?;
            tidy(&folder, &family, &name);
            File::open(folder.join(&name))
        });
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, folder = %self.folder.display(), "a published list cannot be written");
            Refusal::new(Code::Internal)
        };
        written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error).into())
    }
}

fn put_lines(
    out: &mut dyn Write,
    view: &CampaignView,
    round: usize,
    published: Published,
    list: &List,
) -> io::Result<()> {
    let mut rest = list.as_slice();
    while !rest.is_empty() {
        // The entries of a person stay together.
        let least = rest.len().min(PART);
        let last = &rest[least - 1].pseudonym;
        let more = rest[least..].iter().take_while(|entry| entry.pseudonym == *last).count();
        let (part, after) = rest.split_at(least + more);
        out.write_all(proof::lines(view, &view.rounds[round], published, part).as_bytes())?;
        rest = after;
    }
    Ok(())
}

/// Writes a compressed file under its name, whole or not at all.
fn write(folder: &Path, name: &str, put: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!("{name}.unfinished"));
    let mut out = GzEncoder::new(BufWriter::new(File::create(&unfinished)?), Compression::fast());
    put(&mut out)?;
    out.finish()?.into_inner().map_err(|error| error.into_error())?;
    fs::rename(unfinished, folder.join(name))
}

/// Removes what the newest file takes the place of, and the oldest of all beyond the number that is kept.
fn tidy(folder: &Path, family: &str, newest: &str) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut kept: Vec<(SystemTime, PathBuf)> = Vec::new();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let replaced = name.starts_with(family) && name != newest;
        match file.metadata().and_then(|facts| facts.modified()) {
            Ok(written) if !replaced => kept.push((written, file.path())),
            _ => drop(fs::remove_file(file.path())),
        }
    }
    kept.sort_unstable();
    let too_many = kept.len().saturating_sub(MOST_FILES);
    kept.into_iter().take(too_many).for_each(|(_, path)| drop(fs::remove_file(path)));
}

/// A file piece by piece, as it is or unpacked; the turn ends with the last piece, before its reader can know that it was the last.
pub fn pieces(file: File, unpacked: bool, turn: Turn) -> impl Stream<Item = io::Result<Bytes>> {
    let reader: Box<dyn Read + Send> =
        if unpacked { Box::new(GzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
    stream::try_unfold((reader, turn), |(reader, turn)| async move {
        let (reader, piece) = tokio::task::spawn_blocking(move || piece(reader)).await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, (reader, turn))))
    })
}

fn piece(mut reader: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, Bytes)> {
    let mut piece = Vec::with_capacity(PIECE);
    (&mut reader).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((reader, piece.into()))
}

#[cfg(test)]
mod tests {
    use super::super::turn::{Doing, Turns};
    use super::*;
    use futures_util::StreamExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("quanyu-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[tokio::test]
    async fn a_file_is_sent_as_it_was_written_and_the_turn_ends_with_its_last_byte() {
        let (folder, text) = (folder("pieces"), "a line of some length\n".repeat(20_000));
        write(&folder, "a", |out| out.write_all(text.as_bytes())).expect("a file");
        let turns = Turns::default();
        let take = || turns.take(Doing::Download("192.0.2.1".parse().unwrap()));
        for unpacked in [true, false] {
            let file = File::open(folder.join("a")).expect("it is there");
            let mut sent = Vec::new();
            let mut pieces = Box::pin(pieces(file, unpacked, take().expect("a turn")));
            assert!(take().is_err(), "one at a time");
            while let Some(piece) = pieces.next().await {
                let piece = piece.expect("the file can be read");
                assert!(piece.len() <= PIECE);
                sent.extend_from_slice(&piece);
            }
            assert!(take().is_ok(), "before the answer is dropped");
            let mut whole = String::new();
            match unpacked {
                true => whole = String::from_utf8(sent).expect("text"),
                false => drop(GzDecoder::new(sent.as_slice()).read_to_string(&mut whole).expect("a packed text")),
            }
            assert_eq!(whole, text);
        }
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn a_newer_list_takes_the_place_of_the_older_and_the_folder_stays_small() {
        let folder = folder("shelf");
        let put = |name: &str| write(&folder, name, |out| out.write_all(b"x")).expect("a file");
        let names = || {
            let files = fs::read_dir(&folder).expect("the folder").flatten();
            files.map(|file| file.file_name().to_string_lossy().into_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        for name in ["1-0-winners-aa.ndjson.gz", "1-0-winners-bb.ndjson.gz", "1-0-entries-cc.ndjson.gz"] {
            put(name);
        }
        tidy(&folder, "1-0-winners-", "1-0-winners-bb.ndjson.gz");
        assert_eq!(names().iter().collect::<Vec<_>>(), ["1-0-entries-cc.ndjson.gz", "1-0-winners-bb.ndjson.gz"]);
        (0..2 * MOST_FILES).for_each(|n| put(&format!("2-{n}-entries-dd.ndjson.gz")));
        tidy(&folder, "2-0-entries-", "2-0-entries-dd.ndjson.gz");
        assert_eq!(names().len(), MOST_FILES);
        let _ = fs::remove_dir_all(folder);
    }

    #[test]
    fn what_breaks_off_leaves_no_file_under_the_name() {
        let folder = folder("broken");
        let broken = write(&folder, "a", |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(broken.is_err() && !folder.join("a").exists());
        let _ = fs::remove_dir_all(folder);
    }
}
