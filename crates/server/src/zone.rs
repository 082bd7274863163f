//! The reader's time zone: in it days begin and end, and schedules count. The script says in a cookie which one the browser has; without script it is UTC,
//! and the pages say so.
//!
//! Times of day are told in UTC by the pages and in the reader's zone by the script; only whole days are made here.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// The longest name of the IANA database has 32 letters.
const NAME_MAX: usize = 64;

/// From when until before when.
pub(crate) type Span = (Option<Timestamp>, Option<Timestamp>);

/// A time zone by its name in the IANA database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Zone {
    zone: TimeZone,
    /// Whether it is known whose zone it is.
    is_told: bool,
}

impl Zone {
    /// What counts when nobody has said anything.
    pub(crate) fn utc() -> Self {
        Self {
            zone: TimeZone::UTC,
            is_told: false,
        }
    }

    /// The zone with this name; UTC when there is none.
    pub(crate) fn read(name: &str) -> Self {
        let is_name = name.len() <= NAME_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
        let found = is_name.then(|| TimeZone::get(name).ok()).flatten();
        match found {
            Some(zone) => Self {
                zone,
                is_told: true,
            },
            None => Self::utc(),
        }
    }

    /// As the IANA database names it.
    pub(crate) fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The day of a time.
    pub(crate) fn day(&self, time: Timestamp) -> Date {
        time.to_zoned(self.zone.clone()).date()
    }

    /// When the time from one day to another, both as typed, begins and ends; the last day is of it. What is empty has no end there.
    ///
    /// # Errors
    /// When that is no time, in words for a person.
    pub(crate) fn days(&self, from: &str, to: &str) -> Result<Span, &'static str> {
        let span = (self.midnight(from, 0)?, self.midnight(to, 1)?);
        match span {
            (Some(from), Some(until)) if from >= until => {
                Err("The first day is after the last: exchange them.")
            }
            _ => Ok(span),
        }
    }

    fn midnight(&self, day: &str, days: i64) -> Result<Option<Timestamp>, &'static str> {
        const DAY: &str = "A day is written as 2026-11-22.";
        if day.is_empty() {
            return Ok(None);
        }
        let day: Date = day.parse().map_err(|_| DAY)?;
        let day = day.checked_add(days.days()).map_err(|_| DAY)?;
        let midnight = day.to_zoned(self.zone.clone()).map_err(|_| DAY)?;
        Ok(Some(midnight.timestamp()))
    }

    /// What is behind a day in words: nothing in the reader's own zone.
    pub(crate) fn suffix(&self) -> &'static str {
        match self.is_told {
            true => "",
            false => " (UTC)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_zone() {
        let check = |name, time: &str, day: &str, begins: &str, ends: &str| {
            let zone = Zone::read(name);
            let found = zone.day(time.parse().expect("a time"));
            assert_eq!(found.to_string(), day, "{name}");
            let at = |time: &str| time.parse().ok();
            assert_eq!(zone.days(day, day), Ok((at(begins), at(ends))), "{name}");
        };
        let evening = "2026-11-22T23:30:00Z";
        check(
            "UTC",
            evening,
            "2026-11-22",
            "2026-11-22T00:00:00Z",
            "2026-11-23T00:00:00Z",
        );
        check(
            "Europe/Zurich",
            evening,
            "2026-11-23",
            "2026-11-22T23:00:00Z",
            "2026-11-23T23:00:00Z",
        );
        // The day of 23 hours.
        check(
            "Europe/Zurich",
            "2026-03-29T12:00:00Z",
            "2026-03-29",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        );
    }

    #[test]
    fn what_is_no_time_is_told() {
        let zone = Zone::utc();
        assert_eq!(zone.days("", ""), Ok((None, None)));
        assert!(zone.days("2026-02-01", "2026-02-01").is_ok());
        for (from, to) in [
            ("2026-02-02", "2026-02-01"),
            ("2026-02-30", ""),
            ("", "yesterday"),
            ("", "9999-12-31"),
        ] {
            assert!(zone.days(from, to).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn whatever_a_cookie_says_there_is_a_zone() {
        let check = |name: &str, expected, suffix| {
            let zone = Zone::read(name);
            assert_eq!((zone.name(), zone.suffix()), (expected, suffix), "{name}");
        };
        check("America/New_York", "America/New_York", "");
        check("UTC", "UTC", "");
        for bad in [
            "",
            "Mars/Olympus",
            "../../etc/passwd",
            "/etc/localtime",
            "Europe/Zürich",
            &"A".repeat(10_000),
        ] {
            check(bad, "UTC", " (UTC)");
        }
    }
}
