//! Backups in all conditions, and what must come of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use emulator::{Churn, Event, Happening, Mailbox, Tenant};
use engine::{Kind, backup, snapshots::latest};
use jiff::Timestamp;
use rand::{RngExt, rngs::StdRng};
use repository::{PruneOptions, PruneReport};
use tokio::sync::Notify;
use workload::mail::{Archive, backup::Progress};

use super::{
    faults,
    history::History,
    maintenance::GRACE,
    model::{Model, Run},
    world::{World, held_by, lock, place},
};

/// In which conditions a backup runs.
#[derive(Debug)]
pub(super) struct Conditions {
    /// People do something after every so many requests.
    busy: Option<u32>,
    /// Faults are on.
    storm: bool,
    /// The run is dropped after so many requests.
    dropped: Option<u32>,
    /// Storage dies after so many writes.
    dies: Option<usize>,
    /// Somebody prunes beside it after so many requests.
    pruned: Option<u32>,
}

/// What is told to the others when a run has made so many requests.
#[derive(Default)]
struct Signals {
    stop: Notify,
    prune: Notify,
}

impl Conditions {
    pub(super) fn any(random: &mut StdRng) -> Self {
        Self {
            busy: random.random_bool(0.5).then(|| random.random_range(1..100)),
            storm: random.random_bool(0.4),
            dropped: random.random_bool(0.3).then(|| random.random_range(1..300)),
            dies: random.random_bool(0.3).then(|| random.random_range(0..30)),
            pruned: random.random_bool(0.2).then(|| random.random_range(1..100)),
        }
    }

    /// Whether a run may end with this error.
    fn excuse(&self, error: &engine::Error) -> bool {
        self.storm
            || self.dies.is_some()
            || self.pruned.is_some() && error.kind() == Kind::Unavailable
    }
}

impl World {
    pub(super) async fn back_up(&mut self, conditions: &Conditions) -> Result<String> {
        if conditions.storm {
            for rule in faults::weather(&mut self.random) {
                self.emulator.add_fault(rule)?;
            }
        }
        let signals = Arc::new(Signals::default());
        self.disturb(conditions, &signals)?;
        self.die_after(conditions.dies);
        let began = self.history().moment();
        let (outcome, pruned) = self.run_beside_a_prune(&signals).await;
        self.die_after(None);
        self.on_exchange(None);
        self.emulator.clear_faults();
        let ended = self.history().moment();
        let mut said = match &outcome {
            None => "dropped".to_owned(),
            Some(Err(error)) => format!("{:?}", error.kind()),
            Some(Ok(outcome)) => told(outcome),
        };
        if let Some(pruned) = pruned {
            said += &format!(", prune {pruned}");
        }
        if let Some(Err(error)) = outcome
            && !conditions.excuse(&error)
        {
            return Err(error).context("a backup in good conditions failed");
        }
        let new = self
            .judge_new(Run { began, ended })
            .await
            .context(said.clone())?;
        Ok(format!("{said}, {new} new"))
    }

    /// Runs a backup until it ends or is told to stop, and a prune beside it when that is told to begin.
    async fn run_beside_a_prune(
        &self,
        signals: &Signals,
    ) -> (Option<engine::Result<backup::Outcome>>, Option<String>) {
        let progress = Progress::default();
        let mut pruned = None;
        let backup = async {
            tokio::select! {
                biased;
                () = signals.stop.notified() => None,
                outcome = backup::run(self.setting(), &self.account, &progress) => Some(outcome),
            }
        };
        let prune = async {
            signals.prune.notified().await;
            pruned = Some(match self.prune_once().await {
                Ok(Some(report)) => format!("deleted {} packs", report.deleted_packs),
                Ok(None) => "found nothing".to_owned(),
                Err(error) => format!("failed: {error:#}"),
            });
            // It ends before the backup, or with it.
            std::future::pending::<()>().await;
        };
        let outcome = tokio::select! {
            outcome = backup => outcome,
            () = prune => None,
        };
        (outcome, pruned)
    }

    pub(super) async fn prune_once(&self) -> Result<Option<PruneReport>> {
        let Some(repository) = self.repository().await? else {
            return Ok(None);
        };
        Ok(Some(
            repository.prune(PruneOptions::default(), |_| ()).await?,
        ))
    }

