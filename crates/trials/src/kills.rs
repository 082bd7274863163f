//! The kill matrix: for every operation, a worker is killed at every boundary, or the call there fails, and [`judge`] looks at what is left.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use engine::Vault;
use model::{Clock, RestoreId, SystemClock};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    errand::Deed,
    folder,
    ground::Ground,
    harm,
    judge::{self, Truth},
    mailbox::{self, Shown},
    strace::{self, Boundary, Disturbance, FILE_CALLS, SOCKET_CALLS},
    worker::Worker,
};

/// Points judged at the same time. A point waits for processes that each use one processor.
const AT_ONCE: usize = 2;

/// A thread also writes to wake another one, how often depends on which of them is faster. A worker that was killed at such a call, or was not
/// killed at all, is tried again so many times altogether.
const ATTEMPTS: usize = 5;

/// An operation that workers are killed in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub enum Operation {
    /// The first backup of an account, the making of its repository included.
    FirstBackup,
    /// A backup after mail has arrived, changed and gone.
    Incremental,
    /// A backup that also notes which repository is the account's, as the first one does after making it.
    Noting,
    /// Forgetting all restore points but the last, and deleting what nothing needs.
    Prune,
    /// A repair of a repository that has no index any more, and of which a message is damaged.
    Repair,
    /// A restore into a new folder; its boundaries are what it sends to the source.
    Restore,
}

/// Which workers are disturbed, and how.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Plan {
    /// Only in this operation; in all when none is named.
    #[arg(long, value_enum)]
    pub operation: Option<Operation>,
    /// What is done to them there.
    #[arg(long, value_enum, default_value = "kill")]
    pub by: Disturbance,
    /// Only so many, chosen at random, of each operation about as many; at every boundary when no number is named.
    #[arg(long)]
    pub points: Option<usize>,
    /// What the choice follows from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What was done, for people.
#[derive(Debug, Default)]
pub struct Report {
    operations: BTreeMap<Operation, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    /// By call.
    boundaries: BTreeMap<String, usize>,
    hidden: usize,
    there: usize,
    elsewhere: usize,
    ended: usize,
    took: Duration,
}

/// An operation, ready to be begun from a copy of a prepared folder.
#[derive(Debug)]
struct Prepared {
    operation: Operation,
    base: PathBuf,
    truth: Truth,
    /// What a restore must make.
    shown: Shown,
    boundaries: Vec<Boundary>,
}

/// Where a worker was disturbed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hit {
    /// At the boundary, or in another thread at the same time as there.
    There,
    /// At another call of the same name.
    Elsewhere,
    /// It came to its end.
    Nowhere,
}

/// What became of one point.
struct Point {
    operation: Operation,
    hit: Hit,
    took: Duration,
}

/// Runs the plan.
///
/// # Errors
/// When strace is missing, or at any point something does not hold.
pub async fn run(plan: &Plan, worker: &Worker) -> Result<Report> {
    ensure!(strace::is_there(), "install strace, and allow tracing");
    let ground = Arc::new(Ground::new().await?);
    let mut report = Report::default();
    let mut points = Vec::new();
    for prepared in prepare(&ground, plan.operation, worker).await? {
        let tally = report.operations.entry(prepared.operation).or_default();
        let prepared = Arc::new(prepared);
        for (number, boundary) in prepared.boundaries.iter().enumerate() {
            if !plan.by.suits(&boundary.call) {
                continue;
            }
            *tally.boundaries.entry(boundary.call.clone()).or_default() += 1;
            match boundary.hidden {
                true => tally.hidden += 1,
                false => points.push((Arc::clone(&prepared), number)),
            }
        }
    }
    if plan.points.is_some() {
        points.shuffle(&mut StdRng::seed_from_u64(plan.seed));
        // In turns, so that every operation is met, also one with few boundaries.
        let mut turns: BTreeMap<Operation, usize> = BTreeMap::new();
        points.sort_by_cached_key(|(prepared, _)| {
            let turn = turns.entry(prepared.operation).or_default();
            *turn += 1;
            *turn
        });
    }
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let by = plan.by;
    let mut points = points.into_iter();
    // For each that was not met where it was meant to be, another one is taken.
    loop {
        let wanted = plan.points.unwrap_or(usize::MAX);
        let some: Vec<_> = points
            .by_ref()
            .take(wanted.saturating_sub(report.there()))
            .collect();
        if some.is_empty() {
            return Ok(report);
        }
        let mut running = JoinSet::new();
        for (prepared, number) in some {
            let (ground, worker) = (Arc::clone(&ground), worker.clone());
            let permit = Arc::clone(&permits).acquire_owned().await?;
            let runtime = tokio::runtime::Handle::current();
            running.spawn_blocking(move || {
                let _permit = permit;
                runtime.block_on(point(&ground, &worker, &prepared, by, number))
            });
            while let Some(point) = running.try_join_next() {
                report.add(point??);
            }
        }
        while let Some(point) = running.join_next().await {
            report.add(point??);
        }
    }
}

