//! When one voucher may be used for one payment: one small function per rule, in one list in order of precedence.
//! A rule of the campaign or round and those that a pack or a voucher adds must all hold.

mod hours;
mod shop;

use serde_json::json;

use crate::domain::area::name_of_use;
use crate::domain::campaign::schema::{Face, VoucherKind};
use crate::domain::campaign::terms::{Scene, UseChannels, UseRule};
use crate::domain::goods::{Counting, Goods};
use crate::domain::limit::LimitFact;
use crate::domain::money::Fen;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Window, Zone};
use crate::domain::voucher::{UnitState, VoucherRef};
use hours::{date, hours};
pub use shop::{Standing, not_enrolled, unknown_terminal};
use shop::{category, district, industry, merchant_enrolled, terminal};

/// What the till asks to pay.
#[derive(Clone, Debug)]
pub struct Payment<'a> {
    pub amount: Fen,
    pub merchant_discount: Fen,
    pub category: &'a str,
    pub scene: Option<Scene>,
    pub items: &'a [Item],
    /// The channel of the payer's wallet; a printed voucher code has none.
    pub channel: Option<&'a str>,
    /// Areas of use in which the payer asked for the pay code, see [`name_of_use`].
    pub areas: &'a [String],
    /// Where the merchant operates (GB/T 2260) and its industry (GB/T 4754).
    pub district: &'a str,
    pub industry_code: &'a str,
    pub now: Ms,
}

/// One line of the receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub sku: String,
    pub category: Option<String>,
    /// In upper case; an item with one is one piece.
    pub serial: Option<String>,
    pub quantity: u32,
    pub amount: Fen,
    pub merchant_discount: Fen,
}

impl Payment<'_> {
    /// What is left after the merchant's own offer: merchant first, then the programme on what remains.
    pub fn net(&self) -> Fen {
        self.amount - self.merchant_discount
    }
}

/// One voucher of the payer with everything that decides about it.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub voucher: VoucherRef,
    pub campaign_id: &'a str,
    pub kind: &'a VoucherKind,
    /// Campaign's or round's rule, then the pack's, then the voucher's.
    pub rules: Vec<&'a UseRule>,
    pub zone: &'a Zone,
    /// The channel that the pack was credited to.
    pub channel: &'a str,
    pub window: Window,
    pub state: UnitState,
    /// End of the hold when the state is held.
    pub held_until: Ms,
    /// Whether redeeming runs in the campaign, and how the merchant stands in it.
    pub running: bool,
    pub standing: Standing<'a>,
    /// The terminal that the till names, if the campaign counts by terminal and this is not one that counts.
    pub uncounted_terminal: Option<&'a str>,
    /// Whether the voucher that it waits for has been used.
    pub unlocked: bool,
    /// Serial numbers of the receipt that other orders of the campaign use, and until when those that only hold them do.
    pub used_serials: Vec<(&'a str, Option<Ms>)>,
    pub limits: Vec<LimitFact<'a>>,
}

/// Why a voucher is not taken: the rule's place in the list tells how far it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub rule: usize,
    pub refusal: Refusal,
}

type Rule = fn(&Payment, &Candidate) -> Result<(), Refusal>;

/// All rules in order of precedence: what no waiting mends comes before what waiting may mend.
pub const RULES: [Rule; 23] = [
    merchant_enrolled,
    terminal,
    category,
    industry,
    district,
    channel,
    location,
    scene,
    unspent,
    not_ended,
    campaign_runs,
    date,
    hours,
    merchant_offer,
    items,
    serial,
    eligible_items,
    not_held,
    begun,
    unlocked,
    unused_serial,
    // Before the minimum: who has used up a limit must not be told to buy more.
    limits,
    minimum,
];

/// The saving that the voucher gives, or the first rule that refuses it.
pub fn judge(payment: &Payment, candidate: &Candidate) -> Result<Fen, Reason> {
    for (rule, holds) in RULES.iter().enumerate() {
        holds(payment, candidate).map_err(|refusal| Reason { rule, refusal })?;
    }
    Ok(saving(payment, candidate))
}

