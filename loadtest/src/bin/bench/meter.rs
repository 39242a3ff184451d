//! What a row cost: requests, seconds, and the processor time of every process that took part.

use std::collections::BTreeMap;

use crate::drive::Driven;

/// Microseconds of one tick of /proc; Linux shows them all to programs in hundredths of a second.
const TICK_US: u64 = 10_000;

/// Processor time that a process has used, user and system, in microseconds; 0 where there is no /proc.
pub fn cpu_us(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is the name in brackets and may hold spaces.
    let fields: Vec<&str> =
        text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) * TICK_US
}

/// Processes whose time is booked to a row.
#[derive(Clone, Copy, Default)]
pub struct Pids {
    pub server: u32,
    pub store: u32,
}

/// One measurement of one row.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    pub answered: u64,
    pub seconds: f64,
    pub server_us: u64,
    pub store_us: u64,
    pub generator_us: u64,
    /// How much the store's memory grew.
    pub bytes: i64,
}

impl Sample {
    pub fn per_s(&self) -> f64 {
        self.answered as f64 / self.seconds.max(1e-9)
    }

    pub fn each(&self, total: u64) -> f64 {
        total as f64 / self.answered.max(1) as f64
    }
}

/// Reads the clocks of the processes around a piece of work.
pub struct Clocks {
    pids: Pids,
    before: [u64; 3],
}

impl Clocks {
    pub fn start(pids: Pids) -> Clocks {
        Clocks { pids, before: Clocks::read(pids) }
    }

    fn read(pids: Pids) -> [u64; 3] {
        [pids.server, pids.store, std::process::id()].map(cpu_us)
    }

    pub fn stop(self, driven: Driven) -> Sample {
        let now = Clocks::read(self.pids);
        let [server_us, store_us, generator_us] = [0, 1, 2].map(|at| now[at] - self.before[at]);
        let Driven { answered, seconds } = driven;
        Sample { answered, seconds, server_us, store_us, generator_us, bytes: 0 }
    }
}

/// All samples by row, in the order in which the rows first came.
#[derive(Default)]
pub struct Samples {
    names: Vec<&'static str>,
    rows: BTreeMap<&'static str, Vec<(usize, Sample)>>,
}

impl Samples {
    pub fn add(&mut self, round: usize, name: &'static str, sample: Sample) {
        if !self.rows.contains_key(name) {
            self.names.push(name);
        }
        self.rows.entry(name).or_default().push((round, sample));
    }

    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.rows.get(name).into_iter().flatten().map(|(_, sample)| sample)
    }

    /// Median over all samples of a row.
    pub fn median(&self, name: &str, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.of(name).map(figure).collect())
    }

    pub fn per_s(&self, name: &str) -> f64 {
        self.median(name, Sample::per_s)
    }

    /// Median over the rounds of a row's rate, divided by the mean rate of another row in the same round.
    pub fn ratio(&self, name: &str, reference: &str) -> f64 {
        let reference_of = |round: usize| {
            let own = self.rows.get(reference).into_iter().flatten().filter(|(at, _)| *at == round);
            let rates: Vec<f64> = own.map(|(_, sample)| sample.per_s()).collect();
            rates.iter().sum::<f64>() / rates.len().max(1) as f64
        };
        let row = self.rows.get(name).into_iter().flatten();
        median(row.map(|(round, sample)| sample.per_s() / reference_of(*round).max(1e-9)).collect())
    }

    /// Bytes of the store for one request, over all rounds together.
    pub fn bytes_each(&self, name: &str) -> f64 {
        let (bytes, answered) =
            self.of(name).fold((0, 0), |sum, sample| (sum.0 + sample.bytes, sum.1 + sample.answered));
        bytes as f64 / answered.max(1) as f64
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(answered: u64) -> Sample {
        Sample { answered, seconds: 1.0, ..Sample::default() }
    }

    #[test]
    fn a_ratio_compares_within_its_round_only() {
        let mut samples = Samples::default();
        for (round, base, row) in [(0, 100, 90), (1, 10, 8), (2, 1_000, 700)] {
            samples.add(round, "base", sample(base));
            samples.add(round, "base", sample(base));
            samples.add(round, "row", sample(row));
        }
        assert!((samples.ratio("row", "base") - 0.8).abs() < 1e-9);
        assert!((samples.per_s("row") - 90.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_some_time_where_there_is_proc() {
        let mut sum = 0_u64;
        while cfg!(target_os = "linux") && cpu_us(std::process::id()) == 0 {
            sum = sum.wrapping_mul(31).wrapping_add(7);
        }
        assert!(std::hint::black_box(sum) < u64::MAX);
    }
}
