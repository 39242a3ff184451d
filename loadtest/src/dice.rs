//! Chance that is the same for the same seed: every choice of a run is a function of (seed, what for, number).

/// One of 2^64, well mixed (splitmix64).
pub fn dice(seed: u64, stream: u64, number: u64) -> u64 {
    let mut x = seed ^ stream.rotate_left(48) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2 {
        x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
    }
    x
}

/// At least 0, below 1.
pub fn unit(seed: u64, stream: u64, number: u64) -> f64 {
    (dice(seed, stream, number) >> 11) as f64 / (1_u64 << 53) as f64
}

/// 0..count in an order that the seed decides; every number once.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    count: u64,
    step: u64,
    offset: u64,
}

impl Shuffle {
    pub fn new(count: u64, seed: u64) -> Shuffle {
        let count = count.max(1);
        let mut step = (dice(seed, 1, count) % count) | 1;
        while gcd(step, count) != 1 {
            step += 2;
        }
        Shuffle { count, step, offset: dice(seed, 2, count) % count }
    }

    /// Numbers beyond the count begin again.
    pub fn at(&self, index: u64) -> u64 {
        let wide = u128::from(index % self.count) * u128::from(self.step) + u128::from(self.offset);
        (wide % u128::from(self.count)) as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_meets_everybody_once() {
        for count in [1, 2, 3, 10, 97, 1_000, 4_096] {
            let mut seen: Vec<u64> = (0..count).map(|at| Shuffle::new(count, 7).at(at)).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn dice_fall_evenly() {
        let low = (0..10_000).filter(|n| unit(1, 2, *n) < 0.25).count();
        assert!((2_300..2_700).contains(&low), "{low}");
    }
}
