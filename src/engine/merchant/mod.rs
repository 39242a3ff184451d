//! Merchants of a program: registered once, frozen and let go again, and what a node knows of them when a till asks.
//!
//! The record is committed first, by compare-and-set, and then brought to the merchant's slot, which judges orders; an answer comes
//! after both. What stops between the two is finished by the repeat, or by the next node that reads the record.

pub mod caller;
mod change;
pub mod enrolment;
pub mod import;

use crate::engine::config::was_written;
use caller::Till;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::campaign::schema::MerchantKind;
use crate::domain::merchant::{Draft, EnrolState, Merchant, Store};
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules;
use crate::domain::time::{Ms, Zone};
use crate::engine::Engine;
use crate::engine::config::bounds;
use crate::engine::key::ApiKey;
use crate::store::StoreError;
use crate::store::config::{Kind, Purpose, PutError, Versioned};
use crate::store::merchant::{CodeClaim, FreezeRecord, MerchantPlace, MerchantRecord};

/// A merchant as a node uses it for static rules; the merchant's slot has the last word on freeze and enrolment.
#[derive(Clone, Debug)]
pub struct MerchantView {
    /// As the store names it; no other program's merchant has this name.
    pub stored_id: String,
    pub program: String,
    pub frozen: bool,
    pub kind: MerchantKind,
    pub registered_district: String,
    pub operating_district: String,
    pub industry_code: String,
    pub stores: Vec<Store>,
    pub enrolled: HashMap<String, EnrolState>,
    /// Its terminals, and whether each was revoked.
    terminals: HashMap<String, bool>,
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
    /// The merchant that a program calls by this id, for tills that begin something: at most one poll behind the store, and as its slot
    /// knows it. Nobody else's is found.
    pub async fn merchant(&self, program: &str, merchant_id: &str) -> Result<Arc<MerchantView>, Refusal> {
        let (view, told) = self.merchant_as_recorded(program, merchant_id).await?;
        told?;
        Ok(view)
    }

    /// The same, and whether its slot was told: what ends or reads an order does not wait for that.
    pub(super) async fn merchant_as_recorded(
        &self,
        program: &str,
        merchant_id: &str,
    ) -> Result<(Arc<MerchantView>, Result<(), StoreError>), Refusal> {
        let (revision, cached) = (self.view().revision, cache_id(program, merchant_id));
        if let Some(view) = self.merchants.get(&cached, revision).filter(|view| view.program == program) {
            return Ok((view, Ok(())));
        }
        let place = match self.merchants.as_met(&cached) {
            Some(met) => self.store.merchant_met(program, merchant_id, &met.stored_id).await?,
            None => self.store.merchant_place(program, merchant_id).await?,
        };
        let MerchantPlace { stored_id, held } = place;
        let record = held.ok_or_else(|| Noun::Merchant.not_found(merchant_id))?.value;
        // A change whose second half was lost is finished here.
        let told = self.store.put_merchant_view(&stored_id, &record).await;
        let view = Arc::new(MerchantView::new(stored_id, record));
        if told.is_ok() {
            self.merchants.put(&cached, revision, view.clone());
        }
        Ok((view, told))
    }

    /// Registers a merchant; the same registration again is the same merchant, another one under its code or id is refused.
    pub async fn create_merchant(&self, key: &ApiKey, draft: Draft) -> Result<MerchantStatus, Refusal> {
        let id_was_chosen = draft.merchant_id.is_some();
        let merchant = checked(draft)?;
        for _ in 0..8 {
            if let Some(status) = self.register(key, merchant.clone(), id_was_chosen).await? {
                return Ok(status);
            }
        }
        Err(Refusal::contended())
    }

