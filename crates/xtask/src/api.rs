//! `cargo xtask api`: schemathesis tries what the interface's own document allows and forbids, on the data of `keepwell demo`.
//!
//! It comes from PyPI, in the versions of `crates/xtask/api/requirements.txt`, into a folder below `target`; Python is this machine's.
//! Where something is missing it is said, and only continuous integration fails for it.

use std::{
    env::{self, consts::EXE_SUFFIX},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    surroundings::{self, workspace},
    tools,
};

/// Where schemathesis leaves its notes.
const NOTES: &str = "target/api";

/// How long it may take. It takes about half a minute; this is for one that hangs.
const MAX: &str = "5m";

/// Tries, if everything that is needed is there.
pub(crate) fn run() -> anyhow::Result<()> {
    let python = match tools::schemathesis() {
        Ok(python) => python,
        Err(error) if surroundings::is_ci() => return Err(error),
        Err(error) => {
            println!("passed over: {error:#}");
            return Ok(());
        }
    };
    let program = env::current_exe()?.with_file_name(format!("keepwell{EXE_SUFFIX}"));
    ensure!(
        program.exists(),
        "{} is missing: cargo build builds it",
        program.display()
    );
    let check = workspace().join(tools::API).join("check.py");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=20s", MAX]).arg(python);
    command.args([check, program, workspace().join(NOTES)]);
    surroundings::run(&mut command).context("the interface is not what its document says")
}
