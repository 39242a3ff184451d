//! A table of bad requests: each gets its own problem, and none changes anything.

mod till;
mod wire;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{Market, at, chengdu, new_campaign_id, new_order, sale};
use crate::harness::identity::{Resident, wall_seconds, with_wrong_check_digit};
use crate::harness::till::{Till, authorization, new_nonce, sign};

/// The world all rows share: a market on 25 July with a second campaign that takes reservations.
struct Scene {
    market: Market,
    till: Till,
    shopper: Resident,
    /// Somebody else with vouchers.
    other: Resident,
    code: String,
    /// Reservation is open now.
    open: String,
}

struct Row {
    name: &'static str,
    status: u16,
    /// Any of these; the contract pins one in most rows.
    codes: &'static [&'static str],
    /// The pointer the problem must name, or "-" when there is nothing to point at.
    pointer: &'static str,
    send: fn(&Scene) -> Reply,
}

const fn row(
    name: &'static str,
    status: u16,
    codes: &'static [&'static str],
    pointer: &'static str,
    send: fn(&Scene) -> Reply,
) -> Row {
    Row { name, status, codes, pointer, send }
}

const BAD: &[&str] = &["invalid_request"];

const OTHER_ROWS: &[Row] = &[
    row("a route that does not exist", 404, &["route_not_found"], "-", |s| {
        s.server().office("GET", "/v1/nothing/here", None)
    }),
    row("a method the route does not take", 405, &["method_not_allowed"], "-", |s| {
        s.server().office("DELETE", &s.path("/stats"), None)
    }),
    row("the office without a key", 401, &["unauthenticated"], "-", |s| {
        s.server().send(&Request::new("GET", &s.path("/stats")))
    }),
    row("the office with a made-up key", 401, &["unauthenticated"], "-", |s| {
        s.server().office_as("qk_00000000000000000000000000000000", "GET", &s.path("/stats"), None)
    }),
    row("a campaign that does not exist", 404, &["not_found"], "-", |s| {
        s.server().office("GET", "/v1/campaigns/no-such-one/stats", None)
    }),
    row("a wrong document number", 422, &["document_invalid"], "/document_number", |s| {
        let mut person = Resident::new();
        person.number = with_wrong_check_digit(&person.number);
        s.server().reserve(&s.open, &person)
    }),
    row("a document born in the future", 422, &["document_invalid"], "/document_number", |s| {
        let number = crate::harness::identity::with_check_digit("51010420990101001");
        s.server().reserve(&s.open, &Resident { number, ..Resident::new() })
    }),
    row("identity in the body", 422, BAD, "/document_number", |s| {
        let body = json!({"consent_version": "2020-07-13", "document_number": "11010519491231002X"});
        s.server().reserve_with(&s.open, &Resident::new(), body)
    }),
    row("no consent", 422, &["consent_required", "invalid_request"], "?", |s| {
        s.server().reserve_with(&s.open, &Resident::new(), json!({}))
    }),
    row("consent to an older text", 422, &["consent_required"], "?", |s| {
        s.server().reserve_with(&s.open, &Resident::new(), json!({"consent_version": "2019-01-01"}))
    }),
    row("a token that has expired", 401, &["token_expired"], "-", |s| {
        s.with_claim("exp", json!(wall_seconds() - 3600))
    }),
    row("a token of another issuer", 401, &["token_invalid"], "-", |s| s.with_claim("iss", json!("somebody-else"))),
    row("a token for another audience", 401, &["token_invalid"], "-", |s| s.with_claim("aud", json!("other"))),
    row("a token without expiry", 401, &["token_invalid"], "-", |s| s.with_claim("exp", Value::Null)),
    row("a token signed by another key", 401, &["token_invalid"], "-", |s| {
        let token = s.server().token(&Resident::new());
        let cut = token.rfind('.').expect("three parts");
        let forged = format!("{}.{}", &token[..cut], "A".repeat(43));
        s.server().office_as(&forged, "GET", "/v1/wallet", None)
    }),
    row("a pass somebody made up", 401, &["token_invalid"], "-", |s| {
        s.server().claim(s.market.campaign(), "qp1.AAAA.BBBB")
    }),
    row("a wallet without a token", 401, &["unauthenticated"], "-", |s| {
        s.server().send(&Request::new("GET", "/v1/wallet"))
    }),
    row("a tap by somebody who did not reserve", 403, &["not_eligible"], "-", |s| {
        let token = s.server().token(&Resident::new());
        s.server().claim(s.market.campaign(), &token)
    }),
    row("a round that does not exist", 404, &["round_not_found", "not_found"], "-", |s| {
        let path = format!("/v1/campaigns/{}/rounds/snow/claims", s.market.campaign());
        s.server().resident(&s.shopper, "POST", &path, None)
    }),
    row("a campaign id with odd letters", 422, &["campaign_invalid", "invalid_request"], "/campaign_id", |s| {
        let mut campaign = chengdu("x", 1);
        campaign["campaign_id"] = json!("Bad_Id");
        s.server().create_campaign(&campaign)
    }),
    row("a campaign with an unknown field", 422, &["campaign_invalid", "invalid_request"], "/colour", |s| {
        s.campaign("/colour", json!("red"))
    }),
    row("a campaign above its budget", 422, &["campaign_invalid"], "?", |s| s.campaign("/budget", json!(7999))),
    row("a campaign with a float budget", 422, &["campaign_invalid", "invalid_request"], "/budget", |s| {
        s.campaign("/budget", json!(8000.5))
    }),
    row("a discount above its threshold", 422, &["campaign_invalid"], "/packs/0/vouchers/0/transaction_minimum", |s| {
        s.campaign("/packs/0/vouchers/0/discount_amount", json!(6000))
    }),
    row("an unknown time zone", 422, &["campaign_invalid", "invalid_request"], "/time_zone", |s| {
        s.campaign("/time_zone", json!("Asia/Atlantis"))
    }),
    row("a campaign put without a precondition", 428, &["precondition_required"], "-", |s| {
        s.server().office("PUT", "/v1/campaigns/no-condition", Some(chengdu("no-condition", 1)))
    }),
    row("an impossible merchant code", 422, BAD, "/code", |s| {
        let mut merchant = crate::harness::fixture::merchant("m-bad");
        merchant["code"] = json!("9144030071526726XA");
        s.server().create_merchant(&merchant)
    }),
    row("a clock that goes backwards", 409, &["clock_backwards"], "-", |s| {
        let body = json!({"now": "2020-07-01T00:00:00+08:00", "rate": 0});
        s.server().office("PUT", "/v1/sandbox/clock", Some(body))
    }),
];

