//! The rain: decided before, revealed by the tap, credited to everybody at the close.

mod claim_limits;
mod claim_quotas;
mod dealt;
mod drawn;
pub mod first_come;
mod grant;
mod grant_each;
mod hangzhou;
mod proof;
mod published;
mod undrawn;
mod waits;

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::fixture::{DAY, MINUTE, Round, SECOND, at, chengdu, new_campaign_id, parse_time};
use crate::harness::identity::Resident;
use crate::harness::wait_until;

const OPENS: &str = "2020-07-24T18:00:00";
const CLOSES: &str = "2020-07-24T18:10:00";

fn rain(packs: i64, people: usize) -> Round {
    Round::reserved(chengdu(&new_campaign_id("rain"), packs), people)
}

#[test]
fn before_the_opening_everybody_is_told_to_wait_and_nothing_is_given_away() {
    let round = rain(2, 4);
    round.raining(-1);
    for index in 0..4 {
        let reply = round.tap_drawn(index).ok();
        assert_eq!(reply.str("outcome"), "not_yet", "{}", reply.text());
        assert_eq!(parse_time(&reply["opens_at"]), at(OPENS));
        assert_eq!(parse_time(&reply["closes_at"]), at(CLOSES));
        assert!(reply.int("retry_after_ms") >= 1, "{}", reply.text());
    }
    assert_eq!(round.server.stats(&round.campaign)["issued"], 0);
}

#[test]
fn an_early_winner_is_told_the_exact_instant_and_a_millisecond_sooner_is_too_soon() {
    let round = rain(8, 12);
    round.raining(0);
    let first: Vec<_> = (0..12).map(|index| round.tap_drawn(index).ok()).collect();
    let waits: Vec<(usize, i64)> = first
        .iter()
        .enumerate()
        .filter(|(_, reply)| reply.str("outcome") == "not_yet")
        .map(|(index, reply)| (index, reply.int("retry_after_ms")))
        .collect();
    let lost = first.iter().filter(|reply| reply.str("outcome") == "lost").count();
    let won = first.iter().filter(|reply| reply.str("outcome") == "won").count();
    assert_eq!((waits.len() + won, lost), (8, 4), "winners wait, losers are told at the first tap");
    let mut waits = waits;
    waits.sort_by_key(|one| one.1);
    for (index, wait) in waits {
        assert!((1..=480 * SECOND).contains(&wait), "the curve ends by 480 s: {wait}");
        round.server.set_clock(at(OPENS) + wait - 1);
        let sooner = round.tap(index).ok();
        assert_eq!(sooner.str("outcome"), "not_yet", "{}", sooner.text());
        assert_eq!(sooner.int("retry_after_ms"), 1);
        round.server.set_clock(at(OPENS) + wait);
        assert_eq!(round.tap(index).ok().str("outcome"), "won");
    }
    round.server.assert_audit_clean();
}

#[test]
fn with_the_curve_fully_open_every_decided_winner_wins_and_nobody_else() {
    let round = rain(5, 20);
    round.raining(480 * SECOND);
    let answers: Vec<_> = (0..20).map(|index| round.tap_drawn(index).ok()).collect();
    let outcomes: BTreeSet<_> = answers.iter().map(|reply| reply.str("outcome")).collect();
    assert_eq!(outcomes, BTreeSet::from(["lost", "won"]));
    assert_eq!(answers.iter().filter(|reply| reply.str("outcome") == "won").count(), 5);
    let stats = round.server.stats(&round.campaign);
    assert_eq!((&stats["reserved"], &stats["entries"], &stats["issued"]), (&json!(20), &json!(20), &json!(5)));
    assert_eq!(stats["rounds"][0]["remaining"], 0);
}

#[test]
fn a_pack_is_whole_and_a_repeat_of_a_win_is_the_same_pack() {
    let round = rain(1, 1);
    round.raining(480 * SECOND);
    let first = round.tap_drawn(0).ok();
    assert_eq!(first.str("outcome"), "won");
    let pack = &first["pack"];
    assert_eq!(pack["pack_id"], "standard");
    let wanted = json!([{"voucher_kind": "60-20", "count": 2}, {"voucher_kind": "30-10", "count": 4}]);
    assert_eq!(pack["vouchers"], wanted);
    assert_eq!(parse_time(&pack["credited_at"]), at(OPENS) + 480 * SECOND);
    assert!(first.header("durability").is_some(), "an effect names its durability");

    round.server.set_clock(at(OPENS) + 500 * SECOND);
    let again = round.tap(0).ok();
    assert_eq!(again.json, first.json);
    assert!(again.replayed());
    let by_token = round.server.claim(&round.campaign, &round.server.token(&round.people[0])).ok();
    assert_eq!(by_token.json, first.json, "a resident's token is as good as the pass");
    let vouchers = round.server.vouchers(&round.campaign, &round.people[0]);
    let ids: BTreeSet<_> = vouchers.iter().map(|one| &one.0).collect();
    assert_eq!((vouchers.len(), ids.len()), (6, 6), "six vouchers with six ids");
    let ledger = round.server.ledger(&round.campaign);
    assert_eq!(ledger["total"]["outstanding"], 8000);
}

