//! A lost database, an emergency kit, and a data folder.

use std::path::Path;

use anyhow::{Context, Result};
use catalog::{AccountFilter, Health, JobResult, LastResult, Status, StatusChange};
use emulator::FaultRule;
use service::{Kind, NewFirstUser, Which};

use crate::stage::{Customer, Stage, on_both};

fn somebody() -> NewFirstUser {
    NewFirstUser {
        name: "Somebody".to_owned(),
        address: "somebody@fabrikam.example".to_owned(),
        password_hash: "hash".to_owned(),
    }
}

/// Copies what is in a folder into another one.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&to)?;
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

on_both! {
    /// Abuse 64: the database is gone, and then older than the repositories.
    async fn a_kit_and_the_data_folder_bring_everything_back(database: String) -> Result<()> {
        let mut stage = Stage::start(database.clone(), &[("ada", 5), ("zoe", 2)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let others = stage.customer("contoso").await?;
        for customer in [customer, others, customer] {
            stage.arrives(&stage.accounts(customer).await?[0])?;
            let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
            stage.work_off(customer, run).await?;
        }
        let before = stage.accounts(customer).await?;
        let points = stage.service.restore_points(customer.organization, before[0].key).await?;
        let kit = stage.service.emergency_kit(customer.organization).await?.to_text().to_string();
        let there = stage.service.recover(&kit, None).await?;
        assert_eq!((there.user, there.accounts, there.behind, there.restore_points), (None, 0, 0, 3), "nothing is lost yet");

        let folder = tempfile::tempdir()?;
        stage.database = match database.starts_with("sqlite") {
            true => format!("sqlite:{}", folder.path().join("new.db").display()),
            false => testkit::postgres::database().context("another database")?,
        };
        stage.service = stage.another("new", 2).await?;
        let no_kit = stage.service.recover("Dear Sir or Madam", Some(somebody())).await;
        assert_eq!(no_kit.err().map(|error| error.kind()), Some(Kind::Invalid));
        let nobody = stage.service.recover(&kit, None).await;
        assert_eq!(nobody.err().map(|error| error.kind()), Some(Kind::Invalid));
        let recovered = stage.service.recover(&kit, Some(somebody())).await?;
        assert_eq!(recovered.organization, customer.organization, "not the other one's folder");
        assert!(recovered.user.is_some());
        assert_eq!((recovered.accounts, recovered.behind, recovered.restore_points, recovered.unreadable), (2, 2, 3, 0));
        let again = stage.service.recover(&kit, None).await?;
        assert_eq!((again.accounts, again.behind, again.restore_points), (0, 0, 3), "once is enough");
        let of = stage.service.catalog().organization(recovered.organization);
        assert_eq!(of.get().await?.name, "fabrikam");
        let (task, connection) = (of.tasks().await?.remove(0), of.connections().await?.remove(0));
        assert_eq!(connection.health, Health::Disconnected);
        let again = Customer { organization: recovered.organization, connection: connection.id, task: task.id };
        let after = stage.accounts(again).await?;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&before.source, &before.snapshot, before.items, before.size_bytes), (&after.source, &after.snapshot, after.items, after.size_bytes));
            assert_eq!((after.status, after.last_result), (Status::Inactive, LastResult::Success));
        }
        let ids = |points: &[service::RestorePoint]| points.iter().map(|point| point.snapshot.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&stage.service.restore_points(again.organization, after[0].key).await?), ids(&points));

        // Backups go on from there, with larger numbers than the repositories know.
        stage.service.reconnect(again.organization, connection.id, stage.credential()?).await?;
        of.change_status(again.task, &AccountFilter::default(), StatusChange::Activate).await?;
        stage.arrives(&after[0])?;
        let run = stage.service.backup_now(again.organization, again.task, Which::All).await?;
        stage.work_off(again, run).await?;
        assert!(stage.jobs(again, run).await?.iter().all(|job| job.result == Some(JobResult::Success)));
        let now = stage.accounts(again).await?.remove(0);
        assert!(now.secret.is_some(), "recovery took it in");
        assert_eq!(now.items, before[0].items + 1);
        let newest = stage.service.restore_points(again.organization, now.key).await?.remove(0);
        assert_eq!(Some(newest.snapshot), now.snapshot);
        Ok(())
    }

    /// What could not be copied is in the new database's ledger, too, as the newest restore point tells it.
    async fn what_was_owed_is_owed_after_recovery(database: String) -> Result<()> {
        let mut stage = Stage::start(database.clone(), &[("ada", 5)]).await?;
        let customer = stage.customer("fabrikam").await?;
        stage.emulator.add_fault(FaultRule {
            status: Some(400),
            code: Some("ErrorInvalidRequest".to_owned()),
            after: 2,
            count: Some(1),
            ..FaultRule::on("/users/{user}/messages/{message}/$value")
        })?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let before = stage.accounts(customer).await?.remove(0);
        assert_eq!((before.last_result, before.failures), (LastResult::Partial, 1));
        let of = stage.service.catalog().organization(customer.organization);
        let owed = of.failures(before.key, None, 10).await?.remove(0).report;
        let kit = stage.service.emergency_kit(customer.organization).await?.to_text().to_string();

        let folder = tempfile::tempdir()?;
        stage.database = match database.starts_with("sqlite") {
            true => format!("sqlite:{}", folder.path().join("new.db").display()),
            false => testkit::postgres::database().context("another database")?,
        };
        stage.service = stage.another("new", 1).await?;
        let recovered = stage.service.recover(&kit, Some(somebody())).await?;
        let of = stage.service.catalog().organization(recovered.organization);
        let task = of.tasks().await?.remove(0).id;
        let after = stage.accounts(Customer { task, ..customer }).await?.remove(0);
        assert_eq!((after.last_result, after.failures), (LastResult::Partial, 1));
        let known = of.failures(after.key, None, 10).await?;
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].report, owed);
        Ok(())
    }

    /// Abuse 64: an older copy of the database is put back, from before one backup ended, another began, and an account was found.
    async fn an_older_copy_of_the_database_learns_what_was_backed_up_since(database: String) -> Result<()> {
        let mut stage = Stage::start(database, &[("ada", 3), ("max", 1), ("zoe", 2)]).await?;
        let tenant = stage.emulator.tenant();
        let max = tenant.users().into_iter().find(|user| user.display_name() == "max").context("max")?;
        tenant.remove_user(max.id);
        let customer = stage.customer("fabrikam").await?;
        let back_up = async |stage: &Stage| -> Result<()> {
            let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
            stage.work_off(customer, run).await?;
            assert!(stage.jobs(customer, run).await?.iter().all(|job| job.result == Some(JobResult::Success)));
            Ok(())
        };
        back_up(&stage).await?;
        let kit = stage.service.emergency_kit(customer.organization).await?.to_text().to_string();
        let copy = stage.copy_of_the_database().await?;
        for _ in 0..2 {
            stage.arrives(&stage.accounts(customer).await?[0])?;
            back_up(&stage).await?;
        }
        let tenant = stage.emulator.tenant();
        tenant.set_user((*max).clone());
        tenant.set_mailbox(max.id, emulator::Mailbox::new(max.id, &max.principal_name));
        stage.service.discover(customer.organization, customer.task).await?;
        let of = stage.service.catalog().organization(customer.organization);
        of.change_status(customer.task, &AccountFilter::default(), StatusChange::Activate).await?;
        back_up(&stage).await?;
        let before = stage.accounts(customer).await?;
        assert_eq!(before.len(), 3);

        stage.database = copy.clone();
        stage.service = stage.another("old", 2).await?;
        let known = stage.accounts(customer).await?;
        assert_eq!((known.len(), known[0].items), (2, 3), "this is the older copy");
        let recovered = stage.service.recover(&kit, None).await?;
        assert_eq!((recovered.user, recovered.accounts, recovered.behind, recovered.unreadable), (None, 1, 2, 0));
        let after = stage.accounts(customer).await?;
        for before in &before {
            let after = after.iter().find(|after| after.source == before.source).context("an account")?;
            assert_eq!((&after.snapshot, after.items, after.size_bytes, after.last_success_at.is_some()), (&before.snapshot, before.items, before.size_bytes, before.snapshot.is_some()));
        }
        // What people had decided is still so, and backups go on.
        assert_eq!(after.iter().filter(|one| one.status == Status::Active).count(), 2);
        stage.arrives(&after[0])?;
        back_up(&stage).await?;
        let now = stage.accounts(customer).await?.remove(0);
        assert_eq!(now.items, before[0].items + 1);
        let newest = stage.service.restore_points(customer.organization, now.key).await?.remove(0);
        assert_eq!(Some(newest.snapshot), now.snapshot, "it is the latest, and not one that comes before the old ones");
        Ok(())
    }

    /// Abuse 64: an older copy of the data folder is put back. What is in it counts, and what is missing is fetched again.
    async fn an_older_copy_of_the_data_folder_is_backed_up_from_there(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 3)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let back_up = async || -> Result<()> {
            let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
            stage.work_off(customer, run).await?;
            assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Success));
            Ok(())
        };
        back_up().await?;
        let kit = stage.service.emergency_kit(customer.organization).await?.to_text().to_string();
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let older = tempfile::tempdir()?;
        copy(&folder, older.path())?;
        let ada = stage.accounts(customer).await?.remove(0);
        stage.arrives(&ada)?;
        back_up().await?;
        std::fs::remove_dir_all(&folder)?;
        std::fs::create_dir(&folder)?;
        copy(older.path(), &folder)?;
        let recovered = stage.service.recover(&kit, None).await?;
        assert_eq!((recovered.accounts, recovered.behind, recovered.restore_points), (0, 1, 1));
        assert_eq!(stage.accounts(customer).await?[0].items, 3, "what is there is shown, and not what was there");
        back_up().await?;
        let now = stage.accounts(customer).await?.remove(0);
        assert_eq!(now.items, 4);
        let archive = stage.service.archive(customer.organization, now.key, None).await?;
        assert_eq!(archive.totals().await?.0, 4);
        Ok(())
    }

    /// The secret of a repository is in the catalog, too, for its own account and no other.
    async fn an_account_whose_file_is_lost_gets_it_back_with_its_own_secret(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 2), ("zoe", 1)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let accounts = stage.accounts(customer).await?;
        let folder = stage.data().join("organizations").join(customer.organization.to_string()).join("accounts");
        let file = |n: usize| folder.join(format!("{}.json", accounts[n].source));
        let before = std::fs::read_to_string(file(0))?;
        let secrets: Vec<_> = accounts.iter().map(|one| one.secret.clone()).collect::<Option<_>>().context("both are kept")?;
        for n in [0, 1] {
            std::fs::remove_file(file(n))?;
        }
        let of = stage.service.catalog().organization(customer.organization);
        of.set_secret(accounts[0].key, &secrets[1]).await?;
        let points = async || stage.service.restore_points(customer.organization, accounts[0].key).await;
        assert_eq!(points().await.err().map(|error| error.kind()), Some(Kind::Corrupt), "that of another row does not open");
        assert!(!file(0).exists());
        of.set_secret(accounts[0].key, &secrets[0]).await?;
        assert_eq!(points().await?.len(), 1);
        let secret = |text: &str| -> Result<serde_json::Value> { Ok(serde_json::from_str::<serde_json::Value>(text)?["secret"].clone()) };
        assert_eq!(secret(&std::fs::read_to_string(file(0))?)?, secret(&before)?);
        // The other one is made again by the next backup.
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert!(stage.jobs(customer, run).await?.iter().all(|job| job.result == Some(JobResult::Success)));
        assert!(file(1).exists());
        Ok(())
    }

    /// Abuse 30: the catalog knows of backups that are not there. Nothing is made in their place.
    async fn a_data_folder_that_is_not_mounted_is_told(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 2)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        let account = stage.accounts(customer).await?.remove(0);
        let folder = stage.data().join("organizations").join(customer.organization.to_string());
        let away = stage.data().join("away");
        std::fs::rename(&folder, &away)?;
        let points = stage.service.restore_points(customer.organization, account.key).await;
        assert_eq!(points.err().map(|error| error.kind()), Some(Kind::NotFound));
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Failed));
        assert!(!folder.exists(), "nothing was made");
        for folder_in in ["accounts", "cache", "repositories"] {
            std::fs::create_dir_all(folder.join(folder_in))?;
        }
        let points = stage.service.restore_points(customer.organization, account.key).await;
        assert_eq!(points.err().map(|error| error.kind()), Some(Kind::Corrupt));
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Failed));
        assert_eq!(std::fs::read_dir(folder.join("accounts"))?.count(), 0);
        std::fs::remove_dir_all(&folder)?;
        std::fs::rename(&away, &folder)?;
        let run = stage.service.backup_now(customer.organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Success));
        Ok(())
    }
}
