//! The database is lost at every statement, or for longer than a lease; jobs panic, and meet what passes and what does not.
//!
//! The connection is lost on PostgreSQL alone: SQLite has none.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use catalog::{JobResult, JobState, LastResult, RunId};
use emulator::FaultRule;
use jiff::Timestamp;
use model::{Clock, Sleep, SystemClock};
use service::{JobReport, Pace, RestoreOrder, Selection, Service, Which};
use testkit::postgres::{Deed, Proxy};
use workload::mail::restore::Destination;

use crate::stage::{Customer, Stage, Worker, on_both};

/// Waits are short, and the lease is long enough for a busy machine.
fn calm() -> Pace {
    Pace {
        lease: Duration::from_secs(3),
        progress: Duration::from_millis(200),
        look: Duration::from_millis(50),
        pause: Duration::from_millis(50),
        ..Pace::default()
    }
}

/// A service whose way to the database is cut.
struct Scene<'a> {
    stage: &'a Stage,
    customer: Customer,
    victim: &'a Service,
    /// Another one every time.
    round: usize,
}

impl Scene<'_> {
    /// Does something; whoever is told that it failed looks whether it was done, and does it again if not.
    async fn insist(&self, what: impl AsyncFn() -> service::Result<RunId>) -> Result<RunId> {
        if let Ok(run) = what().await {
            return Ok(run);
        }
        let of = self
            .stage
            .service
            .catalog()
            .organization(self.customer.organization);
        let runs = of.runs(self.customer.task, None, 1).await?;
        match runs.first().filter(|run| run.finished_at.is_none()) {
            Some(run) => Ok(run.id),
            None => Ok(what().await?),
        }
    }

    /// Lets the victim work until the run is over, which has to be a success, done once.
    async fn work_off(&self, run: RunId) -> Result<JobReport> {
        let worker = Worker::of(self.victim);
        self.stage.over(self.customer, run).await?;
        worker.end().await?;
        let jobs = self.stage.jobs(self.customer, run).await?;
        ensure!(
            jobs.len() == 1 && jobs[0].state == JobState::Finished,
            "{jobs:?}"
        );
        ensure!(jobs[0].result == Some(JobResult::Success), "{jobs:?}");
        JobReport::from_text(&jobs[0].outcome).context("a report")
    }
}

