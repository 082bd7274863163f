//! Workers: beside each other, dying, told to stop, and overtaken.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result};
use catalog::{Became, Job, JobResult, JobState, LastResult, Left};
use emulator::FaultRule;
use jiff::SignedDuration;
use service::{JobReport, Pace, RestoreOrder, Selection, Which};
use workload::mail::restore::Destination;

use crate::stage::{Stage, Worker, on_both};

const MIME: &str = "/users/{user}/messages/{message}/$value";
/// Whoever pauses or cancels a run looks at it until it is so: a worker asks what is wanted every second, and gives its work six to be left in order.
const SECONDS: Duration = Duration::from_secs(10);

/// Answers come slowly from the so-manieth message on.
fn slow(stage: &Stage, after: u64, delay_ms: u64) -> Result<()> {
    stage.emulator.add_fault(FaultRule {
        after,
        delay_ms,
        ..FaultRule::on(MIME)
    })?;
    Ok(())
}

/// So many processes with a worker each race over more accounts than they have hands.
async fn race(database: String, workers: usize) -> Result<()> {
    let names: Vec<String> = (0..40).map(|n| format!("person{n:02}")).collect();
    let people: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 2)).collect();
    let mut stage = Stage::start(database, &people).await?;
    let customer = stage.customer("fabrikam").await?;
    // No lease ends meanwhile, however busy the machine is.
    stage.pace = Pace {
        look: Duration::from_millis(50),
        ..Pace::default()
    };
    let mut running = Vec::new();
    let mut services = Vec::new();
    for n in 0..workers {
        let service = stage.another(&format!("worker{n}"), 2).await?;
        running.push(Worker::of(&service));
        services.push(service);
    }
    let run = stage
        .service
        .backup_now(customer.organization, customer.task, Which::All)
        .await?;
    stage.over(customer, run).await?;
    for worker in running {
        worker.end().await?;
    }
    let jobs = stage.jobs(customer, run).await?;
    assert_eq!(jobs.len(), 40);
    let is_odd = |job: &&Job| job.result != Some(JobResult::Success) || job.attempts != 1;
    assert!(
        !jobs.iter().any(|job| is_odd(&job)),
        "{:?}",
        jobs.iter().find(is_odd)
    );
    assert_eq!(
        jobs.iter()
            .map(|job| job.account)
            .collect::<HashSet<_>>()
            .len(),
        40
    );
    for account in stage.accounts(customer).await? {
        let points = stage
            .service
            .restore_points(customer.organization, account.key)
            .await?;
        let made: Vec<_> = points.iter().map(|point| point.items).collect();
        assert_eq!(made, [Some(2)], "nobody backed it up twice");
    }
    Ok(())
}

