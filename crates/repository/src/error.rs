//! What can go wrong with a repository, sorted by what the caller can do about it.
//!
//! Messages name stored objects by their hash and never quote a path or a name, which may be personal.

use std::fmt;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a repository failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing that could be a repository.
    #[error("there is no repository here")]
    NoRepository,
    /// The storage holds another repository than the one that was opened with the help of the cache.
    #[error("the storage holds another repository than it did")]
    AnotherRepository,
    /// A repository is there already.
    #[error("there is a repository here already")]
    Exists,
    /// The keys are whole, and none of them opens with this password.
    #[error("the password opens none of the repository's keys")]
    WrongPassword,
    /// Something stored is missing, cut short, or not what it was when it was written.
    #[error("{what} is damaged: {problem}")]
    Damaged {
        /// What it is.
        what: Subject,
        /// In which way.
        problem: Problem,
    },
    /// The repository is of another format version.
    #[error("the repository has format version {0}, only version 2 is supported")]
    Version(u32),
    /// The storage did not do as it was asked.
    #[error("storage failed to {doing}")]
    Storage {
        /// What it was asked to do.
        doing: &'static str,
        /// Its own words.
        #[source]
        source: object_store::Error,
    },
    /// Another program holds a lock that excludes ours.
    #[error("the repository is locked by process {pid} on {hostname} since {since}")]
    Locked {
        /// The computer or instance named in the lock.
        hostname: String,
        /// The process named in the lock.
        pid: u32,
        /// When it was taken or last refreshed.
        since: jiff::Timestamp,
    },
    /// The lock was removed by somebody, or could not be refreshed in time; what was being written is abandoned.
    #[error("the lock on the repository was lost")]
    LockLost,
    /// The parent snapshot, or content relied on, was removed from the repository before the lock was taken.
    #[error("the repository was pruned while the snapshot was being made")]
    Pruned,
    /// Something that snapshots need is damaged, so it is not certain what else they need: nothing was deleted.
    #[error("{what} is damaged ({problem}): the repository must be repaired before it is pruned")]
    NeedsRepair {
        /// What is damaged.
        what: Subject,
        /// In which way.
        problem: Problem,
    },
    /// No snapshot would be left.
    #[error("the last snapshot is not removed")]
    LastSnapshot,
    /// Something that was handed to a draft could not be stored, so the draft can no longer be committed.
    #[error("the snapshot cannot be made because storing a part of it failed")]
    Incomplete,
    /// A path or name that cannot be stored.
    #[error("a path cannot be stored: {0}")]
    Path(&'static str),
    /// Nothing is at this path, or no such snapshot is there.
    #[error("{0} is not in the repository")]
    NotFound(&'static str),
    /// A file is where a directory is needed, or something is where nothing may be.
    #[error("a path is taken: {0}")]
    Taken(&'static str),
    /// Reading what was to be stored failed.
    #[error("content to be stored could not be read")]
    Source(#[source] std::io::Error),
    /// Our own invariant broke.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// What the caller of a failed operation can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What was asked for is not there.
    NotFound,
    /// Somebody else is at it, or was first: try again later or differently.
    Conflict,
    /// The password is wrong.
    Unauthorized,
    /// The storage failed: try again later.
    Unavailable,
    /// The request makes no sense and never will.
    Invalid,
    /// Stored data is damaged: restore it from elsewhere or repair the repository.
    Corrupt,
    /// A fault of this program.
    Internal,
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoRepository | Self::NotFound(_) => Kind::NotFound,
            Self::Exists
            | Self::AnotherRepository
            | Self::Locked { .. }
            | Self::LockLost
            | Self::Pruned
            | Self::Taken(_) => Kind::Conflict,
            Self::WrongPassword => Kind::Unauthorized,
            Self::Storage { .. } | Self::Source(_) | Self::Incomplete => Kind::Unavailable,
            Self::Version(_) | Self::Path(_) | Self::LastSnapshot => Kind::Invalid,
            Self::Damaged { .. } | Self::NeedsRepair { .. } => Kind::Corrupt,
            Self::Internal(_) => Kind::Internal,
        }
    }

    pub(crate) fn damaged(what: impl Into<Subject>, problem: Problem) -> Self {
        Self::Damaged {
            what: what.into(),
            problem,
        }
    }
}

/// A stored thing that can be damaged.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// The configuration.
    Config,
    /// All keys.
    Keys,
    /// A stored object of this kind.
    Object(crate::ObjectKind, crate::ObjectId),
    /// A piece of content.
    Content(crate::BlobId),
    /// A directory.
    Tree(crate::BlobId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("the configuration"),
            Self::Keys => f.write_str("the set of keys"),
            Self::Object(kind, id) => write!(f, "{kind} {id}"),
            Self::Content(id) => write!(f, "content {id}"),
            Self::Tree(id) => write!(f, "directory {id}"),
        }
    }
}

/// How a stored thing is damaged.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It does not have the hash that it is named by.
    WrongHash,
    /// Its seal is broken: somebody or something changed it, or it was sealed with another key.
    BrokenSeal,
    /// It is shorter than it must be.
    Truncated,
    /// It does not expand to what was stated, or to more than is allowed.
    Expansion,
    /// It cannot be understood.
    Malformed,
    /// Two places disagree on it.
    Disagreement,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it is missing",
            Self::WrongHash => "its hash is not its name",
            Self::BrokenSeal => "its seal is broken",
            Self::Truncated => "it is cut short",
            Self::Expansion => "it does not decompress to the stated length",
            Self::Malformed => "it cannot be understood",
            Self::Disagreement => "the index and the pack disagree",
        })
    }
}
