//! Many tills at one instant, whose payments have nothing in common that could be sent once.

use serde_json::{Value, json};

use crate::harness::fixture::new_till;
use crate::harness::identity::Resident;
use crate::harness::{Options, Server, together};

const PEOPLE: usize = 149;
/// Kinds of vouchers in a pack, and packs of a person.
const KINDS: i64 = 10;
const PACKS: usize = 2;
const MOST: i64 = 1_000;

fn campaign() -> Value {
    let kind = |number: i64| {
        json!({"voucher_kind": format!("p{number}"), "kind": "percent", "discount_basis_points": 100 + number,
            "discount_amount_max": MOST, "count": 1})
    };
    let round = |number: usize| {
        json!({"round_id": format!("r{number}"), "mode": "first_come", "reservation": null, "packs": {"ten": PEOPLE},
            "opens_at": "2020-07-01T00:00:00+08:00", "closes_at": "2020-08-01T00:00:00+08:00", "release": {"shape": "at_once"}})
    };
    json!({
        "campaign_id": "at-once", "name": {"zh": "同时", "en": "At once"}, "time_zone": "Asia/Shanghai", "currency": "CNY",
        "budget": (PEOPLE * PACKS) as i64 * KINDS * MOST, "channels": ["wechat"], "eligibility": {"document_types": ["cn_id"]},
        "packs": [{"pack_id": "ten", "vouchers": (0..KINDS).map(kind).collect::<Vec<_>>()}],
        "rounds": (0..PACKS).map(round).collect::<Vec<_>>(),
        "validity": {"available_begin_time": "2020-07-01T00:00:00+08:00", "available_end_time": "2020-09-01T00:00:00+08:00"},
        "use_rule": {"max_vouchers_per_payment": 20}, "refund_policy": "restore_on_full_refund", "carry_over": "none",
        "merchant_enrolment": {"kinds": ["enterprise"], "registered_in": ["5101"]}
    })
}

/// A call names what its members share by a byte each: three thousand different things take many calls.
#[test]
fn a_hundred_and_forty_nine_payments_of_twenty_vouchers_at_one_instant_are_all_taken() {
    // However slow the machine is, nobody waits too long.
    let settings = vec![("QUANYU_STORE_DEADLINE_MS", "60000".to_owned())];
    let server = Server::start(Options { settings, ..Options::at("2020-06-30T12:00:00+08:00") });
    server.create_campaign(&campaign()).ok();
    server.publish("at-once");
    server.set_clock_text("2020-07-02T12:00:00+08:00");
    let till = new_till(&server, "at-once");
    let people = Resident::many(PEOPLE);
    let sales: Vec<Value> = people
        .iter()
        .enumerate()
        .map(|(number, person)| {
            for round in 0..PACKS {
                let path = format!("/v1/campaigns/at-once/rounds/r{round}/claims");
                assert_eq!(server.resident(person, "POST", &path, None).ok().str("outcome"), "won");
            }
            let vouchers: Vec<String> = server.vouchers("at-once", person).into_iter().map(|one| one.0).collect();
            // No two payments have a discount in common, nor have two kinds of one payment.
            json!({"order_id": format!("o-{number}"), "voucher_ids": vouchers, "amount": 50_000 + 97 * number,
                "category": "catering", "capture": number.is_multiple_of(2)})
        })
        .collect();
    let told = together(PEOPLE, |number| server.redeem(&till, &sales[number]));
    for (reply, sale) in told.into_iter().zip(&sales) {
        let reply = reply.ok();
        let amount = sale["amount"].as_i64().expect("fen");
        let expected: i64 = (0..KINDS).map(|kind| amount * (100 + kind) / 10_000).sum::<i64>() * PACKS as i64;
        assert_eq!(reply.int("discount_amount"), expected, "{}", reply.text());
        assert_eq!(reply["vouchers"].as_array().map(Vec::len), Some(20));
    }
    server.assert_audit_clean();
}
