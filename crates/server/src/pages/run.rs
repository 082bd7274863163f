//! A run: live while it goes on, frozen afterwards. A restore is a run of one job, with its report.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use askama::Template;
use axum::response::{
    IntoResponse, Redirect, Response, Sse,
    sse::{Event, KeepAlive},
};
use catalog::{
    Account, AccountFilter, AccountKey, AccountSort, Became, Direction, Job, JobKind, JobResult,
    JobState, RestoredCount, Run, RunCause, RunId, RunTotals, TaskId, Wanted,
};
use futures_util::{Stream, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use service::JobReport;

use crate::{
    Problem, Signed, State,
    flash::Flash,
    page::{self, Shell},
    pages::{
        failures::{in_words, reason},
        progress::{self, HowFar, WHOLE},
        report,
    },
    path::Path,
    words::{Outcome, Pill, When, between, cause, count, noun, size, took},
};

/// Jobs that a page lists.
const JOBS: u32 = 200;
/// A stream says something at most so often.
const LEAST: Duration = Duration::from_millis(250);
/// How often a stream looks for what another process has changed, and lets the clock go on.
const LOOK: Duration = Duration::from_secs(1);
/// A stream ends after so long, and the browser asks anew, so that whoever was signed out meanwhile sees no more.
const STREAM_MAX: SignedDuration = SignedDuration::from_mins(5);

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    shell: Shell,
    part: Part,
}

/// The part alone.
#[derive(Template)]
#[template(path = "run_part.html")]
struct Alone<'a> {
    part: &'a Part,
}

