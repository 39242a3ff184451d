//! Generated histories of a till, more than ten thousand of them: calls are repeated, overtake each other, lose their answers and die
//! between any two of their steps, on two nodes that share a store, while time jumps across holds and the end of the validity.
//!
//! The nodes are engines in this process over a real store, so that a history costs milliseconds and each call can be stopped where it
//! waits for the store. `play` makes a history from its seed, `checker` knows the rules and judges what came of it, from the answers, the
//! records and the ledger. Each history has its own person and orders. `phones` does the same with people on a list who
//! have few phones, `pieces` with orders for few goods, `quotas` with orders under small limits, `claims` with taps and `lists` with reservations under them. `QUANYU_TEST_SEED=n` plays one history again.

mod checker;
mod claims;
mod flight;
mod lists;
mod phones;
mod pieces;
mod planted;
mod play;
mod quotas;
pub mod town;

use play::play;
use town::Town;

/// Histories of each kind; two kinds make more than ten thousand.
const HISTORIES: u64 = 5_200;

/// How often the whole store is audited, and money that has expired is moved.
const LOOK: u64 = 1_300;

fn histories(first: u64, near_the_end: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let town = Town::open().await;
        let mut effects = 0;
        let one = std::env::var("QUANYU_TEST_SEED").ok().and_then(|text| text.trim().parse::<u64>().ok());
        let seeds: Vec<u64> = one.map_or_else(|| (first..first + HISTORIES).collect(), |seed| vec![seed]);
        for (played, seed) in (1u64..).zip(&seeds) {
            let evidence = play(&town, *seed, near_the_end).await;
            let faults = checker::faults(&evidence);
            assert!(faults.is_empty(), "QUANYU_TEST_SEED={seed}\n{}\n{}", faults.join("\n"), evidence.told());
            effects += evidence.effects();
            if played.is_multiple_of(LOOK) || played == seeds.len() as u64 {
                town.audit().await;
            }
        }
        println!("{} histories from seed {}, {effects} effects", seeds.len(), seeds[0]);
        assert!(one.is_some() || effects > HISTORIES as usize, "histories of refusals prove little: {effects} effects");
    });
}

#[test]
fn thousands_of_histories_have_at_most_one_effect_for_each_order_and_lose_no_fen() {
    histories(1, false);
}

#[test]
fn thousands_of_histories_across_the_end_of_the_validity_do_so_too() {
    histories(1_000_001, true);
}
