//! Limits on reserving: which of them a reservation meets, as the person's record counts them.

use super::campaign::schema::{Campaign, Limit, LimitMax};
use super::campaign::terms::{LimitAction, LimitEntity, Period};
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

/// Whether every person is counted alone: only that can be kept in the person's record.
pub fn is_personal(limit: &Limit) -> bool {
    use LimitEntity::{Channel, Pack, Person};
    let known = limit.entities.iter().all(|entity| matches!(entity, Person | Channel | Pack));
    known && limit.entities.contains(&Person)
}

/// The limits that a reservation made at an instant counts towards.
pub fn uses(campaign: &Campaign, zone: &Zone, round: u8, at: Ms) -> Vec<ReserveUse> {
    let reserving = numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Reserve);
    let uses = reserving.filter_map(|(number, limit)| {
        let LimitMax::Count(most) = limit.max else { return None };
        Some(ReserveUse {
            number,
            round: (limit.period == Period::Round).then_some(round),
            by_channel: limit.entities.contains(&LimitEntity::Channel),
            by_choice: limit.entities.contains(&LimitEntity::Pack),
            period: period_number(limit.period, zone, at),
            most,
        })
    });
    uses.collect()
}

/// The limit of a number, for the answer to whom it stopped.
pub fn limit_of(campaign: &Campaign, round: u8, number: u8) -> Option<&Limit> {
    numbered(campaign, round).find(|(known, _)| *known == number).map(|(_, limit)| limit)
}

fn numbered(campaign: &Campaign, round: u8) -> impl Iterator<Item = (u8, &Limit)> {
    let index = usize::from(round).min(campaign.rounds.len());
    let before: usize = campaign.rounds[..index].iter().map(|round| round.limits.len()).sum();
    let own = campaign.rounds.get(index).map(|round| round.limits.as_slice()).unwrap_or_default();
    let own = own.iter().enumerate().map(move |(index, limit)| (campaign.limits.len() + before + index, limit));
    campaign.limits.iter().enumerate().chain(own).map(|(number, limit)| (number as u8, limit))
}

/// Days since 1970, ISO weeks (1970-01-01 was a Thursday), months and years of the city.
fn period_number(period: Period, zone: &Zone, at: Ms) -> i64 {
    let date = || zone.civil_date(at);
    match period {
        Period::Day => zone.day_number(at),
        Period::Week => (zone.day_number(at) + 3).div_euclid(7),
        Period::Month => i64::from(date().year()) * 12 + i64::from(date().month()),
        Period::Year => i64::from(date().year()),
        Period::Payment | Period::Round | Period::Campaign => 0,
    }
}
