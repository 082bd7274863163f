//! Stock restic, run as a person would run it.
//!
//! Two versions judge our repositories: the one that Debian's stable release has, because it is what people have, and the newest, because
//! its checks are stricter. Neither touches the home directory, and no setting of the caller's environment reaches them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};

use crate::surroundings;

/// Names the program that [`newest`] runs; the default is where `cargo xtask test` unpacks it.
const NEWEST_VARIABLE: &str = "KEEPWELL_RESTIC_NEWEST";

/// Where `cargo xtask test` unpacks the newest restic, seen from the workspace's root.
const NEWEST_DEFAULT: &str = "target/tools/restic-newest/root/usr/bin/restic";

/// The oldest version that counts as [`newest`]: the first whose tree checks we want to pass.
const NEWEST_AT_LEAST: Version = Version {
    major: 0,
    minor: 19,
    patch: 0,
};

/// One restic program.
#[derive(Clone, Debug)]
pub struct Restic {
    program: PathBuf,
    version: Version,
}

/// A version of restic, such as 0.14.0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

/// How a command of restic ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether the exit status was 0.
    pub success: bool,
    /// Standard output, as bytes because `dump` writes a file's content there.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

/// The restic on `PATH`; passed over (see the crate's text) when there is none.
#[must_use]
pub fn stock() -> Option<Restic> {
    found(
        Restic::at("restic"),
        "install the package restic, or run `cargo xtask test`",
    )
}

/// A restic of version 0.19 or later; passed over (see the crate's text) when there is none.
#[must_use]
pub fn newest() -> Option<Restic> {
    let program = surroundings::variable(NEWEST_VARIABLE)
        .unwrap_or_else(|| surroundings::workspace().join(NEWEST_DEFAULT));
    let restic = Restic::at(program).and_then(|restic| {
        ensure!(
            restic.version >= NEWEST_AT_LEAST,
            "{restic:?} is older than {NEWEST_AT_LEAST:?}"
        );
        Ok(restic)
    });
    found(
        restic,
        "set KEEPWELL_RESTIC_NEWEST, or run `cargo xtask test`",
    )
}

/// [`stock`] and [`newest`], those of them that are there.
#[must_use]
pub fn both() -> Vec<Restic> {
    [stock(), newest()].into_iter().flatten().collect()
}

fn found(restic: anyhow::Result<Restic>, advice: &str) -> Option<Restic> {
    restic
        .inspect_err(|error| surroundings::pass_over(&format!("{error:#}; {advice}")))
        .ok()
}

impl Restic {
    /// Takes the program, a path or a name on `PATH`, after asking it for its version.
    pub fn at(program: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let program = program.into();
        let output = start(Command::new(&program).arg("version"))?.into_result()?;
        let version = Version::parse(&output.text())?;
        Ok(Self { program, version })
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Runs a command on the repository at `path`. An error means that restic could not be started; how it ended is in the [`Output`].
    pub fn run<A: AsRef<OsStr>>(
        &self,
        path: &Path,
        password: &str,
        args: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        // Of restic's own variables only the password is set, so that a caller's RESTIC_REPOSITORY or cache cannot reach it.
        command
            .env_clear()
            .envs(surroundings::kept(&["PATH", "TMPDIR"]))
            .env("RESTIC_PASSWORD", password)
            .arg("--no-cache")
            .arg("--repo")
            .arg(path)
            .args(args);
        start(&mut command)
    }

    /// `check --read-data`; an error carries what restic said.
    pub fn check(&self, path: &Path, password: &str) -> anyhow::Result<()> {
        let output = self
            .run(path, password, ["check", "--read-data"])?
            .into_result()?;
        ensure!(
            output.text().contains("no errors were found"),
            "restic check ended well without saying so: {}",
            output.text()
        );
        Ok(())
    }
}

impl Version {
    /// Reads the first line of `restic version`: `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let numbers: Vec<u32> = text
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|part| part.parse().ok())
            .collect();
        match numbers[..] {
            [major, minor, patch, ..] => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => bail!("this is no version of restic: {text}"),
        }
    }
}

impl Output {
    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The output of a command that had to succeed; otherwise an error with what restic said.
    pub fn into_result(self) -> anyhow::Result<Self> {
        ensure!(
            self.success,
            "restic failed: {}{}",
            self.stderr,
            self.text()
        );
        Ok(self)
    }
}

fn start(command: &mut Command) -> anyhow::Result<Output> {
    let output = command.output().with_context(|| {
        format!(
            "{} does not start",
            Path::new(command.get_program()).display()
        )
    })?;
    Ok(Output {
        success: output.status.success(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_restic_prints() {
        let parse = |text| {
            Version::parse(text)
                .ok()
                .map(|v| (v.major, v.minor, v.patch))
        };
        assert_eq!(
            parse("restic 0.14.0 compiled with go1.19.8 on linux/amd64"),
            Some((0, 14, 0))
        );
        assert_eq!(
            parse("restic 0.19.1-dev (compiled manually) compiled with go1.26"),
            Some((0, 19, 1))
        );
        assert_eq!(parse("bash: restic: command not found"), None);
    }

    #[test]
    fn restic_makes_a_repository_and_finds_it_sound() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        for (number, restic) in both().into_iter().enumerate() {
            let path = folder.path().join(number.to_string());
            restic.run(&path, "a password", ["init"])?.into_result()?;
            restic.check(&path, "a password")?;
        }
        Ok(())
    }
}
