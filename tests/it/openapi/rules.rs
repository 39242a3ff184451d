//! The rules of OpenAPI 3.1 that a document made by a program can break, and one of ours: nothing is described as "some object".

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

/// Where a value of any form is what is meant: both ends of an amendment's change, and what is inside this very document.
const ANYTHING: [&str; 6] = [
    "/components/schemas/Change/properties/current",
    "/components/schemas/Change/properties/target",
    "/components/schemas/PublishedChange/properties/current",
    "/components/schemas/PublishedChange/properties/target",
    "/components/schemas/OpenApiDocument/properties/paths/additionalProperties",
    "/components/schemas/OpenApiDocument/properties/components/additionalProperties",
];
/// What says nothing: bodies that may be left out, and the properties of a GeoJSON feature.
const EMPTY: [&str; 2] = ["/components/schemas/EmptyBody", "/components/schemas/FeatureProperties"];

pub fn faults(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if document["openapi"] != "3.1.0" {
        faults.push(format!("openapi is {}", document["openapi"]));
    }
    for name in ["title", "version"] {
        if text(&document["info"][name]).is_empty() {
            faults.push(format!("info has no {name}"));
        }
    }
    let mut names = BTreeSet::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let at = format!("{} {path}", method.to_ascii_uppercase());
            if !METHODS.contains(&method.as_str()) {
                faults.push(format!("{at}: is no method"));
            }
            judge_operation(document, path, operation, &at, &mut faults);
            if !names.insert(text(&operation["operationId"]).to_owned()) {
                faults.push(format!("{at}: {} is the name of another operation", operation["operationId"]));
            }
        }
    }
    judge_forms(document, document, "", &mut faults);
    faults
}

fn judge_operation(document: &Value, path: &str, operation: &Value, at: &str, faults: &mut Vec<String>) {
    for name in ["operationId", "summary"] {
        if text(&operation[name]).is_empty() {
            faults.push(format!("{at}: has no {name}"));
        }
    }
    judge_parameters(path, operation, at, faults);
    for caller in list(&operation["security"]).iter().flat_map(|one| members(one)).map(|(name, _)| name) {
        if !document["components"]["securitySchemes"][caller].is_object() {
            faults.push(format!("{at}: {caller} names no caller"));
        }
    }
    if operation["requestBody"].is_object() {
        judge_content(&operation["requestBody"], &format!("{at}: the body"), faults);
    }
    if !operation["responses"]["default"].is_object() || members(&operation["responses"]).len() < 2 {
        faults.push(format!("{at}: the problem and an answer are needed"));
    }
    for (status, response) in members(&operation["responses"]) {
        if text(&response["description"]).is_empty() {
            faults.push(format!("{at}: says nothing of the answer {status}"));
        }
        if status != "204" && status != "304" {
            judge_content(response, &format!("{at}: the answer {status}"), faults);
        }
    }
}

fn judge_parameters(path: &str, operation: &Value, at: &str, faults: &mut Vec<String>) {
    let wanted: BTreeSet<&str> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let mut declared = BTreeSet::new();
    for parameter in list(&operation["parameters"]) {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        if !declared.insert((place, name)) {
            faults.push(format!("{at}: {name} is declared twice"));
        }
        if !["path", "query", "header"].contains(&place) {
            faults.push(format!("{at}: {name} is in {place:?}"));
        }
        if place == "path" && !wanted.contains(name) {
            faults.push(format!("{at}: the path has no {{{name}}}"));
        }
        if place == "path" && parameter["required"] != true {
            faults.push(format!("{at}: {{{name}}} may be left out"));
        }
        if !parameter["schema"].is_object() {
            faults.push(format!("{at}: {name} has no form"));
        }
    }
    for name in wanted.iter().filter(|name| !declared.contains(&("path", **name))) {
        faults.push(format!("{at}: {{{name}}} is not declared"));
    }
}

fn judge_content(holder: &Value, at: &str, faults: &mut Vec<String>) {
    let content = members(&holder["content"]);
    if content.is_empty() {
        faults.push(format!("{at} has no content"));
    }
    for (kind, content) in content {
        if members(&content["schema"]).is_empty() {
            faults.push(format!("{at} has no form as {kind}"));
        }
    }
}

/// Every schema of the document: below `schema`, and below the components.
fn judge_forms(document: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                if name == "schema" || at.strip_prefix("/components/schemas/").is_some_and(|rest| !rest.contains('/')) {
                    judge_form(document, inner, &at, faults);
                } else {
                    judge_forms(document, inner, &at, faults);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| judge_forms(document, item, &format!("{at}/{n}"), faults));
        }
        _ => {}
    }
}

fn judge_form(document: &Value, schema: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(fields) = schema.as_object() else { return faults.push(format!("{at}: is no schema")) };
    if let Some(name) = schema["$ref"].as_str() {
        if name.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none() {
            faults.push(format!("{at}: {name} leads nowhere"));
        }
        return;
    }
    let kinds = match &schema["type"] {
        Value::Array(several) => several.iter().map(text).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => Vec::new(),
    };
    for kind in kinds.iter().filter(|kind| !TYPES.contains(kind)) {
        faults.push(format!("{at}: JSON has no type {kind}"));
    }
    let composed = ["oneOf", "anyOf", "allOf"].into_iter().filter(|word| fields.contains_key(*word));
    let bare_object = kinds.contains(&"object") && members(&schema["properties"]).is_empty();
    let map = schema["additionalProperties"].is_object();
    if (kinds.is_empty() && composed.clone().next().is_none() && !ANYTHING.contains(&at))
        || (bare_object && !map && !EMPTY.contains(&at))
    {
        faults.push(format!("{at}: is a bare object or anything at all"));
    }
    if kinds.contains(&"array") && !schema["items"].is_object() {
        faults.push(format!("{at}: has no form of its items"));
    }
    for name in list(&schema["required"]) {
        if !schema["properties"][text(name)].is_object() {
            faults.push(format!("{at}: {name} is required and not described"));
        }
    }
    for (name, inner) in members(&schema["properties"]) {
        judge_form(document, inner, &format!("{at}/properties/{name}"), faults);
    }
    for word in ["items", "additionalProperties"] {
        if schema[word].is_object() {
            judge_form(document, &schema[word], &format!("{at}/{word}"), faults);
        }
    }
    for word in composed {
        for (place, inner) in list(&schema[word]).iter().enumerate() {
            if inner["type"] != "null" {
                judge_form(document, inner, &format!("{at}/{word}/{place}"), faults);
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).collect()
}
