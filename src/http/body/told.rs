//! What the reader of JSON says about a value, in words for whoever sent it.

use crate::domain::campaign::spelling::{did_you_mean, nearest};

/// Names that a text lists.
const MOST_LISTED: usize = 8;

/// Parts of the names of amounts.
const MONEY: [&str; 3] = ["amount", "discount", "payable"];

/// What serde's message means, with the field it names; values that were sent are left out of the text.
pub fn explain(message: &str) -> (&'static str, Option<&str>, String, String) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let name = quoted.first().copied();
    let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    if message.starts_with("unknown field ") {
        let (meant_zh, meant_en) = meant(&quoted);
        // Who meant a field is helped by its name, and who looks for one by a list that can be read through.
        let known = quoted.len().saturating_sub(1);
        let (zh, en) = if meant_en.is_empty() && (1..=MOST_LISTED).contains(&known) {
            (format!("可用：{}。", names(expected)), format!(" Known: {expected}."))
        } else {
            (meant_zh, meant_en)
        };
        return ("unknown_field", name, format!("没有这个字段。{zh}"), format!("There is no such field.{en}"));
    }
    if message.starts_with("missing field ") {
        return ("missing_field", name, "缺少此字段。".into(), "This field is needed.".into());
    }
    if message.starts_with("duplicate field ") {
        return ("duplicate_field", name, "字段重复。".into(), "The field is given twice.".into());
    }
    if message.starts_with("unknown variant ") {
        let (meant_zh, meant_en) = meant(&quoted);
        let zh = format!("没有这个取值，可用：{}。{meant_zh}", names(expected));
        return ("unknown_value", None, zh, format!("Not one of the known values: {expected}.{meant_en}"));
    }
    let integer_wanted = expected.starts_with(['i', 'u']) && expected[1..].bytes().all(|b| b.is_ascii_digit());
    if message.starts_with("invalid type: floating point ") && integer_wanted {
        return ("integer_expected", None, "须为整数。".into(), "Must be a whole number.".into());
    }
    if message.starts_with("invalid type: ") {
        let (zh, en) = readable(expected, integer_wanted);
        return ("wrong_type", None, format!("类型不符，应为{zh}。"), format!("Wrong type; {en} is wanted."));
    }
    if message.starts_with("invalid value: ") || message.starts_with("number out of range") {
        let (zh, en) = readable(expected, integer_wanted);
        return (
            "out_of_range",
            None,
            format!("取值超出范围，应为{zh}。"),
            format!("The value is out of range; {en} is wanted."),
        );
    }
    if message.starts_with("invalid length ") {
        return (
            "wrong_length",
            None,
            "元素个数不符。".into(),
            format!("Wrong number of elements; {expected} is wanted."),
        );
    }
    if message.contains("untagged enum") {
        let en = "The value has none of the forms that are taken here.";
        return ("invalid_value", None, "不是可用的写法。".into(), en.into());
    }
    // What the reader of a query says, whose values are all text.
    if message.contains("was not `true` or `false`") {
        return ("invalid_value", None, "须为 true 或 false。".into(), "Must be true or false.".into());
    }
    if message.contains("invalid digit found in string") || message.contains("cannot parse integer from empty string") {
        return ("invalid_value", None, "须为不小于 0 的整数。".into(), "Must be a whole number of at least 0.".into());
    }
    // Messages of our own types, which do not repeat the value.
    ("invalid_value", None, "取值有误。".into(), message.to_owned())
}

/// Where money was written in yuan.
pub fn of_fen(pointer: &str) -> (&'static str, &'static str) {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let is_money = MONEY.iter().any(|word| name.split('_').any(|part| part == *word));
    if is_money { ("金额以分为单位。", " Amounts are in fen.") } else { ("", "") }
}

/// What serde says that it expected, in Chinese and English.
fn readable(expected: &str, integer: bool) -> (&'static str, &str) {
    match expected {
        _ if integer => ("整数", "a whole number"),
        "" => ("其他取值", "another value"),
        "a string" | "a borrowed string" => ("文字", "a string"),
        "a boolean" => ("真假值", "a boolean"),
        "a sequence" => ("列表", "a list"),
        "a map" | "struct" => ("对象", "an object"),
        text if text.starts_with("struct ") => ("对象", "an object"),
        text => ("其他类型", text),
    }
}

/// The known name that was probably meant; the first that serde quotes is what was sent.
fn meant(quoted: &[&str]) -> (String, String) {
    let meant = quoted.split_first().and_then(|(sent, known)| nearest(sent, known));
    did_you_mean(meant)
}

/// The names in serde's "one of `a`, `b`", as Chinese lists them.
fn names(expected: &str) -> String {
    expected.split('`').skip(1).step_by(2).collect::<Vec<_>>().join("、")
}
