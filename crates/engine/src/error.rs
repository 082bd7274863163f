//! Why an operation on an account or a data folder failed as a whole.

use std::{io, path::PathBuf};

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the data folder could not be read or written.
    #[error("{path} could not be {action}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: read, written, made.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the data folder does not hold what it should.
    #[error("{path} is damaged: {detail}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The folder that was to become a data folder has something in it.
    #[error("{path} is not empty: name a folder that is empty or does not exist yet", path = .0.display())]
    NotEmpty(PathBuf),
    /// A file is where a data folder should be made.
    #[error("{path} is a file: name a folder that is empty or does not exist yet", path = .0.display())]
    NoFolder(PathBuf),
    /// The folder is no data folder.
    #[error("{path} holds no Keepwell data: name the folder that was given as --data", path = .0.display())]
    NoData(PathBuf),
    /// There is no such account in the data folder.
    #[error("no account is called {0:?} here: `keepwell repository list` names them")]
    NoAccount(String),
    /// The part of an address before the `@` is that of several accounts.
    #[error("several accounts are called {0:?}: name one by its whole address or its id")]
    SeveralAccounts(String),
    /// An account's id would be no safe name for a file.
    #[error("an account's id has other characters than a GUID has")]
    BadId,
    /// The account has no snapshot yet.
    #[error("the account has no restore point yet: back it up first")]
    NoSnapshot,
    /// The account has a repository, and it is not where it was.
    #[error("{path} holds no repository any more: is the disk mounted? nothing was made in its place", path = .0.display())]
    Gone(PathBuf),
    /// Where the account's repository was is another one.
    #[error("{path} is another repository than the account's: bring back the one that was there", path = .0.display())]
    OtherRepository(PathBuf),
    /// The repository could not be read or written.
    #[error("{what}")]
    Repository {
        /// What was tried.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: repository::Error,
    },
    /// Microsoft Graph refused or did not answer.
    #[error("{what}")]
    Graph {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: graph::Error,
    },
    /// Microsoft Graph's answer makes no sense.
    #[error("{0}: the answer cannot be understood")]
    Answer(&'static str),
    /// The account's data could not be read, recorded or restored.
    #[error("{what}")]
    Workload {
        /// What was tried.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: workload::Error,
    },
}

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Something that was named is not there.
    NotFound,
    /// What was asked for cannot be done as asked.
    Invalid,
    /// Data on disk is damaged, gone or another's.
    Corrupt,
    /// A file, the storage or Microsoft could not be reached, or somebody else is at work in the repository; try again.
    Unavailable,
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotEmpty(_) | Self::NoFolder(_) | Self::SeveralAccounts(_) | Self::BadId => {
                Kind::Invalid
            }
            Self::NoData(_) | Self::NoAccount(_) | Self::NoSnapshot => Kind::NotFound,
            Self::Damaged { .. } | Self::Gone(_) | Self::OtherRepository(_) => Kind::Corrupt,
            Self::Repository { source, .. }
            | Self::Workload {
                source: workload::Error::Repository { source, .. },
                ..
            } => of_repository(source),
            Self::Workload { source, .. } if source.kind() == workload::Kind::Corrupt => {
                Kind::Corrupt
            }
            Self::File { .. } | Self::Answer(_) | Self::Graph { .. } | Self::Workload { .. } => {
                Kind::Unavailable
            }
        }
    }

    /// Whether recorded state makes no sense though the repository is sound.
    pub(crate) fn is_of_state(&self) -> bool {
        matches!(self, Self::Workload { source, .. } if source.kind() == workload::Kind::Corrupt)
    }

    /// Whether what was known of the repository beforehand does not hold any more, so that the same again may succeed.
    pub(crate) fn is_outdated(&self) -> bool {
        let (Self::Repository { source, .. }
        | Self::Workload {
            source: workload::Error::Repository { source, .. },
            ..
        }) = self
        else {
            return false;
        };
        matches!(
            source,
            repository::Error::Pruned
                | repository::Error::AnotherRepository
                | repository::Error::NoRepository
        )
    }

    pub(crate) fn repository(what: &'static str) -> impl FnOnce(repository::Error) -> Self {
        move |source| Self::Repository { what, source }
    }

    pub(crate) fn graph(what: &'static str) -> impl FnOnce(graph::Error) -> Self {
        move |source| Self::Graph { what, source }
    }

    pub(crate) fn workload(what: &'static str) -> impl FnOnce(workload::Error) -> Self {
        move |source| Self::Workload { what, source }
    }
}

fn of_repository(error: &repository::Error) -> Kind {
    match error.kind() {
        // The password is made from what the data folder holds, so that it does not fit is no slip of somebody's fingers.
        repository::Kind::Corrupt | repository::Kind::Unauthorized => Kind::Corrupt,
        repository::Kind::Invalid => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}
