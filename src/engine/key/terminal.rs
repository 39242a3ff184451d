//! Keys of tills: made for a terminal, rotated without a gap, revoked. Secrets are derived from the key ring at each use and are never
//! stored, so whoever reads the store cannot sign.

use crate::engine::config::was_written;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::ApiKey;
use crate::domain::ids;
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::config::cache::Recalled;
use crate::store::config::{Kind, Purpose};
use crate::store::merchant::{MerchantRecord, Terminal, TillKeyRecord, TillKind};

/// Terminals of one merchant; its record has to stay small enough to be replaced as a whole.
const MOST_TERMINALS: usize = 1_000;
/// Longer names of keys are not looked up.
const LONGEST_KEY_ID: usize = 64;

/// A key as signatures are judged by it.
#[derive(Clone)]
pub struct TillKey {
    pub key_id: String,
    pub kind: TillKind,
    pub program: String,
    /// Absent for a platform, which names the merchant in its requests.
    pub merchant_id: Option<String>,
    pub terminal_id: Option<String>,
    /// Through which a platform may name a payer by account.
    pub channels: Vec<String>,
    /// What it may sign with, the newest first.
    pub secrets: Vec<String>,
    pub revoked: bool,
}

impl std::fmt::Debug for TillKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("TillKey")
            .field("key_id", &self.key_id)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

/// What the office is told about a terminal; the secret only when it was made just now.
#[derive(Clone)]
pub struct TerminalStatus {
    pub created: bool,
    pub body: Value,
}

/// How a key is rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// The version to replace: a repeat with it answers the same new secret, so that a lost answer does no harm.
    pub from_version: Option<u32>,
    /// Accept the replaced version too, until the next rotation.
    pub keep_previous: bool,
}

impl Engine {
    /// What this node knows of the key that a signature names.
    pub fn recall_till(&self, key_id: &str) -> Recalled<Arc<TillKey>> {
        if key_id.is_empty() || key_id.len() > LONGEST_KEY_ID {
            return Recalled::Absent;
        }
        self.tills.recall(key_id, self.glance().revision, Instant::now())
    }

    /// The same as the store has it; whoever judges the signature decides what a revoked one is told.
    pub async fn till(&self, key_id: &str) -> Result<Option<Arc<TillKey>>, Refusal> {
        let (revision, asked) = (self.glance().revision, Instant::now());
        let held = self.store.record::<TillKeyRecord>(Kind::TillKey, key_id).await?;
        let read = held.map(|held| Arc::new(self.till_key(key_id, held.value)));
        self.tills.learn(key_id, revision, asked, read.as_ref());
        Ok(read)
    }

    /// Makes a terminal with its key. The secret is in this answer and no other; who lost the answer rotates the key.
    pub async fn create_terminal(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        terminal_id: &str,
    ) -> Result<TerminalStatus, Refusal> {
        ids::caller_id("/terminal_id", terminal_id)?;
        let held = self.own_merchant(key, merchant_id).await?.1.value;
        if let Some(terminal) = live_terminal(&held, terminal_id) {
            return self.terminal_with_key(key, merchant_id, terminal_id, terminal).await;
        }
        if held.terminals.len() >= MOST_TERMINALS {
            let refusal = Refusal::new(Code::InvalidRequest);
            return Err(refusal.field(
                "/terminal_id",
                "too_many",
                "最多 1000 台终端。",
                "A merchant has at most 1,000 terminals.",
            ));
        }
        let key_id = self.free_key_id().await?;
        let made = Terminal { key_id, version: 1, created_at: self.now(), revoked: false };
        let held = self
            .change_terminals(Purpose::Any, key, merchant_id, |record| {
                let first = live_terminal(record, terminal_id).is_none();
                if first {
                    record.terminals.insert(terminal_id.to_owned(), made.clone());
                }
                first
            })
            .await?;
        self.terminal_with_key(key, merchant_id, terminal_id, terminal_of(&held.value, terminal_id)?).await
    }

    /// The merchant's record names the key before there is one, so that what stops halfway is finished by the repeat and leaves no key that
    /// nobody knows. Who makes the key is the one to see its secret.
    async fn terminal_with_key(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        terminal_id: &str,
        terminal: &Terminal,
    ) -> Result<TerminalStatus, Refusal> {
        let mut body = terminal_body(terminal_id, terminal);
        let key_id = terminal.key_id.as_str();
        let held = self.store.record::<TillKeyRecord>(Kind::TillKey, key_id).await;
        if held.map_err(|error| Refusal::from(error).half_done())?.is_some() {
            return Ok(TerminalStatus { created: false, body });
        }
        let record = TillKeyRecord {
            kind: TillKind::Terminal,
            program: key.program.clone(),
            merchant_id: Some(merchant_id.to_owned()),
            terminal_id: Some(terminal_id.to_owned()),
            channels: Vec::new(),
            version: 1,
            first_live: 1,
            revoked: false,
        };
        let put = self.store.put_record(Kind::TillKey, key_id, 0, &record).await;
        let created = was_written(put).map_err(Refusal::half_done)?;
        if created {
            body["secret"] = json!(self.till_secret(key_id, 1));
        }
        Ok(TerminalStatus { created, body })
    }

