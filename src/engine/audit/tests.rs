//! Clean histories have no finding; each planted fault has exactly one.

use super::order::RedeemedOrder;
use super::sim;
use super::sim::{Sim, facts, field, order_key, out, place, redeemed_line};
use super::walk::ShardWalk;
use super::*;
use crate::engine::ledger::facts::{CampaignFacts, RoundFacts, Supply};
use crate::store::ledger::{Gap, Item, LedgerEntry, Line, To};
use crate::store::snapshot::Header;

fn audit(sim: &Sim) -> Vec<Finding> {
    let facts = facts();
    let mut walk = ShardWalk::new(0, &facts, sim.seq);
    let mut next = 1;
    for (first_seq, lines) in &sim.entries {
        if *first_seq != next {
            let missing = *first_seq as i64 - next as i64;
            walk.ledger(Item::Gap(Gap { after: next - 1, before: *first_seq, missing, unreadable: None }));
        }
        next = first_seq + lines.len() as u64;
        for (seq, line) in (*first_seq..).zip(lines.clone()) {
            walk.ledger(Item::Entry(LedgerEntry { seq, first_seq: *first_seq, at: Sim::at(), line }));
        }
    }
    let fields = sim.counters.iter().map(|(name, n)| (name.clone(), n.to_string())).collect();
    let header = Header { epoch: 1, seq: sim.seq, last_id: 0, fields };
    let missing = (sim.seq + 1).saturating_sub(next);
    let tail = (missing > 0).then_some(Gap {
        after: next - 1,
        before: sim.seq + 1,
        missing: missing as i64,
        unreadable: None,
    });
    walk.header(&header, next - 1, tail);
    (0..sim::BUCKETS).for_each(|bucket| walk.person_bucket(7, bucket, &sim.person_bucket(bucket)));
    (0..sim::ORDER_BUCKETS).for_each(|bucket| walk.order_bucket(bucket, &sim.order_bucket(bucket)));
    let walked = walk.finish();
    let mut findings = walked.findings;
    conservation::check(&facts, &facts, &walked.counters, &mut findings);
    findings
}

fn drop_entry(sim: &mut Sim, wanted: impl Fn(&Line) -> bool) {
    let place = sim.entries.iter().position(|(_, lines)| lines.iter().any(&wanted)).unwrap();
    sim.entries.remove(place);
}

fn counter<'s>(sim: &'s mut Sim, what: &str) -> &'s mut i64 {
    sim.counters.entry(format!("n:7:0:0:{what}")).or_default()
}

fn order<'s>(sim: &'s mut Sim, id: &str) -> &'s mut sim::OrderRecord {
    sim.orders.get_mut(&order_key(id)).unwrap()
}

type Plant = (&'static str, &'static str, fn(&mut Sim));

