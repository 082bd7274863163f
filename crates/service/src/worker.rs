//! A worker: claims jobs, keeps their leases, tells how far they are, and sees to it that each ends in one of three ways.
//!
//! A job is *finished* with a result; or *given back*, because somebody wants its run paused or cancelled, this process is to end, Microsoft lets it wait
//! while others could work, or it is to be tried again; or *lost*, because its lease ended. Then another worker has it, and this one writes nothing more to the catalog. The work itself, in
//! [`crate::job`], knows none of this: it runs as a task of its own, so that a panic in it ends that job alone, and is dropped to stop it.

use std::{sync::Arc, time::Duration};

use catalog::{Claim, Finished, JobKind, JobResult, JobState, Wanted};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    JobReport, Kind, Service,
    job::{self, Done, Meter},
};

/// How often a job that meets something passing (a lock, an outage that outlasted all patience) is tried before it has failed.
const TRIES_MAX: u64 = 3;
/// Workers that have had a job and brought it to no end: it may be what ends them.
const WORKERS_MAX: u64 = 20;

impl Service {
    /// Works until `stop` is told: claims jobs and runs so many at a time as the settings say. What is under way then is stopped, leaves a restore point
    /// of what it has where it can, and is given back, all within ten seconds.
    ///
    /// Dropping it is like the death of the process: other workers take over when the leases end.
    pub async fn work(&self, stop: CancellationToken) {
        let settings = self.settings();
        let (clock, pace) = (self.clock(), settings.pace);
        let worker = format!("{} {}", settings.instance, uuid::Uuid::new_v4().simple());
        let mut jobs = JoinSet::new();
        while !stop.is_cancelled() {
            // From here on no word of a new job is missed.
            let queued = self.0.queued.notified();
            tokio::pin!(queued);
            queued.as_mut().enable();
            while jobs.len() < settings.at_once.get() && !stop.is_cancelled() {
                match self.catalog().claim(&worker, pace.lease, clock.now()).await {
                    Ok(Some(claim)) => {
                        let attending = Attending::new(self.clone(), claim);
                        jobs.spawn(attending.run(stop.clone()));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(error = %error, "no job could be claimed");
                        break;
                    }
                }
            }
            let has_room = jobs.len() < settings.at_once.get();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = jobs.join_next(), if !jobs.is_empty() => {}
                () = queued, if has_room => {}
                () = clock.sleep(pace.look), if has_room => {}
            }
        }
        while jobs.join_next().await.is_some() {}
    }
}

/// A job and the worker who has it.
struct Attending {
    service: Service,
    claim: Claim,
    meter: Arc<Meter>,
    /// The time, by a clock that nobody sets, until which the lease holds.
    held_until: Duration,
    /// When the job can go on, if it is given back because it has to wait.
    goes_on_at: Option<Timestamp>,
}

/// What the work on a job came to, unless it panicked.
type Over = Result<crate::Result<Done>, tokio::task::JoinError>;

/// Why the work on a job is given up.
enum Halt {
    /// It was told to stop.
    Stopped,
    /// Its lease is another worker's.
    Lost,
}

