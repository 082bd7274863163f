//! A task's settings as programs write them: what is left out has its default, an unknown name is an error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::object;

/// How a task's accounts are found, backed up and kept.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TaskSettings {
    /// Whether what is backed up can be searched.
    index: bool,
    /// Whether accounts without a licence are accounts of the task.
    unlicensed: bool,
    /// After how many days the backups of accounts that are gone at the source are deleted; never when null.
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    retain_archived_days: Option<u32>,
    /// Whether accounts that are found are activated without being asked for.
    activate_new: bool,
    schedule: Schedule,
    #[serde(deserialize_with = "object")]
    retention: Retention,
    /// The time zone of the schedule and the retention, by its IANA name.
    zone: String,
}

/// When a task's accounts are backed up.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Schedule {
    /// Only when somebody says so.
    Manual,
    /// So many times a day, 1 to 1,440, evenly spaced from midnight on.
    TimesADay(u16),
    /// At the times of a cron pattern: minute, hour, day of the month, month, day of the week.
    Cron(String),
}

/// Which restore points are kept: the last so many, and the last of each of so many hours, days and so on. Nothing but zeros keeps all.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    last: u32,
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    hourly: u32,
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    daily: u32,
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    weekly: u32,
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    monthly: u32,
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    yearly: u32,
}

impl Default for TaskSettings {
    fn default() -> Self {
        service::TaskSettings::default().into()
    }
}

impl From<service::TaskSettings> for TaskSettings {
    fn from(settings: service::TaskSettings) -> Self {
        let kept = settings.retention;
        Self {
            index: settings.index,
            unlicensed: settings.unlicensed,
            retain_archived_days: settings.retain_archived_days,
            activate_new: settings.activate_new,
            schedule: match settings.schedule {
                service::Schedule::Manual => Schedule::Manual,
                service::Schedule::TimesADay(times) => Schedule::TimesADay(times),
                service::Schedule::Cron(pattern) => Schedule::Cron(pattern),
            },
            retention: Retention {
                last: kept.last,
                hourly: kept.hourly,
                daily: kept.daily,
                weekly: kept.weekly,
                monthly: kept.monthly,
                yearly: kept.yearly,
            },
            zone: settings.zone,
        }
    }
}

impl From<TaskSettings> for service::TaskSettings {
    fn from(settings: TaskSettings) -> Self {
        let kept = settings.retention;
        Self {
            index: settings.index,
            unlicensed: settings.unlicensed,
            retain_archived_days: settings.retain_archived_days,
            activate_new: settings.activate_new,
            schedule: match settings.schedule {
                Schedule::Manual => service::Schedule::Manual,
                Schedule::TimesADay(times) => service::Schedule::TimesADay(times),
                Schedule::Cron(pattern) => service::Schedule::Cron(pattern),
            },
            retention: service::Retention {
                last: kept.last,
                hourly: kept.hourly,
                daily: kept.daily,
                weekly: kept.weekly,
                monthly: kept.monthly,
                yearly: kept.yearly,
            },
            zone: settings.zone,
        }
    }
}