/// Makes the folders that operations begin with, lets the source go on, and counts the boundaries of each operation.
async fn prepare(
    ground: &Arc<Ground>,
    only: Option<Operation>,
    worker: &Worker,
) -> Result<Vec<Prepared>> {
    let empty = ground.place("empty");
    Vault::create(&empty)?;
    let filled = ground.place("filled");
    folder::copy(&empty, &filled)?;
    let vault = Vault::open(&filled)?;
    let first = ground.back_up(&vault).await?;
    let first = first.snapshot.context("a first backup makes a snapshot")?;
    let before = judge::held(ground, &vault).await?;
    let then = ground.source()?;
    let found = mailbox::differences(&before[&first], &then);
    ensure!(found.is_empty(), "the first backup: {found:?}");
    let shown = ground.at_source(&ground.account, |mailbox| mailbox::shown(mailbox, &[]))??;
    ground.go_on().await?;
    let now = Arc::new(ground.source()?);

    let mut prepared = Vec::new();
    let grown = ground.place("grown");
    folder::copy(&filled, &grown)?;
    let vault = Vault::open(&grown)?;
    ground.back_up(&vault).await?;
    let all = judge::held(ground, &vault).await?;
    let grown_by = all.iter().filter(|(id, _)| !before.contains_key(id));
    for (id, held) in &before {
        ensure!(all.get(id) == Some(held), "the first snapshot is another");
    }
    for (_, held) in grown_by {
        let found = mailbox::differences(held, &now);
        ensure!(found.is_empty(), "the second backup: {found:?}");
    }
    let unnoted = ground.place("unnoted");
    folder::copy(&filled, &unnoted)?;
    forget_note(&ground.account_file(&unnoted))?;
    let harmed = ground.place("harmed");
    folder::copy(&grown, &harmed)?;
    harm::befall(&Vault::open(&harmed)?.repository_path(&ground.account.id))?;

    let newest = judge::newest(ground, &Vault::open(&grown)?).await?;
    for operation in Operation::value_variants() {
        if only.is_some_and(|only| only != *operation) {
            continue;
        }
        let (base, before) = match operation {
            Operation::FirstBackup => (&empty, BTreeMap::new()),
            Operation::Noting => (&unnoted, before.clone()),
            Operation::Incremental | Operation::Restore => (&filled, before.clone()),
            Operation::Prune => (&grown, all.clone()),
            Operation::Repair => (&harmed, all.clone()),
        };
        let mut operation = Prepared {
            operation: *operation,
            base: base.clone(),
            truth: Truth {
                before,
                now: Arc::clone(&now),
                kept: (*operation == Operation::Prune).then_some(newest),
                asks_restic: true,
            },
            shown: shown.clone(),
            boundaries: Vec::new(),
        };
        operation.count(ground, worker).await?;
        prepared.push(operation);
    }
    Ok(prepared)
}

/// Takes out of an account's file which repository is its.
fn forget_note(file: &Path) -> Result<()> {
    let mut account: serde_json::Value = serde_json::from_slice(&fs::read(file)?)?;
    let note = account
        .as_object_mut()
        .and_then(|it| it.remove("repository"));
    ensure!(note.is_some(), "the account's repository was noted");
    Ok(fs::write(file, account.to_string())?)
}

impl Prepared {
    /// Counts the boundaries in a dry run.
    async fn count(&mut self, ground: &Ground, worker: &Worker) -> Result<()> {
        let data = self.copy(ground, "dry")?;
        let command = self.command(ground, worker, &data, "dry")?;
        let log = ground.place("dry.log");
        let (calls, to) = self.calls(&data)?;
        let run = move || strace::boundaries(calls, &to, &log, &command);
        self.boundaries = tokio::task::spawn_blocking(run).await??;
        fs::remove_dir_all(&data)?;
        Ok(())
    }

    fn copy(&self, ground: &Ground, name: &str) -> Result<PathBuf> {
        let data = ground.place(&format!("{:?}-{name}", self.operation));
        folder::copy(&self.base, &data)?;
        Ok(fs::canonicalize(data)?)
    }

