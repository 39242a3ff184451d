//! Vouchers that nobody could ever use: every term is well formed, but together they leave no sale, no hour or no amount. The file is
//! warned of them and taken. What is told is certain: where a shop, a payer or an amendment might still fit, nothing is said.

use super::findings::Findings;
use super::named::Named;
use super::schema::*;
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::time::{Ms, Window, Zone};

/// The most that an order may amount to.
const MOST_PAYABLE: Fen = Fen(FEN_LIMIT - 1);
/// Rules exclude at most 300 dates, so hours that fit in some week fit again before this many days are over.
const DAYS_AHEAD: usize = 400;

/// A rule and its place in the file.
type Placed<'a> = (String, &'a UseRule);

pub fn warn_unusable(found: &mut Findings, campaign: &Campaign, zone: &Zone) {
    for (r, round) in campaign.rounds.iter().enumerate() {
        let packs = round.supply.pack_ids().filter_map(|pack_id| campaign.pack(pack_id));
        for (p, pack, v, kind) in
            packs.flat_map(|(p, pack)| pack.vouchers.iter().enumerate().map(move |(v, kind)| (p, pack, v, kind)))
        {
            let base = if round.use_rule.is_some() { format!("/rounds/{r}/use_rule") } else { "/use_rule".into() };
            let places = [
                (round.use_rule.is_some() || campaign.use_rule.is_some(), base),
                (pack.use_rule.is_some(), format!("/packs/{p}/use_rule")),
                (kind.use_rule.is_some(), format!("/packs/{p}/vouchers/{v}/use_rule")),
            ];
            let places = places.into_iter().filter(|(is_there, _)| *is_there).map(|(_, at)| at);
            let rules: Vec<Placed> = places.zip(campaign.use_rules_of(round, pack, kind)).collect();
            let name = &kind.voucher_kind;
            warn_words(found, &rules, name);
            warn_merchants(found, &rules, &campaign.merchant_enrolment.registered_in, name);
            warn_hours(found, &rules, received(campaign, round, kind), zone, name);
            warn_payable(found, &rules, kind);
            warn_limits(found, campaign, r, kind);
        }
    }
}

/// The place of the first rule that leaves nothing of what the rules before it allow.
fn barred<'a>(rules: &'a [Placed], possible: impl Fn(&[&UseRule]) -> bool) -> Option<&'a str> {
    let plain: Vec<&UseRule> = rules.iter().map(|(_, rule)| *rule).collect();
    (1..=rules.len()).find(|count| !possible(&plain[..*count])).map(|count| rules[count - 1].0.as_str())
}

fn warn(found: &mut Findings, at: String, name: &str, zh: &str, en: &str) {
    let (zh, en) = (format!("{name} 无人能用：{zh}"), format!("Nobody can use {name}: {en}"));
    found.warn(at, "never_usable", zh, en);
}

fn warn_words(found: &mut Findings, rules: &[Placed], name: &str) {
    let by_category = |rules: &[&UseRule]| {
        let mut named = rules.iter().flat_map(|rule| rule.allowed_categories()).peekable();
        named.peek().is_none() || named.any(|category| rules.iter().all(|rule| rule.allows_category(category)))
    };
    if let Some(at) = barred(rules, by_category) {
        let (zh, en) = (
            "各级 use_rule 须同时满足，而其 categories 没有共同的品类。",
            "all its use_rules must hold, and their categories have none in common.",
        );
        warn(found, format!("{at}/categories"), name, zh, en);
    }
    let by_scene = |rules: &[&UseRule]| {
        let fits = |scene: Scene, rule: &UseRule| {
            rule.scenes.is_empty() || rule.scenes.iter().any(|allowed| scene.is(*allowed))
        };
        Scene::WORDS.iter().any(|(_, scene)| rules.iter().all(|rule| fits(*scene, rule)))
    };
    if let Some(at) = barred(rules, by_scene) {
        let (zh, en) = (
            "各级 use_rule 须同时满足，而其 scenes 没有共同的场景。",
            "all its use_rules must hold, and their scenes have none in common.",
        );
        warn(found, format!("{at}/scenes"), name, zh, en);
    }
}

/// The prefixes below which both lists have something; an empty list restricts nothing.
fn common<'a>(some: Vec<&'a str>, others: &'a [String]) -> Vec<&'a str> {
    if some.is_empty() || others.is_empty() {
        return if some.is_empty() { others.iter().map(String::as_str).collect() } else { some };
    }
    let pairs = some.iter().flat_map(|one| others.iter().map(move |other| (*one, other.as_str())));
    pairs
        .filter_map(|(one, other)| match (one.starts_with(other), other.starts_with(one)) {
            (true, _) => Some(one),
            (_, true) => Some(other),
            _ => None,
        })
        .collect()
}

fn warn_merchants(found: &mut Findings, rules: &[Placed], registered_in: &[String], name: &str) {
    let mut open: Vec<&str> = Vec::new();
    for (at, rule) in rules {
        let was_open = open.is_empty() && rule.districts.is_empty();
        open = common(open, &rule.districts);
        if open.is_empty() && !was_open {
            let (zh, en) = (
                "各级 use_rule 须同时满足，而其 districts 没有共同的地区。",
                "all its use_rules must hold, and their districts have none in common.",
            );
            return warn(found, format!("{at}/districts"), name, zh, en);
        }
    }
    if !open.is_empty() && !registered_in.is_empty() && common(open, registered_in).is_empty() {
        found.warn(
            "/merchant_enrolment/registered_in",
            "districts_differ",
            format!("只有注册在此而经营在 {name} 的 districts 内的商户能收该券，两者没有共同的地区。"),
            format!("Only merchants registered here that operate in the districts of {name} take it, and the two have none in common."),
        );
    }
}