    /// A new secret for the same key.
    pub async fn rotate_terminal(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        terminal_id: &str,
        rotation: Rotation,
    ) -> Result<Value, Refusal> {
        let record = self.own_merchant(key, merchant_id).await?.1.value;
        let key_id = terminal_of(&record, terminal_id)?.key_id.clone();
        let rotated = self.change_till_key(&key_id, |record| rotate(record, rotation)).await?;
        let mut body = self.note_terminal(key, merchant_id, (terminal_id, &key_id), &rotated).await?;
        tracing::info!(merchant.id = merchant_id, key.id = key_id, version = rotated.version, "till key rotated");
        body["secret"] = json!(self.till_secret(&key_id, rotated.version));
        body["previous_accepted"] = json!(rotated.first_live < rotated.version);
        Ok(body)
    }

    /// The terminal signs nothing any more; a new one may take its id and gets another key.
    pub async fn revoke_terminal(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        terminal_id: &str,
        reason: Option<String>,
    ) -> Result<Value, Refusal> {
        let record = self.own_merchant(key, merchant_id).await?.1.value;
        let key_id = terminal_of(&record, terminal_id)?.key_id.clone();
        let revoked = self
            .change_till_key(&key_id, |record| {
                record.revoked = true;
                Ok(())
            })
            .await?;
        tracing::info!(merchant.id = merchant_id, key.id = key_id, by = key.name, reason, "till key revoked");
        self.note_terminal(key, merchant_id, (terminal_id, &key_id), &revoked).await
    }

    fn till_key(&self, key_id: &str, record: TillKeyRecord) -> TillKey {
        let live = record.first_live.max(1)..=record.version;
        TillKey {
            key_id: key_id.to_owned(),
            kind: record.kind,
            program: record.program,
            merchant_id: record.merchant_id,
            terminal_id: record.terminal_id,
            channels: record.channels,
            secrets: live.rev().map(|version| self.till_secret(key_id, version)).collect(),
            revoked: record.revoked,
        }
    }

    pub(in crate::engine) fn till_secret(&self, key_id: &str, version: u32) -> String {
        self.keys.till_secret(key_id, version, self.settings.key_prefix)
    }

    /// Names are random: a counter restored from a backup would give an old key's name, and with it its secret, to a new terminal.
    async fn free_key_id(&self) -> Result<String, Refusal> {
        for _ in 0..8 {
            let key_id = random_key_id(self.settings.key_prefix, TillKind::Terminal);
            if self.store.record::<TillKeyRecord>(Kind::TillKey, &key_id).await?.is_none() {
                return Ok(key_id);
            }
        }
        Err(Code::Internal.into())
    }

    pub(in crate::engine) async fn change_till_key(
        &self,
        key_id: &str,
        step: impl Fn(&mut TillKeyRecord) -> Result<(), Refusal>,
    ) -> Result<TillKeyRecord, Refusal> {
        for _ in 0..8 {
            let held = self.store.record::<TillKeyRecord>(Kind::TillKey, key_id).await?;
            let held = held.ok_or_else(|| Noun::TillKey.not_found(key_id))?;
            let mut changed = held.value.clone();
            step(&mut changed)?;
            if changed == held.value {
                return Ok(changed);
            }
            // A secret that ends, ends on a full store too.
            let put = self.store.put_record_for(Purpose::Stops, Kind::TillKey, key_id, held.version, &changed).await;
            self.tills.forget(key_id);
            if was_written(put)? {
                return Ok(changed);
            }
        }
        Err(Refusal::contended())
    }

    /// Copies a key's state to its merchant, for reading. The key has changed by then: a repeat copies what it has become.
    async fn note_terminal(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        (terminal_id, key_id): (&str, &str),
        till: &TillKeyRecord,
    ) -> Result<Value, Refusal> {
        let held = self
            .change_terminals(Purpose::Stops, key, merchant_id, |record| {
                // The terminal's id may have been given to a new key meanwhile.
                let same = |terminal: &&mut Terminal| terminal.key_id == key_id;
                let Some(terminal) = record.terminals.get_mut(terminal_id).filter(same) else { return false };
                let changed = (terminal.version, terminal.revoked) != (till.version, till.revoked);
                (terminal.version, terminal.revoked) = (till.version, till.revoked);
                changed
            })
            .await
            .map_err(Refusal::half_done)?;
        Ok(terminal_body(terminal_id, terminal_of(&held.value, terminal_id)?))
    }
}

