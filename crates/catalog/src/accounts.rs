//! Accounts: what is protected as one, with its status and what its last run came to.
//!
//! An account is of one task: within an organization a mailbox has one repository, so it cannot be in two tasks.

use jiff::Timestamp;
use model::{AccountId, Service, TenantId};
use secrets::Sealed;
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

use crate::{
    AccountKey, Catalog, Direction, Error, ItemReport, Organization, Page, PageToken, Result,
    TaskId,
    connections::{service, service_word},
    database::transaction,
    error::sql,
    failures,
    fold::fold,
    ids,
    page::{After, ROWS_MAX, Value},
    statement::Statement,
    time::{ever, micros, timestamp},
    words::words,
};

words! {
    /// Whether an account is backed up.
    Status in "status" {
        /// Known, and not backed up.
        Inactive = "inactive",
        /// Backed up as the schedule says.
        Active = "active",
        /// Not backed up until somebody says so.
        Paused = "paused",
        /// Gone at the source, or put aside: its backups are kept.
        Archived = "archived",
    }
}

words! {
    /// What the last run came to.
    LastResult in "last_result" {
        /// There was none.
        NeverRun = "never run",
        /// A job waits for a worker.
        Scheduled = "scheduled",
        /// A worker is at it.
        InProgress = "in progress",
        /// Everything was copied.
        Success = "success",
        /// Some items were not.
        Partial = "partial",
        /// The account could not be backed up.
        Failed = "failed",
    }
}

words! {
    /// What a person does to accounts.
    StatusChange {
        /// Inactive and paused accounts become active.
        Activate = "activate",
        /// Active accounts are paused.
        Pause = "pause",
        /// Active accounts become inactive again.
        Deactivate = "deactivate",
        /// All but archived ones are archived.
        Archive = "archive",
    }
}

impl StatusChange {
    fn transition(self) -> (&'static str, Status) {
        match self {
            Self::Activate => ("status IN ('inactive', 'paused')", Status::Active),
            Self::Pause => ("status = 'active'", Status::Paused),
            Self::Deactivate => ("status = 'active'", Status::Inactive),
            Self::Archive => ("status <> 'archived'", Status::Archived),
        }
    }
}

words! {
    /// By what a list of accounts is sorted.
    AccountSort {
        /// The name.
        Name = "name",
        /// The mail address.
        Address = "address",
        /// The status.
        Status = "status",
        /// The last result.
        LastResult = "result",
        /// The last backup that was a success or partial.
        LastSuccess = "backup",
        /// The size of what was backed up.
        Size = "size",
    }
}

impl AccountSort {
    fn column(self) -> &'static str {
        match self {
            Self::Name => "name_folded",
            Self::Address => "address_folded",
            Self::Status => "status",
            Self::LastResult => "last_result",
            Self::LastSuccess => "last_success_at",
            Self::Size => "size_bytes",
        }
    }

    fn value(self, row: &AnyRow) -> Value {
        match self {
            Self::LastSuccess | Self::Size => Value::Number(row.get(self.column())),
            _ => Value::Text(row.get(self.column())),
        }
    }
}

/// Which accounts of a task.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountFilter {
    /// Those with this status.
    pub status: Option<Status>,
    /// Those with this last result.
    pub last_result: Option<LastResult>,
    /// Those whose name or address contains this, whatever the case.
    pub text: Option<String>,
    /// Those of whose items some are in the failure ledger, when true; otherwise all.
    pub failing: bool,
    /// Those that have been backed up.
    pub backed_up: bool,
    /// Those of which no backup began at this time or after.
    pub attempted_before: Option<Timestamp>,
    /// These. An empty list means none.
    pub keys: Option<Vec<AccountKey>>,
}

