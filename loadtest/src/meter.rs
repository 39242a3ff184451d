//! What the load saw: outcomes, latencies from the intended send time, and how far the generator itself fell behind.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::client::{Answer, Lost};

pub struct Meter {
    latency: Histogram<u64>,
    lag: Histogram<u64>,
    outcomes: BTreeMap<&'static str, u64>,
    /// Pack number -> person, to see a pack given twice.
    packs: HashMap<String, u64>,
    pub double: u64,
}

impl Meter {
    pub fn new() -> Meter {
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds are in order");
        Meter { latency: histogram(), lag: histogram(), outcomes: BTreeMap::new(), packs: HashMap::new(), double: 0 }
    }

    /// One finished tap of a person; `lag` is how late it was sent.
    pub fn tap(&mut self, person: u64, lag: Duration, latency: Duration, answer: &Result<Answer, Lost>) {
        self.latency.saturating_record(latency.as_micros().max(1) as u64);
        self.lag.saturating_record(lag.as_micros().max(1) as u64);
        *self.outcomes.entry(outcome(answer)).or_default() += 1;
        if let Ok(answer) = answer
            && let Some(pack) = answer.body["pack"]["pack_no"].as_str()
            && self.packs.insert(pack.to_owned(), person).is_some_and(|other| other != person)
        {
            self.double += 1;
        }
    }

    pub fn count(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or_default()
    }

    /// Milliseconds at a quantile of the latencies.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub fn max_ms(&self) -> f64 {
        self.latency.max() as f64 / 1000.0
    }

    pub fn lag_ms_p99(&self) -> f64 {
        self.lag.value_at_quantile(0.99) as f64 / 1000.0
    }
}

fn outcome(answer: &Result<Answer, Lost>) -> &'static str {
    let Ok(answer) = answer else { return "unknown" };
    match (answer.status, answer.body["outcome"].as_str(), answer.body["code"].as_str()) {
        (200, Some("won"), _) => "won",
        (200, Some("not_yet"), _) => "not_yet",
        (200, Some("lost" | "sold_out" | "closed"), _) => "lost",
        (429, ..) => "limited_429",
        (503, _, Some("store_timeout" | "deadline_exceeded")) => "unknown",
        (503, ..) => "shed_503",
        _ => "errors",
    }
}
