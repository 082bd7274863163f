//! Watches all answers of a test and reports what was wrong with them at its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Checker, Exchange};

/// How many violations a report spells out; a repeated mistake would bury the first.
const MAX_REPORTED: usize = 40;

/// Collects violations from any thread. The test holds a [`Verdict`] on it, so that it fails at its end if there are any.
#[derive(Debug)]
pub struct Observer {
    checker: Option<Checker>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    judged: usize,
    reports: Vec<String>,
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer {
    /// An observer that has seen nothing. Where the metadata is absent it judges nothing; see [`Checker::load`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            checker: Checker::load(),
            seen: Mutex::default(),
        }
    }

    /// Judges an answer. Do not show it one that a fault rule has mangled.
    pub fn observe(&self, exchange: &Exchange<'_>) {
        let Some(checker) = &self.checker else {
            return;
        };
        let found = checker.check_exchange(exchange);
        let mut seen = self.seen();
        seen.judged += 1;
        seen.reports.extend(found.into_iter().map(|violation| {
            format!(
                "{} {} → {}: {violation}",
                exchange.method, exchange.path, exchange.status
            )
        }));
    }

    /// How many answers it has judged, so that a test can assert that it was attached at all. 0 where the metadata is absent.
    #[must_use]
    pub fn judged(&self) -> usize {
        self.seen().judged
    }

    /// Panics with the list of violations if there are any, and forgets them.
    pub fn assert_clean(&self) {
        let reports = std::mem::take(&mut self.seen().reports);
        let first: Vec<_> = reports.iter().take(MAX_REPORTED).cloned().collect();
        assert!(
            reports.is_empty(),
            "{} violations of Microsoft's metadata, of which the first:\n{}",
            reports.len(),
            first.join("\n")
        );
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fails the test that holds it when it is dropped, if the observer has seen violations. It belongs to the test's own thread: a panic in a server's
/// task is printed, but fails no test, so the observer itself, which such a task may be the last to hold, does nothing when it is dropped.
#[derive(Debug)]
pub struct Verdict(pub Arc<Observer>);

impl Drop for Verdict {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.assert_clean();
        }
    }
}
