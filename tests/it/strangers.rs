//! What one caller may ask of all: wrong keys, wrong pay codes, codes for nobody, and an address that others share.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id, new_order, sale};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Options, Server, wait_until};

/// A node whose strangers may ask so often in a second.
fn node(redis: Option<&OwnRedis>, anonymous: u32, settings: &[(&'static str, &str)]) -> Server {
    let mut all = vec![("QUANYU_RATE_ANONYMOUS", anonymous.to_string())];
    all.extend(settings.iter().map(|(name, value)| (*name, value.to_string())));
    let redis_url = redis.map(|redis| redis.url.clone());
    Server::start(Options { redis_url, settings: all, ..Options::at(EVE) })
}

fn of_the_office(server: &Server, key: &str) -> Reply {
    server.send(&Request::new("GET", "/v1/merchants/nobody").bearer(key))
}

fn of_a_till(server: &Server, key_id: &str) -> Reply {
    let till = Till { key_id: key_id.to_string(), secret: "sk_test_none".to_string(), merchant_id: String::new() };
    server.send(&till.request("GET", "/v1/redemptions/A1", "").0)
}

fn looked_up(commands: &[String], hash: &str) -> usize {
    commands.iter().filter(|line| line.contains("\"HGET\"") && line.contains(&format!("\"{hash}\""))).count()
}

#[test]
fn keys_that_are_guessed_reach_the_store_no_oftener_than_they_are_refused_as_unknown() {
    let redis = OwnRedis::start();
    let server = node(Some(&redis), 5, &[]);
    let mut statuses = BTreeSet::new();
    let mut unknown = [0, 0];
    let commands = redis.hears(|| {
        for n in 0..200 {
            let replies =
                [of_the_office(&server, &format!("qk_{n:040}")), of_a_till(&server, &format!("test_t_{n:08}"))];
            for (place, reply) in replies.into_iter().enumerate() {
                statuses.insert(reply.status);
                unknown[place] += usize::from(reply.status == 401);
            }
        }
    });
    assert_eq!(statuses, BTreeSet::from([401, 429]));
    let asked = ["{cfg}:api-keys", "{cfg}:till-keys"].map(|hash| looked_up(&commands, hash));
    assert!(asked[0] <= unknown[0] && asked[1] <= unknown[1], "{asked:?} look-ups for {unknown:?} refusals of 401");
}

#[test]
fn a_name_that_was_no_key_is_not_looked_up_again_and_works_as_soon_as_it_is_one() {
    let redis = OwnRedis::start();
    let server = node(Some(&redis), 100_000, &[]);
    let made = server.create_key("officer", "another");
    assert_eq!(of_the_office(&server, &made).status, 404, "a key that was never tried works at once");
    // The same record under the name of a key that was tried before there was one.
    let tried = format!("qk_{:040}", 7);
    let digest = |key: &str| hex::encode(Sha256::digest(key));
    let commands = redis.hears(|| (0..300).for_each(|_| assert_eq!(of_the_office(&server, &tried).status, 401)));
    let asked = looked_up(&commands, "{cfg}:api-keys");
    assert!(asked < 100, "{asked} look-ups of one unknown key in 300 requests");
    let record = redis.ask(&["HGET", "{cfg}:api-keys", &digest(&made)]);
    redis.ask(&["HSET", "{cfg}:api-keys", &digest(&tried), &record]);
    redis.ask(&["HSET", "{cfg}:api-keys:v", &digest(&tried), "1"]);
    wait_until("the key is known", || (of_the_office(&server, &tried).status == 404).then_some(()));
    let commands = redis.hears(|| (0..100).for_each(|_| assert_eq!(of_the_office(&server, &made).status, 404)));
    let asked = looked_up(&commands, "{cfg}:api-keys");
    assert!(asked < 50, "{asked} look-ups of a known key in 100 requests");
}

#[test]
fn a_till_that_tries_pay_codes_is_made_to_wait_and_its_neighbour_is_not() {
    let market = Market::open("guesses", 2);
    let (server, till, neighbour) = (market.server(), market.till(), market.till());
    let luhn = |digits: &str| {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, digit)| {
                let doubled = u32::from(digit - b'0') * if place.is_multiple_of(2) { 2 } else { 1 };
                doubled / 10 + doubled % 10
            })
            .sum();
        (10 - sum % 10) % 10
    };
    let guess = |n: usize| {
        let digits = format!("97000{n:012}");
        sale(&new_order(), &format!("{digits}{}", luhn(&digits)), 7000, true)
    };
    let codes: Vec<String> = (0..200).map(|n| server.redeem(&till, &guess(n)).code().to_string()).collect();
    let tried = codes.iter().position(|code| code == "rate_limited").expect("a bound for guesses");
    assert!((60..100).contains(&tried), "{tried} guesses");
    assert!(codes[..tried].iter().all(|code| code == "pay_code_unknown"), "{codes:?}");
    let refused = server.redeem(&till, &guess(0)).refused(429, "rate_limited");
    assert!(refused.header("retry-after").is_some() && refused["pos_message"]["zh"].is_string(), "{}", refused.text());
    let code = server.pay_code(&market.shopper());
    server.redeem(&neighbour, &sale(&new_order(), &code, 7000, true)).ok();
}

