//! How long, how much and in which form: bounds of what tills send, and the form of instants and days wherever they stand.

use serde_json::{Value, json};

use crate::http::order::bounds;

/// Members that hold an instant, beside those whose name ends in `_at`.
const INSTANTS: [&str; 5] = ["at", "now", "server_time", "available_begin_time", "available_end_time"];

/// Members that hold a day of the city.
const DAYS: [&str; 2] = ["date", "settlement_date"];

pub fn describe(document: &mut Value) {
    for (schemas, member, bound) in bounds::of_members() {
        for schema in schemas {
            if let Some(found) = document.pointer_mut(&format!("/components/schemas/{schema}/properties/{member}")) {
                add(found, &bound);
            }
        }
    }
    let order_id = bounds::order_id();
    for parameter in parameters(document) {
        match parameter["name"].as_str() {
            Some("order_id") => add(&mut parameter["schema"], &order_id),
            Some("date") => add(&mut parameter["schema"], &json!({"format": "date"})),
            Some("from" | "to") => add(&mut parameter["schema"], &json!({"format": "date-time"})),
            _ => {}
        }
    }
    form_of_times(document);
}

fn add(schema: &mut Value, bound: &Value) {
    if let (Value::Object(schema), Value::Object(bound)) = (schema, bound) {
        schema.extend(bound.clone());
    }
}

/// Every parameter of every operation.
fn parameters(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = document["paths"].as_object_mut().into_iter().flatten();
    let operations = items.filter_map(|(_, item)| item.as_object_mut()).flatten();
    operations.filter_map(|(_, operation)| operation.get_mut("parameters")?.as_array_mut()).flatten()
}

/// Gives members of this name their form, if they are a text without one.
fn form_of_times(value: &mut Value) {
    if let Some(Value::Object(members)) = value.get_mut("properties") {
        for (name, schema) in members {
            let format = match name.as_str() {
                name if name.ends_with("_at") || INSTANTS.contains(&name) => "date-time",
                name if DAYS.contains(&name) => "date",
                _ => continue,
            };
            let is_text = schema["type"] == "string"
                || schema["type"].as_array().is_some_and(|types| types.contains(&"string".into()));
            if is_text && schema.get("enum").is_none() && schema.get("pattern").is_none() {
                add(schema, &json!({"format": format}));
            }
        }
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(form_of_times),
        Value::Array(items) => items.iter_mut().for_each(form_of_times),
        _ => {}
    }
}