    pub async fn get_merchant(&self, key: &ApiKey, merchant_id: &str) -> Result<MerchantStatus, Refusal> {
        Ok(status(self.own_merchant(key, merchant_id).await?.1, false))
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

    /// A merchant of the caller's program, with the id under which it is stored; anybody else's does not exist.
    pub(super) async fn own_merchant(
        &self,
        key: &ApiKey,
        merchant_id: &str,
    ) -> Result<(String, Versioned<MerchantRecord>), Refusal> {
        let MerchantPlace { stored_id, held } = self.store.merchant_place(&key.program, merchant_id).await?;
        Ok((stored_id, held.ok_or_else(|| Noun::Merchant.not_found(merchant_id))?))
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
            let (stored_id, mut held) = self.own_merchant(key, merchant_id).await?;
            if !step(&mut held.value)? {
                self.tell_slot_again(&stored_id, &held.value).await?;
                return Ok(held);
            }
            if self.put_merchant(purpose, &stored_id, &mut held).await? {
                self.tell_slot(&stored_id, &held.value).await?;
                return Ok(held);
            }
        }
        Err(Refusal::contended())
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
            let (stored_id, mut held) = self.own_merchant(key, merchant_id).await?;
            if !step(&mut held.value) || self.put_merchant(purpose, &stored_id, &mut held).await? {
                return Ok(held);
            }
        }
        Err(Refusal::contended())
    }

    /// Replaces the record as it was read; false when somebody else was quicker.
    async fn put_merchant(
        &self,
        purpose: Purpose,
        stored_id: &str,
        held: &mut Versioned<MerchantRecord>,
    ) -> Result<bool, Refusal> {
        held.value.rev += 1;
        match self.store.put_record_for(purpose, Kind::Merchant, stored_id, held.version, &held.value).await {
            Ok(version) => held.version = version,
            Err(PutError::Conflict(_)) => return Ok(false),
            Err(PutError::Store(error)) => return Err(error.into()),
        }
        self.merchants.forget(&cache_id(&held.value.program, &held.value.merchant.merchant_id));
        Ok(true)
    }

    /// The record is what the office asked for; until the slot has it too, orders are judged as before.
    async fn tell_slot(&self, stored_id: &str, record: &MerchantRecord) -> Result<(), Refusal> {
        self.store.put_merchant_view(stored_id, record).await.map_err(|error| Refusal::from(error).half_done())
    }

    /// The same of a record that this request has not changed. One whose slot knows it is nobody's unfinished work, and what the store refuses
    /// then is told as it is.
    async fn tell_slot_again(&self, stored_id: &str, record: &MerchantRecord) -> Result<(), Refusal> {
        let Err(error) = self.store.put_merchant_view(stored_id, record).await else { return Ok(()) };
        let known = self.store.merchant_view_revision(stored_id).await;
        let refusal = Refusal::from(error);
        Err(if known.is_ok_and(|known| known >= record.rev) { refusal } else { refusal.half_done() })
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
        let MerchantPlace { stored_id, held } = self.store.merchant_place(&key.program, &merchant.merchant_id).await?;
        if let Some(held) = held {
            return self.registered_before(&stored_id, held, &merchant).await.map(Some);
        }
        match claim {
            Some(claim) if claim.value.merchant_id != merchant.merchant_id => {
                return Err(self.claimed(key, &claim.value.merchant_id, &merchant).await?);
            }
            Some(_) => {}
            None => {
                let claim = CodeClaim { merchant_id: merchant.merchant_id.clone() };
                if !was_written(self.store.put_record(Kind::MerchantCode, &claim_id, 0, &claim).await)? {
                    return Ok(None);
                }
            }
        }
        let record = new_record(key, merchant, self.now());
        let place = (key.program.as_str(), stored_id.as_str());
        if self.make(Kind::Merchant, &bounds::MERCHANTS, place, &record).await?.is_none() {
            return Ok(None);
        }
        self.tell_slot(&stored_id, &record).await?;
        Ok(Some(status(Versioned { version: 1, value: record }, true)))
    }

    /// The program has the code under another id.
    async fn claimed(&self, key: &ApiKey, claimed_id: &str, merchant: &Merchant) -> Result<Refusal, Refusal> {
        let held = self.store.merchant_place(&key.program, claimed_id).await?.held;
        let fields = held.map_or(vec!["merchant_id"], |held| held.value.merchant.differs_in(merchant));
        Ok(conflict(&fields).with("merchant_id", claimed_id))
    }

    async fn registered_before(
        &self,
        stored_id: &str,
        held: Versioned<MerchantRecord>,
        merchant: &Merchant,
    ) -> Result<MerchantStatus, Refusal> {
        let fields = held.value.merchant.differs_in(merchant);
        if !fields.is_empty() {
            let id = &held.value.merchant.merchant_id;
            let (zh, en) = (
                format!("商户“{id}”已登记，{} 不同；更改请用 PUT /v1/merchants/{id}。", fields.join("、")),
                format!(
                    "The merchant \"{id}\" is registered with another {}; change it with PUT /v1/merchants/{id}.",
                    fields.join(", ")
                ),
            );
            return Err(conflict(&fields).with("merchant_id", id.as_str()).detail(zh, en));
        }
        self.tell_slot_again(stored_id, &held.value).await?;
        Ok(status(held, false))
    }
}

impl MerchantView {
    fn new(stored_id: String, record: MerchantRecord) -> MerchantView {
        let enrolled = record.enrolments.into_iter().map(|(campaign, enrolment)| (campaign, enrolment.state)).collect();
        let terminals = record.terminals.into_iter().map(|(id, terminal)| (id, terminal.revoked)).collect();
        let merchant = record.merchant;
        MerchantView {
            stored_id,
            program: record.program,
            frozen: record.frozen,
            kind: merchant.kind,
            registered_district: merchant.registered_district,
            operating_district: merchant.operating_district,
            industry_code: merchant.industry_code,
            stores: merchant.stores,
            enrolled,
            terminals,
        }
    }
}

impl MerchantView {
    /// Whether the terminal that a till names counts where a campaign counts by terminal: one of the merchant's does, and so do together all
    /// calls that name none. One that was revoked sells nothing, whichever key names it.
    pub(super) fn counts_terminal(&self, till: &Till) -> Result<bool, Refusal> {
        if till.is_terminals_key || till.terminal_id.is_empty() {
            return Ok(true);
        }
        match self.terminals.get(&till.terminal_id) {
            Some(true) => Err(rules::unknown_terminal(&till.terminal_id, true)),
            known => Ok(known.is_some()),
        }
    }

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

fn checked(draft: Draft) -> Result<Merchant, Refusal> {
    draft.check().map_err(|faults| Refusal { errors: faults, ..Refusal::new(Code::InvalidRequest) })
}

fn conflict(fields: &[&str]) -> Refusal {
    Refusal::new(Code::MerchantConflict).with("fields", fields.to_vec())
}

fn cache_id(program: &str, merchant_id: &str) -> String {
    format!("{program}/{merchant_id}")
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
        changes: Vec::new(),
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
    let changes = record.changes.iter().map(|one| json!({"fields": one.fields, "at": beijing(one.at), "by": one.by}));
    body["changes"] = changes.collect();
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