fn campaign_runs(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.running { Ok(()) } else { Err(Refusal::new(Code::CampaignNotRunning).retry_after_ms(30_000)) }
}

fn channel(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let Some(payer) = payment.channel else { return Ok(()) };
    let mut allowed: Option<Vec<&str>> = None;
    for rule in &candidate.rules {
        let of_rule: Vec<&str> = match &rule.channels {
            UseChannels::AsCredited => vec![candidate.channel],
            UseChannels::Any => continue,
            UseChannels::Listed(channels) => channels.iter().map(String::as_str).collect(),
        };
        allowed = Some(match allowed {
            Some(known) => known.into_iter().filter(|channel| of_rule.contains(channel)).collect(),
            None => of_rule,
        });
    }
    if allowed.as_ref().is_none_or(|allowed| allowed.contains(&payer)) {
        return Ok(());
    }
    let refusal = Refusal::new(Code::ChannelNotAllowed).with("channel", candidate.channel);
    Err(refusal.with("allowed", json!(allowed)))
}

/// The phone says where it is when it asks for the pay code, a minute before it is used; nothing else says where a payer is.
fn location(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    for place in candidate.rules.iter().filter_map(|rule| rule.location.as_ref()) {
        let name = name_of_use(candidate.voucher.c, &place.area_id);
        if !payment.areas.contains(&name) {
            return Err(Refusal::new(Code::OutsideArea).with("area_id", place.area_id.as_str()));
        }
    }
    Ok(())
}

fn scene(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    for rule in candidate.rules.iter().filter(|rule| !rule.scenes.is_empty()) {
        if !payment.scene.is_some_and(|scene| rule.scenes.iter().any(|allowed| scene.is(*allowed))) {
            let allowed: Vec<&str> = rule.scenes.iter().map(|scene| scene.as_str()).collect();
            return Err(Refusal::new(Code::SceneNotAllowed).with("allowed", json!(allowed)));
        }
    }
    Ok(())
}

/// An offer on goods that the voucher is not for does not concern it.
fn merchant_offer(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let combines = candidate.rules.iter().all(|rule| rule.combine_with_merchant_offers);
    let free = combines || payment.merchant_discount == Fen::ZERO;
    if free || Goods::of(payment, candidate).offer(payment) == Fen::ZERO {
        Ok(())
    } else {
        Err(Refusal::new(Code::NotCombinable).with("not_with", "merchant_offer"))
    }
}

fn items(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let by_price = matches!(candidate.kind.face, Face::Percent { item_price_max: Some(_), .. });
    let by_piece = by_price || candidate.kind.has_unique_serial();
    if payment.items.is_empty() && (by_piece || candidate.rules.iter().any(|rule| rule.require_items)) {
        return Err(Code::ItemsRequired.into());
    }
    Ok(())
}

fn serial(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if !candidate.kind.has_unique_serial() || payment.items.iter().any(|item| item.serial.is_some()) {
        return Ok(());
    }
    Err(Code::SerialRequired.into())
}

fn unused_serial(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.used_serials.is_empty() {
        return Ok(());
    }
    let own = serials(payment, candidate);
    let mut taken = candidate.used_serials.iter().filter(|(serial, _)| own.contains(serial));
    match taken.clone().find(|(_, until)| until.is_none()).or_else(|| taken.next()) {
        Some((serial, None)) => Err(Refusal::new(Code::SerialUsed).with("serial", *serial)),
        Some((serial, Some(until))) => Err(held(Code::SerialHeld, *until, payment, candidate).with("serial", *serial)),
        None => Ok(()),
    }
}

/// Another order holds it, until it is paid or given up.
fn held(code: Code, until: Ms, payment: &Payment, candidate: &Candidate) -> Refusal {
    let wait = (until - payment.now).max(1_000);
    Refusal::new(code).with("until", candidate.zone.rfc3339(until)).retry_after_ms(wait as u64)
}

/// The serial numbers that a voucher uses up; none if it does not ask for any.
pub fn serials<'a>(payment: &Payment<'a>, candidate: &Candidate) -> Vec<&'a str> {
    if !candidate.kind.has_unique_serial() {
        return Vec::new();
    }
    let goods = Goods::of(payment, candidate);
    goods.of_receipt(payment.items).filter_map(|item| item.serial.as_deref()).collect()
}