/// An account as discovery saw it.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Its id at the source.
    pub source: AccountId,
    /// Its name now.
    pub name: String,
    /// Its address now.
    pub address: String,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Which one, here.
    pub key: AccountKey,
    /// Its task.
    pub task: TaskId,
    /// The service.
    pub service: Service,
    /// The tenant.
    pub tenant: TenantId,
    /// Which one, at the source.
    pub source: AccountId,
    /// Its name when it was last seen.
    pub name: String,
    /// Its address when it was last seen.
    pub address: String,
    /// Whether it is backed up.
    pub status: Status,
    /// What the last run came to.
    pub last_result: LastResult,
    /// When a run last began.
    pub last_attempt_at: Option<Timestamp>,
    /// When a run was last a success, or partial.
    pub last_success_at: Option<Timestamp>,
    /// The snapshot that the catalog accepted last: where the next run goes on.
    pub snapshot: Option<String>,
    /// Bytes of what the newest snapshot holds.
    pub size_bytes: u64,
    /// Items in the newest snapshot.
    pub items: u64,
    /// Items that are not in it and should be.
    pub failures: u64,
    /// Since when it is gone at the source.
    pub gone_at: Option<Timestamp>,
    /// When its backups began to be deleted, if nothing was backed up since.
    pub deleted_at: Option<Timestamp>,
    /// The secret of its repository, wrapped by its task's key; nothing before the first backup.
    pub secret: Option<Sealed>,
    /// When it was first seen.
    pub created_at: Timestamp,
}

/// What the accounts of a task come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AccountTotals {
    /// All of them.
    pub accounts: u64,
    /// Those that are active.
    pub active: u64,
    /// The active ones of which a run was a success or partial since the time that was asked for.
    pub fresh: u64,
    /// Those that have been backed up, and whose backups were not deleted.
    pub stored: u64,
    /// Items in the newest snapshots.
    pub items: u64,
    /// Bytes of what the newest snapshots hold.
    pub size_bytes: u64,
    /// Items that are not in them and should be.
    pub failures: u64,
}

/// How many of a task's accounts there are, of each kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountCounts {
    by_status: Vec<(Status, u64)>,
    /// Those with items that are not in the newest snapshot and should be.
    pub failing: u64,
}

impl AccountCounts {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.by_status.iter().map(|(_, number)| number).sum()
    }

    /// Those of a status.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        let those = self.by_status.iter().filter(|(of, _)| *of == status);
        those.map(|(_, number)| number).sum()
    }
}

/// How many accounts are put into one statement. SQLite allows 32,766 parameters, PostgreSQL 65,535.
const ROWS_PER_STATEMENT: usize = 500;

impl Organization {
    /// Notes which accounts the source has: new ones become inactive accounts of the task, known ones get their name and address of now. An account
    /// that is another task's already stays there. Returns how many are new.
    ///
    /// # Errors
    /// When there is no such task here.
    pub async fn note_accounts(
        &self,
        task: TaskId,
        tenant: &TenantId,
        found: &[Discovered],
        now: Timestamp,
    ) -> Result<u64> {
        let service = service_word(self.task(task).await?.service);
        let organization = self.id.to_string();
        transaction!(self.catalog, "note accounts", |c| {
            let mut new = 0;
            for some in found.chunks(ROWS_PER_STATEMENT) {
                let mut insert = Statement::new(
                            "INSERT INTO accounts (id, organization_id, task_id, service, tenant_id, source_id, name, name_folded, address, address_folded,
                                 created_at, status, last_result, last_attempt_at, last_success_at, snapshot, size_bytes, items, failures, fencing_token)
                             SELECT v.*, 'inactive', 'never run', 0, 0, '', 0, 0, 0, 0 FROM (VALUES ",
                        );
                for (at, account) in some.iter().enumerate() {
                    insert.push(if at == 0 { "" } else { ", " }).bind_row([
                        AccountKey::new().to_string().into(),
                        organization.as_str().into(),
                        task.to_string().into(),
                        service.into(),
                        tenant.as_str().into(),
                        account.source.as_str().into(),
                        account.name.as_str().into(),
                        fold(&account.name).into(),
                        account.address.as_str().into(),
                        fold(&account.address).into(),
                        micros(now).into(),
                    ]);
                }
                insert.push(") AS v WHERE true ON CONFLICT (organization_id, service, tenant_id, source_id) DO NOTHING");
                let done = insert
                    .build()
                    .execute(&mut *c)
                    .await
                    .map_err(sql("note accounts"))?;
                new += done.rows_affected();
            }
            for account in found {
                sqlx::query(
                            "UPDATE accounts SET name = $5, name_folded = $6, address = $7, address_folded = $8
                             WHERE organization_id = $1 AND service = $2 AND tenant_id = $3 AND source_id = $4 AND (name <> $5 OR address <> $7)",
                        )
                        .bind(&organization)
                        .bind(service)
                        .bind(tenant.as_str())
                        .bind(account.source.as_str())
                        .bind(&account.name)
                        .bind(fold(&account.name))
                        .bind(&account.address)
                        .bind(fold(&account.address))
                        .execute(&mut *c)
                        .await
                        .map_err(sql("note an account's name"))?;
            }
            Ok(new)
        })
    }

