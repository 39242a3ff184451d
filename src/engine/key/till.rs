//! Keys of a whole merchant, which names its terminals itself, and of a payment platform, which names merchants too and may name a
//! payer by account. Keys of single terminals are in `terminal.rs`.

use serde_json::{Value, json};

use super::ApiKey;
use super::terminal::{Rotation, random_key_id, rotate};
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::Engine;
use crate::engine::config::bounds;
use crate::store::config::{Kind, PutError};
use crate::store::made::{Made, New};
use crate::store::merchant::{TillKeyRecord, TillKind};

/// Keys per page.
const PAGE: usize = 100;

/// A key as the office is told of it; its secret only when it was made just now.
#[derive(Clone)]
pub struct KeyMade {
    pub body: Value,
    pub created: bool,
}

/// What a new key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyScope {
    Merchant { merchant_id: String },
    Platform { channels: Vec<String> },
}

impl Engine {
    /// Makes a key. Its secret is in this answer and no other: who lost it and has named the request asks again, is told which key it
    /// is, and rotates it. Without a name each request makes a key.
    pub async fn create_till_key(&self, key: &ApiKey, scope: KeyScope, name: &str) -> Result<KeyMade, Refusal> {
        let (kind, merchant_id, channels) = match scope {
            KeyScope::Merchant { merchant_id } => {
                self.own_merchant(key, &merchant_id).await?;
                (TillKind::Merchant, Some(merchant_id), Vec::new())
            }
            KeyScope::Platform { channels } => (TillKind::Platform, None, channels),
        };
        let record = TillKeyRecord {
            kind,
            program: key.program.clone(),
            merchant_id,
            terminal_id: None,
            channels,
            version: 1,
            first_live: 1,
            revoked: false,
        };
        for _ in 0..8 {
            let key_id = random_key_id(self.settings.key_prefix, kind);
            let new = New { program: &key.program, id: &key_id, name, most: bounds::TILL_KEYS.most };
            match self.store.make_record(Kind::TillKey, new, &record).await {
                Ok(Made::Now(_)) => {
                    tracing::info!(key.id = key_id, kind = ?kind, by = key.name, "till key made");
                    let mut body = body(&key_id, &record);
                    body["secret"] = json!(self.till_secret(&key_id, 1));
                    return Ok(KeyMade { body, created: true });
                }
                Ok(Made::Before(key_id)) => {
                    let held = self.own_till_key(key, &key_id).await?;
                    return made_before(&key_id, &held, &record);
                }
                Ok(Made::Full) => return Err(bounds::TILL_KEYS.refusal()),
                Err(PutError::Conflict(_)) => {}
                Err(PutError::Store(error)) => return Err(error.into()),
            }
        }
        Err(Code::Internal.into())
    }

    /// The keys of merchants and platforms of the caller's program, by their ids; those of terminals are with their merchants.
    pub async fn list_till_keys(&self, key: &ApiKey, after: Option<&str>) -> Result<Value, Refusal> {
        let mut ids = self.store.ids_of_program(Kind::TillKey, &key.program).await?;
        // No key ever goes from the list, so the last one of a page is still there.
        if after.is_some_and(|after| !ids.iter().any(|key_id| key_id == after)) {
            return Err(Refusal::invalid_cursor());
        }
        ids.retain(|key_id| after.is_none_or(|after| key_id.as_str() > after));
        let next_cursor = (ids.len() > PAGE).then(|| ids[PAGE - 1].clone());
        ids.truncate(PAGE);
        let records = self.store.records_named::<TillKeyRecord>(Kind::TillKey, &ids).await?.into_iter();
        let readable = records.filter_map(|(key_id, record)| match record {
            Ok(record) => Some((key_id, record)),
            Err(error) => {
                tracing::error!(key.id = key_id, %error, "a till key's record cannot be read");
                None
            }
        });
        let items: Vec<Value> = readable.map(|(key_id, record)| body(&key_id, &record)).collect();
        Ok(json!({"items": items, "next_cursor": next_cursor}))
    }

    pub async fn get_till_key(&self, key: &ApiKey, key_id: &str) -> Result<Value, Refusal> {
        Ok(body(key_id, &self.own_till_key(key, key_id).await?))
    }

    /// A new secret for the same key.
    pub async fn rotate_till_key(&self, key: &ApiKey, key_id: &str, rotation: Rotation) -> Result<Value, Refusal> {
        self.own_till_key(key, key_id).await?;
        let rotated = self.change_till_key(key_id, |record| rotate(record, rotation)).await?;
        tracing::info!(key.id = key_id, version = rotated.version, by = key.name, "till key rotated");
        let mut body = body(key_id, &rotated);
        body["secret"] = json!(self.till_secret(key_id, rotated.version));
        Ok(body)
    }

    /// The key signs nothing any more.
    pub async fn revoke_till_key(&self, key: &ApiKey, key_id: &str, reason: Option<String>) -> Result<Value, Refusal> {
        self.own_till_key(key, key_id).await?;
        let revoked = self
            .change_till_key(key_id, |record| {
                record.revoked = true;
                Ok(())
            })
            .await?;
        tracing::info!(key.id = key_id, by = key.name, reason, "till key revoked");
        Ok(body(key_id, &revoked))
    }

    /// A key of the caller's program. A terminal's is reached through its merchant, whose record names it.
    async fn own_till_key(&self, key: &ApiKey, key_id: &str) -> Result<TillKeyRecord, Refusal> {
        let held = self.store.record::<TillKeyRecord>(Kind::TillKey, key_id).await?.map(|held| held.value);
        held.filter(|record| is_own(key, record)).ok_or_else(|| Noun::TillKey.not_found(key_id))
    }
}

/// The answer to a request whose name has made a key before.
fn made_before(key_id: &str, held: &TillKeyRecord, asked: &TillKeyRecord) -> Result<KeyMade, Refusal> {
    let differs = [
        ("kind", held.kind != asked.kind),
        ("merchant_id", held.merchant_id != asked.merchant_id),
        ("channels", held.channels != asked.channels),
    ];
    let fields: Vec<&str> = differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if !fields.is_empty() {
        return Err(Refusal::new(Code::TillKeyConflict).with("fields", fields));
    }
    Ok(KeyMade { body: body(key_id, held), created: false })
}

fn is_own(key: &ApiKey, record: &TillKeyRecord) -> bool {
    record.program == key.program && record.kind != TillKind::Terminal
}

fn body(key_id: &str, record: &TillKeyRecord) -> Value {
    let mut body = json!({
        "key_id": key_id,
        "kind": record.kind,
        "version": record.version,
        "previous_accepted": record.first_live < record.version,
        "revoked": record.revoked,
    });
    match &record.merchant_id {
        Some(merchant_id) => body["merchant_id"] = json!(merchant_id),
        None => body["channels"] = json!(record.channels),
    }
    body
}
