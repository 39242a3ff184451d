//! The published lists of a round that is over: read from the store once, compressed for who takes that, and not sent to who has them.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, Round, chengdu, new_campaign_id};
use crate::harness::redis::OwnRedis;
use crate::harness::{Options, Server, wait_until};

fn over(redis: &OwnRedis) -> Round {
    let server = Server::start(Options { redis_url: Some(redis.url.clone()), ..Options::at(EVE) });
    let round = Round::reserved_on(server, chengdu(&new_campaign_id("published"), 4), 9);
    round.everybody_credited();
    wait_until("the lists are published", || (get(&round, "winners", &[]).status == 200).then_some(()));
    round
}

fn get(round: &Round, list: &str, headers: &[(&str, &str)]) -> Reply {
    let request = Request::new("GET", &format!("/v1/campaigns/{}/rounds/rain/{list}", round.campaign));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    round.server.send(&request)
}

#[test]
fn a_published_list_is_read_from_the_store_once_however_often_it_is_asked_for() {
    let redis = OwnRedis::start();
    let round = over(&redis);
    let first = get(&round, "entries", &[]).ok();
    assert_eq!(first.text().lines().count(), 9);
    let persons = |heard: &[String]| heard.iter().filter(|line| line.contains(":p:")).count();
    let heard = redis.hears(|| {
        for _ in 0..5 {
            assert_eq!(get(&round, "entries", &[]).ok().body, first.body);
        }
    });
    assert_eq!(persons(&heard), 0, "reads of persons for five downloads");
}

#[test]
fn a_published_list_is_compressed_for_who_takes_that_and_not_sent_to_who_has_it() {
    let redis = OwnRedis::start();
    let round = over(&redis);
    for list in ["entries", "winners"] {
        let plain = get(&round, list, &[]).ok();
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        for accepted in ["gzip", "br;q=1.0, gzip;q=0.8, *;q=0.1"] {
            let packed = get(&round, list, &[("accept-encoding", accepted)]).ok();
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{accepted}");
            let mut text = String::new();
            GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).expect("gzip");
            assert_eq!(text, plain.text());
            assert!(packed.body.len() < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
            assert_eq!(packed.header("etag"), plain.header("etag"));
        }
        for refused in ["identity", "gzip;q=0", ""] {
            let reply = get(&round, list, &[("accept-encoding", refused)]).ok();
            assert_eq!((reply.header("content-encoding"), reply.text()), (None, plain.text()), "{refused}");
        }
        let etag = plain.header("etag").expect("an ETag");
        let again = get(&round, list, &[("if-none-match", etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(get(&round, list, &[("if-none-match", "\"another\"")]).status, 200);
    }
    let [entries, winners] =
        ["entries", "winners"].map(|list| get(&round, list, &[]).header("etag").map(str::to_owned));
    assert_ne!(entries, winners);
}
