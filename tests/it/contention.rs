//! Many callers at the same instant: one voucher, the last packs, one person, one order number.
//! Every scene runs on one node and on two nodes over one Redis.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::fixture::{
    Market, Round, SECOND, at, chengdu, merchant, new_campaign_id, new_merchant_id, new_order, sale,
};
use crate::harness::redis::OwnRedis;
use crate::harness::till::Till;
use crate::harness::{Server, together};

/// One or two nodes; dropped before the Redis they stand on.
struct Nodes {
    round: Round,
    second: Option<Server>,
    _redis: Option<OwnRedis>,
}

impl Nodes {
    fn open(count: usize, name: &str, packs: i64, people: usize) -> Nodes {
        let campaign = chengdu(&new_campaign_id(name), packs);
        let start = "2020-07-12T12:00:00+08:00";
        if count == 1 {
            let round = Round::reserved_on(Server::at(start), campaign, people);
            return Nodes { round, second: None, _redis: None };
        }
        let redis = OwnRedis::start();
        let [first, second] = redis.two_nodes(start);
        let round = Round::reserved_on(first, campaign, people);
        second.set_clock(at("2020-07-13T09:00:00"));
        Nodes { round, second: Some(second), _redis: Some(redis) }
    }

    /// The node that this client talks to.
    fn node(&self, index: usize) -> &Server {
        match &self.second {
            Some(second) if index % 2 == 1 => second,
            _ => &self.round.server,
        }
    }

    fn shop(&self) {
        self.round.everybody_credited();
        self.follow("2020-07-25T12:00:00");
    }

    fn follow(&self, local: &str) {
        if let Some(second) = &self.second {
            second.set_clock(at(local));
        }
    }

    fn terminals(&self, count: usize) -> Vec<Till> {
        let (server, id) = (&self.round.server, new_merchant_id());
        server.create_merchant(&merchant(&id)).ok();
        server.enrol(&self.round.campaign, &id);
        (0..count).map(|n| server.create_terminal(&id, &format!("t{n}"))).collect()
    }

    fn total(&self, account: &str) -> i64 {
        let ledger = self.round.server.ledger(&self.round.campaign);
        ledger["total"][account].as_i64().expect("an account of the ledger")
    }
}

fn one_voucher_at_100_terminals(count: usize) {
    let nodes = Nodes::open(count, "one-voucher", 1, 1);
    nodes.shop();
    let tills = nodes.terminals(100);
    let vouchers = nodes.round.server.vouchers(&nodes.round.campaign, &nodes.round.people[0]);
    let voucher = &vouchers.iter().find(|one| one.1 == "30-10").expect("a small voucher").0;
    let answers = together(100, |index| {
        let body = json!({"order_id": format!("V-{index}"), "voucher_ids": [voucher], "amount": 5000,
            "merchant_discount": 0, "category": "catering", "capture": index % 3 == 0});
        nodes.node(index).redeem(&tills[index], &body)
    });
    let won = answers.iter().filter(|answer| answer.is_success()).count();
    assert_eq!(won, 1, "exactly one terminal gets the voucher");
    for answer in answers.iter().filter(|answer| !answer.is_success()) {
        let code = answer.code();
        assert!(["voucher_held", "voucher_used"].contains(&code), "{}", answer.text());
    }
    assert_eq!(nodes.total("held") + nodes.total("redeemed"), 1000);
    nodes.round.server.assert_audit_clean();
}

#[test]
fn one_voucher_at_a_hundred_terminals_is_taken_exactly_once() {
    one_voucher_at_100_terminals(1);
}

#[test]
fn one_voucher_at_a_hundred_terminals_of_two_nodes_is_taken_exactly_once() {
    one_voucher_at_100_terminals(2);
}

fn the_last_packs(count: usize) {
    let nodes = Nodes::open(count, "last-packs", 10, 64);
    nodes.round.raining(480 * SECOND);
    nodes.round.tap_drawn(0);
    nodes.follow("2020-07-24T18:08:00");
    let tap = |index: usize| nodes.node(index).claim(&nodes.round.campaign, &nodes.round.passes[index % 64]);
    let first = together(64, tap);
    // Again through the other node: the same people must be told the same.
    let again = together(64, |index| nodes.node(index + 1).claim(&nodes.round.campaign, &nodes.round.passes[index]));
    let mut numbers = BTreeSet::new();
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first.status, 200, "{}", first.text());
        assert_eq!(first.json, again.json, "a repeat says the same");
        match first.str("outcome") {
            "won" => {
                assert!(again.replayed(), "a repeat of a win is marked");
                assert!(numbers.insert(first["pack"]["pack_no"].to_string()), "a pack number given twice");
            }
            outcome => assert_eq!(outcome, "lost"),
        }
    }
    assert_eq!(numbers.len(), 10, "ten packs, ten winners");
    assert_eq!(nodes.total("unissued"), 0);
    assert_eq!(nodes.total("outstanding"), 80_000);
    assert_eq!(nodes.round.server.stats(&nodes.round.campaign)["issued"], 10);
    nodes.round.server.assert_audit_clean();
}

