//! Merchants of a program: registered once, frozen and let go again, and what a node knows of them when a till asks.
//!
//! The record is committed first, by compare-and-set, and then brought to the merchant's slot, which judges orders; an answer comes
//! after both. What stops between the two is finished by the repeat, or by the next node that reads the record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Engine;
use super::access::{ApiKey, Role};
use crate::domain::campaign::schema::MerchantKind;
use crate::domain::merchant::{Draft, EnrolState, Merchant, Store};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Zone};
use crate::store::StoreError;
use crate::store::config::{Kind, Purpose, PutError, Versioned};
use crate::store::merchant::{CodeClaim, FreezeRecord, MerchantRecord};

/// Who may do what with merchants.
pub mod may {
    use super::Role;
    pub const WRITE: &[Role] = &[Role::Officer, Role::Operator];
    pub const APPROVE: &[Role] = &[Role::Officer, Role::Approver];
    pub const STOP: &[Role] = &[Role::Officer, Role::Approver, Role::Operator];
    pub const READ: &[Role] = &Role::ALL;
}

/// A merchant as a node uses it for static rules; the merchant's slot has the last word on freeze and enrolment.
#[derive(Clone, Debug)]
pub struct MerchantView {
    pub merchant_id: String,
    pub program: String,
    pub frozen: bool,
    pub kind: MerchantKind,
    pub registered_district: String,
    pub operating_district: String,
    pub industry_code: String,
    pub stores: Vec<Store>,
    pub enrolled: HashMap<String, EnrolState>,
}

/// A merchant as the office sees it.
#[derive(Clone, Debug)]
pub struct MerchantStatus {
    pub merchant_id: String,
    pub version: u64,
    pub created: bool,
    pub body: Value,
}

impl Engine {
    /// A merchant of any program, for tills that begin something: at most one poll behind the store, and as its slot knows it.
    pub async fn merchant(&self, merchant_id: &str) -> Result<Arc<MerchantView>, Refusal> {
        let (view, told) = self.merchant_as_recorded(merchant_id).await?;
        told?;
        Ok(view)
    }

    /// The same, and whether its slot was told: what ends or reads an order does not wait for that.
    pub(super) async fn merchant_as_recorded(
        &self,
        merchant_id: &str,
    ) -> Result<(Arc<MerchantView>, Result<(), StoreError>), Refusal> {
        let revision = self.view().revision;
        if let Some(view) = self.merchants.get(merchant_id, revision) {
            return Ok((view, Ok(())));
        }
        let held = self.look_for_merchant(merchant_id).await?;
        let record = held.ok_or_else(|| Refusal::new(Code::NotFound))?.value;
        // A change whose second half was lost is finished here.
        let told = self.store.put_merchant_view(merchant_id, &record).await;
        let view = Arc::new(MerchantView::new(record));
        if told.is_ok() {
            self.merchants.put(merchant_id, revision, view.clone());
        }
        Ok((view, told))
    }

    pub(super) async fn look_for_merchant(
        &self,
        merchant_id: &str,
    ) -> Result<Option<Versioned<MerchantRecord>>, StoreError> {
        self.store.record::<MerchantRecord>(Kind::Merchant, merchant_id).await
    }

    /// Registers a merchant; the same registration again is the same merchant, another one under its code or id is refused.
    pub async fn create_merchant(&self, key: &ApiKey, draft: Draft) -> Result<MerchantStatus, Refusal> {
        let id_was_chosen = draft.merchant_id.is_some();
        let merchant = draft.check().map_err(|faults| {
            let mut refusal = Refusal::new(Code::InvalidRequest);
            refusal.errors = faults;
            refusal
        })?;
        for _ in 0..8 {
            if let Some(status) = self.register(key, merchant.clone(), id_was_chosen).await? {
                return Ok(status);
            }
        }
        Err(Code::PreconditionFailed.into())
    }

    pub async fn get_merchant(&self, key: &ApiKey, merchant_id: &str) -> Result<MerchantStatus, Refusal> {
        Ok(status(self.own_merchant(key, merchant_id).await?, false))
    }

    /// No order begins at a frozen merchant, on any node, once this is answered; payments in flight and refunds end as usual.
    pub async fn freeze_merchant(
        &self,
        key: &ApiKey,
        merchant_id: &str,
        frozen: bool,
        reason: Option<String>,
    ) -> Result<MerchantStatus, Refusal> {
        let at = self.now();
        let purpose = if frozen { Purpose::Stops } else { Purpose::Any };
        let held = self
            .change_merchant(purpose, key, merchant_id, |record| {
                if record.frozen == frozen {
                    return Ok(false);
                }
                record.frozen = frozen;
                record.freezes.push(FreezeRecord { frozen, at, by: key.name.clone(), reason: reason.clone() });
                Ok(true)
            })
            .await?;
        tracing::info!(merchant.id = merchant_id, frozen, by = key.name, "merchant freeze");
        Ok(status(held, false))
    }

