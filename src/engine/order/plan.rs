//! Planning a payment: whose vouchers these are, what the wallet says at one instant, and which of it is taken.

use std::sync::Arc;

use super::limits::{Caps, cap_names, fact_of_kind_used, facts_used, of_pack};
use super::listed::Unlisted;
use super::seen::Seen;
use super::serial;
use super::serial::{InUse, Serial};
use super::{Ask, KnownPayer, Payer};
use crate::domain::basket::{self, Basket};
use crate::domain::bought::Bought;
use crate::domain::campaign::terms::UseRule;
use crate::domain::cashier;
use crate::domain::goods::Goods;
use crate::domain::limit::{Keeper, Place, counts_terminals};
use crate::domain::merchant::EnrolState;
use crate::domain::order::{Order, OrderKey, OrderUnit};
use crate::domain::paycode::PayCode;
use crate::domain::person::{Root, bucket_of};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::rules::{self, Candidate, Payment, Standing};
use crate::domain::time::Ms;
use crate::domain::voucher::{PersonField, UnitState, VoucherIds, VoucherRef};
use crate::engine::Engine;
use crate::engine::config::view::{CampaignView, Snapshot};
use crate::engine::merchant::MerchantView;
use crate::store::campaign::Scope;
use crate::store::keys;
use crate::store::orders::PayCodeRecord;
use crate::store::record::PersonRecord;

/// A payer's places in the store.
pub(super) struct PayerView {
    pub shard: u8,
    pub code: Option<PayCode>,
    /// The person, known with a pay code or an account.
    pub root: Option<Root>,
    /// The channel of the payer's wallet, known with a pay code only.
    pub channel: Option<String>,
    /// Areas of use in which the payer is, known with a pay code only.
    pub areas: Vec<String>,
    pub people: Vec<PersonAt>,
    /// The vouchers that the till named.
    pub named: Option<Vec<VoucherRef>>,
}

/// One campaign's record of the payer.
pub(super) struct PersonAt {
    pub view: Arc<CampaignView>,
    pub field: PersonField,
    pub bucket_key: String,
}

/// Where and by whom a payment is made, beside its payer.
pub(super) struct Counter<'a> {
    pub merchant: &'a MerchantView,
    pub place: Place,
    /// Whether its terminal counts where a campaign counts by terminal.
    pub counts_terminal: bool,
    /// Campaigns whose merchants' lists have this one.
    pub enrolled: &'a [u16],
    /// Lists of the campaigns' rules that do not have it.
    pub unlisted: Unlisted,
    /// What is used of the merchant's caps.
    pub caps: Caps,
    /// Serial numbers of the receipt that other orders use.
    pub serials: Vec<InUse>,
}

/// What a payment takes and counts.
pub(super) struct Planned {
    pub basket: Basket,
    pub units: Vec<OrderUnit>,
    /// Shortest hold of the taken vouchers.
    pub hold_seconds: i64,
    /// Serial numbers that the taken vouchers use up.
    pub serials: Vec<Serial>,
    /// What is bought, if the till has said so.
    pub bought: Option<Bought>,
}

/// Where a payer can be looked for before anything is read; `None` when the till sent something that is not of ours.
pub(super) fn shard_hint(
    ids: &VoucherIds,
    snapshot: &Snapshot,
    merchant: &MerchantView,
    ask: &Ask,
    shards: u8,
) -> Option<u8> {
    let shard = match &ask.payer {
        Payer::PayCode(text) => PayCode::parse(text)?.shard(),
        Payer::Vouchers(list) => {
            let voucher = ids.voucher(list.first()?)?;
            snapshot.by_number.get(&voucher.c).filter(|view| usable(view, merchant)).map(|_| voucher.shard)?
        }
        Payer::Account(_) => return None,
        Payer::Person(known) => known.root.shard(shards),
    };
    (shard < shards).then_some(shard)
}

impl PersonAt {
    pub(super) fn new(view: &Arc<CampaignView>, shard: u8, field: PersonField) -> PersonAt {
        let bucket = bucket_of(&field, view.record.buckets);
        PersonAt { view: view.clone(), field, bucket_key: keys::person_bucket(shard, view.number, bucket) }
    }
}