    /// A page of a task's accounts.
    ///
    /// # Errors
    /// When the token belongs to another list or order.
    pub async fn accounts(
        &self,
        task: TaskId,
        filter: &AccountFilter,
        sort: AccountSort,
        direction: Direction,
        after: Option<&PageToken>,
        rows: u32,
    ) -> Result<Page<Account>> {
        let list = format!("accounts {} {}", sort.word(), direction.order());
        let rows = rows.clamp(1, ROWS_MAX);
        // Which they are is found in an index that has all that is asked about; whole rows are read of these alone.
        let mut query =
            Statement::new("SELECT * FROM accounts WHERE id IN (SELECT id FROM accounts");
        self.narrow(&mut query, task, filter);
        if let Some(token) = after {
            let after = token.read(&list)?;
            query.push(&format!(
                " AND ({}, id) {} (",
                sort.column(),
                direction.beyond()
            ));
            query.bind(after.value).push(", ").bind(after.id).push(")");
        }
        let order = format!(
            "ORDER BY {column} {order}, id {order}",
            column = sort.column(),
            order = direction.order()
        );
        query.push(&format!(" {order} LIMIT {}) {order}", rows + 1));
        let mut found = query
            .build()
            .fetch_all(&self.catalog.pool)
            .await
            .map_err(sql("list accounts"))?;
        let more = found.len() > rows as usize;
        found.truncate(rows as usize);
        let next = found.last().filter(|_| more).map(|last| {
            PageToken::new(&After {
                list,
                value: sort.value(last),
                id: last.get("id"),
            })
        });
        let rows = found.iter().map(row).collect::<Result<_>>()?;
        Ok(Page { rows, next })
    }

