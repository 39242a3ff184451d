//! Times as officers write them: RFC 3339 with an offset is taken, everything near it is answered with the right spelling.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::domain::time::Ms;

/// Why a text is not an instant, with the spelling that was probably meant.
#[derive(Debug, PartialEq)]
pub struct NotAnInstant {
    pub code: &'static str,
    pub suggestion: Option<String>,
}

/// `2020-07-24T18:00:00+08:00`, exactly: date, `T`, seconds, and an offset or `Z`.
pub fn parse_instant(text: &str, zone: Option<&TimeZone>) -> Result<Ms, NotAnInstant> {
    if has_strict_shape(text)
        && let Ok(timestamp) = text.parse::<Timestamp>()
    {
        let ms = timestamp.as_millisecond();
        return if SANE.contains(&ms) { Ok(ms) } else { Err(NotAnInstant { code: "out_of_range", suggestion: None }) };
    }
    let parts = Parts::of(text);
    let code = match &parts {
        Some(Parts { hour: 24, .. }) => "time_24_00",
        Some(Parts { offset: None, .. }) => "time_without_offset",
        _ => "bad_time",
    };
    Err(NotAnInstant { code, suggestion: parts.and_then(|parts| parts.spelled(zone)) })
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
        let rest = rest.trim_start_matches(['T', 't', ' ']);
        let clock_end = rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len());
        let (clock, offset) = rest.split_at(clock_end);
        let mut numbers =
            clock.trim().split([':', '.']).map(|part| if part.is_empty() { Some(0) } else { part.parse::<i8>().ok() });
        let mut next = || numbers.next().unwrap_or(Some(0));
        let (hour, minute, second) = (next()?, next()?, next()?);
        Some(Self { date, hour, minute, second, offset: (!offset.is_empty()).then_some(offset) })
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
            ("2020/07/24", "time_without_offset", Some("2020-07-24T00:00:00+08:00")),
            ("2020-07-24T18:00+08:00", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24t18:00:00+08", "bad_time", Some("2020-07-24T18:00:00+08:00")),
            ("2020-07-24T25:00:00+08:00", "bad_time", None),
            ("2020-13-24T18:00:00+08:00", "bad_time", None),
            ("2020-02-30T18:00:00+08:00", "bad_time", None),
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
