//! `quanyu selftest`: figures that only the program itself can take, because what they measure never leaves its memory. `make bench` asks
//! for them and stays a stranger otherwise.

use std::process::ExitCode;
use std::time::Instant;

use crate::domain::draw::{Entry, Inputs, Seed};
use crate::domain::person::{MacKey, Pseudonym};
use crate::domain::ranking::{self, Ranked};
use crate::engine::lists::on_all_cores;

#[derive(clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The cutoff of a list in memory against as many bare MACs on all cores.
    Ballot {
        /// Entries of the list; two of five win, as in Chengdu.
        #[arg(long, default_value_t = 15_000_000, value_parser = clap::value_parser!(u64).range(10..))]
        entries: u64,
    },
}

pub fn run(options: &Options) -> ExitCode {
    let Command::Ballot { entries } = options.command;
    let people = people(entries);
    // In turn, so that a machine that becomes slower or faster does so for both.
    let (mut macs, mut cutoffs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        macs.push(seconds(|| bare_macs(&people)));
        cutoffs.push(seconds(|| cutoff(&people)));
    }
    let (macs, cutoffs) = (middle(macs), middle(cutoffs));
    println!("entries={entries}");
    println!("hmac_seconds={macs:.3}");
    println!("cutoff_seconds={cutoffs:.3}");
    println!("ballot_ratio={:.3}", cutoffs / macs.max(1e-9));
    ExitCode::SUCCESS
}

fn people(count: u64) -> Vec<Pseudonym> {
    let one = |n: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes[24..].copy_from_slice(&n.to_be_bytes());
        Pseudonym(bytes)
    };
    (0..count).map(one).collect()
}

fn seconds(work: impl FnOnce()) -> f64 {
    let since = Instant::now();
    work();
    since.elapsed().as_secs_f64()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One MAC over each entry, on all cores: no draw can do with less.
fn bare_macs(people: &[Pseudonym]) {
    let key = MacKey::new(&[7; 32]);
    on_all_cores(people, 1, |_, part| part.iter().fold(0_u8, |sum, person| sum ^ key.mac(&[&person.0])[0]));
}

/// What a draw does with one contest's list: every score, and the last winner.
fn cutoff(people: &[Pseudonym]) {
    let inputs = Inputs {
        campaign_id: "selftest",
        round_id: "ballot",
        rules_hash: [1; 32],
        root: [2; 32],
        count: people.len() as u64,
        entropy: &[],
        secret: [3; 32],
    };
    let seed = Seed::of(&inputs);
    let score = |pseudonym: Pseudonym| seed.score(&Entry { pseudonym, channel: "wechat", pack_id: "", k: 0 });
    let parts = on_all_cores(people, 1, |first, part| {
        let ranked = (first as u32..).zip(part).map(|(index, person)| Ranked { high: score(*person).high(), index });
        ranked.collect::<Vec<_>>()
    });
    let mut ranked: Vec<Ranked> = parts.into_iter().flatten().collect();
    let exact = |index: u32| (score(people[index as usize]), people[index as usize]);
    let winners = ranking::lowest(&mut ranked, people.len() as u64 * 2 / 5, &exact);
    std::hint::black_box(ranking::cutoff(winners, &exact));
}
