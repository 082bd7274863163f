//! Our side of every comparison: one operation in a process of its own, which tells at its end what it did.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use clap::Subcommand;
use model::{Clock, SystemClock};
use repository::{Options, Repository, SnapshotMeta, Storage};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::process::{self, Measured};

pub(crate) mod account;
mod index;
mod many;
mod steps;
mod store;
mod stream;

/// The password of every repository that is measured.
pub(crate) const PASSWORD: &str = "measured";

/// What a process of ours does.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Operation {
    /// Backs up all files of a folder.
    Store {
        repository: PathBuf,
        source: PathBuf,
    },
    /// Does to all files of a folder what cannot be left out, and keeps nothing.
    Steps { source: PathBuf },
    /// Makes a repository of many small items.
    Fill { repository: PathBuf, items: usize },
    /// Changes some of them, or adds some, or finds nothing changed.
    Change {
        repository: PathBuf,
        #[arg(long)]
        cache: Option<PathBuf>,
        #[arg(long)]
        items: usize,
        #[arg(long, default_value_t = 0)]
        count: usize,
        #[arg(long, default_value_t = 0)]
        added: usize,
        #[arg(long)]
        round: usize,
    },
    /// Reads one of them.
    Read {
        repository: PathBuf,
        #[arg(long)]
        cache: Option<PathBuf>,
        #[arg(long)]
        items: usize,
        #[arg(long)]
        number: usize,
    },
    /// Stores one very large file.
    StoreStream { repository: PathBuf, bytes: u64 },
    /// Reads it again.
    ReadStream { repository: PathBuf },
    /// Stores very many blobs of a few bytes.
    StoreBlobs { repository: PathBuf, blobs: usize },
    /// Reads the index of all of them.
    ReadIndex { repository: PathBuf },
    /// Backs up all mailboxes of an emulated tenant.
    Account {
        #[command(flatten)]
        tenant: account::Tenant,
        #[arg(long)]
        data: PathBuf,
    },
    /// Restores the mailboxes that were backed up, each into a new folder of its own.
    Restore {
        #[command(flatten)]
        tenant: account::Tenant,
        #[arg(long)]
        data: PathBuf,
    },
    /// Gets mails and stores them, and nothing else.
    Ceiling {
        #[command(flatten)]
        tenant: account::Tenant,
        #[arg(long)]
        paths: PathBuf,
        #[arg(long)]
        repository: PathBuf,
    },
}

/// What a process of ours tells at its end.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Told {
    /// Opening the repository.
    pub(crate) opening: Span,
    /// All that came after.
    pub(crate) work: Span,
    /// Files or messages worked on.
    pub(crate) items: u64,
    /// Their content.
    pub(crate) bytes: u64,
    /// The most memory held, which a look from outside could miss at the very end.
    pub(crate) peak_bytes: u64,
    /// Operations of storage that read an object.
    pub(crate) reads: u64,
    /// Those that write, list or delete.
    pub(crate) writes: u64,
}

/// What a part of an operation took.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Span {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Does it, and prints what there is to tell.
pub(crate) fn run(operation: Operation) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut told = match operation {
        Operation::Restore { tenant, data } => runtime.block_on(account::restore(&tenant, &data)),
        Operation::Steps { source } => steps::run(&source),
        // On a thread of the runtime's own: what is woken from there needs no other thread.
        storing => runtime.block_on(runtime.spawn(store(storing)))?,
    }?;
    told.peak_bytes = process::peak_memory("self").unwrap_or(0);
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

/// All that store or read with many threads.
async fn store(operation: Operation) -> anyhow::Result<Told> {
    match operation {
        Operation::Store { repository, source } => store::run(&repository, &source).await,
        Operation::Fill { repository, items } => many::fill(&repository, items).await,
        Operation::Change {
            repository,
            cache,
            items,
            count,
            added,
            round,
        } => many::change(&repository, cache.as_deref(), items, count, added, round).await,
        Operation::Read {
            repository,
            cache,
            items,
            number,
        } => many::read(&repository, cache.as_deref(), items, number).await,
        Operation::StoreStream { repository, bytes } => stream::store(&repository, bytes).await,
        Operation::ReadStream { repository } => stream::read(&repository).await,
        Operation::StoreBlobs { repository, blobs } => index::store(&repository, blobs).await,
        Operation::ReadIndex { repository } => index::read(&repository).await,
        Operation::Account { tenant, data } => account::back_up(&tenant, &data).await,
        Operation::Ceiling {
            tenant,
            paths,
            repository,
        } => account::ceiling(&tenant, &paths, &repository).await,
        Operation::Restore { .. } | Operation::Steps { .. } => {
            anyhow::bail!("this is done elsewhere")
        }
    }
}

/// Runs an operation in a process of its own: what it took, seen from outside, and what it told.
pub(crate) fn measure(arguments: &[&std::ffi::OsStr]) -> anyhow::Result<(Measured, Told)> {
    let program = std::env::current_exe()?;
    let mut measured = process::measure(Command::new(program).arg("ours").args(arguments))?;
    let told: Told = serde_json::from_str(&measured.stdout)
        .with_context(|| format!("what it told is not understood: {}", measured.stdout))?;
    measured.peak_bytes = measured.peak_bytes.max(told.peak_bytes);
    Ok((measured, told))
}

/// Makes an empty repository.
pub(crate) fn init(folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        Repository::init(Storage::local(folder)?, PASSWORD, options(None)).await?;
        Ok(())
    })
}

fn options(cache: Option<&Path>) -> Options {
    Options {
        clock: SystemClock::shared(),
        instance: "bench".to_owned(),
        cache: cache.map(Path::to_owned),
    }
}

/// Measures the parts of an operation, one after the other.
struct Stopwatch {
    clock: SystemClock,
    last: Span,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            clock: SystemClock::new(),
            // What the process took to start counts as a part of the first.
            last: Span::default(),
        }
    }

    /// What has passed since this was called last.
    fn lap(&mut self) -> Span {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let now = Span {
            wall_seconds: self.clock.elapsed().as_secs_f64(),
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        };
        let before = std::mem::replace(&mut self.last, now);
        Span {
            wall_seconds: now.wall_seconds - before.wall_seconds,
            cpu_seconds: now.cpu_seconds - before.cpu_seconds,
        }
    }
}

async fn open(folder: &Path, cache: Option<&Path>) -> anyhow::Result<Repository> {
    Ok(Repository::open(Storage::local(folder)?, PASSWORD, options(cache)).await?)
}

fn meta() -> SnapshotMeta {
    SnapshotMeta {
        time: SystemClock::new().now(),
        paths: vec!["/bench".to_owned()],
        hostname: "bench".to_owned(),
        username: "bench".to_owned(),
        tags: Vec::new(),
    }
}
