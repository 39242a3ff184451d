//! What the store holds of a payer, read at one instant: what every plan is made of.

use super::contended;
use super::plan::PayerView;
use crate::domain::order::OrderKey;
use crate::domain::paycode::{self, PayCode};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::keys;
use crate::store::order::StoredOrder;
use crate::store::orders::PayCodeRecord;
use crate::store::record::PersonRecord;

/// What was true together.
pub(super) struct Seen {
    pub now: Ms,
    pub order: Option<StoredOrder>,
    pub code: Option<PayCodeRecord>,
    /// One for each of the payer's people.
    pub records: Vec<Option<StoredRecord>>,
    /// Neither the order nor the pay code was looked at: the script does, but what is refused on this ground is no last word.
    pub records_only: bool,
}

/// A person's record, and the bytes that were read: a plan holds only while they are there.
pub(super) struct StoredRecord {
    pub person: PersonRecord,
    pub bytes: Vec<u8>,
}

impl StoredRecord {
    pub(super) fn decode(bytes: Vec<u8>) -> Result<StoredRecord, StoreError> {
        Ok(StoredRecord { person: PersonRecord::decode(&bytes)?, bytes })
    }
}

impl Engine {
    pub(super) async fn pay_code_record(&self, code: &PayCode) -> Result<Option<PayCodeRecord>, Refusal> {
        let fields = [(keys::pay_code(code.shard(), code.as_str()), b"v".to_vec())];
        let (_, mut values) = self.store.read_together(code.shard(), &fields).await?;
        let value = values.pop().unwrap_or_default();
        Ok(if value.is_empty() { None } else { Some(PayCodeRecord::decode(&value)?) })
    }

    /// Order, pay code and all records of the payer at one instant.
    pub(super) async fn read_wallet(&self, payer: &PayerView, order: Option<&OrderKey>) -> Result<Seen, Refusal> {
        let mut fields = Vec::with_capacity(payer.people.len() + 2);
        fields.extend(order.map(|key| (keys::order_bucket(payer.shard, key), key.to_vec())));
        fields.extend(payer.code.as_ref().map(|code| (keys::pay_code(payer.shard, code.as_str()), b"v".to_vec())));
        fields.extend(payer.people.iter().map(|person| (person.bucket_key.clone(), person.field.to_vec())));
        let (now, values) = self.store.read_together(payer.shard, &fields).await?;
        let mut values = values.into_iter().map(|value| if value.is_empty() { None } else { Some(value) });
        let mut next = || values.next().flatten();
        let order = order.and_then(|_| next()).map(|value| StoredOrder::decode(&value)).transpose()?;
        let code = payer.code.as_ref().and_then(|_| next()).map(|value| PayCodeRecord::decode(&value)).transpose()?;
        let records = payer.people.iter().map(|_| next().map(StoredRecord::decode).transpose());
        Ok(Seen { now, order, code, records: records.collect::<Result<_, _>>()?, records_only: false })
    }

    /// The records alone, for a code that this node has met: what it has paid since, the script will see.
    pub(super) async fn read_records(&self, payer: &PayerView, code: PayCodeRecord) -> Result<Seen, Refusal> {
        let fields: Vec<_> =
            payer.people.iter().map(|person| (person.bucket_key.clone(), person.field.to_vec())).collect();
        let (now, values) = self.store.read_together(payer.shard, &fields).await?;
        let values = values.into_iter().map(|value| Some(value).filter(|value| !value.is_empty()));
        let records = values.map(|value| value.map(StoredRecord::decode).transpose());
        Ok(Seen { now, order: None, code: Some(code), records: records.collect::<Result<_, _>>()?, records_only: true })
    }

    /// The pay code must be known, unused by another order, and not too old.
    pub(super) fn require_code(&self, payer: &PayerView, seen: &Seen, order: Option<&OrderKey>) -> Result<(), Refusal> {
        let Some(shown) = &payer.code else { return Ok(()) };
        let code = seen.code.as_ref().ok_or(Code::PayCodeUnknown)?;
        if payer.root.is_some_and(|root| root != code.root) {
            // The number was given to somebody else after its first life: the next try finds whose it is now.
            self.codes.forget(shown);
            return Err(contended());
        }
        if code.order.is_some() && code.order.as_ref() != order {
            // From memory it would look unused, and the next order would take caps before the script says no.
            self.codes.forget(shown);
            return Err(Code::PayCodeUsed.into());
        }
        let accepted = paycode::accepted(code.expires, self.settings.pay_code_step, seen.now);
        if accepted { Ok(()) } else { Err(Code::PayCodeExpired.into()) }
    }

    /// Ends the payer's holds that have run out and reads again, so that their vouchers can be taken.
    pub(super) async fn without_lapsed(
        &self,
        payer: &PayerView,
        mut seen: Seen,
        order: Option<&OrderKey>,
    ) -> Result<Seen, Refusal> {
        for _ in 0..super::TRIES {
            let lapsed: Vec<OrderKey> = lapsed_orders(&seen);
            if lapsed.is_empty() {
                break;
            }
            for key in lapsed {
                self.with_view(|| self.expire_order(payer.shard, &key)).await?;
            }
            seen = self.read_wallet(payer, order).await?;
        }
        Ok(seen)
    }
}

fn lapsed_orders(seen: &Seen) -> Vec<OrderKey> {
    let holds = seen.records.iter().flatten().flat_map(|record| &record.person.holds);
    let mut lapsed: Vec<OrderKey> = holds
        .filter(|hold| hold.until <= seen.now)
        .filter_map(|hold| OrderKey::try_from(hold.order.as_slice()).ok())
        .collect();
    lapsed.sort_unstable();
    lapsed.dedup();
    lapsed
}
