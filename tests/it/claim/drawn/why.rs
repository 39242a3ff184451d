//! A win that nobody collected reads as one: the proof names its person, and the answer must not contradict it.

use serde_json::{Value, json};

use super::{CLOSES, DRAW, Drawn, OPENS, file, windowed};
use crate::claim::first_come::{Rush, hangzhou};
use crate::harness::client::Reply;
use crate::harness::fixture::{DAY, at};
use crate::harness::identity::Resident;
use crate::harness::{Options, Server, wait_until};
use crate::list::{csv_of, put_list};

#[track_caller]
fn check_missed(reply: &Reply, detail: &str) {
    let words = |language: &str| reply["message"][language].as_str().unwrap_or_default().to_owned();
    assert_eq!(reply.str("detail"), detail, "{}", reply.text());
    assert!(words("zh").contains("已中签") && words("en").contains("was yours"), "{}", reply.text());
}

#[test]
fn who_was_drawn_and_did_not_come_is_told_that_the_pack_was_won_and_not_collected() {
    for mode in ["ballot", "rain"] {
        let drawn = Drawn::reserved(file("uncollected", |file| windowed(file, mode, "return")), 12, |_| None);
        drawn.server.set_clock(at(DRAW));
        drawn.wait_drawn(0);
        drawn.server.set_clock(at(CLOSES));
        let (_, _, winners) = drawn.verified("r1");
        let mine: Vec<Reply> = drawn.passes.iter().map(|pass| drawn.mine("r1", pass)).collect();
        let told: Vec<usize> = (0..12).filter(|index| mine[*index]["detail"] == "not_collected").collect();
        assert_eq!((winners.len(), told.len()), (4, 4), "{mode}");
        for (index, pass) in drawn.passes.iter().enumerate() {
            let late = drawn.tap("r1", pass, None).ok();
            assert_eq!((mine[index].str("result"), late.str("result")), ("lost", "lost"), "{}", late.text());
            if told.contains(&index) {
                check_missed(&mine[index], "not_collected");
                check_missed(&late, "not_collected");
                let until = format!("{CLOSES}+08:00");
                assert!(late["message"]["zh"].as_str().is_some_and(|text| text.contains(&until)), "{}", late.text());
            } else {
                assert!(mine[index]["detail"].is_null() && late["detail"].is_null(), "{}", late.text());
            }
        }
    }
}