#[test]
fn the_last_ten_packs_go_to_exactly_ten_of_64_clients() {
    the_last_packs(1);
}

#[test]
fn the_last_ten_packs_go_to_exactly_ten_of_64_clients_of_two_nodes() {
    the_last_packs(2);
}

fn one_person_from_50_clients(count: usize) {
    let nodes = Nodes::open(count, "one-person", 2, 1);
    nodes.round.raining(480 * SECOND);
    nodes.round.wait_drawn();
    nodes.follow("2020-07-24T18:08:00");
    let person = &nodes.round.people[0];
    let answers = together(50, |index| {
        let node = nodes.node(index);
        let bearer = if index % 5 == 0 { node.token(person) } else { nodes.round.passes[0].clone() };
        crate::harness::wait_until("the tap is judged", || {
            let answer = node.claim(&nodes.round.campaign, &bearer);
            (answer.status != 429 && answer.str("outcome") != "not_yet").then_some(answer)
        })
    });
    let numbers: BTreeSet<_> = answers.iter().map(|a| a["pack"]["pack_no"].to_string()).collect();
    assert!(answers.iter().all(|answer| answer.str("outcome") == "won"), "{}", answers[0].text());
    assert_eq!(numbers.len(), 1, "one person, one pack: {numbers:?}");
    assert_eq!(nodes.total("outstanding"), 8000);
    nodes.round.server.assert_audit_clean();
}

#[test]
fn one_person_tapping_from_fifty_clients_gets_one_pack() {
    one_person_from_50_clients(1);
}

#[test]
fn one_person_tapping_from_fifty_clients_of_two_nodes_gets_one_pack() {
    one_person_from_50_clients(2);
}

fn one_order_50_times(count: usize) {
    let nodes = Nodes::open(count, "one-order", 1, 1);
    nodes.shop();
    let till = nodes.terminals(1).remove(0);
    for capture in [true, false] {
        let code = nodes.round.server.pay_code(&nodes.round.people[0]);
        let body = sale(&new_order(), &code, 5000, capture);
        let answers = together(50, |index| nodes.node(index).redeem(&till, &body));
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json, answers[0].json, "all answers are equal");
        }
        let effects = answers.iter().filter(|answer| !answer.replayed()).count();
        assert_eq!(effects, 1, "one effect, the others are marked as repeats");
    }
    assert_eq!((nodes.total("redeemed"), nodes.total("held")), (1000, 1000));
    nodes.round.server.assert_audit_clean();
}

#[test]
fn one_order_sent_fifty_times_at_once_has_one_effect_and_equal_answers() {
    one_order_50_times(1);
}

#[test]
fn one_order_sent_fifty_times_at_once_to_two_nodes_has_one_effect_and_equal_answers() {
    one_order_50_times(2);
}

/// One code and one order number, sent with as many bodies as there are clients: one has its effect, and the others are told of it.
fn one_order_of_many_bodies(count: usize) {
    const BATCHES: usize = 30;
    let nodes = Nodes::open(count, "bodies", BATCHES as i64, BATCHES);
    nodes.shop();
    let till = nodes.terminals(1).remove(0);
    for (batch, person) in nodes.round.people.iter().enumerate() {
        let (order, code) = (new_order(), nodes.round.server.pay_code(person));
        let clients = [2, 3, 8][batch % 3];
        let answers =
            together(clients, |index| nodes.node(index).redeem(&till, &sale(&order, &code, 7000 + index as i64, true)));
        assert_eq!(answers.iter().filter(|answer| answer.is_success()).count(), 1, "of {clients}");
        for answer in answers.into_iter().filter(|answer| !answer.is_success()) {
            assert_eq!(answer.refused(409, "order_conflict")["fields"], json!(["amount"]));
        }
    }
    assert_eq!(nodes.total("redeemed"), BATCHES as i64 * 2000);
    nodes.round.server.assert_audit_clean();
}

#[test]
fn one_order_sent_at_once_with_different_bodies_has_one_effect() {
    one_order_of_many_bodies(1);
}

#[test]
fn one_order_sent_at_once_to_two_nodes_with_different_bodies_has_one_effect() {
    one_order_of_many_bodies(2);
}

