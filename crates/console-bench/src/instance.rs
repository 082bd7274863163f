//! `keepwell serve` as a process: how soon it is ready, and how much memory it holds.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use model::{Clock, SystemClock};

use crate::{browser::Browser, report::Report};

/// How soon it answers after a start, in milliseconds.
const READY_MS_MAX: f64 = 500.0;
/// What it holds before anybody asks, and after all pages were asked for many times, in MB.
const IDLE_MB_MAX: f64 = 80.0;
const BUSY_MB_MAX: f64 = 256.0;

/// A process that is ready; ended when dropped.
pub(crate) struct Instance {
    process: Child,
    /// `127.0.0.1:8080`.
    pub(crate) address: String,
    ready_ms: f64,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // One that has ended already is all right.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Instance {
    pub(crate) fn start(keepwell: &Path, config: &Path) -> anyhow::Result<Self> {
        let clock = SystemClock::new();
        let mut process = Command::new(keepwell)
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| keepwell.display().to_string())?;
        let stdout = process.stdout.take().context("it is piped")?;
        let line = BufReader::new(stdout).lines().next();
        let line = line.context("keepwell serve ended at once")??;
        let (_, address) = line.split_once("http://").context("an address")?;
        let address = address.trim_end_matches('/').to_owned();
        let status = Browser::nobody(&address).get("/readyz")?.status;
        let instance = Self {
            process,
            address,
            ready_ms: clock.elapsed().as_secs_f64() * 1_000.0,
        };
        ensure!(status == 200, "it is not ready: status {status}");
        Ok(instance)
    }

    fn memory_mb(&self, name: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        let kilobytes: f64 = kilobytes.context("a process's memory")?.parse()?;
        Ok(kilobytes * 1_024.0 / 1e6)
    }

    /// After it has answered much.
    pub(crate) fn measure_after(&self, report: &mut Report) -> anyhow::Result<()> {
        report.limit(
            "peak memory, with all pages asked for",
            self.memory_mb("VmHWM")?,
            "MB",
            BUSY_MB_MAX,
        );
        Ok(())
    }
}

/// Starts it some times.
pub(crate) fn measure(
    keepwell: &Path,
    config: &Path,
    starts: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut ready, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        let instance = Instance::start(keepwell, config)?;
        ready.push(instance.ready_ms);
        idle.push(instance.memory_mb("VmRSS")?);
    }
    ready.sort_by(f64::total_cmp);
    idle.sort_by(f64::total_cmp);
    let middle = starts / 2;
    report.speed(
        "from the start until ready",
        ready[middle],
        "ms",
        READY_MS_MAX,
    );
    report.limit("memory when idle", idle[middle], "MB", IDLE_MB_MAX);
    Ok(())
}
