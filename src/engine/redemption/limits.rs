//! Limits on redeeming as the store counts them: a person's in the person's record, a merchant's as counters of its slot.

use std::collections::HashMap;

use super::plan::Planned;
use super::redeem::{Call, refused};
use super::seen::Seen;
use super::{Ask, Till};
use crate::domain::campaign::schema::{LimitMax, VoucherKind};
use crate::domain::limit::{Keeper, LimitFact, OfPack, Place, fact_of_kind, facts, needs_place};
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, Order, OrderKey, OrderUnit, limit_entity};
use crate::domain::time::Ms;
use crate::engine::view::{CampaignView, Snapshot};
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::record::{PersonRecord, Usage};
use crate::store::script::{self, Args};

/// What is used of each of a merchant's caps, by the name of its counter.
pub(super) type Caps = HashMap<String, i64>;

/// A cap that an order takes: how much more of it, and how much there is at most.
pub(super) struct Cap {
    pub name: String,
    pub n: i64,
    pub most: i64,
}

/// Where a new payment is made.
pub(super) fn place_of(till: &Till, ask: &Ask) -> Place {
    Place {
        merchant: limit_entity(&till.merchant_id),
        store: ask.store.clone(),
        terminal: if till.terminal_id.is_empty() { ask.terminal.clone() } else { till.terminal_id.clone() },
        category: ask.category.clone(),
    }
}

/// Where an order was made, as far as its record keeps it: as far as its limits ask.
pub(super) fn place_of_order(order: &Order, merchant: LimitEntityKey) -> Place {
    let receipt = &order.receipt;
    let terminal = if receipt.key_terminal.is_empty() { &receipt.terminal } else { &receipt.key_terminal };
    Place { merchant, store: receipt.store.clone(), terminal: terminal.clone(), category: receipt.category.clone() }
}

/// The limits of a voucher of this pack with what the person has used of them and what the merchant's slot has counted.
pub(super) fn facts_used<'a>(
    view: &'a CampaignView,
    of: OfPack,
    place: &Place,
    at: Ms,
    record: &PersonRecord,
    merchant_id: &str,
    caps: &Caps,
) -> Vec<LimitFact<'a>> {
    let mut facts = facts(&view.campaign, &view.zone, of, place, at);
    for fact in &mut facts {
        match fact.keeper {
            Keeper::Person => use_of_person(fact, record),
            Keeper::Merchant => {
                let used = caps.get(&cap_name(merchant_id, view, fact)).copied().unwrap_or_default();
                match fact.limit.max {
                    LimitMax::Count(_) => fact.count = used,
                    LimitMax::Amount(_) => fact.amount = Fen(used),
                }
            }
            Keeper::Payment => {}
        }
    }
    facts
}

/// What the person has used of the limit that a kind of voucher brings.
pub(super) fn fact_of_kind_used(
    kind: &VoucherKind,
    place: &Place,
    record: &PersonRecord,
) -> Option<LimitFact<'static>> {
    let mut fact = fact_of_kind(kind, place)?;
    use_of_person(&mut fact, record);
    Some(fact)
}

pub(super) fn use_of_person(fact: &mut LimitFact, record: &PersonRecord) {
    let same = |used: &&Usage| used.limit == fact.number && used.entity == fact.entity && used.period == fact.period;
    let mine = record.usage.iter().find(same);
    (fact.count, fact.amount) = mine.map(|used| (used.count, Fen(used.amount))).unwrap_or_default();
}

fn cap_name(merchant_id: &str, view: &CampaignView, fact: &LimitFact) -> String {
    keys::cap_counter(merchant_id, view.number, fact.number, &fact.entity, fact.period)
}

