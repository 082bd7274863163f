//! Why an operation on a whole account could not go on. What concerns a single item is data, in the operation's report.

use model::IdError;

/// The result of an operation on an account.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An account could not be read, recorded or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Microsoft Graph refused or did not answer.
    #[error("{what} could not be read from or written to Microsoft Graph")]
    Graph {
        /// What was asked for, without anything personal.
        what: &'static str,
        /// What Graph said.
        #[source]
        source: graph::Error,
    },
    /// The repository could not be read or written.
    #[error("{what} could not be read from or written to the repository")]
    Repository {
        /// What was being read or written.
        what: &'static str,
        /// What went wrong there.
        #[source]
        source: repository::Error,
    },
    /// Microsoft Graph's answer lacks what every such answer has.
    #[error("microsoft graph's answer about {what} is incomplete: {detail}")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What is missing or wrong.
        detail: &'static str,
    },
    /// What an earlier run recorded cannot be understood.
    #[error("the recorded state of {what} cannot be read: {detail}")]
    State {
        /// Which record.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The repository is another account's.
    #[error("the repository holds another account: it may have been moved or swapped")]
    OtherAccount,
    /// A thing that was asked for is not in the snapshot.
    #[error("{0} is not in this snapshot")]
    NotFound(&'static str),
}

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Microsoft Graph refused; its own error says why.
    Graph,
    /// The repository or its storage has a problem.
    Repository,
    /// Microsoft's answer makes no sense; try again later.
    BadAnswer,
    /// The recorded state is damaged; a full run makes a new one.
    Corrupt,
    /// It is not there.
    NotFound,
    /// It is the wrong one.
    Conflict,
}

impl Error {
    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Graph { .. } => Kind::Graph,
            Self::Repository { .. } => Kind::Repository,
            Self::Answer { .. } => Kind::BadAnswer,
            Self::State { .. } => Kind::Corrupt,
            Self::NotFound(_) => Kind::NotFound,
            Self::OtherAccount => Kind::Conflict,
        }
    }

    /// Whether what is stored is damaged where it was looked for; other places may be sound.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Repository { source, .. } => source.kind() == repository::Kind::Corrupt,
            error => error.kind() == Kind::Corrupt,
        }
    }

    /// Wraps what Graph said about `what`.
    pub(crate) fn graph(what: &'static str) -> impl FnOnce(graph::Error) -> Self {
        move |source| Self::Graph { what, source }
    }

    /// Wraps what the repository said about `what`.
    pub(crate) fn repository(what: &'static str) -> impl FnOnce(repository::Error) -> Self {
        move |source| Self::Repository { what, source }
    }

    /// A record of our own that cannot be understood.
    pub(crate) fn state(what: &'static str, detail: impl ToString) -> Self {
        Self::State {
            what,
            detail: detail.to_string(),
        }
    }
}

impl From<IdError> for Error {
    fn from(_: IdError) -> Self {
        Self::Answer {
            what: "an item",
            detail: "its id is no identifier",
        }
    }
}
