//! `cargo xtask fuzz`: builds the fuzz targets with cargo-fuzz and runs them from the kept corpus.
//!
//! The stable compiler is enough: coverage needs no sanitizer, and Rust without `unsafe` hardly needs one. Everything that is built and found lies
//! below `target/fuzz`; only the corpus in `fuzz/corpus` is kept with the sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context, bail, ensure};
use toml::Table;

use crate::{
    surroundings::{self, workspace},
    tools,
};

/// Where the fuzz targets are built, seen from the workspace: by its name it is not in the way of ordinary builds.
const BUILT: &str = "target/fuzz";
/// Where new inputs are collected, and those that crashed.
const FOUND: &str = "target/fuzz/found";
const CRASHES: &str = "target/fuzz/crashes";
/// The kept corpus.
const CORPUS: &str = "fuzz/corpus";
/// As many as the smallest machine that runs this has cores.
const AT_ONCE: usize = 2;
/// Longer inputs find little more and are slow. Kept ones are shorter than this, too.
const INPUT_BYTES_MAX: usize = 4096;
/// Beyond it a decoder has lost its bounds: what is read from storage may expand to 128 MiB, and its buffer is twice that while it grows.
const MEMORY_MB_MAX: usize = 768;
/// One input takes microseconds.
const INPUT_SECONDS_MAX: usize = 10;
/// What is kept must stay small: it is in every clone.
const KEPT_OF_TARGET_MAX: usize = 18;
const KEPT_FILES_MAX: usize = 250;
const KEPT_BYTES_MAX: u64 = 500_000;
/// Lines of a failed target's output that are shown.
const SHOWN_LINES: usize = 40;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// For so long each.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Afterwards keep some of what was found: inputs that reach most.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Only this target.
    pub(crate) target: Option<String>,
}

/// Builds and runs. An error when an input crashed a target, took too long or too much memory.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let mut names = names(&fs::read_to_string(workspace().join("fuzz/Cargo.toml"))?)?;
    if let Some(wanted) = &plan.target {
        names.retain(|name| name == wanted);
        ensure!(!names.is_empty(), "there is no fuzz target {wanted}");
    }
    if let Err(error) = tools::cargo_fuzz() {
        ensure!(!surroundings::is_ci(), "{error:#}");
        println!("passed over: {error:#}");
        return Ok(());
    }
    build(plan.target.as_deref())?;
    for name in &names {
        for folder in [FOUND, CRASHES, CORPUS] {
            fs::create_dir_all(workspace().join(folder).join(name))?;
        }
    }
    let failed = run_all(&names, plan.seconds);
    if plan.keep {
        names.iter().try_for_each(|name| keep(name))?;
    }
    check_corpus()?;
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn names(manifest: &str) -> anyhow::Result<Vec<String>> {
    let manifest: Table = manifest.parse()?;
    let bins = manifest.get("bin").and_then(|bins| bins.as_array());
    let names = bins.into_iter().flatten();
    let names = names.filter_map(|bin| Some(bin.get("name")?.as_str()?.to_owned()));
    Ok(names.collect())
}

fn build(target: Option<&str>) -> anyhow::Result<()> {
    if surroundings::is_ci() {
        // cargo-fuzz cannot be told to keep to the lock file.
        let mut cargo = Command::new("cargo");
        cargo.current_dir(workspace().join("fuzz"));
        surroundings::output(cargo.args(["metadata", "--locked", "--format-version", "1"]))
            .context("fuzz/Cargo.lock is out of date: run `cargo xtask fuzz`, and commit it")?;
    }
    let mut command = tools::cargo_fuzz()?;
    // `--release` leaves it to fuzz/Cargo.toml which crates are built with their assertions.
    command.args(["build", "--release", "--sanitizer", "none"]);
    command.args(["--target-dir", BUILT]);
    surroundings::run(command.args(target))
}

