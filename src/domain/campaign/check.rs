//! The rules between the fields of a campaign file, all judged at once: what an officer may get wrong although every field alone is
//! well formed. Rules of one round are in `check_round`, rules of the terms in `check_terms`.

use std::collections::HashSet;

use super::check_round::check_round;
use super::check_rounds::check_rounds;
use super::check_terms::{
    check_eligibility, check_limits, check_reservation, check_use_rule, check_validity, ordered, warn_end,
};
use super::check_usable::warn_unusable;
use super::findings::{Fault, Findings};
use super::ignored::ignored;
use super::schema::*;
use super::unknown::unknown_words;
use crate::domain::money::Fen;
use crate::domain::time::{Ms, Zone};

/// Faults refuse the file, warnings accompany it.
pub fn check(campaign: &Campaign) -> Findings {
    let mut found = Findings::default();
    let zone = campaign.zone();
    for (i, pack) in campaign.packs.iter().enumerate() {
        check_pack(&mut found, campaign, pack, &format!("/packs/{i}"), &zone);
    }
    unique(&mut found, "/packs", "pack_id", campaign.packs.iter().map(|pack| &pack.pack_id));
    unique(&mut found, "/rounds", "round_id", campaign.rounds.iter().map(|round| &round.round_id));
    for (i, round) in campaign.rounds.iter().enumerate() {
        check_round(&mut found, campaign, i, round, &zone);
    }
    check_rounds(&mut found, campaign);
    check_defaults(&mut found, campaign, &zone);
    check_limits(&mut found, &campaign.limits, "/limits");
    check_contacts(&mut found, campaign);
    check_categories(&mut found, campaign);
    check_money(&mut found, campaign);
    check_enrolment(&mut found, &campaign.merchant_enrolment, &zone);
    check_use_of_packs(&mut found, campaign);
    warn_unusable(&mut found, campaign, &zone);
    let ignored = ignored(campaign);
    found.warnings.extend(ignored.refused.into_iter().chain(ignored.told));
    found.warnings.extend(unknown_words(campaign));
    keep_first(&mut found.faults);
    keep_first(&mut found.warnings);
    found
}

/// A phone, device or account is known where the reservation asks for it. Where a limit counts by one and nobody names it, anybody would
/// pass, or everybody be one.
fn check_contacts(found: &mut Findings, campaign: &Campaign) {
    let all =
        campaign.limits.iter().enumerate().map(|(i, limit)| (format!("/limits/{i}"), limit, &campaign.rounds[..]));
    let own = campaign.rounds.iter().enumerate().flat_map(|(r, round)| {
        let one = std::slice::from_ref(round);
        round.limits.iter().enumerate().map(move |(i, limit)| (format!("/rounds/{r}/limits/{i}"), limit, one))
    });
    for (at, limit, rounds) in all.chain(own).filter(|(_, limit, _)| limit.period != Period::Payment) {
        let keys = limit.entities.iter().filter_map(|entity| match entity {
            LimitEntity::Phone => Some(IdentityKey::Phone),
            LimitEntity::Device => Some(IdentityKey::Device),
            LimitEntity::Account => Some(IdentityKey::Account),
            _ => None,
        });
        let read = || rounds.iter().filter(|round| round.reservation != RoundReservation::Unread);
        for (key, round) in keys.flat_map(|key| read().map(move |round| (key, round))) {
            let reservation = campaign.reservation_of(round);
            let asked = reservation.map(|terms| terms.identity_keys.contains(&key));
            // Nobody reserves in a round without a reservation.
            if !asked.unwrap_or(limit.action == LimitAction::Reserve) {
                let (round_id, key) = (&round.round_id, key.as_str());
                found.fault(
                    format!("{at}/entities"),
                    "identity_key_not_asked_for",
                    format!("场次 {round_id} 的预约不登记 {key}，无法按其限制：请在 identity_keys 中加入 {key}，或把限制写在有登记的场次里。"),
                    format!("Nobody names a {key} in round {round_id}, so it cannot be counted: ask for it in identity_keys, or put the limit into the rounds that do."),
                );
            }
        }
    }
}

