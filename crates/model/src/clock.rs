//! The one way to tell the time and to wait.
//!
//! Production uses [`SystemClock`]; tests, and a demonstration under documented throttling, hand the same
//! [`SimulatedClock`](crate::SimulatedClock) to the product and to the emulator, so that ten minutes of waiting cost milliseconds.
//! Nothing else in the workspace may ask the operating system for the time or sleep on its own.

use std::{fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Duration};

use jiff::Timestamp;

/// A future that completes when the time has come. Dropping it cancels the wait.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A clock that many owners share.
pub type SharedClock = Arc<dyn Clock>;

/// Tells the time and waits.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, UTC. It may jump in either direction (abuse 53): for spans and leases use [`Clock::elapsed`].
    fn now(&self) -> Timestamp;

    /// Time since this clock was made. Never decreases.
    fn elapsed(&self) -> Duration;

    /// Waits for `span`.
    fn sleep(&self, span: Duration) -> Sleep<'_>;

    /// Declares that work is under way (a request in flight), during which a simulated clock must stand still. A real clock ignores it. `what` is
    /// for people who look for the reason why time does not go on.
    fn busy(&self, _what: &'static str) -> Busy {
        Busy::idle()
    }
}

/// Keeps a simulated clock standing still until dropped. See [`Clock::busy`].
pub struct Busy(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Busy {
    /// A guard that holds nothing.
    #[must_use]
    pub fn idle() -> Self {
        Self(None)
    }

    /// A guard that calls `release` when dropped.
    #[must_use]
    pub fn until_dropped(release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Busy").field(&self.0.is_some()).finish()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// The operating system's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// A clock whose [`Clock::elapsed`] starts now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the operating system's clock is asked here and nowhere else"
    )]
    pub fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
        }
    }

    /// The same, ready to be shared.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operating system's clock is asked here and nowhere else"
)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(span))
    }
}
