//! `chance` with fewer winners than packs: every pack in proportion to its supply, whatever stands first in the file.

use serde_json::{Value, json};

use super::waves::released;
use super::{CREDIT, DRAW, Drawn, OPENS, count_by, file, text};
use crate::harness::fixture::at;
use crate::harness::wait_until;

#[test]
fn fewer_winners_than_packs_cost_the_same_whatever_stands_first_in_the_file() {
    for (name, order) in [("cheap-first", ["a", "b", "c"]), ("dear-first", ["c", "b", "a"])] {
        let file = file(name, |file| {
            let packs = file["packs"].as_array().expect("packs").clone();
            let of_id = |id: &str| packs.iter().find(|pack| pack["pack_id"] == id).cloned();
            file["packs"] = order.iter().filter_map(|id| of_id(id)).collect();
            file["rounds"][0]["assignment"] = json!("chance");
            file["rounds"][0]["packs"] = json!({"a": 11, "b": 4, "c": 9});
        });
        let drawn = Drawn::reserved(file, 11, |_| None);
        drawn.server.set_clock(at(DRAW));
        drawn.wait_drawn(0);
        drawn.server.set_clock(at(CREDIT));
        drawn.wait_credited(0);
        let (proof, _, winners) = drawn.verified("r1");
        assert_eq!(proof["draw"], "quanyu.draw.v2");
        // 11 of 24: 5.04, 1.83 and 4.125, so b has the largest remainder.
        let counts = count_by(&winners, |line| text(&line["pack_id"]));
        assert_eq!(counts, [("a".to_string(), 5), ("b".to_string(), 2), ("c".to_string(), 4)].into(), "{name}");
        let ledger = drawn.server.ledger(&drawn.campaign);
        assert_eq!(ledger["total"]["outstanding"], 5 * 1_000 + 2 * 2_000 + 4 * 3_000, "{name}");
        drawn.server.assert_audit_clean();
    }
}

#[test]
fn a_wave_passes_on_what_is_left_in_proportion_and_the_proof_says_what_that_was() {
    let mut file = released("wave-chance", "ballot");
    file["rounds"][0]["assignment"] = json!("chance");
    file["rounds"][0]["packs"] = json!({"a": 6, "b": 2});
    let drawn = Drawn::reserved(file, 12, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let won = |index: &usize| drawn.tap("r1", &drawn.passes[*index], None).ok().str("outcome") == "won";
    (0..12).find(won).expect("eight have won");
    for (wave, closed) in [(1, "2020-07-26T10:00:00"), (2, "2020-07-26T12:00:00")] {
        drawn.server.set_clock(at(closed));
        wait_until("the wave is decided", || (drawn.stats(0)["waves"] == wave).then_some(()));
    }
    drawn.server.set_clock(at("2020-07-27T12:00:00"));
    let (proof, _, winners) = drawn.verified("r1");
    let sum = |list: &Value, name: &str| -> i64 {
        list.as_array().into_iter().flatten().filter_map(|one| one[name].as_i64()).sum()
    };
    let wave = &proof["waves"][0];
    assert_eq!((sum(&wave["supply"], "count"), sum(&wave["tiers"], "winners")), (7, 4), "{wave}");
    let left = |pack: &str| {
        let cells = wave["supply"].as_array().expect("a supply");
        cells.iter().find(|cell| cell["pack_id"] == pack).and_then(|cell| cell["count"].as_i64()).expect("a count")
    };
    // Of 7 packs, 1 or 2 of them b, four go on: 4/7 of one, or 8/7 of two.
    let b = wave["tiers"].as_array().expect("tiers").iter().find(|tier| tier["pack_id"] == "b");
    assert_eq!(b.and_then(|tier| tier["winners"].as_i64()), Some(1), "of {} packs b", left("b"));
    assert_eq!(winners.len(), 12, "everybody has won once");
    drawn.server.assert_audit_clean();
}
