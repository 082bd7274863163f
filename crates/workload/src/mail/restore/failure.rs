//! Why a message or a folder could not be restored: the cause from the closed list, and Microsoft's code.

use graph::Kind;
use model::FailureCause;

/// A cause and, where there was one, Microsoft's code; never a message of Microsoft's, which may quote the item.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) cause: FailureCause,
    pub(super) code: Option<String>,
}

impl Failure {
    pub(super) fn of(error: &graph::Error) -> Self {
        let cause = match error.kind() {
            Kind::AccessDenied | Kind::Unauthorized | Kind::SignIn(_) => FailureCause::AccessDenied,
            Kind::Unavailable | Kind::Throttled { .. } => FailureCause::Unavailable,
            Kind::OutcomeUnknown => FailureCause::Doubtful,
            Kind::BadAnswer | Kind::Resync => FailureCause::BadAnswer,
            _ => FailureCause::Refused,
        };
        Self {
            cause,
            code: error.code().map(str::to_owned),
        }
    }

    /// The archive's copy is damaged.
    pub(super) fn unreadable() -> Self {
        Self {
            cause: FailureCause::Corrupt,
            code: None,
        }
    }
}
