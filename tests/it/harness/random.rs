//! Seeded chance: every random test prints its seed, and `QUANYU_TEST_SEED` plays it again.

/// SplitMix64, small and the same on every machine.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// True in `per_cent` of 100 calls.
    pub fn chance(&mut self, per_cent: usize) -> bool {
        self.below(100) < per_cent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The seeds of one run: fixed ones, so that a red build can be repeated, and one fresh one.
pub fn seeds(fixed: u64) -> Vec<u64> {
    if let Ok(text) = std::env::var("QUANYU_TEST_SEED") {
        return vec![text.trim().parse().expect("QUANYU_TEST_SEED is a number")];
    }
    let fresh = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let fresh = fresh.expect("the clock is past 1970").as_nanos() as u64 % 1_000_000_000;
    (1..=fixed).chain([fresh]).collect()
}
