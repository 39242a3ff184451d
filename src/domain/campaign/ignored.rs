//! What a valid file says and nobody looks at. A round's mode decides which of its fields have a meaning; who wrote another one believes
//! that it holds. A draft is told all of it by warnings. Publication is refused, with the place in the file, for what would break a
//! promise; a default that every round replaces, and terms that would change nothing, do not stop it.

use super::findings::Fault;
use super::named::Named;
use super::schema::*;

/// How a round gives its packs: its mode, and whether people come for them in a claim window or are credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    CreditedBallot,
    ClaimedBallot,
    Rain,
    FirstCome,
    CreditedGrant,
    ClaimedGrant,
}

use Way::{ClaimedBallot, ClaimedGrant, CreditedBallot, CreditedGrant, FirstCome, Rain};

impl Way {
    pub const ALL: [Way; 6] = [CreditedBallot, ClaimedBallot, Rain, FirstCome, CreditedGrant, ClaimedGrant];

    pub fn of(round: &Round) -> Way {
        match (round.mode, round.opens_at.is_some()) {
            (Mode::Ballot, false) => CreditedBallot,
            (Mode::Ballot, true) => ClaimedBallot,
            (Mode::Rain, _) => Rain,
            (Mode::FirstCome, _) => FirstCome,
            (Mode::Grant, false) => CreditedGrant,
            (Mode::Grant, true) => ClaimedGrant,
        }
    }
}

/// A field of a round: where it says nothing, and whether a round says something by it. What equals the default says nothing anywhere.
pub struct Row {
    pub field: &'static str,
    pub ignored_in: &'static [Way],
    pub is_refused: bool,
    says: fn(&Round) -> bool,
}

const GRANTS: &[Way] = &[CreditedGrant, ClaimedGrant];
const EVERYWHERE: &[Way] = &Way::ALL;
/// Every way has a use for it, or what has none is a fault of form (`check_mode`, `check_unclaimed`).
const NOWHERE: &[Way] = &[];

const fn row(field: &'static str, ignored_in: &'static [Way], says: fn(&Round) -> bool) -> Row {
    Row { field, ignored_in, is_refused: true, says }
}

/// One whose being there stops no publication.
const fn told(field: &'static str, ignored_in: &'static [Way], says: fn(&Round) -> bool) -> Row {
    Row { field, ignored_in, is_refused: false, says }
}

/// Every field of a round. Who is on the list of a grant gets a pack whatever eligibility says; only a place is asked for, where people
/// claim.
pub const ROWS: &[Row] = &[
    row("round_id", NOWHERE, |_| true),
    row("mode", NOWHERE, |_| true),
    row("name", NOWHERE, |round| round.name.is_some()),
    row("reservation", GRANTS, |round| matches!(round.reservation, RoundReservation::Own(_))),
    told("eligibility", GRANTS, |round| round.eligibility.is_some() && !asks_place(round)),
    told("eligibility/minimum_age", GRANTS, |round| of_place(round, |terms| terms.minimum_age.is_some())),
    told("eligibility/age_on", GRANTS, |round| of_place(round, |terms| terms.age_on.is_some())),
    told("eligibility/residence_prefixes", GRANTS, |round| {
        of_place(round, |terms| !terms.residence_prefixes.is_empty())
    }),
    told("eligibility/health_pass", GRANTS, |round| of_place(round, |terms| terms.health_pass.is_some())),
    told("eligibility/allow_list", GRANTS, |round| of_place(round, |terms| terms.allow_list.is_some())),
    told("eligibility/deny_list", GRANTS, |round| of_place(round, |terms| terms.deny_list.is_some())),
    told("eligibility/health_pass_unknown", EVERYWHERE, |round| {
        round.eligibility.as_ref().is_some_and(accepts_unasked)
    }),
    told("eligibility/attributes", GRANTS, |round| of_place(round, |terms| !terms.attributes.is_empty())),
    row("validity", NOWHERE, |round| round.validity.is_some()),
    row("use_rule", NOWHERE, |round| round.use_rule.is_some()),
    row("limits", NOWHERE, |round| !round.limits.is_empty()),
    row("supply", NOWHERE, |_| true),
    // With one pack there is nothing to choose from, and the round would be dealt and proven as if there were.
    told("assignment", EVERYWHERE, |round| {
        round.assignment == Assignment::Chance && round.supply.pack_ids().count() == 1
    }),
    row("max_packs_per_person", GRANTS, |round| round.max_packs_per_person > 1 && round.assignment != Assignment::Each),
    row("exclude_winners_of", NOWHERE, |round| !round.exclude_winners_of.is_empty()),
    row("entries_list", NOWHERE, |round| round.entries_list.is_some()),
    row("draw", NOWHERE, |round| round.draw.is_some()),
    row("opens_at", NOWHERE, |round| round.opens_at.is_some()),
    row("closes_at", NOWHERE, |round| round.closes_at.is_some()),
    row("credit_at", NOWHERE, |round| round.credit_at.is_some()),
    row("release", &[ClaimedGrant], |round| round.release.is_some()),
    row("unclaimed", &[CreditedBallot, FirstCome, CreditedGrant], |round| round.unclaimed != Unclaimed::Credit),
    row("waves", NOWHERE, |round| !round.waves.is_empty()),
    row("lost_at", &[CreditedBallot, FirstCome, CreditedGrant, ClaimedGrant], |round| round.lost_at == LostAt::Close),
];

