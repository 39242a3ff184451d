//! The days and hours at which a voucher may be used, and when the next of them begins.

use serde_json::json;

use super::{Candidate, Payment};
use crate::domain::cashier::{self, Closed};
use crate::domain::refusal::{Code, Refusal};
use crate::domain::time::Ms;

/// How far a next hour is looked for: a rule that opens on one week day opens within a week, unless dates are excluded.
const DAYS_AHEAD: usize = 400;

pub(super) fn date(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.rules.iter().all(|rule| rule.dates_excluded.is_empty()) {
        return Ok(());
    }
    let today = candidate.zone.civil_date(payment.now);
    match candidate.rules.iter().find(|rule| rule.dates_excluded.contains(&today)) {
        Some(rule) => {
            let refusal = Refusal::new(Code::OutsideHours).with("dates_excluded", json!(rule.dates_excluded));
            Err(closed(refusal, payment, candidate, false))
        }
        None => Ok(()),
    }
}

pub(super) fn hours(payment: &Payment, candidate: &Candidate) -> Result<(), Refusal> {
    if candidate.rules.iter().all(|rule| rule.hours.is_empty()) {
        return Ok(());
    }
    let local = candidate.zone.local(payment.now).ok_or(Code::OutsideHours)?;
    let minute = local.hour() as u16 * 60 + local.minute() as u16;
    match candidate.rules.iter().find(|rule| !rule.is_open(local.date(), minute)) {
        Some(rule) => {
            let of_today = rule.hours.iter().any(|hours| hours.is_of(local.date()));
            let refusal = Refusal::new(Code::OutsideHours).with("hours", json!(rule.hours));
            Err(closed(refusal, payment, candidate, of_today))
        }
        None => Ok(()),
    }
}

/// With the wait until the hours begin; `of_today` if it is the hour that is wrong and not the day.
fn closed(refusal: Refusal, payment: &Payment, candidate: &Candidate, of_today: bool) -> Refusal {
    let what = if of_today { Closed::Hour } else { Closed::Day };
    let Some(opens) = opens(payment, candidate) else {
        let refusal = Refusal { for_good: true, ..refusal }.to_cashier(cashier::closed(what, None));
        return refusal.detail(
            "该券在到期前不再有可用时段。",
            "There is no further hour at which the voucher can be used before it ends.",
        );
    };
    let at = candidate.zone.rfc3339(opens);
    let (zh, en) =
        (format!("可用时段自 {at} 开始。"), format!("The next hours at which it can be used begin at {at}."));
    let words = cashier::closed(what, candidate.zone.local(opens).zip(candidate.zone.local(payment.now)));
    let refusal = refusal.with("opens_at", at).retry_after_ms((opens - payment.now) as u64);
    refusal.detail(zh, en).to_cashier(words)
}

/// The first instant from now on, before the voucher's end, at which hours and dates of all its rules fit.
fn opens(payment: &Payment, candidate: &Candidate) -> Option<Ms> {
    let (rules, zone) = (&candidate.rules, candidate.zone);
    // The hours of a day begin at its midnight or where those of some rule begin.
    let mut begins: Vec<u16> = rules.iter().flat_map(|rule| &rule.hours).map(|hours| hours.begin_time).collect();
    begins.push(0);
    begins.sort_unstable();
    begins.dedup();
    let mut date = zone.civil_date(payment.now);
    for _ in 0..DAYS_AHEAD {
        if !rules.iter().any(|rule| rule.dates_excluded.contains(&date)) {
            let open = begins.iter().filter(|minute| rules.iter().all(|rule| rule.is_open(date, **minute)));
            for minute in open {
                let opens = zone.at(date, *minute)?;
                if opens >= candidate.window.end {
                    return None;
                }
                if opens > payment.now {
                    return Some(opens);
                }
            }
        }
        date = date.tomorrow().ok()?;
    }
    None
}
