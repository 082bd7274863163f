//! The client's only source of randomness: seeded, so that a run can be repeated.

use std::sync::{Mutex, PoisonError};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use uuid::Uuid;

/// Jitter and identifiers of requests. Not for secrets.
#[derive(Debug)]
pub(crate) struct Random(Mutex<StdRng>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Evenly from 0 up to, not including, 1.
    pub(crate) fn fraction(&self) -> f64 {
        self.with(|rng| rng.random())
    }

    pub(crate) fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
