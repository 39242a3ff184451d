//! The five loads: what each offers, and what is looked at when it is over.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use crate::Fault;
use crate::crowd::Crowd;
use crate::engine::{Target, drive};
use crate::ledger;
use crate::load::Load;
use crate::market::Market;
use crate::meter::Class;
use crate::office::Office;
use crate::people::People;
use crate::report;
use crate::schedule::{Schedule, Shape};
use crate::settle::{Word, settle, word};
use crate::stage::{Needs, Setting, Stage};
use crate::summary::{Checked, Ledger, keys};

#[derive(Subcommand)]
pub enum Scenario {
    /// The rush at the opening of a round: everybody taps, most in the first three tenths of the run.
    Burst(Options),
    /// Purchases at the tills: holds, confirmations, one calls, cancellations, refunds, reversals.
    Redeem(Options),
    /// Taps, reservations and purchases at once.
    Mixed(Options),
    /// As mixed, for long, with a look at the ledger now and then.
    Soak(Options),
    /// Far more taps and reservations than the server can answer.
    Overload(Options),
}

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The server, as http://HOST:PORT.
    #[arg(long)]
    pub url: String,
    #[arg(long)]
    pub campaign: String,
    /// Residents of the run.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    pub population: u64,
    /// Arrivals per second: taps at the height of a burst, purchases of redeem, all three kinds of mixed, soak and overload together.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rate: u64,
    /// Decides who the residents are, when they come and what they do.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The sandbox's `sandbox-token.key`, to sign residents' tokens.
    #[arg(long)]
    pub token_key: PathBuf,
    /// The sandbox's `admin.key`, to move the clock, enrol merchants and read the ledger [default: beside the token key, if it is there].
    #[arg(long)]
    pub admin_key: Option<PathBuf>,
    /// The round to tap in [default: the first with a claim window].
    #[arg(long)]
    pub round: Option<String>,
    /// Channel of the residents' tokens [default: the campaign's first].
    #[arg(long)]
    pub channel: Option<String>,
    /// Publish this campaign file first, unless the campaign is there.
    #[arg(long)]
    pub publish: Option<PathBuf>,
    /// How long requests arrive [default: burst: as the population gives; redeem, mixed 60; soak 3600; overload 30].
    #[arg(long)]
    pub seconds: Option<u64>,
    /// How the taps of a burst are spread over it.
    #[arg(long, value_enum, default_value_t = Shape::Rush)]
    pub shape: Shape,
    /// Keep-alive connections [default: 256, overload 4096].
    #[arg(long)]
    pub connections: Option<usize>,
    /// Seconds of the campaign clock in one of the wall clock [default: a burst fills the claim window with its run, the others 1].
    #[arg(long)]
    pub clock_rate: Option<u32>,
    /// Look at the ledger every so many seconds while the load runs [default: soak 60, the others only at the end].
    #[arg(long)]
    pub ledger_every: Option<u64>,
    /// Where the HTML report goes [default: target/loadtest/SCENARIO-SEED.html].
    #[arg(long)]
    pub report: Option<PathBuf>,
}

impl Options {
    fn connections(&self, scenario: &Scenario) -> usize {
        self.connections.unwrap_or(if matches!(scenario, Scenario::Overload(_)) { 4_096 } else { 256 })
    }
}

impl Scenario {
    fn parts(&self) -> (&'static str, &Options) {
        match self {
            Scenario::Burst(options) => ("burst", options),
            Scenario::Redeem(options) => ("redeem", options),
            Scenario::Mixed(options) => ("mixed", options),
            Scenario::Soak(options) => ("soak", options),
            Scenario::Overload(options) => ("overload", options),
        }
    }

    fn seconds(&self, options: &Options) -> u64 {
        options.seconds.unwrap_or(match self {
            Scenario::Soak(_) => 3_600,
            Scenario::Overload(_) => 30,
            _ => 60,
        })
    }

