//! A worker: claims jobs, keeps their leases, tells how far they are, and sees to it that each ends in one of three ways.
//!
//! A job is *finished* with a result; or *given back*, because somebody wants its run paused or cancelled, this process is to end, Microsoft lets it wait
//! while others could work, or it is to be tried again; or *lost*, because its lease ended. Then another worker has it, and this one writes nothing more to the catalog. The work itself, in
//! [`crate::job`], knows none of this: it runs as a task of its own, so that a panic in it ends that job alone, and is dropped to stop it.

use std::{sync::Arc, time::Duration};

use catalog::{Claim, Finished, JobKind, JobResult, JobState, Left, Wanted};
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
/// How long a worker that was told to stop goes on saying how its jobs ended, when the database does not take it: with [`crate::Pace::grace`] it is over
/// within ten seconds. Whoever claims the job then does it again.
const TELLING_MAX: Duration = Duration::from_secs(3);

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
                        let attending = Attending::new(self.clone(), claim, stop.clone());
                        jobs.spawn(attending.run());
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
    /// When the job can go on and what it waits for, if it is given back because it has to wait.
    goes_on: Option<(Timestamp, String)>,
    stop: CancellationToken,
}

/// What the work on a job came to, unless it panicked.
type Over = Result<crate::Result<Done>, tokio::task::JoinError>;

/// How a worker is rid of a job.
enum End {
    Finished(Finished),
    Left(Left),
}

/// Why the work on a job is given up.
enum Halt {
    /// It was told to stop.
    Stopped,
    /// Its lease is another worker's.
    Lost,
}

impl Attending {
    fn new(service: Service, claim: Claim, stop: CancellationToken) -> Self {
        let held_until = service.clock().elapsed() + service.settings().pace.lease;
        Self {
            service,
            claim,
            meter: Arc::default(),
            held_until,
            goes_on: None,
            stop,
        }
    }

    async fn run(mut self) {
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
        let ending = self.attend(&mut work).await;
        if ending.is_err() {
            // Only when it has really ended may somebody else begin.
            work.abort();
            let _ = work.await;
        }
        match ending {
            Ok(Ok(Ok(done))) if done.interrupted => self.give_back(Some(done)).await,
            Ok(Ok(Ok(done))) => self.done(done).await,
            Ok(Ok(Err(error))) => self.failed(error).await,
            Ok(Err(_)) => {
                let why = "Keepwell itself gave up on it: report this to whoever makes it";
                self.fail(why.to_owned()).await;
            }
            Err(Halt::Stopped) => self.give_back(None).await,
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
    ) -> Result<Over, Halt> {
        let stop = self.stop.clone();
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
                let why = "Microsoft asks for a pause".to_owned();
                self.goes_on = Some((clock.now() + left, why));
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
        let again = self.service.clock().now() + self.service.settings().pace.pause;
        let left = Left {
            waiting_for: error.text(),
            counts: true,
            ..Left::until(again)
        };
        self.end(&End::Left(left)).await;
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

    /// Notes the result.
    async fn finish(&mut self, done: Done) {
        let finished = Finished {
            result: done.result,
            outcome: done.report.to_text(),
            progress: self.meter.progress(&self.claim),
            snapshot: done.accepted,
            failures: done.failures,
            restored: done.restored,
        };
        if self.end(&End::Finished(finished)).await.is_none() {
            return;
        }
        self.service
            .count(self.claim.kind, done.result, &done.report);
        if done.token > self.claim.lease.fencing_token {
            // The database is older than the repository: from the next claim on the numbers are larger than those of all snapshots.
            let catalog = self.service.catalog();
            let raised = catalog.raise_fencing_token(self.claim.account, done.token);
            if let Err(error) = raised.await {
                tracing::warn!(error = %error, "a fencing token could not be raised");
            }
        }
    }

    /// Gives the job back, with what a backup that was asked to end has left, or a restore has done.
    async fn give_back(&mut self, done: Option<Done>) {
        let goes_on = self.goes_on.take();
        let now = self.service.clock().now();
        let (not_before, waiting_for) = goes_on.unwrap_or((now, String::new()));
        let mut left = Left {
            waiting_for,
            ..Left::until(not_before)
        };
        if let Some(done) = done {
            left.outcome = done.report.to_text();
            (left.snapshot, left.failures) = (done.accepted, done.failures);
        } else if let Some((report, restored)) = self.meter.restored() {
            (left.outcome, left.restored) = (report.to_text(), restored);
        }
        self.end(&End::Left(left)).await;
    }

    /// Tells the catalog how the job ended, as long as the lease holds: what is in the way may pass. `None` when it could not be told: when the lease ends
    /// another worker takes the job.
    async fn end(&mut self, end: &End) -> Option<JobState> {
        let (clock, stop) = (self.service.clock().clone(), self.stop.clone());
        let given_up = async {
            stop.cancelled().await;
            clock.sleep(TELLING_MAX).await;
        };
        let job = self.claim.lease.job;
        let state = tokio::select! {
            state = self.insist(end) => state,
            () = given_up => None,
        };
        match state {
            Some(state) => {
                tracing::info!(%job, state = state.word(), "a job is over or given back")
            }
            None => tracing::warn!(%job, "how a job ended could not be noted: it is done again"),
        }
        state
    }

    async fn insist(&mut self, end: &End) -> Option<JobState> {
        let (clock, catalog) = (self.service.clock().clone(), self.service.catalog().clone());
        loop {
            let (lease, now) = (&self.claim.lease, clock.now());
            let busy = clock.busy("a word to the database");
            let told = match end {
                End::Finished(finished) => {
                    let told = catalog.finish(lease, finished, now).await;
                    told.map(|()| JobState::Finished)
                }
                End::Left(left) => catalog.give_back(lease, left, now).await,
            };
            drop(busy);
            match told {
                Ok(state) => return Some(state),
                Err(catalog::Error::LeaseLost) => return None,
                Err(error) => tracing::warn!(error = %error, "how a job ended could not be noted"),
            }
            clock.sleep(self.service.settings().pace.progress).await;
            if self.renew().await.is_none() && clock.elapsed() >= self.held_until {
                return None;
            }
        }
    }

    fn tell(&self) {
        self.service.tell(self.claim.organization, self.claim.run);
    }
}
