//! Why the service could not do what it was asked.

use crate::settings::SettingsError;

/// The result of one of the service's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// There is no such thing, or it belongs to another organization.
    NotFound,
    /// It is there already, or something else is at work there.
    Conflict,
    /// What was given cannot be.
    Invalid,
    /// Microsoft lets the connection do nothing, or not this: somebody has to authenticate again.
    Disconnected,
    /// The database, the storage or Microsoft does not answer: try again later.
    Unavailable,
    /// What is stored is damaged, gone, or sealed by another key.
    Corrupt,
}

/// Something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog could not do it.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// An operation on an account or a data folder failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// Microsoft refused or did not answer.
    #[error("{what}")]
    Graph {
        /// What was tried.
        what: &'static str,
        /// What it said.
        #[source]
        source: graph::Error,
    },
    /// A sealed value does not open.
    #[error("{what} cannot be opened: is this the key file that the database was made with?")]
    Sealed {
        /// What was sealed.
        what: &'static str,
        /// Why it stays closed.
        #[source]
        source: secrets::SealError,
    },
    /// A text is no emergency kit.
    #[error("this is no emergency kit")]
    Kit(#[from] secrets::KitError),
    /// A task's settings cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no such thing.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// Something is in the way.
    #[error("{0}")]
    Busy(&'static str),
    /// What was given cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// What the catalog knows of is not in the data folder.
    #[error("{0}")]
    Gone(&'static str),
    /// The data folder cannot be used.
    #[error("the data folder {path} cannot be used", path = path.display())]
    Folder {
        /// Where it is.
        path: std::path::PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Catalog(error) => match error.kind() {
                catalog::Kind::NotFound => Kind::NotFound,
                catalog::Kind::Conflict => Kind::Conflict,
                catalog::Kind::Invalid => Kind::Invalid,
                catalog::Kind::Unavailable => Kind::Unavailable,
                catalog::Kind::Corrupt => Kind::Corrupt,
            },
            Self::Engine(error) => match (self.graph(), error.kind()) {
                (Some(source), _) => of_graph(source),
                (None, engine::Kind::NotFound) => Kind::NotFound,
                (None, engine::Kind::Invalid) => Kind::Invalid,
                (None, engine::Kind::Corrupt) => Kind::Corrupt,
                (None, engine::Kind::Unavailable) => Kind::Unavailable,
            },
            Self::Graph { source, .. } => of_graph(source),
            Self::Sealed { .. } | Self::Gone(_) => Kind::Corrupt,
            Self::NotFound(_) => Kind::NotFound,
            Self::Busy(_) => Kind::Conflict,
            Self::Kit(_) | Self::Settings(_) | Self::Invalid(_) => Kind::Invalid,
            Self::Folder { .. } => Kind::Unavailable,
        }
    }

    /// What Microsoft said, if it was Microsoft who refused.
    #[must_use]
    pub fn graph(&self) -> Option<&graph::Error> {
        match self {
            Self::Graph { source, .. }
            | Self::Engine(
                engine::Error::Graph { source, .. }
                | engine::Error::Workload {
                    source: workload::Error::Graph { source, .. },
                    ..
                },
            ) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn of_graph(what: &'static str) -> impl FnOnce(graph::Error) -> Self {
        move |source| Self::Graph { what, source }
    }

    pub(crate) fn sealed(what: &'static str) -> impl FnOnce(secrets::SealError) -> Self {
        move |source| Self::Sealed { what, source }
    }

    /// The error with its causes, for a report: nothing personal is in any of them.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

fn of_graph(error: &graph::Error) -> Kind {
    match error.kind() {
        graph::Kind::SignIn(_) | graph::Kind::Unauthorized | graph::Kind::AccessDenied => {
            Kind::Disconnected
        }
        graph::Kind::NotFound => Kind::NotFound,
        graph::Kind::Invalid => Kind::Invalid,
        _ => Kind::Unavailable,
    }
}