    /// Runs the load, prints its keys, writes its report.
    pub fn run(&self) -> Result<Checked, Fault> {
        let (name, options) = self.parts();
        let office = Office::new(&options.url, admin_key(options)?)?;
        if let Some(path) = &options.publish {
            let text = std::fs::read_to_string(path).map_err(|error| Fault::File(path.clone(), error))?;
            let file = serde_json::from_str(&text).map_err(|_| Fault::Campaign(path.display().to_string()))?;
            office.publish(&options.campaign, &file)?;
        }
        let campaign = office.campaign(&options.campaign)?;
        let key = std::fs::read_to_string(&options.token_key)
            .map_err(|error| Fault::File(options.token_key.clone(), error))?;
        let channel = options.channel.as_deref().unwrap_or(&campaign.channel);
        let people = People::new(&key, channel, options.seed).ok_or_else(|| Fault::Key(options.token_key.clone()))?;
        let connections = options.connections(self);
        let around = Target::new(office.address, connections.min(64)).pipelined(8);
        let needs = Needs {
            taps: !matches!(self, Scenario::Redeem(_)),
            purchases: matches!(self, Scenario::Redeem(_) | Scenario::Mixed(_) | Scenario::Soak(_)),
        };
        let setting = Setting {
            office: &office,
            target: &around,
            campaign: &campaign,
            round: options.round.as_deref(),
            needs,
            purchases_per_s: options.rate,
            seed: options.seed,
        };
        let crowd = Crowd::new(people, options.population, &office.host, &campaign, options.seed);
        let mut stage = setting.prepare(crowd)?;
        let market = stage
            .market
            .take()
            .unwrap_or_else(|| Market::new(Vec::new(), Vec::new(), &office.host, &campaign, options.seed));
        let mut load = self.load(&stage, market, &office)?;
        drive(&Target::new(office.address, connections), &mut load).map_err(Fault::Unreachable)?;
        load.meter.close();
        let checked = check(&mut load, &stage, &around, &office, &campaign.id)?;
        let keys = keys(&load.meter, &checked, &self.more(&stage, &load));
        for (name, value) in &keys {
            println!("{name}={value}");
        }
        for (words, count) in load.errors.iter().take(10) {
            eprintln!("loadtest: {count} x {words}");
        }
        let failures = checked.failures();
        failures.iter().for_each(|words| eprintln!("loadtest: {words}"));
        let path = options.report.clone();
        let path = path.unwrap_or_else(|| format!("target/loadtest/{name}-{}.html", options.seed).into());
        report::write(&path, name, &campaign.id, &keys, &failures, &load.meter)?;
        println!("report={}", path.display());
        Ok(checked)
    }

    /// The streams of the scenario, from now on.
    fn load<'a>(&self, stage: &'a Stage, market: Market, office: &Office) -> Result<Load<'a>, Fault> {
        let (_, options) = self.parts();
        let (rate, seed) = (options.rate as f64, options.seed);
        // The run begins when the connections are open, and is moved there.
        let start = Instant::now();
        let flat = |share: f64, seconds: u64, stream: u64| {
            let rate = rate * share;
            Schedule::new(start, (rate * seconds as f64).ceil() as u64, rate, Shape::Flat, seed ^ stream << 32)
        };
        let seconds = self.seconds(options);
        let mut span = Duration::from_secs(seconds);
        let mut busiest = span;
        let burst = Schedule::new(start, stage.crowd.tappers().len() as u64, rate, options.shape, seed);
        let claimed = stage.claimed.as_ref();
        if let Scenario::Burst(_) = self {
            span = burst.span();
            busiest = span.mul_f64(options.shape.busiest());
        }
        let purchases = match self {
            Scenario::Redeem(_) => {
                // Nine of ten vouchers at most: the last ones are in holds of others.
                let count = (options.rate * seconds).min(stage.vouchers * 9 / 10).max(1);
                let schedule = Schedule::new(start, count, rate, Shape::Flat, seed);
                (span, busiest) = (schedule.span(), schedule.span());
                Some(schedule)
            }
            Scenario::Mixed(_) | Scenario::Soak(_) if stage.vouchers > 0 => Some(flat(0.2, seconds, 3)),
            _ => None,
        };
        let mut load = Load::new(&stage.crowd, market, start, busiest, seed);
        load.end = start + span;
        load.clock_rate = self.clock(claimed, span, office)?;
        if let Some(schedule) = purchases {
            load.purchases(schedule);
        }
        let Some(claimed) = claimed.filter(|_| !matches!(self, Scenario::Redeem(_))) else { return Ok(load) };
        match (self, &stage.reserving) {
            (Scenario::Burst(_), _) => load.taps(claimed, burst),
            (_, None) => load.taps(claimed, flat(0.8, seconds, 1)),
            (_, Some(reserving)) => {
                load.taps(claimed, flat(0.5, seconds, 1));
                load.reservations(reserving, flat(0.3, seconds, 2));
            }
        }
        let every = options.ledger_every.or(matches!(self, Scenario::Soak(_)).then_some(60)).filter(|every| *every > 0);
        if let Some(every) = every.filter(|_| office.has_key()) {
            let count = span.as_secs() / every;
            load.ledger(office.bearer(), Schedule::new(start, count, 1.0 / every as f64, Shape::Flat, seed ^ 4 << 32));
        }
        if let Scenario::Overload(_) = self {
            load.give_up = Some(load.end);
        }
        Ok(load)
    }

    /// Lets the campaign clock run. A burst plays the whole claim window, so that the curve of the round falls into the run.
    fn clock(&self, claimed: Option<&crate::campaign::Round>, span: Duration, office: &Office) -> Result<u32, Fault> {
        let (_, options) = self.parts();
        if !office.has_key() {
            return Ok(1);
        }
        let window = claimed.and_then(|round| Some((round.opens_at?, round.closes_at?)));
        let fitting = match (self, window) {
            (Scenario::Burst(_), Some((opens, closes))) => {
                let left = (closes - office.now()?.max(opens)).max(0) as u128;
                (left / span.as_millis().max(1)).clamp(1, 3_600) as u32
            }
            _ => 1,
        };
        let rate = options.clock_rate.unwrap_or(fitting).max(1);
        office.clock(0, rate)?;
        Ok(rate)
    }

    /// Keys that this scenario has besides those of all.
    fn more(&self, stage: &Stage, load: &Load<'_>) -> Vec<(&'static str, String)> {
        use crate::market::State;
        let (name, options) = self.parts();
        let mut more = vec![
            ("scenario", name.to_owned()),
            ("population", options.population.to_string()),
            ("seconds", format!("{:.1}", load.meter.elapsed().as_secs_f64())),
            ("clock_rate", load.clock_rate.to_string()),
        ];
        if stage.claimed.is_some() && !matches!(self, Scenario::Redeem(_)) {
            more.push(("winners", load.claims.winners().to_string()));
        }
        if stage.vouchers > 0 {
            more.push(("redeemed", load.market.count(State::Redeemed).to_string()));
            let refunded = load.market.count(State::Refunded) + load.market.count(State::PartiallyRefunded);
            more.push(("refunded", refunded.to_string()));
            more.push(("cancelled", load.market.count(State::Cancelled).to_string()));
            more.push(("reversed", load.market.count(State::Reversed).to_string()));
            more.push(("refused", load.meter.count(Class::Refused).to_string()));
        }
        if !load.reserved.is_empty() {
            more.push(("reserved", load.reserved.len().to_string()));
        }
        if load.meter.count(Class::Unsent) > 0 {
            more.push(("unsent", load.meter.count(Class::Unsent).to_string()));
        }
        if load.ledgers.balanced + load.ledgers.unbalanced > 0 {
            more.push(("ledgers_read", (load.ledgers.balanced + load.ledgers.unbalanced).to_string()));
        }
        more
    }
}

