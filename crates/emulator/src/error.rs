//! Why the emulator itself could not be started or fed. What a client is told is a [`GraphError`](crate::GraphError).

use std::{io, path::PathBuf};

/// An error of the emulator as a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file or directory of the world cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The directory with a user's mail cannot be loaded.
    #[error("cannot load the mail of {user} from {directory}")]
    Mail {
        /// The user, as it was given.
        user: String,
        /// The directory that was given for the user.
        directory: PathBuf,
        /// What is wrong with it, or with something in it.
        source: Box<Error>,
    },
    /// What was asked for makes no sense, for example a fault rule with an unknown field.
    #[error("{0}")]
    Invalid(String),
    /// A key could not be made.
    #[error("cannot make a signing key")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something outside is missing or busy: a port, a file.
    Unavailable,
    /// The settings are wrong.
    Invalid,
    /// A fault of the emulator's own.
    Internal,
}

impl Error {
    /// See [`ErrorKind`].
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Listen { .. } | Self::Read { .. } => ErrorKind::Unavailable,
            Self::Mail { source, .. } => source.kind(),
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::Key(_) => ErrorKind::Internal,
        }
    }
}
