//! How much memory this process has, and how it grows.

use std::fmt;

use anyhow::{Context, Result};

/// The worlds at the beginning fill caches and the allocator's arenas; they say nothing about growth.
const WARM_UP: usize = 3;

/// Fewer thousands of steps tell nothing.
const THOUSANDS_MIN: f64 = 1.0;
/// What the allocator may keep in pieces that fit nothing: 10 MB were seen after thirty worlds...
const ONCE_BYTES: f64 = 30e6;
/// ...and what may be added in a thousand steps (abuse 70). Some 400 backups run in them.
const PER_THOUSAND_BYTES: f64 = 1e6;

/// Resident memory by the number of steps done.
#[derive(Debug, Default)]
pub(super) struct Slope(Vec<(f64, f64)>);

impl Slope {
    /// Notes what is resident after so many steps.
    pub(super) fn note(&mut self, steps: u64) -> Result<()> {
        self.0.push((steps as f64, resident_bytes()? as f64));
        Ok(())
    }

    /// Growth in a thousand steps after the warm-up: the median of the slopes between any two notes, on which a note that was taken while something
    /// was not returned yet has no influence.
    pub(super) fn bytes_per_thousand(&self) -> f64 {
        let points = self.0.get(WARM_UP..).unwrap_or_default();
        let pairs =
            (1..points.len()).flat_map(|at| points[..at].iter().map(move |a| (a, &points[at])));
        let mut slopes: Vec<f64> = pairs
            .map(|(a, b)| (b.1 - a.1) / (b.0 - a.0) * 1000.0)
            .collect();
        slopes.sort_by(f64::total_cmp);
        slopes.get(slopes.len() / 2).copied().unwrap_or_default()
    }

    /// Whether it grew by more than what may fill up once, and what may be mistaken for growth.
    pub(super) fn is_a_leak(&self) -> bool {
        let thousands = self.0.last().map_or(0.0, |(steps, _)| steps / 1000.0);
        thousands >= THOUSANDS_MIN
            && self.bytes_per_thousand() * thousands > ONCE_BYTES + PER_THOUSAND_BYTES * thousands
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

    /// Worlds of sixty steps: resident memory grows by so much in each, and every fifth is looked at too early.
    fn slope(worlds: u32, bytes: f64) -> Slope {
        let warm_up = (1..=3).map(|n| (f64::from(n) * 60.0, 1e9));
        let worlds = (4..=worlds).map(|n| {
            let early = if n % 5 == 0 { 1.3e7 } else { 0.0 };
            (f64::from(n) * 60.0, 5e7 + f64::from(n) * bytes + early)
        });
        Slope(warm_up.chain(worlds).collect())
    }

    #[test]
    fn growth_is_told_from_noise_and_the_warm_up_left_out() {
        let found = slope(50, 120_000.0).bytes_per_thousand();
        assert!((found - 2_000_000.0).abs() < 10_000.0, "{found}");
        assert_eq!(Slope::default().bytes_per_thousand(), 0.0);
        assert!(!Slope::default().is_a_leak());
        // Of the sixty steps of a world some twenty-five are backups.
        let cases = [
            (24, 2_500_000.0, true),
            (10, 2_500_000.0, false),
            (24, 600_000.0, false),
            (24, 0.0, false),
        ];
        for (worlds, bytes, is_a_leak) in cases {
            assert_eq!(
                slope(worlds, bytes).is_a_leak(),
                is_a_leak,
                "{worlds} {bytes}"
            );
        }
        assert!(slope(200, 300_000.0).is_a_leak());
    }
}
