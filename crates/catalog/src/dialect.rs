//! What SQLite and PostgreSQL do not say alike: the whole difference between them.

/// Which database it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// From the database's address.
    pub(crate) fn of(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }

    /// Begins a transaction that writes. SQLite takes the one write lock at once: a transaction that read first and then finds somebody else's
    /// write in its way could not be continued.
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// At the end of a SELECT whose rows are about to be changed: other claimants pass over them.
    pub(crate) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// At the end of a SELECT whose row is about to be changed by the same transaction: others wait.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE",
        }
    }

    /// The function that tells where a text is in another, from 1; 0 for nowhere.
    pub(crate) fn position(self) -> &'static str {
        match self {
            Self::Sqlite => "instr",
            Self::Postgres => "strpos",
        }
    }

    /// What each new connection is told.
    pub(crate) fn on_connect(self) -> &'static [&'static str] {
        match self {
            // A commit that was answered survives a loss of power: synchronous is FULL by default, also with a write-ahead log.
            Self::Sqlite => &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA busy_timeout = 10000",
                "PRAGMA foreign_keys = ON",
            ],
            Self::Postgres => &["SET statement_timeout = '30s'", "SET lock_timeout = '10s'"],
        }
    }

    /// What a connection is told before it migrates. In SQLite every type whose name contains TEXT is text, and compares bytewise; PostgreSQL is taught the
    /// name, because the order of its default collation depends on the machine.
    pub(crate) fn before_migrations(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[],
            Self::Postgres => &[
                "SET statement_timeout = 0",
                "DO $$ BEGIN
                     IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'folded_text') THEN
                         CREATE DOMAIN folded_text AS text COLLATE \"C\";
                     END IF;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN
                     NULL; -- somebody else was faster
                 END $$",
            ],
        }
    }
}
