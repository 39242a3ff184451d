//! A claim window after a draw: packs that nobody comes for are kept, or passed on to the next scores.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CLOSES, DRAW, Drawn, OPENS, file, windowed};
use crate::harness::client::Reply;
use crate::harness::fixture::at;
use crate::harness::wait_until;

#[test]
fn a_ballot_with_a_window_gives_its_packs_to_who_comes_and_keeps_the_rest() {
    let file = file("window", |file| windowed(file, "ballot", "return"));
    let drawn = Drawn::reserved(file, 12, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    let results = || -> Vec<String> {
        let mine = |pass: &String| drawn.mine("r1", pass);
        drawn.passes.iter().map(mine).map(|reply| format!("{} {}", reply.str("result"), reply["credited"])).collect()
    };
    assert!(results().iter().all(|result| result == "pending null"), "{:?}", results());
    drawn.server.set_clock(at(OPENS));
    let told = results();
    assert_eq!(told.iter().filter(|result| *result == "won false").count(), 4, "who has won may come for it: {told:?}");
    assert_eq!(told.iter().filter(|result| *result == "lost null").count(), 8, "{told:?}");
    let first: Vec<String> =
        drawn.passes[..6].iter().map(|pass| drawn.tap("r1", pass, None).ok().str("outcome").to_string()).collect();
    let came = first.iter().filter(|outcome| *outcome == "won").count();
    for (index, outcome) in first.iter().enumerate() {
        let wanted = if outcome == "won" { "won true" } else { "lost null" };
        assert_eq!((results()[index].as_str(), outcome == "won"), (wanted, told[index] == "won false"));
    }
    drawn.server.set_clock(at(CLOSES));
    assert_eq!(results().iter().filter(|result| *result == "won true").count(), came, "the others let it lie");
    assert_eq!(results().iter().filter(|result| *result == "lost null").count(), 12 - came);
    for (index, pass) in drawn.passes.iter().enumerate() {
        let reply = drawn.tap("r1", pass, None).ok();
        let wanted = if index < 6 && first[index] == "won" { "won" } else { "lost" };
        assert_eq!((reply.str("outcome"), reply.str("result")), ("closed", wanted));
    }
    assert_eq!(drawn.stats(0)["issued"], came);
    assert_eq!(drawn.verified("r1").2.len(), 4, "four were drawn, whoever came");
}

pub(super) fn released(name: &str, mode: &str) -> Value {
    file(name, |file| {
        windowed(file, mode, "release");
        let wave = |day: u32| json!({"opens_at": format!("2020-07-{day}T10:00:00+08:00"), "closes_at": format!("2020-07-{day}T12:00:00+08:00")});
        file["rounds"][0]["waves"] = json!([wave(26), wave(27)]);
        file["rounds"][0]["packs"] = json!({"a": 4});
    })
}

#[test]
fn what_nobody_claims_goes_to_the_next_scores_wave_by_wave() {
    let drawn = Drawn::reserved(released("waves", "ballot"), 10, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let tap = |index: usize| drawn.tap("r1", &drawn.passes[index], None).ok();
    let mut left: Vec<usize> = (0..10).collect();
    // In the window one winner comes, then nobody taps any more; the others of the four let their packs lie.
    let results = |wanted: &str| -> BTreeSet<usize> {
        (0..10).filter(|index| drawn.mine("r1", &drawn.passes[*index]).str("result") == wanted).collect()
    };
    assert_eq!((results("won").len(), results("pending").len()), (4, 6), "a wave may still come to the others");
    let first = left.iter().copied().find(|index| tap(*index).str("outcome") == "won").expect("somebody has won");
    left.retain(|index| *index != first);
    drawn.server.set_clock(at("2020-07-26T10:00:00"));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    assert_eq!(tap(first).str("outcome"), "won", "a win that was told stays told");
    assert_eq!((results("won").len(), results("lost").len()), (4, 0), "one has it, three are the wave's");
    let told: Vec<(usize, String)> =
        left.iter().map(|index| (*index, tap(*index).str("outcome").to_string())).collect();
    let second: BTreeSet<usize> = told.iter().filter(|one| one.1 == "won").map(|one| one.0).collect();
    let tapped_first = told.iter().filter(|one| one.1 == "lost").count();
    assert_eq!(second.len(), 3, "three packs were left: {told:?}");
    assert!(tapped_first <= 3, "only who has let a pack lie has lost: {told:?}");
    drawn.server.set_clock(at("2020-07-27T10:00:00"));
    wait_until("the next wave is decided", || (drawn.stats(0)["waves"] == 2).then_some(()));
    assert_eq!(drawn.stats(0)["issued"], 4);
    let third = left.iter().filter(|index| !second.contains(index) && tap(**index).str("outcome") == "won").count();
    assert_eq!(third, 0, "nothing is left");
    drawn.server.set_clock(at("2020-07-27T12:00:00"));
    assert_eq!((results("won").len(), results("lost").len()), (4, 6));
    let (proof, _, winners) = drawn.verified("r1");
    assert_eq!(proof["waves"].as_array().map(Vec::len), Some(2));
    assert_eq!(winners.iter().filter(|line| line["wave"] == 1).count(), 3);
    drawn.server.assert_audit_clean();
}

#[test]
fn who_has_tapped_too_early_in_a_rain_is_there_and_nobody_passes_over_the_pack() {
    let mut file = released("present", "rain");
    file["rounds"][0]["release"] = json!({"shape": "even", "seconds": 480});
    let drawn = Drawn::reserved(file, 8, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let taps: Vec<Reply> = drawn.passes.iter().map(|pass| drawn.tap("r1", pass, None).ok()).collect();
    assert!(taps.iter().all(|reply| reply.str("outcome") == "not_yet"), "nobody has lost before the last wave");
    drawn.server.set_clock(at(CLOSES));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    assert_eq!(drawn.stats(0)["issued"], 4, "all four winners had tapped");
    let credited = (0..8).filter(|index| drawn.packs_of(*index).len() == 1).count();
    assert_eq!(credited, 4);
    drawn.server.assert_audit_clean();
}
