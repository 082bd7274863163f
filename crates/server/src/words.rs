//! How the console says numbers, times and states: thousands separators, sizes in thousands, times in UTC that the script turns into the reader's
//! own. Nothing here asks anything.

use std::time::Duration;

use catalog::{LastResult, RunCause, RunTotals, Status, Wanted};
use jiff::{Timestamp, tz::TimeZone};

/// A state as a person sees it: a mark, a colour and a word, never the colour alone.
pub(crate) trait Pill {
    /// The class that gives the colour.
    fn class(&self) -> &'static str;
    /// The mark.
    fn icon(&self) -> &'static str;
    /// The word.
    fn words(&self) -> &'static str;
}

impl Pill for Status {
    fn class(&self) -> &'static str {
        self.word()
    }

    fn icon(&self) -> &'static str {
        match self {
            Self::Inactive | Self::Active => "dot",
            Self::Paused => "pause",
            Self::Archived => "box",
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Inactive => "Inactive",
            Self::Active => "Active",
            Self::Paused => "Paused",
            Self::Archived => "Archived",
        }
    }
}

/// What a run, a job or an account's last run came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// There was none.
    NeverRun,
    /// It waits for a worker.
    Scheduled,
    /// It is being worked on.
    InProgress,
    /// Somebody paused it.
    Paused,
    /// Everything was done.
    Success,
    /// Some of it was not.
    Partial,
    /// Nothing could be done.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

impl Pill for Outcome {
    fn class(&self) -> &'static str {
        match self {
            Self::NeverRun => "never",
            Self::Scheduled => "scheduled",
            Self::InProgress => "progress",
            Self::Paused | Self::Stopped => "idle",
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    fn icon(&self) -> &'static str {
        match self {
            Self::NeverRun => "dash",
            Self::Scheduled => "clock",
            Self::InProgress => "run",
            Self::Paused => "pause",
            Self::Success => "check",
            Self::Partial => "half",
            Self::Failed => "x",
            Self::Stopped => "stop",
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::NeverRun => "Never run",
            Self::Scheduled => "Scheduled",
            Self::InProgress => "In progress",
            Self::Paused => "Paused",
            Self::Success => "Success",
            Self::Partial => "Partial",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

impl From<LastResult> for Outcome {
    fn from(result: LastResult) -> Self {
        match result {
            LastResult::NeverRun => Self::NeverRun,
            LastResult::Scheduled => Self::Scheduled,
            LastResult::InProgress => Self::InProgress,
            LastResult::Success => Self::Success,
            LastResult::Partial => Self::Partial,
            LastResult::Failed => Self::Failed,
        }
    }
}

impl Outcome {
    /// What a run as a whole came to.
    pub(crate) fn of_run(run: &catalog::Run, totals: &RunTotals) -> Self {
        if run.finished_at.is_none() {
            return match run.wanted {
                Wanted::Pause => Self::Paused,
                _ if totals.running == 0 && totals.queued == totals.jobs => Self::Scheduled,
                _ => Self::InProgress,
            };
        }
        let good = totals.success + totals.partial;
        if totals.cancelled > 0 {
            Self::Stopped
        } else if totals.failed > 0 && good == 0 {
            Self::Failed
        } else if totals.failed + totals.partial > 0 {
            Self::Partial
        } else {
            Self::Success
        }
    }
}

/// A time, for `<time>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct When(pub(crate) Timestamp);

impl When {
    /// For programs.
    pub(crate) fn machine(self) -> String {
        self.0.to_string()
    }

    /// Short, in UTC.
    pub(crate) fn words(self) -> String {
        self.text("%-d %b %Y, %H:%M UTC")
    }

    /// The day alone, in UTC.
    pub(crate) fn day(self) -> String {
        self.text("%-d %b %Y")
    }

    /// Long, in UTC.
    pub(crate) fn exact(self) -> String {
        self.text("%A %-d %B %Y, %H:%M:%S UTC")
    }

    /// In UTC, as `strftime` has it.
    pub(crate) fn text(self, format: &str) -> String {
        let time = self.0.to_zoned(TimeZone::UTC);
        time.strftime(format).to_string()
    }
}

/// `12,406`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 account`, `2 accounts`.
pub(crate) fn noun(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `6.1 GB`: in thousands, three figures at most.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    let places = usize::from(value < 99.95 && unit > 0);
    format!("{value:.places$} {}", UNITS[unit])
}

/// `< 1 s`, `41 s`, `14 min`, `2 h 5 min`.
pub(crate) fn took(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => "< 1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// How long it took from one time to another; not at all when they are the wrong way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    from.duration_until(to).try_into().unwrap_or_default()
}

/// Who began a run, in words that follow "Started".
pub(crate) fn cause(cause: RunCause) -> &'static str {
    match cause {
        RunCause::Schedule => "by the schedule",
        RunCause::BackupNow => "with Backup Now",
        RunCause::Restore => "as a restore",
        RunCause::Maintenance => "as maintenance",
    }
}

/// The symbol and the name of a service.
pub(crate) fn service(service: model::Service) -> (&'static str, &'static str) {
    match service {
        model::Service::Exchange => ("mail", "Exchange"),
        model::Service::OneDrive => ("cloud", "OneDrive"),
        model::Service::SharePoint => ("site", "SharePoint"),
        model::Service::Groups => ("team", "Groups and Teams"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        let check = |number, text: &str| assert_eq!(count(number), text);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(112_870, "112,870");
        check(u64::MAX, "18,446,744,073,709,551,615");
        assert_eq!(noun(1, "account", "accounts"), "1 account");
        assert_eq!(noun(0, "account", "accounts"), "0 accounts");
    }

    #[test]
    fn sizes_are_in_thousands() {
        let check = |bytes, text: &str| assert_eq!(size(bytes), text, "{bytes}");
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1 KB");
        check(214_400, "214 KB");
        check(999_600, "1.0 MB");
        check(1_800_000, "1.8 MB");
        check(99_960_000, "100 MB");
        check(3_820_000_000_000, "3.8 TB");
        check(u64::MAX, "18447 PB");
    }

    #[test]
    fn times_are_told_shortly() {
        let check = |seconds, text: &str| assert_eq!(took(Duration::from_secs(seconds)), text);
        check(0, "< 1 s");
        check(59, "59 s");
        check(61, "1 min");
        check(7_500, "2 h 5 min");
        let time = When("2026-11-22T08:05:12.5Z".parse().expect("a time"));
        assert_eq!(time.words(), "22 Nov 2026, 08:05 UTC");
        assert_eq!(time.exact(), "Sunday 22 November 2026, 08:05:12 UTC");
    }
}
