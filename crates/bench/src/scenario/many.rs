//! A large repository and small changes: what an incremental run costs.

use std::{ffi::OsString, path::Path};

use super::Stage;
use crate::{
    folder,
    ours::{self, Told},
    process::Measured,
    report::{Bound, Report, median, megabytes, row, short},
};

const ITEMS: usize = 500_000;
/// How many of them a run finds changed.
const CHANGED: usize = 10;
/// How long that may take after opening: with the local cache of the index, and without.
const CACHED_SECONDS: f64 = 0.2;
const UNCACHED_SECONDS: f64 = 2.0;
/// What it may write, state and directories included.
const CHANGED_MB: f64 = 1.0;
/// What one more item in a folder of 100,000 may write.
const ADDED_KB: f64 = 100.0;
/// Memory of a run that finds nothing changed.
const QUIET_PEAK_MB: f64 = 150.0;
/// One item by its path, from the start of the process to its end.
const READ_SECONDS: f64 = 1.0;

/// One operation, what it took in each round.
struct Line {
    name: &'static str,
    rounds: Vec<(Measured, Told, u64)>,
}

impl Line {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    fn of(&self, figure: impl Fn(&(Measured, Told, u64)) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    fn work_seconds(&self) -> f64 {
        self.of(|(_, told, _)| told.work.wall_seconds)
    }

    fn written(&self) -> f64 {
        self.of(|(.., written)| *written as f64)
    }

    fn peak(&self) -> f64 {
        self.of(|(measured, ..)| measured.peak_bytes as f64)
    }

    fn cells(&self) -> Vec<String> {
        row([
            self.name,
            &short(self.of(|(_, told, _)| told.opening.wall_seconds)),
            &short(self.work_seconds()),
            &short(self.of(|(_, told, _)| told.work.cpu_seconds)),
            &short(self.of(|(measured, ..)| measured.wall_seconds)),
            &short(self.written() / 1e3),
            &short(megabytes(self.peak() as u64)),
        ])
    }
}

pub(super) fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let repository = stage.folder.join("repository");
    let cache = stage.folder.join("cache");
    let items = stage.scaled(ITEMS);
    ours::init(&repository)?;
    let count = items.to_string();
    let arguments = ["fill".as_ref(), repository.as_os_str(), count.as_ref()];
    let mut fill = Line::new("first backup of all");
    let (measured, told) = ours::measure(&arguments)?;
    println!("  filled in {:.1} s", measured.wall_seconds);
    fill.rounds
        .push((measured, told, folder::bytes(&repository)?));

    let mut making = Line::new("nothing changed, and the cache is made");
    making
        .rounds
        .push(change(&repository, Some(&cache), items, 0, 0, 0)?);
    let mut cached = Line::new("10 changed, with the local cache");
    let mut uncached = Line::new("10 changed, without");
    let mut added = Line::new("one more in a folder of a fifth of all");
    let mut quiet = Line::new("nothing changed");
    let mut read = Line::new("one item read by its path, with the cache");
    let mut read_uncached = Line::new("one item read by its path, without");
    for round in 0..stage.rounds {
        let number = round * 4 + 1;
        cached.rounds.push(change(
            &repository,
            Some(&cache),
            items,
            CHANGED,
            0,
            number,
        )?);
        uncached
            .rounds
            .push(change(&repository, None, items, CHANGED, 0, number + 1)?);
        added
            .rounds
            .push(change(&repository, Some(&cache), items, 0, 1, number + 2)?);
        quiet
            .rounds
            .push(change(&repository, Some(&cache), items, 0, 0, number + 3)?);
        for (line, cache) in [
            (&mut read, Some(cache.as_path())),
            (&mut read_uncached, None),
        ] {
            let wanted = (items / 3 + round).to_string();
            let mut arguments: Vec<OsString> = vec!["read".into(), repository.clone().into()];
            arguments.extend([
                "--items".into(),
                items.to_string().into(),
                "--number".into(),
                wanted.into(),
            ]);
            arguments.extend(
                cache
                    .into_iter()
                    .flat_map(|cache| ["--cache".into(), cache.into()]),
            );
            let (measured, told) = measure(&arguments)?;
            line.rounds.push((measured, told, 0));
        }
    }
    stage.restic.check_structure(&repository)?;

    let heading = row([
        "",
        "opening, s",
        "work, s",
        "CPU of work, s",
        "process, s",
        "written, kB",
        "peak memory, MB",
    ]);
    let lines = [
        &fill,
        &making,
        &cached,
        &uncached,
        &added,
        &quiet,
        &read,
        &read_uncached,
    ];
    let table = std::iter::once(heading)
        .chain(lines.map(Line::cells))
        .collect();
    let text = "Each item is a mail of 600 bytes and its JSON, in directories of 500 entries, with state of 32 bytes. Opening includes reading \
        the list of snapshots. The local cache lies on the same disk and is not counted as written.";
    report.section(&format!("{items} items, {} blobs", items * 2), text, table);
    let aim = |line: &Line, most| (line.work_seconds(), Bound::AtMost(most));
    let (figure, bound) = aim(&cached, CACHED_SECONDS);
    report.speed(
        "10 of 500,000 changed, after opening, with the cache",
        figure,
        "s",
        bound,
    );
    let (figure, bound) = aim(&uncached, UNCACHED_SECONDS);
    report.speed(
        "10 of 500,000 changed, after opening, without",
        figure,
        "s",
        bound,
    );
    let process = read.of(|(measured, ..)| measured.wall_seconds);
    report.speed(
        "one item by path, whole process",
        process,
        "s",
        Bound::AtMost(READ_SECONDS),
    );
    let process = read_uncached.of(|(measured, ..)| measured.wall_seconds);
    report.speed(
        "one item by path, whole process, without the cache",
        process,
        "s",
        Bound::AtMost(READ_SECONDS),
    );
    report.limit(
        "10 of 500,000 changed: written",
        cached.written() / 1e6,
        "MB",
        Bound::AtMost(CHANGED_MB),
    );
    report.limit(
        "one more in a folder of 100,000: written",
        added.written() / 1e3,
        "kB",
        Bound::AtMost(ADDED_KB),
    );
    report.limit(
        "nothing changed: written",
        quiet.written(),
        "bytes",
        Bound::AtMost(0.0),
    );
    report.limit(
        "nothing changed: peak memory",
        quiet.peak() / 1e6,
        "MB",
        Bound::AtMost(QUIET_PEAK_MB),
    );
    let filling = fill.peak() / 1e6;
    report.limit(
        "500,000 items: peak memory of the first backup",
        filling,
        "MB",
        Bound::AtMost(super::full::PEAK_MB),
    );
    Ok(())
}

fn change(
    repository: &Path,
    cache: Option<&Path>,
    items: usize,
    count: usize,
    added: usize,
    round: usize,
) -> anyhow::Result<(Measured, Told, u64)> {
    let before = folder::bytes(repository)?;
    let mut arguments: Vec<OsString> = vec!["change".into(), repository.into()];
    for (name, value) in [
        ("--items", items),
        ("--count", count),
        ("--added", added),
        ("--round", round),
    ] {
        arguments.extend([name.into(), value.to_string().into()]);
    }
    arguments.extend(
        cache
            .into_iter()
            .flat_map(|cache| ["--cache".into(), cache.into()]),
    );
    let (measured, told) = measure(&arguments)?;
    Ok((measured, told, folder::bytes(repository)? - before))
}

fn measure(arguments: &[OsString]) -> anyhow::Result<(Measured, Told)> {
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    ours::measure(&arguments)
}
