//! Which restore points are kept: the arithmetic of a retention policy.
//!
//! The rules are those of restic's `forget`, so that a policy means the same whoever carries it out, with three additions for backups that can be
//! partial. A period is represented by its newest complete point, and by a partial one only if it has none. A checkpoint that its own run went past
//! represents nothing. And whatever the policy says, the newest complete point stays, and so do the points that the caller pins, because the next run
//! begins with one of them. What a point is and how it is removed is others' business.

use std::{fmt, str::FromStr};

use jiff::{Span, Timestamp, ToSpan, civil::ISOWeekDate, tz::TimeZone};

/// What is kept. A number of 0 keeps nothing by that rule; a point that any rule keeps is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The last so many points.
    pub last: u32,
    /// The last point of each of the last so many hours that have one.
    pub hourly: u32,
    /// The same of days.
    pub daily: u32,
    /// The same of weeks, which begin on Monday.
    pub weekly: u32,
    /// The same of months.
    pub monthly: u32,
    /// The same of years.
    pub yearly: u32,
    /// Every point that is not older than this, as seen from the newest.
    pub within: Option<Age>,
}

/// How old a point may be: by the calendar, and some hours.
///
/// As a text it is written like `1y5m7d2h`: years, months, days, hours, in this order and each at most once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Age {
    /// Years.
    pub years: u16,
    /// Months.
    pub months: u16,
    /// Days.
    pub days: u16,
    /// Hours.
    pub hours: u16,
}

/// A restore point, as far as retention looks at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// When it was made.
    pub time: Timestamp,
    /// What it holds.
    pub holds: Holds,
    /// It stays, whatever the policy says.
    pub pinned: bool,
}

/// How much a restore point holds of its account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// Everything.
    Everything,
    /// Not everything: something failed.
    Part,
    /// What a run had by then that made a later point.
    Passed,
}

/// Why a point is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// It is one of the last.
    Last,
    /// It is the last of an hour, or the oldest there is.
    Hourly,
    /// It is the last of a day, or the oldest there is.
    Daily,
    /// It is the last of a week, or the oldest there is.
    Weekly,
    /// It is the last of a month, or the oldest there is.
    Monthly,
    /// It is the last of a year, or the oldest there is.
    Yearly,
    /// It is young enough.
    Within,
    /// It is the newest that holds everything.
    NewestComplete,
    /// The next run begins with it, or restoring does.
    Pinned,
    /// The policy says nothing.
    NoPolicy,
}

impl Retention {
    /// Whether it says nothing at all, and so keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// For each of `points`, in any order, why it is kept: one without a reason is to be forgotten. Hours, days, weeks, months and years are those of
    /// `zone`. A point later than `now` is kept by its rules but does not make the others old.
    #[must_use]
    pub fn apply(&self, points: &[Point], zone: &TimeZone, now: Timestamp) -> Vec<Vec<Reason>> {
        let mut reasons = vec![Vec::new(); points.len()];
        if self.is_empty() {
            reasons.fill(vec![Reason::NoPolicy]);
            return reasons;
        }
        let mut newest_first: Vec<usize> = (0..points.len()).collect();
        newest_first.sort_by_key(|at| std::cmp::Reverse((points[*at].time, *at)));
        let counted: Vec<usize> = newest_first
            .iter()
            .copied()
            .filter(|at| points[*at].holds != Holds::Passed)
            .collect();
        for (reason, count, period) in self.rules() {
            for at in representatives(points, &counted, count, |at, time| period(at, time, zone)) {
                reasons[at].push(reason);
            }
        }
        if let Some(oldest) = self.oldest_within(points, zone, now) {
            let young = newest_first.iter().filter(|at| points[**at].time > oldest);
            young.for_each(|at| reasons[*at].push(Reason::Within));
        }
        let complete = counted
            .iter()
            .find(|at| points[**at].holds == Holds::Everything);
        if let Some(at) = complete {
            reasons[*at].push(Reason::NewestComplete);
        }
        for (reasons, point) in reasons.iter_mut().zip(points) {
            if point.pinned {
                reasons.push(Reason::Pinned);
            }
        }
        reasons
    }

