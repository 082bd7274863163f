//! A clock that goes ahead of the system's by what a file says, so that a trial can put processes into the future, also suspended ones.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use model::{Clock, Sleep, SystemClock};

/// See the module's text. Without the file, or with one that cannot be read, it is the system's clock.
#[derive(Debug)]
pub struct DriftingClock {
    system: SystemClock,
    file: PathBuf,
}

impl DriftingClock {
    /// A clock that obeys the file.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self {
            system: SystemClock::new(),
            file: file.to_owned(),
        }
    }

    fn drift(&self) -> Duration {
        let seconds = fs::read_to_string(&self.file)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Duration::from_secs(seconds.unwrap_or(0))
    }
}

/// Puts every clock that obeys the file so far ahead.
///
/// # Errors
/// When the file cannot be written.
pub fn set(file: &Path, ahead: Duration) -> io::Result<()> {
    // By renaming, so that nobody reads half a number.
    let staged = file.with_extension("new");
    fs::write(&staged, ahead.as_secs().to_string())?;
    fs::rename(staged, file)
}

impl Clock for DriftingClock {
    fn now(&self) -> Timestamp {
        self.system.now() + self.drift()
    }

    fn elapsed(&self) -> Duration {
        self.system.elapsed() + self.drift()
    }

    fn sleep(&self, span: Duration) -> Sleep<'_> {
        self.system.sleep(span)
    }
}