#[test]
fn every_bad_call_of_a_till_gets_its_own_problem_and_changes_nothing() {
    Scene::open().check(till::ROWS);
}

#[test]
fn every_bad_call_of_office_and_resident_gets_its_own_problem_and_changes_nothing() {
    Scene::open().check(OTHER_ROWS);
}

#[test]
fn what_a_reader_needs_stands_in_the_problem() {
    let scene = Scene::open();
    let short = scene.with("amount", json!(2600));
    assert_eq!(short["missing_amount"], 400);
    assert!(crate::harness::manners::both_languages(&short["pos_message"]), "{}", short.text());
    let late = scene.signed_by(&scene.till, wall_seconds() - 1000);
    let stated = late["server_time"].as_i64();
    let stated =
        stated.or_else(|| late["server_time"].as_str()?.parse::<jiff::Timestamp>().ok().map(|t| t.as_second()));
    let stated = stated.unwrap_or_else(|| panic!("no server_time: {}", late.text()));
    assert!((stated - wall_seconds()).abs() <= 5, "{}", late.text());
}

#[test]
fn a_window_in_the_past_is_warned_of_at_the_draft_and_refused_at_publication() {
    let scene = Scene::open();
    let id = new_campaign_id("past");
    let drafted = scene.server().create_campaign(&chengdu(&id, 1)).ok();
    let warned = drafted["warnings"].as_array().expect("warnings").iter();
    assert!(warned.clone().any(|one| one["pointer"] == "/reservation/closes_at" && one["code"] == "window_in_past"));
    scene.server().step(&id, "submit");
    scene.server().step(&id, "approve");
    let reply = scene.server().step(&id, "publish");
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!((reply.code(), reply.str("outcome")), ("campaign_invalid", "not_applied"));
    let faults = reply.faults();
    assert!(faults.contains(&"/reservation/closes_at window_in_past".to_string()), "{faults:?}");
    let shown = scene.server().office("GET", &format!("/v1/campaigns/{id}"), None).ok();
    assert_eq!(shown.str("state"), "approved", "a refused publication changes nothing");
    assert_eq!(scene.server().office("GET", &format!("/v1/public/campaigns/{id}"), None).status, 404);
}

