//! Rules inside one reservation, eligibility, validity, use rule or limit, wherever in the file it stands.

use super::findings::Findings;
use super::schema::*;
use crate::domain::time::{DAY, MINUTE, Ms, SECOND, Zone};

/// A window must have a duration.
pub fn ordered(found: &mut Findings, closes_pointer: &str, opens: Ms, closes: Ms) {
    if closes <= opens {
        found.fault(closes_pointer, "window_reversed", "结束须晚于开始。", "The end must be later than the start.");
    }
}

/// Ends are not included, so 23:59:59 leaves out a second and 23:59 a minute that were surely meant.
pub fn warn_end(found: &mut Findings, pointer: &str, end: Ms, zone: &Zone) {
    let local = zone.rfc3339(end);
    let Some(clock) = local.get(14..19) else { return };
    let gap = match clock {
        "59:59" => SECOND,
        "59:00" => MINUTE,
        _ => return,
    };
    let meant = zone.rfc3339(end - end.rem_euclid(SECOND) + gap);
    let (day_zh, day_en) =
        if meant.contains("T00:00:00") { ("次日 00:00", "the next day 00:00") } else { ("整点", "the full hour") };
    found.warn(
        pointer,
        "end_not_included",
        format!("结束时刻不含在内。是否想写{day_zh}，即 {meant}？"),
        format!("The end is not included: did you mean {day_en}, {meant}?"),
    );
}

pub fn check_reservation(found: &mut Findings, terms: &Reservation, at: &str, zone: &Zone) {
    ordered(found, &format!("{at}/closes_at"), terms.opens_at, terms.closes_at);
    warn_end(found, &format!("{at}/closes_at"), terms.closes_at, zone);
    if let Some(until) = terms.withdraw_until {
        ordered(found, &format!("{at}/withdraw_until"), terms.opens_at, until);
        warn_end(found, &format!("{at}/withdraw_until"), until, zone);
    }
    if !terms.one_per.contains(&OnePer::Person) {
        found.fault(
            format!("{at}/one_per"),
            "person_needed",
            "须含 person：只按渠道限制会使每渠道只有一人能预约。",
            "Must contain person: by channel alone, one single person could reserve in each.",
        );
    }
    if let Some(stagger) = &terms.stagger {
        check_stagger(found, stagger, terms, &format!("{at}/stagger/days"));
    }
}

fn check_stagger(found: &mut Findings, stagger: &Stagger, terms: &Reservation, at: &str) {
    let left_out: Vec<String> = (0..=9u8)
        .filter(|digit| !stagger.days.iter().flatten().any(|listed| listed == digit))
        .map(|digit| digit.to_string())
        .collect();
    if !left_out.is_empty() {
        let list = left_out.join(", ");
        found.fault(
            at,
            "digits_left_out",
            format!("尾号 {list} 没有可预约的日子。"),
            format!("The digits {list} have no day to reserve."),
        );
    }
    let days = i64::try_from(stagger.days.len()).unwrap_or(i64::MAX);
    if (terms.closes_at - terms.opens_at).div_euclid(DAY) + 1 < days {
        found.fault(
            at,
            "more_days_than_window",
            "分流的天数多于预约期。",
            "There are more days than the reservation lasts.",
        );
    }
}

pub fn check_eligibility(found: &mut Findings, terms: &Eligibility, at: &str) {
    if terms.age_on.is_some() && terms.minimum_age.is_none() {
        found.fault(
            format!("{at}/age_on"),
            "minimum_age_missing",
            "age_on 须与 minimum_age 同用。",
            "age_on needs minimum_age.",
        );
    }
    if terms.allow_list.is_some() && terms.allow_list == terms.deny_list {
        found.fault(
            format!("{at}/deny_list"),
            "contradiction",
            "同一名单不能既允许又拒绝。",
            "One list cannot both allow and deny.",
        );
    }
}

