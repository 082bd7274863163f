//! The connection to the database: opening, migrating, and transactions that are begun again when another one was in their way.

use std::time::Duration;

use sqlx::{
    Any, AnyPool, Connection, Executor, SqlStr, Transaction,
    any::AnyPoolOptions,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::{Error, Result, dialect::Dialect, error::sql};

/// The schema's versions, oldest first: number, name and text. One that was shipped is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "control plane",
        include_str!("../migrations/0001_control_plane.sql"),
    ),
    (
        2,
        "what the service remembers",
        include_str!("../migrations/0002_what_the_service_remembers.sql"),
    ),
    (
        4,
        "what is gone for good",
        include_str!("../migrations/0004_what_is_gone_for_good.sql"),
    ),
    (
        5,
        "api tokens",
        include_str!("../migrations/0005_api_tokens.sql"),
    ),
    (
        6,
        "invitations",
        include_str!("../migrations/0006_invitations.sql"),
    ),
    (
        7,
        "the audit by who and what",
        include_str!("../migrations/0007_the_audit_by_who_and_what.sql"),
    ),
    (
        8,
        "whose turn it is",
        include_str!("../migrations/0008_whose_turn_it_is.sql"),
    ),
    (
        9,
        "what runs and days came to",
        include_str!("../migrations/0009_what_runs_and_days_came_to.sql"),
    ),
    (
        10,
        "orders that begin once",
        include_str!("../migrations/0010_orders_that_begin_once.sql"),
    ),
    (
        11,
        "what pages ask for",
        include_str!("../migrations/0011_what_pages_ask_for.sql"),
    ),
    (
        12,
        "what restores did",
        include_str!("../migrations/0012_what_restores_did.sql"),
    ),
];

/// Statements under way at once. PostgreSQL allows 100 connections by default, which several processes share, and a process opens a database twice: for its
/// console and for its work. SQLite has one writer anyway.
const CONNECTIONS_MAX: u32 = 8;
/// How long a statement waits for one of them.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);
/// How often a transaction is begun when others are in its way.
pub(crate) const TRIES_MAX: u32 = 20;

/// How often a migration is begun: as many processes as may meet at it, and some.
const MIGRATION_TRIES_MAX: u32 = 20;

/// An opened database with its schema up to date. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) pool: AnyPool,
    pub(crate) dialect: Dialect,
}

impl Catalog {
    /// Opens the database, and brings its schema up to date. A SQLite file is made where there is none; a PostgreSQL database must exist.
    ///
    /// `url` is `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    ///
    /// # Errors
    /// When it does not answer, or its schema is a later version's.
    pub async fn open(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url).ok_or(Error::Address)?;
        let url = match dialect {
            Dialect::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        };
        migrate(&url, dialect).await?;
        let pool = pool(&url, CONNECTIONS_MAX, dialect.on_connect(), &[]).await?;
        Ok(Self { pool, dialect })
    }

    /// Asks the database whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        let mut connection = self.pool.acquire().await.map_err(sql("be reached"))?;
        connection.ping().await.map_err(sql("answer"))
    }

    /// Ends all connections, when their statements are through.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Begins a transaction that writes; dropped before its commit, it is rolled back. For [`transaction`] alone, which begins it again when it must.
    pub(crate) async fn begin(&self, name: &'static str) -> Result<Transaction<'static, Any>> {
        let statement = self.dialect.begin_write();
        self.pool.begin_with(statement).await.map_err(sql(name))
    }
}

/// Connections, each of which is told these statements before anything else.
async fn pool(
    url: &str,
    connections: u32,
    first: &'static [&'static str],
    then: &'static [&'static str],
) -> Result<AnyPool> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECTION_WAIT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for statement in first.iter().chain(then) {
                    connection.execute(*statement).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
        .map_err(sql("be opened"))
}

/// Another process that opens the same new database at the same moment makes the same changes: whoever comes second finds them there, begins again,
/// and has nothing left to do. The connection is used for nothing else: with a large table a statement takes longer than it may elsewhere.
async fn migrate(url: &str, dialect: Dialect) -> Result<()> {
    let pool = pool(url, 1, dialect.on_connect(), dialect.before_migrations()).await?;
    let migrations = MIGRATIONS.iter().map(|(number, name, text)| {
        let text = SqlStr::from_static(text);
        Migration::new(*number, (*name).into(), MigrationType::Simple, text, false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let mut tries = 1;
    let done = loop {
        match migrator.run(&pool).await {
            // No number of tries makes this version a later one.
            Err(error @ MigrateError::VersionMissing(_)) => break Err(error),
            Err(error) if tries < MIGRATION_TRIES_MAX => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "migrating begins again"
                );
                tries += 1;
            }
            done => break done,
        }
    };
    pool.close().await;
    done.map_err(|error| match error {
        MigrateError::VersionMissing(_) => Error::Later,
        error => Error::Migration(error),
    })
}

/// `transaction!(catalog, "name", |c| { … })` runs the block, whose value is a [`Result`], in a transaction that writes, with the connection `c`.
///
/// The block is begun again, from its beginning, when another transaction was in its way: it must do nothing but SQL, and own nothing that it
/// gives away. An error rolls everything back. It is a macro because a closure whose future borrows both its connection and its surroundings
/// cannot be named as a type.
macro_rules! transaction {
    ($catalog:expr, $name:literal, |$connection:ident| $body:block) => {{
        let mut tries = 1;
        loop {
            let attempt: $crate::Result<_> = async {
                let mut transaction = $catalog.begin($name).await?;
                let $connection: &mut sqlx::AnyConnection = &mut transaction;
                let work: $crate::Result<_> = async { $body }.await;
                let done = work?;
                transaction
                    .commit()
                    .await
                    .map_err($crate::error::sql($name))?;
                Ok(done)
            }
            .await;
            match attempt {
                Err(error) if error.is_transient() && tries < $crate::database::TRIES_MAX => {
                    tracing::debug!(transaction = $name, tries, "a transaction is begun again");
                    tries += 1;
                }
                done => break done,
            }
        }
    }};
}

pub(crate) use transaction;
