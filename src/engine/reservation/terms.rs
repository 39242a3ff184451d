//! What the terms of a reservation say about one wish: the choice, consent, identity keys, the person's day, limits.

use std::sync::Arc;

use rmpv::Value;

use super::{NO_CHOICE, Wish};
use crate::domain::campaign::schema::{Assignment, Duplicates, IdentityKey, Reservation};
use crate::domain::eligibility::Verdict;
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;
use crate::domain::{reserve_limit, stagger};
use crate::engine::config::view::{CampaignView, RoundView};
use crate::engine::eligibility::not_eligible;
use crate::engine::resident::{Person, Resident};
use crate::store::script::{Args, Shared};
use crate::store::{int, keys};

/// The tier a person names; only a round of choices takes one.
pub(super) fn choice(view: &CampaignView, round: &RoundView, pack_id: Option<&str>) -> Result<u8, Refusal> {
    match (round.round.assignment, pack_id) {
        (Assignment::Choice, None) => Err(Code::PackChoiceRequired.into()),
        (Assignment::Choice, Some(pack_id)) => {
            let offered = round.round.supply.pack_ids().any(|offered| offered == pack_id);
            let index = view.campaign.packs.iter().position(|pack| offered && pack.pack_id == pack_id);
            index.map(|index| index as u8).ok_or_else(|| {
                Refusal::new(Code::InvalidRequest).field(
                    "/pack_id",
                    "unknown_pack",
                    "没有这个券包。",
                    "There is no such pack.",
                )
            })
        }
        (_, None) => Ok(NO_CHOICE),
        (_, Some(_)) => Err(Refusal::new(Code::InvalidRequest).field(
            "/pack_id",
            "no_choice",
            "本场次不可选择券包。",
            "This round offers no choice of packs: leave it out.",
        )),
    }
}

pub(super) fn consented(view: &CampaignView, wish: &Wish) -> Result<(), Refusal> {
    match &view.campaign.consent_version {
        Some(wanted) if wish.consent_version.as_ref() != Some(wanted) => {
            let (zh, en) = ("请同意当前版本。", "Name the current version.");
            let refusal = Refusal::new(Code::ConsentRequired).with("consent_version", wanted.clone());
            Err(refusal.field("/consent_version", "consent_required", zh, en))
        }
        _ => Ok(()),
    }
}

const NO_PHONE: (&str, &str) = (
    "须为中国手机号（11 位）、带区号的固定电话（以 0 开头），或以 + 和国家代码开头的号码。",
    "Must be a mobile number of China (11 digits), one with its area (from 0 on), or + and the country code in front.",
);

/// The digests of the identity keys that the reservation names; what the token vouches for goes before what the request tells.
pub(super) fn digests(
    view: &CampaignView,
    terms: &Reservation,
    resident: &Resident,
    wish: &Wish,
) -> Result<Vec<u8>, Refusal> {
    let mut contacts = resident.contacts.clone();
    contacts.phone = contacts.phone.or(wish.phone.clone());
    contacts.device = contacts.device.or(wish.device.clone());
    contacts.digests(&terms.identity_keys, &view.pseudonym_key, &resident.channel).map_err(|unusable| {
        unusable.into_iter().fold(Refusal::new(Code::InvalidRequest), |refusal, one| {
            let visible = ("须为 1 至 128 个可见的 ASCII 字符。", "Must be 1 to 128 visible ASCII characters.");
            let (pointer, (zh, en)) = match one.key {
                IdentityKey::Phone => ("/phone", NO_PHONE),
                IdentityKey::Device => ("/device", visible),
                _ => ("/account", visible),
            };
            match one.missing {
                true => refusal.field(pointer, "missing_field", "本活动须提供此项。", "This campaign needs it."),
                false => refusal.field(pointer, "invalid_value", zh, en),
            }
        })
    })
}

/// Where the rush is spread over days, refuses on another day than the person's and says which it is.
pub(super) fn on_its_day(
    view: &CampaignView,
    terms: &Reservation,
    resident: &Resident,
    person: &Person,
    now: Ms,
) -> Result<(), Refusal> {
    let Some(spread) = &terms.stagger else { return Ok(()) };
    let Some(digit) = stagger::digit(spread.by, resident.facts.birth_date, &person.pseudonym) else {
        let (zh, en) = ("出生年份未知，无法确定预约日。", "The year of birth is not known, so no day can be told.");
        let verdict = Verdict { rule: "stagger", passed: false, zh, en };
        return Err(not_eligible(&verdict));
    };
    stagger::judge(spread, digit, (terms.opens_at, terms.closes_at), now, &view.zone).map_err(|another| {
        let days = another.days.iter().map(|(opens_at, closes_at)| {
            serde_json::json!({"opens_at": view.zone.rfc3339(*opens_at), "closes_at": view.zone.rfc3339(*closes_at)})
        });
        Refusal::new(Code::NotYourDay).with("days", days.collect::<Vec<_>>())
    })
}

/// What all reservations of a round say to the script: kept, unless limits count in periods.
pub(super) fn shared(view: &CampaignView, round: &RoundView, terms: &Reservation, at: Ms) -> Arc<Shared> {
    let uses = uses(view, round, at);
    let counts = uses.as_array().is_some_and(|uses| !uses.is_empty());
    let make = || {
        let shared = Args::default()
            .int(view.number)
            .int(round.index)
            .bytes(keys::round_counters(view.number, round.index))
            .int(terms.max_reservations.unwrap_or_default() as i64)
            .int(u8::from(terms.per_channel()))
            .int(u8::from(terms.duplicates == Duplicates::Earliest))
            .value(&uses);
        Shared::new(shared)
    };
    if counts { make() } else { round.terms.get_or_init(make).clone() }
}

/// The limits that a reservation of this instant counts towards, as the scripts take them.
pub(super) fn uses(view: &CampaignView, round: &RoundView, at: Ms) -> Value {
    let uses = reserve_limit::uses(&view.campaign, &view.zone, round.index, at);
    let value = |one: reserve_limit::ReserveUse| {
        Value::Array(vec![
            int(one.number),
            int(one.round.map_or(-1, i64::from)),
            int(i64::from(one.by_channel)),
            int(i64::from(one.by_choice)),
            int(one.period),
            int(one.most),
        ])
    };
    Value::Array(uses.into_iter().map(value).collect())
}