/// Name, kind of the one finding, and the fault. They touch different persons and orders, so that all can be planted together.
const PLANTS: &[Plant] = &[
    ("a pack counted twice", "counter", |sim| *counter(sim, "0:pk") += 1),
    ("outstanding money is lost", "counter", |sim| *counter(sim, &out()) -= 1),
    ("redeemed money is made", "counter", |sim| *counter(sim, "0:red") += 100),
    ("a reservation is not counted", "counter", |sim| *counter(sim, "255:rsv") -= 1),
    ("expired money below zero", "negative_counter", |sim| *counter(sim, "0:exp") = -5),
    ("a redemption is counted twice", "counter", |sim| *counter(sim, "0:rn") += 1),
    ("a used voucher is available again", "person_record", |sim| sim.record(5).packs[0].1[0] = 0),
    ("an available voucher is used", "person_record", |sim| sim.record(20).packs[0].1 = vec![0, 0, 2]),
    ("a pack is taken away", "person_record", |sim| sim.record(21).packs.clear()),
    ("a pack is given by hand", "person_record", |sim| sim.record(22).packs.push((999, vec![]))),
    ("a reservation is taken away", "person_record", |sim| sim.record(31).reserved = false),
    ("a person is deleted", "person_record", |sim| drop(sim.persons.remove(&place(32)))),
    ("a person is made up", "person_record", |sim| sim.record(500).reserved = true),
    ("a person lies in another bucket", "person_record", |sim| {
        let record = sim.persons.remove(&place(33)).unwrap();
        sim.persons.insert(((place(33).0 + 1) % sim::BUCKETS, field(33)), record);
    }),
    ("a hold is forgotten", "person_record", |sim| sim.record(12).holds.clear()),
    ("an order is deleted", "order_record", |sim| drop(sim.orders.remove(&order_key("D14")))),
    ("a redeemed order is cancelled", "order_record", |sim| order(sim, "D15").state = 3),
    ("a refund is made up", "order_record", |sim| order(sim, "D16").refunds.push(("R9".into(), 100))),
    ("an order is copied", "order_record", |sim| {
        let copy = order(sim, "B10").clone();
        sim.orders.insert(order_key("nobody"), copy);
    }),
    ("a credit is missing from the ledger", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Credited { f, .. } if *f == field(25)));
    }),
    ("a credit and all that followed", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Credited { f, .. } if *f == field(9)));
    }),
    ("a redemption is missing from the ledger", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Redeemed { f, .. } if *f == field(11)));
    }),
    ("a hold is missing from the ledger", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Held { f, .. } if *f == field(13)));
    }),
    ("a hold that was given back is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Held { f, .. } if *f == field(11)));
    }),
    ("a partial refund is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Refunded { share: 500, .. }))
    }),
    ("a full refund is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Refunded { share: 2000, .. }))
    }),
    ("a reversal is missing", "ledger_gap", |sim| drop_entry(sim, |line| matches!(line, Line::Reversed { .. }))),
    ("a reservation is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Reserved { f, .. } if *f == field(35)));
    }),
    ("a withdrawal is missing", "ledger_gap", |sim| drop_entry(sim, |line| matches!(line, Line::Withdrawn { .. }))),
    ("pool money is made", "counter", |sim| *counter(sim, "0:pool") += 7),
    ("money goes to the pool and no line says so", "carry_line", |sim| {
        *counter(sim, "0:late") -= 250;
        *counter(sim, "0:pool") += 250;
    }),
    ("a late refund is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Refunded { to: To::Late, share: 400, .. }));
    }),
    ("what was carried to the pool is missing", "ledger_gap", |sim| {
        drop_entry(sim, |line| matches!(line, Line::Carried { .. }));
    }),
    ("the end of the ledger is lost", "ledger_gap", |sim| drop(sim.entries.pop())),
    ("the header runs ahead", "ledger_gap", |sim| sim.seq += 3),
    ("the header is set back", "header_seq", |sim| sim.seq -= 1),
    ("a line is added by hand", "header_seq", |sim| {
        sim.append(vec![redeemed_line(23, 0, "Z1")]);
        sim.seq -= 1;
    }),
    ("an order is applied twice", "order_applied_twice", |sim| sim.append(vec![redeemed_line(17, 0, "D17")])),
    ("a voucher is used twice", "voucher_used_twice", |sim| sim.append(vec![redeemed_line(17, 0, "Z2")])),
    ("a voucher is used twice and counted twice", "voucher_used_twice", |sim| {
        sim.append(vec![redeemed_line(17, 0, "Z2")]);
        sim.add(&out(), -2000);
        sim.add("0:red", 2000);
        sim.add("0:rn", 1);
        sim.add("0:rg", 2000);
        let copy = order(sim, "D17").clone();
        sim.orders.insert(order_key("Z2"), copy);
    }),
    ("a pack is credited twice", "pack_credited_twice", |sim| {
        let again = sim
            .entries
            .iter()
            .find(|(_, lines)| matches!(lines[0], Line::Credited { f, .. } if f == field(18)))
            .unwrap()
            .1
            .clone();
        sim.append(again);
    }),
    ("a line says another amount", "wrong_amount", |sim| {
        for line in sim.entries.iter_mut().flat_map(|(_, lines)| lines) {
            if let Line::Redeemed { f, discount, .. } = line
                && *f == field(5)
            {
                *discount = 2001;
            }
        }
    }),
];

