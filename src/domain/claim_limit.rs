//! Limits on claiming: which of them a pack of a round meets, and how uses of one are counted: a person's in the person's record, all
//! others as quotas.

use super::campaign::schema::{Campaign, Limit, LimitMax};
use super::campaign::terms::{LimitAction, LimitEntity, Period};
use super::limit::Contacts;
use super::limit::period_number;
use super::order::{LimitEntityKey, digest_of};
use super::refusal::{Code, Refusal};
use super::time::{Ms, Zone};
use super::voucher::PersonField;

/// One more claim under a limit, as the store counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimUse {
    /// The campaign's limits come first, then those of its rounds in the order of the file.
    pub number: u8,
    /// What is counted apart for one person: channel, pack, round.
    pub entity: Vec<u8>,
    pub period: i64,
    /// -1 = the limit counts money.
    pub most_count: i64,
    /// -1 = the limit counts claims.
    pub most_amount: i64,
}

/// One more claim under a limit that no person's record counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimQuota {
    /// As above; `max_amount_by_day` stands behind them all.
    pub number: u8,
    /// What is counted apart.
    pub entity: LimitEntityKey,
    pub period: i64,
    pub max: LimitMax,
}

/// Who claims, as quotas tell people apart.
#[derive(Clone, Copy, Debug)]
pub struct Claimer {
    pub field: PersonField,
    pub contacts: Contacts,
}

const BY_DAY: u8 = u8::MAX;

/// What `max_amount_by_day` means: the face value of all packs that are issued on a day of the city.
fn by_day(campaign: &Campaign) -> Option<Limit> {
    let max = LimitMax::Amount(campaign.max_amount_by_day?);
    Some(Limit { action: LimitAction::Claim, entities: Vec::new(), period: Period::Day, max })
}

/// Whether every person is counted alone: only that can be kept in the person's record.
pub fn is_personal(limit: &Limit) -> bool {
    use LimitEntity::{Channel, Pack, Person};
    let known = limit.entities.iter().all(|entity| matches!(entity, Person | Channel | Pack));
    known && limit.entities.contains(&Person)
}

/// The limits on claims that a pack meets now.
pub fn uses(campaign: &Campaign, zone: &Zone, round: u8, channel: u8, pack: u8, at: Ms) -> Vec<ClaimUse> {
    let claiming =
        numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Claim && is_personal(limit));
    let uses = claiming.map(|(number, limit)| {
        let (most_count, most_amount) = match limit.max {
            LimitMax::Count(most) => (i64::from(most), -1),
            LimitMax::Amount(most) => (-1, most.0),
        };
        let entity = entity(limit, round, channel, pack);
        ClaimUse { number, entity, period: period_number(limit, zone, at), most_count, most_amount }
    });
    uses.collect()
}

/// The quotas that a claim of a pack, by round, channel and pack, meets now.
pub fn quotas(
    campaign: &Campaign,
    zone: &Zone,
    (round, channel, pack): (u8, u8, u8),
    claimer: &Claimer,
    at: Ms,
) -> Vec<ClaimQuota> {
    let quota = |number: u8, limit: &Limit| {
        let parts = parts("claim", limit, (round, channel, pack), claimer);
        ClaimQuota { number, entity: digest_of(&parts), period: period_number(limit, zone, at), max: limit.max }
    };
    let mut quotas: Vec<ClaimQuota> = unpersonal(campaign, round).map(|(number, limit)| quota(number, limit)).collect();
    quotas.extend(by_day(campaign).map(|limit| quota(BY_DAY, &limit)));
    quotas
}

fn unpersonal(campaign: &Campaign, round: u8) -> impl Iterator<Item = (u8, &Limit)> {
    numbered(campaign, round).filter(|(_, limit)| limit.action == LimitAction::Claim && !is_personal(limit))
}

/// Whether the entry must be looked at before a claim can be counted.
pub fn counts_contacts(campaign: &Campaign, round: u8) -> bool {
    use LimitEntity::{Account, Device, Phone};
    let named = |limit: &Limit| limit.entities.iter().any(|one| matches!(one, Account | Device | Phone));
    unpersonal(campaign, round).any(|(_, limit)| named(limit))
}

/// Whether any claim of a campaign is counted elsewhere than with its person.
pub fn has_quotas(campaign: &Campaign) -> bool {
    let rounds = 0..campaign.rounds.len() as u8;
    campaign.max_amount_by_day.is_some() || rounds.into_iter().any(|round| unpersonal(campaign, round).next().is_some())
}

/// Whether any claim is counted by a period of the calendar, which ends at a midnight.
pub fn by_calendar(campaign: &Campaign, round: u8) -> bool {
    let by_day = campaign.max_amount_by_day.is_some();
    by_day
        || numbered(campaign, round).any(|(_, limit)| {
            limit.action == LimitAction::Claim && !matches!(limit.period, Period::Round | Period::Campaign)
        })
}

/// Whether a limit may let a person have one pack of a round and not another.
pub fn tells_packs_apart(campaign: &Campaign, round: u8) -> bool {
    let by_day = campaign.max_amount_by_day.is_some();
    by_day
        || numbered(campaign, round).any(|(_, limit)| {
            let apart = limit.entities.contains(&LimitEntity::Pack) || matches!(limit.max, LimitMax::Amount(_));
            limit.action == LimitAction::Claim && apart
        })
}

