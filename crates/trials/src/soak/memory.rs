//! How much memory this process has, and how it grows.

use std::fmt;

use anyhow::{Context, Result};

/// The worlds at the beginning fill caches and the allocator's arenas; they say nothing about growth.
const WARM_UP: usize = 3;

/// Resident memory by the number of steps done.
#[derive(Debug, Default)]
pub(super) struct Slope(Vec<(f64, f64)>);

impl Slope {
    /// Notes what is resident after so many steps.
    pub(super) fn note(&mut self, steps: u64) -> Result<()> {
        self.0.push((steps as f64, resident_bytes()? as f64));
        Ok(())
    }

    /// Growth in a thousand steps: the least-squares line through what was noted after the warm-up.
    pub(super) fn bytes_per_thousand(&self) -> f64 {
        let points = self.0.get(WARM_UP..).unwrap_or_default();
        let count = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| {
            (x + point.0 / count, y + point.1 / count)
        });
        let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), point| {
            let dx = point.0 - x;
            (above + dx * (point.1 - y), below + dx * dx)
        });
        if below > 0.0 {
            above / below * 1000.0
        } else {
            0.0
        }
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.last().map_or(0.0, |(_, bytes)| *bytes);
        write!(
            f,
            "{:.0} MB resident, {:+.2} MB per 1,000 steps",
            last / 1e6,
            self.bytes_per_thousand() / 1e6
        )
    }
}

fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("/proc/self/status tells no resident memory")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise_and_the_warm_up_left_out() {
        let mut slope = Slope((0..3).map(|n| (f64::from(n), 1e9)).collect());
        for n in 0..50 {
            let noise = f64::from(n % 2) * 1000.0;
            slope
                .0
                .push((f64::from(n) * 100.0, 5e7 + f64::from(n) * 200_000.0 + noise));
        }
        let found = slope.bytes_per_thousand();
        assert!((found - 2_000_000.0).abs() < 10_000.0, "{found}");
        assert_eq!(Slope::default().bytes_per_thousand(), 0.0);
    }
}
