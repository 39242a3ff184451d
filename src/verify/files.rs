//! The small files of a folder as JSON. A name that stands twice in an object is a fault of its file: of two readers each might believe another.

use std::collections::HashSet;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Failure;

pub fn json_if_there(folder: &Path, name: &str) -> Result<Option<Value>, Failure> {
    match std::fs::exists(folder.join(name)) {
        Ok(false) => Ok(None),
        _ => json(folder, name).map(Some),
    }
}

pub fn json(folder: &Path, name: &str) -> Result<Value, Failure> {
    let text = std::fs::read(folder.join(name))
        .map_err(|error| Failure::unreadable(format!("{name} cannot be read: {error}")))?;
    let value =
        serde_json::from_slice(&text).map_err(|error| Failure::unreadable(format!("{name} is not JSON: {error}")))?;
    match serde_json::from_slice::<SaidOnce>(&text) {
        Ok(SaidOnce) => Ok(value),
        Err(error) => Err(Failure::difference(format!("{name} says something twice: {error}"))),
    }
}

/// Any JSON in which no object has a name twice.
struct SaidOnce;

impl<'de> Deserialize<'de> for SaidOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = SaidOnce;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_bool<E>(self, _: bool) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_i64<E>(self, _: i64) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_u64<E>(self, _: u64) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_f64<E>(self, _: f64) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_str<E>(self, _: &str) -> Result<SaidOnce, E> {
        Ok(SaidOnce)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SaidOnce, A::Error> {
        while items.next_element::<SaidOnce>()?.is_some() {}
        Ok(SaidOnce)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<SaidOnce, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<SaidOnce>()?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("`{name}`")));
            }
        }
        Ok(SaidOnce)
    }
}
