//! Stored forms of the till: orders, the merchant's directory of them, lapsing holds and pay codes. New orders and codes are written here,
//! what becomes of them by the scripts; all of it is read here.

use std::sync::Arc;

use rmpv::Value;

use super::batch::KEYS;
use super::keys::{self, Slot};
use super::order::{StoredOrder, number, part};
use super::retention::KeptEntry;
use super::script::{self, Args, Member, Reply, Script, Shared};
use super::{Store, StoreError};
use crate::domain::money::Fen;
use crate::domain::order::{Fingerprint, OrderKey, Reversal, Was};
use crate::domain::person::Root;
use crate::domain::time::Ms;

/// Where a merchant's order stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DirectoryEntry {
    pub attempt: u32,
    /// 255 when an order was reversed before it was ever seen.
    pub shard: u8,
    pub reversed: Option<Reversal>,
    /// Its attempt may hold, or may have held, quotas.
    pub quotas: bool,
    /// The request that has made it may take it back; it holds nothing.
    pub alone: bool,
}

/// What an entry of a directory says that its attempt may hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holding {
    /// Counters of the merchant's caps, with how much of each.
    pub caps: Vec<(String, i64)>,
    /// Names of quotas; how much of each stands beside the quota.
    pub quotas: Vec<String>,
    /// How often a late confirm has taken them again.
    pub generation: i64,
    /// The caps were given back.
    pub released: bool,
}

impl Holding {
    /// `None` when the entry cannot be read.
    pub fn of(one: &KeptEntry) -> Option<Holding> {
        let value = rmpv::decode::read_value(&mut one.bytes.as_slice()).ok()?;
        let reversed = one.entry.reversed.is_some();
        let list = |index: usize| part(&value, index).as_array().map(Vec::as_slice).unwrap_or_default();
        let cap = |cap: &Value| Some((part(cap, 0).as_str()?.to_owned(), part(cap, 1).as_i64()?));
        let quotas = list(if reversed { 7 } else { 6 }).iter().filter_map(Value::as_str);
        Some(Holding {
            caps: if reversed { Vec::new() } else { list(4).iter().map(cap).collect::<Option<_>>()? },
            quotas: quotas.map(str::to_owned).collect(),
            generation: if reversed { 0 } else { number(part(&value, 5)) },
            released: reversed || !part(&value, 4).is_array(),
        })
    }

    pub fn may_hold(&self) -> bool {
        !self.caps.is_empty() || !self.quotas.is_empty()
    }
}

/// Shard of an order that was never on one.
pub const NO_SHARD: u8 = 255;

/// Bytes in the store: 12 of the order or zeros, root pseudonym 32, expires u64, channel, and after a line feed each the areas.
#[derive(Clone, PartialEq)]
pub struct PayCodeRecord {
    pub root: Root,
    pub channel: String,
    pub expires: Ms,
    /// Areas of use in which the code was asked for, as `campaign number/area_id`.
    pub areas: Vec<String>,
    /// The order that it paid.
    pub order: Option<OrderKey>,
}

impl PayCodeRecord {
    pub fn decode(bytes: &[u8]) -> Result<PayCodeRecord, StoreError> {
        PayCodeRecord::read(bytes).ok_or_else(|| StoreError::Broken("pay code".into()))
    }

    fn read(bytes: &[u8]) -> Option<PayCodeRecord> {
        let (order, rest) = bytes.split_first_chunk::<12>()?;
        let (root, rest) = rest.split_first_chunk::<32>()?;
        let (expires, names) = rest.split_first_chunk::<8>()?;
        let mut names = std::str::from_utf8(names).ok()?.split('\n').map(str::to_owned);
        let order = Some(*order).filter(|key| *key != OrderKey::default());
        let (channel, expires) = (names.next()?, Ms::from_be_bytes(*expires));
        Some(PayCodeRecord { root: Root(*root), channel, expires, areas: names.collect(), order })
    }