/// A field of the campaign itself, and whether it says something that no round looks at.
pub struct CampaignRow {
    pub field: &'static str,
    unused: fn(&Campaign) -> bool,
    zh: &'static str,
    en: &'static str,
}

const fn of_campaign(
    field: &'static str,
    unused: fn(&Campaign) -> bool,
    zh: &'static str,
    en: &'static str,
) -> CampaignRow {
    CampaignRow { field, unused, zh, en }
}

/// What holds for the campaign whatever its rounds are.
const fn always(field: &'static str) -> CampaignRow {
    of_campaign(field, |_| false, "", "")
}

/// Every field of a campaign. What it says for its rounds is used where one of them has nothing of its own.
pub const CAMPAIGN_ROWS: &[CampaignRow] = &[
    always("campaign_id"),
    always("name"),
    always("time_zone"),
    always("currency"),
    always("budget"),
    always("channels"),
    of_campaign(
        "consent_version",
        |campaign| {
            campaign.consent_version.is_some()
                && !campaign.rounds.iter().any(|round| takes_reservations(campaign, round))
        },
        "没有场次接受预约，而同意是在预约时询问的",
        "consent is asked for when somebody reserves, and no round takes reservations",
    ),
    // Rounds that it does not count are refused as not supported yet.
    always("max_amount_by_day"),
    always("funding"),
    always("packs"),
    always("rounds"),
    always("limits"),
    of_campaign(
        "reservation",
        |campaign| {
            campaign.reservation.is_some()
                && !any_round(campaign, |round| {
                    round.mode != Mode::Grant && matches!(round.reservation, RoundReservation::Campaigns)
                })
        },
        "没有场次使用活动的预约",
        "no round uses the campaign's reservation",
    ),
    of_campaign(
        "eligibility",
        |campaign| {
            campaign.eligibility.is_some()
                && !any_round(campaign, |round| {
                    round.eligibility.is_none()
                        && (round.mode != Mode::Grant || campaign.eligibility.as_ref().is_some_and(names_place))
                })
        },
        "没有场次使用活动的资格条件",
        "no round uses the campaign's eligibility",
    ),
    of_campaign(
        "eligibility/health_pass_unknown",
        |campaign| campaign.eligibility.as_ref().is_some_and(accepts_unasked),
        "没有要求健康码",
        "no health pass is asked for",
    ),
    of_campaign(
        "validity",
        |campaign| campaign.validity.is_some() && !any_round(campaign, |round| round.validity.is_none()),
        "每个场次都有自己的有效期",
        "every round has its own",
    ),
    of_campaign(
        "use_rule",
        |campaign| campaign.use_rule.is_some() && !any_round(campaign, |round| round.use_rule.is_none()),
        "每个场次都有自己的使用规则",
        "every round has its own",
    ),
    always("merchant_enrolment"),
    always("refund_policy"),
    always("refund_days"),
    always("reverse_hours"),
    always("refund_restores_limits"),
    of_campaign(
        "max_restores_per_voucher",
        |campaign| campaign.refund_policy == RefundPolicy::Consume && campaign.max_restores_per_voucher != 3,
        "refund_policy 为 consume 时不退回消费券",
        "with refund_policy consume no voucher is restored",
    ),
    always("expired_refund_to"),
    always("carry_over"),
    of_campaign(
        "carry_over_sources",
        |campaign| {
            campaign.carry_over == CarryOver::None && campaign.carry_over_sources.len() < CarryOverSource::WORDS.len()
        },
        "carry_over 为 none 时没有结转",
        "with carry_over none nothing flows on",
    ),
];

