//! Where in a shard's ledger a reader begins, and entries whose places are known.

use redis::Value;

use super::{LedgerEntry, LedgerReader, bytes, decode_fields, entry_parts};
use crate::domain::time::Ms;
use crate::store::StoreError;

impl LedgerReader {
    /// Goes to the first entry written at `at` or later, by halving: a shard's entries stand in order of time, because the campaign
    /// clock only goes forward. What lies before is not read, so gaps in it are not seen.
    pub async fn seek(&mut self, at: Ms) -> Result<(), StoreError> {
        let (mut low, mut high) = (1, self.last_id().await? + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry_at_or_after(middle).await? {
                Some((_, written)) if written >= at => high = middle,
                Some((id, _)) => low = id + 1,
                None => high = middle,
            }
        }
        self.resume(low);
        Ok(())
    }

    /// Goes on behind what an earlier reader has read, by its [`next_seq`](LedgerReader::next_seq).
    pub fn resume(&mut self, next_seq: u64) {
        self.from = next_seq;
        self.sequence.next = next_seq;
    }

    async fn last_id(&mut self) -> Result<u64, StoreError> {
        let reply: Value = redis::cmd("XREVRANGE")
            .arg(&self.key)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut self.connection)
            .await
            .map_err(|error| StoreError::from_client(&error))?;
        let Value::Array(entries) = reply else { return Ok(0) };
        Ok(entries.first().map(entry_parts).transpose()?.map(|(id, _)| id).unwrap_or_default())
    }

    /// Id and time of the first entry with this id or a later one.
    async fn entry_at_or_after(&mut self, id: u64) -> Result<Option<(u64, Ms)>, StoreError> {
        let reply: Value = redis::cmd("XRANGE")
            .arg(&self.key)
            .arg(format!("{id}-0"))
            .arg("+")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut self.connection)
            .await
            .map_err(|error| StoreError::from_client(&error))?;
        let Value::Array(entries) = reply else { return Ok(None) };
        let Some((id, fields)) = entries.first().map(entry_parts).transpose()? else { return Ok(None) };
        let written = fields.get(1).map(bytes).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        Ok(written.map(|written| (id, written)))
    }

    /// The lines of single entries, by their ids; one that is gone or cannot be read is passed over, as a walk does.
    pub async fn entries(&mut self, ids: &[u64]) -> Result<Vec<LedgerEntry>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for id in ids.iter().map(|id| format!("{id}-0")) {
            pipeline.cmd("XRANGE").arg(&self.key).arg(&id).arg(&id);
        }
        let replies: Vec<Value> =
            pipeline.query_async(&mut self.connection).await.map_err(|error| StoreError::from_client(&error))?;
        let mut found = Vec::new();
        for reply in &replies {
            let Value::Array(entries) = reply else { continue };
            for entry in entries {
                let (first_seq, fields) = entry_parts(entry)?;
                let Ok((at, lines)) = decode_fields(fields) else { continue };
                found.extend((first_seq..).zip(lines).map(|(seq, line)| LedgerEntry { seq, first_seq, at, line }));
            }
        }
        Ok(found)
    }
}
