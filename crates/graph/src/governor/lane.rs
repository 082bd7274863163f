//! One lane: its permits, windows, gate, and who waits in it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::SharedClock;
use tokio::sync::{Mutex as Queue, Semaphore, SemaphorePermit};

use super::{
    DIRECTORY_COST, DIRECTORY_WINDOW, Limits, OUTLOOK_REQUEST_WINDOW, OUTLOOK_UPLOAD_WINDOW, Scope,
    WaitCause, window::Window,
};

#[derive(Debug)]
pub(crate) struct Lane {
    permits: Semaphore,
    width: u32,
    clock: SharedClock,
    /// What one request takes from the window.
    cost: u64,
    /// Uploads take their turns in the order in which they came: small ones would fill every gap, and a large one would wait for ever.
    uploads: Queue<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: Window,
    upload: Option<Window>,
    closed_until: Duration,
    waiters: BTreeMap<u64, Held>,
    next_waiter: u64,
}

/// A request that is held back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) cause: WaitCause,
    /// When it looks again.
    pub(super) until: Duration,
    /// By the wall clock, for people.
    pub(super) since: Timestamp,
    /// How many are held for the same cause.
    pub(super) requests: usize,
}

impl Lane {
    pub(crate) fn new(scope: &Scope, limits: &Limits, clock: SharedClock) -> Self {
        let (width, cost, requests, upload) = match scope {
            Scope::Outlook { .. } => (
                limits.outlook_concurrency,
                1,
                Window::new(limits.outlook_requests, OUTLOOK_REQUEST_WINDOW),
                Some(Window::new(
                    limits.outlook_upload_bytes,
                    OUTLOOK_UPLOAD_WINDOW,
                )),
            ),
            Scope::Directory => (
                limits.directory_concurrency,
                DIRECTORY_COST,
                Window::new(limits.directory_units, DIRECTORY_WINDOW),
                None,
            ),
        };
        let width = width.max(1);
        Self {
            permits: Semaphore::new(width as usize),
            width,
            clock,
            cost,
            uploads: Queue::default(),
            state: Mutex::new(State {
                requests,
                upload,
                closed_until: Duration::ZERO,
                waiters: BTreeMap::new(),
                next_waiter: 0,
            }),
        }
    }

    /// Waits for this many of the lane's permits, or all that it has. They are given back by dropping what is returned.
    pub(crate) async fn enter(&self, width: u32) -> SemaphorePermit<'_> {
        self.permits
            .acquire_many(width.clamp(1, self.width))
            .await
            .expect("the semaphore of a lane is never closed")
    }

    /// Waits until the gate is open and the windows have room for `requests` and for `bytes` of upload, and takes that room.
    /// Dropping what is returned says that the request was answered, or never will be.
    pub(crate) async fn turn(&self, requests: u64, bytes: u64) -> Turn<'_> {
        let _first = match bytes {
            0 => None,
            _ => Some(self.uploads.lock().await),
        };
        let mut waiter = None;
        loop {
            let now = self.clock.elapsed();
            let Some((cause, until)) = self.try_turn(now, requests, bytes) else {
                return Turn {
                    lane: self,
                    amount: requests * self.cost,
                    bytes,
                };
            };
            waiter
                .get_or_insert_with(|| Waiter::new(self))
                .hold(cause, until);
            self.clock.sleep(until.saturating_sub(now)).await;
        }
    }

    /// Waits before something is tried again, for everybody to see.
    pub(crate) async fn pause(&self, cause: WaitCause, span: Duration) {
        if span.is_zero() {
            return;
        }
        let until = self.clock.elapsed() + span;
        let mut waiter = Waiter::new(self);
        waiter.hold(cause, until);
        self.clock.sleep(span).await;
    }

    /// Closes the gate for everybody in the lane. A shorter span than the one in force changes nothing.
    pub(crate) fn close(&self, span: Duration) {
        let until = self.clock.elapsed() + span;
        let mut state = self.state();
        state.closed_until = state.closed_until.max(until);
    }

    /// Who is held back, by cause: since when the first of them, and until when the next.
    pub(super) fn held(&self) -> Vec<Held> {
        let mut by_cause: HashMap<WaitCause, Held> = HashMap::new();
        for waiter in self.state().waiters.values() {
            by_cause
                .entry(waiter.cause)
                .and_modify(|held| {
                    held.until = held.until.min(waiter.until);
                    held.since = held.since.min(waiter.since);
                    held.requests += 1;
                })
                .or_insert(*waiter);
        }
        let mut held: Vec<Held> = by_cause.into_values().collect();
        held.sort_by_key(|held| held.since);
        held
    }

    /// Whether forgetting this lane would change nothing.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        let mut state = self.state();
        state.closed_until <= now
            && state.requests.is_empty(now)
            && state
                .upload
                .as_mut()
                .is_none_or(|upload| upload.is_empty(now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn, or says why not and until when.
    fn try_turn(&self, now: Duration, requests: u64, bytes: u64) -> Option<(WaitCause, Duration)> {
        let mut state = self.state();
        let amount = requests * self.cost;
        let closed =
            (state.closed_until > now).then_some((WaitCause::Throttled, state.closed_until));
        let full = state
            .requests
            .free_at(now, amount)
            .map(|at| (WaitCause::Requests, at));
        let loaded = match &mut state.upload {
            Some(upload) if bytes > 0 => upload.free_at(now, bytes),
            _ => None,
        }
        .map(|at| (WaitCause::Upload, at));
        let wait = [closed, full, loaded]
            .into_iter()
            .flatten()
            .max_by_key(|(_, until)| *until);
        if wait.is_none() {
            state.requests.begin(amount);
            if let Some(upload) = state.upload.as_mut().filter(|_| bytes > 0) {
                upload.begin(bytes);
            }
        }
        wait
    }
}

/// Room in the windows, for a request under way.
pub(crate) struct Turn<'a> {
    lane: &'a Lane,
    amount: u64,
    bytes: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = self.lane.clock.elapsed();
        let mut state = self.lane.state();
        state.requests.end(now, self.amount);
        if let Some(upload) = state.upload.as_mut().filter(|_| self.bytes > 0) {
            upload.end(now, self.bytes);
        }
    }
}

/// Stands among those who wait until dropped, also when cancelled.
struct Waiter<'a> {
    lane: &'a Lane,
    number: u64,
    since: Timestamp,
}

impl<'a> Waiter<'a> {
    fn new(lane: &'a Lane) -> Self {
        let mut state = lane.state();
        state.next_waiter += 1;
        Self {
            lane,
            number: state.next_waiter,
            since: lane.clock.now(),
        }
    }

    fn hold(&mut self, cause: WaitCause, until: Duration) {
        let held = Held {
            cause,
            until,
            since: self.since,
            requests: 1,
        };
        self.lane.state().waiters.insert(self.number, held);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.lane.state().waiters.remove(&self.number);
    }
}
