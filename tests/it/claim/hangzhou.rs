//! F2, Hangzhou 2020: three rushes without reservation, one claim a week, vouchers for seven days, from the city's own file.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::first_come::{Rush, hangzhou};
use crate::harness::fixture::{DAY, SECOND, at, merchant, new_merchant_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::till::Till;
use crate::harness::{together, wait_until};

const ACCOUNTS: [&str; 7] = ["unallocated", "unissued", "outstanding", "held", "redeemed", "expired", "recovered"];

fn balanced(rush: &Rush) -> Value {
    let ledger = rush.server.ledger(&rush.campaign);
    let rounds = ledger["rounds"].as_array().cloned().unwrap_or_default();
    for accounts in rounds.iter().chain([&ledger["total"]]) {
        let sum: i64 = ACCOUNTS.iter().map(|name| accounts[*name].as_i64().unwrap_or_default()).sum();
        assert_eq!(accounts["budget"], sum, "{ledger}");
    }
    ledger
}

/// Everybody taps at once until told for good; how often each outcome was told.
fn rush_of(rush: &Rush, round: &str, people: &[Resident]) -> BTreeMap<String, usize> {
    let passes: Vec<String> = people.iter().map(|one| rush.pass(round, one)).collect();
    let told = together(6, |thread| {
        let own = passes.iter().skip(thread).step_by(6);
        own.map(|pass| {
            let reply = rush.tap_on(round, pass);
            if reply.status == 200 { reply.str("outcome").to_string() } else { reply.code().to_string() }
        })
        .collect::<Vec<_>>()
    });
    let mut counts = BTreeMap::new();
    told.into_iter().flatten().for_each(|outcome| *counts.entry(outcome).or_default() += 1);
    counts
}

fn shop(rush: &Rush) -> Till {
    let id = new_merchant_id();
    let mut shop = merchant(&id);
    for place in ["/registered_district", "/operating_district", "/stores/0/district"] {
        *shop.pointer_mut(place).expect("a place") = json!("330106");
    }
    rush.server.create_merchant(&shop).ok();
    rush.server.enrol(&rush.campaign, &id);
    rush.server.create_terminal(&id, "t1")
}

fn buy(rush: &Rush, till: &Till, person: &Resident, amount: i64) -> crate::harness::client::Reply {
    let mut body = sale(&new_order(), &rush.server.pay_code(person), amount, true);
    body["scene"] = json!("offline");
    rush.server.redeem(till, &body)
}

#[test]
fn hangzhou_from_the_first_tap_to_the_last_voucher_with_every_fen_in_its_place() {
    let mut file = hangzhou("f2", [18, 10, 8]);
    file["use_rule"]["scenes"] = json!(["offline"]);
    let rush = Rush::open(&file, 3);
    let people = Resident::many(30);
    let first = rush_of(&rush, "i", &people);
    assert_eq!(first, BTreeMap::from([("won".into(), 18), ("sold_out".into(), 12)]));
    let winners: Vec<&Resident> =
        people.iter().filter(|one| !rush.server.vouchers(&rush.campaign, one).is_empty()).collect();
    assert_eq!(winners.len(), 18);
    balanced(&rush);

    // Two vouchers each at one merchant and day, then a third is refused; one sale comes back whole.
    let (till, other) = (shop(&rush), shop(&rush));
    rush.server.set_clock(at("2020-03-28T12:00:00"));
    for person in &winners[..4] {
        assert_eq!(buy(&rush, &till, person, 4_000).ok().int("discount_amount"), 1_000);
        assert_eq!(buy(&rush, &till, person, 4_000).ok().int("discount_amount"), 1_000);
        assert!(!buy(&rush, &till, person, 4_000).is_success(), "two a day at one merchant");
    }
    let sold = buy(&rush, &other, winners[0], 4_000).ok();
    rush.server.refund(&other, sold.str("order_id"), "R1", 4_000).ok();
    let total = balanced(&rush)["total"].clone();
    assert_eq!((&total["redeemed"], &total["outstanding"]), (&json!(8_000), &json!(82_000)));

    // The seven days of the first round end in the night to the 3rd of April, hours before the second round.
    rush.server.set_clock(at("2020-04-03T00:00:00"));
    wait_until("the first vouchers have expired", || {
        (rush.server.ledger(&rush.campaign)["total"]["expired"] == 82_000).then_some(())
    });
    rush.server.set_clock(at("2020-04-03T10:00:00"));
    let early = rush_of(&rush, "ii", &people[..1]);
    assert_eq!(early, BTreeMap::from([("won".into(), 1)]), "the first of ten slices");
    rush.server.set_clock(at("2020-04-03T10:10:00"));
    let second = rush_of(&rush, "ii", &people);
    assert_eq!(second, BTreeMap::from([("won".into(), 10), ("sold_out".into(), 20)]), "one of them a repeat");
    assert_eq!(buy(&rush, &till, &people[0], 10_000).ok().int("discount_amount"), 2_000);
    balanced(&rush);
    rush.server.assert_audit_clean();

    // Two years on: the third round's vouchers all end with the round's own validity.
    rush.server.set_clock(at("2022-06-24T20:00:00"));
    let third = rush_of(&rush, "2022-06", &people);
    assert_eq!(third, BTreeMap::from([("won".into(), 8), ("sold_out".into(), 22)]));
    rush.server.set_clock(at("2022-07-03T20:00:00") + DAY + SECOND);
    wait_until("everything has ended", || {
        (rush.server.ledger(&rush.campaign)["total"]["outstanding"] == 0).then_some(())
    });
    let total = balanced(&rush)["total"].clone();
    assert_eq!((&total["redeemed"], &total["unissued"]), (&json!(10_000), &json!(0)));
    rush.server.assert_audit_clean();
}