#[test]
fn whom_a_wave_has_passed_over_is_told_why_the_win_is_lost() {
    let drawn = Drawn::reserved(super::waves::released("passed-over", "ballot"), 10, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    drawn.server.set_clock(at(OPENS));
    let winner = (0..10).find(|index| drawn.mine("r1", &drawn.passes[*index])["result"] == "won").expect("a winner");
    drawn.server.set_clock(at("2020-07-26T10:00:00"));
    wait_until("the wave is decided", || (drawn.stats(0)["waves"] == 1).then_some(()));
    let tap = drawn.tap("r1", &drawn.passes[winner], None).ok();
    assert_eq!(tap.str("outcome"), "lost");
    check_missed(&tap, "not_collected");
    drawn.server.set_clock(at("2020-07-27T12:00:00"));
    check_missed(&drawn.mine("r1", &drawn.passes[winner]), "not_collected");
}

#[test]
fn a_winner_of_a_stopped_campaign_is_told_that_it_was_stopped() {
    let drawn = Drawn::reserved(file("stopped-win", |file| windowed(file, "ballot", "return")), 12, |_| None);
    drawn.server.set_clock(at(DRAW));
    drawn.wait_drawn(0);
    let path = format!("/v1/campaigns/{}/stop", drawn.campaign);
    drawn.server.office("POST", &path, Some(json!({"reason": "fraud"}))).ok();
    drawn.server.set_clock(at(CLOSES));
    let mine: Vec<Reply> = drawn.passes.iter().map(|pass| drawn.mine("r1", pass)).collect();
    let told: Vec<&Reply> = mine.iter().filter(|mine| !mine["detail"].is_null()).collect();
    assert_eq!(told.len(), 4);
    told.iter().for_each(|mine| check_missed(mine, "campaign_stopped"));
}

fn granted(name: &str, assignment: &str) -> Value {
    let mut file = hangzhou(name, [9, 9, 9]);
    file["limits"] = json!([]);
    file["budget"] = json!(100_000_000);
    file["rounds"] = json!([{"round_id": "i", "mode": "grant", "entries_list": "nurses", "assignment": assignment,
        "max_packs_per_person": 3, "packs": {"five-40-10": 9, "hundred": 9, "fifty-2022": 9},
        "opens_at": "2020-03-27T09:00:00+08:00", "closes_at": "2020-03-28T00:00:00+08:00", "unclaimed": "return"}]);
    file
}

#[test]
fn the_result_of_a_round_with_several_packs_names_all_of_them_and_can_be_asked_for_one() {
    let people = Resident::many(2);
    let server = Server::start(Options::at("2020-03-20T12:00:00+08:00"));
    put_list(&server, "nurses", &csv_of(&people)).ok();
    let rush = Rush::open_on(server, &granted("each-mine", "each"));
    rush.server.set_clock(at("2020-03-27T09:00:00"));
    let token = rush.server.token(&people[0]);
    for pack_id in ["hundred", "five-40-10"] {
        wait_until("the grant is counted", || {
            let reply = rush.tap_for("i", &token, Some(json!({"pack_id": pack_id}))).ok();
            (reply.str("outcome") == "won").then_some(())
        });
    }
    let path = |query: &str| format!("/v1/campaigns/{}/rounds/i/claims/mine{query}", rush.campaign);
    let ask = |query: &str| rush.server.resident(&people[0], "GET", &path(query), None);
    let all = ask("").ok();
    let ids: Vec<&str> =
        all["packs"].as_array().into_iter().flatten().filter_map(|pack| pack["pack_id"].as_str()).collect();
    assert_eq!((all.str("result"), ids.len()), ("won", 2), "{}", all.text());
    assert!(ids.contains(&"hundred") && ids.contains(&"five-40-10"), "{ids:?}");
    for pack_id in ["hundred", "five-40-10"] {
        assert_eq!(ask(&format!("?pack_id={pack_id}")).ok()["pack"]["pack_id"], pack_id);
    }
    assert_eq!(ask("?pack_id=fifty-2022").ok().str("result"), "pending");
    let unknown = ask("?pack_id=f200").refused(422, "invalid_request");
    assert_eq!(unknown["errors"][0]["pointer"], "?pack_id", "{}", unknown.text());
    ask("?pack=hundred").refused(422, "invalid_request");
    rush.server.set_clock(at("2020-03-28T00:00:00"));
    check_missed(&ask("?pack_id=fifty-2022").ok(), "not_collected");
    check_missed(&rush.mine("i", &people[1]).ok(), "not_collected");
    assert_eq!(ask("").ok().str("result"), "won");
}

#[test]
fn a_draw_that_is_overdue_says_what_it_waits_for_and_names_no_instant_that_has_passed() {
    let drawn = Drawn::reserved(
        file("overdue", |file| {
            windowed(file, "ballot", "return");
            file["rounds"][0]["draw"]["entropy"] = json!(["operator", "notary"]);
        }),
        4,
        |_| None,
    );
    drawn.server.set_clock(at(CLOSES) + 5 * DAY);
    let mine = drawn.mine("r1", &drawn.passes[0]);
    assert_eq!((mine.str("result"), mine.str("detail")), ("pending", "round_not_drawn"), "{}", mine.text());
    assert!(mine["known_at"].is_null(), "{}", mine.text());
    assert!(mine["message"]["zh"].as_str().is_some_and(|text| text.contains("notary")), "{}", mine.text());
}
