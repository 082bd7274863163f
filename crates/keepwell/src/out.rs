//! What people and programs read: results on standard output, the story on standard error.
//!
//! A closed pipe ends nothing: whoever stopped reading did not mean to stop the work.

use std::io::Write;

/// A line of the result.
pub(crate) fn result(line: &str) {
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line of the story.
pub(crate) fn story(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Bytes as people say them, in powers of 1,000.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} bytes")
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1500), "1.5 kB");
        assert_eq!(size(29_000_000), "29.0 MB");
    }
}
