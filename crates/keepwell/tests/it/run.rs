//! Runs the built program and looks at how it ended.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The program, with nothing of the caller's settings.
pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keepwell"));
    command
        .env_remove("RUST_LOG")
        .env_remove("RUST_BACKTRACE")
        .args(args);
    command
}

/// Runs it to its end.
pub(crate) fn keepwell<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Ran> {
    Ok(Ran::of(command(args).stdin(Stdio::null()).output()?))
}

/// How it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// It has to have ended with this status.
    pub(crate) fn ended(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == Some(code),
            "exit status {:?} instead of {code}; standard output:\n{}\nstandard error:\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }

    /// It has to have refused: status 1, nothing on standard output, and one line on standard error, which is given back.
    pub(crate) fn refusal(self) -> Result<String> {
        let ran = self.ended(1)?;
        ensure!(ran.stdout.is_empty(), "it printed {:?}", ran.stdout);
        let line = ran.stderr.strip_suffix('\n').context("no line at all")?;
        ensure!(!line.contains('\n'), "more than one line:\n{line}");
        ensure!(line.starts_with("keepwell: "), "whose line is this? {line}");
        Ok(line.to_owned())
    }

    /// Standard output has to be one line of JSON.
    pub(crate) fn json_line(&self) -> Result<Value> {
        let line = self.stdout.strip_suffix('\n').context("no line at all")?;
        ensure!(!line.contains('\n'), "more than one line:\n{line}");
        Ok(serde_json::from_str(line)?)
    }
}

/// A running process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All regular files below a folder, in order; links are not followed.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
