//! JSON text to a value, refusing a key that is written twice: serde_json would silently keep the last one, and two `budget`s
//! in a file that is hashed and approved must not be a matter of taste.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::findings::Fault;
use super::spelling::shown;

/// One fault with line and character if the bytes are not JSON.
pub fn value_from(bytes: &[u8]) -> Result<Value, Fault> {
    not_plain_utf8(bytes).map_or(Ok(()), Err)?;
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|error| {
        let message = error.to_string();
        let cause = message.split(" at line ").next().unwrap_or(&message);
        let (line, place, found) = place_of(bytes, &error);
        let (found_zh, found_en) =
            found.map(shown).map_or_else(Default::default, |found| (format!("“{found}”"), format!(", \"{found}\"")));
        let (meant_zh, meant_en) = match found.and_then(ascii_of) {
            Some(meant) => (format!("请改用半角“{meant}”。"), format!(" Write the ASCII character {meant} instead.")),
            None => Default::default(),
        };
        let cause_zh = in_chinese(cause);
        Fault {
            pointer: String::new(),
            code: if cause.starts_with(DUPLICATE) { "duplicate_key" } else { "malformed_json" },
            zh: format!("第 {line} 行第 {place} 个字符{found_zh}处不是有效的 JSON：{cause_zh}。{meant_zh}"),
            en: format!("Not valid JSON at line {line}, character {place}{found_en}: {cause}.{meant_en}"),
        }
    })
}

/// A file that an editor has saved in another way than JSON takes it: no place in it would tell its author anything.
fn not_plain_utf8(bytes: &[u8]) -> Option<Fault> {
    let fault = |zh: &str, en: &str| {
        Some(Fault { pointer: String::new(), code: "malformed_json", zh: zh.to_owned(), en: en.to_owned() })
    };
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return fault(
            "文件开头有 UTF-8 BOM（不可见字符）：请另存为不带 BOM 的 UTF-8。",
            "The file begins with a byte order mark, which cannot be seen: save it as UTF-8 without BOM.",
        );
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return fault(
            "文件是 UTF-16 编码：请另存为不带 BOM 的 UTF-8。",
            "The file is in UTF-16: save it as UTF-8 without BOM.",
        );
    }
    std::str::from_utf8(bytes).err().and_then(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        fault(
            &format!("第 {line} 行不是 UTF-8 编码（可能是 GBK）：请另存为不带 BOM 的 UTF-8。"),
            &format!("Line {line} is not in UTF-8, maybe in GBK: save the file as UTF-8 without BOM."),
        )
    })
}

/// Line, place among its characters, both from 1, and the character there. The reader counts bytes, of which a Chinese character has three.
fn place_of(bytes: &[u8], error: &serde_json::Error) -> (usize, usize, Option<char>) {
    let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let mut at = error.column().saturating_sub(1).min(line.len());
    // Inside a character its first byte counts.
    while at > 0 && line.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at -= 1;
    }
    let found = String::from_utf8_lossy(&line[at..]).chars().next();
    (error.line().max(1), String::from_utf8_lossy(&line[..at]).chars().count() + 1, found)
}

/// What an input method for Chinese writes in place of JSON's own signs.
fn ascii_of(found: char) -> Option<char> {
    Some(match found {
        '，' | '、' => ',',
        '：' => ':',
        '“' | '”' | '＂' | '‘' | '’' => '"',
        '｛' => '{',
        '｝' => '}',
        '［' | '【' => '[',
        '］' | '】' => ']',
        '－' => '-',
        '０'..='９' => char::from_u32(u32::from(found) - u32::from('０') + u32::from('0'))?,
        _ => return None,
    })
}

/// The reader's cause in Chinese; names and signs stay as they are.
fn in_chinese(cause: &str) -> String {
    const CAUSES: [(&str, &str); 15] = [
        ("EOF while parsing a string", "文件到此结束，引号没有闭合"),
        ("EOF while parsing a list", "文件到此结束，缺少 ]"),
        ("EOF while parsing an object", "文件到此结束，缺少 }"),
        ("EOF while parsing", "文件到此结束，内容不完整"),
        ("expected `:`", "此处应为 :"),
        ("expected `,` or `]`", "此处应为 , 或 ]"),
        ("expected `,` or `}`", "此处应为 , 或 }"),
        ("expected", "此处应为一个值"),
        ("key must be a string", "名称须写在双引号内"),
        ("control character", "引号内有控制字符"),
        ("trailing comma", "最后一项之后不能有逗号"),
        ("trailing characters", "文件已结束，其后还有内容"),
        ("recursion limit", "嵌套过深"),
        ("number", "数字超出范围"),
        ("invalid number", "数字写法有误"),
    ];
    if let Some(key) = cause.strip_prefix(DUPLICATE) {
        return format!("名称 {} 重复", key.trim_matches([' ', '`']));
    }
    let known = CAUSES.iter().find(|(start, _)| cause.starts_with(start));
    known.map_or("写法有误", |(_, zh)| zh).to_owned()
}

const DUPLICATE: &str = "duplicate key";

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
