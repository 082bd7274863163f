//! What this process has done since it began, for whoever watches it: counts that name nobody.

use std::{collections::BTreeMap, sync::PoisonError};

use catalog::{JobKind, JobResult};
use graph::{Counters, Waiting};

use crate::{JobReport, Service};

/// Jobs that came to an end here, and what backups wrote.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Jobs, by what they did and what they came to.
    pub jobs: BTreeMap<(JobKind, JobResult), u64>,
    /// Items that backups wrote: new ones and changed ones.
    pub items: u64,
    /// Bytes of these items, before compression.
    pub bytes: u64,
}

impl Service {
    /// What this process has done since it began.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let tally = &self.0.tally;
        tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this process has asked Microsoft Graph for the connections since it began.
    #[must_use]
    pub fn requests(&self) -> Counters {
        let clients = self.clients();
        let mut sum = clients.replaced.clone();
        for kept in clients.by_connection.values() {
            sum.add(&kept.client.counters());
        }
        sum
    }

    /// The requests to Microsoft Graph that are held back now.
    #[must_use]
    pub fn held_back(&self) -> Vec<Waiting> {
        self.0.governor.waiting()
    }

    pub(crate) fn count(&self, kind: JobKind, result: JobResult, report: &JobReport) {
        let mut tally = self.0.tally.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.jobs.entry((kind, result)).or_default() += 1;
        if kind == JobKind::Backup {
            tally.items += report.added + report.changed;
            tally.bytes += report.bytes_added;
        }
    }
}
