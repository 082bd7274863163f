//! What is held back and why: the answer to "why is it slow", as data and as a sentence.
//!
//! It names a mailbox by its id only; whoever shows it to people knows the name.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use model::TenantId;

use super::Scope;

/// Requests that are held back at the moment, all of one scope and for one cause. Its text is a sentence without its full stop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// In which tenant.
    pub tenant: TenantId,
    /// For what.
    pub scope: Scope,
    /// Why.
    pub cause: WaitCause,
    /// For how much longer, at least.
    pub left: Duration,
    /// Since when the first of them has been waiting, by the wall clock.
    pub since: Timestamp,
    /// How many requests.
    pub requests: usize,
}

/// Why requests are held back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum WaitCause {
    /// Microsoft said so by Retry-After or RateLimit headers.
    Throttled,
    /// The requests of the window are used up.
    Requests,
    /// The upload volume of the window is used up.
    Upload,
    /// They failed in passing, and are made again after a pause.
    Failure,
    /// Entra ID gave no token yet. Whoever else in the tenant needs it waits for the same answer, and is not counted.
    SignIn,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A wait that is shown as over is not over.
        let left_s = self.left.as_secs() + u64::from(self.left.subsec_nanos() > 0);
        write!(f, "waiting {left_s} s for {}: {}", self.scope, self.cause)?;
        let requests = if self.requests == 1 {
            "request"
        } else {
            "requests"
        };
        write!(
            f,
            ", {} {requests} since {}",
            self.requests,
            self.since.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outlook { mailbox } => write!(f, "Outlook, mailbox {mailbox}"),
            Self::Directory => f.write_str("the directory"),
        }
    }
}

impl fmt::Display for WaitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throttled => "Microsoft asked for it",
            Self::Requests => "the requests that Microsoft allows for now are used up",
            Self::Upload => "the upload volume that Microsoft allows for now is used up",
            Self::Failure => "the last attempt failed in passing",
            Self::SignIn => "Entra ID has not signed us in yet",
        })
    }
}
