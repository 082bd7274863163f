//! Backups beside the requests: messages keep coming into some mailboxes, and the process that serves the console backs them up again and again.
//!
//! The mailboxes are two halves that take turns, so that the worker has always something to do; and there are as many of them as it takes to stay within what
//! Microsoft allows for one.

use std::time::Duration;

use anyhow::ensure;
use catalog::{AccountKey, JobResult};
use model::{Clock, SystemClock};
use service::Which;
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::fill::{Filled, deliver};

/// Messages that may come into a mailbox in all; only their dates depend on it.
const MESSAGES_MAX: usize = 1_000_000;
/// How often it is looked whether a run is over.
const LOOK: Duration = Duration::from_millis(50);

/// Backups that go on until they are ended.
pub(crate) struct Busy {
    stop: CancellationToken,
    halves: Vec<JoinHandle<anyhow::Result<u64>>>,
    begun: Duration,
    clock: SystemClock,
}

/// What was backed up.
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
}

impl Busy {
    pub(crate) fn begin(runtime: &Runtime, filled: &std::sync::Arc<Filled>) -> Self {
        let (stop, clock) = (CancellationToken::new(), SystemClock::new());
        let (one, other) = filled.others.split_at(filled.others.len() / 2);
        let halves = [one, other].map(|half| {
            let work = keep_on(filled.clone(), half.to_vec(), stop.clone());
            runtime.spawn(work)
        });
        Self {
            stop,
            halves: halves.into(),
            begun: clock.elapsed(),
            clock,
        }
    }

    /// Ends them, when what is under way is done.
    pub(crate) fn end(self, runtime: &Runtime) -> anyhow::Result<Amount> {
        self.stop.cancel();
        let mut messages = 0;
        for half in self.halves {
            messages += runtime.block_on(half)??;
        }
        ensure!(messages > 0, "nothing was backed up meanwhile");
        let seconds = (self.clock.elapsed() - self.begun).as_secs_f64();
        Ok(Amount { messages, seconds })
    }
}

async fn keep_on(
    filled: std::sync::Arc<Filled>,
    mailboxes: Vec<(AccountKey, String)>,
    stop: CancellationToken,
) -> anyhow::Result<u64> {
    let (clock, service) = (SystemClock::new(), &filled.service);
    let of = service.catalog().organization(filled.organization);
    let keys: Vec<_> = mailboxes.iter().map(|(key, _)| *key).collect();
    let (mut messages, mut had) = (0, 0);
    while !stop.is_cancelled() {
        for (_, name) in &mailboxes {
            let some = had..had + filled.arriving;
            deliver(&filled.microsoft, name, MESSAGES_MAX, some)?;
        }
        had += filled.arriving;
        let which = Which::Keys(keys.clone());
        let run = service.backup_now(filled.organization, filled.task, which);
        let run = run.await?;
        while of.run(run).await?.finished_at.is_none() {
            clock.sleep(LOOK).await;
        }
        let jobs = of.jobs(run, 500).await?;
        let failed = jobs
            .iter()
            .find(|job| job.result != Some(JobResult::Success));
        ensure!(failed.is_none(), "a backup failed: {failed:?}");
        // What a job did before it made room for others, because Microsoft let it wait, is not counted.
        let added = jobs.iter().map(|job| job.progress.items).sum::<u64>();
        messages += added;
    }
    Ok(messages)
}