impl PayerView {
    /// Whether the order's vouchers are somebody else's.
    pub(super) fn is_another(&self, snapshot: &Snapshot, shard: u8, order: &Order) -> bool {
        let Some(unit) = order.units.first() else { return false };
        let known = self.people.iter().find(|person| person.view.number == unit.c).map(|person| person.field);
        // An order of a campaign that is over is of none of the people who can still pay.
        let of_root = || {
            let view = snapshot.by_number.get(&unit.c)?;
            Some(self.root?.in_campaign(&view.pseudonym_key).field())
        };
        self.shard != shard || known.or_else(of_root).is_some_and(|field| field != unit.f)
    }

    pub(super) fn view_of(&self, campaign: u16) -> Option<&Arc<CampaignView>> {
        self.people.iter().map(|person| &person.view).find(|view| view.number == campaign)
    }
}

impl Engine {
    /// Finds the payer behind a pay code or voucher ids; only campaigns of the merchant's program count.
    pub(super) async fn payer(
        &self,
        snapshot: &Snapshot,
        merchant: &MerchantView,
        ask: &Ask,
    ) -> Result<PayerView, Refusal> {
        match &ask.payer {
            Payer::PayCode(text) => {
                let code = PayCode::parse(text)
                    .filter(|code| code.shard() < self.store.shards())
                    .ok_or(Code::PayCodeUnknown)?;
                let record = self.pay_code_record(&code).await?.ok_or(Code::PayCodeUnknown)?;
                let payer = payer_of_code(snapshot, merchant, code.clone(), &record);
                self.codes.put(&code, record);
                Ok(payer)
            }
            Payer::Vouchers(ids) => self.payer_of_vouchers(snapshot, merchant, ids),
            Payer::Account(_) => Err(Code::AccountUnknown.into()),
            Payer::Person(known) => Ok(known.wallet(snapshot, merchant, self.store.shards())),
        }
    }

    fn payer_of_vouchers(
        &self,
        snapshot: &Snapshot,
        merchant: &MerchantView,
        ids: &[String],
    ) -> Result<PayerView, Refusal> {
        let codec = &self.keys.voucher;
        let mut named = Vec::with_capacity(ids.len());
        let mut people: Vec<PersonAt> = Vec::new();
        for id in ids {
            let voucher =
                codec.voucher(id).filter(|voucher| voucher.shard < self.store.shards()).ok_or(Code::VoucherUnknown)?;
            let view =
                snapshot.by_number.get(&voucher.c).filter(|view| usable(view, merchant)).ok_or(Code::VoucherUnknown)?;
            let known = people.iter().find(|person| person.view.number == voucher.c);
            let another = known.is_some_and(|person| person.field != voucher.f);
            if another || named.first().is_some_and(|first: &VoucherRef| first.shard != voucher.shard) {
                let most = view.campaign.use_rule.as_ref().map_or(1, |rule| rule.max_vouchers_per_payment as usize);
                let too_many = ids.len() > most;
                return Err(if too_many { basket::too_many(most) } else { Code::VouchersOfSeveralPersons.into() });
            }
            if known.is_none() {
                people.push(PersonAt::new(view, voucher.shard, voucher.f));
            }
            // Two spellings of one id name one voucher.
            if named.contains(&voucher) {
                return Err(Refusal::new(Code::InvalidRequest).field(
                    "/voucher_ids",
                    "repeated",
                    "同一张券不可重复。",
                    "A voucher is named twice.",
                ));
            }
            named.push(voucher);
        }
        let shard = named.first().ok_or(Code::VoucherUnknown)?.shard;
        Ok(PayerView { shard, code: None, root: None, channel: None, areas: Vec::new(), people, named: Some(named) })
    }

    /// What is used of the merchant's caps and the quotas that these vouchers may meet, without what the order itself holds already.
    pub(super) async fn caps_seen(
        &self,
        payer: &PayerView,
        seen: &Seen,
        merchant_id: &str,
        place: &Place,
        (order, held): (Option<&OrderKey>, &[(String, i64)]),
    ) -> Result<Caps, Refusal> {
        let quotas = self.quotas_seen(payer, seen, merchant_id, place, order).await?;
        let people = payer.people.iter().zip(&seen.records);
        let names = people.filter_map(|(person, record)| {
            let record = &record.as_ref()?.person;
            Some(cap_names(Keeper::Merchant, merchant_id, &person.view, record, place, seen.now))
        });
        let names: Vec<String> = names.flatten().collect();
        if names.is_empty() {
            return Ok(quotas);
        }
        let used = self.store.caps_used(merchant_id, &names).await?;
        let own = |name: &String| held.iter().filter(|(known, _)| known == name).map(|(_, n)| n).sum::<i64>();
        let caps = names.into_iter().zip(used).map(|(name, used)| (name.clone(), used - own(&name)));
        Ok(caps.chain(quotas).collect())
    }
}