    fn rules(&self) -> [(Reason, u32, PeriodOf); 6] {
        [
            (Reason::Last, self.last, |at, _, _| (at as i64, 0, 0, 0)),
            (Reason::Hourly, self.hourly, |_, time, zone| {
                let time = zone.to_datetime(time);
                (
                    time.year().into(),
                    time.month(),
                    time.day(),
                    time.hour() + 1,
                )
            }),
            (Reason::Daily, self.daily, |_, time, zone| {
                let time = zone.to_datetime(time);
                (time.year().into(), time.month(), time.day(), 0)
            }),
            (Reason::Weekly, self.weekly, |_, time, zone| {
                let week: ISOWeekDate = zone.to_datetime(time).date().iso_week_date();
                (week.year().into(), week.week(), 0, 0)
            }),
            (Reason::Monthly, self.monthly, |_, time, zone| {
                let time = zone.to_datetime(time);
                (time.year().into(), time.month(), 0, 0)
            }),
            (Reason::Yearly, self.yearly, |_, time, zone| {
                (zone.to_datetime(time).year().into(), 0, 0, 0)
            }),
        ]
    }

    /// What is later than this is young enough.
    fn oldest_within(
        &self,
        points: &[Point],
        zone: &TimeZone,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let age = self.within?;
        let times = points.iter().map(|point| point.time);
        // When all are in the future the clock is wrong, and none is old.
        let newest = times.filter(|time| *time <= now).max();
        let newest = newest.map(|newest| newest.to_zoned(zone.clone()));
        newest
            .and_then(|newest| newest.checked_sub(age.span()).ok())
            .map_or(Some(Timestamp::MIN), |oldest| Some(oldest.timestamp()))
    }
}

/// What tells the periods of a rule apart: equal for points of the same period, by the point's place among all and its time.
type PeriodOf = fn(usize, Timestamp, &TimeZone) -> Period;
type Period = (i64, i8, i8, i8);

/// The points that stand for the last `count` periods. When there are fewer, the oldest point is kept, too: it makes the history as long as it can be.
fn representatives(
    points: &[Point],
    newest_first: &[usize],
    count: u32,
    period: impl Fn(usize, Timestamp) -> Period,
) -> Vec<usize> {
    let mut kept = Vec::new();
    let periods =
        newest_first.chunk_by(|a, b| period(*a, points[*a].time) == period(*b, points[*b].time));
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for period in periods.take(count) {
        let complete = period
            .iter()
            .find(|at| points[**at].holds == Holds::Everything);
        kept.extend(complete.or(period.first()));
    }
    if kept.len() < count
        && let Some(oldest) = newest_first.last()
        && !kept.contains(oldest)
    {
        kept.push(*oldest);
    }
    kept
}

impl Age {
    fn span(self) -> Span {
        // Every sum of 16 bits is within a span's limits but for years, of which there are 19,998.
        let years = i64::from(self.years).min(19_998);
        years
            .years()
            .months(self.months)
            .days(self.days)
            .hours(self.hours)
    }
}

/// A text that is no age.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("write it as years, months, days and hours, for instance 1y6m or 30d")]
pub struct NotAnAge;

impl FromStr for Age {
    type Err = NotAnAge;

    fn from_str(text: &str) -> Result<Self, NotAnAge> {
        let mut age = Self {
            years: 0,
            months: 0,
            days: 0,
            hours: 0,
        };
        let mut rest = text;
        for (unit, number) in [
            ('y', &mut age.years),
            ('m', &mut age.months),
            ('d', &mut age.days),
            ('h', &mut age.hours),
        ] {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Some(after) = rest[digits..].strip_prefix(unit) {
                *number = rest[..digits].parse().map_err(|_| NotAnAge)?;
                rest = after;
            }
        }
        let is_zero = age.years == 0 && age.months == 0 && age.days == 0 && age.hours == 0;
        if rest.is_empty() && !is_zero {
            Ok(age)
        } else {
            Err(NotAnAge)
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unit) in [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Reason {
    /// In a word or two, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "young enough",
            Self::NewestComplete => "newest complete",
            Self::Pinned => "newest",
            Self::NoPolicy => "no policy",
        }
    }
}

#[cfg(test)]
mod tests;
