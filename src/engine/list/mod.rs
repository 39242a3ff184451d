//! Uploaded lists: a file of persons or merchants becomes an immutable version of a list, whole or not at all.

pub(in crate::engine) mod csv_rows;
pub(in crate::engine) mod pins;
pub(in crate::engine) mod rows;

use crate::engine::config::was_written;
use sha2::{Digest, Sha256};

use crate::clock::wall_ms;
use crate::domain::noun::Noun;
use crate::domain::person::Root;
use crate::domain::refusal::{Code, Outcome, Refusal};
use crate::domain::time::{MINUTE, Ms};
use crate::engine::Engine;
use crate::engine::config::bounds;
use crate::engine::key::ApiKey;
use crate::store::StoreError;
use crate::store::config::Kind;
use crate::store::keys::{self, PERSONS_PER_BUCKET, Slot};
use crate::store::list::{
    ListKind, ListMember, ListRecord, ListVersion, NewMember, PinnedList, ReadRow, Upload, merchant_bucket,
    person_bucket, steps,
};
use rows::{ListRow, ListRows, Listed};

/// Members written per round trip.
const BATCH: usize = 1_000;
const MOST_MEMBERS: u64 = 20_000_000;
/// Versions of one list.
const MOST_VERSIONS: usize = 1_000;
/// An upload that began this long ago has died: no request runs as long.
const DEAD_AFTER: Ms = 20 * MINUTE;
/// Bytes of a short row, to guess from the length of a file how many rows it has.
const SHORT_ROW: u64 = 25;
/// Members to expect when the length is not told.
const UNTOLD: u64 = 1_000_000;

/// A version of a list as the office sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListStatus {
    pub list_id: String,
    pub version: u32,
    pub kind: ListKind,
    pub count: u64,
    pub sha256: String,
    /// False when the newest version was the same file already.
    pub created: bool,
}

/// A list while its file arrives. Members go to the store under a number that nothing names until the file has ended well.
pub struct ListUpload<'e> {
    engine: &'e Engine,
    key: ApiKey,
    list_id: String,
    upload: Upload,
    rows: ListRows,
    waiting: Vec<ListRow>,
    digest: Sha256,
    count: u64,
}

impl Engine {
    /// Begins an upload; `length` is the size of the file, where it is told beforehand.
    pub async fn begin_list(
        &self,
        key: &ApiKey,
        list_id: &str,
        length: Option<u64>,
    ) -> Result<ListUpload<'_>, Refusal> {
        check_list_id(list_id)?;
        let members = length.map_or(UNTOLD, |length| length / SHORT_ROW).min(MOST_MEMBERS);
        let buckets = (members / PERSONS_PER_BUCKET / u64::from(self.store.shards())).clamp(16, 1 << 20) as u32;
        let number = self.store.next_list_number().await?;
        let upload = Upload { number, buckets, begun_at: wall_ms() };
        self.note_upload(key, list_id, &upload).await?;
        Ok(ListUpload {
            engine: self,
            key: key.clone(),
            list_id: list_id.to_owned(),
            upload,
            rows: ListRows::new(self.keys.identity.clone(), self.today()),
            waiting: Vec::new(),
            digest: Sha256::new(),
            count: 0,
        })
    }

    /// The newest version of a list of the caller's program.
    pub async fn list_status(&self, key: &ApiKey, list_id: &str) -> Result<ListStatus, Refusal> {
        let record = self.list_record(&key.program, list_id).await?;
        let (version, newest) = record.as_ref().and_then(newest).ok_or_else(|| Noun::List.not_found(list_id))?;
        Ok(status(list_id, version, newest, false))
    }

    /// What a list says about a person, by one read; `None` when the person is not on it.
    pub async fn list_member(&self, list: &PinnedList, root: &Root) -> Result<Option<ListMember>, StoreError> {
        self.store.list_member(list, root).await
    }

    /// Whether a merchant is on a list, by one read.
    pub async fn list_has_merchant(&self, list: &PinnedList, merchant_id: &str) -> Result<bool, StoreError> {
        self.store.list_has_merchant(list, merchant_id).await
    }

    /// All persons of a list that are on one shard, some thousand at a time.
    pub fn list_walk<'a>(&'a self, list: &'a PinnedList, shard: u8) -> ListWalk<'a> {
        ListWalk { engine: self, list, shard, next: 0 }
    }

    pub(super) async fn list_record(&self, program: &str, list_id: &str) -> Result<Option<ListRecord>, StoreError> {
        let held = self.store.record::<ListRecord>(Kind::List, &record_id(program, list_id)).await?;
        Ok(held.map(|held| held.value))
    }

    /// Notes an upload, so that it can be cleared away if it dies; clears away those that have.
    async fn note_upload(&self, key: &ApiKey, list_id: &str, upload: &Upload) -> Result<(), Refusal> {
        let dead = |other: &Upload| other.begun_at + DEAD_AFTER < upload.begun_at;
        let record = self.list_record(&key.program, list_id).await?.unwrap_or_default();
        if record.versions.len() >= MOST_VERSIONS {
            return Err(Refusal::new(Code::InvalidRequest)
                .detail("该名单已有 1,000 个版本，请另建名单。", "The list has 1,000 versions; begin another one."));
        }
        for left in record.uploads.iter().filter(|other| dead(other)) {
            self.store.list_drop(left).await?;
        }
        self.change_list(&key.program, list_id, |record| {
            record.uploads.retain(|other| !dead(other));
            record.uploads.push(upload.clone());
        })
        .await
        .map(drop)
    }

    async fn change_list(
        &self,
        program: &str,
        list_id: &str,
        step: impl Fn(&mut ListRecord),
    ) -> Result<ListRecord, Refusal> {
        let id = record_id(program, list_id);
        for _ in 0..8 {
            let held = self.store.record::<ListRecord>(Kind::List, &id).await?;
            let (expected, mut record) = held.map(|held| (held.version, held.value)).unwrap_or_default();
            step(&mut record);
            let written = match expected {
                0 => self.make(Kind::List, &bounds::LISTS, (program, &id), &record).await?.is_some(),
                _ => was_written(self.store.put_record(Kind::List, &id, expected, &record).await)?,
            };
            if written {
                return Ok(record);
            }
        }
        Err(Code::PreconditionFailed.into())
    }

    /// A list of which neither a version nor another upload is left is none, and does not count among the program's.
    async fn forget_upload(&self, program: &str, list_id: &str, number: u64) -> Result<(), Refusal> {
        let id = record_id(program, list_id);
        for _ in 0..8 {
            let Some(held) = self.store.record::<ListRecord>(Kind::List, &id).await? else { return Ok(()) };
            let mut record = held.value;
            record.uploads.retain(|upload| upload.number != number);
            let written = if record.versions.is_empty() && record.uploads.is_empty() {
                self.store.drop_record(Kind::List, program, &id, held.version).await.map(|()| 0)
            } else {
                self.store.put_record(Kind::List, &id, held.version, &record).await
            };
            if was_written(written)? {
                return Ok(());
            }
        }
        Err(Refusal::contended())
    }
}

