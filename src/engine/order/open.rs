//! The first step of an order: its merchant's directory, which knows of every order at which attempt and on which shard it is open.

use std::time::Duration;

use rmpv::Value;

use super::Till;
use super::plan;
use super::plan::usable;
use super::redeem::refused;
use crate::domain::order::{Fingerprint, OrderKey, OrderState};
use crate::engine::config::view::Snapshot;
use crate::engine::merchant::MerchantView;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::order::StoredOrder;
use crate::store::orders::NO_SHARD;
use crate::store::script::{self, Args, Shared};

/// When to look what an attempt has come to. Each look is a call of the store, so where the store is slow they take as long as the attempt's.
const MOMENTS_MS: [u64; 3] = [5, 10, 20];

/// What the merchant's directory says about an order.
pub(super) struct Opened {
    pub attempt: u32,
    pub shard: u8,
    pub fingerprint: Vec<u8>,
    pub released: bool,
    pub frozen: bool,
    /// Campaigns in which the merchant is enrolled at this instant.
    pub enrolled: Vec<u16>,
    /// Nobody can have sent this attempt to its shard yet.
    pub fresh: bool,
    /// Another request has made the entry and may take it back.
    pub alone: bool,
    /// What the attempt holds of the merchant's caps.
    pub held: Vec<(String, i64)>,
    /// It may hold quotas too.
    pub quotas: bool,
}

impl Engine {
    /// The order is refused and nothing names its attempt: its entry goes, or a till that sends orders which are refused would fill the
    /// store. An entry that the store does not take back now stays.
    pub(super) async fn take_back(&self, till: &Till, key: &OrderKey, opened: &Opened, fingerprint: &Fingerprint) {
        if opened.fresh && opened.attempt == 1 {
            let taken = self.store.take_back_order(&till.merchant_id, key, fingerprint, opened.shard).await;
            let _ =
                taken.inspect_err(|error| tracing::debug!(%error, "an order that was refused stays in its directory"));
        }
    }

    /// Whether the attempt that was found is still there and stays. The request that has made it may be about to take its entry back, and the
    /// next one would have its number: so whoever else acts on it says so first.
    pub(super) async fn join(&self, till: &Till, key: &OrderKey, opened: &Opened) -> Result<bool, StoreError> {
        if !opened.alone {
            return Ok(true);
        }
        let fill = |args: Args| args.int(opened.attempt).int(opened.shard).bytes(&opened.fingerprint);
        let reply = self.store.directory_step(&script::ORDER_JOIN, &till.merchant_id, key, false, fill).await?;
        Ok(reply.is("ok"))
    }

    /// What another request with this order comes to, which has opened it and may be on its way. Whoever ended its attempt at once would be ended
    /// by it in turn, and the order would be nobody's; one that comes to nothing for longer is left behind.
    pub(super) async fn outcome_of_another(
        &self,
        key: &OrderKey,
        opened: &Opened,
    ) -> Result<Option<StoredOrder>, StoreError> {
        if opened.released || opened.shard == NO_SHARD {
            return Ok(None);
        }
        for pause in MOMENTS_MS {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.store.order(opened.shard, key).await? {
                Some(stored) if stored.order.state != OrderState::Void => return Ok(Some(stored)),
                Some(stored) if stored.order.attempt >= opened.attempt => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Finds the order, or opens it at its first attempt; whether the merchant is frozen or enrolled is judged there.
    pub(super) async fn open(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        fingerprint: &[u8; 8],
        shard: u8,
        merchant: &MerchantView,
        snapshot: &Snapshot,
    ) -> Result<Opened, Failure> {
        let mut campaigns: Vec<u16> =
            snapshot.by_number.values().filter(|view| usable(view, merchant)).map(|view| view.number).collect();
        campaigns.sort_unstable();
        let mut known = plan::approved(merchant, snapshot);
        known.retain(|campaign| campaigns.contains(campaign));
        known.sort_unstable();
        let numbers = |list: Args, numbers: &[u16]| numbers.iter().fold(list, |list, number| list.int(*number));
        let asked = Args::with_capacity(64).bytes(keys::merchant_field(merchant_id));
        let asked = asked.list(|list| numbers(list, &campaigns)).list(|list| numbers(list, &known));
        let reply = self.store.open_order(merchant_id, key, fingerprint, shard, Shared::new(asked)).await?;
        if let Some(code) = reply.refused() {
            return Err(refused(code));
        }
        let list = |index: usize| reply.value(index).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let campaigns_at = |index: usize| list(index).iter().filter_map(Value::as_u64).map(|one| one as u16).collect();
        if reply.is("replay") {
            let held = list(6).iter().filter_map(Value::as_array);
            let held = held.filter_map(|cap| Some((cap.first()?.as_str()?.to_owned(), cap.get(1)?.as_i64()?)));
            return Ok(Opened {
                attempt: reply.int(0) as u32,
                shard: reply.int(1) as u8,
                fingerprint: reply.bytes(2).to_vec(),
                released: reply.int(3) == 1,
                frozen: reply.text(4) == "frozen",
                enrolled: campaigns_at(5),
                fresh: false,
                alone: reply.int(8) == 1,
                held: held.collect(),
                quotas: reply.int(7) == 1,
            });
        }
        // A bare number: the merchant stands as this node knows.
        let as_known = reply.int(0) == 1;
        Ok(Opened {
            attempt: 1,
            shard,
            fingerprint: fingerprint.to_vec(),
            released: false,
            frozen: false,
            enrolled: if as_known { known } else { campaigns_at(1) },
            fresh: true,
            alone: false,
            held: Vec::new(),
            quotas: false,
        })
    }
}
