//! F3, Shanghai 2022: four ballots under a notary, one registration for a person over three channels, the money of each going on.

use serde_json::{Value, json};

use super::{Play, file, in_shanghai, paid, people, put_shanghai};
use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::identity::{Resident, with_check_digit};
use crate::harness::till::Till;

/// 8, 6, 8 (out of money) and 8 packs.
const DIVISOR: i64 = 250_000;
const EVE: &str = "2022-08-15T12:00:00";
const CHANNELS: [&str; 3] = ["unionpay", "alipay", "wechat"];

#[test]
fn f3_shanghai_2022_is_rehearsed_over_its_four_rounds() {
    let file = file("shanghai-2022", DIVISOR);
    let server = Server::at(&format!("{EVE}+08:00"));
    put_shanghai(&server);
    let play = Play::publish_on(server, &file, "310101", EVE);
    let first = registered_once(&play);
    play.go("2022-08-24T10:00:00");
    play.go("2022-08-25T10:00:00");
    play.draw_with_notary(0, "r1", "20220825");
    play.go("2022-08-26T00:00:00");
    let winners = credited(&play, 0, &first, 3);
    assert_eq!(winners.len(), 8);
    let till = play.till();
    spent(&play, &till, &winners);
    play.go("2022-09-15T00:00:00");
    // 25 of a 100-50 came back to the issuer; the rest of what was not spent has expired.
    assert_eq!(play.fen(0, ["unissued", "outstanding", "expired", "recovered"]), [0, 0, 0, 0], "all of it has gone on");
    let [budget, redeemed] = play.fen(0, ["budget", "redeemed"]);
    assert_eq!((budget, redeemed, play.pool()), (10_000, 10_000, 80_000 - 10_000));
    for (index, round, month, packs) in [(1, "r2", "2022-09", 6), (2, "r3", "2022-10", 8)] {
        let pool = play.pool();
        later_round(&play, index, round, month, packs);
        // Six packs of 200 yuan and eight of 150 are the same money.
        let handed_on = 120_000 - 2_500;
        assert_eq!((play.fen(index, ["redeemed"]), play.pool()), ([2_500], pool + handed_on));
    }
    let pool = play.pool();
    later_round(&play, 3, "r4", "2022-11", 8);
    assert_eq!(play.fen(3, ["expired", "redeemed"]), [80_000 - 2_500, 2_500], "there is no next round");
    assert_eq!(play.pool(), pool);
    for round in ["r1", "r2", "r3", "r4"] {
        let drawn = play.verified(round);
        assert_eq!(drawn.proof["cutoffs"].as_array().map(Vec::len), Some(1), "all channels in one draw");
        assert!(drawn.entries.len() > drawn.winners.len());
    }
    play.settled();
}

/// Fourteen are on the list; who is too young, elsewhere or there already is not.
fn registered_once(play: &Play) -> Vec<Resident> {
    play.go("2022-08-20T10:00:00");
    let mut crowd = people(13, &CHANNELS);
    for person in &crowd {
        play.reserve("r1", person, None).ok();
    }
    let child = Resident { number: with_check_digit("31010120050820123"), ..Resident::new().through("wechat") };
    let young = play.reserve("r1", &child, None).refused(403, "not_eligible");
    assert_eq!(young["reasons"][0]["rule"], "minimum_age", "{}", young.text());
    let beijing = json!({"round_id": "r1", "location": {"longitude": 116.4, "latitude": 39.9}});
    let away = play.server.reserve_with(&play.campaign, &Resident::new().through("wechat"), beijing);
    assert_eq!(away.refused(403, "not_eligible")["reasons"][0]["rule"], "location");
    // The same person registers with WeChat at 10:00 and with Alipay at 09:59: the Alipay entry alone counts.
    let wechat = Resident::new().through("wechat");
    let alipay = wechat.clone().through("alipay");
    play.reserve("r1", &wechat, None).ok();
    play.reserve("r1", &wechat.clone().through("unionpay"), None).refused(409, "already_reserved");
    let row = json!({"channel": "alipay", "document_type": "cn_id", "document_number": alipay.number,
        "round_id": "r1", "location": in_shanghai(), "registered_at": "2022-08-20T09:59:00+08:00"});
    let reply = bring(play, &[row]);
    assert_eq!(reply["rows"][0]["result"], "replaced", "{}", reply.text());
    let mine = play.server.my_reservation(&play.campaign, &alipay).ok();
    assert!(mine.text().contains("alipay") && !mine.text().contains("wechat"), "{}", mine.text());
    crowd.push(alipay);
    play.checked();
    crowd
}

