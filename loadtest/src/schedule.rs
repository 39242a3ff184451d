//! When requests are meant to be sent: decided before the run, and by nothing that the server does.

use std::time::{Duration, Instant};

use crate::dice::unit;

/// How the arrivals are spread over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Four fifths in the first three tenths of the run (three minutes of ten), the others evenly over the rest.
    Rush,
    /// Evenly over the run.
    Flat,
}

/// Share of the run that is the rush, and the share of the arrivals that fall into it.
const HEAD: f64 = 0.3;
const HEAD_ARRIVALS: f64 = 0.8;

impl Shape {
    /// At which share of the run the given share of the arrivals has come.
    fn time_of(self, arrivals: f64) -> f64 {
        match self {
            Shape::Flat => arrivals,
            Shape::Rush if arrivals <= HEAD_ARRIVALS => arrivals / HEAD_ARRIVALS * HEAD,
            Shape::Rush => HEAD + (arrivals - HEAD_ARRIVALS) / (1.0 - HEAD_ARRIVALS) * (1.0 - HEAD),
        }
    }

    /// The busiest part of a run, as a share of it: what the rates of the result are measured over.
    pub fn busiest(self) -> f64 {
        match self {
            Shape::Flat => 1.0,
            Shape::Rush => HEAD,
        }
    }

    fn busiest_arrivals(self) -> f64 {
        match self {
            Shape::Flat => 1.0,
            Shape::Rush => HEAD_ARRIVALS,
        }
    }
}

/// The arrivals of one kind of request.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    span: Duration,
    count: u64,
    shape: Shape,
    seed: u64,
}

impl Schedule {
    /// `count` arrivals, `rate` of them a second while the run is at its busiest.
    pub fn new(start: Instant, count: u64, rate: f64, shape: Shape, seed: u64) -> Schedule {
        let span = count as f64 * shape.busiest_arrivals() / (shape.busiest() * rate.max(1e-6));
        Schedule { start, span: Duration::from_secs_f64(span), count, shape, seed }
    }

    /// The same arrivals, so much later.
    pub fn delay(&mut self, by: Duration) {
        self.start += by;
    }

    pub fn span(&self) -> Duration {
        self.span
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// When the arrival of that number is meant to be sent; `None` behind the last. Each falls somewhere in its own slot, so that arrivals
    /// are neither in step with the server's clock nor in heaps that no crowd would make.
    pub fn at(&self, index: u64) -> Option<Instant> {
        if index >= self.count {
            return None;
        }
        let share = (index as f64 + unit(self.seed, 3, index)) / self.count as f64;
        Some(self.start + self.span.mul_f64(self.shape.time_of(share)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_a_burst_comes_in_its_first_three_tenths_at_the_rate_that_was_asked_for() {
        let start = Instant::now();
        let rush = Schedule::new(start, 8_000, 1_000.0, Shape::Rush, 1);
        let head = rush.span().mul_f64(0.3);
        assert!((head.as_secs_f64() - 6.4).abs() < 0.001, "{head:?}");
        let early = (0..8_000).filter(|index| rush.at(*index).unwrap() - start < head).count();
        assert_eq!(early, 6_400);
        assert_eq!(rush.at(8_000), None);
    }

    #[test]
    fn arrivals_are_in_order_and_the_same_for_the_same_seed() {
        let start = Instant::now();
        for shape in [Shape::Rush, Shape::Flat] {
            let (one, two) = (Schedule::new(start, 1_000, 50.0, shape, 9), Schedule::new(start, 1_000, 50.0, shape, 9));
            let times: Vec<_> = (0..1_000).map(|index| one.at(index).unwrap()).collect();
            assert!(times.is_sorted());
            assert!((0..1_000).all(|index| two.at(index) == Some(times[index as usize])));
        }
    }

    #[test]
    fn an_even_run_lasts_as_long_as_its_rate_says() {
        let schedule = Schedule::new(Instant::now(), 600, 10.0, Shape::Flat, 1);
        assert_eq!(schedule.span(), Duration::from_secs(60));
    }
}
