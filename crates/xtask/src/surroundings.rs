//! The workspace's folder, the environment and the real clock: the only place of this crate that asks for them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, ensure};

/// The workspace's root, as it was when this crate was compiled.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the workspace's root")
}

/// Whether this is a run of continuous integration, where nothing may be missing.
pub(crate) fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value == Path::new("true"))
}

/// The value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment is asked here and nowhere else"
)]
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The real time, to tell how long a step took.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a step really took is the question"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs a program in the workspace's folder, its output going where ours goes. An error unless it ends well.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    run_in(workspace(), command)
}

/// As [`run`], in another folder.
pub(crate) fn run_in(folder: &Path, command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .current_dir(folder)
        .status()
        .with_context(|| format!("{name} does not start"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

/// The standard output of a program that has to end well, as text without the last line break. An error carries what the program said.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} does not start"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}
