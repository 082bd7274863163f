//! Peak memory with single things that are larger than it may be.

use super::{Stage, full::PEAK_MB};
use crate::{
    folder, ours,
    report::{Bound, Report, megabytes, row, short},
};

/// A file of a virtual disk, mostly empty.
const FILE_BYTES: usize = 20_000_000_000;

pub(super) fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
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
        "Streamed from a source that makes it up: 1 MB in 64 is random, the rest empty. The repository takes {} MB.",
        short(megabytes(folder::bytes(&repository)?))
    );
    report.section(
        &format!("One file of {} GB", short(bytes as f64 / 1e9)),
        &text,
        table,
    );
    Ok(())
}
