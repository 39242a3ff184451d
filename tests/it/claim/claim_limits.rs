//! Limits on claims, choices of packs, parts of channels, winners of earlier rounds, and validity by the day of receipt.

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, HOUR, SECOND, at, merchant, new_merchant_id, new_order, parse_time, sale};
use crate::harness::identity::Resident;
use crate::harness::wait_until;

/// Three rounds one after another on Friday, Sunday and the Monday after it.
fn three_rounds(name: &str, limit: Value) -> Value {
    let mut file = hangzhou(name, [9, 9, 9]);
    let windows = [
        ("2020-03-27T08:00:00+08:00", "2020-03-28T00:00:00+08:00"),
        ("2020-03-29T23:00:00+08:00", "2020-03-30T00:00:00+08:00"),
        ("2020-03-30T00:00:00+08:00", "2020-03-31T00:00:00+08:00"),
    ];
    for (round, (opens, closes)) in windows.iter().enumerate() {
        file["rounds"][round]["opens_at"] = json!(opens);
        file["rounds"][round]["closes_at"] = json!(closes);
        file["rounds"][round]["release"] = json!({"shape": "at_once"});
    }
    file["rounds"][2].as_object_mut().expect("a round").remove("validity");
    file["limits"] = json!([limit]);
    file
}

fn claims(rush: &Rush, person: &Resident) -> [Reply; 3] {
    let rounds = [("i", "2020-03-27T20:00:00"), ("ii", "2020-03-29T23:59:59"), ("2022-06", "2020-03-30T00:00:00")];
    rounds.map(|(round, instant)| {
        rush.server.set_clock(at(instant));
        rush.tap(round, &rush.server.token(person))
    })
}

fn outcome(reply: &Reply) -> &str {
    if reply.status == 200 { reply.str("outcome") } else { reply.code() }
}

#[test]
fn one_claim_a_week_begins_again_on_monday_at_midnight_in_the_city() {
    let limit = json!({"action": "claim", "entities": ["person"], "period": "week", "max_count": 1});
    let rush = Rush::open(&three_rounds("week", limit.clone()), 2);
    let person = Resident::new();
    let answers = claims(&rush, &person);
    assert_eq!(answers.each_ref().map(outcome), ["won", "limit_reached", "won"]);
    assert_eq!((answers[1].status, &answers[1]["limit"]), (409, &limit), "{}", answers[1].text());
    let other = Resident::new();
    assert_eq!(rush.tap("2022-06", &rush.server.token(&other)).ok().str("outcome"), "won");
    assert_eq!(rush.issued(), 3);
    rush.server.assert_audit_clean();
}

#[test]
fn a_limit_by_money_lets_through_what_still_fits_and_one_by_campaign_never_ends() {
    // 50 yuan, then 100, then 50 again: the second would pass 120.
    let limit = json!({"action": "claim", "entities": ["person"], "period": "campaign", "max_amount": 12_000});
    let rush = Rush::open(&three_rounds("money", limit), 1);
    let answers = claims(&rush, &Resident::new());
    assert_eq!(answers.each_ref().map(outcome), ["won", "limit_reached", "won"]);
    let limit = json!({"action": "claim", "entities": ["person"], "period": "campaign", "max_count": 2});
    let rush = Rush::open(&three_rounds("count", limit), 1);
    let answers = claims(&rush, &Resident::new());
    assert_eq!(answers.each_ref().map(outcome), ["won", "won", "limit_reached"]);
}

#[test]
fn who_got_a_pack_in_an_earlier_round_does_not_take_part_in_one_that_excludes_them() {
    let mut file =
        three_rounds("excluded", json!({"action": "claim", "entities": ["person"], "period": "day", "max_count": 5}));
    file["rounds"][2]["exclude_winners_of"] = json!(["i"]);
    let rush = Rush::open(&file, 1);
    let (winner, other) = (Resident::new(), Resident::new());
    let answers = claims(&rush, &winner);
    assert_eq!(answers.each_ref().map(outcome), ["won", "won", "not_eligible"]);
    assert_eq!(answers[2]["reasons"][0]["rule"], "exclude_winners_of");
    assert_eq!(rush.tap("2022-06", &rush.server.token(&other)).ok().str("outcome"), "won");
}

/// Two packs to choose from, divided over two channels.
fn tiers(name: &str, assignment: &str, most: i64) -> Value {
    let mut file = hangzhou(name, [6, 1, 1]);
    file["channels"] = json!(["wechat", "alipay"]);
    file["budget"] = json!(1_000_000);
    file["limits"] = json!([]);
    let parts = json!({"wechat": 2, "alipay": 1});
    file["rounds"][0]["packs"] =
        json!({"five-40-10": {"count": 5, "by_channel": "equal"}, "hundred": {"count": 3, "by_channel": parts}});
    file["rounds"][0]["assignment"] = json!(assignment);
    file["rounds"][0]["max_packs_per_person"] = json!(most);
    file
}

