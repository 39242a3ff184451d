//! The verbs of a till over HTTP: what a program reads before the body says the same as the body, and both what a `GET` on another node says.
//! The tested node's own rounds pass the toll as well, so a try may meet one of them; what is told must be true all the same.

use serde_json::{Value, json};

use super::toll::{Toll, Trouble};
use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id, new_order, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::{Till, assert_signed};
use crate::harness::{Options, Server, wait_until};

const TROUBLES: [Trouble; 3] = [Trouble::Refused, Trouble::CutBefore, Trouble::CutAfter];

/// No verb of a till calls the store as often, where there are no caps.
const MOST_CALLS: usize = 12;

/// Verbs with what a `GET` says of an order when they have had their effect.
const VERBS: [(&str, Make, &str); 7] = [
    ("hold", |shop| shop.fresh(false), "held"),
    ("redeem", |shop| shop.fresh(true), "redeemed"),
    (
        "confirm",
        |shop| shop.after(false, |held| ("/confirm", json!({"hold_id": held["hold_id"], "paid_amount": 2_000}))),
        "redeemed",
    ),
    ("cancel", |shop| shop.after(false, |_| ("/cancel", json!({}))), "cancelled"),
    ("refund", |shop| shop.after(true, |_| ("/refunds", json!({"refund_id": "R1", "amount": 3_000}))), "refunded"),
    ("reverse", |shop| shop.after(true, |_| ("/reverse", json!({"reason": "outcome_unknown"}))), "reversed"),
    ("reverse of what was never seen", Shop::unseen, "reversed"),
];

type Make = fn(&Shop) -> Request;

struct Request {
    order: String,
    path: String,
    body: Value,
}

struct Shop {
    market: Market,
    tested: Server,
    till: Till,
}

impl Shop {
    fn fresh(&self, capture: bool) -> Request {
        let order = new_order();
        let body = sale(&order, &self.market.server().pay_code(&self.market.shopper()), 3_000, capture);
        Request { order, path: "/v1/redemptions".into(), body }
    }

    /// A verb of an order that is there.
    fn after(&self, capture: bool, verb: fn(&Reply) -> (&'static str, Value)) -> Request {
        let Request { order, path, body } = self.fresh(capture);
        let (tail, body) = verb(&self.market.server().redeem(&self.till, &body).ok());
        Request { path: format!("{path}/{order}{tail}"), order, body }
    }

    fn unseen(&self) -> Request {
        let order = new_order();
        Request { path: format!("/v1/redemptions/{order}/reverse"), order, body: json!({"reason": "outcome_unknown"}) }
    }

    /// An answer is signed unless the node could not read the key of the till.
    fn send(&self, node: &Server, request: &Request) -> Reply {
        let (signed, nonce) = self.till.request("POST", &request.path, &request.body.to_string());
        let reply = node.send(&signed);
        if reply.status != 503 || reply.header("quanyu-signature").is_some() {
            assert_signed(&self.till, &nonce, &reply);
        }
        reply
    }

    fn is_done(&self, request: &Request, state: &str) -> bool {
        self.market.server().order(&self.till, &request.order)["state"] == state
    }
}

/// Where the headers of an answer do not say what has happened.
fn lie(reply: &Reply, done: bool, certain: bool) -> Option<String> {
    let header = |name: &str| reply.header(name).unwrap_or_default();
    let (durability, wait, replayed) = (header("durability"), header("retry-after"), reply.replayed());
    let waits = wait.parse::<u32>().is_ok_and(|seconds| seconds > 0);
    let fits = match (reply.status, reply.code(), reply.str("outcome")) {
        (200, ..) => done && durability == "D2" && wait.is_empty(),
        (503, "store_unavailable" | "overloaded", "not_applied") => {
            !done && durability.is_empty() && waits && !replayed
        }
        (503, "store_timeout", "unknown") => (done || !certain) && durability.is_empty() && waits && !replayed,
        _ => false,
    };
    let told = format!("{} Durability {durability:?}, Retry-After {wait:?}, replayed {replayed}", reply.status);
    (!fits).then(|| format!("told {told}: {}, and it is {}done", reply.text(), if done { "" } else { "not " }))
}

/// One try; what was untrue, and whether a call had the trouble.
fn play(shop: &Shop, toll: &Toll, (make, state): (Make, &str), (n, trouble): (usize, Trouble)) -> (Vec<String>, bool) {
    let request = make(shop);
    wait_until("the tested node has its store", || {
        (shop.tested.client.get("/readyz").ok()?.status == 200).then_some(())
    });
    toll.arm(n, trouble);
    let told = shop.send(&shop.tested, &request);
    let met = toll.disarm();
    let done = shop.is_done(&request, state);
    let mut faults: Vec<String> = lie(&told, done, trouble.is_certain()).into_iter().collect();
    let again = wait_until("the repeat succeeds", || {
        Some(shop.send(&shop.tested, &request)).filter(|reply| reply.status == 200)
    });
    faults.extend(lie(&again, shop.is_done(&request, state), true).map(|fault| format!("the repeat is {fault}")));
    let last = shop.send(shop.market.server(), &request);
    // A repeat that finishes the second half of a reversal is no replay.
    let finishes = request.path.ends_with("/reverse") && !again.replayed();
    if again.replayed() != done && !finishes
        || !last.replayed()
        || last.body != again.body
        || told.is_success() && told.body != last.body
    {
        let said = |reply: &Reply| format!("{} {}", reply.replayed(), reply.text());
        faults.push(format!(
            "{} was done, then {}, then {}",
            if done { "it" } else { "nothing" },
            said(&again),
            said(&last)
        ));
    }
    let call = met.clone().unwrap_or_default();
    (faults.iter().map(|fault| format!("call {n} ({call}) {trouble:?}: {fault}")).collect(), met.is_some())
}

#[test]
fn status_and_headers_of_a_till_say_what_is_true_whichever_call_to_the_store_fails() {
    let redis = OwnRedis::start();
    let people = VERBS.len() * TROUBLES.len() * MOST_CALLS;
    let market = Market::open_on(redis.node(EVE, 1, None), chengdu(&new_campaign_id("wire"), people as i64), people);
    let till = market.till();
    let toll = Toll::to(&redis);
    let (redis_url, keys_from) = (Some(toll.url.clone()), Some(market.server().data.clone()));
    let tested = Server::start(Options { redis_url, keys_from, ..Options::at("2020-07-25T12:00:00+08:00") });
    let shop = Shop { market, tested, till };
    let (mut faults, mut tries) = (Vec::new(), 0);
    for (verb, make, state) in VERBS {
        for trouble in TROUBLES {
            for n in 1..=MOST_CALLS {
                let (untrue, met) = play(&shop, &toll, (make, state), (n, trouble));
                faults.extend(untrue.into_iter().map(|fault| format!("{verb}, {fault}")));
                tries += usize::from(met);
                if !met {
                    break;
                }
            }
        }
    }
    println!("{tries} calls");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    shop.market.server().assert_audit_clean();
}
