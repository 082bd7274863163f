//! A task's settings, as the catalog keeps them: a JSON object whose unknown keys are refused, so that a slip in a name is not a silent default.

use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A day has so many minutes; backups more often than once a minute would only wait for one another.
const TIMES_A_DAY_MAX: u16 = 1_440;

/// How a task's accounts are found, backed up and kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSettings {
    /// Whether what is backed up can be searched.
    pub index: bool,
    /// Whether accounts without a licence are accounts of the task: shared mailboxes, rooms, leavers.
    pub unlicensed: bool,
    /// After how many days the backups of accounts that are gone at the source are deleted; never when nothing is given.
    pub retain_archived_days: Option<u32>,
    /// Whether accounts that discovery finds are backed up without being asked for.
    pub activate_new: bool,
    /// When accounts are backed up.
    pub schedule: Schedule,
    /// Which restore points are kept.
    pub retention: Retention,
    /// The time zone by whose clock the schedule and the retention count, as the IANA database names it.
    pub zone: String,
}

impl Default for TaskSettings {
    /// Indexed, licensed accounts, kept for ever, twice a day, by UTC.
    fn default() -> Self {
        Self {
            index: true,
            unlicensed: false,
            retain_archived_days: None,
            activate_new: false,
            schedule: Schedule::TimesADay(2),
            retention: Retention::default(),
            zone: "UTC".to_owned(),
        }
    }
}

/// When a task's accounts are backed up. In JSON: `"manual"`, `{"times_a_day": 4}` or `{"cron": "0 2 * * *"}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Only when somebody says so.
    Manual,
    /// So many times a day, evenly spaced from midnight on: 1 to 1,440.
    TimesADay(u16),
    /// At the times of a cron pattern: minute, hour, day of the month, month, day of the week.
    Cron(String),
}

/// Which restore points are kept: the last so many, and the last of each of the last so many hours, days and so on. Nothing but zeros keeps all.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of model::Retention")]
pub struct Retention {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}

/// Why settings cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The object is not one that this version knows.
    #[error("the task's settings cannot be understood: {0}")]
    Unreadable(String),
    /// The number makes no sense.
    #[error("a schedule has 1 to {TIMES_A_DAY_MAX} backups a day")]
    TimesADay,
    /// The pattern is none.
    #[error(
        "{pattern:?} is no cron pattern: write minute, hour, day of the month, month and day of the week, for instance 0 2 * * *"
    )]
    Cron {
        /// What was given.
        pattern: String,
    },
    /// There is no such zone.
    #[error("{0:?} is no time zone: write one as Europe/Zurich or UTC")]
    Zone(String),
}

