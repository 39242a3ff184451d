//! Whether what went over the wire is what the OpenAPI document says: every answer of every test, and every body that was taken.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::client::{Reply, Request};

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let document = quanyu::http::document(true);
    serde_json::from_slice(&document.json).expect("the document is JSON")
});

/// Forms that others may stand beside: what the reader of a code needs is named by the code.
const OPEN: [&str; 3] =
    ["#/components/schemas/Problem", "#/components/schemas/NotTakenBody", "#/components/schemas/RowRefusal"];

#[track_caller]
pub fn check(request: &Request, reply: &Reply) {
    let path = request.path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(&request.method, path) else { return };
    if reply.status == 304 {
        return;
    }
    let mut faults = answer_faults(operation, reply);
    faults.extend(header_faults(operation, reply));
    if reply.status < 300 {
        faults.extend(request_faults(operation, request).into_iter().map(|fault| format!("request: {fault}")));
    }
    assert!(faults.is_empty(), "{} {}: not as in /openapi.json: {faults:#?}\n{}", request.method, path, reply.text());
}

/// What differs in a body that was taken. Rows of a file are judged one by one, so a file with a bad row is taken too, and it may also come as
/// NDJSON, which generators of clients cannot offer beside JSON.
fn request_faults(operation: &Value, request: &Request) -> Vec<String> {
    let kind = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or("", |(_, kind)| kind.split(';').next().unwrap_or_default().trim());
    let content = &operation["requestBody"]["content"];
    if request.body.is_empty() || content.is_null() || request.path.ends_with("/import") {
        return Vec::new();
    }
    if !content[kind].is_object() {
        return vec![format!("the content type {kind} is not described")];
    }
    match serde_json::from_slice(&request.body) {
        Ok(sent) if kind == "application/json" => differences(&content[kind]["schema"], &sent),
        _ => Vec::new(),
    }
}

fn answer_faults(operation: &Value, reply: &Reply) -> Vec<String> {
    let responses = &operation["responses"];
    let own = &responses[reply.status.to_string()];
    let described = if own.is_object() || reply.status < 400 { own } else { &responses["default"] };
    if !described.is_object() {
        return vec![format!("the status {} is not described", reply.status)];
    }
    let kind = reply.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match (described["content"].as_object(), reply.body.is_empty()) {
        (None, true) => Vec::new(),
        (None, false) => vec!["a body is not described".into()],
        (Some(_), true) => vec!["the body is missing".into()],
        (Some(content), false) => match content.get(kind) {
            None => vec![format!("the content type {kind} is not described")],
            Some(content) if ["application/json", "application/problem+json"].contains(&kind) => {
                differences(&content["schema"], &reply.json)
            }
            Some(_) => Vec::new(),
        },
    }
}

/// What HTTP itself says of every answer, and the caching of ours.
const PLAIN: [&str; 12] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "date",
    "connection",
    "vary",
    "cache-control",
    "x-content-type-options",
    "content-security-policy",
    "content-encoding",
    "allow",
    "keep-alive",
];

fn header_faults(operation: &Value, reply: &Reply) -> Vec<String> {
    let responses = &operation["responses"];
    let own = &responses[reply.status.to_string()];
    let described = if own.is_object() { own } else { &responses["default"] };
    let known = |name: &str| {
        let headers = described["headers"].as_object();
        headers.is_some_and(|headers| headers.keys().any(|known| known.eq_ignore_ascii_case(name)))
    };
    let names = reply.headers.iter().map(|(name, _)| name.to_ascii_lowercase());
    let unknown = names.filter(|name| !PLAIN.contains(&name.as_str()) && !known(name));
    unknown.map(|name| format!("the header {name} is not described")).collect()
}

/// The operation of a path: a pattern that names the path itself goes before one with parameters.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let fits = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count() && pattern.zip(path).all(|(a, b)| a == b || a.starts_with('{'))
    };
    let mut fitting: Vec<_> = paths.iter().filter(|(pattern, _)| fits(pattern)).collect();
    fitting.sort_by_key(|(pattern, _)| pattern.matches('{').count());
    fitting.into_iter().find_map(|(_, item)| item.get(method.to_ascii_lowercase()))
}

/// In what a value differs from a schema; a member that the schema does not name is a difference.
pub fn differences(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    judge(schema, value, "", true, &mut faults);
    faults
}

