//! Connections that lack something, stop working, and are mended.

use anyhow::{Context, Result};
use catalog::{Health, JobResult};
use emulator::{Settings as World, World as People};
use jiff::{SignedDuration, Timestamp};
use model::{SimulatedClock, TenantId};
use service::{Credential, JobReport, Kind, NewCredential, Pace, Which};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

use crate::stage::{Stage, on_both};

const READ_WRITE: &str = "Mail.ReadWrite";

on_both! {
    async fn missing_permissions_are_waited_for_and_then_named(database: String) -> Result<()> {
        let mut world = World::new(People::new());
        world.roles.retain(|role| role != READ_WRITE);
        world.requires = vec![READ_WRITE.to_owned()];
        let clock = SimulatedClock::new("2026-11-22T08:00:00Z".parse()?);
        let stage = Stage::start_world(database, world, Arc::new(clock.clone()), Pace::default()).await?;
        let organization = stage.found("fabrikam").await?;
        let service = &stage.service;
        let connection = service.connect(organization, stage.credential()?).await?;
        let of = service.catalog().organization(organization);
        assert_eq!(of.connection(connection).await?.health, Health::Checking);
        let young = service.check_connection(organization, connection).await?;
        let names: Vec<&str> = young.missing.iter().map(|one| one.name).collect();
        assert_eq!((young.health, names), (Health::Checking, vec![READ_WRITE]));
        clock.advance(Duration::from_secs(301));
        let late = service.check_connection(organization, connection).await?;
        assert_eq!(late.health, Health::Incomplete);
        let row = of.connection(connection).await?;
        assert_eq!((row.health, row.health_detail.as_str()), (Health::Incomplete, late.detail.as_str()));
        assert!(late.detail.contains(READ_WRITE), "{}", late.detail);
        assert!(stage.emulator.tenant().grant_role(stage.emulator.client_id, READ_WRITE, stage.emulator.now()));
        let granted = service.check_connection(organization, connection).await?;
        assert_eq!((granted.health, granted.detail.as_str()), (Health::Connected, ""));
        assert_eq!(of.connection(connection).await?.tenant_name, "Contoso");
        Ok(())
    }

    async fn an_expired_secret_is_named_and_another_one_mends_the_connection(database: String) -> Result<()> {
        let stage = Stage::start(database, &[("ada", 2)]).await?;
        let customer = stage.customer("fabrikam").await?;
        let (service, organization, connection) = (stage.another("second", 1).await?, customer.organization, customer.connection);
        let tenant = stage.emulator.tenant();
        let mut app = tenant.app(stage.emulator.client_id).context("the app")?;
        app.secrets[0].expires = Timestamp::UNIX_EPOCH;
        tenant.set_app(app.clone());
        let run = service.backup_now(organization, customer.task, Which::All).await?;
        let worker = crate::stage::Worker::of(&service);
        stage.over(customer, run).await?;
        worker.end().await?;
        let job = stage.jobs(customer, run).await?.remove(0);
        let report = JobReport::from_text(&job.outcome).context("a report")?;
        let error = report.error.context("it says why")?;
        assert_eq!(job.result, Some(JobResult::Failed));
        assert!(error.contains("AADSTS7000222"), "{error}");
        let of = service.catalog().organization(organization);
        let row = of.connection(connection).await?;
        assert_eq!(row.health, Health::Disconnected);
        assert!(row.health_detail.contains("the client secret has expired"), "{}", row.health_detail);

        let again = |value: &str| -> Result<NewCredential> {
            Ok(NewCredential { credential: Credential::Secret(Zeroizing::new(value.to_owned())), ..stage.credential()? })
        };
        let elsewhere = NewCredential { tenant: TenantId::new("another")?, ..again("x")? };
        let refused = service.reconnect(organization, connection, elsewhere).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(Kind::Invalid));
        service.reconnect(organization, connection, again("wrong")?).await?;
        let wrong = service.check_connection(organization, connection).await?;
        assert_eq!(wrong.health, Health::Disconnected);
        assert!(wrong.detail.contains("the client secret is wrong"), "{}", wrong.detail);
        app.secrets[0].value = "a new one".to_owned();
        app.secrets[0].expires = stage.emulator.now() + SignedDuration::from_hours(24);
        tenant.set_app(app);
        service.reconnect(organization, connection, again("a new one")?).await?;
        assert_eq!(service.check_connection(organization, connection).await?.health, Health::Connected);
        // The other process learns of it by itself.
        let run = stage.service.backup_now(organization, customer.task, Which::All).await?;
        stage.work_off(customer, run).await?;
        assert_eq!(stage.jobs(customer, run).await?[0].result, Some(JobResult::Success));
        Ok(())
    }
}