#[test]
fn who_has_lost_stays_lost_however_long_the_tapping() {
    let round = rain(1, 6);
    round.raining(SECOND);
    let lost: Vec<usize> = (0..6).filter(|index| round.tap_drawn(*index).ok().str("outcome") == "lost").collect();
    assert_eq!(lost.len(), 5);
    for later in [2, 100, 479, 480, 599] {
        round.server.set_clock(at(OPENS) + later * SECOND);
        for index in &lost {
            assert_eq!(round.tap(*index).ok().str("outcome"), "lost");
        }
    }
    round.server.set_clock(at(CLOSES));
    for index in &lost {
        let reply = round.tap(*index).ok();
        assert_eq!((reply.str("outcome"), reply.str("result")), ("closed", "lost"));
        let mine = round.server.my_claim(&round.campaign, &round.people[*index]).ok();
        assert_eq!(mine.str("result"), "lost");
        assert!(round.server.vouchers(&round.campaign, &round.people[*index]).is_empty());
    }
}

#[test]
fn the_close_credits_every_winner_tapped_or_not() {
    let round = rain(4, 6);
    round.raining(480 * SECOND);
    round.tap_drawn(0);
    round.server.set_clock(at(CLOSES));
    let results: Vec<_> = (0..6)
        .map(|index| {
            let reply = round.tap(index).ok();
            assert_eq!(reply.str("outcome"), "closed", "{}", reply.text());
            reply.str("result").to_string()
        })
        .collect();
    assert_eq!(results.iter().filter(|result| *result == "won").count(), 4);
    for (index, result) in results.iter().enumerate() {
        let mine = round.server.my_claim(&round.campaign, &round.people[index]).ok();
        assert_eq!(mine.str("result"), result);
        let count = round.server.vouchers(&round.campaign, &round.people[index]).len();
        assert_eq!(count, if result == "won" { 6 } else { 0 });
        assert_eq!(mine["credited"] == true, result == "won", "{}", mine.text());
    }
    assert_eq!(round.server.stats(&round.campaign)["issued"], 4);
    round.server.assert_audit_clean();
}

#[test]
fn winners_who_never_come_are_credited_by_the_sweep_alone() {
    let round = rain(3, 5);
    round.raining(480 * SECOND);
    round.server.set_clock(at(CLOSES) + MINUTE);
    wait_until("the sweep has credited everybody", || {
        let stats = round.server.stats(&round.campaign);
        (stats["issued"] == 3).then_some(())
    });
    let ledger = round.server.ledger(&round.campaign);
    assert_eq!((&ledger["total"]["outstanding"], &ledger["total"]["unissued"]), (&json!(24_000), &json!(0)));
    round.server.assert_audit_clean();
}

#[test]
fn with_more_packs_than_people_everybody_wins_and_the_rest_stays_unissued() {
    let round = rain(10, 4);
    round.raining(480 * SECOND);
    for index in 0..4 {
        assert_eq!(round.tap_drawn(index).ok().str("outcome"), "won");
    }
    let ledger = round.server.ledger(&round.campaign);
    assert_eq!((&ledger["total"]["outstanding"], &ledger["total"]["unissued"]), (&json!(32_000), &json!(48_000)));
}

#[test]
fn a_result_is_pending_until_it_is_known() {
    let round = rain(1, 2);
    let mine = round.server.my_claim(&round.campaign, &round.people[0]).ok();
    assert_eq!(mine.str("result"), "pending", "{}", mine.text());
    assert!(mine["known_at"].is_string(), "{}", mine.text());
    let stranger = round.server.my_claim(&round.campaign, &Resident::new());
    assert!(!stranger.text().contains("\"won\""), "{}", stranger.text());
}