fn judge(schema: &Value, value: &Value, at: &str, closed: bool, faults: &mut Vec<String>) {
    let closed = closed && !schema["$ref"].as_str().is_some_and(|name| OPEN.contains(&name));
    let schema = resolved(schema);
    let mut fault = |text: String| faults.push(format!("{at}: {text}"));
    if !types(schema).is_empty() && !types(schema).iter().any(|kind| is(kind, value)) {
        return fault(format!("{value} is not {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return fault(format!("{value} is not one of {}", schema["enum"]));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        fault(format!("{value} is below {least}"));
    }
    for (bound, fits) in bounds(schema, value) {
        if !fits {
            fault(format!("{value} is not within {bound}"));
        }
    }
    for choices in [&schema["oneOf"], &schema["anyOf"]].into_iter().filter_map(Value::as_array) {
        let tried = choices.iter().map(|choice| {
            let mut faults = Vec::new();
            judge(choice, value, at, closed, &mut faults);
            faults
        });
        faults.extend(tried.min_by_key(Vec::len).unwrap_or_default());
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        judge(part, value, at, false, faults);
    }
    if let Value::Array(items) = value {
        for (place, item) in items.iter().enumerate().filter(|_| schema["items"].is_object()) {
            judge(&schema["items"], item, &format!("{at}/{place}"), true, faults);
        }
    }
    if let Value::Object(members) = value {
        judge_members(schema, members, at, closed, faults);
    }
}

/// The bounds of a schema that say something of a value, and whether it is within them. Patterns are looked at by the test of the bounds.
fn bounds(schema: &Value, value: &Value) -> Vec<(String, bool)> {
    let length = value.as_str().map(|text| text.chars().count()).or(value.as_array().map(Vec::len));
    let mut found = Vec::new();
    for (name, most) in [("maxLength", true), ("minLength", false), ("maxItems", true), ("minItems", false)] {
        if let (Some(bound), Some(length)) = (schema[name].as_u64(), length.map(|length| length as u64)) {
            found.push((format!("{name} {bound}"), if most { length <= bound } else { length >= bound }));
        }
    }
    if let (Some(most), Some(number)) = (schema["maximum"].as_f64(), value.as_f64()) {
        found.push((format!("maximum {most}"), number <= most));
    }
    if let (Some(form), Some(text)) = (schema["format"].as_str(), value.as_str()) {
        let fits = match form {
            "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
            "date" => text.parse::<jiff::civil::Date>().is_ok(),
            _ => return found,
        };
        found.push((format!("format {form}"), fits));
    }
    found
}

fn judge_members(schema: &Value, members: &Map<String, Value>, at: &str, closed: bool, faults: &mut Vec<String>) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            faults.push(format!("{at}/{name}: is missing"));
        }
    }
    let (known, free) = known_members(schema);
    for (name, value) in members {
        let at = format!("{at}/{name}");
        if schema["properties"][name].is_object() {
            judge(&schema["properties"][name], value, &at, true, faults);
        } else if schema["additionalProperties"].is_object() {
            judge(&schema["additionalProperties"], value, &at, true, faults);
        } else if closed && !free && !known.contains(&name.as_str()) {
            faults.push(format!("{at}: is not described"));
        }
    }
}

/// The members that a schema names, its parts included, and whether any may stand there.
fn known_members(schema: &Value) -> (Vec<&str>, bool) {
    let schema = resolved(schema);
    let own = schema["properties"].as_object();
    let mut known: Vec<&str> = own.into_iter().flat_map(|names| names.keys().map(String::as_str)).collect();
    let parts = schema["allOf"].as_array();
    let choice = schema["oneOf"].is_array() || schema["anyOf"].is_array();
    let anything = own.is_none() && parts.is_none() && types(schema).is_empty();
    let more = &schema["additionalProperties"];
    let mut free = choice || anything || more.is_object() || more == &Value::Bool(true);
    for part in parts.into_iter().flatten() {
        let (names, is_free) = known_members(part);
        known.extend(names);
        free |= is_free;
    }
    (known, free)
}

fn resolved(schema: &Value) -> &Value {
    let name = schema["$ref"].as_str();
    let found = name.map(|name| DOCUMENT.pointer(name.trim_start_matches('#')));
    found.map_or(schema, |found| resolved(found.unwrap_or_else(|| panic!("{name:?} is not in the document"))))
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the document names a type {other}"),
    }
}