/// What is on the list of goods must be something that the voucher is for.
fn eligible_items(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if !Goods::of(payment, candidate).is_empty() {
        return Ok(());
    }
    let refusal = Refusal::new(Code::ItemsNotEligible);
    Err(match Counting::of(payment, [candidate]) {
        Some(goods) => refusal.with("goods", json!(goods)),
        None => refusal,
    })
}

fn unspent(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    match candidate.state {
        UnitState::Available | UnitState::Held => Ok(()),
        UnitState::Used => Err(Code::VoucherUsed.into()),
        UnitState::Revoked => Err(Code::VoucherRevoked.into()),
    }
}

/// A lapsed hold is given back by whoever meets it; until then the voucher counts as held.
fn not_held(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    match candidate.state {
        UnitState::Held => Err(held(Code::VoucherHeld, candidate.held_until, payment, candidate)),
        UnitState::Available | UnitState::Used | UnitState::Revoked => Ok(()),
    }
}

fn begun(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if payment.now >= candidate.window.start {
        return Ok(());
    }
    let wait = candidate.window.start - payment.now;
    let refusal = Refusal::new(Code::VoucherNotYetValid).retry_after_ms(wait as u64);
    Err(refusal.with("available_begin_time", candidate.zone.rfc3339(candidate.window.start)))
}

fn not_ended(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if payment.now < candidate.window.end {
        return Ok(());
    }
    Err(Refusal::new(Code::VoucherExpired).with("available_end_time", candidate.zone.rfc3339(candidate.window.end)))
}

fn unlocked(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.unlocked {
        return Ok(());
    }
    Err(Refusal::new(Code::VoucherLocked).with("after_kind", candidate.kind.after_kind.as_deref().unwrap_or_default()))
}

/// The threshold; that what the voucher takes off comes from the goods that it is for; and that the payer always pays something.
fn minimum(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let (goods, saving) = (Goods::of(payment, candidate), saving(payment, candidate));
    let of_its_goods = (threshold(candidate) - goods.base(payment)).max(saving - goods.net(payment));
    let missing = of_its_goods.max(least_payable(candidate) + saving - payment.net());
    if missing <= Fen::ZERO {
        return Ok(());
    }
    // What is missing of any goods may be of these too.
    let counting = if of_its_goods > Fen::ZERO { Counting::of(payment, [candidate]) } else { None };
    Err(counting.unwrap_or_default().short_by(missing))
}

fn limits(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let saving = saving(payment, candidate);
    match candidate.limits.iter().find(|fact| !fact.admits(1, saving)) {
        Some(fact) => Err(fact.reached()),
        None => Ok(()),
    }
}

/// What the payer pays at least.
pub fn least_payable(candidate: &Candidate) -> Fen {
    candidate.rules.iter().map(|rule| rule.minimum_payable).max().unwrap_or_default()
}

/// How many vouchers a payment may take when this one is among them.
pub fn most_vouchers(candidate: &Candidate) -> usize {
    candidate.rules.iter().map(|rule| rule.max_vouchers_per_payment as usize).min().unwrap_or(1)
}

/// What the voucher takes off; percentages round down.
pub fn saving(payment: &Payment, candidate: &Candidate) -> Fen {
    match candidate.kind.face {
        Face::Save { discount_amount, .. } => discount_amount,
        Face::Percent { discount_basis_points, discount_amount_max, .. } => Goods::of(payment, candidate)
            .net(payment)
            .share(Fen(i64::from(discount_basis_points)), Fen(10_000))
            .min(discount_amount_max),
    }
}

/// The threshold, for choosing between vouchers that save the same.
pub fn threshold(candidate: &Candidate) -> Fen {
    match candidate.kind.face {
        Face::Save { transaction_minimum, .. } => transaction_minimum,
        // What is so little that nothing would come off does not use a voucher up.
        Face::Percent { discount_basis_points, .. } => {
            let share = i64::from(discount_basis_points.max(1));
            Fen((10_000 + share - 1) / share)
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
