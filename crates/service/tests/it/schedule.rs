//! The scheduler: what is due, once, whoever looks and however late.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use catalog::{AccountFilter, Health, JobKind, JobResult, RunCause, Status};
use emulator::Settings as World;
use jiff::Timestamp;
use model::{Clock, SimulatedClock};
use service::{Pace, RestoreOrder, Retention, Schedule, Selection, TaskSettings};
use tokio_util::sync::CancellationToken;
use workload::mail::restore::Destination;

use crate::stage::{Customer, Stage, on_both, world};

const HOUR: Duration = Duration::from_secs(3_600);

/// Two mailboxes, and a time that passes when the test says so, and in the waits of workers.
async fn stage(database: String) -> Result<(Stage, SimulatedClock)> {
    let folder = tempfile::tempdir()?;
    let clock = SimulatedClock::new("2026-11-22T08:00:00Z".parse()?);
    let world = World::new(world(folder.path(), &[("ada", 2), ("zoe", 2)])?);
    // While a statement is under way the time may pass by many waits.
    let pace = Pace {
        lease: 24 * HOUR,
        ..Pace::default()
    };
    let stage = Stage::start_world(database, world, Arc::new(clock.clone()), pace).await?;
    Ok((stage, clock))
}

/// How many runs there were for this cause, and how many jobs in the last of them.
async fn runs(stage: &Stage, customer: Customer, cause: RunCause) -> Result<(usize, usize)> {
    let of = stage.service.catalog().organization(customer.organization);
    let mut runs = of.runs(customer.task, None, 100).await?;
    runs.retain(|run| run.cause == cause);
    match runs.first() {
        Some(last) => Ok((runs.len(), stage.jobs(customer, last.id).await?.len())),
        None => Ok((0, 0)),
    }
}

/// Lets a worker do what is queued.
async fn work(stage: &Stage, customer: Customer) -> Result<()> {
    let of = stage.service.catalog().organization(customer.organization);
    for run in of.runs(customer.task, None, 100).await? {
        if run.finished_at.is_none() {
            stage.work_off(customer, run.id).await?;
        }
    }
    Ok(())
}

