//! Which role may do what: the server's answers, the OpenAPI document and both READMEs say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::client::Request;
use crate::harness::described::DOCUMENT;
use crate::harness::fixture::EVE;

const ROLES: [&str; 6] = ["officer", "approver", "finance", "auditor", "operator", "platform"];
const READMES: [&str; 2] = [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")];

/// Routes of the office with the roles that the document names.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut routes = BTreeMap::new();
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in
            item.as_object().expect("a path").iter().filter(|(_, one)| one["tags"][0] == "office")
        {
            let roles = operation["x-roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
            routes.insert(format!("{} {path}", method.to_uppercase()), roles.map(str::to_owned).collect());
        }
    }
    routes
}

/// A body that the route reads, so that it comes to look at the role; nothing that it names is there.
fn body(route: &str) -> Option<Value> {
    Some(match route.split_once(' ')?.1 {
        "/v1/merchants/{merchant_id}/terminals" => json!({"terminal_id": "t"}),
        "/v1/till-keys" => json!({"kind": "merchant", "merchant_id": "m-none"}),
        "/v1/campaigns/{campaign_id}/amendments" => json!({"amendment_id": "a", "reason": "r", "changes": []}),
        "/v1/campaigns/{campaign_id}/pause" => json!({"scope": ["claim"], "reason": "r"}),
        "/v1/campaigns/{campaign_id}/stop" => json!({"reason": "r"}),
        "/v1/sandbox/clock" => json!({"rate": 0}),
        "/v1/areas/{area_id}" | "/v1/merchants" | "/v1/merchants/{merchant_id}" => json!({}),
        "/v1/campaigns/{campaign_id}" => json!({}),
        _ => return None,
    })
}

fn called(route: &str, key: &str) -> Request {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let filled = path.split('/').map(|part| match part {
        "{date}" => "2020-07-25",
        _ if part.starts_with('{') => "none",
        _ => part,
    });
    let request = Request::new(method, &filled.collect::<Vec<_>>().join("/")).bearer(key);
    match body(route).filter(|_| method != "GET") {
        Some(body) => request.json(&body),
        None => request,
    }
}

#[test]
fn a_role_may_call_exactly_the_routes_that_the_document_gives_it() {
    let server = Server::at(EVE);
    let keys = ROLES.map(|role| (role, server.create_key(role, "roles")));
    let mut differing = Vec::new();
    for (route, roles) in documented() {
        for (role, key) in &keys {
            let reply = server.send(&called(&route, key));
            let may = reply.code() != "forbidden";
            if may != roles.is_empty() && may != roles.contains(*role)
                || (roles.is_empty() && route != "GET /v1/sandbox/clock")
            {
                differing.push(format!("{role} {route}: {} {}", reply.status, reply.code()));
            }
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn both_readmes_name_the_roles_of_every_route_of_the_office() {
    for readme in READMES {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in readme.lines().filter(|line| line.starts_with("| `") && line.contains(" /")) {
            let cells: Vec<&str> = line.split('|').collect();
            let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
            let any = ["any role", "任一角色"].iter().any(|any| cells[2].contains(any));
            let roles: BTreeSet<String> = match any {
                true => ROLES[..5].iter().map(|role| (*role).to_owned()).collect(),
                false => words(cells[2]).into_iter().collect(),
            };
            for route in words(cells[1]).into_iter().filter(|_| !roles.is_empty()) {
                named.insert(route.split('?').next().unwrap_or_default().to_owned(), roles.clone());
            }
        }
        let office: BTreeMap<_, _> = documented().into_iter().filter(|(_, roles)| !roles.is_empty()).collect();
        let wrong: Vec<_> = office.iter().filter(|(route, roles)| named.get(*route) != Some(roles)).collect();
        assert!(wrong.is_empty() && named.len() == office.len(), "{wrong:#?}");
    }
}
