//! At which terminal an order is made: that of the till's key, or the one that a merchant's or platform's key names. What the receipt says
//! of a terminal is the receipt's word.

use serde_json::{Value, json};

use super::vectors::{buy, kind, market};
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::till::Till;

/// One voucher a day at each terminal.
fn one_a_terminal(name: &str, people: usize) -> Market {
    market(name, people, json!([kind("60-20", 6_000, 2_000, 8)]), |campaign| {
        campaign["limits"] = json!([{"action": "redeem", "entities": ["terminal"], "period": "day", "max_count": 1}]);
    })
}

/// A key for all tills of a till's merchant.
fn merchants_key(market: &Market, till: &Till) -> Till {
    let scope = json!({"kind": "merchant", "merchant_id": till.merchant_id});
    let made = market.server().office("POST", "/v1/till-keys", Some(scope)).ok();
    let text = |name: &str| made.str(name).to_owned();
    Till { merchant_id: till.merchant_id.clone(), key_id: text("key_id"), secret: text("secret") }
}

fn revoke(market: &Market, till: &Till, terminal: &str) {
    let path = format!("/v1/merchants/{}/terminals/{terminal}/revoke", till.merchant_id);
    market.server().office("POST", &path, Some(json!({}))).ok();
}

fn sell(market: &Market, key: &Till, person: &Resident, terminal: Option<&str>) -> Reply {
    let more = terminal.map_or(json!({}), |terminal| json!({"terminal_id": terminal}));
    buy(market, key, person, 6_000, more)
}

fn quote(market: &Market, key: &Till, person: &Resident, terminal: &str) -> Reply {
    let code = market.server().pay_code(person);
    let body = json!({"pay_code": code, "amount": 6_000, "category": "catering", "terminal_id": terminal});
    market.server().quote(key, &body)
}

#[test]
fn only_a_registered_terminal_counts_where_a_campaign_counts_by_terminal() {
    let market = one_a_terminal("terminals", 1);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let key = merchants_key(&market, &till);
    server.create_terminal(&till.merchant_id, "t2");
    revoke(&market, &till, "t2");
    for (terminal, state) in [("fantasy", "unknown"), ("fantasy2", "unknown"), ("T1", "unknown"), ("t2", "revoked")] {
        let refused = sell(&market, &key, &person, Some(terminal)).refused(422, "terminal_unknown");
        assert_eq!((refused.str("terminal_id"), refused.str("state")), (terminal, state), "{}", refused.text());
        assert_eq!(refused.faults(), ["/terminal_id unknown_terminal"]);
    }
    let none = quote(&market, &key, &person, "fantasy").ok();
    assert_eq!((none.int("discount_amount"), &none["not_taken"][0]["code"]), (0, &json!("terminal_unknown")));
    assert_eq!(market.vouchers(&person, "available").len(), 8, "nothing was applied");
    // A registered one counts as one, whichever key names it.
    sell(&market, &key, &person, Some("t1")).ok();
    sell(&market, &key, &person, Some("t1")).refused_with("limit_reached");
    sell(&market, &till, &person, None).refused_with("limit_reached");
    // All calls that name none count together, whatever their receipts say.
    sell(&market, &key, &person, None).ok();
    for receipt in ["t1", "9", "10"] {
        buy(&market, &key, &person, 6_000, json!({"receipt": {"terminal": receipt}})).refused_with("limit_reached");
    }
    server.create_terminal(&till.merchant_id, "t3");
    sell(&market, &key, &person, Some("t3")).ok();
    server.assert_audit_clean();
}

#[test]
fn a_revoked_terminal_sells_nothing_by_any_key_and_ends_what_it_began() {
    let market =
        market("revoked", 1, json!([kind("60-20", 6_000, 2_000, 4)]), |campaign| campaign["limits"] = json!([]));
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let key = merchants_key(&market, &till);
    sell(&market, &key, &person, Some("a-name-of-the-platform")).ok();
    let body = sale(&new_order(), &server.pay_code(&person), 6_000, false);
    let named = |mut body: Value| {
        body["terminal_id"] = json!("t1");
        body
    };
    let held = server.redeem(&key, &named(body.clone())).ok();
    revoke(&market, &till, "t1");
    sell(&market, &key, &person, Some("t1")).refused(422, "terminal_unknown");
    quote(&market, &key, &person, "t1").refused(422, "terminal_unknown");
    assert!(server.redeem(&key, &named(body)).ok().replayed(), "the order is looked up first");
    let path = format!("/v1/redemptions/{}/confirm", held.str("order_id"));
    let paid = named(json!({"hold_id": held.str("hold_id"), "paid_amount": 4_000}));
    server.till(&key, "POST", &path, Some(&paid)).ok();
    server.create_terminal(&till.merchant_id, "t1");
    sell(&market, &key, &person, Some("t1")).ok();
    server.assert_audit_clean();
}

#[test]
fn the_books_show_the_terminal_that_was_counted_and_the_receipt_its_own_word() {
    let market = one_a_terminal("books", 2);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let key = merchants_key(&market, &till);
    server.create_terminal(&till.merchant_id, "t2");
    let receipt = |terminal: &str| json!({"terminal": terminal, "receipt_no": "7"});
    let first = buy(&market, &till, &person, 6_000, json!({"receipt": receipt("9")})).ok();
    let held = json!({"terminal_id": "t2", "receipt": receipt("10"), "capture": false});
    let second = buy(&market, &key, &person, 6_000, held).ok();
    server.confirm(&till, second.str("order_id"), second.str("hold_id"), 4_000).ok();
    server.refund(&till, second.str("order_id"), "R1", 6_000).ok();
    server.reverse(&key, first.str("order_id")).ok();
    let own = |order: &str| if order == first.str("order_id") { ("t1", "9") } else { ("t2", "10") };
    for order in [first.str("order_id"), second.str("order_id")] {
        let told = server.order(&till, order).ok();
        assert_eq!((told["terminal"].as_str(), told["receipt"]["terminal"].as_str()), {
            let (terminal, word) = own(order);
            (Some(terminal), Some(word))
        });
    }
    let settled = server.settlement("2020-07-25", &till.merchant_id).ok();
    let window = "from=2020-07-25T00:00:00Z&to=2020-07-26T00:00:00Z";
    let listed = server.till(&till, "GET", &format!("/v1/transactions?{window}"), None).ok();
    let table = format!("/v1/settlements/2020-07-25/{}", till.merchant_id);
    let table = crate::harness::client::Request::new("GET", &table).header("accept", "text/csv");
    let table = server.send(&table.bearer(&server.admin_key)).text();
    let mut lines = table.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let head = lines.next().expect("a head");
    let at = |name: &str| head.iter().position(|column| column == name).expect("a column");
    let rows: Vec<Value> = lines
        .filter(|row| row.len() == head.len())
        .map(|row| json!({"order_id": row[at("order_id")], "terminal": row[at("terminal")]}))
        .collect();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    for lines in [list(&settled["lines"]), list(&listed["items"]), rows] {
        assert_eq!(lines.len(), 4, "{lines:?}");
        for line in lines {
            assert_eq!(line["terminal"], own(line["order_id"].as_str().expect("an order")).0, "{line}");
        }
    }
    server.assert_audit_clean();
}
