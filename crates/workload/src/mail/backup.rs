//! Backs up a mailbox's mail: everything the first time, what changed from then on.
//!
//! A run asks for the changes of the folder hierarchy and of every folder, from the cursors that the last snapshot holds (`hierarchy`,
//! `listing`); fetches the MIME of messages that are new or whose content changed (`fetch`); writes files and state into a draft (`recorder`);
//! and at the end asks for each message that some folder no longer reports, whether it is really gone (`removal`), because an error, a silence or
//! a move must never be taken for a deletion. Now and then a run also lists every folder whole and compares (`check`): what Graph forgot to report
//! is found then. It neither opens the repository nor commits the last snapshot: the engine does. Long first runs
//! hand their draft to a [`Checkpoint`] now and then.

mod check;
mod claims;
mod fetch;
mod hierarchy;
mod listing;
mod recorder;
mod removal;
mod report;
mod run;
mod spill;

use graph::{Client, Scope};
use jiff::SignedDuration;
use model::{AccountId, Clock, TenantId};
use repository::Draft;

pub use report::{Anomaly, ContainerFailure, Progress, Reconciliation, Report};
pub use run::run;

use crate::Result;

/// Whose mailbox is backed up, and with what.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The client of the tenant.
    pub graph: &'a Client,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The mailbox: its user's object id.
    pub account: &'a AccountId,
    /// Tells when something failed.
    pub clock: &'a dyn Clock,
    /// Counts as the run goes on.
    pub progress: &'a Progress,
    /// Takes partial snapshots.
    pub checkpoint: &'a dyn Checkpoint,
    /// How often some things are done.
    pub limits: Limits,
}

/// How often a run does what it need not do every time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After how many fetched messages a long run makes a partial snapshot.
    pub checkpoint_every: u64,
    /// When the last comparison of everything with what is held is older than this, by our own clock, it is made again.
    pub reconcile_every: SignedDuration,
}

impl Default for Limits {
    /// Some minutes of work at the documented limits; a month, after which a message that nobody ever reported is found.
    fn default() -> Self {
        Self {
            checkpoint_every: 5_000,
            reconcile_every: SignedDuration::from_hours(30 * 24),
        }
    }
}

impl Context<'_> {
    /// What the governor counts this mailbox's requests against.
    fn scope(&self) -> Scope {
        Scope::Outlook {
            mailbox: self.account.clone(),
        }
    }

    /// A path below the user.
    fn path(&self, rest: &str) -> String {
        format!("/users/{}{rest}", graph::segment(self.account.as_str()))
    }
}

/// A future that a [`Checkpoint`] answers with.
pub type CheckpointFuture<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<(), repository::Error>> + Send + 'a>>;

/// Makes a partial snapshot of a draft that grows further.
pub trait Checkpoint: Send + Sync {
    /// Stores what `draft` holds so far as a snapshot, restorable but partial.
    fn take<'a>(&'a self, draft: &'a mut Draft) -> CheckpointFuture<'a>;
}
