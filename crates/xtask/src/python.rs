//! Programs in Python that judge ours: they are run with what they need of PyPI, in the versions of the `requirements.txt` beside them, in a folder
//! below `target`; Python is this machine's. Where something is missing it is said, and only continuous integration fails for it.

use std::{
    env::{self, consts::EXE_SUFFIX},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    surroundings::{self, workspace},
    tools,
};

/// One of them.
pub(crate) struct Script {
    /// Its folder, below the workspace.
    pub(crate) folder: &'static str,
    /// Its name in it.
    pub(crate) name: &'static str,
    /// Where it may leave files, below the workspace.
    pub(crate) notes: &'static str,
    /// How long it may take, as timeout(1) reads it; this is for one that hangs.
    pub(crate) at_most: &'static str,
    /// What is wrong when it fails.
    pub(crate) verdict: &'static str,
}

impl Script {
    /// Runs it on the `keepwell` beside this program, if everything that it needs is there.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let python = match tools::python(self.folder) {
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
        let script = workspace().join(self.folder).join(self.name);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=20s", self.at_most]).arg(python);
        command.args([script, program, workspace().join(self.notes)]);
        surroundings::run(&mut command).context(self.verdict)
    }
}