#[test]
fn a_person_asks_for_so_many_pay_codes_in_half_an_hour_and_no_more() {
    let market = Market::open_on(
        node(None, 100_000, &[("QUANYU_RATE_RESIDENT", "20")]),
        chengdu(&new_campaign_id("codes"), 2),
        2,
    );
    let (server, person) = (market.server(), market.shopper());
    let ask = || server.resident(&person, "POST", "/v1/pay-codes", None);
    let mut made = 0;
    let refused = wait_until("the codes of one person are bounded", || match ask() {
        reply if reply.status == 201 => {
            made += 1;
            assert!(made < 150, "{made} pay codes of one person");
            None
        }
        // The rate of all requests lets the next one through in a moment; that of pay codes does not.
        reply => (reply["limit"]["caller"] == "pay_code").then_some(reply),
    });
    assert_eq!(refused["limit"], json!({"caller": "pay_code", "requests": 100, "seconds": 1800}));
    assert!(made >= 100, "{made}");
    server.pay_code(&market.shopper());
}

#[test]
fn a_list_of_a_programs_keys_is_read_in_steps_that_hold_up_nobody() {
    let redis = OwnRedis::start();
    let server = node(Some(&redis), 5, &[]);
    let platform = json!({"kind": "platform", "channels": ["wechat"]});
    let made = server.office("POST", "/v1/till-keys", Some(platform)).ok();
    let heard = redis.hears(|| {
        let listed = server.office("GET", "/v1/till-keys", None).ok();
        assert_eq!(listed["items"][0]["key_id"], made["key_id"], "{}", listed.text());
    });
    let at_once = heard.iter().filter(|line| line.contains("\"HGETALL\" \"{cfg}:till-keys\""));
    assert_eq!(at_once.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn whoever_asks_whether_a_node_is_ready_does_not_ask_the_store_each_time() {
    let redis = OwnRedis::start();
    let server = node(Some(&redis), 3, &[]);
    let heard = redis.hears(|| {
        (0..300).for_each(|_| assert_eq!(server.client.get("/readyz").expect("an answer").status, 200));
    });
    let asked = heard.iter().filter(|line| line.contains("\"HGET\" \"{cfg}:h\" \"rev\"")).count();
    assert!(asked < 150, "{asked} looks at the store for 300 requests");
    // What is long is given out as any other answer to strangers.
    for path in ["/openapi.json", "/docs"] {
        wait_until("strangers are limited", || {
            (server.client.get(path).expect("an answer").status == 429).then_some(())
        });
    }
}

/// Whether strangers with these forwarding headers share one allowance; `{}` stands for a number that no earlier try has used.
fn share(server: &Server, one: &[&str], other: &[&str]) -> bool {
    let ask = |headers: &[&str], number: usize| {
        let request = Request::new("GET", "/v1/public/campaigns/nobody");
        let written = headers.iter().map(|line| line.replace("{}", &number.to_string()));
        server.send(&written.fold(request, |request, line| request.header("X-Forwarded-For", &line))).status
    };
    // An allowance that was used up comes back within a second, in which a slow machine may not ask again.
    (1..=3).any(|number| {
        wait_until("an allowance is used up", || (ask(one, number) == 429).then_some(()));
        ask(other, number) == 429
    })
}

#[test]
fn behind_a_proxy_that_is_trusted_each_caller_has_an_allowance_of_its_own() {
    let trusting = node(None, 1, &[("QUANYU_TRUSTED_PROXIES", "127.0.0.0/8, 198.51.100.0/24")]);
    assert!(!share(&trusting, &["203.0.113.1{}"], &["203.0.113.2{}"]), "two callers");
    let left = &["10.0.0.1, 203.0.113.3{}"];
    assert!(share(&trusting, &["203.0.113.3{}"], left), "what stands left was written by the caller");
    assert!(share(&trusting, &["203.0.113.4{}"], &["203.0.113.4{}, 198.51.100.7"]), "a second proxy");
    assert!(share(&trusting, &["203.0.113.5{}"], &["10.0.0.1", "203.0.113.5{}"]), "two lines of the header");
    assert!(share(&trusting, &["2001:db8:{}::1"], &["2001:db8:{}::2"]), "one subscriber of IPv6");
    assert!(!share(&trusting, &["2001:db8:{}:1::1"], &["2001:db8:{}:2::1"]), "two subscribers of IPv6");
    let plain = node(None, 1, &[]);
    assert!(share(&plain, &["203.0.113.1{}"], &["203.0.113.2{}"]), "a header that anybody can write");
}