/// What changes while a run goes on.
struct Part {
    id: RunId,
    task: TaskId,
    task_name: String,
    list: (&'static str, &'static str),
    kind: &'static str,
    started: When,
    heading: String,
    result: Outcome,
    may_stop: bool,
    csrf: String,
    about: String,
    sentence: String,
    is_over: bool,
    is_good: bool,
    how_far: HowFar,
    whole: u64,
    facts: Vec<(&'static str, String)>,
    waits: String,
    report: Option<Report>,
    missing: Vec<Missing>,
    jobs: Vec<JobRow>,
    jobs_words: String,
    jobs_hidden: String,
}

/// Items that a restore did not bring back as they were, of one cause.
struct Missing {
    result: Became,
    why: &'static str,
    /// Microsoft's code.
    code: String,
    remedy: &'static str,
    items: String,
}

/// What a restore came to.
struct Report {
    class: &'static str,
    icon: &'static str,
    word: &'static str,
    text: String,
    error: String,
}

struct JobRow {
    id: String,
    account: AccountKey,
    name: String,
    result: Outcome,
    is_running: bool,
    done: Option<u64>,
    /// When it is tried again, if it waits for that.
    again: Option<When>,
    doing: String,
    items: String,
    bytes: String,
    took: String,
}

/// The page.
pub(crate) async fn show(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    let part = part(&state, &signed, run).await?;
    let here = if part.list.0 == "/restores" {
        "restores"
    } else {
        "runs"
    };
    let shell = signed.shell(here).await?;
    Ok(page::html(&Page { shell, part }))
}

async fn part(state: &State, signed: &Signed, id: RunId) -> Result<Part, Problem> {
    let of = &signed.organization;
    let now = state.clock().now();
    let run = of.run(id).await?;
    let task = of.task(run.task).await?;
    let totals = of.run_totals(id).await?;
    let jobs = of.jobs(id, JOBS).await?;
    let accounts = accounts(signed, &run, &jobs).await?;
    let result = Outcome::of_run(&run, &totals);
    let (is_over, is_restore) = (run.finished_at.is_some(), run.cause == RunCause::Restore);
    let done = totals.success + totals.partial + totals.failed + totals.cancelled;
    let reports: Vec<JobReport> = jobs
        .iter()
        .filter_map(|job| JobReport::from_text(&job.outcome))
        .collect();
    let lost: u64 = reports.iter().map(|report| report.failures).sum();
    let restored = reports.first().filter(|_| is_restore && is_over);
    let missing = match jobs.first().filter(|_| restored.is_some()) {
        Some(job) => missing(of.restored_counts(job.id).await?),
        None => Vec::new(),
    };
    // Whatever a restore was done with counts as done; what it brought back is told by its report.
    let items = restored.map_or(totals.items, |report| report.restored);
    let hidden = totals.jobs.saturating_sub(jobs.len() as u64);
    let time = took(between(run.started_at, run.finished_at.unwrap_or(now)));
    let started = When(run.started_at);
    let kind = if is_restore { "Restore" } else { "Run" };
    // Known of the jobs that are listed; of more of them at least so many.
    let not_done = match (hidden, lost) {
        (0, lost) => count(lost),
        (_, 0) => "—".to_owned(),
        (_, lost) => format!("{} or more", count(lost)),
    };
    Ok(Part {
        id,
        task: task.id,
        list: if is_restore {
            ("/restores", "Restores")
        } else {
            ("/runs", "Runs")
        },
        kind,
        heading: format!("{kind} of {}", task.name),
        started,
        result,
        may_stop: !is_over && run.wanted != Wanted::Cancel && signed.may_act(),
        csrf: signed.csrf.clone(),
        about: about(&run, &task.name),
        sentence: sentence(&run, done, totals.jobs, items, result),
        is_over,
        is_good: result == Outcome::Success,
        how_far: HowFar::of_run(&run, &totals, &jobs, now),
        whole: WHOLE,
        facts: facts(&run, &totals, items, not_done, time, now),
        waits: waits(&jobs),
        report: restored.map(|report| Report::new(report, result)),
        missing,
        jobs_words: noun(totals.jobs, "job", "jobs"),
        jobs_hidden: match hidden {
            0 => String::new(),
            more => format!("{} more are not listed.", noun(more, "job", "jobs")),
        },
        jobs: jobs
            .iter()
            .map(|job| JobRow::new(job, accounts.get(&job.account), now))
            .collect(),
        task_name: task.name,
    })
}

/// Of all that became of the items what somebody has to know.
fn missing(counts: Vec<RestoredCount>) -> Vec<Missing> {
    let counts = counts.into_iter();
    let counts = counts.filter(|one| !matches!(one.became, Became::Restored | Became::LeftAlone));
    let missing = counts.map(|one| {
        let (why, remedy) = report::in_words(one.became, one.cause, &one.code);
        Missing {
            result: one.became,
            why,
            code: one.code,
            remedy,
            items: count(one.items),
        }
    });
    missing.collect()
}

/// The figures, with their names. `items` were copied or restored, `not_done` are those that could not be.
fn facts(
    run: &Run,
    totals: &RunTotals,
    items: u64,
    not_done: String,
    time: String,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let bytes = size(totals.bytes);
    let passed = between(run.started_at, run.finished_at.unwrap_or(now));
    let rate = ("Rate, on average", progress::rate(totals.items, passed));
    let time = match run.finished_at {
        Some(_) => ("Took", time),
        None => ("Running for", time),
    };
    if run.cause == RunCause::Restore {
        return vec![
            ("Items restored", count(items)),
            ("Items not restored", not_done),
            ("Read", bytes),
            rate,
            time,
        ];
    }
    vec![
        ("Items copied", count(items)),
        // Before compression: what lies on the disk is less.
        ("Data copied", bytes),
        rate,
        time,
        ("Items not copied", not_done),
        (
            "Accounts partial / failed",
            format!("{} / {}", count(totals.partial), count(totals.failed)),
        ),
    ]
}

/// The accounts of some jobs, by key.
async fn accounts(
    signed: &Signed,
    run: &Run,
    jobs: &[Job],
) -> Result<HashMap<AccountKey, Account>, Problem> {
    let filter = AccountFilter {
        keys: Some(jobs.iter().map(|job| job.account).collect()),
        ..AccountFilter::default()
    };
    let page = signed
        .organization
        .accounts(
            run.task,
            &filter,
            AccountSort::Name,
            Direction::Ascending,
            None,
            JOBS,
        )
        .await?;
    let rows = page.rows.into_iter();
    Ok(rows.map(|account| (account.key, account)).collect())
}

fn about(run: &Run, task: &str) -> String {
    let goes_on = match run.finished_at {
        None => " You can leave this page; it goes on.",
        Some(_) => "",
    };
    format!("{task}. Started {}.{goes_on}", cause(run.cause))
}

fn sentence(run: &Run, done: u64, jobs: u64, items: u64, result: Outcome) -> String {
    match (run.cause, run.finished_at) {
        (RunCause::Restore, None) if items == 0 => "Restoring".to_owned(),
        (RunCause::Restore, _) => format!("{} restored", noun(items, "item", "items")),
        _ if result == Outcome::Scheduled => "Claiming accounts".to_owned(),
        _ => format!(
            "{} of {} done",
            count(done),
            noun(jobs, "account", "accounts")
        ),
    }
}

/// What Microsoft asks the jobs to wait for.
fn waits(jobs: &[Job]) -> String {
    let waiting: Vec<&str> = jobs
        .iter()
        .filter(|job| job.state == JobState::Running && !job.progress.waiting_for.is_empty())
        .map(|job| job.progress.waiting_for.as_str())
        .collect();
    match waiting.as_slice() {
        [] => String::new(),
        [one] => format!("One account waits: {one}. The others go on."),
        [one, ..] => format!(
            "{} wait, the first: {one}. The others go on.",
            noun(waiting.len() as u64, "account", "accounts")
        ),
    }
}

impl Report {
    fn new(report: &JobReport, result: Outcome) -> Self {
        let (class, icon, word) = match result {
            Outcome::Success => ("ok", "check", "Restored"),
            Outcome::Partial => ("warn", "half", "Partly restored"),
            Outcome::Stopped => ("info", "stop", "Stopped"),
            _ => ("bad", "x", "Not restored"),
        };
        let mut text = match &report.into {
            Some(folder) => format!(
                "{} restored into the folder “{folder}”.",
                noun(report.restored, "item", "items")
            ),
            None => format!("{} restored.", noun(report.restored, "item", "items")),
        };
        if report.already_there > 0 {
            text.push_str(&format!(
                " {} left alone, because they are there.",
                noun(report.already_there, "item was", "items were")
            ));
        }
        if report.failures > 0 {
            text.push_str(&format!(
                " {} could not be restored.",
                noun(report.failures, "item", "items")
            ));
        }
        text.push_str(" Nothing was overwritten, and nothing was sent to anyone.");
        Self {
            class,
            icon,
            word,
            text,
            error: report
                .error
                .as_ref()
                .map(crate::problem::sentence)
                .unwrap_or_default(),
        }
    }
}

impl JobRow {
    fn new(job: &Job, account: Option<&Account>, now: Timestamp) -> Self {
        let result = match (job.state, job.result) {
            (JobState::Queued, _) => Outcome::Scheduled,
            (JobState::Running, _) => Outcome::InProgress,
            (JobState::Paused, _) => Outcome::Paused,
            (JobState::Cancelled, _) => Outcome::Stopped,
            (JobState::Finished, Some(JobResult::Success)) => Outcome::Success,
            (JobState::Finished, Some(JobResult::Partial)) => Outcome::Partial,
            (JobState::Finished, _) => Outcome::Failed,
        };
        let began = |text: String| {
            if job.started_at.is_some() {
                text
            } else {
                "—".to_owned()
            }
        };
        Self {
            id: job.id.to_string(),
            account: job.account,
            name: account.map_or_else(|| "—".to_owned(), |account| account.name.clone()),
            result,
            is_running: job.state == JobState::Running,
            done: progress::of_job(job),
            again: again(job, now),
            doing: match again(job, now) {
                Some(_) => reason(&job.progress.waiting_for),
                None => doing(job),
            },
            items: began(count(job.progress.items)),
            bytes: began(size(job.progress.bytes)),
            took: match job.started_at {
                Some(start) => took(between(start, job.finished_at.unwrap_or(now))),
                None => "—".to_owned(),
            },
        }
    }
}

/// When a job is tried again that waits for that.
pub(crate) fn again(job: &Job, now: Timestamp) -> Option<When> {
    let waits = job.state == JobState::Queued && !job.progress.waiting_for.is_empty();
    (waits && job.not_before > now).then_some(When(job.not_before))
}

/// What a job is at, or why it came to what it came to.
fn doing(job: &Job) -> String {
    let waiting = &job.progress.waiting_for;
    if job.state == JobState::Running {
        return match waiting.as_str() {
            "" => progress::words(job),
            waiting => format!("Waits: {waiting}"),
        };
    }
    let Some(report) = JobReport::from_text(&job.outcome) else {
        return "—".to_owned();
    };
    if let Some(error) = &report.error {
        if job.kind != JobKind::Backup {
            return crate::problem::sentence(error);
        }
        let (words, remedy) = in_words(error);
        return format!("{words}. {remedy}");
    }
    if report.failures > 0 {
        let done = match job.kind {
            JobKind::Restore => "restored",
            _ => "copied",
        };
        let items = noun(report.failures, "item", "items");
        return format!("{items} could not be {done}");
    }
    if report.snapshot.is_none() && report.restored == 0 && job.state == JobState::Finished {
        return "Nothing had changed".to_owned();
    }
    "—".to_owned()
}

/// The part that changes, anew whenever it has changed: server-sent events.
pub(crate) async fn events(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    // Whether there is such a run shows before the stream begins.
    signed.organization.run(run).await?;
    let events = follow(state, signed, run).map(Ok::<_, Infallible>);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// A run that is followed.
struct Following {
    state: State,
    signed: Signed,
    run: RunId,
    changes: tokio::sync::broadcast::Receiver<service::Change>,
    until: Timestamp,
    told: Option<String>,
    is_over: bool,
}

fn follow(state: State, signed: Signed, run: RunId) -> impl Stream<Item = Event> {
    let following = Following {
        changes: state.service().changed(),
        until: state.clock().now() + STREAM_MAX,
        state,
        signed,
        run,
        told: None,
        is_over: false,
    };
    stream::unfold(following, async |mut following| {
        let event = following.next().await?;
        Some((event, following))
    })
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        loop {
            if self.told.is_some() {
                self.wait().await;
            }
            if self.state.clock().now() >= self.until {
                return None;
            }
            let part = match part(&self.state, &self.signed, self.run).await {
                Ok(part) => part,
                Err(Problem::NotFound) => return None,
                Err(error) => {
                    // Whoever follows a run wants to know its end, also when the database was busy for a moment.
                    tracing::warn!(error = ?error, "a run could not be looked at");
                    self.wait().await;
                    continue;
                }
            };
            let text = Alone { part: &part }.render().ok()?;
            if self.told.as_ref() == Some(&text) && !part.is_over {
                continue;
            }
            self.is_over = part.is_over;
            let name = if part.is_over { "over" } else { "part" };
            let event = Event::default().event(name).data(text.clone());
            self.told = Some(text);
            return Some(event);
        }
    }

    /// Waits until something may have changed.
    async fn wait(&mut self) {
        let clock = self.state.clock().clone();
        clock.sleep(LEAST).await;
        tokio::select! {
            () = clock.sleep(LOOK) => {}
            () = self.change() => {}
        }
    }

    /// Until this process has changed something about the run.
    async fn change(&mut self) {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            match self.changes.recv().await {
                Ok(change) if change.run != self.run => {}
                Err(RecvError::Closed) => std::future::pending().await,
                Ok(_) | Err(RecvError::Lagged(_)) => return,
            }
        }
    }
}

/// Stops a run for good.
pub(crate) async fn stop(
    state: State,
    signed: Signed,
    Path(run): Path<RunId>,
) -> Result<Response, Problem> {
    signed.organization.run(run).await?;
    signed.note(&state, "stopped a run", run).await?;
    let stopped = state.service().cancel(signed.organization.id(), run).await;
    let back = Redirect::to(&format!("/runs/{run}")).into_response();
    match stopped {
        Ok(()) => Ok(Flash::ok("The run is being stopped. What was copied stays.").after(back)),
        Err(error) if error.kind() == service::Kind::NotFound => {
            Ok(Flash::warn("The run was over already.").after(back))
        }
        Err(error) => Err(error.into()),
    }
}