    /// All that is behind the order: it never changes while the code lives.
    pub fn whose(&self) -> Vec<u8> {
        let mut bytes = [&self.root.0[..], &self.expires.to_be_bytes(), self.channel.as_bytes()].concat();
        for area in &self.areas {
            bytes.push(b'\n');
            bytes.extend_from_slice(area.as_bytes());
        }
        bytes
    }

    pub fn encode(&self) -> Vec<u8> {
        [&self.order.unwrap_or_default()[..], &self.whose()].concat()
    }
}

impl Store {
    pub async fn directory_entry(&self, merchant: &str, key: &OrderKey) -> Result<Option<DirectoryEntry>, StoreError> {
        let slot = self.merchant_slot(merchant);
        let value = self.read_one(&Slot::Merchant(slot), keys::directory_bucket(slot, key), key).await?;
        value
            .map(|bytes| directory_entry(&bytes).ok_or_else(|| StoreError::Broken("order directory".into())))
            .transpose()
    }

    pub async fn order(&self, shard: u8, key: &OrderKey) -> Result<Option<StoredOrder>, StoreError> {
        let value = self.read_one(&Slot::Shard(shard), keys::order_bucket(shard, key), key).await?;
        value.map(|bytes| StoredOrder::decode(&bytes)).transpose()
    }

    /// One field, read together with what others read of the slot.
    async fn read_one(&self, slot: &Slot, key: String, field: &OrderKey) -> Result<Option<Vec<u8>>, StoreError> {
        let (_, mut values) = self.read(slot, &[(key, field.to_vec())]).await?;
        Ok(values.pop().filter(|value| !value.is_empty()))
    }