impl TaskSettings {
    /// Reads them from what the catalog keeps.
    ///
    /// # Errors
    /// When this version does not know them, or they make no sense.
    pub fn from_text(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_json::from_str(text)
            .map_err(|error| SettingsError::Unreadable(error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// As the catalog keeps them.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("settings are plain data"))
    }

    /// Errors when they make no sense.
    ///
    /// # Errors
    /// When the schedule or the time zone cannot be.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.time_zone()?;
        match &self.schedule {
            Schedule::TimesADay(times) if !(1..=TIMES_A_DAY_MAX).contains(times) => {
                Err(SettingsError::TimesADay)
            }
            Schedule::Cron(pattern) => cron(pattern).map(drop),
            _ => Ok(()),
        }
    }

    pub(crate) fn time_zone(&self) -> Result<TimeZone, SettingsError> {
        TimeZone::get(&self.zone).map_err(|_| SettingsError::Zone(self.zone.clone()))
    }

    /// The last time at which it was time, `now` included; none when it never was. An account whose last attempt was before is due.
    ///
    /// # Errors
    /// When the schedule or the time zone cannot be.
    pub fn last_slot(&self, now: Timestamp) -> Result<Option<Timestamp>, SettingsError> {
        let here = now.to_zoned(self.time_zone()?);
        match &self.schedule {
            Schedule::Manual => Ok(None),
            Schedule::TimesADay(times) => {
                let Ok(midnight) = here.start_of_day() else {
                    return Ok(None);
                };
                let step = 24 * 60 * 60 / i64::from((*times).max(1));
                let past = midnight.timestamp().duration_until(now).as_secs();
                let slot = midnight.timestamp() + SignedDuration::from_secs(past - past % step);
                Ok(Some(slot))
            }
            Schedule::Cron(pattern) => {
                let last = cron(pattern)?.find_previous_occurrence(&here, true);
                Ok(last.ok().map(|slot| slot.timestamp()))
            }
        }
    }
}

impl Retention {
    /// The same as the model has it.
    #[must_use]
    pub fn policy(self) -> model::Retention {
        model::Retention {
            last: self.last,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.yearly,
            within: None,
        }
    }
}

fn cron(pattern: &str) -> Result<Cron, SettingsError> {
    pattern.parse().map_err(|_| SettingsError::Cron {
        pattern: pattern.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn slot(schedule: Schedule, zone: &str, now: &str) -> Option<String> {
        let settings = TaskSettings {
            schedule,
            zone: zone.to_owned(),
            ..TaskSettings::default()
        };
        let slot = settings.last_slot(at(now)).expect("good settings");
        slot.map(|slot| slot.to_string())
    }

    #[test]
    fn settings_read_back_and_slips_are_refused() {
        let settings = TaskSettings {
            schedule: Schedule::Cron("30 2 * * 1-5".to_owned()),
            retain_archived_days: Some(30),
            ..TaskSettings::default()
        };
        assert_eq!(TaskSettings::from_text(&settings.to_text()), Ok(settings));
        assert_eq!(TaskSettings::from_text("{}"), Ok(TaskSettings::default()));
        for slip in [
            r#"{"indx": true}"#,
            r#"{"schedule": {"times_a_day": 0}}"#,
            r#"{"schedule": {"cron": "every night"}}"#,
            r#"{"zone": "Europe/Nowhere"}"#,
            r#"{"retention": {"dayly": 3}}"#,
        ] {
            assert!(TaskSettings::from_text(slip).is_err(), "{slip}");
        }
    }

    #[test]
    fn so_many_times_a_day_begin_at_midnight() {
        let four = || Schedule::TimesADay(4);
        let check = |zone, now, expected: &str| {
            assert_eq!(slot(four(), zone, now).as_deref(), Some(expected), "{now}");
        };
        check("UTC", "2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z");
        check("UTC", "2026-11-22T05:59:59Z", "2026-11-22T00:00:00Z");
        check("UTC", "2026-11-22T23:00:00Z", "2026-11-22T18:00:00Z");
        check("Asia/Tokyo", "2026-11-22T14:59:00Z", "2026-11-22T09:00:00Z");
        assert_eq!(slot(Schedule::Manual, "UTC", "2026-11-22T00:00:00Z"), None);
    }

    /// Abuse 61: on the day of 25 hours a nightly hour comes twice and counts once for each; on that of 23 hours it comes not at all.
    #[test]
    fn a_cron_pattern_survives_the_change_of_clocks() {
        let nightly = || Schedule::Cron("30 2 * * *".to_owned());
        let check = |now, expected: &str| {
            let slot = slot(nightly(), "Europe/Zurich", now);
            assert_eq!(slot.as_deref(), Some(expected), "{now}");
        };
        check("2026-11-22T01:29:59Z", "2026-11-21T01:30:00Z");
        check("2026-11-22T01:30:00Z", "2026-11-22T01:30:00Z");
        // 25 October 2026: 3:00 becomes 2:00.
        check("2026-10-26T00:00:00Z", "2026-10-25T00:30:00Z");
        // 29 March 2026: 2:00 becomes 3:00.
        check("2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z");
    }
}
