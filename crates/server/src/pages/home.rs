//! The Homepage: is all well, and if not, what?

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use catalog::{AccountTotals, Health, RunCause, TaskId};
use jiff::SignedDuration;
use model::Service;

use crate::{
    Problem, Signed, State,
    page::{self, Shell},
    pages::{
        health::HealthBar,
        progress::{HowFar, WHOLE},
        runs::RunRow,
        strip::{Strip, Strips},
    },
    words::{Outcome, Pill, When, cause, count, noun, service, size},
};

/// An account whose last success is younger is up to date.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// Runs in progress that are listed.
const RUNNING_MAX: u32 = 5;
/// Jobs of a run in progress that are looked at for how far it is: workers are fewer.
const JOBS_MAX: u32 = 200;
/// Runs that are looked through for the last backup; between two there is a restore or two.
const RUNS_MAX: u32 = 50;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    sentence: String,
    troubles: Vec<HealthBar>,
    tiles: Vec<Tile>,
    tasks: Vec<TaskRow>,
    tasks_words: String,
    running: Vec<Running>,
    stored: Stored,
}

struct Tile {
    href: String,
    icon: &'static str,
    name: &'static str,
    offered: bool,
    tasks: u64,
    tasks_words: String,
    active: String,
    accounts: String,
    result: Outcome,
}

struct TaskRow {
    id: TaskId,
    name: String,
    about: String,
    service: Service,
    totals: AccountTotals,
    result: Outcome,
    last_run: Option<(String, When)>,
    active: String,
    items: String,
    size: String,
    strip: Strip,
}

struct Running {
    id: String,
    task: String,
    done_words: String,
    how_far: HowFar,
    whole: u64,
    written: String,
    started: When,
    cause: &'static str,
}

struct Stored {
    items: String,
    size: String,
    accounts: String,
    failures: u64,
}

pub(crate) async fn show(state: State, signed: Signed) -> Result<Response, Problem> {
    let of = &signed.organization;
    let now = state.clock().now();
    let facts = async {
        Ok(tokio::try_join!(
            of.account_totals(now - FRESH),
            of.tasks(),
            of.runs_in_progress(RUNNING_MAX),
            of.connections()
        )?)
    };
    let (facts, strips, shell) =
        tokio::try_join!(facts, Strips::read(of, now), signed.shell("home"))?;
    let (totals, its_tasks, in_progress, connections) = facts;
    let totals: HashMap<TaskId, AccountTotals> = totals.into_iter().collect();
    let mut tasks = Vec::new();
    let mut running = Vec::new();
    for task in its_tasks {
        let totals = totals.get(&task.id).copied().unwrap_or_default();
        let mut latest = of.runs(task.id, None, RUNS_MAX).await?;
        latest.retain(|run| matches!(run.cause, RunCause::Schedule | RunCause::BackupNow));
        let result = match latest.first() {
            Some(run) => Outcome::of_run(run, &of.run_totals(run.id).await?),
            None => Outcome::NeverRun,
        };
        tasks.push(TaskRow {
            about: format!(
                "{}, {}",
                service(task.service).1,
                noun(totals.accounts, "account", "accounts")
            ),
            result,
            last_run: latest
                .first()
                .map(|run| (run.id.to_string(), When(run.started_at))),
            active: count(totals.active),
            items: count(totals.items),
            size: size(totals.size_bytes),
            strip: strips.of(task.id),
            id: task.id,
            name: task.name,
            service: task.service,
            totals,
        });
    }
    for run in in_progress {
        let (totals, jobs) = tokio::try_join!(of.run_totals(run.id), of.jobs(run.id, JOBS_MAX))?;
        let row = RunRow::new(&run, &totals, &tasks_by_id(&tasks), now);
        running.push(Running {
            id: row.id,
            task: row.task,
            done_words: format!("{} accounts", row.done_of),
            how_far: HowFar::of_run(&run, &totals, &jobs, now),
            whole: WHOLE,
            written: format!(
                "{}, {} {}.",
                noun(totals.items, "item", "items"),
                size(totals.bytes),
                if run.cause == RunCause::Restore {
                    "restored"
                } else {
                    "copied"
                }
            ),
            started: row.started,
            cause: cause(run.cause),
        });
    }
    let troubles: Vec<HealthBar> = connections
        .iter()
        .filter(|connection| matches!(connection.health, Health::Disconnected | Health::Incomplete))
        .map(HealthBar::new)
        .collect();
    let all = sum(tasks.iter().map(|task| &task.totals));
    let page = Home {
        shell,
        sentence: sentence(&all, tasks.is_empty(), troubles.len()),
        troubles,
        tiles: [
            Service::Exchange,
            Service::OneDrive,
            Service::SharePoint,
            Service::Groups,
        ]
        .map(|service| tile(service, &tasks))
        .into(),
        tasks_words: noun(tasks.len() as u64, "task", "tasks"),
        tasks,
        running,
        stored: Stored {
            items: count(all.items),
            size: size(all.size_bytes),
            accounts: count(all.stored),
            failures: all.failures,
        },
    };
    Ok(page::html(&page))
}

