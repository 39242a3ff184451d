//! What happened to somebody's vouchers is read by the places of their own calls in the ledger, however much others have done; where a store is
//! older than that index, the ledger is folded up to its beginning.

use serde_json::Value;

use crate::harness::Server;
use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;

const PATH: &str = "/v1/wallet/transactions";

/// When a market is open.
const NOON: &str = "2020-07-25T12:00:00+08:00";

/// Entries of a page.
const PAGE: usize = 100;

/// A shop and a resident with a pack on the first of the nodes of a store.
struct Town {
    redis: OwnRedis,
    market: Market,
    till: Till,
    person: Resident,
}

impl Town {
    fn new() -> Town {
        let redis = OwnRedis::start();
        let market = Market::open_on(redis.node(EVE, 1, None), chengdu(&new_campaign_id("history"), 10), 10);
        let (till, person) = (market.till(), market.shopper());
        Town { redis, market, till, person }
    }

    fn hold(&self, server: &Server) -> Reply {
        let code = server.pay_code(&self.person);
        server.redeem(&self.till, &sale(&new_order(), &code, 3000, false)).ok()
    }

    /// Everything that may happen to a voucher.
    fn shop(&self, server: &Server) {
        let held = self.hold(server);
        server.confirm(&self.till, held.str("order_id"), held.str("hold_id"), held.int("payable")).ok();
        server.refund(&self.till, held.str("order_id"), "R1", 1000).ok();
        let code = server.pay_code(&self.person);
        let sold = server.redeem(&self.till, &sale(&new_order(), &code, 6000, true)).ok();
        server.reverse(&self.till, sold.str("order_id")).ok();
    }

    /// A hold that is given back, over and over: two calls each, which cost the person nothing.
    fn hesitate(&self, server: &Server, times: usize) {
        for _ in 0..times {
            let held = self.hold(server);
            server.cancel(&self.till, held.str("order_id")).ok();
        }
    }

    /// Lines of thousands of others, who are of no campaign.
    fn crowd(&self, entries: usize) {
        let others = "local seq = redis.call('HGET', KEYS[1], 'seq') \
            for n = 1, ARGV[1] do \
              local line = cmsgpack.pack({ { 'R', 9999, '123456789', 0, 0, 255 } }) \
              redis.call('XADD', KEYS[2], string.format('%.0f-0', seq + n), 't', redis.call('XREVRANGE', KEYS[2], '+', '-', \
                'COUNT', 1)[1][2][2], 'l', line) \
            end return redis.call('HINCRBY', KEYS[1], 'seq', ARGV[1])";
        self.redis.ask(&["EVAL", others, "2", "{s000}:h", "{s000}:l", &entries.to_string()]);
    }

    fn seq(&self) -> u64 {
        self.redis.ask(&["HGET", "{s000}:h", "seq"]).parse().expect("a seq")
    }

    /// The store as an older version has left it: no call of a person's has a place.
    fn forget_places(&self) {
        self.redis.ask(&["HDEL", "{s000}:h", "hist"]);
        let all = "for _, key in ipairs(redis.call('KEYS', '{s000}:c*:t:*')) do redis.call('DEL', key) end";
        self.redis.ask(&["EVAL", all, "0"]);
    }

    /// A node that has read nothing yet.
    fn node(&self) -> Server {
        self.redis.node(NOON, 1, Some(self.market.server()))
    }

    fn page(&self, server: &Server, cursor: &str) -> Reply {
        server.resident(&self.person, "GET", &format!("{PATH}{cursor}"), None).ok()
    }

    /// All pages, each asked for with the cursor of the one before.
    fn told(&self, server: &Server) -> Vec<Value> {
        let (mut told, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.page(server, &cursor);
            told.extend(items(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("?cursor={next}"),
                None => return told,
            }
        }
    }
}

fn items(reply: &Reply) -> Vec<Value> {
    reply["items"].as_array().expect("items").clone()
}

fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter().map(|one| one["kind"].as_str().expect("a kind")).collect()
}

