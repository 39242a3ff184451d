//! Walks a JSON value and records every fault on the way instead of stopping at the first: an officer corrects a file once.
//! After a fault a reading function goes on with a harmless stand-in (the smallest number, the first word, an empty list), so that the
//! rules between the other fields can still be judged; a file with a fault is refused in the end, so no stand-in is ever used.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::findings::{Findings, below};
use super::instant::{no_such_day, parse_clock, parse_instant, strange_character};
use super::named::Named;
use super::spelling::{did_you_mean, did_you_mean_one_of, near, nearest};
use crate::domain::money::{FEN_LIMIT, Fen};
use crate::domain::time::Ms;

/// Characters of a wrong name that are repeated to its author.
const LONGEST_SHOWN: usize = 40;

/// What a whole walk shares.
#[derive(Default)]
pub struct Walk {
    pub findings: RefCell<Findings>,
    pub zone: OnceCell<TimeZone>,
    /// Set when an item of a list could not be read, so the positions of the others are no longer those of the file.
    pub dropped: Cell<bool>,
}

/// One value of the file and where it stands.
pub struct Node<'a> {
    value: &'a Value,
    at: String,
    walk: &'a Walk,
    /// Stands for a missing field, whose absence has been recorded already.
    missing: bool,
}

impl<'a> Node<'a> {
    pub fn root(value: &'a Value, walk: &'a Walk) -> Self {
        Self { value, at: String::new(), walk, missing: false }
    }

    pub fn fault(&self, code: &'static str, zh: impl Into<String>, en: impl Into<String>) {
        if !self.missing {
            self.walk.findings.borrow_mut().fault(&self.at, code, zh, en);
        }
    }

    fn wrong_type(&self, zh: &str, en: &str) {
        let (is_zh, is_en) = match self.value {
            Value::Null => ("空值 null", "null"),
            Value::Bool(_) => ("真假值", "a boolean"),
            Value::Number(_) => ("数字", "a number"),
            Value::String(_) => ("文字", "a string"),
            Value::Array(_) => ("列表", "a list"),
            Value::Object(_) => ("对象", "an object"),
        };
        self.fault("wrong_type", format!("此处应为{zh}，现为{is_zh}。"), format!("Must be {en}, is {is_en}."));
    }

    fn child(&self, name: impl std::fmt::Display, value: &'a Value) -> Node<'a> {
        Node { value, at: below(&self.at, name), walk: self.walk, missing: false }
    }

    pub fn walk(&self) -> &'a Walk {
        self.walk
    }

    pub fn is_object(&self) -> bool {
        self.value.is_object()
    }

    pub fn is_array(&self) -> bool {
        self.value.is_array()
    }

