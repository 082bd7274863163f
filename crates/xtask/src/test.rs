//! `cargo xtask test`: the steps of continuous integration, in order, and a summary.

use std::{
    env::{self, consts::EXE_SUFFIX},
    ffi::OsStr,
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{
    api, browser, clients, fuzz,
    surroundings::{self, workspace},
    tidy, tools,
};

/// A name for the summary, and what to do.
type Step = (&'static str, fn() -> anyhow::Result<()>);

/// Of each fuzz target: a minute in all, two at a time.
const FUZZ_SECONDS: u64 = 10;

const STEPS: [Step; 13] = [
    ("tools", tools::run),
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("tidy", || tidy::run(false)),
    ("clippy", || {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("tests", || {
        cargo(&[
            "--config",
            ONE_PROGRAM_AT_MOST,
            "test",
            "--workspace",
            "--no-fail-fast",
        ])
    }),
    ("postgres", postgres),
    ("browser", browser::run),
    ("api", api::run),
    ("clients", clients::run),
    ("fuzz", || {
        fuzz::run(&fuzz::Plan {
            seconds: FUZZ_SECONDS,
            keep: false,
            target: None,
        })
    }),
    ("bench", || built("bench", &["--smoke"])),
    ("console", || {
        let keepwell = env::current_exe()?.with_file_name(format!("keepwell{EXE_SUFFIX}"));
        let keepwell = keepwell.to_string_lossy();
        built("console-bench", &["--smoke", "--keepwell", &keepwell])
    }),
    ("soak", || {
        built("trials", &["soak", "--minutes", SOAK_MINUTES])
    }),
];

/// What runs the tests' programs: one that hangs is ended after a quarter of an hour, so that it is a failure with a name.
const ONE_PROGRAM_AT_MOST: &str =
    r#"target.'cfg(target_os = "linux")'.runner = ["timeout", "--kill-after=10s", "15m"]"#;

/// How long the soak goes on, so that every run of the tests meets some dozens of worlds.
const SOAK_MINUTES: &str = "5";

/// Runs every step, also after one has failed, so that one run shows everything that is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut summary = Vec::new();
    for (name, step) in STEPS {
        println!("\n=== {name}");
        let start = surroundings::now();
        let outcome = step();
        let took = start.elapsed();
        if let Err(error) = &outcome {
            eprintln!("error: {error:#}");
        }
        println!("=== {}", line(name, outcome.is_ok(), took));
        summary.push((name, outcome.is_ok(), took));
    }
    println!("\nSummary");
    for (name, passed, took) in &summary {
        println!("  {}", line(name, *passed, *took));
    }
    let failed: Vec<_> = summary
        .iter()
        .filter(|(_, passed, _)| !passed)
        .map(|(name, ..)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn line(name: &str, passed: bool, took: Duration) -> String {
    let verdict = if passed { "passed" } else { "FAILED" };
    format!("{name:<8} {verdict} in {:.1} s", took.as_secs_f64())
}

/// Runs a program that the tests have built, beside this one: building it alone would choose other features of its dependencies.
fn built(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe()?.with_file_name(format!("{program}{EXE_SUFFIX}"));
    ensure!(
        program.exists(),
        "{} is missing: the tests did not build it",
        program.display()
    );
    surroundings::run(Command::new(program).args(arguments))
}

/// Whose tests are run once more, on PostgreSQL, and which: an empty text stands for all.
const AGAIN: [(&str, &[&str]); 2] = [("server", &[""]), ("keepwell", &["recover::", "serve::"])];

/// Runs the tests of whole programs that use a database once more, on PostgreSQL; those of single functions ran on both.
fn postgres() -> anyhow::Result<()> {
    let mut build = Command::new("cargo");
    build.args(["test", "--workspace", "--no-run", "--quiet"]);
    let built = surroundings::output(build.arg("--message-format=json").current_dir(workspace()))?;
    for (name, which) in AGAIN {
        let folder = workspace().join("crates").join(name);
        let manifest = folder.join("Cargo.toml");
        let program = built.lines().find_map(|line| {
            let told: Value = serde_json::from_str(line).ok()?;
            let is_it = told["target"]["name"] == "it"
                && Some(manifest.as_os_str()) == told["manifest_path"].as_str().map(OsStr::new);
            is_it.then(|| told["executable"].as_str().map(str::to_owned))?
        });
        let program = program.with_context(|| format!("the tests of {name} were not built"))?;
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10s", "15m"]).arg(program);
        command
            .args(which)
            .env("KEEPWELL_TEST_DATABASE", "postgres");
        surroundings::run_in(&folder, &mut command)?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    // In continuous integration the committed lock file is what is tested; a person who adds a dependency wants it updated.
    if surroundings::is_ci() {
        command.arg("--locked");
    }
    surroundings::run(command.args(arguments))
}
