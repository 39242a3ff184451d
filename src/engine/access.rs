//! Keys of the program office: who holds them, what they may do, and for which program.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Engine;
use super::cache::Recalled;
use crate::clock::wall_ms;
use crate::domain::time::Ms;
use crate::store::config::{Kind, PutError};
use crate::store::{Store, StoreError};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Officer,
    Approver,
    Finance,
    Auditor,
    Operator,
    /// A channel that brings the reservations it has taken down; it may do nothing else.
    Platform,
}

impl Role {
    /// The roles of the program office.
    pub const ALL: [Role; 5] = [Role::Officer, Role::Approver, Role::Finance, Role::Auditor, Role::Operator];
}

/// A key as it is stored: by its digest, never by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Who holds it; four-eyes compares names.
    pub name: String,
    pub roles: Vec<Role>,
    /// A city or department; no other program's campaigns, merchants or keys can be seen with it.
    pub program: String,
    pub created_at: Ms,
}

/// The text form of a key: `qk_` and 40 hex digits of the system's random source.
pub fn new_key_text() -> String {
    use rand::RngExt;
    let bytes: [u8; 20] = rand::rng().random();
    format!("qk_{}", hex::encode(bytes))
}

pub fn key_digest(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// Stores a key; the same text twice is one key.
pub async fn put_api_key(
    store: &Store,
    key: &str,
    name: &str,
    roles: &[Role],
    program: &str,
) -> Result<(), StoreError> {
    let record =
        ApiKey { name: name.to_owned(), roles: roles.to_vec(), program: program.to_owned(), created_at: wall_ms() };
    match store.put_record(Kind::ApiKey, &key_digest(key), 0, &record).await {
        Ok(_) | Err(PutError::Conflict(_)) => Ok(()),
        Err(PutError::Store(error)) => Err(error),
    }
}

impl Engine {
    /// What this node knows of the key with this text.
    pub fn recall_api_key(&self, key: &str) -> Recalled<Arc<ApiKey>> {
        self.api_keys.recall(&key_digest(key), self.glance().revision, Instant::now())
    }

    /// The key with this text, if the store has it.
    pub async fn api_key(&self, key: &str) -> Result<Option<Arc<ApiKey>>, StoreError> {
        let (digest, revision, asked) = (key_digest(key), self.glance().revision, Instant::now());
        let held = self.store.record::<ApiKey>(Kind::ApiKey, &digest).await?.map(|held| Arc::new(held.value));
        self.api_keys.learn(&digest, revision, asked, held.as_ref());
        Ok(held)
    }
}
