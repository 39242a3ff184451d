//! F5, Shijingshan: first come, one of each face, seven-day rounds, and what nobody used opens the next one.

use serde_json::{Value, json};

use super::{Play, file, paid, people};

/// 120,000 fen: 24, 9, 3 and 1 vouchers of 20, 40, 80 and 120 yuan.
const DIVISOR: i64 = 2_500;
const FACES: [(&str, i64, i64); 4] = [("f20", 4, 2_000), ("f40", 3, 4_000), ("f80", 2, 8_000), ("f120", 1, 12_000)];

/// How many packs a sum buys by the weights of the file.
fn packs(money: i64) -> Vec<i64> {
    FACES.iter().map(|(_, weight, value)| money * weight / (10 * value)).collect()
}

#[test]
fn f5_shijingshan_is_rehearsed_and_its_unused_money_opens_the_second_round() {
    let file = file("shijingshan-2025", DIVISOR);
    let play = Play::publish(&file, "110107", "2025-12-20T12:00:00");
    let crowd = people(8, &["alipay"]);
    play.go("2025-12-28T10:00:00");
    play.wins("r1", &crowd[0], Some("f120"));
    assert_eq!(play.stats(0)["remaining"], packs(120_000).iter().sum::<i64>() - 1);
    for (face, ..) in &FACES[..3] {
        play.wins("r1", &crowd[0], Some(face));
    }
    let again = play.claim("r1", &crowd[0], Some("f20")).ok();
    assert!(again.replayed() && play.vouchers(&crowd[0], "available").len() == 4, "one of each face: {}", again.text());
    assert_eq!(play.claim("r1", &crowd[1], Some("f120")).ok().str("outcome"), "sold_out");
    for person in &crowd[1..5] {
        play.wins("r1", person, Some("f20"));
        play.wins("r1", person, Some("f40"));
    }
    let pass = play.pass("r1", &crowd[5]);
    play.tap("r1", &pass, None).refused(422, "pack_choice_required");
    let till = play.till();
    assert_eq!(paid(play.buy(&till, &crowd[0], 30_000, json!({}))), (12_000, 18_000));
    let refunded = play.buy(&till, &crowd[1], 5_000, json!({})).ok();
    play.refund(&till, &refunded, "R1", 2_500);
    let late = play.buy(&till, &crowd[2], 10_000, json!({})).ok();
    assert_eq!(late.int("discount_amount"), 4_000);
    play.go("2026-01-03T23:59:30");
    let held = play.buy(&till, &crowd[3], 10_000, json!({"capture": false})).ok();
    play.go("2026-01-04T00:00:00");
    play.buy(&till, &crowd[4], 10_000, json!({})).refused_with("voucher_expired");
    assert_eq!(play.fen(0, ["held", "outstanding"]), [4_000, 0], "the hold is still good");
    play.go("2026-01-04T00:00:30");
    let confirmed = play.server.confirm(&till, held.str("order_id"), held.str("hold_id"), held.int("payable")).ok();
    assert_eq!(confirmed.str("state"), "redeemed", "validity was judged at the hold");
    play.note(&till);
    let spent = 12_000 + 1_000 + 4_000 + 4_000;
    play.go("2026-01-04T10:00:00");
    second_round(&play, spent);
    // Goods of the first round come back: the voucher is long over, and the money goes to the pool.
    let pool = play.pool();
    play.refund(&till, &late, "R1", 10_000);
    play.go("2026-01-05T10:00:00");
    assert_eq!(play.pool(), pool + 4_000);
    play.go("2026-01-11T00:00:00");
    play.go("2026-01-12T00:00:00");
    let [unissued, outstanding, expired, redeemed] = play.fen(1, ["unissued", "outstanding", "expired", "redeemed"]);
    assert_eq!((outstanding, expired, redeemed), (0, 8_000, 2_000), "leftovers of the last round are the treasury's");
    assert_eq!(unissued + 10_000, play.fen(1, ["budget"])[0]);
    play.settled();
}

fn second_round(play: &Play, spent: i64) {
    let money = 120_000 - spent;
    let counts = packs(money);
    let cost: i64 = counts.iter().zip(&FACES).map(|(count, face)| count * face.2).sum();
    assert_eq!(play.fen(0, ["budget", "redeemed", "expired", "recovered", "unissued"]), [spent, spent, 0, 0, 0]);
    assert_eq!((play.fen(1, ["budget"]), play.pool()), ([cost], money - cost));
    let crowd = people(3, &["alipay"]);
    play.wins("r2", &crowd[0], Some("f20"));
    play.wins("r2", &crowd[1], Some("f80"));
    let none = counts[3] == 0;
    let told: Value = play.claim("r2", &crowd[2], Some("f120")).ok().json;
    assert_eq!(told["outcome"], if none { "sold_out" } else { "won" }, "{counts:?}");
    assert_eq!(paid(play.buy(&play.till(), &crowd[0], 5_000, json!({}))), (2_000, 3_000));
}
