//! `/openapi.json`: it is a valid document, a client generated from it compiles, and whoever breaks it is told.
//! That answers are as it says is checked on every answer of every test, in `harness/described.rs`.

mod bounds;
mod rules;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::described::{DOCUMENT, differences};
use rules::faults;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A way to break a document.
type Break = fn(&mut Value);

/// Each breaks another rule, the first three as an earlier version of this document did.
const BREAKS: [(&str, &str, Break); 9] = [
    ("an answer without description", "says nothing of the answer 200", |document| {
        let answer = &mut document["paths"]["/livez"]["get"]["responses"]["200"];
        answer.as_object_mut().unwrap().remove("description");
    }),
    ("a parameter of the query that is declared in the path", "the path has no {campaign_id}", |document| {
        document["paths"]["/v1/wallet"]["get"]["parameters"][0]["in"] = json!("path");
    }),
    ("a bare object", "a bare object", |document| {
        document["components"]["schemas"]["Live"] = json!({"type": "object"});
    }),
    ("a parameter of the path that nobody declares", "{date} is not declared", |document| {
        document["paths"]["/v1/settlements/{date}"]["get"]["parameters"] = json!([]);
    }),
    ("a reference to nothing", "leads nowhere", |document| {
        document["components"]["schemas"].as_object_mut().unwrap().remove("Text");
    }),
    ("two operations of one name", "is the name of another", |document| {
        document["paths"]["/readyz"]["get"]["operationId"] = json!("livez");
    }),
    ("a type that JSON does not have", "has no type money", |document| {
        document["components"]["schemas"]["Live"]["properties"]["status"]["type"] = json!("money");
    }),
    ("an unknown kind of caller", "names no caller", |document| {
        document["paths"]["/v1/wallet"]["get"]["security"] = json!([{"somebody": []}]);
    }),
    ("an answer without a form", "has no form", |document| {
        document["paths"]["/version"]["get"]["responses"]["200"]["content"] = json!({"application/json": {}});
    }),
];

#[test]
fn the_document_keeps_the_rules_of_openapi_3_1_and_leaves_no_body_undescribed() {
    for sandbox in [false, true] {
        let document = quanyu::http::document(sandbox);
        let document: Value = serde_json::from_slice(&document.json).expect("JSON");
        assert_eq!(faults(&document), Vec::<String>::new());
    }
}

#[test]
fn whoever_breaks_the_document_is_told_where() {
    for (name, said, broken) in BREAKS {
        let mut document = DOCUMENT.clone();
        broken(&mut document);
        let found = faults(&document);
        assert!(found.iter().any(|fault| fault.contains(said)), "{name}: {found:#?}");
    }
}

/// The reader of campaign files knows its fields by itself; the form in the document has to name the same.
#[test]
fn the_form_of_a_campaign_file_names_every_field_that_the_reader_knows() {
    let read = quanyu::domain::campaign::parse(include_bytes!("../../deploy/campaigns/chengdu-2020.json"));
    let campaign = serde_json::to_value(read.expect("Chengdu's file").campaign).expect("JSON");
    for (pointer, form, instead) in [
        ("", "CampaignFile", [("", "")]),
        ("/rounds/0", "RoundForm", [("supply", "packs money")]),
        ("/rounds/0/draw", "DrawForm", [("", "")]),
        ("/rounds/0/release", "ReleaseForm", [("", "")]),
        ("/packs/0", "PackForm", [("", "")]),
        ("/limits/0", "LimitForm", [("max_count", "max_count max_amount")]),
        ("/reservation", "ReservationForm", [("", "")]),
        ("/eligibility", "EligibilityForm", [("", "")]),
        ("/validity", "ValidityForm", [("", "")]),
        ("/use_rule", "UseRuleForm", [("", "")]),
        ("/merchant_enrolment", "MerchantEnrolmentForm", [("", "")]),
    ] {
        let members = campaign.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("no {pointer}"));
        let written = members.keys().flat_map(|name| {
            let spelled = instead.iter().find(|(of, _)| of == name).map_or(name.as_str(), |(_, spelled)| spelled);
            spelled.split(' ').map(str::to_owned).collect::<Vec<_>>()
        });
        let form = &DOCUMENT["components"]["schemas"][form]["properties"];
        let named: BTreeSet<String> = form.as_object().expect("a form").keys().cloned().collect();
        assert_eq!(named, written.collect(), "{pointer}");
    }
}

/// Where the tools are that `make openapi` fetches; nobody else has them.
fn tools() -> Option<PathBuf> {
    let tools = Path::new(ROOT).join(".quanyu/openapi");
    if tools.join("complete").exists() {
        return Some(tools);
    }
    eprintln!("the OpenAPI tools are not there (make openapi): nothing was generated");
    None
}

/// Validates a document with the published rules, and generates, compiles and loads a Python client from it if it is valid.
fn check(tools: &Path, name: &str, document: &Value) -> Result<String, String> {
    let folder = Path::new(ROOT).join("target/openapi").join(name);
    std::fs::create_dir_all(&folder).expect("a folder in target");
    let file = folder.join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("written");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", tools).arg(format!("{ROOT}/tests/it/openapi/check.py")).arg(&file).arg(&folder);
    let output = command.output().expect("python3 runs");
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(told) } else { Err(told) }
}

#[test]
fn a_client_generated_from_the_document_compiles() {
    let Some(tools) = tools() else { return };
    let told = check(&tools, "whole", &DOCUMENT).unwrap_or_else(|told| panic!("{told}"));
    assert!(told.contains("modules loaded"), "{told}");
}

#[test]
fn a_broken_document_does_not_pass_the_published_rules_either() {
    let Some(tools) = tools() else { return };
    for (name, _, broken) in [&BREAKS[0], &BREAKS[1], &BREAKS[4]] {
        let mut document = DOCUMENT.clone();
        broken(&mut document);
        let told = check(&tools, "broken", &document).expect_err(name);
        assert!(told.contains("not valid"), "{name}: {told}");
    }
}

#[test]
fn an_answer_that_the_document_does_not_describe_is_found() {
    let form = &DOCUMENT["components"]["schemas"]["MerchantStatement"];
    let good = json!({"date": "2020-07-25", "merchant_id": "m", "state": "open", "lines": [],
        "totals": {"count": 0, "amount": 0, "subsidy": 0}});
    assert_eq!(differences(form, &good), Vec::<String>::new());
    for (pointer, value, said) in [
        ("/totals/amount", json!(0.5), "/totals/amount: 0.5 is not"),
        ("/totals/count", json!(-1), "/totals/count: -1 is below"),
        ("/state", json!("shut"), "/state: \"shut\" is not one of"),
        ("/lines", json!([{}]), "/lines/0/order_id: is missing"),
        ("/totals", json!({"count": 0, "amount": 0, "subsidy": 0, "tax": 0}), "/totals/tax: is not described"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect("it is there") = value;
        let found = differences(form, &bad);
        assert!(found.iter().any(|fault| fault.starts_with(said)), "{pointer}: {found:?}");
    }
}
