//! Starts workers: this crate's own program in a process of its own, given an errand.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::errand::{Answer, Errand};

/// The subcommand by which the program is a worker.
pub const SUBCOMMAND: &str = "work";

/// The program that is started as a worker.
#[derive(Clone, Debug)]
pub struct Worker(PathBuf);

impl Worker {
    /// Workers by the program at this path: that of this crate.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self(program.into())
    }

    /// The command line that runs the errand, to be put behind others.
    ///
    /// # Errors
    /// When the errand cannot be written as JSON.
    pub fn command_line(&self, errand: &Errand) -> Result<[String; 3]> {
        let program = self
            .0
            .to_str()
            .context("the program's path is no Unicode")?;
        Ok([
            program.to_owned(),
            SUBCOMMAND.to_owned(),
            serde_json::to_string(errand)?,
        ])
    }

    /// Runs the errand to its end.
    ///
    /// # Errors
    /// When it fails; the error carries what the worker said.
    pub fn run(&self, errand: &Errand) -> Result<Answer> {
        answer(&self.output(errand)?)
    }

    /// Runs the errand, however it ends.
    ///
    /// # Errors
    /// When the worker does not start.
    pub fn output(&self, errand: &Errand) -> Result<Output> {
        self.output_behind(&[], errand)
    }

    /// Runs the errand behind other words of a command line, which lead to it: `sh -c 'ulimit …; exec "$0" "$@"'`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn output_behind(&self, words: &[&str], errand: &Errand) -> Result<Output> {
        let mut command = self.command(words, errand)?;
        command.output().context("the worker does not start")
    }

    /// The command that runs the errand, behind other words.
    ///
    /// # Errors
    /// When the errand cannot be written as JSON.
    pub fn command(&self, words: &[&str], errand: &Errand) -> Result<Command> {
        let line = self.command_line(errand)?;
        let mut line = words.iter().copied().chain(line.iter().map(String::as_str));
        let mut command = Command::new(line.next().context("a command has words")?);
        command.args(line).current_dir(Path::new("/"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// What a worker answered.
///
/// # Errors
/// When it failed; the error carries what it said.
pub fn answer(output: &Output) -> Result<Answer> {
    if !output.status.success() {
        bail!(
            "the worker ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    serde_json::from_slice(&output.stdout).context("the worker's answer is none")
}