pub(super) fn payer_of_code(
    snapshot: &Snapshot,
    merchant: &MerchantView,
    code: PayCode,
    record: &PayCodeRecord,
) -> PayerView {
    let shard = code.shard();
    let (channel, areas) = (record.channel.clone(), record.areas.clone());
    let known = KnownPayer { root: record.root, channel, areas, named_by: "pay_code" };
    PayerView { code: Some(code), ..known.wallet_on(snapshot, merchant, shard) }
}

/// Campaigns that the merchant is enrolled in, as this node knows it; the merchant's slot has the last word.
pub(super) fn approved(merchant: &MerchantView, snapshot: &Snapshot) -> Vec<u16> {
    let approved = merchant.enrolled.iter().filter(|(_, state)| **state == EnrolState::Approved);
    approved.filter_map(|(campaign, _)| snapshot.by_id.get(campaign)).map(|view| view.number).collect()
}

pub(super) fn usable(view: &CampaignView, merchant: &MerchantView) -> bool {
    view.is_published() && view.record.program == merchant.program
}

/// Chooses vouchers, or judges the named ones; a quote also asks for advice.
pub(super) fn basket(
    payer: &PayerView,
    seen: &Seen,
    counter: &Counter,
    ask: &Ask,
    advise: bool,
) -> Result<Planned, Refusal> {
    let merchant = counter.merchant;
    let payment = Payment {
        amount: ask.amount,
        merchant_discount: ask.merchant_discount,
        category: &ask.category,
        scene: ask.scene,
        items: &ask.items,
        channel: payer.channel.as_deref(),
        areas: &payer.areas,
        district: &merchant.operating_district,
        industry_code: &merchant.industry_code,
        now: seen.now,
    };
    let (mut candidates, mut units) = (Vec::new(), Vec::new());
    for (person, record) in payer.people.iter().zip(&seen.records) {
        let found = record.as_ref().map(|record| candidates_of(payer, person, &record.person, counter, seen.now));
        for (candidate, unit) in found.into_iter().flatten() {
            candidates.push(candidate);
            units.push(unit);
        }
    }
    serial::mark(&payment, &mut candidates, &counter.serials);
    let mut basket = match &payer.named {
        None if advise => basket::choose_and_advise(&payment, &candidates),
        None => basket::choose(&payment, &candidates),
        Some(named) => {
            let positions =
                named.iter().map(|voucher| candidates.iter().position(|candidate| candidate.voucher == *voucher));
            let positions = positions.collect::<Option<Vec<_>>>().ok_or(Code::VoucherUnknown)?;
            units = positions.iter().map(|position| units[*position]).collect();
            candidates = positions.iter().map(|position| candidates[*position].clone()).collect();
            basket::exactly(&payment, &candidates).map_err(|mut refusal| {
                blame_the_till(&mut refusal, payer, payment.category);
                refusal
            })?
        }
    };
    basket.not_taken.iter_mut().for_each(|one| blame_the_till(&mut one.refusal, payer, payment.category));
    let taken = basket.taken.iter().map(|one| OrderUnit { discount: one.discount, ..units[one.candidate] }).collect();
    let rules = basket.taken.iter().flat_map(|one| &candidates[one.candidate].rules);
    let hold_seconds = rules.map(|rule| i64::from(rule.hold_seconds)).min().unwrap_or(120);
    let serials = serial::taken(&payment, basket.taken.iter().map(|one| &candidates[one.candidate]));
    let bought = if advise { None } else { bought(&payment, &candidates, &basket) };
    Ok(Planned { units: taken, hold_seconds, serials, bought, basket })
}

/// How the merchant stands to a voucher with these rules.
fn standing<'a>(view: &CampaignView, counter: &Counter, rules: &[&'a UseRule]) -> Standing<'a> {
    if !counter.enrolled.contains(&view.number) {
        return Standing::Outside(counter.merchant.enrolled.get(&view.id).copied());
    }
    counter.unlisted.of(view.number, rules).map_or(Standing::Admitted, Standing::Unlisted)
}

