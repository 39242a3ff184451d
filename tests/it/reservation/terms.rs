//! What a city may ask of a list: an entry per channel, the earliest of several, days by digit, limits, who is on which list, and where.

use serde_json::{Value, json};

use super::open_list;
use crate::harness::Server;
use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{EVE, at, chengdu, new_campaign_id};
use crate::harness::identity::{Resident, with_check_digit};
use crate::list::{csv_of, put_list};

const CONSENT: &str = "2020-07-13";

fn two_channels(campaign: &mut Value, terms: &[(&str, Value)]) {
    campaign["channels"] = json!(["wechat", "alipay"]);
    for (name, value) in terms {
        campaign["reservation"][*name] = value.clone();
    }
}

/// A person who was born in this year.
fn born(year: u32) -> Resident {
    let number = with_check_digit(&format!("510104{year}0615{:03}", 107));
    Resident { number, ..Resident::new() }
}

pub fn row(person: &Resident, registered_at: &str) -> Value {
    json!({"channel": person.channel, "document_type": "cn_id", "document_number": person.number, "health_pass": "green",
        "consent_version": CONSENT, "registered_at": format!("{registered_at}+08:00")})
}

#[track_caller]
pub fn bring(server: &Server, campaign: &str, rows: &[Value]) -> Reply {
    let path = format!("/v1/campaigns/{campaign}/reservations/import");
    let mut request = Request::new("POST", &path).bearer(&server.admin_key);
    request.body = rows.iter().map(|row| format!("{row}\n")).collect::<String>().into_bytes();
    server.send(&request.header("content-type", "application/x-ndjson"))
}

/// What became of each row: its result, or the code of its refusal.
pub fn results(reply: &Reply) -> Vec<String> {
    let told = |row: &Value| row["refusal"]["code"].as_str().or(row["result"].as_str()).unwrap_or("").to_string();
    reply["rows"].as_array().expect("rows").iter().map(told).collect()
}

#[test]
fn of_two_channels_the_earlier_counts_also_when_it_comes_later() {
    let (server, id) = open_list(|campaign| {
        two_channels(campaign, &[("duplicates", json!("earliest"))]);
        campaign["rounds"][0]["draw"]["close_list_at"] = json!("2020-07-21T12:00:00+08:00");
    });
    let (wechat, alipay) = (Resident::new(), Resident::new().through("alipay"));
    let alipay = Resident { number: wechat.number.clone(), ..alipay };
    server.set_clock(at("2020-07-13T10:00:00"));
    let late = server.reserve(&id, &wechat).ok();
    server.set_clock(at("2020-07-13T10:30:00"));
    server.reserve(&id, &alipay).refused(409, "already_reserved");
    let others = [Resident::new(), Resident::new().through("unionpay")];
    let rows = [
        row(&alipay, "2020-07-13T09:59:00"),
        row(&others[0], "2020-07-13T09:00:00"),
        row(&others[1], "2020-07-13T09:00:00"),
        row(&others[0], "2020-07-13T11:00:00"),
        row(&others[0], "2020-07-12T23:59:59"),
        json!({"channel": "wechat"}),
    ];
    let reply = bring(&server, &id, &rows).ok();
    let expected = ["replaced", "reserved", "not_eligible", "invalid_request", "reservation_closed", "invalid_request"];
    assert_eq!(results(&reply), expected, "{}", reply.text());
    assert!(!reply.text().contains(&wechat.number));
    let again = bring(&server, &id, &rows[..1]).ok();
    assert_eq!(results(&again), ["unchanged"]);
    let later = bring(&server, &id, &[row(&wechat, "2020-07-13T09:59:30"), row(&alipay, "2020-07-13T09:58:00")]).ok();
    assert_eq!(results(&later), ["already_reserved", "replaced"]);

    let mine = server.my_reservation(&id, &wechat).ok();
    assert_eq!(mine["reservation"]["channel"], "alipay");
    assert_eq!(mine["reservation"]["reserved_at"], "2020-07-13T09:58:00+08:00");
    assert_eq!(server.stats(&id)["reserved"], 2);
    server.assert_audit_clean();

    server.set_clock(at("2020-07-21T11:59:59"));
    let forgotten = row(&Resident::new(), "2020-07-20T23:59:59");
    assert_eq!(results(&bring(&server, &id, std::slice::from_ref(&forgotten)).ok()), ["reserved"]);
    server.set_clock(at("2020-07-21T12:00:00"));
    assert_eq!(results(&bring(&server, &id, &[forgotten]).ok()), ["reservation_closed"]);
    let commitment = server.office("GET", &format!("/v1/campaigns/{id}/rounds/rain/commitment"), None).ok();
    assert_eq!(commitment["count"], 3, "a person stands on the list once");
    server.set_clock(at("2020-07-22T10:00:00"));
    server.set_clock(at("2020-07-24T18:09:00"));
    let won = server.claim(&id, mine.str("pass")).ok();
    assert_eq!(won.str("outcome"), "won", "{}", won.text());
    let lost = server.claim(&id, late.str("pass"));
    assert_ne!(lost["outcome"], "won", "{}", lost.text());
    server.assert_audit_clean();
}

