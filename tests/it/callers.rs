//! No route takes a credential that is not its own: every route of the README's table with every wrong pass, token, key and signature.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{Reply, Request};
use crate::harness::fixture::{DAY, EVE, at, chengdu, new_campaign_id, new_till};
use crate::harness::identity::{Resident, wall_seconds};
use crate::harness::till::Till;
use crate::harness::{Server, poll};

const OPENS: &str = "2020-07-24T18:00:00";
const CLOSES: &str = "2020-07-24T18:10:00";
const README: &str = include_str!("../../README.md");

/// A row of the README's table of routes.
struct Route {
    method: String,
    path: String,
    caller: String,
}

/// A drawn round, and beside it a walk-in rush of the same minutes; each gives passes of its own.
struct World {
    server: Server,
    campaign: String,
    person: Resident,
    till: Till,
    /// A pass of the drawn round.
    drawn: String,
    /// A pass of the rush.
    rush: String,
    /// A pass of the drawn round of another campaign.
    abroad: String,
}

impl World {
    fn new() -> World {
        let server = Server::at(EVE);
        let file = |name: &str| {
            let mut file = chengdu(&new_campaign_id(name), 4);
            file["budget"] = json!(8 * 8000);
            file["rounds"].as_array_mut().unwrap().push(json!({"round_id": "rush", "mode": "first_come", "reservation": null,
                "opens_at": format!("{OPENS}+08:00"), "closes_at": format!("{CLOSES}+08:00"), "packs": {"standard": 4}}));
            server.create_campaign(&file).ok();
            let campaign = file["campaign_id"].as_str().unwrap().to_owned();
            server.publish(&campaign);
            campaign
        };
        let [campaign, other] = [file("callers"), file("abroad")];
        server.set_clock(at("2020-07-13T09:00:00"));
        let person = Resident::new();
        let drawn = server.reserve(&campaign, &person).ok().str("pass").to_owned();
        let abroad = server.reserve(&other, &person).ok().str("pass").to_owned();
        server.set_clock(at(OPENS));
        let rush = server.resident(&person, "POST", &format!("/v1/campaigns/{campaign}/rounds/rush/passes"), None);
        let rush = rush.ok().str("pass").to_owned();
        let till = new_till(&server, &campaign);
        World { server, campaign, person, till, drawn, rush, abroad }
    }

    /// All that a request could have changed and a city could see.
    fn books(&self) -> Value {
        let wallet = self.server.wallet(&self.campaign, &self.person).ok();
        json!([self.server.ledger(&self.campaign), self.server.stats(&self.campaign), wallet["vouchers"]])
    }

    /// Sends again while the limit of requests without a caller refuses.
    fn send(&self, request: &Request) -> Reply {
        let told = || Some(self.server.send(request)).filter(|reply| reply.status != 429);
        poll(Duration::from_secs(30), told).expect("the limit lets a request through")
    }

    #[track_caller]
    fn assert_refused(&self, route: &Route, name: &str, request: &Request) {
        self.assert_answered(&[401, 403, 404], route, name, request);
    }

    #[track_caller]
    fn assert_answered(&self, expected: &[u16], route: &Route, name: &str, request: &Request) {
        let reply = self.send(request);
        let Route { method, path, .. } = route;
        assert!(expected.contains(&reply.status), "{method} {path} with {name}: {} {}", reply.status, reply.text());
    }

    fn path(&self, route: &Route) -> String {
        let path = route.path.replace("{campaign_id}", &self.campaign).replace("{round_id}", "rain");
        let path = path.replace("{merchant_id}", &self.till.merchant_id).replace("{date}", "2020-07-24");
        path.replace("{order_id}", "A1")
            .replace("{list_id}", "nurses")
            .replace("{area_id}", "old-town")
            .replace(['{', '}'], "")
    }

    fn request(&self, route: &Route) -> Request {
        let request = Request::new(&route.method, &self.path(route));
        if route.method == "GET" || route.method == "DELETE" { request } else { request.json(&json!({})) }
    }

    fn signed(&self, till: &Till, route: &Route, at: i64) -> Request {
        let body = if route.method == "GET" || route.method == "DELETE" { "" } else { "{}" };
        till.request_at(&route.method, &self.path(route), body, at).0
    }
}