/// A till's word for its goods that none of the payer's campaigns knows is a fault of the till, and the cashier is told so.
fn blame_the_till(refusal: &mut Refusal, payer: &PayerView, category: &str) {
    let by_word = refusal.code == Code::CategoryNotAllowed && refusal.extra.contains_key("allowed");
    if by_word && !payer.people.iter().any(|person| person.view.campaign.names_category(category)) {
        refusal.cashier = Some(Box::new(cashier::unmapped_category()));
    }
}

/// The goods with what each of the taken vouchers takes off them.
fn bought(payment: &Payment, candidates: &[Candidate], basket: &Basket) -> Option<Bought> {
    if payment.items.is_empty() {
        return None;
    }
    let vouchers = basket.taken.iter().map(|one| (Goods::of(payment, &candidates[one.candidate]), one.discount));
    basket::spread(payment.items, &vouchers.collect::<Vec<_>>()).map(|off| Bought::new(payment.items, off))
}

/// Every voucher of one campaign's record.
fn candidates_of<'a>(
    payer: &PayerView,
    person: &'a PersonAt,
    record: &PersonRecord,
    counter: &'a Counter,
    now: Ms,
) -> Vec<(Candidate<'a>, OrderUnit)> {
    let view = &*person.view;
    let mut found = Vec::new();
    let uncounted = !counter.counts_terminal && counts_terminals(&view.campaign);
    for (p, pack) in (0..=u8::MAX).zip(&record.packs) {
        let round = view.campaign.rounds.get(usize::from(pack.round));
        let definition = view.campaign.packs.get(usize::from(pack.pack));
        let (Some(round), Some(definition)) = (round, definition) else { continue };
        let of = of_pack(view, record, pack);
        let facts = facts_used(view, of, &counter.place, now, record, &counter.merchant.stored_id, &counter.caps);
        for unit in &view.units[usize::from(pack.pack)] {
            let kind = &definition.vouchers[unit.kind_index];
            let Some(window) =
                view.campaign.unit_window(usize::from(pack.round), usize::from(pack.pack), unit.unit, pack.at * 1_000)
            else {
                continue;
            };
            let voucher = VoucherRef { c: view.number, shard: payer.shard, f: person.field, p, u: unit.unit };
            let hold = record.holds.iter().find(|hold| hold.pack == p && hold.unit == unit.unit);
            let rules = view.campaign.use_rules_of(round, definition, kind);
            let mut limits = facts.clone();
            limits.extend(fact_of_kind_used(kind, &counter.place, record));
            let candidate = Candidate {
                voucher,
                campaign_id: &view.id,
                kind,
                zone: &view.zone,
                channel: view.channel_name(pack.channel),
                window,
                state: pack.unit(unit.unit),
                held_until: hold.map(|hold| hold.until).unwrap_or_default(),
                running: !view.is_paused(Scope::Redeem),
                standing: standing(view, counter, &rules),
                uncounted_terminal: uncounted.then_some(counter.place.terminal.as_str()),
                used_serials: Vec::new(),
                unlocked: definition.unlocks(kind, |unit| pack.unit(unit) == UnitState::Used),
                limits,
                rules,
            };
            let order_unit = OrderUnit {
                c: view.number,
                f: person.field,
                p: voucher.p,
                u: voucher.u,
                discount: unit.discount_amount,
                round: pack.round,
                channel: pack.channel,
                pack: pack.pack,
                received_s: pack.at,
                contacts: of.contacts,
            };
            found.push((candidate, order_unit));
        }
    }
    found
}

/// Why the merchant takes vouchers of none of the campaigns, as its enrolments in those of the payer tell.
pub(super) fn outside_all(merchant: &MerchantView, payer: &PayerView) -> Refusal {
    let enrolments = || payer.people.iter().filter_map(|person| merchant.enrolled.get_key_value(&person.view.id));
    let in_state = |state: EnrolState| enrolments().find(|(_, known)| **known == state);
    let told = [EnrolState::Suspended, EnrolState::Applied, EnrolState::Left].into_iter().find_map(in_state);
    match told {
        Some((campaign, state)) => rules::not_enrolled(Some(*state)).with("campaign_id", campaign.as_str()),
        None => rules::not_enrolled(None),
    }
}