/// From where to where the first shard's ledger was read.
fn read(heard: &[String]) -> Vec<(String, String)> {
    let ranges = heard.iter().filter(|line| line.contains("\"XRANGE\" \"{s000}:l\""));
    let word = |line: &str, n: usize| line.split('"').nth(n).expect("a word").to_owned();
    ranges.map(|line| (word(line, 5), word(line, 7))).collect()
}

#[test]
fn a_residents_transactions_cost_what_is_their_own_however_much_others_have_done() {
    let town = Town::new();
    let server = town.market.server();
    let heard = town.redis.hears(|| assert_eq!(town.told(server).len(), 0));
    assert_eq!(read(&heard), [], "who has done nothing has no history");

    (0..3).for_each(|_| drop(town.market.shopper()));
    town.crowd(2_000);
    town.shop(server);
    town.crowd(2_000);
    let mut told = Vec::new();
    let heard = town.redis.hears(|| told = town.told(server));
    assert_eq!(kinds(&told), ["hold", "redeem", "refund", "redeem", "reverse"]);
    let ranges = read(&heard);
    assert_eq!(ranges.len(), 5, "one look for each call: {ranges:?}");
    assert!(ranges.iter().all(|(from, to)| from == to), "single entries: {ranges:?}");

    // The fold of the ledger, which a store without the index is read by, says the same.
    town.redis.ask(&["HSET", "{s000}:h", "hist", &(town.seq() + 1).to_string()]);
    assert_eq!(told, town.told(&town.node()));
    town.redis.ask(&["HSET", "{s000}:h", "hist", "1"]);
}

#[test]
fn pages_go_on_where_the_last_one_ended_whatever_happens_between_them() {
    let town = Town::new();
    let server = town.market.server();
    town.hesitate(server, PAGE / 2 + 5);
    let first = town.page(server, "");
    assert_eq!(items(&first).len(), PAGE);
    town.shop(server);
    let cursor = format!("?cursor={}", first.str("next_cursor"));
    let second = town.page(server, &cursor);
    assert_eq!((items(&second).len(), &second["next_cursor"]), (15, &Value::Null));
    assert_eq!(town.page(server, "").json, first.json);
    let told = town.told(server);
    assert_eq!(told, [items(&first), items(&second)].concat());
    server.resident(&town.person, "GET", &format!("{PATH}?cursor=x"), None).refused(422, "invalid_request");

    town.redis.ask(&["HSET", "{s000}:h", "hist", &(town.seq() + 1).to_string()]);
    assert_eq!(told, town.told(&town.node()), "the fold has the same pages");
    town.redis.ask(&["HSET", "{s000}:h", "hist", "1"]);
    server.assert_audit_clean();
}

#[test]
fn what_is_older_than_the_index_is_folded_once_and_what_is_newer_looked_up() {
    let town = Town::new();
    let server = town.market.server();
    town.shop(server);
    let before = town.told(server);
    town.forget_places();
    let newer = town.node();
    assert_eq!(before, town.told(&newer), "nothing has a place yet");
    newer.assert_audit_clean();
    town.crowd(2_000);
    town.hesitate(&newer, 2);
    let told = town.told(&newer);
    assert_eq!(told[..before.len()], before);
    assert_eq!(kinds(&told[before.len()..]), ["hold", "release", "hold", "release"]);

    let heard = town.redis.hears(|| assert_eq!(told, town.told(&newer)));
    let ranges = read(&heard);
    assert!(ranges.len() == 4 && ranges.iter().all(|(from, to)| from == to), "the old part is remembered: {ranges:?}");
    let begin: u64 = town.redis.ask(&["HGET", "{s000}:h", "hist"]).parse().expect("a seq");
    let restarted = town.node();
    let heard = town.redis.hears(|| assert_eq!(told, town.told(&restarted)));
    let ranges = read(&heard);
    let beyond = |(_, to): &&(String, String)| to.split('-').next().and_then(|to| to.parse().ok()) >= Some(begin);
    assert_eq!(ranges.iter().filter(beyond).filter(|(from, to)| from != to).count(), 0, "{ranges:?} from {begin}");
}