    /// Several fields of one slot, all read at one instant. More than a call can name are read call by call, from the instant of the first.
    pub(super) async fn read(
        &self,
        slot: &Slot,
        fields: &[(String, Vec<u8>)],
    ) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        let (first, rest) = fields.split_at(fields.len().min(KEYS));
        let (now, mut values) = self.read_at_once(slot, first).await?;
        for some in rest.chunks(KEYS) {
            values.extend(self.read_at_once(slot, some).await?.1);
        }
        Ok((now, values))
    }

    async fn read_at_once(&self, slot: &Slot, fields: &[(String, Vec<u8>)]) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        let names = fields.iter().map(|(key, _)| key.clone()).collect();
        let mut wanted = Vec::with_capacity(48);
        for (_, field) in fields {
            let length = u8::try_from(field.len());
            wanted.push(length.map_err(|_| StoreError::Broken(format!("a field of {} bytes", field.len())))?);
            wanted.extend_from_slice(field);
        }
        let reply = self.call(&script::WALLET_READ, slot, Member::flat(names, wanted)).await?;
        values_read(reply.bytes(0), fields.len()).ok_or_else(|| StoreError::malformed("reading"))
    }

    /// Several fields of one shard, all read at one instant; an empty value is an absent field.
    pub async fn read_together(
        &self,
        shard: u8,
        fields: &[(String, Vec<u8>)],
    ) -> Result<(Ms, Vec<Vec<u8>>), StoreError> {
        self.read(&Slot::Shard(shard), fields).await
    }

    /// Finds or opens an order in its merchant's directory. `asked` is what all orders of the merchant ask for.
    pub async fn open_order(
        &self,
        merchant: &str,
        key: &OrderKey,
        fingerprint: &Fingerprint,
        shard: u8,
        asked: Arc<Shared>,
    ) -> Result<Reply, StoreError> {
        let slot = self.merchant_slot(merchant);
        let bytes = [&key[..], &new_entry(fingerprint, shard)].concat();
        let member = Member::flat(vec![keys::directory_bucket(slot, key)], bytes).sharing(asked);
        self.call(&script::ORDER_OPEN, &Slot::Merchant(slot), member).await
    }

    /// Takes back the entry that this request has made, unless another copy of the order has joined it meanwhile. No entry that was found
    /// may be taken back, and none twice: the next one may have the same bytes.
    pub async fn take_back_order(
        &self,
        merchant: &str,
        key: &OrderKey,
        fingerprint: &Fingerprint,
        shard: u8,
    ) -> Result<(), StoreError> {
        let slot = self.merchant_slot(merchant);
        let bucket = vec![keys::directory_bucket(slot, key)];
        self.forget(&Slot::Merchant(slot), bucket, key, &new_entry(fingerprint, shard)).await.map(drop)
    }

    /// A step of an order in its merchant's directory; every one of them names the order first.
    pub async fn directory_step(
        &self,
        script: &'static Script,
        merchant: &str,
        key: &OrderKey,
        goes_on: bool,
        fill: impl FnOnce(Args) -> Args,
    ) -> Result<Reply, StoreError> {
        self.directory_step_on(script, self.merchant_slot(merchant), key, goes_on, fill).await
    }

    /// The same by the merchant's slot.
    pub async fn directory_step_on(
        &self,
        script: &'static Script,
        slot: u8,
        key: &OrderKey,
        goes_on: bool,
        fill: impl FnOnce(Args) -> Args,
    ) -> Result<Reply, StoreError> {
        let member = Member::packed(vec![keys::directory_bucket(slot, key)], fill(Args::default().bytes(key)));
        let member = member.going_on(goes_on);
        self.call(script, &Slot::Merchant(slot), member).await
    }

    /// How much of a merchant's caps is used, in the order of the counters named.
    pub async fn caps_used(&self, merchant: &str, counters: &[String]) -> Result<Vec<i64>, StoreError> {
        self.counted(&Slot::Merchant(self.merchant_slot(merchant)), counters).await
    }

    /// What counters of a shard's money say, in the order named.
    pub async fn counters(&self, shard: u8, names: &[String]) -> Result<Vec<Fen>, StoreError> {
        Ok(self.counted(&Slot::Shard(shard), names).await?.into_iter().map(Fen).collect())
    }

    async fn counted(&self, slot: &Slot, names: &[String]) -> Result<Vec<i64>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(slot.header()).arg(names);
        let counted: Vec<Option<i64>> = self.query(&command).await?;
        Ok(counted.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Orders whose holds are on the list of a shard, with the instants at which they run out.
    pub async fn lapsing_holds(&self, shard: u8) -> Result<Vec<(OrderKey, Ms)>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(keys::lapsing_holds(shard));
        let listed: Vec<(Vec<u8>, Vec<u8>)> = self.query(&command).await?;
        // One whose instant cannot be read is looked at now: the order says when its hold ends.
        let instant = |until: Vec<u8>| std::str::from_utf8(&until).ok().and_then(|until| until.parse().ok());
        let hold = |(key, until)| Some((OrderKey::try_from(key).ok()?, instant(until).unwrap_or_default()));
        Ok(listed.into_iter().filter_map(hold).collect())
    }
}

/// The entry of an order that is new: {open, first attempt, shard, fingerprint, 0 = what `directory.lua` says}.
fn new_entry(fingerprint: &Fingerprint, shard: u8) -> Vec<u8> {
    Args::default().list(|entry| entry.int(1).int(1).int(shard).bytes(fingerprint).int(0)).bytes
}

/// The instant as a double, then length and bytes of each value.
fn values_read(bytes: &[u8], count: usize) -> Option<(Ms, Vec<Vec<u8>>)> {
    let (now, mut rest) = bytes.split_first_chunk::<8>()?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (value, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        values.push(value.to_vec());
        rest = behind;
    }
    Some((f64::from_be_bytes(*now) as Ms, values))
}

pub(super) fn directory_entry(mut bytes: &[u8]) -> Option<DirectoryEntry> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let reversed = (number(part(&value, 0)) == 2).then(|| Reversal {
        at: number(part(&value, 5)),
        was: Was::named(part(&value, 6).as_str().unwrap_or_default()),
    });
    let quotas = part(&value, if reversed.is_some() { 7 } else { 6 }).is_array();
    let (attempt, shard) = (number(part(&value, 1)) as u32, number(part(&value, 2)) as u8);
    let alone = reversed.is_none() && attempt == 1 && part(&value, 4).as_i64() == Some(0) && part(&value, 5).is_nil();
    Some(DirectoryEntry { attempt, shard, reversed, quotas, alone })
}
