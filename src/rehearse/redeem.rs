//! Stage C, second half: the days of validity, a few clock steps each, with purchases, refunds and late merchants.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use jiff::civil::Date;

use super::books::Books;
use super::campaign::{Kind, Ms, Scenario};
use super::merchants::{self, Till};
use super::people::Stream;
use super::purchase::{Market, Purchase, Return};
use super::recorder::Keys;
use super::reserve::progress;
use super::{RehearsalError, Result, World};

/// Minutes of the day at which people are at the tills, and how many of ten come then.
const HOURS: [(i64, u64); 4] = [(11 * 60 + 30, 3), (14 * 60, 1), (18 * 60 + 30, 4), (21 * 60, 2)];
/// A city sees about six in ten vouchers used.
const USED_SHARE: f64 = 0.6;
/// Without an order to the contrary the days at the tills end within minutes, at full scale too; the report says the share that was played.
const PURCHASES_AT_MOST: f64 = 250_000.0;
/// Goods come back within these many steps.
const RETURN_STEPS: u64 = 40;

/// One stop of the campaign clock.
struct Step {
    at: Ms,
    date: Date,
    weight: u64,
}

/// Which voucher is used when: tokens sorted by step. A token is holder times vouchers per pack plus unit.
struct Plan {
    steps: Vec<Step>,
    starts: Vec<usize>,
    tokens: Vec<u64>,
}

pub async fn play(world: &World<'_>, holders: &[u32], tills: Vec<Till>, keys: &mut Keys) -> Result<Books> {
    let begun = Instant::now();
    let plan = plan(world, holders)?;
    let units: Vec<&Kind> = world.scenario.kinds.iter().flat_map(|kind| (0..kind.count).map(move |_| kind)).collect();
    let mut market = Market {
        world,
        tills,
        books: RefCell::default(),
        returns: RefCell::default(),
        abandoned: RefCell::default(),
        done: Cell::new(0),
    };
    let mut returning: Vec<Vec<Return>> = plan.steps.iter().map(|_| Vec::new()).collect();
    let late = plan.steps.len().saturating_sub(2 * HOURS.len());
    let bar = progress(plan.tokens.len() as u64, "redeem");
    for (index, step) in plan.steps.iter().enumerate() {
        world.office.clock(step.at).await?;
        if index == late {
            let tills = merchants::enrol_late(world).await?;
            market.tills.extend(tills);
        }
        let tokens = &plan.tokens[plan.starts[index]..plan.starts[index + 1]];
        let (lost, back) = (market.abandoned.take(), std::mem::take(&mut returning[index]));
        let jobs = tokens.len() + lost.len() + back.len();
        let market = &market;
        world
            .client
            .each(jobs, async |job| {
                if let Some(token) = tokens.get(job) {
                    return market.buy(&purchase(market, holders, &units, *token, step.date)).await;
                }
                let job = job - tokens.len();
                match lost.get(job) {
                    Some((serial, till)) => market.look_up_abandoned(*serial, *till).await,
                    None => market.give_back(&back[job - lost.len()], step.date).await,
                }
            })
            .await?;
        send_back_later(market, &mut returning, index);
        bar.inc(tokens.len() as u64);
        if world.recorder.faults() > 1_000 {
            return Err(RehearsalError::TooManyFaults { stage: "redeeming", faults: world.recorder.faults() });
        }
    }
    bar.finish_and_clear();
    let books = market.books.into_inner();
    report_days(world, &plan, &books);
    keys.redeemed = Some(books.redeemed);
    keys.refunded = Some(books.refunds);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "redeemed={} refunded={} reversed={} seconds={seconds:.1}",
        books.redeemed, books.refunds, books.reversals
    );
    world.recorder.stage("redeem", begun.elapsed());
    Ok(books)
}

fn purchase<'k>(market: &Market<'_, '_>, holders: &[u32], units: &[&'k Kind], token: u64, date: Date) -> Purchase<'k> {
    let per_pack = units.len() as u64;
    let (person, unit) = (holders[(token / per_pack) as usize], token % per_pack);
    // One person's vouchers go to different merchants, so that no limit per person and merchant is met by chance.
    let home = market.world.people.dice(Stream::Shop, u64::from(person));
    let till = ((home % 1_000_003 + unit) % market.tills.len() as u64) as usize;
    Purchase { person, kind: units[unit as usize], serial: token, till, date }
}

