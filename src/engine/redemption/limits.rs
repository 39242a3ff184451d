//! Limits on redeeming: which of them a voucher of a person meets at a merchant, and how a script counts them.

use rmpv::Value;

use crate::domain::campaign::schema::{Campaign, LimitMax, Round};
use crate::domain::campaign::terms::{Limit, LimitAction, LimitEntity, Period};
use crate::domain::money::Fen;
use crate::domain::order::LimitEntityKey;
use crate::domain::rules::LimitFact;
use crate::domain::time::{Ms, Zone};
use crate::domain::voucher::PersonField;
use crate::store::int;
use crate::store::script::bytes;

/// The limits on redeeming that hold for a voucher of this round, nothing used so far.
pub(super) fn limit_facts<'a>(
    campaign: &'a Campaign,
    round: &'a Round,
    zone: &'a Zone,
    merchant: LimitEntityKey,
    at: Ms,
) -> impl Iterator<Item = LimitFact<'a>> {
    campaign.limits_of(round).enumerate().filter(|(_, limit)| limit.action == LimitAction::Redeem).map(
        move |(index, limit)| {
            let entity =
                if limit.entities.contains(&LimitEntity::Merchant) { merchant } else { LimitEntityKey::default() };
            LimitFact {
                limit,
                index: index as u8,
                entity,
                period: period_number(limit, zone, at),
                count: 0,
                amount: Fen::ZERO,
            }
        },
    )
}

/// Number of a limit's period at an instant: days since 1970, ISO weeks (1970-01-01 was a Thursday), months, years.
fn period_number(limit: &Limit, zone: &Zone, at: Ms) -> i64 {
    let date = zone.civil_date(at);
    match limit.period {
        Period::Day => zone.day_number(at),
        Period::Week => (zone.day_number(at) + 3).div_euclid(7),
        Period::Month => i64::from(date.year()) * 12 + i64::from(date.month()),
        Period::Year => i64::from(date.year()),
        Period::Payment | Period::Round | Period::Campaign => 0,
    }
}

/// A use of a limit as the scripts take it: the n-th key of the member is the person's bucket.
pub(super) fn use_value(key: usize, field: &PersonField, fact: &LimitFact, count: i64, amount: Fen) -> Value {
    let (most_count, most_amount) = match fact.limit.max {
        LimitMax::Count(most) => (i64::from(most), -1),
        LimitMax::Amount(most) => (-1, most.0),
    };
    Value::Array(vec![
        int(key as i64),
        bytes(field),
        int(fact.index),
        bytes(&fact.entity),
        int(fact.period),
        int(count),
        int(amount.0),
        int(most_count),
        int(most_amount),
    ])
}
