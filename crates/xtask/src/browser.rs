//! `cargo xtask browser`: people's ways through the console, in a real browser.
//!
//! What drives the browser comes from npm, by the versions in `crates/xtask/browser/package-lock.json`, into `target`. The browser is Debian's.
//! Where one of these is missing it is said, and only continuous integration fails for it.

use std::{
    env::{self, consts::EXE_SUFFIX},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};

use crate::surroundings::{self, output, workspace};

const SOURCE: &str = "crates/xtask/browser";
const MODULES: &str = "target/browser";

/// How long the walks may take. They take some minutes and wait for nothing longer than they must; this is for one that hangs.
const WALK_MAX: &str = "10m";

/// Walks, if everything that is needed is there.
pub(crate) fn run() -> anyhow::Result<()> {
    for (program, what) in [
        ("chromium", "install chromium"),
        ("node", "install Node.js"),
        ("npm", "install npm"),
    ] {
        if let Err(error) = output(Command::new(program).arg("--version")) {
            if surroundings::is_ci() {
                return Err(error.context(what));
            }
            println!("passed over: {what} to walk through the console in a browser");
            return Ok(());
        }
    }
    let modules = workspace().join(MODULES);
    install(&modules)?;
    let program = env::current_exe()?.with_file_name(format!("keepwell{EXE_SUFFIX}"));
    ensure!(
        program.exists(),
        "{} is missing: cargo build builds it",
        program.display()
    );
    let walk = workspace().join(SOURCE).join("walk.mjs");
    let screenshots = modules.join("screenshots");
    // `timeout` ends the browser and the programs beside it, too.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=20s", WALK_MAX, "node"]);
    command.args([&walk, &program, &modules, &screenshots]);
    surroundings::run(&mut command).context("the walk through the console failed")
}

fn install(modules: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(modules).context(MODULES)?;
    for name in ["package.json", "package-lock.json"] {
        let from = workspace().join(SOURCE).join(name);
        fs::copy(&from, modules.join(name)).with_context(|| from.display().to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    surroundings::run(npm.arg("--prefix").arg(modules))
        .context("npm could not fetch what drives the browser")
}