/// What a person is told who has used up a limit.
pub fn reached(campaign: &Campaign, round: u8, number: u8) -> Refusal {
    if let Some(most) = campaign.max_amount_by_day.filter(|_| number == BY_DAY) {
        return Refusal::new(Code::LimitReached).with("limit", serde_json::json!({ "max_amount_by_day": most.0 }));
    }
    let limit = numbered(campaign, round).find(|(known, _)| *known == number).map(|(_, limit)| limit);
    Refusal::new(Code::LimitReached).with("limit", serde_json::to_value(limit).unwrap_or_default())
}

/// The limits that hold in a round, with their numbers.
pub fn numbered(campaign: &Campaign, round: u8) -> impl Iterator<Item = (u8, &Limit)> {
    let index = usize::from(round).min(campaign.rounds.len());
    let before: usize = campaign.rounds[..index].iter().map(|round| round.limits.len()).sum();
    let own = campaign.rounds.get(index).map(|round| round.limits.as_slice()).unwrap_or_default();
    let own = own.iter().enumerate().map(move |(index, limit)| (campaign.limits.len() + before + index, limit));
    campaign.limits.iter().enumerate().chain(own).map(|(number, limit)| (number as u8, limit))
}

/// What a quota on claiming or reserving counts apart.
pub fn parts(action: &str, limit: &Limit, (round, channel, pack): (u8, u8, u8), claimer: &Claimer) -> Vec<String> {
    let mut entities = limit.entities.clone();
    entities.sort_unstable();
    let contact = |place: usize| format!("{:016x}", claimer.contacts[place]);
    let mut parts = vec![action.to_owned()];
    for entity in entities {
        let (name, value) = match entity {
            LimitEntity::Person => ("person", hex::encode(claimer.field)),
            LimitEntity::Phone => ("phone", contact(0)),
            LimitEntity::Device => ("device", contact(1)),
            LimitEntity::Account => ("account", contact(2)),
            LimitEntity::Channel => ("channel", channel.to_string()),
            LimitEntity::Pack => ("pack", pack.to_string()),
            LimitEntity::Merchant | LimitEntity::Store | LimitEntity::Terminal | LimitEntity::Category => continue,
        };
        parts.extend([name.to_owned(), value]);
    }
    if limit.period == Period::Round {
        parts.extend(["round".to_owned(), round.to_string()]);
    }
    parts
}

/// Rounds run side by side, so a round is told apart as an entity and not as a period that would end when the next begins.
fn entity(limit: &Limit, round: u8, channel: u8, pack: u8) -> Vec<u8> {
    let mut entity = Vec::new();
    if limit.entities.contains(&LimitEntity::Channel) {
        entity.extend([b'c', channel]);
    }
    if limit.entities.contains(&LimitEntity::Pack) {
        entity.extend([b'p', pack]);
    }
    if limit.period == Period::Round {
        entity.extend([b'r', round]);
    }
    entity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::parse;
    use crate::domain::time::parse_rfc3339;
    use serde_json::json;

    fn campaign() -> Campaign {
        let bytes = include_bytes!("../../deploy/campaigns/hangzhou-2020.json");
        let mut file: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let limit = |entities: serde_json::Value, period: &str| json!({"action": "claim", "entities": entities, "period": period, "max_count": 1});
        file["rounds"][0]["limits"] = json!([limit(json!(["person"]), "round")]);
        file["rounds"][1]["limits"] = json!([limit(json!(["person", "pack"]), "month"),
            {"action": "claim", "entities": ["person"], "period": "campaign", "max_amount": 7000}]);
        parse(file.to_string().as_bytes()).unwrap().campaign
    }

    #[test]
    fn limits_are_numbered_over_the_file_and_redeem_limits_are_not_counted_by_claims() {
        let (campaign, at) = (campaign(), parse_rfc3339("2020-04-05T23:00:00+08:00").unwrap());
        let of = |round| -> Vec<(u8, i64, i64)> {
            let uses = uses(&campaign, &campaign.zone(), round, 0, 0, at);
            uses.iter().map(|one| (one.number, one.most_count, one.most_amount)).collect()
        };
        assert_eq!(of(0), [(0, 1, -1), (2, 1, -1)]);
        assert_eq!(of(1), [(0, 1, -1), (3, 1, -1), (4, -1, 7000)]);
        assert_eq!(of(2), [(0, 1, -1)]);
        assert_eq!(reached(&campaign, 1, 4).extra["limit"]["max_amount"], 7000);
    }

    #[test]
    fn packs_channels_and_rounds_are_counted_apart_where_the_limit_says_so() {
        let campaign = campaign();
        let zone = campaign.zone();
        let entity = |round, channel, pack, number| {
            let all = uses(&campaign, &zone, round, channel, pack, 0);
            all.into_iter().find(|one| one.number == number).map(|one| one.entity)
        };
        assert_ne!(entity(1, 0, 0, 3), entity(1, 0, 1, 3), "by pack");
        assert_eq!(entity(1, 0, 0, 3), entity(1, 1, 0, 3), "not by channel");
        assert_eq!(entity(0, 0, 0, 0), entity(1, 0, 1, 0), "the campaign's week is one for all rounds");
        assert_ne!(entity(0, 0, 0, 2).unwrap(), Vec::<u8>::new(), "by round");
    }
}
