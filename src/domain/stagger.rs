//! Who may reserve on which day, where a city spreads the rush over the first days of the window.

use jiff::civil::Date;

use super::campaign::terms::{Stagger, StaggerBy};
use super::person::Pseudonym;
use super::time::{DAY, HOUR, Ms, Zone};

/// The digit that decides a person's day; `None` when the year of birth is not known.
pub fn digit(by: StaggerBy, birth_date: Option<Date>, pseudonym: &Pseudonym) -> Option<u8> {
    match by {
        StaggerBy::BirthYearDigit => Some(birth_date?.year().rem_euclid(10) as u8),
        StaggerBy::Hash => {
            let [.., a, b, c, d] = pseudonym.0;
            Some((u32::from_be_bytes([a, b, c, d]) % 10) as u8)
        }
    }
}

/// Not on this day; the next days that are the person's, as half-open windows, until the window closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnotherDay {
    pub days: Vec<(Ms, Ms)>,
}

/// Days are the city's, counted from the one in which the window opens. Behind the last listed day everybody may reserve.
pub fn judge(stagger: &Stagger, digit: u8, window: (Ms, Ms), at: Ms, zone: &Zone) -> Result<(), AnotherDay> {
    let (opens_at, closes_at) = window;
    // At noon of the n-th day, whatever the offset does on the way.
    let day = |n: usize| zone.day_begins(opens_at) + n as Ms * DAY + 12 * HOUR;
    let is_own = |n: usize| stagger.days.get(n).is_none_or(|digits| digits.contains(&digit));
    let today = (zone.day_number(at) - zone.day_number(opens_at)).max(0) as usize;
    if is_own(today) {
        return Ok(());
    }
    let own = (today + 1..=stagger.days.len()).filter(|n| is_own(*n));
    let days = own.map(|n| {
        let ends = if n == stagger.days.len() { closes_at } else { zone.day_ends(day(n)).min(closes_at) };
        (zone.day_begins(day(n)), ends)
    });
    Err(AnotherDay { days: days.filter(|(begins, ends)| begins < ends).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_rfc3339;
    use jiff::civil::date;

    fn at(text: &str) -> Ms {
        parse_rfc3339(&format!("{text}+08:00")).unwrap()
    }

    #[test]
    fn a_digit_has_its_day_from_midnight_to_midnight_and_the_rest_of_the_window_is_everybodys() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let stagger =
            Stagger { by: StaggerBy::BirthYearDigit, days: vec![vec![1, 6], vec![2, 7], vec![0, 3, 4, 5, 8, 9]] };
        let window = (at("2020-07-13T08:00:00"), at("2020-07-17T20:00:00"));
        let check = |digit: u8, now: &str, expected: Option<&[(&str, &str)]>| {
            let days = judge(&stagger, digit, window, at(now), &zone).err().map(|another| another.days);
            let expected = expected.map(|days| days.iter().map(|(a, b)| (at(a), at(b))).collect::<Vec<_>>());
            assert_eq!(days, expected, "{digit} at {now}");
        };
        let second = ("2020-07-14T00:00:00", "2020-07-15T00:00:00");
        let rest = ("2020-07-16T00:00:00", "2020-07-17T20:00:00");
        check(1, "2020-07-13T08:00:00", None);
        check(1, "2020-07-13T23:59:59", None);
        check(1, "2020-07-14T00:00:00", Some(&[rest]));
        check(2, "2020-07-13T23:59:59", Some(&[second, rest]));
        check(7, "2020-07-14T00:00:00", None);
        check(2, "2020-07-15T00:00:00", Some(&[rest]));
        check(9, "2020-07-15T12:00:00", None);
        check(1, "2020-07-16T00:00:00", None);
        check(2, "2020-07-17T19:59:59", None);
    }

    #[test]
    fn who_has_no_further_day_before_the_close_is_told_none() {
        let zone = Zone::named("Asia/Shanghai").unwrap();
        let stagger = Stagger { by: StaggerBy::Hash, days: vec![vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]] };
        let window = (at("2020-07-13T00:00:00"), at("2020-07-15T00:00:00"));
        assert_eq!(judge(&stagger, 1, window, at("2020-07-14T09:00:00"), &zone), Err(AnotherDay { days: vec![] }));
    }

    #[test]
    fn the_digit_is_that_of_the_birth_year_or_of_the_pseudonym() {
        let mut pseudonym = Pseudonym([0; 32]);
        pseudonym.0[31] = 17;
        assert_eq!(digit(StaggerBy::Hash, None, &pseudonym), Some(7));
        assert_eq!(digit(StaggerBy::BirthYearDigit, Some(date(1986, 1, 1)), &pseudonym), Some(6));
        assert_eq!(digit(StaggerBy::BirthYearDigit, None, &pseudonym), None);
    }
}
