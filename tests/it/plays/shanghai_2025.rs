//! F4, Shanghai's dining vouchers of 2025: a tier of one's own choice on every channel, a draw for each, and a second round from the pool.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Play, file, paid, put_shanghai};
use crate::harness::Server;
use crate::harness::identity::Resident;

/// Tiers of 30, 15 and 9 packs: 10, 5 and 3 on each channel.
const DIVISOR: i64 = 16_000;
const EVE: &str = "2025-02-20T12:00:00";
const CHANNELS: [&str; 3] = ["unionpay", "alipay", "wechat"];

#[test]
fn f4_shanghai_2025_is_rehearsed_with_its_tiers_and_the_pool_of_the_second_round() {
    let file = file("shanghai-2025", DIVISOR);
    let server = Server::at(&format!("{EVE}+08:00"));
    put_shanghai(&server);
    let play = Play::publish_on(server, &file, "310106", EVE);
    let crowd = registered(&play);
    play.go("2025-02-25T12:00:00");
    play.go("2025-02-26T10:00:00");
    play.draw_with_notary(0, "r1", "226022");
    play.go("2025-02-28T12:00:00");
    assert_eq!(play.stats(0)["issued"], 46, "30 of a, 15 of b, and the one of c that somebody wanted");
    assert_eq!((play.fen(0, ["outstanding"]), play.pool()), ([580_000], 8 * 40_000));
    drawn_apart(&play);
    let winner = crowd[1..].iter().find(|one| !through_all(one, &play).is_empty()).expect("thirty have won a");
    assert!(through_all(winner, &play).iter().all(|kind| kind == "300-90"), "nobody gets a tier that was not chosen");
    play.go("2025-03-01T00:00:00");
    let redeemed = dinners(&play, &crowd);
    let second = second_round(&play);
    play.go("2025-04-01T00:00:00");
    assert_eq!(play.fen(0, ["outstanding", "expired", "recovered", "redeemed"]), [0, 0, 0, redeemed]);
    assert_eq!(play.pool(), 65_000 + 580_000 - redeemed, "what expires after the second draw stays in the pool");
    let sold = second.iter().find(|one| one.1 == "300-90").expect("somebody has an a");
    assert_eq!(paid(play.buy(&play.till(), &sold.0, 30_000, dine_in())), (9_000, 21_000));
    play.go("2025-05-01T00:00:00");
    assert_eq!(play.fen(1, ["outstanding", "redeemed"]), [0, 9_000]);
    assert_eq!(play.verified("r2").winners.len(), play.stats(1)["issued"].as_u64().expect("a number") as usize);
    play.settled();
}

fn dine_in() -> Value {
    json!({"scene": "dine_in"})
}

fn through_all(person: &Resident, play: &Play) -> Vec<String> {
    let wallet = play.server.vouchers(&play.campaign, person);
    wallet.into_iter().map(|voucher| voucher.1).collect()
}

/// Eleven want a and six want b, each on all three channels; the first person has a tier of its own on every channel.
fn registered(play: &Play) -> Vec<Resident> {
    play.go("2025-02-22T00:00:00");
    let crowd = Resident::many(18);
    for (index, person) in crowd.iter().enumerate() {
        let tiers = match index {
            0 => ["b", "a", "c"],
            1..=11 => ["a"; 3],
            _ => ["b"; 3],
        };
        for (channel, tier) in CHANNELS.iter().zip(tiers) {
            play.reserve("r1", &person.clone().through(channel), Some(tier)).ok();
        }
    }
    let other = play.reserve("r1", &crowd[0].clone().through("alipay"), Some("b"));
    other.refused(409, "already_reserved");
    play.reserve("r1", &Resident::new().through("alipay"), None).refused(422, "pack_choice_required");
    assert_eq!(play.server.stats(&play.campaign)["reserved"], 54, "up to three registrations of a person");
    crowd
}

/// Each tier of each channel is a draw of its own, and all of them can be recomputed.
fn drawn_apart(play: &Play) {
    let drawn = play.verified("r1");
    assert_eq!(drawn.entries.len(), 54);
    let cutoffs = drawn.proof["cutoffs"].as_array().expect("cutoffs");
    let decided = cutoffs.iter().filter(|cutoff| cutoff["winners"] != 0);
    let scores: Vec<&Value> = decided.map(|cutoff| &cutoff["score"]).collect();
    let distinct: BTreeSet<String> = scores.iter().map(|score| score.to_string()).collect();
    assert_eq!((scores.len(), distinct.len()), (7, 7), "no draw follows from another: {}", drawn.proof);
    let mut won: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in &drawn.winners {
        let cell = (line["channel"].as_str().unwrap_or("-"), line["pack_id"].as_str().unwrap_or("-"));
        *won.entry(cell).or_default() += 1;
    }
    for channel in CHANNELS {
        let c = if channel == "wechat" { Some(&1) } else { None };
        let cells = ["a", "b", "c"].map(|tier| won.get(&(channel, tier)));
        assert_eq!(cells, [Some(&10), Some(&5), c], "{channel}: {won:?}");
    }
}

