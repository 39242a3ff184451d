//! When the packs of a claim window come out: a cumulative curve over its time, in exact integers. A rain reveals its winners by it,
//! a first-come round lets out its stock by it. Every shape rises from nothing to everything and never falls.
//!
//! | shape | out after `t` of `seconds` |
//! |---|---|
//! | `at_once` | everything from the opening on |
//! | `even` | `t / seconds` |
//! | `front` | half in the first fifth of the time, four fifths in its first half, the rest to the end; straight in between |
//! | `slices` | the time has k equal slices, and a k-th comes out at the start of each |
//! | `points` | straight lines through the points of the file, from nothing at the opening |

use super::campaign::schema::{Release, ReleaseShape};
use super::time::{Ms, SECOND};

/// A shape on its window. Make it once; every question about it is a few multiplications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseCurve {
    opens_at: Ms,
    length: Ms,
    rise: Rise,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rise {
    /// This many equal steps, each at the start of its part of the time; one step is everything at once.
    Steps(u32),
    /// Straight lines between these; the first is at the opening, the last is all of `WHOLE`.
    Lines(Vec<Knot>),
}

/// `parts` of `WHOLE` are out at `elapsed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Knot {
    elapsed: Ms,
    parts: u32,
}

const WHOLE: u32 = 10_000;

impl ReleaseCurve {
    pub fn new(release: Option<&Release>, opens_at: Ms) -> ReleaseCurve {
        let Some(release) = release else { return ReleaseCurve { opens_at, length: 0, rise: Rise::Steps(1) } };
        let length = Ms::from(release.seconds) * SECOND;
        let knot = |elapsed, parts| Knot { elapsed, parts };
        let rise = match release.shape {
            _ if length == 0 => Rise::Steps(1),
            ReleaseShape::AtOnce => Rise::Steps(1),
            ReleaseShape::Slices => Rise::Steps(release.slices.unwrap_or(1).max(1)),
            ReleaseShape::Even => Rise::Lines(vec![knot(0, 0), knot(length, WHOLE)]),
            ReleaseShape::Front => Rise::Lines(vec![
                knot(0, 0),
                knot(length / 5, WHOLE / 2),
                knot(length / 2, WHOLE / 5 * 4),
                knot(length, WHOLE),
            ]),
            ReleaseShape::Points => {
                let points =
                    release.points.iter().map(|point| knot(Ms::from(point.second) * SECOND, point.basis_points));
                let begins = release.points.first().is_none_or(|first| first.second > 0);
                Rise::Lines(begins.then_some(knot(0, 0)).into_iter().chain(points).collect())
            }
        };
        ReleaseCurve { opens_at, length, rise }
    }

    /// How many of `total` are out at `now`.
    pub fn released(&self, total: u64, now: Ms) -> u64 {
        if now < self.opens_at {
            return 0;
        }
        let elapsed = now - self.opens_at;
        let part = |numerator: u128, denominator: u128| (u128::from(total) * numerator / denominator) as u64;
        match &self.rise {
            Rise::Steps(steps) => {
                let started = if self.length == 0 { *steps } else { step_at(elapsed, *steps, self.length) };
                part(u128::from(started), u128::from(*steps))
            }
            Rise::Lines(knots) => {
                let after = knots.partition_point(|knot| knot.elapsed <= elapsed);
                let from = knots[after - 1];
                let Some(to) = knots.get(after) else { return part(u128::from(from.parts), u128::from(WHOLE)) };
                let (time, passed) = ((to.elapsed - from.elapsed) as u128, (elapsed - from.elapsed) as u128);
                let parts = u128::from(from.parts) * time + u128::from(to.parts - from.parts) * passed;
                part(parts, u128::from(WHOLE) * time)
            }
        }
    }

    /// The first instant at which `released(total, _)` is at least `wanted`; of more than the total, the end.
    pub fn reached_at(&self, total: u64, wanted: u64) -> Ms {
        let (goal, total) = (u128::from(wanted.min(total)), u128::from(total));
        if goal == 0 {
            return self.opens_at;
        }
        let elapsed = match &self.rise {
            // The smallest n with floor(total x n / steps) >= goal, and the start of its step.
            Rise::Steps(steps) => {
                let step = (goal * u128::from(*steps)).div_ceil(total) - 1;
                (step * self.length as u128).div_ceil(u128::from(*steps)) as Ms
            }
            Rise::Lines(knots) => {
                let out = |knot: &Knot| total * u128::from(knot.parts) / u128::from(WHOLE);
                let after = knots.partition_point(|knot| out(knot) < goal);
                let Some(to) = knots.get(after) else { return self.opens_at + self.length };
                match after.checked_sub(1).map(|before| knots[before]) {
                    None => to.elapsed,
                    Some(from) => {
                        let time = (to.elapsed - from.elapsed) as u128;
                        let missing = (goal * u128::from(WHOLE) - total * u128::from(from.parts)) * time;
                        let passed = missing.div_ceil(total * u128::from(to.parts - from.parts));
                        from.elapsed + passed as Ms
                    }
                }
            }
        };
        self.opens_at + elapsed
    }
}

