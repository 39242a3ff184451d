//! Rules between rounds: what an officer may have copied and not moved. None is refused, for a city may mean it.

use super::findings::Findings;
use super::schema::*;
use crate::domain::time::{HOUR, Ms, expiry_hour};

pub fn check_rounds(found: &mut Findings, campaign: &Campaign) {
    for (i, round) in campaign.rounds.iter().enumerate() {
        check_neighbour(found, campaign, i, round);
        check_overlap(found, campaign, i, round);
        check_pool_source(found, campaign, i, round);
        check_expiry_before_pool(found, campaign, i, round);
    }
}

/// From the opening to the last close; where nobody claims, the moment of crediting.
fn window(round: &Round) -> Option<(Ms, Ms)> {
    let opens = round.opens_at.or(round.credit_at)?;
    let closes = round.waves.last().map(|wave| wave.closes_at).or(round.closes_at).or(round.credit_at)?;
    Some((opens, closes))
}

fn opening(i: usize, round: &Round) -> String {
    format!("/rounds/{i}/{}", if round.opens_at.is_some() { "opens_at" } else { "credit_at" })
}

fn check_neighbour(found: &mut Findings, campaign: &Campaign, i: usize, round: &Round) {
    let Some(before) = i.checked_sub(1).and_then(|before| campaign.rounds.get(before)) else { return };
    let (Some((opens, _)), Some((earlier, _))) = (window(round), window(before)) else { return };
    if opens < earlier {
        let (id, other) = (&round.round_id, &before.round_id);
        found.warn(
            opening(i, round),
            "rounds_reversed",
            format!("场次 {id} 排在 {other} 之后，却先于它开始，请核对日期。"),
            format!("Round {id} stands after {other} and begins before it: check the dates."),
        );
    }
}

/// Rounds that give the same pack to the same people one after the other, as a series of weeks does, were meant not to overlap. One that is
/// like another in all but its name is a copy, or lets everybody have both.
fn check_overlap(found: &mut Findings, campaign: &Campaign, i: usize, round: &Round) {
    let Some((opens, closes)) = window(round) else { return };
    let alike = |other: &&Round| {
        let shares = other.supply.pack_ids().any(|pack| round.supply.pack_ids().any(|own| own == pack));
        let overlaps = window(other).is_some_and(|(begins, ends)| begins < closes && opens < ends);
        let same_people = other.eligibility == round.eligibility && other.entries_list == round.entries_list;
        other.mode == round.mode && other.round_id != round.round_id && shares && overlaps && same_people
    };
    let Some(other) = campaign.rounds[..i].iter().find(alike) else { return };
    let (id, other_id) = (&round.round_id, &other.round_id);
    if window(other) == Some((opens, closes)) {
        found.warn(
            format!("/rounds/{i}"),
            "rounds_alike",
            format!("场次 {id} 与 {other_id} 在同一时段向同样的人发同样的券包：如为误复制请删去，否则每人两场都能领。"),
            format!("Rounds {id} and {other_id} give the same packs to the same people in the same window: if one is a copy, leave it out; otherwise everybody can have both."),
        );
        return;
    }
    found.warn(
        opening(i, round),
        "rounds_overlap",
        format!("场次 {id} 与 {other_id} 向同样的人发同样的券包，时段重叠，请核对日期。"),
        format!("Rounds {id} and {other_id} give the same packs to the same people, and their windows overlap: check the dates."),
    );
}

/// When the packs of a round that takes the pool are counted: when it is drawn or opens.
fn pool_counted_at(round: &Round) -> Option<Ms> {
    let from_pool = matches!(round.supply, Supply::Money { amount: MoneyAmount::Pool, .. });
    let counted = round.draw.as_ref().map(|draw| draw.at).or(round.opens_at).or(round.credit_at);
    counted.filter(|_| from_pool)
}

/// The pool is counted when the round is drawn or opens; until then some round must be over from which money could come.
fn check_pool_source(found: &mut Findings, campaign: &Campaign, i: usize, round: &Round) {
    // The first round of a file is refused for it.
    let (Some(counted), 1..) = (pool_counted_at(round), i) else { return };
    let is_source =
        |other: &Round| other.round_id != round.round_id && window(other).is_none_or(|(_, closes)| closes <= counted);
    if !campaign.rounds.iter().any(is_source) {
        let id = &round.round_id;
        found.warn(
            format!("/rounds/{i}/money/amount"),
            "pool_before_source",
            format!("场次 {id} 取用资金池时还没有场次结束，资金池是空的。"),
            format!("When round {id} takes the pool no other round is over, so nothing has flowed into it."),
        );
    }
}

/// The ledger books what ran out at the next full hour, so vouchers that end shortly before the pool is counted are not in it, unless
/// they end on an hour.
fn check_expiry_before_pool(found: &mut Findings, campaign: &Campaign, i: usize, round: &Round) {
    if campaign.carry_over == CarryOver::None || !campaign.carry_over_sources.contains(&CarryOverSource::Expired) {
        return;
    }
    let late = |end: Ms| {
        let booked = expiry_hour(end) * HOUR;
        let counted = campaign.rounds[i + 1..].iter().find_map(|later| {
            let counted = pool_counted_at(later)?;
            (end <= counted && counted < booked).then_some((&later.round_id, counted))
        });
        counted.map(|(round_id, counted)| (round_id, counted, booked))
    };
    for (place, end) in ends(campaign, i, round) {
        let Some((round_id, counted, booked)) = late(end) else { continue };
        let [end, counted, booked] = [end, counted, booked].map(|at| campaign.zone().rfc3339(at));
        found.warn(
            place,
            "expires_after_pool",
            format!("账本在下一个整点记过期：{end} 到期未用的券到 {booked} 才进入资金池，场次 {round_id} 在 {counted} 取用时还没有这笔钱。请把到期时间定在整点，或让该场次晚于 {booked}。"),
            format!("The ledger books expiry at the next full hour: what ends at {end} unused is in the pool from {booked} on, and round {round_id} takes the pool at {counted} without it. Let it end on a full hour, or count the round not before {booked}."),
        );
    }
}

/// The ends that vouchers of a round have whenever they are received, with where the file says so.
fn ends(campaign: &Campaign, i: usize, round: &Round) -> Vec<(String, Ms)> {
    let mut ends = Vec::new();
    for (p, pack) in campaign.packs.iter().enumerate() {
        if !round.supply.pack_ids().any(|pack_id| pack_id == pack.pack_id) {
            continue;
        }
        for (v, kind) in pack.vouchers.iter().enumerate() {
            let at = match (&kind.validity, &round.validity) {
                (Some(_), _) => format!("/packs/{p}/vouchers/{v}"),
                (None, Some(_)) => format!("/rounds/{i}"),
                (None, None) => String::new(),
            };
            let end = campaign.validity_of(round, kind).and_then(|terms| terms.available_end_time);
            let place = format!("{at}/validity/available_end_time");
            if let Some(end) = end.filter(|_| ends.iter().all(|(told, _)| *told != place)) {
                ends.push((place, end));
            }
        }
    }
    ends
}
