//! What is measured, one after the other.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use crate::{Run, folder, machine, report::Report, restic::Restic};

mod account;
mod full;
mod mailbox;
mod many;
mod memory;

/// A scenario's name on the command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Name {
    /// 20,000 items of 4 to 100 KiB, full.
    Items,
    /// 100,000 mails, full.
    Mails,
    /// Large files, full.
    Large,
    /// 500,000 items: small changes, nothing changed, one item read.
    Many,
    /// A file larger than memory, and a very large mail.
    Memory,
    /// Mailboxes end to end, beside plain GETs.
    Account,
    /// A mailbox of 500,000 messages, end to end.
    Mailbox,
}

/// Where and how to measure.
pub(crate) struct Stage {
    /// Each scenario finds it empty and leaves it so.
    pub(crate) folder: PathBuf,
    pub(crate) restic: Restic,
    pub(crate) rounds: usize,
    /// Whether only limits on bytes and memory matter.
    pub(crate) smoke: bool,
    /// How busy the machine was before.
    load: f64,
}

/// Between these lines of docs/bench.md is what was measured.
const BEGIN: &str = "<!-- cargo xtask bench --write: from here -->";
const END: &str = "<!-- to here -->";

/// What a smoke run does: a twentieth.
const SMOKE_DIVISOR: usize = 20;

impl Stage {
    /// The number, or a twentieth of it.
    pub(crate) fn scaled(&self, full: usize) -> usize {
        if self.smoke {
            full / SMOKE_DIVISOR
        } else {
            full
        }
    }
}

/// Runs what was asked for.
pub(crate) fn run(run: &Run) -> anyhow::Result<()> {
    let root = match &run.folder {
        Some(folder) => folder.clone(),
        None => workspace().join("target/bench"),
    };
    fs::create_dir_all(&root)?;
    let root = root.canonicalize()?;
    let temporary = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&root)
        .with_context(|| root.display().to_string())?;
    let stage = Stage {
        restic: Restic::find(&run.restic, temporary.path().join("cache"))?,
        folder: temporary.path().join("scenario"),
        rounds: if run.smoke { 1 } else { run.rounds.max(1) },
        smoke: run.smoke,
        load: machine::load(),
    };
    println!("{}; {}", machine::description(), stage.restic.version);
    println!("load before: {:.2}", stage.load);
    let mut report = Report::default();
    for name in Name::value_variants() {
        if run.only.is_empty() || run.only.contains(name) {
            folder::remove(&stage.folder)?;
            fs::create_dir_all(&stage.folder)?;
            println!("\n=== {name:?}");
            let outcome = match name {
                Name::Items => full::items(&stage, &mut report),
                Name::Mails => full::mails(&stage, &mut report),
                Name::Large => full::large(&stage, &mut report),
                Name::Many => many::run(&stage, &mut report),
                Name::Memory => memory::run(&stage, &mut report),
                Name::Account => account::run(&stage, &mut report),
                Name::Mailbox => mailbox::run(&stage, &mut report),
            };
            outcome.with_context(|| format!("{name:?}"))?;
        }
    }
    if run.write {
        write(&stage, &report)?;
    }
    report.verdict()
}

/// Puts what was measured into the documentation, before the sections that were measured in other ways.
fn write(stage: &Stage, report: &Report) -> anyhow::Result<()> {
    let path = workspace().join("docs/bench.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("docs/bench.md has no place for it")?;
    let (_, after) = rest
        .split_once(END)
        .context("docs/bench.md has no place for it")?;
    let measured = format!(
        "Measured on {}; {}; medians of {} rounds; load before: {:.2}.\n\n{}",
        machine::description(),
        stage.restic.version,
        stage.rounds,
        stage.load,
        report.markdown()
    );
    fs::write(
        &path,
        format!("{before}{BEGIN}\n\n{measured}\n{END}{after}"),
    )?;
    Ok(())
}

/// The workspace's root, as it was when this crate was compiled.
fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
