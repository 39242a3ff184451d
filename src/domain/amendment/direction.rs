//! Which way a field may move so that nobody has less than was published.

use serde_json::Value;

use crate::domain::time::parse_rfc3339;

/// Why not, in Chinese and English.
type Why = (&'static str, &'static str);

/// What counts as more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A larger number than the file's, or than what holds where the file says nothing.
    Up(Option<i64>),
    Down(Option<i64>),
    Later,
    Earlier,
    /// A list with all that it had. An empty or absent one restricts nothing, so naming something in it would take away.
    More,
    Fewer,
    /// A switch that can be turned this way only.
    To(bool),
    /// Channels of use: more of them, or any.
    Channels,
}

const UNBOUNDED: Why = (
    "文件未写此项，即不受限制；写上会收窄规则。",
    "The file does not restrict this; to name something would take away.",
);

impl Direction {
    pub fn check(self, current: &Value, target: &Value) -> Result<(), Why> {
        match self {
            Direction::Up(default) => number(current, default, target, |from, to| from < to)
                .and_then(|up| up.then_some(()).ok_or(("只能增加。", "It can only go up."))),
            Direction::Down(default) => number(current, default, target, |from, to| from > to)
                .and_then(|down| down.then_some(()).ok_or(("只能降低。", "It can only go down."))),
            Direction::Later => instant(current, target, |from, to| from < to, ("只能延后。", "It can only be later.")),
            Direction::Earlier => {
                instant(current, target, |from, to| from > to, ("只能提前。", "It can only be earlier."))
            }
            Direction::More => more(current, target),
            Direction::Fewer => match (current.as_array(), target.as_array()) {
                (Some(from), Some(to)) if within(to, from) && to.len() < from.len() => Ok(()),
                _ => Err(("只能删去其中的项。", "Entries can only be taken off this list.")),
            },
            Direction::To(wanted) if *target == Value::Bool(wanted) => Ok(()),
            Direction::To(_) => {
                Err(("此开关只能向放宽的方向改。", "This switch can only be turned the permissive way."))
            }
            Direction::Channels if target == "any" => Ok(()),
            Direction::Channels if current.is_array() => more(current, target),
            Direction::Channels => Err(("只能改为 any。", "It can only become any.")),
        }
    }
}

fn number(current: &Value, default: Option<i64>, target: &Value, compare: fn(i64, i64) -> bool) -> Result<bool, Why> {
    let from = if current.is_null() { default } else { current.as_i64() };
    let from = from.ok_or(UNBOUNDED).map_err(|why| if current.is_null() { why } else { NOT_A_NUMBER })?;
    target.as_i64().map(|to| compare(from, to)).ok_or(NOT_A_NUMBER)
}

const NOT_A_NUMBER: Why = ("须以整数代替整数。", "A whole number can only be replaced by another.");

/// A target that is no instant passes: the file is read again, and says with it what the right spelling is.
fn instant(current: &Value, target: &Value, compare: fn(i64, i64) -> bool, otherwise: Why) -> Result<(), Why> {
    let read = |value: &Value| value.as_str().and_then(parse_rfc3339);
    match (read(current), read(target)) {
        (None, _) => Err(UNBOUNDED),
        (Some(from), Some(to)) if !compare(from, to) => Err(otherwise),
        _ => Ok(()),
    }
}

fn more(current: &Value, target: &Value) -> Result<(), Why> {
    let from = current.as_array().filter(|from| !from.is_empty()).ok_or(UNBOUNDED)?;
    match target.as_array() {
        Some(to) if within(from, to) && from.len() < to.len() => Ok(()),
        _ => Err(("只能增加，原有的项须保留。", "Entries can only be added; those there are have to stay.")),
    }
}

fn within(some: &[Value], all: &[Value]) -> bool {
    some.iter().all(|one| all.contains(one))
}