impl ListUpload<'_> {
    /// Takes the next bytes of the file.
    pub async fn push(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.digest.update(chunk);
        let rows = self.rows.push(chunk)?;
        self.take(rows).await
    }

    /// Makes the version, or refuses the file; after a refusal nothing of it is left.
    pub async fn finish(mut self) -> Result<ListStatus, Refusal> {
        let version = match self.complete().await {
            Ok(version) => version,
            Err(refusal) => return Err(self.abandon(refusal).await),
        };
        match self.put_version(&version).await {
            Ok(status) => Ok(status),
            Err(refusal) if refusal.outcome == Outcome::NotApplied => Err(self.abandon(refusal).await),
            // The version may have come to be, and needs its members. If it has not, the next upload that finds this one dead removes them.
            Err(refusal) => Err(refusal),
        }
    }

    /// Removes what was written of a file that is refused: no version names it, and none will.
    pub async fn abandon(self, refusal: Refusal) -> Refusal {
        self.clear_away().await;
        let unknown = refusal.code == Code::StoreTimeout;
        let code = if unknown { Code::StoreUnavailable } else { refusal.code };
        Refusal { code, outcome: Outcome::NotApplied, ..refusal }
    }

    /// What cannot be removed now is removed by the next upload of the list that finds it dead.
    async fn clear_away(&self) {
        if let Err(error) = self.drop_upload().await {
            tracing::warn!(list.id = self.list_id, code = error.code.as_str(), "an upload was not cleared away yet");
        }
    }

    async fn complete(&mut self) -> Result<ListVersion, Refusal> {
        let rows = self.rows.finish()?;
        self.take(rows).await?;
        self.write().await?;
        if let Some(refusal) = self.rows.refusal() {
            return Err(refusal);
        }
        // A version that lacks a row of its file must not come to be.
        if self.count != self.rows.rows_read() {
            return Err(Refusal::new(Code::Internal).detail(
                "文件未能逐行读入，未存入任何内容。",
                "Not every row of the file was taken; nothing was stored.",
            ));
        }
        let Some(kind) = self.rows.kind().filter(|_| self.count > 0) else {
            let (zh, en) = ("名单没有内容。", "The list has no rows.");
            return Err(Refusal::new(Code::InvalidRequest).field("/2", "empty", zh, en));
        };
        Ok(ListVersion {
            kind,
            count: self.count,
            sha256: hex::encode(self.digest.clone().finalize()),
            put_by: self.key.name.clone(),
            put_at: self.engine.now(),
            number: self.upload.number,
            buckets: self.upload.buckets,
            channels: self.rows.channels.clone(),
            packs: self.rows.packs.clone(),
        })
    }

    async fn put_version(&self, version: &ListVersion) -> Result<ListStatus, Refusal> {
        // The same file again, such as after a lost answer, is the version that is there.
        let is_newest = |record: &ListRecord| newest(record).is_some_and(|(_, held)| held.sha256 == version.sha256);
        let record = self
            .engine
            .change_list(&self.key.program, &self.list_id, |record| {
                if !is_newest(record) {
                    record.versions.push(version.clone());
                    record.uploads.retain(|upload| upload.number != version.number);
                }
            })
            .await?;
        let (number, held) = newest(&record).ok_or(Code::Internal)?;
        let created = held.number == version.number;
        if !created {
            self.clear_away().await;
        }
        tracing::info!(list.id = self.list_id, list.version = number, members = held.count, created, "list uploaded");
        Ok(status(&self.list_id, number, held, created))
    }

    async fn take(&mut self, rows: Vec<ListRow>) -> Result<(), Refusal> {
        // Behind the first fault rows are only read, for the faults that they may have.
        if !self.rows.faults.is_empty() {
            return Ok(());
        }
        self.count += rows.len() as u64;
        if self.count > MOST_MEMBERS {
            return Err(Refusal::new(Code::BodyTooLarge)
                .detail("一份名单最多 20,000,000 行。", "A list has at most 20,000,000 rows."));
        }
        self.waiting.extend(rows);
        if self.waiting.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    /// Writes what waits; who is there already stands twice in the file.
    async fn write(&mut self) -> Result<(), Refusal> {
        let waiting = std::mem::take(&mut self.waiting);
        for rows in waiting.chunks(BATCH) {
            let members: Vec<NewMember> = rows.iter().map(|row| self.member(row)).collect();
            let added = self.engine.store.list_add(&members).await?;
            for (row, _) in rows.iter().zip(added).filter(|(_, added)| !added) {
                self.rows.fault(row.line, "", "duplicate_row", "与前面的行重复。", "The same as an earlier row.");
            }
        }
        Ok(())
    }

    fn member(&self, row: &ListRow) -> NewMember {
        let Upload { number, buckets, .. } = self.upload;
        match &row.listed {
            Listed::Person(root, member) => {
                let slot = Slot::Shard(self.engine.shard_of(root));
                let key = keys::list_bucket(&slot, number, person_bucket(root, buckets));
                (key, root.0.to_vec(), member.encode())
            }
            Listed::Merchant(merchant_id) => {
                let key = keys::list_bucket(&Slot::Config, number, merchant_bucket(merchant_id, buckets));
                (key, merchant_id.clone().into_bytes(), Vec::new())
            }
        }
    }

    async fn drop_upload(&self) -> Result<(), Refusal> {
        self.engine.store.list_drop(&self.upload).await?;
        self.engine.forget_upload(&self.key.program, &self.list_id, self.upload.number).await
    }
}