impl Attending {
    fn new(service: Service, claim: Claim) -> Self {
        let held_until = service.clock().elapsed() + service.settings().pace.lease;
        Self {
            service,
            claim,
            meter: Arc::default(),
            held_until,
            goes_on_at: None,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        self.tell();
        if self.claim.attempts > WORKERS_MAX {
            let why = "it was begun twenty times and never came to an end: report this to whoever makes Keepwell";
            self.fail(why.to_owned()).await;
            return;
        }
        let work = job::perform(
            self.service.clone(),
            self.claim.clone(),
            Arc::clone(&self.meter),
        );
        let mut work = AbortOnDropHandle::new(tokio::spawn(work));
        let ending = self.attend(&mut work, &stop).await;
        if ending.is_err() {
            // Only when it has really ended may somebody else begin.
            work.abort();
            let _ = work.await;
        }
        match ending {
            Ok(Ok(Ok(done))) if done.interrupted => self.give_back().await,
            Ok(Ok(Ok(done))) => self.done(done).await,
            Ok(Ok(Err(error))) => self.failed(error).await,
            Ok(Err(_)) => {
                let why = "Keepwell itself gave up on it: report this to whoever makes it";
                self.fail(why.to_owned()).await;
            }
            Err(Halt::Stopped) => self.give_back().await,
            Err(Halt::Lost) => {
                tracing::warn!(job = %self.claim.lease.job, "a job's lease is lost: its work is dropped")
            }
        }
        self.tell();
    }

    /// Waits for the work, and meanwhile keeps the lease, mirrors the progress, and learns what is wanted.
    async fn attend(
        &mut self,
        work: &mut AbortOnDropHandle<crate::Result<Done>>,
        stop: &CancellationToken,
    ) -> Result<Over, Halt> {
        let clock = self.service.clock().clone();
        let pace = self.service.settings().pace;
        let step = pace.progress.min(pace.lease / 3);
        let mut told_to_stop: Option<Duration> = None;
        loop {
            tokio::select! {
                over = &mut *work => return Ok(over),
                () = stop.cancelled(), if told_to_stop.is_none() => {
                    told_to_stop = Some(clock.elapsed());
                }
                () = clock.sleep(step) => match self.renew().await {
                    Some(Wanted::Go) => {}
                    Some(Wanted::Pause | Wanted::Cancel) => {
                        told_to_stop.get_or_insert(clock.elapsed());
                    }
                    None if clock.elapsed() >= self.held_until => return Err(Halt::Lost),
                    None => {}
                },
            }
            if told_to_stop.is_none() && self.could_others_work().await {
                let left = self.meter.wait(&self.claim);
                self.goes_on_at = Some(clock.now() + left);
                told_to_stop = Some(clock.elapsed());
            }
            if let Some(since) = told_to_stop {
                // What a backup has is worth a restore point. A restore goes on from what is there, the others from the beginning.
                if self.claim.kind != JobKind::Backup || clock.elapsed() - since >= pace.grace {
                    return Err(Halt::Stopped);
                }
                self.meter.mail.ask_to_stop();
            }
        }
    }

    /// Whether a backup has a long wait before it while a job is due that nobody has a hand for: one tenant that is throttled shall not slow the
    /// others.
    async fn could_others_work(&self) -> bool {
        let patience = self.service.settings().pace.patience;
        if self.claim.kind != JobKind::Backup || self.meter.wait(&self.claim) < patience {
            return false;
        }
        let now = self.service.clock().now();
        match self.service.catalog().is_a_job_due(now).await {
            Ok(is_due) => is_due,
            Err(error) => {
                tracing::warn!(error = %error, "whether a job is due could not be learnt");
                false
            }
        }
    }

    /// Renews the lease. `None` when that cannot be done; when the lease is lost it holds no longer from now on.
    async fn renew(&mut self) -> Option<Wanted> {
        let progress = self.meter.progress(&self.claim);
        let lease = self.service.settings().pace.lease;
        let clock = self.service.clock();
        let asked = clock.elapsed();
        let renewed =
            self.service
                .catalog()
                .renew(&self.claim.lease, &progress, lease, clock.now());
        match renewed.await {
            Ok(wanted) => {
                self.held_until = asked + lease;
                if self.meter.has_moved(progress) {
                    self.tell();
                }
                Some(wanted)
            }
            Err(catalog::Error::LeaseLost) => {
                self.held_until = Duration::ZERO;
                None
            }
            Err(error) => {
                tracing::warn!(error = %error, "a job's lease could not be renewed");
                None
            }
        }
    }

    async fn done(&mut self, mut done: Done) {
        let stopped = done.stopped.take();
        if let Some(error) = &stopped
            && self.is_tried_again(error).await
        {
            return;
        }
        self.finish(done).await;
        if stopped.is_some_and(|error| error.kind() == Kind::Disconnected) {
            self.look_at_connection().await;
        }
    }

    async fn failed(&mut self, error: crate::Error) {
        if self.is_tried_again(&error).await {
            return;
        }
        self.fail(error.text()).await;
        if error.kind() == Kind::Disconnected {
            self.look_at_connection().await;
        }
    }

    /// Gives the job back to be tried again, if what it met may pass and it has not met it too often.
    async fn is_tried_again(&mut self, error: &crate::Error) -> bool {
        tracing::warn!(job = %self.claim.lease.job, error = error.text(), "a job failed");
        if error.kind() != Kind::Unavailable || self.claim.attempts >= TRIES_MAX {
            return false;
        }
        let now = self.service.clock().now();
        let again = now + self.service.settings().pace.pause;
        let catalog = self.service.catalog();
        let given = catalog.try_again(&self.claim.lease, again, now).await;
        self.note(given);
        true
    }

    /// Finds out at once whether the connection works, so that people are told why jobs fail.
    async fn look_at_connection(&self) {
        let of = self.service.catalog().organization(self.claim.organization);
        let Ok(task) = of.task(self.claim.task).await else {
            return;
        };
        let checked = self
            .service
            .check_connection(self.claim.organization, task.connection);
        if let Err(error) = checked.await {
            tracing::warn!(error = %error, "a connection could not be checked");
        }
    }

    async fn fail(&mut self, why: String) {
        let report = JobReport {
            error: Some(why),
            ..JobReport::default()
        };
        self.finish(Done {
            report,
            ..Done::new(JobResult::Failed)
        })
        .await;
    }

    /// Notes the result; as long as the lease holds, what is in the way may pass.
    async fn finish(&mut self, done: Done) {
        let finished = Finished {
            result: done.result,
            outcome: done.report.to_text(),
            progress: self.meter.progress(&self.claim),
            snapshot: done.accepted,
            failures: done.failures,
        };
        let clock = self.service.clock().clone();
        let catalog = self.service.catalog().clone();
        loop {
            match catalog
                .finish(&self.claim.lease, &finished, clock.now())
                .await
            {
                Ok(()) => {
                    self.service
                        .count(self.claim.kind, done.result, &done.report);
                    break;
                }
                Err(catalog::Error::LeaseLost) => {
                    tracing::warn!(job = %self.claim.lease.job, "a job was over, and its lease lost: nothing is noted");
                    return;
                }
                Err(error) => tracing::warn!(error = %error, "a job's result could not be noted"),
            }
            clock.sleep(self.service.settings().pace.progress).await;
            if self.renew().await.is_none() && clock.elapsed() >= self.held_until {
                return;
            }
        }
        if done.token > self.claim.lease.fencing_token {
            // The database is older than the repository: from the next claim on the numbers are larger than those of all snapshots.
            let raised = catalog.raise_fencing_token(self.claim.account, done.token);
            if let Err(error) = raised.await {
                tracing::warn!(error = %error, "a fencing token could not be raised");
            }
        }
    }

    async fn give_back(&self) {
        let now = self.service.clock().now();
        let not_before = self.goes_on_at.unwrap_or(now);
        let catalog = self.service.catalog();
        let given = catalog.give_back(&self.claim.lease, not_before, now).await;
        self.note(given);
    }

    fn note(&self, given: catalog::Result<JobState>) {
        let lease = &self.claim.lease;
        match given {
            Ok(state) => {
                tracing::info!(job = %lease.job, state = state.word(), "a job was given back")
            }
            // When the lease ends another worker takes it.
            Err(error) => {
                tracing::warn!(job = %lease.job, error = %error, "a job could not be given back")
            }
        }
    }

    fn tell(&self) {
        self.service.tell(self.claim.organization, self.claim.run);
    }
}