impl Scene {
    fn open() -> Scene {
        let mut two_a_payment = chengdu(&new_campaign_id("bad"), 3);
        two_a_payment["use_rule"]["max_vouchers_per_payment"] = json!(2);
        let market = Market::open_with(two_a_payment, 3);
        let open = new_campaign_id("bad-open");
        let text = chengdu(&open, 5).to_string();
        let text = text.replace("2020-07-13T00:00:00", "2020-07-25T13:00:00");
        let text = text.replace("2020-07-21T", "2020-07-27T").replace("2020-07-22T", "2020-07-28T");
        let text = text.replace("2020-07-24T18", "2020-07-29T18").replace("2020-07-25T00", "2020-07-30T00");
        let campaign: Value = serde_json::from_str(&text).expect("still JSON");
        market.server().create_campaign(&campaign).ok();
        market.server().publish(&open);
        market.server().set_clock(at("2020-07-25T13:00:00"));
        let (till, shopper, other) = (market.till(), market.shopper(), market.shopper());
        let code = market.server().pay_code(&shopper);
        Scene { market, till, shopper, other, code, open }
    }

    fn check(&self, rows: &[Row]) {
        let before = self.books();
        for row in rows {
            let reply = (row.send)(self);
            let told = format!("{}: {} {}", row.name, reply.status, reply.text());
            assert_eq!(reply.status, row.status, "{told}");
            assert!(row.codes.contains(&reply.code()), "{told}");
            assert_eq!(reply.str("outcome"), "not_applied", "{told}");
            let faults = reply.faults();
            match row.pointer {
                "-" => {}
                "?" => assert!(!faults.is_empty() || reply.code() == "consent_required", "{told}"),
                pointer => {
                    let named = faults.iter().any(|fault| fault.starts_with(&format!("{pointer} ")));
                    assert!(named, "{told} names {faults:?}");
                }
            }
            assert_eq!(self.books(), before, "{} changed something", row.name);
        }
        let left = self.market.vouchers(&self.shopper, "available").len();
        assert_eq!(left, 6, "no bad call may take a voucher");
        self.server().assert_audit_clean();
    }

    /// Everything that counts something, without the ledger's own position.
    fn books(&self) -> Value {
        let campaigns = [self.market.campaign(), &self.open];
        let read = |id: &&str| json!([self.server().ledger(id)["total"], self.server().stats(id)]);
        campaigns.iter().map(read).collect()
    }

    fn server(&self) -> &crate::harness::Server {
        self.market.server()
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/campaigns/{}{rest}", self.market.campaign())
    }

    fn body(&self) -> Value {
        sale(&new_order(), &self.code, 7000, true)
    }

    fn with(&self, field: &str, value: Value) -> Reply {
        let mut body = self.body();
        body[field] = value;
        self.server().redeem(&self.till, &body)
    }

    fn without(&self, field: &str) -> Reply {
        let mut body = self.body();
        body.as_object_mut().expect("an object").remove(field);
        self.server().redeem(&self.till, &body)
    }

    fn posted(&self, path: &str, body: Value) -> Reply {
        self.server().till(&self.till, "POST", path, Some(&body))
    }

    fn raw(&self, body: &str) -> Reply {
        let (mut request, _) = self.till.request("POST", "/v1/redemptions", body);
        if body.is_empty() {
            request = request.text(body);
        }
        self.server().send(&request)
    }

    fn signed_by(&self, till: &Till, at: i64) -> Reply {
        let body = self.body().to_string();
        self.server().send(&till.request_at("POST", "/v1/redemptions", &body, at).0)
    }

    fn with_nonce(&self, nonce: &str) -> Reply {
        let (body, at) = (self.body().to_string(), wall_seconds());
        let lines = ["POST", "/v1/redemptions", &at.to_string(), nonce, &body];
        let signature = sign(&self.till.secret, &lines);
        let request = Request::new("POST", "/v1/redemptions").text(&body);
        self.server().send(&request.header("authorization", &authorization(&self.till.key_id, at, nonce, &signature)))
    }

    fn with_claim(&self, name: &str, value: Value) -> Reply {
        self.server().reserve(&self.open, &Resident::new().claiming(name, value))
    }

    fn campaign(&self, pointer: &str, value: Value) -> Reply {
        let mut campaign = chengdu(&format!("bad-{}", &new_nonce()[11..]), 1);
        match campaign.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => campaign[&pointer[1..]] = value,
        }
        self.server().create_campaign(&campaign)
    }
}

/// The last digit is Luhn's: any other one is a typing error.
fn typo(code: &str) -> String {
    let (first, last) = code.split_at(code.len() - 1);
    let last: u32 = last.parse().expect("a digit");
    format!("{first}{}", (last + 1) % 10)
}
