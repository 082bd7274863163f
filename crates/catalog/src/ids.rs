//! The catalog's own ids: UUIDs of version 7, so that later rows sort later, each kind a type of its own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sqlx::{Row, any::AnyRow};
use uuid::Uuid;

use crate::{Error, Result};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one, which sorts after those made in earlier milliseconds.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "every call gives another one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> std::result::Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// An organization.
    OrganizationId,
    /// A person who signs in.
    UserId,
    /// An API token.
    ApiTokenId,
    /// A connection.
    ConnectionId,
    /// A backup task.
    TaskId,
    /// An account, as the catalog numbers it; the id at the source is [`model::AccountId`].
    AccountKey,
    /// A run.
    RunId,
    /// A job.
    JobId,
    /// A line of the failure ledger.
    FailureId,
}

/// Reads an id from a column.
pub(crate) fn read<T: FromStr>(row: &AnyRow, column: &'static str) -> Result<T> {
    let text: String = row.get(column);
    text.parse().map_err(|_| Error::Unreadable(column))
}
