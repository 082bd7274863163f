//! From an empty database to a restored message, and what people look at on the way.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use catalog::{Health, JobResult, LastResult, Status};
use emulator::FaultRule;
use model::FailureCause;
use secrets::EmergencyKit;
use service::{JobReport, RestoreOrder, Schedule, Selection, TaskSettings, Which};
use workload::mail::{Search, restore::Destination};

use crate::stage::{Stage, on_both};

on_both! {
    async fn a_message_is_backed_up_looked_at_and_restored(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 12), ("zoe", 3)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization) = (&stage.service, customer.organization);
        let of = service.catalog().organization(organization);
        let connection = of.connection(customer.connection).await?;
        assert_eq!((connection.health, connection.tenant_name.as_str()), (Health::Connected, "Contoso"));
        let accounts = stage.accounts(customer).await?;
        let names: Vec<&str> = accounts.iter().map(|account| account.name.as_str()).collect();
        assert_eq!(names, ["ada", "zoe"]);
        assert!(service.restore_points(organization, accounts[0].key).await?.is_empty());

        let mut changes = service.changed();
        let run = service.backup_now(organization, customer.task, Which::Keys(vec![accounts[0].key])).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(changes.recv().await?.run, run);
        let job = stage.jobs(customer, run).await?.remove(0);
        assert_eq!((job.result, job.progress.items, job.progress.items_total), (Some(JobResult::Success), 12, 12));
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        assert_eq!((report.added, report.items, report.failures, report.error), (12, 12, 0, None));
        let ada = of.account(accounts[0].key).await?;
        assert_eq!((ada.status, ada.last_result, ada.items), (Status::Active, LastResult::Success, 12));
        assert_eq!((ada.snapshot.clone(), ada.size_bytes), (report.snapshot.clone(), report.size_bytes));
        assert!(ada.size_bytes > 12 * 200, "{}", ada.size_bytes);
        assert_eq!(of.account(accounts[1].key).await?.last_result, LastResult::NeverRun);

        let points = service.restore_points(organization, ada.key).await?;
        assert_eq!(points.len(), 1);
        assert_eq!((points[0].items, points[0].partial, Some(&points[0].snapshot)), (Some(12), false, ada.snapshot.as_ref()));
        let archive = service.archive(organization, ada.key, Some(&points[0].snapshot)).await?;
        let inbox = archive.folders().iter().find(|folder| folder.well_known.as_deref() == Some("inbox")).context("an inbox")?;
        assert_eq!(inbox.messages, 12);
        let page = archive.page(&inbox.id, None, 5).await?;
        let subjects: Vec<&str> = page.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects, ["Mail 11 for ada", "Mail 10 for ada", "Mail 9 for ada", "Mail 8 for ada", "Mail 7 for ada"]);
        assert_eq!((page[0].sender_name.as_str(), page[0].sender_address.as_str()), ("Zoe", "zoe@example.com"));
        let mut rest = archive.page(&inbox.id, Some(&page[4].at), 100).await?;
        assert_eq!((rest.len(), rest[0].subject.as_str()), (7, "Mail 6 for ada"));
        assert!(archive.page(&inbox.id, Some(&rest[6].at), 5).await?.is_empty());
        let search = Search { words: "MAIL 1 zoe".to_owned(), ..Search::default() };
        let (mut found, mut after, mut looked_at) = (Vec::new(), None, 0);
        loop {
            let part = archive.search(&search, after.as_ref(), 2, 5).await?;
            assert!(part.messages.len() <= 2 && part.looked_at <= 5);
            found.extend(part.messages.into_iter().map(|(_, message)| message.subject));
            looked_at += part.looked_at;
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["Mail 11 for ada", "Mail 10 for ada", "Mail 1 for ada"]);
        assert_eq!(looked_at, 12);
        let wanted = rest.remove(0);
        let message = archive.message(&wanted.at).await?;
        assert_eq!((message.mime.len() as u64, message.id.clone()), (wanted.size_bytes, wanted.id.clone()));

        let order = RestoreOrder {
            snapshot: Some(points[0].snapshot.clone()),
            selection: Selection::Messages(vec![wanted.id]),
            target: accounts[1].key,
            destination: Destination::NewFolder { name: "Restored".to_owned() }, key: None };
        let run = service.restore(organization, ada.key, order).await?;
        stage.work_off(customer, run).await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        assert_eq!((job.result, report.restored, job.progress.items_total), (Some(JobResult::Success), 1, 1), "{report:?}");
        assert_eq!(of.account(ada.key).await?.last_result, LastResult::Success, "a restore is no backup");
        let zoe = stage.emulator.tenant().mailbox(accounts[1].source.as_str().parse()?).context("a mailbox")?;
        let zoe = zoe.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        let restored = zoe.message_views().filter(|message| String::from_utf8_lossy(&message.mime).contains("Mail 6 for ada"));
        assert_eq!((restored.count(), zoe.message_count()), (1, 4));
        Ok(())
    }

    async fn items_that_fail_are_in_the_ledger_until_they_are_copied(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 5)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization) = (&stage.service, customer.organization);
        stage.emulator.add_fault(FaultRule {
            status: Some(400),
            code: Some("ErrorInvalidRequest".to_owned()),
            after: 2,
            count: Some(1),
            ..FaultRule::on("/users/{user}/messages/{message}/$value")
        })?;
        let of = service.catalog().organization(organization);
        let back_up = async || -> Result<Option<JobResult>> {
            let run = service.backup_now(organization, customer.task, Which::All).await?;
            stage.work_off(customer, run).await?;
            Ok(stage.jobs(customer, run).await?[0].result)
        };
        assert_eq!(back_up().await?, Some(JobResult::Partial));
        let ada = stage.accounts(customer).await?.remove(0);
        assert_eq!((ada.last_result, ada.failures), (LastResult::Partial, 1));
        let ledger = of.failures(ada.key, None, 10).await?;
        assert_eq!((ledger.len(), ledger[0].report.cause, ledger[0].report.attempts), (1, FailureCause::Refused, 1));
        assert!(service.restore_points(organization, ada.key).await?[0].partial);
        assert_eq!(back_up().await?, Some(JobResult::Success));
        let ada = stage.accounts(customer).await?.remove(0);
        assert_eq!((ada.last_result, ada.failures, ada.items), (LastResult::Success, 0, 5));
        assert!(of.failures(ada.key, None, 10).await?.is_empty());
        Ok(())
    }

    async fn verifying_reads_everything_and_the_kit_holds_the_key(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 3)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization) = (&stage.service, customer.organization);
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let run = service.verify(organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Success));
        let kit = service.emergency_kit(organization).await?;
        let text = kit.to_text();
        let key = EmergencyKit::recovery_key(&text)?;
        let folder = stage.data().join("organizations").join(organization.to_string());
        assert!(!folder.join("recovery-key").exists(), "no key lies beside the data");
        let vault = engine::Vault::with_key(&folder, zeroize::Zeroizing::new(*key.as_bytes()))?;
        let account = vault.accounts()?.remove(0);
        for restic in testkit::restic::both() {
            restic.check(&vault.repository_path(&account.id), &vault.password(&account.id)?)?;
        }
        assert!(service.catalog().organization(organization).get().await?.kit_taken_at.is_some());
        Ok(())
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// What a backup leaves beside it lists and finds messages without reading one, and goes when the task's setting says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_kept_sealed_as_long_as_they_are_wanted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("catalog.db").display().to_string();
    let stage = Stage::start(database, &[("ada", 20)]).await?;
    let customer = stage.customer("fabrikam").await?;
    let (service, organization) = (&stage.service, customer.organization);
    let back_up = async || {
        let run = service.backup_now(organization, customer.task, Which::All);
        stage.work_off(customer, run.await?).await
    };
    let lists = || -> Result<Vec<PathBuf>> {
        let is_list = |path: &PathBuf| path.extension().is_some_and(|end| end == "summary");
        Ok(files(stage.data())?.into_iter().filter(is_list).collect())
    };
    back_up().await?;
    let kept = lists()?;
    assert!(!kept.is_empty());
    for list in kept {
        let bytes = std::fs::read(list)?;
        assert!(
            !bytes.windows(4).any(|part| part == b"Mail"),
            "it is sealed"
        );
    }
    let ada = stage.accounts(customer).await?.remove(0);
    let packs = stage
        .data()
        .join("organizations")
        .join(organization.to_string());
    let packs = packs
        .join("repositories")
        .join(ada.source.as_str())
        .join("data");
    let elsewhere = folder.path().join("packs");
    std::fs::rename(&packs, &elsewhere)?;
    let archive = service.archive(organization, ada.key, None).await?;
    let search = Search {
        words: "MAIL 7".to_owned(),
        ..Search::default()
    };
    let found = archive.search(&search, None, 50, 5_000).await?;
    let subjects: Vec<&str> = found
        .messages
        .iter()
        .map(|(_, one)| one.subject.as_str())
        .collect();
    assert_eq!(
        (subjects, found.looked_at),
        (vec!["Mail 17 for ada", "Mail 7 for ada"], 20)
    );
    let (inbox, first) = &found.messages[0];
    let page = archive.page(inbox, Some(&first.at), 5).await?;
    assert_eq!(
        (page.len(), page[0].subject.as_str()),
        (5, "Mail 16 for ada")
    );
    assert!(
        archive.message(&first.at).await.is_err(),
        "messages are in the packs"
    );
    std::fs::rename(&elsewhere, &packs)?;

    let settings = TaskSettings {
        index: false,
        schedule: Schedule::Manual,
        ..TaskSettings::default()
    };
    service
        .set_settings(organization, customer.task, &settings)
        .await?;
    // Also when nothing has changed in the mailbox.
    back_up().await?;
    assert_eq!(lists()?, Vec::<PathBuf>::new());
    stage.arrives(&ada)?;
    back_up().await?;
    assert_eq!(lists()?, Vec::<PathBuf>::new());
    let archive = service.archive(organization, ada.key, None).await?;
    let found = archive.search(&search, None, 50, 5_000).await?;
    assert_eq!(
        (found.messages.len(), found.looked_at),
        (2, 21),
        "without lists, too"
    );
    Ok(())
}

#[tokio::test]
async fn another_servers_key_is_told_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("catalog.db").display().to_string();
    let stage = Stage::start(database.clone(), &[]).await?;
    stage.found("fabrikam").await?;
    let settings = service::Settings {
        data: stage.data().to_owned(),
        database,
        cloud: stage.service.cloud().clone(),
        instance: "second".to_owned(),
        clock: stage.clock.clone(),
        at_once: std::num::NonZeroUsize::MIN,
        pace: service::Pace::default(),
    };
    let refused = service::Service::open(settings, secrets::ServerKey::random()).await;
    let error = refused.err().context("it is another key")?;
    assert_eq!(error.kind(), service::Kind::Corrupt);
    assert!(error.to_string().contains("key file"), "{error}");
    Ok(())
}