#[test]
fn a_person_may_stand_once_in_each_channel_where_the_city_says_so() {
    let (server, id) = open_list(|campaign| two_channels(campaign, &[("one_per", json!(["person", "channel"]))]));
    let wechat = Resident::new();
    let alipay = wechat.clone().through("alipay");
    for person in [&wechat, &alipay] {
        assert_eq!(server.reserve(&id, person).status, 201);
        assert_eq!(server.reserve(&id, person).status, 200);
        let mine = server.my_reservation(&id, person).ok();
        assert_eq!(mine["reservation"]["channel"], json!(person.channel));
    }
    assert_eq!(server.stats(&id)["reserved"], 2);
    server.withdraw(&id, &wechat).ok();
    server.my_reservation(&id, &wechat).refused_with("reservation_not_found");
    server.my_reservation(&id, &alipay).ok();
    server.reserve(&id, &wechat).ok();
    server.assert_audit_clean();
    server.set_clock(at("2020-07-21T00:00:00"));
    let commitment = server.office("GET", &format!("/v1/campaigns/{id}/rounds/rain/commitment"), None).ok();
    assert_eq!(commitment["count"], 2, "an entry for each channel");
}

#[test]
fn a_platforms_key_brings_reservations_of_its_channels_and_does_nothing_else() {
    let (server, id) = open_list(|campaign| two_channels(campaign, &[("duplicates", json!("earliest"))]));
    let key = server.create_key("platform", "default");
    let path = format!("/v1/campaigns/{id}/reservations/import");
    let rows = json!([row(&Resident::new(), "2020-07-13T08:00:00")]);
    let sent = server.office_as(&key, "POST", &path, Some(rows.clone())).ok();
    assert_eq!(results(&sent), ["reserved"]);
    // Whose own entry stands with one channel is not moved to it by the word of another.
    let own = Resident::new().through("alipay");
    server.reserve(&id, &own).ok();
    let made = |arguments: &[&str]| {
        let start = ["keys", "create", "--program", "default", "--role"];
        server.command(&[&start[..], arguments].concat())
    };
    let bound = made(&["platform", "--channel", "wechat"]);
    let bound = String::from_utf8_lossy(&bound.stdout).trim().to_owned();
    let earlier = [row(&own, "2020-07-13T00:00:01"), row(&own.clone().through("wechat"), "2020-07-13T00:00:02")];
    let brought = server.office_as(&bound, "POST", &path, Some(json!([earlier[0]]))).ok();
    assert_eq!(results(&brought), ["forbidden"]);
    assert_eq!(brought["rows"][0]["refusal"]["channels"], json!(["wechat"]));
    assert_eq!(server.my_reservation(&id, &own).ok()["reservation"]["reserved_at"], "2020-07-13T09:00:00+08:00");
    let brought = server.office_as(&bound, "POST", &path, Some(json!([earlier[1]]))).ok();
    assert_eq!(results(&brought), ["replaced"], "its own word, where the earliest counts");
    for wrong in
        [&["officer", "--channel", "wechat"][..], &["platform", "--role", "officer"], &["platform", "--channel", "a b"]]
    {
        let refused = made(wrong);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{wrong:?}");
    }
    server.office_as(&key, "GET", &format!("/v1/campaigns/{id}/stats"), None).refused(403, "forbidden");
    let stranger = server.create_key("officer", "another-city");
    server.office_as(&stranger, "POST", &path, Some(rows)).refused(404, "not_found");
    server.office("POST", &path, Some(json!([1]))).ok();
    server.send(&Request::new("POST", &path).bearer(&key).text("[1,")).refused(400, "malformed_json");
}

