//! Backup tasks: named sets of accounts of one service under one connection.

use jiff::Timestamp;
use model::Service;
use secrets::Sealed;
use sqlx::{Row, any::AnyRow};

use crate::{
    ConnectionId, Error, Organization, Result, TaskId,
    accounts::{signed, unsigned},
    connections::{service, service_word},
    error::{sql, unique},
    fold::fold,
    ids,
    time::{ever, micros, timestamp},
};

/// A task that is to be made.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Chosen by the caller, because the key is sealed for it.
    pub id: TaskId,
    /// The connection.
    pub connection: ConnectionId,
    /// For people, unique within the organization.
    pub name: String,
    /// The task's key, wrapped by the organization's.
    pub key: Sealed,
    /// Schedule, retention and switches, as the engine writes them: a JSON object.
    pub settings: String,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Which one.
    pub id: TaskId,
    /// The connection.
    pub connection: ConnectionId,
    /// The connection's service.
    pub service: Service,
    /// For people, unique within the organization.
    pub name: String,
    /// The task's key, wrapped by the organization's.
    pub key: Sealed,
    /// Schedule, retention and switches, as the engine writes them: a JSON object.
    pub settings: String,
    /// When its accounts were last looked for.
    pub discovered_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Organization {
    /// Makes a task under a connection of this organization.
    ///
    /// # Errors
    /// When there is no such connection here, or a task with that name is.
    pub async fn add_task(&self, new: &NewTask, now: Timestamp) -> Result<()> {
        let service = self.connection(new.connection).await?.service;
        sqlx::query(
            "INSERT INTO tasks (id, organization_id, connection_id, service, name, name_folded, key_sealed, settings, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new.id.to_string())
        .bind(self.id.to_string())
        .bind(new.connection.to_string())
        .bind(service_word(service))
        .bind(&new.name)
        .bind(fold(&new.name))
        .bind(new.key.as_str())
        .bind(&new.settings)
        .bind(micros(now))
        .execute(&self.catalog.pool)
        .await
        .map_err(unique("make a task", "task"))?;
        Ok(())
    }

    /// Replaces a task's settings.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn set_settings(&self, id: TaskId, settings: &str) -> Result<()> {
        let done =
            sqlx::query("UPDATE tasks SET settings = $3 WHERE organization_id = $1 AND id = $2")
                .bind(self.id.to_string())
                .bind(id.to_string())
                .bind(settings)
                .execute(&self.catalog.pool)
                .await
                .map_err(sql("change a task's settings"))?;
        if done.rows_affected() == 0 {
            return Err(Error::NotFound("task"));
        }
        Ok(())
    }

    /// Begins to look for a task's accounts: returns the number of this discovery. What an earlier one still finds is not noted any more, because it is older.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn begin_discovery(&self, id: TaskId) -> Result<u64> {
        let found = sqlx::query(
            "UPDATE tasks SET discovery = discovery + 1 WHERE organization_id = $1 AND id = $2 RETURNING discovery",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .fetch_optional(&self.catalog.pool)
        .await
        .map_err(sql("begin a discovery"))?;
        Ok(unsigned(
            &found.ok_or(Error::NotFound("task"))?,
            "discovery",
        ))
    }

    /// Notes that a task's accounts were looked for, by the discovery with this number.
    ///
    /// # Errors
    /// [`Error::Outdated`] when a later discovery has begun or is wanted, or there is no such task here.
    pub async fn discovered(&self, id: TaskId, discovery: u64, now: Timestamp) -> Result<()> {
        let done = sqlx::query(
            "UPDATE tasks SET discovered_at = $3 WHERE organization_id = $1 AND id = $2 AND discovery = $4",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .bind(micros(now))
        .bind(signed(discovery))
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("note a discovery"))?;
        match done.rows_affected() {
            0 => Err(Error::Outdated),
            _ => Ok(()),
        }
    }

    /// Makes a task one whose accounts have yet to be looked for, also where that is going on: it is done again.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn discover_again(&self, id: TaskId) -> Result<()> {
        let done = sqlx::query(
            "UPDATE tasks SET discovered_at = 0, discovery = discovery + 1 WHERE organization_id = $1 AND id = $2",
        )
        .bind(self.id.to_string())
        .bind(id.to_string())
        .execute(&self.catalog.pool)
        .await
        .map_err(sql("want a discovery"))?;
        match done.rows_affected() {
            0 => Err(Error::NotFound("task")),
            _ => Ok(()),
        }
    }

    /// The tasks, by name.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn tasks(&self) -> Result<Vec<Task>> {
        let rows =
            sqlx::query("SELECT * FROM tasks WHERE organization_id = $1 ORDER BY name_folded")
                .bind(self.id.to_string())
                .fetch_all(&self.catalog.pool)
                .await
                .map_err(sql("list tasks"))?;
        rows.iter().map(row).collect()
    }

    /// One of the tasks.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn task(&self, id: TaskId) -> Result<Task> {
        let found = sqlx::query("SELECT * FROM tasks WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read a task"))?;
        row(&found.ok_or(Error::NotFound("task"))?)
    }
}

fn row(row: &AnyRow) -> Result<Task> {
    Ok(Task {
        id: ids::read(row, "id")?,
        connection: ids::read(row, "connection_id")?,
        service: service(row)?,
        name: row.get("name"),
        key: Sealed::from_text(row.get("key_sealed")),
        settings: row.get("settings"),
        discovered_at: ever(row.get("discovered_at")),
        created_at: timestamp(row.get("created_at")),
    })
}