    /// How many of a task's accounts match.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn count_accounts(&self, task: TaskId, filter: &AccountFilter) -> Result<u64> {
        let mut query = Statement::new("SELECT COUNT(*) AS n FROM accounts");
        self.narrow(&mut query, task, filter);
        let found = query
            .build()
            .fetch_one(&self.catalog.pool)
            .await
            .map_err(sql("count accounts"))?;
        Ok(unsigned(&found, "n"))
    }

    /// How many of a task's accounts there are, of each kind: all by one look at them.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn account_counts(&self, task: TaskId) -> Result<AccountCounts> {
        let found = sqlx::query(
            "SELECT status, COUNT(*) AS n, CAST(SUM(CASE WHEN failures > 0 THEN 1 ELSE 0 END) AS BIGINT) AS failing
             FROM accounts WHERE organization_id = $1 AND task_id = $2 GROUP BY status",
        )
        .bind(self.id.to_string())
        .bind(task.to_string())
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count accounts"))?;
        let mut counts = AccountCounts::default();
        for row in &found {
            counts.failing += unsigned(row, "failing");
            let status = Status::read(row)?;
            counts.by_status.push((status, unsigned(row, "n")));
        }
        Ok(counts)
    }

    /// What the accounts of each task come to, by task; a task without accounts is left out. `since` is what counts as fresh.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn account_totals(&self, since: Timestamp) -> Result<Vec<(TaskId, AccountTotals)>> {
        let found = sqlx::query(
            "SELECT task_id, COUNT(*) AS accounts,
                 CAST(SUM(CASE WHEN status = 'active' THEN 1 ELSE 0 END) AS BIGINT) AS active,
                 CAST(SUM(CASE WHEN status = 'active' AND last_success_at >= $2 THEN 1 ELSE 0 END) AS BIGINT) AS fresh,
                 CAST(SUM(CASE WHEN last_success_at > 0 THEN 1 ELSE 0 END) AS BIGINT) AS stored,
                 CAST(SUM(items) AS BIGINT) AS items, CAST(SUM(size_bytes) AS BIGINT) AS size_bytes, CAST(SUM(failures) AS BIGINT) AS failures
             FROM accounts WHERE organization_id = $1 GROUP BY task_id",
        )
        .bind(self.id.to_string())
        .bind(micros(since))
        .fetch_all(&self.catalog.pool)
        .await
        .map_err(sql("count a task's accounts"))?;
        let totals = |row: &AnyRow| AccountTotals {
            accounts: unsigned(row, "accounts"),
            active: unsigned(row, "active"),
            fresh: unsigned(row, "fresh"),
            stored: unsigned(row, "stored"),
            items: unsigned(row, "items"),
            size_bytes: unsigned(row, "size_bytes"),
            failures: unsigned(row, "failures"),
        };
        let rows = found.iter();
        rows.map(|row| Ok((ids::read(row, "task_id")?, totals(row))))
            .collect()
    }

    /// One of the accounts.
    ///
    /// # Errors
    /// When there is no such account here.
    pub async fn account(&self, key: AccountKey) -> Result<Account> {
        let found = sqlx::query("SELECT * FROM accounts WHERE organization_id = $1 AND id = $2")
            .bind(self.id.to_string())
            .bind(key.to_string())
            .fetch_optional(&self.catalog.pool)
            .await
            .map_err(sql("read an account"))?;
        row(&found.ok_or(Error::NotFound("account"))?)
    }

    /// Changes the status of those of a task's accounts that match and to which the change applies. Returns how many it changed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn change_status(
        &self,
        task: TaskId,
        filter: &AccountFilter,
        change: StatusChange,
    ) -> Result<u64> {
        let (from, to) = change.transition();
        let mut query = Statement::new("UPDATE accounts SET status = ");
        query.bind(to.word());
        self.narrow(&mut query, task, filter);
        query.push(&format!(" AND {from}"));
        let done = query
            .build()
            .execute(&self.catalog.pool)
            .await
            .map_err(sql("change accounts"))?;
        Ok(done.rows_affected())
    }

    /// Archives those of a task's accounts of which a discovery learned that they are gone. Returns how many were not archived already.
    ///
    /// # Errors
    /// [`Error::Outdated`] when a later discovery has begun, or the database cannot be written.
    pub async fn archive_gone(
        &self,
        task: TaskId,
        discovery: u64,
        keys: &[AccountKey],
        now: Timestamp,
    ) -> Result<u64> {
        transaction!(self.catalog, "archive accounts", |c| {
            self.hold_discovery(c, task, discovery).await?;
            let mut gone = 0;
            for some in keys.chunks(ROWS_PER_STATEMENT) {
                let filter = AccountFilter {
                    keys: Some(some.to_vec()),
                    ..AccountFilter::default()
                };
                let mut query =
                    Statement::new("UPDATE accounts SET status = 'archived', gone_at = ");
                query.bind(micros(now));
                self.narrow(&mut query, task, &filter);
                query.push(" AND status <> 'archived'");
                let done = query
                    .build()
                    .execute(&mut *c)
                    .await
                    .map_err(sql("archive accounts"))?;
                gone += done.rows_affected();
            }
            Ok(gone)
        })
    }

    /// Takes those of a task's accounts that were archived because they were gone, and that a discovery found, out of the archive: they are backed up
    /// again, from the beginning if their backups were deleted. Returns how many.
    ///
    /// # Errors
    /// [`Error::Outdated`] when a later discovery has begun, or the database cannot be written.
    pub async fn welcome_back(
        &self,
        task: TaskId,
        discovery: u64,
        sources: &[AccountId],
    ) -> Result<u64> {
        transaction!(self.catalog, "take accounts out of the archive", |c| {
            self.hold_discovery(c, task, discovery).await?;
            let mut back = 0;
            for some in sources.chunks(ROWS_PER_STATEMENT) {
                let mut query =
                    Statement::new("UPDATE accounts SET status = 'active', gone_at = 0");
                self.narrow(&mut query, task, &AccountFilter::default());
                query.push(" AND status = 'archived' AND gone_at > 0 AND source_id IN (NULL");
                for source in some {
                    query.push(", ").bind(source.as_str());
                }
                query.push(")");
                let done = query
                    .build()
                    .execute(&mut *c)
                    .await
                    .map_err(sql("take accounts out of the archive"))?;
                back += done.rows_affected();
            }
            Ok(back)
        })
    }

    /// Keeps the secret of an account's repository, wrapped by the task's key.
    ///
    /// # Errors
    /// When there is no such account here, or its backups are being deleted.
    pub async fn set_secret(&self, key: AccountKey, secret: &Sealed) -> Result<()> {
        transaction!(self.catalog, "keep an account's secret", |c| {
            let done = sqlx::query(
                "UPDATE accounts SET secret_sealed = $3 WHERE organization_id = $1 AND id = $2 AND (deleted_at = 0 OR status <> 'archived')",
            )
            .bind(self.id.to_string())
            .bind(key.to_string())
            .bind(secret.as_str())
            .execute(c)
            .await
            .map_err(sql("keep an account's secret"))?;
            match done.rows_affected() {
                0 => Err(Error::NotFound("account")),
                _ => Ok(()),
            }
        })
    }

    /// Marks an account whose backups are to be deleted, because it has been gone at the source since `since` or before: from now on nothing can be
    /// restored from it. Says whether that was done: not while a restore from it is not over.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_deletion(
        &self,
        key: AccountKey,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let lock = self.catalog.dialect.for_update();
        transaction!(self.catalog, "begin to delete backups", |c| {
            // Whoever orders a restore meanwhile waits, or the order is seen below.
            sqlx::query(AssertSqlSafe(format!(
                "SELECT id FROM accounts WHERE organization_id = $1 AND id = $2 {lock}"
            )))
            .bind(self.id.to_string())
            .bind(key.to_string())
            .fetch_optional(&mut *c)
            .await
            .map_err(sql("look at an account"))?;
            let done = sqlx::query(
                "UPDATE accounts SET deleted_at = CASE deleted_at WHEN 0 THEN $4 ELSE deleted_at END
                 WHERE organization_id = $1 AND id = $2 AND status = 'archived' AND gone_at > 0 AND gone_at <= $3
                   AND NOT EXISTS (SELECT 1 FROM jobs WHERE account_id = accounts.id AND kind = 'restore' AND state IN ('queued', 'running', 'paused'))",
            )
            .bind(self.id.to_string())
            .bind(key.to_string())
            .bind(micros(since))
            .bind(micros(now))
            .execute(c)
            .await
            .map_err(sql("mark an account"))?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Notes that an account has no backups any more, and forgets its secret and its ledger.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish_deletion(&self, key: AccountKey) -> Result<()> {
        transaction!(self.catalog, "note that backups are deleted", |c| {
            sqlx::query(
                "UPDATE accounts SET secret_sealed = '', snapshot = '', items = 0, size_bytes = 0, failures = 0, last_success_at = 0, last_result = 'never run'
                 WHERE organization_id = $1 AND id = $2 AND deleted_at > 0",
            )
            .bind(self.id.to_string())
            .bind(key.to_string())
            .execute(&mut *c)
            .await
            .map_err(sql("note that backups are deleted"))?;
            sqlx::query("DELETE FROM failures WHERE organization_id = $1 AND account_id = $2")
                .bind(self.id.to_string())
                .bind(key.to_string())
                .execute(c)
                .await
                .map_err(sql("clear a ledger"))?;
            Ok(())
        })
    }

    /// Keeps later discoveries from beginning until the transaction ends.
    async fn hold_discovery(
        &self,
        c: &mut AnyConnection,
        task: TaskId,
        discovery: u64,
    ) -> Result<()> {
        let lock = self.catalog.dialect.for_update();
        let latest = sqlx::query(AssertSqlSafe(format!(
            "SELECT discovery FROM tasks WHERE organization_id = $1 AND id = $2 {lock}"
        )))
        .bind(self.id.to_string())
        .bind(task.to_string())
        .fetch_optional(c)
        .await
        .map_err(sql("look for a later discovery"))?;
        match unsigned(&latest.ok_or(Error::NotFound("task"))?, "discovery") == discovery {
            true => Ok(()),
            false => Err(Error::Outdated),
        }
    }

    /// The one place in which a list of accounts is narrowed: to this organization before anything else.
    pub(crate) fn narrow(&self, query: &mut Statement, task: TaskId, filter: &AccountFilter) {
        query
            .push(" WHERE organization_id = ")
            .bind(self.id.to_string())
            .push(" AND task_id = ")
            .bind(task.to_string());
        if let Some(status) = filter.status {
            query.push(" AND status = ").bind(status.word());
        }
        if let Some(result) = filter.last_result {
            query.push(" AND last_result = ").bind(result.word());
        }
        if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
            let position = self.catalog.dialect.position();
            for (column, before, after) in [
                ("name_folded", " AND (", ""),
                ("address_folded", " OR ", ")"),
            ] {
                query.push(&format!("{before}{position}({column}, "));
                query.bind(fold(text)).push(&format!(") > 0{after}"));
            }
        }
        if filter.failing {
            query.push(" AND failures > 0");
        }
        if filter.backed_up {
            query.push(" AND last_success_at > 0");
        }
        if let Some(time) = filter.attempted_before {
            query.push(" AND last_attempt_at < ").bind(micros(time));
        }
        if let Some(keys) = &filter.keys {
            query.push(" AND id IN (NULL");
            for key in keys {
                query.push(", ").bind(key.to_string());
            }
            query.push(")");
        }
    }
}