on_both! {
    /// Abuse 59.
    async fn two_workers_never_have_the_same_job(database: String) -> Result<()> {
        race(database, 2).await
    }

    /// Abuse 59.
    async fn twenty_workers_never_have_the_same_job(database: String) -> Result<()> {
        race(database, 20).await
    }

    /// Abuse 60.
    async fn the_job_of_a_worker_that_dies_is_finished_by_another(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 20)]).await?;
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 8, 600_000)?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        let worker = Worker::of(&stage.service);
        stage.job_is(customer, run, JobState::Running, 8).await?;
        worker.kill().await;
        stage.emulator.clear_faults();
        let other = stage.another("second", 1).await?;
        let worker = Worker::of(&other);
        stage.over(customer, run).await?;
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.result, job.attempts), (Some(JobResult::Success), 2));
        let account = stage.accounts(customer).await?.remove(0);
        assert_eq!((account.items, account.last_result), (20, LastResult::Success));
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let key = stage.service.emergency_kit(customer.organization).await?.recovery_key;
        let vault = engine::Vault::with_key(&folder, zeroize::Zeroizing::new(*key.as_bytes()))?;
        for restic in testkit::restic::both() {
            restic.check(&vault.repository_path(&account.source), &vault.password(&account.source)?)?;
        }
        Ok(())
    }

    /// In seconds, and not when all is copied, which takes more than a minute here.
    async fn a_paused_run_leaves_a_restore_point_and_goes_on_from_there(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 400)]).await?;
        stage.pace = Pace { look: Duration::from_millis(50), ..Pace::default() };
        stage.service = stage.another("as it is", 1).await?;
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 0, 1_000)?;
        let (service, organization) = (&stage.service, customer.organization);
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        let worker = Worker::of(service);
        stage.job_is(customer, run, JobState::Running, 10).await?;
        let asked = stage.clock.elapsed();
        service.pause(organization, run).await?;
        let job = stage.job_is(customer, run, JobState::Paused, 10).await?;
        let took = stage.clock.elapsed() - asked;
        assert!(took < SECONDS, "{took:?}");
        assert!(job.progress.items < 200, "{}", job.progress.items);
        let account = stage.accounts(customer).await?.remove(0);
        let points = service.restore_points(organization, account.key).await?;
        assert_eq!(points.len(), 1);
        assert!(points[0].partial);
        let held = service.archive(organization, account.key, None).await?.totals().await?.0;
        assert!((10..200).contains(&held), "{held}");
        stage.emulator.clear_faults();
        service.resume(organization, run).await?;
        stage.over(customer, run).await?;
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        assert_eq!((job.result, report.items, report.added), (Some(JobResult::Success), 400, 400 - held));
        assert!(!service.restore_points(organization, account.key).await?[0].partial);
        Ok(())
    }

    /// In seconds, too.
    async fn a_cancelled_run_is_over_and_what_it_has_stays(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 400), ("zoe", 2)]).await?;
        stage.pace = Pace { look: Duration::from_millis(50), ..Pace::default() };
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 0, 1_000)?;
        let service = stage.another("one at a time", 1).await?;
        let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
        let worker = Worker::of(&service);
        stage.until("messages come in", async || {
            Ok(stage.jobs(customer, run).await?.iter().any(|job| job.progress.items >= 6))
        }).await?;
        let asked = stage.clock.elapsed();
        service.cancel(customer.organization, run).await?;
        stage.over(customer, run).await?;
        let took = stage.clock.elapsed() - asked;
        assert!(took < SECONDS, "{took:?}");
        worker.end().await?;
        let jobs = stage.jobs(customer, run).await?;
        assert!(jobs.iter().all(|job| job.state == JobState::Cancelled && job.result.is_none()), "{jobs:?}");
        let accounts = stage.accounts(customer).await?;
        let points = service.restore_points(customer.organization, accounts[0].key).await?;
        assert!(points.len() == 1 && points[0].partial, "{points:?}");
        let held = service.archive(customer.organization, accounts[0].key, None).await?.totals().await?.0;
        assert!((6..200).contains(&held), "{held}");
        let told: Vec<_> = accounts.iter().map(|one| (one.snapshot.as_ref(), one.items, one.last_result)).collect();
        assert_eq!(told, [(Some(&points[0].snapshot), held, LastResult::Partial), (None, 0, LastResult::NeverRun)]);
        assert!(service.pause(customer.organization, run).await.is_err(), "it is over");
        Ok(())
    }

    /// What a restore has done until it is stopped stays told.
    async fn a_cancelled_restore_keeps_its_report(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 30)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization) = (&stage.service, customer.organization);
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        stage.emulator.add_fault(FaultRule {
            method: Some("POST".to_owned()),
            after: 6,
            delay_ms: 600_000,
            ..FaultRule::on("/users/{user}/mailFolders/{folder}/messages")
        })?;
        let order = RestoreOrder {
            snapshot: None,
            selection: Selection::Mailbox,
            target: account.key,
            destination: Destination::NewFolder { name: "Restored".to_owned() },
            key: None,
        };
        let run = service.restore(organization, account.key, order).await?;
        let worker = Worker::of(service);
        stage.job_is(customer, run, JobState::Running, 6).await?;
        service.cancel(organization, run).await?;
        stage.over(customer, run).await?;
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        assert_eq!((job.state, report.restored, report.into.as_deref()), (JobState::Cancelled, 6, Some("Restored")));
        let of = service.catalog().organization(organization);
        let items = of.restored_items(job.id, &[Became::Restored], 0, 100).await?;
        assert_eq!(items.len(), 6);
        Ok(())
    }

    /// Abuse 67: SIGTERM tells the worker to stop.
    async fn a_worker_that_is_told_to_stop_gives_its_job_back(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 60)]).await?;
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 10, 150)?;
        let (service, organization) = (&stage.service, customer.organization);
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        let worker = Worker::of(service);
        stage.job_is(customer, run, JobState::Running, 12).await?;
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.state, job.attempts), (JobState::Queued, 0), "that attempt does not count");
        let account = stage.accounts(customer).await?.remove(0);
        let points = service.restore_points(organization, account.key).await?;
        assert_eq!((points.len(), account.snapshot.as_ref()), (1, Some(&points[0].snapshot)), "what it left is known at once");
        assert!((12..60).contains(&account.items) && account.last_result == LastResult::Scheduled, "{account:?}");
        stage.emulator.clear_faults();
        stage.work_off(customer, run).await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.result, job.attempts), (Some(JobResult::Success), 1));
        Ok(())
    }

    /// Abuse 67: also when the answers that it waits for do not come.
    async fn a_worker_whose_requests_hang_stops_in_time(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 20)]).await?;
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 8, 600_000)?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        let worker = Worker::of(&stage.service);
        stage.job_is(customer, run, JobState::Running, 8).await?;
        worker.end().await?;
        assert_eq!(stage.jobs(customer, run).await?[0].state, JobState::Queued);
        Ok(())
    }

    async fn what_a_job_waits_for_is_told_in_words(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 20)]).await?;
        let customer = stage.customer("fabrikam").await?;
        stage.emulator.add_fault(FaultRule {
            after: 8,
            status: Some(429),
            headers: [("Retry-After".to_owned(), "300".to_owned())].into(),
            ..FaultRule::on(MIME)
        })?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        let worker = Worker::of(&stage.service);
        stage.until("it waits", async || {
            Ok(!stage.jobs(customer, run).await?[0].progress.waiting_for.is_empty())
        }).await?;
        let waiting = stage.jobs(customer, run).await?.remove(0).progress.waiting_for;
        let seconds = waiting.strip_prefix("waiting ").and_then(|rest| rest.strip_suffix(" s for Outlook: Microsoft asked for it"));
        let seconds: u64 = seconds.context(waiting.clone())?.parse()?;
        assert!((200..=300).contains(&seconds), "{waiting}");
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.state, job.progress.waiting_for.as_str()), (JobState::Queued, ""));
        Ok(())
    }

    /// One that has to wait an hour makes room for another, and has its turn again when its wait is over.
    async fn who_is_throttled_makes_room(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 20), ("bob", 3)]).await?;
        let customer = stage.customer("fabrikam").await?;
        // Whoever is first.
        stage.emulator.add_fault(FaultRule {
            after: 2,
            count: Some(1),
            status: Some(429),
            headers: [("Retry-After".to_owned(), "3600".to_owned())].into(),
            ..FaultRule::on(MIME)
        })?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.pace.patience = Duration::from_secs(60);
        let one_hand = stage.another("one hand", 1).await?;
        let begun = stage.clock.now();
        let worker = Worker::of(&one_hand);
        stage.until("the other one is done", async || {
            Ok(stage.jobs(customer, run).await?.iter().any(|job| job.result == Some(JobResult::Success)))
        }).await?;
        let jobs = stage.jobs(customer, run).await?;
        let waits = jobs.iter().find(|job| job.result.is_none()).context("one waits")?;
        assert_eq!((waits.state, waits.attempts), (JobState::Queued, 0), "{waits:?}");
        let after = waits.not_before.duration_since(begun);
        assert!((3_500..4_000).contains(&after.as_secs()), "{waits:?}");
        assert_eq!(waits.progress.waiting_for, "Microsoft asks for a pause");
        worker.end().await
    }

    async fn a_restore_does_not_wait_for_a_backup_of_the_same_account(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 4)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization) = (&stage.service, customer.organization);
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        stage.arrives(&account)?;
        slow(&stage, 0, 600_000)?;
        let backup = service.backup_now(organization, customer.task, Which::All).await?;
        let worker = Worker::of(service);
        stage.job_is(customer, backup, JobState::Running, 0).await?;
        let order = RestoreOrder {
            snapshot: None,
            selection: Selection::Mailbox,
            target: account.key,
            destination: Destination::NewFolder { name: "Restored".to_owned() }, key: None };
        let restore = service.restore(organization, account.key, order).await?;
        stage.over(customer, restore).await?;
        let job = stage.jobs(customer, restore).await?.remove(0);
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        assert_eq!((job.result, report.restored), (Some(JobResult::Success), 4), "{report:?}");
        assert_eq!(stage.jobs(customer, backup).await?[0].state, JobState::Running);
        assert_eq!(stage.accounts(customer).await?[0].last_result, LastResult::InProgress);
        worker.end().await
    }

    /// Abuse 59: the worker was asleep, and another one has its job.
    async fn a_worker_that_lost_its_lease_writes_nothing(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 20)]).await?;
        let customer = stage.customer("fabrikam").await?;
        slow(&stage, 8, 600_000)?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        let worker = Worker::of(&stage.service);
        stage.job_is(customer, run, JobState::Running, 8).await?;
        let (catalog, later) = (stage.service.catalog(), stage.clock.now() + SignedDuration::from_hours(1));
        let lease = Duration::from_secs(3_600);
        let claim = catalog.claim("thief", lease, later).await?.context("the lease is over, as the thief's clock says")?;
        let mut changes = stage.service.changed();
        // It drops the work and says so; then it has no job left to stop for.
        changes.recv().await?;
        stage.emulator.clear_faults();
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.state, job.result, job.attempts), (JobState::Running, None, 2));
        let account = stage.accounts(customer).await?.remove(0);
        assert_eq!((account.snapshot.clone(), account.last_success_at), (None, None));
        catalog.give_back(&claim.lease, &Left::until(later), later).await?;
        Ok(())
    }
}