    /// A merchant of the caller's program; anybody else's does not exist.
    pub(super) async fn own_merchant(
        &self,
        key: &ApiKey,
        merchant_id: &str,
    ) -> Result<Versioned<MerchantRecord>, Refusal> {
        let held = self.store.record::<MerchantRecord>(Kind::Merchant, merchant_id).await?;
        held.filter(|held| held.value.program == key.program).ok_or_else(|| Code::NotFound.into())
    }

    /// Changes a merchant's record and brings it to its slot. A step that changes nothing still does the second half, so that a repeat
    /// finishes what stopped halfway.
    pub(super) async fn change_merchant(
        &self,
        purpose: Purpose,
        key: &ApiKey,
        merchant_id: &str,
        step: impl Fn(&mut MerchantRecord) -> Result<bool, Refusal>,
    ) -> Result<Versioned<MerchantRecord>, Refusal> {
        for _ in 0..8 {
            let mut held = self.own_merchant(key, merchant_id).await?;
            if step(&mut held.value)? && !self.put_merchant(purpose, merchant_id, &mut held).await? {
                continue;
            }
            self.tell_slot(merchant_id, &held.value).await?;
            return Ok(held);
        }
        Err(Code::PreconditionFailed.into())
    }

    /// Changes what a merchant's record says of its terminals, of which its slot knows nothing.
    pub(super) async fn change_terminals(
        &self,
        purpose: Purpose,
        key: &ApiKey,
        merchant_id: &str,
        step: impl Fn(&mut MerchantRecord) -> bool,
    ) -> Result<Versioned<MerchantRecord>, Refusal> {
        for _ in 0..8 {
            let mut held = self.own_merchant(key, merchant_id).await?;
            if !step(&mut held.value) || self.put_merchant(purpose, merchant_id, &mut held).await? {
                return Ok(held);
            }
        }
        Err(Code::PreconditionFailed.into())
    }

    /// Replaces the record as it was read; false when somebody else was quicker.
    async fn put_merchant(
        &self,
        purpose: Purpose,
        merchant_id: &str,
        held: &mut Versioned<MerchantRecord>,
    ) -> Result<bool, Refusal> {
        held.value.rev += 1;
        match self.store.put_record_for(purpose, Kind::Merchant, merchant_id, held.version, &held.value).await {
            Ok(version) => held.version = version,
            Err(PutError::Conflict(_)) => return Ok(false),
            Err(PutError::Store(error)) => return Err(error.into()),
        }
        self.merchants.forget(merchant_id);
        Ok(true)
    }

    /// The record is what the office asked for; until the slot has it too, orders are judged as before.
    async fn tell_slot(&self, merchant_id: &str, record: &MerchantRecord) -> Result<(), Refusal> {
        self.store.put_merchant_view(merchant_id, record).await.map_err(|error| Refusal::from(error).half_done())
    }

    /// One attempt to register; `None` when somebody else wrote in between. A code is claimed before its merchant is written, so that
    /// two registrations at once cannot both succeed; a claim whose merchant is not there yet decides the id for whoever comes next.
    async fn register(
        &self,
        key: &ApiKey,
        mut merchant: Merchant,
        id_was_chosen: bool,
    ) -> Result<Option<MerchantStatus>, Refusal> {
        let claim_id = CodeClaim::id(&key.program, &merchant.code);
        let claim = self.store.record::<CodeClaim>(Kind::MerchantCode, &claim_id).await?;
        if let (Some(claim), false) = (&claim, id_was_chosen) {
            merchant.merchant_id.clone_from(&claim.value.merchant_id);
        }
        match self.store.record::<MerchantRecord>(Kind::Merchant, &merchant.merchant_id).await? {
            Some(held) if held.value.program == key.program => {
                return self.registered_before(held, &merchant).await.map(Some);
            }
            // Another program's id must not keep this program from registering the same shop.
            Some(_) if !id_was_chosen => merchant.merchant_id = id_in_program(&merchant.code, &key.program),
            Some(_) => return Err(conflict(&["merchant_id"])),
            None => {}
        }
        if claim.as_ref().is_none_or(|claim| claim.value.merchant_id != merchant.merchant_id) {
            let expected = match &claim {
                Some(claim) => self.void_claim(key, claim, &merchant).await?,
                None => 0,
            };
            let claim = CodeClaim { merchant_id: merchant.merchant_id.clone() };
            if !was_written(self.store.put_record(Kind::MerchantCode, &claim_id, expected, &claim).await)? {
                return Ok(None);
            }
        }
        let record = new_record(key, merchant, self.now());
        let merchant_id = record.merchant.merchant_id.as_str();
        if !was_written(self.store.put_record(Kind::Merchant, merchant_id, 0, &record).await)? {
            return Ok(None);
        }
        self.tell_slot(merchant_id, &record).await?;
        Ok(Some(status(Versioned { version: 1, value: record }, true)))
    }

