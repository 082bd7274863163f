//! Full backups of folders, beside restic.

use super::Stage;
use crate::{
    beside::{Comparison, compare},
    corpus,
    report::{Bound, Report, megabytes},
};

/// How much throughput we want with items of middling size, as a multiple of restic's.
const ITEMS_RATIO: f64 = 2.4;
/// And with large files.
const LARGE_RATIO: f64 = 1.7;
const LARGE_MB_PER_SECOND: f64 = 200.0;
/// Processor time for one mail.
const MAIL_MICROSECONDS: f64 = 60.0;
/// Peak memory of any backup.
pub(super) const PEAK_MB: f64 = 256.0;

pub(super) fn items(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let source = stage.folder.join("source");
    let count = stage.scaled(20_000);
    corpus::items(&source, count)?;
    let found = compare(stage, &source)?;
    let title = format!("{count} items of 4 to 100 KiB");
    let text = "Two fifths are text, the others a fifth text and the rest encoded as attachments are. Full backup into a new repository.";
    found.tell(stage, &title, text, report);
    let what = "items of 4 to 100 KiB: throughput beside restic's";
    report.speed(what, found.ratio(), "times", Bound::AtLeast(ITEMS_RATIO));
    limits(&found, "items of 4 to 100 KiB", report);
    Ok(())
}

pub(super) fn mails(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let source = stage.folder.join("source");
    let count = stage.scaled(100_000);
    let what = corpus::mails(&source, count)?;
    let found = compare(stage, &source)?;
    let title = format!("{count} mails");
    let text = format!("These are {what}. Full backup into a new repository.");
    found.tell(stage, &title, &text, report);
    let cpu = found.microseconds_per_item();
    let what = "mails: processor time for each";
    report.speed(what, cpu, "µs", Bound::AtMost(MAIL_MICROSECONDS));
    limits(&found, "mails", report);
    Ok(())
}

pub(super) fn large(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let source = stage.folder.join("source");
    let bytes = stage.scaled(320 << 20);
    corpus::large(&source, 4, bytes)?;
    let found = compare(stage, &source)?;
    let title = format!("4 files of {} MB", megabytes(bytes as u64).round());
    let text =
        "Half of them cannot be compressed, half are text. Full backup into a new repository.";
    found.tell(stage, &title, text, report);
    let what = "large files: throughput beside restic's";
    report.speed(what, found.ratio(), "times", Bound::AtLeast(LARGE_RATIO));
    let speed = found.megabytes_per_second();
    report.speed(
        "large files: throughput",
        speed,
        "MB/s",
        Bound::AtLeast(LARGE_MB_PER_SECOND),
    );
    limits(&found, "large files", report);
    Ok(())
}

/// What holds on every machine.
fn limits(found: &Comparison, name: &str, report: &mut Report) {
    let peak = megabytes(found.ours.peak_bytes);
    report.limit(
        &format!("{name}: peak memory"),
        peak,
        "MB",
        Bound::AtMost(PEAK_MB),
    );
    let size = found.ours.repository_bytes as f64 / found.restic.repository_bytes as f64;
    report.limit(
        &format!("{name}: repository beside restic's"),
        size,
        "times",
        Bound::AtMost(1.0),
    );
}
