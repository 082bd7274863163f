//! How far a run is, as far as anybody can know: what jobs have done of what the mailboxes count. Both are moving, so it is always "about".

use std::time::Duration;

use catalog::{Job, JobState, Run, RunTotals, Wanted};
use jiff::Timestamp;

use crate::words::{between, count, noun, took};

/// Of a bar.
pub(crate) const WHOLE: u64 = 1_000;
/// A time left is told from here on: what is known before is too little.
const TELLING_FROM: u64 = 50;
/// A run that is younger has no time left to tell.
const YOUNG: Duration = Duration::from_secs(10);

/// How far a run is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HowFar {
    /// Thousandths; [`WHOLE`] only when it is over.
    pub(crate) done: u64,
    /// In words; empty when it is over.
    pub(crate) words: String,
}

impl HowFar {
    /// Of a run with some of its jobs, those in progress among them. Every job counts the same, because how much the waiting ones will have is unknown.
    pub(crate) fn of_run(run: &Run, totals: &RunTotals, jobs: &[Job], now: Timestamp) -> Self {
        if run.finished_at.is_some() {
            return Self {
                done: WHOLE,
                words: String::new(),
            };
        }
        let over = totals.success + totals.partial + totals.failed + totals.cancelled;
        let running = jobs.iter().filter(|job| job.state == JobState::Running);
        let parts: u64 = running.filter_map(of_job).sum();
        let done = (over * WHOLE + parts) / totals.jobs.max(1);
        let done = done.min(WHOLE - 1);
        let passed = between(run.started_at, now);
        let mut words = match done {
            0 => String::new(),
            _ => format!("About {} %", done * 100 / WHOLE),
        };
        if done >= TELLING_FROM && passed >= YOUNG && run.wanted == Wanted::Go {
            let left = passed.mul_f64((WHOLE - done) as f64 / done as f64);
            words.push_str(&format!(", about {} left", roughly(left)));
        }
        Self { done, words }
    }
}

/// Thousandths of a job that a worker is at; nothing while nobody knows of how much, or when there is more than was thought.
pub(crate) fn of_job(job: &Job) -> Option<u64> {
    let (items, total) = (job.progress.items, job.progress.items_total);
    (total > 0 && items <= total).then(|| (items * WHOLE / total).min(WHOLE - 1))
}

/// What a job that a worker is at has done, in words.
pub(crate) fn words(job: &Job) -> String {
    let items = job.progress.items;
    match of_job(job) {
        Some(done) => format!(
            "About {} %: {} of about {}",
            done * 100 / WHOLE,
            count(items),
            noun(job.progress.items_total, "item", "items")
        ),
        None if items == 0 => "Reading what has changed".to_owned(),
        None => format!("{} so far", noun(items, "item", "items")),
    }
}

/// How many items a second, on average; "—" while too little is known.
pub(crate) fn rate(items: u64, passed: Duration) -> String {
    let seconds = passed.as_secs_f64();
    if items == 0 || seconds < 1.0 {
        return "—".to_owned();
    }
    match items as f64 / seconds {
        few @ ..10.0 => format!("{few:.1} items/s"),
        many => format!("{} items/s", count(many as u64)),
    }
}

/// A time that nobody knows to the second: below a minute in tens.
fn roughly(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => took(Duration::from_secs((seconds / 10 + 1) * 10)),
        _ => took(time),
    }
}

#[cfg(test)]
mod tests {
    use catalog::{AccountKey, JobId, JobKind, Progress, RunCause, RunId, TaskId};

    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn run(finished: bool) -> Run {
        Run {
            id: RunId::new(),
            task: TaskId::new(),
            cause: RunCause::BackupNow,
            wanted: Wanted::Go,
            started_at: time("2026-11-22T08:00:00Z"),
            finished_at: finished.then(|| time("2026-11-22T08:10:00Z")),
        }
    }

    fn job(items: u64, items_total: u64) -> Job {
        Job {
            id: JobId::new(),
            run: RunId::new(),
            account: AccountKey::new(),
            kind: JobKind::Backup,
            state: JobState::Running,
            result: None,
            progress: Progress {
                items,
                items_total,
                ..Progress::default()
            },
            outcome: String::new(),
            attempts: 1,
            not_before: time("2026-11-22T08:00:00Z"),
            started_at: None,
            finished_at: None,
        }
    }

    #[test]
    fn a_run_is_as_far_as_its_jobs_and_whole_only_at_its_end() {
        let totals = RunTotals {
            jobs: 4,
            success: 1,
            running: 2,
            queued: 1,
            ..RunTotals::default()
        };
        let check = |jobs: &[Job], totals: RunTotals, now: &str, done, words: &str| {
            let told = HowFar::of_run(&run(false), &totals, jobs, time(now));
            assert_eq!((told.done, told.words.as_str()), (done, words));
        };
        let (half, unknown) = (job(50, 100), job(7, 0));
        let at = "2026-11-22T08:01:00Z";
        check(
            &[half, unknown],
            totals,
            at,
            375,
            "About 37 %, about 1 min left",
        );
        let early = "2026-11-22T08:00:05Z";
        check(&[], totals, early, 250, "About 25 %");
        let none = RunTotals {
            jobs: 4,
            queued: 4,
            ..RunTotals::default()
        };
        check(&[], none, at, 0, "");
        let one = RunTotals {
            jobs: 1,
            running: 1,
            ..RunTotals::default()
        };
        check(
            &[job(100, 100)],
            one,
            at,
            999,
            "About 99 %, about 10 s left",
        );
        let over = HowFar::of_run(&run(true), &totals, &[], time(at));
        assert_eq!((over.done, over.words.as_str()), (WHOLE, ""));
    }

    #[test]
    fn a_rate_is_told_as_soon_as_it_means_something() {
        let check = |items, ms, text: &str| {
            assert_eq!(rate(items, Duration::from_millis(ms)), text);
        };
        check(0, 60_000, "—");
        check(500, 999, "—");
        check(3, 2_000, "1.5 items/s");
        check(30_000, 20_000, "1,500 items/s");
    }

    #[test]
    fn a_job_says_what_it_knows_and_no_more() {
        let check = |items, total, text: &str| assert_eq!(words(&job(items, total)), text);
        check(0, 0, "Reading what has changed");
        check(12, 0, "12 items so far");
        check(43, 100, "About 43 %: 43 of about 100 items");
        check(120, 100, "120 items so far");
    }
}