#[test]
fn a_pause_in_the_rain_holds_everybody_and_after_it_all_who_were_passed_win_at_once() {
    let round = rain(3, 3);
    round.raining(SECOND);
    round.tap_drawn(0);
    round.server.pause(&round.campaign, &["claim"]).ok();
    round.server.set_clock(at(OPENS) + 480 * SECOND);
    for index in 0..3 {
        let reply = round.tap(index);
        let told = reply.text();
        assert!(reply.code() == "campaign_not_running" || reply.str("outcome") == "won", "{told}");
    }
    round.server.step(&round.campaign, "resume").ok();
    for index in 0..3 {
        assert_eq!(round.tap(index).ok().str("outcome"), "won");
    }
}

#[test]
fn vouchers_are_pending_before_the_validity_and_expired_from_its_end() {
    let round = rain(1, 1);
    round.raining(480 * SECOND);
    round.tap_drawn(0).ok();
    let person = &round.people[0];
    let states = |at_ms: i64| {
        round.server.set_clock(at_ms);
        let all = round.server.vouchers(&round.campaign, person);
        all.into_iter().map(|one| one.2).collect::<BTreeSet<_>>()
    };
    let (begin, end) = (at("2020-07-25T00:00:00"), at("2020-09-07T00:00:00"));
    assert_eq!(states(begin - 1), BTreeSet::from(["pending".to_string()]));
    assert_eq!(states(begin), BTreeSet::from(["available".to_string()]));
    assert_eq!(states(end - 1), BTreeSet::from(["available".to_string()]));
    assert_eq!(states(end), BTreeSet::from(["expired".to_string()]));
    wait_until("the money has moved to expired", || {
        let total = round.server.ledger(&round.campaign)["total"].clone();
        (total["expired"] == 8000 && total["outstanding"] == 0).then_some(())
    });
    round.server.assert_audit_clean();
    round.server.set_clock(end + DAY);
    round.server.assert_audit_clean();
}

#[test]
fn a_pass_that_taps_faster_than_twenty_times_a_second_is_slowed_down_and_loses_nothing() {
    let round = rain(1, 1);
    round.raining(480 * SECOND);
    round.tap_drawn(0).ok();
    let answers: Vec<_> = (0..120).map(|_| round.tap(0)).collect();
    let slowed = answers.iter().find(|reply| reply.status == 429);
    let slowed = slowed.expect("more than twenty taps in a second are limited").clone();
    assert_eq!((slowed.code(), &slowed["retryable"]), ("rate_limited", &json!(true)));
    assert!(slowed.header("ratelimit").is_some() && slowed.header("ratelimit-policy").is_some());
    let later = wait_until("the limit is over", || {
        let reply = round.tap(0);
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(later.str("outcome"), "won");
}

#[test]
fn the_wallet_has_an_etag_and_says_not_modified() {
    let round = rain(1, 1);
    round.raining(480 * SECOND);
    round.tap_drawn(0).ok();
    let (server, person) = (&round.server, &round.people[0]);
    let wallet = server.wallet(&round.campaign, person).ok();
    let one = &wallet["vouchers"][0];
    assert_eq!(one["campaign_id"], json!(round.campaign));
    assert_eq!((&one["transaction_minimum"], &one["discount_amount"]), (&json!(6000), &json!(2000)));
    assert_eq!(parse_time(&one["available_end_time"]), at("2020-09-07T00:00:00"));
    assert_eq!(one["channel"], "wechat");
    let id = one["voucher_id"].as_str().expect("a voucher id");
    let crockford = |c: char| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(c.to_ascii_uppercase());
    assert!(id.len() == 26 && id.chars().all(crockford), "{id}");
    let etag = wallet.header("etag").expect("an ETag");
    let path = format!("/v1/wallet?campaign_id={}", round.campaign);
    let again = crate::harness::client::Request::new("GET", &path).bearer(&server.token(person));
    assert_eq!(server.send(&again.header("if-none-match", etag)).status, 304);
}

#[test]
fn the_stores_file_is_compacted_in_the_minutes_before_the_rain() {
    let round = rain(2, 4);
    let note = std::fs::read_to_string(round.server.data.join("instance.json")).expect("a running server has a note");
    let note: serde_json::Value = serde_json::from_str(&note).expect("the note is JSON");
    let client = redis::Client::open(note["redis_url"].as_str().expect("an address")).expect("an address");
    let mut store = client.get_connection().expect("the embedded store answers");
    let mut rewrites = || {
        let info: redis::InfoDict = redis::cmd("INFO").arg("persistence").query(&mut store).expect("the store answers");
        info.get::<u64>("aof_rewrites").expect("a store of 7.0 counts its rewrites")
    };
    round.raining(-11 * MINUTE);
    assert_eq!(rewrites(), 0);
    round.server.set_clock(at(OPENS) - 5 * MINUTE);
    wait_until("the file is compacted", || (rewrites() == 1).then_some(()));
}
