//! What the rehearsal measures and what it finds wrong.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::gauge::Reading;
use super::script::Script;

/// Every kind of request the driver sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Office,
    Reserve,
    Withdraw,
    Tap,
    ClaimsMine,
    PayCode,
    Quote,
    Redeem,
    Hold,
    Confirm,
    Cancel,
    Reverse,
    Refund,
    Read,
}

impl Op {
    pub fn name(self) -> &'static str {
        match self {
            Op::Office => "office",
            Op::Reserve => "reserve",
            Op::Withdraw => "withdraw",
            Op::Tap => "tap",
            Op::ClaimsMine => "claims/mine",
            Op::PayCode => "pay code",
            Op::Quote => "quote",
            Op::Redeem => "redeem in one call",
            Op::Hold => "hold",
            Op::Confirm => "confirm",
            Op::Cancel => "cancel",
            Op::Reverse => "reverse",
            Op::Refund => "refund",
            Op::Read => "read an order",
        }
    }
}

/// What a tap of the rain was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Won,
    NotYet,
    Lost,
}

/// One moment of the rain on the campaign clock.
#[derive(Clone, Copy, Debug)]
pub struct RainPoint {
    pub second: f64,
    pub issued: u64,
    pub released: u64,
}

/// Something that should not happen: how often it did, and the first time in full.
pub struct Fault {
    pub count: u64,
    pub example: String,
}

pub struct Recorder {
    started: Instant,
    latencies: RefCell<BTreeMap<Op, Histogram<u64>>>,
    /// Answers per tenth of a second since the start.
    tenths: RefCell<BTreeMap<Op, Vec<u32>>>,
    /// Answers of the rain per tenth of a second since the start, by [`Outcome`].
    outcomes: RefCell<[Vec<u32>; 3]>,
    faults: RefCell<BTreeMap<String, Fault>>,
    retries: Cell<u64>,
    notes: RefCell<Vec<String>>,
    stages: RefCell<Vec<(&'static str, Duration)>>,
    pub rain: RefCell<Vec<RainPoint>>,
    /// Winners and tappers by tenth of the window in which they first tapped.
    pub fairness: RefCell<Vec<(u64, u64)>>,
    /// The scripted clients, and whether each stands on the published list.
    pub scripts: RefCell<Vec<(Script, bool)>>,
    /// Date, redemptions and refunds of each campaign day.
    pub days: RefCell<Vec<(String, u64, u64)>>,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            latencies: RefCell::default(),
            tenths: RefCell::default(),
            outcomes: RefCell::default(),
            faults: RefCell::default(),
            retries: Cell::new(0),
            notes: RefCell::default(),
            stages: RefCell::default(),
            rain: RefCell::default(),
            fairness: RefCell::default(),
            scripts: RefCell::default(),
            days: RefCell::default(),
        }
    }

    pub fn answered(&self, op: Op, took: Duration) {
        self.answered_at(op, took, Instant::now());
    }

    pub fn answered_at(&self, op: Op, took: Duration, at: Instant) {
        let mut latencies = self.latencies.borrow_mut();
        let histogram = latencies.entry(op).or_insert_with(new_histogram);
        histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1));
        count(self.tenths.borrow_mut().entry(op).or_default(), self.tenth(at));
    }

    /// One answer of the rain, by what it said.
    pub fn told(&self, outcome: Outcome, at: Instant) {
        count(&mut self.outcomes.borrow_mut()[outcome as usize], self.tenth(at));
    }

    fn tenth(&self, at: Instant) -> usize {
        (at.saturating_duration_since(self.started).as_millis() / 100) as usize
    }

    pub fn retried(&self) {
        self.retries.set(self.retries.get() + 1);
    }

    pub fn retries(&self) -> u64 {
        self.retries.get()
    }

    /// Counts something that should not happen; the first example is kept.
    pub fn fault(&self, what: &str, example: impl FnOnce() -> String) {
        let mut faults = self.faults.borrow_mut();
        match faults.get_mut(what) {
            Some(fault) => fault.count += 1,
            None => {
                faults.insert(what.to_owned(), Fault { count: 1, example: example() });
            }
        }
    }

    pub fn faults(&self) -> u64 {
        self.faults.borrow().values().map(|fault| fault.count).sum()
    }

    pub fn each_fault(&self, mut show: impl FnMut(&str, &Fault)) {
        self.faults.borrow().iter().for_each(|(what, fault)| show(what, fault));
    }

    pub fn print_faults(&self) {
        self.each_fault(|what, fault| eprintln!("fault x{}: {what}: {}", fault.count, fault.example));
    }

    pub fn note(&self, text: String) {
        println!("note: {text}");
        self.notes.borrow_mut().push(text);
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    pub fn stage(&self, name: &'static str, took: Duration) {
        self.stages.borrow_mut().push((name, took));
    }

    pub fn stages(&self) -> Vec<(&'static str, Duration)> {
        self.stages.borrow().clone()
    }

    /// Name, count, and microseconds at 50, 90, 99, 99.9 % and the maximum.
    pub fn percentiles(&self) -> Vec<(&'static str, u64, [u64; 5])> {
        let at = |h: &Histogram<u64>| [0.5, 0.9, 0.99, 0.999].map(|q| h.value_at_quantile(q));
        let row = |(op, h): (&Op, &Histogram<u64>)| {
            let [p50, p90, p99, p999] = at(h);
            (op.name(), h.len(), [p50, p90, p99, p999, h.max()])
        };
        self.latencies.borrow().iter().map(row).collect()
    }

    /// Answers per second over the time in which `op` was answered at all.
    pub fn rate(&self, op: Op) -> Vec<(f64, f64)> {
        self.tenths.borrow().get(&op).map(|series| rates(series, series)).unwrap_or_default()
    }

    /// Answers per second of one outcome, over the time of all taps.
    pub fn outcome_rate(&self, outcome: Outcome) -> Vec<(f64, f64)> {
        let taps = self.tenths.borrow();
        taps.get(&Op::Tap).map(|all| rates(&self.outcomes.borrow()[outcome as usize], all)).unwrap_or_default()
    }

    pub fn outcomes(&self, outcome: Outcome) -> u64 {
        self.outcomes.borrow()[outcome as usize].iter().map(|count| u64::from(*count)).sum()
    }
}