/// Does `work` again and again, with the connection to the database cut once in the course of it: before its n-th statement and after, for every n that
/// there is. Nobody is stuck afterwards.
async fn at_every_statement(work: impl AsyncFn(&Scene<'_>) -> Result<()>) -> Result<()> {
    let Some(database) = testkit::postgres::database() else {
        return Ok(());
    };
    let mut stage = Stage::start(database.clone(), &[("ada", 2)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let run = stage
        .service
        .backup_now(customer.organization, customer.task, Which::All)
        .await?;
    stage.work_off(customer, run).await?;
    let proxy = Proxy::before(&database)?;
    (stage.database, stage.pace) = (proxy.address().to_owned(), calm());
    let victim = stage.another("victim", 1).await?;
    let mut round = 0;
    for deed in [Deed::CutBefore, Deed::CutAfter] {
        for n in 1.. {
            round += 1;
            let scene = Scene {
                stage: &stage,
                customer,
                victim: &victim,
                round,
            };
            proxy.arm(n, deed);
            work(&scene)
                .await
                .with_context(|| format!("{deed:?} at statement {n}"))?;
            let was_cut = proxy.disarm();
            let of = stage.service.catalog().organization(customer.organization);
            let runs = of.runs(customer.task, None, 1_000).await?;
            ensure!(
                runs.iter().all(|run| run.finished_at.is_some()),
                "{deed:?} at statement {n}"
            );
            let account = stage.accounts(customer).await?.remove(0);
            ensure!(
                account.last_result == LastResult::Success,
                "{deed:?} at statement {n}: {account:?}"
            );
            if !was_cut {
                ensure!(n > 5, "it has statements");
                break;
            }
        }
    }
    Ok(())
}

/// Abuse 62.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_outlasts_the_loss_of_the_database_at_any_statement() -> Result<()> {
    at_every_statement(async |scene| {
        let (stage, customer) = (scene.stage, scene.customer);
        let before = stage.accounts(customer).await?.remove(0);
        stage.arrives(&before)?;
        let all = || Which::All;
        let run = scene
            .insist(async || {
                scene
                    .victim
                    .backup_now(customer.organization, customer.task, all())
                    .await
            })
            .await?;
        scene.work_off(run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        ensure!(account.items == before.items + 1, "{account:?}");
        let points = stage
            .service
            .restore_points(customer.organization, account.key)
            .await?;
        ensure!(
            Some(&points[0].snapshot) == account.snapshot.as_ref(),
            "the newest one is accepted"
        );
        let archive = stage
            .service
            .archive(customer.organization, account.key, None)
            .await?;
        ensure!(archive.totals().await?.0 == account.items);
        Ok(())
    })
    .await
}

/// Abuse 62.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_outlasts_the_loss_of_the_database_at_any_statement() -> Result<()> {
    at_every_statement(async |scene| {
        let (stage, customer) = (scene.stage, scene.customer);
        let account = stage.accounts(customer).await?.remove(0);
        let folder = format!("Restored {}", scene.round);
        let order = || RestoreOrder {
            snapshot: account.snapshot.clone(),
            selection: Selection::Mailbox,
            target: account.key,
            destination: Destination::NewFolder {
                name: folder.clone(),
            },
            key: None,
        };
        let run = scene
            .insist(async || {
                scene
                    .victim
                    .restore(customer.organization, account.key, order())
                    .await
            })
            .await?;
        let report = scene.work_off(run).await?;
        ensure!(report.restored + report.already_there == 2, "{report:?}");
        let mailbox = stage
            .emulator
            .tenant()
            .mailbox(account.source.as_str().parse()?);
        let mailbox = mailbox.context("a mailbox")?;
        let mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        let below: HashSet<String> = mailbox
            .folder_views()
            .filter(|one| one.path.contains(&folder))
            .map(|one| one.id)
            .collect();
        let there = mailbox
            .message_views()
            .filter(|one| below.contains(&one.folder_id));
        ensure!(there.count() == 2, "each message once");
        Ok(())
    })
    .await
}

/// Abuse 62: a discovery is a few statements that nobody repeats for it but the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discovery_outlasts_the_loss_of_the_database_at_any_statement() -> Result<()> {
    at_every_statement(async |scene| {
        let (stage, customer) = (scene.stage, scene.customer);
        if scene
            .victim
            .discover(customer.organization, customer.task)
            .await
            .is_err()
        {
            scene
                .victim
                .discover(customer.organization, customer.task)
                .await?;
        }
        let accounts = stage.accounts(customer).await?;
        ensure!(accounts.len() == 1 && accounts[0].gone_at.is_none());
        Ok(())
    })
    .await
}

/// Abuse 65: whoever made the schema died at some statement; the next one makes the rest of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_cut_off_anywhere_is_finished_by_the_next() -> Result<()> {
    for deed in [Deed::CutBefore, Deed::CutAfter] {
        for n in 1.. {
            let Some(database) = testkit::postgres::database() else {
                return Ok(());
            };
            let proxy = Proxy::before(&database)?;
            proxy.arm(n, deed);
            // Whether it notices does not matter.
            let first = catalog::Catalog::open(proxy.address()).await;
            let was_cut = proxy.disarm();
            drop(first);
            proxy.close();
            let next = catalog::Catalog::open(&database).await;
            let next = next.with_context(|| format!("{deed:?} at statement {n}"))?;
            ensure!(next.organizations().await?.is_empty());
            next.close().await;
            if !was_cut {
                ensure!(n > 5, "it has statements");
                break;
            }
        }
    }
    Ok(())
}

