//! A node that dies while it counts, deals or credits a grant leaves nothing that another would not go on with.

use serde_json::json;

use super::{BEFORE, OPENS, grant, kinds_of};
use crate::claim::first_come::Rush;
use crate::harness::fixture::{HOUR, at, text_of};
use crate::harness::identity::Resident;
use crate::harness::random::{Random, seeds};
use crate::harness::redis::OwnRedis;
use crate::harness::wait_until;
use crate::list::{csv_of, put_list};
use crate::plays::kills::{SHARDS, jump_and_die};

const PEOPLE: usize = 240;

/// With `carry_over` the packs are fixed at the opening, so the counting too falls on an instant at which the node can be killed.
#[test]
fn a_node_killed_while_it_deals_and_credits_a_grant_is_gone_on_with_and_everybody_has_one_pack() {
    for seed in seeds(0) {
        println!("QUANYU_TEST_SEED={seed}");
        let mut random = Random::new(seed);
        let redis = OwnRedis::start();
        let mut node = redis.node(BEFORE, SHARDS, None);
        let people = Resident::many(PEOPLE);
        put_list(&node, "nurses", &csv_of(&people)).ok();
        let mut file = grant("deal-killed", json!({"a": 100, "b": 90, "c": 60}), false);
        file["carry_over"] = json!("next_round");
        file["carry_over_sources"] = json!(["unissued"]);
        node.create_campaign(&file).ok();
        let campaign = file["campaign_id"].as_str().expect("an id").to_string();
        node.publish(&campaign);
        let mut interrupted = 0;
        for kill in 0..3 {
            let instant = at(OPENS) + (kill - 1) * HOUR;
            interrupted += usize::from(jump_and_die(&node, &redis, instant, random.between(0, 20) as u64));
            node = redis.node(&text_of(instant), SHARDS, Some(&node));
        }
        println!("{interrupted} of 3 kills came before the work was done");
        let rush = Rush { server: node, campaign };
        wait_until("everybody is credited", || (rush.issued() == PEOPLE as i64).then_some(()));
        let kinds = kinds_of(&rush, &people);
        let count = |kind: &str| kinds.iter().filter(|own| **own == [kind.to_string()]).count();
        assert_eq!(["a", "b", "c"].map(count), [96, 86, 58]);
        rush.server.assert_audit_clean();
    }
}
