//! The scheduler: compares what should be with what is, and begins the difference.
//!
//! It remembers nothing: what is due shows in the catalog. So a restart is a tick like any other, a tick that comes late does what is due once, and
//! several schedulers beside each other do no harm, because an account has one active job, and looking twice is no more than looking once.

use catalog::{AccountFilter, Connection, Health, JobKind, OrganizationId, RunCause, Status, Task};
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::{
    Result, Service, TaskSettings,
    runs::{IN_TURN, LATER},
};

/// How often a connection that works is looked at.
const HEALTH_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// How often a task's accounts are looked for.
const DISCOVERY_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How often repositories are tidied where restore points are to be forgotten, or the backups of accounts that are gone deleted.
const FORGET_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// How often elsewhere: backups tidy their own small files.
const PRUNE_EVERY: SignedDuration = SignedDuration::from_hours(7 * 24);

impl Service {
    /// Ticks until `stop` is told. A tick that is under way then is dropped: the next one does the same.
    pub async fn schedule(&self, stop: CancellationToken) {
        let (clock, pace) = (self.clock(), self.settings().pace);
        let ticks = async {
            loop {
                self.tick().await;
                clock.sleep(pace.tick).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ticks => {}
        }
    }

    /// Looks once at everything that may be due, and begins it. What fails hinders nothing else, and is tried with the next tick.
    pub async fn tick(&self) {
        let now = self.clock().now();
        note(
            "sessions that are over could not be forgotten",
            self.catalog().forget_sessions(now).await,
        );
        let organizations = match self.catalog().organizations().await {
            Ok(organizations) => organizations,
            Err(error) => {
                tracing::warn!(error = %error, "the scheduler cannot see what is due");
                return;
            }
        };
        for organization in organizations {
            note(
                "an organization could not be looked at",
                self.look_at(organization.id).await,
            );
        }
    }

    async fn look_at(&self, organization: OrganizationId) -> Result<()> {
        let of = self.catalog().organization(organization);
        for connection in of.connections().await? {
            let looked = self.look_at_health(organization, &connection).await;
            note("a connection could not be checked", looked);
        }
        for task in of.tasks().await? {
            let discovered = self.look_for_accounts(organization, &task).await;
            note("a task's accounts could not be looked for", discovered);
            let begun = self.begin_due(organization, &task).await;
            note("what is due of a task could not be begun", begun);
            let tidied = self.begin_tidying(organization, &task).await;
            note("a task's repositories could not be tidied", tidied);
        }
        Ok(())
    }

    async fn look_at_health(
        &self,
        organization: OrganizationId,
        connection: &Connection,
    ) -> Result<()> {
        let now = self.clock().now();
        let is_fresh = connection
            .checked_at
            .is_some_and(|checked| checked.duration_until(now).abs() < HEALTH_EVERY);
        if is_fresh && connection.health != Health::Checking {
            return Ok(());
        }
        let checked = self.check_connection(organization, connection.id).await?;
        if checked.health != connection.health {
            tracing::info!(connection = %connection.id, health = checked.health.word(), "a connection's health changed");
        }
        Ok(())
    }

    async fn look_for_accounts(&self, organization: OrganizationId, task: &Task) -> Result<()> {
        let now = self.clock().now();
        let is_fresh = task
            .discovered_at
            .is_some_and(|last| last.duration_until(now).abs() < DISCOVERY_EVERY);
        let of = self.catalog().organization(organization);
        // Where nobody lets us in, nobody is found; the connection says so already.
        if is_fresh || of.connection(task.connection).await?.health == Health::Disconnected {
            return Ok(());
        }
        let found = self.discover(organization, task.id).await?;
        tracing::info!(
            task = %task.id,
            found = found.found,
            new = found.new,
            gone = found.gone,
            back = found.back,
            "a task's accounts were looked for"
        );
        Ok(())
    }

    /// Begins a run of the accounts of which no backup began since it was last time for one.
    async fn begin_due(&self, organization: OrganizationId, task: &Task) -> Result<()> {
        let settings = TaskSettings::from_text(&task.settings)?;
        let Some(slot) = settings.last_slot(self.clock().now())? else {
            return Ok(());
        };
        let filter = AccountFilter {
            status: Some(Status::Active),
            attempted_before: Some(slot),
            ..AccountFilter::default()
        };
        let run = self.begin(
            organization,
            task.id,
            RunCause::Schedule,
            &filter,
            JobKind::Backup,
            IN_TURN,
            String::new(),
            None,
        );
        if let Some(run) = run.await? {
            tracing::info!(task = %task.id, %run, "a scheduled run began");
        }
        Ok(())
    }

    async fn begin_tidying(&self, organization: OrganizationId, task: &Task) -> Result<()> {
        let settings = TaskSettings::from_text(&task.settings)?;
        let forgets =
            !settings.retention.policy().is_empty() || settings.retain_archived_days.is_some();
        let every = match forgets {
            true => FORGET_EVERY,
            false => PRUNE_EVERY,
        };
        let of = self.catalog().organization(organization);
        let last = of.last_queued(task.id, JobKind::Maintain).await?;
        let last = last.unwrap_or(task.created_at);
        if last.duration_until(self.clock().now()).abs() < every {
            return Ok(());
        }
        let filter = AccountFilter {
            backed_up: true,
            ..AccountFilter::default()
        };
        let run = self.begin(
            organization,
            task.id,
            RunCause::Maintenance,
            &filter,
            JobKind::Maintain,
            LATER,
            String::new(),
            None,
        );
        if let Some(run) = run.await? {
            tracing::info!(task = %task.id, %run, "repositories are tidied");
        }
        Ok(())
    }
}

fn note<T, E: std::fmt::Display>(what: &str, done: std::result::Result<T, E>) {
    if let Err(error) = done {
        tracing::warn!(error = %error, "{what}");
    }
}
