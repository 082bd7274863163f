//! The emulator's own notion of time.
//!
//! Everything that depends on time (tokens, delta tokens, received times, throttling windows) asks this clock, so that a test can let
//! a token expire or a throttling window pass without waiting. Delays injected by a fault rule are real time, because a client's clock that is
//! shared with the emulator may stand still while a request is in flight; the latency of the whole service is the clock's.

use std::{
    fmt::Debug,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, UTC.
    fn now(&self) -> Timestamp;

    /// Waits while a client waits for its answer. In real time, unless the clock knows better.
    fn answer_after(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(wait(span))
    }
}

/// The operating system's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the emulator asks the operating system"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Waits in real time, for what has to do with connections and not with the world.
#[expect(
    clippy::disallowed_methods,
    reason = "an injected clock may stand still while a request is in flight"
)]
pub(crate) async fn wait(span: Duration) {
    tokio::time::sleep(span).await;
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the time forward.
    pub fn advance(&self, span: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += span;
    }

    /// Sets the time, backwards too.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
