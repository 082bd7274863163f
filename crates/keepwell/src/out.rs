//! What people and programs read: results on standard output, the story on standard error.
//!
//! A closed pipe ends nothing: whoever stopped reading did not mean to stop the work. A result that cannot be written for another reason is lost,
//! which is an error.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::Context;

/// A line of the result.
///
/// # Errors
/// When it cannot be written though somebody may be listening, as on a full disk.
pub(crate) fn result(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the result could not be written to standard output")
        }
        _ => Ok(()),
    }
}

/// A line of the story.
pub(crate) fn story(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A line on standard error that is written over as work goes on, if that is a terminal; it disappears in the end.
pub(crate) struct Line {
    subject: String,
    /// What it says now; `None` where nobody watches.
    shown: Option<Mutex<String>>,
}

impl Line {
    /// A line that begins with `subject`.
    pub(crate) fn new(subject: String) -> Self {
        let shown = io::stderr().is_terminal().then(Mutex::default);
        Self { subject, shown }
    }

    /// Says something else.
    pub(crate) fn show(&self, text: &str) {
        let Some(shown) = &self.shown else {
            return;
        };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != text {
            text.clone_into(&mut shown);
            // Back to the margin, and away with what was longer.
            let _ = write!(io::stderr().lock(), "\r{}{text}\x1b[K", self.subject);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let shown = self.shown.as_mut().map(Mutex::get_mut);
        if shown.is_some_and(|shown| shown.is_ok_and(|shown| !shown.is_empty())) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// A number of things: `1 account`, `2 accounts`.
pub(crate) fn count(number: u64, one: &str, more: &str) -> String {
    let what = if number == 1 { one } else { more };
    format!("{number} {what}")
}

/// A path as people paste it into a shell: in quotes if anything in it means something to one.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%:,=".contains(c);
    if path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
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
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(0, "mismatch", "mismatches"), "0 mismatches");
        assert_eq!(count(1, "mismatch", "mismatches"), "1 mismatch");
        assert_eq!(count(2, "mismatch", "mismatches"), "2 mismatches");
    }

    #[test]
    fn a_shell_reads_back_the_path() {
        assert_eq!(quoted(Path::new("/a/b-c.d_1")), "/a/b-c.d_1");
        for (path, expected) in [
            ("/my data", "'/my data'"),
            ("/$HOME;rm *", "'/$HOME;rm *'"),
            ("/it's", r"'/it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1500), "1.5 kB");
        assert_eq!(size(29_000_000), "29.0 MB");
    }
}
