//! Times as officers write them: RFC 3339 with an offset is taken, everything near it is answered with the right spelling.

use icu_normalizer::ComposingNormalizer;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::spelling::{did_you_mean, shown};
use crate::domain::time::Ms;

/// Why a text is not an instant, with the spelling that was probably meant.
#[derive(Debug, PartialEq)]
pub struct NotAnInstant {
    pub code: &'static str,
    /// What is wrong, in Chinese and English.
    pub why: Words,
    pub suggestion: Option<String>,
    /// For a date alone: the midnight after it, which an end that includes the day is.
    pub after: Option<String>,
}

/// Fields whose instant ends something, and so is not part of it.
const ENDS: [&str; 3] = ["closes_at", "available_end_time", "withdraw_until"];

impl NotAnInstant {
    /// What was probably meant by `text` in a field.
    pub fn meant(&self, text: &str, field: Option<&str>) -> Words {
        match self.after.as_ref().filter(|_| field.is_some_and(|field| ENDS.contains(&field))) {
            Some(after) => (
                format!("时段含始不含终：要包含 {text} 当天，请写 {after}。"),
                format!(" An end is not included: write {after} to include all of {text}."),
            ),
            None => did_you_mean(self.suggestion.as_deref()),
        }
    }
}

/// A sentence in Chinese and English.
pub type Words = (String, String);

/// `2020-07-24T18:00:00+08:00`, exactly: date, `T`, seconds, and an offset or `Z`.
pub fn parse_instant(text: &str, zone: Option<&TimeZone>) -> Result<Ms, NotAnInstant> {
    if has_strict_shape(text)
        && let Ok(timestamp) = text.parse::<Timestamp>()
    {
        let ms = timestamp.as_millisecond();
        let why = words("年份须在 2000 至 2199 之间。", "The year must be 2000 to 2199.");
        return if SANE.contains(&ms) {
            Ok(ms)
        } else {
            Err(NotAnInstant { code: "out_of_range", why, suggestion: None, after: None })
        };
    }
    let half_width = half_width(text);
    let parts = Parts::of(&half_width);
    let (code, why) = match (&parts, no_such_day(&half_width), strange_character(text)) {
        (_, Some(why), _) => ("no_such_day", why),
        (Some(Parts { clock: false, .. }), ..) => {
            ("date_without_time", words("只有日期，没有时刻。", "This is a date without a time of day."))
        }
        (Some(Parts { hour: 24, .. }), ..) => (
            "time_24_00",
            words("没有 24:00，一天的结束是次日 00:00。", "There is no 24:00; a day ends at 00:00 of the next."),
        ),
        (_, None, Some(why)) => ("bad_time", why),
        (Some(Parts { offset: None, .. }), ..) => {
            ("time_without_offset", words("时间须带时区偏移，如 +08:00。", "A time needs its offset, such as +08:00."))
        }
        _ => ("bad_time", not_a_time()),
    };
    let next_day = |parts: &Parts| {
        let date = parts.date.checked_add(Span::new().days(1)).ok()?;
        Parts { date, offset: None, ..*parts }.spelled(zone)
    };
    let after = parts.as_ref().filter(|_| code == "date_without_time").and_then(next_day);
    Err(NotAnInstant { code, why, suggestion: parts.and_then(|parts| parts.spelled(zone)), after })
}

fn words(zh: &str, en: &str) -> Words {
    (zh.to_owned(), en.to_owned())
}

fn not_a_time() -> Words {
    words("时间应写作 2020-07-24T18:00:00+08:00。", "Not an RFC 3339 time such as 2020-07-24T18:00:00+08:00.")
}

/// The same text with the characters of an ASCII keyboard where Unicode holds them to be the same, and without spaces around it.
fn half_width(text: &str) -> String {
    ComposingNormalizer::new_nfkc().normalize(text).trim().to_owned()
}

/// The first character that no time or date has, by its place among the characters.
pub fn strange_character(text: &str) -> Option<Words> {
    let (at, found) = text.chars().enumerate().find(|(_, c)| !c.is_ascii() || c.is_ascii_control())?;
    let (place, shown) = (at + 1, shown(found));
    Some((
        format!("第 {place} 个字符“{shown}”不能用于时间，须用半角数字与符号。"),
        format!("Character {place}, \"{shown}\", has no place in a time: write ASCII digits and signs."),
    ))
}

/// A day that the calendar does not have, such as 31 November.
pub fn no_such_day(text: &str) -> Option<Words> {
    let text = half_width(text);
    let mut parts = text.get(..10)?.split(['-', '/']);
    let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let (year, month, day): (i16, i8, i8) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    if !(1..=12).contains(&month) {
        return Some((format!("没有 {month} 月。"), format!("There is no month {month}.")));
    }
    let last = Date::new(year, month, 1).ok()?.days_in_month();
    let missing =
        || (format!("{year} 年 {month} 月只有 {last} 天。"), format!("Month {month} of {year} has {last} days."));
    (!(1..=last).contains(&day)).then(missing)
}

/// 2000-01-01 to 2200-01-01: outside it a digit was mistyped.
const SANE: std::ops::Range<Ms> = 946_684_800_000..7_258_118_400_000;