impl Catalog {
    /// Notes what an account's repository says of its newest snapshot, with the items and bytes in it and what it lacks: for a database that was lost, or
    /// is an older copy. Says whether that was done: not when the snapshot that is known is another than `known`, because a run was over meanwhile.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn accept_snapshot(
        &self,
        key: AccountKey,
        known: Option<&str>,
        snapshot: &str,
        (items, bytes): (u64, u64),
        (partial, failures): (bool, &[ItemReport]),
        time: Timestamp,
    ) -> Result<bool> {
        let result = match partial {
            true => LastResult::Partial,
            false => LastResult::Success,
        };
        transaction!(self, "note a snapshot", |c| {
            let done = sqlx::query(
            "UPDATE accounts SET snapshot = $2, items = $3, size_bytes = $4,
                 last_result = CASE WHEN last_result IN ('scheduled', 'in progress') THEN last_result ELSE $5 END,
                 last_attempt_at = CASE WHEN last_attempt_at < $6 THEN $6 ELSE last_attempt_at END, last_success_at = $6
             WHERE id = $1 AND snapshot = $7 RETURNING organization_id",
        )
        .bind(key.to_string())
        .bind(snapshot)
        .bind(signed(items))
        .bind(signed(bytes))
        .bind(result.word())
        .bind(micros(time))
        .bind(known.unwrap_or_default())
        .fetch_optional(&mut *c)
        .await
        .map_err(sql("note a snapshot"))?;
            let Some(done) = done else { return Ok(false) };
            failures::replace(c, done.get("organization_id"), &key.to_string(), failures).await?;
            Ok(true)
        })
    }

    /// Sees to it that no fencing token up to `token` is given out again for an account: its repository says that a run had that one. For a
    /// database that was restored from an older copy.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn raise_fencing_token(&self, key: AccountKey, token: u64) -> Result<()> {
        let token =
            i64::try_from(token).map_err(|_| Error::Invalid("the fencing token is too large"))?;
        sqlx::query("UPDATE accounts SET fencing_token = $2 WHERE id = $1 AND fencing_token < $2")
            .bind(key.to_string())
            .bind(token)
            .execute(&self.pool)
            .await
            .map_err(sql("raise a fencing token"))?;
        Ok(())
    }
}