/// Runs the targets, some at a time, in the order of their names. Gives those that failed.
fn run_all(names: &[String], seconds: u64) -> Vec<String> {
    let next = Mutex::new(names.iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(name) = next.lock().ok().and_then(|mut names| names.next()) {
                    match run_one(name, seconds) {
                        Ok(said) => println!("{name:<16} {said}"),
                        Err(error) => {
                            println!("{name:<16} FAILED\n{error:#}");
                            failed
                                .lock()
                                .into_iter()
                                .for_each(|mut all| all.push(name.clone()));
                        }
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_default()
}

fn program(name: &str) -> anyhow::Result<Command> {
    // cargo-fuzz names the target platform even where it is that of the machine.
    let folders = fs::read_dir(workspace().join(BUILT))?;
    let programs = folders
        .flatten()
        .map(|folder| folder.path().join("release").join(name));
    let program = programs.into_iter().find(|program| program.is_file());
    let mut command = Command::new(program.with_context(|| format!("{name} was not built"))?);
    command.current_dir(workspace());
    Ok(command)
}

/// Runs one target; gives how many inputs were tried.
fn run_one(name: &str, seconds: u64) -> anyhow::Result<String> {
    let mut command = program(name)?;
    command
        .arg(Path::new(FOUND).join(name))
        .arg(Path::new(CORPUS).join(name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-artifact_prefix={CRASHES}/{name}/"))
        .args(["-print_final_stats=1", "-seed=1"]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let lines: Vec<&str> = said.lines().collect();
        bail!(
            "{}\nThe input is below {CRASHES}/{name}; `cargo fuzz tmin --release --sanitizer none --target-dir {BUILT} {name} FILE` makes it smaller.",
            lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
        );
    }
    let stat = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", str::trim).to_owned()
    };
    Ok(format!(
        "{:>9} inputs, {:>7} a second, {:>4} MB",
        stat("stat::number_of_executed_units:"),
        stat("stat::average_exec_per_sec:"),
        stat("stat::peak_rss_mb:")
    ))
}

/// Adds what reaches most to the kept inputs that people made, in the place of what was added before.
fn keep(name: &str) -> anyhow::Result<()> {
    let kept = workspace().join(CORPUS).join(name);
    let merged = workspace().join(BUILT).join("merged").join(name);
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let mut command = program(name)?;
    command
        .args(["-merge=1", "-set_cover_merge=1", "-use_counters=0"])
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(&merged)
        .arg(&kept)
        .arg(Path::new(FOUND).join(name));
    surroundings::output(&mut command)?;
    for added in files(&kept)?.iter().filter(|file| is_hash(file)) {
        fs::remove_file(added)?;
    }
    let room = KEPT_OF_TARGET_MAX.saturating_sub(files(&kept)?.len());
    let mut found = files(&merged)?;
    // Of a set in which each reaches something that the others do not, the longest reach most.
    found.sort_by_key(|file| std::cmp::Reverse(fs::metadata(file).map_or(0, |meta| meta.len())));
    for file in found.iter().take(room) {
        fs::copy(file, kept.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Whether the fuzzer named it: inputs that people made have names.
fn is_hash(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() == 40 && name.iter().all(u8::is_ascii_hexdigit)
}

fn check_corpus() -> anyhow::Result<()> {
    let (mut count, mut bytes) = (0, 0);
    for folder in fs::read_dir(workspace().join(CORPUS))? {
        for file in files(&folder?.path())? {
            count += 1;
            bytes += fs::metadata(file)?.len();
        }
    }
    println!("the kept corpus has {count} files of {bytes} bytes");
    ensure!(
        count <= KEPT_FILES_MAX && bytes <= KEPT_BYTES_MAX,
        "that is more than {KEPT_FILES_MAX} files or {KEPT_BYTES_MAX} bytes"
    );
    Ok(())
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_a_corpus() -> anyhow::Result<()> {
        let fuzz = workspace().join("fuzz");
        let names = names(&fs::read_to_string(fuzz.join("Cargo.toml"))?)?;
        assert!(!names.is_empty());
        assert_eq!(names.len(), files(&fuzz.join("targets"))?.len());
        for name in names {
            assert!(fuzz.join("targets").join(format!("{name}.rs")).is_file());
            let kept = files(&fuzz.join("corpus").join(&name))?;
            assert!(!kept.is_empty(), "{name} has no corpus");
        }
        Ok(())
    }
}
