//! What is not yours is answered byte for byte like what nobody has, and costs the store the same calls: neither answer nor time tells.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{Market, chengdu, merchant, new_campaign_id, new_merchant_id, new_order, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;

const EVE: &str = "2020-07-12T12:00:00+08:00";
/// Background work makes calls too: the fewest of several tries are those of the request.
const TRIES: usize = 12;

/// The store as it counts its calls.
struct Counted(redis::Connection);

/// A request, made anew for each try.
type Ask<'a> = &'a dyn Fn() -> Reply;

impl Counted {
    /// How often each command was called since the store started.
    fn calls(&mut self) -> BTreeMap<String, i64> {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut self.0).expect("the store answers");
        let line = |line: &str| {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((command.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        let own = |command: &str| ["info", "client", "config", "ping"].iter().any(|one| command.starts_with(one));
        stats.lines().filter_map(line).filter(|(command, _)| !own(command)).collect()
    }

    /// The answer without its number, and the calls that it took.
    fn seen(&mut self, ask: Ask) -> (u16, Value, BTreeMap<String, i64>) {
        let mut fewest: Option<(i64, BTreeMap<String, i64>)> = None;
        let mut answer = (0, Value::Null);
        for _ in 0..TRIES {
            let before = self.calls();
            let reply = ask();
            let after = self.calls().into_iter();
            let taken = after.map(|(command, n)| (command.clone(), n - before.get(&command).copied().unwrap_or(0)));
            let taken: BTreeMap<String, i64> = taken.filter(|(_, n)| *n > 0).collect();
            let sum = taken.values().sum();
            if fewest.as_ref().is_none_or(|(fewest, _)| sum < *fewest) {
                fewest = Some((sum, taken));
            }
            let mut body = reply.json.clone();
            body.as_object_mut().expect("a problem").remove("request_id");
            answer = (reply.status, without_id(&body));
        }
        (answer.0, answer.1, fewest.expect("it was tried").1)
    }

    fn differ(&mut self, what: &str, theirs: Ask, nobodys: Ask) -> Option<String> {
        let (theirs, nobodys) = (self.seen(theirs), self.seen(nobodys));
        let is_problem = (400..500).contains(&nobodys.0);
        (theirs != nobodys || !is_problem).then(|| format!("{what}:\n  theirs  {theirs:?}\n  nobodys {nobodys:?}"))
    }
}

/// A problem without the id that was asked for, which it repeats.
pub fn without_id(problem: &Value) -> Value {
    let Some(id) = problem["id"].as_str() else { return problem.clone() };
    serde_json::from_str(&problem.to_string().replace(id, "it")).expect("a problem")
}

fn foreign_till(server: &Server) -> Till {
    let (key, id) = (server.create_key("officer", "another-city"), new_merchant_id());
    server.office_as(&key, "POST", "/v1/merchants", Some(merchant(&id))).ok();
    let path = format!("/v1/merchants/{id}/terminals");
    let terminal = server.office_as(&key, "POST", &path, Some(json!({"terminal_id": "t1"}))).ok();
    Till { merchant_id: id, key_id: terminal.str("key_id").into(), secret: terminal.str("secret").into() }
}

/// The same code with another digit: of the right form, and nobody's.
fn nobodys_code(code: &str) -> String {
    let digits: Vec<u32> = code.chars().filter_map(|digit| digit.to_digit(10)).collect();
    let mut other = digits[..17].to_vec();
    other[9] = (other[9] + 1) % 10;
    let sum: u32 =
        other.iter().rev().enumerate().map(|(at, d)| if at % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { *d }).sum();
    let check = (10 - sum % 10) % 10;
    other.iter().chain([&check]).map(|digit| digit.to_string()).collect()
}

fn named(voucher: &str) -> Value {
    json!({"order_id": new_order(), "voucher_ids": [voucher], "amount": 6000, "merchant_discount": 0,
        "category": "catering", "capture": true})
}

fn preview(mut body: Value) -> Value {
    body.as_object_mut().expect("an object").retain(|name, _| name != "order_id" && name != "capture");
    body
}

#[test]
fn what_is_not_yours_is_answered_like_what_nobody_has_and_costs_the_same() {
    let redis = OwnRedis::start();
    let market = Market::open_on(redis.node(EVE, 1, None), chengdu(&new_campaign_id("equal"), 1), 1);
    let store = redis::Client::open(redis.url.as_str()).expect("an address");
    let mut store = Counted(store.get_connection().expect("the store answers"));
    let (server, person) = (market.server(), market.shopper());
    let (mine, yours, foreign) = (market.till(), market.till(), foreign_till(server));
    let voucher = market.vouchers(&person, "available")[0].0.clone();
    let nobodys = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
    let held = server.redeem(&yours, &sale(&new_order(), &server.pay_code(&person), 6000, false)).ok();
    let order = held.str("order_id").to_string();
    let shop = platform(server);
    let at_shop = |merchant: &str| {
        let mut body = named(nobodys);
        body["merchant_id"] = json!(merchant);
        body["terminal_id"] = json!("t1");
        server.redeem(&shop, &body)
    };
    let paid = |till: &Till, code: &str| server.redeem(till, &sale(&new_order(), code, 6000, true));
    let shown = |till: &Till, code: &str| server.quote(till, &preview(sale("", code, 6000, true)));
    let (known, unknown) = (server.pay_code(&person), nobodys_code(&server.pay_code(&person)));
    let back = |order: &str| server.refund_items(&mine, order, "R1", json!([{"sku": "x"}]), None);
    let found = [
        store.differ("a voucher, redeemed", &|| server.redeem(&foreign, &named(&voucher)), &|| {
            server.redeem(&foreign, &named(nobodys))
        }),
        store.differ("a voucher, quoted", &|| server.quote(&foreign, &preview(named(&voucher))), &|| {
            server.quote(&foreign, &preview(named(nobodys)))
        }),
        store.differ("a pay code, redeemed", &|| paid(&foreign, &known), &|| paid(&foreign, &unknown)),
        store.differ("a pay code, quoted", &|| shown(&foreign, &known), &|| shown(&foreign, &unknown)),
        store.differ("an order", &|| server.order(&mine, &order), &|| server.order(&mine, "nobodys")),
        store.differ("a confirm", &|| server.confirm(&mine, &order, held.str("hold_id"), 4000), &|| {
            server.confirm(&mine, "nobodys", held.str("hold_id"), 4000)
        }),
        store.differ("a cancel", &|| server.cancel(&mine, &order), &|| server.cancel(&mine, "nobodys")),
        store.differ("a refund", &|| server.refund(&mine, &order, "R1", 1), &|| {
            server.refund(&mine, "nobodys", "R1", 1)
        }),
        store.differ("a refund of goods", &|| back(&order), &|| back("nobodys")),
        store.differ("a merchant", &|| at_shop(&foreign.merchant_id), &|| at_shop("no-such-shop")),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    server.cancel(&yours, &order).ok();
    server.assert_audit_clean();
}

/// A platform's key, which names its merchants.
fn platform(server: &Server) -> Till {
    let scope = json!({"kind": "platform", "channels": ["wechat"]});
    let made = server.office("POST", "/v1/till-keys", Some(scope)).ok();
    Till { merchant_id: String::new(), key_id: made.str("key_id").into(), secret: made.str("secret").into() }
}
