//! What a valid file says and nobody looks at. A round's mode decides which of its fields have a meaning; who wrote another one believes
//! that it holds. A draft is told by a warning, publication is refused with the place in the file.

use super::findings::Fault;
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
    says: fn(&Round) -> bool,
}

const GRANTS: &[Way] = &[CreditedGrant, ClaimedGrant];
/// Every way has a use for it, or what has none is a fault of form (`check_mode`, `check_unclaimed`).
const NOWHERE: &[Way] = &[];

const fn row(field: &'static str, ignored_in: &'static [Way], says: fn(&Round) -> bool) -> Row {
    Row { field, ignored_in, says }
}

/// Every field of a round. Who is on the list of a grant gets a pack whatever eligibility says; only a place is asked for, where people
/// claim.
pub const ROWS: &[Row] = &[
    row("round_id", NOWHERE, |_| true),
    row("mode", NOWHERE, |_| true),
    row("name", NOWHERE, |round| round.name.is_some()),
    row("reservation", GRANTS, |round| matches!(round.reservation, RoundReservation::Own(_))),
    row("eligibility", GRANTS, |round| round.eligibility.is_some() && !asks_place(round)),
    row("eligibility/minimum_age", GRANTS, |round| of_place(round, |terms| terms.minimum_age.is_some())),
    row("eligibility/age_on", GRANTS, |round| of_place(round, |terms| terms.age_on.is_some())),
    row("eligibility/residence_prefixes", GRANTS, |round| {
        of_place(round, |terms| !terms.residence_prefixes.is_empty())
    }),
    row("eligibility/health_pass", GRANTS, |round| of_place(round, |terms| terms.health_pass.is_some())),
    row("eligibility/allow_list", GRANTS, |round| of_place(round, |terms| terms.allow_list.is_some())),
    row("eligibility/deny_list", GRANTS, |round| of_place(round, |terms| terms.deny_list.is_some())),
    row("eligibility/attributes", GRANTS, |round| of_place(round, |terms| !terms.attributes.is_empty())),
    row("validity", NOWHERE, |round| round.validity.is_some()),
    row("use_rule", NOWHERE, |round| round.use_rule.is_some()),
    row("limits", NOWHERE, |round| !round.limits.is_empty()),
    row("supply", NOWHERE, |_| true),
    row("assignment", NOWHERE, |_| true),
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

/// A grant asks where a tap comes from, if its eligibility names a place for that.
fn asks_place(round: &Round) -> bool {
    let place = round.eligibility.as_ref().and_then(|terms| terms.location.as_ref());
    place.is_some_and(|place| place.at.contains(&LocationAt::Claim))
}

fn of_place(round: &Round, says: fn(&Eligibility) -> bool) -> bool {
    asks_place(round) && round.eligibility.as_ref().is_some_and(says)
}

/// Whether anybody reserves in a round.
fn takes_reservations(campaign: &Campaign, round: &Round) -> bool {
    round.mode != Mode::Grant && campaign.reservation_of(round).is_some()
}

/// What publication refuses.
pub fn ignored(campaign: &Campaign) -> Vec<Fault> {
    let mut found = Vec::new();
    for (index, round) in campaign.rounds.iter().enumerate() {
        let way = Way::of(round);
        for row in ROWS.iter().filter(|row| row.ignored_in.contains(&way) && (row.says)(round)) {
            found.push(without_effect(format!("/rounds/{index}/{}", row.field), row.field, round.mode.as_str()));
        }
        if !takes_reservations(campaign, round) {
            reserving(&mut found, &round.limits, &format!("/rounds/{index}/limits"));
        }
    }
    if !campaign.rounds.iter().any(|round| takes_reservations(campaign, round)) {
        reserving(&mut found, &campaign.limits, "/limits");
    }
    let default_is_used = campaign
        .rounds
        .iter()
        .any(|round| round.mode != Mode::Grant && round.reservation == RoundReservation::Campaigns);
    if let (Some(terms), false) = (&campaign.reservation, default_is_used) {
        unused_terms(&mut found, terms);
    }
    found
}

/// A window alone may stand in a file whose rounds have no use for it: it is neither warned of nor refused. Terms that narrow it down promise something.
fn unused_terms(found: &mut Vec<Fault>, terms: &Reservation) {
    let rows = [
        ("one_per", terms.per_channel()),
        ("identity_keys", terms.more_keys().next().is_some()),
        ("duplicates", terms.duplicates != Duplicates::Reject),
        ("withdraw_until", terms.withdraw_until.is_some()),
        ("max_reservations", terms.max_reservations.is_some()),
        ("stagger", terms.stagger.is_some()),
    ];
    for (field, _) in rows.into_iter().filter(|(_, says)| *says) {
        found.push(Fault {
            pointer: format!("/reservation/{field}"),
            code: "no_effect",
            zh: format!("没有场次使用活动的预约，{field} 不起作用，请删去。"),
            en: format!("No round uses the campaign's reservation, so {field} has no effect: leave it out."),
        });
    }
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
