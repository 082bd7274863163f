//! What a run did, in numbers that were counted and not intended.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{FailureCause, ItemFailure, ItemId, Skip};
use tokio::sync::watch;

/// What a run and whoever watches it tell each other: counts that grow while it goes on, and that it shall end early.
#[derive(Debug, Default)]
pub struct Progress {
    messages: AtomicU64,
    expected: AtomicU64,
    bytes: AtomicU64,
    stop: watch::Sender<bool>,
}

impl Progress {
    pub(crate) fn add(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn expect(&self, messages: u64) {
        self.expected.store(messages, Ordering::Relaxed);
    }

    /// Asks the run to end early: it reads nothing more, and gives what it has. It waits for what it is fetching, which the service may hold back.
    pub fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) fn is_asked_to_stop(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the run is asked to stop.
    pub(crate) async fn asked_to_stop(&self) {
        // The sender is `self`, so that the wait ends in no other way.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Messages recorded so far.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Messages that the run will come to, by what the mailbox's folders count beyond what is held: an estimate, because a message can be counted and not
    /// be had, or come and go meanwhile. 0 while nobody knows, as in a run that finds the folders unchanged and asks only what is new.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Bytes of MIME and JSON stored so far, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// The outcome of a run over a mailbox.
#[derive(Debug, Default)]
pub struct Report {
    /// Folders in the mailbox.
    pub folders: u64,
    /// Messages recorded that were not held before.
    pub added: u64,
    /// Messages whose content changed and was fetched again.
    pub changed: u64,
    /// Messages of which only the place or the marks changed.
    pub marked: u64,
    /// Messages that the source says are gone.
    pub removed: u64,
    /// Bytes of MIME and JSON stored, before compression.
    pub bytes: u64,
    /// Messages held before the run.
    pub held_before: u64,
    /// Requests that asked whether a message is really gone.
    pub doubts_asked: u64,
    /// Everything that is still owed, this run's failures and those of runs before.
    pub failures: Vec<ItemFailure>,
    /// Everything that can never be copied.
    pub skips: Vec<Skip>,
    /// Folders that could not be read this time and stand in the snapshot as they were before.
    pub containers: Vec<ContainerFailure>,
    /// Why the run ended before everything was read, if it did.
    pub stopped: Option<graph::Error>,
    /// Somebody asked the run to end before everything was read, and it did.
    pub interrupted: bool,
    /// What the comparison of everything with what was held found, in a run that made one.
    pub reconciliation: Option<Reconciliation>,
}

/// What a full reconciliation found: nothing, unless Graph's reports of changes, or we, missed something.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reconciliation {
    /// Messages that the snapshot lacked, had too many, or held in another state, without any folder having reported a change. They are right now.
    pub missed: u64,
    /// Folders that could not be listed whole. They were not compared; their changes since the last run are recorded all the same.
    pub unread: Vec<ContainerFailure>,
}

/// More of a mailbox changed at once than people change: software went wild, somebody attacks, or the application sees less than before. The
/// snapshots before hold what there was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Anomaly {
    /// Most messages are gone (survival 65).
    MassDeletion,
    /// Most messages have another content.
    MassChange,
}

/// Fewer messages than this are soon deleted by hand.
const MANY_MESSAGES: u64 = 50;

impl Report {
    /// Whether everything that the mailbox holds is in the snapshot, but for skips.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
            && self.containers.is_empty()
            && self.stopped.is_none()
            && !self.interrupted
    }

    /// What somebody should look at, although the run did all that it should.
    #[must_use]
    pub fn anomaly(&self) -> Option<Anomaly> {
        let is_most = |count: u64| count >= MANY_MESSAGES && count >= self.held_before.div_ceil(2);
        if is_most(self.removed) {
            Some(Anomaly::MassDeletion)
        } else if is_most(self.changed) {
            Some(Anomaly::MassChange)
        } else {
            None
        }
    }
}

/// A folder that could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerFailure {
    /// The folder.
    pub container: ItemId,
    /// Why.
    pub cause: FailureCause,
    /// Microsoft's own code, where there was one.
    pub code: Option<String>,
}
