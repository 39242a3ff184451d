//! What happened to somebody's vouchers is read of the ledger once, and then only what has come since.

use crate::harness::client::Reply;
use crate::harness::fixture::{EVE, Market, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::Resident;
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server};

fn items(reply: &Reply) -> usize {
    reply["items"].as_array().map_or(0, Vec::len)
}

/// From which entries on whole pages of the first shard's ledger were read; single entries are looks for a place.
fn pages(heard: &[String]) -> Vec<u64> {
    let asked =
        heard.iter().filter(|line| line.contains("\"XRANGE\" \"{s000}:l\"") && !line.ends_with("\"COUNT\" \"1\""));
    asked.map(|line| line.split('"').nth(5).and_then(|id| id.split('-').next()?.parse().ok()).expect("an id")).collect()
}

#[test]
fn a_residents_transactions_cost_one_walk_from_the_first_pack_and_then_the_end_of_the_ledger() {
    let redis = OwnRedis::start();
    let server = Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) });
    let market = Market::open_on(server, chengdu(&new_campaign_id("history"), 10), 10);
    let (server, till, person) = (market.server(), market.till(), market.shopper());
    let buy = |person: &Resident| server.redeem(&till, &sale(&new_order(), &server.pay_code(person), 7000, true)).ok();
    let ask = |person: &Resident| server.resident(person, "GET", "/v1/wallet/transactions", None).ok();
    let seq = || redis.ask(&["HGET", "{s000}:h", "seq"]).parse::<u64>().expect("a seq");

    let heard = redis.hears(|| assert_eq!(items(&ask(&Resident::new())), 0));
    assert_eq!(pages(&heard), Vec::<u64>::new(), "who has no pack has no history");

    buy(&person);
    let heard = redis.hears(|| assert_eq!(items(&ask(&person)), 1));
    assert!(pages(&heard).iter().all(|from| *from > 1), "reservations lie before every pack: {:?}", pages(&heard));

    let before = seq();
    (0..3).for_each(|_| drop(buy(&market.shopper())));
    buy(&person);
    let heard = redis.hears(|| {
        let told = ask(&person);
        assert_eq!(items(&told), 2, "{}", told.text());
    });
    assert!(pages(&heard).iter().all(|from| *from > before), "{:?} of {}", pages(&heard), seq());
    assert_eq!(ask(&person).json, ask(&person).json);
}