pub fn check_validity(found: &mut Findings, terms: &Validity, at: &str, zone: &Zone) {
    if let (Some(begin), Some(end)) = (terms.available_begin_time, terms.available_end_time) {
        ordered(found, &format!("{at}/available_end_time"), begin, end);
    }
    match terms.available_end_time {
        Some(end) => warn_end(found, &format!("{at}/available_end_time"), end, zone),
        None if terms.available_day_after_receive.is_none() => found.fault(
            at,
            "validity_without_end",
            "须有 available_end_time 或 available_day_after_receive。",
            "Needs available_end_time or available_day_after_receive.",
        ),
        None => {}
    }
}

pub fn check_use_rule(found: &mut Findings, campaign: &Campaign, rule: &UseRule, at: &str) {
    if let UseChannels::Listed(listed) = &rule.channels {
        for (i, channel) in listed.iter().enumerate().filter(|(_, channel)| campaign.channel_index(channel).is_none()) {
            unknown_channel(found, &format!("{at}/channels/{i}"), channel);
        }
    }
    for category in
        rule.category_codes.keys().filter(|name| !rule.categories.is_empty() && !rule.categories.contains(name))
    {
        found.fault(
            format!("{at}/category_codes/{category}"),
            "unknown_category",
            format!("{category} 不在 categories 中。"),
            format!("{category} is not among the categories."),
        );
    }
    for (i, _) in rule.hours.iter().enumerate().filter(|(_, hours)| hours.end_time <= hours.begin_time) {
        found.fault(
            format!("{at}/hours/{i}/end_time"),
            "window_reversed",
            "结束须晚于开始；跨午夜请分写两段。",
            "The end must be later than the start; write hours over midnight as two.",
        );
    }
    if let Some(i) = rule.excluded_items.iter().position(|item| rule.eligible_items.contains(item)) {
        found.fault(
            format!("{at}/excluded_items/{i}"),
            "contradiction",
            "同一商品不能既适用又排除。",
            "An item cannot be both eligible and excluded.",
        );
    }
}

pub fn unknown_channel(found: &mut Findings, at: &str, channel: &str) {
    found.fault(
        at,
        "unknown_channel",
        format!("活动没有渠道 {channel}。"),
        format!("The campaign has no channel {channel}."),
    );
}

pub fn check_limits(found: &mut Findings, limits: &[Limit], at: &str) {
    use LimitEntity::{Category, Merchant, Store, Terminal};
    for (i, limit) in limits.iter().enumerate() {
        let at = format!("{at}/{i}");
        let before_use = matches!(limit.action, LimitAction::Reserve | LimitAction::Claim);
        let at_a_till = limit.entities.iter().any(|entity| matches!(entity, Merchant | Store | Terminal | Category));
        if before_use && at_a_till {
            found.fault(
                format!("{at}/entities"),
                "entity_not_present",
                "预约和领取时没有商户、门店、终端或品类。",
                "There is no merchant, store, terminal or category when reserving or claiming.",
            );
        }
        if before_use && limit.period == Period::Payment {
            found.fault(
                format!("{at}/period"),
                "period_not_present",
                "预约和领取时没有支付。",
                "There is no payment when reserving or claiming.",
            );
        }
        if limit.action == LimitAction::Reserve && matches!(limit.max, LimitMax::Amount(_)) {
            found.fault(
                format!("{at}/max_amount"),
                "amount_not_present",
                "预约没有金额，请用 max_count。",
                "A reservation has no amount: use max_count.",
            );
        }
        let mut entities = limit.entities.clone();
        entities.sort_unstable();
        let same = |other: &Limit| {
            let mut others = other.entities.clone();
            others.sort_unstable();
            let same_unit = std::mem::discriminant(&other.max) == std::mem::discriminant(&limit.max);
            other.action == limit.action && other.period == limit.period && same_unit && others == entities
        };
        if limits[..i].iter().any(same) {
            found.fault(
                at,
                "duplicate_limit",
                "已有相同对象与周期的限制，只能保留一条。",
                "There is a limit for the same entities and period already.",
            );
        }
    }
}
