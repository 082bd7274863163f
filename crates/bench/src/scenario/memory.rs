//! Peak memory with single things that are larger than it may be, and with very many.

use std::ffi::OsStr;

use super::{Stage, full::PEAK_MB};
use crate::{
    folder, ours,
    report::{Bound, Report, megabytes, row, short},
};

/// A file of a virtual disk, mostly empty.
const FILE_BYTES: usize = 20_000_000_000;

/// What a company's largest repository may come to.
const BLOBS: usize = 10_000_000;
/// What a blob may take in the index in memory.
const INDEX_BYTES_A_BLOB: f64 = 60.0;

pub(super) fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    large_file(stage, report)?;
    if stage.smoke {
        // Of few blobs the index file that is being read takes more than the index; the repository's own tests count those.
        return Ok(());
    }
    folder::remove(&stage.folder)?;
    std::fs::create_dir_all(&stage.folder)?;
    many_blobs(stage, report)
}

/// The index of very many blobs, beside that of a tenth of them.
fn many_blobs(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let mut peaks = Vec::new();
    let mut table = vec![row(["", "seconds", "CPU seconds", "peak memory, MB"])];
    for count in [BLOBS / 10, BLOBS] {
        let repository = stage.folder.join(count.to_string());
        ours::init(&repository)?;
        let number = count.to_string();
        let store: [&OsStr; 3] = ["store-blobs".as_ref(), repository.as_ref(), number.as_ref()];
        let (storing, stored) = ours::measure(&store)?;
        let (reading, read) = ours::measure(&["read-index".as_ref(), repository.as_ref()])?;
        // A directory beside them.
        anyhow::ensure!(read.items == count as u64 + 1, "not all blobs are in it");
        let name = |what: &str| format!("{what}, {count} blobs");
        for (name, measured, told) in [
            (name("storing"), &storing, &stored),
            (name("reading the index"), &reading, &read),
        ] {
            table.push(row([
                &name,
                &short(told.work.wall_seconds),
                &short(told.work.cpu_seconds),
                &short(megabytes(measured.peak_bytes)),
            ]));
        }
        peaks.push(reading.peak_bytes as f64);
    }
    report.limit(
        "the index of ten million blobs: memory for each",
        (peaks[1] - peaks[0]) / (BLOBS - BLOBS / 10) as f64,
        "bytes",
        Bound::AtMost(INDEX_BYTES_A_BLOB),
    );
    report.section(
        &format!("{BLOBS} blobs"),
        "Each of eight bytes. The memory for each is what reading the index takes more at its peak than that of a tenth of them. One run.",
        table,
    );
    Ok(())
}

fn large_file(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let repository = stage.folder.join("repository");
    let bytes = stage.scaled(FILE_BYTES);
    ours::init(&repository)?;
    let length = bytes.to_string();
    let store = ours::measure(&[
        "store-stream".as_ref(),
        repository.as_ref(),
        length.as_ref(),
    ])?;
    let read = ours::measure(&["read-stream".as_ref(), repository.as_ref()])?;
    let mut table = vec![row([
        "",
        "seconds",
        "MB/s",
        "CPU seconds",
        "peak memory, MB",
    ])];
    for (name, (measured, told)) in [("backup", &store), ("reading all of it", &read)] {
        anyhow::ensure!(told.bytes == bytes as u64, "not all of it was there");
        let seconds = told.work.wall_seconds;
        table.push(row([
            name,
            &short(seconds),
            &short(megabytes(told.bytes) / seconds),
            &short(told.work.cpu_seconds),
            &short(megabytes(measured.peak_bytes)),
        ]));
        let peak = megabytes(measured.peak_bytes);
        report.limit(
            &format!("a file of 20 GB: {name}: peak memory"),
            peak,
            "MB",
            Bound::AtMost(PEAK_MB),
        );
    }
    let text = format!(
        "Streamed from a source that makes it up: 1 MB in 64 is random, the rest empty. The repository takes {} MB. One run.",
        short(megabytes(folder::bytes(&repository)?))
    );
    report.section(
        &format!("One file of {} GB", short(bytes as f64 / 1e9)),
        &text,
        table,
    );
    Ok(())
}
