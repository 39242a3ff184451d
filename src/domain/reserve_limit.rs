//! Limits on reserving: which of them a reservation meets, as the person's record counts them.

use super::campaign::schema::{Campaign, Limit, LimitMax};
use super::campaign::terms::{LimitAction, LimitEntity, Period};
use super::claim_limit::numbered;
use super::limit::period_number;
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
    let reserving = numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Reserve);
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

/// The limit of a number, for the answer to whom it stopped.
pub fn limit_of(campaign: &Campaign, round: u8, number: u8) -> Option<&Limit> {
    numbered(campaign, round).find(|(known, _)| *known == number).map(|(_, limit)| limit)
}