#[test]
fn a_clean_history_has_no_finding() {
    let mut sim = Sim::busy();
    assert_eq!(audit(&sim), []);
    sim.expire();
    assert_eq!(audit(&sim), []);
    assert_eq!(audit(&Sim::default()), []);
}

#[test]
fn each_planted_fault_is_exactly_one_finding() {
    let mut failures = Vec::new();
    for (name, kind, plant) in PLANTS {
        let mut sim = Sim::busy();
        plant(&mut sim);
        let findings = audit(&sim);
        if findings.len() != 1 || findings[0].kind != *kind {
            failures.push(format!("{name}: {findings:#?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn twenty_faults_at_once_are_twenty_findings() {
    let mut sim = Sim::busy();
    let mut kinds = Vec::new();
    for (name, kind, plant) in PLANTS.iter().take(20) {
        plant(&mut sim);
        kinds.push((*kind, *name));
    }
    let findings = audit(&sim);
    let mut expected: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    expected.sort_unstable();
    let found: Vec<&str> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(found, expected, "{findings:#?}");
}

#[test]
fn faults_planted_in_pairs_are_two_findings() {
    // Lost lines that are neighbours in the ledger are one hole; both ends of it are the same end.
    let one_hole = |name: &str, other: &str| {
        let neighbours = ["a partial refund is missing", "a full refund is missing"];
        let later = ["what was carried to the pool is missing", "a late refund is missing", "a reversal is missing"];
        let ends = [
            "the end of the ledger is lost",
            "the header runs ahead",
            "the header is set back",
            "a line is added by hand",
        ];
        [neighbours.as_slice(), &later, &ends].iter().any(|group| group.contains(&name) && group.contains(&other))
    };
    // A doubled use and a lost return leave the same trace in the counters as a lost return alone.
    let alike = |name: &str, other: &str| {
        // A lost line without any other trace may well be the one that is not there.
        let nothing_else = ["what was carried", "runs ahead", "by hand"].iter().any(|word| name.contains(word));
        name.contains("counted twice") && other == "a full refund is missing"
            || other.contains("no line says so") && nothing_else
    };
    // Two lines appended behind the end.
    let appended = |name: &str| name.contains("twice") && !name.contains("counted") || name.contains("used twice");
    let mut failures = Vec::new();
    for (i, (name, _, plant)) in PLANTS.iter().enumerate() {
        for (other_name, _, other) in PLANTS.iter().take(i) {
            if one_hole(name, other_name)
                || alike(name, other_name)
                || appended(name)
                    && (appended(other_name) || other_name.contains("header") || other_name.contains("by hand"))
            {
                continue;
            }
            let mut sim = Sim::busy();
            other(&mut sim);
            plant(&mut sim);
            let findings = audit(&sim);
            if findings.len() != 2 {
                let found: Vec<_> = findings.iter().map(|finding| (finding.kind, &finding.subject)).collect();
                failures.push(format!("{other_name} + {name}: {found:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} pairs:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn more_packs_than_the_campaign_has_are_oversold() {
    let mut sim = Sim::default();
    (0..101).for_each(|n| sim.credit(n));
    let findings = audit(&sim);
    assert_eq!(
        findings.iter().map(|finding| (finding.kind, finding.found.as_str())).collect::<Vec<_>>(),
        [("oversold", "101")]
    );
}

#[test]
fn what_went_to_the_pool_after_the_end_is_followed() {
    let mut sim = Sim::busy();
    sim.expire();
    sim.carry(To::Expired);
    sim.carry(To::Recovered);
    assert_eq!(audit(&sim), []);
    let mut doubled = sim.clone();
    let last = doubled.entries.last().unwrap().1.clone();
    doubled.append(last);
    assert_eq!(audit(&doubled).iter().map(|finding| finding.kind).collect::<Vec<_>>(), ["carry_line"]);
    sim.entries.truncate(sim.entries.len() - 3);
    let findings = audit(&sim);
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), ["ledger_gap"], "{findings:#?}");
}

#[test]
fn a_round_takes_and_gives_only_what_the_pool_and_its_packs_have() {
    let counters =
        |pool| Counters::of_header([("n:7:0:0:0:pk", "3"), ("n:7:0:0:0:held", "6000"), ("n:7:0:0:0:pool", pool)]);
    let kinds = |change: &dyn Fn(&mut CampaignFacts), pool| {
        let mut facts = facts();
        change(facts.campaigns.get_mut(&7).unwrap());
        let mut findings = Vec::new();
        conservation::check(&facts, &facts, &counters(pool), &mut findings);
        findings.iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&|_| {}, "6000"), Vec::<&str>::new());
    // A second round whose packs the pool pays for.
    let second = |campaign: &mut CampaignFacts, count, funded| {
        let round = RoundFacts { round_id: "r2".into(), counted: true, funded, ..RoundFacts::default() };
        campaign.rounds.push(round);
        campaign.supply.push(Supply { round: 1, channel: None, pack: 0, count });
    };
    assert_eq!(kinds(&|campaign| second(campaign, 1, 4000), "6000"), Vec::<&str>::new());
    assert_eq!(kinds(&|campaign| second(campaign, 2, 8000), "6000"), ["pool_overdrawn"]);
    assert_eq!(kinds(&|campaign| second(campaign, 2, 4000), "6000"), ["supply"]);
    let over = |campaign: &mut CampaignFacts, returned| {
        campaign.rounds[0].returns = true;
        campaign.rounds[0].returned = Some(returned);
    };
    assert_eq!(kinds(&|campaign| over(campaign, 97 * 4000), "6000"), Vec::<&str>::new());
    assert_eq!(kinds(&|campaign| over(campaign, 98 * 4000), "6000"), ["returned"]);
    let divided = |campaign: &mut CampaignFacts| {
        campaign.supply = vec![2, 98]
            .into_iter()
            .zip(0..)
            .map(|(count, channel)| Supply { round: 0, channel: Some(channel), pack: 0, count })
            .collect();
    };
    assert_eq!(kinds(&divided, "6000"), ["oversold"], "three of a channel that has two");
    assert_eq!(kinds(&|campaign| campaign.supply[0].pack = 1, "6000"), ["oversold", "supply"]);
    assert_eq!(kinds(&|_| {}, "6001"), ["conservation"]);
}

#[test]
fn one_order_on_two_shards_is_one_finding() {
    let order = |key, at, gone_at| RedeemedOrder { key: order_key(key), at, gone_at };
    let twice = |second| {
        let orders = vec![order("A", second, i64::MAX), order("B", 1, i64::MAX), order("A", 2, 9)];
        conservation::redeemed_twice(orders).len()
    };
    assert_eq!([twice(2), twice(8), twice(9)], [1, 1, 0], "from 9 on the first is forgotten and its name is free");
}

#[test]
fn an_expiry_that_is_missing_or_doubled_is_one_finding() {
    let mut sim = Sim::busy();
    sim.expire();
    let last = sim.entries.last().unwrap().1.clone();
    sim.append(last);
    assert_eq!(audit(&sim).iter().map(|finding| finding.kind).collect::<Vec<_>>(), ["expired_twice"]);
    let mut sim = Sim::busy();
    sim.expire();
    sim.entries.pop();
    assert_eq!(audit(&sim).iter().map(|finding| finding.kind).collect::<Vec<_>>(), ["ledger_gap"]);
}

#[test]
fn a_refund_to_the_treasury_may_leave_the_voucher_used_or_revoked() {
    let mut sim = Sim::busy();
    sim.refund(9, 0, "A9", 2000, To::Recovered);
    assert_eq!(audit(&sim), []);
    sim.record(9).packs[0].1[0] = 3;
    assert_eq!(audit(&sim), []);
    sim.record(9).packs[0].1[0] = 0;
    assert_eq!(audit(&sim).len(), 1);
}