fn tasks_by_id(tasks: &[TaskRow]) -> HashMap<TaskId, String> {
    let names = tasks.iter().map(|task| (task.id, task.name.clone()));
    names.collect()
}

fn sum<'a>(all: impl Iterator<Item = &'a AccountTotals>) -> AccountTotals {
    all.fold(AccountTotals::default(), |a, b| AccountTotals {
        accounts: a.accounts + b.accounts,
        active: a.active + b.active,
        fresh: a.fresh + b.fresh,
        stored: a.stored + b.stored,
        items: a.items + b.items,
        size_bytes: a.size_bytes + b.size_bytes,
        failures: a.failures + b.failures,
    })
}

fn sentence(all: &AccountTotals, is_new: bool, troubles: usize) -> String {
    let mut text = if is_new {
        "Nothing is protected yet.".to_owned()
    } else if all.active == 0 {
        "No account is active yet: open a task, select accounts and activate them.".to_owned()
    } else {
        format!(
            "{} of {} have been backed up within the last day.",
            count(all.fresh),
            noun(all.active, "active account", "active accounts")
        )
    };
    match troubles {
        0 => {}
        1 => text.push_str(" One connection needs you."),
        many => text.push_str(&format!(" {many} connections need you.")),
    }
    text
}

fn tile(which: Service, tasks: &[TaskRow]) -> Tile {
    let (icon, name) = service(which);
    let its: Vec<&TaskRow> = tasks.iter().filter(|task| task.service == which).collect();
    let totals = sum(its.iter().map(|task| &task.totals));
    Tile {
        href: match its.as_slice() {
            [] => "/tasks/new".to_owned(),
            [one] => format!("/tasks/{}", one.id),
            _ => "/#tasks".to_owned(),
        },
        icon,
        name,
        offered: which == Service::Exchange,
        tasks: its.len() as u64,
        tasks_words: noun(its.len() as u64, "task", "tasks"),
        active: count(totals.active),
        accounts: count(totals.accounts),
        result: worst(its.iter().map(|task| task.result)),
    }
}

/// The state that somebody should know of first.
fn worst(results: impl Iterator<Item = Outcome>) -> Outcome {
    const ORDER: [Outcome; 8] = [
        Outcome::Failed,
        Outcome::Partial,
        Outcome::InProgress,
        Outcome::Scheduled,
        Outcome::Paused,
        Outcome::Stopped,
        Outcome::Success,
        Outcome::NeverRun,
    ];
    let place = |result: &Outcome| ORDER.iter().position(|one| one == result);
    results.min_by_key(place).unwrap_or(Outcome::NeverRun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_tells_what_is_worst() {
        let check = |results: &[Outcome], told| assert_eq!(worst(results.iter().copied()), told);
        check(&[], Outcome::NeverRun);
        check(&[Outcome::Success, Outcome::Failed], Outcome::Failed);
        check(&[Outcome::NeverRun, Outcome::Success], Outcome::Success);
    }

    #[test]
    fn the_sentence_counts_what_is_up_to_date() {
        let all = AccountTotals {
            active: 1_916,
            fresh: 1,
            ..AccountTotals::default()
        };
        assert_eq!(
            sentence(&all, false, 1),
            "1 of 1,916 active accounts have been backed up within the last day. One connection needs you."
        );
        assert_eq!(
            sentence(&AccountTotals::default(), true, 0),
            "Nothing is protected yet."
        );
    }
}