/// A walk over the persons of a list on one shard.
pub struct ListWalk<'a> {
    engine: &'a Engine,
    list: &'a PinnedList,
    shard: u8,
    next: u32,
}

impl ListWalk<'_> {
    /// Some more rows; `None` when all have been given. A list does not change, so a walk begun again gives the same.
    pub async fn next(&mut self) -> Result<Option<Vec<ReadRow>>, StoreError> {
        while let Some(buckets) = steps(self.list.buckets).find(|step| step.start >= self.next) {
            self.next = buckets.end;
            let persons = self.engine.store.list_persons(self.list, self.shard, buckets).await?;
            if !persons.is_empty() {
                return Ok(Some(persons));
            }
        }
        Ok(None)
    }
}

/// The newest version with its number, counted from 1.
pub(super) fn newest(record: &ListRecord) -> Option<(u32, &ListVersion)> {
    Some((record.versions.len() as u32, record.versions.last()?))
}

fn status(list_id: &str, version: u32, held: &ListVersion, created: bool) -> ListStatus {
    let (kind, count, sha256) = (held.kind, held.count, held.sha256.clone());
    ListStatus { list_id: list_id.to_owned(), version, kind, count, sha256, created }
}

/// Lists belong to a program; an id holds no slash, so no two programs meet.
fn record_id(program: &str, list_id: &str) -> String {
    format!("{program}/{list_id}")
}

/// The id of a list or an area, as a campaign file may name it.
pub(super) fn check_list_id(list_id: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (1..=40).contains(&list_id.len()) && list_id.chars().all(allowed) {
        return Ok(());
    }
    let (zh, en) = ("须为 1 至 40 个字母、数字或 _ . -。", "Must be 1 to 40 of letters, digits, _ . and -.");
    Err(Refusal::new(Code::InvalidRequest).field("/id", "invalid_id", zh, en))
}