pub(in crate::engine) fn rotate(record: &mut TillKeyRecord, rotation: Rotation) -> Result<(), Refusal> {
    if record.revoked {
        return Err(Refusal::new(Code::MerchantStateRefuses).with("state", "revoked"));
    }
    let repeated = rotation.from_version.is_some_and(|from| from.checked_add(1) == Some(record.version));
    if !repeated {
        if rotation.from_version.is_some_and(|from| from != record.version) {
            let (zh, en) = (
                format!("密钥的现行版本为 {}，与 from_version 不符。", record.version),
                format!("The secret is at version {}, which is not what from_version names.", record.version),
            );
            let refusal = Refusal::new(Code::PreconditionFailed).with("version", record.version);
            return Err(refusal.with("current", record.version).detail(zh, en));
        }
        record.first_live = record.version;
        record.version += 1;
    }
    if !rotation.keep_previous {
        record.first_live = record.version;
    }
    Ok(())
}

pub(in crate::engine) fn random_key_id(prefix: &str, kind: TillKind) -> String {
    use rand::RngExt;
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let places: [u8; 8] = rand::rng().random();
    let text: String = places.iter().map(|place| char::from(ALPHABET[usize::from(place % 32)])).collect();
    let letter = match kind {
        TillKind::Terminal => 't',
        TillKind::Merchant => 'm',
        TillKind::Platform => 'p',
    };
    format!("{prefix}_{letter}_{text}")
}

fn live_terminal<'a>(record: &'a MerchantRecord, terminal_id: &str) -> Option<&'a Terminal> {
    record.terminals.get(terminal_id).filter(|terminal| !terminal.revoked)
}

fn terminal_of<'a>(record: &'a MerchantRecord, terminal_id: &str) -> Result<&'a Terminal, Refusal> {
    record.terminals.get(terminal_id).ok_or_else(|| Noun::Terminal.not_found(terminal_id))
}

fn terminal_body(terminal_id: &str, terminal: &Terminal) -> Value {
    json!({"terminal_id": terminal_id, "key_id": terminal.key_id, "version": terminal.version, "revoked": terminal.revoked})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(version: u32, first_live: u32) -> TillKeyRecord {
        TillKeyRecord {
            kind: TillKind::Terminal,
            program: "p".into(),
            merchant_id: Some("m".into()),
            terminal_id: Some("t".into()),
            channels: Vec::new(),
            version,
            first_live,
            revoked: false,
        }
    }

    #[test]
    fn two_secrets_are_live_after_a_rotation_and_a_repeat_of_it_makes_no_third() {
        let table = [
            // (version, first live) before, from, keep, then (version, first live) or a refusal
            ((1, 1), None, true, Some((2, 1))),
            ((2, 1), None, true, Some((3, 2))),
            ((1, 1), Some(1), true, Some((2, 1))),
            ((2, 1), Some(1), true, Some((2, 1))),
            ((2, 1), Some(1), false, Some((2, 2))),
            ((3, 2), Some(1), true, None),
            ((1, 1), Some(7), true, None),
            ((1, 1), None, false, Some((2, 2))),
        ];
        for ((version, first_live), from_version, keep_previous, expected) in table {
            let mut record = key(version, first_live);
            let rotated = rotate(&mut record, Rotation { from_version, keep_previous });
            let after = rotated.ok().map(|()| (record.version, record.first_live));
            assert_eq!(after, expected, "{version} {first_live} {from_version:?} {keep_previous}");
        }
    }

    #[test]
    fn a_revoked_key_is_not_rotated() {
        let mut record = TillKeyRecord { revoked: true, ..key(1, 1) };
        let refused = rotate(&mut record, Rotation { from_version: None, keep_previous: true });
        assert_eq!(refused.map_err(|refusal| refusal.code), Err(Code::MerchantStateRefuses));
    }

    #[test]
    fn names_of_keys_say_where_they_belong_and_differ() {
        let names: std::collections::HashSet<String> =
            (0..1_000).map(|_| random_key_id("test", TillKind::Terminal)).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|name| name.starts_with("test_t_") && name.len() == 15));
        assert!(random_key_id("live", TillKind::Platform).starts_with("live_p_"));
    }
}
