//! Watches all answers of a test and reports what was wrong with them at its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Checker, Exchange};

/// How many violations a report spells out; a repeated mistake would bury the first.
const MAX_REPORTED: usize = 40;

/// Collects violations from any thread. A test ends with [`Observer::assert_clean`]; one that forgets it fails when the observer is dropped.
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

impl Drop for Observer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}
