//! What is another organization's is not found, whatever is asked.

use anyhow::Result;
use catalog::Kind as CatalogKind;
use service::{Kind, RestoreOrder, Selection, Service, TaskSettings, Which};
use workload::mail::restore::Destination;

use crate::stage::{Stage, on_both};

fn is_not_found<T>(what: &str, answer: service::Result<T>) {
    match answer {
        Ok(_) => panic!("{what} was found"),
        Err(error) => assert_eq!(error.kind(), Kind::NotFound, "{what}: {error}"),
    }
}

on_both! {
    async fn what_is_another_organizations_is_not_found(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 2)]).await?;
        let ours = stage.customer("fabrikam").await?;
        let theirs = stage.customer("contoso").await?;
        let service: &Service = &stage.service;
        for customer in [ours, theirs] {
            let run = service.backup_now(customer.organization, customer.task, Which::All).await?;
            stage.work_off(customer, run).await?;
        }
        let (us, key, own) = (ours.organization, stage.accounts(theirs).await?[0].key, stage.accounts(ours).await?[0].key);
        let of = service.catalog().organization(theirs.organization);
        let run = of.runs(theirs.task, None, 1).await?[0].id;
        let point = service.restore_points(theirs.organization, key).await?.remove(0).snapshot;
        let order = |target| RestoreOrder {
            snapshot: None,
            selection: Selection::Mailbox,
            target,
            destination: Destination::InPlace, key: None };
        is_not_found("a connection", service.check_connection(us, theirs.connection).await);
        is_not_found("a connection", service.reconnect(us, theirs.connection, stage.credential()?).await);
        is_not_found("a connection", service.add_task(us, theirs.connection, "Other", &TaskSettings::default()).await);
        is_not_found("a task", service.discover(us, theirs.task).await);
        is_not_found("a task", service.task_settings(us, theirs.task).await);
        is_not_found("a task", service.set_settings(us, theirs.task, &TaskSettings::default()).await);
        is_not_found("a task", service.backup_now(us, theirs.task, Which::All).await);
        is_not_found("a task", service.verify(us, theirs.task, Which::All).await);
        is_not_found("a run", service.pause(us, run).await);
        is_not_found("a run", service.resume(us, run).await);
        is_not_found("a run", service.cancel(us, run).await);
        is_not_found("an account", service.restore_points(us, key).await);
        is_not_found("an account", service.archive(us, key, None).await);
        is_not_found("an account", service.restore(us, key, order(own)).await);
        is_not_found("a target", service.restore(us, own, order(key)).await);
        is_not_found("a restore point", service.archive(us, own, Some(&point)).await);
        let foreign = service.backup_now(us, ours.task, Which::Keys(vec![key])).await;
        assert_eq!(foreign.err().map(|error| error.kind()), Some(Kind::Conflict), "no account of ours is meant");
        let job = of.jobs(run, 1).await?[0].id;
        let ours = service.catalog().organization(us);
        assert_eq!(ours.job(job).await.err().map(|error| error.kind()), Some(CatalogKind::NotFound));
        assert!(ours.account_jobs(key, 10).await?.is_empty());
        Ok(())
    }
}
