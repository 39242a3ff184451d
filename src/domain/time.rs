//! Time: UTC milliseconds inside, the city's zone only at the edges, windows half-open.

use jiff::{Timestamp, tz::TimeZone};

/// An instant as milliseconds since the Unix epoch (UTC).
pub type Ms = i64;

pub const SECOND: Ms = 1_000;
pub const MINUTE: Ms = 60 * SECOND;
pub const HOUR: Ms = 60 * MINUTE;
pub const DAY: Ms = 24 * HOUR;

/// `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub start: Ms,
    pub end: Ms,
}

impl Window {
    pub fn contains(&self, now: Ms) -> bool {
        self.start <= now && now < self.end
    }
}

/// A city's zone: turns instants into its calendar days and RFC 3339 text.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// An IANA name, such as `Asia/Shanghai`; `None` when the name is unknown.
    pub fn named(name: &str) -> Option<Zone> {
        TimeZone::get(name).ok().map(Zone)
    }

    /// RFC 3339 with the zone's offset; milliseconds appear only when they are not zero.
    pub fn rfc3339(&self, instant: Ms) -> String {
        let Ok(timestamp) = Timestamp::from_millisecond(instant) else { return instant.to_string() };
        let zoned = timestamp.to_zoned(self.0.clone());
        let pattern = if instant.rem_euclid(SECOND) == 0 { "%Y-%m-%dT%H:%M:%S%:z" } else { "%Y-%m-%dT%H:%M:%S.%3f%:z" };
        zoned.strftime(pattern).to_string()
    }

    /// The city's wall clock at an instant; `None` outside the calendar.
    pub fn local(&self, instant: Ms) -> Option<jiff::civil::DateTime> {
        Some(Timestamp::from_millisecond(instant).ok()?.to_zoned(self.0.clone()).datetime())
    }

    /// The calendar day of an instant as `YYYY-MM-DD`.
    pub fn date(&self, instant: Ms) -> String {
        self.civil_date(instant).to_string()
    }

    /// The calendar day of an instant.
    pub fn civil_date(&self, instant: Ms) -> jiff::civil::Date {
        Timestamp::from_millisecond(instant)
            .map(|timestamp| timestamp.to_zoned(self.0.clone()).date())
            .unwrap_or(jiff::civil::Date::MAX)
    }

    /// The midnight with which the day of an instant began.
    pub fn day_begins(&self, instant: Ms) -> Ms {
        self.midnight(self.civil_date(instant)).unwrap_or(instant)
    }

    /// The midnight that ends the day of an instant.
    pub fn day_ends(&self, instant: Ms) -> Ms {
        let next = self.civil_date(instant).tomorrow().ok();
        next.and_then(|next| self.midnight(next)).unwrap_or(instant + DAY)
    }

    /// The instant at which the city's clock shows a minute of a day.
    pub fn at(&self, date: jiff::civil::Date, minute: u16) -> Option<Ms> {
        let (hour, minute) = (i8::try_from(minute / 60).ok()?, (minute % 60) as i8);
        let time = jiff::civil::Time::new(hour, minute, 0, 0).ok()?;
        Some(date.to_datetime(time).to_zoned(self.0.clone()).ok()?.timestamp().as_millisecond())
    }

    fn midnight(&self, date: jiff::civil::Date) -> Option<Ms> {
        Some(date.to_zoned(self.0.clone()).ok()?.timestamp().as_millisecond())
    }

    /// The calendar day as a number of days since 1970-01-01, for counters by day.
    pub fn day_number(&self, instant: Ms) -> i64 {
        let Ok(timestamp) = Timestamp::from_millisecond(instant) else { return instant.div_euclid(DAY) };
        let offset = i64::from(self.0.to_offset(timestamp).seconds()) * SECOND;
        (instant + offset).div_euclid(DAY)
    }
}

/// Parses RFC 3339 with an offset; `None` for anything else (a zone-less time too).
pub fn parse_rfc3339(text: &str) -> Option<Ms> {
    text.parse::<Timestamp>().ok().map(|timestamp| timestamp.as_millisecond())
}

/// The hour, counted from the epoch and rounded up, under which outstanding money is kept until it expires.
pub fn expiry_hour(end: Ms) -> i64 {
    end.div_euclid(HOUR) + i64::from(end.rem_euclid(HOUR) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_texts_are_those_of_the_citys_zone() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let opening = parse_rfc3339("2020-07-24T18:00:00+08:00").unwrap();
        assert_eq!(zone.rfc3339(opening), "2020-07-24T18:00:00+08:00");
        assert_eq!(zone.rfc3339(opening + 5), "2020-07-24T18:00:00.005+08:00");
        assert_eq!(zone.date(parse_rfc3339("2020-07-24T16:00:00Z").unwrap()), "2020-07-25");
        let midnight = parse_rfc3339("2020-07-25T00:00:00+08:00").unwrap();
        assert_eq!(zone.day_number(midnight), zone.day_number(midnight - 1) + 1);
        assert_eq!((zone.day_begins(midnight), zone.day_ends(midnight - 1)), (midnight, midnight));
    }

    #[test]
    fn a_time_without_an_offset_is_not_a_time() {
        assert_eq!(parse_rfc3339("2020-07-24T18:00:00"), None);
    }

    #[test]
    fn money_expires_at_the_full_hour_that_follows() {
        assert_eq!(expiry_hour(HOUR), 1);
        assert_eq!(expiry_hour(HOUR + 1), 2);
    }
}
