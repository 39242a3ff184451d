//! What a run may be told by the environment; the defaults are the run that the README reports.

use std::path::PathBuf;

pub struct Settings {
    /// `BENCH_POPULATION`: people who lose, each with an own pass; three for every ten of them win on top.
    pub losers: usize,
    /// `BENCH_ROUNDS`: how often every row is measured, in turn with all others; a figure is the median.
    pub rounds: usize,
    /// `BENCH_SECONDS`: the longest time of a row in a round. Losing taps are counted instead, so that every pass has its turn.
    pub seconds: f64,
    /// `BENCH_CONNECTIONS`: kept connections of the generator.
    pub connections: usize,
    /// `BENCH_DEPTH`: requests on the way on each connection.
    pub depth: usize,
    /// `BENCH_LUA_PERSONS`: persons of the larger store in which the script is measured; the smaller has a tenth.
    pub lua_persons: usize,
    /// `BENCH_ORDERS`: orders of the store in which their memory is measured.
    pub orders: usize,
    /// `BENCH_BALLOT_ENTRIES`: entries of the draw in memory.
    pub ballot_entries: u64,
    /// `QUANYU`: the program that is measured.
    pub program: PathBuf,
    /// Everything that a run writes.
    pub folder: PathBuf,
}

impl Settings {
    pub fn of_environment() -> Result<Settings, String> {
        Ok(Settings {
            losers: number("BENCH_POPULATION", 1_000_000)?.max(100),
            rounds: number("BENCH_ROUNDS", 5)?.max(1),
            seconds: number("BENCH_SECONDS", 2)?.max(1) as f64,
            connections: number("BENCH_CONNECTIONS", 256)?.max(1),
            depth: number("BENCH_DEPTH", 1)?.max(1),
            lua_persons: number("BENCH_LUA_PERSONS", 10_000_000)?.max(10_000),
            orders: number("BENCH_ORDERS", 1_000_000)?.max(10_000),
            ballot_entries: number("BENCH_BALLOT_ENTRIES", 15_000_000)?.max(1_000) as u64,
            program: PathBuf::from(std::env::var_os("QUANYU").unwrap_or_else(|| "target/release/quanyu".into())),
            folder: PathBuf::from("target/bench"),
        })
    }

    pub fn winners(&self) -> usize {
        self.losers * 3 / 10
    }

    pub fn people(&self) -> usize {
        self.losers + self.winners()
    }
}

fn number(name: &str, default: usize) -> Result<usize, String> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text.replace('_', "").parse().map_err(|_| format!("{name}={text} is not a whole number")),
    }
}
