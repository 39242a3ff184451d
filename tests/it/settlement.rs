//! Money out: a merchant's day as JSON and CSV, equal to the ledger.

use std::collections::{BTreeMap, BTreeSet};

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

/// The statement as a table: its rows, each by the names of the head line.
fn table(server: &Server, date: &str, till: &Till) -> Vec<BTreeMap<String, String>> {
    let path = format!("/v1/settlements/{date}/{}", till.merchant_id);
    let csv = server.send(&Request::new("GET", &path).bearer(&server.admin_key).header("accept", "text/csv")).ok();
    let text = csv.text();
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_string).collect::<Vec<_>>());
    let head = rows.next().expect("a head line");
    rows.map(|row| head.iter().cloned().zip(row).collect()).collect()
}

fn listed(server: &Server, till: &Till) -> Vec<Value> {
    let path = "/v1/transactions?from=2020-07-25T00:00:00%2B08:00&to=2020-07-26T00:00:00%2B08:00";
    server.till(till, "GET", path, None).ok()["items"].as_array().expect("a list").clone()
}

/// Sums of the columns `amount` and `subsidy`.
fn sums(lines: &[Value]) -> [i64; 2] {
    ["amount", "subsidy"].map(|column| lines.iter().map(|line| line[column].as_i64().expect("fen")).sum())
}

#[test]
fn lines_sum_to_the_totals_in_every_column_wherever_they_are_told() {
    let mut file = chengdu(&new_campaign_id("sums"), 2);
    file["use_rule"]["max_vouchers_per_payment"] = json!(2);
    file["limits"] = json!([]);
    let market = Market::open_with(file, 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let two = buy(server, &till, &person, 9_000);
    server.refund(&till, &two, "R1", 3_000).ok();
    server.refund(&till, &two, "R2", 2_000).ok();
    let back = buy(server, &till, &person, 9_001);
    server.reverse(&till, &back).ok();
    let held = server.redeem(&till, &sale(&new_order(), &server.pay_code(&person), 6_000, false)).ok();
    server.confirm(&till, held.str("order_id"), held.str("hold_id"), 4_000).ok();
    buy(server, &market.till(), &market.shopper(), 3_000);

    // 9000 - 3000 - 2000 + 9001 - 9001 + 6000 of goods; 3000 of them paid by vouchers of the first order, 2000 by those of the last.
    let (settled, lines) = (day(server, "2020-07-25", &till), listed(server, &till));
    let totals = ["amount", "subsidy"].map(|column| settled["totals"][column].as_i64().expect("fen"));
    assert_eq!(totals, [10_000, 3_000 - 1_000 - 667 + 2_000], "{settled}");
    assert_eq!(sums(settled["lines"].as_array().expect("lines")), totals, "{settled}");
    assert_eq!(sums(&lines), totals, "{lines:?}");
    let rows = table(server, "2020-07-25", &till);
    let column = |name: &str| rows.iter().map(|row| row[name].parse::<i64>().expect("fen")).sum::<i64>();
    assert_eq!([column("amount"), column("subsidy")], totals, "{rows:?}");
    assert_eq!(settled["totals"]["count"], json!(rows.len()));
    for line in settled["lines"].as_array().expect("lines").iter().chain(&lines) {
        let (amount, subsidy) = (line["amount"].as_i64().expect("fen"), line["subsidy"].as_i64().expect("fen"));
        assert!(amount * subsidy >= 0, "what comes back is negative in both columns: {line}");
    }
    let summary = server.office("GET", "/v1/settlements/2020-07-25", None).ok();
    let merchants = summary["merchants"].as_array().expect("merchants");
    assert_eq!(json!(sums(merchants)), json!([summary["totals"]["amount"], summary["totals"]["subsidy"]]));
}

#[test]
fn whatever_becomes_of_an_order_stands_under_its_store_receipt_and_transaction() {
    let market = Market::open("one-order", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let mut bought = sale(&new_order(), &server.pay_code(&person), 6_000, true);
    bought["receipt"] = json!({"store": "s1", "terminal": "9", "receipt_no": "20200725-0007"});
    let order = server.redeem(&till, &bought).ok().str("order_id").to_string();
    let elsewhere = server.create_terminal(&till.merchant_id, "t2");
    let refunded = server.refund(&elsewhere, &order, "R1", 3_000).ok();
    bought["order_id"] = json!(new_order());
    bought["pay_code"] = json!(server.pay_code(&person));
    let undone = server.redeem(&till, &bought).ok().str("order_id").to_string();
    server.reverse(&elsewhere, &undone).ok();

    assert_eq!(refunded["transaction_id"], server.order(&till, &order).ok()["transaction_id"]);
    let settled = day(server, "2020-07-25", &till);
    let rows: Vec<Value> = table(server, "2020-07-25", &till).iter().map(|row| json!(row)).collect();
    let of_wallet = server.resident(&person, "GET", "/v1/wallet/transactions", None).ok();
    for (name, lines) in [
        ("statement", settled["lines"].as_array().expect("lines").clone()),
        ("CSV", rows),
        ("transactions", listed(server, &till)),
    ] {
        assert_eq!(lines.len(), 4, "{name}: {lines:?}");
        for line in &lines {
            let transaction = &server.order(&till, line["order_id"].as_str().expect("an order")).ok()["transaction_id"];
            assert_eq!(&line["transaction_id"], transaction, "{name}: {line}");
            for (field, wanted) in [
                ("store", "s1"),
                ("terminal", "t1"),
                ("receipt_no", "20200725-0007"),
                ("campaign_id", market.campaign()),
            ] {
                assert_eq!(line[field], wanted, "{name}, {field}: {line}");
            }
            let of_refund = if line["kind"] == "refund" { "R1" } else { "" };
            assert_eq!(line["refund_id"].as_str().unwrap_or(""), of_refund, "{name}: {line}");
            assert_eq!(line["at"], "2020-07-25T12:00:00+08:00", "{name}: {line}");
        }
    }
    let of_wallet = of_wallet["items"].as_array().expect("a list");
    let refund = of_wallet.iter().find(|one| one["kind"] == "refund").expect("a refund");
    assert_eq!(refund["transaction_id"], refunded["transaction_id"], "{refund}");
}

#[test]
fn the_csv_says_what_the_json_says() {
    let market = Market::open("csv", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    buy(server, &till, &person, 6400);
    let second = buy(server, &till, &person, 3000);
    server.refund(&till, &second, "R1", 1000).ok();
    let settled = day(server, "2020-07-25", &till);
    let cells = |row: &BTreeMap<String, String>| (row["order_id"].clone(), row["kind"].clone(), row["subsidy"].clone());
    let rows = table(server, "2020-07-25", &till);
    let read: BTreeSet<(String, String, String)> = rows.iter().map(cells).collect();
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
    assert_eq!(read, wanted, "{rows:?}");
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