fn count(series: &mut Vec<u32>, tenth: usize) {
    if series.len() <= tenth {
        series.resize(tenth + 1, 0);
    }
    series[tenth] += 1;
}

/// `series` per second over the time of `all`, at most some 120 points.
fn rates(series: &[u32], all: &[u32]) -> Vec<(f64, f64)> {
    let Some(begin) = all.iter().position(|count| *count > 0) else { return Vec::new() };
    let width = ((all.len() - begin) / 120).clamp(1, 10);
    let chunks = (begin..all.len()).step_by(width).enumerate();
    let point = |(index, from): (usize, usize)| {
        let until = (from + width).min(all.len());
        let sum: u32 = series.iter().take(until).skip(from).sum();
        (index as f64 * width as f64 / 10.0, f64::from(sum) * 10.0 / (until - from) as f64)
    };
    chunks.map(point).collect()
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 2).expect("the bounds are constants that fit two digits")
}

/// The result lines. `None` means that the campaign did not come that far, which never holds.
#[derive(Default)]
pub struct Keys {
    pub reserved: Counted,
    pub packs_issued: Counted,
    pub oversold: Option<u64>,
    pub duplicates: Option<u64>,
    pub draw: Option<bool>,
    pub rain: Option<RainFigures>,
    /// From the close of the rain until the winners who had not tapped in time had their packs.
    pub credit_seconds: Option<f64>,
    pub redeemed: Option<u64>,
    pub refunded: Option<u64>,
    pub ledger: Option<bool>,
    pub audit: Option<bool>,
    pub settlement: Option<bool>,
}

/// What the rain took.
#[derive(Clone, Copy, Debug, Default)]
pub struct RainFigures {
    /// From the first tap sent to the last one answered.
    pub claim_seconds: f64,
    /// Answered taps of the plan, and those of people who came again.
    pub taps: u64,
    pub taps_again: u64,
    /// People who were shown their pack in answer to a tap.
    pub won_by_tap: u64,
    pub store_calls: Option<u64>,
    /// Campaign seconds for a second on the wall, over the whole window.
    pub clock_rate: f64,
    pub spent: Reading,
}