/// The counters of a merchant that vouchers of a person's packs may meet.
pub(super) fn cap_names(
    merchant_id: &str,
    view: &CampaignView,
    record: &PersonRecord,
    place: &Place,
    at: Ms,
) -> Vec<String> {
    let packs = record.packs.iter().map(|pack| OfPack { round: pack.round, channel: pack.channel, pack: pack.pack });
    let mut names: Vec<String> = Vec::new();
    for of in packs {
        let facts = facts(&view.campaign, &view.zone, of, place, at);
        let of_merchant = facts.iter().filter(|fact| fact.keeper == Keeper::Merchant);
        names.extend(of_merchant.map(|fact| cap_name(merchant_id, view, fact)));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What an order takes of its merchant's caps.
pub(super) fn caps_of(snapshot: &Snapshot, merchant_id: &str, units: &[OrderUnit], place: &Place, at: Ms) -> Vec<Cap> {
    let mut caps: Vec<Cap> = Vec::new();
    for unit in units {
        let Some(view) = snapshot.by_number.get(&unit.c) else { continue };
        let of_merchant = facts(&view.campaign, &view.zone, unit.of_pack(), place, at);
        for fact in of_merchant.iter().filter(|fact| fact.keeper == Keeper::Merchant) {
            let (n, most) = match fact.limit.max {
                LimitMax::Count(most) => (1, i64::from(most)),
                LimitMax::Amount(most) => (unit.discount.0, most.0),
            };
            let name = cap_name(merchant_id, view, fact);
            match caps.iter_mut().find(|known| known.name == name) {
                Some(known) => known.n += n,
                None => caps.push(Cap { name, n, most }),
            }
        }
    }
    caps
}

/// Whether the order of these vouchers must remember its till beyond what a settlement needs.
pub(super) fn keeps_place(snapshot: &Snapshot, units: &[OrderUnit]) -> bool {
    units.iter().filter_map(|unit| snapshot.by_number.get(&unit.c)).any(|view| needs_place(&view.campaign))
}

/// What came of taking caps.
pub(super) enum Capped {
    Held,
    /// Another order was faster.
    Full,
    /// The attempt was refused and given up meanwhile.
    Void,
}

impl Engine {
    /// What lies on other slots than the payer's is taken before the vouchers: serial numbers and the merchant's caps.
    pub(super) async fn take_before(
        &self,
        call: &Call<'_>,
        attempt: u32,
        (plan, seen): &(Planned, Seen),
        sent: &mut bool,
    ) -> Result<Capped, Failure> {
        let marked = self.take_serials(call, attempt, &plan.serials).await?;
        let merchant_id = &call.till.merchant_id;
        let caps = caps_of(call.snapshot, merchant_id, &plan.units, &place_of(call.till, call.ask), seen.now);
        if caps.is_empty() || !matches!(marked, Capped::Held) {
            return Ok(marked);
        }
        // From here on a refusal gives back what is held, so it closes the attempt first.
        *sent = true;
        self.take_caps(merchant_id, &call.key, attempt, &caps, false).await
    }

    /// Takes an attempt's caps before its vouchers. Taking them twice holds them once; `again` is for a late confirm, whose caps were
    /// given back when the hold ran out.
    pub(super) async fn take_caps(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        attempt: u32,
        caps: &[Cap],
        again: bool,
    ) -> Result<Capped, Failure> {
        let all = |list: Args| {
            caps.iter().fold(list, |list, cap| list.list(|one| one.bytes(&cap.name).int(cap.n).int(cap.most)))
        };
        let fill = |args: Args| args.int(attempt).list(all).int(u8::from(again));
        let reply = self.store.directory_step(&script::ORDER_CAP, merchant_id, key, fill).await?;
        match reply.refused() {
            None => Ok(Capped::Held),
            Some("limit_reached") => Ok(Capped::Full),
            Some("attempt_void") => Ok(Capped::Void),
            Some(code) => Err(refused(code)),
        }
    }

    /// Gives an attempt's caps back, once; of a later generation than the one named they stay.
    pub(super) async fn release_caps(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        attempt: u32,
        generation: Option<i64>,
    ) -> Result<(), StoreError> {
        let fill = |args: Args| args.int(attempt).int(generation.unwrap_or(-1));
        self.store.directory_step(&script::ORDER_RELEASE, merchant_id, key, fill).await?;
        Ok(())
    }

    /// Gives back the caps of an order that has ended without a use, where its campaigns have any.
    pub(super) async fn release_ended(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        order: &Order,
        generation: Option<i64>,
    ) -> Result<(), StoreError> {
        let place = place_of_order(order, limit_entity(merchant_id));
        if merchant_id.is_empty() || caps_of(&self.view(), merchant_id, &order.units, &place, order.t0).is_empty() {
            return Ok(());
        }
        self.release_caps(merchant_id, key, order.attempt, generation).await
    }
}
