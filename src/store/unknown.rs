//! Members of a configuration record that this binary does not know: a newer one has written them, and a node that replaces the record
//! leaves them where they were.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StoreError;

/// The text of a record that is new.
pub(super) fn written<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(broken)
}

/// The text of a record that replaces the one that is held.
pub(super) fn carried<T: Serialize + DeserializeOwned>(held: &[u8], value: &T) -> Result<String, StoreError> {
    let held: Value = serde_json::from_slice(held).map_err(broken)?;
    let known = T::deserialize(&held).and_then(serde_json::to_value).map_err(broken)?;
    let mut next = serde_json::to_value(value).map_err(broken)?;
    if carry(&held, &known, &mut next) { written(&next) } else { written(value) }
}

fn broken(error: serde_json::Error) -> StoreError {
    StoreError::Broken(format!("configuration record: {error}"))
}

/// Whether something was carried over.
fn carry(held: &Value, known: &Value, next: &mut Value) -> bool {
    match (held, known, next) {
        (Value::Object(held), Value::Object(known), Value::Object(next)) => {
            let mut carried = false;
            for (name, value) in held {
                match (known.get(name), next.get_mut(name)) {
                    (Some(known), Some(next)) => carried |= carry(value, known, next),
                    (None, None) => {
                        next.insert(name.clone(), value.clone());
                        carried = true;
                    }
                    _ => {}
                }
            }
            carried
        }
        (Value::Array(held), Value::Array(known), Value::Array(next)) if held.len() == known.len() => {
            let mut carried = false;
            for (place, next) in next.iter_mut().enumerate() {
                if let Some(same) = place_before(known, place, next) {
                    carried |= carry(&held[same], &known[same], next);
                }
            }
            carried
        }
        _ => false,
    }
}

/// Where an element of a list stood before: where the same one is, else in its own place, unless its number says that it is another.
fn place_before(known: &[Value], place: usize, next: &Value) -> Option<usize> {
    let unchanged = known.get(place) == Some(next);
    let elsewhere = || known.iter().position(|one| one == next);
    let in_place = || known.get(place).filter(|one| one.get("number") == next.get("number")).map(|_| place);
    if unchanged { Some(place) } else { elsewhere().or_else(in_place) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize, Default)]
    struct Record {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Serialize, Deserialize, Clone)]
    struct Part {
        number: u8,
        done: bool,
    }

    #[test]
    fn what_is_not_known_stays_with_its_own_and_what_was_taken_away_does_not_come_back() {
        let part = |number, done| Part { number, done };
        let held = json!({"name": "a", "note": "n", "new": {"x": 1},
            "parts": [{"number": 1, "done": false, "new": "one"}, {"number": 2, "done": false, "new": "two"}]});
        let table = [
            (vec![part(1, true), part(2, false)], json!(["one", "two"])),
            (vec![part(2, false)], json!(["two"])),
            (vec![part(2, true), part(3, false)], json!([null, null])),
            (vec![part(1, false), part(2, false), part(3, false)], json!(["one", "two", null])),
        ];
        for (parts, expected) in table {
            let next = Record { name: "b".into(), note: None, parts };
            let text = carried(held.to_string().as_bytes(), &next).expect("a record");
            let read: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!((&read["name"], &read["new"], read.get("note")), (&json!("b"), &json!({"x": 1}), None));
            let kept: Value = read["parts"].as_array().expect("parts").iter().map(|part| part["new"].clone()).collect();
            assert_eq!(kept, expected);
        }
    }
}
