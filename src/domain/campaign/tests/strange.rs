//! Files with one value replaced by something strange: the reader must answer, never panic, and say each thing once.

use serde_json::{Value, json};

use super::super::*;
use super::{CHENGDU, OTHERS, places};

/// Every place of a value, depth first.
fn pointers(value: &Value, at: String, into: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        pointers(child, format!("{at}/{name}"), into);
    }
    into.push(at);
}

#[test]
fn no_single_change_of_a_file_makes_the_reader_panic_or_repeat_itself() {
    let strange = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("x~/\u{7}"),
        json!("2199-12-31T23:59:59+08:00"),
        json!("2000-01-01T00:00:00Z"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"": 1}),
    ];
    for (name, file) in OTHERS.into_iter().chain([("chengdu-2020", CHENGDU)]) {
        let file: Value = serde_json::from_str(file).unwrap();
        let mut places_of_file = Vec::new();
        pointers(&file, String::new(), &mut places_of_file);
        for (pointer, value) in
            places_of_file.iter().flat_map(|pointer| strange.iter().map(move |value| (pointer, value)))
        {
            let mut spoilt = file.clone();
            *spoilt.pointer_mut(pointer).unwrap() = value.clone();
            match parse(&serde_json::to_vec(&spoilt).unwrap()) {
                Ok(parsed) => drop((effective::effective_view(&parsed.campaign), unsupported(&parsed.campaign))),
                Err(faults) => {
                    let mut found = places(&faults);
                    found.dedup();
                    assert_eq!(found.len(), faults.len(), "{name} {pointer} = {value}: {faults:#?}");
                }
            }
        }
    }
}