impl RainFigures {
    pub fn taps_per_s(&self) -> f64 {
        (self.taps + self.taps_again) as f64 / self.claim_seconds.max(1e-3)
    }
}

/// A number that must come out at exactly what the file and the crowd make of it.
#[derive(Default)]
pub struct Counted {
    pub found: Option<u64>,
    pub due: u64,
}

impl Counted {
    pub fn new(found: u64, due: u64) -> Self {
        Self { found: Some(found), due }
    }

    fn holds(&self) -> bool {
        self.found == Some(self.due)
    }
}

impl Keys {
    pub fn hold(&self) -> bool {
        let counted = self.reserved.holds() && self.packs_issued.holds();
        let exact = self.oversold == Some(0) && self.duplicates == Some(0);
        let proven = [self.draw, self.ledger, self.audit, self.settlement].iter().all(|key| *key == Some(true));
        let played = self.rain.is_some() && self.redeemed.is_some() && self.refunded.is_some();
        counted && exact && proven && played
    }

    fn credited_at_close(&self) -> Option<u64> {
        Some(self.packs_issued.found?.saturating_sub(self.rain.as_ref()?.won_by_tap))
    }

    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u64>| value.map_or("not_reached".to_owned(), |n| n.to_string());
        let word = |value: Option<bool>, good: &str, bad: &str| {
            value.map_or("not_reached", |holds| if holds { good } else { bad }).to_owned()
        };
        let rain =
            |figure: &dyn Fn(&RainFigures) -> String| self.rain.as_ref().map_or("not_reached".to_owned(), figure);
        vec![
            ("claim_seconds", rain(&|rain| format!("{:.1}", rain.claim_seconds))),
            ("taps_again", rain(&|rain| rain.taps_again.to_string())),
            ("taps_per_s", rain(&|rain| format!("{:.0}", rain.taps_per_s()))),
            ("won_by_tap", rain(&|rain| rain.won_by_tap.to_string())),
            ("credited_at_close", number(self.credited_at_close())),
            ("credit_seconds", self.credit_seconds.map_or("not_reached".to_owned(), |seconds| format!("{seconds:.1}"))),
            ("store_calls", rain(&|rain| rain.store_calls.map_or("unread".to_owned(), |calls| calls.to_string()))),
            ("clock_rate", rain(&|rain| format!("{:.1}", rain.clock_rate))),
            // The last lines are those that every version prints; scripts read them.
            ("reserved", number(self.reserved.found)),
            ("packs_issued", number(self.packs_issued.found)),
            ("oversold", number(self.oversold)),
            ("duplicates", number(self.duplicates)),
            ("draw", word(self.draw, "verified", "wrong")),
            ("taps", rain(&|rain| rain.taps.to_string())),
            ("redeemed", number(self.redeemed)),
            ("refunded", number(self.refunded)),
            ("ledger", word(self.ledger, "balanced", "differs")),
            ("audit", word(self.audit, "ok", "findings")),
            ("settlement", word(self.settlement, "balanced", "differs")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_that_was_not_played_to_its_end_does_not_hold() {
        assert!(!Keys::default().hold());
        assert!(Keys::default().lines().iter().all(|(_, value)| value == "not_reached"));
        assert_eq!(Keys::default().lines().len(), 19);
    }

    #[test]
    fn one_pack_too_few_does_not_hold() {
        let mut keys = Keys {
            reserved: Counted::new(50, 50),
            packs_issued: Counted::new(20, 20),
            oversold: Some(0),
            duplicates: Some(0),
            draw: Some(true),
            rain: Some(RainFigures { taps: 50, ..RainFigures::default() }),
            credit_seconds: Some(1.0),
            redeemed: Some(9),
            refunded: Some(1),
            ledger: Some(true),
            audit: Some(true),
            settlement: Some(true),
        };
        assert!(keys.hold());
        keys.packs_issued = Counted::new(19, 20);
        assert!(!keys.hold());
    }

    #[test]
    fn the_first_example_of_a_fault_is_kept() {
        let recorder = Recorder::new();
        recorder.fault("tap 500", || "first".into());
        recorder.fault("tap 500", || "second".into());
        assert_eq!(recorder.faults(), 2);
        recorder.each_fault(|_, fault| assert_eq!(fault.example, "first"));
    }
}