    /// People go on while a run is under way, and signals are given at some time.
    fn disturb(&mut self, conditions: &Conditions, signals: &Arc<Signals>) -> Result<()> {
        let churn = self.churn(15);
        let Conditions {
            busy,
            dropped,
            pruned,
            ..
        } = *conditions;
        let (tenant, now) = (Arc::clone(self.emulator.tenant()), self.emulator.now());
        let (history, mailbox) = (Arc::clone(&self.history), self.mailbox()?);
        let signals = Arc::clone(signals);
        let mut exchanges = 0;
        self.on_exchange(Some(Box::new(move |_| {
            exchanges += 1;
            if busy.is_some_and(|busy| exchanges % busy == 0) {
                let churn = Churn {
                    seed: churn.seed ^ u64::from(exchanges),
                    ..churn
                };
                work(&churn, &tenant, now, &history, &mailbox);
            }
            if dropped == Some(exchanges) {
                signals.stop.notify_one();
            }
            if pruned == Some(exchanges) {
                signals.prune.notify_one();
            }
        })));
        Ok(())
    }

    /// A backup of a mailbox at rest, in good conditions, and one more.
    pub(super) async fn settle(&mut self) -> Result<String> {
        if std::mem::take(&mut self.restic_forgot) {
            // Where nothing changed, a run goes on for a day from what the one before noted.
            self.simulated.advance(GRACE);
        }
        let now = self.history().moment();
        let outcome = backup::run(self.setting(), &self.account, &Progress::default()).await?;
        ensure!(
            outcome.report.is_complete(),
            "it is not complete: {:?}",
            outcome.report
        );
        self.judge_new(Run {
            began: now,
            ended: now,
        })
        .await?;
        self.newest_is_the_source().await?;
        let quiet = backup::run(self.setting(), &self.account, &Progress::default()).await?;
        ensure!(
            quiet.snapshot.is_none(),
            "a quiet run writes: {:?}",
            quiet.report
        );
        Ok(told(&outcome))
    }

    async fn newest_is_the_source(&mut self) -> Result<()> {
        let repository = self.repository().await?.context("there is a repository")?;
        let snapshots = repository.snapshots().await?;
        let (id, snapshot) = latest(&snapshots).context("there is a snapshot")?;
        let held = self.model.held(*id).context("it was judged")?;
        let now = self.history().moment();
        let run = Run {
            began: now,
            ended: now,
        };
        let wrong = Model::judge(&self.history(), run, None, held, false);
        ensure!(
            wrong.is_empty(),
            "the newest snapshot is not the mailbox: {wrong:#?}"
        );
        let archive = Archive::open(repository.view(snapshot.tree)).await?;
        let folders = archive.paths().into_iter();
        let folders: BTreeMap<_, _> = folders.map(|(id, path)| (id.to_string(), path)).collect();
        let mailbox = self.mailbox()?;
        let there: BTreeMap<_, _> = lock(&mailbox)
            .folder_views()
            .map(|folder| (folder.id, folder.path))
            .collect();
        ensure!(
            folders == there,
            "folders: {folders:?} instead of {there:?}"
        );
        Ok(())
    }
}

fn told(outcome: &backup::Outcome) -> String {
    let report = &outcome.report;
    let end = if report.is_complete() {
        "complete"
    } else {
        "partial"
    };
    format!(
        "{end}, {} added, {} changed, {} marked, {} removed",
        report.added, report.changed, report.marked, report.removed
    )
}

/// Lets people work, and notes what each message becomes as it happens: of a draft that is edited and then deleted, Graph gives the edited MIME to
/// whoever knows its id.
pub(super) fn work(
    churn: &Churn,
    tenant: &Tenant,
    now: Timestamp,
    history: &Mutex<History>,
    mailbox: &Mutex<Mailbox>,
) -> Vec<Happening> {
    let happenings = churn.run_watched(tenant, now, |mailbox, happening| {
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let id = happening.id.clone();
        if matches!(
            happening.event,
            Event::MovedUnseen | Event::MovedAndBackUnseen
        ) {
            history.note_unseen(id.clone());
        }
        if let Some(message) = mailbox.view_message(&id) {
            history.note_one(id, place(message));
        }
    });
    let held = held_by(mailbox);
    let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
    history.note(held);
    happenings
}