fn redeem_against_reverse(count: usize) {
    let nodes = Nodes::open(count, "race", 6, 6);
    nodes.shop();
    let till = nodes.terminals(1).remove(0);
    let (server, campaign) = (&nodes.round.server, &nodes.round.campaign);
    for person in &nodes.round.people {
        let body = sale(&new_order(), &server.pay_code(person), 7000, true);
        let order = body["order_id"].as_str().expect("an order").to_string();
        let answers = together(8, |index| match index % 2 {
            0 => nodes.node(index / 2).redeem(&till, &body),
            _ => nodes.node(index / 2).reverse(&till, &order),
        });
        for (index, answer) in answers.iter().enumerate() {
            let fits = answer.is_success() || (index % 2 == 0 && answer.code() == "order_reversed");
            assert!(fits, "{}", answer.text());
        }
        assert_eq!(server.order(&till, &order).ok().str("state"), "reversed");
        server.redeem(&till, &body).refused_with("order_reversed");
        let free = server.vouchers(campaign, person).iter().filter(|one| one.2 == "available").count();
        assert_eq!(free, 6, "a reversed order leaves every voucher free");
    }
    assert_eq!((nodes.total("redeemed"), nodes.total("outstanding")), (0, 48_000));
    server.assert_audit_clean();
}

#[test]
fn a_reverse_that_races_its_redeem_always_ends_with_nothing_used() {
    redeem_against_reverse(1);
}

#[test]
fn a_reverse_that_races_its_redeem_on_two_nodes_always_ends_with_nothing_used() {
    redeem_against_reverse(2);
}

fn the_day_limit_in_a_crowd(count: usize) {
    let nodes = Nodes::open(count, "day-limit", 1, 1);
    nodes.shop();
    let tills = nodes.terminals(12);
    let codes: Vec<String> = (0..12).map(|_| nodes.round.server.pay_code(&nodes.round.people[0])).collect();
    let answers = together(12, |index| {
        nodes.node(index).redeem(&tills[index], &sale(&format!("L-{index}"), &codes[index], 3000, true))
    });
    let taken = answers.iter().filter(|answer| answer.is_success()).count();
    assert_eq!(taken, 2, "two redemptions of a person at a merchant on a day, not more");
    for answer in answers.iter().filter(|answer| !answer.is_success()) {
        assert_eq!(answer.code(), "limit_reached", "{}", answer.text());
    }
    nodes.round.server.assert_audit_clean();
}

#[test]
fn the_day_limit_holds_when_twelve_terminals_try_at_once() {
    the_day_limit_in_a_crowd(1);
}

#[test]
fn the_day_limit_holds_when_terminals_of_two_nodes_try_at_once() {
    the_day_limit_in_a_crowd(2);
}

#[test]
fn a_person_who_reserves_from_fifty_clients_is_on_the_list_once() {
    let server = Server::at("2020-07-12T12:00:00+08:00");
    let round = Round::reserved_on(server, chengdu(&new_campaign_id("crowd"), 5), 0);
    let person = crate::harness::identity::Resident::new();
    let answers = together(50, |_| round.server.reserve(&round.campaign, &person).ok());
    let made: BTreeSet<_> = answers.iter().map(|a| a["reservation"].to_string()).collect();
    assert_eq!(made.len(), 1, "all answers name one reservation");
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(round.server.stats(&round.campaign)["reserved"], 1);
}

#[test]
fn many_shoppers_at_many_tills_leave_a_balanced_ledger() {
    let market = Market::open("many", 24);
    let till = market.till();
    let people: Vec<_> = (0..24).map(|_| market.shopper()).collect();
    let answers = together(24, |index| {
        let code = market.server().pay_code(&people[index]);
        let reply = market.server().redeem(&till, &sale(&new_order(), &code, 6000, true)).ok();
        let order = reply.str("order_id").to_string();
        match index % 3 {
            0 => market.server().refund(&till, &order, "R1", 6000).ok(),
            1 => market.server().refund(&till, &order, "R1", 1001).ok(),
            _ => reply,
        }
    });
    assert_eq!(answers.len(), 24);
    let ledger = market.server().ledger(market.campaign());
    // A part of 1001 of 6000 with 4000 paid: the payer gets floor(667.33), the issuer 334.
    assert_eq!(ledger["total"]["redeemed"], 8 * 2000 + 8 * (2000 - 334));
    assert_eq!(ledger["total"]["recovered"], 8 * 334);
    assert_eq!(ledger["total"]["outstanding"], 24 * 8000 - 16 * 2000);
    market.server().assert_audit_clean();
}
