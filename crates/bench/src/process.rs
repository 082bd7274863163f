//! Runs a program and measures it from outside: wall time, processor time, peak memory.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};
use model::Clock;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How often the peak of memory is read: what a process takes in its last moment before it ends is missed.
const SAMPLE_EVERY: Duration = Duration::from_millis(2);

/// What one process took.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) wall_seconds: f64,
    /// User and system time of all its threads.
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) stdout: String,
}

/// Runs a program to its end. An error unless it ends well.
pub(crate) fn measure(command: &mut Command) -> anyhow::Result<Measured> {
    let name = command.get_program().to_string_lossy().into_owned();
    // What earlier work has left to be written would be written at this one's expense.
    rustix::fs::sync();
    let clock = model::SystemClock::new();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} does not start"))?;
    let id = child.id();
    let ended = AtomicBool::new(false);
    let ended = &ended;
    let (measured, peak_bytes) = thread::scope(|scope| {
        let sampler = scope.spawn(move || {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(peak_memory(&id.to_string()).unwrap_or(0));
                pause();
            }
            peak
        });
        let measured = until_end(child, &clock);
        ended.store(true, Ordering::Relaxed);
        (measured, sampler.join().unwrap_or(0))
    });
    let (wall_seconds, cpu_seconds, stdout) = measured.context(name)?;
    Ok(Measured {
        wall_seconds,
        cpu_seconds,
        peak_bytes,
        stdout,
    })
}

fn until_end(mut child: Child, clock: &impl Clock) -> anyhow::Result<(f64, f64, String)> {
    use std::io::Read;
    let mut stdout = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut stdout)?;
    }
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.context("a process has no id")?;
    // It stays in the table of processes until it is waited for, with its times.
    waitid(
        WaitId::Pid(id),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let wall = clock.elapsed().as_secs_f64();
    let cpu = cpu_seconds(child.id())?;
    let status = child.wait()?;
    ensure!(status.success(), "it ended with {status}: {stdout}");
    Ok((wall, cpu, stdout))
}

fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name is in brackets and may hold anything; user and system time are the 12th and 13th fields after it.
    let (_, fields) = text.rsplit_once(')').context("a process's times")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory that a process has held so far, by number or `self`.
pub(crate) fn peak_memory(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes << 10)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own looks at a process at intervals"
)]
fn pause() {
    thread::sleep(SAMPLE_EVERY);
}