/// From the first instant at which a voucher may be usable to the last, whoever gets it whenever; `None` where the file does not say.
fn received(campaign: &Campaign, round: &Round, kind: &VoucherKind) -> Option<Window> {
    let validity = campaign.validity_of(round, kind)?;
    let first = round.credit_at.or(round.opens_at)?;
    let last = round.waves.last().map(|wave| wave.closes_at).or(round.closes_at).or(round.credit_at)?;
    let start = validity.window(first, &campaign.time_zone)?.start;
    Some(Window { start, end: validity.window(last.max(first), &campaign.time_zone)?.end })
}

fn warn_hours(found: &mut Findings, rules: &[Placed], window: Option<Window>, zone: &Zone, name: &str) {
    let in_a_week = |rules: &[&UseRule]| {
        let monday = jiff::civil::date(2024, 1, 1);
        let mut days = monday.series(jiff::Span::new().days(1)).take(7);
        days.any(|date| begins(rules).any(|minute| rules.iter().all(|rule| rule.is_open(date, minute))))
    };
    if let Some(at) = barred(rules, in_a_week) {
        let (zh, en) = (
            "各级 use_rule 须同时满足，而其 hours 没有共同的时段。",
            "all its use_rules must hold, and their hours have none in common.",
        );
        return warn(found, format!("{at}/hours"), name, zh, en);
    }
    // A window without a duration has a fault of its own.
    let Some(window) = window.filter(|window| window.start < window.end) else { return };
    if let Some(at) = barred(rules, |rules| is_ever_open(rules, window, zone)) {
        let rule = rules.iter().find(|(place, _)| place == at).map(|(_, rule)| *rule);
        let field = if rule.is_some_and(|rule| rule.hours.is_empty()) { "dates_excluded" } else { "hours" };
        let (from, to) = (zone.rfc3339(window.start), zone.rfc3339(window.end));
        let zh = format!("有效期最早自 {from} 起，至 {to} 止，其间没有可用时段。");
        let en = format!("it is valid from {from} at the earliest up to {to}, and no hours of use fall into that.");
        warn(found, format!("{at}/{field}"), name, &zh, &en);
    }
}

/// Where hours that fit all rules may begin: at midnight or where those of some rule do.
fn begins<'a>(rules: &'a [&UseRule]) -> impl Iterator<Item = u16> + 'a {
    std::iter::once(0).chain(rules.iter().flat_map(|rule| rule.hours.iter().map(|hours| hours.begin_time)))
}

fn is_ever_open(rules: &[&UseRule], window: Window, zone: &Zone) -> bool {
    let restricts = |rule: &&UseRule| !rule.hours.is_empty() || !rule.dates_excluded.is_empty();
    if !rules.iter().any(restricts) {
        return true;
    }
    let is_open = |instant: Ms| {
        let Some(local) = zone.local(instant) else { return true };
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let of = |rule: &&UseRule| rule.is_open(local.date(), minute) && !rule.dates_excluded.contains(&local.date());
        window.contains(instant) && rules.iter().all(of)
    };
    let days = zone.civil_date(window.start).series(jiff::Span::new().days(1)).take(DAYS_AHEAD);
    let last = zone.civil_date(window.end - 1);
    is_open(window.start)
        || days
            .take_while(|date| *date <= last)
            .any(|date| begins(rules).filter_map(|minute| zone.at(date, minute)).any(is_open))
}

/// Judged at the highest amount: a share of the price grows slower than the price, and what a voucher takes off is bounded.
fn warn_payable(found: &mut Findings, rules: &[Placed], kind: &VoucherKind) {
    let least = |rules: &[&UseRule]| rules.iter().map(|rule| rule.minimum_payable).max().unwrap_or_default();
    let saving = match kind.face {
        Face::Save { discount_amount, .. } => discount_amount,
        Face::Percent { discount_basis_points, discount_amount_max, .. } => {
            MOST_PAYABLE.share(Fen(i64::from(discount_basis_points)), Fen(10_000)).min(discount_amount_max)
        }
    };
    if let Some(at) = barred(rules, |rules| least(rules) + saving <= MOST_PAYABLE) {
        let zh = format!("一笔订单最多 {MOST_PAYABLE} 元，减去优惠后达不到 minimum_payable。");
        let en =
            format!("an order is of {MOST_PAYABLE} yuan at most, and less its discount that is below minimum_payable.");
        warn(found, format!("{at}/minimum_payable"), &kind.voucher_kind, &zh, &en);
    }
}

/// What a percent voucher takes off may be as little as fits.
fn warn_limits(found: &mut Findings, campaign: &Campaign, round: usize, kind: &VoucherKind) {
    let Face::Save { discount_amount, .. } = kind.face else { return };
    let of_campaign = campaign.limits.iter().enumerate().map(|(i, limit)| (format!("/limits/{i}"), limit));
    let own = campaign.rounds[round].limits.iter().enumerate();
    let own = own.map(|(i, limit)| (format!("/rounds/{round}/limits/{i}"), limit));
    for (at, limit) in of_campaign.chain(own).filter(|(_, limit)| limit.action == LimitAction::Redeem) {
        if let LimitMax::Amount(most) = limit.max
            && most < discount_amount
        {
            let zh = format!("面额 {discount_amount} 元高于此限额 {most} 元。");
            let en = format!("its face of {discount_amount} yuan is above this limit of {most}.");
            warn(found, format!("{at}/max_amount"), &kind.voucher_kind, &zh, &en);
        }
    }
}