fn any_round(campaign: &Campaign, uses: impl Fn(&Round) -> bool) -> bool {
    campaign.rounds.iter().any(uses)
}

/// Says what counts for an unknown health pass where none is asked for.
fn accepts_unasked(terms: &Eligibility) -> bool {
    terms.health_pass.is_none() && terms.health_pass_unknown != HealthPassUnknown::Refuse
}

fn names_place(terms: &Eligibility) -> bool {
    terms.location.as_ref().is_some_and(|place| place.at.contains(&LocationAt::Claim))
}

/// A grant asks where a tap comes from, if its eligibility names a place for that.
fn asks_place(round: &Round) -> bool {
    round.eligibility.as_ref().is_some_and(names_place)
}

fn of_place(round: &Round, says: fn(&Eligibility) -> bool) -> bool {
    asks_place(round) && round.eligibility.as_ref().is_some_and(says)
}

/// Whether anybody reserves in a round.
fn takes_reservations(campaign: &Campaign, round: &Round) -> bool {
    round.mode != Mode::Grant && campaign.reservation_of(round).is_some()
}

/// What no round looks at: what publication refuses, and what only a draft is told.
#[derive(Debug, Default)]
pub struct Ignored {
    pub refused: Vec<Fault>,
    pub told: Vec<Fault>,
}

pub fn ignored(campaign: &Campaign) -> Ignored {
    let mut found = Ignored::default();
    for (index, round) in campaign.rounds.iter().enumerate() {
        let way = Way::of(round);
        for row in ROWS.iter().filter(|row| row.ignored_in.contains(&way) && (row.says)(round)) {
            let fault = without_effect(format!("/rounds/{index}/{}", row.field), row.field, round.mode.as_str());
            if row.is_refused { &mut found.refused } else { &mut found.told }.push(fault);
        }
        if !takes_reservations(campaign, round) {
            reserving(&mut found.refused, &round.limits, &format!("/rounds/{index}/limits"));
        }
    }
    if !any_round(campaign, |round| takes_reservations(campaign, round)) {
        reserving(&mut found.refused, &campaign.limits, "/limits");
    }
    for row in CAMPAIGN_ROWS.iter().filter(|row| (row.unused)(campaign)) {
        let (field, zh, en) = (row.field, row.zh, row.en);
        found.told.push(Fault {
            pointer: format!("/{field}"),
            code: "no_effect",
            zh: format!("{field} 不起作用，{zh}，可以删去。"),
            en: format!("{field} has no effect, for {en}: it can be left out."),
        });
    }
    found
}

fn reserving(found: &mut Vec<Fault>, limits: &[Limit], at: &str) {
    for (index, _) in limits.iter().enumerate().filter(|(_, limit)| limit.action == LimitAction::Reserve) {
        found.push(Fault {
            pointer: format!("{at}/{index}"),
            code: "no_effect",
            zh: "没有预约，对预约的限制不起作用，请删去。".into(),
            en: "Nobody reserves here, so a limit on reserving has no effect: leave it out.".into(),
        });
    }
}

fn without_effect(pointer: String, field: &str, mode: &str) -> Fault {
    Fault {
        pointer,
        code: "no_effect",
        zh: format!("{field} 在这样的 {mode} 场次中不起作用，请删去。"),
        en: format!("{field} has no effect in such a {mode} round: leave it out."),
    }
}
