//! When one voucher may be used for one payment: one small function per rule, in one list in order of precedence.
//! A rule of the campaign or round and those that a pack or a voucher adds must all hold.

use serde_json::{Value, json};

use crate::domain::campaign::schema::{Face, Limit, LimitMax, VoucherKind};
use crate::domain::campaign::terms::{Scene, ThresholdOn, UseChannels, UseRule};
use crate::domain::money::Fen;
use crate::domain::order::LimitEntityKey;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::{Ms, Window, Zone};
use crate::domain::voucher::{UnitState, VoucherRef};

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
    /// Whether redeeming runs in the campaign, and whether the merchant is enrolled in it.
    pub running: bool,
    pub enrolled: bool,
    pub limits: Vec<LimitFact<'a>>,
}

/// A limit on redemption and how much of it is used in its current period.
#[derive(Clone, Debug)]
pub struct LimitFact<'a> {
    pub limit: &'a Limit,
    /// Position in the list of the round's limits: campaign's first.
    pub index: u8,
    /// Short digest of the entities other than the person.
    pub entity: LimitEntityKey,
    pub period: i64,
    pub count: i64,
    pub amount: Fen,
}

impl LimitFact<'_> {
    /// Whether `count` more vouchers over `amount` still fit.
    pub fn admits(&self, count: i64, amount: Fen) -> bool {
        match self.limit.max {
            LimitMax::Count(max) => self.count + count <= i64::from(max),
            LimitMax::Amount(max) => self.amount + amount <= max,
        }
    }
}

/// Why a voucher is not taken: the rule's place in the list tells how far it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub rule: usize,
    pub refusal: Refusal,
}

type Rule = fn(&Payment, &Candidate) -> Result<(), Refusal>;