    /// The version of a claim that may be replaced: one that came to nothing because another program was quicker with the id.
    async fn void_claim(
        &self,
        key: &ApiKey,
        claim: &Versioned<CodeClaim>,
        merchant: &Merchant,
    ) -> Result<u64, Refusal> {
        let claimed_id = claim.value.merchant_id.as_str();
        let fields = match self.store.record::<MerchantRecord>(Kind::Merchant, claimed_id).await? {
            Some(held) if held.value.program != key.program => return Ok(claim.version),
            Some(held) => held.value.merchant.differs_in(merchant),
            None => vec!["merchant_id"],
        };
        Err(conflict(&fields).with("merchant_id", claimed_id))
    }

    async fn registered_before(
        &self,
        held: Versioned<MerchantRecord>,
        merchant: &Merchant,
    ) -> Result<MerchantStatus, Refusal> {
        let fields = held.value.merchant.differs_in(merchant);
        if !fields.is_empty() {
            return Err(conflict(&fields).with("merchant_id", held.value.merchant.merchant_id.as_str()));
        }
        self.tell_slot(&merchant.merchant_id, &held.value).await?;
        Ok(status(held, false))
    }
}

impl MerchantView {
    fn new(record: MerchantRecord) -> MerchantView {
        let enrolled = record.enrolments.into_iter().map(|(campaign, enrolment)| (campaign, enrolment.state)).collect();
        let merchant = record.merchant;
        MerchantView {
            merchant_id: merchant.merchant_id,
            program: record.program,
            frozen: record.frozen,
            kind: merchant.kind,
            registered_district: merchant.registered_district,
            operating_district: merchant.operating_district,
            industry_code: merchant.industry_code,
            stores: merchant.stores,
            enrolled,
        }
    }
}

impl MerchantView {
    /// Where an order is made, for its limits and its settlement. A till that names no store is in the merchant's first; a merchant that has
    /// registered none is one place without a name, and any name is unknown there.
    pub(super) fn store(&self, named: &str) -> Result<&str, Refusal> {
        if named.is_empty() {
            return Ok(self.stores.first().map(|store| store.store_id.as_str()).unwrap_or_default());
        }
        if let Some(store) = self.stores.iter().find(|store| store.store_id == named) {
            return Ok(&store.store_id);
        }
        let stores: Vec<&str> = self.stores.iter().map(|store| store.store_id.as_str()).collect();
        let (zh, en) = ("须为该商户登记的门店。", "Must be one of the merchant's stores.");
        Err(Refusal::new(Code::StoreUnknown).with("stores", stores).field("/receipt/store", "unknown_store", zh, en))
    }
}

/// Whether a compare-and-set took place; a lost race is no error.
pub(super) fn was_written(put: Result<u64, PutError>) -> Result<bool, Refusal> {
    match put {
        Ok(_) => Ok(true),
        Err(PutError::Conflict(_)) => Ok(false),
        Err(PutError::Store(error)) => Err(error.into()),
    }
}

fn conflict(fields: &[&str]) -> Refusal {
    Refusal::new(Code::MerchantConflict).with("fields", fields.to_vec())
}

/// The id when another program has the one that the code makes.
fn id_in_program(code: &str, program: &str) -> String {
    let digest = hex::encode(Sha256::digest(program.as_bytes()));
    format!("m-{}-{}", code.to_ascii_lowercase(), &digest[..8])
}

fn new_record(key: &ApiKey, merchant: Merchant, now: Ms) -> MerchantRecord {
    MerchantRecord {
        program: key.program.clone(),
        merchant,
        rev: 1,
        created_at: now,
        created_by: key.name.clone(),
        frozen: false,
        freezes: Vec::new(),
        enrolments: BTreeMap::new(),
        terminals: BTreeMap::new(),
    }
}

fn status(held: Versioned<MerchantRecord>, created: bool) -> MerchantStatus {
    let record = held.value;
    let enrolments = record.enrolments.iter().map(|(campaign_id, enrolment)| {
        json!({"campaign_id": campaign_id, "state": enrolment.state, "since": beijing(enrolment.since)})
    });
    let terminals = record.terminals.iter().map(|(terminal_id, terminal)| {
        json!({"terminal_id": terminal_id, "key_id": terminal.key_id, "version": terminal.version,
            "created_at": beijing(terminal.created_at), "revoked": terminal.revoked})
    });
    let mut body = serde_json::to_value(&record.merchant).unwrap_or_default();
    body["state"] = json!(if record.frozen { "frozen" } else { "active" });
    body["created_at"] = json!(beijing(record.created_at));
    body["enrolments"] = enrolments.collect();
    body["terminals"] = terminals.collect();
    MerchantStatus { merchant_id: record.merchant.merchant_id, version: held.version, created, body }
}

/// A merchant has no campaign whose zone to use; GB 32100 codes are given in China, which has one.
fn beijing(at: Ms) -> String {
    match Zone::named("Asia/Shanghai") {
        Some(zone) => zone.rfc3339(at),
        None => at.to_string(),
    }
}