fn admin_key(options: &Options) -> Result<Option<String>, Fault> {
    let beside = options.token_key.with_file_name("admin.key");
    let path = options.admin_key.clone().or_else(|| beside.is_file().then_some(beside));
    let Some(path) = path else { return Ok(None) };
    let key = std::fs::read_to_string(&path).map_err(|error| Fault::File(path, error))?;
    Ok(Some(key.trim().to_owned()))
}

/// Everything that was acknowledged is looked for, and the ledger is read.
fn check(
    load: &mut Load<'_>,
    stage: &Stage,
    target: &Target,
    office: &Office,
    campaign: &str,
) -> Result<Checked, Fault> {
    let mut lost_acks = 0;
    if let Some(round) = &stage.claimed {
        lost_acks += load.claims.check(target, &stage.crowd, round)?;
    }
    if let Some(round) = &stage.reserving {
        lost_acks += stage.crowd.missing(target, round, &load.reserved)?;
    }
    let mut vouchers = std::collections::HashSet::new();
    let (mut lost_orders, mut double) = (0, 0);
    let orders = load.market.acknowledged();
    let nonces = std::cell::RefCell::new(&mut load.market);
    let make = |number: u64, out: &mut Vec<u8>| nonces.borrow_mut().write_read(number as u32, out);
    settle(target, "orders", orders, make, |number, outcome| {
        let again = word(&outcome);
        if let (Word::Final, Ok(answer)) = (again, &outcome) {
            let found = nonces.borrow().found(number, answer, &mut vouchers);
            lost_orders += u64::from(found.lost);
            double += found.double;
        }
        again
    })?;
    let ledger = match office.has_key() {
        false => Ledger::Unread,
        true => {
            let sheet = office.get(&format!("/v1/campaigns/{campaign}/ledger"))?;
            let holds = ledger::balanced(&sheet) && load.ledgers.unbalanced == 0;
            if holds { Ledger::Balanced } else { Ledger::Unbalanced }
        }
    };
    Ok(Checked {
        double: load.claims.double + load.market.double + double,
        lost_acks: lost_acks + lost_orders,
        ledger,
        incomplete_sheds: load.incomplete_sheds,
        lag_ms_p99: load.meter.lag_ms_p99(),
        errors: load.meter.count(Class::Error),
    })
}