fn routes() -> Vec<Route> {
    let rows = README.lines().filter(|line| line.starts_with("| `") && line.contains("/v1/"));
    let routes = rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        // A route of the office names the roles that may call it.
        let of_office = ["`officer`", "`approver`", "`finance`", "`operator`", "any role", "any key"]
            .iter()
            .any(|one| cells[2].contains(one));
        let caller = if of_office { format!("office: {}", cells[2]) } else { cells[2].to_owned() };
        let of_row = cells[1].split('`').filter_map(move |text| {
            let (method, path) = text.split_once(' ').filter(|(_, path)| path.starts_with("/v1/"))?;
            Some(Route { method: method.to_owned(), path: path.to_owned(), caller: caller.clone() })
        });
        of_row.collect::<Vec<_>>()
    });
    routes.collect()
}

#[test]
fn every_route_refuses_every_credential_that_is_not_its_own() {
    let world = World::new();
    let (server, person) = (&world.server, &world.person);
    let claims = |changes: Value| {
        let mut claims = json!({"iss": "quanyu-sandbox", "aud": "quanyu", "sub": "s", "exp": wall_seconds() + 600,
            "channel": "wechat", "document_type": "cn_id", "document_number": person.number});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        server.sign_token(&claims)
    };
    let token = claims(json!({}));
    let mut tampered = world.drawn.clone();
    let last = tampered.pop().unwrap();
    tampered.insert(20, if last == 'A' { 'B' } else { 'A' });
    let nobodys = vec![
        ("nothing that is a key", "garbage".to_owned()),
        ("an unknown key", format!("qk_{}", "0".repeat(43))),
        ("a tampered pass", tampered),
        ("a token of another issuer", claims(json!({"iss": "another"}))),
        ("a token for somebody else", claims(json!({"aud": "another"}))),
        ("an expired token", claims(json!({"exp": wall_seconds() - 1}))),
        ("a token that begins tomorrow", claims(json!({"nbf": wall_seconds() + 86_400}))),
        ("a token with another signature", format!("{}A", &token[..token.len() - 3])),
        ("a pass of another campaign", world.abroad.clone()),
        ("a pass of another round", world.rush.clone()),
    ];
    let office = ("an office key", server.admin_key.clone());
    let resident = ("a resident's token", token);
    let pass = ("a pass of the round", world.drawn.clone());
    let foreign = server.create_key("officer", "elsewhere");
    let revoked = server.create_terminal(&world.till.merchant_id, "gone");
    let revoke = format!("/v1/merchants/{}/terminals/gone/revoke", world.till.merchant_id);
    server.office("POST", &revoke, None).ok();
    let before = world.books();
    let all = routes();
    assert!(all.len() > 60, "the README's table was not read: {} routes", all.len());
    for route in all.iter().filter(|route| route.caller != "anybody") {
        let is = |word: &str| route.caller.contains(word);
        let mut wrong = nobodys.clone();
        wrong.extend((!is("office")).then(|| office.clone()));
        wrong.extend((!is("resident")).then(|| resident.clone()));
        wrong.extend((!is("pass")).then(|| pass.clone()));
        for (name, bearer) in &wrong {
            world.assert_refused(route, name, &world.request(route).bearer(bearer));
        }
        world.assert_refused(route, "nothing", &world.request(route));
        // What names a campaign or a merchant of another program is not there for this one; an officer may be told of the body before.
        if is("office") && (route.path.contains("{campaign_id}/") || route.path.contains("{merchant_id}")) {
            let request = world.request(route).bearer(&foreign);
            world.assert_answered(&[403, 404, 415, 422, 428], route, "a key of another program", &request);
        }
        let guessed = Till { secret: "sk_test_guessed".into(), ..world.till.clone() };
        let unknown = Till { key_id: "test_t_nobody".into(), ..world.till.clone() };
        let now = wall_seconds();
        let mut signatures = vec![
            ("a guessed secret", &guessed, now),
            ("an unknown till", &unknown, now),
            ("a revoked till", &revoked, now),
            ("an old signature", &world.till, now - 400),
        ];
        signatures.extend((!is("till")).then_some(("a till's signature", &world.till, now)));
        for (name, till, at) in signatures {
            world.assert_refused(route, name, &world.signed(till, route, at));
        }
    }
    assert_eq!(world.books(), before, "a refused request has changed something");
    server.assert_audit_clean();
}

