//! How fast each phase was, and how much memory the process took.

use std::time::{Duration, Instant};

use graph::{Client, Counters};
use serde::Serialize;

/// Measures phases, one after another, in real time.
pub(crate) struct Meter<'a> {
    graph: &'a Client,
    started: Instant,
    phase_started: Instant,
    counters: Counters,
    phases: Vec<Phase>,
}

/// A phase, measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    name: &'static str,
    seconds: f64,
    requests: u64,
    items: u64,
    bytes: u64,
    /// The most memory that the process, emulator included, has had until the end of the phase; 0 where the system does not tell.
    peak_memory_bytes: u64,
}

impl<'a> Meter<'a> {
    /// Names the columns of what [`Meter::phase`] gives.
    pub(crate) const HEADING: &'static str = "phase                     seconds   items   items/s  requests   req/s       MB    MB/s peak mem";

    #[expect(
        clippy::disallowed_methods,
        reason = "throughput is measured in real time, whatever the clock of the demonstration"
    )]
    pub(crate) fn start(graph: &'a Client) -> Self {
        Self {
            graph,
            started: Instant::now(),
            phase_started: Instant::now(),
            counters: graph.counters(),
            phases: Vec::new(),
        }
    }

    /// Ends a phase and says how it was. The next one begins.
    #[expect(
        clippy::disallowed_methods,
        reason = "throughput is measured in real time, whatever the clock of the demonstration"
    )]
    pub(crate) fn phase(&mut self, name: &'static str, items: u64, bytes: u64) -> String {
        let counters = self.graph.counters();
        let phase = Phase {
            name,
            seconds: self.phase_started.elapsed().as_secs_f64(),
            requests: counters.since(&self.counters).total(),
            items,
            bytes,
            peak_memory_bytes: peak_memory_bytes(),
        };
        self.counters = counters;
        self.phase_started = Instant::now();
        let line = phase.line();
        self.phases.push(phase);
        line
    }

    /// Items and bytes of the last phase.
    pub(crate) fn last(&self) -> (u64, u64) {
        self.phases
            .last()
            .map_or((0, 0), |phase| (phase.items, phase.bytes))
    }

    /// Everything, and how long it took.
    pub(crate) fn close(self) -> (Vec<Phase>, Duration) {
        (self.phases, self.started.elapsed())
    }
}

impl Phase {
    fn line(&self) -> String {
        let rate = |count: u64| {
            if self.seconds > 0.0 {
                count as f64 / self.seconds
            } else {
                0.0
            }
        };
        format!(
            "{:<24} {:>8.2} {:>7} {:>9.0} {:>9} {:>7.0} {:>8.1} {:>7.1} {:>5.0} MB",
            self.name,
            self.seconds,
            self.items,
            rate(self.items),
            self.requests,
            rate(self.requests),
            self.bytes as f64 / 1e6,
            rate(self.bytes) / 1e6,
            self.peak_memory_bytes as f64 / 1e6,
        )
    }
}

/// From the process's own file in `/proc`, which only Linux has.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
