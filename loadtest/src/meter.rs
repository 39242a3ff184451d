//! What the load saw: outcomes, latencies from the intended send time, and how far the generator itself fell behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::engine::Times;

/// What an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Won,
    NotYet,
    Lost,
    /// Any other success.
    Done,
    /// A refusal by the rules, such as a limit that is reached.
    Refused,
    /// The server protected itself, without effect.
    Shed,
    Limited,
    /// No answer, or one that says the outcome is unknown.
    Unknown,
    Error,
    /// The run ended before a connection was free for it.
    Unsent,
}

impl Class {
    pub fn is_answer(self) -> bool {
        matches!(self, Class::Won | Class::NotYet | Class::Lost | Class::Done | Class::Refused)
    }
}

/// One second of the run, by the wall clock.
#[derive(Clone, Debug, Default)]
pub struct Second {
    pub offered: u64,
    pub answered: u64,
    pub shed: u64,
    /// Milliseconds; of the answers that came in this second.
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// Latencies and outcomes of one kind of request.
pub struct Kind {
    pub latency: Histogram<u64>,
    pub classes: BTreeMap<Class, u64>,
}

pub struct Meter {
    start: Instant,
    /// The part of the run that the rates are measured over.
    busiest: Duration,
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    kinds: BTreeMap<&'static str, Kind>,
    classes: BTreeMap<Class, u64>,
    pub seconds: Vec<Second>,
    this_second: (usize, Histogram<u64>),
    offered_busiest: u64,
    answered_busiest: u64,
    end: Instant,
}

/// Longer than any patience; three digits are kept.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("bounds are in order")
}

impl Meter {
    pub fn new(start: Instant, busiest: Duration) -> Meter {
        Meter {
            start,
            busiest,
            latency: histogram(),
            lag: histogram(),
            kinds: BTreeMap::new(),
            classes: BTreeMap::new(),
            seconds: Vec::new(),
            this_second: (0, histogram()),
            offered_busiest: 0,
            answered_busiest: 0,
            end: start,
        }
    }

    /// The run begins so much later than was thought.
    pub fn delay(&mut self, by: Duration) {
        self.start += by;
        self.end += by;
    }

    /// One finished exchange. The latency counts from when it was meant to be sent.
    pub fn record(&mut self, kind: &'static str, intended: Instant, times: Times, class: Class) {
        self.lag.saturating_record(micros(times.lag(intended)));
        self.finished(kind, intended, times.received, class);
    }

    /// A request that nobody came to send before the run was over: it has waited until now, and that is its latency.
    pub fn abandoned(&mut self, kind: &'static str, intended: Instant, now: Instant) {
        self.finished(kind, intended, now, Class::Unsent);
    }

    fn finished(&mut self, kind: &'static str, intended: Instant, received: Instant, class: Class) {
        let latency = micros(received.saturating_duration_since(intended));
        self.latency.saturating_record(latency);
        let kind = self.kinds.entry(kind).or_insert_with(|| Kind { latency: histogram(), classes: BTreeMap::new() });
        kind.latency.saturating_record(latency);
        *kind.classes.entry(class).or_default() += 1;
        *self.classes.entry(class).or_default() += 1;
        let (offered_at, answered_at) =
            (intended.saturating_duration_since(self.start), received.saturating_duration_since(self.start));
        self.offered_busiest += u64::from(offered_at < self.busiest);
        self.answered_busiest += u64::from(answered_at < self.busiest && class.is_answer());
        self.end = self.end.max(received);
        self.second(offered_at).offered += 1;
        let second = answered_at.as_secs() as usize;
        if second != self.this_second.0 {
            self.close_second();
            self.this_second.0 = second;
        }
        self.this_second.1.saturating_record(latency);
        let now = self.second(answered_at);
        now.answered += u64::from(class.is_answer());
        now.shed += u64::from(class == Class::Shed);
    }

    fn second(&mut self, since: Duration) -> &mut Second {
        let at = since.as_secs() as usize;
        if self.seconds.len() <= at {
            self.seconds.resize(at + 1, Second::default());
        }
        &mut self.seconds[at]
    }