on_both! {
    /// Abuse 61.
    async fn what_is_due_begins_once_however_late_and_whoever_looks(database: String) -> Result<()> {
        let (stage, clock) = stage(database).await?;
        let settings = TaskSettings { schedule: Schedule::TimesADay(1), activate_new: true, ..TaskSettings::default() };
        let customer = stage.customer_with("fabrikam", &settings).await?;
        let other = stage.another("second", 1).await?;
        stage.service.tick().await;
        assert_eq!(runs(&stage, customer, RunCause::Schedule).await?, (1, 2), "new accounts are active, and were never backed up");
        other.tick().await;
        work(&stage, customer).await?;
        tokio::join!(stage.service.tick(), other.tick());
        assert_eq!(runs(&stage, customer, RunCause::Schedule).await?.0, 1, "nothing is due again today");
        // Everybody was asleep for three days.
        clock.advance(72 * HOUR);
        tokio::join!(stage.service.tick(), other.tick());
        let (count, _) = runs(&stage, customer, RunCause::Schedule).await?;
        work(&stage, customer).await?;
        let of = stage.service.catalog().organization(customer.organization);
        for account in stage.accounts(customer).await? {
            let backups = of.account_jobs(account.key, 100).await?;
            let backups = backups.iter().filter(|job| job.kind == JobKind::Backup);
            assert_eq!(backups.count(), 2, "once for the three days");
        }
        tokio::join!(stage.service.tick(), other.tick());
        assert_eq!(runs(&stage, customer, RunCause::Schedule).await?.0, count);
        Ok(())
    }

    /// Nobody asks: the scheduler finds out by itself that a connection stopped working, and that it works again, some ticks of the clock later.
    async fn a_connections_health_follows_by_the_ticking_of_the_clock(database: String) -> Result<()> {
        let (stage, clock) = stage(database).await?;
        let settings = TaskSettings { schedule: Schedule::Manual, ..TaskSettings::default() };
        let customer = stage.customer_with("fabrikam", &settings).await?;
        let of = stage.service.catalog().organization(customer.organization);
        let tenant = stage.emulator.tenant();
        let expires = async |at: Timestamp| {
            let mut app = tenant.app(stage.emulator.client_id).context("the app")?;
            app.secrets[0].expires = at;
            tenant.set_app(app);
            anyhow::Ok(())
        };
        let (stop, service) = (CancellationToken::new(), stage.service.clone());
        let told = stop.clone();
        let scheduler = tokio::spawn(async move { service.schedule(told).await });
        for (health, until) in [(Health::Disconnected, Timestamp::UNIX_EPOCH), (Health::Connected, "2100-01-01T00:00:00Z".parse()?)] {
            let begun = clock.now();
            expires(until).await?;
            stage.until("the health has changed", async || Ok(of.connection(customer.connection).await?.health == health)).await?;
            let row = of.connection(customer.connection).await?;
            assert!(row.checked_at > Some(begun), "{row:?}");
            assert_eq!(row.health_detail.is_empty(), health == Health::Connected, "it says why");
        }
        stop.cancel();
        scheduler.await?;
        Ok(())
    }

    async fn accounts_come_and_go_with_the_source(database: String) -> Result<()> {
        let (stage, clock) = stage(database).await?;
        let settings = TaskSettings { schedule: Schedule::Manual, activate_new: true, ..TaskSettings::default() };
        let customer = stage.customer_with("fabrikam", &settings).await?;
        stage.service.tick().await;
        let statuses = async || -> Result<Vec<(String, Status)>> {
            let accounts = stage.accounts(customer).await?;
            Ok(accounts.into_iter().map(|account| (account.name, account.status)).collect())
        };
        let both = |zoe| vec![("ada".to_owned(), Status::Active), ("zoe".to_owned(), zoe)];
        assert_eq!(statuses().await?, both(Status::Active));
        let tenant = stage.emulator.tenant();
        let zoe = tenant.users().into_iter().find(|user| user.display_name() == "zoe").context("zoe")?;
        tenant.remove_user(zoe.id);
        stage.service.tick().await;
        assert_eq!(statuses().await?, both(Status::Active), "accounts are looked for once a day");
        clock.advance(25 * HOUR);
        stage.service.tick().await;
        assert_eq!(statuses().await?, both(Status::Archived));
        tenant.set_user((*zoe).clone());
        tenant.set_mailbox(zoe.id, emulator::Mailbox::new(zoe.id, &zoe.principal_name));
        let back = stage.service.discover(customer.organization, customer.task).await?;
        assert_eq!((back.found, back.new, back.gone, back.back), (2, 0, 0, 1));
        assert_eq!(statuses().await?, both(Status::Active));
        Ok(())
    }

    /// With a word in the audit before and after, and never while something is to be restored from them.
    async fn backups_of_accounts_that_are_gone_are_deleted_after_their_days(database: String) -> Result<()> {
        let (stage, clock) = stage(database).await?;
        let settings = TaskSettings {
            schedule: Schedule::TimesADay(1),
            activate_new: true,
            retain_archived_days: Some(30),
            ..TaskSettings::default()
        };
        let customer = stage.customer_with("fabrikam", &settings).await?;
        let of = stage.service.catalog().organization(customer.organization);
        stage.service.tick().await;
        work(&stage, customer).await?;
        let tenant = stage.emulator.tenant();
        let user = tenant.users().into_iter().find(|user| user.display_name() == "zoe").context("zoe")?;
        tenant.remove_user(user.id);
        let day = async |days: u32| {
            clock.advance(days * 24 * HOUR);
            stage.service.tick().await;
            // What a tick has begun keeps the next from beginning anything for the same accounts.
            for run in of.runs(customer.task, None, 100).await? {
                if run.finished_at.is_none() && run.cause != RunCause::Restore {
                    stage.work_off(customer, run.id).await?;
                }
            }
            anyhow::Ok(())
        };
        for _ in 0..3 {
            day(1).await?;
        }
        let accounts = stage.accounts(customer).await?;
        let (ada, zoe) = (&accounts[0], &accounts[1]);
        assert_eq!((ada.status, zoe.status), (Status::Active, Status::Archived));
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let of_zoe = [
            folder.join("accounts").join(format!("{}.json", zoe.source)),
            folder.join("repositories").join(zoe.source.as_str()),
        ];
        let are_there = || of_zoe.iter().all(|path| path.exists());
        day(26).await?;
        assert!(are_there(), "thirty days have not passed");
        let order = || RestoreOrder {
            snapshot: None,
            selection: Selection::Mailbox,
            target: ada.key,
            destination: Destination::NewFolder { name: "From Zoe".to_owned() }, key: None };
        let restore = stage.service.restore(customer.organization, zoe.key, order()).await?;
        stage.service.pause(customer.organization, restore).await?;
        for _ in 0..4 {
            day(1).await?;
        }
        assert!(are_there(), "something is to be restored");
        assert_eq!(of.account(zoe.key).await?.deleted_at, None);
        stage.service.resume(customer.organization, restore).await?;
        stage.work_off(customer, restore).await?;
        assert_eq!(stage.jobs(customer, restore).await?[0].result, Some(JobResult::Success));
        for _ in 0..2 {
            day(1).await?;
        }
        assert!(of_zoe.iter().all(|path| !path.exists()));
        let now = of.account(zoe.key).await?;
        assert!(now.deleted_at.is_some() && now.snapshot.is_none() && now.secret.is_none() && now.items == 0, "{now:?}");
        let noted: Vec<_> = of.audit(None, 100).await?.into_iter().filter(|entry| entry.object == zoe.key.to_string()).map(|entry| entry.action).collect();
        assert_eq!(noted, ["deleted the backups of an account that is gone", "began to delete the backups of an account that is gone"]);
        assert!(stage.service.restore(customer.organization, zoe.key, order()).await.is_err());
        assert!(stage.service.restore_points(customer.organization, zoe.key).await?.is_empty());
        assert!(!stage.service.restore_points(customer.organization, ada.key).await?.is_empty());
        // Back at the source, it is backed up from the beginning.
        tenant.set_user((*user).clone());
        tenant.set_mailbox(user.id, emulator::Mailbox::new(user.id, &user.principal_name));
        day(1).await?;
        day(1).await?;
        let now = of.account(zoe.key).await?;
        assert!(now.status == Status::Active && now.snapshot.is_some() && now.deleted_at.is_none(), "{now:?}");
        Ok(())
    }

    async fn repositories_are_tidied_and_restore_points_forgotten(database: String) -> Result<()> {
        let (stage, clock) = stage(database).await?;
        let settings = TaskSettings {
            schedule: Schedule::TimesADay(24),
            activate_new: true,
            retention: Retention { last: 1, ..Retention::default() },
            ..TaskSettings::default()
        };
        let customer = stage.customer_with("fabrikam", &settings).await?;
        stage.service.tick().await;
        work(&stage, customer).await?;
        let ada = stage.accounts(customer).await?.remove(0);
        let points = async || stage.service.restore_points(customer.organization, ada.key).await;
        assert_eq!(points().await?.len(), 1);
        stage.arrives(&ada)?;
        clock.advance(2 * HOUR);
        stage.service.tick().await;
        work(&stage, customer).await?;
        assert_eq!(runs(&stage, customer, RunCause::Maintenance).await?.0, 0, "a day has not passed");
        assert_eq!(points().await?.len(), 2);
        clock.advance(24 * HOUR);
        stage.service.tick().await;
        work(&stage, customer).await?;
        stage.service.tick().await;
        work(&stage, customer).await?;
        assert!(runs(&stage, customer, RunCause::Maintenance).await?.0 >= 1);
        assert_eq!(points().await?.len(), 1);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_without_a_licence_are_taken_when_the_task_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = format!("sqlite:{}", folder.path().join("catalog.db").display());
    let world = World::new(emulator::World::new().users(6, 7));
    let stage = Stage::start_world(
        database,
        world,
        model::SystemClock::shared(),
        Pace::default(),
    )
    .await?;
    let mut settings = TaskSettings::default();
    let customer = stage.customer_with("fabrikam", &settings).await?;
    let found = stage
        .service
        .discover(customer.organization, customer.task)
        .await?;
    assert_eq!(
        (found.found, found.gone),
        (4, 0),
        "a shared mailbox and a room have no licence"
    );
    settings.unlicensed = true;
    stage
        .service
        .set_settings(customer.organization, customer.task, &settings)
        .await?;
    // Not a day later.
    stage.service.tick().await;
    let of = stage.service.catalog().organization(customer.organization);
    let all = AccountFilter::default();
    assert_eq!(of.count_accounts(customer.task, &all).await?, 6);
    Ok(())
}
