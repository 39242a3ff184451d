//! Reads the terms: reservation, eligibility, validity, use rule, limits.

use std::collections::BTreeMap;

use super::reader::Node;
use super::schema::*;

pub fn reservation(node: &Node) -> Option<Reservation> {
    let mut fields = node.object()?;
    let opens_at = fields.req("opens_at").and_then(|n| n.instant());
    let closes_at = fields.req("closes_at").and_then(|n| n.instant());
    let one_per =
        fields.opt("one_per").and_then(|n| n.distinct(1..=2, |n| n.word())).unwrap_or_else(|| vec![OnePer::Person]);
    let identity_keys = fields
        .opt("identity_keys")
        .and_then(|n| n.distinct(1..=4, |n| n.word()))
        .unwrap_or_else(|| vec![IdentityKey::Person]);
    let duplicates = fields.opt("duplicates").and_then(|n| n.word()).unwrap_or(Duplicates::Reject);
    let withdraw_until = fields.opt("withdraw_until").and_then(|n| n.instant());
    let max_reservations = fields.opt("max_reservations").and_then(|n| n.int(1..=20_000_000));
    let stagger = fields.opt("stagger").and_then(|n| stagger(&n));
    fields.finish();
    Some(Reservation {
        opens_at: opens_at?,
        closes_at: closes_at?,
        one_per,
        identity_keys,
        duplicates,
        withdraw_until,
        max_reservations,
        stagger,
    })
}

fn stagger(node: &Node) -> Option<Stagger> {
    let mut fields = node.object()?;
    let by = fields.req("by").and_then(|n| n.word());
    let days = fields.req("days").and_then(|n| n.list(1..=31, |n| n.distinct(1..=10, |n| n.int(0..=9))));
    fields.finish();
    Some(Stagger { by: by?, days: days? })
}

pub fn eligibility(node: &Node) -> Option<Eligibility> {
    let mut fields = node.object()?;
    let document_types = fields.req("document_types").and_then(|n| n.distinct(1..=10, Node::id));
    let minimum_age = fields.opt("minimum_age").and_then(|n| n.int(0..=120));
    let age_on = fields.opt("age_on").and_then(|n| n.date());
    let residence_prefixes =
        fields.opt("residence_prefixes").and_then(|n| n.distinct(1..=100, Node::code_prefix)).unwrap_or_default();
    let health_pass = fields.opt("health_pass").and_then(|n| n.word());
    let health_pass_unknown =
        fields.opt("health_pass_unknown").and_then(|n| n.word()).unwrap_or(HealthPassUnknown::Refuse);
    let location = fields.opt("location").and_then(|n| location(&n));
    let allow_list = fields.opt("allow_list").and_then(|n| n.id());
    let deny_list = fields.opt("deny_list").and_then(|n| n.id());
    let attributes =
        fields.opt("attributes").and_then(|n| named_lists(&n, 1..=20, |n| n.text(100))).unwrap_or_default();
    fields.finish();
    Some(Eligibility {
        document_types: document_types?,
        minimum_age,
        age_on,
        residence_prefixes,
        health_pass,
        health_pass_unknown,
        location,
        allow_list,
        deny_list,
        attributes,
    })
}

fn location(node: &Node) -> Option<LocationRule> {
    let mut fields = node.object()?;
    let area_id = fields.req("area_id").and_then(|n| n.id());
    let at = fields.req("at").and_then(|n| n.distinct(1..=2, |n| n.word()));
    fields.finish();
    Some(LocationRule { area_id: area_id?, at: at? })
}

/// `{name: [values]}`.
fn named_lists(
    node: &Node,
    length: std::ops::RangeInclusive<usize>,
    item: impl Fn(&Node) -> Option<String>,
) -> Option<BTreeMap<String, Vec<String>>> {
    let entries = node.entries(length, |name, list| Some((name.to_owned(), list.distinct(1..=100, |n| item(n))?)))?;
    Some(entries.into_iter().collect())
}

pub fn validity(node: &Node) -> Option<Validity> {
    let mut fields = node.object()?;
    let available_begin_time = fields.opt("available_begin_time").and_then(|n| n.instant());
    let available_end_time = fields.opt("available_end_time").and_then(|n| n.instant());
    let available_day_after_receive = fields.opt("available_day_after_receive").and_then(|n| n.int(1..=90));
    let wait_days_after_receive = fields.opt("wait_days_after_receive").and_then(|n| n.int(0..=90)).unwrap_or(0);
    let day_counting = fields.opt("day_counting").and_then(|n| n.word()).unwrap_or(DayCounting::Calendar);
    fields.finish();
    Some(Validity {
        available_begin_time,
        available_end_time,
        available_day_after_receive,
        wait_days_after_receive,
        day_counting,
    })
}

