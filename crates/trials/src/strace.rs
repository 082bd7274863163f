//! Counts the system calls by which a worker changes what is on the disk or at the source, and kills it at one of them or lets that one fail.
//!
//! Either happens on entering a call, so that the call is not made: what is left is what the calls before it did. strace counts calls by kind and by
//! thread. Workers therefore use one thread for files, so that a count names a boundary; in [`Boundary::hidden`] are those that a count cannot name.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

/// The calls that change files.
pub const FILE_CALLS: &str = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,write,pwrite64,mkdir,mkdirat";
/// The calls that send to the source.
pub const SOCKET_CALLS: &str = "write,writev,sendto,sendmsg";

/// The signal's number, the same on every Unix.
const SIGKILL: i32 = 9;

/// What is done to a worker at a boundary.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Disturbance {
    /// It is killed.
    #[default]
    Kill,
    /// The call fails as on a broken disk.
    Eio,
    /// The call fails as on a full disk.
    Enospc,
}

impl Disturbance {
    /// Whether it can be done at calls of this name. Threads also wake each other by `write`; a worker that is killed there is only tried again, one
    /// whose wake-up fails waits for ever. A disk that is full is what fails writes (`trials::shortage`).
    #[must_use]
    pub fn suits(self, call: &str) -> bool {
        self == Self::Kill || call != "write"
    }
}

/// A system call of a dry run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Boundary {
    /// Its name.
    pub call: String,
    /// The how-manieth of its name it was in its thread, from 1.
    pub number: u32,
    /// What it was done to, for people: as strace shows its arguments.
    pub what: String,
    /// Whether another thread made as many calls of this name before, and would be hit in its place.
    pub hidden: bool,
}

/// Whether strace is there and may trace.
#[must_use]
pub fn is_there() -> bool {
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    traced.is_ok_and(|output| output.status.success())
}

/// Runs a command and gives the calls of these names that were made to something whose description contains `to`, in order.
///
/// # Errors
/// When strace does not start, or the command fails.
pub fn boundaries<A: AsRef<OsStr>>(
    calls: &str,
    to: &str,
    log: &Path,
    command: &[A],
) -> Result<Vec<Boundary>> {
    let output = trace(calls, &[], log, command)?;
    ensure!(
        output.status.success(),
        "the dry run ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(log).context("strace left no log")?;
    Ok(parse(&text)
        .into_iter()
        .filter(|boundary| boundary.what.contains(to))
        .collect())
}

/// Runs a command and disturbs it on entering the boundary: every thread at its call of this name and number. Gives the calls that were disturbed;
/// none if the command made none such.
///
/// # Errors
/// When strace does not start, or a command that is to be killed ends otherwise. One whose call fails may end as it likes.
pub fn disturb<A: AsRef<OsStr>>(
    by: Disturbance,
    boundary: &Boundary,
    log: &Path,
    command: &[A],
) -> Result<Vec<Boundary>> {
    let Boundary { call, number, .. } = boundary;
    let what = match by {
        Disturbance::Kill => "signal=SIGKILL",
        Disturbance::Eio => "error=EIO",
        Disturbance::Enospc => "error=ENOSPC",
    };
    let inject = format!("inject={call}:{what}:when={number}");
    let output = trace(call, &["-e", &inject], log, command)?;
    if by == Disturbance::Kill {
        if output.status.success() {
            return Ok(Vec::new());
        }
        // strace ends as what it traces.
        ensure!(
            output.status.signal() == Some(SIGKILL),
            "the worker was not killed but ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = fs::read_to_string(log).context("strace left no log")?;
    let mut hits = parse(&text);
    hits.retain(|hit| hit.number == *number);
    if by == Disturbance::Kill {
        ensure!(!hits.is_empty(), "strace killed it elsewhere");
        // Of others that came to theirs while it died, none counts.
        hits.truncate(1);
    }
    Ok(hits)
}

/// Runs a command while every call of this name fails in this way, from the first time on or once.
///
/// # Errors
/// When strace does not start.
pub fn fail<A: AsRef<OsStr>>(
    call: &str,
    errno: &str,
    when: &str,
    log: &Path,
    command: &[A],
) -> Result<Output> {
    let inject = format!("inject={call}:error={errno}:when={when}");
    trace(call, &["-e", &inject], log, command)
}

/// Runs a command under strace, which follows its threads and writes to `log` what of these calls was made to which file.
fn trace<A: AsRef<OsStr>>(
    calls: &str,
    options: &[&str],
    log: &Path,
    command: &[A],
) -> Result<Output> {
    let mut strace = Command::new("strace");
    // Not with --seccomp-bpf, which would be faster: its stops deliver no injected signal.
    strace.args(["-f", "-y", "-s", "0", "-e", "signal=none"]);
    strace.arg("-e").arg(format!("trace={calls}"));
    strace.args(options).arg("-o").arg(log).arg("--");
    let output = strace.args(command).current_dir("/").output();
    output.context("strace does not start")
}

/// The calls in a log, in the order in which they were entered.
fn parse(log: &str) -> Vec<Boundary> {
    let mut found = Vec::new();
    let mut counts: HashMap<(String, String), u32> = HashMap::new();
    let mut most: HashMap<String, u32> = HashMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        // "<... fsync resumed>", "+++ killed by SIGKILL +++" and signals are not entries.
        let Some((call, what)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let number = counts
            .entry((thread.to_owned(), call.to_owned()))
            .or_default();
        *number += 1;
        let most = most.entry(call.to_owned()).or_default();
        found.push(Boundary {
            call: call.to_owned(),
            number: *number,
            what: what.to_owned(),
            hidden: *number <= *most,
        });
        *most = (*most).max(*number);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name_and_thread() {
        let log = "7 fsync(9</data/a#1>) = 0\n\
                   8 fsync(10</data/b> <unfinished ...>\n\
                   7 write(4<anon_inode:[eventfd]>, \"\"..., 8) = 8\n\
                   8 <... fsync resumed>) = 0\n\
                   7 fsync(9</data/c>) = ?\n\
                   7 +++ killed by SIGKILL +++\n";
        let found = parse(log);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.call.as_str(), it.number, it.hidden))
            .collect();
        assert_eq!(
            found,
            [
                ("fsync", 1, false),
                ("fsync", 1, true),
                ("write", 1, false),
                ("fsync", 2, false)
            ]
        );
    }
}
