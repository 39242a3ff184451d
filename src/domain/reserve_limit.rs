//! Limits on reserving: which of them a reservation meets, as the person's record counts them, or as quotas.

use super::campaign::schema::{Campaign, Limit, LimitMax};
use super::campaign::terms::{LimitAction, LimitEntity, Period};
use super::claim_limit::{Claimer, is_personal, numbered, parts};
use super::limit::period_number;
use super::order::{LimitEntityKey, digest_of};
use super::time::{Ms, Zone};

/// A limit that a reservation counts towards. Channel and choice are filled in where the record is, for a change moves the count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveUse {
    /// The campaign's limits come first, then those of its rounds in the order of the file.
    pub number: u8,
    /// Told apart by round: rounds run side by side, so a round is no period that ends when the next begins.
    pub round: Option<u8>,
    pub by_channel: bool,
    pub by_choice: bool,
    pub period: i64,
    pub most: u32,
}

/// The limits that a reservation made at an instant counts towards.
pub fn uses(campaign: &Campaign, zone: &Zone, round: u8, at: Ms) -> Vec<ReserveUse> {
    let reserving =
        numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Reserve && is_personal(limit));
    let uses = reserving.filter_map(|(number, limit)| {
        let LimitMax::Count(most) = limit.max else { return None };
        Some(ReserveUse {
            number,
            round: (limit.period == Period::Round).then_some(round),
            by_channel: limit.entities.contains(&LimitEntity::Channel),
            by_choice: limit.entities.contains(&LimitEntity::Pack),
            period: period_number(limit, zone, at),
            most,
        })
    });
    uses.collect()
}

/// A limit that no person's record counts.
#[derive(Clone, Debug)]
pub struct ReserveQuota<'a> {
    pub number: u8,
    pub limit: &'a Limit,
    /// What is counted apart.
    pub entity: LimitEntityKey,
    pub period: i64,
    pub most: i64,
}

/// The quotas that an entry, by round, channel and choice, counts towards in the periods of an instant.
pub fn quotas<'a>(
    campaign: &'a Campaign,
    zone: &Zone,
    place: (u8, u8, u8),
    claimer: &Claimer,
    at: Ms,
) -> Vec<ReserveQuota<'a>> {
    let quotas = unpersonal(campaign, place.0).filter_map(|(number, limit)| {
        let LimitMax::Count(most) = limit.max else { return None };
        let entity = digest_of(&parts("reserve", limit, place, claimer));
        Some(ReserveQuota { number, limit, entity, period: period_number(limit, zone, at), most: i64::from(most) })
    });
    quotas.collect()
}

fn unpersonal(campaign: &Campaign, round: u8) -> impl Iterator<Item = (u8, &Limit)> {
    numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Reserve && !is_personal(limit))
}

pub fn has_quotas(campaign: &Campaign) -> bool {
    (0..campaign.rounds.len() as u8).any(|round| unpersonal(campaign, round).next().is_some())
}

/// The limit of a number, for the answer to whom it stopped.
pub fn limit_of(campaign: &Campaign, round: u8, number: u8) -> Option<&Limit> {
    numbered(campaign, round).find(|(known, _)| *known == number).map(|(_, limit)| limit)
}
