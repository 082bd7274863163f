//! `keepwell worker` as processes of their own beside each other, on SQLite and on PostgreSQL: one is killed in the middle of a backup, one is told to
//! end, and another finishes what they had.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use catalog::{Job, JobResult, JobState};
use emulator::FaultRule;
use engine::Vault;
use model::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use service::{Service, Which};
use testkit::restic;
use zeroize::Zeroizing;

use crate::{
    recover::{Stage, account},
    run::{Running, command},
};

const MIME: &str = "/users/{user}/messages/{message}/$value";
/// Longer than a lease, after which a dead worker's job is another's.
const PATIENCE: Duration = Duration::from_secs(180);
/// What comes before a container's SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

fn worker(stage: &Stage) -> Result<Running> {
    let mut worker = command(["worker", "--config", &stage.path("keepwell.toml")]);
    Ok(Running(worker.stderr(Stdio::null()).spawn()?))
}

/// Waits until the only job of the run is so.
async fn until(
    service: &Service,
    stage: &Stage,
    run: catalog::RunId,
    is_so: impl Fn(&Job) -> bool,
) -> Result<Job> {
    let clock = SystemClock::new();
    let of = service.catalog().organization(stage.organization);
    loop {
        let job = of.jobs(run, 1).await?.remove(0);
        if is_so(&job) {
            return Ok(job);
        }
        ensure!(clock.elapsed() < PATIENCE, "waited in vain: {job:?}");
        clock.sleep(Duration::from_millis(50)).await;
    }
}

/// From the so-manieth message on, answers do not come.
fn hang(stage: &Stage, after: u64) -> Result<()> {
    stage.emulator.add_fault(FaultRule {
        after,
        delay_ms: 600_000,
        ..FaultRule::on(MIME)
    })?;
    Ok(())
}

/// The newest restore point holds what the mailbox does, and stock restic finds the repository sound.
async fn all_is_held(service: &Service, stage: &Stage) -> Result<()> {
    let (_, account) = account(service, stage.organization).await?;
    let mailbox = stage
        .emulator
        .tenant()
        .mailbox(account.source.as_str().parse()?);
    let mailbox = mailbox.context("there is a mailbox")?;
    let there = mailbox
        .lock()
        .map(|mailbox| mailbox.message_views().count());
    let archive = service
        .archive(stage.organization, account.key, None)
        .await?;
    let (held, _) = archive.totals().await?;
    ensure!(
        Ok(held) == there.map(|there| there as u64).map_err(|_| ()),
        "{held} are held"
    );
    let folder = format!(
        "{}/organizations/{}",
        stage.path("data"),
        stage.organization
    );
    let key = service
        .emergency_kit(stage.organization)
        .await?
        .recovery_key;
    let vault = Vault::with_key(folder.as_ref(), Zeroizing::new(*key.as_bytes()))?;
    let (path, password) = (
        vault.repository_path(&account.source),
        vault.password(&account.source)?,
    );
    for restic in restic::both() {
        restic.check(&path, &password)?;
    }
    Ok(())
}

async fn a_job_outlives_its_workers(database: Option<String>) -> Result<()> {
    let stage = Stage::start_in(database).await?;
    let service = stage.open().await?;
    let (task, account) = account(&service, stage.organization).await?;
    for (how, kills) in [("killed", true), ("told to end", false)] {
        stage.arrive(&account, 30)?;
        hang(&stage, 10)?;
        let run = service
            .backup_now(stage.organization, task, Which::All)
            .await?;
        let mut first = worker(&stage)?;
        until(&service, &stage, run, |job| job.progress.items >= 10).await?;
        if kills {
            first.0.kill()?;
            first.0.wait()?;
            stage.emulator.clear_faults();
        } else {
            let pid = i32::try_from(first.0.id())?;
            let clock = SystemClock::new();
            kill_process(
                Pid::from_raw(pid).context("a process number")?,
                Signal::TERM,
            )?;
            let ended = tokio::task::spawn_blocking(move || first.0.wait()).await??;
            ensure!(ended.success(), "{ended}");
            let took = clock.elapsed();
            ensure!(took < GRACE, "whoever asks kills then: {took:?}");
            let job = until(&service, &stage, run, |_| true).await?;
            ensure!(job.state == JobState::Queued, "{job:?}");
            stage.emulator.clear_faults();
        }
        let second = worker(&stage)?;
        let job = until(&service, &stage, run, |job| job.result.is_some()).await?;
        drop(second);
        // What is given back in order does not count.
        let attempts = if kills { 2 } else { 1 };
        ensure!(
            (job.result, job.attempts) == (Some(JobResult::Success), attempts),
            "{how}: {job:?}"
        );
        all_is_held(&service, &stage).await?;
    }
    Ok(())
}

/// Abuse 67.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_its_workers_on_sqlite() -> Result<()> {
    a_job_outlives_its_workers(None).await
}

/// The same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_outlives_its_workers_on_postgres() -> Result<()> {
    match testkit::postgres::database() {
        Some(database) => a_job_outlives_its_workers(Some(database)).await,
        None => Ok(()),
    }
}
