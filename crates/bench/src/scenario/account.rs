//! End to end: the engine backs up an emulated mailbox over loopback, beside plain GETs of the same mails.

use std::{ffi::OsString, fs, path::Path};

use anyhow::Context;
use emulator::{Churn, Emulator, Running, Settings, World};

use super::{Stage, full::PEAK_MB};
use crate::{
    corpus, folder,
    ours::{self, Told},
    process::Measured,
    report::{Bound, Report, median, megabytes, row, short},
};

/// Where the reference corpus is among the shared data.
const CORPUS: &str = "corpora/mail";
/// Mails when there is no corpus.
const MADE_UP: usize = 4_000;
/// How much of the ceiling's speed we want.
const SHARE: f64 = 0.4;
/// The largest mail that Exchange takes.
const LARGE_MAIL_BYTES: usize = 150_000_000;
/// What a changed account may cost with a warm cache.
const CHANGED_WRITES: f64 = 8.0;
const CHANGED_READS: f64 = 16.0;

pub(super) fn run(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let mails = match testkit::shared::path(CORPUS) {
        Some(corpus) if !stage.smoke => corpus,
        _ => {
            let made = stage.folder.join("mails");
            corpus::mails(&made, stage.scaled(MADE_UP))?;
            made
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let emulator = start(&runtime, &mails)?;
    let paths = stage.folder.join("paths");
    fs::write(&paths, paths_of_all(&emulator)?)?;
    let data = stage.folder.join("data");
    let (mut ours, mut ceiling) = (Vec::new(), Vec::new());
    for _ in 0..stage.rounds {
        folder::remove(&data)?;
        let (measured, mut told) = account(&emulator, &data)?;
        let repository = stage.folder.join("repository");
        folder::remove(&repository)?;
        ours::init(&repository)?;
        let plain = plain(&emulator, &paths, &repository)?;
        // The engine does not tell what opening took, which the ceiling leaves out: as long as there.
        let opening = plain.1.opening;
        told.work.wall_seconds -= opening.wall_seconds;
        told.work.cpu_seconds -= opening.cpu_seconds;
        ours.push((measured, told));
        ceiling.push(plain);
    }
    // The data folder is that of the last round.
    let quiet = account(&emulator, &data)?;
    let churn = Churn {
        seed: 1,
        events: 1,
        lost_moves: 0.0,
    };
    let happened = churn.run(emulator.tenant(), emulator.now());
    anyhow::ensure!(!happened.is_empty(), "nothing has changed");
    let changed = account(&emulator, &data)?;
    drop(emulator);

    let mut table = vec![row([
        "",
        "seconds",
        "mails/s",
        "MB/s",
        "CPU seconds",
        "peak memory, MB",
    ])];
    for (name, rounds) in [
        ("first backup", &ours),
        ("plain GETs, and sealing", &ceiling),
    ] {
        let of = |figure: fn(&(Measured, Told)) -> f64| median(rounds.iter().map(figure));
        let seconds = of(|(_, told)| told.work.wall_seconds);
        table.push(row([
            name,
            &short(seconds),
            &short(of(|(_, told)| told.items as f64) / seconds),
            &short(of(|(_, told)| told.bytes as f64) / 1e6 / seconds),
            &short(of(|(_, told)| told.work.cpu_seconds)),
            &short(of(|(measured, _)| measured.peak_bytes as f64) / 1e6),
        ]));
    }
    let text = "The emulator runs beside it on the same processors, with no limits in force; four requests at a time. The ceiling \
        speaks HTTP over bare sockets to the same emulator and hands the mails to the repository's writer, and does nothing else. What opening a repository takes is left out of both.";
    report.section("A mailbox end to end", text, table);
    let speed = |rounds: &[(Measured, Told)]| {
        median(
            rounds
                .iter()
                .map(|(_, told)| told.items as f64 / told.work.wall_seconds),
        )
    };
    let share = speed(&ours) / speed(&ceiling);
    report.speed(
        "a mailbox end to end, beside plain GETs",
        share,
        "times",
        Bound::AtLeast(SHARE),
    );
    let peak = median(
        ours.iter()
            .map(|(measured, _)| megabytes(measured.peak_bytes)),
    );
    report.limit(
        "a mailbox end to end: peak memory",
        peak,
        "MB",
        Bound::AtMost(PEAK_MB),
    );
    let count = |told: &Told| (told.writes as f64, told.reads as f64);
    let (writes, reads) = count(&changed.1);
    report.limit(
        "a changed account: writes, lists and deletions",
        writes,
        "operations",
        Bound::AtMost(CHANGED_WRITES),
    );
    report.limit(
        "a changed account: reads",
        reads,
        "operations",
        Bound::AtMost(CHANGED_READS),
    );
    let (writes, reads) = count(&quiet.1);
    report.limit(
        "an unchanged account: operations of storage",
        writes + reads,
        "operations",
        Bound::AtMost(0.0),
    );
    large_mail(stage, &runtime, report)
}

/// A mail as large as Exchange takes.
fn large_mail(
    stage: &Stage,
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mails = stage.folder.join("large-mail");
    fs::create_dir_all(&mails)?;
    let mut content = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: large\r\nContent-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    corpus::base64_lines(&mut content, LARGE_MAIL_BYTES, &mut corpus::random(0));
    fs::write(mails.join("large.eml"), content)?;
    let emulator = start(runtime, &mails)?;
    let data = stage.folder.join("large-mail-data");
    let backup = account(&emulator, &data)?;
    let restore = measure("restore", &emulator, &[("--data", &data)])?;
    anyhow::ensure!(restore.1.items == 1, "the mail is not restored");
    let mut table = vec![row([
        "",
        "seconds",
        "MB/s",
        "CPU seconds",
        "peak memory, MB",
    ])];
    for (name, (measured, told)) in [("first backup", &backup), ("restore", &restore)] {
        let peak = megabytes(measured.peak_bytes);
        table.push(row([
            name,
            &short(told.work.wall_seconds),
            &short(megabytes(told.bytes) / told.work.wall_seconds),
            &short(told.work.cpu_seconds),
            &short(peak),
        ]));
        report.limit(
            &format!("a mail of 150 MB: {name}: peak memory"),
            peak,
            "MB",
            Bound::AtMost(PEAK_MB),
        );
    }
    report.section("A mail of 150 MB", "End to end, as above.", table);
    Ok(())
}

pub(super) fn start(runtime: &tokio::runtime::Runtime, mails: &Path) -> anyhow::Result<Running> {
    let world = World::new().mail("bench", mails);
    Ok(runtime.block_on(Emulator::start(Settings::new(world)))?)
}

/// One line for each mail: the path of its MIME.
fn paths_of_all(emulator: &Running) -> anyhow::Result<String> {
    let mut paths = String::new();
    for user in emulator.tenant().users() {
        let Some(mailbox) = emulator.tenant().mailbox(user.id) else {
            continue;
        };
        let mailbox = mailbox.lock().ok().context("a mailbox")?;
        for message in mailbox.message_views() {
            let id = mailbox
                .default_id(message.key)
                .context("a message has an id")?;
            paths.push_str(&format!("/v1.0/users/{}/messages/{id}/$value\n", user.id));
        }
    }
    Ok(paths)
}

pub(super) fn account(emulator: &Running, data: &Path) -> anyhow::Result<(Measured, Told)> {
    measure("account", emulator, &[("--data", data)])
}

fn plain(emulator: &Running, paths: &Path, repository: &Path) -> anyhow::Result<(Measured, Told)> {
    measure(
        "ceiling",
        emulator,
        &[("--paths", paths), ("--repository", repository)],
    )
}

fn measure(
    operation: &str,
    emulator: &Running,
    folders: &[(&str, &Path)],
) -> anyhow::Result<(Measured, Told)> {
    let mut arguments: Vec<OsString> = vec![operation.into()];
    for (name, value) in [
        ("--address", emulator.address.to_string()),
        ("--tenant", emulator.tenant_id.to_string()),
        ("--client", emulator.client_id.to_string()),
        ("--secret", emulator.client_secret.clone()),
    ] {
        // One argument, or a value that begins with a hyphen would be taken for an option.
        arguments.push(format!("{name}={value}").into());
    }
    for (name, folder) in folders {
        arguments.extend([name.into(), folder.into()]);
    }
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    let (measured, told) = ours::measure(&arguments)?;
    println!(
        "  {operation:<8} {:7.2} s, {} mails, {:5.0} MB, {} writes, {} reads",
        told.work.wall_seconds,
        told.items,
        megabytes(measured.peak_bytes),
        told.writes,
        told.reads
    );
    Ok((measured, told))
}
