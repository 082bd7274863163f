//! Keeps to Microsoft's limits, so that throttling is the exception.
//!
//! Every request passes here, repetitions too, because Microsoft counts them (survival 6). A *lane* is what Microsoft limits as one: an
//! application in one mailbox, or an application in one tenant's directory. A lane has permits (held until the answer's body is read, and
//! through retries), sliding windows, and a gate that Retry-After closes for everybody. Lanes know nothing of each other, so a throttled
//! tenant does not slow a healthy one (abuse 56). Idle lanes are forgotten.

mod advice;
mod lane;
mod waiting;
mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::{AccountId, SharedClock, TenantId};

#[cfg(any(fuzzing, test))]
pub(crate) use advice::CLOSED_MAX;
pub(crate) use advice::{Advice, answered_at};
pub(crate) use lane::Lane;
pub use waiting::{WaitCause, Waiting};

/// Documented: requests of one application in one mailbox within [`OUTLOOK_REQUEST_WINDOW`].
const OUTLOOK_REQUESTS: u64 = 10_000;
/// See [`OUTLOOK_REQUESTS`].
const OUTLOOK_REQUEST_WINDOW: Duration = Duration::from_secs(600);
/// Documented: requests of one application in one mailbox at a time.
const OUTLOOK_CONCURRENCY: u32 = 4;
/// Documented: bytes of PUT, POST and PATCH of one application in one mailbox within [`OUTLOOK_UPLOAD_WINDOW`].
const OUTLOOK_UPLOAD_BYTES: u64 = 150_000_000;
/// See [`OUTLOOK_UPLOAD_BYTES`].
const OUTLOOK_UPLOAD_WINDOW: Duration = Duration::from_secs(300);
/// Documented for the smallest tenants: resource units of one application in a directory within [`DIRECTORY_WINDOW`].
const DIRECTORY_UNITS: u64 = 3_500;
/// See [`DIRECTORY_UNITS`].
const DIRECTORY_WINDOW: Duration = Duration::from_secs(10);
/// Units taken for a directory request: a listing of users costs 2, with `$expand` 3.
const DIRECTORY_COST: u64 = 3;
/// Ours, as none is documented: enough to hide latency, few enough for the socket pool (survival 26).
const DIRECTORY_CONCURRENCY: u32 = 8;
/// Requests take a while to arrive, so a window that is full by our clock may be overfull by Microsoft's: 2 % stay free, which is 12 seconds of
/// a mailbox's requests.
const SHARE_PERCENT: u64 = 98;
/// Lanes held before idle ones are first looked for.
const SWEEP_FROM: usize = 64;

/// What Microsoft limits as one, within a tenant and an application.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// One mailbox: mail, calendar, contacts and its settings.
    Outlook {
        /// Whose.
        mailbox: AccountId,
    },
    /// Users, licences and the organization.
    Directory,
}

/// How much of each limit is used. The default is 98 % of the documented windows, and 4 requests at a time in a mailbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Requests in a mailbox within 10 minutes.
    pub outlook_requests: u64,
    /// Requests in a mailbox at a time.
    pub outlook_concurrency: u32,
    /// Bytes uploaded to a mailbox within 5 minutes.
    pub outlook_upload_bytes: u64,
    /// Resource units of a directory within 10 seconds.
    pub directory_units: u64,
    /// Requests to a directory at a time.
    pub directory_concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outlook_requests: OUTLOOK_REQUESTS * SHARE_PERCENT / 100,
            outlook_concurrency: OUTLOOK_CONCURRENCY,
            outlook_upload_bytes: OUTLOOK_UPLOAD_BYTES * SHARE_PERCENT / 100,
            directory_units: DIRECTORY_UNITS * SHARE_PERCENT / 100,
            directory_concurrency: DIRECTORY_CONCURRENCY,
        }
    }
}

/// Shared by all clients of a process; clones are the same governor.
#[derive(Clone, Debug)]
pub struct Governor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: SharedClock,
    limits: Limits,
    lanes: Mutex<Lanes>,
}

#[derive(Debug)]
struct Lanes {
    by_key: HashMap<Key, Arc<Lane>>,
    sweep_at: usize,
}

/// A lane's name: the real scope of Microsoft's limits.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key {
    pub(crate) tenant: TenantId,
    pub(crate) application: String,
    pub(crate) scope: Scope,
}

impl Governor {
    /// A governor that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits, clock: SharedClock) -> Self {
        let lanes = Lanes {
            by_key: HashMap::new(),
            sweep_at: SWEEP_FROM,
        };
        Self(Arc::new(Shared {
            clock,
            limits,
            lanes: Mutex::new(lanes),
        }))
    }

    /// Everybody who waits now, of all tenants, those first who have waited longest.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let now = self.0.clock.elapsed();
        let lanes: Vec<_> = {
            let lanes = self.lanes();
            lanes
                .by_key
                .iter()
                .map(|(key, lane)| (key.clone(), Arc::clone(lane)))
                .collect()
        };
        let mut waiting = Vec::new();
        for (key, lane) in lanes {
            waiting.extend(lane.held().into_iter().map(|held| Waiting {
                tenant: key.tenant.clone(),
                scope: key.scope.clone(),
                cause: held.cause,
                left: held.until.saturating_sub(now),
                since: held.since,
                requests: held.requests,
            }));
        }
        waiting.sort_by_key(|waiting| waiting.since);
        waiting
    }

    /// How many lanes are remembered.
    #[must_use]
    pub fn lanes_held(&self) -> usize {
        self.lanes().by_key.len()
    }

    /// The lane of this name. It is not forgotten while somebody holds it.
    pub(crate) fn lane(&self, key: Key) -> Arc<Lane> {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.by_key.get(&key) {
            return Arc::clone(lane);
        }
        if lanes.by_key.len() >= lanes.sweep_at {
            let now = self.0.clock.elapsed();
            lanes
                .by_key
                .retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_idle(now));
            lanes.sweep_at = SWEEP_FROM.max(2 * lanes.by_key.len());
        }
        let lane = Arc::new(Lane::new(
            &key.scope,
            &self.0.limits,
            Arc::clone(&self.0.clock),
        ));
        lanes.by_key.insert(key, Arc::clone(&lane));
        lane
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
