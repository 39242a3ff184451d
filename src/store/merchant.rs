//! Stored form of merchants and till keys, and the view on a merchant's slot that tills are judged by.

use std::collections::BTreeMap;

use rmpv::Value;
use serde::{Deserialize, Serialize};

use super::config::{Kind, Versioned};
use super::keys::Slot;
use super::script::{self, Member};
use super::{Store, StoreError, int, keys, text};
use crate::domain::holder::Holder;
use crate::domain::merchant::{EnrolState, Merchant};
use crate::domain::time::Ms;

/// One configuration record per merchant, replaced by compare-and-set. Its slot, its caps, its orders and the ledger name the merchant as the
/// record is stored, so that what two programs call by one id is two merchants everywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MerchantRecord {
    pub program: String,
    pub merchant: Merchant,
    /// Grows with every change; what the slot holds only goes forward by it.
    pub rev: u64,
    pub created_at: Ms,
    pub created_by: String,
    pub frozen: bool,
    /// Every freeze and its end.
    #[serde(default)]
    pub freezes: Vec<FreezeRecord>,
    /// Every change of what was registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRecord>,
    #[serde(default)]
    pub enrolments: BTreeMap<String, Enrolment>,
    #[serde(default)]
    pub terminals: BTreeMap<String, Terminal>,
}

impl MerchantRecord {
    /// Whether the program calls this merchant so: what stands behind a program's name in the store is nobody's id.
    fn is_called(&self, program: &str, merchant_id: &str) -> bool {
        self.program == program && self.merchant.merchant_id == merchant_id
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FreezeRecord {
    pub frozen: bool,
    pub at: Ms,
    pub by: String,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeRecord {
    pub fields: Vec<String>,
    pub at: Ms,
    pub by: String,
}

/// A merchant in one campaign.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// Number of the campaign in the header.
    pub number: u16,
    pub state: EnrolState,
    pub since: Ms,
    pub history: Vec<EnrolStep>,
}

impl Enrolment {
    /// Who asked for the admission that is decided now.
    pub fn applicant(&self) -> Option<&Holder> {
        let last = self.history.iter().rev().find(|step| step.state == EnrolState::Applied);
        last.map(|step| &step.by)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolStep {
    pub state: EnrolState,
    pub at: Ms,
    pub by: Holder,
    pub reason: Option<String>,
}

/// A till of a merchant; the key's own record decides whether a signature holds, this one is for reading.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Terminal {
    pub key_id: String,
    pub version: u32,
    pub created_at: Ms,
    pub revoked: bool,
}

/// One configuration record per till key. The secret is derived from the key ring and never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TillKeyRecord {
    pub kind: TillKind,
    pub program: String,
    /// Absent for a platform, which names the merchant in its requests.
    pub merchant_id: Option<String>,
    /// Present for a terminal.
    pub terminal_id: Option<String>,
    /// Through which a platform may name a payer by account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The newest version of the secret.
    pub version: u32,
    /// Versions from this one on are accepted.
    pub first_live: u32,
    pub revoked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TillKind {
    Terminal,
    Merchant,
    Platform,
}

/// Which merchant of a program has a code; written before the merchant, so that a code cannot be registered twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodeClaim {
    pub merchant_id: String,
}

impl CodeClaim {
    /// A code has a fixed length, so the two parts cannot be confused.
    pub fn id(program: &str, code: &str) -> String {
        format!("{program}/{code}")
    }
}

/// Where the store keeps a program's merchant, or would keep it.
#[derive(Clone, Debug)]
pub struct MerchantPlace {
    pub stored_id: String,
    pub held: Option<Versioned<MerchantRecord>>,
}

/// As a program calls a merchant that is stored under this id; an id has no slash.
pub fn id_in_program(stored_id: &str) -> &str {
    stored_id.rsplit_once('/').map_or(stored_id, |(_, merchant_id)| merchant_id)
}

impl Store {
    /// The merchant that a program calls by this id. Who was first with an id has it as it is; of every other program it stands behind the
    /// program's name. Records are never removed, so where a merchant is stays true.
    pub async fn merchant_place(&self, program: &str, merchant_id: &str) -> Result<MerchantPlace, StoreError> {
        let scoped = format!("{program}/{merchant_id}");
        // Both are looked for whoever has them, so that the time of an answer does not tell of other programs.
        let (plain, scoped_held) = tokio::join!(
            self.record::<MerchantRecord>(Kind::Merchant, merchant_id),
            self.record::<MerchantRecord>(Kind::Merchant, &scoped),
        );
        let is_it = |held: &Versioned<MerchantRecord>| held.value.is_called(program, merchant_id);
        if let Some(held) = scoped_held?.filter(is_it) {
            return Ok(MerchantPlace { stored_id: scoped, held: Some(held) });
        }
        let (stored_id, held) = match plain? {
            Some(held) if !is_it(&held) => (scoped, None),
            held => (merchant_id.to_owned(), held),
        };
        Ok(MerchantPlace { stored_id, held })
    }

    /// The same of one that was met under this stored id before: it is looked for there alone.
    pub async fn merchant_met(
        &self,
        program: &str,
        merchant_id: &str,
        stored_id: &str,
    ) -> Result<MerchantPlace, StoreError> {
        let held = self.record::<MerchantRecord>(Kind::Merchant, stored_id).await?;
        match held.filter(|held| held.value.is_called(program, merchant_id)) {
            Some(held) => Ok(MerchantPlace { stored_id: stored_id.to_owned(), held: Some(held) }),
            None => self.merchant_place(program, merchant_id).await,
        }
    }

    /// Brings a merchant's state to its slot; an older revision than the slot's changes nothing. What tills may do follows it.
    pub async fn put_merchant_view(&self, stored_id: &str, record: &MerchantRecord) -> Result<(), StoreError> {
        let approved = record.enrolments.values().filter(|enrolment| enrolment.state == EnrolState::Approved);
        let approved: Vec<Value> = approved.map(|enrolment| int(enrolment.number)).collect();
        let state = if record.frozen { "frozen" } else { "active" };
        let field = text(keys::merchant_field(stored_id));
        let member = Member::new(vec![], vec![field, int(record.rev as i64), text(state), Value::Array(approved)]);
        self.call(&script::MERCHANT_VIEW, &Slot::Merchant(self.merchant_slot(stored_id)), member).await?;
        Ok(())
    }

    /// Revision of a merchant's state on its slot; 0 where it has none.
    pub async fn merchant_view_revision(&self, stored_id: &str) -> Result<u64, StoreError> {
        let slot = Slot::Merchant(self.merchant_slot(stored_id));
        let field = keys::merchant_field(stored_id);
        let view: Option<Vec<u8>> = self.query(redis::cmd("HGET").arg(slot.header()).arg(field)).await?;
        let Some(view) = view else { return Ok(0) };
        let view =
            rmpv::decode::read_value(&mut view.as_slice()).map_err(|_| StoreError::malformed("merchant view"))?;
        let revision = view.as_array().and_then(|parts| parts.first()).and_then(Value::as_u64);
        revision.ok_or_else(|| StoreError::malformed("merchant view"))
    }
}