/// A till says the category. Where a limit counts by it and no rule names the categories there are, every other word would be a category
/// of its own, and nobody would ever reach the limit.
fn check_categories(found: &mut Findings, campaign: &Campaign) {
    let by_category =
        |limits: &[Limit]| limits.iter().position(|limit| limit.entities.contains(&LimitEntity::Category));
    for (r, round) in campaign.rounds.iter().enumerate() {
        let vouchers =
            campaign.packs.iter().enumerate().filter(|(_, pack)| round.supply.pack_ids().any(|id| id == pack.pack_id));
        for (p, pack) in vouchers {
            for (v, kind) in pack.vouchers.iter().enumerate() {
                let rules = campaign.use_rules_of(round, pack, kind);
                if rules.iter().any(|rule| rule.allowed_categories().next().is_some()) {
                    continue;
                }
                let own = kind.is_one_per_category().then(|| format!("/packs/{p}/vouchers/{v}/one_per_category"));
                let of_campaign = by_category(&campaign.limits).map(|i| format!("/limits/{i}/entities"));
                let of_round = by_category(&round.limits).map(|i| format!("/rounds/{r}/limits/{i}/entities"));
                for at in [own, of_campaign, of_round].into_iter().flatten() {
                    found.fault(
                        at,
                        "categories_not_named",
                        format!("{} 的 use_rule 未列出 categories，无法按品类计数。", kind.voucher_kind),
                        format!(
                            "No use_rule of {} names the categories, so nothing can be counted by them.",
                            kind.voucher_kind
                        ),
                    );
                }
            }
        }
    }
}

/// Terms shared by many rounds are judged in each of them; one place and reason is reported once.
fn keep_first(faults: &mut Vec<Fault>) {
    let mut seen = HashSet::new();
    faults.retain(|fault| seen.insert((fault.pointer.clone(), fault.code)));
}

fn unique<'a>(found: &mut Findings, list: &str, field: &str, ids: impl Iterator<Item = &'a String>) {
    let mut seen = HashSet::new();
    for (i, id) in ids.enumerate() {
        if !seen.insert(id) {
            found.fault(
                format!("{list}/{i}/{field}"),
                "duplicate_id",
                format!("{id} 已被使用。"),
                format!("{id} is already taken."),
            );
        }
    }
}

fn check_defaults(found: &mut Findings, campaign: &Campaign, zone: &Zone) {
    if let Some(reservation) = &campaign.reservation {
        check_reservation(found, reservation, "/reservation", zone);
    }
    if let Some(eligibility) = &campaign.eligibility {
        check_eligibility(found, eligibility, "/eligibility");
    }
    if let Some(validity) = &campaign.validity {
        check_validity(found, validity, "/validity", zone);
    }
    if let Some(rule) = &campaign.use_rule {
        check_use_rule(found, campaign, rule, "/use_rule");
    }
}

fn check_pack(found: &mut Findings, campaign: &Campaign, pack: &Pack, at: &str, zone: &Zone) {
    let units: u32 = pack.vouchers.iter().map(|kind| kind.count).sum();
    if units > 10 {
        found.fault(
            format!("{at}/vouchers"),
            "too_many_vouchers",
            format!("一个券包最多 10 张券，现有 {units} 张。"),
            format!("A pack holds at most 10 vouchers, this has {units}."),
        );
    }
    if let Some(rule) = &pack.use_rule {
        check_use_rule(found, campaign, rule, &format!("{at}/use_rule"));
    }
    unique(found, &format!("{at}/vouchers"), "voucher_kind", pack.vouchers.iter().map(|kind| &kind.voucher_kind));
    for (i, kind) in pack.vouchers.iter().enumerate() {
        let at = format!("{at}/vouchers/{i}");
        check_face(found, &kind.face, &at);
        check_after_kind(found, pack, kind, &at);
        if let Some(rule) = &kind.use_rule {
            check_use_rule(found, campaign, rule, &format!("{at}/use_rule"));
        }
        if let Some(validity) = &kind.validity {
            check_validity(found, validity, &format!("{at}/validity"), zone);
        }
    }
}