    fn deed(&self, ground: &Ground, name: &str) -> Result<Deed> {
        Ok(match self.operation {
            Operation::FirstBackup | Operation::Incremental | Operation::Noting => Deed::Backup,
            Operation::Prune => Deed::Prune,
            Operation::Repair => Deed::Repair,
            Operation::Restore => Deed::Restore {
                target: ground.other.id.clone(),
                folder: format!("Restored {name}"),
                restore: RestoreId::new(name)?,
            },
        })
    }

    fn command(
        &self,
        ground: &Ground,
        worker: &Worker,
        data: &Path,
        name: &str,
    ) -> Result<[String; 3]> {
        worker.command_line(&ground.errand(data, self.deed(ground, name)?))
    }

    /// The calls that count, and what is common to what they are made to.
    fn calls(&self, data: &Path) -> Result<(&'static str, String)> {
        Ok(match self.operation {
            Operation::Restore => (SOCKET_CALLS, "<socket:".to_owned()),
            // What follows the note is the same as in the other backups.
            Operation::Noting => (FILE_CALLS, text(&data.join("accounts"))?),
            Operation::FirstBackup
            | Operation::Incremental
            | Operation::Prune
            | Operation::Repair => (FILE_CALLS, text(data)?),
        })
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("a path is no Unicode")?;
    Ok(text.to_owned())
}

/// Disturbs a worker at one boundary and judges what is left.
async fn point(
    ground: &Ground,
    worker: &Worker,
    prepared: &Prepared,
    by: Disturbance,
    number: usize,
) -> Result<Point> {
    let clock = SystemClock::new();
    let boundary = &prepared.boundaries[number];
    let mut attempt = 0;
    let (name, data, hit) = loop {
        let name = format!("{number}-{attempt}");
        let (data, hit) = disturb(ground, worker, prepared, by, boundary, &name)?;
        attempt += 1;
        if hit != Hit::There && attempt < ATTEMPTS {
            fs::remove_dir_all(&data)?;
        } else {
            break (name, data, hit);
        }
    };
    let judged = match prepared.operation {
        Operation::Restore => {
            let deed = prepared.deed(ground, &name)?;
            match judge::restore(ground, &data, &deed, &prepared.shown).await {
                Ok(()) => judge::backup(ground, &data, &prepared.truth).await,
                error => error,
            }
        }
        Operation::Repair => judge::repair(ground, &data, &prepared.truth).await,
        _ => judge::backup(ground, &data, &prepared.truth).await,
    };
    judged.with_context(|| format!("{:?}: {by:?}: {hit:?} at {boundary:?}", prepared.operation))?;
    fs::remove_dir_all(&data)?;
    Ok(Point {
        operation: prepared.operation,
        hit,
        took: clock.elapsed(),
    })
}

/// Disturbs a worker; gives the data folder and where it happened.
fn disturb(
    ground: &Ground,
    worker: &Worker,
    prepared: &Prepared,
    by: Disturbance,
    boundary: &Boundary,
    name: &str,
) -> Result<(PathBuf, Hit)> {
    let data = prepared.copy(ground, name)?;
    let command = prepared.command(ground, worker, &data, name)?;
    let log = ground.place(&format!("{:?}-{name}.log", prepared.operation));
    let hits = strace::disturb(by, boundary, &log, &command)?;
    fs::remove_file(&log)?;
    let (_, to) = prepared.calls(&data)?;
    let hit = if hits.is_empty() {
        Hit::Nowhere
    } else if hits.iter().any(|hit| hit.what.contains(&to)) {
        Hit::There
    } else {
        Hit::Elsewhere
    };
    Ok((data, hit))
}

impl Report {
    fn add(&mut self, point: Point) {
        let tally = self.operations.entry(point.operation).or_default();
        tally.took += point.took;
        match point.hit {
            Hit::There => tally.there += 1,
            Hit::Elsewhere => tally.elsewhere += 1,
            Hit::Nowhere => tally.ended += 1,
        }
    }

    /// How many workers were disturbed where it was meant.
    #[must_use]
    pub fn there(&self) -> usize {
        self.operations.values().map(|tally| tally.there).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, tally) in &self.operations {
            let Tally {
                boundaries,
                hidden,
                there,
                elsewhere,
                ended,
                took,
            } = tally;
            let points = there + elsewhere + ended;
            writeln!(
                f,
                "{operation:?}: {} boundaries {boundaries:?}, {hidden} of them hidden",
                boundaries.values().sum::<usize>()
            )?;
            writeln!(
                f,
                "  {points} workers: {there} disturbed there, {elsewhere} at another call, {ended} not at all; {:.1} s for each",
                took.as_secs_f64() / points.max(1) as f64
            )?;
        }
        write!(f, "everything held")
    }
}
