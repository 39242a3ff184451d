//! An order that is there, read together with what its payer has: what every step is judged on that follows a redemption.

use super::draft::Draft;
use super::plan::PersonAt;
use super::seen::StoredRecord;
use super::{TRIES, contended};
use crate::domain::order::{Order, OrderKey, OrderState};
use crate::domain::refusal::Code;
use crate::domain::time::Ms;
use crate::domain::voucher::PersonField;
use crate::engine::merchant::caller::Till;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::bought::StoredBought;
use crate::store::change::{Change, Changed};
use crate::store::keys;
use crate::store::order::{StoredOrder, taking_effect};
use crate::store::orders::NO_SHARD;

/// Where an order and its payer's records lie. It never changes once the order has had its effect, so a node that has met the order need
/// not look it up in the merchant's directory.
#[derive(Clone, PartialEq)]
pub struct Met {
    shard: u8,
    /// Campaign and field of each record.
    people: Vec<(u16, PersonField)>,
}

impl Met {
    pub(super) fn new(shard: u8, order: &Order) -> Met {
        let mut people: Vec<(u16, PersonField)> = order.units.iter().map(|unit| (unit.c, unit.f)).collect();
        people.sort_unstable();
        people.dedup();
        Met { shard, people }
    }
}

/// An order as it was read, with what was bought and the records of its payer at that instant.
pub(super) struct Found {
    pub shard: u8,
    pub now: Ms,
    pub stored: StoredOrder,
    pub bought: Option<StoredBought>,
    people: Vec<PersonAt>,
    records: Vec<Option<StoredRecord>>,
}

impl Found {
    pub(super) fn draft(&self) -> Draft<'_> {
        Draft::new(&self.people, &self.records, self.now)
    }

    /// The change that makes the order what the caller says.
    pub(super) fn change(&self, draft: Draft<'_>, key: &OrderKey, order: &Order) -> Change {
        draft.change(self.shard, key, &self.stored.bytes, order).going_on()
    }
}

impl Engine {
    /// The order behind a till's id, for the steps that follow a redemption.
    pub(super) async fn found(&self, till: &Till, key: &OrderKey) -> Result<Found, Failure> {
        let _ = self.known_merchant_of(till).await?;
        let found = match self.found_again(key).await? {
            Some(found) => found,
            None => {
                let entry = self.store.directory_entry(&till.merchant_id, key).await?.ok_or(Code::OrderNotFound)?;
                if entry.reversed.is_some() {
                    return Err(Code::OrderReversed.into());
                }
                self.found_on(entry.shard, key).await?.ok_or(Code::OrderNotFound)?
            }
        };
        match found.stored.order.state {
            OrderState::Reversed => Err(Code::OrderReversed.into()),
            OrderState::Void => Err(Code::OrderNotFound.into()),
            _ => Ok(found),
        }
    }

    /// An order that this node has met, where it was; `None` when the directory must be asked.
    async fn found_again(&self, key: &OrderKey) -> Result<Option<Found>, Failure> {
        let Some(met) = self.orders.get(key) else { return Ok(None) };
        let found = self.read_found(key, &met).await?;
        let found = found.filter(|found| found.stored.order.state != OrderState::Void);
        if found.as_ref().is_none_or(|found| Met::new(met.shard, &found.stored.order) != met) {
            self.orders.forget(key);
            return Ok(None);
        }
        Ok(found)
    }

    /// An order on a shard, with the records of its payer.
    pub(super) async fn found_on(&self, shard: u8, key: &OrderKey) -> Result<Option<Found>, Failure> {
        if shard == NO_SHARD {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let Some(stored) = self.store.order(shard, key).await? else { return Ok(None) };
            let met = Met::new(shard, &stored.order);
            match self.read_found(key, &met).await? {
                Some(found) if Met::new(shard, &found.stored.order) == met => {
                    if !met.people.is_empty() {
                        self.orders.put(*key, met);
                    }
                    return Ok(Some(found));
                }
                _ => {}
            }
        }
        Err(contended().into())
    }

    async fn read_found(&self, key: &OrderKey, met: &Met) -> Result<Option<Found>, Failure> {
        let snapshot = self.view();
        let person = |(campaign, field): &(u16, PersonField)| {
            // An order of a campaign that another node has published a moment ago: this node reads the configuration first.
            let unknown = StoreError::Stale { campaign: *campaign, held: 1 };
            let view = match snapshot.is_unreadable(*campaign) {
                true => snapshot.numbered(*campaign)?,
                false => snapshot.by_number.get(campaign).ok_or(unknown)?,
            };
            Ok(PersonAt::new(view, met.shard, *field))
        };
        let people = met.people.iter().map(person).collect::<Result<Vec<_>, Failure>>()?;
        let shard = met.shard;
        let mut fields = Vec::with_capacity(people.len() + 2);
        fields.push((keys::order_bucket(shard, key), key.to_vec()));
        fields.push((keys::bought_bucket(shard, key), key.to_vec()));
        fields.extend(people.iter().map(|person| (person.bucket_key.clone(), person.field.to_vec())));
        let (now, values) = self.store.read_together(shard, &fields).await?;
        let mut values = values.into_iter().map(|value| Some(value).filter(|value| !value.is_empty()));
        let (stored, bought) = (values.next().flatten(), values.next().flatten());
        let Some(stored) = stored else { return Ok(None) };
        let stored = StoredOrder::decode(&stored)?;
        let bought = bought.map(|bytes| StoredBought::decode(&bytes)).transpose()?;
        let records = values.map(|value| value.map(StoredRecord::decode).transpose()).collect::<Result<_, _>>()?;
        Ok(Some(Found { shard, now, stored, bought, people, records }))
    }

    /// Makes an order what the change says, with its instants as they came to be. `None` when something has moved meanwhile.
    pub(super) async fn put_order(&self, change: Change, order: Order) -> Result<Option<Order>, StoreError> {
        match self.store.change_order(change).await? {
            Changed::At(now) => Ok(Some(taking_effect(order, now))),
            Changed::Order(_) | Changed::Stale => Ok(None),
        }
    }
}