pub(crate) fn row(row: &AnyRow) -> Result<Account> {
    let tenant: String = row.get("tenant_id");
    let source: String = row.get("source_id");
    let snapshot: String = row.get("snapshot");
    let secret: String = row.get("secret_sealed");
    Ok(Account {
        key: ids::read(row, "id")?,
        task: ids::read(row, "task_id")?,
        service: service(row)?,
        tenant: TenantId::new(tenant).map_err(|_| Error::Unreadable("tenant_id"))?,
        source: AccountId::new(source).map_err(|_| Error::Unreadable("source_id"))?,
        name: row.get("name"),
        address: row.get("address"),
        status: Status::read(row)?,
        last_result: LastResult::read(row)?,
        last_attempt_at: ever(row.get("last_attempt_at")),
        last_success_at: ever(row.get("last_success_at")),
        snapshot: (!snapshot.is_empty()).then_some(snapshot),
        size_bytes: unsigned(row, "size_bytes"),
        items: unsigned(row, "items"),
        failures: unsigned(row, "failures"),
        gone_at: ever(row.get("gone_at")),
        deleted_at: ever(row.get("deleted_at")),
        secret: (!secret.is_empty()).then(|| Sealed::from_text(secret)),
        created_at: timestamp(row.get("created_at")),
    })
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &AnyRow, column: &str) -> u64 {
    row.get::<i64, _>(column).unsigned_abs()
}

/// A number for the database; what is too large for it is as large as it can be.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