fn bring(play: &Play, rows: &[Value]) -> Reply {
    let path = format!("/v1/campaigns/{}/reservations/import", play.campaign);
    let mut request = Request::new("POST", &path).bearer(&play.server.admin_key);
    request.body = rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes();
    play.server.send(&request.header("content-type", "application/x-ndjson")).ok()
}

/// Who has a pack now, each with this many vouchers, all credited to the channel of the registration.
fn credited(play: &Play, index: usize, crowd: &[Resident], vouchers: usize) -> Vec<Resident> {
    assert_eq!(play.stats(index)["credited"], true);
    let mut winners = Vec::new();
    for person in crowd {
        let wallet = play.server.wallet(&play.campaign, person).ok();
        let mine = wallet["vouchers"].as_array().expect("vouchers");
        let usable: Vec<&Value> = mine.iter().filter(|one| one["state"] != "expired").collect();
        assert!(usable.iter().all(|one| one["channel"] == json!(person.channel)), "{}", wallet.text());
        assert!([0, vouchers].contains(&usable.len()), "{}", wallet.text());
        if !usable.is_empty() {
            winners.push(person.clone());
        }
    }
    let [outstanding] = play.fen(index, ["outstanding"]);
    assert!(outstanding > 0);
    winners
}

fn spent(play: &Play, till: &Till, winners: &[Resident]) {
    let half = play.buy(till, &winners[0], 10_000, json!({"scene": "online"})).ok();
    assert_eq!((half.int("discount_amount"), half.int("payable")), (5_000, 5_000));
    let back = play.refund(till, &half, "R1", 5_000);
    assert_eq!((back.int("to_payer"), back.int("to_issuer")), (2_500, 2_500), "half the goods, half the money each");
    assert_eq!(back["vouchers"][0]["state"], "used", "and the voucher is consumed");
    let one = play.buy(till, &winners[1], 30_000, json!({})).ok();
    assert_eq!((one["vouchers"].as_array().map(Vec::len), one.int("discount_amount")), (Some(1), 5_000));
    let whole = play.buy(till, &winners[2], 5_000, json!({})).ok();
    play.refund(till, &whole, "R1", 5_000);
    assert_eq!(play.vouchers(&winners[2], "available").len(), 3);
    let another = CHANNELS.iter().find(|channel| **channel != winners[3].channel).expect("three channels");
    let wrong = play.buy(till, &winners[3].clone().through(another), 10_000, json!({}));
    assert!(!wrong.is_success(), "a voucher is for the channel it was credited to: {}", wrong.text());
    let card = json!({"items": [{"sku": "c", "category": "prepaid_card", "amount": 10_000}]});
    play.buy(till, &winners[3], 10_000, card).refused_with("items_not_eligible");
    let mixed =
        json!({"items": [{"sku": "c", "category": "top_up", "amount": 5_000}, {"sku": "tea", "amount": 5_000}]});
    assert_eq!(paid(play.buy(till, &winners[3], 10_000, mixed)), (2_500, 7_500), "only the tea counts");
    let held = json!({"capture": false});
    let held = play.buy(till, &winners[4], 5_000, held).ok();
    assert_eq!(play.fen(0, ["held"]), [2_500]);
    let confirmed = play.server.confirm(till, held.str("order_id"), held.str("hold_id"), held.int("payable")).ok();
    assert_eq!(confirmed.str("state"), "redeemed");
    play.server.reverse(till, held.str("order_id")).ok();
    play.checked();
}

/// Reservation, list, notary, credit, one sale, expiry.
fn later_round(play: &Play, index: usize, round: &str, month: &str, packs: usize) {
    let text = file("shanghai-2022", DIVISOR)["rounds"][index].clone();
    let time = |pointer: &str| {
        let text = text.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"));
        text.trim_end_matches("+08:00").to_string()
    };
    assert!(time("/reservation/opens_at").starts_with(month));
    play.go(&time("/reservation/opens_at"));
    let crowd = people(packs + 3, &CHANNELS);
    for person in &crowd {
        play.reserve(round, person, None).ok();
    }
    play.go(&time("/draw/close_list_at"));
    play.go(&time("/draw/at"));
    play.draw_with_notary(index, round, "4711");
    play.go(&time("/credit_at"));
    let winners = credited(play, index, &crowd, if round == "r1" || round == "r4" { 3 } else { 4 });
    assert_eq!(winners.len(), packs);
    play.go(&time("/validity/available_begin_time"));
    assert_eq!(paid(play.buy(&play.till(), &winners[0], 5_000, json!({}))), (2_500, 2_500));
    play.go(&time("/validity/available_end_time"));
}
