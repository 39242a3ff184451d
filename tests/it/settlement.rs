//! Money out: a merchant's day as JSON and CSV, equal to the ledger.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::Request;
use crate::harness::fixture::{Market, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::till::Till;

fn buy(server: &Server, till: &Till, person: &crate::harness::identity::Resident, amount: i64) -> String {
    let reply = server.redeem(till, &sale(&new_order(), &server.pay_code(person), amount, true)).ok();
    reply.str("order_id").to_string()
}

fn day(server: &Server, date: &str, till: &Till) -> Value {
    server.settlement(date, &till.merchant_id).ok().json
}

#[test]
fn a_merchants_day_lists_every_effect_with_its_sign_and_sums_to_the_ledger() {
    let market = Market::open("day", 4);
    let (server, till, other) = (market.server(), market.till(), market.till());
    let person = market.shopper();
    let (kept, back) = (buy(server, &till, &person, 6400), buy(server, &till, &person, 3000));
    server.reverse(&till, &back).ok();
    let part = buy(server, &till, &person, 6000);
    server.refund(&till, &part, "R1", 3000).ok();
    buy(server, &other, &market.shopper(), 3000);

    let settled = day(server, "2020-07-25", &till);
    assert_eq!((&settled["date"], &settled["state"]), (&json!("2020-07-25"), &json!("open")));
    let lines = settled["lines"].as_array().expect("lines");
    let of = |order: &str| -> Vec<(String, i64)> {
        let mine = lines.iter().filter(|line| line["order_id"] == order);
        mine.map(|line| (line["kind"].as_str().unwrap_or("").to_string(), line["subsidy"].as_i64().unwrap_or(0)))
            .collect()
    };
    assert_eq!(of(&kept), [("redeem".to_string(), 2000)]);
    assert_eq!(of(&back), [("redeem".to_string(), 1000), ("reverse".to_string(), -1000)]);
    // Half of a 60-20 comes back: the issuer's share is 1000.
    assert_eq!(of(&part), [("redeem".to_string(), 2000), ("refund".to_string(), -1000)]);
    assert_eq!(settled["totals"]["subsidy"], 3000);
    assert_eq!(settled["totals"]["count"], json!(lines.len()));
    for line in lines {
        for field in ["transaction_id", "voucher_id", "voucher_kind", "terminal"] {
            assert!(line[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {line}");
        }
    }
    let theirs = day(server, "2020-07-25", &other);
    assert_eq!(theirs["totals"]["subsidy"], 1000);
    let ledger = server.ledger(market.campaign());
    assert_eq!(ledger["total"]["redeemed"], 4000, "the days of all merchants are the ledger's redeemed");
}

#[test]
fn the_csv_says_what_the_json_says() {
    let market = Market::open("csv", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    buy(server, &till, &person, 6400);
    let second = buy(server, &till, &person, 3000);
    server.refund(&till, &second, "R1", 1000).ok();
    let settled = day(server, "2020-07-25", &till);
    let path = format!("/v1/settlements/2020-07-25/{}", till.merchant_id);
    let csv = server.send(&Request::new("GET", &path).bearer(&server.admin_key).header("accept", "text/csv")).ok();
    assert!(csv.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")));
    let text = csv.text();
    let mut rows = text.trim_start_matches('\u{feff}').lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = rows.next().expect("a head line");
    let column = |name: &str| head.iter().position(|one| *one == name).unwrap_or_else(|| panic!("{name}: {head:?}"));
    let (order, kind, subsidy) = (column("order_id"), column("kind"), column("subsidy"));
    let read: BTreeSet<(String, String, String)> = rows
        .filter(|row| row.len() == head.len())
        .map(|row| (row[order].to_string(), row[kind].to_string(), row[subsidy].to_string()))
        .collect();
    let wanted: BTreeSet<(String, String, String)> = settled["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| {
            (
                line["order_id"].as_str().unwrap_or("").to_string(),
                line["kind"].as_str().unwrap_or("").to_string(),
                line["subsidy"].to_string(),
            )
        })
        .collect();
    assert_eq!(read, wanted, "{text}");
}

#[test]
fn a_day_ends_at_midnight_of_the_city() {
    let market = Market::open("midnight", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    server.set_clock(at("2020-07-26T00:00:00") - 1);
    let before = buy(server, &till, &person, 6000);
    server.set_clock(at("2020-07-26T00:00:00"));
    let after = buy(server, &till, &person, 6000);
    let orders = |date: &str| {
        let settled = day(server, date, &till);
        let lines = settled["lines"].as_array().expect("lines").clone();
        lines.iter().map(|line| line["order_id"].as_str().unwrap_or("").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(orders("2020-07-25"), [before]);
    assert_eq!(orders("2020-07-26"), [after]);
}

#[test]
fn a_settlement_is_for_its_own_program_only() {
    let market = Market::open("whose", 1);
    let (server, till) = (market.server(), market.till());
    buy(server, &till, &market.shopper(), 6000);
    let stranger = server.create_key("finance", "another-city");
    let path = format!("/v1/settlements/2020-07-25/{}", till.merchant_id);
    let reply = server.office_as(&stranger, "GET", &path, None);
    assert_eq!((reply.status, reply.code()), (404, "not_found"), "{}", reply.text());
    let all = server.office_as(&stranger, "GET", "/v1/settlements/2020-07-25", None);
    assert!(!all.text().contains(&till.merchant_id), "{}", all.text());
    server.office("GET", "/v1/settlements/2020-13-45", None).refused_with("invalid_request");
}

#[test]
fn sources_of_money_share_a_day_to_the_fen_in_json_and_csv() {
    let mut file = chengdu(&new_campaign_id("funding"), 2);
    file["funding"] =
        json!([{"source": "city", "weight": 5}, {"source": "district", "weight": 3}, {"source": "bank", "weight": 3}]);
    let market = Market::open_with(file, 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    buy(server, &till, &person, 6000);
    let part = buy(server, &till, &person, 3000);
    server.refund(&till, &part, "R1", 1000).ok();
    let settled = day(server, "2020-07-25", &till);
    // 3000 less a third of 1000: 2666 in parts of 5, 3 and 3 elevenths.
    let shares = |of: &Value| -> Vec<(String, i64)> {
        let one = |share: &Value| {
            (share["source"].as_str().unwrap_or("").to_string(), share["subsidy"].as_i64().unwrap_or(0))
        };
        of["funding"].as_array().expect("shares").iter().map(one).collect()
    };
    let expected = [("city", 1211), ("district", 727), ("bank", 728)].map(|(source, fen)| (source.to_string(), fen));
    assert_eq!(settled["totals"]["subsidy"], 2666);
    assert_eq!(shares(&settled), expected);
    assert_eq!(settled["funding"][0]["campaign_id"], market.campaign());
    for line in settled["lines"].as_array().expect("lines") {
        let sum: i64 = shares(line).iter().map(|(_, fen)| fen).sum();
        assert_eq!(json!(sum), line["subsidy"], "{line}");
    }
    let summary = server.office("GET", "/v1/settlements/2020-07-25", None).ok();
    assert_eq!(shares(&summary.json), expected);
    let path = format!("/v1/settlements/2020-07-25/{}", till.merchant_id);
    for path in ["/v1/settlements/2020-07-25", &path] {
        let csv = server.send(&Request::new("GET", path).bearer(&server.admin_key).header("accept", "text/csv")).ok();
        let text = csv.text();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        for (source, fen) in &expected {
            let place = rows[0].iter().position(|name| *name == format!("funding_{source}")).expect("a column");
            let sum: i64 = rows[1..].iter().map(|row| row[place].parse::<i64>().expect("fen")).sum();
            assert_eq!(sum, *fen, "{source}: {}", csv.text());
        }
    }
    server.assert_audit_clean();
}