#[test]
fn a_person_reserves_on_the_day_of_the_birth_years_digit() {
    let (server, id) = open_list(|campaign| {
        campaign["reservation"]["stagger"] =
            json!({"by": "birth_year_digit", "days": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]});
    });
    let [of_1984, of_1986] = [born(1984), born(1986)];
    server.reserve(&id, &of_1984).ok();
    server.set_clock(at("2020-07-13T23:59:59"));
    let early = server.reserve(&id, &of_1986).refused(409, "not_your_day");
    let day = &early["days"][0];
    assert_eq!(
        (&day["opens_at"], &day["closes_at"]),
        (&json!("2020-07-14T00:00:00+08:00"), &json!("2020-07-15T00:00:00+08:00"))
    );
    server.set_clock(at("2020-07-14T00:00:00"));
    server.reserve(&id, &of_1986).ok();
    server.reserve(&id, &born(1990)).refused(409, "not_your_day");
    server.set_clock(at("2020-07-15T00:00:00"));
    server.reserve(&id, &born(1990)).ok();
}

#[test]
fn a_limit_on_reserving_counts_over_rounds_and_a_withdrawal_gives_it_back() {
    let (server, id) = open_list(|campaign| {
        let mut second = campaign["rounds"][0].clone();
        second["round_id"] = json!("second");
        campaign["rounds"].as_array_mut().expect("rounds").push(second);
        campaign["budget"] = json!(2 * 10 * 8000);
        let limits = campaign["limits"].as_array_mut().expect("limits");
        limits.push(json!({"action": "reserve", "entities": ["person"], "period": "week", "max_count": 1}));
    });
    let person = Resident::new();
    let reserve =
        |round: &str| server.reserve_with(&id, &person, json!({"consent_version": CONSENT, "round_id": round}));
    server.reserve(&id, &person).refused_with("round_required");
    reserve("rain").ok();
    let refused = reserve("second").refused(409, "limit_reached");
    assert_eq!(refused["limit"]["max_count"], 1, "{}", refused.text());
    assert_eq!(reserve("rain").status, 200, "a repeat is not counted");
    server.withdraw(&id, &person).ok();
    reserve("second").ok();
    server.set_clock(at("2020-07-19T23:59:59"));
    reserve("rain").refused(409, "limit_reached");
    server.set_clock(at("2020-07-20T00:00:00"));
    reserve("rain").ok();
    server.assert_audit_clean();
}

#[test]
fn an_entry_that_moves_to_another_channel_takes_its_count_along() {
    let (server, id) = open_list(|campaign| {
        two_channels(campaign, &[("duplicates", json!("earliest"))]);
        let mut second = campaign["rounds"][0].clone();
        second["round_id"] = json!("second");
        campaign["rounds"].as_array_mut().expect("rounds").push(second);
        campaign["budget"] = json!(2 * 10 * 8000);
        let limit =
            json!({"action": "reserve", "entities": ["person", "channel"], "period": "campaign", "max_count": 1});
        campaign["limits"] = json!([limit]);
    });
    let wechat = Resident::new();
    let alipay = wechat.clone().through("alipay");
    let reserve =
        |round: &str| server.reserve_with(&id, &wechat, json!({"consent_version": CONSENT, "round_id": round}));
    reserve("rain").ok();
    reserve("second").refused(409, "limit_reached");
    let mut earlier = row(&alipay, "2020-07-13T08:00:00");
    earlier["round_id"] = json!("rain");
    assert_eq!(results(&bring(&server, &id, &[earlier]).ok()), ["replaced"]);
    reserve("second").ok();
    let mut other = row(&alipay, "2020-07-13T08:00:00");
    other["round_id"] = json!("second");
    assert_eq!(results(&bring(&server, &id, &[other]).ok()), ["limit_reached"]);
    server.assert_audit_clean();
}

#[test]
fn a_phone_that_counts_has_to_be_told_and_is_not_kept() {
    let (server, id) = open_list(|campaign| {
        campaign["reservation"]["identity_keys"] = json!(["person", "phone"]);
        campaign["reservation"]["duplicates"] = json!("earliest");
    });
    let person = Resident::new();
    let reply = server.reserve(&id, &person).refused(422, "invalid_request");
    assert_eq!(reply.faults(), ["/phone missing_field"]);
    let reply = server.reserve_with(&id, &person, json!({"consent_version": CONSENT, "phone": "none"}));
    assert_eq!(reply.refused(422, "invalid_request").faults(), ["/phone invalid_value"]);
    server.reserve_with(&id, &person, json!({"consent_version": CONSENT, "phone": "13800138000"})).ok();
    server.reserve(&id, &Resident::new().claiming("phone", json!("+86 139-0013-9000"))).ok();
    server.set_clock(at("2020-07-13T09:00:05"));
    server.reserve(&id, &Resident::new().claiming("phone", json!("139 0013 9000"))).ok();
    assert!(!server.log_tail().contains("13800138000"));
    server.set_clock(at("2020-07-21T00:00:00"));
    let commitment = server.office("GET", &format!("/v1/campaigns/{id}/rounds/rain/commitment"), None).ok();
    assert_eq!(commitment["count"], 2, "of two with one phone, the later one is struck off when the list closes");
    server.assert_audit_clean();
}

