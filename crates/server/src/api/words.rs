//! The closed lists of words, as the catalog has them, and how they come in and go out.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use crate::words::Outcome;

/// A type for each list: one of the catalog's values, with its words in the document.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($of:ty)),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) $of);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                let value = <$of>::from_word(&word);
                value.map(Self).ok_or_else(|| D::Error::custom("no such word"))
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of(<$of>::ALL.iter().map(|value| value.word()))
            }
        }

        impl ToSchema for $name {}
    )*};
}

words! {
    /// What a user or a token may do.
    Role(catalog::Role),
    /// Whether a connection works.
    Health(catalog::Health),
    /// What proves to Microsoft that it is Keepwell who asks.
    CredentialKind(catalog::CredentialKind),
    /// Whether an account is backed up.
    AccountStatus(catalog::Status),
    /// What an account's last run came to.
    LastResult(catalog::LastResult),
    /// By what accounts are sorted.
    AccountSort(catalog::AccountSort),
    /// Why there is a run.
    RunCause(catalog::RunCause),
    /// What somebody wants of a run.
    Wanted(catalog::Wanted),
    /// What a job does.
    JobKind(catalog::JobKind),
    /// Where a job is.
    JobState(catalog::JobState),
    /// What a finished job came to.
    JobResult(catalog::JobResult),
    /// What became of an item of a restore.
    Became(catalog::Became),
}

fn one_of(words: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .into()
}

/// Which way a list is sorted.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// Least first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

impl From<Order> for catalog::Direction {
    fn from(order: Order) -> Self {
        match order {
            Order::Ascending => Self::Ascending,
            Order::Descending => Self::Descending,
        }
    }
}

/// One of Microsoft 365's services.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    /// Mailboxes.
    Exchange,
    /// People's drives.
    OneDrive,
    /// Sites.
    SharePoint,
    /// Groups, with Teams.
    Groups,
}

impl From<model::Service> for Service {
    fn from(service: model::Service) -> Self {
        match service {
            model::Service::Exchange => Self::Exchange,
            model::Service::OneDrive => Self::OneDrive,
            model::Service::SharePoint => Self::SharePoint,
            model::Service::Groups => Self::Groups,
        }
    }
}

/// What a run came to, or comes to so far.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunResult {
    /// No worker has begun.
    Scheduled,
    /// It is being worked on.
    #[serde(rename = "in progress")]
    InProgress,
    /// Somebody paused it.
    Paused,
    /// Everything was done.
    Success,
    /// Some of it was not.
    Partial,
    /// Nothing could be done.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

impl From<Outcome> for RunResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NeverRun | Outcome::Scheduled => Self::Scheduled,
            Outcome::InProgress => Self::InProgress,
            Outcome::Paused => Self::Paused,
            Outcome::Success => Self::Success,
            Outcome::Partial => Self::Partial,
            Outcome::Failed => Self::Failed,
            Outcome::Stopped => Self::Stopped,
        }
    }
}

/// Why an item could not be copied.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureCause {
    /// Microsoft refused access.
    AccessDenied,
    /// Microsoft's answer was incomplete.
    BadAnswer,
    /// Microsoft reports the item as damaged.
    Corrupt,
    /// Microsoft did not answer.
    Unavailable,
    /// Whether the item still exists could not be learnt.
    Doubtful,
    /// Microsoft refused for another reason.
    Refused,
    /// Keepwell gave up on the item.
    Defect,
}

impl From<model::FailureCause> for FailureCause {
    fn from(cause: model::FailureCause) -> Self {
        use model::FailureCause as Of;
        match cause {
            Of::AccessDenied => Self::AccessDenied,
            Of::BadAnswer => Self::BadAnswer,
            Of::Corrupt => Self::Corrupt,
            Of::Unavailable => Self::Unavailable,
            Of::Doubtful => Self::Doubtful,
            Of::Refused => Self::Refused,
            Of::Defect => Self::Defect,
        }
    }
}
