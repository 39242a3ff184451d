//! Keys of the program office: who holds them, what they may do, and for which program.

pub mod terminal;
pub mod till;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::wall_ms;
use crate::domain::holder::Holder;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::engine::config::cache::Recalled;
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
    /// A platform that brings the reservations which its channels have taken down; it may do nothing else.
    Platform,
}

impl Role {
    /// The roles of the program office.
    pub const ALL: [Role; 5] = [Role::Officer, Role::Approver, Role::Finance, Role::Auditor, Role::Operator];
}

/// A key as it is stored: by its digest, never by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Who holds it; four-eyes compares names, see [`Holder::is_same_person`].
    pub name: String,
    /// Names the person, whatever the key's name; four-eyes goes by it where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_id: Option<String>,
    pub roles: Vec<Role>,
    /// Of a platform's key: the channels whose reservations it brings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// A city or department; no other program's campaigns, merchants or keys can be seen with it.
    pub program: String,
    pub created_at: Ms,
}

impl ApiKey {
    /// A key without a person's id, which nothing has stored yet.
    pub fn new(name: &str, roles: &[Role], program: &str) -> ApiKey {
        let (name, roles, program) = (name.to_owned(), roles.to_vec(), program.to_owned());
        ApiKey { name, person_id: None, roles, channels: Vec::new(), program, created_at: 0 }
    }

    /// Who holds it, to be noted with what is done with it.
    pub fn holder(&self) -> Holder {
        Holder { name: self.name.clone(), person_id: self.person_id.clone() }
    }
}

pub fn key_digest(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// Stores a key under its text, as made now; the same text twice is one key.
pub async fn put_api_key(store: &Store, text: &str, key: ApiKey) -> Result<(), StoreError> {
    let record = ApiKey { created_at: wall_ms(), ..key };
    match store.put_record(Kind::ApiKey, &key_digest(text), 0, &record).await {
        Ok(_) | Err(PutError::Conflict(_)) => Ok(()),
        Err(PutError::Store(error)) => Err(error),
    }
}

impl Engine {
    /// Refuses who approves what the same person proposed, unless four-eyes is off.
    pub(super) fn require_another_person(&self, approver: &ApiKey, proposer: &Holder) -> Result<(), Refusal> {
        let same = self.settings.four_eyes && proposer.is_same_person(&approver.holder());
        if same { Err(Code::FourEyes.into()) } else { Ok(()) }
    }

    /// The programs that have a key or a campaign.
    pub async fn known_programs(&self) -> Result<BTreeSet<String>, StoreError> {
        let keys = self.store.records::<ApiKey>(Kind::ApiKey).await?;
        let of_keys = keys.into_iter().filter_map(|(_, key)| key.ok()).map(|key| key.program);
        let view = self.view();
        let of_campaigns = view.by_number.values().map(|campaign| campaign.record.program.clone());
        Ok(of_keys.chain(of_campaigns).collect())
    }

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
