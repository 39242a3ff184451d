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

/// A draw asks an approver where public values come with it, and whoever operates where none do.
fn body(route: &str, role: &str) -> Option<Value> {
    let enters = route.ends_with("/draw") && role == "approver";
    enters.then(|| json!({"notary_digits": "1"}))
}

fn called(route: &str, role: &str, key: &str) -> Request {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    let filled = path.split('/').map(|part| match part {
        "{date}" => "2020-07-25",
        _ if part.starts_with('{') => "none",
        _ => part,
    });
    let request = Request::new(method, &filled.collect::<Vec<_>>().join("/")).bearer(key);
    match body(route, role) {
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
            let reply = server.send(&called(&route, role, key));
            let may = reply.code() != "forbidden";
            if may != roles.contains(*role) {
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
            let says = |both: [&str; 2]| both.iter().any(|words| cells[2].contains(words));
            let all = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
            let roles: BTreeSet<String> = match () {
                () if says(["any role", "任一角色"]) => all(&ROLES[..5]),
                () if says(["any key", "任一密钥"]) => all(&ROLES),
                () => words(cells[2]).into_iter().collect(),
            };
            for route in words(cells[1]).into_iter().filter(|_| !roles.is_empty()) {
                named.insert(route.split('?').next().unwrap_or_default().to_owned(), roles.clone());
            }
        }
        let office = documented();
        let wrong: Vec<_> = office.iter().filter(|(route, roles)| named.get(*route) != Some(roles)).collect();
        assert!(wrong.is_empty() && named.len() == office.len(), "{wrong:#?}");
    }
}
