//! Limits on redeeming as the store counts them: a person's in the person's record, a merchant's as counters of its slot, quotas on
//! index slots (`quotas.rs`).

use crate::engine::merchant::caller::Till;
use std::collections::HashMap;

use super::Ask;
use super::open::Opened;
use super::plan::Planned;
use super::quotas::named_quotas;
use super::redeem::{Call, refused};
use super::seen::Seen;
use crate::domain::campaign::schema::{LimitMax, VoucherKind};
use crate::domain::limit::{
    Keeper, LimitFact, OfPack, Place, contacts, fact_of_kind, facts, needs_place, redeems_within,
};
use crate::domain::money::Fen;
use crate::domain::order::{LimitEntityKey, Order, OrderKey, OrderState, OrderUnit, limit_entity};
use crate::domain::time::Ms;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::keys;
use crate::store::record::{Pack, PersonRecord, Usage};
use crate::store::script::{self, Args};

/// What is used of each of a merchant's caps and of quotas, by the name of its counter.
pub(super) type Caps = HashMap<String, i64>;

/// A cap or quota that an order takes: how much of it, and how much there is at most.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Cap {
    pub name: String,
    pub n: i64,
    pub most: i64,
}

/// What an attempt has taken so far, over all its plans.
#[derive(Default)]
pub(super) struct Held {
    /// A copy of the attempt may have reached a store: from here on a refusal gives back what is held, so it closes the attempt first.
    pub sent: bool,
    /// A copy of it may have reached the payer's shard, and have had its effect.
    pub reached: bool,
    /// Something outside the directory may name it, or the entry say what it holds.
    pub named: bool,
    /// Of the merchant's caps.
    pub caps: Vec<(String, i64)>,
    pub quotas: Vec<Cap>,
}

impl Held {
    pub(super) fn of(opened: &Opened) -> Held {
        let begun = !opened.fresh;
        Held { sent: begun, reached: begun, named: begun, caps: opened.held.clone(), quotas: Vec::new() }
    }

    /// The shard has answered that the attempt had no effect: no copy of this request is on its way any more.
    pub(super) fn came_to_nothing(&mut self) {
        (self.sent, self.reached) = (self.named, self.named);
    }

    /// Whether it is more than was known.
    pub(super) fn learn(&mut self, caps: Vec<(String, i64)>) -> bool {
        let known = |(name, n): &(String, i64)| self.caps.iter().any(|(known, own)| known == name && own >= n);
        let more = !caps.iter().all(known);
        if more {
            self.caps = caps;
        }
        more
    }

    /// Plans that follow one another hold the most that any of them has taken.
    fn add(&mut self, caps: &[Cap], quotas: &[Cap]) {
        for cap in caps {
            match self.caps.iter_mut().find(|(name, _)| *name == cap.name) {
                Some((_, held)) => *held = cap.n.max(*held),
                None => self.caps.push((cap.name.clone(), cap.n)),
            }
        }
        for quota in quotas {
            match self.quotas.iter_mut().find(|known| known.name == quota.name) {
                Some(known) => known.n = known.n.max(quota.n),
                None => self.quotas.push(quota.clone()),
            }
        }
    }
}

/// A pack of a record, with what its person's entry names besides the person where limits ask for it.
pub(super) fn of_pack(view: &CampaignView, record: &PersonRecord, pack: &Pack) -> OfPack {
    let same = |entry: &&crate::store::record::Entry| (entry.round, entry.channel) == (pack.round, pack.channel);
    let entry = view.counts_contacts.then(|| record.entries.iter().find(same)).flatten();
    let contacts = entry.map(|entry| contacts(&view.campaign, pack.round, entry.digests)).unwrap_or_default();
    OfPack { round: pack.round, channel: pack.channel, pack: pack.pack, contacts }
}

/// Where a new payment is made, in a store of the merchant's.
pub(super) fn place_of(till: &Till, ask: &Ask, store: &str) -> Place {
    Place {
        merchant: limit_entity(&till.merchant_id),
        store: store.to_owned(),
        terminal: till.terminal_id.clone(),
        category: ask.category.clone(),
    }
}

/// Where an order was made, as far as its record keeps it: as far as its limits ask.
pub(super) fn place_of_order(order: &Order, merchant: LimitEntityKey) -> Place {
    let receipt = &order.receipt;
    let terminal = receipt.counted_terminal().to_owned();
    Place { merchant, store: receipt.store.clone(), terminal, category: receipt.category.clone() }
}

