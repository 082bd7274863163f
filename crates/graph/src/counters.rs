//! What the client has sent and received so far, so that tests can hold it to its request economy and whoever watches a server sees what it asks.
//!
//! Counts only; nothing here steers anything.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::label::Label;

/// Totals since the client was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Every request put on the wire to Graph or an upload session, repetitions included, by method and kind (`GET messages/delta`).
    pub requests: BTreeMap<String, u64>,
    /// Requests inside `$batch` calls, by the same kinds. The calls themselves are in `requests` as `POST $batch`.
    pub batched: BTreeMap<String, u64>,
    /// Token requests to Entra ID.
    pub sign_ins: u64,
    /// How many of `requests` and `batched` were repetitions.
    pub retries: u64,
    /// Answers 429, also inside batches.
    pub throttled: u64,
    /// For how long requests were held back, by Microsoft's limits and its word; of several at a time each counts.
    pub waited: Duration,
    /// Bytes of request bodies.
    pub bytes_up: u64,
    /// Bytes of answers' bodies, after decompression.
    pub bytes_down: u64,
}

impl Counters {
    /// All requests on the wire to Graph.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Requests of one kind, such as `GET messages/$value`, alone or inside batches.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        let count = |map: &BTreeMap<String, u64>| map.get(kind).copied().unwrap_or_default();
        count(&self.requests) + count(&self.batched)
    }

    /// What was added since `earlier` was read from the same client.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let difference = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            now.iter()
                .map(|(kind, count)| (kind.clone(), count - then.get(kind).unwrap_or(&0)))
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        Self {
            requests: difference(&self.requests, &earlier.requests),
            batched: difference(&self.batched, &earlier.batched),
            sign_ins: self.sign_ins - earlier.sign_ins,
            retries: self.retries - earlier.retries,
            throttled: self.throttled - earlier.throttled,
            waited: self.waited - earlier.waited,
            bytes_up: self.bytes_up - earlier.bytes_up,
            bytes_down: self.bytes_down - earlier.bytes_down,
        }
    }

    /// Adds what another client has sent and received.
    pub fn add(&mut self, other: &Self) {
        let sum = |to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>| {
            for (kind, count) in from {
                *to.entry(kind.clone()).or_default() += count;
            }
        };
        sum(&mut self.requests, &other.requests);
        sum(&mut self.batched, &other.batched);
        self.sign_ins += other.sign_ins;
        self.retries += other.retries;
        self.throttled += other.throttled;
        self.waited += other.waited;
        self.bytes_up += other.bytes_up;
        self.bytes_down += other.bytes_down;
    }
}

/// The counters as the client keeps them: labels are rendered only when somebody reads.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Readings>);

#[derive(Debug, Default)]
pub(crate) struct Readings {
    requests: BTreeMap<Label, u64>,
    batched: BTreeMap<Label, u64>,
    pub(crate) sign_ins: u64,
    pub(crate) retries: u64,
    pub(crate) throttled: u64,
    pub(crate) waited: Duration,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
}

impl Meter {
    pub(crate) fn request(&self, label: &Label, bytes: usize) {
        let mut readings = self.readings();
        *readings.requests.entry(label.clone()).or_default() += 1;
        readings.bytes_up += bytes as u64;
    }

    pub(crate) fn batched(&self, label: &Label) {
        *self.readings().batched.entry(label.clone()).or_default() += 1;
    }

    pub(crate) fn readings(&self) -> MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> Counters {
        let readings = self.readings();
        let render = |map: &BTreeMap<Label, u64>| {
            map.iter()
                .map(|(label, count)| (label.to_string(), *count))
                .collect()
        };
        Counters {
            requests: render(&readings.requests),
            batched: render(&readings.batched),
            sign_ins: readings.sign_ins,
            retries: readings.retries,
            throttled: readings.throttled,
            waited: readings.waited,
            bytes_up: readings.bytes_up,
            bytes_down: readings.bytes_down,
        }
    }
}