/// What dinners have cost the city.
fn dinners(play: &Play, crowd: &[Resident]) -> i64 {
    let person = crowd[0].clone().through("wechat");
    let till = play.till();
    let dinner = |meal: i64, off: i64, coupon: i64| {
        json!({"scene": "dine_in", "merchant_discount": off, "items": [
            {"sku": "menu", "category": "catering", "amount": meal, "merchant_discount": off},
            {"sku": "g-1", "category": "group_buy_coupon", "amount": coupon}]})
    };
    play.buy(&till, &person, 100_000, json!({})).refused_with("scene_not_allowed");
    play.buy(&till, &person, 100_000, json!({"scene": "dine_in", "category": "lodging"}))
        .refused_with("category_not_allowed");
    let short = play.buy(&till, &person, 150_000, dinner(100_000, 1, 50_000)).refused_with("minimum_not_met");
    assert_eq!(short["missing_amount"], 1, "the threshold is judged after the merchant's discount");
    let sold = play.buy(&till, &person, 150_001, dinner(100_001, 1, 50_000)).ok();
    assert_eq!((sold.int("discount_amount"), sold.int("payable")), (40_000, 110_000));
    // A third of the meal comes back, and with it a third of everything.
    let back = play.refund(&till, &sold, "R1", 50_000);
    let shares = (back.int("to_payer"), back.int("to_issuer"));
    assert_eq!(shares, (36_666, 13_334), "the payer's share is rounded down, the issuer has the rest");
    let has_b = |one: &&Resident| play.vouchers(one, "available").iter().any(|voucher| voucher.1 == "500-180");
    let other = crowd[12..].iter().find(has_b).expect("b has winners");
    let channel = CHANNELS.iter().find(|channel| {
        let wallet = play.server.wallet(&play.campaign, other).ok();
        wallet["vouchers"].as_array().expect("vouchers").iter().any(|voucher| voucher["channel"] == ***channel)
    });
    let other = other.clone().through(channel.expect("of some channel"));
    let whole = play.buy(&till, &other, 60_000, dine_in()).ok();
    assert_eq!(whole.int("discount_amount"), 18_000);
    let before = play.vouchers(&other, "available").len();
    play.refund(&till, &whole, "R1", 60_000);
    assert_eq!(play.vouchers(&other, "available").len(), before + 1);
    40_000 - 13_334
}

/// A month later 320,000 fen are in the pool: a third for each channel, of which 30, 30 and 40 per cent buy 3, 1 and 1 packs.
fn second_round(play: &Play) -> Vec<(Resident, String)> {
    play.go("2025-03-22T09:00:00");
    let crowd = Resident::many(6);
    let wishes: Vec<(Resident, &str)> = crowd
        .iter()
        .enumerate()
        .flat_map(|(index, person)| {
            let tier = if index < 4 { "a" } else { ["b", "c"][index - 4] };
            CHANNELS.map(|channel| (person.clone().through(channel), tier))
        })
        .collect();
    for (person, tier) in &wishes {
        play.reserve("r2", person, Some(tier)).ok();
    }
    play.go("2025-03-25T12:00:00");
    play.go("2025-03-26T10:00:00");
    play.draw_with_notary(1, "r2", "326326");
    assert_eq!(play.fen(1, ["budget", "unissued"]), [255_000, 255_000]);
    assert_eq!(play.pool(), 65_000);
    play.go("2025-03-31T12:00:00");
    assert_eq!((&play.stats(1)["issued"], play.fen(1, ["outstanding"])), (&json!(15), [255_000]));
    let held = wishes.iter().flat_map(|(person, _)| {
        let wallet = play.server.wallet(&play.campaign, person).ok();
        let mine = wallet["vouchers"].as_array().expect("vouchers").clone();
        let mine = mine.into_iter().filter(|voucher| voucher["channel"] == json!(person.channel));
        mine.map(|voucher| (person.clone(), voucher["voucher_kind"].as_str().unwrap_or("").to_string()))
    });
    held.collect()
}