fn check_face(found: &mut Findings, face: &Face, at: &str) {
    let Face::Save { transaction_minimum: Fen(minimum), discount_amount: Fen(discount) } = *face else { return };
    let at = format!("{at}/transaction_minimum");
    if 0 < minimum && minimum <= discount {
        let (zh, en) = (
            format!("门槛 {} 元须高于面额 {} 元；不设门槛写 0。", Fen(minimum), Fen(discount)),
            format!("The threshold {} must exceed the discount {}; write 0 for none.", Fen(minimum), Fen(discount)),
        );
        found.fault(at, "minimum_not_above_discount", zh, en);
    } else if 0 < minimum && minimum < 2 * discount {
        let (zh, en) = (
            format!("门槛 {} 元不到面额 {} 元的两倍；各地通常为二至四倍。", Fen(minimum), Fen(discount)),
            format!(
                "The threshold {} is less than twice the discount {}; cities use two to four times.",
                Fen(minimum),
                Fen(discount)
            ),
        );
        found.warn(at, "minimum_below_twice_discount", zh, en);
    }
}

fn check_after_kind(found: &mut Findings, pack: &Pack, kind: &VoucherKind, at: &str) {
    let named = |name: &str| pack.vouchers.iter().find(|other| other.voucher_kind == name);
    let mut next = kind.after_kind.as_deref();
    for _ in 0..=pack.vouchers.len() {
        let Some(name) = next else { return };
        let Some(other) = named(name) else {
            found.fault(
                format!("{at}/after_kind"),
                "unknown_voucher_kind",
                format!("本券包没有 {name}。"),
                format!("This pack has no {name}."),
            );
            return;
        };
        next = other.after_kind.as_deref();
    }
    found.fault(
        format!("{at}/after_kind"),
        "circular",
        "各券互为前提，永远无法解锁。",
        "The vouchers wait for each other and never unlock.",
    );
}

fn check_money(found: &mut Findings, campaign: &Campaign) {
    let amount = campaign.totals().amount;
    let uses_pool =
        campaign.rounds.iter().any(|round| matches!(round.supply, Supply::Money { amount: MoneyAmount::Pool, .. }));
    if amount > campaign.budget {
        found.fault(
            "/budget",
            "budget_exceeded",
            format!("各场次合计 {amount} 元，超过预算 {} 元。", campaign.budget),
            format!("The rounds add up to {amount} yuan, more than the budget of {}.", campaign.budget),
        );
    } else if amount < campaign.budget && !uses_pool {
        let rest = campaign.unallocated();
        found.warn(
            "/budget",
            "budget_not_allocated",
            format!("预算中有 {rest} 元未分配。"),
            format!("{rest} yuan of the budget are not allocated."),
        );
    }
    if campaign.max_amount_by_day.is_some_and(|most| most > campaign.budget) {
        found.warn(
            "/max_amount_by_day",
            "no_effect",
            "每日上限高于预算，不起作用。",
            "The daily cap is above the budget and has no effect.",
        );
    }
    let too_large = |pack: &&Pack| campaign.max_amount_by_day.is_some_and(|most| pack.value() > most);
    if let Some(pack) = campaign.packs.iter().find(too_large) {
        let pack_id = &pack.pack_id;
        found.fault(
            "/max_amount_by_day",
            "pack_exceeds_day",
            format!("券包 {pack_id} 的面额高于每日上限，永远发不出。"),
            format!("The value of pack {pack_id} is above the daily cap, so it could never be issued."),
        );
    }
    if campaign.expired_refund_to == ExpiredRefundTo::Pool && campaign.carry_over == CarryOver::None {
        found.fault(
            "/expired_refund_to",
            "pool_without_carry_over",
            "没有结转（carry_over 为 none），资金池中的钱无法再用。",
            "With carry_over none, nothing takes money from the pool.",
        );
    }
    let seen: HashSet<&str> = campaign.funding.iter().map(|part| part.source.as_str()).collect();
    if seen.len() < campaign.funding.len() {
        found.fault("/funding", "duplicate", "资金来源重复。", "A source stands twice.");
    }
}

