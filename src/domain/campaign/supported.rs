//! What a valid file may ask for and this version cannot execute yet. Such a campaign can be drafted and checked, but never published:
//! a feature that is not built answers `not_supported_yet` with the place in the file, and never a substitute.
//! The list only shrinks: delete a row when its feature is built.

use super::findings::Fault;
use super::schema::*;
use crate::domain::claim_limit;

struct Missing(Vec<Fault>);

impl Missing {
    fn unless(&mut self, built: bool, pointer: String, (zh, en): (&str, &str)) {
        if !built {
            self.0.push(Fault {
                pointer,
                code: "not_supported_yet",
                zh: format!("本版本尚不支持：{zh}。"),
                en: format!("This version does not support this yet: {en}."),
            });
        }
    }
}

pub fn unsupported(campaign: &Campaign) -> Vec<Fault> {
    let mut missing = Missing(Vec::new());
    let row = &mut missing;
    let by_day = campaign.max_amount_by_day.is_none() || all_tapped(&campaign.rounds);
    let what =
        ("并非每个场次都是 first_come 时的 max_amount_by_day", "max_amount_by_day where not every round is first_come");
    row.unless(by_day, "/max_amount_by_day".into(), what);
    for (i, round) in campaign.rounds.iter().enumerate() {
        let at = format!("/rounds/{i}");
        one_round(row, campaign, round, &at);
        own_terms(row, round, &at);
    }
    let limits = campaign.limits.len() + campaign.rounds.iter().map(|round| round.limits.len()).sum::<usize>();
    row.unless(limits <= 255, "/limits".into(), ("限制合计超过 255 条", "more than 255 limits in all"));
    for (i, limit) in campaign.limits.iter().enumerate() {
        one_limit(row, campaign, limit, &campaign.rounds, &format!("/limits/{i}"));
    }
    one_person(row, campaign);
    eligibility(row, campaign.eligibility.as_ref(), "");
    missing.0
}

fn one_round(row: &mut Missing, campaign: &Campaign, round: &Round, at: &str) {
    let drawn = matches!(round.mode, Mode::Ballot | Mode::Rain);
    let walk_in = drawn && campaign.reservation_of(round).is_none();
    row.unless(!walk_in, format!("{at}/reservation"), ("没有预约的场次", "rounds without reservation"));
    let at_claim =
        |terms: &Eligibility| terms.location.as_ref().is_some_and(|place| place.at.contains(&LocationAt::Claim));
    let untapped = round.mode != Mode::FirstCome && (round.opens_at.is_none() || round.unclaimed == Unclaimed::Credit);
    row.unless(
        !(untapped && campaign.eligibility_of(round).is_some_and(at_claim)),
        format!("{}/eligibility/location/at", if round.eligibility.is_some() { at } else { "" }),
        ("不经领取即入账的场次在领取时判断位置", "location when claiming in a round that credits without a claim"),
    );
    for (i, limit) in round.limits.iter().enumerate() {
        one_limit(row, campaign, limit, std::slice::from_ref(round), &format!("{at}/limits/{i}"));
    }
}

/// A person's record counts entries and packs in a byte each, over all rounds.
fn one_person(row: &mut Missing, campaign: &Campaign) {
    let channels = campaign.channels.len();
    let entries = |round: &Round| {
        campaign.reservation_of(round).map_or(0, |terms| if terms.per_channel() { channels } else { 1 })
    };
    let packs = |round: &Round| (channels * round.supply.pack_ids().count()).min(round.max_packs_per_person as usize);
    let most = |of: &dyn Fn(&Round) -> usize| campaign.rounds.iter().map(of).sum::<usize>();
    let reserved = ("一人各场次预约合计多于 255 次", "more than 255 reservations of one person in all");
    row.unless(most(&entries) <= 255, "/rounds".into(), reserved);
    let issued = ("一人各场次券包合计多于 255 份", "more than 255 packs of one person in all");
    row.unless(most(&packs) <= 255, "/rounds".into(), issued);
}

fn own_terms(row: &mut Missing, round: &Round, at: &str) {
    eligibility(row, round.eligibility.as_ref(), at);
}

fn eligibility(row: &mut Missing, terms: Option<&Eligibility>, at: &str) {
    if let Some(terms) = terms {
        let at = format!("{at}/eligibility");
        let recheck = terms.health_pass_unknown == HealthPassUnknown::RecheckBeforeDraw;
        row.unless(
            !recheck,
            format!("{at}/health_pass_unknown"),
            ("摇号前复核健康码（recheck_before_draw）", "recheck_before_draw"),
        );
    }
}

/// In other rounds packs are promised before anybody claims: drawn, or counted against a list.
fn all_tapped(rounds: &[Round]) -> bool {
    rounds.iter().all(|round| round.mode == Mode::FirstCome)
}

fn one_limit(row: &mut Missing, campaign: &Campaign, limit: &Limit, rounds: &[Round], at: &str) {
    let personal = claim_limit::is_personal(limit);
    if limit.action == LimitAction::Reserve {
        // Where the earliest counts, a change of mind keeps its time, and so its day, which the store knows alone.
        let earliest = |round: &Round| {
            campaign.reservation_of(round).is_some_and(|terms| terms.duplicates == Duplicates::Earliest)
        };
        let by_calendar = !matches!(limit.period, Period::Round | Period::Campaign);
        let what = (
            "duplicates 为 earliest 时，按日、周、月、年对全体预约的限制",
            "limits on reserving over all persons by day, week, month or year, where duplicates is earliest",
        );
        row.unless(personal || !(by_calendar && rounds.iter().any(earliest)), format!("{at}/period"), what);
    }
    if limit.action == LimitAction::Claim {
        let what = (
            "并非每个场次都是 first_come 时，不按个人（可加渠道、券包）的领取限制",
            "limits on claiming by other than person, alone or with channel and pack, where not every round is first_come",
        );
        row.unless(personal || all_tapped(rounds), format!("{at}/entities"), what);
    }
}