/// How many steps have started after `elapsed` of `length`.
fn step_at(elapsed: Ms, steps: u32, length: Ms) -> u32 {
    let started = elapsed as u128 * u128::from(steps) / length as u128 + 1;
    started.min(u128::from(steps)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::schema::ReleasePoint;

    const OPENS: Ms = 1_595_584_800_000;

    fn curve(shape: ReleaseShape, seconds: u32, slices: Option<u32>, points: &[(u32, u32)]) -> ReleaseCurve {
        let points = points.iter().map(|&(second, basis_points)| ReleasePoint { second, basis_points }).collect();
        ReleaseCurve::new(Some(&Release { shape, seconds, slices, points }), OPENS)
    }

    fn all() -> Vec<ReleaseCurve> {
        vec![
            ReleaseCurve::new(None, OPENS),
            curve(ReleaseShape::AtOnce, 0, None, &[]),
            curve(ReleaseShape::Even, 480, None, &[]),
            curve(ReleaseShape::Front, 480, None, &[]),
            curve(ReleaseShape::Front, 1, None, &[]),
            curve(ReleaseShape::Slices, 480, Some(7), &[]),
            curve(ReleaseShape::Points, 480, None, &[(60, 10), (61, 10), (200, 9_000), (480, 10_000)]),
            curve(ReleaseShape::Points, 480, None, &[(0, 3_000), (480, 10_000)]),
        ]
    }

    fn after(curve: &ReleaseCurve, total: u64, seconds: Ms) -> u64 {
        curve.released(total, OPENS + seconds * SECOND)
    }

    #[test]
    fn every_shape_gives_nothing_before_it_opens_never_falls_and_ends_with_everything() {
        for curve in all() {
            assert_eq!(curve.released(1_000_003, OPENS - 1), 0, "{curve:?}");
            let mut before = 0;
            for step in 0..=4_800 {
                let out = curve.released(1_000_003, OPENS + step * 100);
                assert!(out >= before, "{curve:?} at {step}");
                before = out;
            }
            assert_eq!(before, 1_000_003, "{curve:?}");
            assert_eq!(curve.released(1_000_003, OPENS + curve.length), 1_000_003, "{curve:?}");
        }
    }

    #[test]
    fn what_is_out_at_an_instant_was_not_out_a_millisecond_sooner() {
        for curve in all() {
            for total in [1, 2, 6, 7, 8, 999, 1_000_003, u64::MAX] {
                for wanted in [0, 1, 2, 3, total / 7, total / 3, total / 2, total - total / 9, total - 1, total] {
                    let wanted = wanted.min(total);
                    let at = curve.reached_at(total, wanted);
                    assert!(at >= OPENS && at <= OPENS + curve.length, "{curve:?}");
                    assert!(curve.released(total, at) >= wanted, "{curve:?} {total} {wanted}");
                    let sooner = curve.released(total, at - 1);
                    assert!(at == OPENS || sooner < wanted, "{curve:?} {total} {wanted}: {sooner} at {}", at - 1);
                }
            }
        }
    }

    #[test]
    fn slices_come_at_the_start_of_each_slice() {
        let curve = curve(ReleaseShape::Slices, 100, Some(4), &[]);
        let out = [0, 24, 25, 49, 50, 74, 75, 99, 100, 1_000].map(|second| after(&curve, 400, second));
        assert_eq!(out, [100, 100, 200, 200, 300, 300, 400, 400, 400, 400]);
    }

    #[test]
    fn front_gives_half_in_the_first_fifth_and_points_are_straight_between() {
        let front = curve(ReleaseShape::Front, 100, None, &[]);
        assert_eq!([10, 20, 50, 75, 100].map(|second| after(&front, 1_000, second)), [250, 500, 800, 900, 1_000]);
        let points = curve(ReleaseShape::Points, 100, None, &[(10, 5_000), (50, 5_000), (100, 10_000)]);
        assert_eq!([5, 10, 30, 50, 75].map(|second| after(&points, 1_000, second)), [250, 500, 500, 500, 750]);
    }

    #[test]
    fn an_even_rain_is_the_floor_of_cutoff_times_time() {
        let even = curve(ReleaseShape::Even, 480, None, &[]);
        let cutoff = u64::MAX / 3;
        for elapsed in [0, 1, 7, 1_999, 240_001, 479_999, 480_000] {
            let threshold = u128::from(cutoff) * elapsed as u128 / 480_000;
            assert_eq!(u128::from(even.released(cutoff, OPENS + elapsed)), threshold);
        }
    }
}