/// `absent` supplies what the file does not name: `UseRule::standard` for a campaign or round, `UseRule::unrestricted` for an added rule.
pub fn use_rule(node: &Node, absent: UseRule) -> Option<UseRule> {
    let mut fields = node.object()?;
    let categories = fields.opt("categories").and_then(|n| n.distinct(0..=50, Node::id));
    let category_codes = fields.opt("category_codes").and_then(|n| named_lists(&n, 0..=50, |n| n.code_prefix()));
    let districts = fields.opt("districts").and_then(|n| n.distinct(0..=100, Node::code_prefix));
    let merchants_list = fields.opt("merchants_list").and_then(|n| n.id());
    let channels = fields.opt("channels").and_then(|n| use_channels(&n));
    let scenes = fields.opt("scenes").and_then(|n| n.distinct(0..=4, |n| n.word()));
    let hours = fields.opt("hours").and_then(|n| n.list(0..=21, |n| hours(&n)));
    let dates_excluded = fields.opt("dates_excluded").and_then(|n| n.distinct(0..=100, |n| n.date()));
    let eligible_items = fields.opt("eligible_items").and_then(|n| n.distinct(0..=200, |n| n.text(64)));
    let excluded_items = fields.opt("excluded_items").and_then(|n| n.distinct(0..=200, |n| n.text(64)));
    let threshold_on = fields.opt("threshold_on").and_then(|n| n.word());
    let combine_with_merchant_offers = fields.opt("combine_with_merchant_offers").and_then(|n| n.flag());
    let combine_with_campaigns = fields.opt("combine_with_campaigns").and_then(|n| n.flag());
    let max_vouchers_per_payment =
        fields.opt("max_vouchers_per_payment").and_then(|n| n.int(1..=i64::from(MAX_VOUCHERS_PER_PAYMENT)));
    let minimum_payable = fields.opt("minimum_payable").and_then(|n| n.fen(0));
    let hold_seconds = fields
        .opt("hold_seconds")
        .and_then(|n| n.int(i64::from(*HOLD_SECONDS.start())..=i64::from(*HOLD_SECONDS.end())));
    let location = fields.opt("location").and_then(|n| use_location(&n));
    let require_items = fields.opt("require_items").and_then(|n| n.flag());
    fields.finish();
    Some(UseRule {
        categories: categories.unwrap_or(absent.categories),
        category_codes: category_codes.unwrap_or(absent.category_codes),
        districts: districts.unwrap_or(absent.districts),
        merchants_list,
        channels: channels.unwrap_or(absent.channels),
        scenes: scenes.unwrap_or(absent.scenes),
        hours: hours.unwrap_or(absent.hours),
        dates_excluded: dates_excluded.unwrap_or(absent.dates_excluded),
        eligible_items: eligible_items.unwrap_or(absent.eligible_items),
        excluded_items: excluded_items.unwrap_or(absent.excluded_items),
        threshold_on: threshold_on.unwrap_or(absent.threshold_on),
        combine_with_merchant_offers: combine_with_merchant_offers.unwrap_or(absent.combine_with_merchant_offers),
        combine_with_campaigns: combine_with_campaigns.unwrap_or(absent.combine_with_campaigns),
        max_vouchers_per_payment: max_vouchers_per_payment.unwrap_or(absent.max_vouchers_per_payment),
        minimum_payable: minimum_payable.unwrap_or(absent.minimum_payable),
        hold_seconds: hold_seconds.unwrap_or(absent.hold_seconds),
        location,
        require_items: require_items.unwrap_or(absent.require_items),
    })
}

fn use_channels(node: &Node) -> Option<UseChannels> {
    if node.is_array() {
        return node.distinct(1..=5, Node::id).map(UseChannels::Listed);
    }
    match node.str() {
        Some("as_credited") => Some(UseChannels::AsCredited),
        Some("any") => Some(UseChannels::Any),
        _ => {
            node.fault(
                "unknown_value",
                "须为 as_credited、any 或渠道列表。",
                "Must be as_credited, any or a list of channels.",
            );
            None
        }
    }
}

fn hours(node: &Node) -> Option<Hours> {
    let mut fields = node.object()?;
    let week_days = fields.req("week_days").and_then(|n| n.distinct(1..=7, |n| n.int(1..=7)));
    let begin_time = fields.req("begin_time").and_then(|n| n.clock());
    let end_time = fields.req("end_time").and_then(|n| n.clock());
    fields.finish();
    Some(Hours { week_days: week_days?, begin_time: begin_time?, end_time: end_time? })
}

fn use_location(node: &Node) -> Option<UseLocation> {
    let mut fields = node.object()?;
    let area_id = fields.req("area_id").and_then(|n| n.id());
    fields.finish();
    Some(UseLocation { area_id: area_id? })
}

pub fn limit(node: &Node) -> Option<Limit> {
    let mut fields = node.object()?;
    let action = fields.req("action").and_then(|n| n.word());
    let entities = fields.req("entities").and_then(|n| n.distinct(1..=4, |n| n.word()));
    let period = fields.req("period").and_then(|n| n.word());
    let max_count = fields.opt("max_count").map(|n| n.int(1..=1_000_000_000));
    let max_amount = fields.opt("max_amount").map(|n| n.fen(1));
    fields.finish();
    let max = match (max_count, max_amount) {
        (Some(count), None) => count.map(LimitMax::Count),
        (None, Some(amount)) => amount.map(LimitMax::Amount),
        _ => {
            node.fault(
                "exactly_one_of",
                "须且只须填 max_count 与 max_amount 之一。",
                "Needs exactly one of max_count and max_amount.",
            );
            Some(LimitMax::Count(1))
        }
    };
    Some(Limit { action: action?, entities: entities?, period: period?, max: max? })
}