/// All rules in order of precedence.
pub const RULES: [Rule; 15] = [
    campaign_runs,
    merchant_enrolled,
    category,
    district,
    channel,
    scene,
    hours,
    merchant_offer,
    items,
    unit_state,
    begun,
    not_ended,
    // Before the minimum: who has used up a limit must not be told to buy more.
    limits,
    minimum,
    minimum_payable,
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

fn merchant_enrolled(_: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.enrolled {
        Ok(())
    } else {
        Err(Refusal::new(Code::MerchantNotEnrolled).with("campaign_id", candidate.campaign_id))
    }
}

fn category(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    for rule in &candidate.rules {
        let known = rule.categories.is_empty() || rule.categories.iter().any(|allowed| allowed == payment.category);
        // The merchant's own industry decides what its goods may be called, where the campaign says which codes belong to a category.
        let codes = rule.category_codes.get(payment.category);
        let industry_fits =
            codes.is_none_or(|codes| codes.iter().any(|prefix| payment.industry_code.starts_with(prefix.as_str())));
        if !known || !industry_fits {
            return Err(Refusal::new(Code::CategoryNotAllowed).with("allowed", json!(rule.categories)));
        }
    }
    Ok(())
}

fn district(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let outside = |rule: &&&UseRule| {
        !rule.districts.is_empty() && !rule.districts.iter().any(|prefix| payment.district.starts_with(prefix.as_str()))
    };
    match candidate.rules.iter().find(outside) {
        Some(rule) => Err(Refusal::new(Code::DistrictNotAllowed).with("allowed", json!(rule.districts))),
        None => Ok(()),
    }
}

fn channel(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let Some(payer) = payment.channel else { return Ok(()) };
    let allows = |rule: &&UseRule| match &rule.channels {
        UseChannels::AsCredited => payer == candidate.channel,
        UseChannels::Any => true,
        UseChannels::Listed(channels) => channels.iter().any(|channel| channel == payer),
    };
    if candidate.rules.iter().all(allows) {
        return Ok(());
    }
    Err(Refusal::new(Code::ChannelNotAllowed).with("channel", candidate.channel))
}

fn scene(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    for rule in candidate.rules.iter().filter(|rule| !rule.scenes.is_empty()) {
        if !payment.scene.is_some_and(|scene| rule.scenes.contains(&scene)) {
            let allowed: Vec<&str> = rule.scenes.iter().map(|scene| scene.as_str()).collect();
            return Err(Refusal::new(Code::SceneNotAllowed).with("allowed", json!(allowed)));
        }
    }
    Ok(())
}

fn hours(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let closed = || Refusal::new(Code::OutsideHours);
    let restricted = candidate.rules.iter().any(|rule| !rule.hours.is_empty() || !rule.dates_excluded.is_empty());
    if !restricted {
        return Ok(());
    }
    let local = candidate.zone.local(payment.now).ok_or_else(closed)?;
    let week_day = local.weekday().to_monday_one_offset() as u8;
    let minute = local.hour() as u16 * 60 + local.minute() as u16;
    for rule in &candidate.rules {
        let open = rule.hours.iter().any(|hours| {
            let day_fits = hours.week_days.is_empty() || hours.week_days.contains(&week_day);
            day_fits && (hours.begin_time..hours.end_time).contains(&minute)
        });
        if rule.dates_excluded.contains(&local.date()) || !(open || rule.hours.is_empty()) {
            return Err(closed());
        }
    }
    Ok(())
}

fn merchant_offer(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let combines = candidate.rules.iter().all(|rule| rule.combine_with_merchant_offers);
    if combines || payment.merchant_discount == Fen::ZERO { Ok(()) } else { Err(Code::NotCombinable.into()) }
}

fn items(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if payment.items.is_empty() && candidate.rules.iter().any(|rule| rule.require_items) {
        return Err(Code::ItemsRequired.into());
    }
    Ok(())
}

fn unit_state(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    match candidate.state {
        UnitState::Available => Ok(()),
        // A lapsed hold is given back by whoever meets it; until then the voucher counts as held.
        UnitState::Held => {
            let wait = (candidate.held_until - payment.now).max(1_000);
            let until = candidate.zone.rfc3339(candidate.held_until);
            Err(Refusal::new(Code::VoucherHeld).with("until", until).retry_after_ms(wait as u64))
        }
        UnitState::Used => Err(Code::VoucherUsed.into()),
        UnitState::Revoked => Err(Code::VoucherRevoked.into()),
    }
}

fn begun(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if payment.now >= candidate.window.start {
        return Ok(());
    }
    Err(Refusal::new(Code::VoucherNotYetValid)
        .with("available_begin_time", candidate.zone.rfc3339(candidate.window.start)))
}

fn not_ended(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if payment.now < candidate.window.end {
        return Ok(());
    }
    Err(Refusal::new(Code::VoucherExpired).with("available_end_time", candidate.zone.rfc3339(candidate.window.end)))
}

fn minimum(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let Face::Save { transaction_minimum, .. } = candidate.kind.face else { return Ok(()) };
    at_least(transaction_minimum, base(payment, candidate))
}

fn minimum_payable(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    at_least(least_payable(candidate) + saving(payment, candidate), payment.net())
}

fn limits(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    let saving = saving(payment, candidate);
    match candidate.limits.iter().find(|fact| !fact.admits(1, saving)) {
        Some(fact) => {
            Err(Refusal::new(Code::LimitReached).with("limit", serde_json::to_value(fact.limit).unwrap_or(Value::Null)))
        }
        None => Ok(()),
    }
}

fn at_least(needed: Fen, there: Fen) -> Result<(), Refusal> {
    if there >= needed { Ok(()) } else { Err(below_minimum(needed - there)) }
}

/// The amount is what the reader has to change, and by how much.
pub fn below_minimum(missing: Fen) -> Refusal {
    let refusal = Refusal::new(Code::MinimumNotMet).with("missing_amount", missing.0);
    refusal.field("/amount", "minimum_not_met", "未达到使用门槛。", "The order is below the voucher's minimum.")
}

/// What the payer pays at least.
pub fn least_payable(candidate: &Candidate) -> Fen {
    candidate.rules.iter().map(|rule| rule.minimum_payable).max().unwrap_or_default()
}

/// How many vouchers a payment may take when this one is among them.
pub fn most_vouchers(candidate: &Candidate) -> usize {
    candidate.rules.iter().map(|rule| rule.max_vouchers_per_payment as usize).min().unwrap_or(1)
}

/// The money that the threshold is judged on: all of the payment, or the items that the voucher is for.
pub fn base(payment: &Payment, candidate: &Candidate) -> Fen {
    let before_offer =
        !candidate.rules.is_empty() && candidate.rules.iter().all(|rule| rule.threshold_on == ThresholdOn::Initial);
    let counted = |amount: Fen, offer: Fen| if before_offer { amount } else { amount - offer };
    if payment.items.is_empty() {
        return counted(payment.amount, payment.merchant_discount);
    }
    payment
        .items
        .iter()
        .filter(|item| candidate.rules.iter().all(|rule| item_fits(rule, item)))
        .map(|item| counted(item.amount, item.merchant_discount))
        .sum()
}

fn item_fits(rule: &UseRule, item: &Item) -> bool {
    let category_fits =
        rule.categories.is_empty() || item.category.as_ref().is_none_or(|category| rule.categories.contains(category));
    let listed = rule.eligible_items.is_empty() || rule.eligible_items.contains(&item.sku);
    category_fits && listed && !rule.excluded_items.contains(&item.sku)
}

/// What the voucher takes off; percentages round down.
pub fn saving(payment: &Payment, candidate: &Candidate) -> Fen {
    match candidate.kind.face {
        Face::Save { discount_amount, .. } => discount_amount,
        Face::Percent { discount_basis_points, discount_amount_max, .. } => {
            base(payment, candidate).share(Fen(i64::from(discount_basis_points)), Fen(10_000)).min(discount_amount_max)
        }
    }
}

/// The threshold, for choosing between vouchers that save the same.
pub fn threshold(candidate: &Candidate) -> Fen {
    match candidate.kind.face {
        Face::Save { transaction_minimum, .. } => transaction_minimum,
        Face::Percent { .. } => Fen::ZERO,
    }
}
