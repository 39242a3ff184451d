//! JSON text to a value, refusing a key that is written twice: serde_json would silently keep the last one, and two `budget`s
//! in a file that is hashed and approved must not be a matter of taste.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::findings::Fault;

/// One fault with line and column if the bytes are not JSON.
pub fn value_from(bytes: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let cause = message.split(" at line ").next().unwrap_or(&message);
        Fault {
            pointer: String::new(),
            code: if cause.starts_with(DUPLICATE) { "duplicate_key" } else { "malformed_json" },
            zh: format!("第 {line} 行第 {column} 列不是有效的 JSON：{}。", in_chinese(cause)),
            en: format!("Not valid JSON at line {line}, column {column}: {cause}."),
        }
    })
}

const DUPLICATE: &str = "duplicate key";

/// What serde_json says, as far as it helps to find the place.
fn in_chinese(cause: &str) -> String {
    match cause {
        _ if cause.starts_with(DUPLICATE) => format!("键“{}”重复", cause[DUPLICATE.len()..].trim_matches([' ', '`'])),
        _ if cause.starts_with("EOF") => "内容不完整".into(),
        "trailing comma" => "末尾多了逗号".into(),
        "trailing characters" => "结束之后还有内容".into(),
        "key must be a string" => "键须加双引号".into(),
        "number out of range" => "数字过大".into(),
        "recursion limit exceeded" => "嵌套过深".into(),
        _ => "此处写法有误".into(),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{DUPLICATE} `{key}`")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
