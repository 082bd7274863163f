//! One lane: its permits, windows, gate, and who waits in it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use model::SharedClock;
use tokio::sync::{Semaphore, SemaphorePermit};

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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: Window,
    upload: Option<Window>,
    closed_until: Duration,
    /// Who waits, and until when at least.
    waiting: usize,
    held: Option<(WaitCause, Duration)>,
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
            state: Mutex::new(State {
                requests,
                upload,
                closed_until: Duration::ZERO,
                waiting: 0,
                held: None,
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
    pub(crate) async fn turn(&self, requests: u64, bytes: u64) {
        loop {
            let now = self.clock.elapsed();
            let Some((cause, until)) = self.try_turn(now, requests, bytes) else {
                return;
            };
            let _waiter = Waiter::register(self, cause, until);
            self.clock.sleep(until.saturating_sub(now)).await;
        }
    }

    /// Closes the gate for everybody in the lane. A shorter span than the one in force changes nothing.
    pub(crate) fn close(&self, span: Duration) {
        let until = self.clock.elapsed() + span;
        let mut state = self.state();
        state.closed_until = state.closed_until.max(until);
    }

    pub(crate) fn waiting(&self, now: Duration) -> Option<(WaitCause, Duration, usize)> {
        let state = self.state();
        let (cause, until) = state.held.filter(|_| state.waiting > 0)?;
        Some((cause, until.saturating_sub(now), state.waiting))
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
            state.requests.add(now, amount);
            if let Some(upload) = state.upload.as_mut().filter(|_| bytes > 0) {
                upload.add(now, bytes);
            }
        }
        wait
    }
}

/// Stands in the list of those who wait until dropped, also when cancelled.
struct Waiter<'a>(&'a Lane);

impl<'a> Waiter<'a> {
    fn register(lane: &'a Lane, cause: WaitCause, until: Duration) -> Self {
        let mut state = lane.state();
        state.waiting += 1;
        state.held = Some((cause, until));
        Self(lane)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}