/// Gives every return its step. Which ones came up is decided by the seed, their order here by the network.
fn send_back_later(market: &Market<'_, '_>, returning: &mut [Vec<Return>], now: usize) {
    for back in market.returns.take() {
        let lag = 1 + market.world.people.dice(Stream::RefundWhen, back.serial) % RETURN_STEPS;
        let step = now + lag as usize;
        // What would come back after the last day stays with its buyer.
        if let Some(step) = returning.get_mut(step) {
            step.push(back);
        }
    }
}

fn plan(world: &World<'_>, holders: &[u32]) -> Result<Plan> {
    let steps = steps(world.scenario)?;
    let per_pack = world.scenario.vouchers_per_pack();
    let at_most = PURCHASES_AT_MOST / (holders.len() as f64).max(1.0);
    let wanted = world.options.purchases.unwrap_or((USED_SHARE * per_pack as f64).min(at_most));
    let share = (wanted / per_pack as f64 * 10_000.0).clamp(0.0, 10_000.0) as u64;
    let mut sums: Vec<u64> = Vec::with_capacity(steps.len());
    for step in &steps {
        sums.push(sums.last().unwrap_or(&0) + step.weight);
    }
    let total = sums.last().copied().unwrap_or(1).max(1);
    let people = world.people;
    let step_of = |token: u64| {
        let place = people.dice(Stream::When, token) % total;
        people.chance(Stream::Buys, token, share).then(|| sums.partition_point(|sum| *sum <= place))
    };
    let mut starts = vec![0_usize; steps.len() + 1];
    let all = 0..holders.len() as u64 * per_pack;
    all.clone().filter_map(step_of).for_each(|step| starts[step + 1] += 1);
    (0..steps.len()).for_each(|step| starts[step + 1] += starts[step]);
    let mut next = starts.clone();
    let mut tokens = vec![0; starts[steps.len()]];
    for token in all {
        if let Some(step) = step_of(token) {
            tokens[next[step]] = token;
            next[step] += 1;
        }
    }
    world.recorder.note(format!(
        "{share} of 10,000 vouchers were planned to be used, over {} steps of the clock; the clock stood still in each step.",
        steps.len()
    ));
    Ok(Plan { steps, starts, tokens })
}

fn steps(scenario: &Scenario) -> Result<Vec<Step>> {
    let (from, until) = scenario.validity;
    let mut steps = Vec::new();
    let mut date = scenario.date(from);
    let first = date;
    while scenario.midnight(date)? < until {
        let midnight = scenario.midnight(date)?;
        for (minute, weight) in HOURS {
            let at = midnight + minute * 60_000;
            if at >= from && at < until {
                steps.push(Step { at, date, weight: weight * day_weight(first, date) });
            }
        }
        date = date.tomorrow().map_err(|error| RehearsalError::Campaign(error.to_string()))?;
    }
    Ok(steps)
}

/// New vouchers burn in the pocket, weekends are busier, and the last days remind everybody.
fn day_weight(first: Date, date: Date) -> u64 {
    let age = date.duration_since(first).as_hours() as u64 / 24;
    let fresh = 100 + 200 / (1 + age / 3);
    let weekend = matches!(date.weekday(), jiff::civil::Weekday::Saturday | jiff::civil::Weekday::Sunday);
    if weekend { fresh * 3 / 2 } else { fresh }
}

fn report_days(world: &World<'_>, plan: &Plan, books: &Books) {
    let mut dates: Vec<Date> = plan.steps.iter().map(|step| step.date).collect();
    dates.dedup();
    let row = |date: &Date| {
        let day = books.days.get(date);
        (date.to_string(), day.map_or(0, |day| day.redeemed), day.map_or(0, |day| day.refunds))
    };
    *world.recorder.days.borrow_mut() = dates.iter().map(row).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearse::campaign::tests::chengdu;

    #[test]
    fn forty_four_days_have_four_steps_each_and_all_lie_in_the_validity() {
        let scenario = Scenario::from_document(chengdu(), None, None).unwrap();
        let steps = steps(&scenario).unwrap();
        assert_eq!(steps.len(), 44 * 4);
        assert!(steps.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(steps[0].at >= scenario.validity.0 && steps[175].at < scenario.validity.1);
        assert_eq!(steps[175].date.to_string(), "2020-09-06");
    }
}