#[test]
fn a_person_names_a_pack_and_each_channel_has_its_own_part() {
    let rush = Rush::open(&tiers("choice", "choice", 1), 4);
    let tap = |person: &Resident, pack: &str| {
        let token = rush.server.token(person);
        wait_until("the tap has a result", || {
            let reply = rush.tap_for("i", &token, Some(json!({ "pack_id": pack })));
            (reply.str("outcome") != "not_yet").then_some(reply)
        })
    };
    let first = Resident::new();
    rush.tap("i", &rush.server.token(&first)).refused(422, "pack_choice_required");
    tap(&first, "fifty-2022").refused(422, "invalid_request");
    assert_eq!(tap(&first, "hundred").ok()["pack"]["pack_id"], "hundred");
    assert!(tap(&first, "hundred").ok().replayed());
    tap(&first, "five-40-10").refused(409, "limit_reached");
    let count = |channel: &str, pack: &str| {
        let people: Vec<Resident> = Resident::many(5).into_iter().map(|one| one.through(channel)).collect();
        people.iter().filter(|person| tap(person, pack).ok().str("outcome") == "won").count()
    };
    assert_eq!((count("wechat", "hundred"), count("alipay", "hundred")), (1, 1), "parts as the file says");
    assert_eq!(
        (count("wechat", "five-40-10"), count("alipay", "five-40-10")),
        (3, 2),
        "the first channel has the rest"
    );
    let ledger = rush.server.ledger(&rush.campaign);
    assert_eq!(ledger["rounds"][0]["unissued"], 0);
    rush.server.assert_audit_clean();
}

#[test]
fn one_of_each_is_claimed_pack_by_pack_up_to_the_most_of_a_person() {
    let rush = Rush::open(&tiers("each", "each", 2), 1);
    let person = Resident::new();
    let pass = rush.pass("i", &person);
    let tap = |pack: &str| rush.tap_for("i", &pass, Some(json!({ "pack_id": pack }))).ok();
    let packs = ["five-40-10", "hundred"].map(|pack| tap(pack)["pack"]["pack_id"].clone());
    assert_eq!(packs, [json!("five-40-10"), json!("hundred")]);
    assert!(tap("five-40-10").replayed() && tap("hundred").replayed());
    assert_eq!(rush.server.vouchers(&rush.campaign, &person).len(), 8);
    assert_eq!(rush.mine("i", &person).ok().str("result"), "won");
    rush.server.assert_audit_clean();
}

#[test]
fn vouchers_valid_for_days_after_receipt_end_with_the_citys_days_and_their_money_with_them() {
    let mut file = hangzhou("relative", [4, 2, 2]);
    file["validity"] = json!({"available_day_after_receive": 2, "wait_days_after_receive": 1});
    let rush = Rush::open(&file, 2);
    let (early, late) = (Resident::new(), Resident::new());
    let midnight = at("2020-03-28T00:00:00");
    rush.server.set_clock(midnight - SECOND);
    assert_eq!(rush.tap("i", &rush.server.token(&early)).ok().str("outcome"), "won");
    rush.server.set_clock(midnight);
    assert_eq!(rush.tap("i", &rush.server.token(&late)).ok().str("outcome"), "won");
    let shown = |person: &Resident| {
        let one = rush.server.wallet(&rush.campaign, person).ok()["vouchers"][0].clone();
        (parse_time(&one["available_begin_time"]), parse_time(&one["available_end_time"]))
    };
    assert_eq!(shown(&early), (midnight, midnight + 2 * DAY), "received on the 27th: the 28th and 29th");
    assert_eq!(shown(&late), (midnight + DAY, midnight + 3 * DAY));
    rush.server.assert_audit_clean();

    let till = {
        let id = new_merchant_id();
        let mut shop = merchant(&id);
        shop["registered_district"] = json!("330106");
        shop["operating_district"] = json!("330106");
        shop["stores"][0]["district"] = json!("330106");
        rush.server.create_merchant(&shop).ok();
        rush.server.enrol(&rush.campaign, &id);
        rush.server.create_terminal(&id, "t1")
    };
    let buy = |person: &Resident| {
        let code = rush.server.pay_code(person);
        rush.server.redeem(&till, &sale(&new_order(), &code, 5_000, true))
    };
    rush.server.set_clock(midnight + 12 * HOUR);
    assert_eq!(buy(&early).ok().int("discount_amount"), 1_000);
    assert!(!buy(&late).is_success(), "the wait is not over");
    let total = |name: &str| rush.server.ledger(&rush.campaign)["total"][name].as_i64().expect("a number");
    rush.server.set_clock(midnight + 2 * DAY - 1);
    assert_eq!((total("outstanding"), total("expired")), (9_000, 0));
    rush.server.set_clock(midnight + 2 * DAY);
    wait_until("the first person's rest has expired", || (total("expired") == 4_000).then_some(()));
    assert!(!buy(&early).is_success());
    assert_eq!(buy(&late).ok().int("discount_amount"), 1_000);
    rush.server.set_clock(midnight + 3 * DAY);
    wait_until("all is over", || (total("expired") == 8_000 && total("outstanding") == 0).then_some(()));
    rush.server.assert_audit_clean();
}
