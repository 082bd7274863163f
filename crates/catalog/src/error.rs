//! Why the catalog could not do what it was asked.

/// The result of a catalog's function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// There is no such row, or it belongs to another organization.
    NotFound,
    /// What was to be made is there already, or the row has changed meanwhile.
    Conflict,
    /// What was given cannot be.
    Invalid,
    /// The database does not answer, or is busy: try again later.
    Unavailable,
    /// The database holds what this version cannot read.
    Corrupt,
}

/// An operation on the catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such row here.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// A row with the same key is there already.
    #[error("there is such a {0} already")]
    Exists(&'static str),
    /// A job's lease is no longer the caller's: another worker has it, or the job is over.
    #[error("the job is no longer this worker's: another one has taken it over, or it is over")]
    LeaseLost,
    /// A later discovery of the same task's accounts has begun, and knows better.
    #[error("the task's accounts are being looked for again, and that counts")]
    Outdated,
    /// What an order is known by is another order's.
    #[error("the key was used for another order: take a new one")]
    OtherOrder,
    /// What was given cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// A column holds what this version does not know.
    #[error(
        "the database holds a value in {0} that this version of Keepwell does not know: was a later version here?"
    )]
    Unreadable(&'static str),
    /// The address of the database is of neither kind that is supported.
    #[error("a database is named as sqlite:PATH or postgres://…")]
    Address,
    /// A later version of Keepwell was here, whose schema this one does not know (abuse 65). Nothing was changed.
    #[error(
        "the database is of a later version of Keepwell: run that version or a newer one, or put back the copy of the database from before the upgrade"
    )]
    Later,
    /// The schema could not be brought up to date.
    #[error("the database's schema could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The database refused or did not answer.
    #[error("the database could not {action}")]
    Database {
        /// What was tried, in words.
        action: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Exists(_) | Self::LeaseLost | Self::Outdated | Self::OtherOrder => Kind::Conflict,
            Self::Invalid(_) | Self::Address => Kind::Invalid,
            Self::Unreadable(_) | Self::Later | Self::Migration(_) => Kind::Corrupt,
            Self::Database { .. } => Kind::Unavailable,
        }
    }

    /// Whether the same transaction may succeed when it is begun again: another one was in its way.
    pub(crate) fn is_transient(&self) -> bool {
        let Self::Database {
            source: sqlx::Error::Database(error),
            ..
        } = self
        else {
            return false;
        };
        // PostgreSQL: serialization failure, deadlock. SQLite: busy and locked, with their extended codes.
        let code = error.code().unwrap_or_default();
        matches!(
            code.as_ref(),
            "40001" | "40P01" | "5" | "6" | "261" | "262" | "517"
        )
    }
}

/// Names what was tried; a violated unique index becomes [`Error::Exists`] of `what`.
pub(crate) fn sql(action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Database { action, source }
}

/// As [`sql`], where a row with the same key may be there already.
pub(crate) fn unique(
    action: &'static str,
    what: &'static str,
) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| match &source {
        sqlx::Error::Database(error) if error.is_unique_violation() => Error::Exists(what),
        _ => Error::Database { action, source },
    }
}
