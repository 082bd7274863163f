//! restic, as a person would run it: its own defaults, its cache in a folder of ours.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    ours::PASSWORD,
    process::{Measured, measure},
};

/// One restic program.
pub(crate) struct Restic {
    program: PathBuf,
    cache: PathBuf,
    /// As it calls itself.
    pub(crate) version: String,
}

impl Restic {
    /// Finds the program and asks for its version.
    pub(crate) fn find(program: &Path, cache: PathBuf) -> anyhow::Result<Self> {
        let output = Command::new(program).arg("version").output();
        let output = output.with_context(|| format!("{} does not start", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok(Self {
            program: program.to_owned(),
            cache,
            version: words.join(" "),
        })
    }

    /// Makes an empty repository.
    pub(crate) fn init(&self, repository: &Path) -> anyhow::Result<()> {
        let mut command = self.command(repository);
        command.args(["init", "--repository-version", "2"]);
        measure(&mut command).map(drop)
    }

    /// Backs up a folder.
    pub(crate) fn back_up(&self, repository: &Path, source: &Path) -> anyhow::Result<Measured> {
        measure(self.command(repository).arg("backup").arg(source))
    }

    /// Does nothing but open a repository.
    pub(crate) fn open(&self, repository: &Path) -> anyhow::Result<Measured> {
        measure(self.command(repository).args(["cat", "config"]))
    }

    /// Errors unless it finds nothing wrong.
    pub(crate) fn check(&self, repository: &Path) -> anyhow::Result<()> {
        measure(self.command(repository).args(["check", "--read-data"])).map(drop)
    }

    /// Errors unless the index and all directories are right.
    pub(crate) fn check_structure(&self, repository: &Path) -> anyhow::Result<()> {
        measure(self.command(repository).arg("check")).map(drop)
    }

    fn command(&self, repository: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("RESTIC_PASSWORD", PASSWORD)
            .arg("--quiet")
            .arg("--cache-dir")
            .arg(&self.cache)
            .arg("--repo")
            .arg(repository);
        command
    }
}
