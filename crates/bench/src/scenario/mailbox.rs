//! A mailbox of half a million short messages end to end: what the engine keeps in memory of each while it goes through them.

use super::{
    Stage,
    account::{account, start},
    full::PEAK_MB,
};
use crate::{
    corpus,
    report::{Bound, Report, megabytes, row, short},
};

const MESSAGES: usize = 500_000;

pub(super) fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let messages = stage.scaled(MESSAGES);
    let mails = stage.folder.join("mails");
    corpus::short_mails(&mails, messages)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let emulator = start(&runtime, &mails)?;
    let data = stage.folder.join("data");
    let first = account(&emulator, &data)?;
    anyhow::ensure!(first.1.items == messages as u64, "not all were backed up");
    let again = account(&emulator, &data)?;
    anyhow::ensure!(again.1.items == 0, "nothing had changed");
    let mut table = vec![row([
        "",
        "seconds",
        "messages/s",
        "CPU seconds",
        "peak memory, MB",
    ])];
    for (name, (measured, told)) in [("first backup", &first), ("nothing changed", &again)] {
        let seconds = told.work.wall_seconds;
        let peak = megabytes(measured.peak_bytes);
        table.push(row([
            name,
            &short(seconds),
            &short(told.items as f64 / seconds),
            &short(told.work.cpu_seconds),
            &short(peak),
        ]));
        report.limit(
            &format!("a mailbox of 500,000 messages: {name}: peak memory"),
            peak,
            "MB",
            Bound::AtMost(PEAK_MB),
        );
    }
    report.section(
        &format!("A mailbox of {messages} messages"),
        "End to end, as above; each message has some 500 bytes. One run.",
        table,
    );
    Ok(())
}
