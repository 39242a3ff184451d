//! What a valid file may ask for and this version cannot execute yet. Such a campaign can be drafted and checked, but never published:
//! a feature that is not built answers `not_supported_yet` with the place in the file, and never a substitute.
//! The list only shrinks: delete a row when its feature is built.

use super::findings::Fault;
use super::schema::*;
use crate::domain::claim_limit;

struct Missing(Vec<Fault>);

impl Missing {
    fn unless(&mut self, built: bool, pointer: String, what: &str) {
        if !built {
            self.0.push(Fault {
                pointer,
                code: "not_supported_yet",
                zh: format!("本版本尚不支持：{what}。"),
                en: format!("This version does not support this yet: {what}."),
            });
        }
    }
}

pub fn unsupported(campaign: &Campaign) -> Vec<Fault> {
    let mut missing = Missing(Vec::new());
    let row = &mut missing;
    row.unless(campaign.max_amount_by_day.is_none(), "/max_amount_by_day".into(), "max_amount_by_day");
    row.unless(campaign.funding.is_empty(), "/funding".into(), "funding");
    for (i, round) in campaign.rounds.iter().enumerate() {
        let at = format!("/rounds/{i}");
        one_round(row, campaign, round, &at);
        own_terms(row, round, &at);
    }
    let limits = campaign.limits.len() + campaign.rounds.iter().map(|round| round.limits.len()).sum::<usize>();
    row.unless(limits <= 255, "/limits".into(), "more than 255 limits in all");
    for (i, limit) in campaign.limits.iter().enumerate() {
        one_limit(row, limit, &format!("/limits/{i}"));
    }
    eligibility(row, campaign.eligibility.as_ref(), "");
    missing.0
}

fn one_round(row: &mut Missing, campaign: &Campaign, round: &Round, at: &str) {
    let drawn = matches!(round.mode, Mode::Ballot | Mode::Rain);
    let walk_in = drawn && campaign.reservation_of(round).is_none();
    row.unless(!walk_in, format!("{at}/reservation"), "rounds without reservation");
    let at_claim =
        |terms: &Eligibility| terms.location.as_ref().is_some_and(|place| place.at.contains(&LocationAt::Claim));
    let untapped = round.mode != Mode::FirstCome && (round.opens_at.is_none() || round.unclaimed == Unclaimed::Credit);
    row.unless(
        !(untapped && campaign.eligibility_of(round).is_some_and(at_claim)),
        format!("{}/eligibility/location/at", if round.eligibility.is_some() { at } else { "" }),
        "location when claiming in a round that credits without a claim",
    );
    for (i, limit) in round.limits.iter().enumerate() {
        one_limit(row, limit, &format!("{at}/limits/{i}"));
    }
}

fn own_terms(row: &mut Missing, round: &Round, at: &str) {
    eligibility(row, round.eligibility.as_ref(), at);
}

fn eligibility(row: &mut Missing, terms: Option<&Eligibility>, at: &str) {
    if let Some(terms) = terms {
        let at = format!("{at}/eligibility");
        let recheck = terms.health_pass_unknown == HealthPassUnknown::RecheckBeforeDraw;
        row.unless(!recheck, format!("{at}/health_pass_unknown"), "recheck_before_draw");
    }
}

fn one_limit(row: &mut Missing, limit: &Limit, at: &str) {
    if matches!(limit.action, LimitAction::Reserve | LimitAction::Claim) {
        let personal = claim_limit::is_personal(limit);
        let what = "limits on reserving and claiming by other than person, alone or with channel and pack";
        row.unless(personal, format!("{at}/entities"), what);
    }
}
