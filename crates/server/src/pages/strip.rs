//! The strip of the last fourteen days: for each what its backups came to, as a bar; all together in words.

use std::collections::HashMap;

use catalog::{DayTotals, Organization, TaskId};
use jiff::{SignedDuration, Timestamp};

use crate::{Problem, words::noun};

/// Days of a strip, today included.
const DAYS: i64 = 14;
const DAY_S: i64 = 86_400;

/// The results of some tasks, by day.
pub(crate) struct Strips {
    today: i64,
    days: HashMap<TaskId, HashMap<i64, DayTotals>>,
}

/// As a page shows it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Strip {
    /// The classes of the bars, the oldest first.
    pub(crate) bars: Vec<&'static str>,
    pub(crate) words: String,
}

impl Strips {
    /// Reads the results of all tasks of an organization. Days are those of UTC.
    pub(crate) async fn read(of: &Organization, now: Timestamp) -> Result<Self, Problem> {
        let today = now.as_second().div_euclid(DAY_S);
        let since = now - SignedDuration::from_secs(now.as_second().rem_euclid(DAY_S));
        let since = since - SignedDuration::from_secs((DAYS - 1) * DAY_S);
        let mut days: HashMap<TaskId, HashMap<i64, DayTotals>> = HashMap::new();
        for (task, day, totals) in of.backups_by_day(since).await? {
            days.entry(task).or_default().insert(day, totals);
        }
        Ok(Self { today, days })
    }

    /// The strip of one task.
    pub(crate) fn of(&self, task: TaskId) -> Strip {
        let its = self.days.get(&task);
        let of_day = |back| its.and_then(|its| its.get(&(self.today - back))).copied();
        strip((0..DAYS).rev().map(of_day))
    }
}

fn strip(days: impl Iterator<Item = Option<DayTotals>>) -> Strip {
    let (mut bars, mut counts) = (Vec::new(), [0_u64; 4]);
    for day in days {
        let (class, which) = match day {
            None => ("n", 3),
            Some(day) if day.failed > 0 && day.success + day.partial == 0 => ("f", 2),
            Some(day) if day.failed + day.partial > 0 => ("p", 1),
            Some(_) => ("", 0),
        };
        bars.push(class);
        counts[which] += 1;
    }
    let said: Vec<String> = [
        "with everything backed up",
        "partial",
        "failed",
        "without a backup",
    ]
    .iter()
    .zip(counts)
    .filter(|(_, count)| *count > 0)
    .map(|(words, count)| format!("{} {words}", noun(count, "day", "days")))
    .collect();
    Strip {
        bars,
        words: format!("Last {DAYS} days: {}", said.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_as_good_as_its_backups() {
        let day = |success, partial, failed| {
            Some(DayTotals {
                success,
                partial,
                failed,
            })
        };
        let days = [None, day(3, 0, 0), day(2, 1, 0), day(2, 0, 1), day(0, 0, 3)];
        let strip = strip(days.into_iter());
        assert_eq!(strip.bars, ["n", "", "p", "p", "f"]);
        assert_eq!(
            strip.words,
            "Last 14 days: 1 day with everything backed up, 2 days partial, 1 day failed, 1 day without a backup"
        );
    }
}