#[test]
fn lists_let_in_and_keep_out_and_a_campaign_keeps_the_version_it_was_approved_with() {
    let server = Server::at(EVE);
    let people = Resident::many(3);
    let id = new_campaign_id("listed");
    let mut campaign = chengdu(&id, 10);
    campaign["eligibility"]["allow_list"] = json!("guests");
    campaign["eligibility"]["deny_list"] = json!("banned");
    let drafted = server.create_campaign(&campaign).ok();
    let warned: Vec<&Value> =
        drafted["warnings"].as_array().expect("warnings").iter().map(|one| &one["code"]).collect();
    assert_eq!(warned, ["unknown_list", "unknown_list"], "{}", drafted.text());
    let missing = server.step(&id, "submit").refused(422, "campaign_invalid");
    assert_eq!(missing.faults(), ["/eligibility/allow_list unknown_list", "/eligibility/deny_list unknown_list"]);
    put_list(&server, "guests", &csv_of(&people[2..])).ok();
    put_list(&server, "banned", "merchant_id\nm1\n").ok();
    let wrong = server.step(&id, "submit").refused(422, "campaign_invalid");
    assert_eq!(wrong.faults(), ["/eligibility/deny_list wrong_kind_of_list"]);
    let banned = put_list(&server, "banned", &csv_of(&people[1..2])).ok();
    server.step(&id, "submit").ok();
    // Who rejects gives the lists free again; who approves has seen the hash of each.
    let guests = put_list(&server, "guests", &csv_of(&people[..2])).ok();
    assert!(server.step(&id, "reject").ok().json.get("lists").is_none());
    server.step(&id, "submit").ok();
    put_list(&server, "guests", &csv_of(&people[2..])).ok();
    let shown = server.office("GET", &format!("/v1/campaigns/{id}"), None).ok();
    assert_eq!(shown["lists"], json!([banned.json, guests.json]), "the versions of the submission");
    server.step(&id, "approve").ok();
    put_list(&server, "guests", &csv_of(&people)).ok();
    assert_eq!(server.step(&id, "publish").ok()["lists"], shown["lists"]);
    server.set_clock(at("2020-07-13T09:00:00"));
    server.reserve(&id, &people[0]).ok();
    for (person, rule) in [(&people[1], "deny_list"), (&people[2], "allow_list")] {
        let reply = server.reserve(&id, person).refused(403, "not_eligible");
        assert_eq!(reply["reasons"][0]["rule"], rule, "{}", reply.text());
        let path = format!("/v1/campaigns/{id}/eligibility/explain");
        let explained = server.resident(person, "POST", &path, None).ok();
        let rules = explained["rules"].as_array().expect("rules");
        let failed: Vec<&Value> = rules.iter().filter(|one| one["passed"] == false).map(|one| &one["rule"]).collect();
        assert_eq!(failed, [rule], "{}", explained.text());
        let mut passed = rules.iter().filter(|one| one["passed"] == true);
        assert!(passed.all(|one| one["message"] == json!({"zh": "符合。", "en": "Holds."})), "{}", explained.text());
    }
}

#[test]
fn documents_and_attributes_are_judged_as_the_provider_vouches_for_them() {
    let (server, id) = open_list(|campaign| {
        campaign["eligibility"]["document_types"] = json!(["cn_id", "hk_macau_permit", "passport"]);
        campaign["eligibility"]["attributes"] = json!({"household": ["local", "resident"]});
    });
    let with = |document_type: &str, number: &str| {
        let person = Resident { number: number.into(), ..Resident::new() };
        person.claiming("document_type", json!(document_type)).claiming("attributes", json!({"household": "local"}))
    };
    let first = server.reserve(&id, &with("hk_macau_permit", "H12345678")).ok();
    let again = server.reserve(&id, &with("hk_macau_permit", "h1234567801")).ok();
    assert_eq!(again["reservation"], first["reservation"], "one holder, however the number is written");
    server.reserve(&id, &with("passport", "E12345678")).ok();
    server.reserve(&id, &with("hk_macau_permit", "X12345678")).refused(422, "document_invalid");
    server.reserve(&id, &with("taiwan_permit", "12345678")).refused(403, "not_eligible");
    let stranger = Resident::new().claiming("attributes", json!({"household": "visitor"}));
    server.reserve(&id, &stranger).refused(403, "not_eligible");
    server.reserve(&id, &Resident::new()).refused(403, "not_eligible");
}