    pub fn str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// An integer within bounds.
    pub fn int<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>) -> Option<T> {
        self.whole(range, "", "")
    }

    pub fn fen(&self, minimum: i64) -> Option<Fen> {
        self.money(minimum..=FEN_LIMIT - 1)
    }

    /// A decimal in place of money is nearly always yuan written for fen.
    pub fn money(&self, range: RangeInclusive<i64>) -> Option<Fen> {
        self.whole(range, "；金额以分为单位（20 元写作 2000）", "; money is in fen (20 yuan is 2000)").map(Fen)
    }

    fn whole<T: TryFrom<i64>>(&self, range: RangeInclusive<i64>, hint_zh: &str, hint_en: &str) -> Option<T> {
        let stand_in = T::try_from(*range.start()).ok();
        let Value::Number(number) = self.value else {
            self.wrong_type("整数", "a whole number");
            return stand_in;
        };
        if number.is_f64() {
            let zh = format!("须为整数，不能是 {number}{hint_zh}。");
            self.fault("not_an_integer", zh, format!("Must be a whole number, not {number}{hint_en}."));
            return stand_in;
        }
        let found = number.as_i64().filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok());
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            let zh = format!("须在 {low} 至 {high} 之间，现为 {number}。");
            self.fault("out_of_range", zh, format!("Must be {low} to {high}, is {number}."));
        }
        found.or(stand_in)
    }

    pub fn flag(&self) -> Option<bool> {
        let found = self.value.as_bool();
        if found.is_none() {
            self.wrong_type(" true 或 false", "true or false");
        }
        found.or(Some(false))
    }

    /// Text for people: 1 to `most` characters, no control characters.
    pub fn text(&self, most: usize) -> Option<String> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type("文字", "a string");
            return Some(String::new());
        };
        let length = text.chars().count();
        if text.trim().is_empty() || length > most || text.chars().any(char::is_control) {
            self.fault(
                "bad_text",
                format!("须为 1 至 {most} 个字符，不含控制字符。"),
                format!("Must be 1 to {most} characters without control characters."),
            );
        }
        Some(text.to_owned())
    }

    /// A name for machines: 1 to 40 of `[A-Za-z0-9_.-]`.
    pub fn id(&self) -> Option<String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        self.matching(
            "invalid_id",
            "1 至 40 个字母、数字或 _ . -",
            "1 to 40 of letters, digits, _ . and -",
            |text| (1..=40).contains(&text.len()) && text.bytes().all(allowed),
        )
    }

    /// A prefix of a numeric code, such as a district (GB/T 2260) or an industry (GB/T 4754 has a leading letter).
    pub fn code_prefix(&self) -> Option<String> {
        self.matching(
            "invalid_code",
            "1 至 12 位的代码前缀，如 5101",
            "a code prefix of 1 to 12 characters, such as 5101",
            |text| {
                (1..=12).contains(&text.len())
                    && text
                        .bytes()
                        .enumerate()
                        .all(|(i, byte)| byte.is_ascii_digit() || (i == 0 && byte.is_ascii_uppercase()))
            },
        )
    }

    pub fn matching(&self, code: &'static str, zh: &str, en: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type("文字", "a string");
            return Some(String::new());
        };
        if !fits(text) {
            self.fault(code, format!("须为{zh}，现为“{text}”。"), format!("Must be {en}, is \"{text}\"."));
        }
        Some(text.to_owned())
    }

    /// One of the fixed words.
    pub fn word<T: Named>(&self) -> Option<T> {
        let allowed: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let Some(text) = self.value.as_str() else {
            self.wrong_type("文字", "a string");
            return T::WORDS.first().map(|(_, value)| *value);
        };
        let found = T::from_word(text);
        if found.is_none() {
            let meant = nearest(text, &allowed);
            let (zh, en) = did_you_mean(meant);
            let list = allowed.join(" | ");
            self.fault(
                "unknown_value",
                format!("“{text}”不在可选值 {list} 之中。{zh}"),
                format!("\"{text}\" is not one of {list}.{en}"),
            );
        }
        found.or(T::WORDS.first().map(|(_, value)| *value))
    }

    pub fn instant(&self) -> Option<Ms> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type("时间，如 2020-07-24T18:00:00+08:00", "a time such as 2020-07-24T18:00:00+08:00");
            return None;
        };
        match parse_instant(text, self.walk.zone.get()) {
            Ok(instant) => {
                self.warn_if_offset_is_not_the_citys(text, instant);
                Some(instant)
            }
            Err(not) => {
                let (zh, en) = &not.why;
                let (meant_zh, meant_en) = not.meant(text, self.at.rsplit('/').next());
                self.fault(not.code, format!("{zh}{meant_zh}"), format!("{en}{meant_en}"));
                None
            }
        }
    }

    /// `2020-07-13T00:00:00Z` in Chengdu is eight in the morning, which is rarely what was meant.
    fn warn_if_offset_is_not_the_citys(&self, text: &str, instant: Ms) {
        let (Some(zone), Ok(timestamp)) = (self.walk.zone.get(), jiff::Timestamp::from_millisecond(instant)) else {
            return;
        };
        let local = timestamp.to_zoned(zone.clone());
        let offset = local.strftime("%:z").to_string();
        if !(text.ends_with(&offset) || text.ends_with('Z') && offset == "+00:00") {
            let spelled = local.strftime("%Y-%m-%dT%H:%M:%S%:z");
            self.walk.findings.borrow_mut().warn(
                &self.at,
                "offset_differs",
                format!("所写偏移不是该市的 {offset}；本地时间为 {spelled}。"),
                format!("The offset is not the city's {offset}; there it is {spelled}."),
            );
        }
    }

    pub fn date(&self) -> Option<Date> {
        let text = self.str();
        let found = text.filter(|text| text.len() == 10).and_then(|text| text.parse().ok());
        if found.is_none() {
            let (zh, en) = text.and_then(no_such_day).or(text.and_then(strange_character)).unwrap_or_default();
            let zh = format!("{zh}须为日期，如 2020-07-13。");
            let en = if en.is_empty() { en } else { format!("{en} ") } + "Must be a date such as 2020-07-13.";
            self.fault("bad_date", zh, en);
        }
        found
    }

    /// `HH:MM`, as minutes after midnight.
    pub fn clock(&self) -> Option<u16> {
        let found = self.str().and_then(parse_clock);
        if found.is_none() {
            self.fault(
                "bad_clock",
                "须为 00:00 至 24:00 的钟点，如 09:30。",
                "Must be a time of day from 00:00 to 24:00, such as 09:30.",
            );
        }
        found.or(Some(0))
    }

    pub fn object(&self) -> Option<Obj<'a>> {
        let map = self.value.as_object();
        if map.is_none() {
            self.wrong_type("对象", "an object");
        }
        Some(Obj { map, at: self.at.clone(), walk: self.walk, asked: Vec::new() })
    }

    pub fn list<T>(
        &self,
        length: RangeInclusive<usize>,
        mut item: impl FnMut(Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = self.value else {
            self.wrong_type("列表", "a list");
            return Some(Vec::new());
        };
        self.judge_length(items.len(), length);
        let read: Vec<T> = items.iter().enumerate().filter_map(|(i, value)| item(self.child(i, value))).collect();
        if read.len() < items.len() {
            self.walk.dropped.set(true);
        }
        Some(read)
    }

    /// A list whose items all differ.
    pub fn distinct<T: PartialEq>(
        &self,
        length: RangeInclusive<usize>,
        item: impl Fn(&Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut seen: Vec<T> = Vec::new();
        self.list(length, |node| {
            let told = self.walk.findings.borrow().faults.len();
            let value = item(&node)?;
            // What could not be read is told as that; its stand-in may be like another's.
            let is_read = self.walk.findings.borrow().faults.len() == told;
            match is_read && seen.contains(&value) {
                true => node.fault("duplicate", "同一列表中不能重复。", "Stands twice in this list."),
                false => seen.push(value),
            }
            Some(())
        })?;
        Some(seen)
    }

    /// An object with free keys, in the order of its keys.
    pub fn entries<T>(
        &self,
        length: RangeInclusive<usize>,
        mut entry: impl FnMut(&str, Node<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::Object(map) = self.value else {
            self.wrong_type("对象", "an object");
            return Some(Vec::new());
        };
        self.judge_length(map.len(), length);
        let read: Vec<T> = map.iter().filter_map(|(key, value)| entry(key, self.child(key, value))).collect();
        if read.len() < map.len() {
            self.walk.dropped.set(true);
        }
        Some(read)
    }

    fn judge_length(&self, found: usize, length: RangeInclusive<usize>) {
        if !length.contains(&found) {
            let (low, high) = (length.start(), length.end());
            let zh = format!("须有 {low} 至 {high} 项，现有 {found} 项。");
            self.fault("wrong_length", zh, format!("Must have {low} to {high} items, has {found}."));
        }
    }
}

/// An object with known names. Every name that is asked for counts as known, so a typing error can be answered with the name meant.
pub struct Obj<'a> {
    /// `None` stands for something that is no object, which has been recorded already.
    map: Option<&'a Map<String, Value>>,
    at: String,
    walk: &'a Walk,
    asked: Vec<&'static str>,
}

impl<'a> Obj<'a> {
    fn node(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.asked.push(name);
        self.map?.get(name).map(|value| Node { value, at: below(&self.at, name), walk: self.walk, missing: false })
    }

    pub fn opt(&mut self, name: &'static str) -> Option<Node<'a>> {
        let node = self.node(name)?;
        if node.value.is_null() {
            node.fault(
                "null_not_allowed",
                "不填时请删去此项，不要写 null。",
                "Leave the field out instead of writing null.",
            );
            return None;
        }
        Some(node)
    }

    pub fn req(&mut self, name: &'static str) -> Option<Node<'a>> {
        let present = self.map.is_none_or(|map| map.contains_key(name));
        self.opt(name).or_else(|| {
            let node = Node { value: &Value::Null, at: below(&self.at, name), walk: self.walk, missing: present };
            node.fault("missing", format!("缺少必填项 {name}。"), format!("The field {name} is missing."));
            Some(Node { missing: true, ..node })
        })
    }

    /// `Some(None)` for an explicit null.
    pub fn nullable(&mut self, name: &'static str) -> Option<Option<Node<'a>>> {
        let node = self.node(name)?;
        Some((!node.value.is_null()).then_some(node))
    }

    /// Reports the names that nobody asked for. To be called when everything has been read.
    pub fn finish(self) {
        for key in self.map.into_iter().flat_map(Map::keys).filter(|key| !self.asked.contains(&key.as_str())) {
            let shown: String = key.chars().take(LONGEST_SHOWN).collect();
            let (zh, en) = did_you_mean_one_of(&near(key, &self.asked));
            let (zh, en) = (format!("没有名为“{shown}”的项。{zh}"), format!("There is no field \"{shown}\" here.{en}"));
            self.walk.findings.borrow_mut().fault(below(&self.at, key), "unknown_field", zh, en);
        }
    }
}
