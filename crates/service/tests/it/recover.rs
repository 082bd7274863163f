//! A lost database, an emergency kit, and a data folder.

use anyhow::{Context, Result};
use catalog::{Health, JobResult, LastResult, Status, StatusChange};
use service::{Kind, NewFirstUser, Which};

use crate::stage::{Customer, Stage, on_both};

fn somebody() -> NewFirstUser {
    NewFirstUser {
        name: "Somebody".to_owned(),
        address: "somebody@fabrikam.example".to_owned(),
        password_hash: "hash".to_owned(),
    }
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
        let there = stage.service.recover(&kit, somebody()).await;
        assert_eq!(there.err().map(|error| error.kind()), Some(Kind::Conflict), "nothing is lost yet");

        let folder = tempfile::tempdir()?;
        stage.database = match database.starts_with("sqlite") {
            true => format!("sqlite:{}", folder.path().join("new.db").display()),
            false => testkit::postgres::database().context("another database")?,
        };
        stage.service = stage.another("new", 2).await?;
        let no_kit = stage.service.recover("Dear Sir or Madam", somebody()).await;
        assert_eq!(no_kit.err().map(|error| error.kind()), Some(Kind::Invalid));
        let recovered = stage.service.recover(&kit, somebody()).await?;
        assert_eq!(recovered.organization, customer.organization, "not the other one's folder");
        assert_eq!((recovered.accounts, recovered.restore_points, recovered.unreadable), (2, 3, 0));
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
        of.change_status(again.task, &catalog::AccountFilter::default(), StatusChange::Activate).await?;
        stage.arrives(&after[0])?;
        let run = stage.service.backup_now(again.organization, again.task, Which::All).await?;
        stage.work_off(again, run).await?;
        assert!(stage.jobs(again, run).await?.iter().all(|job| job.result == Some(JobResult::Success)));
        let now = stage.accounts(again).await?.remove(0);
        assert_eq!(now.items, before[0].items + 1);
        let newest = stage.service.restore_points(again.organization, now.key).await?.remove(0);
        assert_eq!(Some(newest.snapshot), now.snapshot);
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