/// The limits of a voucher of this pack with what the person has used of them and what is counted elsewhere.
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
            Keeper::Merchant | Keeper::Quota => {
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

/// The name of a merchant's counter or of a quota.
fn cap_name(merchant_id: &str, view: &CampaignView, fact: &LimitFact) -> String {
    match fact.keeper {
        Keeper::Quota => keys::quota_name(view.number, fact.number, &fact.entity, fact.period),
        _ => keys::cap_counter(merchant_id, view.number, fact.number, &fact.entity, fact.period),
    }
}

/// The merchant's counters or the quotas that vouchers of a person's packs may meet.
pub(super) fn cap_names(
    keeper: Keeper,
    merchant_id: &str,
    view: &CampaignView,
    record: &PersonRecord,
    place: &Place,
    at: Ms,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    if !redeems_within(&view.campaign, keeper) {
        return names;
    }
    for pack in &record.packs {
        let facts = facts(&view.campaign, &view.zone, of_pack(view, record, pack), place, at);
        let kept = facts.iter().filter(|fact| fact.keeper == keeper);
        names.extend(kept.map(|fact| cap_name(merchant_id, view, fact)));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// What an order takes of its merchant's caps, or of quotas, in one order for everybody.
pub(super) fn caps_of(
    keeper: Keeper,
    snapshot: &Snapshot,
    merchant_id: &str,
    units: &[OrderUnit],
    place: &Place,
    at: Ms,
) -> Vec<Cap> {
    let mut caps: Vec<Cap> = Vec::new();
    for unit in units {
        let view = snapshot.by_number.get(&unit.c).filter(|view| redeems_within(&view.campaign, keeper));
        let Some(view) = view else { continue };
        let facts = facts(&view.campaign, &view.zone, unit.of_pack(), place, at);
        for fact in facts.iter().filter(|fact| fact.keeper == keeper) {
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
    caps.sort_unstable_by(|one, other| one.name.cmp(&other.name));
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
    /// What lies on other slots than the payer's is taken before the vouchers: serial numbers, the merchant's caps, quotas.
    pub(super) async fn take_before(
        &self,
        call: &Call<'_>,
        attempt: u32,
        (plan, seen): &(Planned, Seen),
        held: &mut Held,
    ) -> Result<Capped, Failure> {
        held.named |= !plan.serials.is_empty();
        let marked = self.take_serials(call, attempt, &plan.serials).await?;
        let (merchant_id, place) = (&call.till.merchant_id, &call.place);
        let of = |keeper| caps_of(keeper, call.snapshot, merchant_id, &plan.units, place, seen.now);
        let (caps, quotas) = (of(Keeper::Merchant), of(Keeper::Quota));
        if (caps.is_empty() && quotas.is_empty()) || !matches!(marked, Capped::Held) {
            return Ok(marked);
        }
        (held.sent, held.named) = (true, true);
        let (mut capped, _) = self.take_caps(merchant_id, &call.key, attempt, (&caps, &quotas), false).await?;
        if matches!(capped, Capped::Held) {
            capped = self.take_quotas(&call.key, attempt, &quotas, 0).await?;
        }
        if matches!(capped, Capped::Held) {
            held.add(&caps, &quotas);
        }
        Ok(capped)
    }

    /// Takes an attempt's caps before its vouchers and tells their generation; the quotas come next (`take_quotas`). Taking them twice holds
    /// them once; `again` is for a late confirm, whose caps were given back when the hold ran out. The merchant's slot is first: it
    /// names the quotas, so that whoever ends the attempt knows what it may hold.
    pub(super) async fn take_caps(
        &self,
        merchant_id: &str,
        key: &OrderKey,
        attempt: u32,
        (caps, quotas): (&[Cap], &[Cap]),
        again: bool,
    ) -> Result<(Capped, i64), Failure> {
        let all = |list: Args| {
            caps.iter().fold(list, |list, cap| list.list(|one| one.bytes(&cap.name).int(cap.n).int(cap.most)))
        };
        let named = |list: Args| quotas.iter().fold(list, |list, quota| list.bytes(&quota.name));
        let fill = |args: Args| args.int(attempt).list(all).int(u8::from(again)).list(named);
        let reply = self.store.directory_step(&script::ORDER_CAP, merchant_id, key, again, fill).await?;
        match reply.refused() {
            None => Ok((Capped::Held, reply.int(0))),
            Some("limit_reached") => Ok((Capped::Full, 0)),
            Some("attempt_void") => Ok((Capped::Void, 0)),
            Some(code) => Err(refused(code)),
        }
    }

    /// Gives an attempt's caps and quotas back, once, but for what is kept of them; of a later generation than the one named they
    /// stay. The slot is its merchant's.
    pub(super) async fn release_caps(
        &self,
        slot: u8,
        key: &OrderKey,
        attempt: u32,
        generation: Option<i64>,
        kept: &[Cap],
    ) -> Result<(), StoreError> {
        let kept_caps =
            |list: Args| kept.iter().fold(list, |list, cap| list.list(|one| one.bytes(&cap.name).int(cap.n)));
        let fill = |args: Args| args.int(attempt).int(generation.unwrap_or(-1)).list(kept_caps);
        let reply = self.store.directory_step_on(&script::ORDER_RELEASE, slot, key, true, fill).await?;
        self.give_quotas(key, attempt, generation, &named_quotas(&reply, 0), kept).await
    }

    /// What an order keeps of caps and quotas when it has ended.
    pub(super) fn kept_of_ended(&self, merchant_id: &str, order: &Order) -> Result<Vec<Cap>, StoreError> {
        if order.state != OrderState::Redeemed {
            return Ok(Vec::new());
        }
        let (mut kept, quotas) = self.caps_of_order(merchant_id, order, &self.counted_still(order)?);
        kept.extend(quotas);
        Ok(kept)
    }

    /// What these vouchers of an order use of its merchant's caps, and of quotas.
    pub(super) fn caps_of_order(&self, merchant_id: &str, order: &Order, units: &[OrderUnit]) -> (Vec<Cap>, Vec<Cap>) {
        let place = place_of_order(order, limit_entity(merchant_id));
        let of = |keeper| caps_of(keeper, &self.view(), merchant_id, units, &place, order.t0);
        (of(Keeper::Merchant), of(Keeper::Quota))
    }
}