fn has_strict_shape(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let fits = |part: &[u8], pattern: &[u8]| {
        part.len() == pattern.len()
            && part
                .iter()
                .zip(pattern)
                .all(|(byte, want)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want })
    };
    let bytes = text.as_bytes();
    if bytes.len() <= pattern.len() || !fits(&bytes[..pattern.len()], pattern) || &bytes[17..19] > b"59".as_slice() {
        return false;
    }
    let mut rest = &bytes[pattern.len()..];
    if rest[0] == b'.' {
        let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) {
            return false;
        }
        rest = &rest[1 + digits..];
    }
    rest == b"Z" || fits(rest, b"+dd:dd") || fits(rest, b"-dd:dd")
}

/// The pieces of a text that resembles a time.
struct Parts<'a> {
    date: Date,
    /// Whether a time of day is written at all.
    clock: bool,
    hour: i8,
    minute: i8,
    second: i8,
    offset: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10)?;
        let date = date.replace('/', "-").parse().ok()?;
        let rest = rest.trim_start_matches(['T', 't', ' ', ',']);
        let clock_end = rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len());
        let (clock, offset) = rest.split_at(clock_end);
        let is_written = !clock.trim().is_empty();
        let mut numbers =
            clock.trim().split([':', '.']).map(|part| if part.is_empty() { Some(0) } else { part.parse::<i8>().ok() });
        let mut next = || numbers.next().unwrap_or(Some(0));
        let (hour, minute, second) = (next()?, next()?, next()?);
        Some(Self { date, clock: is_written, hour, minute, second, offset: (!offset.is_empty()).then_some(offset) })
    }

    /// Correct RFC 3339 for it: `24:00` is the next day's midnight, a missing offset is the city's.
    fn spelled(&self, zone: Option<&TimeZone>) -> Option<String> {
        let civil: DateTime = if self.hour == 24 && self.minute == 0 && self.second == 0 {
            self.date.checked_add(Span::new().days(1)).ok()?.to_datetime(Time::midnight())
        } else {
            self.date.to_datetime(Time::new(self.hour, self.minute, self.second, 0).ok()?)
        };
        let offset = match self.offset {
            Some("Z" | "z") => String::from("Z"),
            Some(offset) if offset.len() == 3 => format!("{offset}:00"),
            Some(offset) => offset.to_owned(),
            None => civil.to_zoned(zone?.clone()).ok()?.strftime("%:z").to_string(),
        };
        let spelled = format!("{}{offset}", civil.strftime("%Y-%m-%dT%H:%M:%S"));
        has_strict_shape(&spelled).then_some(spelled)
    }
}

/// `HH:MM` as minutes after midnight; `24:00` is 1440.
pub fn parse_clock(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && (hour < 24 || (hour == 24 && minute == 0))).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_time_is_answered_with_the_right_spelling() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        for (text, code, meant) in [
            ("2020-07-20T24:00:00+08:00", "time_24_00", Some("2020-07-21T00:00:00+08:00")),
            ("2020-07-31T24:00+08:00", "time_24_00", Some("2020-08-01T00:00:00+08:00")),
            ("2020-07-31T24:00", "time_24_00", Some("2020-08-01T00:00:00+08:00")),
            ("2020-07-24T18:00:00", "time_without_offset", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24 18:00", "time_without_offset", Some("2020-07-24T18:00:00+08:00")),
            ("2020/07/24", "date_without_time", Some("2020-07-24T00:00:00+08:00")),
            ("2020-07-24", "date_without_time", Some("2020-07-24T00:00:00+08:00")),
            ("2020-07-24，18:00:00+08:00", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24T18：00：00+08：00", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("２０２０-07-24T18:00:00+08:00", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-11-31T18:00:00+08:00", "no_such_day", None),
            ("2021-02-29", "no_such_day", None),
            ("2020-07-24T18:00+08:00", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24t18:00:00+08", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24T25:00:00+08:00", "bad_time", None),
            ("2020-13-24T18:00:00+08:00", "no_such_day", None),
            ("2020-02-30T18:00:00+08:00", "no_such_day", None),
            ("2020-07-24T18:00:60+08:00", "bad_time", None),
            ("0202-07-24T18:00:00+08:00", "out_of_range", None),
            ("七月二十四日十八点", "bad_time", None),
            ("", "bad_time", None),
        ] {
            let found = parse_instant(text, Some(&zone)).unwrap_err();
            assert_eq!((found.code, found.suggestion.as_deref()), (code, meant), "{text}");
        }
        assert_eq!(parse_instant("2020-07-24T10:00:00Z", None), Ok(1_595_584_800_000));
        assert_eq!(parse_instant("2020-07-24T18:00:00.250+08:00", None), Ok(1_595_584_800_250));
    }

    #[test]
    fn a_clock_time_has_two_digits_each() {
        for (text, minutes) in [
            ("00:00", Some(0)),
            ("24:00", Some(1440)),
            ("10:30", Some(630)),
            ("24:01", None),
            ("9:00", None),
            ("", None),
        ] {
            assert_eq!(parse_clock(text), minutes, "{text}");
        }
    }
}