/// Bodies that no route takes, with their content type.
fn no_bodies() -> Vec<(&'static str, &'static str, String)> {
    let json = "application/json";
    vec![
        ("an empty object", json, "{}".into()),
        ("a list", json, "[]".into()),
        ("null", json, "null".into()),
        ("what is no JSON", json, "{\"a\":".into()),
        ("an unknown field", json, "{\"nobody_knows\":1}".into()),
        ("another content type", "text/plain", "{}".into()),
        ("no content type", "", "{}".into()),
        ("too much", json, format!("{{\"reason\":\"{}\"}}", "x".repeat(17 * 1024))),
    ]
}

#[test]
fn the_caller_is_judged_before_the_body_on_every_route() {
    let world = World::new();
    let server = &world.server;
    // Who may read is refused where something changes, and a platform's key brings reservations and does nothing else.
    let auditor = server.create_key("auditor", "default");
    let platform = server.create_key("platform", "default");
    let before = world.books();
    for route in routes().iter().filter(|route| route.caller != "anybody" && route.method != "GET") {
        for (body, content_type, text) in no_bodies() {
            let mut request = Request::new(&route.method, &world.path(route)).text(&text);
            request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            if !content_type.is_empty() {
                request = request.header("content-type", content_type);
            }
            let nobody = request.clone().bearer(&format!("qk_{}", "0".repeat(40)));
            world.assert_answered(&[401], route, &format!("{body} of nobody"), &nobody);
            if !route.caller.contains("office") {
                continue;
            }
            for (name, key) in [("an auditor", &auditor), ("a platform", &platform)] {
                let imports = name == "a platform" && route.path.ends_with("/reservations/import");
                if !imports {
                    world.assert_answered(&[403], route, &format!("{body} of {name}"), &request.clone().bearer(key));
                }
            }
        }
    }
    assert_eq!(world.books(), before, "a refused request has changed something");
}

#[test]
fn a_pass_speaks_for_its_own_round_alone_and_taps_until_a_day_after_its_close() {
    let world = World::new();
    let check = |round: &str, pass: &str, expected: Option<(u16, &str)>| {
        for (method, path) in [("POST", "claims"), ("GET", "claims/mine")] {
            let path = format!("/v1/campaigns/{}/rounds/{round}/{path}", world.campaign);
            let reply = world.server.send(&Request::new(method, &path).bearer(pass));
            match expected {
                Some((status, code)) => drop(reply.refused(status, code)),
                None => drop(reply.ok()),
            }
        }
    };
    let elsewhere = Some((401, "token_invalid"));
    let everywhere = || {
        check("rain", &world.rush, elsewhere);
        check("rush", &world.drawn, elsewhere);
        check("rain", &world.abroad, elsewhere);
        check("rush", &world.abroad, elsewhere);
    };
    everywhere();
    check("rain", &world.drawn, None);
    world.server.set_clock(at(CLOSES) + DAY - 1);
    everywhere();
    check("rush", &world.rush, None);
    world.server.set_clock(at(CLOSES) + DAY);
    everywhere();
    let rush = |method: &str, path: &str| {
        let path = format!("/v1/campaigns/{}/rounds/rush/{path}", world.campaign);
        world.server.send(&Request::new(method, &path).bearer(&world.rush))
    };
    rush("POST", "claims").refused(401, "token_expired");
    rush("GET", "claims/mine").ok();
    world.server.assert_audit_clean();
}

#[test]
fn the_type_of_every_problem_leads_to_its_place_on_a_page_that_is_there() {
    let server = Server::at(EVE);
    let page = server.client.get("/docs").expect("an answer");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let page = page.text();
    for (method, path, body, status) in [
        ("GET", "/no/such/route", "", 404),
        ("DELETE", "/v1/campaigns/c/stats", "", 405),
        ("GET", "/v1/campaigns/c/stats", "", 401),
        ("POST", "/v1/merchants", "{", 400),
        ("POST", "/v1/merchants", "x", 400),
        ("PUT", "/v1/areas/%FF", "{}", 422),
    ] {
        let mut request = Request::new(method, path).text(body);
        if status != 401 {
            request = request.bearer(&server.admin_key);
        }
        let reply = server.send(&request);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        let kind = reply.str("type");
        let place = kind.strip_prefix("/docs#").unwrap_or_else(|| panic!("{kind}"));
        assert!(page.contains(&format!("id=\"{place}\"")), "{place} is not on the page");
    }
    for code in quanyu::domain::refusal::Code::ALL {
        assert!(page.contains(&format!("id=\"{}\"", code.as_str())), "{} is not on the page", code.as_str());
    }
}