fn check_enrolment(found: &mut Findings, enrolment: &MerchantEnrolment, zone: &Zone) {
    if let (Some(opens), Some(closes)) = (enrolment.opens_at, enrolment.closes_at) {
        ordered(found, "/merchant_enrolment/closes_at", opens, closes);
    }
    if let Some(closes) = enrolment.closes_at {
        warn_end(found, "/merchant_enrolment/closes_at", closes, zone);
    }
}

fn check_use_of_packs(found: &mut Findings, campaign: &Campaign) {
    let used: HashSet<&str> = campaign.rounds.iter().flat_map(|round| round.supply.pack_ids()).collect();
    for (i, pack) in campaign.packs.iter().enumerate().filter(|(_, pack)| !used.contains(pack.pack_id.as_str())) {
        found.warn(
            format!("/packs/{i}"),
            "unused",
            format!("没有场次发放 {}。", pack.pack_id),
            format!("No round gives {}.", pack.pack_id),
        );
    }
}

/// Judged when a campaign is published, by the campaign clock: windows that are over and moments that have passed.
/// A window that has opened but not closed is accepted, since late approval should shorten a window and not forbid it.
pub fn not_in_past(campaign: &Campaign, now: Ms) -> Vec<Fault> {
    let zone = campaign.zone();
    let mut found = Findings::default();
    for (pointer, end) in ends(campaign).into_iter().filter(|(_, end)| *end <= now) {
        let (end, now) = (zone.rfc3339(end), zone.rfc3339(now));
        let (zh, en) = (format!("{end} 已经过去（现在是 {now}）。"), format!("{end} has passed; it is {now}."));
        found.fault(pointer, "window_in_past", zh, en);
    }
    found.faults
}

/// Every moment that must still lie ahead for the campaign to run.
fn ends(campaign: &Campaign) -> Vec<(String, Ms)> {
    let mut ends = Vec::new();
    let mut add = |pointer: String, end: Option<Ms>| ends.extend(end.map(|end| (pointer, end)));
    add("/reservation/closes_at".into(), campaign.reservation.as_ref().map(|terms| terms.closes_at));
    add("/validity/available_end_time".into(), campaign.validity.as_ref().and_then(|terms| terms.available_end_time));
    add("/merchant_enrolment/closes_at".into(), campaign.merchant_enrolment.closes_at);
    for (i, round) in campaign.rounds.iter().enumerate() {
        let at = format!("/rounds/{i}");
        if let RoundReservation::Own(own) = &round.reservation {
            add(format!("{at}/reservation/closes_at"), Some(own.closes_at));
        }
        add(format!("{at}/draw/close_list_at"), round.draw.as_ref().and_then(|draw| draw.close_list_at));
        add(format!("{at}/draw/at"), round.draw.as_ref().map(|draw| draw.at));
        add(format!("{at}/closes_at"), round.closes_at);
        add(format!("{at}/credit_at"), round.credit_at);
        add(
            format!("{at}/validity/available_end_time"),
            round.validity.as_ref().and_then(|terms| terms.available_end_time),
        );
        for (j, wave) in round.waves.iter().enumerate() {
            add(format!("{at}/waves/{j}/closes_at"), Some(wave.closes_at));
        }
    }
    for (i, pack) in campaign.packs.iter().enumerate() {
        for (j, kind) in pack.vouchers.iter().enumerate() {
            let end = kind.validity.as_ref().and_then(|terms| terms.available_end_time);
            add(format!("/packs/{i}/vouchers/{j}/validity/available_end_time"), end);
        }
    }
    ends
}
