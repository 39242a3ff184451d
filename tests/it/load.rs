//! The load generator against a real server: small loads of each kind find nothing wrong.

use loadtest::scenario::{Options, Scenario};
use loadtest::schedule::Shape;
use loadtest::summary::Ledger;
use serde_json::Value;

use crate::harness::Server;
use crate::harness::fixture::{EVE, chengdu};

fn options(server: &Server, campaign: &Value) -> Options {
    let id = campaign["campaign_id"].as_str().expect("a campaign has an id").to_owned();
    let file = server.data.join(format!("{id}.json"));
    std::fs::write(&file, campaign.to_string()).expect("the campaign can be written");
    Options {
        url: format!("http://{}", server.client.address),
        report: Some(server.data.join(format!("{id}.html"))),
        campaign: id,
        population: 200,
        rate: 200,
        seed: 7,
        token_key: server.data.join("sandbox-token.key"),
        admin_key: None,
        round: None,
        channel: None,
        publish: Some(file),
        seconds: Some(2),
        shape: Shape::Rush,
        connections: Some(16),
        clock_rate: None,
        ledger_every: Some(1),
    }
}

/// All that the run looked for; the generator's own lag is the test machine's affair.
#[track_caller]
fn assert_holds(scenario: &Scenario) {
    let checked = scenario.run().expect("the load can be run");
    let found = (checked.double, checked.lost_acks, checked.errors, checked.incomplete_sheds, checked.ledger);
    assert_eq!(found, (0, 0, 0, 0, Ledger::Balanced));
}

#[test]
fn a_burst_and_the_purchases_after_it_find_everything_that_was_acknowledged() {
    let server = Server::at(EVE);
    let options = options(&server, &chengdu("load-burst", 80));
    assert_holds(&Scenario::Burst(options.clone()));
    assert_holds(&Scenario::Redeem(Options { rate: 50, ..options }));
    server.assert_audit_clean();
}

#[test]
fn taps_reservations_and_purchases_at_once_find_everything_that_was_acknowledged() {
    let server = Server::at("2020-06-30T12:00:00+08:00");
    let campaign = serde_json::from_str(include_str!("../../loadtest/campaigns/load-mixed.json"));
    let options = options(&server, &campaign.expect("the file is JSON"));
    assert_holds(&Scenario::Mixed(options.clone()));
    assert_holds(&Scenario::Overload(Options { rate: 5_000, population: 400, connections: Some(64), ..options }));
    server.assert_audit_clean();
}