/// Abuse 62, 67: a worker that is told to stop gives its job back although the database is lost at a statement of it: nobody has to wait for the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_given_back_though_the_database_is_lost_at_any_statement() -> Result<()> {
    let Some(database) = testkit::postgres::database() else {
        return Ok(());
    };
    let mut stage = Stage::start(database.clone(), &[("ada", 20)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let account = stage.accounts(customer).await?.remove(0);
    let proxy = Proxy::before(&database)?;
    stage.database = proxy.address().to_owned();
    stage.pace = Pace {
        lease: Duration::from_secs(600),
        ..calm()
    };
    let victim = stage.another("victim", 1).await?;
    // A restore ends at once when it is told to, and says nothing else.
    let of = stage.service.catalog().organization(customer.organization);
    let backup = stage
        .service
        .backup_now(customer.organization, customer.task, Which::All)
        .await?;
    stage.work_off(customer, backup).await?;
    stage.emulator.add_fault(FaultRule {
        delay_ms: 600_000,
        ..FaultRule::on("/users/{user}/mailFolders/{folder}/messages")
    })?;
    let order = RestoreOrder {
        snapshot: None,
        selection: Selection::Mailbox,
        target: account.key,
        destination: Destination::NewFolder {
            name: "Restored".to_owned(),
        },
        key: None,
    };
    let run = stage
        .service
        .restore(customer.organization, account.key, order)
        .await?;
    for n in 1.. {
        let worker = Worker::of(&victim);
        stage.job_is(customer, run, JobState::Running, 0).await?;
        proxy.arm(n, Deed::CutBefore);
        worker.end().await?;
        let was_cut = proxy.disarm();
        let job = stage.jobs(customer, run).await?.remove(0);
        ensure!(
            (job.state, job.attempts) == (JobState::Queued, 0),
            "at statement {n}: {job:?}"
        );
        if !was_cut {
            ensure!(n > 5, "it has statements");
            break;
        }
    }
    ensure!(of.run(run).await?.finished_at.is_none());
    Ok(())
}

/// Abuse 62, 67: a job has ended while the database does not answer, and the worker is told to stop: it does, and another one does the job again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cannot_say_how_a_job_ended_stops_when_it_is_told() -> Result<()> {
    const MIME: &str = "/users/{user}/messages/{message}/$value";
    let Some(database) = testkit::postgres::database() else {
        return Ok(());
    };
    let mut stage = Stage::start(database.clone(), &[("ada", 20)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let proxy = Proxy::before(&database)?;
    stage.database = proxy.address().to_owned();
    stage.pace = Pace {
        lease: Duration::from_secs(600),
        ..calm()
    };
    let cut_off = stage.another("cut off", 1).await?;
    stage.emulator.add_fault(FaultRule {
        after: 8,
        status: Some(503),
        ..FaultRule::on(MIME)
    })?;
    let run = stage
        .service
        .backup_now(customer.organization, customer.task, Which::All)
        .await?;
    let worker = Worker::of(&cut_off);
    stage.job_is(customer, run, JobState::Running, 8).await?;
    proxy.close();
    stage.emulator.clear_faults();
    let repository = stage.data().join("organizations");
    stage
        .until(
            "the backup is made",
            async || Ok(snapshots(&repository) > 0),
        )
        .await?;
    worker.end().await?;
    let job = stage.jobs(customer, run).await?.remove(0);
    ensure!(job.state == JobState::Running, "{job:?}");
    Ok(())
}

/// Snapshot files below a folder.
fn snapshots(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let each = entries.flatten().map(|entry| match entry.path() {
        path if path.is_dir() => snapshots(&path),
        path => usize::from(
            path.parent()
                .is_some_and(|above| above.ends_with("snapshots")),
        ),
    });
    each.sum()
}

/// Abuse 59, 62: a worker hears nothing of the database for longer than its lease. Another one has the job then, and the first one writes no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cannot_renew_its_lease_drops_its_work() -> Result<()> {
    const MIME: &str = "/users/{user}/messages/{message}/$value";
    let Some(database) = testkit::postgres::database() else {
        return Ok(());
    };
    let mut stage = Stage::start(database.clone(), &[("ada", 20)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let proxy = Proxy::before(&database)?;
    stage.database = proxy.address().to_owned();
    let cut_off = stage.another("cut off", 1).await?;
    stage.emulator.add_fault(FaultRule {
        after: 8,
        delay_ms: 600_000,
        ..FaultRule::on(MIME)
    })?;
    let run = stage
        .service
        .backup_now(customer.organization, customer.task, Which::All)
        .await?;
    let mut changes = cut_off.changed();
    let worker = Worker::of(&cut_off);
    stage.job_is(customer, run, JobState::Running, 8).await?;
    proxy.close();
    while changes.try_recv().is_ok() {}
    // It says that it has dropped the work, which is when the lease has ended by its own clock.
    changes.recv().await?;
    stage.emulator.clear_faults();
    let other = Worker::of(&stage.service);
    stage.over(customer, run).await?;
    other.end().await?;
    proxy.open();
    worker.end().await?;
    let job = stage.jobs(customer, run).await?.remove(0);
    ensure!(
        (job.result, job.attempts) == (Some(JobResult::Success), 2),
        "{job:?}"
    );
    let account = stage.accounts(customer).await?.remove(0);
    let points = stage
        .service
        .restore_points(customer.organization, account.key)
        .await?;
    let whole: Vec<_> = points.iter().filter(|point| !point.partial).collect();
    ensure!(
        whole.len() == 1 && Some(&whole[0].snapshot) == account.snapshot.as_ref(),
        "{points:?}"
    );
    Ok(())
}

/// Abuse 63: in the midst of a backup the database's server gives way to one that takes no writes yet. What can be read is read, nothing is begun that
/// could not be noted, and the backup is finished when writes are taken again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_outlasts_a_failover_to_a_server_that_takes_no_writes_yet() -> Result<()> {
    const MIME: &str = "/users/{user}/messages/{message}/$value";
    let Some(database) = testkit::postgres::database() else {
        return Ok(());
    };
    let stage = Stage::start(database.clone(), &[("ada", 20)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let (organization, task) = (customer.organization, customer.task);
    stage.emulator.add_fault(FaultRule {
        after: 8,
        delay_ms: 600_000,
        ..FaultRule::on(MIME)
    })?;
    let begin = async || {
        stage
            .service
            .backup_now(organization, task, Which::All)
            .await
    };
    let run = begin().await?;
    let mut changes = stage.service.changed();
    let worker = Worker::of(&stage.service);
    stage.job_is(customer, run, JobState::Running, 8).await?;
    testkit::postgres::fail_over(&database, false);
    while changes.try_recv().is_ok() {}
    let read = stage.jobs(customer, run).await?.remove(0);
    ensure!(read.state == JobState::Running, "{read:?}");
    let refused = begin().await.err().context("nothing can be begun")?;
    ensure!(refused.kind() == service::Kind::Unavailable, "{refused}");
    // It says that it has dropped the work, because it could not renew its lease.
    changes.recv().await?;
    testkit::postgres::fail_over(&database, true);
    stage.emulator.clear_faults();
    stage.over(customer, run).await?;
    worker.end().await?;
    let job = stage.jobs(customer, run).await?.remove(0);
    ensure!(
        (job.result, job.attempts) == (Some(JobResult::Success), 2),
        "{job:?}"
    );
    let account = stage.accounts(customer).await?.remove(0);
    let points = stage
        .service
        .restore_points(organization, account.key)
        .await?;
    ensure!(
        points.len() == 1 && Some(&points[0].snapshot) == account.snapshot.as_ref(),
        "{points:?}"
    );
    Ok(())
}

/// A clock over which the first so many jobs fall. A job is a task that asks for the time before anything else: workers do other things first.
#[derive(Debug)]
struct Trap {
    clock: SystemClock,
    known: Mutex<HashSet<tokio::task::Id>>,
    left: AtomicUsize,
    is_set: AtomicBool,
}

impl Trap {
    fn is_new(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::task::try_id().is_some_and(|id| known.insert(id))
    }
}

impl Clock for Trap {
    fn now(&self) -> Timestamp {
        self.is_new();
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        let falls = self.is_new() && self.is_set.load(Ordering::SeqCst);
        let take = |left: usize| left.checked_sub(1);
        if falls
            && self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
        {
            panic!("somebody fell into the trap");
        }
        self.clock.elapsed()
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        self.is_new();
        self.clock.sleep(span)
    }
}

on_both! {
    /// A panic within a job is that job's failure, with a cause; the worker goes on.
    async fn a_job_that_panics_fails_alone(database: String) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let world = crate::stage::world(folder.path(), &[("ada", 1), ("max", 1), ("zoe", 1)])?;
        let trap = Arc::new(Trap {
            clock: SystemClock::new(),
            known: Mutex::default(),
            left: AtomicUsize::new(1),
            is_set: AtomicBool::new(false),
        });
        let stage = Stage::start_world(database, emulator::Settings::new(world), trap.clone(), calm()).await?;
        let customer = stage.customer("fabrikam").await?;
        let service = stage.another("one at a time", 1).await?;
        trap.is_set.store(true, Ordering::SeqCst);
        let worker = Worker::of(&service);
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.over(customer, run).await?;
        let jobs = stage.jobs(customer, run).await?;
        let (failed, fine): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.result == Some(JobResult::Failed));
        ensure!((failed.len(), fine.len()) == (1, 2), "{jobs:?}");
        ensure!(fine.iter().all(|job| job.result == Some(JobResult::Success)));
        let report = JobReport::from_text(&failed[0].outcome).context("a report")?;
        ensure!(report.error.context("a cause")?.contains("Keepwell itself"));
        let accounts = stage.accounts(customer).await?;
        ensure!(accounts.iter().filter(|one| one.last_result == LastResult::Failed).count() == 1);
        // The same worker does the next run, of all three.
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.over(customer, run).await?;
        worker.end().await?;
        let jobs = stage.jobs(customer, run).await?;
        ensure!(jobs.len() == 3 && jobs.iter().all(|job| job.result == Some(JobResult::Success)), "{jobs:?}");
        Ok(())
    }

    /// Whoever looks is told why a job waits, and until when.
    async fn a_job_that_is_to_be_tried_again_says_why_it_waits(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 1)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        stage.pace = Pace { pause: Duration::from_secs(3_600), ..calm() };
        let service = stage.another("second", 1).await?;
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let file = folder.join("accounts").join(format!("{}.json", account.source));
        std::fs::rename(&file, folder.join("away"))?;
        std::fs::create_dir(&file)?;
        let worker = Worker::of(&service);
        let begun = stage.clock.now();
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.until("it waits", async || {
            let job = stage.jobs(customer, run).await?.remove(0);
            Ok(job.state == JobState::Queued && job.attempts == 1)
        }).await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        ensure!(job.progress.waiting_for.contains("could not be read"), "{job:?}");
        let after = job.not_before.duration_since(begun).as_secs();
        ensure!((3_600..3_700).contains(&after), "{after}");
        service.cancel(customer.organization, run).await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        ensure!(job.progress.waiting_for.is_empty(), "{job:?}");
        worker.end().await
    }

    /// What passes is waited for, and what does not pass is told after a few tries: a file that cannot be read.
    async fn what_may_pass_is_tried_again_after_a_pause_and_then_told(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 1)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        stage.arrives(&account)?;
        stage.pace = calm();
        let service = stage.another("second", 1).await?;
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let file = folder.join("accounts").join(format!("{}.json", account.source));
        let away = folder.join("away");
        std::fs::rename(&file, &away)?;
        std::fs::create_dir(&file)?;
        let worker = Worker::of(&service);
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.until("it is tried again", async || Ok(stage.jobs(customer, run).await?[0].attempts >= 2)).await?;
        stage.over(customer, run).await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        ensure!((job.result, job.attempts) == (Some(JobResult::Failed), 3), "{job:?}");
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        ensure!(report.error.is_some_and(|error| error.len() > 20));
        ensure!(stage.accounts(customer).await?[0].last_result == LastResult::Failed);
        std::fs::remove_dir(&file)?;
        std::fs::rename(&away, &file)?;
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.over(customer, run).await?;
        worker.end().await?;
        ensure!(stage.accounts(customer).await?[0].items == 2);
        Ok(())
    }
}