    /// Answers come in order of time, so a second is complete when the next one begins.
    fn close_second(&mut self) {
        let (at, histogram) = (self.this_second.0, &self.this_second.1);
        if let Some(second) = self.seconds.get_mut(at).filter(|_| !histogram.is_empty()) {
            second.p50 = ms(histogram.value_at_quantile(0.5));
            second.p99 = ms(histogram.value_at_quantile(0.99));
            second.max = ms(histogram.max());
        }
        self.this_second.1.reset();
    }

    pub fn close(&mut self) {
        self.close_second();
    }

    pub fn count(&self, class: Class) -> u64 {
        self.classes.get(&class).copied().unwrap_or_default()
    }

    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &Kind)> {
        self.kinds.iter().map(|(name, kind)| (*name, kind))
    }

    pub fn elapsed(&self) -> Duration {
        self.end.saturating_duration_since(self.start)
    }

    /// Requests meant to be sent per second of the busiest part.
    pub fn offered_per_s(&self) -> f64 {
        self.offered_busiest as f64 / self.busiest.as_secs_f64().max(0.001)
    }

    /// Answers that came per second of the busiest part: what was shed, limited or lost is none.
    pub fn answered_per_s(&self) -> f64 {
        self.answered_busiest as f64 / self.busiest.as_secs_f64().max(0.001)
    }

    /// Milliseconds at a quantile of the latencies.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        ms(self.latency.value_at_quantile(quantile))
    }

    pub fn max_ms(&self) -> f64 {
        ms(self.latency.max())
    }

    pub fn lag_ms_p99(&self) -> f64 {
        ms(self.lag.value_at_quantile(0.99))
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().max(1) as u64
}

pub fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(start: Instant, sent: u64, received: u64) -> Times {
        let at = |ms: u64| start + Duration::from_millis(ms);
        Times { free: start, sent: at(sent), received: at(received) }
    }

    #[test]
    fn a_stall_counts_for_everybody_it_kept_waiting() {
        let start = Instant::now();
        let mut meter = Meter::new(start, Duration::from_secs(1));
        // A request each millisecond over one connection; the server stalls for a second on the first, then answers at once.
        for n in 0..1_000_u64 {
            let free = start + Duration::from_millis(1_000);
            let times = Times { free: if n == 0 { start } else { free }, sent: free, received: free };
            meter.record("tap", start + Duration::from_millis(n), times, Class::Lost);
        }
        assert!((meter.latency_ms(0.5) - 500.0).abs() < 2.0, "{}", meter.latency_ms(0.5));
        assert!((meter.latency_ms(0.99) - 990.0).abs() < 2.0);
        assert!(meter.lag_ms_p99() < 1.0, "waiting for a connection is not the generator's lag");
    }

    #[test]
    fn a_generator_that_is_late_says_so() {
        let start = Instant::now();
        let mut meter = Meter::new(start, Duration::from_secs(1));
        for n in 0..100 {
            let late = if n < 95 { 0 } else { 80 };
            meter.record("tap", start + Duration::from_millis(n), times(start, n + late, n + late + 1), Class::Lost);
        }
        assert!((meter.lag_ms_p99() - 80.0).abs() < 0.1, "{}", meter.lag_ms_p99());
    }

    #[test]
    fn rates_are_those_of_the_busiest_part() {
        let start = Instant::now();
        let mut meter = Meter::new(start, Duration::from_secs(1));
        for n in 0..2_000 {
            let class = if n % 2 == 0 { Class::Won } else { Class::Shed };
            meter.record("tap", start + Duration::from_millis(n), times(start, n, n), class);
        }
        meter.close();
        assert!((meter.offered_per_s() - 1_000.0).abs() < 0.5);
        assert!((meter.answered_per_s() - 500.0).abs() < 0.5);
        assert_eq!((meter.seconds.len(), meter.seconds[1].offered, meter.seconds[1].shed), (2, 1_000, 500));
        assert_eq!((meter.count(Class::Won), meter.count(Class::Error)), (1_000, 0));
    }
}
